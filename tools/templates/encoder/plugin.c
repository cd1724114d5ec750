/* @NAME@: an encoder, which brings the features of a modality to the width of the model.
 *   y = ReLU(proj_h ... ReLU(proj_1 x)),  h = @NAME@_layers     x f32 [*, n, L, D]  ->  y f32 [*, n, L, d]
 * The model adds the positions, normalises, and puts zeros where the mask is false. */
#include <m3bsr/blocks.h>
#include <m3bsr/plugin.h>

/* Keys of the configuration that this encoder reads. The host checks every value and hands over canonical text, which
 * m3_option_int(), _float(), _bool() and _choice() read. A key that others declare too, such as ffn_mult, is shared
 * with them; a key of your own starts with the plugin's name. */
static const m3_option_desc options[] = {
    M3_DESCRIBE_INT("@NAME@_layers", 1, 8, "1", "linear maps, each with a ReLU"),
};

/* Appends the formula to a graph, once for each modality; nothing is computed here, and gradients follow from the ops.
 * The builder keeps its first error and then gives NULLs, which its functions pass on, so a formula needs no checks. */
static m3_tensor *build(m3_builder *b, const m3_module_args *args, m3_tensor *x, m3_tensor *mask, uint32_t group)
{
    (void)mask;  /* padded positions come as zeros, and what is made of them is not used */
    (void)group; /* encoders are not grouped */
    int64_t layers = m3_option_int(args, "@NAME@_layers");
    for (int64_t i = 1; i <= layers; i++) {
        char name[32]; /* parameters: proj1.weight [d, D], proj1.bias [d], proj2.weight [d, d], ... */
        (void)snprintf(name, sizeof name, "proj%lld", (long long)i);
        x = m3_block_linear(b, name, x, args->width, M3_ACT_RELU);
    }
    return x;
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
    .name = "@NAME@",
    .version = "0.1",
    .build = __VERSION__,
    .table = &api,
};

/* The only symbol of a plugin. */
const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
