/* drops: what a reading leaves out, counted by reason, and the first few said with file and line. */
#ifndef M3_CORE_DATA_DROPS_H
#define M3_CORE_DATA_DROPS_H

#include "core/data/table.h"
#include "m3bsr/data.h"

/** Whom a reading tells how far it is, and who may stop it. All NULL: nobody. */
typedef struct m3_watch {
    m3_import_progress_fn progress;
    void *progress_user;
    volatile const int *stop;
} m3_watch;

/** What is to be said later, in its turn. Starts as {0}; m3_held_drops_fini() ends it. */
typedef struct m3_held_drops {
    struct m3_held_drop *list;
    size_t count, capacity;
} m3_held_drops;

typedef struct m3_drops {
    m3_import_report *report; /**< never NULL */
    bool strict, say_all;
    m3_log_fn log; /**< may be NULL */
    void *log_user;
    uint64_t said[M3_DROP_REASONS];
    m3_watch watch;
    m3_held_drops *held; /**< keeps what would be said, if not NULL */
} m3_drops;

enum { M3_WATCH_ROWS = 1024 };

/** M3_ERR_INTERRUPTED once the reading is to stop. */
m3_status m3_watch_check(const m3_watch *watch, const char *path, m3_error *err);
/** Tell how far a file is, and check. */
m3_status m3_watch_tell(const m3_watch *watch, const m3_import_progress *progress, m3_error *err);
/** To be called after each row of a table: every M3_WATCH_ROWS rows it tells how far it is and checks. */
m3_status m3_watch_row(const m3_watch *watch, const m3_table *table, uint64_t rows, m3_error *err);

/** Count something left out for a defect and say it, as "PATH:LINE: text".
 * Returns M3_OK, or in strict mode M3_ERR_INVALID with that text. */
M3_PRINTF(6, 7)
m3_status m3_drops_add(m3_drops *drops, m3_drop reason, const char *path, uint64_t line, m3_error *err,
                       const char *format, ...);
/** The same of a row that is not M3_ROW_GOOD. */
m3_status m3_drops_add_row(m3_drops *drops, const m3_table *table, const m3_row *row, m3_error *err);
/** Say what was held, and what it counted is in the report already. Empties it. */
void m3_drops_say_held(m3_drops *drops, m3_held_drops *held, const char *path);
void m3_held_drops_fini(m3_held_drops *held);
/** Count something that the options leave out. */
void m3_drops_count(m3_drops *drops, m3_drop reason);
M3_PRINTF(3, 4) void m3_drops_say(const m3_drops *drops, m3_log_level level, const char *format, ...);
/** Where it is another one than the file's name suggests. */
void m3_drops_say_separator(const m3_drops *drops, const m3_table *table);
/** "12 rows have ..., 3 rows repeat ...", cut to size; "nothing was dropped" when all counts are 0. */
void m3_drops_summary(const m3_import_report *report, char *text, size_t size);

#endif
