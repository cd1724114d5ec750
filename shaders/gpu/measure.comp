#version 450
/* measure: independent chains of fused multiply-adds, enough of them to keep any unit busy.
 *   8 chains of vec4, `rounds` steps each: 8 * 4 * 2 * rounds operations an invocation */
#extension GL_GOOGLE_include_directive : require
#include "shaders/common/common.glsl"
#include "shaders/contract/measure.h"

DECLARE_CONTRACT(ENTRY)

void main()
{
    vec4 v[8];
    const vec4 a = vec4(0.999), b = vec4(float(gl_LocalInvocationID.x) * 1e-3);
    for (int k = 0; k < 8; k++) v[k] = vec4(float(k));
    for (uint i = 0u; i < rounds; i++)
        for (int k = 0; k < 8; k++) v[k] = fma(v[k], a, b);
    vec4 sum = vec4(0.0);
    for (int k = 0; k < 8; k++) sum += v[k];
    y[ITEM] = dot(sum, vec4(1.0)); /* else the loop would be dead */
}
