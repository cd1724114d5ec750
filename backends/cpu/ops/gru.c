/* gru: gru_cell and gru_cell_grad, row by row. A masked row keeps its state: y = h and dh = dy. */
#include "backends/cpu/ops/gru.h"

#include <string.h>

#include "m3bsr/ops.h"

typedef struct gru_args {
    const cpu_gru_kernels *kernels;
    cpu_gru cell; /* of row 0 */
    size_t rows;
    const uint8_t *mask; /* [rows] */
    const float *dy;     /* of the gradient, else NULL */
    float *out[3];       /* y; or dxi, dhh, dh */
} gru_args;

static cpu_gru cell_of(const gru_args *a, size_t row)
{
    cpu_gru g = a->cell;
    g.xi += row * 3 * g.width;
    g.hh += row * 3 * g.width;
    g.h += row * g.width;
    return g;
}

static void forward_rows(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const gru_args *a = args;
    for (size_t i = begin; i < end; i++) {
        const cpu_gru g = cell_of(a, i);
        float *y = a->out[M3_GRU_CELL_Y] + i * g.width;
        if (a->mask[i] != 0)
            a->kernels->forward(&g, y);
        else
            memmove(y, g.h, g.width * sizeof *y);
    }
}

static void backward_rows(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const gru_args *a = args;
    for (size_t i = begin; i < end; i++) {
        const cpu_gru g = cell_of(a, i);
        const size_t d = g.width;
        const float *dy = a->dy + i * d;
        float *dxi = a->out[M3_GRU_CELL_GRAD_DXI] + i * 3 * d, *dhh = a->out[M3_GRU_CELL_GRAD_DHH] + i * 3 * d,
              *dh = a->out[M3_GRU_CELL_GRAD_DH] + i * d;
        if (a->mask[i] != 0) {
            a->kernels->backward(&g, dy, dxi, dhh, dh);
            continue;
        }
        memset(dxi, 0, 3 * d * sizeof *dxi);
        memset(dhh, 0, 3 * d * sizeof *dhh);
        memcpy(dh, dy, d * sizeof *dh);
    }
}

static void run(const void *args, const cpu_run *cpu)
{
    enum { COST = 32 }; /* of an element: three transcendental functions */
    const gru_args *a = args;
    if (a->cell.width > 0) cpu_for(cpu, a->rows, COST * a->cell.width, a->dy == NULL ? forward_rows : backward_rows, a);
}

static m3_status prepare(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_node *node = at->node;
    gru_args *a = cpu_step_args(at, step, run, sizeof *a, err);
    if (a == NULL) return M3_ERR_MEMORY;
    a->kernels = CPU_CHOOSE(at->machine->isa, cpu_gru_kernels);
    const m3_tensor *h = node->in[M3_GRU_CELL_H];
    a->cell = (cpu_gru){
        .width = cpu_row_length(h),
        .xi = at->in[M3_GRU_CELL_XI],
        .hh = at->in[M3_GRU_CELL_HH],
        .h = at->in[M3_GRU_CELL_H],
    };
    a->rows = cpu_rows(h);
    a->mask = at->in[M3_GRU_CELL_MASK];
    a->dy = node->in_count == M3_GRU_CELL_GRAD_INPUTS ? at->in[M3_GRU_CELL_GRAD_DY] : NULL;
    for (uint32_t i = 0; i < node->out_count; i++) a->out[i] = at->out[i];
    return M3_OK;
}

const cpu_op cpu_gru_ops[] = {{"gru_cell", NULL, prepare}, {"gru_cell_grad", NULL, prepare}, {0}};
