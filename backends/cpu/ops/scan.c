/* scan: scan and cumsum along one axis of [outer, length, inner], split by outer and by strips of inner. */
#include "backends/cpu/ops/scan.h"

#include "m3bsr/ops.h"

enum { STRIP = 64 }; /* columns of a strip */

typedef struct scan_args {
    const cpu_scan_kernels *kernels;
    const float *a, *b; /* a NULL: cumsum */
    float *y;
    size_t outer, length, inner, strips;
    bool reverse;
} scan_args;

/* Units [begin, end) of outer x strips. */
static void run_strips(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const scan_args *s = args;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t column = unit % s->strips * STRIP, left = s->inner - column;
        const size_t at = (unit / s->strips * s->length + (s->reverse ? s->length - 1 : 0)) * s->inner + column;
        const cpu_columns c = {s->length, left < STRIP ? left : STRIP,
                               s->reverse ? -(ptrdiff_t)s->inner : (ptrdiff_t)s->inner};
        if (s->a == NULL)
            s->kernels->cumsum(&c, s->b + at, s->y + at);
        else
            s->kernels->scan(&c, s->a + at, s->b + at, s->y + at);
    }
}

static void run(const void *args, const cpu_run *cpu)
{
    const scan_args *s = args;
    if (s->length > 0) cpu_for(cpu, s->outer * s->strips, s->length * STRIP, run_strips, s);
}

static m3_status prepare(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_node *node = at->node;
    const bool sum = node->in_count == M3_CUMSUM_INPUTS;
    const m3_shape *y = &node->out[0]->shape;
    const uint32_t axis = (uint32_t)m3_node_int(node, sum ? M3_CUMSUM_AXIS : M3_SCAN_AXIS);
    scan_args *s = cpu_step_args(at, step, run, sizeof *s, err);
    if (s == NULL) return M3_ERR_MEMORY;
    *s = (scan_args){.kernels = CPU_CHOOSE(at->machine->isa, cpu_scan_kernels),
                     .a = sum ? NULL : at->in[M3_SCAN_A],
                     .b = at->in[sum ? M3_CUMSUM_X : M3_SCAN_B],
                     .y = at->out[0],
                     .outer = 1,
                     .length = (size_t)y->dim[axis],
                     .inner = 1,
                     .reverse = m3_node_flag(node, sum ? M3_CUMSUM_REVERSE : M3_SCAN_REVERSE)};
    for (uint32_t i = 0; i < axis; i++) s->outer *= (size_t)y->dim[i];
    for (uint32_t i = axis + 1; i < y->rank; i++) s->inner *= (size_t)y->dim[i];
    s->strips = (s->inner + STRIP - 1) / STRIP;
    return M3_OK;
}

const cpu_op cpu_scan_ops[] = {{"scan", NULL, prepare}, {"cumsum", NULL, prepare}, {0}};
