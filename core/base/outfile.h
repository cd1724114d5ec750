/* outfile: a file that appears under its name only when all of it is written and synced. */
#ifndef M3_CORE_BASE_OUTFILE_H
#define M3_CORE_BASE_OUTFILE_H

#include "m3bsr/base.h"

/** The status for a path that could not be used: M3_ERR_INVALID when another path mends it (no such file, no
 * permission, a directory), M3_ERR_IO when the system fails. */
m3_status m3_path_status(int reason);

/** Starts as {0}. */
typedef struct m3_outfile {
    FILE *stream; /**< write here; errors may be left to m3_outfile_commit() */
    char *path, *temporary;
} m3_outfile;

/** Make a temporary file beside path. */
m3_status m3_outfile_open(m3_outfile *out, const char *path, m3_error *err);
/** Flush, sync, rename to path, sync the directory. Ends the outfile, whatever comes. */
m3_status m3_outfile_commit(m3_outfile *out, m3_error *err);
/** Remove the temporary file. Takes a zeroed or an ended outfile. */
void m3_outfile_discard(m3_outfile *out);

#endif
