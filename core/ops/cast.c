/* cast: another type. */
#include "core/ops/common/rules.h"

#include <math.h>

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("Type of y, as m3_dtype numbers it."),
    .summary = "Another type",
    .types = "x, y: any type",
    .shapes = "x [...] -> y [...]",
    .formula = "float to integer: x without its fraction, or the nearest end of the range\n"
               "integer to integer: the low bits of x\n"
               "to bool: x != 0; from bool: 0 or 1\n"
               "to a float: the nearest value",
    .gradient = "dx = dy as the type of x where x and y are floats; else none passes",
    .special = "NaN gives 0 as an integer and true as a bool. An infinity gives the end of an integer's range and "
               "stays infinite as a float; what is beyond a float's range gives an infinity.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    m3_status st = m3_check_type(node, 0, M3_TYPES_ANY, err);
    if (st == M3_OK) st = m3_check_attr(node, 0, M3_F32, M3_F64, err);
    if (st != M3_OK) return st;
    *out = (m3_tensor_desc){(m3_dtype)node->attr[0].i[0], node->in[0]->shape};
    return M3_OK;
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_dtype from = node->in[0]->dtype;
    if (m3_dtype_is_float(from) && m3_dtype_is_float(node->out[0]->dtype)) dx[0] = m3_cast(b, dy[0], from);
}

static double clamp(double x, double min, double max)
{
    if (isnan(x)) return 0.0;
    x = trunc(x);
    return x < min ? min : x > max ? max : x;
}

static double convert(double x, m3_dtype from, m3_dtype to)
{
    bool whole = !m3_dtype_is_float(from);
    switch (to) {
    case M3_I32: return whole ? (double)(int32_t)(uint32_t)(int64_t)x : clamp(x, INT32_MIN, INT32_MAX);
    case M3_U32: return whole ? (double)(uint32_t)(int64_t)x : clamp(x, 0, UINT32_MAX);
    case M3_U8: return whole ? (double)(uint8_t)(int64_t)x : clamp(x, 0, UINT8_MAX);
    case M3_BOOL: return x != 0.0 ? 1.0 : 0.0;
    case M3_F32:
    case M3_F16:
    case M3_BF16:
    case M3_F64: break; /* whoever stores the result rounds it */
    }
    return x;
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    uint64_t count = m3_tensor_count(node->out[0]);
    m3_dtype from = node->in[0]->dtype, to = node->out[0]->dtype;
    for (uint64_t i = 0; i < count; i++) out[0][i] = convert(in[0][i], from, to);
    return M3_OK;
}

static const m3_attr_desc attrs[] = {{"dtype", M3_ATTR_INT}};

const m3_op m3_op_cast = {
    .size = M3_OP_SIZE,
    .name = "cast",
    .doc = &doc,
    .flags = M3_OP_ELEMENTWISE,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 1,
    .infer = infer,
    .gradient = gradient,
    .evaluate = evaluate,
};
