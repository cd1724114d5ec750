/* source: a plain file is mapped, and is its own window. Of a compressed one, the mapped bytes are unpacked into a
 * window that holds little more than the longest row. */
#include "core/data/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/outfile.h"

enum { STEP = 1 << 18, LONGEST = 1 << 26 };

m3_status m3_file_map_held(const char *path, m3_mapping_file *file, int *held, m3_error *err)
{
    *file = (m3_mapping_file){.bytes = ""};
    m3_status st = M3_OK;
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        st = M3_FAIL(err, m3_path_status(errno), path, "cannot be opened: %s", strerror(errno));
        goto done;
    }
    if (!S_ISREG(info.st_mode)) {
        st = M3_FAIL(err, M3_ERR_INVALID, path, "is no regular file");
        goto done;
    }
    if (info.st_size == 0) goto done;
    void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) {
        st = M3_FAIL(err, M3_ERR_IO, path, "cannot be mapped: %s", strerror(errno));
        goto done;
    }
    *file = (m3_mapping_file){bytes, (size_t)info.st_size};
done:
    if (fd >= 0 && st != M3_OK) (void)close(fd);
    *held = st == M3_OK ? fd : -1;
    return st;
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

m3_status m3_source_open(m3_source *source, const char *path, m3_error *err)
{
    *source = (m3_source){.path = path};
    m3_status st = m3_file_map(path, &source->file, err);
    if (st != M3_OK) return st;
    if (m3_unpack_format(source->file.bytes, source->file.size) != NULL) {
        st = m3_unpacker_create(path, source->file.bytes, source->file.size, &source->unpacker, err);
        if (st == M3_OK) st = m3_source_more(source, 0, err);
        if (st != M3_OK) m3_source_close(source);
        return st;
    }
    source->bytes = source->file.bytes;
    source->to = source->file.size;
    source->ended = true;
    return M3_OK;
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

m3_status m3_source_more(m3_source *source, uint64_t keep, m3_error *err)
{
    if (source->ended) return M3_OK;
    const size_t kept = (size_t)(source->to - keep);
    if (keep > source->from && kept > 0) memmove(source->window, source->window + (keep - source->from), kept);
    source->from = keep;
    m3_status st = make_room(source, kept, err);
    if (st != M3_OK) return st;
    size_t got = 0;
    const size_t room = source->capacity - kept;
    st = m3_unpacker_read(source->unpacker, source->window + kept, room, &got, err);
    source->bytes = source->window;
    source->to += got;
    source->ended = got < room;
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
    *source = (m3_source){0};
}
