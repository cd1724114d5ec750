/* source: the bytes of a file, plain or compressed, from beginning to end in a window that moves forward. */
#ifndef M3_CORE_DATA_SOURCE_H
#define M3_CORE_DATA_SOURCE_H

#include "core/data/unpack.h"
#include "m3bsr/base.h"

enum { M3_SOURCE_LONGEST = 1 << 26 }; /* bytes of a line */

/** A whole file as bytes. */
typedef struct m3_mapping_file {
    const char *bytes;
    size_t size;
} m3_mapping_file;

/** Map a regular file read-only; an empty one has bytes "" and size 0. */
m3_status m3_file_map(const char *path, m3_mapping_file *file, m3_error *err);
/** The same, and *held is a descriptor of the mapped file, which another may have taken the name of since: close(). */
m3_status m3_file_map_held(const char *path, m3_mapping_file *file, int *held, m3_error *err);
void m3_file_unmap(m3_mapping_file *file);

/** Starts as {0}; m3_source_close() ends it. */
typedef struct m3_source {
    const char *path;  /**< borrowed */
    const char *bytes; /**< those at places from .. to */
    uint64_t from, to;
    bool ended;    /**< nothing comes behind `to` */
    uint64_t size; /**< of the file */
    bool open;     /**< a plain file, which is read from fd */
    int fd;
    m3_unpacker *unpacker; /**< of a compressed file, which is mapped */
    m3_mapping_file file;
    char *window;
    size_t capacity;
} m3_source;

/** Open at the beginning; what gzip or zstd compressed is unpacked, whatever the file's name. @param path  Must outlive
 * the source. */
m3_status m3_source_open(m3_source *source, const char *path, m3_error *err);
/** Move `to` on, unless it is the end. Bytes before place `keep` are gone then, and pointers to others too. */
m3_status m3_source_more(m3_source *source, uint64_t keep, m3_error *err);
/** The next bytes behind `to` into other memory, not into the window, which is no more the last that was read.
 * @param got  Less than room only at the end, and then `ended` is set. */
m3_status m3_source_read(m3_source *source, char *bytes, size_t room, size_t *got, m3_error *err);
/** How many bytes of the file have been read when those before `place` are done with. */
uint64_t m3_source_position(const m3_source *source, uint64_t place);
void m3_source_close(m3_source *source);

#endif
