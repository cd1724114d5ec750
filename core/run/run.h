/* run: the directory of a training. */
#ifndef M3_CORE_RUN_RUN_H
#define M3_CORE_RUN_RUN_H

#include "m3bsr/base.h"

typedef struct m3_run {
    char *folder;
    FILE *log;
} m3_run;

/** "FOLDER/NAME" in fresh memory, NULL without memory. */
char *m3_run_path(const char *folder, const char *name);
/** Make the folder or open it; a run that is there is refused without resume and wanted with it. Starts as {0}. */
m3_status m3_run_open(m3_run *run, const char *folder, bool resume, m3_error *err);
/** Open log.jsonl, cut off at `bytes`, for this process alone. */
m3_status m3_run_open_log(m3_run *run, uint64_t bytes, m3_error *err);
/** One line, flushed. @param format  Of jansson's json_pack. */
m3_status m3_run_log(m3_run *run, m3_error *err, const char *format, ...);
/** Sync the log; its length so far. */
m3_status m3_run_sync_log(m3_run *run, uint64_t *bytes, m3_error *err);
void m3_run_close(m3_run *run);

#endif
