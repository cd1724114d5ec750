#version 450
/* attention: attention and its gradient where a processor plays a GPU: a barrier costs more
 * there than a thousand sums, and a word from memory some fifty. So nothing is shared: an invocation takes QUERIES
 * queries of a unit, a row and a head, and passes over its keys, KEYS at a time, with all their scores in registers.
 *   attend_alone    y
 *   attend_queries  dq; and of each query the largest score, 1 / total and the sum of p dp, for
 *   attend_keys     dk and dv: an invocation takes KEYS keys and passes over the queries, QUERIES at a time
 * AGAIN: there are more than KEYS keys, so that attend_queries computes scores twice, else the only block is at hand.
 * What is masked or behind the end may be read where it lies, and is then left out.
 * HALVES are q, k, v and dy, Y_HALVES y and gradients: WIDTH is even then, as pairs are words, and what an invocation
 * passes over is one block, as what was rounded is not added to. */
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "shaders/common/common.glsl"
#include "shaders/common/math.glsl"
#include "shaders/common/halves.glsl"
#include "shaders/contract/attention.h"

DECLARE_CONTRACT(ENTRY)

layout(set = 0, binding = 0, std430) readonly buffer Words0 { uint q_words[]; };
layout(set = 0, binding = 1, std430) readonly buffer Words1 { uint k_words[]; };
layout(set = 0, binding = 2, std430) readonly buffer Words2 { uint v_words[]; };
#ifdef ENTRY_attend_alone
layout(set = 0, binding = 4, std430) writeonly buffer Words4 { uint y_words[]; };
#else
layout(set = 0, binding = 4, std430) readonly buffer Words4 { uint dy_words[]; };
#endif
#ifdef ENTRY_attend_queries
layout(set = 0, binding = 5, std430) writeonly buffer Words5 { uint dq_words[]; };
#endif
#ifdef ENTRY_attend_keys
layout(set = 0, binding = 6, std430) writeonly buffer Words6 { uint dk_words[]; };
layout(set = 0, binding = 7, std430) writeonly buffer Words7 { uint dv_words[]; };
#endif

/* Element i of a tensor, whose words are NAME_words where HALVES. */
#define AT(x, i) (HALVES != DTYPE_F32 ? half_at(x##_words[(i) / 2u], i, HALVES) : x[i])
const uint SIDE = Y_HALVES != DTYPE_F32 ? 2u : 1u; /* columns of a word */

const float LOWEST = -3.402823466e+38;
#define EACH(i, n) [[unroll]] for (uint i = 0u; i < n; i++)

/* A block: of its queries i and keys j, where they lie and whether they are there; scores, then p, at i KEYS + j. */
uint query[QUERIES], of_q[QUERIES], key[KEYS]; /* of_q: in q and dq, query: in y and dy; key: behind k_first and v_first */
bool wanted[QUERIES], there[KEYS];
float s[QUERIES * KEYS];
#ifndef ENTRY_attend_alone
float dp[QUERIES * KEYS];
#endif
float largest[QUERIES], total[QUERIES], keep[QUERIES];

void find_queries(uint unit, uint first)
{
    EACH(i, QUERIES) {
        const uint at = unit / heads * queries + min(first + i, max(queries, 1u) - 1u);
        wanted[i] = first + i < queries;
        query[i] = (at * heads + unit % heads) * WIDTH;
        of_q[i] = at * q_row + unit % heads * WIDTH;
    }
}

void find_keys(uint unit, uint first)
{
    EACH(j, KEYS) {
        const uint at = unit / heads * keys + min(first + j, max(keys, 1u) - 1u);
        there[j] = false;
        if (first + j < keys) there[j] = BYTE(mask, at) != 0u;
        key[j] = at * kv_row + unit % heads * WIDTH;
    }
}

/* s = scale q kT, -infinity where there is no key; dp = dy vT. */
void score()
{
    const uint columns = queries > 0u && keys > 0u ? WIDTH : 0u;
    EACH(e, QUERIES * KEYS) {
        s[e] = 0.0;
#ifndef ENTRY_attend_alone
        dp[e] = 0.0;
#endif
    }
    for (uint c = 0u; c < columns; c++) {
        float x[QUERIES], z[KEYS];
        EACH(i, QUERIES) x[i] = AT(q, of_q[i] + c);
        EACH(j, KEYS) z[j] = AT(k, k_first + key[j] + c);
        EACH(i, QUERIES) EACH(j, KEYS) s[i * KEYS + j] += x[i] * z[j];
#ifndef ENTRY_attend_alone
        EACH(i, QUERIES) x[i] = AT(dy, query[i] + c);
        EACH(j, KEYS) z[j] = AT(v, v_first + key[j] + c);
        EACH(i, QUERIES) EACH(j, KEYS) dp[i * KEYS + j] += x[i] * z[j];
#endif
    }
    EACH(i, QUERIES) EACH(j, KEYS) {
        const uint e = i * KEYS + j;
        s[e] = there[j] ? s[e] * scale : uintBitsToFloat(M_SIGN | M_INF);
#ifndef ENTRY_attend_alone
        dp[e] = there[j] ? dp[e] : 0.0;
#endif
    }
}

/* Scores become exp of their distance to the largest of a query so far, by whose rise the sums so far shrink. */
void raise()
{
    EACH(i, QUERIES) {
        float top = largest[i];
        EACH(j, KEYS) top = max(top, s[i * KEYS + j]);
        keep[i] = m_exp(largest[i] - top);
        largest[i] = top;
        total[i] *= keep[i];
        EACH(j, KEYS) {
            s[i * KEYS + j] = m_exp(s[i * KEYS + j] - top);
            total[i] += s[i * KEYS + j];
        }
    }
}

/* The largest score adds exp(0), so that only a row without keys sums to 0. */
float inverse_of(uint i)
{
    return total[i] == 0.0 ? 0.0 : 1.0 / total[i];
}

/* Columns from c on of keys or values that are there, else 0; and a query's sum over them. */
#define LOAD_VALUES(z, x, x_first)                                                          \
    EACH(j, KEYS) EACH(l, SIDE) {                                                           \
        z[j * SIDE + l] = 0.0;                                                              \
        if (there[j]) z[j * SIDE + l] = AT(x, x_first + key[j] + c + l);                    \
    }
#define SUM_OVER_KEYS(sum, weights, z)                                                      \
    EACH(l, SIDE) {                                                                         \
        sum[l] = 0.0;                                                                       \
        EACH(j, KEYS) sum[l] += weights[i * KEYS + j] * z[j * SIDE + l];                    \
    }

#ifdef ENTRY_attend_alone
void main()
{
    const uint parts = (queries + QUERIES - 1u) / QUERIES, unit = ITEM / parts;
    if (unit >= units) return;
    find_queries(unit, ITEM % parts * QUERIES);
    EACH(i, QUERIES) {
        largest[i] = LOWEST;
        total[i] = 0.0;
    }
    /* A row without keys has one block of nothing, which writes its zeros. */
    for (uint start = 0u; start == 0u || start < keys; start += KEYS) {
        find_keys(unit, start);
        score();
        raise();
        EACH(i, QUERIES) {
            const float inverse = start + KEYS < keys ? 1.0 : inverse_of(i);
            keep[i] *= inverse;
            EACH(j, KEYS) s[i * KEYS + j] *= inverse;
        }
        for (uint c = 0u; c < WIDTH; c += SIDE) {
            float z[KEYS * SIDE];
            LOAD_VALUES(z, v, v_first)
            EACH(i, QUERIES) {
                float sum[SIDE];
                SUM_OVER_KEYS(sum, s, z)
                if (Y_HALVES != DTYPE_F32) {
                    if (wanted[i]) y_words[(query[i] + c) / 2u] = pair_of(sum[0], sum[SIDE - 1u], Y_HALVES);
                } else {
                    if (wanted[i] && start > 0u) sum[0] += y[query[i] + c] * keep[i];
                    if (wanted[i]) y[query[i] + c] = sum[0];
                }
            }
        }
    }
}
#endif

#ifdef ENTRY_attend_queries
void main()
{
    const uint parts = (queries + QUERIES - 1u) / QUERIES, unit = ITEM / parts, first = ITEM % parts * QUERIES;
    float dots[QUERIES];
    if (unit >= units) return;
    find_queries(unit, first);
    EACH(i, QUERIES) {
        largest[i] = LOWEST;
        total[i] = dots[i] = 0.0;
    }
    for (uint start = 0u; start == 0u || start < keys; start += KEYS) {
        find_keys(unit, start);
        score();
        raise();
        EACH(i, QUERIES) {
            dots[i] *= keep[i];
            EACH(j, KEYS) dots[i] += s[i * KEYS + j] * dp[i * KEYS + j];
        }
    }
    EACH(i, QUERIES) {
        total[i] = inverse_of(i);
        dots[i] *= total[i];
        if (wanted[i]) {
            const uint at = (unit * queries + first + i) * 3u;
            stats[at] = largest[i];
            stats[at + 1u] = total[i];
            stats[at + 2u] = dots[i];
        }
    }
    for (uint start = 0u; start == 0u || start < keys; start += KEYS) {
        if (AGAIN != 0) {
            find_keys(unit, start);
            score();
            EACH(i, QUERIES) EACH(j, KEYS) s[i * KEYS + j] = m_exp(s[i * KEYS + j] - largest[i]);
        }
        EACH(i, QUERIES) EACH(j, KEYS)
            dp[i * KEYS + j] = (dp[i * KEYS + j] - dots[i]) * (s[i * KEYS + j] * total[i]) * scale;
        for (uint c = 0u; c < WIDTH; c += SIDE) {
            float z[KEYS * SIDE];
            LOAD_VALUES(z, k, k_first)
            EACH(i, QUERIES) {
                float sum[SIDE];
                SUM_OVER_KEYS(sum, dp, z)
                if (Y_HALVES != DTYPE_F32) {
                    if (wanted[i]) dq_words[(of_q[i] + c) / 2u] = pair_of(sum[0], sum[SIDE - 1u], Y_HALVES);
                } else {
                    if (wanted[i] && start > 0u) sum[0] += dq[of_q[i] + c];
                    if (wanted[i]) dq[of_q[i] + c] = sum[0];
                }
            }
        }
    }
}
#endif

#ifdef ENTRY_attend_keys
void main()
{
    const uint parts = (keys + KEYS - 1u) / KEYS, unit = ITEM / parts, start = ITEM % parts * KEYS;
    if (unit >= units) return;
    find_keys(unit, start);
    /* Without queries there is one block of nothing, which writes zeros. */
    for (uint first = 0u; first == 0u || first < queries; first += QUERIES) {
        find_queries(unit, first);
        score();
        EACH(i, QUERIES) {
            float stat[3] = {0.0, 0.0, 0.0};
            if (wanted[i]) {
                const uint at = (unit * queries + first + i) * 3u;
                EACH(l, 3u) stat[l] = stats[at + l];
            }
            EACH(j, KEYS) {
                const uint e = i * KEYS + j;
                s[e] = m_exp(s[e] - stat[0]) * stat[1];
                dp[e] = (dp[e] - stat[2]) * s[e] * scale;
            }
        }
        for (uint c = 0u; c < WIDTH; c += SIDE) {
            float x[QUERIES * SIDE], z[QUERIES * SIDE];
            EACH(i, QUERIES) EACH(l, SIDE) {
                x[i * SIDE + l] = z[i * SIDE + l] = 0.0;
                if (wanted[i]) {
                    x[i * SIDE + l] = AT(q, of_q[i] + c + l);
                    z[i * SIDE + l] = AT(dy, query[i] + c + l);
                }
            }
            EACH(j, KEYS) {
                float of_dk[SIDE], of_dv[SIDE];
                EACH(l, SIDE) {
                    of_dk[l] = of_dv[l] = 0.0;
                    EACH(i, QUERIES) {
                        of_dk[l] += wanted[i] ? dp[i * KEYS + j] * x[i * SIDE + l] : 0.0;
                        of_dv[l] += wanted[i] ? s[i * KEYS + j] * z[i * SIDE + l] : 0.0;
                    }
                }
                if (start + j < keys) {
                    const uint k_at = k_first + key[j] + c, v_at = v_first + key[j] + c;
                    if (Y_HALVES != DTYPE_F32) {
                        dk_words[k_at / 2u] = there[j] ? pair_of(of_dk[0], of_dk[SIDE - 1u], Y_HALVES) : 0u;
                        dv_words[v_at / 2u] = there[j] ? pair_of(of_dv[0], of_dv[SIDE - 1u], Y_HALVES) : 0u;
                    } else {
                        if (first > 0u) {
                            of_dk[0] += dk[k_at];
                            of_dv[0] += dv[v_at];
                        }
                        dk[k_at] = there[j] ? of_dk[0] : 0.0;
                        dv[v_at] = there[j] ? of_dv[0] : 0.0;
                    }
                }
            }
        }
    }
}
#endif
