/* convert: arrays of any type to doubles, exactly, and back, rounded to the nearest (ties to even).
 * Whole numbers are cut towards zero and wrap modulo 2^bits, as a machine's do; a NaN or an infinity gives 0. */
#include "backends/reference/convert.h"

#include <math.h>

/* A float of `exponent` and `fraction` bits below its sign, as f16 (5, 10) and bf16 (8, 7) are. */
typedef struct small_float {
    int exponent, fraction;
} small_float;

static double small_to_double(small_float f, uint16_t bits)
{
    int bias = (1 << (f.exponent - 1)) - 1, top = (1 << f.exponent) - 1;
    int e = (bits >> f.fraction) & top, m = bits & ((1 << f.fraction) - 1);
    double x;
    if (e == top)
        x = m == 0 ? (double)INFINITY : (double)NAN;
    else if (e == 0)
        x = ldexp(m, 1 - bias - f.fraction);
    else
        x = ldexp(m + (1 << f.fraction), e - bias - f.fraction);
    return (bits >> 15) != 0 ? -x : x;
}

static uint16_t small_from_double(small_float f, double x)
{
    int bias = (1 << (f.exponent - 1)) - 1, top = (1 << f.exponent) - 1, e = 0;
    int sign = signbit(x) ? 1 << 15 : 0, infinite = top << f.fraction;
    if (isnan(x)) return (uint16_t)(sign | infinite | 1 << (f.fraction - 1));
    if (isinf(x)) return (uint16_t)(sign | infinite);
    if (x == 0.0) return (uint16_t)sign; /* has no exponent to go by */
    (void)frexp(x, &e);
    e = e - 1 < 1 - bias ? 1 - bias : e - 1; /* denormals share the lowest exponent */
    int m = (int)rint(ldexp(fabs(x), f.fraction - e));
    int bits = m + ((e + bias - 1) * (1 << f.fraction)); /* m's hidden one, or a carry, counts the exponent up */
    return (uint16_t)(sign | (bits > infinite ? infinite : bits));
}

/* x cut towards zero, modulo 2^32. */
static uint32_t wrap(double x)
{
    if (!isfinite(x)) return 0;
    double rest = fmod(trunc(x), 4294967296.0);
    return (uint32_t)(rest < 0 ? rest + 4294967296.0 : rest);
}

static const small_float f16 = {5, 10}, bf16 = {8, 7};

#define TO(type)                                                                                                       \
    for (uint64_t i = 0; i < count; i++) to[i] = (double)((const type *)from)[i]
void reference_to_double(m3_dtype dtype, const void *from, double *to, uint64_t count)
{
    switch (dtype) {
    case M3_F32: TO(float); return;
    case M3_F64: TO(double); return;
    case M3_I32: TO(int32_t); return;
    case M3_U32: TO(uint32_t); return;
    case M3_U8:
    case M3_BOOL: TO(uint8_t); return;
    case M3_F16:
    case M3_BF16: break;
    }
    for (uint64_t i = 0; i < count; i++)
        to[i] = small_to_double(dtype == M3_F16 ? f16 : bf16, ((const uint16_t *)from)[i]);
}

#define FROM(type, value)                                                                                              \
    for (uint64_t i = 0; i < count; i++) ((type *)to)[i] = (type)(value)
void reference_from_double(m3_dtype dtype, const double *from, void *to, uint64_t count)
{
    switch (dtype) {
    case M3_F32: FROM(float, from[i]); return;
    case M3_F64: FROM(double, from[i]); return;
    case M3_I32: FROM(int32_t, wrap(from[i])); return;
    case M3_U32: FROM(uint32_t, wrap(from[i])); return;
    case M3_U8: FROM(uint8_t, wrap(from[i])); return;
    case M3_BOOL: FROM(uint8_t, from[i] != 0); return;
    case M3_F16:
    case M3_BF16: FROM(uint16_t, small_from_double(dtype == M3_F16 ? f16 : bf16, from[i])); return;
    }
}
