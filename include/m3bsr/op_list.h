/* op_list: the built-in ops, for who lists them; each describes itself (m3_op.doc). Threads: any. */
#ifndef M3BSR_OP_LIST_H
#define M3BSR_OP_LIST_H

#include "m3bsr/op.h"

#ifdef __cplusplus
extern "C" {
#endif

M3_API uint32_t m3_op_count(void);
/** In a fixed order from 0: first the core ops, which have .evaluate, then the fused ones; NULL at m3_op_count() and
 * beyond. Never freed. */
M3_API const m3_op *m3_op_at(uint32_t index);

#ifdef __cplusplus
}
#endif
#endif
