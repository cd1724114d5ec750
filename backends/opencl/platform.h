/* platform: the devices of all platforms, and what their drivers say about them. */
#ifndef OPENCL_PLATFORM_H
#define OPENCL_PLATFORM_H

#include "backends/opencl/api.h"
#include "m3bsr/backend.h"

/* A device as it is listed. */
typedef struct opencl_listed_device {
    cl_platform_id platform;
    cl_device_id id;
} opencl_listed_device;

/* One opened plugin. */
struct m3_backend {
    const m3_host *host;
    pthread_mutex_t parallel; /* the host's threads take one caller at a time, and devices run side by side */
    opencl_api cl;
    opencl_listed_device *devices;
    uint32_t device_count;
};

m3_status opencl_platforms_find(m3_backend *backend, m3_error *err);
m3_status opencl_devices_list(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count,
                              m3_error *err);
/* Text of a device, cut to bytes; "" when it has none. */
void opencl_info_text(const opencl_api *cl, cl_device_id id, cl_device_info what, char *text, size_t bytes);
uint64_t opencl_info_number(const opencl_api *cl, cl_device_id id, cl_device_info what);

#endif
