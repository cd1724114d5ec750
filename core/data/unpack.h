/* unpack: compressed bytes to plain ones, piece by piece. */
#ifndef M3_CORE_DATA_UNPACK_H
#define M3_CORE_DATA_UNPACK_H

#include "m3bsr/base.h"

typedef struct m3_unpacker m3_unpacker;

/** "gzip" or "zstd" by how the bytes begin; NULL when they are not compressed. */
const char *m3_unpack_format(const char *bytes, size_t size);
/** @param path, bytes  Borrowed until m3_unpacker_free(): for messages, and the whole file.
 * Returns M3_OK, M3_ERR_INVALID (this build lacks the library for it), M3_ERR_MEMORY. */
m3_status m3_unpacker_create(const char *path, const char *bytes, size_t size, m3_unpacker **unpacker, m3_error *err);
/** Up to `room` bytes more; *got is less than room only at the end.
 * Returns M3_OK, M3_ERR_INVALID (damaged or cut off), M3_ERR_MEMORY. */
m3_status m3_unpacker_read(m3_unpacker *unpacker, char *to, size_t room, size_t *got, m3_error *err);
/** How many of the compressed bytes have been read. */
size_t m3_unpacker_position(const m3_unpacker *unpacker);
void m3_unpacker_free(m3_unpacker *unpacker);

#endif
