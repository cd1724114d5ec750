/* @NAME@: an op of its own, y = x / (1 + |x|), and an expert that uses it:
 *   y = softsign(W mean of valid x + c), and 0 for an empty sequence
 *   x f32 [*, n, L, d], mask bool [*, n, L]  ->  y f32 [*, n, d] */
#include <m3bsr/blocks.h>
#include <m3bsr/plugin.h>

#include <math.h>

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    const m3_tensor *x = node->in[0];
    if (x->dtype != M3_F32 && x->dtype != M3_F64)
        return M3_FAIL_NODE(err, node, "x is %s; give f32", m3_dtype_name(x->dtype));
    out[0] = (m3_tensor_desc){x->dtype, x->shape};
    return M3_OK;
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    for (uint64_t i = 0; i < m3_tensor_count(node->in[0]); i++) out[0][i] = in[0][i] / (1.0 + fabs(in[0][i]));
    return M3_OK;
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    m3_tensor *x = node->in[0];
    y[0] = m3_div(b, x, m3_add(b, m3_abs(b, x), m3_scalar_like(b, x, 1.0)));
}

/* dy/dx = 1 / (1 + |x|)^2 */
static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    m3_tensor *x = node->in[0];
    m3_tensor *s = m3_add(b, m3_abs(b, x), m3_scalar_like(b, x, 1.0));
    dx[0] = m3_div(b, dy[0], m3_mul(b, s, s));
}

/* For the processor, backend cpu. Only f32 comes here: infer allows f64 for the reference, which has no use for it. */
static m3_status in_c(const m3_node *node, const void *const *in, void *const *out, m3_error *err)
{
    const float *x = in[0];
    float *y = out[0];
    (void)err;
    for (uint64_t i = 0; i < m3_tensor_count(node->in[0]); i++) y[i] = x[i] / (1.0f + fabsf(x[i]));
    return M3_OK;
}

/* For backend opencl: inputs, outputs, the number of elements of the output, then the attributes, of which it has none.
 * The grid is rounded up to whole work-groups, so an item may have nothing to do. */
static const char in_opencl[] = "__kernel void softsign(__global const float *x, __global float *y, uint count)\n"
                                "{\n"
                                "    uint i = get_global_id(0);\n"
                                "    if (i < count) y[i] = x[i] / (1.0f + fabs(x[i]));\n"
                                "}\n";

static const m3_kernel_desc kernels[] = {
    {.size = M3_STRUCT_SIZE(m3_kernel_desc, grid_divide), .language = "c", .code = (const void *)(uintptr_t)in_c},
    {.size = M3_STRUCT_SIZE(m3_kernel_desc, grid_divide),
     .language = "opencl-c",
     .code = in_opencl,
     .code_bytes = sizeof in_opencl,
     .entry = "softsign",
     .grid_divide = {1, 0, 0}},
};

/* Sizes 0, 1, odd, and beyond one work-group; another rank; large numbers. */
static const m3_op_case cases[] = {
    M3_OP_CASE("f32[3,5]", ""),  M3_OP_CASE("f32[1]", ""),       M3_OP_CASE("f32[0]", ""),
    M3_OP_CASE("f32[1031]", ""), M3_OP_CASE("f32[70] wide", ""), M3_OP_CASE("f32[2,3,2,2]", ""),
};

static const m3_op ops[] = {{
    .size = M3_STRUCT_SIZE(m3_op, cases),
    .name = "@NAME@.softsign",
    .flags = M3_OP_ELEMENTWISE | M3_OP_INPLACE,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .infer = infer,
    .gradient = gradient,
    .decompose = decompose,
    .evaluate = evaluate,
    .kernels = {.count = sizeof kernels / sizeof kernels[0], .stride = sizeof kernels[0], .data = kernels},
    .cases = {.count = sizeof cases / sizeof cases[0], .stride = sizeof cases[0], .data = cases},
}};

static m3_tensor *build(m3_builder *b, const m3_module_args *args, m3_tensor *x, m3_tensor *mask, uint32_t group)
{
    (void)group;
    m3_tensor *valid = m3_cast(b, mask, x->dtype);
    m3_tensor *sum = m3_reduce_sum(b, m3_mul(b, x, m3_block_column(b, valid)), -2, M3_DROP);
    m3_tensor *count = m3_max(b, m3_reduce_sum(b, valid, -1, M3_KEEP), m3_scalar_like(b, x, 1.0));
    m3_tensor *y = m3_block_linear(b, "map", m3_div(b, sum, count), args->width, M3_ACT_NONE);
    return m3_mul(b, m3_emit1(b, "@NAME@.softsign", y), m3_block_any(b, mask, x));
}

static const m3_module_api api = {
    .size = M3_STRUCT_SIZE(m3_module_api, build),
    .ops = {.count = sizeof ops / sizeof ops[0], .stride = sizeof ops[0], .data = ops},
    .build = build,
};

static const m3_plugin plugin = {
    .size = M3_STRUCT_SIZE(m3_plugin, table),
    .magic = M3_PLUGIN_MAGIC,
    .abi_major = M3_ABI_MAJOR,
    .abi_minor = M3_ABI_MINOR,
    .kind = M3_PLUGIN_EXPERT,
    .name = "@NAME@",
    .version = "0.1",
    .build = __VERSION__,
    .table = &api,
};

const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
