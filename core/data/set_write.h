/* set_write: one data set file from its parts. */
#ifndef M3_CORE_DATA_SET_WRITE_H
#define M3_CORE_DATA_SET_WRITE_H

#include "core/data/matrix.h"
#include "core/data/set_format.h"

typedef struct m3_event_lists {
    uint64_t *starts; /**< [U + 1] */
    uint32_t *items;
    int64_t *times;
} m3_event_lists;

typedef struct m3_feature_rows {
    char *name;
    m3_matrix matrix;
    uint64_t *row_of; /**< [N + 1] row of the matrix + 1, 0: the item has none */
    uint32_t covered;
} m3_feature_rows;

/** Everything is borrowed; counts are those of meta. */
typedef struct m3_set_content {
    m3_set_meta meta;
    const char **user_ids;
    const char **item_ids, **titles, **categories; /**< [N + 1] */
    const char **behavior_names;
    m3_event_lists *events;
    uint64_t *touched_starts;
    uint32_t *touched_items;
    m3_feature_rows *features;
    uint32_t time_digits;
} m3_set_content;

m3_status m3_set_write(const m3_set_content *content, const char *path, m3_error *err);

#endif
