/* matmul for devices whose groups share fast memory: y = gate(act(a b + bias + residual)), f32, for each of a batch.
 *   a [m, k], or [k, m] when TRANSPOSE_A;  b [k, n], or [n, k] when TRANSPOSE_B;  y, residual, gate [m, n];  bias [n]
 *
 * A group computes a tile of TM x TN elements; for each TK steps of the sum it copies the tile's rows of a and columns
 * of b to local memory. An item keeps RM x RN sums: rows LANE / (TN / RN) + i TM / RM, and of each of the RN / 4 equal
 * bands of the tile's columns the four from 4 (LANE mod TN / RN) on, so that neighbours read neighbouring fours.
 *   LANES = TM / RM * TN / RN;  RN is a multiple of 4
 * Beyond m, n and k the copies are 0 and nothing is stored.
 * With SUMS, groups of the first column or row of tiles also add up the columns of a or b as they lie in memory, from
 * the same copies: bias gradients (linear_grad_weight).
 * Groups are numbered: column of tiles, row of tiles, part of the sum, product of the batch; the first runs fastest.
 * Parts are added in order, and finished, by sum_parts. Sums run k rising within a part. */

#define ACT(flags) ((flags) >> EPILOGUE_ACT_SHIFT) /* the activation */

/* exp cannot overflow to a quotient of infinities: 1 / (1 + inf) is 0, and silu's z / (1 + inf) is -0. */
inline float activated(float z, uint act)
{
    if (act == ACT_RELU) return z < 0.0f ? 0.0f : z;
    if (act == ACT_SILU) return z / (1.0f + exp(-z));
    if (act == ACT_SIGMOID) return 1.0f / (1.0f + exp(-z));
    return act == ACT_TANH ? TANH(z) : z;
}

/* y at an element and its bias, from the sum. */
inline float finished(float z, uint flags, global const float *bias, global const float *residual,
                      global const float *gate, uint at, uint bias_at)
{
    if (flags & EPILOGUE_BIAS) z += bias[bias_at];
    if (flags & EPILOGUE_RESIDUAL) z += residual[at];
    z = activated(z, ACT(flags));
    if ((flags & EPILOGUE_GATE) && !(gate[at] > 0.0f)) z = 0.0f;
    return z;
}

#ifdef TM
#define ACROSS (TN / RN) /* items of a row of sums */
#define DOWN   (TM / RM)
#define BANDS  (RN / 4)
#define A_ROW  (TM + 1) /* odd, so that a column of a is spread over all banks */
#define B_ROW  (TN / 4 + 1)

/* Steps k_0 to k_0 + TK of rows from `row` on, laid out by step. Neighbours read what lies side by side. */
inline void copy_a(local float *tile, global const float *a, uint row, uint k_0, uint m, uint k, uint k_1)
{
    for (uint e = LANE; e < TM * TK; e += LANES) {
#if TRANSPOSE_A
        const uint step = e / TM, i = e % TM;
#else
        const uint step = e % TK, i = e / TK;
#endif
        float x = 0.0f;
        if (row + i < m && k_0 + step < k_1) x = a[TRANSPOSE_A ? (k_0 + step) * m + row + i : (row + i) * k + k_0 + step];
        tile[step * A_ROW + i] = x;
    }
}

inline void copy_b(local float *tile, global const float *b, uint column, uint k_0, uint n, uint k, uint k_1)
{
    for (uint e = LANE; e < TN * TK; e += LANES) {
#if TRANSPOSE_B
        const uint step = e % TK, j = e / TK;
#else
        const uint step = e / TN, j = e % TN;
#endif
        float x = 0.0f;
        if (column + j < n && k_0 + step < k_1)
            x = b[TRANSPOSE_B ? (column + j) * k + k_0 + step : (k_0 + step) * n + column + j];
        tile[step * B_ROW * 4 + j] = x;
    }
}

#if SUMS == SUMS_OF_A
#define SUMMED        TM /* columns of which a group has the sums */
#define SUM_TILE(at)  a_tile[at]
#define SUM_ROW       A_ROW
#define SUMS_AT       row
#define SUMS_OTHER    column
#define SUMS_WIDTH    m
#else
#define SUMMED        TN
#define SUM_TILE(at)  ((local const float *)b_tile)[at]
#define SUM_ROW       (4 * B_ROW)
#define SUMS_AT       column
#define SUMS_OTHER    row
#define SUMS_WIDTH    n
#endif
#define OWN ((SUMMED + LANES - 1) / LANES) /* of them, an item's */

GROUP_KERNEL(product)
{
    OPEN_BUFFERS(product)
    local float a_tile[TK * A_ROW];
    local float4 b_tile[TK * B_ROW];
    const uint columns = (n + TN - 1) / TN, rows = (m + TM - 1) / TM;
    const uint column = GROUP % columns * TN, row = GROUP / columns % rows * TM;
    const uint part = GROUP / columns / rows % parts, batch = GROUP / columns / rows / parts;
    const bool idle = GROUP >= groups; /* of a last, shorter line of groups */
    const uint k_0 = part * depth, k_1 = idle ? 0 : min(k, k_0 + depth);
    const uint down = LANE / ACROSS, across = LANE % ACROSS;
    a += a_first + batch / inner * a_outer + batch % inner * a_inner;
    b += b_first + batch / inner * b_outer + batch % inner * b_inner;

#if SUMS
    const bool sums_here = !idle && SUMS_OTHER == 0;
    float own[OWN];
#pragma unroll
    for (uint i = 0; i < OWN; i++) own[i] = 0.0f;
#endif
    float4 s[RM][BANDS];
#pragma unroll
    for (uint i = 0; i < RM; i++)
#pragma unroll
        for (uint j = 0; j < BANDS; j++) s[i][j] = 0.0f;
    for (uint at = k_0; at < k_1; at += TK) {
        copy_a(a_tile, a, row, at, m, k, k_1);
        copy_b((local float *)b_tile, b, column, at, n, k, k_1);
        barrier(CLK_LOCAL_MEM_FENCE);
#if SUMS
#pragma unroll
        for (uint i = 0; i < OWN; i++) {
            float z = 0.0f;
            if (sums_here && LANE + i * LANES < SUMMED)
                for (uint step = 0; step < TK; step++) z += SUM_TILE(step * SUM_ROW + LANE + i * LANES);
            own[i] += z;
        }
#endif
        for (uint step = 0; step < TK; step++) {
            float4 right[BANDS];
#pragma unroll
            for (uint j = 0; j < BANDS; j++) right[j] = b_tile[step * B_ROW + j * ACROSS + across];
#pragma unroll
            for (uint i = 0; i < RM; i++) {
                const float left = a_tile[step * A_ROW + down + i * DOWN];
#pragma unroll
                for (uint j = 0; j < BANDS; j++) s[i][j] = mad((float4)left, right[j], s[i][j]);
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }

#if SUMS
#pragma unroll
    for (uint i = 0; i < OWN; i++) {
        const uint c = LANE + i * LANES;
        if (sums_here && c < SUMMED && SUMS_AT + c < SUMS_WIDTH)
            sums[(part * batches + batch) * SUMS_WIDTH + SUMS_AT + c] = own[i];
    }
#endif
    const uint y_this = y_first + (part * batches + batch) * m * n;
#pragma unroll
    for (uint i = 0; i < RM; i++) {
        const uint r = row + down + i * DOWN;
#pragma unroll
        for (uint j = 0; j < BANDS; j++) {
            const float z[4] = {s[i][j].x, s[i][j].y, s[i][j].z, s[i][j].w};
#pragma unroll
            for (uint e = 0; e < 4; e++) {
                const uint c = column + 4 * (j * ACROSS + across) + e, to = y_this + r * n + c;
                if (!idle && r < m && c < n) y[to] = finished(z[e], flags, bias, residual, gate, to, batch * n + c);
            }
        }
    }
}
#endif

/* y = gate(act(sum of parts + bias + residual)), one element an item. */
KERNEL(sum_parts)
{
    OPEN_BUFFERS(sum_parts)
    const uint at = ITEM;
    if (at >= count) { /* the sums of columns come behind y */
        const uint i_sum = at - count;
        if (i_sum >= sum_count) return;
        float total = part_sums[i_sum];
        for (uint i = 1; i < parts; i++) total += part_sums[i * sum_count + i_sum];
        sums[i_sum] = total;
        return;
    }
    float s = part[at];
    for (uint i = 1; i < parts; i++) s += part[i * count + at];
    y[y_first + at] = finished(s, flags, bias, residual, gate, at, at / (m * n) * n + at % n);
}
