/* step: how a node becomes something that runs. Each file of ops/ publishes a table of cpu_op, ended by a NULL name,
 * and ops/list.c names the tables. An entry's prepare resolves a node, once, when a program is compiled: it checks
 * nothing (supports and the graph have), chooses kernels, and leaves {run, args, scratch_bytes} in the step.
 * A run calls run(args, cpu) of each step in order: it allocates nothing and cannot fail.
 *
 *   typedef struct row_args { const float *x; float *y; size_t rows, length; … } row_args;
 *   static void run(const void *args, const cpu_run *cpu) { … cpu_for(cpu, a->rows, a->length, rows, a); }
 *   static m3_status prepare(const cpu_node *at, cpu_step *step, m3_error *err)
 *   {
 *       row_args *a = cpu_step_args(at, step, run, sizeof *a, err);
 *       if (a == NULL) return M3_ERR_MEMORY;
 *       *a = (row_args){at->in[0], at->out[0], …, CPU_CHOOSE(at->machine->isa, cpu_row_kernels)};
 *       return M3_OK;
 *   }
 *   const cpu_op cpu_row_ops[] = {{"row_op", supports, prepare}, {0}};
 *
 * Kernels that depend on the instruction set lie in isa/NAME.c, which publishes one constant table,
 *   const cpu_row_kernels CPU_FN(cpu_row_kernels) = {…};
 * and the header ops/NAME.h declares the struct and, with CPU_DECLARE_KERNELS(cpu_row_kernels), its builds.
 *
 * Places: an output may lie exactly on an input where the op allows it (M3_OP_INPLACE, M3_OP_UPDATES); other overlaps
 * do not occur. Memory is aligned to 64 bytes. Any extent may be 0. The type is the tensors', known at prepare.
 * Results must not depend on the number of threads: split by outputs, or into parts that shapes alone decide. */
#ifndef CPU_STEP_H
#define CPU_STEP_H

#include "backends/cpu/machine.h"
#include "backends/cpu/pool.h"
#include "m3bsr/backend.h"

/* What a run gives to its steps. */
typedef struct cpu_run {
    const cpu_machine *machine;
    const cpu_pool *pool;
    void *scratch; /* the step's scratch_bytes, aligned to 64; contents do not matter */
} cpu_run;

typedef void (*cpu_run_fn)(const void *args, const cpu_run *cpu);

typedef struct cpu_step {
    cpu_run_fn run;
    void *args;           /* made by cpu_step_args; freed with the executable */
    bool flush;           /* whether denormal results become 0 (flush.h); set before prepare */
    size_t scratch_bytes; /* of all workers together; 0 unless prepare sets it */
} cpu_step;

/* What prepare is given. in and out are in the node's order; in[i] is NULL for an absent input. */
typedef struct cpu_node {
    const m3_node *node;
    const void *const *in;
    void *const *out;
    const cpu_machine *machine;
    uint32_t threads;       /* of the pool that runs use; workers count from 0 */
    m3_device_impl *device; /* these two hold what cpu_step_args makes */
    m3_exec_impl *exec;
} cpu_node;

typedef struct cpu_op {
    const char *name;
    /* M3_OK or M3_ERR_UNSUPPORTED with the reason. No input or output is f64: those have been refused before.
     * NULL: everything that the op's shape rule accepts. */
    m3_status (*supports)(const m3_node *node, m3_error *why);
    m3_status (*prepare)(const cpu_node *at, cpu_step *step, m3_error *err);
} cpu_op;

/* The entry of an op, or NULL. */
const cpu_op *cpu_op_find(const char *name);

/* The memory of input `input`; NULL where it is absent, as an optional one may be. */
static inline const void *cpu_input(const cpu_node *at, uint32_t input)
{
    return input < at->node->in_count ? at->in[input] : NULL;
}

/* Zeroed arguments of a step, whose run is set too. A trailing array may be counted into bytes.
 * NULL: out of memory, and err says so. */
void *cpu_step_args(const cpu_node *at, cpu_step *step, cpu_run_fn run, size_t bytes, m3_error *err);

/* fn(args, begin, end, worker) over ranges that cover [0, count); in parallel when count * cost, in element operations,
 * is worth waking a thread. Ranges are chosen freely, so fn must give the same for any. */
typedef void (*cpu_range_fn)(const void *args, size_t begin, size_t end, uint32_t worker);
void cpu_for(const cpu_run *cpu, size_t count, size_t cost, cpu_range_fn fn, const void *args);

/* The build of a kernel table for an instruction set. */
#define CPU_DECLARE_KERNELS(table) extern const table table##_portable, table##_avx2, table##_avx512
#if defined(CPU_HAVE_AVX2) && defined(CPU_HAVE_AVX512)
#define CPU_CHOOSE(isa, table)                                                                                         \
    ((isa) >= CPU_AVX512 ? &table##_avx512 : (isa) == CPU_AVX2 ? &table##_avx2 : &table##_portable)
#else
#define CPU_CHOOSE(isa, table) ((void)(isa), &table##_portable)
#endif

/* A tensor as a matrix: the length of its last axis, and the number of rows before it. Rank 0 is one row of one. */
static inline size_t cpu_row_length(const m3_tensor *x)
{
    return x->shape.rank == 0 ? 1 : (size_t)x->shape.dim[x->shape.rank - 1];
}

static inline size_t cpu_rows(const m3_tensor *x)
{
    size_t rows = 1;
    for (uint32_t i = 0; i + 1 < x->shape.rank; i++) rows *= (size_t)x->shape.dim[i];
    return rows;
}

/* x rounded up to whole cache lines. */
static inline size_t cpu_align(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

/* Each worker's own part of a step's scratch. */
static inline void *cpu_worker_scratch(const cpu_run *cpu, size_t bytes, uint32_t worker)
{
    return (unsigned char *)cpu->scratch + cpu_align(bytes) * worker;
}

#endif
