#version 450
/* norm: layer_norm and its gradient over x [groups, rows, width], gamma and beta [groups, width].
 *   n = (x - mean) / s,  s = sqrt(mean of (x - mean)^2 + eps)      y = n gamma + beta
 *   e = dy gamma,  dx = (e - mean(e) - n mean(e n)) / s            dgamma = sum of dy n,  dbeta = sum of dy
 * A group takes a row, and of the gradient the rows of a part; an invocation has the columns LANE, LANE + LANES, … and
 * of the gradient keeps its COLUMNS. LANES 1: an invocation takes them alone.
 * sums [groups, parts, 2, width] are those of dgamma and dbeta over the rows of each part. */
#extension GL_GOOGLE_include_directive : require
#include "shaders/common/common.glsl"
#include "shaders/contract/norm.h"

DECLARE_CONTRACT(ENTRY)

shared vec2 between[LANES];

#ifndef ENTRY_layer_norm_sums
const uint TEAM = LANES < 8 ? LANES : 8u;
shared vec2 team[8];

/* Sum over the invocations of the group, for each of them. */
vec2 sum_over(vec2 v)
{
    vec2 sum = vec2(0.0);
    if (LANES == 1) return v;
    between[LANE] = v;
    barrier();
    if (LANE < TEAM) {
        for (uint k = LANE; k < LANES; k += TEAM) sum += between[k];
        team[LANE] = sum;
    }
    barrier();
    sum = vec2(0.0);
    for (uint k = 0u; k < TEAM; k++) sum += team[k];
    return sum;
}

/* Mean and 1 / s of the row at i. */
vec2 moments_of(uint i, uint length)
{
    vec2 sum = vec2(0.0);
    for (uint j = LANE; j < length; j += LANES) sum.x += x[i + j];
    const float mean = sum_over(sum).x / float(width);
    sum = vec2(0.0);
    for (uint j = LANE; j < length; j += LANES) sum.y += (x[i + j] - mean) * (x[i + j] - mean);
    return vec2(mean, 1.0 / sqrt(sum_over(sum).y / float(width) + eps));
}
#endif

#ifdef ENTRY_layer_norm
void main()
{
    const uint row = ROW, length = row < groups * rows ? width : 0u, i = row * width, at = row / rows * width;
    const vec2 m = moments_of(i, length);
    for (uint j = LANE; j < length; j += LANES) y[i + j] = (x[i + j] - m.x) * m.y * gamma[at + j] + beta[at + j];
}
#endif

#ifdef ENTRY_layer_norm_grad
/* The rows of part `at` lie from start to end; its weights at `weights`. */
void split_part(uint at, uint start, uint end, uint weights)
{
    vec2 sum[COLUMNS]; /* of dy n and dy */
    for (int k = 0; k < COLUMNS; k++) sum[k] = vec2(0.0);
    for (uint i = start; i < end; i += width) {
        const vec2 m = moments_of(i, width);
        vec2 n[COLUMNS], along = vec2(0.0); /* n and e, and their sums */
        uint j = LANE;
        for (int k = 0; k < COLUMNS; k++, j += LANES) {
            if (j >= width) continue;
            const float g = dy[i + j], normal = (x[i + j] - m.x) * m.y, e = g * gamma[weights + j];
            n[k] = vec2(normal, e);
            sum[k] += vec2(g * normal, g);
            along += vec2(e, e * normal);
        }
        const vec2 mean = sum_over(along) / float(width);
        j = LANE;
        for (int k = 0; k < COLUMNS; k++, j += LANES)
            if (j < width) dx[i + j] = (n[k].y - mean.x - n[k].x * mean.y) * m.y;
    }
    uint j = LANE;
    for (int k = 0; k < COLUMNS; k++, j += LANES) {
        if (j >= width || at >= groups * parts) continue;
        sums[2u * at * width + j] = sum[k].x;
        sums[(2u * at + 1u) * width + j] = sum[k].y;
    }
}

/* The same by one invocation, which keeps the sums where they go. */
void take_part(uint at, uint start, uint end, uint weights)
{
    const uint of_gamma = 2u * at * width, of_beta = of_gamma + width;
    for (uint i = start; i < end; i += width) {
        const vec2 m = moments_of(i, width);
        vec2 along = vec2(0.0);
        for (uint j = 0u; j < width; j++) {
            const float g = dy[i + j], normal = (x[i + j] - m.x) * m.y, e = g * gamma[weights + j];
            sums[of_gamma + j] = g * normal + (i > start ? sums[of_gamma + j] : 0.0);
            sums[of_beta + j] = g + (i > start ? sums[of_beta + j] : 0.0);
            along += vec2(e, e * normal);
        }
        const vec2 mean = along / float(width);
        for (uint j = 0u; j < width; j++) {
            const float normal = (x[i + j] - m.x) * m.y;
            dx[i + j] = (dy[i + j] * gamma[weights + j] - mean.x - normal * mean.y) * m.y;
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
