/* cases: the list of what ops must do is legal, complete and selectable, before any device runs it. */
#include "core/base/alloc.h"
#include "core/conformance/rules.h"
#include "core/conformance/values.h"
#include "core/ops/common/op.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static m3_case at(uint32_t index)
{
    m3_case c;
    m3_error err = {0};
    if (m3_case_at(index, &c, &err) != M3_OK) fail_msg("case %u: %s", index, err.message);
    return c;
}

static void every_case_builds_in_every_form(void **state)
{
    (void)state;
    static const m3_case_form forms[] = {M3_CASE_PLAIN,   M3_CASE_DOUBLE,   M3_CASE_INPLACE,
                                         M3_CASE_FLUSHED, M3_CASE_ABSOLUTE, M3_CASE_SHAKEN};
    for (uint32_t i = 0; i < m3_case_count_full(); i++) {
        m3_case c = at(i);
        assert_true(c.layers != 0);
        assert_true(c.bound->reason[0] != 0);
        for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
            m3_case_graph built;
            m3_error err = {0};
            m3_status st = m3_case_build(&c, NULL, forms[f], &built, &err);
            if (st != M3_OK) fail_msg("%s: %s", c.name, err.message);
            if (m3_graph_verify(built.graph, &err) != M3_OK) fail_msg("%s: %s", c.name, err.message);
            m3_case_graph_free(&built);
        }
    }
}

static void every_op_has_cases_and_every_differentiable_one_gradients(void **state)
{
    (void)state;
    for (uint32_t o = 0; o < m3_op_count(); o++) {
        const m3_op *op = m3_op_at(o);
        uint32_t layers = 0, count = 0;
        for (uint32_t i = 0; i < m3_case_count(); i++) {
            m3_case c = at(i);
            if (strcmp(c.op, op->name) != 0) continue;
            layers |= c.layers;
            count++;
        }
        if (count < 3) fail_msg("%s has %u cases", op->name, count);
        assert_true((layers & M3_CASE_OPS) != 0);
        if (((layers & M3_CASE_GRADIENTS) != 0) != (op->gradient != NULL))
            fail_msg("%s: gradient cases do not fit its gradient", op->name);
    }
}

/* A new op without an entry, and a rule that an op neither follows nor has a reason against, fail here. */
static void every_rule_has_cases_of_every_op_or_a_reason(void **state)
{
    (void)state;
    enum { OPS = 256 };
    static uint32_t cases[OPS][M3_RULES];
    uint32_t bad = 0;
    assert_true(m3_op_count() <= OPS);
    for (uint32_t i = 0; i < m3_case_count_full(); i++) {
        m3_case c = at(i);
        uint32_t o = 0;
        while (strcmp(m3_op_at(o)->name, c.op) != 0) o++;
        for (uint32_t r = 0; r < M3_RULES; r++) cases[o][r] += (c.rules >> r & 1u) != 0;
    }
    for (uint32_t o = 0; o < m3_op_count(); o++) {
        const m3_op *op = m3_op_at(o);
        if (m3_op_rules_find(op->name) == NULL) {
            print_error("%s has no entry among the rules (core/conformance/rules_*.c)\n", op->name);
            bad++;
            continue;
        }
        for (uint32_t r = M3_RULE_RANK; r < M3_RULES; r++) {
            const bool never = m3_rule_never(op, (m3_rule)r) != NULL;
            if ((cases[o][r] == 0) == never) continue;
            print_error("%s: rule %s has %u cases and %s reason to have none\n", op->name, m3_rule_name((m3_rule)r),
                        cases[o][r], never ? "a" : "no");
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}

static void the_full_list_begins_with_the_quick_one(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < m3_case_count_full(); i++) assert_int_equal(at(i).full, i >= m3_case_count());
    assert_true(m3_case_count() >= 12000 && m3_case_count_full() >= 40000);
}

/* What an op says of its types decides which cases it has. */
static void types_are_those_that_the_op_admits(void **state)
{
    (void)state;
    static const struct {
        const char *op;
        bool f32, i32, u32, boolean, f16;
    } rows[] = {{"add", true, true, true, false, false},    {"and", false, false, false, true, false},
                {"abs", true, true, false, false, false},   {"where", true, true, true, true, true},
                {"gather", true, true, true, true, true},   {"group_rows", true, false, false, false, false},
                {"top_k", true, false, false, false, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const m3_case_maker m = {.of = m3_op_rules_find(rows[i].op), .op = m3_op_find(rows[i].op)};
        assert_int_equal(m3_make_admits(&m, M3_F32), rows[i].f32);
        assert_int_equal(m3_make_admits(&m, M3_I32), rows[i].i32);
        assert_int_equal(m3_make_admits(&m, M3_U32), rows[i].u32);
        assert_int_equal(m3_make_admits(&m, M3_BOOL), rows[i].boolean);
        assert_int_equal(m3_make_admits(&m, M3_F16), rows[i].f16);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const m3_case *)a)->name, ((const m3_case *)b)->name);
}

static void names_are_unique_and_select(void **state)
{
    (void)state;
    uint32_t count = m3_case_count_full();
    m3_case *all = m3_calloc(count, sizeof *all);
    assert_non_null(all);
    for (uint32_t i = 0; i < count; i++) {
        all[i] = at(i);
        assert_true(m3_case_matches(&all[i], all[i].name));
    }
    qsort(all, count, sizeof *all, by_name);
    for (uint32_t i = 1; i < count; i++)
        if (strcmp(all[i - 1].name, all[i].name) == 0) fail_msg("%s is there twice", all[i].name);
    uint32_t matmuls = 0;
    for (uint32_t i = 0; i < count; i++) matmuls += m3_case_matches(&all[i], "matmul(f32[7,5]*");
    assert_true(matmuls > 0 && matmuls < 20);
    m3_free(all);
    m3_case c;
    assert_int_equal(m3_case_at(count, &c, NULL), M3_ERR_RANGE);
}

/* Of each array as many values as tell whether its type has them: a bool of 252 is a fault of the list. */
static void every_array_has_values_of_its_type(void **state)
{
    (void)state;
    enum { SOME = 64 };
    double value[SOME];
    m3_notation array[M3_NOTATION_ARRAYS];
    for (uint32_t i = 0; i < m3_case_count_full(); i++) {
        const m3_case c = at(i);
        m3_error err = {0};
        uint32_t count = 0;
        m3_status st = m3_notation_arrays(c.inputs, array, &count, &err);
        for (uint32_t a = 0; st == M3_OK && a < count; a++) {
            if (array[a].absent || m3_shape_count(&array[a].shape) == 0) continue;
            array[a].shape = M3_SHAPE(SOME);
            st = m3_values_fill(&array[a], 1, a, value, &err);
        }
        if (st != M3_OK) fail_msg("%s: %s", c.name, err.message);
    }
}

static const struct text {
    const char *name, *arrays, *says;
} texts[] = {
    {"arrays are read with their words", "f32[2,3] normal; -; bool[]", NULL},
    {"an unknown type is refused", "f31[2]", "'f31[2]' is no array"},
    {"an open bracket is refused", "f32[2", "'f32[2' is no array"},
    {"seven axes are refused", "f32[1,1,1,1,1,1,1]", "is no array"},
    {"a negative extent is refused", "f32[1]; f32[-1]", "'f32[-1]' is no array"},
};

static void notation(void **state)
{
    const struct text *text = *state;
    m3_notation array[M3_NOTATION_ARRAYS];
    m3_error err = {0};
    uint32_t count = 0;
    m3_status st = m3_notation_arrays(text->arrays, array, &count, &err);
    if (text->says != NULL) {
        assert_int_equal(st, M3_ERR_INVALID);
        if (strstr(err.message, text->says) == NULL) fail_msg("'%s' does not say '%s'", err.message, text->says);
        return;
    }
    assert_int_equal(st, M3_OK);
    assert_int_equal(count, 3);
    assert_true(array[0].shape.rank == 2 && array[0].shape.dim[1] == 3 && array[1].absent);
    assert_string_equal(array[0].words, "normal");
    assert_true(array[2].dtype == M3_BOOL && array[2].shape.rank == 0);
}

/* Fillings keep their promises, and depend on seed and place alone. */
static void values(void **state)
{
    (void)state;
    m3_notation array[M3_NOTATION_ARRAYS];
    uint32_t count;
    double a[60], b[60];
    assert_int_equal(
        m3_notation_arrays("bool[6,10] mask; i32[60] ids 4; i32[60] distinct 60; f32[60] special; f32[1] none", array,
                           &count, NULL),
        M3_OK);
    assert_int_equal(m3_values_fill(&array[0], 1, 0, a, NULL), M3_OK);
    for (int i = 1; i < 60; i++)
        if (i % 10 != 0) assert_true(a[i] >= a[i - 1]);
    assert_int_equal(m3_values_fill(&array[1], 1, 0, a, NULL), M3_OK);
    int outside = 0;
    for (int i = 0; i < 60; i++) {
        assert_true(a[i] >= -2 && a[i] <= 5);
        outside += a[i] < 0 || a[i] > 3;
    }
    assert_true(outside > 0 && outside < 60);
    assert_int_equal(m3_values_fill(&array[2], 1, 0, a, NULL), M3_OK);
    for (int i = 0; i < 60; i++)
        for (int k = 0; k < i; k++) assert_true(a[i] == -1 || a[i] != a[k]);
    assert_int_equal(m3_values_fill(&array[3], 1, 0, a, NULL), M3_OK);
    assert_int_equal(m3_values_fill(&array[3], 1, 0, b, NULL), M3_OK);
    assert_memory_equal(a, b, sizeof a);
    int nans = 0;
    for (int i = 0; i < 60; i++) nans += isnan(a[i]) != 0;
    assert_true(nans > 0);
    assert_int_equal(m3_values_fill(&array[3], 2, 0, b, NULL), M3_OK);
    assert_memory_not_equal(a, b, sizeof a);
    assert_int_equal(m3_values_fill(&array[4], 1, 0, a, NULL), M3_ERR_INVALID);
}

/* The words that rules need. */
static void fillings_by_rule(void **state)
{
    (void)state;
    m3_notation array[M3_NOTATION_ARRAYS];
    uint32_t count;
    double a[300];
    assert_int_equal(m3_notation_arrays("f32[3] rare nan; f32[300] rare -0; f32[60] mean 1e4; i32[300] edges; "
                                        "u32[300] edges; i32[33] last 50",
                                        array, &count, NULL),
                     M3_OK);
    for (uint64_t seed = 0; seed < 50; seed++) { /* one at least, however few there are */
        assert_int_equal(m3_values_fill(&array[0], seed, 0, a, NULL), M3_OK);
        assert_true(isnan(a[0]) || isnan(a[1]) || isnan(a[2]));
    }
    assert_int_equal(m3_values_fill(&array[1], 1, 0, a, NULL), M3_OK);
    int zeros = 0, low = 0, high = 0, lost = 0;
    for (int i = 0; i < 300; i++) zeros += a[i] == 0 && signbit(a[i]) != 0;
    assert_true(zeros > 0 && zeros < 60);
    assert_int_equal(m3_values_fill(&array[2], 1, 0, a, NULL), M3_OK);
    for (int i = 0; i < 60; i++) assert_true(fabs(a[i] - 1e4) < 10);
    for (uint32_t k = 3; k < 5; k++) {
        assert_int_equal(m3_values_fill(&array[k], 1, 0, a, NULL), M3_OK);
        for (int i = 0; i < 300; i++) {
            low += a[i] == (k == 3 ? -2147483648.0 : 0.0);
            high += a[i] == (k == 3 ? 2147483647.0 : 4294967295.0);
            lost += (double)(float)a[i] != a[i];
        }
    }
    assert_true(low > 1 && high > 1 && lost > 100);
    assert_int_equal(m3_values_fill(&array[5], 1, 0, a, NULL), M3_OK);
    assert_true(a[0] == 18 && a[31] == 49 && a[32] == 50);
}

/* Bit patterns of IEEE 754 half and of the upper half of a single. */
static void halves_round_to_nearest_even(void **state)
{
    (void)state;
    static const struct {
        double value;
        uint16_t f16, bf16;
    } rows[] = {{1.0, 0x3c00, 0x3f80},          {-2.0, 0xc000, 0xc000},          {65504.0, 0x7bff, 0x4780},
                {65520.0, 0x7c00, 0x4780},      {0x1p-24, 0x0001, 0x3380},       {0x1p-25, 0x0000, 0x3300},
                {0x3p-25, 0x0002, 0x33c0},      {1.0 + 0x1p-11, 0x3c00, 0x3f80}, {1.0 + 0x3p-11, 0x3c02, 0x3f80},
                {1.0 + 0x3p-8, 0x3c0c, 0x3f82}, {INFINITY, 0x7c00, 0x7f80},      {-0.0, 0x8000, 0x8000},
                {0x1.ffep-15, 0x0400, 0x3880}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint16_t have;
        m3_values_encode(M3_F16, &rows[i].value, 1, &have);
        if (have != rows[i].f16) fail_msg("f16 of %a is %04x, not %04x", rows[i].value, have, rows[i].f16);
        m3_values_encode(M3_BF16, &rows[i].value, 1, &have);
        if (have != rows[i].bf16) fail_msg("bf16 of %a is %04x, not %04x", rows[i].value, have, rows[i].bf16);
    }
    for (uint32_t word = 0; word < 0x10000; word++) {
        uint16_t half = (uint16_t)word, back;
        double value;
        m3_values_decode(M3_F16, &half, 1, &value);
        m3_values_encode(M3_F16, &value, 1, &back);
        assert_true(isnan(value) || back == half);
        m3_values_decode(M3_BF16, &half, 1, &value);
        m3_values_encode(M3_BF16, &value, 1, &back);
        assert_true(isnan(value) || back == half);
    }
}

int main(void)
{
    enum { TEXTS = sizeof texts / sizeof texts[0] };
    enum { OTHERS = 10 };
    struct CMUnitTest tests[OTHERS + TEXTS] = {
        cmocka_unit_test(every_case_builds_in_every_form),
        cmocka_unit_test(every_op_has_cases_and_every_differentiable_one_gradients),
        cmocka_unit_test(every_rule_has_cases_of_every_op_or_a_reason),
        cmocka_unit_test(the_full_list_begins_with_the_quick_one),
        cmocka_unit_test(types_are_those_that_the_op_admits),
        cmocka_unit_test(every_array_has_values_of_its_type),
        cmocka_unit_test(fillings_by_rule),
        cmocka_unit_test(names_are_unique_and_select),
        cmocka_unit_test(values),
        cmocka_unit_test(halves_round_to_nearest_even),
    };
    for (size_t i = 0; i < TEXTS; i++) {
        union {
            const struct text *text;
            void *state;
        } link = {&texts[i]};
        tests[OTHERS + i] = (struct CMUnitTest){texts[i].name, notation, NULL, NULL, link.state};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
