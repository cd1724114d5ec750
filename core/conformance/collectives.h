/* collectives: what a check of a collectives plugin works with. */
#ifndef M3_CORE_CONFORMANCE_COLLECTIVES_H
#define M3_CORE_CONFORMANCE_COLLECTIVES_H

#include <pthread.h>

#include "core/parallel/group.h"

/** One rank of a check, which all ranks make together. */
typedef struct m3_rank_probe {
    m3_member *member;
    uint32_t rank, ranks;
    pthread_barrier_t *barrier; /**< of the ranks, when all are of this process; else NULL */
    char wrong[240];            /**< the first thing that was not as it must be; "": nothing */
} m3_rank_probe;

/** A check goes on with its exchanges whatever it finds, so that the ranks stay together.
 * Returns what the group failed with. */
typedef struct m3_rank_check {
    const char *name, *about;
    m3_status (*run)(m3_rank_probe *p, m3_error *err);
    double seconds; /**< that a rank may be silent in it; 0: as asked for */
} m3_rank_check;

void m3_rank_wrong(m3_rank_probe *p, const char *format, ...) M3_PRINTF(2, 3);

/** Checks that leave the group as it was, and those that break it; the ends have no name. */
extern const m3_rank_check m3_rank_checks[];
extern const m3_rank_check m3_rank_faults[];

#endif
