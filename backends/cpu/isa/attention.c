/* attention: one head and its gradient; see ops/attention.h. i counts queries, j valid keys, c columns.
 *   s_ij = scale q_i k_j,  p = softmax of s over j,  y_i = sum_j p_ij v_j
 *   dv_j = sum_i p_ij dy_i,  dp_ij = dy_i v_j,  ds_ij = scale p_ij (dp_ij - sum_j p_ij dp_ij)
 *   dq_i = sum_j ds_ij k_j,  dk_j = sum_i ds_ij q_i
 * Masked keys are left out: they are neither read nor multiplied.
 *
 * Queries are computed in blocks of up to QUERIES, one in each lane: q is transposed, and scores are stored as [j][i],
 * so that maxima and sums over keys need no sum across lanes. A block of one query has keys in its lanes instead. All
 * five products are computed in register tiles over rows of whole vectors. Rows of q, k, v and dy are read in place
 * when they are whole vectors and no key between them is masked; else they are packed.
 *
 * A head of 16 bits is widened into scratch first, and its results are rounded from there. */
#include "backends/cpu/ops/attention.h"

#include "backends/cpu/isa/half.h"

enum { QUERIES = 2 * CPU_VW, TILE = CPU_VW == 16 ? 8 : 4 /* rows of a register tile, which is two vectors wide */ };

/* Rows of floats. */
typedef struct rows {
    const float *data;
    size_t stride;
} rows;

/* Pieces of memory, fetched to the second cache line by line: memory is what short heads wait for. */
typedef struct fetch {
    const float *at, *end;
    size_t step; /* a line, or 0 when all is fetched */
    const cpu_piece *next;
    size_t left; /* pieces from `next` on */
} fetch;

/* What lies beyond the end of a piece does no harm, so that loops fetch a line at each step and ask afterwards. */
static void fetch_go_on(fetch *f)
{
    while (f->at >= f->end && f->left > 0) {
        f->at = f->next->at;
        f->end = f->at + f->next->floats;
        f->next++;
        f->left--;
    }
    f->step = f->at < f->end ? 16 : 0;
}

static fetch fetch_begin(const cpu_head *h)
{
    fetch f = {.at = h->q, .end = h->q, .next = h->ahead, .left = CPU_HEAD_PIECES};
    fetch_go_on(&f);
    return f;
}

static inline void fetch_line(fetch *f)
{
    __builtin_prefetch(f->at, 0, 2);
    f->at += f->step;
}

static void fetch_rest(fetch *f)
{
    for (; f->step > 0; fetch_go_on(f))
        for (; f->at < f->end; fetch_line(f)) {
        }
}

/* Products: C[i][j] = sum over k of A[i][k] B[k][j], or that added to C, where B and C have whole vectors. */
typedef struct product {
    const float *a, *b;
    size_t a_row, a_step, b_step; /* A[i][k] lies at a[i * a_row + k * a_step] */
    float *c;
    size_t c_row;
    size_t m, n, k;
    bool add;
    fetch *ahead;
} product;

INLINE void tile(const product *p, size_t i, size_t j, const int m, const int vectors)
{
    const float *a = p->a + i * p->a_row, *b = p->b + j;
    float *c = p->c + i * p->c_row + j;
    vf sum[TILE][2];
    CPU_UNROLL
    for (int r = 0; r < m; r++) {
        CPU_UNROLL
        for (int v = 0; v < vectors; v++) sum[r][v] = p->add ? v_load(c + (size_t)r * p->c_row + v * CPU_VW) : v_zero();
    }
    fetch ahead = *p->ahead;
    for (size_t k = 0; k < p->k; k++, a += p->a_step, b += p->b_step) {
        fetch_line(&ahead);
        vf of_b[2];
        CPU_UNROLL
        for (int v = 0; v < vectors; v++) of_b[v] = v_load(b + v * CPU_VW);
        CPU_UNROLL
        for (int r = 0; r < m; r++) {
            vf of_a = v_set1(a[(size_t)r * p->a_row]);
            CPU_UNROLL
            for (int v = 0; v < vectors; v++) sum[r][v] = v_fma(of_a, of_b[v], sum[r][v]);
        }
    }
    CPU_UNROLL
    for (int r = 0; r < m; r++) {
        CPU_UNROLL
        for (int v = 0; v < vectors; v++) v_store(c + (size_t)r * p->c_row + v * CPU_VW, sum[r][v]);
    }
    p->ahead->at = ahead.at;
    fetch_go_on(p->ahead);
}

INLINE void tiles(const product *p, size_t j, const int vectors)
{
    size_t i = 0;
    for (; i + TILE <= p->m; i += TILE) tile(p, i, j, TILE, vectors);
    if (TILE == 8 && p->m - i >= 4) {
        tile(p, i, j, 4, vectors);
        i += 4;
    }
    switch (p->m - i) {
    case 3: tile(p, i, j, 3, vectors); break;
    case 2: tile(p, i, j, 2, vectors); break;
    case 1: tile(p, i, j, 1, vectors); break;
    default: break;
    }
}

static void multiply(const product *p)
{
    size_t j = 0;
    for (; j + 2 * CPU_VW <= p->n; j += 2 * CPU_VW) tiles(p, j, 2);
    if (j < p->n) tiles(p, j, 1);
}

/* Scratch. */
typedef struct work {
    size_t wide;            /* width, padded to whole vectors */
    size_t n;               /* valid keys, which are valid[0], valid[1], … */
    float *qt, *dyt;        /* [width, QUERIES] */
    float *p, *ds;          /* [keys, QUERIES] */
    float *k, *v, *dk, *dv; /* [keys, wide] */
    float *q, *dy, *out;    /* [QUERIES, wide]; out: y or dq, before it is unpacked */
    uint32_t *valid;        /* [keys] */
    fetch *ahead;
} work;

/* A head of 16 bits as f32. */
static size_t widened_floats(const cpu_head *h)
{
    return h->type == M3_F32 ? 0 : (3 * h->queries + 4 * h->keys) * h->width;
}

static size_t scratch(const cpu_head *h)
{
    const size_t wide = whole_vectors(h->width);
    size_t floats = 2 * h->width * QUERIES + 2 * h->keys * QUERIES + 4 * h->keys * wide + 3 * QUERIES * wide;
    return (widened_floats(h) + floats) * sizeof(float) + h->keys * sizeof(uint32_t);
}

static work work_in(const cpu_head *h, fetch *ahead, float *at)
{
    work w = {.wide = whole_vectors(h->width), .ahead = ahead};
    const size_t queries = QUERIES * w.wide, keys = h->keys * w.wide;
    w.qt = at;
    w.dyt = w.qt + h->width * QUERIES;
    w.p = w.dyt + h->width * QUERIES;
    w.ds = w.p + h->keys * QUERIES;
    w.k = w.ds + h->keys * QUERIES;
    w.v = w.k + keys;
    w.dk = w.v + keys;
    w.dv = w.dk + keys;
    w.q = w.dv + keys;
    w.dy = w.q + queries;
    w.out = w.dy + queries;
    w.valid = (uint32_t *)(void *)(w.out + queries);
    for (size_t j = 0; j < h->keys; j++) {
        w.valid[w.n] = (uint32_t)j;
        w.n += h->mask[j] != 0;
    }
    return w;
}

/* Rows. */

static void copy_row(float *to, const float *from, size_t width, size_t wide)
{
    size_t c = 0;
    for (; c + CPU_VW <= width; c += CPU_VW) v_store(to + c, v_load(from + c));
    if (c < wide) v_store(to + c, v_load_n(from + c, width - c));
}

/* Rows from number `first` on. */
static rows rows_from(const float *x, size_t stride, size_t first)
{
    return (rows){x + first * stride, stride};
}

/* Rows of queries in whole vectors: in place, or packed into `packed`. */
static rows pack_queries(const cpu_head *h, const work *w, rows x, size_t count, float *packed)
{
    if (w->wide == h->width) return x;
    for (size_t i = 0; i < count; i++) copy_row(packed + i * w->wide, x.data + i * x.stride, h->width, w->wide);
    return (rows){packed, w->wide};
}

/* Rows of valid keys in whole vectors, likewise. */
static rows pack_keys(const cpu_head *h, const work *w, const float *x, float *packed)
{
    if (w->wide == h->width && w->n == h->keys) return (rows){x, h->kv_row};
    for (size_t j = 0; j < w->n; j++) copy_row(packed + j * w->wide, x + w->valid[j] * h->kv_row, h->width, w->wide);
    return (rows){packed, w->wide};
}

static void unpack_row(float *to, const float *from, size_t width)
{
    size_t c = 0;
    for (; c + CPU_VW <= width; c += CPU_VW) v_store(to + c, v_load(from + c));
    if (c < width) v_store_n(to + c, width - c, v_load(from + c));
}

static void zero_rows(const cpu_head *h, float *x, size_t stride, size_t count)
{
    for (size_t i = 0; i < count; i++) memset(x + i * stride, 0, h->width * sizeof *x);
}

/* Results of valid keys to their rows, zeros to the others. */
static void unpack_keys(const cpu_head *h, const work *w, float *x, const float *from)
{
    size_t done = 0;
    for (size_t j = 0; j < w->n; j++) {
        zero_rows(h, x + done * h->kv_row, h->kv_row, w->valid[j] - done);
        unpack_row(x + w->valid[j] * h->kv_row, from + j * w->wide, h->width);
        done = w->valid[j] + 1;
    }
    zero_rows(h, x + done * h->kv_row, h->kv_row, h->keys - done);
}

/* to[c][i] = x[i][c], with zeros in the lanes behind the last query. */
static void transpose_queries(const cpu_head *h, rows x, size_t count, float *to)
{
    for (size_t i = 0; i < count; i += CPU_VW) {
        for (size_t c = 0; c < h->width; c += CPU_VW) {
            const float *from = x.data + i * x.stride + c;
            float *at = to + c * QUERIES + i;
            const size_t left = count - i, columns = h->width - c;
            vf part[CPU_VW];
            CPU_UNROLL
            for (size_t r = 0; r < CPU_VW; r++)
                part[r] = r < left ? v_load_part(from + r * x.stride, columns) : v_zero();
            v_transpose(part);
            CPU_UNROLL
            for (size_t r = 0; r < CPU_VW; r++)
                if (r < columns) v_store(at + r * QUERIES, part[r]);
        }
    }
}

/* Scores of a block of queries, and their gradient. */

typedef struct block {
    size_t first, count;         /* queries */
    size_t step_query, step_key; /* p of query i and key j lies at i * step_query + j * step_key */
} block;

/* x[j][i] = key row j times query i. */
static void score_block(const cpu_head *h, const work *w, size_t count, rows keys, const float *queries, float *x)
{
    const product s = {.a = keys.data,
                       .a_row = keys.stride,
                       .a_step = 1,
                       .b = queries,
                       .b_step = QUERIES,
                       .c = x,
                       .c_row = QUERIES,
                       .m = w->n,
                       .n = whole_vectors(count),
                       .k = h->width,
                       .ahead = w->ahead};
    multiply(&s);
}

/* One vector of queries, n keys. */
static void softmax_lanes(float *p, size_t n, float scale)
{
    vf max = v_load(p), sum = v_zero();
    for (size_t j = 1; j < n; j++) max = v_max(max, v_load(p + j * QUERIES));
    for (size_t j = 0; j < n; j++) {
        vf e = v_exp((v_load(p + j * QUERIES) - max) * v_set1(scale));
        v_store(p + j * QUERIES, e);
        sum += e;
    }
    const vf inverse = v_set1(1.0f) / sum;
    for (size_t j = 0; j < n; j++) v_store(p + j * QUERIES, v_load(p + j * QUERIES) * inverse);
}

/* dp becomes ds, in place. */
static void softmax_grad_lanes(const float *p, float *dp, size_t n, float scale)
{
    vf dot = v_zero();
    for (size_t j = 0; j < n; j++) dot = v_fma(v_load(p + j * QUERIES), v_load(dp + j * QUERIES), dot);
    for (size_t j = 0; j < n; j++) {
        vf ds = (v_load(dp + j * QUERIES) - dot) * (v_load(p + j * QUERIES) * v_set1(scale));
        v_store(dp + j * QUERIES, ds);
    }
}

/* The same for a single query, with one key in each lane. */

static void score_single(const work *w, rows keys, const float *query, float *x)
{
    for (size_t j = 0; j < w->n; j++) {
        vf sum = v_zero();
        for (size_t c = 0; c < w->wide; c += CPU_VW)
            sum = v_fma(v_load(keys.data + j * keys.stride + c), v_load(query + c), sum);
        x[j] = v_sum(sum);
    }
}

static void softmax_row(float *p, size_t n, float scale)
{
    vf max = v_set1(-INFINITY), sum = v_zero();
    for (size_t j = 0; j < n; j += CPU_VW)
        max = v_max(max, v_first_or(v_load_part(p + j, n - j), n - j, v_set1(-INFINITY)));
    max = v_set1(v_max_of(max));
    for (size_t j = 0; j < n; j += CPU_VW) {
        vf e = v_exp((v_load_part(p + j, n - j) - max) * v_set1(scale));
        v_store_part(p + j, n - j, e);
        sum += v_first_or(e, n - j, v_zero());
    }
    const vf inverse = v_set1(1.0f / v_sum(sum));
    for (size_t j = 0; j < n; j += CPU_VW) v_store_part(p + j, n - j, v_load_part(p + j, n - j) * inverse);
}

static void softmax_grad_row(const float *p, float *dp, size_t n, float scale)
{
    vf sum = v_zero();
    for (size_t j = 0; j < n; j += CPU_VW) sum = v_fma(v_load_part(p + j, n - j), v_load_part(dp + j, n - j), sum);
    const vf dot = v_set1(v_sum(sum));
    for (size_t j = 0; j < n; j += CPU_VW) {
        vf ds = (v_load_part(dp + j, n - j) - dot) * (v_load_part(p + j, n - j) * v_set1(scale));
        v_store_part(dp + j, n - j, ds);
    }
}

/* The probabilities of a block. */
static block probabilities(const cpu_head *h, const work *w, size_t first, rows keys)
{
    const rows q = rows_from(h->q, h->q_row, first);
    const size_t left = h->queries - first;
    if (left == 1) {
        score_single(w, keys, pack_queries(h, w, q, 1, w->q).data, w->p);
        softmax_row(w->p, w->n, h->scale);
        return (block){first, 1, 0, 1};
    }
    const block b = {first, left < QUERIES ? left : QUERIES, 1, QUERIES};
    transpose_queries(h, q, b.count, w->qt);
    score_block(h, w, b.count, keys, w->qt, w->p);
    for (size_t i = 0; i < b.count; i += CPU_VW) softmax_lanes(w->p + i, w->n, h->scale);
    return b;
}

/* The gradient of a block's scores. */
static void score_gradients(const cpu_head *h, const work *w, block b, rows values, rows dy)
{
    if (b.count == 1 && b.step_key == 1) {
        score_single(w, values, pack_queries(h, w, dy, 1, w->dy).data, w->ds);
        softmax_grad_row(w->p, w->ds, w->n, h->scale);
        return;
    }
    transpose_queries(h, dy, b.count, w->dyt);
    score_block(h, w, b.count, values, w->dyt, w->ds);
    for (size_t i = 0; i < b.count; i += CPU_VW) softmax_grad_lanes(w->p + i, w->ds + i, w->n, h->scale);
}

/* to[i] = sum_j x[i][j] rows[j] of the block's queries. */
static void sum_over_keys(const cpu_head *h, const work *w, block b, const float *x, rows keys, float *to,
                          size_t to_row)
{
    const bool in_place = w->wide == h->width;
    float *c = to + b.first * to_row;
    const product s = {.a = x,
                       .a_row = b.step_query,
                       .a_step = b.step_key,
                       .b = keys.data,
                       .b_step = keys.stride,
                       .c = in_place ? c : w->out,
                       .c_row = in_place ? to_row : w->wide,
                       .m = b.count,
                       .n = w->wide,
                       .k = w->n,
                       .ahead = w->ahead};
    multiply(&s);
    for (size_t i = 0; i < b.count && !in_place; i++) unpack_row(c + i * to_row, w->out + i * w->wide, h->width);
}

/* to[j] += sum_i x[i][j] rows[i]; the first block sets to[j]. */
static void sum_over_queries(const work *w, block b, const float *x, rows queries, float *to, size_t to_row)
{
    const product s = {.a = x,
                       .a_row = b.step_key,
                       .a_step = b.step_query,
                       .b = queries.data,
                       .b_step = queries.stride,
                       .c = to,
                       .c_row = to_row,
                       .m = w->n,
                       .n = w->wide,
                       .k = b.count,
                       .add = b.first > 0,
                       .ahead = w->ahead};
    multiply(&s);
}

static void forward_f32(const cpu_head *h, float *y, void *memory)
{
    fetch ahead = fetch_begin(h);
    const work w = work_in(h, &ahead, memory);
    if (w.n == 0) {
        zero_rows(h, y, h->y_row, h->queries);
        return;
    }
    const rows keys = pack_keys(h, &w, h->k, w.k), values = pack_keys(h, &w, h->v, w.v);
    for (size_t first = 0; first < h->queries;) {
        const block b = probabilities(h, &w, first, keys);
        sum_over_keys(h, &w, b, w.p, values, y, h->y_row);
        first += b.count;
    }
    fetch_rest(&ahead);
}

static void backward_f32(const cpu_head *h, const float *dy, float *dq, float *dk, float *dv, void *memory)
{
    fetch ahead = fetch_begin(h);
    const work w = work_in(h, &ahead, memory);
    if (w.n == 0 || h->queries == 0) {
        zero_rows(h, dq, h->q_row, h->queries);
        zero_rows(h, dk, h->kv_row, h->keys);
        zero_rows(h, dv, h->kv_row, h->keys);
        return;
    }
    const rows keys = pack_keys(h, &w, h->k, w.k), values = pack_keys(h, &w, h->v, w.v);
    const bool in_place = w.wide == h->width && w.n == h->keys;
    const size_t row = in_place ? h->kv_row : w.wide;
    for (size_t first = 0; first < h->queries;) {
        const block b = probabilities(h, &w, first, keys);
        score_gradients(h, &w, b, values, rows_from(dy, h->y_row, first));
        const rows q = pack_queries(h, &w, rows_from(h->q, h->q_row, first), b.count, w.q);
        const rows dy_rows = pack_queries(h, &w, rows_from(dy, h->y_row, first), b.count, w.dy);
        sum_over_keys(h, &w, b, w.ds, keys, dq, h->q_row);
        sum_over_queries(&w, b, w.ds, q, in_place ? dk : w.dk, row);
        sum_over_queries(&w, b, w.p, dy_rows, in_place ? dv : w.dv, row);
        first += b.count;
    }
    fetch_rest(&ahead);
    if (in_place) return;
    unpack_keys(h, &w, dk, w.dk);
    unpack_keys(h, &w, dv, w.dv);
}

/* 16 bits. */

INLINE void widen(const cpu_head *h, const void *from, size_t stride, size_t count, float *to, const m3_dtype type)
{
    for (size_t i = 0; i < count; i++, to += h->width) {
        const size_t at = i * stride;
        size_t c = 0;
        for (; c + CPU_VW <= h->width; c += CPU_VW) v_store(to + c, v_load_as(from, at + c, CPU_VW, type));
        if (c < h->width) v_store_n(to + c, h->width - c, v_load_as(from, at + c, h->width - c, type));
    }
}

INLINE void narrow(const cpu_head *h, const float *from, size_t count, void *to, size_t stride, const m3_dtype type)
{
    for (size_t i = 0; i < count; i++, from += h->width) {
        const size_t at = i * stride;
        size_t c = 0;
        for (; c + CPU_VW <= h->width; c += CPU_VW) v_store_as(to, at + c, CPU_VW, v_load(from + c), type);
        if (c < h->width) v_store_as(to, at + c, h->width - c, v_load_n(from + c, h->width - c), type);
    }
}

/* The head in f32: q at `to`, then k, then v. */
INLINE cpu_head widen_head(const cpu_head *h, float *to, const m3_dtype type)
{
    cpu_head wide = *h;
    float *k = to + h->queries * h->width, *v = k + h->keys * h->width;
    widen(h, h->q, h->q_row, h->queries, to, type);
    widen(h, h->k, h->kv_row, h->keys, k, type);
    widen(h, h->v, h->kv_row, h->keys, v, type);
    wide.q_row = wide.kv_row = wide.y_row = h->width;
    wide.q = to;
    wide.k = k;
    wide.v = v;
    return wide;
}

INLINE void forward_as(const cpu_head *h, void *y, float *memory, const m3_dtype type)
{
    float *result = memory + (h->queries + 2 * h->keys) * h->width;
    const cpu_head wide = widen_head(h, memory, type);
    forward_f32(&wide, result, memory + widened_floats(h));
    narrow(h, result, h->queries, y, h->y_row, type);
}

INLINE void backward_as(const cpu_head *h, const void *dy, void *dq, void *dk, void *dv, float *memory,
                        const m3_dtype type)
{
    const size_t queries = h->queries * h->width, keys = h->keys * h->width;
    float *dy_wide = memory + queries + 2 * keys, *result = dy_wide + queries;
    const cpu_head wide = widen_head(h, memory, type);
    widen(h, dy, h->y_row, h->queries, dy_wide, type);
    backward_f32(&wide, dy_wide, result, result + queries, result + queries + keys, memory + widened_floats(h));
    narrow(h, result, h->queries, dq, h->q_row, type);
    narrow(h, result + queries, h->keys, dk, h->kv_row, type);
    narrow(h, result + queries + keys, h->keys, dv, h->kv_row, type);
}

static void forward(const cpu_head *h, void *y, void *memory)
{
    if (h->type == M3_BF16)
        forward_as(h, y, memory, M3_BF16);
    else if (h->type == M3_F16)
        forward_as(h, y, memory, M3_F16);
    else
        forward_f32(h, y, memory);
}

static void backward(const cpu_head *h, const void *dy, void *dq, void *dk, void *dv, void *memory)
{
    if (h->type == M3_BF16)
        backward_as(h, dy, dq, dk, dv, memory, M3_BF16);
    else if (h->type == M3_F16)
        backward_as(h, dy, dq, dk, dv, memory, M3_F16);
    else
        backward_f32(h, dy, dq, dk, dv, memory);
}

const cpu_attention_kernels CPU_FN(cpu_attention_kernels) = {scratch, forward, backward};
