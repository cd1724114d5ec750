/* halves: numbers of 16 bits as floats, and back; two lie in a word. After math.glsl. */

/* A denormal f16 is a whole number of 2^-24, so that no denormal f32 is touched in between. */
uint widen_f16(const uint h)
{
    const uint exponent = (h >> 10) & 0x1fu, fraction = h & 0x3ffu;
    const uint many = exponent == 0x1fu ? M_INF : (exponent + 112u) << 23;
    const uint size = exponent == 0u ? floatBitsToUint(float(fraction) * 5.9604644775390625e-8) : many | fraction << 13;
    return size | (h & 0x8000u) << 16;
}

/* Below 2^-14 adding 1/2 leaves a whole number of 2^-24 in the low bits; every sum here rounds ties to even. */
uint narrow_f16(const uint bits)
{
    const uint size = bits & ~M_SIGN, sign = (bits >> 16) & 0x8000u;
    if (size > M_INF) return 0x7e00u;
    if (size >= 0x477ff000u) return sign | 0x7c00u;
    if (size < 0x38800000u) return sign | (floatBitsToUint(uintBitsToFloat(size) + 0.5) - 0x3f000000u);
    return sign | (((size + 0xfffu + ((size >> 13) & 1u)) >> 13) - (112u << 10));
}

uint narrow_bf16(const uint bits)
{
    return (bits & ~M_SIGN) > M_INF ? 0x7fc0u : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}

float half_of(const uint bits, const uint type)
{
    return uintBitsToFloat(type == DTYPE_F16 ? widen_f16(bits) : bits << 16);
}

uint half_bits(const float x, const uint type)
{
    return type == DTYPE_F16 ? narrow_f16(floatBitsToUint(x)) : narrow_bf16(floatBitsToUint(x));
}

/* Element i, of the word that it lies in. */
float half_at(const uint word, const uint i, const uint type)
{
    return half_of((word >> ((i & 1u) * 16u)) & 0xffffu, type);
}

vec4 halves_of(const uvec2 words, const uint type)
{
    return vec4(half_at(words.x, 0u, type), half_at(words.x, 1u, type), half_at(words.y, 0u, type),
                half_at(words.y, 1u, type));
}

uint pair_of(const float x, const float y, const uint type)
{
    return half_bits(x, type) | half_bits(y, type) << 16;
}
