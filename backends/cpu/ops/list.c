/* list: the tables of ops. */
#include <string.h>

#include "backends/cpu/step.h"

/* clang-format off */
#define TABLES(table) \
    table(attention) table(chain) table(conv) table(draws) table(dropout) table(elementwise) table(gru) table(matmul) table(movement) \
    table(norm) table(optim) table(reduce) table(rows) table(scan) table(softmax) table(sort)
/* clang-format on */

#define DECLARE(family) extern const cpu_op cpu_##family##_ops[];
TABLES(DECLARE)

#define NAME(family) cpu_##family##_ops,
static const cpu_op *const tables[] = {TABLES(NAME)};

const cpu_op *cpu_op_find(const char *name)
{
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        for (const cpu_op *op = tables[i]; op->name != NULL; op++)
            if (strcmp(op->name, name) == 0) return op;
    return NULL;
}
