/* checks: what each backend checks, wherever its memory is. */
#include "backends/host/checks.h"

#include <string.h>

m3_status host_check_size(const char *type, uint32_t size, uint32_t wanted, m3_error *err)
{
    if (size >= wanted) return M3_OK;
    return M3_FAIL(err, M3_ERR_ABI, type, "its size is %u, wanted at least %u", size, wanted);
}

/* Buffers. */

m3_status host_check_buffer(uint64_t bytes, uint32_t usage, m3_error *err)
{
    const uint32_t known = M3_BUFFER_DEVICE | M3_BUFFER_UPLOAD | M3_BUFFER_DOWNLOAD | M3_BUFFER_MAPPABLE;
    if (bytes == 0) return M3_FAIL(err, M3_ERR_INVALID, "buffer", "0 bytes were asked; ask for at least 1");
    if ((usage & ~known) == 0) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, "buffer", "usage 0x%x has unknown bits 0x%x", usage, usage & ~known);
}

m3_status host_check_use(uint32_t usage, uint64_t bytes, uint32_t use, const char *what, uint64_t offset,
                         uint64_t count, m3_error *err)
{
    if ((usage & use) == 0)
        return M3_FAIL(err, M3_ERR_INVALID, what, "the buffer was made with usage 0x%x, which lacks 0x%x", usage, use);
    if (offset <= bytes && count <= bytes - offset) return M3_OK;
    return M3_FAIL(err, M3_ERR_RANGE, what, "bytes %llu to %llu were asked, the buffer has %llu",
                   (unsigned long long)offset, (unsigned long long)offset + (unsigned long long)count,
                   (unsigned long long)bytes);
}

m3_status host_check_map(bool mapped, uint32_t access, m3_error *err)
{
    const uint32_t known = M3_MAP_READ | M3_MAP_WRITE;
    if (mapped) return M3_FAIL(err, M3_ERR_INVALID, "map", "the buffer is mapped already; unmap it first");
    if (access != 0 && (access & ~known) == 0) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, "map", "access is 0x%x, give M3_MAP_READ, M3_MAP_WRITE or both", access);
}

/* Ops. */

/* Is the name one of a list joined by '+'? list may be NULL. */
static bool listed(const char *list, const char *name)
{
    const size_t length = strlen(name);
    while (list != NULL && *list != 0) {
        const size_t entry = strcspn(list, "+");
        if (entry == length && memcmp(list, name, length) == 0) return true;
        list += entry + (list[entry] == '+');
    }
    return false;
}

m3_status host_check_refused(const char *refused, const m3_op *op, m3_error *why)
{
    if (!listed(refused, op->name)) return M3_OK;
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, op->name, "refused by the option refuse=%s", refused);
}

const m3_kernel_desc *host_kernel_in(const m3_op *op, const char *language)
{
    if (!M3_HAS(op, m3_op, kernels)) return NULL;
    for (uint32_t i = 0; i < op->kernels.count; i++) {
        const m3_kernel_desc *desc = (const m3_kernel_desc *)m3_span_at(op->kernels, i);
        if (strcmp(desc->language, language) == 0) return desc;
    }
    return NULL;
}
