/* import_watch: what a terminal shows of an import, and what stops it. */
#ifndef M3_TOOLS_IMPORT_WATCH_H
#define M3_TOOLS_IMPORT_WATCH_H

#include <time.h>

#include "m3bsr/data.h"

typedef struct import_watch {
    struct timespec began, drawn; /* the file at hand; the bar */
    uint64_t before;              /* rows of files before the one at hand */
    uint64_t done, bytes;         /* of it */
    bool shown;
} import_watch;

/** Catch Ctrl-C and SIGTERM: once stops the import, twice the process. Show a bar if stderr is a terminal, unless
 * quiet.
 * @param w  Must outlive the import. */
void import_watch_begin(import_watch *w, bool quiet, m3_import_options *options);
/** Take the bar away, before a line and at the end. */
void import_watch_clear(import_watch *w);

#endif
