/* plugin: values of device options, uses of buffers, and kernels of custom ops. */
#include "backends/lowering/plugin.h"
#include "backends/lowering/tuning.h"

#include <stdlib.h>
#include <string.h>

m3_status lower_set_number(const m3_option *option, uint64_t least, uint64_t most, uint64_t *value, m3_error *err)
{
    char *end = NULL;
    *value = strtoull(option->value, &end, 10);
    if (option->value[0] >= '0' && option->value[0] <= '9' && *end == 0 && *value >= least && *value <= most)
        return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, option->key, "'%s' will not do; give a whole number from %llu to %llu",
                   option->value, (unsigned long long)least, (unsigned long long)most);
}

m3_status lower_set_switch(const m3_option *option, bool *on, m3_error *err)
{
    *on = strcmp(option->value, "on") == 0 || strcmp(option->value, "yes") == 0;
    if (*on || strcmp(option->value, "off") == 0 || strcmp(option->value, "no") == 0) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, option->key, "'%s' is neither on (yes) nor off (no)", option->value);
}

m3_status lower_set_text(const m3_host *host, const m3_option *option, char **text, m3_error *err)
{
    const size_t bytes = strlen(option->value) + 1;
    host->release(host->user, *text);
    *text = host->allocate(host->user, bytes, 1);
    if (*text == NULL) return M3_FAIL_MEMORY(err, option->key, bytes);
    memcpy(*text, option->value, bytes);
    return M3_OK;
}

m3_status lower_set_way(const m3_option *option, const char **way, m3_error *err)
{
    *way = lower_way_named(option->value);
    if (*way != NULL) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, option->key,
                   "'%s' is no way to compute a product; the files that `m3bsr tune` writes name them", option->value);
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
