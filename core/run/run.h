/* run: the directory of a training. */
#ifndef M3_CORE_RUN_RUN_H
#define M3_CORE_RUN_RUN_H

#include "m3bsr/base.h"

typedef struct m3_run {
    char *folder;
    FILE *log;
    int lock; /**< of the folder, while locked */
    bool locked, made;
} m3_run;

/** "FOLDER/NAME" in fresh memory, NULL without memory. */
char *m3_run_path(const char *folder, const char *name);
/** The wanted checkpoint, else the run's best, else its last. @param path  Fresh memory; NULL on failure. */
m3_status m3_run_checkpoint(const char *run, const char *wanted, char **path, m3_error *err);
/** May a file be written there? Not over one that the run keeps in its folder, parts of checkpoints too, nor where a
 * training will write one. */
m3_status m3_run_check_output(const char *folder, const char *path, m3_error *err);
/** The same of the folder of a checkpoint. */
m3_status m3_run_check_beside(const char *checkpoint, const char *path, m3_error *err);
/** Make the folder or open it, for this process alone, and then look at what it holds: a run that is there is refused
 * without resume and wanted with it. What killed trainings left there is removed. Starts as {0}. */
m3_status m3_run_open(m3_run *run, const char *folder, bool resume, m3_error *err);
/** This process's alone until m3_run_close(), without a look at what it holds. Starts as {0}. */
m3_status m3_run_lock(m3_run *run, const char *folder, m3_error *err);
/** Open log.jsonl, cut off at `bytes`. A log that is shorter is taken as far as its lines are whole.
 * @param bytes  In: where the checkpoint was made; out: where the log goes on. */
m3_status m3_run_open_log(m3_run *run, uint64_t *bytes, m3_error *err);
/** One line, flushed; nothing where no log is open. @param format  Of jansson's json_pack. */
m3_status m3_run_log(m3_run *run, m3_error *err, const char *format, ...);
/** Sync the log; its length so far. */
m3_status m3_run_sync_log(m3_run *run, uint64_t *bytes, m3_error *err);
/** Takes a zeroed run. A folder that m3_run_open() made, and in which there is still nothing, goes again. */
void m3_run_close(m3_run *run);

#endif
