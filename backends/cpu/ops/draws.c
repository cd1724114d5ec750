/* draws: philox, random_uniform, random_normal. The numbers follow from seed, step, site and element alone, so any
 * range can be filled by itself. */
#include "backends/cpu/ops/draws.h"

#include <string.h>

typedef struct draw_args {
    cpu_draw_fn kernel;
    const uint32_t *rng;
    void *y;
    size_t count;
    uint32_t site;
} draw_args;

static void draw_units(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const draw_args *a = args;
    size_t last = end * CPU_DRAW_UNIT;
    a->kernel(a->y, a->rng, a->site, begin * CPU_DRAW_UNIT, last < a->count ? last : a->count);
}

static void run(const void *args, const cpu_run *cpu)
{
    const draw_args *a = args;
    cpu_for(cpu, (a->count + CPU_DRAW_UNIT - 1) / CPU_DRAW_UNIT, 4 * CPU_DRAW_UNIT, draw_units, a);
}

static m3_status prepare(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const cpu_draws_kernels *kernels = CPU_CHOOSE(at->machine->isa, cpu_draws_kernels);
    const char *name = at->node->op->name;
    draw_args *a = cpu_step_args(at, step, run, sizeof *a, err);
    if (a == NULL) return M3_ERR_MEMORY;
    a->kernel = strcmp(name, "philox") == 0           ? kernels->bits
                : strcmp(name, "random_uniform") == 0 ? kernels->uniform
                                                      : kernels->normal;
    a->rng = at->in[0];
    a->y = at->out[0];
    a->count = (size_t)m3_tensor_count(at->node->out[0]);
    a->site = (uint32_t)at->node->attr[1].i[0];
    return M3_OK;
}

const cpu_op cpu_draws_ops[] = {
    {"philox", NULL, prepare}, {"random_uniform", NULL, prepare}, {"random_normal", NULL, prepare}, {0}};
