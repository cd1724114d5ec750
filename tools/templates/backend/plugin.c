/* @NAME@: a backend, which lists devices, opens one, makes buffers, and compiles and runs programs.
 * This one computes on the host, at once: whenever a call returns, the work that it queued is done. A device that works
 * by itself queues the work instead, returns the value that will mark its end, and waits in device_wait.
 * The table at the end names the duties; <m3bsr/backend.h> says what each one owes. */
#include <string.h>
#include <unistd.h>

#include "backend.h"

enum { KNOWN_USES = M3_BUFFER_DEVICE | M3_BUFFER_UPLOAD | M3_BUFFER_DOWNLOAD | M3_BUFFER_MAPPABLE };

/* The plugin. */

static m3_status backend_open(const m3_host *host, m3_backend **backend, m3_error *err)
{
    m3_backend *b = *backend = host->allocate(host->user, 1, sizeof *b);
    if (b == NULL) return M3_FAIL_MEMORY(err, "@NAME@", sizeof *b);
    b->host = host;
    return M3_OK;
}

static void backend_close(m3_backend *backend)
{
    if (backend != NULL) backend->host->release(backend->host->user, backend);
}

/* No device is no error: say how many there are, and log what is missing. */
static m3_status backend_list(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count,
                              m3_error *err)
{
    (void)backend;
    *count = 1;
    if (capacity == 0) return M3_OK;
    if (infos->size < M3_STRUCT_SIZE(m3_device_info, features))
        return M3_FAIL(err, M3_ERR_ABI, "m3_device_info", "its size is %u, wanted at least %u", infos->size,
                       M3_STRUCT_SIZE(m3_device_info, features));
    infos->device_class = M3_DEVICE_REFERENCE; /* never chosen by `auto`; change it when this is fast */
    (void)snprintf(infos->name, sizeof infos->name, "@NAME@");
    (void)snprintf(infos->driver, sizeof infos->driver, "plain C");
    infos->features[0] = 0;
    return M3_OK;
}

/* A device and its queue. */

/* What `--device-option KEY=VALUE` sets. The host checks every value before device_open; m3bsr devices -v lists them.
 */
static const m3_option_desc options_known[] = {
    M3_DESCRIBE_BOOL("evaluate", "true", "ops without a kernel of its own are computed slowly; else they are refused"),
    M3_DESCRIBE_INT("fail_after", 0, 0x1p63, "", "the device is lost after so many submits, to try what follows"),
};

static m3_status device_open(m3_backend *backend, uint32_t index, m3_span options, m3_device_impl **device,
                             m3_error *err)
{
    const m3_host *host = backend->host;
    *device = NULL;
    if (index != 0) return M3_FAIL(err, M3_ERR_INVALID, "@NAME@", "there is no device %u, only 0", index);
    m3_device_impl *d = host->allocate(host->user, 1, sizeof *d);
    if (d == NULL) return M3_FAIL_MEMORY(err, "@NAME@", sizeof *d);
    d->host = host;
    d->evaluate = m3_options_bool(options, "evaluate", true);
    d->fail_after = (uint64_t)m3_options_int(options, "fail_after", -1); /* UINT64_MAX: never */
    (void)pthread_mutex_init(&d->lock, NULL);
    *device = d;
    return M3_OK;
}

static void device_close(m3_device_impl *device)
{
    if (device == NULL) return;
    (void)pthread_mutex_destroy(&device->lock);
    device->host->release(device->host->user, device);
}

/* Memory plans heed these: a tensor's place is a multiple of offset_alignment, no segment exceeds largest_buffer. */
static m3_status device_limits(m3_device_impl *device, m3_device_limits *limits, m3_error *err)
{
    (void)device;
    if (limits->size < M3_STRUCT_SIZE(m3_device_limits, coherent))
        return M3_FAIL(err, M3_ERR_ABI, "m3_device_limits", "its size is %u, wanted at least %u", limits->size,
                       M3_STRUCT_SIZE(m3_device_limits, coherent));
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    limits->offset_alignment = PLACE_ALIGNMENT;
    limits->largest_buffer = SIZE_MAX / 2;
    limits->largest_binding = SIZE_MAX / 2;
    limits->memory_total = (uint64_t)sysconf(_SC_PHYS_PAGES) * page;
    limits->memory_free = (uint64_t)sysconf(_SC_AVPHYS_PAGES) * page;
    limits->map_alignment = 1;
    limits->unified = true;
    limits->coherent = true;
    return M3_OK;
}

m3_status device_check(m3_device_impl *device, m3_error *err)
{
    (void)pthread_mutex_lock(&device->lock);
    m3_error failure = device->failure;
    (void)pthread_mutex_unlock(&device->lock);
    if (failure.code != M3_OK && err != NULL && err->code == M3_OK) *err = failure;
    return failure.code;
}

m3_status device_stick(m3_device_impl *device, const m3_error *failure, m3_error *err)
{
    (void)pthread_mutex_lock(&device->lock);
    if (device->failure.code == M3_OK) device->failure = *failure;
    (void)pthread_mutex_unlock(&device->lock);
    return device_check(device, err);
}

uint64_t device_advance(m3_device_impl *device)
{
    (void)pthread_mutex_lock(&device->lock);
    uint64_t value = ++device->reached;
    (void)pthread_mutex_unlock(&device->lock);
    return value;
}

static m3_status device_wait(m3_device_impl *device, uint64_t value, uint64_t timeout_ns, m3_error *err)
{
    (void)timeout_ns; /* nothing is ever under way */
    m3_status st = device_check(device, err);
    if (st != M3_OK) return st;
    (void)pthread_mutex_lock(&device->lock);
    unsigned long long reached = device->reached;
    (void)pthread_mutex_unlock(&device->lock);
    if (value > reached)
        return M3_FAIL(err, M3_ERR_RANGE, "@NAME@", "value %llu was never given, the last one is %llu",
                       (unsigned long long)value, reached);
    return M3_OK;
}

/* Memory. */

static m3_status buffer_create(m3_device_impl *device, uint64_t bytes, uint32_t usage, m3_buffer **buffer,
                               m3_error *err)
{
    const m3_host *host = device->host;
    uint32_t unknown = usage & ~(uint32_t)KNOWN_USES;
    *buffer = NULL;
    if (bytes == 0) return M3_FAIL(err, M3_ERR_INVALID, "buffer", "0 bytes were asked; ask for at least 1");
    if (unknown != 0) return M3_FAIL(err, M3_ERR_INVALID, "buffer", "usage 0x%x has unknown bits 0x%x", usage, unknown);
    if (bytes > SIZE_MAX / 2)
        return M3_FAIL(err, M3_ERR_MEMORY, "buffer", "%llu bytes were asked, the largest buffer has %llu",
                       (unsigned long long)bytes, (unsigned long long)(SIZE_MAX / 2));
    m3_buffer *b = host->allocate(host->user, 1, sizeof *b);
    if (b == NULL) return M3_FAIL_MEMORY(err, "buffer", sizeof *b);
    b->bytes = bytes;
    b->usage = usage;
    b->data = host->allocate(host->user, (size_t)bytes, 1);
    if (b->data == NULL) {
        host->release(host->user, b);
        return M3_FAIL_MEMORY(err, "buffer", bytes);
    }
    *buffer = b;
    return M3_OK;
}

static void buffer_free(m3_device_impl *device, m3_buffer *buffer)
{
    if (buffer == NULL) return;
    device->host->release(device->host->user, buffer->data);
    device->host->release(device->host->user, buffer);
}

/* May these bytes be copied? The device must work, the buffer be made for it, the range lie inside. */
static m3_status check_copy(m3_device_impl *device, const m3_buffer *buffer, uint32_t use, const char *what,
                            uint64_t offset, uint64_t bytes, m3_error *err)
{
    m3_status st = device_check(device, err);
    if (st != M3_OK) return st;
    if ((buffer->usage & use) == 0)
        return M3_FAIL(err, M3_ERR_INVALID, what, "the buffer was made with usage 0x%x, which lacks 0x%x",
                       buffer->usage, use);
    if (offset > buffer->bytes || bytes > buffer->bytes - offset)
        return M3_FAIL(err, M3_ERR_RANGE, what, "%llu bytes at %llu were asked, the buffer has %llu",
                       (unsigned long long)bytes, (unsigned long long)offset, (unsigned long long)buffer->bytes);
    return M3_OK;
}

static m3_status upload(m3_device_impl *device, m3_buffer *to, uint64_t offset, const void *from, uint64_t bytes,
                        uint64_t *value, m3_error *err)
{
    m3_status st = check_copy(device, to, M3_BUFFER_UPLOAD, "upload", offset, bytes, err);
    if (st != M3_OK) return st;
    if (bytes > 0) memcpy(to->data + offset, from, (size_t)bytes);
    *value = device_advance(device);
    return M3_OK;
}

static m3_status download(m3_device_impl *device, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes,
                          uint64_t *value, m3_error *err)
{
    m3_status st = check_copy(device, from, M3_BUFFER_DOWNLOAD, "download", offset, bytes, err);
    if (st != M3_OK) return st;
    if (bytes > 0) memcpy(to, from->data + offset, (size_t)bytes);
    *value = device_advance(device);
    return M3_OK;
}

/* What is published. */

static const m3_backend_api api = {
    .size = M3_STRUCT_SIZE(m3_backend_api, options),
    .open = backend_open,
    .close = backend_close,
    .list = backend_list,
    .device_open = device_open,
    .device_close = device_close,
    .limits = device_limits,
    .buffer_create = buffer_create,
    .buffer_free = buffer_free,
    .upload = upload,
    .download = download,
    .supports = program_supports,
    .compile = program_compile,
    .exec_free = program_free,
    .submit = program_submit,
    .wait = device_wait,
    .options = {sizeof options_known / sizeof options_known[0], sizeof options_known[0], options_known},
    /* Optional, and not here: buffer_map, buffer_unmap, profile, node_times, memory_used, measure_peak, describe,
     * kernels, tuning. */
};

static const m3_plugin plugin = {
    .size = M3_STRUCT_SIZE(m3_plugin, table),
    .magic = M3_PLUGIN_MAGIC,
    .abi_major = M3_ABI_MAJOR,
    .abi_minor = M3_ABI_MINOR,
    .host_minor = 2, /* options come checked */
    .kind = M3_PLUGIN_BACKEND,
    .name = "@NAME@",
    .version = "0.1",
    .build = __VERSION__,
    .table = &api,
};

/* The only symbol of a plugin. */
const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
