/* values: numbers of test cases, from a seed, and their bytes in every type.
 *
 * Words behind a shape, and what they fill in:
 *   normal             standard normal (what a float without words gets)
 *   positive           |normal| + 0.1
 *   wide               30 times normal
 *   nonfinite          NaN, infinities, both zeros and normals
 *   special            as nonfinite, with denormals and +-1e30
 *   rare X             normal, but about every thirtieth X, and one at least
 *   mean X             X + normal
 *   edges              whole numbers around 2^24, both ends of the type, and some bits
 *   ties               whole numbers from -2 to 2, so that many are equal
 *   value X            X everywhere
 *   small              whole numbers from -5 to 5 (what an i32 without words gets)
 *   bits               all values of the integer type (what u32 and u8 without words get)
 *   ids N              whole numbers from -2 to N + 1: some name no row of N
 *   tail X             normal, and X as the last of each row
 *   last N             N - 32 up to N, which is none: the last rows of N
 *   distinct N         different numbers below N, every fifth -1
 *   random             true and false (what a bool without words gets)
 *   mask               the last axis is false, then true, from a random place on: left-padded histories
 *   true, false        everywhere
 *   step, scale (X)    what adamw takes as such; these keep their type f32 in double precision */
#ifndef M3_CORE_CONFORMANCE_VALUES_H
#define M3_CORE_CONFORMANCE_VALUES_H

#include "core/conformance/notation.h"

/** Fill one array; which = its index in the case. The values are representable in the array's type.
 * M3_ERR_INVALID: words that are not known, or that give a bool what it cannot be. */
m3_status m3_values_fill(const m3_notation *array, uint64_t seed, uint32_t which, double *value, m3_error *err);
/** Does this array keep its type when f32 gives way to f64? */
bool m3_values_keep_type(const m3_notation *array);

/** count doubles to elements of a type and back. Whole numbers wrap. */
void m3_values_encode(m3_dtype dtype, const double *value, uint64_t count, void *bytes);
void m3_values_decode(m3_dtype dtype, const void *bytes, uint64_t count, double *value);

#endif
