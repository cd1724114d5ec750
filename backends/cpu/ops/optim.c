/* optim: adamw, adamw_rows, global_norm. adamw and global_norm take any number of tensors at once: all are cut into
 * blocks of BLOCK elements, so that work is split evenly whatever their sizes. */
#include "backends/cpu/ops/optim.h"

#include <math.h>
#include <string.h>

#include "m3bsr/ops.h"

enum { BLOCK = 8192 };

static size_t blocks_of(size_t count)
{
    return (count + BLOCK - 1) / BLOCK;
}

static size_t block_count(size_t count, size_t block)
{
    size_t left = count - block * BLOCK;
    return left < BLOCK ? left : BLOCK;
}

/* AdamW. */

enum { STATES = M3_ADAMW_STATES }; /* p, m, v */
_Static_assert((int)STATES == (int)CPU_ADAM_STATES, "a kernel updates what the op does");
_Static_assert(M3_ADAMW_STEP == (int)M3_ADAMW_ROWS_STEP && M3_ADAMW_SCALE == (int)M3_ADAMW_ROWS_SCALE &&
                   M3_ADAMW_BETA1 == (int)M3_ADAMW_ROWS_BETA1 && M3_ADAMW_BETA2 == (int)M3_ADAMW_ROWS_BETA2 &&
                   M3_ADAMW_EPS == (int)M3_ADAMW_ROWS_EPS && M3_ADAMW_WEIGHT_DECAY == (int)M3_ADAMW_ROWS_WEIGHT_DECAY,
               "adamw and adamw_rows have one rule");

/* What does not change from run to run. */
typedef struct rule {
    const cpu_optim_kernels *kernels;
    const float *step, *scale;
    double beta1, beta2, eps, decay;
} rule;

static rule rule_of(const cpu_node *at)
{
    return (rule){
        .kernels = CPU_CHOOSE(at->machine->isa, cpu_optim_kernels),
        .step = at->in[M3_ADAMW_STEP],
        .scale = at->in[M3_ADAMW_SCALE],
        .beta1 = m3_node_float(at->node, M3_ADAMW_BETA1),
        .beta2 = m3_node_float(at->node, M3_ADAMW_BETA2),
        .eps = m3_node_float(at->node, M3_ADAMW_EPS),
        .decay = m3_node_float(at->node, M3_ADAMW_WEIGHT_DECAY),
    };
}

static cpu_adam adam_of(const rule *r)
{
    const float lr = r->step[0];
    return (cpu_adam){.scale = *r->scale,
                      .beta1 = (float)r->beta1,
                      .rest1 = (float)(1.0 - r->beta1),
                      .beta2 = (float)r->beta2,
                      .rest2 = (float)(1.0 - r->beta2),
                      .eps = (float)r->eps,
                      .decay = 1.0f - lr * (float)r->decay,
                      .step_size = lr / r->step[1],
                      .correction2 = 1.0f / r->step[2]};
}

static cpu_adam_state state_of(const cpu_node *at, uint32_t in, uint32_t out)
{
    cpu_adam_state s;
    for (uint32_t c = 0; c < STATES; c++) {
        s.in[c] = at->in[in + c];
        s.out[c] = at->out[out + c];
    }
    return s;
}

typedef struct part {
    cpu_adam_state state;
    const float *g;
    size_t count; /* elements */
    size_t first; /* its first block, counted over all parts */
} part;

typedef struct adamw_args {
    rule rule;
    size_t blocks;
    uint32_t count;
    part part[];
} adamw_args;

typedef struct adamw_run {
    const adamw_args *args;
    cpu_adam adam;
} adamw_run;

static void update_blocks(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const adamw_run *r = args;
    const part *p = r->args->part;
    for (size_t block = begin; block < end; block++) {
        while (block - p->first >= blocks_of(p->count)) p++;
        size_t at = (block - p->first) * BLOCK;
        r->args->rule.kernels->adam(&r->adam, &p->state, at, p->g + at, block_count(p->count, block - p->first));
    }
}

enum { COST = 8 }; /* of an element, by the memory that its update reads and writes */

static void run_adamw(const void *args, const cpu_run *cpu)
{
    const adamw_args *a = args;
    const adamw_run r = {a, adam_of(&a->rule)};
    cpu_for(cpu, a->blocks, COST * BLOCK, update_blocks, &r);
}

static m3_status prepare_adamw(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_node *node = at->node;
    const uint32_t count = (node->in_count - M3_ADAMW_P) / M3_ADAMW_EACH;
    adamw_args *a = cpu_step_args(at, step, run_adamw, sizeof *a + count * sizeof a->part[0], err);
    if (a == NULL) return M3_ERR_MEMORY;
    a->rule = rule_of(at);
    a->count = count;
    for (uint32_t j = 0; j < count; j++) {
        const uint32_t in = M3_ADAMW_EACH * j;
        a->part[j] = (part){
            .state = state_of(at, M3_ADAMW_P + in, STATES * j),
            .g = at->in[M3_ADAMW_G + in],
            .count = (size_t)m3_tensor_count(node->in[M3_ADAMW_P + in]),
            .first = a->blocks,
        };
        a->blocks += blocks_of(a->part[j].count);
    }
    return M3_OK;
}

/* AdamW of the rows of a table that ids name. */

typedef struct table_args {
    rule rule;
    cpu_adam_state state;
    const int32_t *ids;
    const float *g;
    size_t ids_count;
    size_t rows, size; /* of the table: rows, and floats of a row */
} table_args;

typedef struct table_run {
    const table_args *args;
    cpu_adam adam;
} table_run;

static void copy_rows(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const table_args *a = args;
    const size_t from = begin * a->size, floats = (end - begin) * a->size;
    for (uint32_t c = 0; c < STATES; c++)
        if (a->state.out[c] != a->state.in[c])
            memcpy(a->state.out[c] + from, a->state.in[c] + from, floats * sizeof(float));
}

static void update_rows(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const table_run *r = args;
    const table_args *a = r->args;
    for (size_t i = begin; i < end; i++) {
        if (a->ids[i] < 0 || (size_t)a->ids[i] >= a->rows) continue;
        a->rule.kernels->adam(&r->adam, &a->state, (size_t)a->ids[i] * a->size, a->g + i * a->size, a->size);
    }
}

static void run_table(const void *args, const cpu_run *cpu)
{
    const table_args *a = args;
    const table_run r = {a, adam_of(&a->rule)};
    bool copies = false;
    for (uint32_t c = 0; c < STATES; c++) copies |= a->state.out[c] != a->state.in[c];
    if (a->size == 0 || a->rows == 0) return;
    if (copies) cpu_for(cpu, a->rows, STATES * a->size, copy_rows, a);
    cpu_for(cpu, a->ids_count, COST * a->size, update_rows, &r);
}

static m3_status prepare_table(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_shape *p = &at->node->in[M3_ADAMW_ROWS_P]->shape;
    table_args *a = cpu_step_args(at, step, run_table, sizeof *a, err);
    if (a == NULL) return M3_ERR_MEMORY;
    *a = (table_args){.rule = rule_of(at),
                      .state = state_of(at, M3_ADAMW_ROWS_P, 0),
                      .ids = at->in[M3_ADAMW_ROWS_IDS],
                      .g = at->in[M3_ADAMW_ROWS_ROWS],
                      .ids_count = (size_t)m3_tensor_count(at->node->in[M3_ADAMW_ROWS_IDS]),
                      .rows = (size_t)p->dim[0],
                      .size = 1};
    for (uint32_t i = 1; i < p->rank; i++) a->size *= (size_t)p->dim[i];
    return M3_OK;
}

/* global_norm: the sum of each block, and then their sum in order. */

typedef struct operand {
    const float *x;
    size_t count; /* elements */
    size_t first; /* its first block, counted over all operands */
} operand;

typedef struct norm_args {
    const cpu_optim_kernels *kernels;
    float *y;
    size_t blocks;
    uint32_t count;
    operand operand[];
} norm_args;

typedef struct norm_run {
    const norm_args *args;
    double *sums; /* [blocks] */
} norm_run;

static void sum_blocks(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const norm_run *r = args;
    const operand *o = r->args->operand;
    for (size_t block = begin; block < end; block++) {
        while (block - o->first >= blocks_of(o->count)) o++;
        const size_t mine = block - o->first;
        r->sums[block] = r->args->kernels->sum_of_squares(o->x + mine * BLOCK, block_count(o->count, mine));
    }
}

static void run_norm(const void *args, const cpu_run *cpu)
{
    const norm_args *a = args;
    norm_run r = {a, cpu->scratch};
    double sum = 0;
    cpu_for(cpu, a->blocks, BLOCK, sum_blocks, &r);
    for (size_t block = 0; block < a->blocks; block++) sum += r.sums[block];
    *a->y = (float)sqrt(sum);
}

static m3_status prepare_norm(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_node *node = at->node;
    norm_args *a = cpu_step_args(at, step, run_norm, sizeof *a + node->in_count * sizeof a->operand[0], err);
    if (a == NULL) return M3_ERR_MEMORY;
    a->kernels = CPU_CHOOSE(at->machine->isa, cpu_optim_kernels);
    a->y = at->out[0];
    a->count = node->in_count;
    for (uint32_t i = 0; i < node->in_count; i++) {
        a->operand[i] = (operand){at->in[i], (size_t)m3_tensor_count(node->in[i]), a->blocks};
        a->blocks += blocks_of(a->operand[i].count);
    }
    step->scratch_bytes = a->blocks * sizeof(double);
    return M3_OK;
}

const cpu_op cpu_optim_ops[] = {
    {"adamw", NULL, prepare_adamw},
    {"adamw_rows", NULL, prepare_table},
    {"global_norm", NULL, prepare_norm},
    {0},
};
