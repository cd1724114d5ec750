/* attention and attention_grad: q [rows, queries, heads, width], k and v [rows, keys, heads, width], mask [rows, keys].
 * A unit of work is a row and a head, whose matrices stay in the first cache. */
#include "backends/cpu/ops/attention.h"

#include <math.h>

#include "m3bsr/ops.h"

typedef struct attention_args {
    const cpu_attention_kernels *kernels;
    cpu_head head; /* row 0, head 0 */
    size_t rows, heads, scratch_bytes;
    size_t bytes;          /* of an element */
    const void *dy;        /* of the gradient, else NULL */
    unsigned char *out[3]; /* y; or dq, dk, dv */
} attention_args;

static const void *move(const void *x, size_t bytes)
{
    return (const unsigned char *)x + bytes;
}

/* The head of a unit, and the offsets of its queries and keys, in bytes. */
static cpu_head head_of(const attention_args *a, size_t unit, size_t *query_at, size_t *key_at)
{
    const size_t row = unit / a->heads, column = unit % a->heads * a->head.width;
    cpu_head h = a->head;
    *query_at = (row * h.queries * h.stride + column) * a->bytes;
    *key_at = (row * h.keys * h.stride + column) * a->bytes;
    h.q = move(h.q, *query_at);
    h.k = move(h.k, *key_at);
    h.v = move(h.v, *key_at);
    h.mask += row * h.keys;
    return h;
}

static cpu_piece piece_of(const void *x, size_t at, size_t bytes)
{
    return x != NULL ? (cpu_piece){move(x, at), bytes / sizeof(float)} : (cpu_piece){0};
}

/* While a head computes it fetches its share of the next row: all of that lies in one piece, its own part does not. */
static void fetch_next_row(const attention_args *a, size_t unit, cpu_head *h)
{
    const size_t row = unit / a->heads + 1, share = unit % a->heads * h->width;
    if (row == a->rows) return;
    const size_t before = (row * h->stride + share) * a->bytes, width = h->width * a->bytes;
    const size_t queries = h->queries * width, keys = h->keys * width;
    const size_t query_at = before * h->queries, key_at = before * h->keys;
    h->ahead[0] = piece_of(a->head.q, query_at, queries);
    h->ahead[1] = piece_of(a->head.k, key_at, keys);
    h->ahead[2] = piece_of(a->head.v, key_at, keys);
    h->ahead[3] = piece_of(a->out[0], query_at, queries); /* y or dq */
    h->ahead[4] = piece_of(a->dy, query_at, queries);
    h->ahead[5] = piece_of(a->out[1], key_at, keys);
    h->ahead[6] = piece_of(a->out[2], key_at, keys);
}

typedef struct heads {
    const attention_args *args;
    const cpu_run *cpu;
} heads;

static void run_heads(const void *args, size_t begin, size_t end, uint32_t worker)
{
    const heads *all = args;
    const attention_args *a = all->args;
    void *scratch = cpu_worker_scratch(all->cpu, a->scratch_bytes, worker);
    for (size_t unit = begin; unit < end; unit++) {
        size_t query_at, key_at;
        cpu_head h = head_of(a, unit, &query_at, &key_at);
        fetch_next_row(a, unit, &h);
        if (a->dy == NULL)
            a->kernels->forward(&h, a->out[M3_ATTENTION_Y] + query_at, scratch);
        else
            a->kernels->backward(&h, move(a->dy, query_at), a->out[M3_ATTENTION_GRAD_DQ] + query_at,
                                 a->out[M3_ATTENTION_GRAD_DK] + key_at, a->out[M3_ATTENTION_GRAD_DV] + key_at, scratch);
    }
}

static void run(const void *args, const cpu_run *cpu)
{
    const attention_args *a = args;
    const heads all = {a, cpu};
    cpu_for(cpu, a->rows * a->heads, a->head.queries * (1 + a->head.keys * a->head.width), run_heads, &all);
}

static m3_status prepare(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_node *node = at->node;
    const m3_tensor *q = node->in[M3_ATTENTION_Q], *k = node->in[M3_ATTENTION_K];
    attention_args *a = cpu_step_args(at, step, run, sizeof *a, err);
    if (a == NULL) return M3_ERR_MEMORY;
    a->kernels = CPU_CHOOSE(at->machine->isa, cpu_attention_kernels);
    a->heads = (size_t)m3_node_int(node, M3_ATTENTION_HEADS);
    a->rows = 1;
    for (uint32_t i = 0; i + 2 < q->shape.rank; i++) a->rows *= (size_t)q->shape.dim[i];
    cpu_head *h = &a->head;
    h->queries = (size_t)q->shape.dim[q->shape.rank - 2];
    h->keys = (size_t)k->shape.dim[k->shape.rank - 2];
    h->stride = cpu_row_length(q);
    h->width = h->stride / a->heads;
    h->type = q->dtype;
    a->bytes = m3_dtype_bytes(q->dtype);
    h->scale = (float)(1.0 / sqrt((double)h->width));
    h->q = at->in[M3_ATTENTION_Q];
    h->k = at->in[M3_ATTENTION_K];
    h->v = at->in[M3_ATTENTION_V];
    h->mask = at->in[M3_ATTENTION_MASK];
    a->dy = node->in_count == M3_ATTENTION_GRAD_INPUTS ? at->in[M3_ATTENTION_GRAD_DY] : NULL;
    for (uint32_t i = 0; i < node->out_count; i++) a->out[i] = at->out[i];
    a->scratch_bytes = a->kernels->scratch(h);
    step->scratch_bytes = cpu_align(a->scratch_bytes) * at->threads;
    return M3_OK;
}

/* Keys are counted in 32 bits. */
static m3_status check_keys(const m3_node *node, m3_error *why)
{
    const m3_tensor *k = node->in[M3_ATTENTION_K];
    const uint64_t keys = k->shape.dim[k->shape.rank - 2];
    if (keys <= UINT32_MAX) return M3_OK;
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name, "%llu keys; the cpu backend takes at most 2^32 - 1",
                   (unsigned long long)keys);
}

const cpu_op cpu_attention_ops[] = {{"attention", check_keys, prepare}, {"attention_grad", check_keys, prepare}, {0}};
