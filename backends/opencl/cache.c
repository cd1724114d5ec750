/* cache: compiled programs in the host's folder, a file each:
 *   "m3bsr kernel 1\n", key (16 bytes), bytes of the binary (8), their XXH3 (8), the binary
 * The key is a hash of device, driver, source and options. A file is written under a temporary name and renamed, so
 * several processes may share the folder; one that is damaged, cut or made for something else reads as none. */
#include "backends/opencl/cache.h"
#include "backends/opencl/device.h"
#include "backends/opencl/platform.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static const char magic[] = "m3bsr kernel 1\n";
enum { MAGIC = sizeof magic - 1, HEAD = MAGIC + 32, PATH_BYTES = 4096 };

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

/* False where nothing is kept. */
static bool path_of(const m3_device_impl *device, opencl_key key, const char *tail, char path[PATH_BYTES])
{
    if (!device->cache || device->host->cache_path == NULL) return false;
    const int length = snprintf(path, PATH_BYTES, "%s/opencl-%016llx%016llx%s", device->host->cache_path,
                                (unsigned long long)key.hash[1], (unsigned long long)key.hash[0], tail);
    return length > 0 && length < PATH_BYTES;
}

static void head_of(opencl_key key, const unsigned char *binary, uint64_t bytes, unsigned char head[HEAD])
{
    const uint64_t sum = XXH3_64bits(binary, (size_t)bytes);
    memcpy(head, magic, MAGIC);
    memcpy(head + MAGIC, key.hash, 16);
    memcpy(head + MAGIC + 16, &bytes, 8);
    memcpy(head + MAGIC + 24, &sum, 8);
}

unsigned char *opencl_cache_read(m3_device_impl *device, opencl_key key, size_t *bytes)
{
    const m3_host *host = device->host;
    char path[PATH_BYTES];
    unsigned char head[HEAD], wanted[HEAD], *binary = NULL;
    struct stat about;
    if (!path_of(device, key, ".bin", path)) return NULL;
    FILE *file = fopen(path, "rbe");
    if (file == NULL) return NULL;
    bool good = fread(head, 1, HEAD, file) == HEAD && fstat(fileno(file), &about) == 0 && about.st_size > HEAD;
    if (good) {
        *bytes = (size_t)about.st_size - HEAD;
        binary = host->allocate(host->user, *bytes, 1);
        good = binary != NULL && fread(binary, 1, *bytes, file) == *bytes;
    }
    (void)fclose(file);
    if (good) {
        head_of(key, binary, *bytes, wanted);
        good = memcmp(head, wanted, HEAD) == 0;
    }
    if (good) return binary;
    host->release(host->user, binary);
    return NULL;
}

/* A cache that cannot be written costs time and nothing else. */
void opencl_cache_write(m3_device_impl *device, opencl_key key, const unsigned char *binary, size_t bytes)
{
    char path[PATH_BYTES], temporary[PATH_BYTES];
    unsigned char head[HEAD];
    if (!path_of(device, key, ".bin", path) || !path_of(device, key, ".XXXXXX", temporary)) return;
    const int fd = mkstemp(temporary);
    if (fd < 0) return;
    FILE *file = fdopen(fd, "wb");
    if (file == NULL) {
        (void)close(fd);
        (void)unlink(temporary);
        return;
    }
    head_of(key, binary, bytes, head);
    bool good = fwrite(head, 1, HEAD, file) == HEAD && fwrite(binary, 1, bytes, file) == bytes;
    good = fflush(file) == 0 && good && fsync(fd) == 0;
    good = fclose(file) == 0 && good;
    if (!good || rename(temporary, path) != 0) (void)unlink(temporary);
}
