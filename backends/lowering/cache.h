/* cache: files in the host's folder that make the next process faster: compiled kernels and what was measured. What is
 * read there reaches a driver's loader as code, so an entry counts only where nobody else can have made it:
 *   - the folder belongs to the user and nobody else can write it; it is looked at by descriptor, and so are entries
 *   - an entry is opened without following a link or waiting, is a regular file, and belongs to the user
 *   - BLAKE2b of its name and its bytes, keyed with 32 random bytes that lie in the folder's file `key` (mode 600)
 * The keyed hash says that the entry was written under this name by someone who can read the key: what was damaged,
 * renamed, brought from another folder, or put there while others could write does not pass. It keeps nothing secret,
 * and does not stop whoever acts as the user, nor one who puts an older entry of the same name back.
 *
 * File: `m3bsr cache 2 HASH`, the hash in 64 hexadecimal digits, a line's end, the bytes.
 * Threads: entries may be read and written from several at once; processes may share the folder. */
#ifndef LOWER_CACHE_H
#define LOWER_CACHE_H

#include "m3bsr/backend.h"

typedef struct lower_cache lower_cache;

/* Open the host's folder. NULL where nothing is kept, which every function below takes: the host names no folder, or it
 * is not to be trusted, which a warning in the log says. Fails for lack of memory alone. */
m3_status lower_cache_open(const m3_host *host, lower_cache **cache, m3_error *err);
void lower_cache_close(lower_cache *cache);

/* What an entry holds, at least a byte, in memory that the host releases; NULL where there is none that counts.
 * name: letters that a file name may have, at most 96. */
void *lower_cache_read(const lower_cache *cache, const char *name, size_t *bytes);
/* Write an entry under another name, sync, rename: readers see the old one or all of the new. False, and errno, where
 * that cannot be done; then the old one stays. */
bool lower_cache_write(const lower_cache *cache, const char *name, const void *data, size_t bytes);

#endif
