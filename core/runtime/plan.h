/* plan: where every tensor lies on one device. Temporaries share scratch memory as their lifetimes allow. */
#ifndef M3_CORE_RUNTIME_PLAN_H
#define M3_CORE_RUNTIME_PLAN_H

#include "core/runtime/schedule.h"
#include "core/runtime/store.h"

/* Segments come in the order of the members below. */
typedef struct m3_plan {
    m3_place *places; /* by tensor id */
    m3_segment *segments;
    uint32_t segment_count;
    uint32_t input, output; /* or M3_NO_SEGMENT */
    uint32_t constant, constant_count;
    uint32_t store, store_count; /* segment store + k is chunk k */
    uint32_t scratch, scratch_count;
    uint64_t input_bytes, output_bytes, constant_bytes, scratch_bytes;
    uint64_t alive_bytes; /* the most bytes of scratch alive in one step: no plan needs less */
} m3_plan;

/** @param store  Has every parameter and state of the graph; NULL on fallback devices, where none lies.
 * Errors: M3_ERR_UNSUPPORTED, with figures, when a tensor does not fit into a buffer of the device. */
m3_status m3_plan_make(m3_plan *plan, const m3_schedule *s, uint32_t device, const m3_store *store, m3_error *err);
void m3_plan_fini(m3_plan *plan);

#endif
