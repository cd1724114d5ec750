/* broken_encoder: an encoder that is right by default and wrong in one way for each other choice of its option
 * `encoder_fault`. y = proj x */
#include "m3bsr/blocks.h"
#include "m3bsr/plugin.h"

static const char faults[] =
    "none|wrong_width|drops_axis|next_row|reads_padding|not_finite|unused|detached|missing_pop";
enum fault { NONE, WRONG_WIDTH, DROPS_AXIS, NEXT_ROW, READS_PADDING, NOT_FINITE, UNUSED, DETACHED, MISSING_POP };

static const m3_option_desc options[] = {
    M3_DESCRIBE_CHOICE("encoder_fault", faults, "none", "what is wrong"),
};

static m3_tensor *build(m3_builder *b, const m3_module_args *args, m3_tensor *x, m3_tensor *mask, uint32_t group)
{
    enum fault fault = (enum fault)m3_option_choice(args, "encoder_fault", faults);
    m3_shape shape = M3_SHAPE(4);
    (void)group;
    if (fault == MISSING_POP) m3_push(b, "body");
    if (fault == UNUSED) (void)m3_parameter(b, "more", &shape, m3_init_constant(1));
    m3_tensor *y = m3_block_linear(b, "proj", x, args->width + (fault == WRONG_WIDTH), M3_ACT_NONE);
    if (y == NULL) return NULL;
    if (fault == DROPS_AXIS) y = m3_reduce_sum(b, y, -2, M3_DROP);
    if (fault == NEXT_ROW) y = m3_add(b, y, m3_reduce_sum(b, m3_reduce_max(b, y, -2, M3_KEEP), -3, M3_KEEP));
    if (fault == READS_PADDING) y = m3_sub(b, y, m3_reduce_max(b, y, -2, M3_KEEP));
    if (fault == DETACHED) y = m3_detach(b, y);
    if (fault == NOT_FINITE) y = m3_div(b, y, m3_block_column(b, m3_cast(b, mask, y->dtype)));
    return y;
}

static const m3_module_api api = {
    .size = M3_STRUCT_SIZE(m3_module_api, build),
    .options = {.count = sizeof options / sizeof options[0], .stride = sizeof options[0], .data = options},
    .build = build,
};

static const m3_plugin plugin = {
    .size = M3_STRUCT_SIZE(m3_plugin, table),
    .magic = M3_PLUGIN_MAGIC,
    .abi_major = M3_ABI_MAJOR,
    .abi_minor = M3_ABI_MINOR,
    .kind = M3_PLUGIN_ENCODER,
    .name = "broken_encoder",
    .version = "0.1",
    .build = "test",
    .table = &api,
};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
