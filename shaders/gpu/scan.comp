#version 450
/* scan: y_l = a_l y_(l-1) + b_l along the axis of [outer, length, inner], y_0 = b_0; in reverse from the axis' end. An
 * invocation goes down a column, over places [begin, end) in the order in which they are computed: what lies before them
 * is in y. */
#extension GL_GOOGLE_include_directive : require
#include "shaders/common/common.glsl"
#include "shaders/contract/scan.h"

DECLARE_CONTRACT(ENTRY)

void main()
{
    const uint column = ITEM % inner, which = ITEM / inner;
    if (which >= outer) return;
    const uint step = reverse != 0u ? 0u - inner : inner; /* wraps */
    uint at = (which * length + (reverse != 0u ? length - 1u - begin : begin)) * inner + column;
    float state = 0.0;
    if (begin > 0u) state = y[at - step];
    for (uint k = begin; k < end; k++) {
        if (k == 0u) state = b[at];
        else if (DECAY != 0u) state = a[at] * state + b[at];
        else state += b[at];
        y[at] = state;
        at += step;
    }
}
