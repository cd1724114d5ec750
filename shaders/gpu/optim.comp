#version 450
/* optim: AdamW and the global norm over tensors of one dispatch, whose places lie in a table.
 *   scale < 0: nothing changes; else
 *   g = scale grad,  m' = beta1 m + (1 - beta1) g,  v' = beta2 v + (1 - beta2) g^2
 *   p' = p (1 - lr decay) - lr (m' / step1) / (sqrt(v' / step2) + eps),  step = {lr, step1, step2}
 *   norm = sqrt(sum of g^2)
 * LANES invocations take a chunk of CHUNK elements of a tensor, or a row of a table.
 * Table: a line of numbers for each tensor that is not empty: its first chunk in this dispatch, its elements, its first
 * chunk in the node, then where it lies in each buffer, in elements. */
#extension GL_GOOGLE_include_directive : require
#include "shaders/common/common.glsl"
#include "shaders/contract/optim.h"

DECLARE_CONTRACT(ENTRY)

#if defined(ENTRY_adamw) || defined(ENTRY_squares)
/* The line of the tensor that a chunk is of: the last that does not start behind it. */
uint line_of(uint width, uint chunk)
{
    uint low = 0u, high = tensors;
    while (high - low > 1u) {
        const uint middle = (low + high) / 2u;
        if (table[middle * width + TABLE_FIRST] <= chunk)
            low = middle;
        else
            high = middle;
    }
    return low * width;
}
#endif

#if defined(ENTRY_adamw) || defined(ENTRY_adamw_rows)
/* Elements 0 .. n - 1 from the places on. An output may be its input: each element is read and then written by one
 * invocation. */
void update(uvec3 from, uint of_g, uvec3 to, uint n)
{
    const float lr = step[0], keep = 1.0 - lr * decay, rate = lr / step[1], spread = 1.0 / step[2];
    const float factor = scale[0];
    for (uint i = LANE; i < n; i += LANES) {
        if (factor < 0.0) {
            new_p[to.x + i] = p[from.x + i];
            new_m[to.y + i] = m[from.y + i];
            new_v[to.z + i] = v[from.z + i];
            continue;
        }
        const float grad = g[of_g + i] * factor;
        const float mean = m[from.y + i] * beta1 + grad * rest1, square = v[from.z + i] * beta2 + grad * grad * rest2;
        new_p[to.x + i] = p[from.x + i] * keep - rate * mean / (sqrt(square * spread) + eps);
        new_m[to.y + i] = mean;
        new_v[to.z + i] = square;
    }
}
#endif

#ifdef ENTRY_adamw
void main()
{
    const uint chunk = ROW;
    if (chunk >= chunks) return;
    const uint t = line_of(TABLE_AT + 7u, chunk), begin = (chunk - table[t + TABLE_FIRST]) * CHUNK, at = t + TABLE_AT;
    update(uvec3(table[at], table[at + 1u], table[at + 2u]) + begin, table[at + 3u] + begin,
           uvec3(table[at + 4u], table[at + 5u], table[at + 6u]) + begin, min(CHUNK, table[t + TABLE_COUNT] - begin));
}
#endif

#ifdef ENTRY_adamw_rows
/* Row ids[i] of a table of `rows` rows by row i of g, `size` elements; other ids update nothing. */
void main()
{
    const uint i = ROW;
    if (i >= count || ids[i] < 0 || uint(ids[i]) >= rows) return;
    const uint at = uint(ids[i]) * size;
    update(uvec3(at), i * size, uvec3(at), size);
}
#endif

#ifdef ENTRY_adamw_copy
/* The rows that stand still, where outputs are not their inputs: all are copied before some are updated. */
void main()
{
    if (ROW >= chunks) return;
    const uint begin = ROW * CHUNK, end = min(begin + CHUNK, count);
    for (uint i = begin + LANE; i < end; i += LANES) {
        new_p[i] = p[i];
        new_m[i] = m[i];
        new_v[i] = v[i];
    }
}
#endif

/* The global norm: a sum of each chunk, at its number in the node, and then their sum in order. */

#if defined(ENTRY_squares) || defined(ENTRY_norm)
#ifdef SUBGROUPS
#include "shaders/common/across.glsl"
ACROSS_MEMORY(float)
DECLARE_ACROSS(float, sum_over, SUM_OF)
#else
shared float part[LANES];

/* Sum over the invocations that share a row, for the first of them. */
float sum_over(float sum)
{
    if (LANES == 1) return sum;
    part[LANE] = sum;
    for (uint half_ = LANES / 2u; half_ > 0u; half_ /= 2u) {
        barrier();
        if (LANE < half_) part[LANE] += part[LANE + half_];
    }
    return part[LANE];
}
#endif
#endif

#ifdef ENTRY_squares
void main()
{
    const uint chunk = min(ROW, chunks - 1u); /* one too many comes to the barriers as well */
    const uint t = line_of(TABLE_AT + 1u, chunk), begin = (chunk - table[t + TABLE_FIRST]) * CHUNK;
    const uint n = min(CHUNK, table[t + TABLE_COUNT] - begin), at = table[t + TABLE_AT] + begin;
    float sum = 0.0;
    for (uint i = LANE; i < n; i += LANES) sum += g[at + i] * g[at + i];
    sum = sum_over(sum);
    if (LANE == 0u && ROW < chunks) sums[table[t + TABLE_ORDER] + begin / CHUNK] = sum;
}
#endif

#ifdef ENTRY_norm
void main()
{
    float sum = 0.0;
    for (uint i = LANE; i < count; i += LANES) sum += sums[i];
    sum = sum_over(sum);
    if (LANE == 0u) y[0] = sqrt(sum);
}
#endif
