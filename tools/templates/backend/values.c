/* values: elements of any type to doubles, exactly, and back, rounded to the nearest (ties to even).
 * Whole numbers are cut towards zero and wrap modulo 2^bits, as a machine's do; NaN and infinities give 0. */
#include <math.h>

#include "backend.h"

/* A float of 16 bits: a sign, then this many bits of exponent and of fraction. */
typedef struct format {
    int exponent, fraction;
} format;

static format format_of(m3_dtype dtype)
{
    return dtype == M3_F16 ? (format){5, 10} : (format){8, 7};
}

static double read_short(format f, uint16_t bits)
{
    int bias = (1 << (f.exponent - 1)) - 1, top = (1 << f.exponent) - 1;
    int e = (bits >> f.fraction) & top, m = bits & ((1 << f.fraction) - 1);
    double size = ldexp(m + (1 << f.fraction), e - bias - f.fraction);
    if (e == 0) size = ldexp(m, 1 - bias - f.fraction); /* no hidden one */
    if (e == top) size = m == 0 ? (double)INFINITY : (double)NAN;
    return copysign(size, (bits >> 15) != 0 ? -1.0 : 1.0);
}

static uint16_t write_short(format f, double x)
{
    int bias = (1 << (f.exponent - 1)) - 1, infinite = ((1 << f.exponent) - 1) << f.fraction;
    int bits = 0, e = 0;
    if (isnan(x))
        bits = infinite | 1 << (f.fraction - 1);
    else if (isinf(x))
        bits = infinite;
    else if (fabs(x) > 0.0) {
        (void)frexp(x, &e);                      /* |x| = 0.1... 2^e = 1.... 2^(e-1) */
        e = e - 1 < 1 - bias ? 1 - bias : e - 1; /* denormals share the lowest exponent */
        /* The fraction's hidden one, or a carry out of it, counts the exponent up. */
        bits = (int)rint(ldexp(fabs(x), f.fraction - e)) + (e + bias - 1) * (1 << f.fraction);
        if (bits > infinite) bits = infinite;
    }
    return (uint16_t)(bits | (signbit(x) ? 1 << 15 : 0));
}

static uint32_t whole(double x)
{
    if (!isfinite(x)) return 0;
    double rest = fmod(trunc(x), 4294967296.0);
    return (uint32_t)(rest < 0 ? rest + 4294967296.0 : rest);
}

#define READ(type, value)                                                                                              \
    for (uint64_t i = 0; i < count; i++) {                                                                             \
        const type x = ((const type *)from)[i];                                                                        \
        to[i] = (double)(value);                                                                                       \
    }
void values_read(m3_dtype dtype, const void *from, double *to, uint64_t count)
{
    switch (dtype) {
    case M3_F32: READ(float, x) break;
    case M3_F64: READ(double, x) break;
    case M3_I32: READ(int32_t, x) break;
    case M3_U32: READ(uint32_t, x) break;
    case M3_U8:
    case M3_BOOL: READ(uint8_t, x) break;
    case M3_F16:
    case M3_BF16: READ(uint16_t, read_short(format_of(dtype), x)) break;
    }
}

#define WRITE(type, value)                                                                                             \
    for (uint64_t i = 0; i < count; i++) {                                                                             \
        const double x = from[i];                                                                                      \
        ((type *)to)[i] = (type)(value);                                                                               \
    }
void values_write(m3_dtype dtype, const double *from, void *to, uint64_t count)
{
    switch (dtype) {
    case M3_F32: WRITE(float, x) break;
    case M3_F64: WRITE(double, x) break;
    case M3_I32: WRITE(int32_t, whole(x)) break;
    case M3_U32: WRITE(uint32_t, whole(x)) break;
    case M3_U8: WRITE(uint8_t, whole(x)) break;
    case M3_BOOL: WRITE(uint8_t, x != 0.0) break;
    case M3_F16:
    case M3_BF16: WRITE(uint16_t, write_short(format_of(dtype), x)) break;
    }
}
