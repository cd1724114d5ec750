#version 450
/* entries: reduce_rows reduce_columns
 * reduce: sums or largest elements over the axis of x [outer, length, inner], in parts of the axis:
 *   y[o, p, i] = sum or largest of x[o, l, i] over l in [p part, (p + 1) part), l < length
 *   KIND 0 sum of f32      1 largest f32, NaN if one is NaN      2 sum of i32, which wraps      3 largest i32
 * A group takes LANES / SLICES outputs, SLICES invocations each, whose results are joined in shared memory.
 * Long columns are added up in blocks, whose sums are then added, since one long sum loses digits. */
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "math.glsl"

CONSTANT(0, VECTOR);
CONSTANT(1, KIND);
CONSTANT(2, STRIP);
CONSTANT(3, SLICES);
CONSTANT(4, LANES);
IN(0, uint, x);
OUT(1, uint, y);
WORDS
{
    uint outer, length_, inner, parts, part;
};

const uint BLOCK = 128u;
const uint COLUMNS = uint(LANES / SLICES);
shared uint between[LANES];

/* Values are bits, as KIND says their type. */
const uint START = KIND == 1 ? M_SIGN | M_INF : KIND == 3 ? M_SIGN : 0u;

uint join(uint a, uint b)
{
    const float u = uintBitsToFloat(a), v = uintBitsToFloat(b);
    if (KIND == 0) return floatBitsToUint(u + v);
    if (KIND == 1) return m_is_nan(u) || (u >= v && !m_is_nan(v)) ? a : b;
    if (KIND == 2) return a + b;
    return uint(max(int(a), int(b)));
}

void main()
{
    /* Neighbours take neighbouring words: of a row, or of a line of columns. */
#ifdef ENTRY_reduce_rows
    const uint column = LANE / uint(SLICES), slice = LANE % uint(SLICES);
#else
    const uint column = LANE % COLUMNS, slice = LANE / COLUMNS;
#endif
    const uint blocks = (outer * inner + COLUMNS - 1u) / COLUMNS;
    const uint p = GROUP / blocks, at = GROUP % blocks * COLUMNS + column, o = at / inner, i = at % inner;
    const uint mine = slice * COLUMNS + column;
    const bool valid = p < parts && at < outer * inner;
    uint total = START;
    if (valid) {
        const uint end = min((p + 1u) * part, length_), from = o * length_ * inner + i;
        for (uint l = p * part + slice; l < end;) {
            uint sum = START;
            for (uint k = 0u; k < BLOCK && l < end; k++, l += uint(SLICES)) sum = join(sum, x[from + l * inner]);
            total = join(total, sum);
        }
    }
    between[mine] = total;
    for (uint k = uint(SLICES) / 2u; k > 0u; k /= 2u) {
        barrier();
        if (slice < k) between[mine] = join(between[mine], between[mine + k * COLUMNS]);
    }
    if (valid && slice == 0u) y[(o * parts + p) * inner + i] = between[mine];
}
