/* rules_sequence: cases of the ops that go along an axis: flip, cumsum, scan, causal_conv. */
#include "core/conformance/rules.h"

#include "m3bsr/builder.h"
#include "m3bsr/ops.h"

static const m3_bound exact = {0, 0, 0, "moves: every bit counts"};
static const m3_bound sum = {1.2e-38, 4e-7, 0, "the last rounding; those of the sum come on top"};

#define TYPES(dtype)                                                                                                   \
    (dtype) = M3_F32;                                                                                                  \
    (dtype) <= M3_BF16;                                                                                                \
    (dtype) = (m3_dtype)((dtype) + 1)

/* The inputs, which have one type and shape, with words behind the first, the last or none. */
static const char *arrays(m3_case_maker *m, m3_dtype dtype, const char *shape, const char *first, const char *last)
{
    const char *type = m3_dtype_name(dtype);
    if (m->op->min_inputs == 1) return m3_make_text(m, "%s%s%s", type, shape, first[0] != 0 ? first : last);
    return m3_make_text(m, "%s%s%s; %s%s%s", type, shape, first, type, shape, last);
}

/* The axis, and the direction where the op has one. */
static const char *along(m3_case_maker *m, uint32_t axis, uint32_t reverse)
{
    return m->op->attr_count > 1 ? m3_make_text(m, "%u; %u", axis, reverse) : m3_make_text(m, "%u", axis);
}

static void make_lengths(m3_case_maker *m, m3_dtype dtype)
{
    static const uint32_t large[] = {1025, 65537, 1048577};
    m3_make_rule(m, M3_RULE_SIZE);
    for (uint32_t i = 0; i < m3_make_size_count; i++) {
        const uint32_t n = m3_make_sizes[i];
        m->full = dtype != M3_F32;
        m3_make(m, along(m, 0, 0), arrays(m, dtype, m3_make_text(m, "[%u]", n), "", ""));
        m3_make(m, along(m, 1, 1), arrays(m, dtype, m3_make_text(m, "[3,%u]", n), "", ""));
        m3_make(m, along(m, 0, 1), arrays(m, dtype, m3_make_text(m, "[5,%u]", n), "", ""));
        m3_make(m, along(m, 1, 0), arrays(m, dtype, m3_make_text(m, "[2,%u,3]", n), "", ""));
        m->full = true;
        for (uint32_t k = 0; k < m3_make_size_count && dtype == M3_F32; k++)
            for (uint32_t axis = 0; axis < 2; axis++)
                m3_make(m, along(m, axis, k % 2),
                        arrays(m, dtype, m3_make_text(m, "[%u,%u]", n, m3_make_sizes[k]), "", ""));
    }
    m3_make_rule(m, M3_RULE_LARGE);
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        m->full = dtype != M3_F32 || large[i] > 1u << 17;
        m3_make(m, along(m, 0, 0), arrays(m, dtype, m3_make_text(m, "[%u]", large[i]), "", ""));
        m3_make(m, along(m, 0, 1), arrays(m, dtype, m3_make_text(m, "[%u,2]", large[i]), "", ""));
        m3_make(m, along(m, 1, 1), arrays(m, dtype, m3_make_text(m, "[%u,3]", large[i]), "", ""));
        m3_make(m, along(m, 0, 0), arrays(m, dtype, m3_make_text(m, "[3,%u]", large[i]), "", ""));
        m3_make(m, along(m, 1, 0), arrays(m, dtype, m3_make_text(m, "[5,3,%u]", large[i]), "", ""));
        if (dtype == M3_BOOL) continue;                                     /* has no small numbers */
        const char *first = m->op->min_inputs == 1 ? " small" : " value 1"; /* a factor of scan */
        m3_make(m, along(m, 1, 0), arrays(m, dtype, m3_make_text(m, "[2,%u]", large[i]), first, " small"));
    }
}

static void make_along(m3_case_maker *m, const m3_op_rules *of)
{
    const uint32_t directions = m->op->attr_count;
    m3_dtype dtype;
    for (uint32_t rank = 1; rank <= M3_MAX_RANK; rank++) {
        const char *x = arrays(m, M3_F32, m3_make_shape(m, m3_make_extents(rank)), "", "");
        for (uint32_t axis = 0; axis < rank; axis++) {
            for (uint32_t reverse = 0; reverse < directions; reverse++) {
                m3_make_rule_gradients(m, M3_RULE_AXIS);
                m3_make(m, along(m, axis, reverse), x);
                m3_make_rule_gradients(m, M3_RULE_RANK);
                if (axis == 0) m3_make(m, along(m, axis, reverse), x);
                m3_make_rule_gradients(m, M3_RULE_ATTRIBUTE);
                if (axis + 1 == rank) m3_make(m, along(m, axis, reverse), x);
            }
        }
    }
    m3_make_rule_gradients(m, M3_RULE_SQUARE);
    for (uint32_t axis = 0; axis < 3; axis++) {
        m3_make(m, along(m, axis, 0), arrays(m, M3_F32, "[5,5,5]", "", ""));
        if (axis < 2) m3_make(m, along(m, axis, 1), arrays(m, M3_F32, "[7,7]", "", ""));
    }
    for (TYPES(dtype)) {
        if (!m3_make_admits(m, dtype)) continue;
        m3_make_rule(m, M3_RULE_DTYPE);
        for (uint32_t axis = 0; axis < 3; axis++) m3_make(m, along(m, axis, 0), arrays(m, dtype, "[3,5,7]", "", ""));
        make_lengths(m, dtype);
    }
    m3_make_rule(m, M3_RULE_INTEGERS);
    for (uint32_t axis = 0; axis < 2 && m3_make_admits(m, M3_I32); axis++) {
        m3_make(m, along(m, axis, 0), arrays(m, M3_I32, "[17,33]", " edges", ""));
        m3_make(m, along(m, axis, 0), arrays(m, M3_U32, "[17,33]", " edges", ""));
    }
    m3_make_rule(m, M3_RULE_SPECIAL);
    for (uint32_t i = 0; i < (of->keeps_bits ? m3_make_special_count : m3_make_special_modest); i++) {
        const char *words = m3_make_special[i];
        const bool grows = m->op->min_inputs > 1 && i == 5; /* products of 1e4 leave f32 */
        for (uint32_t axis = 0; axis < 2; axis++) {
            if (!grows) m3_make(m, along(m, axis, 0), arrays(m, M3_F32, "[17,19]", words, ""));
            m3_make(m, along(m, axis, 1), arrays(m, M3_F32, "[17,19]", "", words));
        }
    }
}

/* Twice: a term of scan is a product of as many factors. */
static uint64_t scanned_terms(const m3_node *node)
{
    return 2 * node->in[0]->shape.dim[m3_node_int(node, M3_SCAN_AXIS)];
}

static uint64_t summed_terms(const m3_node *node)
{
    return node->in[0]->shape.dim[m3_node_int(node, M3_CUMSUM_AXIS)];
}

/* causal_conv: x [..., L, C], w [C, K]; groups of x may have filters of their own, w [G, C, K]. */

static void make_groups(m3_case_maker *m, const char *attrs, const char *lead, uint32_t length, uint32_t channels,
                        uint32_t taps)
{
    m3_make(m, attrs, m3_make_text(m, "f32[3,%s%u,%u]; f32[3,%u,%u]", lead, length, channels, channels, taps));
}

static void make_filter(m3_case_maker *m, const char *attrs, const char *lead, uint32_t length, uint32_t channels,
                        uint32_t taps)
{
    m3_make(m, attrs, m3_make_text(m, "f32[%s%u,%u]; f32[%u,%u]", lead, length, channels, channels, taps));
}

static void make_conv(m3_case_maker *m, const m3_op_rules *of)
{
    static const char *const lead[] = {"", "2,", "2,3,", "2,1,3,", "2,1,2,2,"};
    (void)of;
    for (uint32_t reverse = 0; reverse < 2; reverse++) {
        const char *attrs = m3_make_text(m, "%u", reverse);
        m3_make_rule_gradients(m, M3_RULE_RANK);
        for (size_t i = 0; i < sizeof lead / sizeof lead[0]; i++) make_filter(m, attrs, lead[i], 5, 3, 4);
        for (size_t i = 0; i + 1 < sizeof lead / sizeof lead[0]; i++) make_groups(m, attrs, lead[i], 5, 2, 4);
        m3_make_rule_gradients(m, M3_RULE_SQUARE);
        make_filter(m, attrs, "", 5, 5, 5);
        make_filter(m, attrs, "3,", 3, 3, 3);
        make_groups(m, attrs, "", 3, 3, 3);
        m3_make_rule_gradients(m, M3_RULE_ATTRIBUTE);
        for (uint32_t taps = 1; taps < 8; taps++) make_filter(m, attrs, "2,", 5, 3, taps);
        m3_make_rule(m, M3_RULE_DTYPE);
        make_filter(m, attrs, "3,", 9, 11, 4);
        m3_make_rule(m, M3_RULE_SIZE);
        for (uint32_t i = 0; i < m3_make_size_count; i++) {
            const uint32_t n = m3_make_sizes[i];
            make_filter(m, attrs, "2,", n, 5, 4);
            make_filter(m, attrs, "2,", 7, n, 3);
            make_groups(m, attrs, "2,", n, 5, 3);
            make_groups(m, attrs, "", 5, n, 3);
            if (n > 0) make_filter(m, attrs, "", 17, 5, n);
            make_filter(m, attrs, m3_make_text(m, "%u,", n), 3, 2, 3);
            m->full = true;
            for (uint32_t k = 0; k < m3_make_size_count; k++) make_filter(m, attrs, "2,", n, m3_make_sizes[k], 4);
            m->full = false;
        }
        m3_make_rule(m, M3_RULE_LARGE);
        make_filter(m, attrs, "", 1025, 3, 4);
        make_filter(m, attrs, "", 9, 1025, 3);
        make_filter(m, attrs, "1025,", 3, 2, 2);
        make_filter(m, attrs, "", 65537, 2, 3);
        m->full = true;
        make_filter(m, attrs, "", 3, 65537, 2);
        make_filter(m, attrs, "", 1048577, 1, 2);
        make_filter(m, attrs, "", 40, 2, 1025);
        m3_make_rule(m, M3_RULE_SPECIAL);
        for (uint32_t i = 0; i < m3_make_special_modest; i++) {
            m3_make(m, attrs, m3_make_text(m, "f32[3,17,9]%s; f32[9,4]", m3_make_special[i]));
            m3_make(m, attrs, m3_make_text(m, "f32[3,17,9]; f32[9,4]%s", m3_make_special[i]));
        }
    }
}

static uint64_t taps_of(const m3_node *node)
{
    const m3_shape *w = &node->in[M3_CAUSAL_CONV_W]->shape;
    return w->dim[w->rank - 1];
}

#define NO_WHOLE "it takes no integers"

/* clang-format off */
const m3_op_rules m3_rules_sequence[] = {
    {.op = "flip", .make = make_along, .bound = &exact, .probe = "?[1]", .probe_attrs = "0", .keeps_zeros = true,
     .keeps_bits = true},
    {.op = "cumsum", .make = make_along, .bound = &sum, .room = M3_ROOM_SUM, .terms = summed_terms,
     .probe = "?[1]", .probe_attrs = "0; 0", .never = {[M3_RULE_INTEGERS] = NO_WHOLE}},
    {.op = "scan", .make = make_along, .bound = &sum, .room = M3_ROOM_SUM, .terms = scanned_terms,
     .probe = "?[1]; ?[1]", .probe_attrs = "0; 0", .never = {[M3_RULE_INTEGERS] = NO_WHOLE}},
    {.op = "causal_conv", .make = make_conv, .bound = &sum, .room = M3_ROOM_SUM, .terms = taps_of,
     .never = {[M3_RULE_INTEGERS] = NO_WHOLE, [M3_RULE_AXIS] = "places and channels have fixed axes; see rank"}},
    {0},
};
/* clang-format on */
