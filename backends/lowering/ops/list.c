#include "backends/lowering/ops/list.h"

#include <string.h>

#include "backends/lowering/variants.h"

static const lower_op *const tables[] = {
    lower_draws_ops,    lower_matmul_ops,  lower_rows_ops,      lower_sort_ops,  lower_reduce_ops,
    lower_norm_ops,     lower_softmax_ops, lower_attention_ops, lower_optim_ops, lower_elementwise_ops,
    lower_movement_ops, lower_dropout_ops, lower_gru_ops,       lower_conv_ops,  lower_scan_ops};

const lower_op *lower_op_find(const char *name)
{
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        for (const lower_op *op = tables[i]; op->name != NULL; op++)
            if (strcmp(op->name, name) == 0) return op;
    return NULL;
}

static const struct choice {
    const char *name;
    uint32_t (*variants)(const lower_traits *traits, const m3_node *node, char *class_text, const char **names);
} choices[] = {{"matmul", lower_matmul_variants},
               {"linear", lower_matmul_variants},
               {"linear_grad_weight", lower_matmul_variants},
               {"reduce_sum", lower_reduce_variants},
               {"reduce_max", lower_reduce_variants},
               {"layer_norm", lower_norm_variants},
               {"layer_norm_grad", lower_norm_variants},
               {"layer_norm_grad_add", lower_norm_variants},
               {"masked_softmax", lower_softmax_variants},
               {"softmax_cross_entropy", lower_softmax_variants},
               {"softmax_cross_entropy_grad", lower_softmax_variants},
               {"attention", lower_attention_variants},
               {"attention_grad", lower_attention_variants},
               {"attention_packed", lower_attention_variants},
               {"attention_packed_grad", lower_attention_variants},
               {"global_norm", lower_optim_variants}};

uint32_t lower_variants(const lower_traits *traits, const m3_node *node, char *class_text, const char **names)
{
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++)
        if (strcmp(choices[i].name, node->op->name) == 0) return choices[i].variants(traits, node, class_text, names);
    return 0;
}
