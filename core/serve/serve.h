/* serve: a trained model on a device with its set, as evaluation and recommendation use it. */
#ifndef M3_CORE_SERVE_SERVE_H
#define M3_CORE_SERVE_SERVE_H

#include "core/serve/rank.h"
#include "m3bsr/settings.h"

struct m3_served {
    m3_settings *settings;
    m3_dataset *set;
    m3_split *split;
    m3_store *store;
    m3_executable *infer;
    m3_infer_shape shape;
    uint32_t *popularity; /**< [N+1] an item's place by training events of the target behavior, from 1; ties go to the
                               lower number */
};

/** The `top` best of scores [N], skipping items that are marked; places of popularity break ties and NaN comes last.
 * @param marked  [N+1], non-zero: skip; NULL: none.
 * @param best    [top], best first, then item 0. */
void m3_choose_top(const float *scores, uint32_t item_count, const uint8_t *marked, const uint32_t *popularity,
                   uint32_t top, m3_recommendation *best);

#endif
