#version 450
/* entries: product sum_parts
 * matmul: y = gate(act(a b + bias + residual)), f32, for each of a batch.
 *   a [m, k], or [k, m] when TRANSPOSE_A;  b [k, n], or [n, k] when TRANSPOSE_B;  y, residual, gate [m, n];  bias [n]
 *
 * A group computes a tile of TM x TN elements; for each TK steps of the sum it copies the tile's rows of a and columns
 * of b to shared memory. An invocation keeps RM x RN sums: rows LANE / (TN / RN) + i TM / RM, and of each of the RN / 4
 * equal bands of the tile's columns the four from 4 (LANE mod TN / RN) on, so that neighbours read neighbouring fours.
 *   LANES = TM / RM * TN / RN;  RN is a multiple of 4
 * Loops over sums are unrolled, else they would not lie in registers.
 * Beyond m, n and k the copies are 0 and nothing is stored.
 * Groups are numbered: column of tiles, row of tiles, part of the sum, product of the batch; the first runs fastest.
 * Parts are added in order, and finished, by sum_parts. Sums run k rising within a part. */
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common.glsl"
#include "math.glsl"

const uint BIAS = 2u, RESIDUAL = 4u, GATE = 8u;
const uint RELU = 1u, SILU = 2u, SIGMOID = 3u, TANH = 4u;

#ifdef ENTRY_product
CONSTANT(0, TRANSPOSE_A);
CONSTANT(1, TRANSPOSE_B);
CONSTANT(2, TM);
CONSTANT(3, TN);
CONSTANT(4, TK);
CONSTANT(5, RM);
CONSTANT(6, RN);
CONSTANT(7, LANES);
IN(0, float, a);
IN(1, float, b);
IN(2, float, bias);
IN(3, float, residual);
IN(4, float, gate);
OUT(5, float, y);
WORDS
{
    uint m, n, k, flags, batches, inner, a_outer, a_inner, b_outer, b_inner, a_first, b_first, y_first, parts, depth,
        groups;
};
#endif

#ifdef ENTRY_sum_parts
IN(0, float, part);
IN(1, float, bias);
IN(2, float, residual);
IN(3, float, gate);
OUT(4, float, y);
WORDS
{
    uint count, m, n, flags, parts, y_first;
};
#endif

float activated(float z, uint act)
{
    if (act == RELU) return z < 0.0 ? 0.0 : z;
    if (act == SILU) return z * m_sigmoid(z);
    if (act == SIGMOID) return m_sigmoid(z);
    return act == TANH ? m_tanh(z) : z;
}

/* y at an element and its bias, from the sum. */
float finished(float z, uint at, uint bias_at)
{
    if ((flags & BIAS) != 0u) z += bias[bias_at];
    if ((flags & RESIDUAL) != 0u) z += residual[at];
    z = activated(z, flags >> 4);
    if ((flags & GATE) != 0u && !(gate[at] > 0.0)) z = 0.0;
    return z;
}

#ifdef ENTRY_product
const int ACROSS = TN / RN; /* invocations of a row of sums */
const int DOWN = TM / RM;
const int BANDS = RN / 4;
const int A_ROW = TM + 1; /* odd, so that a column of a is spread over all banks */
const int B_ROW = TN + 4;

shared float a_tile[TK * A_ROW];
shared float b_tile[TK * B_ROW];

/* Steps k_0 to k_0 + TK of rows from `row` on, laid out by step. Neighbours read what lies side by side. */
void copy_a(uint first, uint row, uint k_0, uint k_1)
{
    for (uint e = LANE; e < uint(TM * TK); e += uint(LANES)) {
        const uint step = TRANSPOSE_A != 0 ? e / uint(TM) : e % uint(TK);
        const uint i = TRANSPOSE_A != 0 ? e % uint(TM) : e / uint(TK);
        float x = 0.0;
        if (row + i < m && k_0 + step < k_1)
            x = a[first + (TRANSPOSE_A != 0 ? (k_0 + step) * m + row + i : (row + i) * k + k_0 + step)];
        a_tile[step * uint(A_ROW) + i] = x;
    }
}

void copy_b(uint first, uint column, uint k_0, uint k_1)
{
    for (uint e = LANE; e < uint(TN * TK); e += uint(LANES)) {
        const uint step = TRANSPOSE_B != 0 ? e % uint(TK) : e / uint(TN);
        const uint j = TRANSPOSE_B != 0 ? e / uint(TK) : e % uint(TN);
        float x = 0.0;
        if (column + j < n && k_0 + step < k_1)
            x = b[first + (TRANSPOSE_B != 0 ? (column + j) * k + k_0 + step : (k_0 + step) * n + column + j)];
        b_tile[step * uint(B_ROW) + j] = x;
    }
}

void main()
{
    const bool idle = GROUP >= groups; /* of a last, shorter line of groups */
    const uint columns = (n + uint(TN) - 1u) / uint(TN), rows = (m + uint(TM) - 1u) / uint(TM);
    const uint column = GROUP % columns * uint(TN), row = GROUP / columns % rows * uint(TM);
    const uint part = GROUP / columns / rows % parts, batch = GROUP / columns / rows / parts;
    const uint k_0 = part * depth, k_1 = idle ? 0u : min(k, k_0 + depth);
    const uint down = LANE / uint(ACROSS), across = LANE % uint(ACROSS);
    const uint a_this = a_first + batch / inner * a_outer + batch % inner * a_inner;
    const uint b_this = b_first + batch / inner * b_outer + batch % inner * b_inner;

    float s[RM * RN];
    [[unroll]] for (int i = 0; i < RM * RN; i++) s[i] = 0.0;
    for (uint at = k_0; at < k_1; at += uint(TK)) {
        copy_a(a_this, row, at, k_1);
        copy_b(b_this, column, at, k_1);
        barrier();
        for (int step = 0; step < TK; step++) {
            float right[RN];
            [[unroll]] for (int j = 0; j < BANDS; j++)
                [[unroll]] for (int e = 0; e < 4; e++)
                    right[4 * j + e] = b_tile[uint(step * B_ROW + 4 * (j * ACROSS + int(across)) + e)];
            [[unroll]] for (int i = 0; i < RM; i++) {
                const float left = a_tile[uint(step * A_ROW + i * DOWN) + down];
                [[unroll]] for (int j = 0; j < RN; j++) s[i * RN + j] = fma(left, right[j], s[i * RN + j]);
            }
        }
        barrier();
    }

    const uint y_this = y_first + (part * batches + batch) * m * n;
    [[unroll]] for (int i = 0; i < RM; i++) {
        const uint r = row + down + uint(i * DOWN);
        [[unroll]] for (int j = 0; j < RN; j++) {
            const uint c = column + uint(4 * (j / 4 * ACROSS + int(across)) + j % 4), to = y_this + r * n + c;
            if (!idle && r < m && c < n) y[to] = finished(s[i * RN + j], to, batch * n + c);
        }
    }
}
#endif

#ifdef ENTRY_sum_parts
void main()
{
    const uint at = ITEM;
    if (at >= count) return;
    float s = part[at];
    for (uint i = 1u; i < parts; i++) s += part[i * count + at];
    y[y_first + at] = finished(s, at, at / (m * n) * n + at % n);
}
#endif
