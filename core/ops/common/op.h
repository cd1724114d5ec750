/* op: the built-in ops. One op is one file core/ops/NAME.c that ends with its `const m3_op m3_op_NAME`; list.c holds
 * them all, and this folder what several of them use. Shape rules, gradients and decompositions use
 * include/m3bsr/builder.h like any plugin. */
#ifndef M3_CORE_OPS_COMMON_OP_H
#define M3_CORE_OPS_COMMON_OP_H

#include "m3bsr/builder.h"

/** The size that every built-in op states: it has all members. */
#define M3_OP_SIZE M3_STRUCT_SIZE(m3_op, shared_inputs)

/** A built-in op by name, or NULL. */
const m3_op *m3_op_find(const char *name);
/** The built-in ops in a fixed order: index 0 .. m3_op_count()-1. Core ops are those with .evaluate. */
uint32_t m3_op_count(void);
const m3_op *m3_op_at(uint32_t index);

#endif
