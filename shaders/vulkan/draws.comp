#version 450
/* entries: draw
 * draws: random bits, uniforms and normals; an invocation makes the four elements of a block.
 *   KIND 0  bits       the words as they come
 *   KIND 1  uniform    (bits >> 8) 2^-24
 *   KIND 2  normal     of each pair (u, v) of uniforms: sqrt(-2 log(1 - u)) times cos(2 pi v), then sin(2 pi v) */
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "math.glsl"
#include "philox.glsl"

CONSTANT(0, KIND);
CONSTANT(1, VECTOR);
CONSTANT(2, PART); /* both are 1 here: an invocation makes one block */
IN(0, uint, rng);
OUT(1, uint, y);
WORDS
{
    uint count, site;
};

uvec4 draw_of(uvec4 bits)
{
    if (KIND == 0) return bits;
    vec4 u = vec4(bits >> 8) * 5.9604644775390625e-8;
    if (KIND == 2) {
        for (int i = 0; i < 4; i += 2) {
            const float radius = sqrt(-2.0 * m_log(1.0 - u[i])), angle = 6.28318530717958647692 * u[i + 1];
            u[i] = radius * m_cos(angle);
            u[i + 1] = radius * m_sin(angle);
        }
    }
    return floatBitsToUint(u);
}

void main()
{
    const uint block = ITEM, at = 4u * block;
    if (at >= count) return;
    const uvec4 v = draw_of(philox(block, site, rng[2], uvec2(rng[0], rng[1])));
    for (uint i = 0u; i < 4u && at + i < count; i++) y[at + i] = v[i];
}
