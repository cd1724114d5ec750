/* fine: nothing is wrong with it, and it brings a custom op. */
#include "odd.h"

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    (void)err;
    *out = (m3_tensor_desc){node->in[0]->dtype, node->in[0]->shape};
    return M3_OK;
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    y[0] = m3_mul(b, node->in[0], node->in[0]);
}

static const m3_op ops[] = {{.size = M3_STRUCT_SIZE(m3_op, zero_gradient),
                             .name = "fine.square",
                             .min_inputs = 1,
                             .max_inputs = 1,
                             .outputs = 1,
                             .infer = infer,
                             .decompose = decompose}};

static const m3_module_api api = {
    .size = M3_STRUCT_SIZE(m3_module_api, build), .ops = {1, sizeof ops[0], ops}, .build = odd_build};

static const m3_plugin plugin = {ODD_PLUGIN("fine")};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
