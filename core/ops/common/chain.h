/* chain: what the pass of this name asks of the ops. */
#ifndef M3_CORE_OPS_COMMON_CHAIN_H
#define M3_CORE_OPS_COMMON_CHAIN_H

#include "m3bsr/ops.h"

/** The op that a step's function is, by its number. */
const m3_op *m3_chain_op(uint32_t function);
/** The function that an op is in a chain, or M3_CHAIN_FUNCTIONS for none. */
uint32_t m3_chain_function_of(const m3_op *op);
/** Does the op only repeat its input along axes, as every step does by itself? */
bool m3_chain_repeats(const m3_op *op);
/** A step as its attribute has it. */
int64_t m3_chain_pack(uint32_t function, const uint32_t operand[3]);

#endif
