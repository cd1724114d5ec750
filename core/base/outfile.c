/* outfile: temporary name, fsync, rename: a reader sees the old file or the whole new one. */
#include "core/base/outfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/alloc.h"

m3_status m3_path_status(int reason)
{
    switch (reason) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case EACCES:
    case ENAMETOOLONG:
    case ELOOP: return M3_ERR_INVALID;
    case ENOMEM: return M3_ERR_MEMORY;
    default: return M3_ERR_IO;
    }
}

bool m3_outfile_follow(const char *path, char at[PATH_MAX])
{
    enum { MOST_LINKS = 40 };
    char target[PATH_MAX], next[2 * PATH_MAX];
    struct stat info;
    int length = snprintf(at, PATH_MAX, "%s", path);
    for (int i = 0; i < MOST_LINKS && length < PATH_MAX; i++) {
        if (lstat(at, &info) != 0 || !S_ISLNK(info.st_mode)) return true;
        const ssize_t bytes = readlink(at, target, sizeof target - 1);
        if (bytes < 0) return false;
        target[bytes] = '\0';
        const char *slash = target[0] == '/' ? NULL : strrchr(at, '/');
        length = snprintf(next, sizeof next, "%.*s%s", slash != NULL ? (int)(slash - at) + 1 : 0, at, target);
        if (length < PATH_MAX) memcpy(at, next, (size_t)length + 1);
    }
    errno = length < PATH_MAX ? ELOOP : ENAMETOOLONG;
    return false;
}

static m3_status refuse(const char *path, int reason, m3_error *err)
{
    if (reason == ENOMEM) return M3_FAIL_MEMORY(err, path, strlen(path) + 32);
    return M3_FAIL(err, m3_path_status(reason), path, "cannot be written: %s", strerror(reason));
}

/* What is there may be replaced when it is a file, and nothing else. */
static m3_status check_kind(const char *path, const struct stat *info, m3_error *err)
{
    if (S_ISREG(info->st_mode)) return M3_OK;
    const char *kind = S_ISDIR(info->st_mode)    ? "a folder"
                       : S_ISFIFO(info->st_mode) ? "a FIFO"
                       : S_ISSOCK(info->st_mode) ? "a socket"
                                                 : "a device";
    return M3_FAIL(err, M3_ERR_INVALID, path, "is %s, which a file cannot take the place of; give the name of a file",
                   kind);
}

m3_status m3_outfile_check(const char *path, const char *const *inputs, uint32_t count, m3_error *err)
{
    struct stat out, in;
    if (stat(path, &out) != 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? M3_OK : refuse(path, errno, err);
    m3_status st = check_kind(path, &out, err);
    for (uint32_t i = 0; st == M3_OK && i < count; i++)
        if (inputs[i] != NULL && stat(inputs[i], &in) == 0 && in.st_dev == out.st_dev && in.st_ino == out.st_ino)
            st = M3_FAIL(err, M3_ERR_INVALID, path, "is %s, which is read here; give another name for what is written",
                         inputs[i]);
    return st;
}

/* Leftovers. A writer holds a lock on its temporary file until it has its name: one without a lock has lost its writer,
 * which may have run in another container, so that its number says nothing. */

static bool is_temporary_of(const char *name, const char *base)
{
    const size_t length = strlen(base);
    static const char mark[] = ".tmp.";
    if (strncmp(name, base, length) != 0 || strncmp(name + length, mark, sizeof mark - 1) != 0) return false;
    const char *number = name + length + sizeof mark - 1;
    return number[0] != '\0' && number[strspn(number, "0123456789.")] == '\0';
}

static void remove_unlocked(int folder, const char *name)
{
    struct stat info;
    const int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0)
        (void)unlinkat(folder, name, 0);
    (void)close(fd);
}

static void sweep(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    const int length = slash != NULL ? (int)(slash - path) + 1 : 0;
    (void)snprintf(folder, sizeof folder, "%.*s.", length, path);
    DIR *directory = opendir(folder);
    if (directory == NULL) return;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (is_temporary_of(entry->d_name, path + length)) remove_unlocked(dirfd(directory), entry->d_name);
    (void)closedir(directory);
}

void m3_outfile_sweep(const char *path)
{
    char file[PATH_MAX];
    if (m3_outfile_follow(path, file)) sweep(file);
}

/* O_EXCL and a count rather than mkstemp: the file gets the mode that the user's umask gives other files. */
static int open_temporary(m3_outfile *out)
{
    for (int attempt = 0; attempt < 100; attempt++) {
        struct stat info;
        m3_free(out->temporary);
        out->temporary = attempt == 0 ? m3_strfmt("%s.tmp.%ld", out->path, (long)getpid())
                                      : m3_strfmt("%s.tmp.%ld.%d", out->path, (long)getpid(), attempt);
        if (out->temporary == NULL) {
            errno = ENOMEM;
            return -1;
        }
        const int fd = open(out->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST) return fd;
        if (fd < 0) continue;
        (void)flock(fd, LOCK_EX | LOCK_NB); /* not every file system can */
        if (fstat(fd, &info) == 0 && info.st_nlink > 0) return fd;
        (void)close(fd); /* taken for a leftover before it was locked */
    }
    return -1;
}

m3_status m3_outfile_open(m3_outfile *out, const char *path, m3_error *err)
{
    *out = (m3_outfile){0};
    int fd = -1;
    char file[PATH_MAX];
    m3_status st = m3_outfile_check(path, NULL, 0, err);
    if (st != M3_OK) return st;
    if (!m3_outfile_follow(path, file)) return refuse(path, errno, err);
    if ((out->path = m3_strdup(file)) == NULL) return M3_FAIL_MEMORY(err, path, strlen(file) + 1);
    sweep(out->path);
    if ((fd = open_temporary(out)) < 0) {
        st = refuse(path, errno, err);
        m3_free(out->temporary);
        out->temporary = NULL; /* not ours to remove */
        goto done;
    }
    if ((out->stream = fdopen(fd, "w+b")) == NULL) st = M3_FAIL(err, M3_ERR_IO, path, "%s", strerror(errno));
done:
    if (st != M3_OK) {
        if (fd >= 0) (void)close(fd);
        m3_outfile_discard(out);
    }
    return st;
}

/* Its name goes at once. Should the process be killed before, the name is that of a leftover of path's writers. */
m3_status m3_outfile_scratch(const char *path, int *fd, m3_error *err)
{
    m3_outfile out = {0};
    char file[PATH_MAX];
    *fd = -1;
    if (!m3_outfile_follow(path, file)) return refuse(path, errno, err);
    if ((out.path = m3_strdup(file)) == NULL) return M3_FAIL_MEMORY(err, path, strlen(file) + 1);
    sweep(out.path);
    *fd = open_temporary(&out);
    const int reason = errno;
    if (*fd >= 0) (void)unlink(out.temporary);
    m3_free(out.temporary);
    m3_free(out.path);
    return *fd >= 0 ? M3_OK : refuse(path, reason, err);
}

/* 0, or the reason why not all was written; ENOSPC when the system gives none. */
static int write_all(int fd, const char *bytes, size_t size, uint64_t place)
{
    for (size_t at = 0; at < size;) {
        const ssize_t wrote = pwrite(fd, bytes + at, size - at, (off_t)(place + at));
        if (wrote < 0 && errno != EINTR) return errno;
        if (wrote == 0) return ENOSPC;
        if (wrote > 0) at += (size_t)wrote;
    }
    return 0;
}

/* The same; ENODATA when the file ends. */
static int read_all(int fd, char *bytes, size_t size, uint64_t place)
{
    for (size_t at = 0; at < size;) {
        const ssize_t got = pread(fd, bytes + at, size - at, (off_t)(place + at));
        if (got < 0 && errno != EINTR) return errno;
        if (got == 0) return ENODATA;
        if (got > 0) at += (size_t)got;
    }
    return 0;
}

m3_status m3_scratch_write(int fd, const char *path, const void *bytes, size_t size, uint64_t place, m3_error *err)
{
    const int reason = write_all(fd, bytes, size, place);
    if (reason == 0) return M3_OK;
    return M3_FAIL(err, M3_ERR_IO, path, "needs a temporary file in its folder, which could not be written: %s",
                   strerror(reason));
}

m3_status m3_scratch_read(int fd, const char *path, void *bytes, size_t size, uint64_t place, m3_error *err)
{
    const int reason = read_all(fd, bytes, size, place);
    if (reason == 0) return M3_OK;
    return M3_FAIL(err, M3_ERR_IO, path, "needs a temporary file in its folder, which could not be read: %s",
                   strerror(reason));
}

static m3_status unwritten(const m3_outfile *out, int reason, m3_error *err)
{
    return M3_FAIL(err, M3_ERR_IO, out->path, "could not be written: %s; the file of that name is as it was",
                   reason != 0 ? strerror(reason) : "write error");
}

m3_status m3_outfile_write_at(const m3_outfile *out, const void *bytes, size_t size, uint64_t place, m3_error *err)
{
    const int reason = write_all(fileno(out->stream), bytes, size, place);
    return reason == 0 ? M3_OK : unwritten(out, reason, err);
}

m3_status m3_outfile_read_at(const m3_outfile *out, void *bytes, size_t size, uint64_t place, m3_error *err)
{
    const int reason = read_all(fileno(out->stream), bytes, size, place);
    if (reason == 0) return M3_OK;
    return M3_FAIL(err, M3_ERR_IO, out->path, "could not be read while it is written: %s", strerror(reason));
}

m3_status m3_outfile_flush(m3_outfile *out, m3_error *err)
{
    errno = 0;
    return fflush(out->stream) == 0 && !ferror(out->stream) ? M3_OK : unwritten(out, errno, err);
}

/* Cuts path after its directory. Some file systems cannot sync one; the rename itself has happened. */
static void sync_directory(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash != NULL) slash[1] = '\0';
    int fd = open(slash != NULL ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    (void)fsync(fd);
    (void)close(fd);
}

m3_status m3_outfile_commit(m3_outfile *out, m3_error *err)
{
    m3_status st = M3_OK;
    errno = 0;
    const bool written = fflush(out->stream) == 0 && !ferror(out->stream) && fsync(fileno(out->stream)) == 0;
    if (!written) {
        st = unwritten(out, errno, err);
    } else if (rename(out->temporary, out->path) != 0) {
        st = M3_FAIL(err, m3_path_status(errno), out->path, "could not be put in place: %s", strerror(errno));
    } else { /* closed after it has its name: the lock says until then that it is no leftover */
        m3_free(out->temporary);
        out->temporary = NULL;
        (void)fclose(out->stream);
        out->stream = NULL;
        sync_directory(out->path);
    }
    m3_outfile_discard(out);
    return st;
}

void m3_outfile_discard(m3_outfile *out)
{
    if (out->temporary != NULL) (void)unlink(out->temporary);
    if (out->stream != NULL) (void)fclose(out->stream);
    m3_free(out->temporary);
    m3_free(out->path);
    *out = (m3_outfile){0};
}
