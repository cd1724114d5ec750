/* list: the tables of ops. */
#include <string.h>

#include "backends/cpu/step.h"

extern const cpu_op cpu_elementwise_ops[], cpu_movement_ops[], cpu_reduce_ops[], cpu_matmul_ops[], cpu_rows_ops[],
    cpu_sort_ops[], cpu_draws_ops[], cpu_dropout_ops[], cpu_norm_ops[], cpu_attention_ops[], cpu_softmax_ops[],
    cpu_gru_ops[], cpu_optim_ops[];

static const cpu_op *const tables[] = {
    cpu_elementwise_ops, cpu_movement_ops, cpu_reduce_ops,  cpu_matmul_ops, cpu_rows_ops,
    cpu_sort_ops,        cpu_draws_ops,    cpu_dropout_ops, cpu_norm_ops,   cpu_attention_ops,
    cpu_softmax_ops,     cpu_gru_ops,      cpu_optim_ops,
};

const cpu_op *cpu_op_find(const char *name)
{
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        for (const cpu_op *op = tables[i]; op->name != NULL; op++)
            if (strcmp(op->name, name) == 0) return op;
    return NULL;
}
