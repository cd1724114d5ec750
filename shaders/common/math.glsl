/* math: elementary functions that keep a few units in the last place on every device; what GLSL promises of its own is
 * too little. Only sums, products, quotients, conversions and bits are used. NaN, infinities, zeros and denormals are
 * distinguished by their bits, as a device may treat them otherwise in comparisons; denormal results may become 0.
 * `precise` holds where a compiler must not rearrange. Polynomials interpolate at Chebyshev nodes; the error stated is
 * relative to the function. */
const uint M_INF = 0x7f800000u, M_NAN = 0x7fc00000u, M_SIGN = 0x80000000u;

bool m_is_nan(float x)
{
    return (floatBitsToUint(x) & ~M_SIGN) > M_INF;
}

float m_copysign(float x, float s)
{
    return uintBitsToFloat((floatBitsToUint(x) & ~M_SIGN) | (floatBitsToUint(s) & M_SIGN));
}

/* 2^n, n in -126 .. 127 */
float m_power(int n)
{
    return uintBitsToFloat(uint(n + 127) << 23);
}

/* exp: x = n ln 2 + r, |r| <= ln 2 / 2, e^r = 1 + r + r^2 q(r) (8e-9). n reaches from -150, where the product is
 * denormal, to 128, so 2^n comes in two factors. */
float m_exp(float x)
{
    if (m_is_nan(x)) return x;
    if (x > 88.72284) return uintBitsToFloat(M_INF);
    if (x < -104.0) return 0.0;
    const float nf = roundEven(x * 1.442695);
    precise float r = x - nf * 0.69314575; /* exact: the constant has 15 bits */
    r -= nf * 1.4286068e-06;
    float q = 0.0013926184;
    q = q * r + 0.008363179;
    q = q * r + 0.041666556;
    q = q * r + 0.16666576;
    q = q * r + 0.5;
    q = q * (r * r) + r + 1.0;
    const int n = int(nf), part = n >> 1;
    precise float y = q * m_power(part);
    y *= m_power(n - part);
    return y;
}

/* log: x = 2^n (1 + f), 1 + f in [sqrt(1/2), sqrt 2), log(1 + f) = f - f^2 / 2 + f^3 q(f) (5e-9). */
float m_log(float x)
{
    uint bits = floatBitsToUint(x);
    int n = 0;
    if ((bits & ~M_SIGN) == 0u) return uintBitsToFloat(M_SIGN | M_INF);
    if (bits > M_INF) return uintBitsToFloat(M_NAN); /* negative, or NaN itself */
    if (bits == M_INF) return x;
    if (bits < 0x00800000u) { /* denormal: a whole number of 2^-149 */
        bits = floatBitsToUint(float(bits));
        n = -149;
    }
    bits -= 0x3f3504f3u; /* sqrt(1/2): exponents count from there */
    n += int(bits) >> 23;
    const float f = uintBitsToFloat((bits & 0x007fffffu) + 0x3f3504f3u) - 1.0, f2 = f * f, nf = float(n);
    float q = 0.06971612;
    q = q * f - 0.11479734;
    q = q * f + 0.1168542;
    q = q * f - 0.12425687;
    q = q * f + 0.14249058;
    q = q * f - 0.16667803;
    q = q * f + 0.20000716;
    q = q * f - 0.24999997;
    q = q * f + 0.3333333;
    precise float y = nf * 1.4286068e-06 + q * f * f2;
    y = (y - 0.5 * f2) + f;
    y += nf * 0.69314575;
    return y;
}

/* x = n pi/2 + r, |r| <= pi/4; n mod 4 counts. pi/2 in four parts, of which n times the first three is exact up to
 * n = 2^13. */
float m_reduce_near(float x, out uint n)
{
    const float nf = roundEven(x * 0.63661975);
    precise float r = x - nf * 1.5703125;
    r -= nf * 0.0004837513;
    r -= nf * 7.5495336e-08;
    r -= nf * 2.563344e-12;
    n = uint(int(nf));
    return r;
}

/* The same for any finite |x| >= 2^12: x = m 2^e with a whole m < 2^24, and of 2/pi only the 96 bits matter that
 * m 2^e brings below 4 and above 2^-70. */
const uint M_TWO_OVER_PI[8] = uint[8](0u, 0xA2F9836Eu, 0x4E441529u, 0xFC2757D1u, 0xF534DDC0u, 0xDB629599u, 0x3C439041u,
                                      0xFE5163ABu);

float m_reduce_far(float x, out uint n)
{
    const uint bits = floatBitsToUint(x), m = (bits & 0x007fffffu) | 0x00800000u;
    const uint at = ((bits >> 23) & 0xffu) - 150u + 30u, word = at >> 5, shift = at & 31u;
    uint w[3], high, low, carry;
    for (uint i = 0u; i < 3u; i++) {
        w[i] = M_TWO_OVER_PI[word + i] << shift;
        if (shift != 0u) w[i] |= M_TWO_OVER_PI[word + i + 1u] >> (32u - shift);
    }
    uint p1, p0;
    umulExtended(m, w[2], carry, low);
    umulExtended(m, w[1], high, p0);
    p0 = uaddCarry(p0, carry, carry);
    p1 = m * w[0] + high + carry;
    n = p1 >> 30;
    uint f1 = (p1 << 2) | (p0 >> 30), f0 = (p0 << 2) | (low >> 30); /* the fraction */
    const bool upper = f1 >= M_SIGN;
    if (upper) {
        n++;
        f1 = ~f1;
        f0 = ~f0;
    }
    const float r = (float(f1) * 2.3283064e-10 + float(f0) * 5.421011e-20) * 1.5707964;
    const bool negative = (bits & M_SIGN) != 0u;
    if (negative) n = 0u - n;
    return upper != negative ? -r : r;
}

/* sin r = r + r^3 s(r^2) (2e-8), cos r = 1 - r^2 / 2 + r^4 c(r^2) (1e-9); a quarter turn swaps them. */
float m_wave(float x, uint quarter)
{
    if ((floatBitsToUint(x) & ~M_SIGN) >= M_INF) return uintBitsToFloat(M_NAN);
    uint n;
    float r, y;
    if (abs(x) < 8192.0) r = m_reduce_near(x, n);
    else r = m_reduce_far(x, n);
    n += quarter;
    const float z = r * r;
    if ((n & 1u) == 0u) {
        float s = -0.00019587387 * z + 0.008332746;
        s = s * z - 0.16666664;
        y = (s * z) * r + r;
    } else {
        float c = 2.4547437e-05 * z - 0.00138883;
        c = c * z + 0.041666664;
        y = (c * z) * z + (1.0 - 0.5 * z);
    }
    return (n & 2u) == 0u ? y : -y;
}

float m_sin(float x)
{
    return m_wave(x, 0u);
}

float m_cos(float x)
{
    return m_wave(x, 1u);
}

/* tanh: x + x^3 q(x^2) below 0.625 (1e-9), 1 - 2 / (e^2x + 1) above. */
float m_tanh(float x)
{
    if (m_is_nan(x)) return x;
    const float z = x * x, y = min(abs(x), 10.0);
    if (y >= 0.625) return m_copysign(1.0 - 2.0 / (m_exp(y + y) + 1.0), x);
    float q = 0.0022927448;
    q = q * z - 0.008343945;
    q = q * z + 0.021768918;
    q = q * z - 0.053959258;
    q = q * z + 0.13333304;
    q = q * z - 0.33333334;
    return (q * z) * x + x;
}

/* sigmoid: e^min(x, 0) / (1 + e^-|x|), which neither overflows nor cancels. */
float m_sigmoid(float x)
{
    if (m_is_nan(x)) return x;
    const float e = m_exp(-abs(x));
    return (x < 0.0 ? e : 1.0) / (1.0 + e);
}

/* log1p: ln u + (x - (u - 1)) / u, u = 1 + x: the second term is what the sum rounded away. */
float m_log1p(float x)
{
    precise float u = 1.0 + x;
    precise float y = x - (u - 1.0);
    if (m_is_nan(x) || u == 1.0 || floatBitsToUint(x) == M_INF) return x;
    if (!(u > 0.0)) return uintBitsToFloat(u < 0.0 ? M_NAN : M_SIGN | M_INF);
    return m_log(u) + y / u;
}

/* expm1: x + x^2 q(x) (8e-9) within ln 2 / 2; beyond, e^x - 1 loses two bits at most. */
float m_expm1(float x)
{
    if (m_is_nan(x) || (floatBitsToUint(x) & ~M_SIGN) < 0x00800000u) return x;
    if (!(abs(x) < 0.34657)) return m_exp(x) - 1.0;
    float q = 0.0013926184;
    q = q * x + 0.008363179;
    q = q * x + 0.041666556;
    q = q * x + 0.16666576;
    q = q * x + 0.5;
    return q * (x * x) + x;
}

/* erf: x + x p(x^2) below 1 (3e-8), 1 - e^-q(|x|) to 4 (3e-8), 1 from there on. */
float m_erf(float x)
{
    if (m_is_nan(x) || (floatBitsToUint(x) & ~M_SIGN) < 0x00800000u) return x;
    const float z = x * x, a = min(abs(x), 4.0);
    if (a < 1.0) {
        float p = 7.8758749e-05;
        p = p * z - 0.00080168643;
        p = p * z + 0.0051890872;
        p = p * z - 0.026854211;
        p = p * z + 0.11283594;
        p = p * z - 0.37612626;
        p = p * z + 0.12837917;
        return p * x + x;
    }
    float q = -1.6371514e-06;
    q = q * a + 4.6058041e-05;
    q = q * a - 0.00059680565;
    q = q * a + 0.0047595962;
    q = q * a - 0.026421135;
    q = q * a + 0.11008009;
    q = q * a + 0.63182604;
    q = q * a + 1.1302334;
    q = q * a - 0.00032013806;
    return m_copysign(1.0 - m_exp(-q), x);
}

/* pow: |x|^y, and the rules of C's pow for what is 0, 1, negative or infinite. */
float m_pow(float x, float y)
{
    const uint size_x = floatBitsToUint(x) & ~M_SIGN, size_y = floatBitsToUint(y) & ~M_SIGN;
    if (floatBitsToUint(x) == 0x3f800000u || size_y == 0u) return 1.0;
    if (m_is_nan(x) || m_is_nan(y)) return uintBitsToFloat(M_NAN);
    const bool whole = size_y >= 0x4b800000u || floor(y) == y; /* 2^24: all floats are whole, and even */
    const bool odd = size_y < 0x4b800000u && whole && floor(0.5 * y) != 0.5 * y;
    const bool negative = floatBitsToUint(x) >= M_SIGN;
    if (negative && size_x != 0u && size_x != M_INF && !whole) return uintBitsToFloat(M_NAN);
    float z = 1.0;
    if (size_y == M_INF) {
        if (size_x != 0x3f800000u)
            z = uintBitsToFloat((size_x > 0x3f800000u) == (floatBitsToUint(y) < M_SIGN) ? M_INF : 0u);
    } else if (size_x == 0u || size_x == M_INF) {
        z = uintBitsToFloat((size_x == 0u) == (floatBitsToUint(y) < M_SIGN) ? 0u : M_INF);
    } else if (size_x != 0x3f800000u) {
        z = m_exp(y * m_log(uintBitsToFloat(size_x)));
    }
    return negative && odd ? uintBitsToFloat(floatBitsToUint(z) ^ M_SIGN) : z;
}
