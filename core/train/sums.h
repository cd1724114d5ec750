/* sums: gradients are summed over the ranks bucket by bucket, by a thread beside the one that computes, so that what
 * comes to the host early is on its way while the backward pass goes on. Other exchanges that need not be waited for
 * stand in the same queue. All ranks post the same in the same order. While something is posted and not finished, the
 * member is this thread's alone. */
#ifndef M3_CORE_TRAIN_SUMS_H
#define M3_CORE_TRAIN_SUMS_H

#include "core/parallel/group.h"
#include "core/runtime/store.h"

typedef struct m3_sums m3_sums;

/** When a bucket was on its way, as m3_seconds() counts, or what else was posted. */
typedef struct m3_sum_time {
    double begin, end;
    uint64_t bytes;
    const char *what; /**< NULL: a bucket */
} m3_sum_time;

/** What else the thread does. @param begin  In: now; may be set to when the exchange began. M3_ERR_MEMORY is this
 * rank's own failure, any other came from the ranks. */
typedef m3_status (*m3_sums_work)(void *user, double *begin, m3_error *err);

/** @param store    Where the gradients come from; borrowed, as the member is.
 * @param most     Posted before they are finished. */
m3_status m3_sums_create(m3_member *member, const m3_store *store, uint32_t most, m3_sums **sums, m3_error *err);
/** Waits for what is posted, and frees it. NULL is nothing. */
void m3_sums_free(m3_sums *sums);

/** The next bucket: the sum over the ranks of values [count], which are there when m3_store_wait() has returned for
 * `value`. Borrowed until it is finished. Does not wait. */
void m3_sums_post(m3_sums *sums, float *values, uint64_t count, uint64_t value);
/** Another exchange. @param what  For the trace: static text. */
void m3_sums_post_work(m3_sums *sums, const char *what, m3_sums_work work, void *user);
/** Wait for all that were posted. @param heard  True where it fails by what other ranks said or did. */
m3_status m3_sums_finish(m3_sums *sums, bool *heard, m3_error *err);

/** How many were finished last, and what is known of one. */
uint32_t m3_sums_finished(const m3_sums *sums);
m3_sum_time m3_sums_time(const m3_sums *sums, uint32_t index);
/** Seconds that the computing thread has waited here so far, less those that this one has waited for other ranks, which
 * m3_member_waited() counts too. */
double m3_sums_waited(const m3_sums *sums);

#endif
