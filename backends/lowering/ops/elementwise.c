/* elementwise: a tape of functions with NumPy's broadcast, one step or a chain of them. Axes are joined as far as all
 * inputs allow; along the last one an input goes on by 1 or stands still, the others are a table of extents and
 * strides. An item makes a piece of each output in row-major order. */
#include "backends/lowering/contract.h"
#include "backends/lowering/ops/list.h"
#include "backends/lowering/ops/pieces.h"

/* Elements from which on a chain has a kernel of its own on a processor: below, launches
 * of its steps cost some microseconds each, and a compiler takes a third of a second for a kernel of the chain. */
enum { LARGE_ON_PROCESSOR = 1 << 15 };

static m3_status supports(const lower_traits *traits, const m3_node *node, m3_error *why)
{
    const uint64_t count = m3_tensor_count(node->out[0]);
    lower_tape tape;
    uint32_t step = 0;
    if (!lower_tape_of(node, &tape, &step))
        return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name,
                       "step %u has no kernel for its types: the kernels compute in f32", step);
    if (traits->kind == LOWER_PROCESSOR && tape.steps > 1 && count < LARGE_ON_PROCESSOR)
        return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name,
                       "%llu elements; below %d a processor computes step by step, by kernels that are there anyway",
                       (unsigned long long)count, LARGE_ON_PROCESSOR);
    return M3_OK;
}

/* Rows of the table: extent and a stride for each input, of the axes before the last, innermost first. */
static lower_view outer_axes(lower_list *l, const lower_axes *axes)
{
    uint32_t row[M3_MAX_RANK][1 + TAPE_INPUTS] = {0}, rows = 0;
    for (uint32_t i = axes->rank - 1; i-- > 0; rows++) {
        row[rows][0] = (uint32_t)axes->dim[i];
        for (uint32_t k = 0; k < axes->operands; k++) row[rows][1 + k] = (uint32_t)axes->stride[k][i];
    }
    return rows == 0 ? (lower_view){.memory = LOWER_NOTHING} : lower_table(l, row, rows * sizeof row[0]);
}

static void lower(lower_list *l, const m3_node *node)
{
    const uint64_t count = m3_tensor_count(node->out[0]);
    const m3_shape *shape[TAPE_INPUTS] = {NULL};
    lower_view x[TAPE_INPUTS] = {{0}}, z[TAPE_OUTPUTS] = {{0}};
    uint32_t moves = 0, in_types = 0, out_types = 0, step = 0;
    uint64_t bytes = sizeof(float);
    lower_tape tape;
    if (count == 0 || !lower_tape_of(node, &tape, &step)) return;
    for (uint32_t k = 0; k < node->in_count; k++) shape[k] = &node->in[k]->shape;
    const lower_axes axes = lower_axes_of(&node->out[0]->shape, shape, node->in_count);
    for (uint32_t k = 0; k < TAPE_INPUTS; k++) {
        const bool is = k < node->in_count;
        in_types |= (is ? (uint32_t)node->in[k]->dtype : DTYPE_NONE) << (3 * k);
        if (is) x[k] = lower_tensor(l, node->in[k]);
        if (is && axes.stride[k][axes.rank - 1] != 0) moves |= 1u << k;
    }
    for (uint32_t i = 0; i < TAPE_OUTPUTS; i++) {
        const m3_tensor *out = i < node->out_count ? node->out[i] : NULL;
        out_types |= (out != NULL ? (uint32_t)out->dtype : DTYPE_NONE) << (3 * i);
        if (out == NULL) continue;
        z[i] = lower_tensor(l, out);
        if (m3_dtype_bytes(out->dtype) < bytes) bytes = m3_dtype_bytes(out->dtype);
    }
    const uint64_t piece = lower_piece(l->traits, count, bytes);
    lower_dispatch *d =
        LOWER(l, map, .VECTOR = l->traits->vector, .INPUT_TYPES = in_types, .OUTPUT_TYPES = out_types, .x0 = x[0],
              .x1 = x[1], .x2 = x[2], .x3 = x[3], .x4 = x[4], .x5 = x[5], .x6 = x[6], .x7 = x[7], .x8 = x[8],
              .x9 = x[9], .z0 = z[0], .z1 = z[1], .z2 = z[2], .z3 = z[3], .axes = outer_axes(l, &axes), .count = count,
              .piece = piece, .last = axes.dim[axes.rank - 1], .outer = axes.rank - 1, .moves = moves);
    d->tape = tape;
    lower_items(d, lower_parts(count, piece));
}

#define ENTRY(name)                                                                                                    \
    {                                                                                                                  \
        name, supports, lower                                                                                          \
    }
const lower_op lower_elementwise_ops[] = {
    ENTRY("neg"),      ENTRY("abs"),   ENTRY("exp"),       ENTRY("log"),        ENTRY("sqrt"),
    ENTRY("sin"),      ENTRY("cos"),   ENTRY("tanh"),      ENTRY("floor"),      ENTRY("sigmoid"),
    ENTRY("relu"),     ENTRY("silu"),  ENTRY("log1p"),     ENTRY("expm1"),      ENTRY("erf"),
    ENTRY("softplus"), ENTRY("gelu"),  ENTRY("pow"),       ENTRY("not"),        ENTRY("cast"),
    ENTRY("add"),      ENTRY("sub"),   ENTRY("mul"),       ENTRY("div"),        ENTRY("max"),
    ENTRY("min"),      ENTRY("equal"), ENTRY("less"),      ENTRY("less_equal"), ENTRY("and"),
    ENTRY("or"),       ENTRY("where"), ENTRY("relu_grad"), ENTRY("chain"),      {0},
};
