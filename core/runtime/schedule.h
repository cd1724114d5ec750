/* schedule: what runs, in which order, on which device, and which tensors share memory.
 * An executable is made in four stages, each of which reads only what the one before it wrote:
 *   passes (core/passes) -> schedule -> plan -> compile
 * The schedule makes explicit what the graph only says: a value that must end in a state, or in the output block, and
 * cannot be computed there, gets a node `copy`. */
#ifndef M3_CORE_RUNTIME_SCHEDULE_H
#define M3_CORE_RUNTIME_SCHEDULE_H

#include "core/runtime/engine.h"

#define M3_NONE UINT32_MAX

/* One node that runs. Aliases do not. */
typedef struct m3_step {
    const m3_node *node;
    uint32_t device; /* 0 the chosen one, k the k-th fallback */
    char *reason;    /* why not on the chosen device; NULL there */
} m3_step;

/* Bring a tensor from the device that made it to another, through the host. */
typedef struct m3_transfer {
    const m3_tensor *tensor;
    uint32_t from, to; /* from M3_NONE: out of the host block of inputs */
} m3_transfer;

/* A maximal run of steps on one device, after the transfers that it needs. */
typedef struct m3_part {
    uint32_t device;
    uint32_t first, count; /* steps */
    uint32_t transfer, transfer_count;
} m3_part;

typedef struct m3_schedule {
    m3_graph *graph;           /* borrowed; copies are appended to it */
    m3_device *const *devices; /* borrowed */
    uint32_t device_count;
    m3_step *steps;
    uint32_t step_count;
    m3_part *parts;
    uint32_t part_count;
    m3_transfer *transfers;
    uint32_t transfer_count, transfer_capacity;
    uint32_t tensor_count;
    /* By tensor id. On the device of its home, x lies `shift` bytes into tensor `root`. */
    uint32_t *root;
    uint64_t *shift;
    uint32_t *home;            /* device that makes it; leaves: 0 */
    uint32_t *into;            /* of a root: the state in whose place it is made, or M3_NONE */
    bool *output;              /* of a root: it is made in the output block */
    const m3_tensor **outputs; /* by index of the graph's outputs: the tensor that holds it, a copy or itself */
} m3_schedule;

typedef struct m3_schedule_options {
    m3_device *const *devices;
    uint32_t device_count;
    bool strict; /* no fallbacks */
} m3_schedule_options;

m3_status m3_schedule_make(m3_schedule *s, m3_graph *graph, const m3_schedule_options *options, m3_error *err);
void m3_schedule_fini(m3_schedule *s);

/** Choose the device of a node (partition.c). */
m3_status m3_partition_assign(const m3_schedule *s, const m3_node *node, bool strict, uint32_t *device, char **reason,
                              m3_error *err);
/** Cut the steps into parts with their transfers (partition.c). */
m3_status m3_partition_cut(m3_schedule *s, m3_error *err);

/** Is x on this device without a transfer? Constants are on every device that reads them. */
static inline bool m3_schedule_local(const m3_schedule *s, const m3_tensor *x, uint32_t device)
{
    return x->kind == M3_CONSTANT || s->home[x->id] == device;
}

/** What x shares memory with on this device, and where in it. */
static inline uint32_t m3_schedule_root(const m3_schedule *s, const m3_tensor *x, uint32_t device)
{
    return m3_schedule_local(s, x, device) ? s->root[x->id] : x->id;
}

static inline uint64_t m3_schedule_shift(const m3_schedule *s, const m3_tensor *x, uint32_t device)
{
    return m3_schedule_local(s, x, device) ? s->shift[x->id] : 0;
}

/** May output `out` of a node lie exactly on root `under`, as far as the node itself goes? Every input that shares
 * memory with `under` must be read by whoever overwrites it, before that. */
bool m3_schedule_in_place(const m3_schedule *s, const m3_node *node, uint32_t device, uint32_t out, uint32_t under);

#endif
