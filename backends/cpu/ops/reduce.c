/* reduce: reduce_sum and reduce_max over one axis: x [outer, length, inner] -> y [outer, inner].
 * Few outputs of long sums are split into parts along the axis, whose results are reduced in order by the same kernel.
 * The parts follow from the shape alone, so the result does not depend on the number of threads. */
#include "backends/cpu/ops/reduce.h"

#include <string.h>

#include "m3bsr/ops.h"

enum { BYTES = 4 };

/* Blocks [begin, end) as a whole. */
static void reduce_blocks(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const cpu_reduce_args *a = args;
    const cpu_reduction r = {end - begin, a->length, a->inner, a->length * a->inner, a->inner};
    a->kernel(&r, a->x + begin * r.outer_stride * a->x_bytes, a->y + begin * a->inner * BYTES);
}

/* Units [begin, end) of outer x strips. */
static void reduce_strips(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const cpu_reduce_args *a = args;
    for (size_t unit = begin; unit < end; unit++) {
        size_t o = unit / a->strips, i = unit % a->strips * a->strip_columns;
        const cpu_reduction r = {1, a->length, a->inner - i < a->strip_columns ? a->inner - i : a->strip_columns, 0,
                                 a->inner};
        a->kernel(&r, a->x + (o * a->length * a->inner + i) * a->x_bytes, a->y + (o * a->inner + i) * BYTES);
    }
}

typedef struct partial {
    const cpu_reduce_args *args;
    unsigned char *to; /* [outer, parts, inner] */
} partial;

/* Units [begin, end) of outer x parts. */
static void reduce_parts(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const partial *p = args;
    const cpu_reduce_args *a = p->args;
    for (size_t unit = begin; unit < end; unit++) {
        size_t o = unit / a->parts, first = unit % a->parts * a->part_length;
        size_t length = a->length - first < a->part_length ? a->length - first : a->part_length;
        const cpu_reduction r = {1, length, a->inner, 0, a->inner};
        a->kernel(&r, a->x + (o * a->length + first) * a->inner * a->x_bytes, p->to + unit * a->inner * BYTES);
    }
}

void cpu_reduce_run(const void *args, const cpu_run *cpu)
{
    const cpu_reduce_args *a = args;
    if (a->inner == 0) return;
    if (a->strips > 1) {
        cpu_for(cpu, a->outer * a->strips, a->length * a->strip_columns, reduce_strips, a);
    } else if (a->parts > 1) {
        partial p = {a, cpu->scratch};
        const cpu_reduction r = {a->outer, a->parts, a->inner, a->parts * a->inner, a->inner};
        cpu_for(cpu, a->outer * a->parts, a->part_length * a->inner, reduce_parts, &p);
        a->add(&r, p.to, a->y);
    } else {
        cpu_for(cpu, a->outer, a->length * a->inner, reduce_blocks, a);
    }
}

cpu_reduce_fn cpu_reduce_sum_of(const cpu_machine *machine, m3_dtype type)
{
    const cpu_reduce_kernels *kernels = CPU_CHOOSE(machine->isa, cpu_reduce_kernels);
    return type == M3_BF16 ? kernels->sum_bf16 : type == M3_F16 ? kernels->sum_f16 : kernels->sum_f32;
}

/* How the work is split: by outer, else by columns, else along the axis. */
size_t cpu_reduce_split(cpu_reduce_args *a)
{
    enum {
        MANY = 16,       /* units that are enough for all threads */
        MIN_PART = 8192, /* elements that are worth a part */
        STRIP = 1024     /* columns of a strip */
    };
    a->parts = a->strips = 1;
    if (a->outer >= MANY || a->inner == 0 || a->length * a->inner < 2 * MIN_PART) return 0;
    if (a->inner >= 4 * STRIP) {
        a->strip_columns = STRIP;
        a->strips = (a->inner + STRIP - 1) / STRIP;
        return 0;
    }
    a->part_length = MIN_PART / a->inner;
    if (a->length / a->part_length > 4 * MANY) a->part_length = a->length / (4 * MANY);
    a->parts = (a->length + a->part_length - 1) / a->part_length;
    return a->parts > 1 ? a->outer * a->parts * a->inner * BYTES : 0;
}

static m3_status prepare(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_node *node = at->node;
    const m3_shape *x = &node->in[M3_REDUCE_X]->shape;
    const cpu_reduce_kernels *kernels = CPU_CHOOSE(at->machine->isa, cpu_reduce_kernels);
    const uint32_t axis = (uint32_t)m3_node_int(node, M3_REDUCE_AXIS);
    const bool real = node->in[M3_REDUCE_X]->dtype == M3_F32, sum = strcmp(node->op->name, "reduce_sum") == 0;
    cpu_reduce_args *a = cpu_step_args(at, step, cpu_reduce_run, sizeof *a, err);
    if (a == NULL) return M3_ERR_MEMORY;
    *a = (cpu_reduce_args){
        .x_bytes = BYTES, .x = at->in[0], .y = at->out[0], .outer = 1, .inner = 1, .length = (size_t)x->dim[axis]};
    for (uint32_t i = 0; i < axis; i++) a->outer *= (size_t)x->dim[i];
    for (uint32_t i = axis + 1; i < x->rank; i++) a->inner *= (size_t)x->dim[i];
    if (real)
        a->kernel = sum ? kernels->sum_f32 : kernels->max_f32;
    else
        a->kernel = sum ? kernels->sum_i32 : kernels->max_i32;
    a->add = a->kernel;
    step->scratch_bytes = cpu_reduce_split(a);
    return M3_OK;
}

const cpu_op cpu_reduce_ops[] = {{"reduce_sum", NULL, prepare}, {"reduce_max", NULL, prepare}, {0}};
