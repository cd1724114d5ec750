/* set_write: one data set file from its parts. */
#ifndef M3_CORE_DATA_SET_WRITE_H
#define M3_CORE_DATA_SET_WRITE_H

#include "core/data/drops.h"
#include "core/data/matrix.h"
#include "core/data/set_events.h"
#include "core/data/set_format.h"

typedef struct m3_feature_rows {
    char *name;
    uint32_t width;
    m3_matrix matrix; /**< zeros without a file */
    uint64_t *row_of; /**< [N + 1] row of the matrix + 1, 0: the item has none there */
    const float *old; /**< rows of an earlier set, borrowed; NULL: none */
    uint32_t *old_of; /**< [N + 1] row of old, 0: the item has none there; NULL without old */
    uint32_t covered;
} m3_feature_rows;

/** An item's row, which must be finite, to out [width]: that of the matrix before that of the earlier set. false, and
 * out untouched, when the item has none. */
bool m3_feature_row(const m3_feature_rows *features, uint64_t item, float *out);

/** Everything is borrowed; counts are those of meta. */
typedef struct m3_set_content {
    const m3_watch *watch; /**< while it is written */
    m3_set_meta meta;
    const char **user_ids;
    const char **item_ids, **titles, **categories; /**< [N + 1] */
    const char **behavior_names;
    m3_set_events events;
    m3_feature_rows *features;
    uint32_t time_digits, time_unit;
    m3_set_split split;
} m3_set_content;

m3_status m3_set_write(const m3_set_content *content, const char *path, m3_error *err);

#endif
