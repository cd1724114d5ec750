/* chain: block after block of the output, each step over the whole block by the kernel that its op has alone, so that
 * the bits are the same and what passes between steps stays in the first cache. An input that has an element for each
 * of the output is read where it lies, a single element is repeated, any other is spread into a block. */
#include "backends/cpu/ops/elementwise.h"

#include "m3bsr/ops.h"

enum { BLOCK = 1024, ELEMENT_BYTES = 4, SLOT_BYTES = BLOCK * ELEMENT_BYTES };

/* Where a value lies during a block. */
typedef enum place_kind {
    IN_MEMORY = 0, /* of a tensor, at the block's first element */
    ALONE = 1,     /* of a tensor, one element for all */
    IN_SLOT = 2,   /* of the worker's scratch, an element for each of the block */
    FIRST_OF_SLOT = 3
} place_kind;

typedef struct place {
    place_kind kind;
    uint32_t slot;
    size_t bytes;                /* of an element */
    const unsigned char *memory; /* of a tensor; what steps write is the output's own */
} place;

typedef struct chain_step {
    cpu_elementwise_fn kernel;
    uint32_t operands, operand[CPU_MAX_OPERANDS];
    bool alone; /* all operands are single elements, and so is the value */
} chain_step;

typedef struct chain_args {
    uint32_t inputs, steps, outputs, slots;
    place value[M3_CHAIN_MAX_VALUES];
    cpu_axes spread[M3_CHAIN_MAX_INPUTS]; /* of inputs in slots */
    const unsigned char *spread_from[M3_CHAIN_MAX_INPUTS];
    chain_step step[M3_CHAIN_MAX_STEPS];
    uint32_t result[M3_CHAIN_MAX_OUTPUTS]; /* values that are stored behind the steps */
    unsigned char *stored[M3_CHAIN_MAX_OUTPUTS];
    uint32_t stores;
    size_t count; /* of elements of an output */
} chain_args;

static void fill(unsigned char *to, const unsigned char *from, size_t bytes, size_t n)
{
    if (bytes == 4) {
        uint32_t one, *all = (uint32_t *)(void *)to;
        memcpy(&one, from, sizeof one);
        for (size_t i = 0; i < n; i++) all[i] = one;
    } else if (bytes == 2) {
        uint16_t one, *all = (uint16_t *)(void *)to;
        memcpy(&one, from, sizeof one);
        for (size_t i = 0; i < n; i++) all[i] = one;
    } else {
        memset(to, *from, n);
    }
}

/* Elements [begin, begin + n) of an input's broadcast. */
static void spread(const cpu_axes *axes, const unsigned char *from, size_t bytes, unsigned char *to, size_t begin,
                   size_t n)
{
    const uint32_t last = axes->rank - 1;
    const size_t length = axes->dim[last], stride = axes->stride[0][last];
    size_t row = begin / length, column = begin % length, at[M3_MAX_RANK] = {0};
    for (uint32_t i = last; i-- > 0; row /= axes->dim[i]) at[i] = row % axes->dim[i];
    while (n > 0) {
        const size_t part = length - column < n ? length - column : n;
        size_t index = stride == 0 ? 0 : column;
        for (uint32_t i = 0; i < last; i++) index += at[i] * axes->stride[0][i];
        if (stride == 0)
            fill(to, from + index * bytes, bytes, part);
        else
            memcpy(to, from + index * bytes, part * bytes);
        to += part * bytes;
        n -= part;
        column = 0;
        for (uint32_t i = last; i-- > 0;) {
            if (++at[i] < axes->dim[i]) break;
            at[i] = 0;
        }
    }
}

static unsigned char *locate(const place *p, unsigned char *slots, size_t begin)
{
    if (p->kind == IN_SLOT || p->kind == FIRST_OF_SLOT) return slots + p->slot * (size_t)SLOT_BYTES;
    return (unsigned char *)p->memory + (p->kind == IN_MEMORY ? begin * p->bytes : 0);
}

static void run_block(const chain_args *a, unsigned char *slots, size_t begin, size_t n)
{
    for (uint32_t k = 0; k < a->inputs; k++)
        if (a->value[k].kind == IN_SLOT)
            spread(&a->spread[k], a->spread_from[k], a->value[k].bytes, locate(&a->value[k], slots, begin), begin, n);
    for (uint32_t s = 0; s < a->steps; s++) {
        const chain_step *step = &a->step[s];
        const void *in[CPU_MAX_OPERANDS] = {NULL};
        bool repeat[CPU_MAX_OPERANDS] = {false};
        for (uint32_t k = 0; k < step->operands; k++) {
            const place *p = &a->value[step->operand[k]];
            in[k] = locate(p, slots, begin);
            repeat[k] = !step->alone && (p->kind == ALONE || p->kind == FIRST_OF_SLOT);
        }
        step->kernel(locate(&a->value[a->inputs + s], slots, begin), in, repeat, step->alone ? 1 : n);
    }
    for (uint32_t i = 0; i < a->stores; i++) {
        const place *p = &a->value[a->result[i]];
        memcpy(a->stored[i] + begin * p->bytes, locate(p, slots, begin), n * p->bytes);
    }
}

typedef struct blocks {
    const chain_args *args;
    const cpu_run *cpu;
} blocks;

static void run_blocks(const void *args, size_t begin, size_t end, uint32_t worker)
{
    const blocks *b = args;
    unsigned char *slots = cpu_worker_scratch(b->cpu, b->args->slots * (size_t)SLOT_BYTES, worker);
    for (size_t i = begin; i < end; i++) {
        const size_t first = i * BLOCK, left = b->args->count - first;
        run_block(b->args, slots, first, left < BLOCK ? left : BLOCK);
    }
}

static void run(const void *args, const cpu_run *cpu)
{
    const blocks b = {args, cpu};
    cpu_for(cpu, (b.args->count + BLOCK - 1) / BLOCK, BLOCK * (size_t)b.args->steps, run_blocks, &b);
}

/* Preparation. */

/* Kernels are found by the names that ops have. */
static const char *const names[M3_CHAIN_FUNCTIONS] = {
    "neg",  "abs",   "exp",   "log", "sqrt",     "sin",  "cos",        "tanh", "floor", "sigmoid",   "relu",
    "silu", "log1p", "expm1", "erf", "softplus", "gelu", "not",        "cast", "add",   "sub",       "mul",
    "div",  "pow",   "max",   "min", "equal",    "less", "less_equal", "and",  "or",    "relu_grad", "where"};

/* The kernel of a step, whose operands and value have these types. */
static cpu_elementwise_fn kernel_of(const cpu_elementwise_kernels *kernels, const m3_node *node, uint32_t s,
                                    const m3_dtype *type)
{
    const m3_chain_step step = m3_chain_step_at(node, s);
    const uint32_t first = step.function == M3_CHAIN_WHERE ? 1 : 0;
    return kernels->find(names[step.function], type[step.operand[first]], type[node->in_count + s]);
}

static m3_status supports(const m3_node *node, m3_error *why)
{
    m3_dtype type[M3_CHAIN_MAX_VALUES] = {M3_F32};
    m3_chain_types(node, type);
    for (uint32_t s = 0; s < m3_chain_length(node); s++)
        if (kernel_of(&cpu_elementwise_kernels_portable, node, s, type) == NULL)
            return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name,
                           "step %u, %s, gives %s; the cpu backend has no kernel for it", s,
                           names[m3_chain_step_at(node, s).function], m3_dtype_name(type[node->in_count + s]));
    return M3_OK;
}

/* The last step that reads each value; results are read behind all of them. */
static void find_last_uses(const m3_node *node, uint32_t last[M3_CHAIN_MAX_VALUES])
{
    const uint32_t steps = m3_chain_length(node);
    for (uint32_t k = 0; k < M3_CHAIN_MAX_VALUES; k++) last[k] = 0;
    for (uint32_t s = 0; s < steps; s++) {
        const m3_chain_step step = m3_chain_step_at(node, s);
        for (uint32_t k = 0; k < step.operands; k++) last[step.operand[k]] = s;
    }
    for (uint32_t i = 0; i < node->out_count; i++) last[node->in_count + node->attr[M3_CHAIN_RESULTS].i[i]] = steps;
}

/* Slots, and the value that each has. */
typedef struct slots {
    uint32_t count, holds[M3_CHAIN_MAX_VALUES];
} slots;

/* A slot for a value from step s on: one whose value is read no more, or by this very step, which may write over it
 * where elements are of one size. */
static void take_slot(slots *all, place *value, uint32_t v, uint32_t s, bool first, const uint32_t *last)
{
    uint32_t slot = first ? all->count : 0;
    for (; slot < all->count; slot++) {
        const uint32_t held = all->holds[slot];
        const bool whole = value[held].kind == IN_SLOT && value[v].kind == IN_SLOT;
        if (last[held] < s || (last[held] == s && whole && value[held].bytes == value[v].bytes)) break;
    }
    if (slot == all->count) all->count++;
    all->holds[slot] = v;
    value[v].slot = slot;
}

static void place_inputs(const cpu_node *at, chain_args *a, slots *all, const uint32_t *last)
{
    const m3_shape *out = &at->node->out[0]->shape;
    for (uint32_t k = 0; k < a->inputs; k++) {
        const m3_tensor *x = at->node->in[k];
        const size_t count = (size_t)m3_tensor_count(x);
        const place_kind kind = count == a->count ? IN_MEMORY : count == 1 ? ALONE : IN_SLOT;
        const m3_shape *shape = &x->shape;
        a->value[k] = (place){.kind = kind, .bytes = m3_dtype_bytes(x->dtype), .memory = at->in[k]};
        if (kind != IN_SLOT) continue;
        a->spread[k] = cpu_axes_of(out, &shape, 1);
        a->spread_from[k] = at->in[k];
        take_slot(all, a->value, k, 0, true, last);
    }
}

/* May step s write an output where it lies, though an input may lie there, too? */
static bool writes_in_place(const cpu_node *at, uint32_t output, uint32_t s, const uint32_t *last)
{
    for (uint32_t k = 0; k < at->node->in_count; k++)
        if (at->in[k] == at->out[output] && last[k] > s) return false;
    return true;
}

/* The output that a step's value is, or the number of outputs. */
static uint32_t output_of(const m3_node *node, uint32_t s)
{
    uint32_t i = 0;
    while (i < node->out_count && node->attr[M3_CHAIN_RESULTS].i[i] != (int64_t)s) i++;
    return i;
}

static void place_step(const cpu_node *at, chain_args *a, uint32_t s, m3_dtype type, slots *all, const uint32_t *last)
{
    const uint32_t v = a->inputs + s, output = output_of(at->node, s);
    const bool is_output = output < at->node->out_count;
    a->value[v] = (place){.kind = a->step[s].alone ? FIRST_OF_SLOT : IN_SLOT, .bytes = m3_dtype_bytes(type)};
    if (is_output && writes_in_place(at, output, s, last)) {
        a->value[v].kind = IN_MEMORY;
        a->value[v].memory = at->out[output];
        return;
    }
    take_slot(all, a->value, v, s, false, last);
    if (!is_output) return;
    a->result[a->stores] = v;
    a->stored[a->stores++] = at->out[output];
}

static m3_status prepare(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_node *node = at->node;
    const cpu_elementwise_kernels *kernels = CPU_CHOOSE(at->machine->isa, cpu_elementwise_kernels);
    m3_dtype type[M3_CHAIN_MAX_VALUES] = {M3_F32};
    uint32_t last[M3_CHAIN_MAX_VALUES];
    slots all = {0};
    chain_args *a = cpu_step_args(at, step, run, sizeof *a, err);
    if (a == NULL) return M3_ERR_MEMORY;
    m3_chain_types(node, type);
    find_last_uses(node, last);
    a->inputs = node->in_count;
    a->steps = m3_chain_length(node);
    a->count = (size_t)m3_tensor_count(node->out[0]);
    place_inputs(at, a, &all, last);
    for (uint32_t s = 0; s < a->steps; s++) {
        const m3_chain_step of = m3_chain_step_at(node, s);
        chain_step *to = &a->step[s];
        *to = (chain_step){.kernel = kernel_of(kernels, node, s, type), .operands = of.operands, .alone = a->count > 1};
        for (uint32_t k = 0; k < of.operands; k++) {
            const place_kind kind = a->value[of.operand[k]].kind;
            to->operand[k] = of.operand[k];
            to->alone = to->alone && (kind == ALONE || kind == FIRST_OF_SLOT);
        }
        place_step(at, a, s, type[a->inputs + s], &all, last);
    }
    a->slots = all.count;
    step->scratch_bytes = cpu_align(a->slots * (size_t)SLOT_BYTES) * at->threads;
    return M3_OK;
}

const cpu_op cpu_chain_ops[] = {{"chain", supports, prepare}, {0}};
