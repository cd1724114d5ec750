/* plugin: values of device options, uses of buffers, and kernels of custom ops. */
#include "backends/lowering/plugin.h"
#include "backends/lowering/tuning.h"

#include <string.h>

m3_status lower_read_variant(m3_span options, const char **variant, m3_error *err)
{
    const char *name = m3_options_text(options, "variant", "");
    *variant = lower_way_named(name);
    if (*variant != NULL || name[0] == 0) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, "variant",
                   "'%s' is no variant of a product; the files that `m3bsr tune` writes name them", name);
}

m3_status lower_read_refused(const m3_host *host, m3_span options, char **refused, m3_error *err)
{
    const char *names = m3_options_text(options, "refuse", NULL);
    *refused = NULL;
    if (names == NULL) return M3_OK;
    const size_t bytes = strlen(names) + 1;
    *refused = host->allocate(host->user, bytes, 1);
    if (*refused == NULL) return M3_FAIL_MEMORY(err, "refuse", bytes);
    memcpy(*refused, names, bytes);
    return M3_OK;
}

bool lower_listed(const char *list, const char *name)
{
    const size_t length = strlen(name);
    while (list != NULL && *list != 0) {
        const size_t entry = strcspn(list, "+");
        if (entry == length && memcmp(list, name, length) == 0) return true;
        list += entry + (list[entry] == '+');
    }
    return false;
}

m3_status lower_check_use(uint32_t usage, uint64_t bytes, uint32_t use, const char *what, uint64_t offset,
                          uint64_t count, m3_error *err)
{
    if ((usage & use) == 0)
        return M3_FAIL(err, M3_ERR_INVALID, what, "the buffer was made with usage 0x%x, which lacks 0x%x", usage, use);
    if (offset <= bytes && count <= bytes - offset) return M3_OK;
    return M3_FAIL(err, M3_ERR_RANGE, what, "bytes %llu to %llu were asked, the buffer has %llu",
                   (unsigned long long)offset, (unsigned long long)offset + (unsigned long long)count,
                   (unsigned long long)bytes);
}

const m3_kernel_desc *lower_kernel_in(const m3_node *node, const char *language)
{
    const m3_op *op = node->op;
    if (!M3_HAS(op, m3_op, kernels)) return NULL;
    for (uint32_t i = 0; i < op->kernels.count; i++) {
        const m3_kernel_desc *desc = (const m3_kernel_desc *)m3_span_at(op->kernels, i);
        if (strcmp(desc->language, language) == 0) return desc;
    }
    return NULL;
}
