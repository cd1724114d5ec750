/* platform: which devices there are, and what is listed about them. */
#include "backends/opencl/platform.h"
#include "backends/opencl/api.h"

#include <string.h>

void opencl_info_text(const opencl_api *cl, cl_device_id id, cl_device_info what, char *text, size_t bytes)
{
    char all[2048] = {0};
    if (cl->GetDeviceInfo(id, what, sizeof all - 1, all, NULL) != CL_SUCCESS) all[0] = 0;
    (void)snprintf(text, bytes, "%s", all);
}

uint64_t opencl_info_number(const opencl_api *cl, cl_device_id id, cl_device_info what)
{
    unsigned char raw[8] = {0};
    size_t bytes = 0;
    uint32_t narrow;
    uint64_t wide;
    if (cl->GetDeviceInfo(id, what, sizeof raw, raw, &bytes) != CL_SUCCESS) return 0;
    memcpy(&narrow, raw, sizeof narrow);
    memcpy(&wide, raw, sizeof wide);
    return bytes == sizeof narrow ? narrow : wide;
}

/* "OpenCL 1.2 …" is at least 1.2. */
static bool new_enough(const opencl_api *cl, cl_device_id id)
{
    char text[64];
    unsigned major = 0, minor = 0;
    opencl_info_text(cl, id, CL_DEVICE_VERSION, text, sizeof text);
    if (sscanf(text, "OpenCL %u.%u", &major, &minor) != 2) return false;
    return major > 1 || minor >= 2;
}

static void log_line(const m3_backend *backend, m3_log_level level, const char *line)
{
    backend->host->log(backend->host->user, level, line);
}

/* The reason why a device cannot be used, or NULL. */
static const char *why_not(const opencl_api *cl, cl_device_id id)
{
    if (!new_enough(cl, id)) return "it is older than OpenCL 1.2";
    if (opencl_info_number(cl, id, CL_DEVICE_AVAILABLE) == 0) return "the driver says that it is not available";
    if (opencl_info_number(cl, id, CL_DEVICE_COMPILER_AVAILABLE) == 0) return "its driver has no compiler";
    if (opencl_info_number(cl, id, CL_DEVICE_ENDIAN_LITTLE) == 0) return "it is big-endian";
    return NULL;
}

static m3_status find_in(m3_backend *backend, cl_platform_id platform, m3_error *err)
{
    enum { CAPACITY = 64 };
    const opencl_api *cl = &backend->cl;
    cl_device_id ids[CAPACITY];
    cl_uint count = 0;
    if (cl->GetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, CAPACITY, ids, &count) != CL_SUCCESS) return M3_OK;
    if (count > CAPACITY) count = CAPACITY;
    const m3_host *host = backend->host;
    opencl_listed_device *devices = host->allocate(host->user, backend->device_count + count, sizeof *devices);
    if (devices == NULL) return M3_FAIL_MEMORY(err, "opencl", (backend->device_count + count) * sizeof *devices);
    if (backend->device_count > 0) memcpy(devices, backend->devices, backend->device_count * sizeof *devices);
    host->release(host->user, backend->devices);
    backend->devices = devices;
    for (cl_uint i = 0; i < count; i++) {
        const char *reason = why_not(cl, ids[i]);
        if (reason == NULL) {
            backend->devices[backend->device_count++] = (opencl_listed_device){platform, ids[i]};
            continue;
        }
        char name[128], line[256];
        opencl_info_text(cl, ids[i], CL_DEVICE_NAME, name, sizeof name);
        (void)snprintf(line, sizeof line, "opencl: device '%s' is left out: %s", name, reason);
        log_line(backend, M3_LOG_INFO, line);
    }
    return M3_OK;
}

m3_status opencl_platforms_find(m3_backend *backend, m3_error *err)
{
    enum { CAPACITY = 32 };
    const opencl_api *cl = &backend->cl;
    cl_platform_id platforms[CAPACITY];
    cl_uint count = 0;
    m3_error why = {0};
    char line[M3_ERROR_MESSAGE + 32];
    m3_status st = opencl_api_open(&backend->cl, &why);
    if (st == M3_ERR_MEMORY) return M3_FAIL(err, st, why.subject, "%s", why.message);
    if (st != M3_OK) {
        (void)snprintf(line, sizeof line, "opencl lists no device: %s", why.message);
        log_line(backend, M3_LOG_INFO, line);
        return M3_OK;
    }
    cl_int code = cl->GetPlatformIDs(CAPACITY, platforms, &count);
    if (code == CL_OUT_OF_HOST_MEMORY) return M3_FAIL_MEMORY(err, "opencl", 0);
    if (code != CL_SUCCESS || count == 0) {
        (void)snprintf(line, sizeof line, "opencl lists no device: the loader has no platform (%s); install a driver",
                       code == CL_SUCCESS ? "none registered" : OPENCL_ERROR(code));
        log_line(backend, M3_LOG_INFO, line);
        return M3_OK;
    }
    for (cl_uint i = 0; i < count && i < CAPACITY && st == M3_OK; i++) st = find_in(backend, platforms[i], err);
    if (st == M3_OK && backend->device_count == 0)
        log_line(backend, M3_LOG_INFO, "opencl lists no device: the platforms have none that can be used");
    return st;
}

static m3_device_class class_of(const opencl_api *cl, cl_device_id id)
{
    const uint64_t type = opencl_info_number(cl, id, CL_DEVICE_TYPE);
    if ((type & CL_DEVICE_TYPE_GPU) != 0)
        return opencl_info_number(cl, id, CL_DEVICE_HOST_UNIFIED_MEMORY) != 0 ? M3_DEVICE_INTEGRATED
                                                                              : M3_DEVICE_DISCRETE;
    return (type & CL_DEVICE_TYPE_ACCELERATOR) != 0 ? M3_DEVICE_DISCRETE : M3_DEVICE_SOFTWARE;
}

static void describe(const opencl_api *cl, const opencl_listed_device *device, m3_device_info *info)
{
    char platform[48] = {0}, driver[48], version[64];
    if (cl->GetPlatformInfo(device->platform, CL_PLATFORM_NAME, sizeof platform - 1, platform, NULL) != CL_SUCCESS)
        platform[0] = 0;
    opencl_info_text(cl, device->id, CL_DEVICE_NAME, info->name, sizeof info->name);
    opencl_info_text(cl, device->id, CL_DRIVER_VERSION, driver, sizeof driver);
    opencl_info_text(cl, device->id, CL_DEVICE_VERSION, version, sizeof version);
    info->device_class = class_of(cl, device->id);
    (void)snprintf(info->driver, sizeof info->driver, "%s, %s, %.10s", platform, driver, version);
    (void)snprintf(info->features, sizeof info->features,
                   "f32 units=%llu group=%llu local=%lluKiB alloc=%lluMiB memory=%lluMiB vector=%llu%s",
                   (unsigned long long)opencl_info_number(cl, device->id, CL_DEVICE_MAX_COMPUTE_UNITS),
                   (unsigned long long)opencl_info_number(cl, device->id, CL_DEVICE_MAX_WORK_GROUP_SIZE),
                   (unsigned long long)opencl_info_number(cl, device->id, CL_DEVICE_LOCAL_MEM_SIZE) >> 10,
                   (unsigned long long)opencl_info_number(cl, device->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE) >> 20,
                   (unsigned long long)opencl_info_number(cl, device->id, CL_DEVICE_GLOBAL_MEM_SIZE) >> 20,
                   (unsigned long long)opencl_info_number(cl, device->id, CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT),
                   opencl_info_number(cl, device->id, CL_DEVICE_HOST_UNIFIED_MEMORY) != 0 ? " unified" : "");
}

m3_status opencl_devices_list(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count,
                              m3_error *err)
{
    *count = backend->device_count;
    for (uint32_t i = 0; i < capacity && i < backend->device_count; i++) {
        if (infos[i].size < M3_STRUCT_SIZE(m3_device_info, features))
            return M3_FAIL(err, M3_ERR_ABI, "m3_device_info", "its size is %u, wanted at least %u", infos[i].size,
                           M3_STRUCT_SIZE(m3_device_info, features));
        describe(&backend->cl, &backend->devices[i], &infos[i]);
    }
    return M3_OK;
}
