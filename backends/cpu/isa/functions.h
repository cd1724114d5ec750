/* functions: more elementary functions over vec.h. Infinities, NaN and zeros are as libm has them. log1p, expm1 and erf
 * are within 3 units in the last place over the whole range of float; pow is e^(y ln x), whose rounded exponent of up
 * to 88 costs up to 2e-5 of the result. */
#ifndef CPU_FUNCTIONS_H
#define CPU_FUNCTIONS_H

#include "backends/cpu/isa/vec.h"

/* log1p: ln u + (x - (u - 1)) / u, u = 1 + x: the second term is what the sum rounded away. */
static inline vf v_log1p(vf x)
{
    const vf one = v_set1(1.0f), u = one + x;
    vf y = v_log(u) + (x - (u - one)) / u;
    y = v_select(v_eq(u, one), x, y); /* of a zero the sign, too */
    y = v_select(v_eq(u, v_zero()), v_set1(-INFINITY), y);
    return v_select(v_eq(x, v_set1(INFINITY)), x, y);
}

/* expm1: x = n ln 2 + r, |r| <= ln 2 / 2, e^r - 1 = r + r^2 q(r) (8e-9), as in exp; 2^n (e^r - 1) + (2^n - 1). */
static inline vf v_expm1(vf x)
{
    const vf magic = v_set1(0x1.8p23f), one = v_set1(1.0f);
    const vf y = v_min(v_set1(20.0f), v_max(v_set1(-30.0f), x)); /* a NaN stays */
    const vf shifted = v_fma(y, v_set1(0x1.715476p0f), magic), nf = shifted - magic;
    vf r = v_fma(nf, v_set1(-0x1.62e4p-1f), y);
    r = v_fma(nf, v_set1(-0x1.7f7d1cp-20f), r);
    vf q = v_set1(0x1.6d110ap-10f);
    q = v_fma(q, r, v_set1(0x1.120b6ep-7f));
    q = v_fma(q, r, v_set1(0x1.55551ap-5f));
    q = v_fma(q, r, v_set1(0x1.5554dcp-3f));
    q = v_fma(q, r, v_set1(0.5f));
    q = v_fma(q, r * r, r);
    const vi n = (vi)shifted - (vi)magic;
    const vf power = (vf)((vu)(n + v_set1_i32(127)) << 23);
    const vf near = v_fma(power, q, power - one);
    const vf far = v_select(v_gt(x, v_set1(20.0f)), v_exp(x), near); /* the 1 is below half a unit there */
    return v_select(v_eq(x, v_zero()), x, far);
}

/* erf: x + x p(x^2) below 1 (3e-8), 1 - e^-q(|x|) to 4 (3e-8), 1 from there on. */
static inline vf v_erf(vf x)
{
    const vf one = v_set1(1.0f), z = x * x, a = v_min(v_set1(4.0f), v_abs(x)); /* a NaN stays */
    vf p = v_set1(0x1.4a5690p-14f);
    p = v_fma(p, z, v_set1(-0x1.a45088p-11f));
    p = v_fma(p, z, v_set1(0x1.541270p-8f));
    p = v_fma(p, z, v_set1(-0x1.b7fabap-6f));
    p = v_fma(p, z, v_set1(0x1.ce2d10p-4f));
    p = v_fma(p, z, v_set1(-0x1.81273ep-2f));
    p = v_fma(p, z, v_set1(0x1.06eba8p-3f));
    vf q = v_set1(-0x1.b77830p-20f);
    q = v_fma(q, a, v_set1(0x1.825ce4p-15f));
    q = v_fma(q, a, v_set1(-0x1.38e5e6p-11f));
    q = v_fma(q, a, v_set1(0x1.37ecc6p-8f));
    q = v_fma(q, a, v_set1(-0x1.b0e246p-6f));
    q = v_fma(q, a, v_set1(0x1.c2e356p-4f));
    q = v_fma(q, a, v_set1(0x1.437eb4p-1f));
    q = v_fma(q, a, v_set1(0x1.2156fap0f));
    q = v_fma(q, a, v_set1(-0x1.4fb068p-12f));
    const vf far = v_copysign(one - v_exp(-q), x);
    return v_select(v_lt(a, one), v_select(v_eq(x, v_zero()), x, v_fma(p, x, x)), far);
}

static inline vf v_softplus(vf x)
{
    return v_relu(x) + v_log1p(v_exp(-v_abs(x)));
}

static inline vf v_gelu(vf x)
{
    const vf half = v_set1(0.5f);
    return x * v_fma(v_erf(x * v_set1(0x1.6a09e6p-1f)), half, half);
}

/* pow: |x|^y, and the rules of C's pow for what is 0, 1, negative or infinite. */
static inline vf v_pow(vf x, vf y)
{
    const vf one = v_set1(1.0f), half = v_set1(0.5f), a = v_abs(x);
    const vm whole = v_eq(v_floor(y), y), negative = v_lt_i32((vi)x, v_set1_i32(0));
    const vm odd = v_and(v_and(whole, v_lt(v_abs(y), v_set1(0x1p24f))), v_ne(v_floor(y * half), y * half));
    vf z = v_exp(y * v_log(a));
    z = v_select(v_and(v_eq(a, one), v_eq(y, y)), one, z); /* an infinite y, too */
    z = v_select(v_and(odd, negative), -z, z);
    const vm below = v_and(v_lt(x, v_zero()), v_gt(x, v_set1(-INFINITY)));
    z = v_select(v_and(below, v_not(whole)), v_set1(NAN), z);
    return v_select(v_or(v_eq(x, one), v_eq(y, v_zero())), one, z);
}

#endif
