/* device: the one device there is, its options, its limits, and its queue, which is empty whenever a call returns. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/reference/reference.h"

m3_status reference_list(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count, m3_error *err)
{
    (void)backend;
    *count = 1;
    if (capacity == 0) return M3_OK;
    if (infos->size < M3_STRUCT_SIZE(m3_device_info, features))
        return M3_FAIL(err, M3_ERR_ABI, "m3_device_info", "its size is %u, wanted at least %u", infos->size,
                       M3_STRUCT_SIZE(m3_device_info, features));
    infos->device_class = M3_DEVICE_REFERENCE;
    (void)snprintf(infos->name, sizeof infos->name, "reference");
    (void)snprintf(infos->driver, sizeof infos->driver, "plain C");
    (void)snprintf(infos->features, sizeof infos->features, "f64 single-thread");
    return M3_OK;
}

/* Options. */

static m3_status set_number(const m3_option *option, uint64_t *number, m3_error *err)
{
    char *end = NULL;
    unsigned long long value = strtoull(option->value, &end, 10);
    if (option->value[0] < '0' || option->value[0] > '9' || *end != 0)
        return M3_FAIL(err, M3_ERR_INVALID, option->key, "'%s' is no number; give a whole number of at least 0",
                       option->value);
    *number = value;
    return M3_OK;
}

static m3_status set_option(m3_device_impl *device, const m3_option *option, m3_error *err)
{
    if (strcmp(option->key, "fail_after") == 0) return set_number(option, &device->fail_after, err);
    if (strcmp(option->key, "largest_buffer") == 0) return set_number(option, &device->largest_buffer, err);
    if (strcmp(option->key, "refuse") != 0)
        return M3_FAIL(err, M3_ERR_INVALID, option->key,
                       "no such option of the reference device; there are refuse=OP+OP (say no to these ops), "
                       "fail_after=N (be lost after N submits), largest_buffer=BYTES");
    const m3_host *host = device->host;
    size_t bytes = strlen(option->value) + 1;
    host->release(host->user, device->refused);
    device->refused = host->allocate(host->user, bytes, 1);
    if (device->refused == NULL) return M3_FAIL_MEMORY(err, option->key, bytes);
    memcpy(device->refused, option->value, bytes);
    return M3_OK;
}

m3_status reference_device_open(m3_backend *backend, uint32_t index, m3_span options, m3_device_impl **device,
                                m3_error *err)
{
    const m3_host *host = backend->host;
    *device = NULL;
    if (index != 0) return M3_FAIL(err, M3_ERR_INVALID, "reference", "there is no device %u, only 0", index);
    m3_device_impl *d = host->allocate(host->user, 1, sizeof *d);
    if (d == NULL) return M3_FAIL_MEMORY(err, "reference", sizeof *d);
    d->host = host;
    d->fail_after = UINT64_MAX;
    d->largest_buffer = SIZE_MAX / 2;
    pthread_mutex_init(&d->lock, NULL);
    for (uint32_t i = 0; i < options.count; i++) {
        m3_status st = set_option(d, (const m3_option *)m3_span_at(options, i), err);
        if (st != M3_OK) {
            reference_device_close(d);
            return st;
        }
    }
    *device = d;
    return M3_OK;
}

void reference_device_close(m3_device_impl *device)
{
    if (device == NULL) return;
    const m3_host *host = device->host;
    pthread_mutex_destroy(&device->lock);
    host->release(host->user, device->refused);
    host->release(host->user, device);
}

m3_status reference_limits(m3_device_impl *device, m3_device_limits *limits, m3_error *err)
{
    if (limits->size < M3_STRUCT_SIZE(m3_device_limits, coherent))
        return M3_FAIL(err, M3_ERR_ABI, "m3_device_limits", "its size is %u, wanted at least %u", limits->size,
                       M3_STRUCT_SIZE(m3_device_limits, coherent));
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    limits->offset_alignment = 16;
    limits->largest_buffer = device->largest_buffer;
    limits->largest_binding = device->largest_buffer;
    limits->memory_total = (uint64_t)sysconf(_SC_PHYS_PAGES) * page;
    limits->memory_free = (uint64_t)sysconf(_SC_AVPHYS_PAGES) * page;
    limits->map_alignment = 1;
    limits->unified = true;
    limits->coherent = true;
    return M3_OK;
}

/* Memory. */

void *reference_allocate(m3_device_impl *device, uint64_t count, size_t size, uint64_t *bytes)
{
    *bytes = 0;
    if (count > SIZE_MAX / 2 / size) return NULL;
    void *block = device->host->allocate(device->host->user, (size_t)count + (count == 0), size);
    if (block == NULL) return NULL;
    *bytes = count * size;
    pthread_mutex_lock(&device->lock);
    device->memory += *bytes;
    pthread_mutex_unlock(&device->lock);
    return block;
}

void reference_release(m3_device_impl *device, void *block, uint64_t bytes)
{
    if (block == NULL) return;
    device->host->release(device->host->user, block);
    pthread_mutex_lock(&device->lock);
    device->memory -= bytes;
    pthread_mutex_unlock(&device->lock);
}

uint64_t reference_memory_used(m3_device_impl *device)
{
    pthread_mutex_lock(&device->lock);
    uint64_t memory = device->memory;
    pthread_mutex_unlock(&device->lock);
    return memory;
}

/* Queue. */

static m3_status report(const m3_error *failure, m3_error *err)
{
    if (err != NULL && err->code == M3_OK) *err = *failure;
    return failure->code;
}

m3_status reference_check(m3_device_impl *device, m3_error *err)
{
    pthread_mutex_lock(&device->lock);
    m3_error failure = device->failure;
    pthread_mutex_unlock(&device->lock);
    return report(&failure, err);
}

m3_status reference_stick(m3_device_impl *device, const m3_error *failure, m3_error *err)
{
    pthread_mutex_lock(&device->lock);
    if (device->failure.code == M3_OK) device->failure = *failure;
    pthread_mutex_unlock(&device->lock);
    return report(failure, err);
}

uint64_t reference_advance(m3_device_impl *device)
{
    pthread_mutex_lock(&device->lock);
    uint64_t value = ++device->value;
    pthread_mutex_unlock(&device->lock);
    return value;
}

m3_status reference_wait(m3_device_impl *device, uint64_t value, uint64_t timeout_ns, m3_error *err)
{
    (void)timeout_ns; /* whoever knows a value got it from a call whose work was done */
    m3_status st = reference_check(device, err);
    if (st != M3_OK) return st;
    pthread_mutex_lock(&device->lock);
    uint64_t reached = device->value;
    pthread_mutex_unlock(&device->lock);
    if (value > reached)
        return M3_FAIL(err, M3_ERR_RANGE, "reference",
                       "nothing was queued under value %llu; the last one is %llu: wait for what a submit returned",
                       (unsigned long long)value, (unsigned long long)reached);
    return M3_OK;
}
