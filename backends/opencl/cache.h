/* cache: compiled programs on disk. A damaged or foreign entry reads as none, and may be read in several threads. */
#ifndef OPENCL_CACHE_H
#define OPENCL_CACHE_H

#include "m3bsr/backend.h"

typedef struct opencl_key {
    uint64_t hash[2];
} opencl_key;

opencl_key opencl_cache_key(m3_device_impl *device, const char *const *texts, uint32_t count);
unsigned char *opencl_cache_read(m3_device_impl *device, opencl_key key, size_t *bytes);
void opencl_cache_write(m3_device_impl *device, opencl_key key, const unsigned char *binary, size_t bytes);

#endif
