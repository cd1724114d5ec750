/* matmul for devices whose groups share fast memory: y = gate(act(a b + bias + residual)) in f32 for each
 * of a batch.
 *   a [m, k], or [k, m] when TRANSPOSE_A;  b [k, n], or [n, k] when TRANSPOSE_B;  y, residual, gate [m, n];  bias [n]
 *
 * A group computes a tile of TM x TN elements; for each TK steps of the sum it copies the tile's rows of a and columns
 * of b to local memory, in quads: four elements that lie side by side, which with WIDE are one load. With AHEAD what
 * the next steps want is fetched from memory while these are computed; a processor that plays a GPU lacks registers.
 * An item keeps RM x RN sums: of each of the RM / ROWS equal bands of the tile's rows the ROWS from
 * ROWS (LANE / ACROSS) on, and of each of the RN / 4 bands of its columns the four from 4 (LANE mod ACROSS) on, so that
 * neighbours read neighbouring fours.
 *   LANES = TM / RM * TN / RN;  RM is 1, 2 or a multiple of 4, RN, TM, TN, TK and depth are multiples of 4
 *   WIDE: so are m, n, k and where the factors of a product begin
 * Loops over sums are unrolled, else they would not lie in registers. What follows on a sum is EPILOGUE, known when the
 * kernel is compiled; a long activation is one more pass over the elements that were just stored, since unrolled it
 * would be longer than the product.
 * HALVES are a, b, residual and gate, Y_HALVES is y; a long activation is then left to sum_parts, as it must not see what
 * was rounded.
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

#ifdef TM
#define ROWS     (RM < 4 ? RM : 4)
#define ACROSS   (TN / RN) /* items of a row of sums */
#define DOWN     (TM / RM)
#define BANDS    (RN / 4)
#define A_ROW    (TM + 4) /* a column of a is spread over several banks */
#define B_ROW    (TN / 4 + 1)
#define A_QUADS  ((TM * TK / 4 + LANES - 1) / LANES) /* of an item */
#define B_QUADS  ((TN * TK / 4 + LANES - 1) / LANES)
#define LONG_ACT (ACT(EPILOGUE) > ACT_RELU)
#if Y_HALVES
typedef value_t y_t;
#define PUT_Y(v, y) PUT(v, y, 0)
#else
typedef float y_t;
#define PUT_Y(v, y) (*(y) = (v))
#endif

/* Four elements from x on, of which there are n. */
inline float4 quad(global const value_t *x, uint n)
{
    float4 v = 0.0f;
    if (n >= 4) return VALUE_4(x);
#if !WIDE
    if (n > 0) v.x = VALUE(x, 0);
    if (n > 1) v.y = VALUE(x, 1);
    if (n > 2) v.z = VALUE(x, 2);
#endif
    return v;
}

/* Quad q of a tile's part of a factor, its first step and row. Neighbours read what lies side by side. */
inline uint2 place(uint q, bool turned, uint tile)
{
    return turned ? (uint2)(q / (tile / 4), q % (tile / 4) * 4) : (uint2)(q % (TK / 4) * 4, q / (TK / 4));
}

/* The quads of a factor whose element of a step and a row or column lies at step * by_step + i * by_i, one of which is
 * 1; `turned`: by_i. Beyond i_end and k_1 they are 0. */
inline float4 fetch(global const value_t *x, uint2 at, bool turned, uint row, uint i_end, uint k_1)
{
    if (at.x >= k_1 || at.y >= i_end) return 0.0f;
    return turned ? quad(x + (at.x * row + at.y), i_end - at.y) : quad(x + (at.y * row + at.x), k_1 - at.x);
}

inline void keep(local float *tile, uint2 at, bool turned, uint row, float4 x)
{
    local float *to = tile + (at.x * row + at.y);
    const uint by = turned ? 1 : row;
    to[0] = x.x;
    to[by] = x.y;
    to[2 * by] = x.z;
    to[3 * by] = x.w;
}

/* y at an element and its bias, from the sum; without a long activation, and then without the gate behind it. */
inline void finish(float z, global const float *bias, global const value_t *residual, global const value_t *gate,
                   global y_t *y)
{
    if ((EPILOGUE & EPILOGUE_BIAS) != 0) z += *bias;
    if ((EPILOGUE & EPILOGUE_RESIDUAL) != 0) z += VALUE(residual, 0);
    if (ACT(EPILOGUE) == ACT_RELU) z = z < 0.0f ? 0.0f : z;
#if !LONG_ACT
    if ((EPILOGUE & EPILOGUE_GATE) != 0 && !(VALUE(gate, 0) > 0.0f)) z = 0.0f;
#endif
    PUT_Y(z, y);
}

#if SUMS == SUMS_OF_A
#define SUMMED       TM /* columns of which a group has the sums */
#define SUM_TILE(at) a_tile[at]
#define SUM_ROW      A_ROW
#define SUMS_AT      row
#define SUMS_OTHER   column
#define SUMS_WIDTH   m
#else
#define SUMMED       TN
#define SUM_TILE(at) ((local const float *)b_tile)[at]
#define SUM_ROW      (4 * B_ROW)
#define SUMS_AT      column
#define SUMS_OTHER   row
#define SUMS_WIDTH   n
#endif
#define OWN ((SUMMED + LANES - 1) / LANES) /* of them, an item's */

#define EACH_A_QUAD _Pragma("unroll") for (uint i = 0, q = LANE; i < A_QUADS; i++, q += LANES)
#define EACH_B_QUAD _Pragma("unroll") for (uint i = 0, q = LANE; i < B_QUADS; i++, q += LANES)
#define FETCH_ALL(at)                                                                                                  \
    EACH_A_QUAD a_next[i] = fetch(a_this, place(q, TRANSPOSE_A, TM) + (uint2)(at, row), TRANSPOSE_A, TRANSPOSE_A ? m : k,   \
                                  m, k_1);                                                                             \
    EACH_B_QUAD b_next[i] = fetch(b_this, place(q, !TRANSPOSE_B, TN) + (uint2)(at, column), !TRANSPOSE_B,                   \
                                  TRANSPOSE_B ? k : n, n, k_1);

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
    const uint down = LANE / ACROSS * ROWS, across = LANE % ACROSS;
    global const value_t *a_this =
        (global const value_t *)a + (a_first + batch / inner * a_outer + batch % inner * a_inner);
    global const value_t *b_this =
        (global const value_t *)b + (b_first + batch / inner * b_outer + batch % inner * b_inner);

#if SUMS
    const bool sums_here = !idle && SUMS_OTHER == 0;
    float own[OWN];
#pragma unroll
    for (uint i = 0; i < OWN; i++) own[i] = 0.0f;
#endif
    float4 s[RM][BANDS], a_next[A_QUADS], b_next[B_QUADS];
#pragma unroll
    for (uint i = 0; i < RM; i++)
#pragma unroll
        for (uint j = 0; j < BANDS; j++) s[i][j] = 0.0f;
#if AHEAD
    FETCH_ALL(k_0)
#endif
    for (uint at = k_0; at < k_1; at += TK) {
#if !AHEAD
        FETCH_ALL(at)
#endif
        EACH_A_QUAD if (q < TM * TK / 4) keep(a_tile, place(q, TRANSPOSE_A, TM), TRANSPOSE_A, A_ROW, a_next[i]);
        EACH_B_QUAD if (q < TN * TK / 4)
            keep((local float *)b_tile, place(q, !TRANSPOSE_B, TN), !TRANSPOSE_B, 4 * B_ROW, b_next[i]);
        barrier(CLK_LOCAL_MEM_FENCE);
#if AHEAD
        FETCH_ALL(at + TK)
#endif
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
                const float left = a_tile[step * A_ROW + i / ROWS * ROWS * DOWN + down + i % ROWS];
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
    if (idle) return;
    const uint y_this = y_first + (part * batches + batch) * m * n;
#pragma unroll
    for (uint i = 0; i < RM; i++) {
        const uint r = row + i / ROWS * ROWS * DOWN + down + i % ROWS;
#pragma unroll
        for (uint j = 0; j < BANDS; j++) {
            const uint c = column + 4 * (j * ACROSS + across), to = y_this + r * n + c;
            const float z[4] = {s[i][j].x, s[i][j].y, s[i][j].z, s[i][j].w};
            if (r >= m || c >= n) continue;
#pragma unroll
            for (uint e = 0; e < 4; e++)
                if (WIDE || c + e < n)
                    finish(z[e], bias + (batch * n + c + e), (global const value_t *)residual + (to + e),
                           (global const value_t *)gate + (to + e), (global y_t *)y + (to + e));
        }
    }
#if LONG_ACT
    for (uint i = 0; i < RM; i++) {
        const uint r = row + i / ROWS * ROWS * DOWN + down + i % ROWS;
        for (uint j = 0; j < RN; j++) {
            const uint c = column + 4 * (j / 4 * ACROSS + across) + j % 4, to = y_this + r * n + c;
            if (r >= m || c >= n) continue;
            float z = activated(y[to], ACT(EPILOGUE));
            if ((EPILOGUE & EPILOGUE_GATE) != 0 && !(gate[to] > 0.0f)) z = 0.0f;
            y[to] = z;
        }
    }
#endif
}
#endif

/* y at an element and its bias, from the sum. */
inline float finished(float z, uint flags, global const float *bias, global const value_t *residual,
                      global const value_t *gate, uint at, uint bias_at)
{
    if (flags & EPILOGUE_BIAS) z += bias[bias_at];
    if (flags & EPILOGUE_RESIDUAL) z += VALUE(residual, at);
    z = activated(z, ACT(flags));
    if ((flags & EPILOGUE_GATE) && !(VALUE(gate, at) > 0.0f)) z = 0.0f;
    return z;
}

/* y = gate(act(sum of parts + bias + residual)), one element an item, of HALVES two. */
KERNEL(sum_parts)
{
    OPEN_BUFFERS(sum_parts)
    const uint each = HALVES ? 2 : 1, begin = ITEM * each, end = min(begin + each, count);
    if (begin >= count) { /* the sums of columns come behind y */
        const uint i_sum = ITEM - (count + each - 1) / each;
        if (i_sum >= sum_count) return;
        float total = part_sums[i_sum];
        for (uint i = 1; i < parts; i++) total += part_sums[i * sum_count + i_sum];
        sums[i_sum] = total;
        return;
    }
    for (uint at = begin; at < end; at++) {
        float s = part[at];
        for (uint i = 1; i < parts; i++) s += part[i * count + at];
        s = finished(s, flags, bias, (global const value_t *)residual, (global const value_t *)gate, at,
                     at / (m * n) * n + at % n);
        PUT(s, (global value_t *)y, y_first + at);
    }
}
