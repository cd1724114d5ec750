#version 450
/* reduce: sums or largest elements over the axis of x [outer, length, inner], in parts of the axis:
 *   y[o, p, i] = sum or largest of x[o, l, i] over l in [p part, (p + 1) part), l < length
 *   KIND: REDUCE_SUM_F32, REDUCE_MAX_F32 (NaN if one is NaN), REDUCE_SUM_I32 (which wraps), REDUCE_MAX_I32
 * A group takes LANES / SLICES outputs, SLICES invocations each, whose results are joined in shared memory.
 * Long columns are added up in blocks, whose sums are then added, since one long sum loses digits. */
#extension GL_GOOGLE_include_directive : require
#include "shaders/common/common.glsl"
#include "shaders/common/math.glsl"
#include "shaders/contract/reduce.h"

#define STORED_value uint
DECLARE_CONTRACT(ENTRY)

const uint BLOCK = 128u;
const uint COLUMNS = LANES / SLICES;

/* Values are bits, as KIND says their type. */
const uint START = KIND == REDUCE_MAX_F32 ? M_SIGN | M_INF : KIND == REDUCE_MAX_I32 ? M_SIGN : 0u;

uint join(uint a, uint b)
{
    const float u = uintBitsToFloat(a), v = uintBitsToFloat(b);
    if (KIND == REDUCE_SUM_F32) return floatBitsToUint(u + v);
    if (KIND == REDUCE_MAX_F32) return m_is_nan(u) || (u >= v && !m_is_nan(v)) ? a : b;
    if (KIND == REDUCE_SUM_I32) return a + b;
    return uint(max(int(a), int(b)));
}

#ifdef SUBGROUPS
/* Slices lie side by side: of a subgroup those exchange what they have, and the first adds what other subgroups found. */
const uint NEAR = SLICES < SUBGROUP ? SLICES : SUBGROUP;
shared uint between[LANES / SUBGROUP];

uint over_slices(uint total, uint slice, uint mine)
{
    for (uint k = 1u; k < NEAR; k *= 2u) total = join(total, subgroupShuffleXor(total, k));
    if (SLICES == NEAR) return total;
    if (gl_SubgroupInvocationID == 0u) between[gl_SubgroupID] = total;
    barrier();
    if (slice > 0u) return total;
    for (uint k = 1u; k < SLICES / SUBGROUP; k++) total = join(total, between[gl_SubgroupID + k]);
    return total;
}
#else
shared uint between[LANES];

/* What the slices of a column or row make together, for the first of them; mine: place of the invocation. */
uint over_slices(uint total, uint slice, uint mine)
{
    between[mine] = total;
    for (uint k = SLICES / 2u; k > 0u; k /= 2u) {
        barrier();
        if (slice < k) between[mine] = join(between[mine], between[mine + k * COLUMNS]);
    }
    return between[mine];
}
#endif

void main()
{
    /* Neighbours take neighbouring words: of a row, or of a line of columns. */
#ifdef ENTRY_reduce_rows
    const uint column = LANE / SLICES, slice = LANE % SLICES;
#else
    const uint column = LANE % COLUMNS, slice = LANE / COLUMNS;
#endif
    const uint blocks = (outer * inner + COLUMNS - 1u) / COLUMNS;
    const uint p = GROUP / blocks, at = GROUP % blocks * COLUMNS + column, o = at / inner, i = at % inner;
    const uint mine = slice * COLUMNS + column;
    const bool valid = p < parts && at < outer * inner;
    uint total = START;
    if (valid) {
        const uint end = min((p + 1u) * part, length), from = o * length * inner + i;
        for (uint l = p * part + slice; l < end;) {
            uint sum = START;
            for (uint k = 0u; k < BLOCK && l < end; k++, l += SLICES) sum = join(sum, x[from + l * inner]);
            total = join(total, sum);
        }
    }
    total = over_slices(total, slice, mine);
    if (valid && slice == 0u) y[(o * parts + p) * inner + i] = total;
}
