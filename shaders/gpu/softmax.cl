/* softmax: masked softmax, and cross entropy of a softmax with its gradient, over the rows of x [rows, length].
 *   masked_softmax      y_j = e_j / sum of e,  e_j = exp(x_j - largest valid x) where mask_j, else 0
 *   cross_entropy       y = log sum of exp(x_j) - x_t;  0 where the target t is no class
 *   cross_entropy_grad  dx_j = dloss (softmax(x)_j - [j = t]);  0 where the target is no class
 * A group takes a row; an item has the elements LANE, LANE + LANES, …
 * Passes over a row find its largest element, the sum of exp, and what is wanted. A NaN may be lost in the first
 * pass: exp makes it one again. The mask of a row has a byte for each element (STEP 1) or one for all (STEP 0). */

enum { TEAM = LANES < 8 ? LANES : 8 };

/* Sum, or largest, over the items of the group, for each of them; `between` holds LANES + TEAM. */
inline float over(float v, bool sums, local float *between)
{
    local float *team = between + LANES;
    between[LANE] = v;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (LANE < TEAM) {
        float of = between[LANE];
        for (uint k = LANE + TEAM; k < LANES; k += TEAM) of = sums ? of + between[k] : fmax(of, between[k]);
        team[LANE] = of;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    float of = team[0];
    for (uint k = 1; k < TEAM; k++) of = sums ? of + team[k] : fmax(of, team[k]);
    return of;
}

GROUP_KERNEL(masked_softmax)
{
    local float between[LANES + TEAM];
    OPEN_BUFFERS(masked_softmax)
    const uint row = GROUP, end = row < rows ? length : 0;
    mask += MASK_START(row);
    x += row * length;
    y += row * length;
    float largest = -INFINITY, sum = 0.0f;
    for (uint j = LANE; j < end; j += LANES) largest = fmax(largest, mask[j * STEP] != 0 ? x[j] : -FLT_MAX);
    largest = over(largest, false, between);
    for (uint j = LANE; j < end; j += LANES) {
        const float e = mask[j * STEP] != 0 ? exp(x[j] - largest) : 0.0f;
        sum += e;
        y[j] = e;
    }
    /* The largest valid entry adds exp(0): with finite x only an empty row sums below 1. */
    sum = over(sum, true, between);
    const float scale = 1.0f / (sum < 1.0f ? 1.0f : sum);
    for (uint j = LANE; j < end; j += LANES) y[j] *= scale;
}

/* The largest element, and the sum of exp(x - it). */
inline float2 moments_of(global const float *x, uint length, local float *between)
{
    float largest = -INFINITY, sum = 0.0f;
    for (uint j = LANE; j < length; j += LANES) largest = fmax(largest, x[j]);
    largest = over(largest, false, between);
    for (uint j = LANE; j < length; j += LANES) sum += exp(x[j] - largest);
    return (float2)(largest, over(sum, true, between));
}

GROUP_KERNEL(cross_entropy)
{
    local float between[LANES + TEAM];
    OPEN_BUFFERS(cross_entropy)
    const uint row = GROUP, t = row < rows ? (uint)target[row] : length; /* a negative one is no class either */
    x += row * length;
    const float2 m = moments_of(x, t < length ? length : 0, between);
    if (LANE == 0 && row < rows) y[row] = t < length ? log(m.y) - (x[t] - m.x) : 0.0f;
}

GROUP_KERNEL(cross_entropy_grad)
{
    local float between[LANES + TEAM];
    OPEN_BUFFERS(cross_entropy_grad)
    const uint row = GROUP, end = row < rows ? length : 0, t = row < rows ? (uint)target[row] : length;
    const bool counts = t < length;
    x += row * length;
    dx += row * length;
    const float2 m = moments_of(x, counts ? length : 0, between);
    const float slope = counts ? dloss[row] : 0.0f;
    for (uint j = LANE; j < end; j += LANES)
        dx[j] = counts ? (exp(x[j] - m.x) / m.y - (j == t ? 1.0f : 0.0f)) * slope : 0.0f;
}
