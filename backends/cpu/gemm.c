/* gemm: blocks, panels and threads of the matrix product; machine.h has the kernels it calls.
 *
 *   A task computes a rectangle of C, or several whole products when they are small and many:
 *     for each block of columns (its part of B stays in the second cache)
 *       for each block of the sum, in order: pack B's part into panels [k][nr], unless all is packed already
 *         for each tile of rows (A's rows stay in the first cache): for each panel: one tile of C
 *   In BLIS's terms columns are NC, depth is KC, and a group of packed tiles of A is MC.
 *   B that is small against the caches is packed as a whole first, by all threads, which then share it. Otherwise each
 *   task packs what it needs, and the grid of tasks is chosen so that little is packed twice.
 *   A is read in place when its rows are contiguous, and else packed, a group of tiles at a time.
 *
 *   Elements of 16 bits become panels of f32, or of pairs (machine.h): a step of the sum is two of K then. C of 16 bits
 * is rounded when a sum is whole; one of several blocks is kept in scratch till then.
 *
 *   A sum of MIN_SLICED steps and more is cut into slices that K alone decides, whose sums are added in order. When C
 * is small (the gradient of a weight, say) slices are tasks, with partial sums in scratch: each thread reads its own
 * part of A and B once, and in place, as it comes by a few times only. While a tile computes it fetches what later
 * tiles and the next packing read and write, in the order of memory: memory is the bottleneck of all long products. */
#include "backends/cpu/gemm_plan.h"

/* Columns first .. end of one B and steps k0 .. k0 + depth. */
static void pack_b(const gemm_plan *p, float *panel, const void *b, size_t first, size_t end, size_t k0, size_t depth)
{
    const size_t nr = p->kernels->nr, row = p->gemm->b.row, pitch = panel_pitch(nr, depth);
    if (first == end) return;
    const size_t k = k0 * p->elements;
    if (p->gemm->b.transposed)
        p->pack->transpose(panel, pitch, nr, element(b, first * row + k, p->in_bytes), row / p->elements, end - first,
                           depth);
    else
        p->pack->copy(panel, pitch, nr, element(b, k * row + first, p->in_bytes), row, end - first, depth);
}

static const void *operand_at(const cpu_operand *x, size_t i, size_t j, size_t bytes)
{
    return x->data != NULL ? element(x->data, i * x->batch[0] + j * x->batch[1], bytes) : NULL;
}

static void pack_shared_task(void *arg, uint32_t task, uint32_t worker)
{
    const gemm_plan *p = arg;
    const cpu_gemm *g = p->gemm;
    const size_t nr = p->kernels->nr, product = task / p->panels, first = task % p->panels * nr;
    const void *b = operand_at(&g->b, product / p->shared_batch[1], product % p->shared_batch[1], p->in_bytes);
    (void)worker;
    pack_b(p, p->shared + (size_t)task * nr * p->k, b, first, min(first + nr, g->n), 0, p->k);
}

/* One product of a batch. */
typedef struct product {
    const gemm_plan *p;
    size_t index;
    const void *a, *b, *residual, *gate;
    const float *bias;
    void *c;
    const float *shared; /* this B packed, or NULL */
    float *panel_a, *panel_b, *sums;
} product;

static product product_at(const gemm_plan *p, size_t index, size_t worker)
{
    const cpu_gemm *g = p->gemm;
    const size_t i = index / g->batch[1], j = index % g->batch[1];
    float *own = p->workers + worker * p->worker_floats;
    product x = {.p = p, .index = index, .panel_a = own, .panel_b = own + p->a_floats};
    x.sums = x.panel_b + p->b_floats;
    x.a = operand_at(&g->a, i, j, p->in_bytes);
    x.b = operand_at(&g->b, i, j, p->in_bytes);
    x.bias = operand_at(&g->bias, i, j, sizeof(float));
    x.residual = operand_at(&g->residual, i, j, p->out_bytes);
    x.gate = operand_at(&g->gate, i, j, p->out_bytes);
    x.c = (unsigned char *)g->c + (i * g->c_batch[0] + j * g->c_batch[1]) * p->out_bytes;
    if (p->shared_floats > 0) {
        size_t which = (g->b.batch[0] != 0 ? i * p->shared_batch[1] : 0) + (g->b.batch[1] != 0 ? j : 0);
        x.shared = p->shared + which * p->panels * p->kernels->nr * p->k;
    }
    return x;
}

/* What is fetched ahead. */

/* A matrix; nothing when rows is 0. */
typedef struct region {
    const float *data;
    size_t row, rows, floats; /* floats between rows; rows; floats of each */
} region;

/* Rows of elements, rounded to floats: it is only fetched. */
static region region_at(const void *data, size_t row, size_t rows, size_t elements, size_t bytes)
{
    return (region){data, row * bytes / sizeof(float), rows, ceil_div(elements * bytes, sizeof(float))};
}

/* A region that tiles fetch one after another, `move` floats each. */
typedef struct cursor {
    cpu_ahead ahead;
    size_t move;
} cursor;

static bool is_dense(const region *r)
{
    return r->row == r->floats || r->rows <= 1;
}

/* Rows of a region that each of `tiles` has to fetch, one in each stage; 1 of a dense region, which has no rows. */
static size_t rows_each(const region *r, size_t tiles)
{
    return is_dense(r) ? 1 : ceil_div(r->rows, tiles);
}

/* depth: steps of a tile; stage: of one stage; idle: memory that is in the cache. */
static cursor cursor_over(const region *r, size_t tiles, size_t depth, size_t stage, const void *idle)
{
    if (r->rows == 0) return (cursor){{idle, 0, 0}, 0};
    if (is_dense(r)) {
        const size_t each = ceil_div(r->rows * r->floats, tiles), step = ceil_div(each, max(depth, 1));
        return (cursor){{r->data, step, stage * step}, each};
    }
    return (cursor){{r->data, ceil_div(r->floats, stage), r->row}, rows_each(r, tiles) * r->row};
}

static cpu_ahead cursor_next(cursor *at)
{
    cpu_ahead ahead = at->ahead;
    at->ahead.at += at->move;
    return ahead;
}

/* One block of columns and one block of the sum. */
typedef struct block {
    size_t row, row_end, first, end; /* rectangle of C */
    size_t cell_end;                 /* where the task's columns end */
    size_t k0, depth;
    size_t k_begin, k_end; /* the task's steps */
    size_t slice, slice_begin, slice_end;
    size_t height, tiles, panels; /* tiles down and across */
    size_t group;                 /* tiles of A that are packed together, 1 if none are */
    void *c;                      /* where sums go: C, or a slice's own; element (row, first) */
    size_t c_row, c_bytes, stage;
    const void *idle;
    cursor next_a, next_b; /* over what the next blocks and packings read, tile by tile */
} block;

static const void *a_at(const product *x, size_t row, size_t step)
{
    const cpu_operand *a = &x->p->gemm->a;
    const size_t k = step * x->p->elements;
    return element(x->a, a->transposed ? k * a->row + row : row * a->row + k, x->p->in_bytes);
}

/* A's rows row .. row + rows and steps k .. k + depth, as they lie in memory. */
static region a_region(const product *x, size_t row, size_t rows, size_t k, size_t depth)
{
    const cpu_operand *a = &x->p->gemm->a;
    const size_t length = depth * x->p->elements;
    return region_at(a_at(x, row, k), a->row, a->transposed ? length : rows, a->transposed ? rows : length,
                     x->p->in_bytes);
}

/* B of the next block: of the sum, or of columns. */
static region next_b(const product *x, const block *at)
{
    const cpu_operand *b = &x->p->gemm->b;
    size_t first = at->first, end = at->end, k = at->k0 + at->depth, depth = min(x->p->depth, at->k_end - k);
    if (x->shared != NULL) return (region){0};
    if (k == at->k_end) {
        first = at->end;
        end = min(first + x->p->columns, at->cell_end);
        k = at->k_begin;
        depth = at->depth;
        if (first == end) return (region){0};
    }
    const size_t bytes = x->p->in_bytes, length = depth * x->p->elements;
    k *= x->p->elements;
    if (b->transposed) return region_at(element(x->b, first * b->row + k, bytes), b->row, end - first, length, bytes);
    return region_at(element(x->b, k * b->row + first, bytes), b->row, length, end - first, bytes);
}

/* A of the next block of the sum, of `rows` rows. */
static region next_block_a(const product *x, const block *at, size_t rows)
{
    const size_t k = at->k0 + at->depth;
    if (k == at->k_end) return (region){0};
    return a_region(x, at->row, min(rows, at->row_end - at->row), k, min(x->p->depth, at->k_end - k));
}

/* A packed group of tiles, or the rows of a tile that are read in place: what comes after those from `top` on. */
static region next_rows_a(const product *x, const block *at, size_t top)
{
    const size_t rows = at->group * at->height, next = top + rows;
    if (next >= at->row_end) return next_block_a(x, at, rows);
    return a_region(x, next, min(rows, at->row_end - next), at->k0, at->depth);
}

/* Of columns of A in place a tile reads a few floats of each line: they are fetched a block ahead, not a tile. */
static bool a_by_blocks(const product *x)
{
    return x->p->group == 0 && x->p->gemm->a.transposed;
}

/* Stages as the least dense of what is fetched wants them. */
static void plan_ahead(const product *x, block *at)
{
    const size_t all = at->tiles * at->panels, rows = at->row_end - at->row;
    const region b = next_b(x, at), a = a_by_blocks(x) ? next_block_a(x, at, rows) : next_rows_a(x, at, at->row);
    const region c = region_at(at->c, at->c_row, at->height, at->end - at->first, at->c_bytes);
    size_t stages = max(rows_each(&b, all), rows_each(&c, at->panels));
    stages = max(stages, rows_each(&a, a_by_blocks(x) ? all : at->group * at->panels));
    at->stage = max(ceil_div(at->depth, stages), 1);
    at->next_b = cursor_over(&b, all, at->depth, at->stage, at->idle);
    if (a_by_blocks(x)) at->next_a = cursor_over(&a, all, at->depth, at->stage, at->idle);
}

/* Pack A for the tiles from row `top` on. */
static void pack_group(const product *x, block *at, size_t top)
{
    const gemm_plan *p = x->p;
    const cpu_gemm *g = p->gemm;
    const size_t rows = min(at->group * at->height, at->row_end - top);
    const size_t row = g->a.transposed ? g->a.row : g->a.row / p->elements;
    if (p->group > 0)
        (g->a.transposed ? p->pack->copy : p->pack->transpose)(x->panel_a, panel_pitch(at->height, at->depth),
                                                               at->height, a_at(x, top, at->k0), row, rows, at->depth);
    if (a_by_blocks(x)) return;
    const region next = next_rows_a(x, at, top);
    at->next_a = cursor_over(&next, at->group * at->panels, at->depth, at->stage, at->idle);
}

static void pack_block(const product *x, const block *at)
{
    const size_t nr = x->p->kernels->nr, columns = at->end - at->first;
    if (x->shared != NULL) return;
    pack_b(x->p, x->panel_b, x->b, at->first + (x->p->direct_b ? columns / nr * nr : 0), at->end, at->k0, at->depth);
}

/* Sums of an operand over the block's steps, by the first of the tasks that read them. */
static void sum_block(const product *x, const block *at)
{
    const gemm_plan *p = x->p;
    const cpu_gemm *g = p->gemm;
    if (g->sums == NULL || (g->sums_of_a ? at->first : at->row) != 0) return;
    const size_t columns = g->sums_of_a ? g->m : g->n, first = g->sums_of_a ? at->row : at->first;
    const cpu_operand *of = g->sums_of_a ? &g->a : &g->b;
    const void *from = element(g->sums_of_a ? x->a : x->b, at->k0 * p->elements * of->row + first, p->in_bytes);
    p->kernels->add_rows(&(cpu_row_sums){.x = from,
                                         .type = g->in,
                                         .rows = at->depth * p->elements,
                                         .stride = of->row,
                                         .n = (g->sums_of_a ? at->row_end : at->end) - first,
                                         .sums = p->sums + (x->index * p->slices + at->slice) * columns + first,
                                         .add = at->k0 > at->slice_begin});
}

/* Of all slices, in order. */
static void add_sums_of_slices(const gemm_plan *p)
{
    const size_t columns = p->gemm->sums_of_a ? p->gemm->m : p->gemm->n;
    for (size_t i = 0; i < p->products; i++) {
        float *to = p->gemm->sums + i * columns;
        const float *from = p->sums + i * p->slices * columns;
        for (size_t j = 0; j < columns; j++) to[j] = from[j];
        for (size_t s = 1; s < p->slices; s++)
            for (size_t j = 0; j < columns; j++) to[j] += from[s * columns + j];
    }
}

static void point_at_a(const product *x, const block *at, cpu_tile *t, size_t tile, size_t top)
{
    const cpu_operand *a = &x->p->gemm->a;
    if (x->p->group > 0) {
        t->a = x->panel_a + tile % at->group * panel_pitch(at->height, at->depth);
        t->a_row = 1;
        t->a_step = at->height;
    } else {
        t->a = a_at(x, top, at->k0);
        t->a_row = a->transposed ? 1 : a->row / x->p->elements;
        t->a_step = a->transposed ? a->row : 1;
    }
}

/* B for a panel: packed for all, packed by this task, or in place. */
static void point_at_b(const product *x, const block *at, cpu_tile *t, size_t panel)
{
    const gemm_plan *p = x->p;
    const size_t nr = p->kernels->nr, column = at->first + panel * nr;
    t->b_step = nr;
    if (x->shared != NULL) {
        t->b = x->shared + column * p->k + at->k0 * nr;
    } else if (!p->direct_b) {
        t->b = x->panel_b + panel * panel_pitch(nr, at->depth);
    } else if (t->n == nr) {
        t->b = (const float *)x->b + at->k0 * p->gemm->b.row + column;
        t->b_step = p->gemm->b.row;
    } else {
        t->b = x->panel_b;
    }
}

/* Sums, what is added to them, and the epilogue behind the last block of a sum that is whole. The residual is added in
 * the first block, as it may be C. */
static void point_at_c(const product *x, const block *at, cpu_tile *t, size_t top)
{
    const cpu_gemm *g = x->p->gemm;
    const gemm_plan *p = x->p;
    t->c = (unsigned char *)at->c + (top - at->row) * at->c_row * at->c_bytes;
    t->c_row = at->c_row;
    t->type = p->kept ? M3_F32 : g->out;
    if (at->k0 > at->slice_begin) {
        t->start = t->c;
        t->start_row = t->c_row;
    } else if (at->slice == 0 && !p->kept) {
        if (x->residual != NULL) t->start = element(x->residual, top * g->residual.row + at->first, p->out_bytes);
        if (x->bias != NULL) t->bias = x->bias + at->first;
        t->start_row = g->residual.row;
    }
    if (p->slices > 1 || p->kept || at->k0 + at->depth < p->k) return;
    t->act = g->act;
    if (x->gate != NULL) t->gate = element(x->gate, top * g->gate.row + at->first, p->out_bytes);
    t->gate_row = g->gate.row;
}

static void move_columns(cpu_tile *t, size_t columns)
{
    const size_t bytes = m3_dtype_bytes(t->type);
    t->c = (unsigned char *)t->c + columns * bytes;
    if (t->start != NULL) t->start = element(t->start, columns, bytes);
    if (t->bias != NULL) t->bias += columns;
    if (t->gate != NULL) t->gate = element(t->gate, columns, bytes);
}

/* A tile whose kernel gives f32, rounded. */
static void compute_rounded(const gemm_plan *p, const cpu_tile *t)
{
    float sums[CPU_MAX_TILE];
    const size_t row = p->kernels->nr;
    const cpu_tile whole = {.a = t->a,
                            .b = t->b,
                            .c = sums,
                            .a_row = t->a_row,
                            .a_step = t->a_step,
                            .b_step = t->b_step,
                            .c_row = row,
                            .m = t->m,
                            .n = t->n,
                            .k = t->k,
                            .stage = t->stage,
                            .next_a = t->next_a,
                            .next_b = t->next_b,
                            .next_c = t->next_c};
    p->tile(&whole);
    for (size_t i = 0; i < t->m; i++) {
        p->kernels->finish(&(cpu_finish){
            .x = sums + i * row,
            .bias = t->bias,
            .start = t->start != NULL ? element(t->start, i * t->start_row, p->out_bytes) : NULL,
            .gate = t->gate != NULL ? element(t->gate, i * t->gate_row, p->out_bytes) : NULL,
            .c = (unsigned char *)t->c + i * t->c_row * p->out_bytes,
            .type = t->type,
            .n = t->n,
            .act = t->act,
        });
    }
}

static void compute_tile(const gemm_plan *p, const cpu_tile *t)
{
    if (t->type != M3_F32 && (p->elements == 1 || t->act > CPU_ACT_RELU)) {
        compute_rounded(p, t);
    } else if (t->act <= CPU_ACT_RELU) {
        p->tile(t);
    } else {
        cpu_tile sum = *t;
        sum.act = CPU_ACT_NONE;
        sum.gate = NULL;
        p->tile(&sum);
        p->kernels->epilogue(t);
    }
}

/* What is fetched while the tiles from row `top` on compute, beside A: the rows below of C and of what is added to it
 * or gates it, or else B. */
static void fetch_rows_below(const block *at, const cpu_tile *t, size_t top, cursor *c, cursor *extra)
{
    const size_t next = top + at->height, width = at->end - at->first;
    const bool more = next < at->row_end;
    const void *c_below = element(at->c, (more ? next - at->row : 0) * at->c_row, at->c_bytes);
    region below = region_at(c_below, at->c_row, at->height, width, at->c_bytes);
    *c = cursor_over(&below, at->panels, at->depth, at->stage, at->idle);
    const void *read = t->gate != NULL ? t->gate : t->start;
    const size_t row = t->gate != NULL ? t->gate_row : t->start_row;
    if (read == NULL || read == t->c || !more) return;
    below = region_at(element(read, at->height * row, at->c_bytes), row, at->height, width, at->c_bytes);
    *extra = cursor_over(&below, at->panels, at->depth, at->stage, at->idle);
}

/* One tile of rows, with all its panels. */
static void compute_rows(const product *x, block *at, size_t tile)
{
    const gemm_plan *p = x->p;
    const size_t nr = p->kernels->nr, top = at->row + tile * at->height;
    cpu_tile t = {.m = min(at->height, at->row_end - top), .k = at->depth, .stage = at->stage};
    cursor c, extra = {0};
    if (tile % at->group == 0) pack_group(x, at, top);
    point_at_a(x, at, &t, tile, top);
    point_at_c(x, at, &t, top);
    fetch_rows_below(at, &t, top, &c, &extra);
    for (size_t panel = 0; panel < at->panels; panel++) {
        t.n = min(nr, at->end - at->first - panel * nr);
        point_at_b(x, at, &t, panel);
        t.next_a = cursor_next(&at->next_a);
        t.next_b = cursor_next(&at->next_b);
        if (extra.ahead.at != NULL) t.next_b = cursor_next(&extra);
        t.next_c = cursor_next(&c);
        compute_tile(p, &t);
        move_columns(&t, nr);
    }
}

static void compute_block(const product *x, block *at)
{
    const gemm_plan *p = x->p;
    const size_t rows = at->row_end - at->row;
    at->tiles = ceil_div(rows, p->kernels->mr);
    at->height = ceil_div(rows, at->tiles); /* equal tiles: a low one at the end would be slow */
    at->tiles = ceil_div(rows, at->height);
    at->panels = ceil_div(at->end - at->first, p->kernels->nr);
    at->group = p->group > 0 ? ceil_div(at->tiles, ceil_div(at->tiles, p->group)) : 1;
    at->idle = at->c;
    pack_block(x, at);
    sum_block(x, at);
    plan_ahead(x, at);
    for (size_t tile = 0; tile < at->tiles; tile++) compute_rows(x, at, tile);
}

/* Where the sums of a slice go. */
static void point_at_sums(const product *x, block *at)
{
    const gemm_plan *p = x->p;
    const cpu_gemm *g = p->gemm;
    const bool in_c = at->slice == 0 && !p->kept;
    at->c_row = in_c ? g->c_row : p->split ? g->n : at->end - at->first;
    at->c_bytes = in_c ? p->out_bytes : sizeof(float);
    if (in_c)
        at->c = (unsigned char *)x->c + (at->row * g->c_row + at->first) * p->out_bytes;
    else if (!p->split)
        at->c = x->sums;
    else
        at->c = p->partials + ((x->index * (p->slices - 1) + at->slice - 1) * g->m + at->row) * g->n + at->first;
}

/* Add count matrices at `from`, `distance` apart, to rows row .. end of C's columns first .. first + n. */
static void add_sums(const product *x, size_t row, size_t end, size_t first, size_t n, const float *from,
                     size_t from_row, size_t count, size_t distance, bool finish)
{
    const cpu_gemm *g = x->p->gemm;
    for (size_t i = row; i < end; i++) {
        cpu_parts parts = {.c = (float *)x->c + i * g->c_row + first, .x = from + (i - row) * from_row, .n = n};
        parts.count = count;
        parts.stride = distance;
        if (finish) parts.act = g->act;
        if (finish && x->gate != NULL) parts.gate = (const float *)x->gate + i * g->gate.row + first;
        x->p->kernels->add_parts(&parts);
    }
}

/* Whole sums of a block's columns, which were kept, to C. */
static void round_sums(const product *x, const block *at)
{
    const cpu_gemm *g = x->p->gemm;
    const size_t n = at->end - at->first, bytes = x->p->out_bytes;
    for (size_t i = at->row; i < at->row_end; i++) {
        x->p->kernels->finish(&(cpu_finish){
            .x = x->sums + (i - at->row) * n,
            .bias = x->bias != NULL ? x->bias + at->first : NULL,
            .start = x->residual != NULL ? element(x->residual, i * g->residual.row + at->first, bytes) : NULL,
            .gate = x->gate != NULL ? element(x->gate, i * g->gate.row + at->first, bytes) : NULL,
            .c = (unsigned char *)x->c + (i * g->c_row + at->first) * bytes,
            .type = g->out,
            .n = n,
            .act = g->act,
        });
    }
}

static void compute_slice(const product *x, block *at)
{
    const gemm_plan *p = x->p;
    at->slice_begin = at->slice * p->slice;
    at->slice_end = min(at->slice_begin + p->slice, p->k);
    point_at_sums(x, at);
    at->k0 = at->slice_begin;
    do { /* once when k is 0 */
        at->depth = min(p->depth, at->slice_end - at->k0);
        compute_block(x, at);
        at->k0 += at->depth;
    } while (at->k0 < at->slice_end);
    if (p->kept) round_sums(x, at);
    if (at->slice == 0 || p->split) return;
    add_sums(x, at->row, at->row_end, at->first, at->end - at->first, at->c, at->c_row, 1, 0,
             at->slice + 1 == p->slices);
}

/* `slices` slices of a rectangle. */
static void compute_cell(const product *x, size_t cell, size_t slice, size_t slices)
{
    const gemm_plan *p = x->p;
    const cpu_gemm *g = p->gemm;
    const size_t row = part(g->m, p->grid_m, cell / p->grid_n), row_end = part(g->m, p->grid_m, cell / p->grid_n + 1);
    const size_t first = part(p->panels, p->grid_n, cell % p->grid_n) * p->kernels->nr;
    const size_t end = min(part(p->panels, p->grid_n, cell % p->grid_n + 1) * p->kernels->nr, g->n);
    block at = {.row = row, .row_end = row_end, .cell_end = end};
    at.k_begin = slice * p->slice;
    at.k_end = min((slice + slices) * p->slice, p->k);
    for (size_t column = first; column < end; column += p->columns) {
        at.first = column;
        at.end = min(column + p->columns, end);
        for (size_t i = 0; i < slices; i++) {
            at.slice = slice + i;
            compute_slice(x, &at);
        }
    }
}

static void gemm_task(void *arg, uint32_t task, uint32_t worker)
{
    const gemm_plan *p = arg;
    const size_t cells = p->grid_m * p->grid_n, slices = p->split ? p->slices : 1;
    const size_t end = part(p->units, p->tasks, task + 1);
    for (size_t unit = part(p->units, p->tasks, task); unit < end;) {
        const product x = product_at(p, unit / slices / cells, worker);
        const size_t count = min(slices - unit % slices, end - unit);
        compute_cell(&x, unit / slices % cells, unit % slices, p->split ? count : p->slices);
        unit += count;
    }
}

enum { ADDED_ROWS = 16 };

static void add_slices_task(void *arg, uint32_t task, uint32_t worker)
{
    const gemm_plan *p = arg;
    const cpu_gemm *g = p->gemm;
    const size_t tasks = ceil_div(g->m, ADDED_ROWS), row = task % tasks * ADDED_ROWS;
    const product x = product_at(p, task / tasks, worker);
    const float *from = p->partials + (x.index * (p->slices - 1) * g->m + row) * g->n;
    add_sums(&x, row, min(row + ADDED_ROWS, g->m), 0, g->n, from, g->n, p->slices - 1, g->m * g->n, true);
}

size_t cpu_gemm_scratch(const cpu_machine *machine, const cpu_gemm *gemm, uint32_t threads)
{
    gemm_plan p;
    threads = threads > 0 ? threads : 1;
    gemm_plan_init(&p, machine, gemm, threads);
    return p.tasks == 0 ? 0 : (gemm_plan_floats(&p, threads) + LINE_FLOATS) * sizeof(float);
}

void cpu_gemm_run(const cpu_machine *machine, const cpu_gemm *gemm, const cpu_pool *pool, void *scratch)
{
    enum { MIN_PARALLEL = 1 << 15 }; /* floats: packing or adding fewer takes less time than waking a thread */
    gemm_plan p;
    gemm_plan_init(&p, machine, gemm, cpu_pool_threads(pool));
    if (p.tasks == 0) return;
    const uintptr_t line = LINE_FLOATS * sizeof(float);
    p.shared = (float *)(((uintptr_t)scratch + line - 1) / line * line);
    p.partials = p.shared + round_up(p.shared_floats, LINE_FLOATS);
    p.sums = p.partials + round_up(p.partial_floats, LINE_FLOATS);
    p.workers = p.sums + round_up(p.sum_floats, LINE_FLOATS);
    if (p.shared_floats > 0) {
        uint32_t panels = (uint32_t)(p.shared_batch[0] * p.shared_batch[1] * p.panels);
        cpu_pool_run(p.shared_floats < MIN_PARALLEL ? NULL : pool, panels, pack_shared_task, &p);
    }
    cpu_pool_run(pool, p.tasks, gemm_task, &p);
    if (p.sum_floats > 0) add_sums_of_slices(&p);
    if (p.split) {
        uint32_t tasks = (uint32_t)(p.products * ceil_div(gemm->m, ADDED_ROWS));
        cpu_pool_run(p.partial_floats < MIN_PARALLEL ? NULL : pool, tasks, add_slices_task, &p);
    }
}

/* Do the rows of the next product follow at the same distance? *row becomes that distance where a product has one row.
 */
static bool follows(size_t *row, size_t batch, size_t m)
{
    if (m == 1) *row = batch;
    return *row * m == batch;
}

void cpu_gemm_merge_batch(cpu_gemm *g)
{
    for (int axis = 1; axis >= 0; axis--) {
        if (g->batch[axis] == 1) continue;
        cpu_gemm to = *g;
        if (g->a.transposed || g->b.batch[axis] != 0 || (g->bias.data != NULL && g->bias.batch[axis] != 0)) return;
        if (!follows(&to.a.row, g->a.batch[axis], g->m) || !follows(&to.c_row, g->c_batch[axis], g->m)) return;
        if (g->residual.data != NULL && !follows(&to.residual.row, g->residual.batch[axis], g->m)) return;
        if (g->gate.data != NULL && !follows(&to.gate.row, g->gate.batch[axis], g->m)) return;
        to.m = g->m * g->batch[axis];
        to.batch[axis] = 1;
        *g = to;
    }
}
