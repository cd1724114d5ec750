/* statistics: entropy, spread and rank against values that are worked out by hand. */
#include "core/train/statistics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void assert_about(double is, double want)
{
    if (!(fabs(is - want) <= 1e-9)) fail_msg("is %.12g, not %.12g", is, want);
}

enum { WIDTH = 3, ROWS = 8 };

static const struct row {
    const char *name;
    uint32_t count;
    struct {
        uint32_t group;
        float x[WIDTH];
    } rows[ROWS];
    double scale, spread, rank;
} rows[] = {
    {"nothing was added", 0, {{0}}, 0, 0, 0},
    {"one row differs from nothing", 1, {{0, {3, 0, 0}}}, 1.7320508075688772, 0, 0},
    {"equal rows have a scale and no rank", 2, {{0, {1, 1, 1}}, {0, {1, 1, 1}}}, 1, 0, 0},
    {"a line has rank 1", 2, {{0, {1, 2, 2}}, {0, {-1, -2, -2}}}, 1.7320508075688772, 1.7320508075688772, 1},
    {"a line that is not at 0 has rank 1 as well",
     2,
     {{0, {11, 2, 2}}, {0, {9, -2, -2}}},
     6.02771377334171,
     1.7320508075688772,
     1},
    {"all directions alike have rank d",
     6,
     {{0, {1, 0, 0}}, {0, {-1, 0, 0}}, {0, {0, 1, 0}}, {0, {0, -1, 0}}, {0, {0, 0, 1}}, {0, {0, 0, -1}}},
     0.5773502691896258,
     0.5773502691896258,
     3},
    /* variances 4/2, 1/2, 0: (5/2)^2 / (4 + 1/4) */
    {"two directions, one of them twice as wide",
     4,
     {{0, {2, 0, 0}}, {0, {-2, 0, 0}}, {0, {0, 1, 0}}, {0, {0, -1, 0}}},
     0.9128709291752769,
     0.9128709291752769,
     25.0 / 17.0},
    {"what only groups tell apart does not count",
     4,
     {{0, {5, 0, 0}}, {0, {5, 0, 0}}, {1, {0, 5, 0}}, {1, {0, 5, 0}}},
     2.886751345948129,
     0,
     0},
    {"a group of one adds nothing",
     3,
     {{0, {1, 2, 2}}, {0, {-1, -2, -2}}, {1, {7, 0, 0}}},
     2.7284509239574835,
     1.4142135623730951,
     1},
};
enum { CASES = sizeof rows / sizeof rows[0] };

static void varies(void **state)
{
    const struct row *row = *state;
    m3_covariance sums = {0};
    m3_error err = {0};
    assert_int_equal(m3_covariance_init(&sums, WIDTH, 2, &err), M3_OK);
    for (uint32_t i = 0; i < row->count; i++) m3_covariance_add(&sums, row->rows[i].group, row->rows[i].x);
    const m3_variation v = m3_variation_of(&sums);
    assert_about(v.scale, row->scale);
    assert_about(v.spread, row->spread);
    assert_about(v.rank, row->rank);
    m3_covariance_fini(&sums);
}

static void entropy_goes_from_one_to_all(void **state)
{
    (void)state;
    assert_about(m3_relative_entropy((const double[]){1, 0, 0}, 3), 0);
    assert_about(m3_relative_entropy((const double[]){0.25, 0.25, 0.25, 0.25}, 4), 1);
    assert_about(m3_relative_entropy((const double[]){0.5, 0.5, 0, 0}, 4), 0.5);
    assert_about(m3_relative_entropy((const double[]){1}, 1), 0);
}

static void the_median_of_two_is_the_lower(void **state)
{
    (void)state;
    assert_about(m3_median((double[]){3, 1, 2}, 3), 2);
    assert_about(m3_median((double[]){4, 3, 1, 2}, 4), 2);
    assert_about(m3_median((double[]){0}, 0), 0);
}

int main(void)
{
    struct CMUnitTest tests[CASES + 2];
    for (size_t i = 0; i < CASES; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, varies, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    tests[CASES] = (struct CMUnitTest)cmocka_unit_test(entropy_goes_from_one_to_all);
    tests[CASES + 1] = (struct CMUnitTest)cmocka_unit_test(the_median_of_two_is_the_lower);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
