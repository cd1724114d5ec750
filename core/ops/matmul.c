/* matmul: matrix product. */
#include "core/ops/common/elementwise.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("a", "b"),
    .input_count = 2,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("1: the last two axes of a are exchanged.", "1: the last two axes of b are exchanged."),
    .summary = "Matrix product",
    .types = "a, b, y: f32, f64, f16 or bf16, of one type; y of 16 bits is a sum in f32, rounded once",
    .shapes = "a [..., M, K], or [..., K, M] when transpose_a; b [..., K, N], or [..., N, K] when transpose_b -> y "
              "[..., M, N]; leading axes broadcast as NumPy does",
    .formula = "y_mn = sum over k of a_mk b_kn; 0 when K = 0",
    .gradient = "da = dy b^T, db = a^T dy, with a and b as they are multiplied, in their own layouts, summed over "
                "the axes that repeated",
    .special = "NaN and infinities spread along their row or column, 0 times an infinity being NaN. The order of "
               "the terms is fixed.",
};

/* Extents of the product, in the factors' own layouts. */
typedef struct sizes {
    uint64_t m, k, n, k_of_b;
    bool transpose_a, transpose_b;
} sizes;

static sizes read_sizes(const m3_node *node)
{
    const m3_shape *a = &node->in[0]->shape, *b = &node->in[1]->shape;
    sizes s = {.transpose_a = node->attr[0].i[0] != 0, .transpose_b = node->attr[1].i[0] != 0};
    s.m = a->dim[a->rank - (s.transpose_a ? 1 : 2)];
    s.k = a->dim[a->rank - (s.transpose_a ? 2 : 1)];
    s.n = b->dim[b->rank - (s.transpose_b ? 2 : 1)];
    s.k_of_b = b->dim[b->rank - (s.transpose_b ? 1 : 2)];
    return s;
}

/* Without the last two axes. */
static m3_shape lead_of(const m3_shape *shape)
{
    m3_shape lead = *shape;
    lead.rank -= 2;
    return lead;
}

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    m3_status st;
    const m3_tensor *a = node->in[0], *b = node->in[1];
    if ((st = m3_check_type(node, 0, M3_TYPES_FLOAT | M3_TYPES_HALF, err)) != M3_OK) return st;
    if ((st = m3_check_same_type(node, 1, err)) != M3_OK) return st;
    for (uint32_t i = 0; i < 2; i++) {
        if ((st = m3_check_rank(node, i, 2, M3_MAX_RANK, err)) != M3_OK) return st;
        if ((st = m3_check_attr(node, i, 0, 1, err)) != M3_OK) return st;
    }
    sizes s = read_sizes(node);
    if (s.k != s.k_of_b)
        return M3_FAIL_NODE(err, node, "a %s%s sums over %llu elements, b %s%s over %llu; make them equal",
                            M3_SHAPE_TEXT(&a->shape), s.transpose_a ? " transposed" : "", (unsigned long long)s.k,
                            M3_SHAPE_TEXT(&b->shape), s.transpose_b ? " transposed" : "", (unsigned long long)s.k_of_b);
    m3_shape lead_a = lead_of(&a->shape), lead_b = lead_of(&b->shape);
    if (!m3_shape_merge(&lead_a, &lead_b, &out->shape))
        return M3_FAIL_NODE(err, node, "the leading axes of a %s and b %s do not broadcast; make extents equal or 1",
                            M3_SHAPE_TEXT(&a->shape), M3_SHAPE_TEXT(&b->shape));
    out->dtype = a->dtype;
    out->shape.dim[out->shape.rank++] = s.m;
    out->shape.dim[out->shape.rank++] = s.n;
    return m3_check_count(node, &out->shape, err);
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_tensor *x = node->in[0], *w = node->in[1];
    sizes s = read_sizes(node);
    m3_tensor *da =
        s.transpose_a ? m3_matmul(b, w, dy[0], s.transpose_b, true) : m3_matmul(b, dy[0], w, false, !s.transpose_b);
    m3_tensor *db =
        s.transpose_b ? m3_matmul(b, dy[0], x, true, s.transpose_a) : m3_matmul(b, x, dy[0], !s.transpose_a, false);
    dx[0] = m3_sum_to(b, da, &x->shape);
    dx[1] = m3_sum_to(b, db, &w->shape);
}

static void multiply(const sizes *s, const double *a, const double *b, double *y)
{
    uint64_t am = s->transpose_a ? 1 : s->k, ak = s->transpose_a ? s->m : 1;
    uint64_t bk = s->transpose_b ? 1 : s->n, bn = s->transpose_b ? s->k : 1;
    for (uint64_t m = 0; m < s->m; m++) {
        for (uint64_t n = 0; n < s->n; n++) {
            double sum = 0.0;
            for (uint64_t k = 0; k < s->k; k++) sum += a[m * am + k * ak] * b[k * bk + n * bn];
            y[m * s->n + n] = sum;
        }
    }
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    sizes s = read_sizes(node);
    m3_shape lead = lead_of(&node->out[0]->shape);
    m3_shape lead_a = lead_of(&node->in[0]->shape), lead_b = lead_of(&node->in[1]->shape);
    uint64_t count = m3_shape_count(&lead);
    m3_iterator it = m3_iterator_over(&lead);
    m3_iterator_add(&it, &lead_a);
    m3_iterator_add(&it, &lead_b);
    for (uint64_t i = 0; i < count; i++, m3_iterator_next(&it))
        multiply(&s, in[0] + it.index[0] * s.m * s.k, in[1] + it.index[1] * s.k * s.n, out[0] + i * s.m * s.n);
    return M3_OK;
}

static uint64_t flops(const m3_node *node)
{
    return 2 * m3_tensor_count(node->out[0]) * read_sizes(node).k;
}

static const m3_attr_desc attrs[] = {{"transpose_a", M3_ATTR_INT}, {"transpose_b", M3_ATTR_INT}};

const m3_op m3_op_matmul = {
    .size = M3_OP_SIZE,
    .name = "matmul",
    .doc = &doc,
    .min_inputs = 2,
    .max_inputs = 2,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 2,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
    .flops = flops,
    .halves = 1u << M3_MATMUL_A | 1u << M3_MATMUL_B,
};
