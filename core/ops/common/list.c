/* list: all built-in ops, core ops first. A new op is one file core/ops/NAME.c, its name in list.h and its line here.
 */
#include "core/ops/common/list.h"

static const m3_op *const ops[] = {
    &m3_op_copy,
    &m3_op_detach,
    &m3_op_reshape,
    &m3_op_transpose,
    &m3_op_broadcast,
    &m3_op_slice,
    &m3_op_pad,
    &m3_op_concat,
    &m3_op_flip,
    &m3_op_neg,
    &m3_op_abs,
    &m3_op_exp,
    &m3_op_log,
    &m3_op_sqrt,
    &m3_op_sin,
    &m3_op_cos,
    &m3_op_tanh,
    &m3_op_sigmoid,
    &m3_op_log1p,
    &m3_op_expm1,
    &m3_op_erf,
    &m3_op_floor,
    &m3_op_not,
    &m3_op_cast,
    &m3_op_add,
    &m3_op_sub,
    &m3_op_mul,
    &m3_op_div,
    &m3_op_pow,
    &m3_op_max,
    &m3_op_min,
    &m3_op_equal,
    &m3_op_less,
    &m3_op_less_equal,
    &m3_op_and,
    &m3_op_or,
    &m3_op_where,
    &m3_op_reduce_sum,
    &m3_op_reduce_max,
    &m3_op_scan,
    &m3_op_matmul,
    &m3_op_gather,
    &m3_op_scatter_add,
    &m3_op_scatter_rows,
    &m3_op_group_rows,
    &m3_op_sort,
    &m3_op_top_k,
    &m3_op_iota,
    &m3_op_philox,
    &m3_op_philox_part,
    &m3_op_relu,
    &m3_op_silu,
    &m3_op_softplus,
    &m3_op_gelu,
    &m3_op_cumsum,
    &m3_op_causal_conv,
    &m3_op_relu_grad,
    &m3_op_random_uniform,
    &m3_op_random_normal,
    &m3_op_dropout,
    &m3_op_random_uniform_part,
    &m3_op_random_normal_part,
    &m3_op_dropout_part,
    &m3_op_linear,
    &m3_op_linear_grad_weight,
    &m3_op_layer_norm,
    &m3_op_layer_norm_grad,
    &m3_op_layer_norm_grad_add,
    &m3_op_masked_softmax,
    &m3_op_attention,
    &m3_op_attention_grad,
    &m3_op_attention_packed,
    &m3_op_attention_packed_grad,
    &m3_op_gru_cell,
    &m3_op_gru_cell_grad,
    &m3_op_softmax_cross_entropy,
    &m3_op_softmax_cross_entropy_grad,
    &m3_op_chain,
    &m3_op_global_norm,
    &m3_op_adamw,
    &m3_op_adamw_rows,
};

uint32_t m3_op_count(void)
{
    return sizeof ops / sizeof ops[0];
}

const m3_op *m3_op_at(uint32_t index)
{
    return index < m3_op_count() ? ops[index] : NULL;
}

const m3_op *m3_op_find(const char *name)
{
    for (uint32_t i = 0; i < m3_op_count(); i++)
        if (strcmp(ops[i]->name, name) == 0) return ops[i];
    return NULL;
}
