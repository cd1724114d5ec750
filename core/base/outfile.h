/* outfile: a file that appears under its name only when all of it is written and synced. Everything that the library
 * writes goes through here, but the log of a run, which grows a line at a time. */
#ifndef M3_CORE_BASE_OUTFILE_H
#define M3_CORE_BASE_OUTFILE_H

#include <limits.h>

#include "m3bsr/base.h"

/** The status for a path that could not be used: M3_ERR_INVALID when another path mends it (no such file, no
 * permission, a directory), M3_ERR_IO when the system fails. */
m3_status m3_path_status(int reason);

/** Starts as {0}. */
typedef struct m3_outfile {
    FILE *stream; /**< write here; errors may be left to m3_outfile_commit() */
    char *path, *temporary;
} m3_outfile;

/** Can a file be put there? M3_ERR_INVALID for a folder, a device, a FIFO or a socket, and for one of the inputs, which
 * the caller has not read yet. @param inputs  [count] NULL stands for none; what is not there is no input. */
m3_status m3_outfile_check(const char *path, const char *const *inputs, uint32_t count, m3_error *err);
/** The file that a chain of links leads to, which need not be there. @return  false, and errno, when there is no end.
 */
bool m3_outfile_follow(const char *path, char at[PATH_MAX]);
/** Make a temporary file beside path, which it holds a lock on. Where path is a link, the file that it leads to is
 * written, and the link stays. What killed writers of the same file left beside it is removed. */
m3_status m3_outfile_open(m3_outfile *out, const char *path, m3_error *err);
/** Write bytes at a place, beside what the stream writes, or read what has been written and flushed. Returns M3_ERR_IO.
 */
m3_status m3_outfile_write_at(const m3_outfile *out, const void *bytes, size_t size, uint64_t place, m3_error *err);
m3_status m3_outfile_read_at(const m3_outfile *out, void *bytes, size_t size, uint64_t place, m3_error *err);
/** Flush the stream; what failed before shows here. Returns M3_ERR_IO. */
m3_status m3_outfile_flush(m3_outfile *out, m3_error *err);
/** Flush, sync, rename to path, sync the directory. Ends the outfile, whatever comes. */
m3_status m3_outfile_commit(m3_outfile *out, m3_error *err);
/** Remove the temporary file. Takes a zeroed or an ended outfile. */
void m3_outfile_discard(m3_outfile *out);
/** Remove what killed writers of path left beside it. */
void m3_outfile_sweep(const char *path);

/** A file without a name in the folder of path, for what does not fit into memory: it is gone when it is closed, and
 * when the process is killed. @param fd  Yours: close(). */
m3_status m3_outfile_scratch(const char *path, int *fd, m3_error *err);
/** Write or read all of size bytes at a place of it. @param path  As above, for messages. */
m3_status m3_scratch_write(int fd, const char *path, const void *bytes, size_t size, uint64_t place, m3_error *err);
m3_status m3_scratch_read(int fd, const char *path, void *bytes, size_t size, uint64_t place, m3_error *err);

#endif
