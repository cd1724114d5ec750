/* warm_start: the parameters of a run on another set than its own, whose items have other numbers and may be others:
 * rows of the item table go by ids, and items that the run does not know get rows from what is known of them. */
#ifndef M3_CORE_SERVE_WARM_START_H
#define M3_CORE_SERVE_WARM_START_H

#include "core/run/checkpoint.h"
#include "core/settings/settings.h"

/** Starts as {0}; m3_warm_start_fini() ends it. */
typedef struct m3_warm_start {
    char *run, *checkpoint;  /**< paths */
    m3_settings *settings;   /**< the run's */
    m3_dataset *from;        /**< the set that the run was trained on */
    const m3_dataset *set;   /**< the one that the parameters are wanted for */
    const m3_split *split;   /**< its */
    m3_sequence_names names; /**< of its behaviors and modalities */
    uint32_t *row_of;        /**< [N+1] row of each of its items in the run's table; 0: it has none. A spill */
    uint32_t unknown;        /**< items without a row there */
} m3_warm_start;

/** The rows of the set's table that the store of one rank has, where several share it out. */
typedef struct m3_warm_shard {
    uint32_t begin;       /**< the first of them; the store's tensor says how many there are */
    char checkpoint[144]; /**< out: m3_checkpoint_identify(), which is to be the same for all ranks */
} m3_warm_shard;

/** Open a run and compare its items with those of a set. What grows with the set lies where the split's does.
 * @param checkpoint  NULL: the best, else the last.
 * @param settings    Of the model on `set`.
 * M3_ERR_INVALID: no run, its set is not where it was or is another now, other behaviors or modalities, or most items
 * are others. */
m3_status m3_warm_start_open(m3_warm_start *start, const char *run, const char *checkpoint, const m3_settings *settings,
                             const m3_dataset *set, const m3_split *split, m3_error *err);
/** Put the run's parameters into a store, and rows for items that it does not know as `new_items` says. Of the table
 * some megabytes are in memory at once.
 * @param engine  Whose log is told where the rows come from; NULL: none.
 * @param graph   Whose parameters are wanted; NULL: the store's.
 * @param shard   NULL: the store has the whole table. */
m3_status m3_warm_start_load(const m3_warm_start *start, m3_engine *engine, m3_new_items new_items, m3_store *store,
                             const m3_graph *graph, m3_warm_shard *shard, m3_error *err);
/** Which training samples of the set the run was not trained on: those that the split of its own set had not in its
 * training part. @param is_new  Yours, m3_spill_free(): one for each training sample. */
m3_status m3_warm_start_new_samples(const m3_warm_start *start, bool **is_new, m3_error *err);
void m3_warm_start_fini(m3_warm_start *start);

/* new_rows: rows of items that a table does not know (MODEL.md 14). They follow from known rows alone, at most some
 * thousands of them for all and M3_NEIGHBORS for one, so that whoever makes a row gets the same bits. */

enum { M3_KNOWN_ROWS = 1 << 14 }; /* from which features are learned, at most */

/** The run's item table. */
typedef struct m3_known_rows {
    uint32_t width;
    /** Rows [begin, end) of it. */
    m3_status (*read)(void *user, uint64_t begin, uint64_t end, float *rows, m3_error *err);
    void *user;
} m3_known_rows;

/** How many of the set's rows come from what. */
typedef struct m3_new_report {
    uint32_t features, neighbors;
    double explained; /**< share of the known rows' variance that features explain, on rows held out */
} m3_new_report;

typedef struct m3_new_rows m3_new_rows;

/** Learn from the known rows what is needed.
 * @param rows  Yours, m3_new_rows_free(); NULL on failure. */
m3_status m3_new_rows_create(const m3_warm_start *start, m3_new_items how, const m3_known_rows *known,
                             m3_new_rows **rows, m3_error *err);
m3_new_report m3_new_rows_report(const m3_new_rows *rows);
/** The row of an item that the run does not know. @param row  [width]; it stays as it is where nothing is known. */
m3_status m3_new_rows_make(m3_new_rows *rows, uint32_t item, float *row, m3_error *err);
void m3_new_rows_free(m3_new_rows *rows); /**< takes NULL */

#endif
