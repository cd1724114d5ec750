/* softmax: masked_softmax, softmax_cross_entropy and its gradient, row by row. */
#include "backends/cpu/ops/softmax.h"

#include <string.h>

#include "backends/cpu/ops/elementwise.h"
#include "m3bsr/ops.h"

typedef struct softmax_args {
    const cpu_softmax_kernels *kernels;
    const float *x;
    float *y; /* or dx, or the losses [rows] */
    size_t rows, length;
    const uint8_t *mask;
    cpu_axes axes;      /* of rows; its operand is rows of the mask */
    size_t mask_length; /* of a row of the mask: that of x, or 1 */
    const int32_t *target;
    const float *dloss;
} softmax_args;

/* Where the mask of a row starts. */
static const uint8_t *mask_of(const softmax_args *a, size_t row)
{
    size_t at = 0;
    for (uint32_t i = a->axes.rank; i-- > 0; row /= a->axes.dim[i]) at += row % a->axes.dim[i] * a->axes.stride[0][i];
    return a->mask + at * a->mask_length;
}

static void masked_rows(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const softmax_args *a = args;
    const bool repeat = a->mask_length != a->length;
    for (size_t i = begin; i < end; i++)
        a->kernels->masked(a->y + i * a->length, a->x + i * a->length, mask_of(a, i), repeat, a->length);
}

/* Is the target a class? Others count nothing. */
static bool is_class(const softmax_args *a, size_t row)
{
    return a->target[row] >= 0 && (size_t)a->target[row] < a->length;
}

static void loss_rows(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const softmax_args *a = args;
    for (size_t i = begin; i < end; i++)
        a->y[i] = is_class(a, i) ? a->kernels->loss(a->x + i * a->length, (size_t)a->target[i], a->length) : 0;
}

static void grad_rows(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const softmax_args *a = args;
    for (size_t i = begin; i < end; i++) {
        float *dx = a->y + i * a->length;
        if (is_class(a, i))
            a->kernels->grad(dx, a->x + i * a->length, (size_t)a->target[i], a->dloss[i], a->length);
        else
            memset(dx, 0, a->length * sizeof *dx);
    }
}

enum { COST = 8 }; /* of an element: an exp */

static void run_masked(const void *args, const cpu_run *cpu)
{
    const softmax_args *a = args;
    if (a->length > 0) cpu_for(cpu, a->rows, COST * a->length, masked_rows, a);
}

static void run_loss(const void *args, const cpu_run *cpu)
{
    const softmax_args *a = args;
    cpu_for(cpu, a->rows, COST * a->length, loss_rows, a);
}

static void run_grad(const void *args, const cpu_run *cpu)
{
    const softmax_args *a = args;
    cpu_for(cpu, a->rows, COST * a->length, grad_rows, a);
}

static softmax_args *args_of(const cpu_node *at, cpu_step *step, cpu_run_fn run, m3_error *err)
{
    softmax_args *a = cpu_step_args(at, step, run, sizeof *a, err);
    if (a == NULL) return NULL;
    a->kernels = CPU_CHOOSE(at->machine->isa, cpu_softmax_kernels);
    a->x = at->in[0]; /* of all three ops */
    a->y = at->out[0];
    a->rows = cpu_rows(at->node->in[0]);
    a->length = cpu_row_length(at->node->in[0]);
    return a;
}

static m3_status prepare_masked(const cpu_node *at, cpu_step *step, m3_error *err)
{
    softmax_args *a = args_of(at, step, run_masked, err);
    if (a == NULL) return M3_ERR_MEMORY;
    const m3_tensor *mask = at->node->in[M3_MASKED_SOFTMAX_MASK];
    m3_shape rows = at->node->in[M3_MASKED_SOFTMAX_X]->shape, mask_rows = mask->shape;
    const m3_shape *operand = &mask_rows;
    a->mask = at->in[M3_MASKED_SOFTMAX_MASK];
    a->mask_length = cpu_row_length(mask);
    rows.rank--;
    if (mask_rows.rank > 0) mask_rows.rank--;
    a->axes = cpu_axes_of(&rows, &operand, 1);
    return M3_OK;
}

static m3_status prepare_entropy(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const bool gradient = at->node->in_count == M3_SOFTMAX_CROSS_ENTROPY_GRAD_INPUTS;
    softmax_args *a = args_of(at, step, gradient ? run_grad : run_loss, err);
    if (a == NULL) return M3_ERR_MEMORY;
    a->target = at->in[M3_SOFTMAX_CROSS_ENTROPY_TARGET];
    if (gradient) a->dloss = at->in[M3_SOFTMAX_CROSS_ENTROPY_GRAD_DLOSS];
    return M3_OK;
}

const cpu_op cpu_softmax_ops[] = {{"masked_softmax", NULL, prepare_masked},
                                  {"softmax_cross_entropy", NULL, prepare_entropy},
                                  {"softmax_cross_entropy_grad", NULL, prepare_entropy},
                                  {0}};
