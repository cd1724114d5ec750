/* tape: the steps of an elementwise node by the names that kernels have for them (shaders/contract/elementwise.h): of a
 * chain all of its steps, of any other op one. Types are resolved here, once for all languages. */
#ifndef LOWER_TAPE_H
#define LOWER_TAPE_H

#include "m3bsr/backend.h"
#include "m3bsr/ops.h"

/* Value k is input k or, from the number of inputs n on, of step k - n. Bytes alone: tapes are compared and hashed as
 * memory. */
typedef struct lower_tape {
    uint8_t inputs, steps, outputs;       /* no steps: a dispatch without a tape */
    uint8_t in_type[M3_CHAIN_MAX_INPUTS]; /* m3_dtype, as stored */
    uint8_t out_type[M3_CHAIN_MAX_OUTPUTS];
    uint8_t result[M3_CHAIN_MAX_OUTPUTS]; /* values that are stored */
    uint8_t function[M3_CHAIN_MAX_STEPS]; /* see lower_tape_function */
    uint8_t operand[M3_CHAIN_MAX_STEPS][3];
} lower_tape;

typedef struct lower_tape_function {
    const char *name;
    uint32_t operands;
} lower_tape_function;

/* The tape of an elementwise node, or the number of the step for whose types there is no function, in `step`. */
bool lower_tape_of(const m3_node *node, lower_tape *tape, uint32_t *step);
const lower_tape_function *lower_tape_function_at(uint32_t function);

#endif
