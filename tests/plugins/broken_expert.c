/* broken_expert: an expert that is right by default and wrong in one way for each other choice of its option `fault`.
 *   y = out(mean over valid l of in(x_l)), and 0 for an empty sequence */
#include "m3bsr/blocks.h"
#include "m3bsr/plugin.h"

static const char faults[] =
    "none|not_zero|not_zero_if_filled|reads_padding|parameters_detached|"
    "input_detached|one_times_zero|unused|renamed|reshaped|missing_pop|extra_pop|too_long|"
    "integers|nothing|next_row|next_group|not_finite|unsteady|wrong_slope|wrong_grouped|wrong_when_long|"
    "wrong_alone|wrong_with_dropout|no_number_at_start|refuses|crashes";
enum fault {
    NONE,
    NOT_ZERO,
    NOT_ZERO_IF_FILLED,
    READS_PADDING,
    PARAMETERS_DETACHED,
    INPUT_DETACHED,
    ONE_TIMES_ZERO,
    UNUSED,
    RENAMED,
    RESHAPED,
    MISSING_POP,
    EXTRA_POP,
    TOO_LONG,
    INTEGERS,
    NOTHING,
    NEXT_ROW,
    NEXT_GROUP,
    NOT_FINITE,
    UNSTEADY,
    WRONG_SLOPE,
    WRONG_GROUPED, /* as the slope */
    WRONG_WHEN_LONG,
    WRONG_ALONE,
    WRONG_WITH_DROPOUT,
    NO_NUMBER_AT_START,
    REFUSES,
    CRASHES
};

static const m3_option_desc options[] = {
    M3_DESCRIBE_CHOICE("fault", faults, "none", "what is wrong"),
    M3_DESCRIBE_INT("depth", 1, 4, "1", "beyond 3 it refuses what it says it takes"),
    M3_DESCRIBE_INT("nodes", 1, 65536, "1", "at its largest too many to be tried"),
};

/* An op of its own: y = x, with a gradient that is twice too large. */

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    (void)err;
    out[0] = (m3_tensor_desc){node->in[0]->dtype, node->in[0]->shape};
    return M3_OK;
}

static void gradient(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    (void)node;
    dx[0] = m3_add(b, dy[0], dy[0]);
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    for (uint64_t i = 0; i < m3_tensor_count(node->in[0]); i++) out[0][i] = in[0][i];
    return M3_OK;
}

/* y = x, a little off in every other run in single precision. */
static m3_status evaluate_unsteady(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    static unsigned calls;
    double off = node->in[0]->dtype == M3_F32 ? 1e-6 * (double)(calls++ % 2) : 0.0;
    (void)err;
    for (uint64_t i = 0; i < m3_tensor_count(node->in[0]); i++) out[0][i] = in[0][i] * (1.0 + off);
    return M3_OK;
}

static void pass_on(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx)
{
    (void)b;
    (void)node;
    dx[0] = dy[0];
}

static const m3_op ops[] = {
    {.size = M3_STRUCT_SIZE(m3_op, zero_gradient),
     .name = "broken_expert.steep",
     .min_inputs = 1,
     .max_inputs = 1,
     .outputs = 1,
     .infer = infer,
     .gradient = gradient,
     .evaluate = evaluate},
    {.size = M3_STRUCT_SIZE(m3_op, zero_gradient),
     .name = "broken_expert.unsteady",
     .min_inputs = 1,
     .max_inputs = 1,
     .outputs = 1,
     .infer = infer,
     .gradient = pass_on,
     .evaluate = evaluate_unsteady},
};

/* The expert. */

/* The mean over axis `axis` of x, added to all of it: each entry depends on its neighbours. */
static m3_tensor *mix(m3_builder *b, m3_tensor *x, int axis)
{
    return x == NULL ? NULL : m3_add(b, x, m3_reduce_sum(b, x, axis, M3_KEEP));
}

static void declare_more(m3_builder *b, enum fault fault)
{
    static unsigned builds;
    char name[32];
    m3_shape shape = M3_SHAPE(4 + (fault == RESHAPED ? builds++ % 5 : 0));
    (void)snprintf(name, sizeof name, "more%u", fault == RENAMED ? builds++ : 0);
    (void)m3_parameter(b, name, &shape, m3_init_constant(1));
}

static m3_tensor *mean(m3_builder *b, enum fault fault, m3_tensor *h, m3_tensor *mask)
{
    m3_tensor *valid = m3_block_column(b, m3_cast(b, mask, h->dtype)); /* [*, n, L, 1] */
    if (valid == NULL) return NULL;
    m3_tensor *count = m3_reduce_sum(b, valid, -2, M3_DROP);
    m3_tensor *least = m3_scalar_like(b, h, fault == NOT_FINITE ? 0.0 : 1.0);
    if (fault != READS_PADDING) h = m3_mul(b, h, valid);
    return m3_div(b, m3_reduce_sum(b, h, -2, M3_DROP), m3_max(b, count, least));
}

/* Is the slope wrong in this build? */
static bool is_steep(m3_builder *b, enum fault fault, m3_tensor *y, m3_tensor *x)
{
    const uint64_t length = x->shape.dim[x->shape.rank - 2];
    return fault == WRONG_SLOPE || (fault == WRONG_GROUPED && b->api->group(b) != 0) ||
           (fault == WRONG_WHEN_LONG && length > 5) || (fault == WRONG_ALONE && length == 1) ||
           (fault == WRONG_WITH_DROPOUT && m3_dropout(b, y) != y);
}

/* y + |p|, whose gradient is 0 / 0 at p = 0. */
static m3_tensor *add_norm(m3_builder *b, m3_tensor *y)
{
    m3_shape shape = M3_SHAPE(4);
    m3_tensor *p = m3_parameter(b, "scale", &shape, m3_init_constant(0));
    m3_tensor *norm = m3_sqrt(b, m3_reduce_sum(b, m3_mul(b, p, p), -1, M3_DROP));
    if (b->api->group(b) != 0 && norm != NULL) norm = m3_reshape(b, norm, M3_SHAPE(b->api->group(b), 1, 1));
    return m3_add(b, y, norm);
}

static m3_tensor *finish(m3_builder *b, enum fault fault, m3_tensor *y, m3_tensor *x, m3_tensor *mask)
{
    m3_tensor *some = m3_block_any(b, mask, x);
    if (fault == NOT_ZERO_IF_FILLED) {
        m3_tensor *filled = m3_reduce_max(b, m3_abs(b, m3_reduce_sum(b, x, -1, M3_DROP)), -1, M3_KEEP);
        some = m3_max(b, some, m3_min(b, filled, m3_scalar_like(b, x, 1.0)));
    }
    if (fault == NO_NUMBER_AT_START) y = add_norm(b, y);
    if (fault != NOT_ZERO) y = m3_mul(b, y, some);
    if (fault == ONE_TIMES_ZERO) {
        m3_shape shape = M3_SHAPE(4);
        m3_tensor *p = m3_parameter(b, "never", &shape, m3_init_constant(1));
        m3_tensor *sum = m3_reduce_sum(b, m3_mul(b, p, m3_scalar(b, 0.0F)), -1, M3_DROP);
        if (b->api->group(b) != 0 && sum != NULL) sum = m3_reshape(b, sum, M3_SHAPE(b->api->group(b), 1, 1));
        y = m3_add(b, y, sum);
    }
    if (fault == NEXT_ROW) y = mix(b, y, -2);
    if (fault == NEXT_GROUP && b->api->group(b) != 0) y = mix(b, y, 0);
    if (is_steep(b, fault, y, x)) y = m3_emit1(b, "broken_expert.steep", y);
    if (fault == UNSTEADY) y = m3_emit1(b, "broken_expert.unsteady", y);
    if (fault == TOO_LONG) y = m3_block_column(b, y);
    if (fault == INTEGERS) y = m3_cast(b, y, M3_I32);
    return fault == NOTHING ? NULL : y;
}

static m3_tensor *map(m3_builder *b, enum fault fault, const char *name, m3_tensor *x, uint64_t out, m3_activation act)
{
    if (x == NULL) return NULL;
    m3_block_map map = m3_block_map_of(b, name, out, x->shape.dim[x->shape.rank - 1]);
    if (fault == PARAMETERS_DETACHED) {
        map.weight = m3_detach(b, map.weight);
        map.bias = m3_detach(b, map.bias);
    }
    return m3_linear_act(b, x, map.weight, map.bias, act);
}

static m3_tensor *build(m3_builder *b, const m3_module_args *args, m3_tensor *x, m3_tensor *mask, uint32_t group)
{
    enum fault fault = (enum fault)m3_option_choice(args, "fault", faults);
    (void)group;
    if (x->shape.rank == 0) return NULL; /* it is never called without x */
    if (fault == CRASHES) abort();
    if (fault == REFUSES || m3_option_int(args, "depth") > 3) b->api->fail(b, M3_ERR_RANGE, "depth must be below 4");
    if (fault == UNUSED || fault == RENAMED || fault == RESHAPED) declare_more(b, fault);
    if (fault == EXTRA_POP) m3_pop(b);
    m3_push(b, "body");
    m3_tensor *h = map(b, fault, "in", fault == INPUT_DETACHED ? m3_detach(b, x) : x, args->width, M3_ACT_TANH);
    if (h == NULL) return NULL;
    h = map(b, fault, "out", mean(b, fault, h, mask), args->width, M3_ACT_NONE);
    if (fault != MISSING_POP) m3_pop(b);
    for (int64_t i = 1, nodes = m3_option_int(args, "nodes"); i < nodes; i++) h = m3_neg(b, m3_neg(b, h));
    return finish(b, fault, h, x, mask);
}

static const m3_module_api api = {
    .size = M3_STRUCT_SIZE(m3_module_api, build),
    .options = {.count = sizeof options / sizeof options[0], .stride = sizeof options[0], .data = options},
    .ops = {.count = sizeof ops / sizeof ops[0], .stride = sizeof ops[0], .data = ops},
    .build = build,
};

static const m3_plugin plugin = {
    .size = M3_STRUCT_SIZE(m3_plugin, table),
    .magic = M3_PLUGIN_MAGIC,
    .abi_major = M3_ABI_MAJOR,
    .abi_minor = M3_ABI_MINOR,
    .kind = M3_PLUGIN_EXPERT,
    .name = "broken_expert",
    .version = "0.1",
    .build = "test",
    .table = &api,
};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
