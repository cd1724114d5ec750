/* device: a device whose memory is the host's and whose work is done when a call returns. A backend's own device
 * starts with this one, and is made by host_device_create:
 *
 *   typedef struct cpu_device {
 *       m3_device_impl base;
 *       …
 *   } cpu_device;
 *
 * So a pointer to the one is a pointer to the other, and what has the signature of a member of m3_backend_api stands
 * in the backend's table as it is. */
#ifndef HOST_DEVICE_H
#define HOST_DEVICE_H

#include <pthread.h>

#include "m3bsr/backend.h"

struct m3_device_impl {
    const m3_host *host;
    const char *name; /* of the backend; errors name it */

    /* Limits, and options that all of these devices have. The backend sets them before the device is used. */
    uint32_t offset_alignment; /* bytes */
    uint64_t largest_buffer;   /* bytes */
    uint64_t memory_max;       /* bytes that may be held; UINT64_MAX: what the machine gives */
    char *refused;             /* names of ops, joined by '+', or NULL */
    uint64_t fail_after;       /* submits until the device is lost; UINT64_MAX: never */

    uint64_t submits;
    pthread_mutex_t lock; /* of what follows, which a waiting thread reads while another works */
    uint64_t value;       /* that the queue has reached */
    uint64_t memory;      /* bytes held */
    m3_error failure;     /* the first one; code M3_OK while the device works */
};

/* A zeroed device of `size` bytes without limits. These backends have one device, so index must be 0. */
m3_status host_device_create(const m3_host *host, const char *name, uint32_t index, size_t size,
                             m3_device_impl **device, m3_error *err);
/* Frees what this header's struct holds and the device itself. */
void host_device_close(m3_device_impl *device);
m3_status host_limits(m3_device_impl *device, m3_device_limits *limits, m3_error *err);
/* What `list` does before it fills infos[0], in a backend with one device: it counts the device, and checks the info's
 * size unless capacity is 0. */
m3_status host_list(const m3_device_info *infos, uint32_t capacity, uint32_t *count, m3_error *err);

#endif
