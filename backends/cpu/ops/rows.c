/* rows: ops that pick rows of axis 0 by i32 ids.
 *   gather        y[i] = table[ids[i]], zeros where the id names no row
 *   scatter_add   y[j] = sum of rows[i] with ids[i] = j, i rising
 *   scatter_rows  y = table with row ids[i] replaced by rows[i]
 *   group_rows    the distinct ids, rising, and the sums of their rows
 * Sums first sort row numbers by id, stably, and then add each id's rows in their order: no two threads add to one row,
 * and results are the same bit for bit every time. */
#include "backends/cpu/ops/rows.h"

#include <string.h>

#include "backends/cpu/ops/radix_sort.h"
#include "m3bsr/ops.h"

typedef struct rows_args {
    const int32_t *ids;
    const unsigned char *from; /* the table of a gather, the rows of the others */
    unsigned char *to;
    size_t ids_count;
    size_t rows;        /* of the table or, of scatter_add, of y */
    size_t bytes, size; /* of a row: bytes and elements */
    int64_t skip;       /* an id that counts as none */
    cpu_sum_rows_fn sum;
    const unsigned char *table; /* of scatter_rows */
    int32_t *groups;            /* of group_rows: the first output */
} rows_args;

/* Does the id name a row? */
static bool is_row(const rows_args *a, int32_t id)
{
    return id >= 0 && (size_t)id < a->rows && id != a->skip;
}

static size_t row_size(const m3_tensor *x)
{
    size_t size = 1;
    for (uint32_t i = 1; i < x->shape.rank; i++) size *= (size_t)x->shape.dim[i];
    return size;
}

/* Arguments for rows of the shape and type of x. */
static rows_args *rows_of(const cpu_node *at, cpu_step *step, cpu_run_fn run, const m3_tensor *x, m3_error *err)
{
    rows_args *a = cpu_step_args(at, step, run, sizeof *a, err);
    if (a == NULL) return NULL;
    const cpu_rows_kernels *kernels = CPU_CHOOSE(at->machine->isa, cpu_rows_kernels);
    a->size = row_size(x);
    a->bytes = a->size * m3_dtype_bytes(x->dtype);
    a->sum = x->dtype == M3_F32 ? kernels->sum_f32 : kernels->sum_i32;
    return a;
}

/* gather. */

static void gather_rows(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const rows_args *a = args;
    for (size_t i = begin; i < end; i++) {
        unsigned char *to = a->to + i * a->bytes;
        if (is_row(a, a->ids[i]))
            memcpy(to, a->from + (size_t)a->ids[i] * a->bytes, a->bytes);
        else
            memset(to, 0, a->bytes);
    }
}

static void run_gather(const void *args, const cpu_run *cpu)
{
    const rows_args *a = args;
    if (a->size > 0) cpu_for(cpu, a->ids_count, a->size, gather_rows, a);
}

static m3_status prepare_gather(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_node *node = at->node;
    rows_args *a = rows_of(at, step, run_gather, node->in[M3_GATHER_TABLE], err);
    if (a == NULL) return M3_ERR_MEMORY;
    a->from = at->in[M3_GATHER_TABLE];
    a->ids = at->in[M3_GATHER_IDS];
    a->to = at->out[M3_GATHER_Y];
    a->ids_count = (size_t)m3_tensor_count(node->in[M3_GATHER_IDS]);
    a->rows = (size_t)node->in[M3_GATHER_TABLE]->shape.dim[0];
    a->skip = m3_node_int(node, M3_GATHER_SKIP);
    return M3_OK;
}

/* scatter_add: the numbers of each id's rows one behind another; id j has index[start[j]] to index[start[j + 1] - 1].
 */

typedef struct segments {
    const rows_args *args;
    const uint32_t *start, *index;
} segments;

static void sum_segments(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const segments *s = args;
    const rows_args *a = s->args;
    for (size_t j = begin; j < end; j++) {
        unsigned char *to = a->to + j * a->bytes;
        if (s->start[j + 1] == s->start[j])
            memset(to, 0, a->bytes);
        else
            a->sum(to, a->from, s->index + s->start[j], s->start[j + 1] - s->start[j], a->size);
    }
}

static void run_scatter_add(const void *args, const cpu_run *cpu)
{
    const rows_args *a = args;
    uint32_t *start = cpu->scratch, *index = start + a->rows + 2;
    if (a->size == 0 || a->rows == 0) return;
    /* A counting sort. Counts lie two further: their sums are each id's start at one further and, once its rows are
     * written, its end, which is the start of the next. */
    memset(start, 0, (a->rows + 2) * sizeof *start);
    for (size_t i = 0; i < a->ids_count; i++)
        if (is_row(a, a->ids[i])) start[a->ids[i] + 2]++;
    for (size_t j = 2; j < a->rows + 2; j++) start[j] += start[j - 1];
    for (size_t i = 0; i < a->ids_count; i++)
        if (is_row(a, a->ids[i])) index[start[a->ids[i] + 1]++] = (uint32_t)i;
    segments s = {a, start, index};
    cpu_for(cpu, a->rows, a->size * (1 + a->ids_count / a->rows), sum_segments, &s);
}

static m3_status check_ids(const m3_node *node, m3_error *why)
{
    const m3_tensor *ids = node->in[M3_SCATTER_ADD_IDS]; /* of group_rows too */
    if (m3_tensor_count(ids) <= UINT32_MAX) return M3_OK;
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name, "%llu ids; the cpu backend takes at most 2^32 - 1",
                   (unsigned long long)m3_tensor_count(ids));
}

static m3_status prepare_scatter_add(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_node *node = at->node;
    rows_args *a = rows_of(at, step, run_scatter_add, node->in[M3_SCATTER_ADD_ROWS], err);
    if (a == NULL) return M3_ERR_MEMORY;
    a->ids = at->in[M3_SCATTER_ADD_IDS];
    a->from = at->in[M3_SCATTER_ADD_ROWS];
    a->to = at->out[M3_SCATTER_ADD_Y];
    a->ids_count = (size_t)m3_tensor_count(node->in[M3_SCATTER_ADD_IDS]);
    a->rows = (size_t)node->out[M3_SCATTER_ADD_Y]->shape.dim[0];
    a->skip = m3_node_int(node, M3_SCATTER_ADD_SKIP);
    step->scratch_bytes = (a->rows + 2 + a->ids_count) * sizeof(uint32_t);
    return M3_OK;
}

/* scatter_rows. */

static void copy_bytes(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const rows_args *a = args;
    memcpy(a->to + begin * a->bytes, a->table + begin * a->bytes, (end - begin) * a->bytes);
}

static void replace_rows(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const rows_args *a = args;
    for (size_t i = begin; i < end; i++)
        if (is_row(a, a->ids[i])) memcpy(a->to + (size_t)a->ids[i] * a->bytes, a->from + i * a->bytes, a->bytes);
}

static void run_scatter_rows(const void *args, const cpu_run *cpu)
{
    const rows_args *a = args;
    if (a->size == 0) return;
    if (a->to != a->table) cpu_for(cpu, a->rows, a->size, copy_bytes, a);
    cpu_for(cpu, a->ids_count, a->size, replace_rows, a);
}

static m3_status prepare_scatter_rows(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_node *node = at->node;
    rows_args *a = rows_of(at, step, run_scatter_rows, node->in[M3_SCATTER_ROWS_TABLE], err);
    if (a == NULL) return M3_ERR_MEMORY;
    a->table = at->in[M3_SCATTER_ROWS_TABLE];
    a->ids = at->in[M3_SCATTER_ROWS_IDS];
    a->from = at->in[M3_SCATTER_ROWS_ROWS];
    a->to = at->out[M3_SCATTER_ROWS_Y];
    a->ids_count = (size_t)m3_tensor_count(node->in[M3_SCATTER_ROWS_IDS]);
    a->rows = (size_t)node->in[M3_SCATTER_ROWS_TABLE]->shape.dim[0];
    a->skip = -1;
    return M3_OK;
}

/* group_rows. */

static void run_group_rows(const void *args, const cpu_run *cpu)
{
    const rows_args *a = args;
    const uint32_t *key, *index;
    uint32_t *keys = cpu->scratch, *start = keys + 4 * a->ids_count;
    size_t used = 0, groups = 0;
    for (size_t i = 0; i < a->ids_count; i++) /* ids that name no row sort behind all others */
        keys[i] = a->ids[i] < 0 || a->ids[i] == a->skip ? UINT32_MAX : (uint32_t)a->ids[i];
    cpu_radix_sort(keys, a->ids_count, &key, &index);
    for (; used < a->ids_count && key[used] != UINT32_MAX; used++) {
        if (used > 0 && key[used] == key[used - 1]) continue;
        a->groups[groups] = (int32_t)key[used];
        start[groups++] = (uint32_t)used;
    }
    start[groups] = (uint32_t)used;
    for (size_t i = groups; i < a->ids_count; i++) a->groups[i] = -1;
    if (a->size == 0) return;
    segments s = {a, start, index};
    if (groups > 0) cpu_for(cpu, groups, a->size * (used / groups), sum_segments, &s);
    memset(a->to + groups * a->bytes, 0, (a->ids_count - groups) * a->bytes);
}

static m3_status prepare_group_rows(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_node *node = at->node;
    rows_args *a = rows_of(at, step, run_group_rows, node->in[M3_GROUP_ROWS_ROWS], err);
    if (a == NULL) return M3_ERR_MEMORY;
    a->ids = at->in[M3_GROUP_ROWS_IDS];
    a->from = at->in[M3_GROUP_ROWS_ROWS];
    a->groups = at->out[M3_GROUP_ROWS_DISTINCT];
    a->to = at->out[M3_GROUP_ROWS_SUMS];
    a->ids_count = (size_t)m3_tensor_count(node->in[M3_GROUP_ROWS_IDS]);
    a->skip = m3_node_int(node, M3_GROUP_ROWS_SKIP);
    step->scratch_bytes = cpu_radix_sort_bytes(a->ids_count) + (a->ids_count + 1) * sizeof(uint32_t);
    return M3_OK;
}

const cpu_op cpu_rows_ops[] = {
    {"gather", NULL, prepare_gather},
    {"scatter_add", check_ids, prepare_scatter_add},
    {"scatter_rows", NULL, prepare_scatter_rows},
    {"group_rows", check_ids, prepare_group_rows},
    {0},
};
