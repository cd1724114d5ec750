/* global_norm: norm of many tensors as of one. */
#include "core/ops/common/fused.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("g"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .summary = "Norm of many tensors as of one",
    .types = "g_i, y: f32 or f64, of one type",
    .shapes = "g_i [...], any number of tensors -> y []",
    .formula = "y = sqrt(sum over i of the sum of g_i^2)",
    .gradient = "dg_i = g_i dy / y; 0 where y = 0",
    .special = "NaN gives NaN, an infinity gives infinity, and so does a square that overflows.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    m3_dtype dtype = node->in[0]->dtype;
    m3_status st;
    if ((st = m3_want_float(node, node->in[0], "input 0", 0, err)) != M3_OK) return st;
    for (uint32_t i = 1; i < node->in_count; i++) {
        const m3_tensor *g = node->in[i];
        if (g == NULL) return M3_FAIL_NODE(err, node, "input %u of %u is missing; leave it out", i, node->in_count);
        if (g->dtype != dtype)
            return M3_FAIL_NODE(err, node, "input 0 is %s and input %u is %s %s; cast it", m3_dtype_name(dtype), i,
                                M3_TENSOR_TEXT(g));
    }
    *out = m3_desc_of(dtype, m3_shape_of(0, NULL));
    return M3_OK;
}

/* dg = g dy / y; where all is 0 the smallest slope, 0, is taken. */
static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_tensor *y = node->out[0], *zero = m3_zero_like(b, y);
    m3_tensor *slope = m3_where(b, m3_equal(b, y, zero), zero, m3_div(b, dy[0], y));
    for (uint32_t i = 0; i < node->in_count; i++) dx[i] = m3_mul(b, node->in[i], slope);
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    m3_tensor *sum = NULL;
    for (uint32_t i = 0; i < node->in_count; i++) {
        m3_tensor *part = m3_sum_all(b, m3_mul(b, node->in[i], node->in[i]));
        sum = sum == NULL ? part : m3_add(b, sum, part);
    }
    y[0] = m3_sqrt(b, sum);
}

static uint64_t flops(const m3_node *node)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < node->in_count; i++) count += m3_tensor_count(node->in[i]);
    return 2 * count;
}

const m3_op m3_op_global_norm = {
    .size = M3_OP_SIZE,
    .name = "global_norm",
    .doc = &doc,
    .min_inputs = 1,
    .max_inputs = UINT32_MAX,
    .outputs = 1,
    .infer = infer,
    .gradient = gradient,
    .decompose = decompose,
    .flops = flops,
};
