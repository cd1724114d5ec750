#version 450
/* entries: masked_softmax cross_entropy cross_entropy_grad
 * softmax: masked softmax, and cross entropy of a softmax with its gradient, over the rows of x [rows, length].
 *   masked_softmax      y_j = e_j / sum of e,  e_j = exp(x_j - largest valid x) where mask_j, else 0
 *   cross_entropy       y = log sum of exp(x_j) - x_t;  0 where the target t is no class
 *   cross_entropy_grad  dx_j = dloss (softmax(x)_j - [j = t]);  0 where the target is no class
 * A group takes a row; an invocation has the elements LANE, LANE + LANES, … LANES 1: it takes the row alone.
 * A row is walked for its largest element, for the sum of exp, and for what is wanted. A NaN may be lost on the first
 * walk: exp makes it one again. The mask of a row has a byte for each element (STEP 1) or one for all (STEP 0). */
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "math.glsl"

CONSTANT(0, VECTOR);
CONSTANT(1, AXES);
CONSTANT(2, STEP);
CONSTANT(3, LANES);
#ifdef ENTRY_masked_softmax
IN(0, float, x);
IN(1, uint, mask);
OUT(2, float, y);
WORDS
{
    uint rows, length_, dim[5], stride[5];
};
#endif
#ifdef ENTRY_cross_entropy
IN(0, float, x);
IN(1, int, target);
OUT(2, float, y);
WORDS
{
    uint rows, length_;
};
#endif
#ifdef ENTRY_cross_entropy_grad
IN(0, float, x);
IN(1, int, target);
IN(2, float, dloss);
OUT(3, float, dx);
WORDS
{
    uint rows, length_;
};
#endif

const uint EVERY = uint(LANES), TEAM = LANES < 8 ? EVERY : 8u;
const float LEAST = -3.402823466e+38;
shared float between[LANES], team[8];

/* Sum, or largest, over the invocations of the group, for each of them. */
float over(float v, bool sums)
{
    if (LANES == 1) return v;
    between[LANE] = v;
    barrier();
    if (LANE < TEAM) {
        float of = between[LANE];
        for (uint k = LANE + TEAM; k < EVERY; k += TEAM) of = sums ? of + between[k] : max(of, between[k]);
        team[LANE] = of;
    }
    barrier();
    float of = team[0];
    for (uint k = 1u; k < TEAM; k++) of = sums ? of + team[k] : max(of, team[k]);
    return of;
}

/* What a row adds to the largest element: a NaN nothing. */
float candidate(float v)
{
    return m_is_nan(v) ? uintBitsToFloat(M_SIGN | M_INF) : v;
}

#ifdef ENTRY_masked_softmax
bool valid(uint at)
{
    return BYTE(mask, at) != 0u;
}

void main()
{
    const uint row = ROW, end = row < rows ? length_ : 0u, i = row * length_;
    uint start = 0u, rest = row;
    for (int a = AXES - 1; a >= 0; a--) {
        start += rest % dim[a] * stride[a];
        rest /= dim[a];
    }
    float most = uintBitsToFloat(M_SIGN | M_INF), sum = 0.0;
    for (uint j = LANE; j < end; j += EVERY)
        most = max(most, valid(start + j * uint(STEP)) ? candidate(x[i + j]) : LEAST);
    most = over(most, false);
    for (uint j = LANE; j < end; j += EVERY) {
        const float e = valid(start + j * uint(STEP)) ? m_exp(x[i + j] - most) : 0.0;
        sum += e;
        y[i + j] = e;
    }
    /* The largest valid entry adds exp(0): with finite x only an empty row sums below 1. */
    sum = over(sum, true);
    const float scale = 1.0 / (sum < 1.0 ? 1.0 : sum);
    for (uint j = LANE; j < end; j += EVERY) y[i + j] *= scale;
}
#else

/* Of the row at i: the largest element, and the sum of exp(x - it). */
vec2 moments_of(uint i, uint end)
{
    float most = uintBitsToFloat(M_SIGN | M_INF), sum = 0.0;
    for (uint j = LANE; j < end; j += EVERY) most = max(most, candidate(x[i + j]));
    most = over(most, false);
    for (uint j = LANE; j < end; j += EVERY) sum += m_exp(x[i + j] - most);
    return vec2(most, over(sum, true));
}
#endif

#ifdef ENTRY_cross_entropy
void main()
{
    /* A negative target is no class either. */
    const uint row = ROW, t = row < rows ? uint(target[row]) : length_, i = row * length_;
    const vec2 m = moments_of(i, t < length_ ? length_ : 0u);
    if (LANE == 0u && row < rows) y[row] = t < length_ ? m_log(m.y) - (x[i + t] - m.x) : 0.0;
}
#endif

#ifdef ENTRY_cross_entropy_grad
void main()
{
    const uint row = ROW, end = row < rows ? length_ : 0u, t = row < rows ? uint(target[row]) : length_;
    const uint i = row * length_;
    const bool counts = t < length_;
    const vec2 m = moments_of(i, counts ? length_ : 0u);
    const float slope = counts ? dloss[row] : 0.0;
    for (uint j = LANE; j < end; j += EVERY)
        dx[i + j] = counts ? (m_exp(x[i + j] - m.x) / m.y - (j == t ? 1.0 : 0.0)) * slope : 0.0;
}
#endif
