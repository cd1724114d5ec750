/* recency: an expert written outside the project, from the installed headers alone.
 *   v = sum_l w_l x_l / sum_l w_l,  w_l = exp(-decay (L-1-l)) where mask_l, else 0
 *   y = W v + c, and 0 for an empty sequence
 *   x f32 [*, n, L, d], mask bool [*, n, L]  ->  y f32 [*, n, d] */
#include <m3bsr/builder.h>
#include <m3bsr/plugin.h>

static const m3_option_desc options[] = {
    M3_DESCRIBE_FLOAT("recency_decay", 0.0, 10.0, "0.5", "how fast the weight of an older item falls, per position"),
};

static m3_tensor *build(m3_builder *b, const m3_module_args *args, m3_tensor *x, m3_tensor *mask, uint32_t group)
{
    (void)group; /* a grouped builder gives grouped parameters, and m3_linear knows both forms */
    if (x == NULL || mask == NULL) return NULL;
    m3_shape weight = m3_shape_of(2, (const uint64_t[]){args->width, args->width}), bias = M3_SHAPE(args->width);
    m3_shape column = mask->shape; /* [*, n, L, 1] */
    column.dim[column.rank++] = 1;
    int last = (int)mask->shape.rank - 1;
    double newest = (double)mask->shape.dim[last] - 1.0;
    double decay = m3_option_float(args, "recency_decay");

    m3_tensor *zero = m3_scalar_like(b, x, 0.0), *tiny = m3_scalar_like(b, x, 1e-30);

    m3_tensor *position = m3_cast(b, m3_iota(b, mask->shape, last), x->dtype);
    m3_tensor *age = m3_sub(b, m3_scalar_like(b, x, newest), position);
    m3_tensor *fading = m3_exp(b, m3_mul(b, age, m3_scalar_like(b, x, -decay)));
    m3_tensor *w = m3_reshape(b, m3_where(b, mask, fading, zero), column);
    m3_tensor *total = m3_reduce_sum(b, w, -2, M3_DROP); /* [*, n, 1] */
    m3_tensor *v = m3_div(b, m3_reduce_sum(b, m3_mul(b, x, w), -2, M3_DROP), m3_max(b, total, tiny));

    m3_tensor *y = m3_linear(b, v, m3_parameter(b, "weight", &weight, (m3_init){M3_INIT_NORMAL, 0.02f, 0}),
                             m3_parameter(b, "bias", &bias, (m3_init){M3_INIT_CONSTANT, 0.0f, 0}));
    return m3_where(b, m3_less(b, zero, total), y, zero);
}

static const m3_module_api api = {
    .size = M3_STRUCT_SIZE(m3_module_api, build),
    .options = {.count = 1, .stride = sizeof options[0], .data = options},
    .build = build,
};

static const m3_plugin plugin = {
    .size = M3_STRUCT_SIZE(m3_plugin, table),
    .magic = M3_PLUGIN_MAGIC,
    .abi_major = M3_ABI_MAJOR,
    .abi_minor = M3_ABI_MINOR,
    .kind = M3_PLUGIN_EXPERT,
    .name = "recency",
    .version = "1.0",
    .build = "test of the installation",
    .table = &api,
};

const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
