#version 450
/* matmul: y = gate(act(a b + bias + residual)), f32, for each of a batch.
 *   a [m, k], or [k, m] when TRANSPOSE_A;  b [k, n], or [n, k] when TRANSPOSE_B;  y, residual, gate [m, n];  bias [n]
 *
 * A group computes a tile of TM x TN elements; for each TK steps of the sum it copies the tile's rows of a and columns
 * of b to shared memory. An invocation keeps RM x RN sums: rows LANE / (TN / RN) + i TM / RM, and of each of the RN / 4
 * equal bands of the tile's columns the four from 4 (LANE mod TN / RN) on, so that neighbours read neighbouring fours.
 *   LANES = TM / RM * TN / RN;  RN is a multiple of 4
 * Loops over sums are unrolled, else they would not lie in registers.
 * Beyond m, n and k the copies are 0 and nothing is stored.
 * With SUMS, groups of the first column or row of tiles also add up the columns of a or b as they lie in memory, from
 * the same copies: bias gradients (linear_grad_weight).
 * Groups are numbered: column of tiles, row of tiles, part of the sum, product of the batch; the first runs fastest.
 * Parts are added in order, and finished, by sum_parts. Sums run k rising within a part. */
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "shaders/common/common.glsl"
#include "shaders/common/math.glsl"
#include "shaders/contract/matmul.h"

DECLARE_CONTRACT(ENTRY)

float activated(float z, uint act)
{
    if (act == ACT_RELU) return z < 0.0 ? 0.0 : z;
    if (act == ACT_SILU) return z * m_sigmoid(z);
    if (act == ACT_SIGMOID) return m_sigmoid(z);
    return act == ACT_TANH ? m_tanh(z) : z;
}

/* y at an element and its bias, from the sum. */
float finished(float z, uint at, uint bias_at)
{
    if ((flags & EPILOGUE_BIAS) != 0u) z += bias[bias_at];
    if ((flags & EPILOGUE_RESIDUAL) != 0u) z += residual[at];
    z = activated(z, flags >> EPILOGUE_ACT_SHIFT);
    if ((flags & EPILOGUE_GATE) != 0u && !(gate[at] > 0.0)) z = 0.0;
    return z;
}

#ifdef ENTRY_product
const uint ACROSS = TN / RN; /* invocations of a row of sums */
const uint DOWN = TM / RM;
const uint BANDS = RN / 4;
const uint A_ROW = TM + 1; /* odd, so that a column of a is spread over all banks */
const uint B_ROW = TN + 4;

const uint SUMMED = SUMS == SUMS_OF_A ? TM : TN; /* columns of which a group has the sums */
const uint OWN = (SUMMED + LANES - 1) / LANES;   /* of them, an invocation's */

shared float a_tile[TK * A_ROW];
shared float b_tile[TK * B_ROW];

/* What this tile adds to the sum of column i of those that lie in memory. */
float column_sum(uint i)
{
    float z = 0.0;
    for (uint step = 0u; step < TK; step++)
        z += SUMS == SUMS_OF_A ? a_tile[step * A_ROW + i] : b_tile[step * B_ROW + i];
    return z;
}

/* Steps k_0 to k_0 + TK of rows from `row` on, laid out by step. Neighbours read what lies side by side. */
void copy_a(uint first, uint row, uint k_0, uint k_1)
{
    for (uint e = LANE; e < TM * TK; e += LANES) {
        const uint step = TRANSPOSE_A != 0 ? e / TM : e % TK;
        const uint i = TRANSPOSE_A != 0 ? e % TM : e / TK;
        float x = 0.0;
        if (row + i < m && k_0 + step < k_1)
            x = a[first + (TRANSPOSE_A != 0 ? (k_0 + step) * m + row + i : (row + i) * k + k_0 + step)];
        a_tile[step * A_ROW + i] = x;
    }
}

void copy_b(uint first, uint column, uint k_0, uint k_1)
{
    for (uint e = LANE; e < TN * TK; e += LANES) {
        const uint step = TRANSPOSE_B != 0 ? e % TK : e / TN;
        const uint j = TRANSPOSE_B != 0 ? e / TK : e % TN;
        float x = 0.0;
        if (column + j < n && k_0 + step < k_1)
            x = b[first + (TRANSPOSE_B != 0 ? (column + j) * k + k_0 + step : (k_0 + step) * n + column + j)];
        b_tile[step * B_ROW + j] = x;
    }
}

void main()
{
    const bool idle = GROUP >= groups; /* of a last, shorter line of groups */
    const uint columns = (n + TN - 1u) / TN, rows = (m + TM - 1u) / TM;
    const uint column = GROUP % columns * TN, row = GROUP / columns % rows * TM;
    const uint part = GROUP / columns / rows % parts, batch = GROUP / columns / rows / parts;
    const uint k_0 = part * depth, k_1 = idle ? 0u : min(k, k_0 + depth);
    const uint down = LANE / ACROSS, across = LANE % ACROSS;
    const uint a_this = a_first + batch / inner * a_outer + batch % inner * a_inner;
    const uint b_this = b_first + batch / inner * b_outer + batch % inner * b_inner;

    const bool sums_here = !idle && (SUMS == SUMS_OF_A ? column == 0u : SUMS == SUMS_OF_B && row == 0u);

    float own[OWN];
    [[unroll]] for (uint i = 0u; i < OWN; i++) own[i] = 0.0;
    float s[RM * RN];
    [[unroll]] for (uint i = 0u; i < RM * RN; i++) s[i] = 0.0;
    for (uint at = k_0; at < k_1; at += TK) {
        copy_a(a_this, row, at, k_1);
        copy_b(b_this, column, at, k_1);
        barrier();
        if (sums_here) {
            [[unroll]] for (uint i = 0u; i < OWN; i++)
                if (LANE + i * LANES < SUMMED) own[i] += column_sum(LANE + i * LANES);
        }
        for (uint step = 0u; step < TK; step++) {
            float right[RN];
            [[unroll]] for (uint j = 0u; j < BANDS; j++)
                [[unroll]] for (uint e = 0u; e < 4u; e++)
                    right[4u * j + e] = b_tile[step * B_ROW + 4u * (j * ACROSS + across) + e];
            [[unroll]] for (uint i = 0u; i < RM; i++) {
                const float left = a_tile[step * A_ROW + i * DOWN + down];
                [[unroll]] for (uint j = 0u; j < RN; j++) s[i * RN + j] = fma(left, right[j], s[i * RN + j]);
            }
        }
        barrier();
    }

    if (sums_here) {
        const uint first = SUMS == SUMS_OF_A ? row : column, width = SUMS == SUMS_OF_A ? m : n;
        [[unroll]] for (uint i = 0u; i < OWN; i++) {
            const uint c = LANE + i * LANES;
            if (c < SUMMED && first + c < width) sums[(part * batches + batch) * width + first + c] = own[i];
        }
    }
    const uint y_this = y_first + (part * batches + batch) * m * n;
    [[unroll]] for (uint i = 0u; i < RM; i++) {
        const uint r = row + down + i * DOWN;
        [[unroll]] for (uint j = 0u; j < RN; j++) {
            const uint c = column + 4u * (j / 4u * ACROSS + across) + j % 4u, to = y_this + r * n + c;
            if (!idle && r < m && c < n) y[to] = finished(s[i * RN + j], to, batch * n + c);
        }
    }
}
#endif

#ifdef ENTRY_sum_parts
void main()
{
    const uint at = ITEM;
    if (at >= count) { /* the sums of columns come behind y */
        const uint i_sum = at - count;
        if (i_sum >= sum_count) return;
        float total = part_sums[i_sum];
        for (uint i = 1u; i < parts; i++) total += part_sums[i * sum_count + i_sum];
        sums[i_sum] = total;
        return;
    }
    float s = part[at];
    for (uint i = 1u; i < parts; i++) s += part[i * count + at];
    y[y_first + at] = finished(s, at, at / (m * n) * n + at % n);
}
#endif
