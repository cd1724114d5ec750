/* output: a file that appears under its name only when all of it is there. The library writes its own files in the same
 * way; what a program writes beside them may go through here as well. */
#ifndef M3BSR_OUTPUT_H
#define M3BSR_OUTPUT_H

#include "m3bsr/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A file that is being written. One thread at a time. */
typedef struct m3_output m3_output;

/** Can a file be put there? Nothing is read or written.
 * @param inputs  [count] paths of what the caller is about to read; NULL stands for none.
 * @return  M3_ERR_INVALID for a folder, a device, a FIFO or a socket, and for one of the inputs, under whatever name.
 */
M3_API m3_status m3_output_check(const char *path, const char *const *inputs, uint32_t count, m3_error *err);
/** Begin a file, under a temporary name in the folder of path. Where path is a link, the file that it leads to will be
 * replaced, and the link stays. What killed writers of the same file left beside it is removed.
 * @param output  Yours; m3_output_commit() or m3_output_discard() ends it. NULL on failure.
 * @return  M3_ERR_INVALID as m3_output_check() says and where another path would do, M3_ERR_IO, M3_ERR_MEMORY. */
M3_API m3_status m3_output_open(const char *path, m3_output **output, m3_error *err);
/** Write here; errors may be left to m3_output_commit(). Owned by the output. */
M3_API FILE *m3_output_stream(m3_output *output);
/** Flush, sync, and give the file its name: readers see the old file or all of the new one. Ends the output, whatever
 * comes; on failure the file of that name is as it was.
 * @return  M3_ERR_IO when something could not be written. */
M3_API m3_status m3_output_commit(m3_output *output, m3_error *err);
/** Give up: nothing is left. Takes NULL. */
M3_API void m3_output_discard(m3_output *output);

#ifdef __cplusplus
}
#endif

#endif
