/* broken_op: an expert with custom ops: y = x^2 in several ways, one of which is wrong in each op but the first. */
#include "m3bsr/builder.h"
#include "m3bsr/plugin.h"
#include "square_spirv.h"

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    (void)err;
    out[0] = (m3_tensor_desc){node->in[0]->dtype, node->in[0]->shape};
    return M3_OK;
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    for (uint64_t i = 0; i < m3_tensor_count(node->in[0]); i++) out[0][i] = in[0][i] * in[0][i];
    return M3_OK;
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    y[0] = m3_mul(b, node->in[0], node->in[0]);
}

static void decompose_wrong(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    y[0] = m3_mul(b, node->in[0], m3_abs(b, node->in[0]));
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_tensor *x = node->in[0];
    dx[0] = m3_mul(b, dy[0], m3_add(b, x, x));
}

static void gradient_wrong(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    dx[0] = m3_mul(b, dy[0], node->in[0]);
}

static m3_status in_c(const m3_node *node, const void *const *in, void *const *out, m3_error *err)
{
    const float *x = in[0];
    float *y = out[0];
    (void)err;
    for (uint64_t i = 0; i < m3_tensor_count(node->in[0]); i++) y[i] = x[i] * x[i];
    return M3_OK;
}

static m3_status in_c_wrong(const m3_node *node, const void *const *in, void *const *out, m3_error *err)
{
    const float *x = in[0];
    float *y = out[0];
    (void)err;
    for (uint64_t i = 0; i < m3_tensor_count(node->in[0]); i++) y[i] = x[i] * x[i] * (i == 3 ? 1.001F : 1.0F);
    return M3_OK;
}

#define OPENCL(value)                                                                                                  \
    "__kernel void square(__global const float *x, __global float *y, uint count)\n"                                   \
    "{\n"                                                                                                              \
    "    uint i = get_global_id(0);\n"                                                                                 \
    "    if (i < count) y[i] = " value ";\n"                                                                           \
    "}\n"
static const char in_opencl[] = OPENCL("x[i] * x[i]"), in_opencl_wrong[] = OPENCL("x[i] * x[i ^ 1]");

#define C_KERNEL(function)                                                                                             \
    {                                                                                                                  \
        .size = M3_STRUCT_SIZE(m3_kernel_desc, grid_divide), .language = "c",                                          \
        .code = (const void *)(uintptr_t)(function)                                                                    \
    }
#define OPENCL_KERNEL(text)                                                                                            \
    {                                                                                                                  \
        .size = M3_STRUCT_SIZE(m3_kernel_desc, grid_divide), .language = "opencl-c", .code = (text),                   \
        .code_bytes = sizeof(text), .entry = "square", .grid_divide = {                                                \
            1,                                                                                                         \
            0,                                                                                                         \
            0                                                                                                          \
        }                                                                                                              \
    }
#define SPIRV_KERNEL(divide)                                                                                           \
    {                                                                                                                  \
        .size = M3_STRUCT_SIZE(m3_kernel_desc, grid_divide), .language = "spirv", .code = square_spirv,                \
        .code_bytes = sizeof square_spirv, .entry = "main", .grid_divide = {                                           \
            divide,                                                                                                    \
            0,                                                                                                         \
            0                                                                                                          \
        }                                                                                                              \
    }
static const m3_kernel_desc right[] = {C_KERNEL(in_c), OPENCL_KERNEL(in_opencl), SPIRV_KERNEL(1)};
static const m3_kernel_desc wrong_c[] = {C_KERNEL(in_c_wrong), OPENCL_KERNEL(in_opencl), SPIRV_KERNEL(1)};
static const m3_kernel_desc wrong_opencl[] = {C_KERNEL(in_c), OPENCL_KERNEL(in_opencl_wrong), SPIRV_KERNEL(1)};
static const m3_kernel_desc wrong_spirv[] = {C_KERNEL(in_c), OPENCL_KERNEL(in_opencl), SPIRV_KERNEL(2)}; /* a half */

static const m3_op_case cases[] = {M3_OP_CASE("f32[2,5]", ""), M3_OP_CASE("f32[1000] wide", ""),
                                   M3_OP_CASE("f32[0]", "")};
static const m3_op_case unreadable[] = {M3_OP_CASE("f32[2,", "")};
#define LONG "                                                                                                    "
static const m3_op_case too_long[] = {
    M3_OP_CASE("f32[2]", ""),
    M3_OP_CASE("f32[2] " LONG LONG LONG LONG LONG LONG LONG LONG LONG LONG LONG LONG "normal", "")};

#define SPAN(table)                                                                                                    \
    {                                                                                                                  \
        .count = sizeof(table) / sizeof(table)[0], .stride = sizeof(table)[0], .data = (table)                         \
    }
#define OP(op_name, ...)                                                                                               \
    {                                                                                                                  \
        .size = M3_STRUCT_SIZE(m3_op, cases), .name = "broken_op." op_name, .min_inputs = 1, .max_inputs = 1,          \
        .outputs = 1, .infer = infer, __VA_ARGS__                                                                      \
    }
static const m3_op ops[] = {
    OP("none", .evaluate = evaluate, .decompose = decompose, .gradient = gradient, .kernels = SPAN(right),
       .cases = SPAN(cases)),
    OP("kernels_only", .decompose = decompose, .gradient = gradient, .kernels = SPAN(right), .cases = SPAN(cases)),
    OP("gradient", .evaluate = evaluate, .decompose = decompose, .gradient = gradient_wrong, .kernels = SPAN(right),
       .cases = SPAN(cases)),
    OP("c", .decompose = decompose, .gradient = gradient, .kernels = SPAN(wrong_c), .cases = SPAN(cases)),
    OP("opencl", .evaluate = evaluate, .decompose = decompose, .gradient = gradient, .kernels = SPAN(wrong_opencl),
       .cases = SPAN(cases)),
    OP("spirv", .evaluate = evaluate, .decompose = decompose, .gradient = gradient, .kernels = SPAN(wrong_spirv),
       .cases = SPAN(cases)),
    OP("decomposition", .evaluate = evaluate, .decompose = decompose_wrong, .gradient = gradient,
       .kernels = SPAN(right), .cases = SPAN(cases)),
    OP("unreadable", .decompose = decompose, .cases = SPAN(unreadable)),
    OP("long", .decompose = decompose, .gradient = gradient, .cases = SPAN(too_long)),
    OP("silent", .decompose = decompose),
};

static m3_tensor *build(m3_builder *b, const m3_module_args *args, m3_tensor *x, m3_tensor *mask, uint32_t group)
{
    (void)args, (void)mask, (void)group;
    return m3_emit1(b, "broken_op.none", x);
}

static const m3_module_api api = {.size = M3_STRUCT_SIZE(m3_module_api, build), .ops = SPAN(ops), .build = build};

static const m3_plugin plugin = {
    .size = M3_STRUCT_SIZE(m3_plugin, table),
    .magic = M3_PLUGIN_MAGIC,
    .abi_major = M3_ABI_MAJOR,
    .abi_minor = M3_ABI_MINOR,
    .kind = M3_PLUGIN_EXPERT,
    .name = "broken_op",
    .version = "0.1",
    .build = "test",
    .table = &api,
};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
