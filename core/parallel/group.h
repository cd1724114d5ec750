/* group: what the ranks that train one model tell each other, on top of a collectives plugin. All ranks call the same
 * functions in the same order. Sums are taken in the order of the ranks, so that the same number of ranks gives the
 * same bits, whatever moves them. Each member is used by one thread at a time. A call that fails breaks the group: the
 * others fail with it, so all end. */
#ifndef M3_CORE_PARALLEL_GROUP_H
#define M3_CORE_PARALLEL_GROUP_H

#include "m3bsr/collectives.h"
#include "m3bsr/parallel.h"

typedef struct m3_member m3_member; /**< one rank; may be NULL below: a group of one, which moves nothing */

/** Rank `index` of those that this process holds, borrowed. */
m3_member *m3_group_member(m3_group *group, uint32_t index);

uint32_t m3_member_rank(const m3_member *member);  /**< NULL: 0 */
uint32_t m3_member_count(const m3_member *member); /**< NULL: 1 */
double m3_member_waited(const m3_member *member);  /**< seconds spent in waiting for others so far */
uint64_t m3_member_sent(const m3_member *member);  /**< bytes given to others so far */

/** Start to move parcels[i] to and from rank i (collectives.h); finish ends it, in any order. @param exchange  NULL on
 * failure. */
m3_status m3_member_start(m3_member *member, const m3_parcel *parcels, m3_exchange **exchange, m3_error *err);
/** *exchange becomes NULL, also on failure; NULL is nothing to wait for. */
m3_status m3_member_finish(m3_member *member, m3_exchange **exchange, m3_error *err);

/** values[i] = sum over the ranks, in their order, of their values[i]; the same bits on every rank. Each rank adds up a
 * slice: reduce-scatter and all-gather in two exchanges. In pieces, so that the extra memory is bounded; allocates
 * nothing. */
m3_status m3_member_sum(m3_member *member, float *values, uint64_t count, m3_error *err);
/** Bytes that m3_member_sum() of `count` values lets the rank send that sends most. */
uint64_t m3_sum_traffic(uint64_t count, uint32_t ranks);
/** Bytes that each member keeps for its sums. */
uint64_t m3_sum_room(uint32_t ranks);
/** The bytes of rank `root`, everywhere. */
m3_status m3_member_broadcast(m3_member *member, uint32_t root, void *data, uint64_t bytes, m3_error *err);
/** all [count * bytes]: what each rank has in `mine` [bytes], in the order of the ranks. `mine` may be its place in
 * `all`. */
m3_status m3_member_gather(m3_member *member, const void *mine, uint64_t bytes, void *all, m3_error *err);
/** To rank 0 what each rank has, of any size. @param bytes  [count] of each rank, the same everywhere.
 * @param all  Of rank 0: they lie there one behind the other. NULL on the others. */
m3_status m3_member_collect(m3_member *member, const void *mine, const uint64_t *bytes, void *all, m3_error *err);
/** Fails on every rank, M3_ERR_INVALID, unless all have the same text; names the ranks that differ from rank 0, and the
 * first line in which one does.
 * @param what  For the message: "settings", "data set". */
m3_status m3_member_agree(m3_member *member, const char *what, const char *text, m3_error *err);
/** This rank ends with an error that the others do not have; they get it, with the rank's number, from whatever they
 * wait in. */
void m3_member_fail(m3_member *member, const m3_error *why);

#endif
