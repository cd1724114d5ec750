/* types: of elements as stored, as m3_dtype numbers them.
 *
 * Constant HALVES of a kernel that computes in f32: DTYPE_F16 or DTYPE_BF16 where its operands have 16 bits, which are
 * widened as they are read, and its results too, which are rounded once; else DTYPE_F32.
 * Constant SUBGROUP: items of a subgroup, of which LANES is a multiple, where items exchange values within subgroups;
 * 0: they join them through shared memory. */
#ifndef CONTRACT_TYPES_H
#define CONTRACT_TYPES_H
/* clang-format off */

#define DTYPE_F32  0
#define DTYPE_I32  1
#define DTYPE_U32  2
#define DTYPE_U8   3
#define DTYPE_BOOL 4
#define DTYPE_F16  5
#define DTYPE_BF16 6
#define DTYPE_NONE 7 /* there is no such buffer */

#endif
