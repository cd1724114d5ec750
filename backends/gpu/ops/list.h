/* list: all ops that can be lowered. */
#ifndef GPU_OPS_LIST_H
#define GPU_OPS_LIST_H

#include "lower.h"

/* The entry of an op, or NULL. */
const gpu_op *gpu_op_find(const char *name);

/* The tables of this folder's files, each ended by a NULL name. */
extern const gpu_op gpu_draws_ops[];
extern const gpu_op gpu_gru_ops[];
extern const gpu_op gpu_dropout_ops[];
extern const gpu_op gpu_movement_ops[];
extern const gpu_op gpu_elementwise_ops[];
extern const gpu_op gpu_attention_ops[];
extern const gpu_op gpu_optim_ops[];
extern const gpu_op gpu_rows_ops[];
extern const gpu_op gpu_sort_ops[];
extern const gpu_op gpu_matmul_ops[];
extern const gpu_op gpu_reduce_ops[];
extern const gpu_op gpu_norm_ops[];
extern const gpu_op gpu_softmax_ops[];

/* Ops with several ways, see gpu_ways of tuning.h. */
uint32_t gpu_matmul_ways(const gpu_traits *traits, const m3_node *node, char *class_text, const char **names);

#endif
