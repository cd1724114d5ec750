#version 450
/* draws: random bits, uniforms and normals; an invocation makes the four elements of a block.
 *   DRAW_BITS     the words as they come
 *   DRAW_UNIFORM  (bits >> 8) 2^-24
 *   DRAW_NORMAL   of each pair (u, v) of uniforms: sqrt(-2 log(1 - u)) times cos(2 pi v), then sin(2 pi v) */
#extension GL_GOOGLE_include_directive : require
#include "shaders/common/common.glsl"
#include "shaders/common/math.glsl"
#include "shaders/common/philox.glsl"
#include "shaders/contract/draws.h"

DECLARE_CONTRACT(ENTRY)

uvec4 draw_of(uvec4 bits)
{
    if (KIND == DRAW_BITS) return bits;
    vec4 u = vec4(bits >> 8) * 5.9604644775390625e-8;
    if (KIND == DRAW_NORMAL) {
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
    const uvec2 number = PARTED != 0 ? block_of_part(block, blocks, rng[3], rng[4]) : uvec2(block, 0u);
    const uvec4 v = draw_of(philox(number, site, rng[2], uvec2(rng[0], rng[1])));
    for (uint i = 0u; i < 4u && at + i < count; i++) y[at + i] = v[i];
}
