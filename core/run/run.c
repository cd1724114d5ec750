/* run: the directory of a training. log.jsonl gets a line at a time; a resumed run cuts it off where its checkpoint was
 * made, so the log of an interrupted run equals that of an uninterrupted one in all but times. */
#include "core/run/run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/outfile.h"
#include "core/run/parts.h"

char *m3_run_path(const char *folder, const char *name)
{
    return m3_strfmt("%s/%s", folder, name);
}

static const char *const names[] = {"settings.yaml", "log.jsonl", "last.safetensors", "best.safetensors"};
enum { NAMES = sizeof names / sizeof names[0] };

m3_status m3_run_checkpoint(const char *run, const char *wanted, char **path, m3_error *err)
{
    *path = wanted != NULL ? m3_strdup(wanted) : m3_run_path(run, "best.safetensors");
    if (*path == NULL) return M3_FAIL_MEMORY(err, run, strlen(run) + 32);
    if (wanted != NULL || access(*path, F_OK) == 0) return M3_OK;
    m3_free(*path);
    if ((*path = m3_run_path(run, "last.safetensors")) == NULL) return M3_FAIL_MEMORY(err, run, strlen(run) + 32);
    if (access(*path, F_OK) == 0) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, run,
                   "has neither best.safetensors nor last.safetensors; train first, or name a checkpoint");
}

/* What a run keeps in its folder. */
static bool is_kept(const char *name)
{
    for (size_t i = 0; i < NAMES; i++)
        if (strcmp(names[i], name) == 0) return true;
    return strcmp(name, "metrics.json") == 0 || strcmp(name, "report.html") == 0 || m3_parts_is_part(name);
}

/* By what is there: links, and other names of a file, do not hide it. */
static m3_status check_files(const char *folder, const char *path, m3_error *err)
{
    m3_status st = M3_OK;
    DIR *directory = opendir(folder);
    if (directory == NULL) return M3_OK; /* nothing of a run is there */
    for (const struct dirent *entry; st == M3_OK && (entry = readdir(directory)) != NULL;) {
        if (!is_kept(entry->d_name)) continue;
        char *file = m3_run_path(folder, entry->d_name);
        st = file != NULL ? m3_outfile_check(path, (const char *const[]){file}, 1, err)
                          : M3_FAIL_MEMORY(err, folder, strlen(folder) + 32);
        m3_free(file);
    }
    (void)closedir(directory);
    return st;
}

/* By name: what is not there yet. */
static bool will_be_kept(const char *folder, const char *path)
{
    char file[PATH_MAX];
    struct stat a, b;
    if (!m3_outfile_follow(path, file)) return false; /* who opens it says so */
    char *slash = strrchr(file, '/');
    if (!is_kept(slash != NULL ? slash + 1 : file)) return false;
    if (slash != NULL) slash[1] = '\0';
    return stat(folder, &a) == 0 && stat(slash != NULL ? file : ".", &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

m3_status m3_run_check_output(const char *folder, const char *path, m3_error *err)
{
    const m3_status st = check_files(folder, path, err);
    if (st != M3_OK || !will_be_kept(folder, path)) return st;
    return M3_FAIL(err, M3_ERR_INVALID, path, "is a file of the run %s; give another name for what is written", folder);
}

m3_status m3_run_check_beside(const char *checkpoint, const char *path, m3_error *err)
{
    const char *slash = strrchr(checkpoint, '/');
    char *folder = slash == NULL ? m3_strdup(".") : m3_strfmt("%.*s/.", (int)(slash - checkpoint), checkpoint);
    if (folder == NULL) return M3_FAIL_MEMORY(err, checkpoint, strlen(checkpoint));
    const m3_status st = m3_run_check_output(folder, path, err);
    m3_free(folder);
    return st;
}

/* Looks at the files of a run, and sweeps up what killed trainings left of them. */
static m3_status look_at(const char *folder, bool *holds, m3_error *err)
{
    *holds = false;
    for (size_t i = 0; i < NAMES; i++) {
        char *path = m3_run_path(folder, names[i]);
        if (path == NULL) return M3_FAIL_MEMORY(err, folder, strlen(folder) + 32);
        *holds = *holds || access(path, F_OK) == 0;
        m3_outfile_sweep(path);
        const m3_status st = m3_parts_sweep(path, err);
        m3_free(path);
        if (st != M3_OK) return st;
    }
    return M3_OK;
}

/* mkdir -p. made: the last folder was not there before. */
static m3_status make_folder(const char *folder, bool *made, m3_error *err)
{
    m3_status st = M3_OK;
    struct stat info;
    char *path = m3_strdup(folder);
    if (path == NULL) return M3_FAIL_MEMORY(err, folder, strlen(folder) + 1);
    for (size_t length = strlen(path); length > 1 && path[length - 1] == '/';) path[--length] = 0;
    for (char *at = path + 1; *path != 0 && *at != 0; at++) {
        if (*at != '/') continue;
        *at = 0;
        (void)mkdir(path, 0777); /* the last mkdir reports what is wrong */
        *at = '/';
    }
    *made = mkdir(path, 0777) == 0;
    if (!*made && errno != EEXIST)
        st = M3_FAIL(err, m3_path_status(errno), folder, "cannot be made: %s", strerror(errno));
    else if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        st = M3_FAIL(err, M3_ERR_INVALID, folder, "is no folder; give another place for the run");
    m3_free(path);
    return st;
}

/* Before anything in the folder is looked at: what another training may still change says nothing. */
static m3_status lock_folder(m3_run *run, m3_error *err)
{
    const int fd = open(run->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return M3_FAIL(err, m3_path_status(errno), run->folder, "cannot be opened: %s", strerror(errno));
    run->lock = fd;
    run->locked = true;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) /* file systems without locks go on without */
        return M3_FAIL(err, M3_ERR_INVALID, run->folder,
                       "another training is writing there; wait, or give another folder");
    return M3_OK;
}

m3_status m3_run_lock(m3_run *run, const char *folder, m3_error *err)
{
    *run = (m3_run){.folder = m3_strdup(folder)};
    return run->folder != NULL ? lock_folder(run, err) : M3_FAIL_MEMORY(err, folder, strlen(folder) + 1);
}

m3_status m3_run_open(m3_run *run, const char *folder, bool resume, m3_error *err)
{
    m3_status st = M3_OK;
    bool holds = false;
    *run = (m3_run){0};
    if (folder[0] == 0) return M3_FAIL(err, M3_ERR_INVALID, "run", "is empty; give the folder of the run");
    if ((run->folder = m3_strdup(folder)) == NULL) return M3_FAIL_MEMORY(err, folder, strlen(folder) + 1);
    if (!resume && (st = make_folder(folder, &run->made, err)) != M3_OK) return st;
    if (resume && access(folder, F_OK) != 0)
        return M3_FAIL(err, M3_ERR_INVALID, folder,
                       "holds no run to go on with; leave out --resume, or start or go on with --resume auto");
    if ((st = lock_folder(run, err)) != M3_OK) return st;
    if ((st = look_at(folder, &holds, err)) != M3_OK) return st;
    if (holds && !resume)
        return M3_FAIL(err, M3_ERR_INVALID, folder, "holds a run; go on with --resume, or give another folder");
    if (!holds && resume)
        return M3_FAIL(err, M3_ERR_INVALID, folder,
                       "holds no run to go on with; leave out --resume, or start or go on with --resume auto");
    return M3_OK;
}

/* Where the last whole line within the first `bytes` ends. */
static uint64_t end_of_lines(int fd, uint64_t bytes)
{
    char c = 0;
    while (bytes > 0 && pread(fd, &c, 1, (off_t)bytes - 1) == 1 && c != '\n') bytes--;
    return bytes;
}

m3_status m3_run_open_log(m3_run *run, uint64_t *bytes, m3_error *err)
{
    m3_status st = M3_OK;
    struct stat info;
    int fd = -1;
    char *path = m3_run_path(run->folder, "log.jsonl");
    if (path == NULL) return M3_FAIL_MEMORY(err, run->folder, strlen(run->folder) + 16);
    if ((fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666)) < 0 || fstat(fd, &info) != 0) {
        st = M3_FAIL(err, m3_path_status(errno), path, "cannot be opened: %s", strerror(errno));
        goto done;
    }
    if (!S_ISREG(info.st_mode)) {
        st = M3_FAIL(err, M3_ERR_INVALID, path, "is no file; remove it, or give another folder");
        goto done;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        st = M3_FAIL(err, M3_ERR_INVALID, run->folder,
                     "another training is writing there; wait, or give another folder");
        goto done;
    }
    if ((uint64_t)info.st_size < *bytes) *bytes = end_of_lines(fd, (uint64_t)info.st_size);
    if (ftruncate(fd, (off_t)*bytes) != 0 || lseek(fd, 0, SEEK_END) < 0 || (run->log = fdopen(fd, "ab")) == NULL)
        st = M3_FAIL(err, M3_ERR_IO, path, "cannot be cut off at byte %llu: %s", (unsigned long long)*bytes,
                     strerror(errno));
    else
        fd = -1; /* the stream owns it now */
done:
    if (fd >= 0) (void)close(fd);
    m3_free(path);
    return st;
}

m3_status m3_run_log(m3_run *run, m3_error *err, const char *format, ...)
{
    va_list args;
    json_error_t wrong;
    va_start(args, format);
    json_t *line = json_vpack_ex(&wrong, 0, format, args);
    va_end(args);
    const enum json_error_code code = line == NULL ? json_error_code(&wrong) : json_error_unknown;
    if (code == json_error_out_of_memory || code == json_error_null_value) /* what its caller made is NULL */
        return M3_FAIL_MEMORY(err, "log.jsonl", strlen(format));
    if (line == NULL) return M3_FAIL(err, M3_ERR_INTERNAL, "log.jsonl", "a line could not be made: %s", wrong.text);
    if (run->log == NULL) { /* of a rank that writes none */
        json_decref(line);
        return M3_OK;
    }
    bool written = json_dumpf(line, run->log, JSON_COMPACT | JSON_REAL_PRECISION(9)) == 0 &&
                   fputc('\n', run->log) != EOF && fflush(run->log) == 0;
    json_decref(line);
    if (!written) return M3_FAIL(err, M3_ERR_IO, run->folder, "log.jsonl could not be written: %s", strerror(errno));
    return M3_OK;
}

m3_status m3_run_sync_log(m3_run *run, uint64_t *bytes, m3_error *err)
{
    off_t at = -1;
    if (fflush(run->log) == 0 && fsync(fileno(run->log)) == 0) at = lseek(fileno(run->log), 0, SEEK_END);
    if (at < 0) return M3_FAIL(err, M3_ERR_IO, run->folder, "log.jsonl could not be written: %s", strerror(errno));
    *bytes = (uint64_t)at;
    return M3_OK;
}

void m3_run_close(m3_run *run)
{
    if (run->log != NULL) (void)fclose(run->log);
    if (run->made) (void)rmdir(run->folder); /* not when something is in it */
    if (run->locked) (void)close(run->lock);
    m3_free(run->folder);
    *run = (m3_run){0};
}
