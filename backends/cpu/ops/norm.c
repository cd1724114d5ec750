/* norm: layer_norm, layer_norm_grad and layer_norm_grad_add over x [groups, rows, width], gamma and beta [groups,
 * width]. Sums over rows are split into parts of a number of rows that the shape decides, and the sums of the parts are
 * added in order, so that the result does not depend on the number of threads. */
#include "backends/cpu/ops/norm.h"
#include "backends/cpu/ops/reduce.h"
#include "m3bsr/ops.h"

typedef struct norm_args {
    const cpu_norm_kernels *kernels;
    cpu_reduce_fn sum;
    cpu_norm norm;     /* of a group */
    const void *third; /* beta, or dy of the gradient */
    unsigned char *y;  /* or dx */
    size_t bytes;      /* of an element of x, y, dx and dy */
    float *sums[2];    /* dgamma, dbeta */
    size_t groups;
    size_t parts;     /* of a group */
    size_t part_rows; /* of a part; the last may have fewer */
} norm_args;

/* Rows [first, first + rows) of a group. */
static cpu_norm rows_of(const norm_args *a, size_t group, size_t first, size_t rows)
{
    cpu_norm n = a->norm;
    const size_t at = (group * n.rows + first) * n.width * a->bytes;
    n.x = (const unsigned char *)n.x + at;
    if (n.residual != NULL) n.residual = (const unsigned char *)n.residual + at;
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
        a->kernels->forward(&n, (const float *)a->third + group * width, a->y + row * width * a->bytes);
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
        size_t group = unit / a->parts, first = unit % a->parts * a->part_rows;
        size_t rows = a->norm.rows - first < a->part_rows ? a->norm.rows - first : a->part_rows;
        const cpu_norm n = rows_of(a, group, first, rows);
        const size_t at = (group * a->norm.rows + first) * width * a->bytes;
        a->kernels->backward(&n, (const unsigned char *)a->third + at, a->y + at, p->sums + unit * 2 * width);
    }
}

static void run_grad(const void *args, const cpu_run *cpu)
{
    const norm_args *a = args;
    const size_t width = a->norm.width;
    const cpu_reduction r = {a->groups, a->parts, width, a->parts * 2 * width, 2 * width};
    partial p = {a, cpu->scratch};
    cpu_for(cpu, a->groups * a->parts, 4 * a->part_rows * width, run_parts, &p);
    a->sum(&r, p.sums, a->sums[0]);
    a->sum(&r, p.sums + width, a->sums[1]);
}

/* All ops begin with x and gamma, and have eps. */
static norm_args *args_of(const cpu_node *at, cpu_step *step, bool gradient, m3_error *err)
{
    const m3_tensor *x = at->node->in[M3_LAYER_NORM_X], *gamma = at->node->in[M3_LAYER_NORM_GAMMA];
    norm_args *a = cpu_step_args(at, step, gradient ? run_grad : run, sizeof *a, err);
    if (a == NULL) return NULL;
    a->kernels = CPU_CHOOSE(at->machine->isa, cpu_norm_kernels);
    a->sum = CPU_CHOOSE(at->machine->isa, cpu_reduce_kernels)->sum_f32;
    a->groups = gamma->shape.rank == 2 ? (size_t)gamma->shape.dim[0] : 1;
    a->norm = (cpu_norm){.rows = a->groups == 0 ? 0 : cpu_rows(x) / a->groups,
                         .width = cpu_row_length(x),
                         .type = x->dtype,
                         .eps = (float)m3_node_float(at->node, M3_LAYER_NORM_EPS),
                         .x = at->in[M3_LAYER_NORM_X],
                         .gamma = at->in[M3_LAYER_NORM_GAMMA]};
    a->third = at->in[gradient ? M3_LAYER_NORM_GRAD_DY : M3_LAYER_NORM_BETA];
    a->y = at->out[0];
    a->bytes = m3_dtype_bytes(x->dtype);
    return a;
}

static m3_status prepare(const cpu_node *at, cpu_step *step, m3_error *err)
{
    return args_of(at, step, false, err) != NULL ? M3_OK : M3_ERR_MEMORY;
}

static m3_status prepare_grad(const cpu_node *at, cpu_step *step, m3_error *err)
{
    enum { MIN_ROWS = 64, MAX_PARTS = 256 };
    norm_args *a = args_of(at, step, true, err);
    if (a == NULL) return M3_ERR_MEMORY;
    a->sums[0] = at->out[M3_LAYER_NORM_GRAD_DGAMMA];
    a->sums[1] = at->out[M3_LAYER_NORM_GRAD_DBETA];
    if (at->node->in_count == M3_LAYER_NORM_GRAD_ADD_INPUTS) a->norm.residual = at->in[M3_LAYER_NORM_GRAD_ADD_RESIDUAL];
    a->part_rows = (a->norm.rows + MAX_PARTS - 1) / MAX_PARTS;
    if (a->part_rows < MIN_ROWS) a->part_rows = MIN_ROWS;
    a->parts = (a->norm.rows + a->part_rows - 1) / a->part_rows;
    step->scratch_bytes = a->groups * a->parts * 2 * a->norm.width * sizeof(float);
    return M3_OK;
}

const cpu_op cpu_norm_ops[] = {{"layer_norm", NULL, prepare},
                               {"layer_norm_grad", NULL, prepare_grad},
                               {"layer_norm_grad_add", NULL, prepare_grad},
                               {0}};
