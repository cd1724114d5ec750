/* matmul, linear and linear_grad_weight: a node as a product that matmul_plan.h lowers.
 * The leading axes of a matmul are joined as those of an elementwise op are; a product has the last two that remain,
 * and what remains outside them runs one after another. */
#include <string.h>

#include "backends/lowering/matmul_plan.h"
#include "backends/lowering/ops/list.h"
#include "m3bsr/ops.h"

_Static_assert(M3_MATMUL_A == (int)M3_LINEAR_X && M3_MATMUL_B == (int)M3_LINEAR_W &&
                   M3_MATMUL_TRANSPOSE_A == (int)M3_LINEAR_TRANSPOSE_A &&
                   M3_MATMUL_TRANSPOSE_B == (int)M3_LINEAR_TRANSPOSE_B,
               "both ops begin alike");

/* Extents of a product, from factors that may lie transposed. */
static lower_product matrices(const m3_node *node)
{
    const m3_tensor *a = node->in[M3_MATMUL_A], *b = node->in[M3_MATMUL_B];
    lower_product p = {.a = a, .b = b, .y = node->out[M3_MATMUL_Y], .outer = 1, .inner = 1};
    p.transpose_a = m3_node_flag(node, M3_MATMUL_TRANSPOSE_A);
    p.transpose_b = m3_node_flag(node, M3_MATMUL_TRANSPOSE_B);
    p.m = a->shape.dim[a->shape.rank - (p.transpose_a ? 1 : 2)];
    p.k = a->shape.dim[a->shape.rank - (p.transpose_a ? 2 : 1)];
    p.n = b->shape.dim[b->shape.rank - (p.transpose_b ? 2 : 1)];
    return p;
}

static lower_product linear_of(const m3_node *node)
{
    lower_product p = matrices(node);
    if (node->in[M3_LINEAR_X]->shape.rank == 3) {
        p.inner = node->in[M3_LINEAR_X]->shape.dim[0];
        p.a_inner = p.m * p.k;
        p.b_inner = p.k * p.n;
    }
    p.bias = m3_node_input(node, M3_LINEAR_BIAS);
    p.residual = m3_node_input(node, M3_LINEAR_RESIDUAL);
    p.gate = m3_node_input(node, M3_LINEAR_GATE);
    p.act = (uint32_t)m3_node_int(node, M3_LINEAR_ACTIVATION);
    return p;
}

static lower_product grad_of(const m3_node *node)
{
    const m3_tensor *x = node->in[M3_LINEAR_GRAD_WEIGHT_X], *dy = node->in[M3_LINEAR_GRAD_WEIGHT_DY];
    const bool turned = m3_node_flag(node, M3_LINEAR_GRAD_WEIGHT_TRANSPOSE_A);
    const bool by_row = m3_node_flag(node, M3_LINEAR_GRAD_WEIGHT_TRANSPOSE_B); /* of dw lie those of dy */
    const uint64_t m = dy->shape.dim[dy->shape.rank - 2], n = dy->shape.dim[dy->shape.rank - 1];
    const uint64_t k = x->shape.dim[x->shape.rank - (turned ? 2 : 1)];
    lower_product p = {.y = node->out[M3_LINEAR_GRAD_WEIGHT_DW], .k = m, .outer = 1, .inner = 1};
    if (x->shape.rank == 3) p.inner = x->shape.dim[0];
    p.sums = node->out[M3_LINEAR_GRAD_WEIGHT_DB];
    p.summed = by_row ? SUMS_OF_A : SUMS_OF_B;
    p.a = by_row ? dy : x;
    p.b = by_row ? x : dy;
    p.m = by_row ? n : k;
    p.n = by_row ? k : n;
    p.transpose_a = by_row || !turned;
    p.transpose_b = by_row && turned;
    if (p.inner > 1) {
        p.a_inner = p.m * p.k;
        p.b_inner = p.k * p.n;
    }
    return p;
}

static m3_shape leading(const m3_tensor *x)
{
    m3_shape lead = x->shape;
    lead.rank -= 2;
    return lead;
}

/* Rows of many products that share b are rows of one. */
static void merge_rows(lower_product *p)
{
    if (p->transpose_a || p->b_inner != 0 || p->b_outer != 0) return;
    if (p->inner > 1 && p->a_inner != p->m * p->k) return;
    if (p->outer > 1 && p->a_outer != p->inner * p->m * p->k) return;
    p->m *= p->outer * p->inner;
    p->outer = p->inner = 1;
}

/* The product of the last two axes that remain of the leading ones; axes: all that remain. */
static lower_product matmul_of(const m3_node *node, lower_axes *axes)
{
    lower_product p = matrices(node);
    const m3_shape a = leading(node->in[M3_MATMUL_A]), b = leading(node->in[M3_MATMUL_B]),
                   y = leading(node->out[M3_MATMUL_Y]);
    const m3_shape *const operand[] = {&a, &b};
    *axes = lower_axes_of(&y, operand, 2);
    const uint64_t a_size = p.m * p.k, b_size = p.k * p.n, last = axes->rank - 1;
    p.inner = axes->dim[last];
    p.a_inner = axes->stride[0][last] * a_size;
    p.b_inner = axes->stride[1][last] * b_size;
    if (last > 0) {
        p.outer = axes->dim[last - 1];
        p.a_outer = axes->stride[0][last - 1] * a_size;
        p.b_outer = axes->stride[1][last - 1] * b_size;
    }
    return p;
}

static void emit_matmul(lower_list *l, const m3_node *node)
{
    lower_axes axes;
    if (m3_tensor_count(node->out[0]) == 0) return;
    lower_product p = matmul_of(node, &axes);
    const uint64_t a_size = p.m * p.k, b_size = p.k * p.n, y_size = p.outer * p.inner * p.m * p.n;
    const uint64_t count = m3_tensor_count(node->out[0]) / y_size;
    merge_rows(&p);
    for (uint64_t i = 0; i < count; i++) {
        p.a_first = p.b_first = 0;
        p.y_first = i * y_size;
        uint64_t rest = i;
        for (uint64_t axis = axes.rank > 2 ? axes.rank - 2 : 0; axis-- > 0; rest /= axes.dim[axis]) {
            const uint64_t at = rest % axes.dim[axis];
            p.a_first += at * axes.stride[0][axis] * a_size;
            p.b_first += at * axes.stride[1][axis] * b_size;
        }
        lower_product_emit(l, &p);
    }
}

static void emit_linear(lower_list *l, const m3_node *node)
{
    const lower_product p = linear_of(node);
    lower_product_emit(l, &p);
}

static void emit_grad(lower_list *l, const m3_node *node)
{
    const lower_product p = grad_of(node);
    lower_product_emit(l, &p);
}

static lower_product product_of(const m3_node *node)
{
    lower_axes axes;
    if (strcmp(node->op->name, "linear") == 0) return linear_of(node);
    if (strcmp(node->op->name, "linear_grad_weight") == 0) return grad_of(node);
    lower_product p = matmul_of(node, &axes);
    merge_rows(&p);
    return p;
}

uint32_t lower_matmul_variants(const lower_traits *traits, const m3_node *node, char *class_text, const char **names)
{
    if (m3_tensor_count(node->out[0]) == 0) return 0;
    const lower_product p = product_of(node);
    return lower_product_variants(traits, &p, class_text, names);
}

/* Sums may be kept in f32 on the way. */
static m3_status supports_halves(const lower_traits *traits, const m3_node *node, m3_error *why)
{
    const bool fits = m3_tensor_count(node->out[0]) <= traits->largest_binding / sizeof(float);
    return fits ? lower_check_pairs(traits, node, why) : lower_check_full(node, why);
}

/* Not even the smallest tile fits: less than any OpenCL or Vulkan device must have. */
static m3_status supports(const lower_traits *traits, const m3_node *node, m3_error *why)
{
    enum { LOCAL = 16 * 1024, GROUP = 64 };
    if (traits->local_bytes >= LOCAL && (traits->kind == LOWER_PROCESSOR || traits->largest_group >= GROUP))
        return supports_halves(traits, node, why);
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name,
                   "groups have %u items and %llu bytes; the kernels want %d and %d", traits->largest_group,
                   (unsigned long long)traits->local_bytes, GROUP, LOCAL);
}

/* Sums come with the tiles of dw. */
static m3_status supports_grad(const lower_traits *traits, const m3_node *node, m3_error *why)
{
    const m3_tensor *dw = node->out[M3_LINEAR_GRAD_WEIGHT_DW], *db = node->out[M3_LINEAR_GRAD_WEIGHT_DB];
    if (m3_tensor_count(dw) == 0 && m3_tensor_count(db) > 0)
        return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name,
                       "dw has no elements, and db %llu; the kernel makes db from the tiles of dw",
                       (unsigned long long)m3_tensor_count(db));
    return supports(traits, node, why);
}

const lower_op lower_matmul_ops[] = {{"matmul", supports, emit_matmul},
                                     {"linear", supports, emit_linear},
                                     {"linear_grad_weight", supports_grad, emit_grad},
                                     {0}};
