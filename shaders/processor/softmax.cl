/* softmax: masked softmax, and cross entropy of a softmax with its gradient, over the rows of x [rows, length].
 *   masked_softmax      y_j = e_j / sum of e,  e_j = exp(x_j - largest valid x) where mask_j, else 0
 *   cross_entropy       y = log sum of exp(x_j) - x_t;  0 where the target t is no class
 *   cross_entropy_grad  dx_j = dloss (softmax(x)_j - [j = t]);  0 where the target is no class
 * An item takes a row, VECTOR elements at once.
 * Passes over a row find its largest element, the sum of exp, and what is wanted. A NaN may be lost in the first
 * pass: exp makes it one again. The mask of a row has a byte for each element (STEP 1) or one for all (STEP 0). */

#define LARGER(a, b) select(a, b, (b) > (a))

/* Up to VECTOR elements; -infinity, which adds nothing, behind the end. */
inline real load_logits(global const float *x, uint left)
{
    float part[VECTOR];
    if (left >= VECTOR) return LOAD(x, 0);
    for (uint k = 0; k < VECTOR; k++) part[k] = k < left ? x[k] : -INFINITY;
    return LOAD(part, 0);
}

/* Which of up to VECTOR elements are valid; those behind the end are, since they add nothing. */
inline mask_t valid_part(global const uchar *mask, uint left)
{
#if STEP == 0
    return (mask_t)(mask[0] != 0 ? -1 : 0);
#elif VECTOR == 1
    return mask[0] != 0 ? -1 : 0;
#else
    int part[VECTOR];
    if (left >= VECTOR) return GLUE(convert_int, VECTOR)(LOAD(mask, 0)) != 0;
    for (uint k = 0; k < VECTOR; k++) part[k] = k < left && mask[k] == 0 ? 0 : -1;
    return LOAD(part, 0);
#endif
}

KERNEL(masked_softmax)
{
    OPEN_BUFFERS(masked_softmax)
    const uint row = ITEM;
    if (row >= rows) return;
    mask += MASK_START(row);
    x += row * length;
    y += row * length;
    const real lowest = -FLT_MAX, zero = 0.0f;
    real largest = -INFINITY, sum = 0.0f;
    for (uint j = 0; j < length; j += VECTOR) {
        const real v = select(lowest, load_logits(x + j, length - j), valid_part(mask + j * STEP, length - j));
        largest = LARGER(largest, v);
    }
    largest = max_of(largest);
    for (uint j = 0; j < length; j += VECTOR) {
        const real e = exp(load_logits(x + j, length - j) - largest);
        const real v = select(zero, e, valid_part(mask + j * STEP, length - j));
        sum += v;
        store_part(v, y + j, length - j);
    }
    /* The largest valid entry adds exp(0): with finite x only an empty row sums below 1. */
    const float total = sum_of(sum), scale = 1.0f / (total < 1.0f ? 1.0f : total);
    for (uint j = 0; j < length; j += VECTOR) store_part(load_logits(y + j, length - j) * scale, y + j, length - j);
}

inline float largest_of(global const float *x, uint length)
{
    real largest[2] = {-INFINITY, -INFINITY};
    uint j = 0;
    for (; length - j >= 2 * VECTOR; j += 2 * VECTOR) {
        const real u = LOAD(x, j), v = LOAD(x, j + VECTOR);
        largest[0] = LARGER(largest[0], u);
        largest[1] = LARGER(largest[1], v);
    }
    for (; j < length; j += VECTOR) {
        const real v = load_logits(x + j, length - j);
        largest[0] = LARGER(largest[0], v);
    }
    return max_of(LARGER(largest[0], largest[1]));
}

KERNEL(cross_entropy)
{
    OPEN_BUFFERS(cross_entropy)
    const uint row = ITEM;
    if (row >= rows) return;
    const uint t = (uint)target[row]; /* a negative one is no class either */
    if (t >= length) {
        y[row] = 0.0f;
        return;
    }
    x += row * length;
    const float largest = largest_of(x, length);
    real sum = 0.0f;
    for (uint j = 0; j < length; j += VECTOR) sum += exp(load_logits(x + j, length - j) - largest);
    y[row] = log(sum_of(sum)) - (x[t] - largest);
}

KERNEL(cross_entropy_grad)
{
    OPEN_BUFFERS(cross_entropy_grad)
    const uint row = ITEM;
    if (row >= rows) return;
    const uint t = (uint)target[row];
    x += row * length;
    dx += row * length;
    if (t >= length) {
        for (uint j = 0; j < length; j++) dx[j] = 0.0f;
        return;
    }
    const float largest = largest_of(x, length);
    real part = 0.0f;
    for (uint j = 0; j < length; j += VECTOR) {
        const real e = exp(load_logits(x + j, length - j) - largest);
        part += e;
        store_part(e, dx + j, length - j);
    }
    const float sum = sum_of(part), slope = dloss[row], scale = slope / sum, hit = (dx[t] / sum - 1.0f) * slope;
    for (uint j = 0; j < length; j += VECTOR) store_part(load_logits(dx + j, length - j) * scale, dx + j, length - j);
    dx[t] = hit;
}
