/* linear_grad_weight: what linear gives to its weight and bias. Both are sums over the rows of dy, which one pass over
 * its tiles can make. */
#include "core/ops/common/fused.h"
#include "m3bsr/ops.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x", "dy"),
    .input_count = 2,
    .outputs = M3_NAMES("dw", "db"),
    .output_count = 2,
    .attrs = M3_NAMES("As linear had it: 1: the last two axes of x are exchanged.",
                      "As linear had it: 1: the last two axes of dw are exchanged."),
    .summary = "Gradients of linear for its weight and bias",
    .types = "x, dy: f32, f64, f16 or bf16, of one type; dw, db: the same, or f32 beside 16 bits",
    .shapes = "x [(G,) M, K], or [(G,) K, M] when transpose_a; dy [(G,) M, N] -> dw [(G,) K, N], or [(G,) N, K] when "
              "transpose_b; db [(G,) N]; all with G or all without",
    .formula = "dw_kn = sum over m of x_mk dy_mn, db_n = sum over m of dy_mn",
    .gradient = "with u of dw and v of db: dx = dy u^T, ddy = x u + v",
    .special = "NaN and infinities spread as in products and sums.",
};

typedef struct sizes {
    uint64_t groups, m, k, n;
} sizes;

static sizes sizes_of(const m3_node *node)
{
    const m3_tensor *x = node->in[M3_LINEAR_GRAD_WEIGHT_X], *dy = node->in[M3_LINEAR_GRAD_WEIGHT_DY];
    const bool transpose_a = m3_node_flag(node, M3_LINEAR_GRAD_WEIGHT_TRANSPOSE_A);
    return (sizes){.groups = x->shape.rank == 3 ? x->shape.dim[0] : 1,
                   .m = m3_extent_back(x, transpose_a ? 1 : 2),
                   .k = m3_extent_back(x, transpose_a ? 2 : 1),
                   .n = m3_extent_back(dy, 1)};
}

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    const m3_tensor *x = node->in[M3_LINEAR_GRAD_WEIGHT_X], *dy = node->in[M3_LINEAR_GRAD_WEIGHT_DY];
    m3_status st;
    if ((st = m3_want_float_or_half(node, x, "x", 2, err)) != M3_OK) return st;
    if ((st = m3_check_attr(node, M3_LINEAR_GRAD_WEIGHT_TRANSPOSE_A, 0, 1, err)) != M3_OK) return st;
    if ((st = m3_check_attr(node, M3_LINEAR_GRAD_WEIGHT_TRANSPOSE_B, 0, 1, err)) != M3_OK) return st;
    if (x->shape.rank > 3 || dy->shape.rank != x->shape.rank)
        return M3_FAIL_NODE(err, node, "x is %s %s and dy %s %s; give both 2 axes, or 3 with the group first",
                            M3_TENSOR_TEXT(x), M3_TENSOR_TEXT(dy));
    const sizes s = sizes_of(node);
    const bool grouped = x->shape.rank == 3, transpose_b = m3_node_flag(node, M3_LINEAR_GRAD_WEIGHT_TRANSPOSE_B);
    const m3_shape y = grouped ? M3_SHAPE(s.groups, s.m, s.n) : M3_SHAPE(s.m, s.n);
    if ((st = m3_want(node, dy, "dy", x->dtype, y, "x", err)) != M3_OK) return st;
    const uint64_t rows = transpose_b ? s.n : s.k, columns = transpose_b ? s.k : s.n;
    const m3_dtype type = m3_sum_type(x->dtype);
    out[M3_LINEAR_GRAD_WEIGHT_DW] =
        m3_desc_of(type, grouped ? M3_SHAPE(s.groups, rows, columns) : M3_SHAPE(rows, columns));
    out[M3_LINEAR_GRAD_WEIGHT_DB] = m3_desc_of(type, grouped ? M3_SHAPE(s.groups, s.n) : M3_SHAPE(s.n));
    return M3_OK;
}

static m3_tensor *product(m3_builder *b, m3_tensor *x, m3_tensor *w, m3_tensor *bias, bool transpose_a,
                          bool transpose_b)
{
    m3_tensor *in[M3_LINEAR_INPUTS] = {x, w, bias, NULL, NULL};
    return m3_linear_node(b, in, transpose_a, transpose_b, M3_ACT_NONE);
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_tensor *x = node->in[M3_LINEAR_GRAD_WEIGHT_X], *rows = node->in[M3_LINEAR_GRAD_WEIGHT_DY];
    m3_tensor *u = dy[M3_LINEAR_GRAD_WEIGHT_DW], *v = dy[M3_LINEAR_GRAD_WEIGHT_DB];
    const bool transpose_a = m3_node_flag(node, M3_LINEAR_GRAD_WEIGHT_TRANSPOSE_A);
    const bool transpose_b = m3_node_flag(node, M3_LINEAR_GRAD_WEIGHT_TRANSPOSE_B);
    if (u != NULL) {
        if (u->dtype != x->dtype) u = m3_cast(b, u, x->dtype);
        dx[M3_LINEAR_GRAD_WEIGHT_X] =
            transpose_a ? product(b, u, rows, NULL, transpose_b, true) : product(b, rows, u, NULL, false, !transpose_b);
        dx[M3_LINEAR_GRAD_WEIGHT_DY] = product(b, x, u, v, transpose_a, transpose_b);
        return;
    }
    const sizes s = sizes_of(node);
    if (v->dtype != x->dtype) v = m3_cast(b, v, x->dtype);
    m3_tensor *row = x->shape.rank == 3 ? m3_reshape(b, v, M3_SHAPE(s.groups, 1, s.n)) : v;
    dx[M3_LINEAR_GRAD_WEIGHT_DY] = m3_broadcast(b, row, rows->shape);
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **out)
{
    m3_tensor *x = node->in[M3_LINEAR_GRAD_WEIGHT_X], *dy = node->in[M3_LINEAR_GRAD_WEIGHT_DY];
    const bool transpose_a = m3_node_flag(node, M3_LINEAR_GRAD_WEIGHT_TRANSPOSE_A);
    out[M3_LINEAR_GRAD_WEIGHT_DW] = m3_node_flag(node, M3_LINEAR_GRAD_WEIGHT_TRANSPOSE_B)
                                        ? product(b, dy, x, NULL, true, transpose_a)
                                        : product(b, x, dy, NULL, !transpose_a, false);
    out[M3_LINEAR_GRAD_WEIGHT_DB] = m3_reduce_sum(b, dy, -2, M3_DROP);
}

static uint64_t flops(const m3_node *node)
{
    const sizes s = sizes_of(node);
    return s.groups * s.m * s.n * (2 * s.k + 1);
}

static const m3_attr_desc attrs[] = {{"transpose_a", M3_ATTR_INT}, {"transpose_b", M3_ATTR_INT}};

const m3_op m3_op_linear_grad_weight = {
    .size = M3_OP_SIZE,
    .name = "linear_grad_weight",
    .doc = &doc,
    .min_inputs = 2,
    .max_inputs = 2,
    .outputs = 2,
    .attrs = attrs,
    .attr_count = 2,
    .infer = infer,
    .gradient = gradient,
    .decompose = decompose,
    .flops = flops,
    .halves = 1u << M3_LINEAR_GRAD_WEIGHT_X | 1u << M3_LINEAR_GRAD_WEIGHT_DY,
};
