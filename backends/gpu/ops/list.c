#include "ops/list.h"

#include <string.h>

#include "tuning.h"

static const gpu_op *const tables[] = {gpu_draws_ops,  gpu_matmul_ops,      gpu_rows_ops,     gpu_sort_ops,
                                       gpu_reduce_ops, gpu_norm_ops,        gpu_softmax_ops,  gpu_attention_ops,
                                       gpu_optim_ops,  gpu_elementwise_ops, gpu_movement_ops, gpu_dropout_ops,
                                       gpu_gru_ops};

const gpu_op *gpu_op_find(const char *name)
{
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        for (const gpu_op *op = tables[i]; op->name != NULL; op++)
            if (strcmp(op->name, name) == 0) return op;
    return NULL;
}

static const struct choice {
    const char *name;
    uint32_t (*ways)(const gpu_traits *traits, const m3_node *node, char *class_text, const char **names);
} choices[] = {{"matmul", gpu_matmul_ways}, {"linear", gpu_matmul_ways}};

uint32_t gpu_ways(const gpu_traits *traits, const m3_node *node, char *class_text, const char **names)
{
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++)
        if (strcmp(choices[i].name, node->op->name) == 0) return choices[i].ways(traits, node, class_text, names);
    return 0;
}
