/* draws: philox, random_uniform, random_normal, and those of a part of a batch. The numbers follow from seed, step,
 * site and element alone, so any range can be filled by itself. */
#include "backends/cpu/ops/draws.h"

#include "m3bsr/ops.h"

typedef struct draw_args {
    cpu_draw_fn kernel;
    const uint32_t *rng;
    void *y;
    size_t count;
    cpu_draw_part part;
    uint32_t site;
} draw_args;

static void draw_units(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const draw_args *a = args;
    const size_t last = end * CPU_DRAW_UNIT < a->count ? end * CPU_DRAW_UNIT : a->count;
    uint64_t shift = 0;
    for (size_t at = begin * CPU_DRAW_UNIT, next; at < last; at = next) {
        next = cpu_draw_until(&a->part, a->rng, at, last, &shift);
        a->kernel(a->y, a->rng, a->site, at, next, shift);
    }
}

static void run(const void *args, const cpu_run *cpu)
{
    const draw_args *a = args;
    cpu_for(cpu, (a->count + CPU_DRAW_UNIT - 1) / CPU_DRAW_UNIT, 4 * CPU_DRAW_UNIT, draw_units, a);
}

static m3_status prepare(const cpu_node *at, cpu_step *step, cpu_draw_fn kernel, m3_error *err)
{
    draw_args *a = cpu_step_args(at, step, run, sizeof *a, err);
    if (a == NULL) return M3_ERR_MEMORY;
    a->kernel = kernel;
    a->rng = at->in[M3_DRAW_RNG];
    a->y = at->out[M3_DRAW_Y];
    a->count = (size_t)m3_tensor_count(at->node->out[M3_DRAW_Y]);
    a->site = (uint32_t)m3_node_int(at->node, M3_DRAW_SITE);
    if (at->node->op->attr_count == M3_DRAW_PART_ATTRS)
        a->part = cpu_draw_part_of(a->count, (size_t)m3_node_int(at->node, M3_DRAW_PART_REPEATS));
    return M3_OK;
}

static m3_status prepare_bits(const cpu_node *at, cpu_step *step, m3_error *err)
{
    return prepare(at, step, CPU_CHOOSE(at->machine->isa, cpu_draws_kernels)->bits, err);
}

static m3_status prepare_uniform(const cpu_node *at, cpu_step *step, m3_error *err)
{
    return prepare(at, step, CPU_CHOOSE(at->machine->isa, cpu_draws_kernels)->uniform, err);
}

static m3_status prepare_normal(const cpu_node *at, cpu_step *step, m3_error *err)
{
    return prepare(at, step, CPU_CHOOSE(at->machine->isa, cpu_draws_kernels)->normal, err);
}

const cpu_op cpu_draws_ops[] = {
    {"philox", NULL, prepare_bits},
    {"random_uniform", NULL, prepare_uniform},
    {"random_normal", NULL, prepare_normal},
    {"philox_part", NULL, prepare_bits},
    {"random_uniform_part", NULL, prepare_uniform},
    {"random_normal_part", NULL, prepare_normal},
    {0},
};
