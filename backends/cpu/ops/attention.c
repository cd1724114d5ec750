/* attention and attention_packed, and their gradients: q [rows, queries, heads, width], k and v [rows, keys, heads,
 * width], mask [rows, keys]; packed, they are columns of one tensor or two. A unit of work is a row and a head, whose
 * matrices stay in the first cache. */
#include "backends/cpu/ops/attention.h"

#include <math.h>
#include <string.h>

#include "m3bsr/ops.h"

typedef struct attention_args {
    const cpu_attention_kernels *kernels;
    cpu_head head; /* row 0, head 0 */
    size_t rows, heads, scratch_bytes;
    size_t bytes;                       /* of an element */
    const void *dy;                     /* of the gradient, else NULL */
    unsigned char *out[3];              /* y; or dq, dk, dv */
    const void *whole[CPU_HEAD_PIECES]; /* tensors to fetch: q, k, v, y or dq, dy, dk, dv; NULL: part of another */
} attention_args;

static const void *move(const void *x, size_t bytes)
{
    return (const unsigned char *)x + bytes;
}

/* Where a unit's rows begin in each kind of tensor, in bytes. */
typedef struct place {
    size_t q, kv, y;
} place;

static cpu_head head_of(const attention_args *a, size_t unit, place *at)
{
    const size_t row = unit / a->heads, column = unit % a->heads * a->head.width;
    cpu_head h = a->head;
    *at = (place){(row * h.queries * h.q_row + column) * a->bytes, (row * h.keys * h.kv_row + column) * a->bytes,
                  (row * h.queries * h.y_row + column) * a->bytes};
    h.q = move(h.q, at->q);
    h.k = move(h.k, at->kv);
    h.v = move(h.v, at->kv);
    h.mask += row * h.keys;
    return h;
}

/* The share of a head in `count` rows of x, as if they were divided among the heads one after another. */
static cpu_piece piece_of(const attention_args *a, const void *x, size_t unit, size_t count, size_t row_length)
{
    const size_t row = unit / a->heads + 1, bytes = row_length / a->heads * a->bytes * count;
    return x != NULL ? (cpu_piece){move(x, (row * a->heads + unit % a->heads) * bytes), bytes / sizeof(float)}
                     : (cpu_piece){0};
}

/* While a head computes it fetches its share of the next row: all of that lies in one piece, its own part does not. */
static void fetch_next_row(const attention_args *a, size_t unit, cpu_head *h)
{
    enum { Q, K, V, FIRST_OUT, DY, DK, DV };
    if (unit / a->heads + 1 == a->rows) return;
    const size_t out_row = a->dy == NULL ? h->y_row : h->q_row;
    h->ahead[Q] = piece_of(a, a->whole[Q], unit, h->queries, h->q_row);
    h->ahead[K] = piece_of(a, a->whole[K], unit, h->keys, h->kv_row);
    h->ahead[V] = piece_of(a, a->whole[V], unit, h->keys, h->kv_row);
    h->ahead[FIRST_OUT] = piece_of(a, a->whole[FIRST_OUT], unit, h->queries, out_row);
    h->ahead[DY] = piece_of(a, a->whole[DY], unit, h->queries, h->y_row);
    h->ahead[DK] = piece_of(a, a->whole[DK], unit, h->keys, h->kv_row);
    h->ahead[DV] = piece_of(a, a->whole[DV], unit, h->keys, h->kv_row);
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
        place at;
        cpu_head h = head_of(a, unit, &at);
        fetch_next_row(a, unit, &h);
        if (a->dy == NULL)
            a->kernels->forward(&h, a->out[M3_ATTENTION_Y] + at.y, scratch);
        else
            a->kernels->backward(&h, move(a->dy, at.y), a->out[M3_ATTENTION_GRAD_DQ] + at.q,
                                 a->out[M3_ATTENTION_GRAD_DK] + at.kv, a->out[M3_ATTENTION_GRAD_DV] + at.kv, scratch);
    }
}

static void run(const void *args, const cpu_run *cpu)
{
    const attention_args *a = args;
    const heads all = {a, cpu};
    cpu_for(cpu, a->rows * a->heads, a->head.queries * (1 + a->head.keys * a->head.width), run_heads, &all);
}

/* q, k and v, their gradients, and dy of the gradient: where they lie. */
static void bind(const cpu_node *at, attention_args *a, bool gradient)
{
    cpu_head *h = &a->head;
    h->q = at->in[M3_ATTENTION_Q];
    h->k = at->in[M3_ATTENTION_K];
    h->v = at->in[M3_ATTENTION_V];
    h->mask = at->in[M3_ATTENTION_MASK];
    a->dy = gradient ? at->in[M3_ATTENTION_GRAD_DY] : NULL;
    for (uint32_t i = 0; i < at->node->out_count; i++) a->out[i] = at->out[i];
    const void *whole[CPU_HEAD_PIECES] = {h->q, h->k, h->v, a->out[0], a->dy, a->out[1], a->out[2]};
    memcpy(a->whole, whole, sizeof whole);
}

/* The same of packed ones: k lies behind q or begins kv, and v lies behind k. */
static void bind_packed(const cpu_node *at, attention_args *a, bool gradient)
{
    cpu_head *h = &a->head;
    const m3_tensor *kv = m3_node_input(at->node, M3_ATTENTION_PACKED_KV);
    const size_t d = h->y_row * a->bytes, from = kv != NULL ? M3_ATTENTION_PACKED_KV : M3_ATTENTION_PACKED_Q;
    const size_t k_at = kv != NULL ? 0 : d;
    h->q = at->in[M3_ATTENTION_PACKED_Q];
    h->k = move(at->in[from], k_at);
    h->v = move(at->in[from], k_at + d);
    h->mask = at->in[M3_ATTENTION_PACKED_MASK];
    a->out[0] = at->out[0];
    a->dy = NULL;
    if (gradient) {
        unsigned char *dkv = at->out[kv != NULL ? M3_ATTENTION_PACKED_GRAD_DKV : M3_ATTENTION_PACKED_GRAD_DQ];
        a->dy = at->in[M3_ATTENTION_PACKED_GRAD_DY];
        a->out[M3_ATTENTION_GRAD_DK] = dkv + k_at;
        a->out[M3_ATTENTION_GRAD_DV] = dkv + k_at + d;
    }
    const void *other = kv != NULL && gradient ? at->out[M3_ATTENTION_PACKED_GRAD_DKV] : NULL;
    const void *whole[CPU_HEAD_PIECES] = {h->q, kv != NULL ? h->k : NULL, NULL, a->out[0], a->dy, other, NULL};
    memcpy(a->whole, whole, sizeof whole);
}

static bool is_packed(const m3_node *node)
{
    return strcmp(node->op->name, "attention_packed") == 0 || strcmp(node->op->name, "attention_packed_grad") == 0;
}

static const m3_tensor *keys_of(const m3_node *node)
{
    const m3_tensor *k = m3_node_input(node, M3_ATTENTION_K);
    return is_packed(node) && k == NULL ? node->in[M3_ATTENTION_PACKED_Q] : k;
}

_Static_assert(M3_ATTENTION_Q == (int)M3_ATTENTION_PACKED_Q && M3_ATTENTION_K == (int)M3_ATTENTION_PACKED_KV,
               "queries come first, then what begins with keys");

static m3_status prepare(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_node *node = at->node;
    const m3_tensor *q = node->in[M3_ATTENTION_Q], *k = keys_of(node);
    const bool packed = is_packed(node);
    const bool gradient =
        node->in_count == (packed ? (uint32_t)M3_ATTENTION_PACKED_GRAD_INPUTS : M3_ATTENTION_GRAD_INPUTS);
    attention_args *a = cpu_step_args(at, step, run, sizeof *a, err);
    if (a == NULL) return M3_ERR_MEMORY;
    a->kernels = CPU_CHOOSE(at->machine->isa, cpu_attention_kernels);
    a->heads = (size_t)m3_node_int(node, M3_ATTENTION_HEADS);
    a->rows = 1;
    for (uint32_t i = 0; i + 2 < q->shape.rank; i++) a->rows *= (size_t)q->shape.dim[i];
    cpu_head *h = &a->head;
    h->queries = (size_t)q->shape.dim[q->shape.rank - 2];
    h->keys = (size_t)k->shape.dim[k->shape.rank - 2];
    h->q_row = cpu_row_length(q);
    h->kv_row = cpu_row_length(k);
    h->y_row = packed && m3_node_input(node, M3_ATTENTION_PACKED_KV) == NULL ? h->q_row / 3 : h->q_row;
    h->width = h->y_row / a->heads;
    h->type = q->dtype;
    a->bytes = m3_dtype_bytes(q->dtype);
    h->scale = (float)(1.0 / sqrt((double)h->width));
    if (packed)
        bind_packed(at, a, gradient);
    else
        bind(at, a, gradient);
    a->scratch_bytes = a->kernels->scratch(h);
    step->scratch_bytes = cpu_align(a->scratch_bytes) * at->threads;
    return M3_OK;
}

/* Keys are counted in 32 bits. */
static m3_status check_keys(const m3_node *node, m3_error *why)
{
    const m3_tensor *k = keys_of(node);
    const uint64_t keys = k->shape.dim[k->shape.rank - 2];
    if (keys <= UINT32_MAX) return M3_OK;
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name, "%llu keys; the cpu backend takes at most 2^32 - 1",
                   (unsigned long long)keys);
}

const cpu_op cpu_attention_ops[] = {{"attention", check_keys, prepare},
                                    {"attention_grad", check_keys, prepare},
                                    {"attention_packed", check_keys, prepare},
                                    {"attention_packed_grad", check_keys, prepare},
                                    {0}};
