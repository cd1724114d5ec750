/* ops: names for what the built-in ops read, give and are set by, so that nobody counts operands:
 * node->in[M3_LINEAR_W], node->out[M3_TOP_K_INDICES], node->attr[M3_LAYER_NORM_EPS].f. `m3bsr ops` describes the ops
 * themselves.
 *
 * For each op three lists, where it has them: inputs, outputs, attributes, each in the op's order and ended by their
 * number. An op with any number of inputs or outputs names the first ones and has no number. Ops of one form share
 * their names. A test compares all of them with the ops' own tables. */
#ifndef M3BSR_OPS_H
#define M3BSR_OPS_H

#include "m3bsr/op.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Input `input` of a node; NULL where it is absent, as an optional one may be. */
static inline m3_tensor *m3_node_input(const m3_node *node, uint32_t input)
{
    return input < node->in_count ? node->in[input] : NULL;
}

/** Attribute `attr` of a node as a number; and as yes or no. */
static inline int64_t m3_node_int(const m3_node *node, uint32_t attr)
{
    return node->attr[attr].i[0];
}

static inline bool m3_node_flag(const m3_node *node, uint32_t attr)
{
    return node->attr[attr].i[0] != 0;
}

static inline double m3_node_float(const m3_node *node, uint32_t attr)
{
    return node->attr[attr].f;
}

/* Elementwise, of one operand: copy, detach, neg, abs, exp, log, sqrt, sin, cos, tanh, sigmoid, log1p, expm1, erf,
 * floor, not, relu, silu, softplus, gelu. */
enum { M3_UNARY_X, M3_UNARY_INPUTS };
enum { M3_UNARY_Y, M3_UNARY_OUTPUTS };

/* Elementwise, of two operands: add, sub, mul, div, pow, max, min, equal, less, less_equal, and, or. */
enum { M3_BINARY_X, M3_BINARY_Y, M3_BINARY_INPUTS };
enum { M3_BINARY_Z, M3_BINARY_OUTPUTS };

/* where: z = x where cond, else y. */
enum { M3_WHERE_COND, M3_WHERE_X, M3_WHERE_Y, M3_WHERE_INPUTS };
enum { M3_WHERE_Z, M3_WHERE_OUTPUTS };

/* cast. */
enum { M3_CAST_X, M3_CAST_INPUTS };
enum { M3_CAST_Y, M3_CAST_OUTPUTS };
enum { M3_CAST_DTYPE, M3_CAST_ATTRS };

/* relu_grad. */
enum { M3_RELU_GRAD_Y, M3_RELU_GRAD_DY, M3_RELU_GRAD_INPUTS };
enum { M3_RELU_GRAD_DX, M3_RELU_GRAD_OUTPUTS };

/* reshape. */
enum { M3_RESHAPE_X, M3_RESHAPE_INPUTS };
enum { M3_RESHAPE_Y, M3_RESHAPE_OUTPUTS };
enum { M3_RESHAPE_SHAPE, M3_RESHAPE_ATTRS };

/* transpose. */
enum { M3_TRANSPOSE_X, M3_TRANSPOSE_INPUTS };
enum { M3_TRANSPOSE_Y, M3_TRANSPOSE_OUTPUTS };
enum { M3_TRANSPOSE_PERM, M3_TRANSPOSE_ATTRS };

/* broadcast. */
enum { M3_BROADCAST_X, M3_BROADCAST_INPUTS };
enum { M3_BROADCAST_Y, M3_BROADCAST_OUTPUTS };
enum { M3_BROADCAST_SHAPE, M3_BROADCAST_ATTRS };

/* slice. */
enum { M3_SLICE_X, M3_SLICE_INPUTS };
enum { M3_SLICE_Y, M3_SLICE_OUTPUTS };
enum { M3_SLICE_START, M3_SLICE_SIZE, M3_SLICE_ATTRS };

/* flip. */
enum { M3_FLIP_X, M3_FLIP_INPUTS };
enum { M3_FLIP_Y, M3_FLIP_OUTPUTS };
enum { M3_FLIP_AXIS, M3_FLIP_ATTRS };

/* scan. */
enum { M3_SCAN_A, M3_SCAN_B, M3_SCAN_INPUTS };
enum { M3_SCAN_Y, M3_SCAN_OUTPUTS };
enum { M3_SCAN_AXIS, M3_SCAN_REVERSE, M3_SCAN_ATTRS };

/* cumsum. */
enum { M3_CUMSUM_X, M3_CUMSUM_INPUTS };
enum { M3_CUMSUM_Y, M3_CUMSUM_OUTPUTS };
enum { M3_CUMSUM_AXIS, M3_CUMSUM_REVERSE, M3_CUMSUM_ATTRS };

/* causal_conv. */
enum { M3_CAUSAL_CONV_X, M3_CAUSAL_CONV_W, M3_CAUSAL_CONV_INPUTS };
enum { M3_CAUSAL_CONV_Y, M3_CAUSAL_CONV_OUTPUTS };
enum { M3_CAUSAL_CONV_REVERSE, M3_CAUSAL_CONV_ATTRS };

/* pad. */
enum { M3_PAD_X, M3_PAD_INPUTS };
enum { M3_PAD_Y, M3_PAD_OUTPUTS };
enum { M3_PAD_BEFORE, M3_PAD_TOTAL, M3_PAD_ATTRS };

/* concat: inputs 0 .. n-1 are the parts. */
enum { M3_CONCAT_X };
enum { M3_CONCAT_Y, M3_CONCAT_OUTPUTS };
enum { M3_CONCAT_AXIS, M3_CONCAT_ATTRS };

/* reduce_sum, reduce_max. */
enum { M3_REDUCE_X, M3_REDUCE_INPUTS };
enum { M3_REDUCE_Y, M3_REDUCE_OUTPUTS };
enum { M3_REDUCE_AXIS, M3_REDUCE_KEEP, M3_REDUCE_ATTRS };

/* matmul. */
enum { M3_MATMUL_A, M3_MATMUL_B, M3_MATMUL_INPUTS };
enum { M3_MATMUL_Y, M3_MATMUL_OUTPUTS };
enum { M3_MATMUL_TRANSPOSE_A, M3_MATMUL_TRANSPOSE_B, M3_MATMUL_ATTRS };

/* linear. */
enum { M3_LINEAR_X, M3_LINEAR_W, M3_LINEAR_BIAS, M3_LINEAR_RESIDUAL, M3_LINEAR_GATE, M3_LINEAR_INPUTS };
enum { M3_LINEAR_Y, M3_LINEAR_OUTPUTS };
enum { M3_LINEAR_TRANSPOSE_A, M3_LINEAR_TRANSPOSE_B, M3_LINEAR_ACTIVATION, M3_LINEAR_ATTRS };

/* gather. */
enum { M3_GATHER_TABLE, M3_GATHER_IDS, M3_GATHER_INPUTS };
enum { M3_GATHER_Y, M3_GATHER_OUTPUTS };
enum { M3_GATHER_SKIP, M3_GATHER_ATTRS };

/* scatter_add. */
enum { M3_SCATTER_ADD_IDS, M3_SCATTER_ADD_ROWS, M3_SCATTER_ADD_INPUTS };
enum { M3_SCATTER_ADD_Y, M3_SCATTER_ADD_OUTPUTS };
enum { M3_SCATTER_ADD_COUNT, M3_SCATTER_ADD_SKIP, M3_SCATTER_ADD_ATTRS };

/* scatter_rows. */
enum { M3_SCATTER_ROWS_TABLE, M3_SCATTER_ROWS_IDS, M3_SCATTER_ROWS_ROWS, M3_SCATTER_ROWS_INPUTS };
enum { M3_SCATTER_ROWS_Y, M3_SCATTER_ROWS_OUTPUTS };

/* group_rows. */
enum { M3_GROUP_ROWS_IDS, M3_GROUP_ROWS_ROWS, M3_GROUP_ROWS_INPUTS };
enum { M3_GROUP_ROWS_DISTINCT, M3_GROUP_ROWS_SUMS, M3_GROUP_ROWS_OUTPUTS };
enum { M3_GROUP_ROWS_SKIP, M3_GROUP_ROWS_ATTRS };

/* sort. */
enum { M3_SORT_X, M3_SORT_INPUTS };
enum { M3_SORT_VALUES, M3_SORT_INDICES, M3_SORT_OUTPUTS };

/* top_k. */
enum { M3_TOP_K_X, M3_TOP_K_INPUTS };
enum { M3_TOP_K_VALUES, M3_TOP_K_INDICES, M3_TOP_K_OUTPUTS };
enum { M3_TOP_K_K, M3_TOP_K_ATTRS };

/* iota. */
enum { M3_IOTA_Y, M3_IOTA_OUTPUTS };
enum { M3_IOTA_SHAPE, M3_IOTA_AXIS, M3_IOTA_ATTRS };

/* Draws: philox, random_uniform, random_normal. */
enum { M3_DRAW_RNG, M3_DRAW_INPUTS };
enum { M3_DRAW_Y, M3_DRAW_OUTPUTS };
enum { M3_DRAW_SHAPE, M3_DRAW_SITE, M3_DRAW_ATTRS };

/* dropout. */
enum { M3_DROPOUT_X, M3_DROPOUT_RNG, M3_DROPOUT_INPUTS };
enum { M3_DROPOUT_Y, M3_DROPOUT_OUTPUTS };
enum { M3_DROPOUT_RATE, M3_DROPOUT_SITE, M3_DROPOUT_ATTRS };

/* layer_norm. */
enum { M3_LAYER_NORM_X, M3_LAYER_NORM_GAMMA, M3_LAYER_NORM_BETA, M3_LAYER_NORM_INPUTS };
enum { M3_LAYER_NORM_Y, M3_LAYER_NORM_OUTPUTS };
enum { M3_LAYER_NORM_EPS, M3_LAYER_NORM_ATTRS };

/* layer_norm_grad. */
enum { M3_LAYER_NORM_GRAD_X, M3_LAYER_NORM_GRAD_GAMMA, M3_LAYER_NORM_GRAD_DY, M3_LAYER_NORM_GRAD_INPUTS };
enum { M3_LAYER_NORM_GRAD_DX, M3_LAYER_NORM_GRAD_DGAMMA, M3_LAYER_NORM_GRAD_DBETA, M3_LAYER_NORM_GRAD_OUTPUTS };
enum { M3_LAYER_NORM_GRAD_EPS, M3_LAYER_NORM_GRAD_ATTRS };

/* masked_softmax. */
enum { M3_MASKED_SOFTMAX_X, M3_MASKED_SOFTMAX_MASK, M3_MASKED_SOFTMAX_INPUTS };
enum { M3_MASKED_SOFTMAX_Y, M3_MASKED_SOFTMAX_OUTPUTS };

/* attention. */
enum { M3_ATTENTION_Q, M3_ATTENTION_K, M3_ATTENTION_V, M3_ATTENTION_MASK, M3_ATTENTION_INPUTS };
enum { M3_ATTENTION_Y, M3_ATTENTION_OUTPUTS };
enum { M3_ATTENTION_HEADS, M3_ATTENTION_ATTRS };

/* attention_grad. */
enum {
    M3_ATTENTION_GRAD_Q,
    M3_ATTENTION_GRAD_K,
    M3_ATTENTION_GRAD_V,
    M3_ATTENTION_GRAD_MASK,
    M3_ATTENTION_GRAD_DY,
    M3_ATTENTION_GRAD_INPUTS
};
enum { M3_ATTENTION_GRAD_DQ, M3_ATTENTION_GRAD_DK, M3_ATTENTION_GRAD_DV, M3_ATTENTION_GRAD_OUTPUTS };
enum { M3_ATTENTION_GRAD_HEADS, M3_ATTENTION_GRAD_ATTRS };

/* gru_cell. */
enum { M3_GRU_CELL_XI, M3_GRU_CELL_HH, M3_GRU_CELL_H, M3_GRU_CELL_MASK, M3_GRU_CELL_INPUTS };
enum { M3_GRU_CELL_Y, M3_GRU_CELL_OUTPUTS };

/* gru_cell_grad. */
enum {
    M3_GRU_CELL_GRAD_XI,
    M3_GRU_CELL_GRAD_HH,
    M3_GRU_CELL_GRAD_H,
    M3_GRU_CELL_GRAD_MASK,
    M3_GRU_CELL_GRAD_DY,
    M3_GRU_CELL_GRAD_INPUTS
};
enum { M3_GRU_CELL_GRAD_DXI, M3_GRU_CELL_GRAD_DHH, M3_GRU_CELL_GRAD_DH, M3_GRU_CELL_GRAD_OUTPUTS };

/* softmax_cross_entropy. */
enum { M3_SOFTMAX_CROSS_ENTROPY_LOGITS, M3_SOFTMAX_CROSS_ENTROPY_TARGET, M3_SOFTMAX_CROSS_ENTROPY_INPUTS };
enum { M3_SOFTMAX_CROSS_ENTROPY_LOSS, M3_SOFTMAX_CROSS_ENTROPY_OUTPUTS };

/* softmax_cross_entropy_grad. */
enum {
    M3_SOFTMAX_CROSS_ENTROPY_GRAD_LOGITS,
    M3_SOFTMAX_CROSS_ENTROPY_GRAD_TARGET,
    M3_SOFTMAX_CROSS_ENTROPY_GRAD_DLOSS,
    M3_SOFTMAX_CROSS_ENTROPY_GRAD_INPUTS
};
enum { M3_SOFTMAX_CROSS_ENTROPY_GRAD_DLOGITS, M3_SOFTMAX_CROSS_ENTROPY_GRAD_OUTPUTS };

/* global_norm: inputs 0 .. n-1 are the tensors. */
enum { M3_GLOBAL_NORM_G };
enum { M3_GLOBAL_NORM_Y, M3_GLOBAL_NORM_OUTPUTS };

/* adamw: p, m, v, g of each tensor, _EACH inputs a tensor; next_p, next_m, next_v, _STATES outputs a tensor. */
enum { M3_ADAMW_STEP, M3_ADAMW_SCALE, M3_ADAMW_P, M3_ADAMW_M, M3_ADAMW_V, M3_ADAMW_G };
enum { M3_ADAMW_NEXT_P, M3_ADAMW_NEXT_M, M3_ADAMW_NEXT_V };
enum { M3_ADAMW_BETA1, M3_ADAMW_BETA2, M3_ADAMW_EPS, M3_ADAMW_WEIGHT_DECAY, M3_ADAMW_ATTRS };
enum { M3_ADAMW_EACH = 4, M3_ADAMW_STATES = 3 };

/* adamw_rows: of a table, the rows that a batch used. */
enum {
    M3_ADAMW_ROWS_STEP,
    M3_ADAMW_ROWS_SCALE,
    M3_ADAMW_ROWS_P,
    M3_ADAMW_ROWS_M,
    M3_ADAMW_ROWS_V,
    M3_ADAMW_ROWS_IDS,
    M3_ADAMW_ROWS_ROWS,
    M3_ADAMW_ROWS_INPUTS
};
enum { M3_ADAMW_ROWS_NEXT_P, M3_ADAMW_ROWS_NEXT_M, M3_ADAMW_ROWS_NEXT_V, M3_ADAMW_ROWS_OUTPUTS };
enum { M3_ADAMW_ROWS_BETA1, M3_ADAMW_ROWS_BETA2, M3_ADAMW_ROWS_EPS, M3_ADAMW_ROWS_WEIGHT_DECAY, M3_ADAMW_ROWS_ATTRS };

#ifdef __cplusplus
}
#endif
#endif
