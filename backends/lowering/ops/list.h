/* list: all ops that can be lowered. */
#ifndef LOWER_OPS_LIST_H
#define LOWER_OPS_LIST_H

#include "backends/lowering/lower.h"

typedef struct lower_op {
    const char *name;
    /* M3_OK or M3_ERR_UNSUPPORTED with the reason and the figure. Types and sizes that no kernel knows (f64; 2^31
     * elements) have been refused before. NULL: everything that its shape rule accepts. */
    m3_status (*supports)(const lower_traits *traits, const m3_node *node, m3_error *why);
    void (*lower)(lower_list *l, const m3_node *node);
} lower_op;

/* The constant HALVES of a kernel for a tensor, which may be NULL. */
static inline uint32_t lower_halves(const m3_tensor *x)
{
    return x != NULL && m3_dtype_is_half(x->dtype) ? (uint32_t)x->dtype : (uint32_t)M3_F32;
}

/* For kernels of f32 alone: operands of 16 bits in its place (m3_op.halves) are refused, and come again as casts. */
static inline m3_status lower_check_full(const m3_node *node, m3_error *why)
{
    if (!m3_node_has_halves(node)) return M3_OK;
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name, "the kernels take f32: operands of 16 bits are cast");
}

/* For kernels of groups with the constant HALVES: what they write of 16 bits are whole words, so that the rows of all
 * results have an even number of elements; another's row would be lost else. */
static inline m3_status lower_check_pairs(const lower_traits *traits, const m3_node *node, m3_error *why)
{
    if (traits->kind == LOWER_PROCESSOR) return lower_check_full(node, why);
    for (uint32_t i = 0; i < node->out_count; i++) {
        const m3_tensor *y = node->out[i];
        if (!m3_dtype_is_half(y->dtype) || lower_last(y) % 2 == 0) continue;
        return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name,
                       "rows of a result have %llu elements of 16 bits; the kernels write an even number",
                       (unsigned long long)lower_last(y));
    }
    return M3_OK;
}

/* The entry of an op, or NULL. */
const lower_op *lower_op_find(const char *name);

/* The tables of this folder's files, each ended by a NULL name. */
extern const lower_op lower_draws_ops[];
extern const lower_op lower_gru_ops[];
extern const lower_op lower_conv_ops[];
extern const lower_op lower_scan_ops[];
extern const lower_op lower_dropout_ops[];
extern const lower_op lower_movement_ops[];
extern const lower_op lower_elementwise_ops[];
extern const lower_op lower_attention_ops[];
extern const lower_op lower_optim_ops[];
extern const lower_op lower_rows_ops[];
extern const lower_op lower_sort_ops[];
extern const lower_op lower_matmul_ops[];
extern const lower_op lower_reduce_ops[];
extern const lower_op lower_norm_ops[];
extern const lower_op lower_softmax_ops[];

/* Ops with several variants, see variants.h. */
uint32_t lower_matmul_variants(const lower_traits *traits, const m3_node *node, char *class_text, const char **names);
uint32_t lower_reduce_variants(const lower_traits *traits, const m3_node *node, char *class_text, const char **names);
uint32_t lower_norm_variants(const lower_traits *traits, const m3_node *node, char *class_text, const char **names);
uint32_t lower_softmax_variants(const lower_traits *traits, const m3_node *node, char *class_text, const char **names);
uint32_t lower_attention_variants(const lower_traits *traits, const m3_node *node, char *class_text,
                                  const char **names);
uint32_t lower_optim_variants(const lower_traits *traits, const m3_node *node, char *class_text, const char **names);

#endif
