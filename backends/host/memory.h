/* memory: aligned memory of the host, and the count of what a device holds. */
#ifndef HOST_MEMORY_H
#define HOST_MEMORY_H

#include "m3bsr/backend.h"

enum { HOST_MEMORY_ALIGNMENT = 64 }; /* a cache line, and the longest vector */

/* Zeroed memory aligned to HOST_MEMORY_ALIGNMENT, in large pages where it is large. *block is what the host's release
 * frees. NULL: there is no memory, and *block is NULL too. */
void *host_memory_allocate(const m3_host *host, uint64_t bytes, void **block);

/* Count bytes that the device holds from now on, unless that makes more than memory_max. `what` is the error's
 * subject. */
m3_status host_memory_reserve(m3_device_impl *device, const char *what, uint64_t bytes, m3_error *err);
/* Take reserved bytes from the count. */
void host_memory_release(m3_device_impl *device, uint64_t bytes);
uint64_t host_memory_used(m3_device_impl *device);

#endif
