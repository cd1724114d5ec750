/* elementwise: z = f(x, y, …) with NumPy's broadcast. Axes are coalesced as far as all operands allow, and a kernel
 * runs along the last one, where each operand has a stride of 1 or 0. So equal shapes are one run, a scalar or a row
 * [.., 1] has a stride of 0, and a vector along the last axis begins again in each row. */
#include "backends/cpu/ops/elementwise.h"

#include "m3bsr/ops.h"

/* Axes. */

/* Are the last axis so far and the next one contiguous in every operand? */
static bool coalesces(const cpu_axes *a, size_t dim, const size_t *stride)
{
    for (uint32_t k = 0; k < a->operands; k++)
        if (a->stride[k][a->rank - 1] != stride[k] * dim) return false;
    return true;
}

cpu_axes cpu_axes_of(const m3_shape *out, const m3_shape *const *operand, uint32_t operands)
{
    cpu_axes a = {.operands = operands};
    size_t step[CPU_MAX_OPERANDS], stride[CPU_MAX_OPERANDS][M3_MAX_RANK] = {0};
    for (uint32_t k = 0; k < operands; k++) {
        uint32_t lead = out->rank - operand[k]->rank;
        step[k] = 1;
        for (uint32_t i = operand[k]->rank; i-- > 0; step[k] *= (size_t)operand[k]->dim[i])
            stride[k][lead + i] = operand[k]->dim[i] == 1 ? 0 : step[k];
    }
    for (uint32_t i = 0; i < out->rank; i++) {
        size_t dim = (size_t)out->dim[i], mine[CPU_MAX_OPERANDS] = {0};
        if (dim == 1) continue;
        for (uint32_t k = 0; k < operands; k++) mine[k] = stride[k][i];
        bool same = a.rank > 0 && coalesces(&a, dim, mine);
        if (!same) a.rank++;
        a.dim[a.rank - 1] = same ? a.dim[a.rank - 1] * dim : dim;
        for (uint32_t k = 0; k < operands; k++) a.stride[k][a.rank - 1] = mine[k];
    }
    if (a.rank == 0) {
        a.rank = 1;
        a.dim[0] = 1;
        for (uint32_t k = 0; k < operands; k++) a.stride[k][0] = 1;
    }
    return a;
}

/* The step. */

typedef struct elementwise_args {
    cpu_elementwise_fn kernel;
    cpu_axes axes;
    size_t count; /* of elements of out */
    const unsigned char *in[CPU_MAX_OPERANDS];
    size_t bytes[CPU_MAX_OPERANDS]; /* of an element */
    unsigned char *out;
    size_t out_bytes;
} elementwise_args;

/* Elements [begin, end) of out: a row at a time, the first and the last perhaps in part. */
static void run_range(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const elementwise_args *a = args;
    const cpu_axes *axes = &a->axes;
    const uint32_t last = axes->rank - 1;
    const size_t length = axes->dim[last];
    size_t row = begin / length, from = begin % length, at[M3_MAX_RANK] = {0};
    bool repeat[CPU_MAX_OPERANDS] = {false};
    for (uint32_t i = last; i-- > 0; row /= axes->dim[i]) at[i] = row % axes->dim[i];
    for (uint32_t k = 0; k < axes->operands; k++) repeat[k] = axes->stride[k][last] == 0;
    for (size_t done = begin; done < end;) {
        size_t n = length - from < end - done ? length - from : end - done;
        const void *in[CPU_MAX_OPERANDS] = {NULL};
        for (uint32_t k = 0; k < axes->operands; k++) {
            size_t index = repeat[k] ? 0 : from;
            for (uint32_t i = 0; i < last; i++) index += at[i] * axes->stride[k][i];
            in[k] = a->in[k] + index * a->bytes[k];
        }
        a->kernel(a->out + done * a->out_bytes, in, repeat, n);
        done += n;
        from = 0;
        for (uint32_t i = last; i-- > 0;) {
            if (++at[i] < axes->dim[i]) break;
            at[i] = 0;
        }
    }
}

static void run(const void *args, const cpu_run *cpu)
{
    const elementwise_args *a = args;
    cpu_for(cpu, a->count, 1, run_range, a);
}

/* The type by which a kernel is chosen. */
static m3_dtype from_type(const m3_node *node)
{
    const bool where = node->in_count == M3_WHERE_INPUTS;
    return node->in[where ? M3_WHERE_X : 0]->dtype;
}

static m3_status supports(const m3_node *node, m3_error *why)
{
    m3_dtype from = from_type(node), to = node->out[0]->dtype;
    if (cpu_elementwise_kernels_portable.find(node->op->name, from, to) != NULL) return M3_OK;
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name, "the cpu backend has no kernel from %s to %s",
                   m3_dtype_name(from), m3_dtype_name(to));
}

static m3_status prepare(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_node *node = at->node;
    const m3_shape *shape[CPU_MAX_OPERANDS];
    elementwise_args *a = cpu_step_args(at, step, run, sizeof *a, err);
    if (a == NULL) return M3_ERR_MEMORY;
    for (uint32_t k = 0; k < node->in_count; k++) {
        shape[k] = &node->in[k]->shape;
        a->in[k] = at->in[k];
        a->bytes[k] = m3_dtype_bytes(node->in[k]->dtype);
    }
    a->axes = cpu_axes_of(&node->out[0]->shape, shape, node->in_count);
    a->count = (size_t)m3_tensor_count(node->out[0]);
    a->out = at->out[0];
    a->out_bytes = m3_dtype_bytes(node->out[0]->dtype);
    a->kernel = CPU_CHOOSE(at->machine->isa, cpu_elementwise_kernels)
                    ->find(node->op->name, from_type(node), node->out[0]->dtype);
    return M3_OK;
}

/* clang-format off */
#define ENTRY(name) {name, supports, prepare}
const cpu_op cpu_elementwise_ops[] = {
    ENTRY("neg"), ENTRY("abs"), ENTRY("exp"), ENTRY("log"), ENTRY("sqrt"), ENTRY("sin"), ENTRY("cos"), ENTRY("floor"),
    ENTRY("sigmoid"), ENTRY("tanh"), ENTRY("relu"), ENTRY("relu_grad"), ENTRY("silu"),
    ENTRY("log1p"), ENTRY("expm1"), ENTRY("erf"), ENTRY("softplus"), ENTRY("gelu"), ENTRY("pow"),
    ENTRY("add"), ENTRY("sub"), ENTRY("mul"), ENTRY("div"), ENTRY("max"), ENTRY("min"),
    ENTRY("equal"), ENTRY("less"), ENTRY("less_equal"), ENTRY("not"), ENTRY("and"), ENTRY("or"),
    ENTRY("where"), ENTRY("cast"),
    {0},
};
/* clang-format on */
