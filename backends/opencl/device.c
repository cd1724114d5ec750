/* device: opening, and the traits by which nodes are lowered. */
#include "backends/opencl/device.h"
#include "backends/lowering/lower.h"
#include "backends/lowering/tuning.h"
#include "backends/opencl/api.h"
#include "backends/opencl/build.h"
#include "backends/opencl/clblast.h"
#include "backends/opencl/memory.h"
#include "backends/opencl/options.h"
#include "backends/opencl/platform.h"
#include "backends/opencl/queue.h"
#include "backends/opencl/tuning.h"

#include <stdlib.h>
#include <string.h>

/* The largest power of two that is at most x, and at least 1. */
static uint32_t largest_power(uint64_t x)
{
    uint32_t power = 1;
    while (power < 1u << 30 && (uint64_t)power * 2 <= x) power *= 2;
    return power;
}

static uint32_t min_power(uint64_t a, uint64_t b)
{
    return largest_power(a < b ? a : b);
}

/* A processor's work-items take whole rows in vectors; a GPU's share rows, and neighbours access neighbouring words. */
static void query_traits(m3_device_impl *d)
{
    const opencl_api *cl = d->cl;
    lower_traits *t = &d->traits;
    const uint64_t units = opencl_info_number(cl, d->id, CL_DEVICE_MAX_COMPUTE_UNITS);
    const uint64_t largest_group = opencl_info_number(cl, d->id, CL_DEVICE_MAX_WORK_GROUP_SIZE);
    const bool processor = (opencl_info_number(cl, d->id, CL_DEVICE_TYPE) & CL_DEVICE_TYPE_CPU) != 0;
    size_t sizes[16] = {0};
    if (cl->GetDeviceInfo(d->id, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof sizes, sizes, NULL) != CL_SUCCESS) sizes[0] = 1;
    t->custom.language = "opencl-c";
    t->custom.group_items = largest_group > 0 ? largest_group : 1;
    for (int i = 0; i < 3; i++) {
        t->custom.group_extent[i] = sizes[i] > 0 ? sizes[i] : 1;
        t->custom.group_count[i] = UINT32_MAX;
    }
    t->largest_group = min_power(largest_group, sizes[0] < UINT32_MAX ? sizes[0] : UINT32_MAX);
    for (int i = 0; i < 3; i++) t->largest_count[i] = INT32_MAX / t->largest_group;
    t->units = units > 0 && units < UINT32_MAX ? (uint32_t)units : 1;
    t->local_bytes = opencl_info_number(cl, d->id, CL_DEVICE_LOCAL_MEM_SIZE);
    t->largest_binding = d->largest_buffer;
    t->lanes = processor ? 1 : min_power(32, t->largest_group);
    t->vector = processor ? min_power(16, opencl_info_number(cl, d->id, CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT)) : 4;
    if (t->vector == 2) t->vector = 1;
    t->group = processor ? 1 : min_power(128, t->largest_group);
}

static m3_status open_context(m3_device_impl *d, m3_error *err)
{
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)d->platform, 0};
    cl_int code = CL_SUCCESS;
    d->context = d->cl->CreateContext(properties, 1, &d->id, NULL, NULL, &code);
    if (code == CL_SUCCESS) d->queue.commands = d->cl->CreateCommandQueue(d->context, d->id, 0, &code);
    if (code == CL_SUCCESS) return M3_OK;
    return M3_FAIL(err, M3_ERR_UNSUPPORTED, d->name, "could not be opened: %s; is another program using all of it?",
                   OPENCL_ERROR(code));
}

/* One of the variants to compute a product, where the library is there. */
static void open_clblast(m3_device_impl *d)
{
    m3_error why = {0};
    if (d->no_clblast) return;
    d->traits.clblast = opencl_clblast_open(d->host, &d->clblast, &why) == M3_OK;
    if (!d->traits.clblast) d->host->log(d->host->user, M3_LOG_DEBUG, why.message);
}

/* PoCL keeps what it compiles, and for a program's binary it compiles every kernel once more, for groups of any size,
 * which doubles the time of a first start. */
static bool keeps_kernels(const m3_device_impl *d)
{
    char name[64] = {0};
    const char *kept = getenv("POCL_KERNEL_CACHE");
    if (d->cl->GetPlatformInfo(d->platform, CL_PLATFORM_NAME, sizeof name - 1, name, NULL) != CL_SUCCESS) return false;
    return strcmp(name, "Portable Computing Language") == 0 && (kept == NULL || strcmp(kept, "0") != 0);
}

m3_status opencl_device_open(m3_backend *backend, uint32_t index, m3_span options, m3_device_impl **device,
                             m3_error *err)
{
    const m3_host *host = backend->host;
    *device = NULL;
    if (index >= backend->device_count)
        return M3_FAIL(err, M3_ERR_INVALID, "opencl", "there is no device %u; there are %u", index,
                       backend->device_count);
    m3_device_impl *d = host->allocate(host->user, 1, sizeof *d);
    if (d == NULL) return M3_FAIL_MEMORY(err, "opencl", sizeof *d);
    d->backend = backend;
    d->host = host;
    d->parallel = &backend->parallel;
    d->cl = &backend->cl;
    d->platform = backend->devices[index].platform;
    d->id = backend->devices[index].id;
    d->cache = !keeps_kernels(d);
    pthread_mutex_init(&d->queue.lock, NULL);
    pthread_mutex_init(&d->programs_lock, NULL);
    opencl_info_text(d->cl, d->id, CL_DEVICE_NAME, d->name, sizeof d->name);
    d->memory_total = opencl_info_number(d->cl, d->id, CL_DEVICE_GLOBAL_MEM_SIZE);
    d->largest_buffer = opencl_info_number(d->cl, d->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    const uint64_t alignment = opencl_info_number(d->cl, d->id, CL_DEVICE_MEM_BASE_ADDR_ALIGN) / 8; /* it counts bits */
    d->alignment = largest_power(alignment > 64 ? alignment : 64);
    query_traits(d);
    m3_status st = opencl_set_options(d, options, err);
    d->traits.kind = d->traits.lanes == 1 ? LOWER_PROCESSOR : LOWER_GPU; /* one whose groups have one item, too */
    if (st == M3_OK) st = open_context(d, err);
    if (st == M3_OK) open_clblast(d);
    if (st == M3_OK) st = lower_cache_open(host, &d->files, err);
    if (st == M3_OK) st = opencl_tuning_open(d, err);
    if (st == M3_OK)
        *device = d;
    else
        opencl_device_close(d);
    return st;
}

void opencl_device_close(m3_device_impl *device)
{
    if (device == NULL) return;
    const m3_host *host = device->host;
    const opencl_api *cl = device->cl;
    if (device->queue.commands != NULL) (void)cl->Finish(device->queue.commands);
    for (int i = 0; i < OPENCL_MAX_IN_FLIGHT; i++)
        if (device->queue.ring[i].event != NULL) (void)cl->ReleaseEvent(device->queue.ring[i].event);
    opencl_clblast_close(host, device->clblast);
    opencl_programs_free(device);
    lower_tuning_free(device->tuning);
    lower_cache_close(device->files);
    if (device->queue.timed != NULL) (void)cl->ReleaseCommandQueue(device->queue.timed);
    if (device->queue.commands != NULL) (void)cl->ReleaseCommandQueue(device->queue.commands);
    if (device->context != NULL) (void)cl->ReleaseContext(device->context);
    pthread_mutex_destroy(&device->queue.lock);
    pthread_mutex_destroy(&device->programs_lock);
    host->release(host->user, device->refused);
    host->release(host->user, device->keep);
    host->release(host->user, device);
}

m3_status opencl_device_limits(m3_device_impl *device, m3_device_limits *limits, m3_error *err)
{
    if (limits->size < M3_STRUCT_SIZE(m3_device_limits, coherent))
        return M3_FAIL(err, M3_ERR_ABI, "m3_device_limits", "its size is %u, wanted at least %u", limits->size,
                       M3_STRUCT_SIZE(m3_device_limits, coherent));
    const uint64_t used = opencl_memory_used(device);
    limits->offset_alignment = device->alignment;
    limits->largest_buffer = device->largest_buffer;
    limits->largest_binding = device->traits.largest_binding;
    limits->memory_total = device->memory_total;
    limits->memory_free = device->memory_total > used ? device->memory_total - used : 0;
    limits->map_alignment = 1;
    limits->unified = opencl_info_number(device->cl, device->id, CL_DEVICE_HOST_UNIFIED_MEMORY) != 0;
    limits->coherent = false;
    return M3_OK;
}
