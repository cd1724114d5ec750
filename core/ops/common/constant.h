/* constant: constants read as numbers, for ops and passes that simplify. */
#ifndef M3_CORE_OPS_COMMON_CONSTANT_H
#define M3_CORE_OPS_COMMON_CONSTANT_H

#include "m3bsr/ops.h"

/** Element i of a constant of any type but f16 and bf16, which give 0. */
double m3_constant_at(const m3_tensor *x, uint64_t i);
/** Is x a constant of this value throughout, with an element at least? f16 and bf16 never are. */
bool m3_constant_is(const m3_tensor *x, double value);
/** For m3_op.repeats: `input` if the condition holds and the input has the shape of output 0, else -1. */
int32_t m3_repeats_if(const m3_node *node, uint32_t input, bool condition);

#endif
