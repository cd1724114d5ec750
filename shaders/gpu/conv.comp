#version 450
/* conv: y[t, c] = sum over k of weight[c, k] x[t - (K-1) + k, c], in reverse x[t + (K-1) - k, c], over the places that are
 * there; x, y [groups, .., length, channels], weight [groups, channels, taps], a group has
 * `grouped` elements of y. An invocation makes `piece` neighbouring elements of y. */
#extension GL_GOOGLE_include_directive : require
#include "shaders/common/common.glsl"
#include "shaders/contract/conv.h"

DECLARE_CONTRACT(ENTRY)

void main()
{
    const uint begin = ITEM * piece, stop = begin < count ? min(begin + piece, count) : begin;
    const uint step = reverse != 0u ? 0u - channels : channels; /* wraps */
    for (uint i = begin; i < stop; i++) {
        const uint channel = i % channels, place = i / channels % length;
        const uint behind = reverse != 0u ? length - 1u - place : place, first = taps - min(taps, behind + 1u);
        uint from = i - (taps - 1u - first) * step;
        const uint weights = (i / grouped * channels + channel) * taps;
        float sum = 0.0;
        for (uint k = first; k < taps; k++, from += step) sum += weight[weights + k] * x[from];
        y[i] = sum;
    }
}
