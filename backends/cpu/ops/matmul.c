/* matmul, linear and linear_grad_weight: products of matrices through gemm.h.
 *   matmul  y = a b, leading axes broadcast     linear  y = gate(act(x w + bias + residual)), one leading axis or none
 *   linear_grad_weight  dw = xT dy, or dyT x as w lies; db = column sums of dy
 * The leading axes of a matmul are coalesced as those of an elementwise op are; gemm takes the last two as its batch,
 * and a loop runs over the others. */
#include "backends/cpu/gemm.h"
#include "backends/cpu/ops/elementwise.h"
#include "backends/cpu/ops/reduce.h"
#include "m3bsr/builder.h"
#include "m3bsr/ops.h"

typedef struct product_args {
    cpu_gemm gemm;
    cpu_axes outer;                /* leading axes but the last two; strides of a and b, in matrices */
    size_t count;                  /* of products outside gemm's own batch */
    size_t a_size, b_size, c_size; /* bytes of a matrix of a and b, and of what one run of gemm writes */
} product_args;

static void run(const void *args, const cpu_run *cpu)
{
    const product_args *p = args;
    if (p->c_size == 0) return;
    for (size_t i = 0; i < p->count; i++) {
        cpu_gemm gemm = p->gemm;
        size_t rest = i;
        for (uint32_t k = p->outer.rank; k-- > 0; rest /= p->outer.dim[k]) {
            size_t at = rest % p->outer.dim[k];
            gemm.a.data = (const unsigned char *)gemm.a.data + at * p->outer.stride[0][k] * p->a_size;
            gemm.b.data = (const unsigned char *)gemm.b.data + at * p->outer.stride[1][k] * p->b_size;
        }
        gemm.c = (unsigned char *)gemm.c + i * p->c_size;
        cpu_gemm_run(cpu->machine, &gemm, cpu->pool, cpu->scratch);
    }
}

_Static_assert(M3_MATMUL_A == (int)M3_LINEAR_X && M3_MATMUL_B == (int)M3_LINEAR_W &&
                   M3_MATMUL_TRANSPOSE_A == (int)M3_LINEAR_TRANSPOSE_A &&
                   M3_MATMUL_TRANSPOSE_B == (int)M3_LINEAR_TRANSPOSE_B,
               "both ops begin alike");

/* Operands and extents of a product, of either op. */
static void set_matrices(cpu_gemm *gemm, const cpu_node *at)
{
    const m3_node *node = at->node;
    const m3_shape *a = &node->in[M3_MATMUL_A]->shape, *b = &node->in[M3_MATMUL_B]->shape;
    const bool ta = m3_node_flag(node, M3_MATMUL_TRANSPOSE_A), tb = m3_node_flag(node, M3_MATMUL_TRANSPOSE_B);
    gemm->in = node->in[M3_MATMUL_A]->dtype;
    gemm->out = node->out[M3_MATMUL_Y]->dtype;
    gemm->m = (size_t)a->dim[a->rank - (ta ? 1 : 2)];
    gemm->k = (size_t)a->dim[a->rank - (ta ? 2 : 1)];
    gemm->n = (size_t)b->dim[b->rank - (tb ? 2 : 1)];
    gemm->a = (cpu_operand){.data = at->in[M3_MATMUL_A], .row = ta ? gemm->m : gemm->k, .transposed = ta};
    gemm->b = (cpu_operand){.data = at->in[M3_MATMUL_B], .row = tb ? gemm->k : gemm->n, .transposed = tb};
    gemm->c = at->out[M3_MATMUL_Y];
    gemm->c_row = gemm->n;
    gemm->batch[0] = gemm->batch[1] = 1;
}

static m3_shape leading(const m3_shape *shape)
{
    m3_shape lead = *shape;
    lead.rank -= 2;
    return lead;
}

static m3_status prepare_matmul(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_node *node = at->node;
    product_args *p = cpu_step_args(at, step, run, sizeof *p, err);
    if (p == NULL) return M3_ERR_MEMORY;
    cpu_gemm *gemm = &p->gemm;
    set_matrices(gemm, at);
    const m3_shape a = leading(&node->in[M3_MATMUL_A]->shape), b = leading(&node->in[M3_MATMUL_B]->shape);
    const m3_shape c = leading(&node->out[M3_MATMUL_Y]->shape), *operand[2] = {&a, &b};
    p->outer = cpu_axes_of(&c, operand, 2);
    const size_t a_count = gemm->m * gemm->k, b_count = gemm->k * gemm->n;
    size_t c_count = gemm->m * gemm->n;
    for (int i = 1; i >= 0 && p->outer.rank > 0; i--) {
        uint32_t last = --p->outer.rank;
        gemm->batch[i] = p->outer.dim[last];
        gemm->a.batch[i] = p->outer.stride[0][last] * a_count;
        gemm->b.batch[i] = p->outer.stride[1][last] * b_count;
        gemm->c_batch[i] = c_count;
        c_count *= gemm->batch[i];
    }
    p->a_size = a_count * m3_dtype_bytes(gemm->in);
    p->b_size = b_count * m3_dtype_bytes(gemm->in);
    p->c_size = c_count * m3_dtype_bytes(gemm->out);
    p->count = 1;
    for (uint32_t i = 0; i < p->outer.rank; i++) p->count *= p->outer.dim[i];
    cpu_gemm_merge_batch(gemm);
    step->scratch_bytes = cpu_gemm_scratch(at->machine, gemm, at->threads);
    return M3_OK;
}

static m3_status prepare_linear(const cpu_node *at, cpu_step *step, m3_error *err)
{
    static const cpu_activation act[] = {
        [M3_ACT_NONE] = CPU_ACT_NONE,       [M3_ACT_RELU] = CPU_ACT_RELU, [M3_ACT_SILU] = CPU_ACT_SILU,
        [M3_ACT_SIGMOID] = CPU_ACT_SIGMOID, [M3_ACT_TANH] = CPU_ACT_TANH,
    };
    const m3_node *node = at->node;
    product_args *p = cpu_step_args(at, step, run, sizeof *p, err);
    if (p == NULL) return M3_ERR_MEMORY;
    cpu_gemm *gemm = &p->gemm;
    set_matrices(gemm, at);
    const m3_shape *x = &node->in[M3_LINEAR_X]->shape;
    gemm->bias.data = cpu_input(at, M3_LINEAR_BIAS);
    gemm->residual = (cpu_operand){.data = cpu_input(at, M3_LINEAR_RESIDUAL), .row = gemm->n};
    gemm->gate = (cpu_operand){.data = cpu_input(at, M3_LINEAR_GATE), .row = gemm->n};
    gemm->act = act[m3_node_int(node, M3_LINEAR_ACTIVATION)];
    if (x->rank == 3) {
        gemm->batch[1] = (size_t)x->dim[0];
        gemm->a.batch[1] = gemm->m * gemm->k;
        gemm->b.batch[1] = gemm->k * gemm->n;
        gemm->c_batch[1] = gemm->residual.batch[1] = gemm->gate.batch[1] = gemm->m * gemm->n;
        gemm->bias.batch[1] = gemm->n;
    }
    p->count = 1;
    p->c_size = gemm->batch[1] * gemm->m * gemm->n * m3_dtype_bytes(gemm->out);
    step->scratch_bytes = cpu_gemm_scratch(at->machine, gemm, at->threads);
    return M3_OK;
}

typedef struct grad_args {
    cpu_gemm gemm;
    cpu_reduce_args sums;
} grad_args;

static void run_grad(const void *args, const cpu_run *cpu)
{
    const grad_args *p = args;
    cpu_gemm_run(cpu->machine, &p->gemm, cpu->pool, cpu->scratch);
    if (p->gemm.sums == NULL) cpu_reduce_run(&p->sums, cpu);
}

static m3_status prepare_grad(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_node *node = at->node;
    const bool turned = m3_node_flag(node, M3_LINEAR_GRAD_WEIGHT_TRANSPOSE_A);
    grad_args *p = cpu_step_args(at, step, run_grad, sizeof *p, err);
    if (p == NULL) return M3_ERR_MEMORY;
    const m3_shape *shape = &node->in[M3_LINEAR_GRAD_WEIGHT_DY]->shape, *x_shape = &node->in[0]->shape;
    const size_t groups = shape->rank == 3 ? (size_t)shape->dim[0] : 1;
    const size_t m = (size_t)shape->dim[shape->rank - 2], n = (size_t)shape->dim[shape->rank - 1];
    const size_t k = (size_t)x_shape->dim[shape->rank - (turned ? 2 : 1)];
    const cpu_operand x = {at->in[M3_LINEAR_GRAD_WEIGHT_X], turned ? m : k, {0, m * k}, turned};
    const cpu_operand dy = {at->in[M3_LINEAR_GRAD_WEIGHT_DY], n, {0, m * n}, false};
    cpu_operand left = x, right = dy;
    const bool by_row = m3_node_flag(node, M3_LINEAR_GRAD_WEIGHT_TRANSPOSE_B); /* of dw lie those of dy */
    if (by_row) left = dy, right = x;
    left.transposed = !left.transposed;
    const m3_dtype type = node->in[M3_LINEAR_GRAD_WEIGHT_DY]->dtype;
    p->gemm = (cpu_gemm){.batch = {1, groups}, .m = by_row ? n : k, .n = by_row ? k : n, .k = m, .a = left, .b = right};
    p->gemm.in = type; /* and the sums are f32 */
    p->gemm.c = at->out[M3_LINEAR_GRAD_WEIGHT_DW];
    p->gemm.c_row = p->gemm.n;
    p->gemm.c_batch[1] = n * k;
    p->gemm.sums_of_a = by_row;
    if (type != M3_F32 && n > 0 && k > 0) p->gemm.sums = at->out[M3_LINEAR_GRAD_WEIGHT_DB];
    p->sums = (cpu_reduce_args){.kernel = cpu_reduce_sum_of(at->machine, type),
                                .add = cpu_reduce_sum_of(at->machine, M3_F32),
                                .x_bytes = m3_dtype_bytes(type),
                                .x = at->in[M3_LINEAR_GRAD_WEIGHT_DY],
                                .y = at->out[M3_LINEAR_GRAD_WEIGHT_DB],
                                .outer = groups,
                                .length = m,
                                .inner = n};
    const size_t sums = cpu_reduce_split(&p->sums);
    step->scratch_bytes = cpu_gemm_scratch(at->machine, &p->gemm, at->threads);
    if (step->scratch_bytes < sums) step->scratch_bytes = sums;
    return M3_OK;
}

const cpu_op cpu_matmul_ops[] = {{"matmul", NULL, prepare_matmul},
                                 {"linear", NULL, prepare_linear},
                                 {"linear_grad_weight", NULL, prepare_grad},
                                 {0}};
