#version 450
/* softmax: masked softmax, and cross entropy of a softmax with its gradient, over the rows of x [rows, length].
 *   masked_softmax      y_j = e_j / sum of e,  e_j = exp(x_j - largest valid x) where mask_j, else 0
 *   cross_entropy       y = log sum of exp(x_j) - x_t;  0 where the target t is no class
 *   cross_entropy_grad  dx_j = dloss (softmax(x)_j - [j = t]);  0 where the target is no class
 * A group takes a row; an invocation has the elements LANE, LANE + LANES, … LANES 1: it takes the row alone.
 * Passes over a row find its largest element, the sum of exp, and what is wanted. A NaN may be lost in the first
 * pass: exp makes it one again. The mask of a row has a byte for each element (STEP 1) or one for all (STEP 0). */
#extension GL_GOOGLE_include_directive : require
#include "shaders/common/common.glsl"
#include "shaders/common/math.glsl"
#include "shaders/contract/softmax.h"

DECLARE_CONTRACT(ENTRY)
#include "shaders/common/across.glsl"

const float LOWEST = -3.402823466e+38;
ACROSS_MEMORY(float)
DECLARE_ACROSS(float, sum_over, SUM_OF)
DECLARE_ACROSS(float, largest_over, max)

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
    const uint row = ROW, end = row < rows ? length : 0u, i = row * length;
    const uint dim[] = {dim0, dim1, dim2, dim3, dim4}, stride[] = {stride0, stride1, stride2, stride3, stride4};
    uint start = 0u, rest = row;
    for (int a = int(AXES) - 1; a >= 0; a--) {
        start += rest % dim[a] * stride[a];
        rest /= dim[a];
    }
    float largest = uintBitsToFloat(M_SIGN | M_INF), sum = 0.0;
    for (uint j = LANE; j < end; j += LANES)
        largest = max(largest, valid(start + j * STEP) ? candidate(x[i + j]) : LOWEST);
    largest = largest_over(largest);
    for (uint j = LANE; j < end; j += LANES) {
        const float e = valid(start + j * STEP) ? m_exp(x[i + j] - largest) : 0.0;
        sum += e;
        y[i + j] = e;
    }
    /* The largest valid entry adds exp(0): with finite x only an empty row sums below 1. */
    sum = sum_over(sum);
    const float scale = 1.0 / (sum < 1.0 ? 1.0 : sum);
    for (uint j = LANE; j < end; j += LANES) y[i + j] *= scale;
}
#else

/* Of the row at i: the largest element, and the sum of exp(x - it). */
vec2 moments_of(uint i, uint end)
{
    float largest = uintBitsToFloat(M_SIGN | M_INF), sum = 0.0;
    for (uint j = LANE; j < end; j += LANES) largest = max(largest, candidate(x[i + j]));
    largest = largest_over(largest);
    for (uint j = LANE; j < end; j += LANES) sum += m_exp(x[i + j] - largest);
    return vec2(largest, sum_over(sum));
}
#endif

#ifdef ENTRY_cross_entropy
void main()
{
    /* A negative target is no class either. */
    const uint row = ROW, t = row < rows ? uint(target[row]) : length, i = row * length;
    const vec2 m = moments_of(i, t < length ? length : 0u);
    if (LANE == 0u && row < rows) y[row] = t < length ? m_log(m.y) - (x[i + t] - m.x) : 0.0;
}
#endif

#ifdef ENTRY_cross_entropy_grad
void main()
{
    const uint row = ROW, end = row < rows ? length : 0u, t = row < rows ? uint(target[row]) : length;
    const uint i = row * length;
    const bool counts = t < length;
    const vec2 m = moments_of(i, counts ? length : 0u);
    const float slope = counts ? dloss[row] : 0.0;
    for (uint j = LANE; j < end; j += LANES)
        dx[i + j] = counts ? (m_exp(x[i + j] - m.x) / m.y - (j == t ? 1.0 : 0.0)) * slope : 0.0;
}
#endif
