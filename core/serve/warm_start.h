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
    uint32_t *row_of;        /**< [N+1] row of each of its items in the run's table; 0: it has none */
    uint32_t unknown;        /**< items without a row there */
} m3_warm_start;

/** Open a run and compare its items with those of a set.
 * @param checkpoint  NULL: the best, else the last.
 * @param settings    Of the model on `set`.
 * M3_ERR_INVALID: no run, its set is not where it was or is another now, other behaviors or modalities, or most items
 * are others. */
m3_status m3_warm_start_open(m3_warm_start *start, const char *run, const char *checkpoint, const m3_settings *settings,
                             const m3_dataset *set, const m3_split *split, m3_error *err);
/** Put the run's parameters into a store, and rows for items that it does not know as `new_items` says.
 * @param graph  Whose parameters are wanted; NULL: the store's.
 * Logs where the rows come from. */
m3_status m3_warm_start_load(const m3_warm_start *start, m3_engine *engine, m3_new_items new_items, m3_store *store,
                             const m3_graph *graph, m3_error *err);
/** Which training samples of the set the run was not trained on: those that the split of its own set had not in its
 * training part. @param is_new  Yours, m3_free(): one for each training sample. */
m3_status m3_warm_start_new_samples(const m3_warm_start *start, bool **is_new, m3_error *err);
void m3_warm_start_fini(m3_warm_start *start);

/* new_rows: rows of items that a table does not know (MODEL.md 14). */

typedef struct m3_new_rows {
    uint32_t features, neighbors; /**< how many come from what */
    double explained;             /**< share of the known rows' variance that features explain, on rows held out */
} m3_new_rows;

/** Fill the rows of items that the run does not know.
 * @param rows  [N+1, width]; those of known items are there, and those that nothing is known for stay as they are. */
m3_status m3_new_rows_fill(const m3_warm_start *start, m3_new_items how, float *rows, uint32_t width,
                           m3_new_rows *report, m3_error *err);

#endif
