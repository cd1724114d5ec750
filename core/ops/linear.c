/* linear: both operands have transpose flags, so the gradient needs no transposed copy of anything. */
#include "core/ops/common/fused.h"
#include "core/ops/common/list.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x", "w", "bias", "residual", "gate"),
    .input_count = 5,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("1: the last two axes of x are exchanged.", "1: the last two axes of w are exchanged.",
                      "0 none, 1 relu, 2 silu, 3 sigmoid, 4 tanh."),
    .summary = "Matrix product with an epilogue",
    .types =
        "x, w, residual, gate, y: f32, f64, f16 or bf16, of one type; bias: the same, or f32 beside 16 bits; sums and "
        "what follows them are f32 there, and y is rounded once",
    .shapes = "x [(G,) M, K], or [(G,) K, M] when transpose_a; w [(G,) K, N], or [(G,) N, K] when transpose_b; bias "
              "[(G,) N], residual [(G,) M, N], gate [(G,) M, N] -> y [(G,) M, N]; all with G or all without",
    .formula = "z_mn = sum over k of x_mk w_kn + bias_n + residual_mn\n"
               "y = act(z) where gate > 0, else 0; what is absent is left out",
    .gradient = "with dz = dy act'(z) where the gate is open, else 0:\n"
                "dx = dz w^T, dw = x^T dz, dbias = sum over m of dz, dresidual = dz; none by gate",
    .special = "NaN and infinities spread as in products and sums, then as in the activation. Under a gate that is "
               "not above 0 or is NaN, y is 0 whatever z is.",
};

enum { BIAS = 2, RESIDUAL = 3, GATE = 4 };

typedef struct sizes {
    bool grouped;
    uint64_t groups, m, n, k, w_groups, w_k;
} sizes;

static sizes sizes_of(const m3_node *node)
{
    const m3_tensor *x = node->in[0], *w = node->in[1];
    bool transpose_a = node->attr[0].i[0] != 0, transpose_b = node->attr[1].i[0] != 0;
    sizes s = {.grouped = x->shape.rank == 3, .groups = 1, .w_groups = 1};
    if (s.grouped) s.groups = x->shape.dim[0], s.w_groups = w->shape.dim[0];
    s.m = m3_extent_back(x, transpose_a ? 1 : 2);
    s.k = m3_extent_back(x, transpose_a ? 2 : 1);
    s.n = m3_extent_back(w, transpose_b ? 2 : 1);
    s.w_k = m3_extent_back(w, transpose_b ? 1 : 2);
    return s;
}

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    const m3_tensor *x = node->in[0], *w = node->in[1];
    const m3_tensor *bias = m3_optional_input(node, BIAS), *residual = m3_optional_input(node, RESIDUAL);
    const m3_tensor *gate = m3_optional_input(node, GATE);
    m3_status st;
    if ((st = m3_want_float_or_half(node, x, "x", 2, err)) != M3_OK) return st;
    if ((st = m3_check_attr(node, 0, 0, 1, err)) != M3_OK) return st;
    if ((st = m3_check_attr(node, 1, 0, 1, err)) != M3_OK) return st;
    if ((st = m3_check_attr(node, 2, M3_ACT_NONE, M3_ACT_TANH, err)) != M3_OK) return st;
    if (x->shape.rank > 3 || w->shape.rank != x->shape.rank || w->dtype != x->dtype)
        return M3_FAIL_NODE(err, node,
                            "x is %s %s and w %s %s; give both 2 axes, or 3 with the group first, in one type",
                            M3_TENSOR_TEXT(x), M3_TENSOR_TEXT(w));
    sizes s = sizes_of(node);
    if (s.w_groups != s.groups)
        return M3_FAIL_NODE(err, node, "x has %llu groups and w %llu; give as many", (unsigned long long)s.groups,
                            (unsigned long long)s.w_groups);
    if (s.w_k != s.k)
        return M3_FAIL_NODE(err, node, "x %s%s has %llu columns and w %s%s has %llu rows; give as many, or transpose",
                            M3_SHAPE_TEXT(&x->shape), node->attr[0].i[0] != 0 ? " transposed" : "",
                            (unsigned long long)s.k, M3_SHAPE_TEXT(&w->shape),
                            node->attr[1].i[0] != 0 ? " transposed" : "", (unsigned long long)s.w_k);
    m3_shape y = s.grouped ? M3_SHAPE(s.groups, s.m, s.n) : M3_SHAPE(s.m, s.n);
    m3_shape row = s.grouped ? M3_SHAPE(s.groups, s.n) : M3_SHAPE(s.n);
    if (bias && (st = m3_want(node, bias, "bias", m3_sum_type(x->dtype), row, "the product", err)) != M3_OK) return st;
    if (residual && (st = m3_want(node, residual, "residual", x->dtype, y, "the product", err)) != M3_OK) return st;
    if (gate && (st = m3_want(node, gate, "gate", x->dtype, y, "the product", err)) != M3_OK) return st;
    *out = m3_desc_of(x->dtype, y);
    return M3_OK;
}

static m3_tensor *product(m3_builder *b, m3_tensor *x, m3_tensor *w, bool transpose_a, bool transpose_b)
{
    m3_tensor *in[5] = {x, w, NULL, NULL, NULL};
    return m3_linear_node(b, in, transpose_a, transpose_b, M3_ACT_NONE);
}

/* dz = dy act'(z) for z = x w + bias + residual. Most activations know their slope from y; a closed gate makes both
 * dy and y zero, so that a gated y serves too. */
static m3_tensor *through_activation(m3_builder *b, const m3_node *node, m3_tensor *dy)
{
    m3_tensor *y = node->out[0];
    switch ((m3_activation)node->attr[2].i[0]) {
    case M3_ACT_RELU: return m3_relu_grad(b, y, dy);
    case M3_ACT_SIGMOID: return m3_mul(b, dy, m3_mul(b, y, m3_one_minus(b, y)));
    case M3_ACT_TANH: return m3_mul(b, dy, m3_one_minus(b, m3_mul(b, y, y)));
    case M3_ACT_SILU: { /* y does not tell z: it falls before it rises */
        m3_tensor *in[5] = {node->in[0], node->in[1], m3_optional_input(node, BIAS), m3_optional_input(node, RESIDUAL),
                            NULL};
        m3_tensor *z = m3_linear_node(b, in, node->attr[0].i[0] != 0, node->attr[1].i[0] != 0, M3_ACT_NONE);
        m3_tensor *s = m3_sigmoid(b, z);
        return m3_mul(b, dy, m3_add(b, s, m3_mul(b, m3_mul(b, z, s), m3_one_minus(b, s))));
    }
    case M3_ACT_NONE: break;
    }
    return dy;
}

/* dx = dz wT and dw = xT dz, each in the layout of what it is the gradient of. Where there is a bias, one op sums dz
 * for it and for w. */
static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_tensor *x = node->in[0], *w = node->in[1], *gate = m3_optional_input(node, GATE);
    bool transpose_a = node->attr[0].i[0] != 0, transpose_b = node->attr[1].i[0] != 0;
    m3_tensor *open = gate != NULL ? m3_relu_grad(b, gate, dy[0]) : dy[0];
    m3_tensor *dz = through_activation(b, node, open);
    dx[0] = transpose_a ? product(b, w, dz, transpose_b, true) : product(b, dz, w, false, !transpose_b);
    if (m3_optional_input(node, BIAS) != NULL) {
        m3_tensor *in[] = {x, dz}, *out[] = {NULL, NULL};
        b->api->emit(b, m3_op_linear_grad_weight.name, in, 2, node->attr, 2, out, 2);
        dx[1] = out[0] != NULL && out[0]->dtype != w->dtype ? m3_cast(b, out[0], w->dtype) : out[0];
        dx[BIAS] = out[1];
    } else {
        dx[1] = transpose_b ? product(b, dz, x, true, transpose_a) : product(b, x, dz, !transpose_a, false);
    }
    if (m3_optional_input(node, RESIDUAL) != NULL) dx[RESIDUAL] = dz;
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    m3_tensor *bias = m3_optional_input(node, BIAS), *residual = m3_optional_input(node, RESIDUAL);
    m3_tensor *gate = m3_optional_input(node, GATE);
    sizes s = sizes_of(node);
    m3_tensor *z = m3_matmul(b, node->in[0], node->in[1], node->attr[0].i[0] != 0, node->attr[1].i[0] != 0);
    if (bias != NULL) z = m3_add(b, z, s.grouped ? m3_reshape(b, bias, M3_SHAPE(s.groups, 1, s.n)) : bias);
    if (residual != NULL) z = m3_add(b, z, residual);
    switch ((m3_activation)node->attr[2].i[0]) {
    case M3_ACT_RELU: z = m3_relu(b, z); break;
    case M3_ACT_SILU: z = m3_silu(b, z); break;
    case M3_ACT_SIGMOID: z = m3_sigmoid(b, z); break;
    case M3_ACT_TANH: z = m3_tanh(b, z); break;
    case M3_ACT_NONE: break;
    }
    y[0] = gate != NULL ? m3_relu_grad(b, gate, z) : z;
}

static uint64_t flops(const m3_node *node)
{
    sizes s = sizes_of(node);
    uint64_t each = 2 * s.k;
    for (uint32_t i = BIAS; i <= GATE; i++) each += m3_optional_input(node, i) != NULL;
    each += node->attr[2].i[0] != M3_ACT_NONE;
    return s.groups * s.m * s.n * each;
}

/* Row m of x, residual and gate makes row m of y. */
static int32_t row_axis(const m3_node *node, uint32_t axis, uint32_t input)
{
    if (axis + 2 != node->out[0]->shape.rank) return M3_ROWS_MIXED;
    if (input == M3_LINEAR_W || input == M3_LINEAR_BIAS) return M3_ROWS_ALL;
    return (int32_t)(input == M3_LINEAR_X && m3_node_flag(node, M3_LINEAR_TRANSPOSE_A) ? axis + 1 : axis);
}

/* A slice of rows of a weight, or elements of a bias: from which, and where. */
typedef struct part {
    m3_tensor *whole;
    uint64_t first, count;
} part;

static bool part_of(m3_tensor *x, uint32_t axis, part *p)
{
    const m3_node *node = x->producer;
    if (node == NULL || node->op != &m3_op_slice) return false;
    const m3_shape *from = &node->in[M3_SLICE_X]->shape;
    for (uint32_t i = 0; i < from->rank; i++)
        if (i != axis && from->dim[i] != x->shape.dim[i]) return false;
    *p = (part){node->in[M3_SLICE_X], (uint64_t)node->attr[M3_SLICE_START].i[axis], x->shape.dim[axis]};
    return true;
}

/* Input `input` of all nodes as one slice, where each is a slice that begins where the one before it ends. */
static m3_tensor *slices_as_one(m3_builder *b, const m3_node *const *nodes, uint32_t count, uint32_t input,
                                uint32_t axis)
{
    part all = {NULL, 0, 0};
    for (uint32_t i = 0; i < count; i++) {
        part p;
        m3_tensor *x = m3_node_input(nodes[i], input);
        if (x == NULL || !part_of(x, axis, &p)) return NULL;
        if (i > 0 && (p.whole != all.whole || p.first != all.first + all.count)) return NULL;
        all = (part){p.whole, i == 0 ? p.first : all.first, all.count + p.count};
    }
    return m3_slice(b, all.whole, (int)axis, all.first, all.count);
}

/* Products of one x by rows of a weight that follow each other. */
static m3_tensor *join(m3_builder *b, const m3_node *const *nodes, uint32_t count)
{
    m3_tensor *in[M3_LINEAR_INPUTS] = {nodes[0]->in[M3_LINEAR_X]};
    const uint32_t rank = in[M3_LINEAR_X]->shape.rank;
    for (uint32_t i = 0; i < count; i++) {
        const m3_node *node = nodes[i];
        const bool plain = !m3_node_flag(node, M3_LINEAR_TRANSPOSE_A) && m3_node_flag(node, M3_LINEAR_TRANSPOSE_B) &&
                           m3_node_int(node, M3_LINEAR_ACTIVATION) == M3_ACT_NONE &&
                           m3_node_input(node, M3_LINEAR_RESIDUAL) == NULL &&
                           m3_node_input(node, M3_LINEAR_GATE) == NULL;
        const bool same_bias =
            (m3_node_input(node, M3_LINEAR_BIAS) != NULL) == (m3_node_input(nodes[0], M3_LINEAR_BIAS) != NULL);
        if (!plain || !same_bias || node->in[M3_LINEAR_X] != in[M3_LINEAR_X]) return NULL;
    }
    in[M3_LINEAR_W] = slices_as_one(b, nodes, count, M3_LINEAR_W, rank - 2);
    if (in[M3_LINEAR_W] == NULL) return NULL;
    if (m3_node_input(nodes[0], M3_LINEAR_BIAS) != NULL) {
        in[M3_LINEAR_BIAS] = slices_as_one(b, nodes, count, M3_LINEAR_BIAS, rank - 2);
        if (in[M3_LINEAR_BIAS] == NULL) return NULL;
    }
    return m3_linear_node(b, in, false, true, M3_ACT_NONE);
}

_Static_assert((int)M3_EPILOGUE_RELU == (int)M3_ACT_RELU && (int)M3_EPILOGUE_TANH == (int)M3_ACT_TANH,
               "activations have one numbering");

/* In the order of the formula: residual, activation, gate. */
static m3_tensor *absorb(m3_builder *b, const m3_node *node, m3_epilogue step, m3_tensor *operand)
{
    m3_tensor *in[M3_LINEAR_INPUTS];
    m3_activation activation = (m3_activation)m3_node_int(node, M3_LINEAR_ACTIVATION);
    for (uint32_t i = 0; i < M3_LINEAR_INPUTS; i++) in[i] = m3_node_input(node, i);
    if (in[M3_LINEAR_GATE] != NULL) return NULL;
    switch (step) {
    case M3_EPILOGUE_RESIDUAL:
        if (in[M3_LINEAR_RESIDUAL] != NULL || activation != M3_ACT_NONE) return NULL;
        in[M3_LINEAR_RESIDUAL] = operand;
        break;
    case M3_EPILOGUE_RELU:
    case M3_EPILOGUE_SILU:
    case M3_EPILOGUE_SIGMOID:
    case M3_EPILOGUE_TANH:
        if (activation != M3_ACT_NONE) return NULL;
        activation = (m3_activation)step;
        break;
    case M3_EPILOGUE_GATE: in[M3_LINEAR_GATE] = operand; break;
    case M3_EPILOGUE_NONE: return NULL;
    }
    return m3_linear_node(b, in, m3_node_flag(node, M3_LINEAR_TRANSPOSE_A), m3_node_flag(node, M3_LINEAR_TRANSPOSE_B),
                          activation);
}

static const m3_attr_desc attrs[] = {
    {"transpose_a", M3_ATTR_INT}, {"transpose_b", M3_ATTR_INT}, {"activation", M3_ATTR_INT}};

const m3_op m3_op_linear = {
    .size = M3_OP_SIZE,
    .name = "linear",
    .doc = &doc,
    .min_inputs = 2,
    .max_inputs = 5,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 3,
    .infer = infer,
    .gradient = gradient,
    .decompose = decompose,
    .flops = flops,
    .row_axis = row_axis,
    .absorb = absorb,
    .join = join,
    .halves = 1u << M3_LINEAR_X | 1u << M3_LINEAR_W | 1u << M3_LINEAR_RESIDUAL | 1u << M3_LINEAR_GATE,
};
