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

/* linear_grad_weight. */
enum { M3_LINEAR_GRAD_WEIGHT_X, M3_LINEAR_GRAD_WEIGHT_DY, M3_LINEAR_GRAD_WEIGHT_INPUTS };
enum { M3_LINEAR_GRAD_WEIGHT_DW, M3_LINEAR_GRAD_WEIGHT_DB, M3_LINEAR_GRAD_WEIGHT_OUTPUTS };
enum { M3_LINEAR_GRAD_WEIGHT_TRANSPOSE_A, M3_LINEAR_GRAD_WEIGHT_TRANSPOSE_B, M3_LINEAR_GRAD_WEIGHT_ATTRS };

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

/* Draws of a part of a batch: philox_part, random_uniform_part, random_normal_part. */
enum { M3_DRAW_PART_RNG, M3_DRAW_PART_INPUTS };
enum { M3_DRAW_PART_Y, M3_DRAW_PART_OUTPUTS };
enum { M3_DRAW_PART_SHAPE, M3_DRAW_PART_SITE, M3_DRAW_PART_REPEATS, M3_DRAW_PART_ATTRS };

/* dropout. */
enum { M3_DROPOUT_X, M3_DROPOUT_RNG, M3_DROPOUT_INPUTS };
enum { M3_DROPOUT_Y, M3_DROPOUT_OUTPUTS };
enum { M3_DROPOUT_RATE, M3_DROPOUT_SITE, M3_DROPOUT_ATTRS };

/* dropout_part. */
enum { M3_DROPOUT_PART_X, M3_DROPOUT_PART_RNG, M3_DROPOUT_PART_INPUTS };
enum { M3_DROPOUT_PART_Y, M3_DROPOUT_PART_OUTPUTS };
enum { M3_DROPOUT_PART_RATE, M3_DROPOUT_PART_SITE, M3_DROPOUT_PART_REPEATS, M3_DROPOUT_PART_ATTRS };

/* layer_norm. */
enum { M3_LAYER_NORM_X, M3_LAYER_NORM_GAMMA, M3_LAYER_NORM_BETA, M3_LAYER_NORM_INPUTS };
enum { M3_LAYER_NORM_Y, M3_LAYER_NORM_OUTPUTS };
enum { M3_LAYER_NORM_EPS, M3_LAYER_NORM_ATTRS };

/* layer_norm_grad. */
enum { M3_LAYER_NORM_GRAD_X, M3_LAYER_NORM_GRAD_GAMMA, M3_LAYER_NORM_GRAD_DY, M3_LAYER_NORM_GRAD_INPUTS };
enum { M3_LAYER_NORM_GRAD_DX, M3_LAYER_NORM_GRAD_DGAMMA, M3_LAYER_NORM_GRAD_DBETA, M3_LAYER_NORM_GRAD_OUTPUTS };
enum { M3_LAYER_NORM_GRAD_EPS, M3_LAYER_NORM_GRAD_ATTRS };

/* layer_norm_grad_add. */
enum {
    M3_LAYER_NORM_GRAD_ADD_X,
    M3_LAYER_NORM_GRAD_ADD_GAMMA,
    M3_LAYER_NORM_GRAD_ADD_DY,
    M3_LAYER_NORM_GRAD_ADD_RESIDUAL,
    M3_LAYER_NORM_GRAD_ADD_INPUTS
};
enum {
    M3_LAYER_NORM_GRAD_ADD_DX,
    M3_LAYER_NORM_GRAD_ADD_DGAMMA,
    M3_LAYER_NORM_GRAD_ADD_DBETA,
    M3_LAYER_NORM_GRAD_ADD_OUTPUTS
};
enum { M3_LAYER_NORM_GRAD_ADD_EPS, M3_LAYER_NORM_GRAD_ADD_ATTRS };

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

/* attention_packed. */
enum { M3_ATTENTION_PACKED_Q, M3_ATTENTION_PACKED_KV, M3_ATTENTION_PACKED_MASK, M3_ATTENTION_PACKED_INPUTS };
enum { M3_ATTENTION_PACKED_Y, M3_ATTENTION_PACKED_OUTPUTS };
enum { M3_ATTENTION_PACKED_HEADS, M3_ATTENTION_PACKED_ATTRS };

/* attention_packed_grad; DKV where there is a KV. */
enum {
    M3_ATTENTION_PACKED_GRAD_Q,
    M3_ATTENTION_PACKED_GRAD_KV,
    M3_ATTENTION_PACKED_GRAD_MASK,
    M3_ATTENTION_PACKED_GRAD_DY,
    M3_ATTENTION_PACKED_GRAD_INPUTS
};
enum { M3_ATTENTION_PACKED_GRAD_DQ, M3_ATTENTION_PACKED_GRAD_DKV };
enum { M3_ATTENTION_PACKED_GRAD_HEADS, M3_ATTENTION_PACKED_GRAD_ATTRS };

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

/* chain: inputs 0 .. n-1 are what the steps work on; outputs are values of steps. */
enum { M3_CHAIN_X };
enum { M3_CHAIN_Y };
enum { M3_CHAIN_RESULTS, M3_CHAIN_STEPS, M3_CHAIN_STEPS7, M3_CHAIN_STEPS13, M3_CHAIN_ATTRS };
enum { M3_CHAIN_MAX_INPUTS = 10, M3_CHAIN_MAX_STEPS = 18, M3_CHAIN_MAX_OUTPUTS = 4 };
enum { M3_CHAIN_MAX_VALUES = M3_CHAIN_MAX_INPUTS + M3_CHAIN_MAX_STEPS };

/** The functions of a chain's steps; those from ADD on have a second operand, WHERE a third. */
typedef enum m3_chain_function {
    M3_CHAIN_NEG = 0,
    M3_CHAIN_ABS = 1,
    M3_CHAIN_EXP = 2,
    M3_CHAIN_LOG = 3,
    M3_CHAIN_SQRT = 4,
    M3_CHAIN_SIN = 5,
    M3_CHAIN_COS = 6,
    M3_CHAIN_TANH = 7,
    M3_CHAIN_FLOOR = 8,
    M3_CHAIN_SIGMOID = 9,
    M3_CHAIN_RELU = 10,
    M3_CHAIN_SILU = 11,
    M3_CHAIN_LOG1P = 12,
    M3_CHAIN_EXPM1 = 13,
    M3_CHAIN_ERF = 14,
    M3_CHAIN_SOFTPLUS = 15,
    M3_CHAIN_GELU = 16,
    M3_CHAIN_NOT = 17,
    M3_CHAIN_CAST = 18, /**< b is the type, as m3_dtype numbers it */
    M3_CHAIN_ADD = 19,
    M3_CHAIN_SUB = 20,
    M3_CHAIN_MUL = 21,
    M3_CHAIN_DIV = 22,
    M3_CHAIN_POW = 23,
    M3_CHAIN_MAX = 24,
    M3_CHAIN_MIN = 25,
    M3_CHAIN_EQUAL = 26,
    M3_CHAIN_LESS = 27,
    M3_CHAIN_LESS_EQUAL = 28,
    M3_CHAIN_AND = 29,
    M3_CHAIN_OR = 30,
    M3_CHAIN_RELU_GRAD = 31,
    M3_CHAIN_WHERE = 32,
    M3_CHAIN_FUNCTIONS = 33
} m3_chain_function;

/** A step of a chain. Operand k is input k below the number of inputs, n; else the value of step k - n. In the node's
 * attributes it is one decimal number of four pairs of digits, function, a, b, c: 19000100 is value 0 + value 1. */
typedef struct m3_chain_step {
    uint32_t function, operands; /**< m3_chain_function; how many of these count */
    uint32_t operand[3];
} m3_chain_step;

static inline uint32_t m3_chain_length(const m3_node *node)
{
    return node->attr[M3_CHAIN_STEPS].count + node->attr[M3_CHAIN_STEPS7].count + node->attr[M3_CHAIN_STEPS13].count;
}

/** Step `step`, which is below m3_chain_length. */
static inline m3_chain_step m3_chain_step_at(const m3_node *node, uint32_t step)
{
    const uint32_t all = (uint32_t)node->attr[M3_CHAIN_STEPS + step / M3_MAX_RANK].i[step % M3_MAX_RANK];
    const uint32_t function = all / 1000000, operands = function == M3_CHAIN_WHERE ? 3
                                                        : function >= M3_CHAIN_ADD ? 2
                                                                                   : 1;
    const m3_chain_step s = {function, operands, {all / 10000 % 100, all / 100 % 100, all % 100}};
    return s;
}

/** The types of all values, inputs first. */
static inline void m3_chain_types(const m3_node *node, m3_dtype type[M3_CHAIN_MAX_VALUES])
{
    for (uint32_t k = 0; k < node->in_count; k++) type[k] = node->in[k]->dtype;
    for (uint32_t s = 0; s < m3_chain_length(node); s++) {
        const m3_chain_step step = m3_chain_step_at(node, s);
        const bool decides =
            step.function == M3_CHAIN_NOT || (step.function >= M3_CHAIN_EQUAL && step.function <= M3_CHAIN_OR);
        type[node->in_count + s] = decides                           ? M3_BOOL
                                   : step.function == M3_CHAIN_CAST  ? (m3_dtype)step.operand[1]
                                   : step.function == M3_CHAIN_WHERE ? type[step.operand[1]]
                                                                     : type[step.operand[0]];
    }
}

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
