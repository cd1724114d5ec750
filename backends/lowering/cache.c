/* cache: see cache.h for what makes an entry count. All names are looked up in the folder that was opened and checked.
 */
#include "backends/lowering/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    KEY_BYTES = 32,
    HASH_BYTES = 32,
    NAME_BYTES = 128,
    TEMPORARY_BYTES = NAME_BYTES + 48,
    LINE_BYTES = 1024,
    OTHERS_WRITE = S_IWGRP | S_IWOTH,
    OTHERS = S_IRWXG | S_IRWXO
};
static const char magic[] = "m3bsr cache 2 ";
enum { HEAD_BYTES = sizeof magic - 1 + 2 * HASH_BYTES + 1 };
static const uint64_t most_bytes = 1u << 30; /* more than any program: a file with a hole is not read for ever */

struct lower_cache {
    const m3_host *host;
    int folder;
    unsigned char key[KEY_BYTES];
};

M3_PRINTF(3, 4)
static void tell(const m3_host *host, m3_log_level level, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;
    if (host->log == NULL) return;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    host->log(host->user, level, line);
}

static bool write_whole(int fd, const void *data, size_t bytes)
{
    const unsigned char *at = data;
    while (bytes > 0) {
        const ssize_t done = write(fd, at, bytes);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        at += done;
        bytes -= (size_t)done;
    }
    return true;
}

static bool read_whole(int fd, void *data, size_t bytes)
{
    unsigned char *at = data;
    while (bytes > 0) {
        const ssize_t done = read(fd, at, bytes);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false; /* cut since it was measured */
        at += done;
        bytes -= (size_t)done;
    }
    return true;
}

/* A regular file of the user's that others have no right of `others` to; -1, and errno: 0 where it is none. */
static int open_own(const lower_cache *c, const char *name, mode_t others, struct stat *info)
{
    const int fd = openat(c->folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) return -1;
    if (fstat(fd, info) == 0 && S_ISREG(info->st_mode) && info->st_uid == geteuid() && (info->st_mode & others) == 0)
        return fd;
    (void)close(fd);
    errno = 0;
    return -1;
}

/* Temporary files: whoever writes one holds a lock on it, so that one without a lock has lost its writer. */

static int open_temporary(const lower_cache *c, const char *name, char temporary[TEMPORARY_BYTES])
{
    for (int attempt = 0; attempt < 100; attempt++) {
        struct stat info;
        (void)snprintf(temporary, TEMPORARY_BYTES, "%s.tmp.%ld.%d", name, (long)getpid(), attempt);
        const int fd = openat(c->folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 && errno != EEXIST) return -1;
        if (fd < 0) continue;
        (void)flock(fd, LOCK_EX | LOCK_NB); /* not every file system can */
        if (fstat(fd, &info) == 0 && info.st_nlink > 0) return fd;
        (void)close(fd); /* taken for a leftover before it was locked */
    }
    return -1;
}

static void remove_leftovers(const lower_cache *c)
{
    struct stat info;
    const int fd = openat(c->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = fd >= 0 ? fdopendir(fd) : NULL;
    if (names == NULL) {
        if (fd >= 0) (void)close(fd);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(names)) != NULL;) {
        if (strstr(entry->d_name, ".tmp.") == NULL) continue;
        const int file = open_own(c, entry->d_name, 0, &info);
        if (file < 0) continue;
        if (flock(file, LOCK_EX | LOCK_NB) == 0) (void)unlinkat(c->folder, entry->d_name, 0);
        (void)close(file);
    }
    (void)closedir(names);
}

/* Two parts become a file that nobody sees before it is whole. With `first` it takes no other's place. */
static bool put(const lower_cache *c, const char *name, const void *head, size_t head_bytes, const void *data,
                size_t bytes, bool first)
{
    char temporary[TEMPORARY_BYTES];
    const int fd = open_temporary(c, name, temporary);
    if (fd < 0) return false;
    bool good = write_whole(fd, head, head_bytes) && write_whole(fd, data, bytes) && fsync(fd) == 0;
    if (good && first) {
        good = linkat(c->folder, temporary, c->folder, name, 0) == 0 || errno == EEXIST;
        if (good || (errno != EPERM && errno != EOPNOTSUPP)) goto done; /* else a file system without links */
    }
    good = good && renameat(c->folder, temporary, c->folder, name) == 0;
done:;
    const int reason = errno;
    if (first || !good) (void)unlinkat(c->folder, temporary, 0);
    (void)close(fd); /* after it has its name: the lock says until then that it is no leftover */
    errno = reason;
    return good;
}

/* The folder's key. */

static bool read_key(lower_cache *c, bool *missing)
{
    struct stat info;
    const int fd = open_own(c, "key", OTHERS, &info);
    *missing = fd < 0 && errno == ENOENT;
    if (fd < 0) return false;
    const bool good = info.st_size == KEY_BYTES && read_whole(fd, c->key, KEY_BYTES);
    (void)close(fd);
    return good;
}

/* Of two processes that make one at once both take the same. What is no key, or one that others could read, is
 * replaced, and with it all entries. */
static bool find_key(lower_cache *c)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        bool missing = false;
        if (read_key(c, &missing)) return true;
        if (getrandom(c->key, KEY_BYTES, 0) != KEY_BYTES) return false;
        if (!put(c, "key", c->key, KEY_BYTES, "", 0, missing)) return false;
    }
    bool missing = false;
    return read_key(c, &missing);
}

static bool check_folder(const m3_host *host, int folder)
{
    struct stat info;
    if (folder < 0 || fstat(folder, &info) != 0) {
        tell(host, M3_LOG_WARN, "nothing is kept in '%s': %s", host->cache_path, strerror(errno));
        return false;
    }
    if (info.st_uid == geteuid() && (info.st_mode & OTHERS_WRITE) == 0) return true;
    const bool ours = info.st_uid == geteuid();
    tell(host, M3_LOG_WARN,
         "nothing is kept in '%s': it belongs to user %u (mode %03o), and %s could put code there; %s",
         host->cache_path, (unsigned)info.st_uid, (unsigned)(info.st_mode & 07777), ours ? "others" : "that user",
         ours ? "remove that right (chmod go-w)" : "name a folder of your own with XDG_CACHE_HOME");
    return false;
}

m3_status lower_cache_open(const m3_host *host, lower_cache **cache, m3_error *err)
{
    *cache = NULL;
    if (host->cache_path == NULL) return M3_OK;
    lower_cache *c = host->allocate(host->user, 1, sizeof *c);
    if (c == NULL) return M3_FAIL_MEMORY(err, "cache", sizeof *c);
    c->host = host;
    c->folder = open(host->cache_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = check_folder(host, c->folder);
    if (good && sodium_init() < 0) good = false;
    if (good) remove_leftovers(c);
    if (good && !find_key(c)) {
        tell(host, M3_LOG_WARN, "nothing is kept in '%s': its file 'key' cannot be made: %s", host->cache_path,
             strerror(errno));
        good = false;
    }
    if (good)
        *cache = c;
    else
        lower_cache_close(c);
    return M3_OK;
}

void lower_cache_close(lower_cache *cache)
{
    if (cache == NULL) return;
    if (cache->folder >= 0) (void)close(cache->folder);
    sodium_memzero(cache->key, KEY_BYTES);
    cache->host->release(cache->host->user, cache);
}

/* Entries. */

static void head_of(const lower_cache *c, const char *name, const void *data, size_t bytes, char head[HEAD_BYTES + 1])
{
    crypto_generichash_state state;
    unsigned char hash[HASH_BYTES];
    char digits[2 * HASH_BYTES + 1];
    (void)crypto_generichash_init(&state, c->key, KEY_BYTES, HASH_BYTES);
    (void)crypto_generichash_update(&state, (const unsigned char *)name, strlen(name) + 1);
    (void)crypto_generichash_update(&state, data, bytes);
    (void)crypto_generichash_final(&state, hash, HASH_BYTES);
    (void)sodium_bin2hex(digits, sizeof digits, hash, HASH_BYTES);
    (void)snprintf(head, HEAD_BYTES + 1, "%s%s\n", magic, digits);
}

void *lower_cache_read(const lower_cache *cache, const char *name, size_t *bytes)
{
    char head[HEAD_BYTES], wanted[HEAD_BYTES + 1];
    struct stat info;
    void *data = NULL;
    *bytes = 0;
    if (cache == NULL) return NULL;
    const m3_host *host = cache->host;
    const int fd = open_own(cache, name, OTHERS_WRITE, &info);
    if (fd < 0 && errno == ENOENT) return NULL;
    bool good = fd >= 0 && info.st_size > HEAD_BYTES && (uint64_t)info.st_size <= most_bytes;
    if (good) {
        *bytes = (size_t)info.st_size - HEAD_BYTES;
        data = host->allocate(host->user, *bytes, 1);
        good = data != NULL && read_whole(fd, head, HEAD_BYTES) && read_whole(fd, data, *bytes);
    }
    if (fd >= 0) (void)close(fd);
    if (good) {
        head_of(cache, name, data, *bytes, wanted);
        good = sodium_memcmp(head, wanted, HEAD_BYTES) == 0;
    }
    if (good) return data;
    tell(host, M3_LOG_DEBUG, "%s/%s is damaged, or of another user, name or folder; made anew", host->cache_path, name);
    host->release(host->user, data);
    *bytes = 0;
    return NULL;
}

bool lower_cache_write(const lower_cache *cache, const char *name, const void *data, size_t bytes)
{
    char head[HEAD_BYTES + 1];
    if (cache == NULL) {
        errno = ENOENT;
        return false;
    }
    head_of(cache, name, data, bytes, head);
    return put(cache, name, head, HEAD_BYTES, data, bytes, false);
}
