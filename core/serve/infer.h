/* infer: inference over histories in batches: of samples, or of users after their whole history. */
#ifndef M3_CORE_SERVE_INFER_H
#define M3_CORE_SERVE_INFER_H

#include "core/data/history.h"
#include "core/data/trend.h"
#include "m3bsr/serve.h"

/** The sizes of an inference executable: ids [B, n, L] -> what it publishes. */
typedef struct m3_infer_shape {
    m3_executable *executable; /**< borrowed */
    int32_t *ids;
    float *recent;       /**< the input "trend" [n, N]; NULL where scores do not depend on recent popularity */
    const float *scores; /**< [n, N]; NULL where it publishes none */
    uint32_t behaviors, batch, length, items;
} m3_infer_shape;

/** M3_ERR_INTERNAL when it has no input ids [B, n, L]. */
m3_status m3_infer_shape_of(m3_executable *infer, m3_infer_shape *shape, m3_error *err);

/** Called after each run: the first `rows` of the n rows of ids and of every output are those of samples or users
 * first, first + 1, …. Another status than M3_OK ends it. */
typedef m3_status (*m3_inferred_fn)(void *user, uint64_t first, uint32_t rows, m3_error *err);

/** Of whom histories are made, and how. */
typedef struct m3_infer_source {
    const m3_dataset *set;
    const m3_event_filter *filter; /**< NULL: all events stay */
    const m3_trend *trend;         /**< NULL where scores do not depend on recent popularity */
    volatile const int *stop;      /**< when it becomes non-zero: M3_ERR_INTERRUPTED, without a message; NULL: never */
    /** Before each run: ids [count] become places in the window that the executable sees (m3_build_options), which is
     * filled. NULL: it sees the whole table. */
    m3_status (*place)(void *user, int32_t *ids, uint64_t count, m3_error *err);
    void *user; /**< of place */
} m3_infer_source;

/** Run inference over samples, each on the history before it. */
m3_status m3_infer_samples(const m3_infer_shape *shape, m3_infer_source source, const m3_sample *samples,
                           uint64_t count, m3_inferred_fn inferred, void *user, m3_error *err);
/** Run inference over users after their whole history.
 * @param histories  NULL: they are users of the set.
 * Returns M3_ERR_RANGE for a user who is not there, before anything runs. */
m3_status m3_infer_users(const m3_infer_shape *shape, m3_infer_source source, const m3_histories *histories,
                         const uint32_t *users, uint32_t count, m3_inferred_fn inferred, void *user, m3_error *err);

#endif
