/* schedule: what runs, in which order, on which device, and which tensors share memory.
 * An executable is made in five stages, each of which reads only what those before it wrote:
 *   passes (core/passes) -> schedule -> partition -> plan -> compile
 * The schedule makes explicit what the graph only says: a value that must end in a state, or in the output block, and
 * cannot be computed there, gets a node `copy`. */
#ifndef M3_CORE_RUNTIME_SCHEDULE_H
#define M3_CORE_RUNTIME_SCHEDULE_H

#include "core/passes/buckets.h"
#include "core/runtime/engine.h"

#define M3_NONE UINT32_MAX

/* One node that runs. Aliases do not. */
typedef struct m3_step {
    const m3_node *node;
    uint32_t device; /* 0 is the chosen one, k the k-th fallback */
    char *reason;    /* why not on the chosen device; NULL when it is */
} m3_step;

/* A copy of a tensor from the device that made it to another, through the host. */
typedef struct m3_transfer {
    const m3_tensor *tensor;
    uint32_t from, to; /* devices; from M3_NONE: the host block of inputs */
} m3_transfer;

/* A run of steps on one device, after the transfers that it needs, as long as can be: it ends where the device changes
 * or a bucket is ready. */
typedef struct m3_partition {
    uint32_t device;
    uint32_t first, count; /* steps */
    uint32_t transfer, transfer_count;
    uint32_t ready; /* buckets, from the first one on, whose states have their new values behind it */
} m3_partition;

typedef struct m3_schedule {
    m3_graph *graph;           /* borrowed; copies are appended to it */
    m3_device *const *devices; /* borrowed */
    uint32_t device_count;
    m3_step *steps;
    uint32_t step_count;
    uint32_t tensor_count;

    /* By tensor id. On its home, x is a view: it lies `offset` bytes into tensor `root`, which may be x itself. */
    uint32_t *root;
    uint64_t *offset;
    uint32_t *home; /* the device that makes it; leaves: 0 */
    uint32_t *into; /* of a root: the state in whose place it is made, or M3_NONE */
    bool *output;   /* of a root: whether it is made in the output block */

    const m3_tensor **outputs; /* by index of the graph's outputs: the tensor that holds it, a copy or itself */

    /* Filled by m3_schedule_partition (partition.h). */
    m3_partition *partitions;
    uint32_t partition_count;
    m3_transfer *transfers;
    uint32_t transfer_count, transfer_capacity;
} m3_schedule;

typedef struct m3_schedule_options {
    m3_device *const *devices;
    uint32_t device_count;
    bool strict;               /* no fallbacks */
    const m3_buckets *buckets; /* of states that are wanted early; NULL: none */
} m3_schedule_options;

m3_status m3_schedule_make(m3_schedule *s, m3_graph *graph, const m3_schedule_options *options, m3_error *err);
void m3_schedule_fini(m3_schedule *s);

/** Is x on this device without a transfer? Constants are on every device that reads them. */
static inline bool m3_schedule_local(const m3_schedule *s, const m3_tensor *x, uint32_t device)
{
    return x->kind == M3_CONSTANT || s->home[x->id] == device;
}

/** The tensor in whose memory x lies on this device. */
static inline uint32_t m3_schedule_root(const m3_schedule *s, const m3_tensor *x, uint32_t device)
{
    return m3_schedule_local(s, x, device) ? s->root[x->id] : x->id;
}

/** Bytes from there to x. */
static inline uint64_t m3_schedule_offset(const m3_schedule *s, const m3_tensor *x, uint32_t device)
{
    return m3_schedule_local(s, x, device) ? s->offset[x->id] : 0;
}

/** May output `out` of a node overwrite root `under`, as far as the node itself goes? It may when each of its inputs
 * that lie in `under` is one that the op computes in place. */
bool m3_schedule_in_place(const m3_schedule *s, const m3_node *node, uint32_t device, uint32_t out, uint32_t under);

#endif
