/* op: the built-in ops. One op is one file core/ops/NAME.c that ends with its `const m3_op m3_op_NAME`; list.c holds
 * them all, and this folder what several of them use. Shape rules, gradients and decompositions use
 * include/m3bsr/builder.h like any plugin. */
#ifndef M3_CORE_OPS_COMMON_OP_H
#define M3_CORE_OPS_COMMON_OP_H

#include "m3bsr/builder.h"
#include "m3bsr/op_list.h"

/** The sizes that every built-in op and its description state: they have all members. */
#define M3_OP_SIZE     M3_STRUCT_SIZE(m3_op, side_by_side)
#define M3_OP_DOC_SIZE M3_STRUCT_SIZE(m3_op_doc, special)
/** A list of names in a description. */
#define M3_NAMES(...) ((const char *const[]){__VA_ARGS__})

/** A built-in op by name, or NULL. m3_op_count and m3_op_at are public (op_list.h). */
const m3_op *m3_op_find(const char *name);
#endif
