/* norm: layer_norm and its gradient, to which a residual may be added, over x [groups, rows, width], gamma and beta [groups, width].
 *   n = (x - mean) / s,  s = sqrt(mean of (x - mean)^2 + eps)      y = n gamma + beta
 *   e = dy gamma,  dx = (e - mean(e) - n mean(e n)) / s            dgamma = sum of dy n,  dbeta = sum of dy
 * A group takes a row, and of the gradient the rows of a part; an item has the columns LANE, LANE + LANES, … and of the
 * gradient keeps its COLUMNS. HALVES are x, y, dy and dx.
 * sums [groups, parts, 2, width] are those of dgamma and dbeta over the rows of each part. */

enum { TEAM = LANES < 8 ? LANES : 8 };

/* Sum over the items of the group, for each of them; `between` holds LANES + TEAM. */
inline float2 sum_over(float2 v, local float2 *between)
{
    local float2 *team = between + LANES;
    float2 sum = 0.0f;
    between[LANE] = v;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (LANE < TEAM) {
        for (uint k = LANE; k < LANES; k += TEAM) sum += between[k];
        team[LANE] = sum;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    sum = 0.0f;
    for (uint k = 0; k < TEAM; k++) sum += team[k];
    return sum;
}

/* Mean and 1 / s of a row; 0 without a row. */
inline float2 moments_of(global const value_t *x, uint width, float eps, local float2 *between)
{
    float2 sum = 0.0f;
    for (uint j = LANE; j < width; j += LANES) sum.x += VALUE(x, j);
    const float mean = sum_over(sum, between).x / (float)width;
    sum = 0.0f;
    for (uint j = LANE; j < width; j += LANES) {
        const float centred = VALUE(x, j) - mean;
        sum.y += centred * centred;
    }
    return (float2)(mean, 1.0f / sqrt(sum_over(sum, between).y / (float)width + eps));
}

GROUP_KERNEL(layer_norm)
{
    local float2 between[LANES + TEAM];
    OPEN_BUFFERS(layer_norm)
    const uint row = GROUP, length = row < groups * rows ? width : 0;
    gamma += row / rows * width;
    beta += row / rows * width;
    global const value_t *from = (global const value_t *)x + row * width;
    global value_t *to = (global value_t *)y + row * width;
    const float2 m = moments_of(from, length, eps, between);
    for (uint j = LANE; j < length; j += LANES) {
        const float z = (VALUE(from, j) - m.x) * m.y * gamma[j] + beta[j];
        PUT(z, to, j);
    }
}

GROUP_KERNEL(layer_norm_grad)
{
    local float2 between[LANES + TEAM];
    OPEN_BUFFERS(layer_norm_grad)
    const uint at = GROUP, first = at % parts * part, start = (at / parts * rows + first) * width;
    const uint end = at < groups * parts ? start + min(part, rows - first) * width : start;
    float2 sum[COLUMNS]; /* of dy n and dy */
    for (int k = 0; k < COLUMNS; k++) sum[k] = 0.0f;
    gamma += at / parts * width;
    global const value_t *rows_of_x = (global const value_t *)x, *rows_of_dy = (global const value_t *)dy,
                         *rows_of_residual = (global const value_t *)residual;
    for (uint i = start; i < end; i += width) {
        const float2 m = moments_of(rows_of_x + i, width, eps, between);
        float2 n[COLUMNS], along = 0.0f; /* n and e, and their sums */
        for (uint k = 0, j = LANE; k < COLUMNS; k++, j += LANES) {
            if (j >= width) continue;
            const float g = VALUE(rows_of_dy, i + j), normal = (VALUE(rows_of_x, i + j) - m.x) * m.y, e = g * gamma[j];
            n[k] = (float2)(normal, e);
            sum[k] += (float2)(g * normal, g);
            along += (float2)(e, e * normal);
        }
        const float2 mean = sum_over(along, between) / (float)width;
        for (uint k = 0, j = LANE; k < COLUMNS; k++, j += LANES) {
            if (j >= width) continue;
            const float z = (n[k].y - mean.x - n[k].x * mean.y) * m.y;
            PUT(adds != 0 ? z + VALUE(rows_of_residual, i + j) : z, (global value_t *)dx, i + j);
        }
    }
    for (uint k = 0, j = LANE; k < COLUMNS; k++, j += LANES) {
        if (j >= width || at >= groups * parts) continue;
        sums[2 * at * width + j] = sum[k].x;
        sums[(2 * at + 1) * width + j] = sum[k].y;
    }
}

/* Sums of the parts: a group takes LANES / SLICES columns, SLICES items each. */
GROUP_KERNEL(layer_norm_sums)
{
    enum { BESIDE = LANES / SLICES };
    local float2 between[LANES];
    OPEN_BUFFERS(layer_norm_sums)
    const uint strips = (width + BESIDE - 1) / BESIDE, group = GROUP / strips, slice = LANE / BESIDE;
    const uint j = GROUP % strips * BESIDE + LANE % BESIDE;
    const bool valid = group < groups && j < width;
    float2 sum = 0.0f;
    if (valid) {
        sums += group * parts * 2 * width + j;
        for (uint p = slice; p < parts; p += SLICES) sum += (float2)(sums[2 * p * width], sums[(2 * p + 1) * width]);
    }
    between[LANE] = sum;
    for (uint k = SLICES / 2; k > 0; k /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (slice < k) between[LANE] += between[LANE + k * BESIDE];
    }
    if (!valid || slice > 0) return;
    dgamma[group * width + j] = between[LANE].x;
    dbeta[group * width + j] = between[LANE].y;
}
