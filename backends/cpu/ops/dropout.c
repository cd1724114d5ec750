/* dropout: whether an element is kept follows from seed, step, site and element alone, so any range can be filled by
 * itself. */
#include "backends/cpu/ops/dropout.h"

#include "m3bsr/ops.h"

typedef struct dropout_args {
    const cpu_dropout_kernels *kernels;
    cpu_dropout dropout;
    cpu_draw_part part;
    size_t count;
} dropout_args;

static void fill_units(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const dropout_args *a = args;
    const size_t last = end * CPU_DRAW_UNIT < a->count ? end * CPU_DRAW_UNIT : a->count;
    uint64_t shift = 0;
    for (size_t at = begin * CPU_DRAW_UNIT, next; at < last; at = next) {
        next = cpu_draw_until(&a->part, a->dropout.rng, at, last, &shift);
        a->kernels->fill(&a->dropout, at, next, shift);
    }
}

static void run(const void *args, const cpu_run *cpu)
{
    const dropout_args *a = args;
    cpu_for(cpu, (a->count + CPU_DRAW_UNIT - 1) / CPU_DRAW_UNIT, 4 * CPU_DRAW_UNIT, fill_units, a);
}

static m3_status prepare(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const double rate = m3_node_float(at->node, M3_DROPOUT_RATE);
    dropout_args *a = cpu_step_args(at, step, run, sizeof *a, err);
    if (a == NULL) return M3_ERR_MEMORY;
    a->kernels = CPU_CHOOSE(at->machine->isa, cpu_dropout_kernels);
    a->dropout = (cpu_dropout){.rng = at->in[M3_DROPOUT_RNG],
                               .x = at->in[M3_DROPOUT_X],
                               .y = at->out[M3_DROPOUT_Y],
                               .site = (uint32_t)m3_node_int(at->node, M3_DROPOUT_SITE),
                               .rate = (float)rate,
                               .factor = (float)(1.0 / (1.0 - rate))};
    a->count = (size_t)m3_tensor_count(at->node->out[M3_DROPOUT_Y]);
    if (at->node->op->attr_count == M3_DROPOUT_PART_ATTRS)
        a->part = cpu_draw_part_of(a->count, (size_t)m3_node_int(at->node, M3_DROPOUT_PART_REPEATS));
    return M3_OK;
}

const cpu_op cpu_dropout_ops[] = {{"dropout", NULL, prepare}, {"dropout_part", NULL, prepare}, {0}};
