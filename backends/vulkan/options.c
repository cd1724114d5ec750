/* options: what `--device-option KEY=VALUE` sets, for users and for tests. */
#include "vulkan.h"

#include <stdlib.h>
#include <string.h>

bool vulkan_listed(const char *list, const char *name)
{
    const size_t length = strlen(name);
    while (list != NULL && *list != 0) {
        const size_t entry = strcspn(list, "+");
        if (entry == length && memcmp(list, name, length) == 0) return true;
        list += entry + (list[entry] == '+');
    }
    return false;
}

static m3_status set_number(const m3_option *option, uint64_t *number, m3_error *err)
{
    char *end = NULL;
    const unsigned long long value = strtoull(option->value, &end, 10);
    if (option->value[0] < '0' || option->value[0] > '9' || *end != 0)
        return M3_FAIL(err, M3_ERR_INVALID, option->key, "'%s' is no number; give a whole number of at least 0",
                       option->value);
    *number = value;
    return M3_OK;
}

static m3_status set_flag(const m3_option *option, bool *flag, m3_error *err)
{
    const char *value = option->value;
    *flag = strcmp(value, "on") == 0 || strcmp(value, "yes") == 0;
    if (*flag || strcmp(value, "off") == 0 || strcmp(value, "no") == 0) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, option->key, "'%s' is neither on (yes) nor off (no)", value);
}

static m3_status set_text(m3_device_impl *device, const m3_option *option, char **text, m3_error *err)
{
    const m3_host *host = device->host;
    const size_t bytes = strlen(option->value) + 1;
    host->release(host->user, *text);
    *text = host->allocate(host->user, bytes, 1);
    if (*text == NULL) return M3_FAIL_MEMORY(err, option->key, bytes);
    memcpy(*text, option->value, bytes);
    return M3_OK;
}

m3_status vulkan_set_option(m3_device_impl *device, const m3_option *option, m3_error *err)
{
    const char *key = option->key;
    if (strcmp(key, "refuse") == 0) return set_text(device, option, &device->refused, err);
    if (strcmp(key, "fail_after") == 0) return set_number(option, &device->fail_after, err);
    if (strcmp(key, "largest_buffer") == 0) return set_number(option, &device->largest_buffer, err);
    if (strcmp(key, "memory") == 0) return set_number(option, &device->most_memory, err);
    if (strcmp(key, "drop_barrier") == 0) return set_number(option, &device->drop_barrier, err);
    if (strcmp(key, "validate") == 0) return set_flag(option, &device->validate, err);
    if (strcmp(key, "staging") == 0) return set_flag(option, &device->staging, err);
    if (strcmp(key, "timeline") == 0) return set_flag(option, &device->timeline, err);
    if (strcmp(key, "tune") == 0) return set_flag(option, &device->tune, err);
    if (strcmp(key, "cache") == 0) return set_flag(option, &device->cached, err);
    return M3_FAIL(
        err, M3_ERR_INVALID, key,
        "no such option of the vulkan device; there are timeline=off (fences instead of timeline semaphores), "
        "staging=on (copy through staging buffers even where memory is shared), cache=off (keep no compiled kernels on "
        "disk), tune=yes (measure what is faster), validate=yes (the validation layer's messages are failures), "
        "refuse=OP+OP (say no to these ops), fail_after=N (be lost after N submits), largest_buffer=BYTES (refuse "
        "larger ones), memory=BYTES (hold no more), drop_barrier=N (leave out a barrier)");
}
