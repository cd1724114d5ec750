/* conv: y[t, c] = sum over k of weight[c, k] x[t - (K-1) + k, c], in reverse x[t + (K-1) - k, c], over the places that are
 * there; x, y [groups, .., length, channels], weight [groups, channels, taps], a group has
 * `grouped` elements of y. An item makes `piece` neighbouring elements of y. */
KERNEL(causal_conv)
{
    OPEN_BUFFERS(causal_conv)
    const uint begin = ITEM * piece, stop = begin < count ? min(begin + piece, count) : begin;
    for (uint i = begin; i < stop; i++) {
        const uint channel = i % channels, place = i / channels % length;
        const uint behind = reverse != 0 ? length - 1 - place : place, first = taps - min(taps, behind + 1);
        const uint step = reverse != 0 ? 0u - channels : channels; /* wraps */
        uint from = i - (taps - 1 - first) * step;
        const uint weights = (i / grouped * channels + channel) * taps;
        float sum = 0.0f;
        for (uint k = first; k < taps; k++, from += step) sum += weight[weights + k] * x[from];
        y[i] = sum;
    }
}
