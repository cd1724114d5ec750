#version 450
/* dropout: y = factor x where uniform >= rate, else 0; the uniforms are random_uniform's of the same site. An
 * invocation takes `piece` neighbouring elements, whole blocks of four. */
#extension GL_GOOGLE_include_directive : require
#include "shaders/common/common.glsl"
#include "shaders/common/philox.glsl"
#include "shaders/contract/dropout.h"

DECLARE_CONTRACT(ENTRY)

void main()
{
    const uint begin = ITEM * piece;
    for (uint at = begin; at < begin + piece && at < count; at += 4u) {
        const uint block = at / 4u;
        const uvec2 number = PARTED != 0 ? block_of_part(block, blocks, rng[3], rng[4]) : uvec2(block, 0u);
        const uvec4 bits = philox(number, site, rng[2], uvec2(rng[0], rng[1]));
        for (uint i = 0u; i < 4u && at + i < count; i++)
            y[at + i] = float(bits[i] >> 8) * 5.9604644775390625e-8 >= rate ? x[at + i] * factor : 0.0;
    }
}
