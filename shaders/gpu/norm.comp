#version 450
/* norm: layer_norm and its gradient, to which a residual may be added, over x [groups, rows, width], gamma and beta [groups, width].
 *   n = (x - mean) / s,  s = sqrt(mean of (x - mean)^2 + eps)      y = n gamma + beta
 *   e = dy gamma,  dx = (e - mean(e) - n mean(e n)) / s            dgamma = sum of dy n,  dbeta = sum of dy
 * A group takes a row, and of the gradient the rows of a part; an invocation has the columns LANE, LANE + LANES, … and
 * of the gradient keeps its COLUMNS. LANES 1: an invocation takes them alone. HALVES are x, y, dy and dx: width is even,
 * and an invocation has pairs of columns, which are words.
 * sums [groups, parts, 2, width] are those of dgamma and dbeta over the rows of each part. */
#extension GL_GOOGLE_include_directive : require
#include "shaders/common/common.glsl"
#include "shaders/common/math.glsl"
#include "shaders/common/halves.glsl"
#include "shaders/contract/norm.h"

DECLARE_CONTRACT(ENTRY)
#include "shaders/common/across.glsl"

#ifndef ENTRY_layer_norm_sums
layout(set = 0, binding = 0, std430) readonly buffer Words0 { uint x_words[]; };

float x_at(uint i)
{
    return HALVES != DTYPE_F32 ? half_at(x_words[i / 2u], i, HALVES) : x[i];
}

ACROSS_MEMORY(vec2)
DECLARE_ACROSS(vec2, sum_over, SUM_OF)

/* Mean and 1 / s of the row at i. */
vec2 moments_of(uint i, uint length)
{
    vec2 sum = vec2(0.0);
    for (uint j = LANE; j < length; j += LANES) sum.x += x_at(i + j);
    const float mean = sum_over(sum).x / float(width);
    sum = vec2(0.0);
    for (uint j = LANE; j < length; j += LANES) {
        const float centred = x_at(i + j) - mean;
        sum.y += centred * centred;
    }
    return vec2(mean, 1.0 / sqrt(sum_over(sum).y / float(width) + eps));
}
#endif

#ifdef ENTRY_layer_norm
layout(set = 0, binding = 3, std430) writeonly buffer Words3 { uint y_words[]; };

float y_at(uint i, uint j, uint at, vec2 m)
{
    return (x_at(i + j) - m.x) * m.y * gamma[at + j] + beta[at + j];
}

void main()
{
    const uint row = ROW, length = row < groups * rows ? width : 0u, i = row * width, at = row / rows * width;
    const vec2 m = moments_of(i, length);
    if (HALVES == DTYPE_F32) {
        for (uint j = LANE; j < length; j += LANES) y[i + j] = y_at(i, j, at, m);
    } else {
        for (uint j = 2u * LANE; j < length; j += 2u * LANES)
            y_words[(i + j) / 2u] = pair_of(y_at(i, j, at, m), y_at(i, j + 1u, at, m), HALVES);
    }
}
#endif

#ifdef ENTRY_layer_norm_grad
layout(set = 0, binding = 2, std430) readonly buffer Words2 { uint dy_words[]; };
layout(set = 0, binding = 3, std430) readonly buffer Words3 { uint residual_words[]; };
layout(set = 0, binding = 4, std430) writeonly buffer Words4 { uint dx_words[]; };

float dy_at(uint i)
{
    return HALVES != DTYPE_F32 ? half_at(dy_words[i / 2u], i, HALVES) : dy[i];
}

/* Column k of those that an invocation keeps. */
uint column(uint k)
{
    return HALVES != DTYPE_F32 ? 2u * (LANE + k / 2u * LANES) + k % 2u : LANE + k * LANES;
}

/* What is added to dx. */
float more(uint i)
{
    if (adds == 0u) return 0.0;
    return HALVES != DTYPE_F32 ? half_at(residual_words[i / 2u], i, HALVES) : residual[i];
}

/* dx at i from n and e of the element, their means, and 1 / s. */
float slope(uint i, vec2 n, vec2 mean, float inverse)
{
    return (n.y - mean.x - n.x * mean.y) * inverse + more(i);
}

/* The rows of part `at` lie from start to end; its weights at `weights`. */
void split_part(uint at, uint start, uint end, uint weights)
{
    vec2 sum[COLUMNS]; /* of dy n and dy */
    for (uint k = 0u; k < COLUMNS; k++) sum[k] = vec2(0.0);
    for (uint i = start; i < end; i += width) {
        const vec2 m = moments_of(i, width);
        vec2 n[COLUMNS], along = vec2(0.0); /* n and e, and their sums */
        for (uint k = 0u; k < COLUMNS; k++) {
            const uint j = column(k);
            if (j >= width) continue;
            const float g = dy_at(i + j), normal = (x_at(i + j) - m.x) * m.y, e = g * gamma[weights + j];
            n[k] = vec2(normal, e);
            sum[k] += vec2(g * normal, g);
            along += vec2(e, e * normal);
        }
        const vec2 mean = sum_over(along) / float(width);
        for (uint k = 0u; k < COLUMNS; k++) {
            const uint j = column(k);
            if (j >= width) continue;
            if (HALVES == DTYPE_F32)
                dx[i + j] = slope(i + j, n[k], mean, m.y);
            else if (k % 2u == 0u)
                dx_words[(i + j) / 2u] = pair_of(slope(i + j, n[k], mean, m.y), slope(i + j + 1u, n[k + 1u], mean, m.y),
                                                 HALVES);
        }
    }
    for (uint k = 0u; k < COLUMNS; k++) {
        const uint j = column(k);
        if (j >= width || at >= groups * parts) continue;
        sums[2u * at * width + j] = sum[k].x;
        sums[(2u * at + 1u) * width + j] = sum[k].y;
    }
}

/* n and e of an element. */
vec2 pair_at(uint i, uint j, uint weights, vec2 m)
{
    return vec2((x_at(i + j) - m.x) * m.y, dy_at(i + j) * gamma[weights + j]);
}

/* The same by one invocation, which keeps the sums where they go. */
void take_part(uint at, uint start, uint end, uint weights)
{
    const uint of_gamma = 2u * at * width, of_beta = of_gamma + width;
    for (uint i = start; i < end; i += width) {
        const vec2 m = moments_of(i, width);
        vec2 along = vec2(0.0);
        for (uint j = 0u; j < width; j++) {
            const float g = dy_at(i + j), normal = (x_at(i + j) - m.x) * m.y, e = g * gamma[weights + j];
            sums[of_gamma + j] = g * normal + (i > start ? sums[of_gamma + j] : 0.0);
            sums[of_beta + j] = g + (i > start ? sums[of_beta + j] : 0.0);
            along += vec2(e, e * normal);
        }
        const vec2 mean = along / float(width);
        if (HALVES == DTYPE_F32) {
            for (uint j = 0u; j < width; j++) dx[i + j] = slope(i + j, pair_at(i, j, weights, m), mean, m.y);
        } else {
            for (uint j = 0u; j < width; j += 2u)
                dx_words[(i + j) / 2u] = pair_of(slope(i + j, pair_at(i, j, weights, m), mean, m.y),
                                                 slope(i + j + 1u, pair_at(i, j + 1u, weights, m), mean, m.y), HALVES);
        }
    }
}

void main()
{
    const uint at = ROW, first = at % parts * part, start = (at / parts * rows + first) * width;
    const uint end = at < groups * parts ? start + min(part, rows - first) * width : start;
    if (LANES == 1) take_part(at, start, end, at / parts * width);
    else split_part(at, start, end, at / parts * width);
}
#endif

#ifdef ENTRY_layer_norm_sums
shared vec2 between[LANES];

/* Sums of the parts: a group takes LANES / SLICES columns, SLICES invocations each. */
const uint BESIDE = LANES / SLICES;

void main()
{
    const uint strips = (width + BESIDE - 1u) / BESIDE, group = GROUP / strips, slice = LANE / BESIDE;
    const uint j = GROUP % strips * BESIDE + LANE % BESIDE, at = group * parts * 2u * width + j;
    const bool valid = group < groups && j < width;
    vec2 sum = vec2(0.0);
    if (valid) {
        for (uint p = slice; p < parts; p += SLICES)
            sum += vec2(sums[at + 2u * p * width], sums[at + (2u * p + 1u) * width]);
    }
    between[LANE] = sum;
    for (uint k = SLICES / 2u; k > 0u; k /= 2u) {
        barrier();
        if (slice < k) between[LANE] += between[LANE + k * BESIDE];
    }
    if (!valid || slice > 0u) return;
    dgamma[group * width + j] = between[LANE].x;
    dbeta[group * width + j] = between[LANE].y;
}
#endif
