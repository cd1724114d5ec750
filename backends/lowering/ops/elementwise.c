/* elementwise: z = f(x, y, …) with NumPy's broadcast. Axes are joined as far as all operands allow; along the last one
 * an operand goes on by 1 or stands still, the others are a table of extents and strides. An item makes a piece of z in
 * row-major order. Types that are the same bits to an op are one to the kernel. */
#include <string.h>

#include "backends/lowering/contract.h"
#include "backends/lowering/ops/list.h"
#include "backends/lowering/ops/pieces.h"

/* Which types are one to the kernel of a function. */
typedef enum type_class {
    EXACT,   /* none */
    MODULAR, /* i32 and u32, bool and u8 */
    BITS     /* all of one size */
} type_class;

/* clang-format off */
static const struct {
    const char *name;
    type_class types;
} functions[] = {
    [OP_NEG] = {"neg", MODULAR},             [OP_ABS] = {"abs", EXACT},
    [OP_EXP] = {"exp", EXACT},               [OP_LOG] = {"log", EXACT},
    [OP_SQRT] = {"sqrt", EXACT},             [OP_SIN] = {"sin", EXACT},
    [OP_COS] = {"cos", EXACT},               [OP_TANH] = {"tanh", EXACT},
    [OP_FLOOR] = {"floor", EXACT},           [OP_SIGMOID] = {"sigmoid", EXACT},
    [OP_RELU] = {"relu", EXACT},             [OP_SILU] = {"silu", EXACT},
    [OP_LOG1P] = {"log1p", EXACT},           [OP_EXPM1] = {"expm1", EXACT},
    [OP_ERF] = {"erf", EXACT},               [OP_SOFTPLUS] = {"softplus", EXACT},
    [OP_GELU] = {"gelu", EXACT},             [OP_POW] = {"pow", EXACT},
    [OP_NOT] = {"not", BITS},                [OP_CAST] = {"cast", EXACT},
    [OP_ADD] = {"add", MODULAR},             [OP_SUB] = {"sub", MODULAR},
    [OP_MUL] = {"mul", MODULAR},             [OP_DIV] = {"div", EXACT},
    [OP_MAX] = {"max", EXACT},               [OP_MIN] = {"min", EXACT},
    [OP_EQUAL] = {"equal", MODULAR},         [OP_LESS] = {"less", EXACT},
    [OP_LESS_EQUAL] = {"less_equal", EXACT}, [OP_AND] = {"and", BITS},
    [OP_OR] = {"or", BITS},                  [OP_RELU_GRAD] = {"relu_grad", EXACT},
    [OP_WHERE] = {"where", BITS},
};
/* clang-format on */

_Static_assert((int)DTYPE_F32 == (int)M3_F32 && (int)DTYPE_I32 == (int)M3_I32 && (int)DTYPE_U32 == (int)M3_U32 &&
                   (int)DTYPE_U8 == (int)M3_U8 && (int)DTYPE_BOOL == (int)M3_BOOL && (int)DTYPE_F16 == (int)M3_F16 &&
                   (int)DTYPE_BF16 == (int)M3_BF16,
               "types are numbered as m3_dtype numbers them");

static uint32_t function_of(const m3_node *node)
{
    uint32_t i = 0;
    while (strcmp(functions[i].name, node->op->name) != 0) i++;
    return i;
}

static m3_dtype kernel_type(type_class types, m3_dtype type)
{
    if (types == MODULAR) return type == M3_I32 ? M3_U32 : type == M3_BOOL ? M3_U8 : type;
    if (types == BITS) return m3_dtype_bytes(type) == 4 ? M3_U32 : m3_dtype_bytes(type) == 1 ? M3_U8 : M3_F16;
    return type;
}

/* Rows of the table: extent and a stride for each operand, of the axes before the last, innermost first. */
static lower_view outer_axes(lower_list *l, const lower_axes *axes)
{
    uint32_t row[M3_MAX_RANK][1 + LOWER_MAX_OPERANDS] = {0}, rows = 0;
    for (uint32_t i = axes->rank - 1; i-- > 0; rows++) {
        row[rows][0] = (uint32_t)axes->dim[i];
        for (uint32_t k = 0; k < axes->operands; k++) row[rows][1 + k] = (uint32_t)axes->stride[k][i];
    }
    return rows == 0 ? (lower_view){.memory = LOWER_NOTHING} : lower_table(l, row, rows * sizeof row[0]);
}

static void lower(lower_list *l, const m3_node *node)
{
    const m3_tensor *out = node->out[0];
    const uint32_t function = function_of(node), last_input = node->in_count - 1;
    const type_class types = functions[function].types;
    const m3_shape *shape[LOWER_MAX_OPERANDS] = {NULL};
    const uint64_t count = m3_tensor_count(out);
    uint32_t moves = 0;
    if (count == 0) return;
    for (uint32_t k = 0; k < node->in_count; k++) shape[k] = &node->in[k]->shape;
    const lower_axes axes = lower_axes_of(&out->shape, shape, node->in_count);
    const uint64_t piece = lower_piece(l->traits, count, m3_dtype_bytes(out->dtype));
    for (uint32_t k = 0; k < node->in_count; k++)
        if (axes.stride[k][axes.rank - 1] != 0) moves |= 1u << k;

    lower_view operand[LOWER_MAX_OPERANDS];
    for (uint32_t k = 0; k < LOWER_MAX_OPERANDS; k++)
        operand[k] = lower_tensor(l, k < node->in_count ? node->in[k] : NULL);
    lower_dispatch *d = LOWER(l, map, .VECTOR = l->traits->vector, .OP = function,
                              .FROM = kernel_type(types, node->in[last_input]->dtype),
                              .TO = kernel_type(types, out->dtype), .x = operand[0], .y = operand[1], .w = operand[2],
                              .z = lower_tensor(l, out), .axes = outer_axes(l, &axes), .count = count, .piece = piece,
                              .last = axes.dim[axes.rank - 1], .outer = axes.rank - 1, .moves = moves);
    lower_items(d, lower_parts(count, piece));
}

#define ENTRY(name)                                                                                                    \
    {                                                                                                                  \
        name, NULL, lower                                                                                              \
    }
const lower_op lower_elementwise_ops[] = {
    ENTRY("neg"),        ENTRY("abs"),
    ENTRY("exp"),        ENTRY("log"),
    ENTRY("sqrt"),       ENTRY("sin"),
    ENTRY("cos"),        ENTRY("tanh"),
    ENTRY("floor"),      ENTRY("sigmoid"),
    ENTRY("relu"),       ENTRY("silu"),
    ENTRY("log1p"),      ENTRY("expm1"),
    ENTRY("erf"),        ENTRY("softplus"),
    ENTRY("gelu"),       ENTRY("pow"),
    ENTRY("not"),        ENTRY("cast"),
    ENTRY("add"),        ENTRY("sub"),
    ENTRY("mul"),        ENTRY("div"),
    ENTRY("max"),        ENTRY("min"),
    ENTRY("equal"),      ENTRY("less"),
    ENTRY("less_equal"), ENTRY("and"),
    ENTRY("or"),         ENTRY("where"),
    ENTRY("relu_grad"),  {0},
};
