/* rules_fused: cases of norms, softmax, recurrent cells, losses and optimizers. */
#include "core/conformance/rules.h"

#include "m3bsr/builder.h"
#include "m3bsr/ops.h"

static const m3_bound function = {1e-6, 3e-6, 0, "an elementary function and a few roundings"};
/* dy (h - n) z (1 - z): near 1, what z is off by is more than of itself in 1 - z, and h magnifies it. */
static const m3_bound gates = {1e-6, 3e-6, 1e-6, "elementary functions; what a gate is off by, magnified by the state"};
static const m3_bound norm = {1e-5, 0, 1e-5,
                              "two means, a root, a division; a small spread magnifies the first mean's error"};
static const m3_bound loss = {4e-6, 0, 5e-6, "exponentials and a logarithm; the inputs' own rounding on top"};
static const m3_bound root = {1.2e-38, 2e-6, 0, "squares have one sign, so roundings stay relative"};
static const m3_bound step = {1e-7, 1e-6, 0, "a dozen roundings an element"};

static uint64_t last_axis(const m3_node *node)
{
    const m3_shape *x = &node->in[0]->shape;
    return x->rank > 0 ? x->dim[x->rank - 1] : 1;
}

static uint64_t all_elements(const m3_node *node)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < node->in_count; i++) count += m3_tensor_count(node->in[i]);
    return count;
}

/* Sums over the rows of a group, and along a row. */
static uint64_t rows_and_width(const m3_node *node)
{
    const uint64_t width = last_axis(node);
    return width > 0 ? m3_tensor_count(node->in[0]) / width + width : 1;
}

/* layer_norm, layer_norm_grad, layer_norm_grad_add. */

static bool norm_adds(const m3_case_maker *m)
{
    return m->op->min_inputs == M3_LAYER_NORM_GRAD_ADD_INPUTS;
}

/* x of extents lead + d; gamma and what goes with it of group + d. */
static const char *norm_case(m3_case_maker *m, const char *lead, const char *group, uint32_t d, const char *words)
{
    const bool grad = m->op->outputs > 1;
    const char *residual = norm_adds(m) ? m3_make_text(m, "; f32[%s%u]", lead, d) : "";
    return m3_make_text(m, "f32[%s%u]%s; f32[%s%u]; f32[%s%u]%s", lead, d, words, group, d, grad ? lead : group, d,
                        residual);
}

static void make_norm(m3_case_maker *m, const m3_op_rules *of)
{
    static const char *const lead[] = {"", "3,", "2,3,", "2,3,2,", "2,3,2,2,", "2,3,2,1,2,"};
    static const char *const eps[] = {"1e-12", "1e-5", "0.1", "10"};
    enum { LEADS = sizeof lead / sizeof lead[0] };
    (void)of;
    m3_make_rule_gradients(m, M3_RULE_RANK);
    for (uint32_t i = 0; i < LEADS; i++) m3_make(m, "1e-3", norm_case(m, lead[i], "", 5, ""));
    m3_make(m, "1e-3", norm_case(m, "3,", "3,", 5, ""));
    for (uint32_t i = 2; i < LEADS; i++) m3_make(m, "1e-3", norm_case(m, lead[i], "2,", 5, ""));
    m3_make_rule_gradients(m, M3_RULE_SQUARE);
    m3_make(m, "1e-3", norm_case(m, "7,", "", 7, ""));
    m3_make(m, "1e-3", norm_case(m, "5,", "5,", 5, ""));
    m3_make(m, "1e-3", norm_case(m, "5,5,", "5,", 5, ""));
    m3_make_rule_gradients(m, M3_RULE_ATTRIBUTE);
    for (size_t i = 0; i < sizeof eps / sizeof eps[0]; i++) m3_make(m, eps[i], norm_case(m, "3,", "", 9, ""));
    m3_make_rule(m, M3_RULE_DTYPE);
    m3_make(m, "1e-5", norm_case(m, "3,", "", 33, ""));
    m3_make_halves(m, "1e-5", norm_case(m, "3,", "", 33, ""));
    m3_make_halves(m, "1e-5", norm_case(m, "2,5,", "2,", 7, ""));
    m3_make_halves(m, "1e-3", norm_case(m, "65,", "", 129, " mean 3"));
    m3_make_halves(m, "1e-5", norm_case(m, "3,", "", 34, ""));
    m3_make_halves(m, "1e-5", norm_case(m, "2,5,", "2,", 8, ""));
    m3_make_halves(m, "1e-3", norm_case(m, "65,", "", 258, " mean 3"));
    m3_make_halves(m, "1e-5", norm_case(m, "1030,", "", 6, ""));
    m3_make_rule(m, M3_RULE_SIZE);
    for (uint32_t i = 0; i < m3_make_size_count; i++) {
        const uint32_t n = m3_make_sizes[i];
        const char *rows = m3_make_text(m, "%u,", n), *grouped = m3_make_text(m, "2,%u,", n);
        m3_make(m, "1e-5", norm_case(m, rows, "", 9, ""));
        m3_make(m, "1e-5", norm_case(m, grouped, "2,", 9, ""));
        m3_make(m, "1e-5", norm_case(m, m3_make_text(m, "%u,2,", n), rows, 9, ""));
        if (n > 1) m3_make(m, "1e-5", norm_case(m, "3,", "", n, ""));
        if (n > 1) m3_make(m, "1e-5", norm_case(m, "2,3,", "2,", n, ""));
        m->full = true;
        for (uint32_t k = 2; k < m3_make_size_count; k++) {
            m3_make(m, "1e-5", norm_case(m, rows, "", m3_make_sizes[k], ""));
            if (k % 2 == 0) m3_make(m, "1e-5", norm_case(m, grouped, "2,", m3_make_sizes[k], ""));
        }
        m->full = false;
    }
    m3_make_rule(m, M3_RULE_LARGE);
    m3_make(m, "1e-5", norm_case(m, "3,", "", 1025, ""));
    m3_make(m, "1e-5", norm_case(m, "1025,", "", 5, ""));
    m3_make(m, "1e-5", norm_case(m, "1025,2,", "1025,", 3, ""));
    m3_make(m, "1e-5", norm_case(m, "65537,", "", 3, ""));
    m3_make(m, "1e-5", norm_case(m, "2,", "", 65537, " tail 1000"));
    m->full = true;
    m3_make(m, "1e-5", norm_case(m, "2,", "", 65537, ""));
    m3_make(m, "1e-5", norm_case(m, "", "", 1048577, ""));
    m3_make_rule(m, M3_RULE_SPECIAL);
    for (uint32_t i = 0; i < m3_make_special_modest; i++) {
        m3_make(m, "1e-5", norm_case(m, "17,", "", 9, m3_make_special[i]));
        m3_make(m, "1e-5", norm_case(m, "3,17,", "3,", 35, m3_make_special[i]));
        const char *third = m->op->outputs > 1 ? "[17,9]" : "[9]", *last = norm_adds(m) ? "; f32[17,9]" : "";
        m3_make(m, "1e-5", m3_make_text(m, "f32[17,9]; f32[9]%s; f32%s%s", m3_make_special[i], third, last));
        m3_make(m, "1e-5", m3_make_text(m, "f32[17,9]; f32[9]; f32%s%s%s", third, m3_make_special[i], last));
        if (norm_adds(m))
            m3_make(m, "1e-5", m3_make_text(m, "f32[17,9]; f32[9]; f32[17,9]; f32[17,9]%s", m3_make_special[i]));
    }
}

/* masked_softmax: the mask broadcasts to x. */

static void make_softmax(m3_case_maker *m, const m3_op_rules *of)
{
    static const char *const masks[] = {"", " mask", " true", " false"};
    (void)of;
    for (uint32_t rank = 1; rank <= M3_MAX_RANK; rank++) {
        const m3_shape all = m3_make_extents(rank);
        const char *x = m3_make_shape(m, all);
        m3_make_rule_gradients(m, M3_RULE_RANK);
        for (uint32_t lead = 0; lead <= rank; lead++)
            m3_make(m, "",
                    m3_make_text(m, "f32%s; bool%s", x, m3_make_shape(m, m3_shape_of(rank - lead, all.dim + lead))));
        m3_make_rule_gradients(m, M3_RULE_AXIS);
        for (uint32_t axis = 0; axis < rank; axis++) {
            m3_shape some = all;
            some.dim[axis] = 1;
            m3_make(m, "", m3_make_text(m, "f32%s; bool%s", x, m3_make_shape(m, some)));
        }
    }
    m3_make_rule_gradients(m, M3_RULE_SQUARE);
    m3_make(m, "", "f32[7,7]; bool[7,7]");
    m3_make(m, "", "f32[7,7]; bool[7]");
    m3_make(m, "", "f32[7,7]; bool[7,1]");
    m3_make(m, "", "f32[5,5,5]; bool[5,1,5]");
    m3_make_rule(m, M3_RULE_DTYPE);
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++)
        m3_make(m, "", m3_make_text(m, "f32[5,33]; bool[5,33]%s", masks[i]));
    m3_make_rule(m, M3_RULE_SIZE);
    for (uint32_t i = 0; i < m3_make_size_count; i++) {
        const uint32_t n = m3_make_sizes[i];
        m3_make(m, "", m3_make_text(m, "f32[3,%u]; bool[3,%u]", n, n));
        m3_make(m, "", m3_make_text(m, "f32[%u]; bool[%u]", n, n));
        m3_make(m, "", m3_make_text(m, "f32[%u,9]; bool[%u,9] mask", n, n));
        m3_make(m, "", m3_make_text(m, "f32[%u,9] wide; bool[%u,1]", n, n));
        m->full = true;
        for (uint32_t k = 1; k < m3_make_size_count; k++)
            m3_make(m, "", m3_make_text(m, "f32[%u,%u]; bool[%u,%u]", n, m3_make_sizes[k], n, m3_make_sizes[k]));
        m->full = false;
    }
    m3_make_rule(m, M3_RULE_LARGE);
    m3_make(m, "", "f32[2,1025]; bool[2,1025]");
    m3_make(m, "", "f32[1025,3]; bool[1025,3]");
    m3_make(m, "", "f32[65537,2]; bool[65537,2]");
    m3_make(m, "", "f32[2,65537]; bool[65537]");
    m3_make(m, "", "f32[2,65537] tail 12; bool[65537] true");
    m->full = true;
    m3_make(m, "", "f32[1048577]; bool[1048577]");
    m3_make(m, "", "f32[1048577,1]; bool[1]");
    m3_make_rule(m, M3_RULE_SPECIAL);
    for (uint32_t i = 0; i < m3_make_special_count; i++) {
        if (i + 2 > m3_make_special_count - 1 && i + 1 < m3_make_special_count) continue; /* a row of -inf: not said */
        m3_make(m, "", m3_make_text(m, "f32[33,17]%s; bool[33,17] true", m3_make_special[i]));
        m3_make(m, "", m3_make_text(m, "f32[33,17]%s; bool[33,17] false", m3_make_special[i]));
        if (i < m3_make_special_modest) m3_make(m, "", m3_make_text(m, "f32[9,65]%s; bool[9,65]", m3_make_special[i]));
    }
}

/* gru_cell, gru_cell_grad. */

static const char *cell_case(m3_case_maker *m, const char *lead, uint32_t d, const char *mask)
{
    const bool grad = m->op->outputs > 1;
    const char *state = m3_make_text(m, "f32[%s%u]", lead, d);
    char open[64];
    (void)snprintf(open, sizeof open, "%s", lead);
    for (char *at = open; *at != 0; at++)
        if (*at == ',' && at[1] == 0) *at = 0;
    return m3_make_text(m, "f32[%s%u]; f32[%s%u]; %s; bool[%s]%s%s%s", lead, 3 * d, lead, 3 * d, state, open, mask,
                        grad ? "; " : "", grad ? state : "");
}

static void make_cell(m3_case_maker *m, const m3_op_rules *of)
{
    static const char *const lead[] = {"", "3,", "2,3,", "2,3,2,", "2,1,3,2,", "2,1,2,1,3,"};
    static const char *const masks[] = {"", " true", " false"};
    const bool grad = m->op->outputs > 1;
    (void)of;
    m3_make_rule_gradients(m, M3_RULE_RANK);
    for (size_t i = 0; i < sizeof lead / sizeof lead[0]; i++) m3_make(m, "", cell_case(m, lead[i], 5, ""));
    m3_make_rule_gradients(m, M3_RULE_SQUARE);
    m3_make(m, "", cell_case(m, "3,", 3, ""));
    m3_make(m, "", cell_case(m, "9,", 3, ""));
    m3_make_rule(m, M3_RULE_DTYPE);
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) m3_make(m, "", cell_case(m, "5,", 9, masks[i]));
    m3_make_rule(m, M3_RULE_SIZE);
    for (uint32_t i = 0; i < m3_make_size_count; i++) {
        m3_make(m, "", cell_case(m, "3,", m3_make_sizes[i], ""));
        m3_make(m, "", cell_case(m, m3_make_text(m, "%u,", m3_make_sizes[i]), 5, ""));
        m->full = true;
        for (uint32_t k = 0; k < m3_make_size_count; k++)
            m3_make(m, "", cell_case(m, m3_make_text(m, "%u,", m3_make_sizes[i]), m3_make_sizes[k], ""));
        m->full = false;
    }
    m3_make_rule(m, M3_RULE_LARGE);
    m3_make(m, "", cell_case(m, "3,", 1025, ""));
    m3_make(m, "", cell_case(m, "1025,", 2, ""));
    m3_make(m, "", cell_case(m, "65537,", 1, ""));
    m->full = true;
    m3_make(m, "", cell_case(m, "2,", 65537, ""));
    m3_make(m, "", cell_case(m, "1,", 1048577, ""));
    m3_make_rule(m, M3_RULE_SPECIAL);
    for (uint32_t i = 0; i < m3_make_special_modest; i++) {
        const char *words = m3_make_special[i], *dy = grad ? "; f32[17,5]" : "";
        m3_make(m, "", m3_make_text(m, "f32[17,15]%s; f32[17,15]; f32[17,5]; bool[17]%s", words, dy));
        m3_make(m, "", m3_make_text(m, "f32[17,15]; f32[17,15]%s; f32[17,5]; bool[17]%s", words, dy));
        m3_make(m, "", m3_make_text(m, "f32[17,15]; f32[17,15]; f32[17,5]%s; bool[17]%s", words, dy));
        m3_make(m, "", m3_make_text(m, "f32[17,15]%s; f32[17,15]%s; f32[17,5]; bool[17] false%s", words, words, dy));
    }
}

/* softmax_cross_entropy and its gradient. */

static void make_loss_case(m3_case_maker *m, uint32_t rows, uint32_t classes, const char *words, const char *ids)
{
    const char *last = m->op->min_inputs > 2 ? m3_make_text(m, "; f32[%u]", rows) : "";
    m3_make(m, "", m3_make_text(m, "f32[%u,%u]%s; i32[%u]%s%s", rows, classes, words, rows, ids, last));
}

static const char *classes_of(m3_case_maker *m, uint32_t classes)
{
    return m3_make_text(m, " ids %u", classes);
}

static void make_loss(m3_case_maker *m, const m3_op_rules *of)
{
    (void)of;
    m3_make_rule_gradients(m, M3_RULE_RANK);
    make_loss_case(m, 3, 5, "", " ids 5");
    m3_make_rule_gradients(m, M3_RULE_SQUARE);
    make_loss_case(m, 7, 7, "", " ids 7");
    make_loss_case(m, 17, 17, "", " ids 17");
    m3_make_rule(m, M3_RULE_DTYPE);
    make_loss_case(m, 9, 33, "", " ids 33");
    m3_make_rule(m, M3_RULE_SIZE);
    for (uint32_t i = 0; i < m3_make_size_count; i++) {
        const uint32_t n = m3_make_sizes[i];
        make_loss_case(m, n, 9, "", " ids 9");
        if (n > 0) make_loss_case(m, 5, n, "", classes_of(m, n));
        m->full = true;
        for (uint32_t k = 1; k < m3_make_size_count; k++)
            make_loss_case(m, n, m3_make_sizes[k], "", classes_of(m, m3_make_sizes[k]));
        m->full = false;
    }
    m3_make_rule(m, M3_RULE_LARGE);
    make_loss_case(m, 3, 1025, "", " ids 1025");
    make_loss_case(m, 1025, 3, "", " ids 3");
    make_loss_case(m, 65537, 2, "", " ids 2");
    make_loss_case(m, 2, 65537, "", " ids 65537");
    make_loss_case(m, 2, 65537, " tail 12", " ids 65537");
    m->full = true;
    make_loss_case(m, 1, 1048577, "", " ids 1048577");
    make_loss_case(m, 1048577, 1, "", " ids 1");
    m3_make_rule(m, M3_RULE_INTEGERS);
    make_loss_case(m, 65, 9, "", " edges");
    make_loss_case(m, 65, 9, "", " value 2147483647");
    make_loss_case(m, 65, 9, "", " value -2147483648");
    m3_make_rule(m, M3_RULE_SPECIAL);
    for (uint32_t i = 0; i < m3_make_special_count; i++) {
        if (i < m3_make_special_modest) make_loss_case(m, 33, 17, m3_make_special[i], " ids 17");
        if (i < m3_make_special_modest) make_loss_case(m, 9, 129, m3_make_special[i], " ids 129");
        make_loss_case(m, 9, 7, m3_make_special[i], " value -1");
    }
}

/* global_norm, adamw: any number of tensors. */

static const char *states_of(m3_case_maker *m, const char *shape)
{
    return m3_make_text(m, "f32%s; f32%s; f32%s positive; f32%s", shape, shape, shape, shape);
}

/* One group of inputs after another; adamw begins with step and scale. */
static void make_group(m3_case_maker *m, const char *attrs, uint32_t count, const char *const *shape)
{
    const bool adam = m->op->attr_count > 0;
    const char *text = adam ? "f32[3] step; f32[] scale" : "";
    for (uint32_t i = 0; i < count; i++)
        text = m3_make_text(m, "%s%s%s", text, text[0] != 0 ? "; " : "",
                            adam ? states_of(m, shape[i]) : m3_make_text(m, "f32%s", shape[i]));
    m3_make(m, attrs, text);
}

static const char adam_attrs[] = "0.9; 0.999; 1e-8; 0.01";

static void make_group_special(m3_case_maker *m, const char *attrs)
{
    const bool adam = m->op->attr_count > 0;
    m3_make_rule(m, M3_RULE_SPECIAL);
    for (uint32_t i = 0; i < m3_make_special_modest; i++) {
        const char *words = m3_make_special[i], *x = m3_make_text(m, "f32[65]%s", words);
        if (!adam) {
            m3_make(m, attrs, m3_make_text(m, "f32[129]%s; f32[9]", words));
            m3_make(m, attrs, m3_make_text(m, "f32[9]; f32[33]%s", words));
            continue;
        }
        m3_make(m, attrs, m3_make_text(m, "f32[3] step; f32[] scale; %s; f32[65]; f32[65] positive; f32[65]", x));
        m3_make(m, attrs, m3_make_text(m, "f32[3] step; f32[] scale; f32[65]; %s; f32[65] positive; f32[65]", x));
        m3_make(m, attrs, m3_make_text(m, "f32[3] step; f32[] scale; f32[65]; f32[65]; f32[65] positive; %s", x));
        m3_make(m, attrs, m3_make_text(m, "f32[3] step; f32[] scale -1; f32[65]; f32[65]; f32[65] positive; %s", x));
    }
}

static void make_tensors(m3_case_maker *m, const m3_op_rules *of)
{
    static const char *const many[] = {"[3]", "[2,5]", "[]",  "[0,2]", "[17]", "[3,3]", "[1]", "[33]",
                                       "[7]", "[2,2]", "[9]", "[5]",   "[0]",  "[129]", "[6]", "[65]"};
    static const char *const adam[] = {"0; 0.999; 1e-8; 0.01", "0.9; 0; 1e-8; 0.01", "0.5; 0.5; 1e-8; 0",
                                       "0.9; 0.999; 1; 0", "0.9; 0.999; 1e-8; 0.5"};
    const bool is_adam = m->op->attr_count > 0;
    const char *attrs = is_adam ? adam_attrs : "";
    const uint32_t most = is_adam ? 3 : 16;
    (void)of;
    m3_make_rule_gradients(m, M3_RULE_RANK);
    for (uint32_t rank = 0; rank <= M3_MAX_RANK; rank++)
        make_group(m, attrs, 1, (const char *const[]){m3_make_shape(m, m3_make_extents(rank))});
    m3_make_rule_gradients(m, M3_RULE_SQUARE);
    make_group(m, attrs, 2, (const char *const[]){"[7]", "[7]"});
    make_group(m, attrs, 2, (const char *const[]){"[5,5]", "[5,5]"});
    m3_make_rule_gradients(m, M3_RULE_ATTRIBUTE);
    for (size_t i = 0; is_adam && i < sizeof adam / sizeof adam[0]; i++)
        make_group(m, adam[i], 1, (const char *const[]){"[33]"});
    m3_make_rule_gradients(m, M3_RULE_COUNT);
    for (uint32_t count = 1; count <= most; count++) make_group(m, attrs, count, many);
    m3_make_rule(m, M3_RULE_DTYPE);
    make_group(m, attrs, 1, (const char *const[]){"[33]"});
    m3_make_rule(m, M3_RULE_SIZE);
    for (uint32_t i = 0; i < m3_make_size_count; i++) {
        const char *line = m3_make_text(m, "[%u]", m3_make_sizes[i]),
                   *rows = m3_make_text(m, "[3,%u]", m3_make_sizes[i]);
        make_group(m, attrs, 1, (const char *const[]){line});
        make_group(m, attrs, 2, (const char *const[]){rows, line});
        m->full = true;
        for (uint32_t k = 0; k < m3_make_size_count; k++)
            make_group(m, attrs, 2, (const char *const[]){line, m3_make_text(m, "[%u]", m3_make_sizes[k])});
        m->full = false;
    }
    m3_make_rule(m, M3_RULE_LARGE);
    make_group(m, attrs, 1, (const char *const[]){"[1025]"});
    make_group(m, attrs, 2, (const char *const[]){"[65537]", "[3]"});
    if (!is_adam) make_group(m, attrs, 2, (const char *const[]){"[65537] small", "[3] small"});
    m->full = true;
    make_group(m, attrs, 1, (const char *const[]){"[1048577]"});
    make_group(m, attrs, 2, (const char *const[]){"[9]", "[1048577]"});
    make_group_special(m, attrs);
}

/* adamw_rows. */

static void make_row_step(m3_case_maker *m, const char *attrs, uint32_t count, uint32_t picks, const char *row,
                          const char *ids, const char *words)
{
    const char *table = m3_make_text(m, "f32[%u%s]", count, row);
    m3_make(m, attrs,
            m3_make_text(m, "f32[3] step; f32[] scale; %s; %s; %s positive; i32[%u]%s; f32[%u%s]%s", table, table,
                         table, picks, ids, picks, row, words));
}

static void make_adam_rows(m3_case_maker *m, const m3_op_rules *of)
{
    static const char *const row[] = {"", ",3", ",2,3", ",2,3,2", ",2,1,3,2", ",2,1,2,1,3"};
    static const char *const attrs[] = {"0; 0.999; 1e-8; 0.01", "0.9; 0; 1e-8; 0.01", "0.9; 0.999; 1; 0",
                                        "0.9; 0.999; 1e-8; 0.5"};
    (void)of;
    m3_make_rule(m, M3_RULE_RANK);
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        make_row_step(m, adam_attrs, 7, 5, row[i], " distinct 7", "");
    m3_make_rule(m, M3_RULE_SQUARE);
    make_row_step(m, adam_attrs, 7, 7, ",7", " distinct 7", "");
    m3_make_rule(m, M3_RULE_ATTRIBUTE);
    for (size_t i = 0; i < sizeof attrs / sizeof attrs[0]; i++)
        make_row_step(m, attrs[i], 9, 5, ",3", " distinct 9", "");
    m3_make_rule(m, M3_RULE_DTYPE);
    make_row_step(m, adam_attrs, 17, 9, ",9", " distinct 17", "");
    m3_make(m, adam_attrs,
            "f32[3] step; f32[] scale -1; f32[17,9]; f32[17,9]; f32[17,9] positive; i32[9] distinct 17; f32[9,9] "
            "nonfinite");
    m3_make_rule(m, M3_RULE_SIZE);
    for (uint32_t i = 0; i < m3_make_size_count; i++) {
        const uint32_t n = m3_make_sizes[i];
        make_row_step(m, adam_attrs, 9, 5, m3_make_text(m, ",%u", n), " distinct 9", "");
        make_row_step(m, adam_attrs, 130, n, ",3", " distinct 130", "");
        make_row_step(m, adam_attrs, n, 5, ",3", m3_make_text(m, " distinct %u", n), "");
        m->full = true;
        for (uint32_t k = 0; k < m3_make_size_count; k++)
            make_row_step(m, adam_attrs, 130, m3_make_sizes[k], m3_make_text(m, ",%u", n), " distinct 130", "");
        m->full = false;
    }
    m3_make_rule(m, M3_RULE_LARGE);
    make_row_step(m, adam_attrs, 1025, 1025, ",3", " distinct 1025", "");
    make_row_step(m, adam_attrs, 65537, 33, ",2", " distinct 65537", "");
    make_row_step(m, adam_attrs, 65537, 65537, "", " distinct 65537", "");
    m->full = true;
    make_row_step(m, adam_attrs, 1048577, 33, "", " distinct 1048577", "");
    make_row_step(m, adam_attrs, 3, 2, ",1048577", " distinct 3", "");
    m3_make_rule(m, M3_RULE_INTEGERS);
    make_row_step(m, adam_attrs, 9, 1, ",3", " value 8", "");
    make_row_step(m, adam_attrs, 9, 5, ",3", " value 9", "");
    make_row_step(m, adam_attrs, 9, 5, ",3", " value 2147483647", "");
    make_row_step(m, adam_attrs, 9, 5, ",3", " value -2147483648", "");
    make_row_step(m, adam_attrs, 9, 5, ",3", " value 16777216", "");
    m3_make_rule(m, M3_RULE_SPECIAL);
    for (uint32_t i = 0; i < m3_make_special_modest; i++)
        make_row_step(m, adam_attrs, 17, 17, ",9", " distinct 17", m3_make_special[i]);
}

#define NO_WHOLE "it takes no integers"
#define LAST     "it works along the last axis alone; see rank"
#define FIXED    "the axes have fixed places; see rank"

/* clang-format off */
const m3_op_rules m3_rules_fused[] = {
    {.op = "layer_norm", .make = make_norm, .bound = &norm, .room = M3_ROOM_SHAKEN, .terms = last_axis,
     .never = {[M3_RULE_AXIS] = LAST, [M3_RULE_INTEGERS] = NO_WHOLE}},
    {.op = "layer_norm_grad", .make = make_norm, .bound = &norm, .room = M3_ROOM_SHAKEN, .terms = rows_and_width,
     .never = {[M3_RULE_AXIS] = LAST, [M3_RULE_INTEGERS] = NO_WHOLE}},
    {.op = "layer_norm_grad_add", .make = make_norm, .bound = &norm, .room = M3_ROOM_SHAKEN, .terms = rows_and_width,
     .never = {[M3_RULE_AXIS] = LAST, [M3_RULE_INTEGERS] = NO_WHOLE}},
    {.op = "masked_softmax", .make = make_softmax, .bound = &function, .room = M3_ROOM_SHAKEN, .terms = last_axis,
     .never = {[M3_RULE_INTEGERS] = NO_WHOLE}},
    {.op = "gru_cell", .make = make_cell, .bound = &function, .room = M3_ROOM_SHAKEN,
     .never = {[M3_RULE_AXIS] = LAST, [M3_RULE_INTEGERS] = NO_WHOLE}},
    {.op = "gru_cell_grad", .make = make_cell, .bound = &gates, .room = M3_ROOM_SHAKEN,
     .never = {[M3_RULE_AXIS] = LAST, [M3_RULE_INTEGERS] = NO_WHOLE}},
    {.op = "softmax_cross_entropy", .make = make_loss, .bound = &loss, .room = M3_ROOM_SHAKEN, .terms = last_axis,
     .never = {[M3_RULE_AXIS] = FIXED}},
    {.op = "softmax_cross_entropy_grad", .make = make_loss, .bound = &function, .room = M3_ROOM_SHAKEN,
     .terms = last_axis, .never = {[M3_RULE_AXIS] = FIXED}},
    {.op = "global_norm", .make = make_tensors, .bound = &root, .room = M3_ROOM_SUM, .terms = all_elements,
     .never = {[M3_RULE_AXIS] = "elements are squared and summed, whatever the axes", [M3_RULE_INTEGERS] = NO_WHOLE}},
    {.op = "adamw", .make = make_tensors, .bound = &step, .room = M3_ROOM_SHAKEN,
     .never = {[M3_RULE_AXIS] = "elements stand alone", [M3_RULE_INTEGERS] = NO_WHOLE}},
    {.op = "adamw_rows", .make = make_adam_rows, .bound = &step, .room = M3_ROOM_SHAKEN,
     .never = {[M3_RULE_AXIS] = "rows lie along axis 0"}},
    {0},
};
/* clang-format on */
