/* rankings: what evaluate.c counts, and the metrics over it; lists.c writes the lists to a file. */
#ifndef M3_CORE_SERVE_RANKINGS_H
#define M3_CORE_SERVE_RANKINGS_H

#include "core/base/outfile.h"
#include "core/serve/rank.h"

struct m3_rankings {
    m3_split_part part;
    bool has_model;
    uint32_t items;
    uint32_t k_count, *ks;
    m3_places places[M3_CANDIDATES][M3_RANKERS][M3_METRIC_GROUPS];
    /** [k_count][N+1] an item's times in lists at places beyond the cut-off before, up to this one; NULL: not counted
     */
    uint32_t *shown[M3_RANKERS];
    uint64_t *short_lists; /**< [k_count] samples with fewer candidates */
    double itemknn_damping, trend_half_life;
    uint64_t uni99_short;
    uint32_t uni99_least;
};

/** Groups by the number of events before the sample, over all behaviors; the first is all of them. */
typedef struct m3_sample_group {
    const char *name;
    uint64_t min, max;
} m3_sample_group;
enum { M3_SAMPLE_GROUPS = 7 };
extern const m3_sample_group m3_sample_groups[M3_SAMPLE_GROUPS];
extern const uint32_t m3_usual_cuts[M3_METRIC_CUTS];

/** @param options   With ks.
 * @param items     N; m3_cut_fits() says which cut-offs may be beyond it.
 * @param rankings  Yours, m3_rankings_free(). */
m3_status m3_rankings_create(const m3_ranking_options *options, uint32_t items, bool has_model, m3_rankings **rankings,
                             m3_error *err);
/** Count a list. @param best  [the last of ks], then item 0. */
void m3_rankings_show(m3_rankings *rankings, m3_ranker ranker, const m3_recommendation *best);

/* Lists in a file. */

typedef struct m3_lists {
    m3_outfile out;
    int form; /**< of lists.c */
    uint64_t samples;
    bool failed; /**< no memory for a line */
} m3_lists;

/** What the ending of a path stands for is known. M3_ERR_INVALID lists the endings. */
m3_status m3_lists_check(const char *path, m3_error *err);
/** Starts as {0}; m3_lists_end() or m3_lists_discard() ends it. */
m3_status m3_lists_begin(m3_lists *lists, const char *path, m3_error *err);
/** @param best  [top], then item 0. */
void m3_lists_add(m3_lists *lists, const m3_dataset *set, const m3_sample *sample, const m3_recommendation *best,
                  uint32_t top);
m3_status m3_lists_end(m3_lists *lists, m3_error *err);
void m3_lists_discard(m3_lists *lists);

#endif
