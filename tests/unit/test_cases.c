/* cases: the list of what ops must do is legal, complete and selectable, before any device runs it. */
#include "core/base/alloc.h"
#include "core/conformance/cases.h"
#include "core/conformance/values.h"
#include "core/ops/common/op.h"

#include <math.h>
#include <setjmp.h>
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
    static const m3_case_form forms[] = {M3_CASE_PLAIN, M3_CASE_DOUBLE, M3_CASE_INPLACE};
    for (uint32_t i = 0; i < m3_case_count(); i++) {
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

static void names_are_unique_and_select(void **state)
{
    (void)state;
    uint32_t count = m3_case_count();
    m3_case *all = m3_calloc(count, sizeof *all);
    assert_non_null(all);
    for (uint32_t i = 0; i < count; i++) {
        all[i] = at(i);
        assert_true(m3_case_matches(&all[i], all[i].name));
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(all[k].name, all[i].name) == 0) fail_msg("%s is there twice", all[i].name);
    }
    uint32_t matmuls = 0;
    for (uint32_t i = 0; i < count; i++) matmuls += m3_case_matches(&all[i], "matmul(f32[7,5]*");
    assert_true(matmuls > 0 && matmuls < 5);
    m3_free(all);
    m3_case c;
    assert_int_equal(m3_case_at(count, &c, NULL), M3_ERR_RANGE);
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
    struct CMUnitTest tests[5 + TEXTS] = {
        cmocka_unit_test(every_case_builds_in_every_form),
        cmocka_unit_test(every_op_has_cases_and_every_differentiable_one_gradients),
        cmocka_unit_test(names_are_unique_and_select),
        cmocka_unit_test(values),
        cmocka_unit_test(halves_round_to_nearest_even),
    };
    for (size_t i = 0; i < TEXTS; i++) {
        union {
            const struct text *text;
            void *state;
        } link = {&texts[i]};
        tests[5 + i] = (struct CMUnitTest){texts[i].name, notation, NULL, NULL, link.state};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
