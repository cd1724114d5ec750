/* sums: gradients are summed over the ranks bucket by bucket, by a thread beside the one that computes, so that what
 * comes to the host early is on its way while the backward pass goes on. All ranks post the same buckets in the same
 * order. While something is posted and not finished, the member is this thread's alone. */
#ifndef M3_CORE_TRAIN_SUMS_H
#define M3_CORE_TRAIN_SUMS_H

#include "core/parallel/group.h"
#include "core/runtime/store.h"

typedef struct m3_sums m3_sums;

/** When a bucket was on its way, as m3_seconds() counts. */
typedef struct m3_sum_time {
    double begin, end;
    uint64_t bytes;
} m3_sum_time;

/** @param store    Where the gradients come from; borrowed, as the member is.
 * @param buckets  That are posted before they are finished, at most. */
m3_status m3_sums_create(m3_member *member, const m3_store *store, uint32_t buckets, m3_sums **sums, m3_error *err);
/** Waits for what is posted, and frees it. NULL is nothing. */
void m3_sums_free(m3_sums *sums);

/** The next bucket: the sum over the ranks of values [count], which are there when m3_store_wait() has returned for
 * `value`. Borrowed until it is finished. Does not wait. */
void m3_sums_post(m3_sums *sums, float *values, uint64_t count, uint64_t value);
/** Wait for all that were posted. @param heard  True where it fails by what other ranks said or did. */
m3_status m3_sums_finish(m3_sums *sums, bool *heard, m3_error *err);

/** Of bucket `index` of those that were finished last. */
m3_sum_time m3_sums_time(const m3_sums *sums, uint32_t index);
/** Seconds that the computing thread has waited here so far, less those that this one has waited for other ranks, which
 * m3_member_waited() counts too. */
double m3_sums_waited(const m3_sums *sums);

#endif
