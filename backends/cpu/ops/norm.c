/* norm: layer_norm and layer_norm_grad over x [groups, rows, width], gamma and beta [groups, width].
 * Sums over rows run in parts of a number of rows that the shape decides: each part sums by itself, and then the parts
 * are added in order, so that the result does not depend on the number of threads. */
#include "backends/cpu/ops/norm.h"
#include "backends/cpu/ops/reduce.h"

typedef struct norm_args {
    const cpu_norm_kernels *kernels;
    cpu_reduce_fn sum;
    cpu_norm norm;       /* of a group */
    const float *second; /* beta, or dy of the gradient */
    float *y;            /* or dx */
    float *sums[2];      /* dgamma, dbeta */
    size_t groups;
    size_t parts, part; /* of a group; so many rows is each but the last */
} norm_args;

/* Rows [first, first + rows) of a group. */
static cpu_norm rows_of(const norm_args *a, size_t group, size_t first, size_t rows)
{
    cpu_norm n = a->norm;
    n.x += (group * n.rows + first) * n.width;
    n.gamma += group * n.width;
    n.rows = rows;
    return n;
}

static void run_rows(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const norm_args *a = args;
    const size_t each = a->norm.rows, width = a->norm.width;
    for (size_t row = begin; row < end;) {
        size_t group = row / each, first = row % each;
        size_t rows = each - first < end - row ? each - first : end - row;
        const cpu_norm n = rows_of(a, group, first, rows);
        a->kernels->forward(&n, a->second + group * width, a->y + row * width);
        row += rows;
    }
}

static void run(const void *args, const cpu_run *cpu)
{
    const norm_args *a = args;
    cpu_for(cpu, a->groups * a->norm.rows, 2 * a->norm.width, run_rows, a);
}

typedef struct partial {
    const norm_args *args;
    float *sums; /* [groups, parts, 2, width] */
} partial;

static void run_parts(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const partial *p = args;
    const norm_args *a = p->args;
    const size_t width = a->norm.width;
    for (size_t unit = begin; unit < end; unit++) {
        size_t group = unit / a->parts, first = unit % a->parts * a->part;
        size_t rows = a->norm.rows - first < a->part ? a->norm.rows - first : a->part;
        const cpu_norm n = rows_of(a, group, first, rows);
        const size_t at = (group * a->norm.rows + first) * width;
        a->kernels->backward(&n, a->second + at, a->y + at, p->sums + unit * 2 * width);
    }
}

static void run_grad(const void *args, const cpu_run *cpu)
{
    const norm_args *a = args;
    const size_t width = a->norm.width;
    const cpu_reduction r = {a->groups, a->parts, width, a->parts * 2 * width, 2 * width};
    partial p = {a, cpu->scratch};
    cpu_for(cpu, a->groups * a->parts, 4 * a->part * width, run_parts, &p);
    a->sum(&r, p.sums, a->sums[0]);
    a->sum(&r, p.sums + width, a->sums[1]);
}

static norm_args *args_of(const cpu_node *at, cpu_step *step, cpu_run_fn fn, m3_error *err)
{
    const m3_tensor *x = at->node->in[0], *gamma = at->node->in[1];
    norm_args *a = cpu_step_args(at, step, fn, sizeof *a, err);
    if (a == NULL) return NULL;
    a->kernels = CPU_CHOOSE(at->machine->isa, cpu_norm_kernels);
    a->sum = CPU_CHOOSE(at->machine->isa, cpu_reduce_kernels)->sum_f32;
    a->groups = gamma->shape.rank == 2 ? (size_t)gamma->shape.dim[0] : 1;
    a->norm = (cpu_norm){.rows = a->groups == 0 ? 0 : cpu_rows(x) / a->groups,
                         .width = cpu_last(x),
                         .eps = (float)at->node->attr[0].f,
                         .x = at->in[0],
                         .gamma = at->in[1]};
    a->second = at->in[2];
    a->y = at->out[0];
    return a;
}

static m3_status prepare(const cpu_node *at, cpu_step *step, m3_error *err)
{
    return args_of(at, step, run, err) != NULL ? M3_OK : M3_ERR_MEMORY;
}

static m3_status prepare_grad(const cpu_node *at, cpu_step *step, m3_error *err)
{
    enum { LEAST = 64, MOST = 256 }; /* rows that are worth a part; parts */
    norm_args *a = args_of(at, step, run_grad, err);
    if (a == NULL) return M3_ERR_MEMORY;
    a->sums[0] = at->out[1];
    a->sums[1] = at->out[2];
    a->part = (a->norm.rows + MOST - 1) / MOST;
    if (a->part < LEAST) a->part = LEAST;
    a->parts = (a->norm.rows + a->part - 1) / a->part;
    step->scratch_bytes = a->groups * a->parts * 2 * a->norm.width * sizeof(float);
    return M3_OK;
}

const cpu_op cpu_norm_ops[] = {{"layer_norm", NULL, prepare}, {"layer_norm_grad", NULL, prepare_grad}, {0}};
