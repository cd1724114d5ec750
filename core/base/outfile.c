/* outfile: temporary name, fsync, rename: a reader sees the old file or the whole new one. */
#include "core/base/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
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
    default: return M3_ERR_IO;
    }
}

/* O_EXCL and a count rather than mkstemp: the file gets the mode that the user's umask gives other files. */
static int open_temporary(m3_outfile *out)
{
    for (int attempt = 0; attempt < 100; attempt++) {
        m3_free(out->temporary);
        out->temporary = m3_strfmt("%s.tmp.%ld.%d", out->path, (long)getpid(), attempt);
        if (out->temporary == NULL) {
            errno = ENOMEM;
            return -1;
        }
        int fd = open(out->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    return -1;
}

m3_status m3_outfile_open(m3_outfile *out, const char *path, m3_error *err)
{
    *out = (m3_outfile){0};
    m3_status st = M3_OK;
    int fd = -1;
    if ((out->path = m3_strdup(path)) == NULL) {
        st = M3_FAIL_MEMORY(err, path, strlen(path) + 1);
        goto done;
    }
    if ((fd = open_temporary(out)) < 0) {
        st = errno == ENOMEM ? M3_FAIL_MEMORY(err, path, strlen(path) + 32)
                             : M3_FAIL(err, m3_path_status(errno), path, "cannot be written: %s", strerror(errno));
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
    bool written = fflush(out->stream) == 0 && !ferror(out->stream) && fsync(fileno(out->stream)) == 0;
    int reason = errno;
    if (fclose(out->stream) != 0 && written) {
        written = false;
        reason = errno;
    }
    out->stream = NULL;
    if (!written) {
        st = M3_FAIL(err, M3_ERR_IO, out->path, "could not be written: %s; the file of that name is as it was",
                     reason != 0 ? strerror(reason) : "write error");
    } else if (rename(out->temporary, out->path) != 0) {
        st = M3_FAIL(err, m3_path_status(errno), out->path, "could not be put in place: %s", strerror(errno));
    } else {
        m3_free(out->temporary);
        out->temporary = NULL;
        sync_directory(out->path);
    }
    m3_outfile_discard(out);
    return st;
}

void m3_outfile_discard(m3_outfile *out)
{
    if (out->stream != NULL) (void)fclose(out->stream);
    if (out->temporary != NULL) (void)unlink(out->temporary);
    m3_free(out->temporary);
    m3_free(out->path);
    *out = (m3_outfile){0};
}
