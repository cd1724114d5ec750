#version 450
/* attention: multi-head attention and its gradient, over heads of WIDTH columns that lie side by side.
 *   s_ij = scale q_i k_j,  p = softmax of s over the valid keys j,  y_i = sum_j p_ij v_j
 *   dv_j = sum_i p_ij dy_i,  dp_ij = dy_i v_j,  ds_ij = scale p_ij (dp_ij - sum_j p_ij dp_ij)
 *   dq_i = sum_j ds_ij k_j,  dk_j = sum_i ds_ij q_i
 * q, y [rows, queries, heads, WIDTH], k, v [rows, keys, heads, WIDTH], mask [rows, keys]. A unit is a row and a head.
 * Rows of y and dy follow each other; those of the others lie q_row and kv_row apart, from 0, k_first and v_first on.
 * Masked keys are neither read nor multiplied. Keys come in blocks of KEYS: a block that raises the largest score of a
 * query shrinks what the blocks before it have summed up.
 * AGAIN: there are more than KEYS keys, so that the gradient computes each block of scores twice.
 *
 * A group of LANES invocations takes a unit, or QUERIES queries of it. A block of QUERIES x KEYS scores lies in shared
 * memory, as do COLUMNS columns of its queries and keys, with zeros for what is masked or behind the end. An invocation
 * keeps a tile of TILE (4, or 1) or 4 times 4 sums in registers. TILE divides QUERIES, 4 divides KEYS;
 * QUERIES <= LANES, and QUERIES KEYS <= 4 TILE LANES.
 *   scores   tile t: queries t / (KEYS / 4) TILE ..,    keys t % (KEYS / 4) 4 ..
 *   y, dq    tile t: queries t / (COLUMNS / 4) TILE .., columns t % (COLUMNS / 4) 4 ..
 *   dk, dv   tile t: keys t / (COLUMNS / 4) 4 ..,       columns as before
 * An invocation adds only to what it wrote itself, so sums have a fixed order.
 * HALVES are q, k, v and dy, Y_HALVES y and gradients: WIDTH is even then, as pairs are words, and keys, of the gradient
 * queries too, are one block, as what was rounded is not added to. */
#extension GL_GOOGLE_include_directive : require
#include "shaders/common/common.glsl"
#include "shaders/common/math.glsl"
#include "shaders/common/halves.glsl"
#include "shaders/contract/attention.h"

DECLARE_CONTRACT(ENTRY)

layout(set = 0, binding = 0, std430) readonly buffer Words0 { uint q_words[]; };
layout(set = 0, binding = 1, std430) readonly buffer Words1 { uint k_words[]; };
layout(set = 0, binding = 2, std430) readonly buffer Words2 { uint v_words[]; };
#ifdef ENTRY_attend
layout(set = 0, binding = 4, std430) writeonly buffer Words4 { uint y_words[]; };
#else
layout(set = 0, binding = 4, std430) readonly buffer Words4 { uint dy_words[]; };
layout(set = 0, binding = 5, std430) writeonly buffer Words5 { uint dq_words[]; };
layout(set = 0, binding = 6, std430) writeonly buffer Words6 { uint dk_words[]; };
layout(set = 0, binding = 7, std430) writeonly buffer Words7 { uint dv_words[]; };
#endif

/* Element i of a tensor, whose words are NAME_words where HALVES. */
#define AT(x, i) (HALVES != DTYPE_F32 ? half_at(x##_words[(i) / 2u], i, HALVES) : x[i])

const uint ROWS = TILE, COLUMNS = ATTEND_COLUMNS, PITCH = COLUMNS + 1u; /* so that a column's elements lie in different banks */
const uint ACROSS = KEYS + 1u, SCORES = QUERIES / ROWS * (KEYS / 4u);
const float LOWEST = -3.402823466e+38;

/* What a group shares, and where in `staged` it lies. */
const uint OF_Q = 0u, OF_K = OF_Q + QUERIES * PITCH, P = OF_K + KEYS * PITCH;
#ifdef ENTRY_attend
shared float staged[(QUERIES + KEYS) * 33 + QUERIES * (KEYS + 1)];
#else
const uint OF_DY = P + QUERIES * ACROSS, OF_V = OF_DY + QUERIES * PITCH, DS = OF_V + KEYS * PITCH;
shared float staged[2 * ((QUERIES + KEYS) * 33 + QUERIES * (KEYS + 1))], dot_of[QUERIES];
#endif
shared float largest[QUERIES], total[QUERIES], keep[QUERIES];

uint stride, key_at, mask_at; /* between rows of y; of the unit's first key, in elements behind k_first, and of mask */

bool valid(uint j)
{
    return j < keys && BYTE(mask, mask_at + j) != 0u;
}

/* Columns from c on of `count` queries at `at`, or of KEYS keys from `start` on. */
#define LOAD_QUERIES(to, x, at, row_length, count, c)                                                                              \
    for (uint e = LANE; e < QUERIES * COLUMNS; e += LANES) {                                                     \
        const uint i = e / COLUMNS, across = (c) + e % COLUMNS;                                                        \
        staged[(to) + i * PITCH + e % COLUMNS] =                                                                       \
            i < (count) && across < WIDTH ? AT(x, (at) + i * (row_length) + across) : 0.0;                             \
    }
#define LOAD_KEYS(to, x, x_at, start, c)                                                                                     \
    for (uint e = LANE; e < KEYS * COLUMNS; e += LANES) {                                                        \
        const uint j = (start) + e / COLUMNS, across = (c) + e % COLUMNS;                                              \
        staged[(to) + e / COLUMNS * PITCH + e % COLUMNS] =                                                               \
            across < WIDTH && valid(j) ? AT(x, (x_at) + key_at + j * kv_row + across) : 0.0;                           \
    }

/* Four elements of `staged` that lie `step` apart; the first alone where there is no more than one row. */
vec4 four(uint at, uint step)
{
    return vec4(staged[at], staged[at + step], staged[at + 2u * step], staged[at + 3u * step]);
}

vec4 tile_rows(uint at, uint step)
{
    if (TILE == 1) return vec4(staged[at], 0.0, 0.0, 0.0);
    return four(at, step);
}

/* A tile of scores to `staged`, `missing` where there is no key. */
void store_scores(mat4 sum, float factor, float missing, uint to, uint start)
{
    const uint i = LANE / (KEYS / 4u) * ROWS, j = LANE % (KEYS / 4u) * 4u;
    if (LANE >= SCORES) return;
    for (uint l = 0u; l < 4u; l++) {
        const bool there = valid(start + j + l);
        for (uint r = 0u; r < ROWS; r++)
            staged[to + (i + r) * ACROSS + j + l] = there ? sum[r][l] * factor : missing;
    }
}

/* Scores become exp of their distance to the largest. */
void exponents()
{
    for (uint e = LANE; e < QUERIES * KEYS; e += LANES) {
        const uint i = e / KEYS, at = P + i * ACROSS + e % KEYS;
        staged[at] = m_exp(staged[at] - largest[i]);
    }
}

#ifdef SUBGROUPS
/* Scores of a block of n keys become exp of their distance to the largest of their query so far; what was summed before
 * shrinks, and the block adds to it. Of a subgroup four invocations take a query, and a key each in turn. */
void soften(uint n)
{
    for (uint e = LANE; e < QUERIES * 4u; e += LANES) {
        const uint i = e / 4u, at = i * ACROSS;
        float top = largest[i], sum = 0.0, dots = 0.0;
        const float before = top;
        for (uint j = e % 4u; j < KEYS; j += 4u) top = max(top, staged[P + at + j]);
        top = max(top, subgroupShuffleXor(top, 1u));
        top = max(top, subgroupShuffleXor(top, 2u));
        for (uint j = e % 4u; j < KEYS; j += 4u) {
            const float of_p = m_exp(staged[P + at + j] - top);
            staged[P + at + j] = of_p;
            sum += of_p;
#ifdef ENTRY_attend_grad
            dots += of_p * staged[DS + at + j];
#endif
        }
        sum += subgroupShuffleXor(sum, 1u);
        sum += subgroupShuffleXor(sum, 2u);
#ifdef ENTRY_attend_grad
        dots += subgroupShuffleXor(dots, 1u);
        dots += subgroupShuffleXor(dots, 2u);
#endif
        if (e % 4u == 0u) {
            const float shrink = m_exp(before - top);
            largest[i] = top;
            keep[i] = shrink;
            total[i] = total[i] * shrink + sum;
#ifdef ENTRY_attend_grad
            dot_of[i] = dot_of[i] * shrink + dots;
#endif
        }
    }
}
#else
/* The largest score of each query so far, and by how much what was summed before shrinks. */
void raise()
{
    if (LANE >= QUERIES) return;
    float top = largest[LANE];
    for (uint j = 0u; j < KEYS; j++) top = max(top, staged[P + LANE * ACROSS + j]);
    keep[LANE] = m_exp(largest[LANE] - top);
    largest[LANE] = top;
}

/* Scores of a block of n keys become exp of their distance to the largest of their query so far; what was summed before
 * shrinks, and the block adds to it. */
void soften(uint n)
{
    raise();
    barrier();
    exponents();
    barrier();
    if (LANE >= QUERIES) return;
    float sum = total[LANE] * keep[LANE];
#ifdef ENTRY_attend_grad
    float dots = dot_of[LANE] * keep[LANE];
#endif
    for (uint j = 0u; j < n; j++) {
        const float of_p = staged[P + LANE * ACROSS + j];
        sum += of_p;
#ifdef ENTRY_attend_grad
        dots += of_p * staged[DS + LANE * ACROSS + j];
#endif
    }
    total[LANE] = sum;
#ifdef ENTRY_attend_grad
    dot_of[LANE] = dots;
#endif
}
#endif

/* The largest score adds exp(0), so that only a row without keys sums to 0. */
float inverse_of(uint i)
{
    return total[i] == 0.0 ? 0.0 : 1.0 / total[i];
}

#ifdef ENTRY_attend
void main()
{
    const uint parts = (queries + QUERIES - 1u) / QUERIES;
    const uint unit = min(ROW / parts, units - 1u), first = ROW % parts * QUERIES;
    const uint count = ROW / parts < units ? min(QUERIES, queries - first) : 0u; /* one too many has no queries */
    const uint row = unit / heads, column = unit % heads * WIDTH;
    const uint i = LANE / (KEYS / 4u) * ROWS, j = LANE % (KEYS / 4u) * 4u;
    stride = heads * WIDTH;
    key_at = row * keys * kv_row + column;
    mask_at = row * keys;
    const uint at = (row * queries + first) * stride + column, q_at = (row * queries + first) * q_row + column;
    if (LANE < QUERIES) {
        largest[LANE] = LOWEST;
        total[LANE] = 0.0;
    }
    /* A row without keys has one block of nothing, which writes its zeros. */
    for (uint start = 0u; start == 0u || start < keys; start += KEYS) {
        const uint n = min(KEYS, keys - start);
        mat4 s = mat4(0.0);
        for (uint c = 0u; c < WIDTH; c += COLUMNS) {
            barrier();
            LOAD_QUERIES(OF_Q, q, q_at, q_row, count, c)
            LOAD_KEYS(OF_K, k, k_first, start, c)
            barrier();
            for (uint e = 0u; e < COLUMNS && LANE < SCORES; e++)
                s += outerProduct(four(OF_K + j * PITCH + e, PITCH), tile_rows(OF_Q + i * PITCH + e, PITCH));
        }
        store_scores(s, scale, uintBitsToFloat(M_SIGN | M_INF), P, start);
        barrier();
        soften(n);
        for (uint c = 0u; c < WIDTH; c += COLUMNS) {
            barrier();
            LOAD_KEYS(OF_K, v, v_first, start, c)
            barrier();
            for (uint t = LANE; t < QUERIES / ROWS * (COLUMNS / 4u); t += LANES) {
                const uint i = t / (COLUMNS / 4u) * ROWS, across = t % (COLUMNS / 4u) * 4u;
                mat4 sum = mat4(0.0);
                for (uint e = 0u; e < n; e++)
                    sum += outerProduct(four(OF_K + e * PITCH + across, 1u), tile_rows(P + i * ACROSS + e, ACROSS));
                for (uint r = 0u; r < ROWS && i + r < count; r++) {
                    const float inverse = start + KEYS < keys ? 1.0 : inverse_of(i + r);
                    const uint to = at + (i + r) * stride + c + across;
                    if (Y_HALVES != DTYPE_F32) {
                        for (uint l = 0u; l < 4u && c + across + l < WIDTH; l += 2u)
                            y_words[(to + l) / 2u] = pair_of(sum[r][l] * inverse, sum[r][l + 1u] * inverse, Y_HALVES);
                        continue;
                    }
                    for (uint l = 0u; l < 4u && c + across + l < WIDTH; l++)
                        y[to + l] = ((start == 0u ? 0.0 : y[to + l] * keep[i + r]) + sum[r][l]) * inverse;
                }
            }
        }
    }
}
#else

/* p = scale q kT and ds = dy vT of a block; the columns that it loads last stay. */
void score(uint q_at, uint at, uint count, uint start)
{
    const uint i = LANE / (KEYS / 4u) * ROWS, j = LANE % (KEYS / 4u) * 4u;
    mat4 s = mat4(0.0), dp = mat4(0.0);
    for (uint c = 0u; c < WIDTH; c += COLUMNS) {
        barrier();
        LOAD_QUERIES(OF_Q, q, q_at, q_row, count, c)
        LOAD_QUERIES(OF_DY, dy, at, stride, count, c)
        LOAD_KEYS(OF_K, k, k_first, start, c)
        LOAD_KEYS(OF_V, v, v_first, start, c)
        barrier();
        for (uint e = 0u; e < COLUMNS && LANE < SCORES; e++) {
            s += outerProduct(four(OF_K + j * PITCH + e, PITCH), tile_rows(OF_Q + i * PITCH + e, PITCH));
            dp += outerProduct(four(OF_V + j * PITCH + e, PITCH), tile_rows(OF_DY + i * PITCH + e, PITCH));
        }
    }
    store_scores(s, scale, uintBitsToFloat(M_SIGN | M_INF), P, start);
    store_scores(dp, 1.0, 0.0, DS, start);
    barrier();
}

/* A tile of sums to rows of x at `at` from column c on, or added to what is there. */
#define PUT_TILE(sum, rows, x, at, row_length, row, count, add, c)                                                                 \
    for (uint r = 0u; r < (rows) && (row) + r < (count); r++)                                                          \
        for (uint l = 0u; l < 4u && (c) + l < WIDTH; l++) {                                                            \
            const uint to = (at) + ((row) + r) * (row_length) + (c) + l;                                               \
            if (Y_HALVES == DTYPE_F32)                                                                                 \
                x[to] = (add) ? x[to] + sum[r][l] : sum[r][l];                                                         \
            else if (l % 2u == 0u)                                                                                     \
                x##_words[to / 2u] = pair_of(sum[r][l], sum[r][l + 1u], Y_HALVES);                                     \
        }

/* Gradients of a block whose p and ds are done: q_at, `at` (of dy) and `count` of its queries, start and n of its keys. */
void put_gradients(uint q_at, uint at, uint count, uint start, uint n, bool first)
{
    for (uint c = 0u; c < WIDTH; c += COLUMNS) {
        barrier();
        if (WIDTH > COLUMNS) {
            LOAD_QUERIES(OF_Q, q, q_at, q_row, count, c)
            LOAD_QUERIES(OF_DY, dy, at, stride, count, c)
            LOAD_KEYS(OF_K, k, k_first, start, c)
        }
        barrier();
        for (uint t = LANE; t < QUERIES / ROWS * (COLUMNS / 4u); t += LANES) {
            const uint i = t / (COLUMNS / 4u) * ROWS, across = t % (COLUMNS / 4u) * 4u;
            mat4 sum = mat4(0.0);
            for (uint e = 0u; e < n; e++)
                sum += outerProduct(four(OF_K + e * PITCH + across, 1u), tile_rows(DS + i * ACROSS + e, ACROSS));
            PUT_TILE(sum, ROWS, dq, q_at, q_row, i, count, start > 0u, c + across)
        }
        for (uint t = LANE; t < KEYS / 4u * (COLUMNS / 4u); t += LANES) {
            const uint j = t / (COLUMNS / 4u) * 4u, across = t % (COLUMNS / 4u) * 4u;
            mat4 of_dk = mat4(0.0), of_dv = mat4(0.0);
            for (uint e = 0u; e < count; e++) {
                of_dk += outerProduct(four(OF_Q + e * PITCH + across, 1u), four(DS + e * ACROSS + j, 1u));
                of_dv += outerProduct(four(OF_DY + e * PITCH + across, 1u), four(P + e * ACROSS + j, 1u));
            }
            for (uint r = 0u; r < 4u; r++)
                if (!valid(start + j + r)) of_dk[r] = of_dv[r] = vec4(0.0);
            PUT_TILE(of_dk, 4u, dk, k_first + key_at + start * kv_row, kv_row, j, n, !first, c + across)
            PUT_TILE(of_dv, 4u, dv, v_first + key_at + start * kv_row, kv_row, j, n, !first, c + across)
        }
    }
}

void main()
{
    const uint unit = min(ROW, units - 1u), row = unit / heads, column = unit % heads * WIDTH;
    const bool mine = ROW < units; /* one too many works on nothing */
    stride = heads * WIDTH;
    key_at = row * keys * kv_row + column;
    mask_at = row * keys;
    /* Without queries or keys there is one block of nothing, which writes zeros. */
    for (uint first = 0u; first == 0u || first < queries; first += QUERIES) {
        const uint at = (row * queries + first) * stride + column, q_at = (row * queries + first) * q_row + column;
        const uint count = mine ? min(QUERIES, queries - first) : 0u;
        barrier();
        if (LANE < QUERIES) {
            largest[LANE] = LOWEST;
            total[LANE] = dot_of[LANE] = 0.0;
        }
        for (uint start = 0u; start == 0u || start < keys; start += KEYS) {
            score(q_at, at, count, start);
            soften(min(KEYS, keys - start));
            barrier();
        }
        for (uint start = 0u; start == 0u || start < keys; start += KEYS) {
            if (AGAIN != 0) { /* else the only block is at hand */
                score(q_at, at, count, start);
                exponents();
                barrier();
            }
            for (uint e = LANE; e < QUERIES * KEYS; e += LANES) {
                const uint i = e / KEYS, place = i * ACROSS + e % KEYS;
                const float inverse = inverse_of(i), of_p = staged[P + place] * inverse;
                staged[P + place] = of_p;
                staged[DS + place] = (staged[DS + place] - dot_of[i] * inverse) * of_p * scale;
            }
            put_gradients(q_at, at, count, start, mine ? min(KEYS, keys - start) : 0u, first == 0u);
        }
    }
}
#endif
