/* cache: compiled programs in the host's folder, a file each, named after a hash of device, driver, source and options;
 * backends/lowering/cache.h says which of them count. */
#include "backends/opencl/cache.h"
#include "backends/opencl/device.h"
#include "backends/opencl/platform.h"

#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { NAME_BYTES = 64 };

opencl_key opencl_cache_key(m3_device_impl *device, const char *const *texts, uint32_t count)
{
    opencl_key key = {{0, 0}};
    XXH3_state_t state; /* not allocated: a failed allocation would give all sources one key */
    XXH3_INITSTATE(&state);
    (void)XXH3_128bits_reset(&state);
    const cl_device_info about[] = {CL_DEVICE_NAME, CL_DEVICE_VENDOR, CL_DEVICE_VERSION, CL_DRIVER_VERSION};
    char text[1024] = {0};
    if (device->cl->GetPlatformInfo(device->platform, CL_PLATFORM_VERSION, sizeof text - 1, text, NULL) == CL_SUCCESS)
        (void)XXH3_128bits_update(&state, text, strlen(text) + 1);
    for (size_t i = 0; i < sizeof about / sizeof about[0]; i++) {
        opencl_info_text(device->cl, device->id, about[i], text, sizeof text);
        (void)XXH3_128bits_update(&state, text, strlen(text) + 1);
    }
    for (uint32_t i = 0; i < count; i++) (void)XXH3_128bits_update(&state, texts[i], strlen(texts[i]) + 1);
    const XXH128_hash_t hash = XXH3_128bits_digest(&state);
    key.hash[0] = hash.low64;
    key.hash[1] = hash.high64;
    return key;
}

static void name_of(opencl_key key, char name[NAME_BYTES])
{
    (void)snprintf(name, NAME_BYTES, "opencl-%016llx%016llx.bin", (unsigned long long)key.hash[1],
                   (unsigned long long)key.hash[0]);
}

unsigned char *opencl_cache_read(m3_device_impl *device, opencl_key key, size_t *bytes)
{
    char name[NAME_BYTES];
    name_of(key, name);
    return device->cache ? lower_cache_read(device->files, name, bytes) : NULL;
}

/* A cache that cannot be written costs time and nothing else. */
void opencl_cache_write(m3_device_impl *device, opencl_key key, const unsigned char *binary, size_t bytes)
{
    char name[NAME_BYTES];
    name_of(key, name);
    if (device->cache) (void)lower_cache_write(device->files, name, binary, bytes);
}
