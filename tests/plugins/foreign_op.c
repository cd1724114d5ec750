/* foreign_op: an expert whose custom op does not carry the expert's name. */
#include "odd.h"

static const m3_op ops[] = {{.size = M3_STRUCT_SIZE(m3_op, zero_gradient), .name = "matmul"}};

static const m3_module_api api = {
    .size = M3_STRUCT_SIZE(m3_module_api, build), .ops = {1, sizeof ops[0], ops}, .build = odd_build};

static const m3_plugin plugin = {ODD_PLUGIN("foreign_op")};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
