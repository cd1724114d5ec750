/* rules_products: cases of matmul, linear with the gradients of its parameters, and attention. */
#include "core/conformance/rules.h"

#include <string.h>

#include "m3bsr/builder.h"
#include "m3bsr/ops.h"

static const m3_bound sum = {1.2e-38, 2e-6, 0, "the last rounding and an activation; those of the sum come on top"};
static const m3_bound chain = {5e-6, 0, 2e-5, "two products with a softmax between; the inputs' own rounding on top"};

/* Extents that meet around tiles. */
static const uint32_t edges[] = {1, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129};
enum { EDGES = sizeof edges / sizeof edges[0] };

/* a and b for y [M, N] over K, with leading axes and words; the last two exchanged where the attribute says so. */
static const char *factors_of(m3_case_maker *m, uint32_t turned, const char *lead_a, const char *lead_b, uint32_t rows,
                              uint32_t terms, uint32_t columns, const char *words)
{
    const uint32_t a0 = (turned & 1u) != 0 ? terms : rows, a1 = (turned & 1u) != 0 ? rows : terms;
    const uint32_t b0 = (turned & 2u) != 0 ? columns : terms, b1 = (turned & 2u) != 0 ? terms : columns;
    return m3_make_text(m, "f32[%s%u,%u]%s; f32[%s%u,%u]%s", lead_a, a0, a1, words, lead_b, b0, b1, words);
}

static const char *factors(m3_case_maker *m, uint32_t turned, const char *lead_a, const char *lead_b, uint32_t rows,
                           uint32_t terms, uint32_t columns)
{
    return factors_of(m, turned, lead_a, lead_b, rows, terms, columns, "");
}

static const char *turns(m3_case_maker *m, uint32_t turned)
{
    const bool linear = m->op->attr_count == M3_LINEAR_ATTRS;
    return m3_make_text(m, "%u; %u%s", turned & 1u, turned >> 1, linear ? "; 0" : "");
}

/* Rules that both products have. */
static void make_product_sizes(m3_case_maker *m)
{
    static const uint32_t large[] = {1025, 4097, 65537, 1048577};
    for (uint32_t turned = 0; turned < 4; turned++) {
        const char *attrs = turns(m, turned);
        m3_make_rule_gradients(m, M3_RULE_SQUARE);
        m3_make(m, attrs, factors(m, turned, "", "", 5, 5, 5));
        m3_make(m, attrs, factors(m, turned, "3,", "3,", 3, 3, 3));
        m3_make_rule(m, M3_RULE_SQUARE);
        m3_make(m, attrs, factors(m, turned, "", "", 17, 17, 17));
        m3_make(m, attrs, factors(m, turned, "", "", 64, 64, 64));
        m3_make(m, attrs, factors(m, turned, "", "", 65, 65, 65));
        m3_make_rule_gradients(m, M3_RULE_ATTRIBUTE);
        m3_make(m, attrs, factors(m, turned, "", "", 4, 3, 5));
        m3_make_rule(m, M3_RULE_DTYPE);
        m3_make(m, attrs, factors(m, turned, "", "", 9, 11, 13));
        m3_make_halves(m, attrs, factors(m, turned, "", "", 9, 11, 13));
        m3_make_halves(m, attrs, factors(m, turned, "3,", "3,", 5, 7, 3));
        m3_make_halves(m, attrs, factors(m, turned, "", "", 65, 130, 33));
        /* Kernels may read and write 16 bits in twos or fours, where rows are multiples of that. */
        m3_make_halves(m, attrs, factors(m, turned, "", "", 9, 11, 14));
        m3_make_halves(m, attrs, factors(m, turned, "3,", "3,", 5, 10, 6));
        m3_make_halves(m, attrs, factors(m, turned, "", "", 68, 132, 36));
        m3_make_halves(m, attrs, factors(m, turned, "3,", "3,", 65, 34, 130));
        m3_make_halves(m, attrs, factors(m, turned, "", "", 1, 0, 2));
        m3_make_rule(m, M3_RULE_SIZE);
        for (uint32_t i = 0; i < m3_make_size_count; i++) {
            const uint32_t n = m3_make_sizes[i];
            m3_make(m, attrs, factors(m, turned, "", "", n, 19, 21));
            m3_make(m, attrs, factors(m, turned, "", "", 19, n, 21));
            m3_make(m, attrs, factors(m, turned, "", "", 19, 21, n));
            m3_make(m, attrs, factors(m, turned, "2,", "2,", n, n, 5));
        }
        m->full = true;
        for (uint32_t i = 0; i < EDGES; i++)
            for (uint32_t k = 0; k < EDGES; k++) {
                m3_make(m, attrs, factors(m, turned, "", "", edges[i], 24, edges[k]));
                m3_make(m, attrs, factors(m, turned, "", "", edges[i], edges[k], 10));
                m3_make(m, attrs, factors(m, turned, "", "", 10, edges[i], edges[k]));
            }
        m3_make_rule(m, M3_RULE_LARGE);
        for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
            m->full = large[i] > 1u << 17 || (large[i] > 1u << 13 && turned > 0);
            m3_make(m, attrs, factors(m, turned, "", "", large[i], 3, 2));
            m3_make(m, attrs, factors(m, turned, "", "", 3, large[i], 2));
            m3_make(m, attrs, factors(m, turned, "", "", 2, 3, large[i]));
            m3_make(m, attrs, factors_of(m, turned, "", "", 3, large[i], 2, " small"));
        }
        m->full = false;
        m3_make_halves(m, attrs, factors_of(m, turned, "", "", 3, 1025, 2, " small"));
        m3_make(m, attrs, factors_of(m, turned, "", "", 17, 1025, 65, " small"));
        m3_make(m, attrs, factors(m, turned, "1025,", "1025,", 3, 5, 2));
        m->full = true;
        m3_make(m, attrs, factors(m, turned, "65537,", "65537,", 2, 3, 1));
        m3_make(m, attrs, factors(m, turned, "", "", 1025, 65, 1025));
        m3_make_rule(m, M3_RULE_SPECIAL);
        for (uint32_t i = 0; i < m3_make_special_modest; i++) {
            const char *words = m3_make_special[i];
            const bool left = (turned & 1u) == 0, right = (turned & 2u) == 0;
            const char *special =
                m3_make_text(m, "f32%s%s; f32%s", left ? "[17,9]" : "[9,17]", words, right ? "[9,21]" : "[21,9]");
            m3_make(m, attrs, special);
            m3_make_halves(m, attrs, special);
            m3_make(m, attrs,
                    m3_make_text(m, "f32%s; f32%s%s", left ? "[17,9]" : "[9,17]", right ? "[9,21]" : "[21,9]", words));
            m3_make(
                m, attrs,
                m3_make_text(m, "f32%s%s; f32%s", left ? "[65,33]" : "[33,65]", words, right ? "[33,70]" : "[70,33]"));
        }
    }
}

static uint64_t matmul_terms(const m3_node *node)
{
    const m3_shape *a = &node->in[M3_MATMUL_A]->shape;
    return a->dim[a->rank - (m3_node_int(node, M3_MATMUL_TRANSPOSE_A) != 0 ? 2 : 1)];
}

static void make_matmul(m3_case_maker *m, const m3_op_rules *of)
{
    static const char *const lead[] = {"", "3,", "2,3,", "2,2,3,", "2,1,2,3,"};
    static const char *const other[] = {"1,", "2,1,", "1,3,", "2,1,3,", "1,2,3,", "2,2,1,", "1,1,2,3,", "2,1,2,1,"};
    enum { LEADS = sizeof lead / sizeof lead[0], OTHERS = sizeof other / sizeof other[0] };
    (void)of;
    for (uint32_t turned = 0; turned < 4; turned++) {
        m3_make_rule_gradients(m, M3_RULE_RANK);
        for (uint32_t a = 0; a < LEADS; a++)
            for (uint32_t b = 0; b < LEADS; b++)
                m3_make(m, turns(m, turned), factors(m, turned, lead[a], lead[b], 4, 3, 5));
        m3_make_rule_gradients(m, M3_RULE_AXIS);
        m->full = turned > 0;
        for (uint32_t b = 0; b < OTHERS; b++) {
            static const uint32_t axes[] = {1, 2, 2, 3, 3, 3, 4, 4};
            m3_make(m, turns(m, turned), factors(m, turned, lead[axes[b]], other[b], 4, 3, 5));
            m3_make(m, turns(m, turned), factors(m, turned, other[b], lead[axes[b]], 4, 3, 5));
        }
    }
    make_product_sizes(m);
}

/* linear: x, w and what of bias, residual, gate a bit asks for. */
static const char *with_optional(m3_case_maker *m, const char *product, const char *group, uint32_t which,
                                 uint32_t rows, uint32_t columns)
{
    const char *bias = m3_make_text(m, "f32[%s%u]", group, columns);
    const char *other = m3_make_text(m, "f32[%s%u,%u]", group, rows, columns);
    return m3_make_text(m, "%s; %s; %s; %s", product, (which & 1u) != 0 ? bias : "-", (which & 2u) != 0 ? other : "-",
                        (which & 4u) != 0 ? other : "-");
}

static void make_linear(m3_case_maker *m, const m3_op_rules *of)
{
    static const char *const group[] = {"", "3,"};
    (void)of;
    for (uint32_t turned = 0; turned < 4; turned++) {
        for (uint32_t g = 0; g < 2; g++) {
            const char *product = factors(m, turned, group[g], group[g], 4, 3, 5);
            m3_make_rule_gradients(m, M3_RULE_RANK);
            m3_make(m, turns(m, turned), product);
            for (uint32_t act = 0; act < 5; act++) {
                const char *attrs = m3_make_text(m, "%u; %u; %u", turned & 1u, turned >> 1, act);
                m3_make_rule_gradients(m, M3_RULE_ATTRIBUTE);
                m3_make(m, attrs, product);
                m3_make_rule_gradients(m, M3_RULE_OPTIONAL);
                for (uint32_t which = 0; which < 8; which++)
                    m3_make(m, attrs, with_optional(m, product, group[g], which, 4, 5));
                m3_make_rule(m, M3_RULE_DTYPE);
                for (uint32_t which = 0; which < 8; which += 7)
                    m3_make_halves(m, attrs, with_optional(m, product, group[g], which, 4, 5));
                const char *even = factors(m, turned, group[g], group[g], 4, 3, 6);
                for (uint32_t which = 0; which < 8; which++)
                    m3_make_halves(m, attrs, with_optional(m, even, group[g], which, 4, 6));
                m3_make_rule(m, M3_RULE_OPTIONAL);
                m->full = true;
                const char *wide = factors(m, turned, group[g], group[g], 33, 17, 35);
                for (uint32_t which = 0; which < 8; which++)
                    m3_make(m, attrs, with_optional(m, wide, group[g], which, 33, 35));
            }
        }
    }
    make_product_sizes(m);
    m3_make_rule(m, M3_RULE_SIZE);
    m->full = true;
    for (uint32_t i = 0; i < m3_make_size_count; i++)
        for (uint32_t act = 0; act < 5; act++) {
            const uint32_t n = m3_make_sizes[i];
            const char *attrs = m3_make_text(m, "0; 1; %u", act);
            m3_make(m, attrs, with_optional(m, factors(m, 2, "", "", n, 9, 19), "", 7, n, 19));
            m3_make(m, attrs, with_optional(m, factors(m, 2, "", "", 19, 9, n), "", 7, 19, n));
            m3_make(m, attrs, with_optional(m, factors(m, 2, "2,", "2,", 5, 9, n), "2,", 3, 5, n));
        }
    m3_make_rule(m, M3_RULE_SPECIAL);
    for (uint32_t i = 0; i < m3_make_special_modest; i++) {
        const char *words = m3_make_special[i];
        for (uint32_t act = 0; act < 5; act++) {
            const char *attrs = m3_make_text(m, "0; 0; %u", act);
            m3_make(m, attrs, m3_make_text(m, "f32[17,9]%s; f32[9,21]; f32[21]; f32[17,21]; -", words));
            m3_make(m, attrs, m3_make_text(m, "f32[17,9]; f32[9,21]; f32[21]%s; -; -", words));
            m3_make(m, attrs, m3_make_text(m, "f32[17,9]; f32[9,21]; -; f32[17,21]%s; -", words));
            m3_make(m, attrs, m3_make_text(m, "f32[17,9]; f32[9,21]; -; -; f32[17,21]%s", words));
            m3_make(m, attrs, m3_make_text(m, "f32[17,9]%s; f32[9,21]; f32[21]; -; f32[17,21]", words));
        }
    }
    m3_make(m, "0; 0; 0", "f32[17,9] nonfinite; f32[9,21]; -; -; f32[17,21] nonfinite");
}

/* Products, bias and residual. */
static uint64_t linear_terms(const m3_node *node)
{
    return matmul_terms(node) + node->in_count - M3_LINEAR_BIAS;
}

/* linear_grad_weight: x and dy, with one leading axis or none. */

static const char *rows_case(m3_case_maker *m, uint32_t turned, const char *group, uint32_t rows, uint32_t inputs,
                             uint32_t outputs, const char *words)
{
    return m3_make_text(m, "f32[%s%u,%u]%s; f32[%s%u,%u]%s", group, (turned & 1u) != 0 ? inputs : rows,
                        (turned & 1u) != 0 ? rows : inputs, words, group, rows, outputs, words);
}

static void make_grad_large(m3_case_maker *m, const char *attrs, uint32_t turned)
{
    static const uint32_t large[] = {1025, 4097, 65537, 1048577};
    m3_make_rule(m, M3_RULE_LARGE);
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        m->full = large[i] > 1u << 17 || (large[i] > 1u << 13 && turned != 2);
        m3_make(m, attrs, rows_case(m, turned, "", large[i], 3, 2, ""));
        m3_make(m, attrs, rows_case(m, turned, "", 3, large[i], 2, ""));
        m3_make(m, attrs, rows_case(m, turned, "", 2, 3, large[i], ""));
    }
    m->full = false;
    m3_make(m, attrs, rows_case(m, turned, "", 2049, 65, 70, ""));
    m3_make(m, attrs, rows_case(m, turned, "1025,", 3, 5, 2, ""));
    m->full = true;
    m3_make(m, attrs, rows_case(m, turned, "65537,", 2, 3, 1, ""));
    m3_make(m, attrs, rows_case(m, turned, "", 1025, 65, 1025, ""));
}

static void make_linear_grad(m3_case_maker *m, const m3_op_rules *of)
{
    (void)of;
    for (uint32_t turned = 0; turned < 4; turned++) {
        const char *attrs = m3_make_text(m, "%u; %u", turned & 1u, turned >> 1);
        m3_make_rule_gradients(m, M3_RULE_RANK);
        m3_make(m, attrs, rows_case(m, turned, "", 4, 3, 5, ""));
        m3_make(m, attrs, rows_case(m, turned, "2,", 4, 3, 5, ""));
        m3_make_rule_gradients(m, M3_RULE_SQUARE);
        m3_make(m, attrs, rows_case(m, turned, "", 5, 5, 5, ""));
        m3_make(m, attrs, rows_case(m, turned, "3,", 3, 3, 3, ""));
        m3_make_rule(m, M3_RULE_SQUARE);
        m3_make(m, attrs, rows_case(m, turned, "", 64, 64, 64, ""));
        m3_make(m, attrs, rows_case(m, turned, "", 65, 65, 65, ""));
        m3_make_rule_gradients(m, M3_RULE_ATTRIBUTE);
        m3_make(m, attrs, rows_case(m, turned, "", 6, 2, 3, ""));
        m3_make_rule(m, M3_RULE_DTYPE);
        m3_make(m, attrs, rows_case(m, turned, "", 9, 11, 13, ""));
        m3_make_halves(m, attrs, rows_case(m, turned, "", 9, 11, 13, ""));
        m3_make_halves(m, attrs, rows_case(m, turned, "3,", 65, 33, 70, ""));
        m3_make_halves(m, attrs, rows_case(m, turned, "", 68, 36, 132, ""));
        m3_make_halves(m, attrs, rows_case(m, turned, "", 1030, 6, 10, ""));
        m3_make_rule(m, M3_RULE_SIZE);
        for (uint32_t i = 0; i < m3_make_size_count; i++) {
            const uint32_t n = m3_make_sizes[i];
            m3_make(m, attrs, rows_case(m, turned, "", n, 19, 21, ""));
            m3_make(m, attrs, rows_case(m, turned, "", 19, n, 21, ""));
            m3_make(m, attrs, rows_case(m, turned, "", 19, 21, n, ""));
            m3_make(m, attrs, rows_case(m, turned, "2,", n, n, 5, ""));
        }
        m->full = true;
        for (uint32_t i = 0; i < EDGES; i++)
            for (uint32_t k = 0; k < EDGES; k++)
                m3_make(m, attrs, rows_case(m, turned, "", 40, edges[i], edges[k], ""));
        make_grad_large(m, attrs, turned);
        m3_make_rule(m, M3_RULE_SPECIAL);
        for (uint32_t i = 0; i < m3_make_special_modest; i++) {
            m3_make(m, attrs, rows_case(m, turned, "", 17, 9, 21, m3_make_special[i]));
            m3_make(m, attrs, rows_case(m, turned, "", 33, 65, 70, m3_make_special[i]));
        }
    }
}

static uint64_t grad_terms(const m3_node *node)
{
    const m3_shape *dy = &node->in[M3_LINEAR_GRAD_WEIGHT_DY]->shape;
    return dy->dim[dy->rank - 2];
}

/* attention and its gradient. */

static const char *heads_case(m3_case_maker *m, const char *lead, uint32_t queries, uint32_t keys, uint32_t width,
                              const char *mask)
{
    const bool grad = m->op->min_inputs == M3_ATTENTION_GRAD_INPUTS;
    const char *q = m3_make_text(m, "f32[%s%u,%u]", lead, queries, width);
    const char *k = m3_make_text(m, "f32[%s%u,%u]", lead, keys, width);
    return m3_make_text(m, "%s; %s; %s; bool[%s%u]%s%s%s", q, k, k, lead, keys, mask, grad ? "; " : "", grad ? q : "");
}

static void make_attention_special(m3_case_maker *m)
{
    const bool grad = m->op->min_inputs == M3_ATTENTION_GRAD_INPUTS;
    const char *last = grad ? "; f32[2,5,8]" : "";
    m3_make_rule(m, M3_RULE_SPECIAL);
    for (uint32_t i = 0; i < m3_make_special_modest; i++) {
        const char *words = m3_make_special[i];
        const char *values = m3_make_text(m, "f32[2,5,8]; f32[2,7,8]; f32[2,7,8]%s; bool[2,7]%s", words, last);
        m3_make(m, "2", values);
        /* A spread of 1 about 1e4 is one number in 16 bits: the softmax' slope is 0 then, and rounding all there is. */
        if (strcmp(words, " mean 1e4") != 0) m3_make_halves(m, "2", values);
        if (i == 1 || i == 2) continue; /* an infinite score depends on the sign of what it is multiplied by */
        m3_make(m, "2", m3_make_text(m, "f32[2,5,8]%s; f32[2,7,8]; f32[2,7,8]; bool[2,7]%s", words, last));
        m3_make(m, "2", m3_make_text(m, "f32[2,5,8]; f32[2,7,8]%s; f32[2,7,8]; bool[2,7]%s", words, last));
        if (grad)
            m3_make(m, "2", m3_make_text(m, "f32[2,5,8]; f32[2,7,8]; f32[2,7,8]; bool[2,7]; f32[2,5,8]%s", words));
    }
    m3_make(m, "2", m3_make_text(m, "f32[2,5,8]; f32[2,7,8] nonfinite; f32[2,7,8] nonfinite; bool[2,7] false%s", last));
}

static void make_attention(m3_case_maker *m, const m3_op_rules *of)
{
    static const char *const lead[] = {"", "2,", "2,3,", "2,1,3,", "2,1,2,2,"};
    static const char *const masks[] = {"", " mask", " true", " false"};
    static const uint32_t heads[] = {1, 2, 3, 4, 6, 12};
    (void)of;
    m3_make_rule_gradients(m, M3_RULE_RANK);
    for (size_t i = 0; i < sizeof lead / sizeof lead[0]; i++) m3_make(m, "2", heads_case(m, lead[i], 3, 5, 4, " mask"));
    m3_make_rule_gradients(m, M3_RULE_SQUARE);
    m3_make(m, "1", heads_case(m, "", 4, 4, 4, ""));
    m3_make(m, "2", heads_case(m, "4,", 4, 4, 4, " mask"));
    m3_make_rule_gradients(m, M3_RULE_ATTRIBUTE);
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        m3_make(m, m3_make_text(m, "%u", heads[i]), heads_case(m, "2,", 3, 5, 12, ""));
    m3_make_rule(m, M3_RULE_DTYPE);
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        m3_make(m, "2", heads_case(m, "2,", 5, 7, 6, masks[i]));
        m3_make_halves(m, "2", heads_case(m, "2,", 5, 7, 6, masks[i]));
        m3_make_halves(m, "2", heads_case(m, "3,2,", 33, 65, 32, masks[i]));
    }
    m3_make_rule(m, M3_RULE_SIZE);
    for (uint32_t i = 0; i < m3_make_size_count; i++) {
        const uint32_t n = m3_make_sizes[i];
        m3_make(m, "2", heads_case(m, "2,", n, 9, 8, ""));
        m3_make(m, "2", heads_case(m, "2,", 9, n, 8, " mask"));
        if (n > 0) m3_make(m, "1", heads_case(m, "2,", 5, 7, n, ""));
        if (n > 0) m3_make(m, "2", heads_case(m, "", 5, 7, 2 * n, ""));
        m3_make(m, "2", heads_case(m, m3_make_text(m, "%u,", n), 3, 5, 4, ""));
        m->full = true;
        for (uint32_t k = 0; k < m3_make_size_count; k++)
            m3_make(m, "1", heads_case(m, "1,", n, m3_make_sizes[k], 16, " mask"));
        m->full = false;
    }
    m3_make_rule(m, M3_RULE_LARGE);
    m3_make(m, "2", heads_case(m, "1025,", 2, 3, 4, " mask"));
    m3_make(m, "2", heads_case(m, "1,", 1025, 3, 4, ""));
    m3_make(m, "2", heads_case(m, "1,", 3, 1025, 4, ""));
    m->full = true;
    m3_make(m, "1", heads_case(m, "65537,", 1, 2, 2, ""));
    m3_make(m, "2", heads_case(m, "1,", 65537, 2, 2, ""));
    m3_make(m, "2", heads_case(m, "1,", 2, 65537, 2, ""));
    make_attention_special(m);
}

static uint64_t keys_and_width(const m3_node *node)
{
    const m3_shape *k = &node->in[M3_ATTENTION_K]->shape;
    return k->dim[k->rank - 2] + k->dim[k->rank - 1];
}

/* The same of operands side by side: with kv, or all of them in q, where there are as many keys as queries. */

static bool packs_gradient(const m3_case_maker *m)
{
    return m->op->max_inputs == M3_ATTENTION_PACKED_GRAD_INPUTS;
}

static const char *kv_case(m3_case_maker *m, const char *lead, uint32_t queries, uint32_t keys, uint32_t width,
                           const char *mask)
{
    const char *q = m3_make_text(m, "f32[%s%u,%u]", lead, queries, width);
    return m3_make_text(m, "%s; f32[%s%u,%u]; bool[%s%u]%s%s%s", q, lead, keys, 2 * width, lead, keys, mask,
                        packs_gradient(m) ? "; " : "", packs_gradient(m) ? q : "");
}

static const char *qkv_case(m3_case_maker *m, const char *lead, uint32_t length, uint32_t width, const char *mask)
{
    const char *dy = packs_gradient(m) ? m3_make_text(m, "; f32[%s%u,%u]", lead, length, width) : "";
    return m3_make_text(m, "f32[%s%u,%u]; -; bool[%s%u]%s%s", lead, length, 3 * width, lead, length, mask, dy);
}

static void make_packed_special(m3_case_maker *m)
{
    const char *last = packs_gradient(m) ? "; f32[2,7,8]" : "";
    m3_make_rule(m, M3_RULE_SPECIAL);
    for (uint32_t i = 0; i < m3_make_special_modest; i++) {
        const char *words = m3_make_special[i];
        if (i == 1 || i == 2) continue; /* an infinite score depends on the sign of what it is multiplied by */
        /* Values of 1e4 and a spread of 1 leave their gradient's differences to rounding. */
        if (packs_gradient(m) && strcmp(words, " mean 1e4") == 0) continue;
        m3_make(m, "2", m3_make_text(m, "f32[2,7,24]%s; -; bool[2,7]%s", words, last));
        m3_make(m, "2", m3_make_text(m, "f32[2,7,8]; f32[2,9,16]%s; bool[2,9]%s", words, last));
        if (packs_gradient(m)) m3_make(m, "2", m3_make_text(m, "f32[2,7,24]; -; bool[2,7]; f32[2,7,8]%s", words));
    }
    m3_make(m, "2", m3_make_text(m, "f32[2,7,8]; f32[2,9,16] nonfinite; bool[2,9] false%s", last));
    m3_make(m, "2", m3_make_text(m, "f32[2,7,24] nonfinite; -; bool[2,7] false%s", last));
}

static void make_packed(m3_case_maker *m, const m3_op_rules *of)
{
    static const char *const lead[] = {"", "2,", "2,3,", "2,1,3,", "2,1,2,2,"};
    static const char *const masks[] = {"", " mask", " true", " false"};
    static const uint32_t heads[] = {1, 2, 3, 4, 6, 12};
    (void)of;
    for (size_t i = 0; i < sizeof lead / sizeof lead[0]; i++) {
        m3_make_rule_gradients(m, M3_RULE_RANK);
        m3_make(m, "2", kv_case(m, lead[i], 3, 5, 4, " mask"));
        m3_make_rule_gradients(m, M3_RULE_OPTIONAL);
        m3_make(m, "2", qkv_case(m, lead[i], 3, 4, " mask"));
    }
    m3_make_rule_gradients(m, M3_RULE_SQUARE);
    m3_make(m, "1", kv_case(m, "", 4, 4, 4, ""));
    m3_make(m, "2", qkv_case(m, "4,", 4, 4, " mask"));
    m3_make_rule_gradients(m, M3_RULE_ATTRIBUTE);
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        m3_make(m, m3_make_text(m, "%u", heads[i]), kv_case(m, "2,", 3, 5, 12, ""));
        m3_make(m, m3_make_text(m, "%u", heads[i]), qkv_case(m, "2,", 3, 12, ""));
    }
    m3_make_rule(m, M3_RULE_DTYPE);
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        m3_make(m, "2", kv_case(m, "2,", 5, 7, 6, masks[i]));
        m3_make_halves(m, "2", kv_case(m, "2,", 5, 7, 6, masks[i]));
        m3_make_halves(m, "2", qkv_case(m, "3,2,", 33, 32, masks[i]));
    }
    m3_make_rule(m, M3_RULE_SIZE);
    for (uint32_t i = 0; i < m3_make_size_count; i++) {
        const uint32_t n = m3_make_sizes[i];
        m3_make(m, "2", kv_case(m, "2,", 5, n, 4, " mask"));
        m3_make(m, "2", qkv_case(m, "2,", n, 4, ""));
        if (n > 0) m3_make(m, "1", qkv_case(m, "2,", 5, n, " mask"));
    }
    m3_make_rule(m, M3_RULE_LARGE);
    m3_make(m, "2", qkv_case(m, "1025,", 2, 4, " mask"));
    m3_make(m, "2", kv_case(m, "1,", 1025, 3, 4, ""));
    m3_make(m, "2", kv_case(m, "1,", 3, 1025, 4, ""));
    m->full = true;
    m3_make(m, "1", qkv_case(m, "65537,", 1, 2, ""));
    m3_make(m, "2", kv_case(m, "1,", 65537, 2, 2, ""));
    m3_make(m, "2", kv_case(m, "1,", 2, 65537, 2, ""));
    make_packed_special(m);
}

static uint64_t packed_terms(const m3_node *node)
{
    const m3_tensor *kv = m3_node_input(node, M3_ATTENTION_PACKED_KV);
    const m3_shape *k = &(kv != NULL ? kv : node->in[M3_ATTENTION_PACKED_Q])->shape;
    return k->dim[k->rank - 2] + k->dim[k->rank - 1] / (kv != NULL ? 2 : 3);
}

#define NO_WHOLE "it takes no integers"
#define NO_AXES  "the axes of a product have fixed places; see rank"

/* clang-format off */
const m3_op_rules m3_rules_products[] = {
    {.op = "matmul", .make = make_matmul, .bound = &sum, .room = M3_ROOM_SUM, .terms = matmul_terms,
     .never = {[M3_RULE_INTEGERS] = NO_WHOLE}},
    {.op = "linear", .make = make_linear, .bound = &sum, .room = M3_ROOM_SUM, .terms = linear_terms,
     .never = {[M3_RULE_INTEGERS] = NO_WHOLE, [M3_RULE_AXIS] = NO_AXES}},
    {.op = "linear_grad_weight", .make = make_linear_grad, .bound = &sum, .room = M3_ROOM_SUM, .terms = grad_terms,
     .never = {[M3_RULE_INTEGERS] = NO_WHOLE, [M3_RULE_AXIS] = NO_AXES}},
    {.op = "attention", .make = make_attention, .bound = &chain, .room = M3_ROOM_SHAKEN, .terms = keys_and_width,
     .never = {[M3_RULE_INTEGERS] = NO_WHOLE, [M3_RULE_AXIS] = NO_AXES}},
    {.op = "attention_grad", .make = make_attention, .bound = &chain, .room = M3_ROOM_SHAKEN,
     .terms = keys_and_width, .never = {[M3_RULE_INTEGERS] = NO_WHOLE, [M3_RULE_AXIS] = NO_AXES}},
    {.op = "attention_packed", .make = make_packed, .bound = &chain, .room = M3_ROOM_SHAKEN, .terms = packed_terms,
     .never = {[M3_RULE_INTEGERS] = NO_WHOLE, [M3_RULE_AXIS] = NO_AXES}},
    {.op = "attention_packed_grad", .make = make_packed, .bound = &chain, .room = M3_ROOM_SHAKEN,
     .terms = packed_terms, .never = {[M3_RULE_INTEGERS] = NO_WHOLE, [M3_RULE_AXIS] = NO_AXES}},
    {0},
};
/* clang-format on */
