#version 450
/* matmul: y = gate(act(a b + bias + residual)) in f32 for each of a batch.
 *   a [m, k], or [k, m] when TRANSPOSE_A;  b [k, n], or [n, k] when TRANSPOSE_B;  y, residual, gate [m, n];  bias [n]
 *
 * A group computes a tile of TM x TN elements; for each TK steps of the sum it copies the tile's rows of a and columns
 * of b to shared memory, in quads: four elements that lie side by side, which with WIDE are one load. With AHEAD what
 * the next steps want is fetched from memory while these are computed; a processor that plays a GPU lacks registers.
 * An invocation keeps RM x RN sums: of each of the RM / ROWS equal bands of the tile's rows the ROWS from
 * ROWS (LANE / ACROSS) on, and of each of the RN / 4 bands of its columns the four from 4 (LANE mod ACROSS) on, so that
 * neighbours read neighbouring fours.
 *   LANES = TM / RM * TN / RN;  RM is 1, 2 or a multiple of 4, RN, TM, TN, TK and depth are multiples of 4
 *   WIDE: so are m, n, k and where the factors of a product begin
 * Loops over sums are unrolled, else they would not lie in registers. What follows on a sum is EPILOGUE, known when the
 * kernel is compiled; a long activation is one more pass over the elements that were just stored, since unrolled it
 * would be longer than the product.
 * HALVES are a, b, residual and gate, Y_HALVES is y: pairs of y are whole words, so n is even then, and a long
 * activation is left to sum_parts, as it must not see what was rounded.
 * Beyond m, n and k the copies are 0 and nothing is stored.
 * With SUMS, groups of the first column or row of tiles also add up the columns of a or b as they lie in memory, from
 * the same copies: bias gradients (linear_grad_weight).
 * Groups are numbered: column of tiles, row of tiles, part of the sum, product of the batch; the first runs fastest.
 * Parts are added in order, and finished, by sum_parts. Sums run k rising within a part. */
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#if defined(ENTRY_product_matrices) && defined(SUBGROUPS)
#extension GL_KHR_memory_scope_semantics : require
#extension GL_NV_cooperative_matrix : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#endif
#include "shaders/common/common.glsl"
#include "shaders/common/math.glsl"
#include "shaders/common/halves.glsl"
#include "shaders/contract/matmul.h"

DECLARE_CONTRACT(ENTRY)

float activated(float z, uint act)
{
    if (act == ACT_RELU) return z < 0.0 ? 0.0 : z;
    if (act == ACT_SILU) return z * m_sigmoid(z);
    if (act == ACT_SIGMOID) return m_sigmoid(z);
    return act == ACT_TANH ? m_tanh(z) : z;
}

#if defined(ENTRY_product) || defined(ENTRY_product_matrices)
const bool LONG_ACT = EPILOGUE >> EPILOGUE_ACT_SHIFT > ACT_RELU;

layout(set = 0, binding = 3, std430) readonly buffer Words3 { uint residual_words[]; };
layout(set = 0, binding = 4, std430) readonly buffer Words4 { uint gate_words[]; };
layout(set = 0, binding = 5, std430) writeonly buffer Words5 { uint y_words[]; };

float residual_at(uint at)
{
    return HALVES != DTYPE_F32 ? half_at(residual_words[at / 2u], at, HALVES) : residual[at];
}

bool is_open(uint at)
{
    return (HALVES != DTYPE_F32 ? half_at(gate_words[at / 2u], at, HALVES) : gate[at]) > 0.0;
}

/* y at an element and its bias, from the sum; without a long activation, and then without the gate behind it. */
float finish(float z, uint at, uint bias_at)
{
    if ((EPILOGUE & EPILOGUE_BIAS) != 0u) z += bias[bias_at];
    if ((EPILOGUE & EPILOGUE_RESIDUAL) != 0u) z += residual_at(at);
    if (EPILOGUE >> EPILOGUE_ACT_SHIFT == ACT_RELU) z = z < 0.0 ? 0.0 : z;
    if (!LONG_ACT && (EPILOGUE & EPILOGUE_GATE) != 0u && !is_open(at)) z = 0.0;
    return z;
}
#endif

#ifdef ENTRY_product
const uint ROWS = RM < 4 ? RM : 4;
const uint ACROSS = TN / RN; /* invocations of a row of sums */
const uint DOWN = TM / RM;
const uint A_ROW = TM + 4; /* fours stay aligned, and a column of a is spread over several banks */
const uint B_ROW = TN + 4;
const uint A_QUADS = (TM * TK / 4 + LANES - 1) / LANES; /* of an invocation */
const uint B_QUADS = (TN * TK / 4 + LANES - 1) / LANES;
const uint SUMMED = SUMS == SUMS_OF_A ? TM : TN; /* columns of which a group has the sums */
const uint OWN = (SUMMED + LANES - 1) / LANES;   /* of them, an invocation's */

layout(set = 0, binding = 0, std430) readonly buffer Quads0 { vec4 a_quads[]; };
layout(set = 0, binding = 1, std430) readonly buffer Quads1 { vec4 b_quads[]; };
layout(set = 0, binding = 0, std430) readonly buffer Pairs0 { uvec2 a_pairs[]; };
layout(set = 0, binding = 1, std430) readonly buffer Pairs1 { uvec2 b_pairs[]; };
layout(set = 0, binding = 0, std430) readonly buffer Words0 { uint a_words[]; };
layout(set = 0, binding = 1, std430) readonly buffer Words1 { uint b_words[]; };

shared float a_tile[TK * A_ROW];
shared float b_tile[TK * B_ROW];

/* Quad q of a tile's part of a: its first step and row. Neighbours read what lies side by side. */
uvec2 a_place(uint q)
{
    return TRANSPOSE_A != 0 ? uvec2(q / (TM / 4), q % (TM / 4) * 4u) : uvec2(q % (TK / 4) * 4u, q / (TK / 4));
}

uvec2 b_place(uint q)
{
    return TRANSPOSE_B != 0 ? uvec2(q % (TK / 4) * 4u, q / (TK / 4)) : uvec2(q / (TN / 4), q % (TN / 4) * 4u);
}

/* The quads of a factor whose element of a step and a row or column lies at step * by_step + i * by_i, one of which is
 * 1; `turned`: by_i. Beyond i_end and k_1 they are 0. */
#define FETCH(factor, turned, row_length)                                                    \
    vec4 fetch_##factor(uint first, uint q, uint i_0, uint i_end, uint k_0, uint k_1)        \
    {                                                                                        \
        const uvec2 at = factor##_place(q) + uvec2(k_0, i_0);                                \
        const uint lies = first + (turned ? at.x * row_length + at.y : at.y * row_length + at.x); \
        vec4 x = vec4(0.0);                                                                  \
        if (WIDE != 0) {                                                                     \
            if (at.x < k_1 && at.y < i_end)                                                  \
                x = HALVES != DTYPE_F32 ? halves_of(factor##_pairs[lies / 4u], HALVES)       \
                                        : factor##_quads[lies / 4u];                         \
        } else {                                                                             \
            [[unroll]] for (uint e = 0u; e < 4u; e++)                                        \
                if (at.x + (turned ? 0u : e) < k_1 && at.y + (turned ? e : 0u) < i_end)      \
                    x[e] = HALVES != DTYPE_F32                                               \
                               ? half_at(factor##_words[(lies + e) / 2u], lies + e, HALVES)  \
                               : factor[lies + e];                                           \
        }                                                                                    \
        return x;                                                                            \
    }
FETCH(a, (TRANSPOSE_A != 0), (TRANSPOSE_A != 0 ? m : k))
FETCH(b, (TRANSPOSE_B == 0), (TRANSPOSE_B == 0 ? n : k))

#define FETCH_ALL(at)                                                                                       \
    {                                                                                                       \
        [[unroll]] for (uint i = 0u; i < A_QUADS; i++)                                                      \
            a_next[i] = fetch_a(a_this, LANE + i * LANES, row, m, at, k_1);                                 \
        [[unroll]] for (uint i = 0u; i < B_QUADS; i++)                                                      \
            b_next[i] = fetch_b(b_this, LANE + i * LANES, column, n, at, k_1);                              \
    }

/* What this tile adds to the sum of column i of those that lie in memory. */
float column_sum(uint i)
{
    float z = 0.0;
    for (uint step = 0u; step < TK; step++)
        z += SUMS == SUMS_OF_A ? a_tile[step * A_ROW + i] : b_tile[step * B_ROW + i];
    return z;
}

void main()
{
    const bool idle = GROUP >= groups; /* of a last, shorter line of groups */
    const uint columns = (n + TN - 1u) / TN, rows = (m + TM - 1u) / TM;
    const uint column = GROUP % columns * TN, row = GROUP / columns % rows * TM;
    const uint part = GROUP / columns / rows % parts, batch = GROUP / columns / rows / parts;
    const uint k_0 = part * depth, k_1 = idle ? 0u : min(k, k_0 + depth);
    const uint down = LANE / ACROSS * ROWS, across = LANE % ACROSS * 4u;
    const uint a_this = a_first + batch / inner * a_outer + batch % inner * a_inner;
    const uint b_this = b_first + batch / inner * b_outer + batch % inner * b_inner;
    const bool sums_here = !idle && (SUMS == SUMS_OF_A ? column == 0u : SUMS == SUMS_OF_B && row == 0u);

    float own[OWN], s[RM * RN];
    vec4 a_next[A_QUADS], b_next[B_QUADS];
    [[unroll]] for (uint i = 0u; i < OWN; i++) own[i] = 0.0;
    [[unroll]] for (uint i = 0u; i < RM * RN; i++) s[i] = 0.0;
    if (AHEAD != 0) FETCH_ALL(k_0)
    for (uint at = k_0; at < k_1; at += TK) {
        if (AHEAD == 0) FETCH_ALL(at)
        [[unroll]] for (uint i = 0u; i < A_QUADS; i++) {
            const uint q = LANE + i * LANES;
            const uvec2 to = a_place(q);
            if (TM * TK / 4 % LANES == 0 || q < TM * TK / 4)
                [[unroll]] for (uint e = 0u; e < 4u; e++)
                    a_tile[to.x * A_ROW + to.y + e * (TRANSPOSE_A != 0 ? 1 : A_ROW)] = a_next[i][e];
        }
        [[unroll]] for (uint i = 0u; i < B_QUADS; i++) {
            const uint q = LANE + i * LANES;
            const uvec2 to = b_place(q);
            if (TN * TK / 4 % LANES == 0 || q < TN * TK / 4)
                [[unroll]] for (uint e = 0u; e < 4u; e++)
                    b_tile[to.x * B_ROW + to.y + e * (TRANSPOSE_B == 0 ? 1 : B_ROW)] = b_next[i][e];
        }
        barrier();
        if (AHEAD != 0) FETCH_ALL(at + TK)
        if (sums_here) {
            [[unroll]] for (uint i = 0u; i < OWN; i++)
                if (LANE + i * LANES < SUMMED) own[i] += column_sum(LANE + i * LANES);
        }
        [[dont_unroll]] for (uint step = 0u; step < TK; step++) {
            float right[RN];
            [[unroll]] for (uint j = 0u; j < RN; j++)
                right[j] = b_tile[step * B_ROW + j / 4u * 4u * ACROSS + across + j % 4u];
            [[unroll]] for (uint i = 0u; i < RM; i++) {
                const float left = a_tile[step * A_ROW + i / ROWS * ROWS * DOWN + down + i % ROWS];
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
    if (idle) return;
    const uint y_this = y_first + (part * batches + batch) * m * n;
    [[unroll]] for (uint i = 0u; i < RM; i++) {
        const uint r = row + i / ROWS * ROWS * DOWN + down + i % ROWS;
        [[unroll]] for (uint j = 0u; j < RN; j += 4u) {
            const uint c = column + j * ACROSS + across, to = y_this + r * n + c;
            if (r >= m || c >= n) continue;
            const uint sum = i * RN + j, bias_at = batch * n + c;
            if (Y_HALVES != DTYPE_F32) {
                [[unroll]] for (uint e = 0u; e < 4u; e += 2u)
                    if (WIDE != 0 || c + e < n)
                        y_words[(to + e) / 2u] = pair_of(finish(s[sum + e], to + e, bias_at + e),
                                                         finish(s[sum + e + 1u], to + e + 1u, bias_at + e + 1u), Y_HALVES);
                continue;
            }
            [[unroll]] for (uint e = 0u; e < 4u; e++)
                if (WIDE != 0 || c + e < n) y[to + e] = finish(s[sum + e], to + e, bias_at + e);
        }
    }
    if (!LONG_ACT) return;
    for (uint i = 0u; i < RM; i++) {
        const uint r = row + i / ROWS * ROWS * DOWN + down + i % ROWS;
        for (uint j = 0u; j < RN; j++) {
            const uint c = column + j / 4u * 4u * ACROSS + across + j % 4u, to = y_this + r * n + c;
            if (r >= m || c >= n) continue;
            float z = activated(y[to], EPILOGUE >> EPILOGUE_ACT_SHIFT);
            if ((EPILOGUE & EPILOGUE_GATE) != 0u && !(gate[to] > 0.0)) z = 0.0;
            y[to] = z;
        }
    }
}
#endif

#ifdef ENTRY_product_matrices
/* The product of f16 by matrices of 16 x 16 elements that the invocations of a subgroup hold together; sums are f32.
 * A group has TM x TN elements, a subgroup of SHARE invocations RM x RN matrices of them, those of a row of subgroups
 * side by side. For each TK steps the group copies rows of a and b to shared memory as they lie in memory, in pairs of
 * halves; what is transposed is loaded by columns. At the end each matrix of sums goes through shared memory to the
 * invocations, which finish pairs of elements. All rows are read in fours, as with WIDE above.
 *   LANES = SHARE * TM / (16 RM) * TN / (16 RN);  TK is a multiple of 16, TM and TN of 16 RM and 16 RN
 * With SUBGROUPS the matrices are those of VK_NV_cooperative_matrix; without they are played by loops, of the same form. */
const uint SIDE = 16u, ROUND = 4u; /* words between rows of shared memory that keep them aligned, in other banks */
const uint A_ROWS = TRANSPOSE_A != 0 ? TK : TM, A_WORDS = (TRANSPOSE_A != 0 ? TM : TK) / 2;
const uint B_ROWS = TRANSPOSE_B == 0 ? TK : TN, B_WORDS = (TRANSPOSE_B == 0 ? TN : TK) / 2;
const uint A_PITCH = A_WORDS + ROUND, B_PITCH = B_WORDS + ROUND;
const uint TEAMS = LANES / SHARE, TEAMS_ACROSS = TN / (16 * RN);

layout(set = 0, binding = 0, std430) readonly buffer Pairs0 { uvec2 a_pairs[]; };
layout(set = 0, binding = 1, std430) readonly buffer Pairs1 { uvec2 b_pairs[]; };

shared uint a_tile[A_ROWS * A_PITCH];
shared uint b_tile[B_ROWS * B_PITCH];
shared float out_tile[TEAMS * 256];

#ifdef SUBGROUPS
#define FACTOR                                  fcoopmatNV<16, gl_ScopeSubgroup, 16, 16>
#define SUMS_OF_MATRIX                          fcoopmatNV<32, gl_ScopeSubgroup, 16, 16>
#define CLEAR(sums)                             sums = SUMS_OF_MATRIX(0.0)
#define LOAD_FACTOR(to, tile, at, pitch, turned) coopMatLoadNV(to, tile, at, pitch, turned)
#define MULTIPLY_ADD(sums, x, z)                sums = coopMatMulAddNV(x, z, sums)
#define STORE_SUMS(sums, at)                    coopMatStoreNV(sums, out_tile, at, 16, false)
#else
/* A factor is a place in shared memory, and an invocation has every SHARE-th of the sums. */
const uint EACH = 256 / SHARE;
struct Factor { uint at, pitch; bool turned; };
struct Sums { float x[EACH]; };
#define FACTOR                                  Factor
#define SUMS_OF_MATRIX                          Sums
#define CLEAR(sums)                             for (uint e = 0u; e < EACH; e++) sums.x[e] = 0.0
#define LOAD_FACTOR(to, tile, at, pitch, turned) to = Factor(at, pitch, turned)
#define MULTIPLY_ADD(sums, x, z)                multiply_add(sums, x, z)
#define STORE_SUMS(sums, at)                    for (uint e = 0u; e < EACH; e++) out_tile[(at) + LANE % SHARE + e * SHARE] = sums.x[e]

/* The word and the number of element i, j of a factor. */
uvec2 place_of(Factor f, uint i, uint j)
{
    return f.turned ? uvec2(f.at + j * f.pitch + i / 2u, i) : uvec2(f.at + i * f.pitch + j / 2u, j);
}

void multiply_add(inout Sums sums, Factor x, Factor z)
{
    for (uint e = 0u; e < EACH; e++) {
        const uint i = (LANE % SHARE + e * SHARE) / SIDE, j = (LANE % SHARE + e * SHARE) % SIDE;
        for (uint step = 0u; step < SIDE; step++) {
            const uvec2 of_x = place_of(x, i, step), of_z = place_of(z, step, j);
            sums.x[e] += half_at(a_tile[of_x.x], of_x.y, HALVES) * half_at(b_tile[of_z.x], of_z.y, HALVES);
        }
    }
}
#endif

/* Rows of a factor to shared memory, from row `row` and element `at` on, with zeros from row_end and end on. */
#define COPY_ROWS(tile, pairs, ROWS_OF, WORDS_OF, PITCH_OF, first, row, row_end, row_length, at, end) \
    for (uint q = LANE; q < ROWS_OF * WORDS_OF / 2u; q += LANES) {                         \
        const uint r = q / (WORDS_OF / 2u), c = q % (WORDS_OF / 2u) * 4u;                  \
        uvec2 words = uvec2(0u);                                                           \
        if ((row) + r < (row_end) && (at) + c < (end))                                     \
            words = pairs[((first) + ((row) + r) * (row_length) + (at) + c) / 4u];         \
        tile[r * PITCH_OF + c / 2u] = words.x;                                             \
        tile[r * PITCH_OF + c / 2u + 1u] = words.y;                                        \
    }

void main()
{
    const bool idle = GROUP >= groups; /* of a last, shorter line of groups */
    const uint columns = (n + TN - 1u) / TN, rows = (m + TM - 1u) / TM;
    const uint column = GROUP % columns * TN, row = GROUP / columns % rows * TM;
    const uint part = GROUP / columns / rows % parts, batch = GROUP / columns / rows / parts;
    const uint k_0 = part * depth, k_1 = idle ? 0u : min(k, k_0 + depth);
    const uint a_this = a_first + batch / inner * a_outer + batch % inner * a_inner;
    const uint b_this = b_first + batch / inner * b_outer + batch % inner * b_inner;
    const uint own = LANE / SHARE; /* subgroup */
    const uint down = own / TEAMS_ACROSS * RM * SIDE, across = own % TEAMS_ACROSS * RN * SIDE;

    SUMS_OF_MATRIX s[RM * RN];
    [[unroll]] for (uint i = 0u; i < RM * RN; i++) { CLEAR(s[i]); }
    for (uint at = k_0; at < k_1; at += TK) {
        if (TRANSPOSE_A != 0) COPY_ROWS(a_tile, a_pairs, A_ROWS, A_WORDS, A_PITCH, a_this, at, k_1, m, row, m)
        else COPY_ROWS(a_tile, a_pairs, A_ROWS, A_WORDS, A_PITCH, a_this, row, m, k, at, k_1)
        if (TRANSPOSE_B == 0) COPY_ROWS(b_tile, b_pairs, B_ROWS, B_WORDS, B_PITCH, b_this, at, k_1, n, column, n)
        else COPY_ROWS(b_tile, b_pairs, B_ROWS, B_WORDS, B_PITCH, b_this, column, n, k, at, k_1)
        barrier();
        [[dont_unroll]] for (uint step = 0u; step < TK; step += SIDE) {
            FACTOR right[RN];
            [[unroll]] for (uint j = 0u; j < RN; j++) {
                const uint c = across + j * SIDE;
                LOAD_FACTOR(right[j], b_tile, TRANSPOSE_B == 0 ? step * B_PITCH + c / 2u : c * B_PITCH + step / 2u, B_PITCH,
                            TRANSPOSE_B != 0);
            }
            [[unroll]] for (uint i = 0u; i < RM; i++) {
                const uint r = down + i * SIDE;
                FACTOR left;
                LOAD_FACTOR(left, a_tile, TRANSPOSE_A != 0 ? step * A_PITCH + r / 2u : r * A_PITCH + step / 2u, A_PITCH,
                            TRANSPOSE_A != 0);
                [[unroll]] for (uint j = 0u; j < RN; j++) { MULTIPLY_ADD(s[i * RN + j], left, right[j]); }
            }
        }
        barrier();
    }

    const uint y_this = y_first + (part * batches + batch) * m * n;
    [[unroll]] for (uint i = 0u; i < RM; i++) {
        [[unroll]] for (uint j = 0u; j < RN; j++) {
            STORE_SUMS(s[i * RN + j], own * 256u);
            barrier();
            for (uint e = LANE % SHARE * 2u; e < 256u; e += SHARE * 2u) {
                const uint r = row + down + i * SIDE + e / SIDE, c = column + across + j * SIDE + e % SIDE;
                const uint to = y_this + r * n + c, bias_at = batch * n + c;
                if (idle || r >= m || c >= n) continue;
                const float x = finish(out_tile[own * 256u + e], to, bias_at);
                const float z = finish(out_tile[own * 256u + e + 1u], to + 1u, bias_at + 1u);
                if (Y_HALVES != DTYPE_F32) {
                    y_words[to / 2u] = pair_of(x, z, Y_HALVES);
                } else {
                    y[to] = x;
                    y[to + 1u] = z;
                }
            }
            barrier();
        }
    }
}
#endif

#ifdef ENTRY_sum_parts
layout(set = 0, binding = 2, std430) readonly buffer Words2 { uint residual_words[]; };
layout(set = 0, binding = 3, std430) readonly buffer Words3 { uint gate_words[]; };
layout(set = 0, binding = 4, std430) writeonly buffer Words4 { uint y_words[]; };

/* y at an element and its bias, from the sum. */
float finished(float z, uint at, uint bias_at)
{
    if ((flags & EPILOGUE_BIAS) != 0u) z += bias[bias_at];
    if ((flags & EPILOGUE_RESIDUAL) != 0u)
        z += HALVES != DTYPE_F32 ? half_at(residual_words[at / 2u], at, HALVES) : residual[at];
    z = activated(z, flags >> EPILOGUE_ACT_SHIFT);
    if ((flags & EPILOGUE_GATE) != 0u &&
        !((HALVES != DTYPE_F32 ? half_at(gate_words[at / 2u], at, HALVES) : gate[at]) > 0.0))
        z = 0.0;
    return z;
}

float y_at(uint at)
{
    float s = part[at];
    for (uint i = 1u; i < parts; i++) s += part[i * count + at];
    return finished(s, at, at / (m * n) * n + at % n);
}

void main()
{
    const uint each = HALVES != DTYPE_F32 ? 2u : 1u; /* elements of an item */
    const uint at = ITEM * each;
    if (at >= count) { /* the sums of columns come behind y */
        const uint i_sum = ITEM - (count + each - 1u) / each;
        if (i_sum >= sum_count) return;
        float total = part_sums[i_sum];
        for (uint i = 1u; i < parts; i++) total += part_sums[i * sum_count + i_sum];
        sums[i_sum] = total;
        return;
    }
    if (HALVES != DTYPE_F32)
        y_words[(y_first + at) / 2u] = pair_of(y_at(at), y_at(at + 1u), HALVES);
    else
        y[y_first + at] = y_at(at);
}
#endif
