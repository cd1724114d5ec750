/* keep: option keep=DIR, a folder of kernels as the driver's compiler gets them. */
#include "backends/lowering/keep.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_BYTES = 4096, NAME_BYTES = 128 };

m3_status lower_keep_open(const char *folder, m3_error *err)
{
    struct stat about;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return M3_FAIL(err, M3_ERR_IO, "keep", "the folder '%s' cannot be made: %s", folder, strerror(errno));
    if (stat(folder, &about) != 0 || !S_ISDIR(about.st_mode))
        return M3_FAIL(err, M3_ERR_IO, "keep", "'%s' is no folder; give one, or a name that is not taken", folder);
    return M3_OK;
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_';
}

m3_status lower_keep_write(const char *folder, const char *name, uint64_t hash, const char *ending, const void *data,
                           size_t bytes, m3_error *err)
{
    char path[PATH_BYTES], plain[NAME_BYTES];
    (void)snprintf(plain, sizeof plain, "%s", name);
    for (char *c = plain; *c != 0; c++) *c = is_plain(*c) ? *c : '_';
    const int length = snprintf(path, sizeof path, "%s/%s-%016llx.%s", folder, plain, (unsigned long long)hash, ending);
    if (length < 0 || length >= PATH_BYTES)
        return M3_FAIL(err, M3_ERR_IO, "keep", "the folder's name is too long: give one below %d bytes",
                       PATH_BYTES - NAME_BYTES - 32);
    FILE *file = fopen(path, "wbe");
    bool good = file != NULL && fwrite(data, 1, bytes, file) == bytes;
    int reason = good ? 0 : errno;
    if (file != NULL && fclose(file) != 0 && good) {
        reason = errno;
        good = false;
    }
    if (good) return M3_OK;
    return M3_FAIL(err, M3_ERR_IO, "keep", "'%s' cannot be written: %s", path, strerror(reason));
}
