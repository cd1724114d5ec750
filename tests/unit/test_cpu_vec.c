/* vec.h against libm in double precision, lane by lane, on each set of instructions that this machine has. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/cpu/machine.h"
#include "tests/unit/cpu_vec_probe.h"

static uint32_t probes(vec_probe found[3])
{
    uint32_t count = 0;
    cpu_machine machine;
    vec_probe_portable(&found[count++]);
#if defined(CPU_HAVE_AVX2)
    if (cpu_machine_init(&machine, "avx2", NULL) == M3_OK) vec_probe_avx2(&found[count++]);
#endif
#if defined(CPU_HAVE_AVX512)
    if (cpu_machine_init(&machine, "avx512", NULL) == M3_OK) vec_probe_avx512(&found[count++]);
#endif
    (void)machine;
    return count;
}

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

static double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double relu(double x)
{
    return x < 0 ? 0 : x;
}

/* Distance in units in the last place of a float of want's size; below the normal range, of the smallest denormal. */
static double units_off(float got, double want)
{
    if (isnan(want)) return isnan(got) ? 0 : INFINITY;
    if (isinf(got) && fabs(want) > 0x1.ffffffp127) return 0; /* rounds to infinity */
    if (isinf(want) || isinf(got)) return (double)got == want ? 0 : INFINITY;
    int exponent;
    (void)frexp(want, &exponent);
    return fabs((double)got - want) / ldexp(1.0, exponent - 24 < -149 ? -149 : exponent - 24);
}

static const struct row {
    const char *name;
    vec_probe_function function;
    double (*want)(double);
    double units; /* allowed */
} rows[] = {
    {"exp is exact to 2 units, from underflow to overflow", VEC_EXP, exp, 2},
    {"log is exact to 2 units, and of denormals", VEC_LOG, log, 2},
    {"sin is exact to 2 units, also far out", VEC_SIN, sin, 2},
    {"cos is exact to 2 units, also far out", VEC_COS, cos, 2},
    {"tanh is exact to 2 units", VEC_TANH, tanh, 2},
    {"sigmoid is exact to 2.5 units in both tails", VEC_SIGMOID, sigmoid, 2.5},
    {"sqrt is rounded correctly", VEC_SQRT, sqrt, 0.5},
    {"round goes to nearest, ties to even", VEC_ROUND, rint, 0},
    {"floor goes down", VEC_FLOOR, floor, 0},
    {"relu keeps a NaN", VEC_RELU, relu, 0},
    {"log1p is exact to 3 units, near 0 too", VEC_LOG1P, log1p, 3},
    {"expm1 is exact to 3 units, near 0 too", VEC_EXPM1, expm1, 3},
    {"erf is exact to 3 units", VEC_ERF, erf, 3},
    {"softplus is exact to 3 units in both tails", VEC_SOFTPLUS, softplus, 3},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void function_is_accurate(void **state)
{
    enum { STEP = 8191, COUNT = 4096 };
    const struct row *row = *state;
    vec_probe found[3];
    const uint32_t machines = probes(found);
    float x[COUNT], y[COUNT];
    const float special[] = {0.0f,    -0.0f,     INFINITY,        -INFINITY, NAN,         0.5f,        -0.5f,
                             1.5f,    2.5f,      88.72284f,       88.72283f, -87.33655f,  -103.97f,    -103.98f,
                             -104.5f, 0x1p-149f, -0x1p-149f,      0x1p-126f, 3.14159274f, 1.57079637f, 8191.5f,
                             8192.0f, 0.625f,    0x1.fffffep127f, 1.0f};
    uint64_t bits = 0;
    while (bits <= UINT32_MAX) {
        size_t n = 0;
        if (bits == 0)
            for (; n < sizeof special / sizeof special[0]; n++) x[n] = special[n];
        for (; n < COUNT && bits <= UINT32_MAX; n++, bits += STEP) {
            uint32_t word = (uint32_t)bits;
            memcpy(&x[n], &word, sizeof word);
        }
        for (uint32_t m = 0; m < machines; m++) {
            found[m].map(row->function, x, y, n);
            for (size_t i = 0; i < n; i++) {
                double off = units_off(y[i], row->want((double)x[i]));
                if (off > row->units)
                    fail_msg("width %zu: f(%.9g) is %.9g, wanted %.12g, %.2f units off", found[m].width, (double)x[i],
                             (double)y[i], row->want((double)x[i]), off);
            }
        }
    }
}

static void sums_and_extremes_see_all_lanes(void **state)
{
    (void)state;
    vec_probe found[3];
    for (uint32_t m = 0, machines = probes(found); m < machines; m++) {
        const size_t width = found[m].width;
        for (size_t at = 0; at < width; at++) {
            float x[VEC_MOST], y[VEC_MOST];
            for (size_t i = 0; i < width; i++) x[i] = (float)i * 0.5f - 3.0f;
            x[at] = 100.0f;
            float sum = 0;
            for (size_t i = 0; i < width; i++) sum += x[i]; /* exact: small multiples of a half */
            found[m].map(VEC_SUM, x, y, width);
            assert_float_equal(y[0], sum, 0.0f);
            found[m].map(VEC_MAX_OF, x, y, width);
            assert_float_equal(y[0], 100.0f, 0.0f);
            x[at] = -100.0f;
            found[m].map(VEC_MIN_OF, x, y, width);
            assert_float_equal(y[0], -100.0f, 0.0f);
            x[at] = NAN;
            found[m].map(VEC_MAX_OF, x, y, width);
            assert_true(isnan(y[0]));
            found[m].map(VEC_MIN_OF, x, y, width);
            assert_true(isnan(y[0]));
        }
    }
}

static void part_of_a_vector_touches_nothing_else(void **state)
{
    (void)state;
    vec_probe found[3];
    for (uint32_t m = 0, machines = probes(found); m < machines; m++) {
        for (size_t n = 0; n <= found[m].width; n++) {
            float *x = malloc((n + 1) * sizeof *x), y[VEC_MOST + 1]; /* a sanitizer watches the end of x */
            assert_non_null(x);
            x[0] = 7.0f;
            float *from = x + 1;
            for (size_t i = 0; i < n; i++) from[i] = (float)i;
            for (size_t i = 0; i <= VEC_MOST; i++) y[i] = -1.0f;
            found[m].map(VEC_FLOOR, from, y, n);
            for (size_t i = 0; i <= VEC_MOST; i++) assert_true(y[i] == (i < n ? (float)i : -1.0f));
            free(x);
        }
    }
}

static void transposes(void **state)
{
    (void)state;
    vec_probe found[3];
    for (uint32_t m = 0, machines = probes(found); m < machines; m++) {
        const size_t width = found[m].width;
        float square[VEC_MOST * VEC_MOST];
        for (size_t i = 0; i < width * width; i++) square[i] = (float)i;
        found[m].transpose(square);
        for (size_t i = 0; i < width; i++)
            for (size_t j = 0; j < width; j++) assert_float_equal(square[i * width + j], (float)(j * width + i), 0.0f);
    }
}

static void products_keep_all_bits(void **state)
{
    (void)state;
    vec_probe found[3];
    for (uint32_t m = 0, machines = probes(found); m < machines; m++) {
        uint32_t a[VEC_MOST], b[VEC_MOST], high[VEC_MOST], low[VEC_MOST];
        for (uint32_t i = 0; i < VEC_MOST; i++) {
            a[i] = i == 0 ? UINT32_MAX : 0xD2511F53u * (i + 1);
            b[i] = i == 0 ? UINT32_MAX : 0xCD9E8D57u ^ (i << 27);
        }
        found[m].mul_wide(a, b, high, low);
        for (size_t i = 0; i < found[m].width; i++) {
            uint64_t want = (uint64_t)a[i] * b[i];
            assert_int_equal(high[i], want >> 32);
            assert_int_equal(low[i], (uint32_t)want);
        }
    }
}

static void masks_follow_bytes(void **state)
{
    (void)state;
    vec_probe found[3];
    for (uint32_t m = 0, machines = probes(found); m < machines; m++) {
        for (size_t n = 0; n <= found[m].width; n++) {
            uint8_t in[VEC_MOST], out[VEC_MOST + 1];
            float chosen[VEC_MOST];
            for (size_t i = 0; i < VEC_MOST; i++) in[i] = i % 3 == 0 ? 0 : (uint8_t)(1 + i * 17);
            memset(out, 9, sizeof out);
            found[m].mask(in, n, out, chosen);
            for (size_t i = 0; i <= VEC_MOST; i++) assert_int_equal(out[i], i < n ? i % 3 != 0 : 9);
            for (size_t i = 0; i < found[m].width; i++) assert_true(chosen[i] == (i < n && i % 3 != 0 ? 1.0f : 2.0f));
        }
    }
}

int main(void)
{
    struct CMUnitTest tests[ROWS + 5] = {
        cmocka_unit_test(sums_and_extremes_see_all_lanes), cmocka_unit_test(part_of_a_vector_touches_nothing_else),
        cmocka_unit_test(transposes), cmocka_unit_test(products_keep_all_bits), cmocka_unit_test(masks_follow_bytes)};
    for (size_t i = 0; i < ROWS; i++)
        tests[5 + i] = (struct CMUnitTest){rows[i].name, function_is_accurate, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
