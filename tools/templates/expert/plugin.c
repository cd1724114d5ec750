/* @NAME@: an expert, which turns a sequence of vectors into one interest.
 *   v = sum of x_l over valid l / their number
 *   y = LN(v + ffn2 ReLU(ffn1 v)), and 0 for an empty sequence
 *   x f32 [*, n, L, d], mask bool [*, n, L]  ->  y f32 [*, n, d]
 * A mean does not see the order of a sequence: that is the first thing to improve on. */
#include <m3bsr/blocks.h>
#include <m3bsr/plugin.h>

/* Keys of the configuration that this expert reads. The host checks every value and hands over canonical text, which
 * m3_option_int(), _float(), _bool() and _choice() read. A key that others declare too, such as ffn_mult, is shared
 * with them; a key of your own starts with the plugin's name. */
static const m3_option_desc options[] = {
    M3_DESCRIBE_INT("@NAME@_mult", 1, 16, "2", "hidden width of the feed-forward, in multiples of width"),
};

/* Appends the formula to a graph; nothing is computed here, and gradients follow from the ops. The builder keeps its
 * first error and then gives NULLs, which its functions pass on, so a formula needs no checks. What is read from a
 * tensor here, as mask->shape is, must be there first. */
static m3_tensor *build(m3_builder *b, const m3_module_args *args, m3_tensor *x, m3_tensor *mask, uint32_t group)
{
    (void)group; /* a grouped builder gives parameters [G, ...], and the blocks know both forms */
    if (x == NULL || mask == NULL) return NULL;
    uint64_t hidden = (uint64_t)args->width * (uint64_t)m3_option_int(args, "@NAME@_mult");

    m3_tensor *valid = m3_cast(b, mask, x->dtype); /* x's type, so that it also builds in double precision */
    m3_tensor *sum = m3_reduce_sum(b, m3_mul(b, x, m3_block_column(b, valid)), -2, M3_DROP); /* [*, n, d] */
    m3_tensor *count = m3_reduce_sum(b, valid, -1, M3_KEEP);                                 /* [*, n, 1] */
    m3_tensor *v = m3_div(b, sum, m3_max(b, count, m3_scalar_like(b, x, 1.0)));

    /* Parameters: ffn1.weight, ffn1.bias, ffn2.weight, ffn2.bias, norm.weight, norm.bias. */
    m3_tensor *y = m3_block_norm(b, "norm", m3_add(b, v, m3_dropout(b, m3_block_ffn(b, v, hidden))));
    return m3_mul(b, y, m3_block_any(b, mask, x));
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
    .kind = M3_PLUGIN_EXPERT,
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
