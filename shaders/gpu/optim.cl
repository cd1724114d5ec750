/* optim: AdamW and the global norm over tensors of one dispatch, whose places lie in a table.
 *   scale < 0: nothing changes; else
 *   g = scale grad,  m' = beta1 m + (1 - beta1) g,  v' = beta2 v + (1 - beta2) g^2
 *   p' = p (1 - lr decay) - lr (m' / step1) / (sqrt(v' / step2) + eps),  step = {lr, step1, step2}
 *   norm = sqrt(sum of g^2)
 * Constants: VECTOR; LANES items take a chunk of CHUNK elements of a tensor, or a row of a table.
 * Table: a line of numbers for each tensor that is not empty: its first chunk in this dispatch, its elements, its first
 * chunk in the node, then where it lies in each buffer, in elements. */

/* The line of the tensor that a chunk is of: the last that does not start behind it. */
inline global const uint *tensor_of(global const uint *table, uint tensors, uint width, uint chunk)
{
    uint low = 0, high = tensors;
    while (high - low > 1) {
        const uint middle = (low + high) / 2;
        if (table[middle * width + TABLE_FIRST] <= chunk)
            low = middle;
        else
            high = middle;
    }
    return table + low * width;
}

/* Elements [at, at + n) as a vector, n < VECTOR, zeros behind them. */
inline real load_first(global const float *x, uint n)
{
    float part[VECTOR];
    for (uint i = 0; i < VECTOR; i++) part[i] = i < n ? x[i] : 0.0f;
    return LOAD(part, 0);
}

inline void store_first(real v, global float *x, uint n)
{
    float part[VECTOR];
    STORE(v, part, 0);
    for (uint i = 0; i < n; i++) x[i] = part[i];
}

/* AdamW. */

typedef struct adam {
    float scale, beta1, rest1, beta2, rest2, eps, keep, rate, spread;
} adam;

#define ADAM(a)                                                                                                        \
    const adam a = {scale[0], beta1, rest1, beta2, rest2, eps, 1.0f - step[0] * decay, step[0] / step[1],              \
                    1.0f / step[2]}

inline void update(const adam *a, real *p, real *m, real *v, real g)
{
    g *= a->scale;
    *m = *m * a->beta1 + g * a->rest1;
    *v = *v * a->beta2 + g * g * a->rest2;
    *p = *p * a->keep - a->rate * *m / (sqrt(*v * a->spread) + a->eps);
}

/* n elements that LANES items share. An output may be its input: each element is read and then written by one item. */
inline void update_row(const adam *a, global const float *p, global const float *m, global const float *v,
                       global const float *g, global float *new_p, global float *new_m, global float *new_v, uint n)
{
    uint i = LANE * VECTOR;
    if (a->scale < 0.0f) {
        for (i = LANE; i < n; i += LANES) {
            new_p[i] = p[i];
            new_m[i] = m[i];
            new_v[i] = v[i];
        }
        return;
    }
    for (; i + VECTOR <= n; i += LANES * VECTOR) {
        real of_p = LOAD(p, i), of_m = LOAD(m, i), of_v = LOAD(v, i);
        update(a, &of_p, &of_m, &of_v, LOAD(g, i));
        STORE(of_p, new_p, i);
        STORE(of_m, new_m, i);
        STORE(of_v, new_v, i);
    }
#if VECTOR > 1
    if (i < n) {
        real of_p = load_first(p + i, n - i), of_m = load_first(m + i, n - i), of_v = load_first(v + i, n - i);
        update(a, &of_p, &of_m, &of_v, load_first(g + i, n - i));
        store_first(of_p, new_p + i, n - i);
        store_first(of_m, new_m + i, n - i);
        store_first(of_v, new_v + i, n - i);
    }
#endif
}

GROUP_KERNEL(adamw)
{
    OPEN_BUFFERS(adamw)
    const uint chunk = ROW;
    if (chunk >= chunks) return;
    global const uint *t = tensor_of(table, tensors, TABLE_AT + 7, chunk);
    const uint begin = (chunk - t[TABLE_FIRST]) * CHUNK, n = min((uint)CHUNK, t[TABLE_COUNT] - begin);
    ADAM(a);
    t += TABLE_AT;
    update_row(&a, p + t[0] + begin, m + t[1] + begin, v + t[2] + begin, g + t[3] + begin, new_p + t[4] + begin,
               new_m + t[5] + begin, new_v + t[6] + begin, n);
}

/* Row ids[i] of a table of `rows` rows by row i of g, `size` elements; other ids update nothing. */
GROUP_KERNEL(adamw_rows)
{
    OPEN_BUFFERS(adamw_rows)
    const uint i = ROW;
    if (i >= count || ids[i] < 0 || (uint)ids[i] >= rows) return;
    const uint at = (uint)ids[i] * size;
    ADAM(a);
    update_row(&a, p + at, m + at, v + at, g + i * size, new_p + at, new_m + at, new_v + at, size);
}

/* The rows that stand still, where outputs are not their inputs: all are copied before some are updated. */
GROUP_KERNEL(adamw_copy)
{
    OPEN_BUFFERS(adamw_copy)
    if (ROW >= chunks) return;
    const uint begin = ROW * CHUNK, end = min(begin + CHUNK, count);
    for (uint i = begin + LANE; i < end; i += LANES) {
        new_p[i] = p[i];
        new_m[i] = m[i];
        new_v[i] = v[i];
    }
}

/* The global norm: a sum of each chunk, at its number in the node, and then their sum in order. */

/* Sum over the items of a group; every item must come here. */
#if LANES == 1
#define SUM_OVER_GROUP(sum)
#else
#define SUM_OVER_GROUP(sum)                                                                                            \
    local float part[LANES];                                                                                           \
    part[LANE] = sum;                                                                                                  \
    for (uint half_ = LANES / 2; half_ > 0; half_ /= 2) {                                                              \
        barrier(CLK_LOCAL_MEM_FENCE);                                                                                  \
        if (LANE < half_) part[LANE] += part[LANE + half_];                                                            \
    }                                                                                                                  \
    sum = part[0]; /* of use to item 0, which wrote it */
#endif

GROUP_KERNEL(squares)
{
    OPEN_BUFFERS(squares)
    const uint chunk = min(ROW, chunks - 1); /* one too many comes to the barriers as well */
    global const uint *t = tensor_of(table, tensors, TABLE_AT + 1, chunk);
    const uint begin = (chunk - t[TABLE_FIRST]) * CHUNK, n = min((uint)CHUNK, t[TABLE_COUNT] - begin);
    global const float *x = g + t[TABLE_AT] + begin;
    real sums_of[2] = {0.0f, 0.0f}; /* side by side, since one would wait for itself */
    uint i = LANE * VECTOR;
    for (; i + LANES * VECTOR + VECTOR <= n; i += 2 * LANES * VECTOR) {
        const real a = LOAD(x, i), b = LOAD(x, i + LANES * VECTOR);
        sums_of[0] += a * a;
        sums_of[1] += b * b;
    }
    for (; i < n; i += LANES * VECTOR) {
        const real a = i + VECTOR <= n ? LOAD(x, i) : load_first(x + i, n - i);
        sums_of[0] += a * a;
    }
    float sum = sum_of(sums_of[0] + sums_of[1]);
    SUM_OVER_GROUP(sum)
    if (LANE == 0 && ROW < chunks) sums[t[TABLE_ORDER] + begin / CHUNK] = sum;
}

GROUP_KERNEL(norm)
{
    OPEN_BUFFERS(norm)
    float sum = 0.0f;
    for (uint i = LANE; i < count; i += LANES) sum += sums[i];
    SUM_OVER_GROUP(sum)
    if (LANE == 0) y[0] = sqrt(sum);
}
