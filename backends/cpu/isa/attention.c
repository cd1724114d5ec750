/* attention: one head and its gradient; see ops/attention.h. i counts queries, j valid keys, c columns.
 *   s_ij = scale q_i k_j,  p = softmax of s over j,  y_i = sum_j p_ij v_j
 *   dv_j = sum_i p_ij dy_i,  dp_ij = dy_i v_j,  ds_ij = scale p_ij (dp_ij - sum_j p_ij dp_ij)
 *   dq_i = sum_j ds_ij k_j,  dk_j = sum_i ds_ij q_i
 * Masked keys are left out from the start: they are neither read nor multiplied.
 *
 * Queries come in blocks of up to QUERIES, which lie in the lanes: q is transposed, and scores are kept as [j][i], so
 * that maxima and sums over keys need no sum across lanes. A block of one query has keys in its lanes instead.
 * All five products run in tiles of registers over rows of whole vectors. Rows of q, k, v and dy are used where they
 * lie when they are whole vectors and no key between them is masked, else they are copied. */
#include "backends/cpu/ops/attention.h"

#include "backends/cpu/isa/row.h"

enum { QUERIES = 2 * CPU_VW, TILE = CPU_VW == 16 ? 8 : 4 /* rows of a tile, of two vectors */ };

/* Rows of floats. */
typedef struct rows {
    const float *data;
    size_t stride;
} rows;

/* Products: C[i][j] = sum over k of A[i][k] B[k][j], or that added to C, where B and C have whole vectors. */
typedef struct product {
    const float *a, *b;
    size_t a_row, a_step, b_step; /* A[i][k] lies at a[i * a_row + k * a_step] */
    float *c;
    size_t c_row;
    size_t m, n, k;
    bool add;
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
    for (size_t k = 0; k < p->k; k++, a += p->a_step, b += p->b_step) {
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

/* What lies in scratch. */
typedef struct work {
    size_t wide;              /* width in whole vectors */
    size_t n;                 /* valid keys, at place[0], place[1], … */
    float *qt, *dyt;          /* [width, QUERIES] */
    float *p, *ds;            /* [keys, QUERIES] */
    float *k, *v, *dk, *dv;   /* [keys, wide] */
    float *q, *dy, *of_query; /* [QUERIES, wide]; y or dq before it goes home */
    uint32_t *place;          /* [keys] */
} work;

static size_t scratch(const cpu_head *h)
{
    const size_t wide = whole_vectors(h->width);
    size_t floats = 2 * h->width * QUERIES + 2 * h->keys * QUERIES + 4 * h->keys * wide + 3 * QUERIES * wide;
    return floats * sizeof(float) + h->keys * sizeof(uint32_t);
}

static work work_in(const cpu_head *h, float *at)
{
    work w = {.wide = whole_vectors(h->width)};
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
    w.of_query = w.dy + queries;
    w.place = (uint32_t *)(void *)(w.of_query + queries);
    for (size_t j = 0; j < h->keys; j++) {
        w.place[w.n] = (uint32_t)j;
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

/* Rows of queries in whole vectors. */
static rows of_queries(const cpu_head *h, const work *w, const float *x, size_t count, float *room)
{
    if (w->wide == h->width) return (rows){x, h->stride};
    for (size_t i = 0; i < count; i++) copy_row(room + i * w->wide, x + i * h->stride, h->width, w->wide);
    return (rows){room, w->wide};
}

/* Rows of valid keys in whole vectors. */
static rows of_keys(const cpu_head *h, const work *w, const float *x, float *room)
{
    if (w->wide == h->width && w->n == h->keys) return (rows){x, h->stride};
    for (size_t j = 0; j < w->n; j++) copy_row(room + j * w->wide, x + w->place[j] * h->stride, h->width, w->wide);
    return (rows){room, w->wide};
}

static void put_row(float *to, const float *from, size_t width)
{
    size_t c = 0;
    for (; c + CPU_VW <= width; c += CPU_VW) v_store(to + c, v_load(from + c));
    if (c < width) v_store_n(to + c, width - c, v_load(from + c));
}

static void put_zeros(const cpu_head *h, float *x, size_t count)
{
    for (size_t i = 0; i < count; i++) memset(x + i * h->stride, 0, h->width * sizeof *x);
}

/* Results of valid keys to their places, zeros between them. */
static void put_keys(const cpu_head *h, const work *w, float *x, const float *from)
{
    size_t done = 0;
    for (size_t j = 0; j < w->n; j++) {
        put_zeros(h, x + done * h->stride, w->place[j] - done);
        put_row(x + w->place[j] * h->stride, from + j * w->wide, h->width);
        done = w->place[j] + 1;
    }
    put_zeros(h, x + done * h->stride, h->keys - done);
}

/* to[c][i] = x[i][c], with zeros in the lanes behind the last query. */
static void transpose_queries(const cpu_head *h, const float *x, size_t count, float *to)
{
    for (size_t i = 0; i < count; i += CPU_VW) {
        for (size_t c = 0; c < h->width; c += CPU_VW) {
            const float *from = x + i * h->stride + c;
            float *at = to + c * QUERIES + i;
            const size_t left = count - i, columns = h->width - c;
            vf part[CPU_VW];
            CPU_UNROLL
            for (size_t r = 0; r < CPU_VW; r++)
                part[r] = r < left ? v_load_part(from + r * h->stride, columns) : v_zero();
            v_transpose(part);
            CPU_UNROLL
            for (size_t r = 0; r < CPU_VW; r++)
                if (r < columns) v_store(at + r * QUERIES, part[r]);
        }
    }
}

/* A block of queries: scores and their gradient. */

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
                       .k = h->width};
    multiply(&s);
}

/* One vector of queries, n keys. */
static void softmax_lanes(float *p, size_t n, float scale)
{
    vf most = v_load(p), sum = v_zero();
    for (size_t j = 1; j < n; j++) most = v_max(most, v_load(p + j * QUERIES));
    for (size_t j = 0; j < n; j++) {
        vf e = v_exp((v_load(p + j * QUERIES) - most) * v_set1(scale));
        v_store(p + j * QUERIES, e);
        sum += e;
    }
    const vf share = v_set1(1.0f) / sum;
    for (size_t j = 0; j < n; j++) v_store(p + j * QUERIES, v_load(p + j * QUERIES) * share);
}

/* dp becomes ds. */
static void slope_lanes(const float *p, float *dp, size_t n, float scale)
{
    vf dot = v_zero();
    for (size_t j = 0; j < n; j++) dot = v_fma(v_load(p + j * QUERIES), v_load(dp + j * QUERIES), dot);
    for (size_t j = 0; j < n; j++) {
        vf ds = (v_load(dp + j * QUERIES) - dot) * (v_load(p + j * QUERIES) * v_set1(scale));
        v_store(dp + j * QUERIES, ds);
    }
}

/* The same of a single query, whose keys lie in the lanes. */

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
    vf most = v_set1(-INFINITY), sum = v_zero();
    for (size_t j = 0; j < n; j += CPU_VW)
        most = v_max(most, v_first_or(v_load_part(p + j, n - j), n - j, v_set1(-INFINITY)));
    most = v_set1(v_max_of(most));
    for (size_t j = 0; j < n; j += CPU_VW) {
        vf e = v_exp((v_load_part(p + j, n - j) - most) * v_set1(scale));
        v_store_part(p + j, n - j, e);
        sum += v_first_or(e, n - j, v_zero());
    }
    const vf share = v_set1(1.0f / v_sum(sum));
    for (size_t j = 0; j < n; j += CPU_VW) v_store_part(p + j, n - j, v_load_part(p + j, n - j) * share);
}

static void slope_row(const float *p, float *dp, size_t n, float scale)
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
    const float *q = h->q + first * h->stride;
    const size_t left = h->queries - first;
    if (left == 1) {
        score_single(w, keys, of_queries(h, w, q, 1, w->q).data, w->p);
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
static void slopes(const cpu_head *h, const work *w, block b, rows values, const float *dy)
{
    if (b.count == 1 && b.step_key == 1) {
        score_single(w, values, of_queries(h, w, dy, 1, w->dy).data, w->ds);
        slope_row(w->p, w->ds, w->n, h->scale);
        return;
    }
    transpose_queries(h, dy, b.count, w->dyt);
    score_block(h, w, b.count, values, w->dyt, w->ds);
    for (size_t i = 0; i < b.count; i += CPU_VW) slope_lanes(w->p + i, w->ds + i, w->n, h->scale);
}

/* to[i] = sum_j x[i][j] rows[j] of the block's queries. */
static void sum_over_keys(const cpu_head *h, const work *w, block b, const float *x, rows keys, float *to)
{
    const bool home = w->wide == h->width;
    float *c = to + b.first * h->stride;
    const product s = {.a = x,
                       .a_row = b.step_query,
                       .a_step = b.step_key,
                       .b = keys.data,
                       .b_step = keys.stride,
                       .c = home ? c : w->of_query,
                       .c_row = home ? h->stride : w->wide,
                       .m = b.count,
                       .n = w->wide,
                       .k = w->n};
    multiply(&s);
    for (size_t i = 0; i < b.count && !home; i++) put_row(c + i * h->stride, w->of_query + i * w->wide, h->width);
}

/* to[j] += sum_i x[i][j] rows[i], where the first block finds nothing to add to. */
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
                       .add = b.first > 0};
    multiply(&s);
}

static void forward(const cpu_head *h, float *y, void *room)
{
    const work w = work_in(h, room);
    if (w.n == 0) {
        put_zeros(h, y, h->queries);
        return;
    }
    const rows keys = of_keys(h, &w, h->k, w.k), values = of_keys(h, &w, h->v, w.v);
    for (size_t first = 0; first < h->queries;) {
        const block b = probabilities(h, &w, first, keys);
        sum_over_keys(h, &w, b, w.p, values, y);
        first += b.count;
    }
}

static void backward(const cpu_head *h, const float *dy, float *dq, float *dk, float *dv, void *room)
{
    const work w = work_in(h, room);
    if (w.n == 0 || h->queries == 0) {
        put_zeros(h, dq, h->queries);
        put_zeros(h, dk, h->keys);
        put_zeros(h, dv, h->keys);
        return;
    }
    const rows keys = of_keys(h, &w, h->k, w.k), values = of_keys(h, &w, h->v, w.v);
    const bool home = w.wide == h->width && w.n == h->keys;
    const size_t row = home ? h->stride : w.wide;
    for (size_t first = 0; first < h->queries;) {
        const block b = probabilities(h, &w, first, keys);
        slopes(h, &w, b, values, dy + first * h->stride);
        const rows q = of_queries(h, &w, h->q + first * h->stride, b.count, w.q);
        const rows of_dy = of_queries(h, &w, dy + first * h->stride, b.count, w.dy);
        sum_over_keys(h, &w, b, w.ds, keys, dq);
        sum_over_queries(&w, b, w.ds, q, home ? dk : w.dk, row);
        sum_over_queries(&w, b, w.p, of_dy, home ? dv : w.dv, row);
        first += b.count;
    }
    if (home) return;
    put_keys(h, &w, dk, w.dk);
    put_keys(h, &w, dv, w.dv);
}

const cpu_attention_kernels CPU_FN(cpu_attention_kernels) = {scratch, forward, backward};
