/* source: a window that holds little more than the longest row. A plain file is read into it, and not mapped: its pages
 * count as nobody's memory, and one that is cut short meanwhile ends early. A compressed one is mapped and unpacked. */
#include "core/data/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/outfile.h"

enum { STEP = 1 << 16, LONGEST = M3_SOURCE_LONGEST };

/* *fd is -1 on failure. */
static m3_status open_regular(const char *path, int *fd, size_t *size, m3_error *err)
{
    struct stat info = {0};
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd >= 0 && fstat(*fd, &info) == 0 && S_ISREG(info.st_mode)) {
        *size = (size_t)info.st_size;
        return M3_OK;
    }
    const m3_status st = *fd >= 0 && info.st_mode != 0
                             ? M3_FAIL(err, M3_ERR_INVALID, path, "is no regular file")
                             : M3_FAIL(err, m3_path_status(errno), path, "cannot be opened: %s", strerror(errno));
    if (*fd >= 0) (void)close(*fd);
    *fd = -1;
    return st;
}

m3_status m3_file_map_held(const char *path, m3_mapping_file *file, int *held, m3_error *err)
{
    *file = (m3_mapping_file){.bytes = ""};
    size_t size = 0;
    m3_status st = open_regular(path, held, &size, err);
    if (st != M3_OK || size == 0) return st;
    void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, *held, 0);
    if (bytes == MAP_FAILED) {
        st = M3_FAIL(err, M3_ERR_IO, path, "cannot be mapped: %s", strerror(errno));
        (void)close(*held);
        *held = -1;
        return st;
    }
    *file = (m3_mapping_file){bytes, size};
    return M3_OK;
}

m3_status m3_file_map(const char *path, m3_mapping_file *file, m3_error *err)
{
    int fd;
    m3_status st = m3_file_map_held(path, file, &fd, err);
    if (fd >= 0) (void)close(fd);
    return st;
}

void m3_file_unmap(m3_mapping_file *file)
{
    if (file->size > 0) (void)munmap((void *)(uintptr_t)file->bytes, file->size);
    *file = (m3_mapping_file){0};
}

static m3_status begin(m3_source *source, m3_error *err)
{
    char first[4];
    size_t size = 0;
    m3_status st = open_regular(source->path, &source->fd, &size, err);
    if (st != M3_OK) return st;
    source->open = true;
    source->size = size;
    source->bytes = "";
    const ssize_t got = pread(source->fd, first, sizeof first, 0);
    if (got > 0 && m3_unpack_format(first, (size_t)got) != NULL) {
        if ((st = m3_file_map(source->path, &source->file, err)) != M3_OK) return st;
        st = m3_unpacker_create(source->path, source->file.bytes, source->file.size, &source->unpacker, err);
        if (st != M3_OK) return st;
    }
    return m3_source_more(source, 0, err);
}

m3_status m3_source_open(m3_source *source, const char *path, m3_error *err)
{
    *source = (m3_source){.path = path};
    const m3_status st = begin(source, err);
    if (st != M3_OK) m3_source_close(source);
    return st;
}

/* Room for a step behind what is kept. */
static m3_status make_room(m3_source *source, size_t kept, m3_error *err)
{
    if (kept > LONGEST)
        return M3_FAIL(err, M3_ERR_INVALID, source->path, "has a line of more than %d MiB", LONGEST >> 20);
    if (source->capacity - kept >= STEP) return M3_OK;
    const size_t capacity = source->capacity < 2 * STEP ? 4 * STEP : 2 * source->capacity;
    char *window = m3_realloc(source->window, capacity, 1);
    if (window == NULL) return M3_FAIL_MEMORY(err, source->path, capacity);
    source->window = window;
    source->capacity = capacity;
    return M3_OK;
}

m3_status m3_source_read(m3_source *source, char *bytes, size_t room, size_t *got, m3_error *err)
{
    *got = 0;
    m3_status st = M3_OK;
    if (source->unpacker != NULL) st = m3_unpacker_read(source->unpacker, bytes, room, got, err);
    while (source->unpacker == NULL && *got < room) {
        const ssize_t more = read(source->fd, bytes + *got, room - *got);
        if (more < 0 && errno == EINTR) continue;
        if (more < 0) return M3_FAIL(err, m3_path_status(errno), source->path, "cannot be read: %s", strerror(errno));
        if (more == 0) break;
        *got += (size_t)more;
    }
    source->to += *got;
    source->ended = *got < room;
    return st;
}

m3_status m3_source_more(m3_source *source, uint64_t keep, m3_error *err)
{
    if (source->ended) return M3_OK;
    const size_t kept = (size_t)(source->to - keep);
    if (keep > source->from && kept > 0) memmove(source->window, source->window + (keep - source->from), kept);
    source->from = keep;
    m3_status st = make_room(source, kept, err);
    if (st != M3_OK) return st;
    size_t got = 0;
    st = m3_source_read(source, source->window + kept, source->capacity - kept, &got, err);
    source->bytes = source->window;
    return st;
}

uint64_t m3_source_position(const m3_source *source, uint64_t place)
{
    return source->unpacker != NULL ? m3_unpacker_position(source->unpacker) : place;
}

void m3_source_close(m3_source *source)
{
    m3_unpacker_free(source->unpacker);
    m3_free(source->window);
    m3_file_unmap(&source->file);
    if (source->open) (void)close(source->fd);
    *source = (m3_source){0};
}
