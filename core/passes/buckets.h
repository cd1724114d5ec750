/* buckets: states whose new values are wanted before a run has ended, in groups, such as sums of gradients that go to
 * other ranks while the backward pass goes on. Which state is in which bucket follows from the graph before passes, so
 * that it is the same for all devices. */
#ifndef M3_CORE_PASSES_BUCKETS_H
#define M3_CORE_PASSES_BUCKETS_H

#include "m3bsr/graph.h"

#define M3_NO_BUCKET UINT32_MAX

typedef struct m3_buckets {
    uint32_t count; /* of buckets, in the order in which they can be ready */
    uint32_t states;
    char **names;     /* [states] in the order in which they can be ready */
    uint32_t *bucket; /* [states] */
} m3_buckets;

/** Group the states whose names begin with `prefix` by how early the graph has their new values: buckets of like bytes,
 * so far as single states and `least` allow.
 * @param most   Buckets at most, at least 1.
 * @param least  Bytes of a bucket, unless it is the only one.
 * @param buckets  The caller calls m3_buckets_fini() either way. */
m3_status m3_buckets_make(m3_buckets *buckets, const m3_graph *graph, const char *prefix, uint32_t most, uint64_t least,
                          m3_error *err);
void m3_buckets_fini(m3_buckets *buckets);
/** M3_NO_BUCKET: the state is in none. @param buckets  NULL: there are none. */
uint32_t m3_buckets_find(const m3_buckets *buckets, const char *state);

/** How early a node can run. What only leads to new values of one group can stand right behind what it reads, all else
 * stands where it is. */
typedef struct m3_early {
    uint32_t behind; /* the last node before it that stands; itself where it stands */
    uint32_t group;  /* that it leads to; M3_NO_BUCKET where it stands */
} m3_early;

/** By node; NULL without memory. The caller frees it.
 * @param group  By index of the graph's updates; M3_NO_BUCKET: in none. */
m3_early *m3_buckets_early(const m3_graph *graph, const uint32_t *group);

#endif
