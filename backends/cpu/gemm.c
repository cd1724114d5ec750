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
 *   While a tile computes it prefetches what the next packing reads: memory is the bottleneck of all long products. */
#include "backends/cpu/gemm.h"

typedef struct plan {
    const cpu_gemm *gemm;
    const cpu_gemm_kernels *kernels;
    size_t depth;                   /* steps of the sum in a block; the last may have fewer */
    size_t columns;                 /* of a block of columns */
    size_t panels;                  /* of nr columns in B */
    size_t group;                   /* tiles of A that are packed together; 0: A is read in place */
    size_t grid_m, grid_n;          /* rectangles of one C */
    size_t products, chunk;         /* in all, and those of one task */
    size_t shared_batch[2];         /* products along each axis with a B of their own */
    size_t shared_floats;           /* of B packed as a whole; 0: each task packs its own */
    size_t a_floats, worker_floats; /* of a worker's panels of A, and of all its scratch */
    uint32_t tasks;
    bool direct_b; /* whole panels of B are read in place */
    float *shared, *workers;
} plan;

enum { LINE_FLOATS = 16 }; /* floats of a cache line: scratch is aligned to lines, against false sharing */

static size_t ceil_div(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

static size_t round_up(size_t a, size_t unit)
{
    return ceil_div(a, unit) * unit;
}

/* The distance of panels. A whole number of pages would map them all to the same sets of the first cache. */
static size_t panel_pitch(size_t width, size_t depth)
{
    return round_up(width * depth, LINE_FLOATS) + LINE_FLOATS;
}

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Where part i starts when a length is split into n nearly equal parts: a small rest would be slow. */
static size_t part(size_t length, size_t n, size_t i)
{
    size_t rest = length % n;
    return length / n * i + (i < rest ? i : rest);
}

/* Rectangles of C for at most `max_tasks` tasks that minimise the time of the slowest thread. The cost is counted in
 * multiply-adds per step of the sum, of which packing an element of B or A takes as many as pack_b or pack_a. */
static void choose_grid(plan *p, size_t threads, size_t max_tasks)
{
    const size_t m = p->gemm->m, mr = p->kernels->mr, nr = p->kernels->nr;
    const size_t pack_b = p->shared_floats > 0 ? 0 : p->gemm->b.transposed ? 16 : 8, pack_a = p->group > 0 ? 8 : 1;
    size_t best = SIZE_MAX;
    for (size_t gn = 1; gn <= min(p->panels, max_tasks); gn++) {
        for (size_t gm = 1; gm <= min(ceil_div(m, mr), max_tasks / gn); gm++) {
            size_t rows = ceil_div(m, gm), columns = ceil_div(p->panels, gn) * nr;
            size_t task = rows * columns + columns * pack_b + rows * pack_a;
            size_t cost = ceil_div(p->products * gm * gn, threads) * task;
            if (cost > best || (cost == best && gm * gn < p->grid_m * p->grid_n)) continue;
            best = cost;
            p->grid_m = gm;
            p->grid_n = gn;
        }
    }
}

/* Enough tasks to balance the load when a thread is delayed, each large enough to be worth its overhead. */
static void choose_tasks(plan *p, size_t threads)
{
    const size_t m = p->gemm->m, tiles = ceil_div(m, p->kernels->mr);
    p->grid_m = p->grid_n = p->chunk = 1;
    if (threads > 1 && p->products < 8 * threads) {
        size_t wanted = ceil_div(8 * threads, p->products);
        if (p->shared_floats > 0 && tiles >= 4 * wanted)
            p->grid_m = wanted;
        else
            choose_grid(p, threads, ceil_div(2 * threads, p->products));
    }
    if (p->grid_m * p->grid_n == 1) p->chunk = ceil_div(p->products, 8 * threads);
    p->tasks = (uint32_t)(ceil_div(p->products, p->chunk) * p->grid_m * p->grid_n);
}

/* Blocks of equal depth. Sums that are not much longer than a block stay whole: then C is not read again. */
static size_t choose_depth(size_t k, size_t depth)
{
    size_t blocks = k <= 3 * depth ? 1 : ceil_div(k, depth);
    return k == 0 ? 1 : round_up(ceil_div(k, blocks), 8);
}

static void plan_init(plan *p, const cpu_machine *machine, const cpu_gemm *g, size_t threads)
{
    const size_t mr = machine->gemm.mr, nr = machine->gemm.nr, l2 = machine->l2_bytes / sizeof(float);
    *p = (plan){.gemm = g, .kernels = &machine->gemm, .products = g->batch[0] * g->batch[1]};
    if (p->products == 0 || g->m == 0 || g->n == 0) return;

    p->depth = choose_depth(g->k, machine->depth);
    p->panels = ceil_div(g->n, nr);
    /* Rows whose distance is a multiple of a page map to the same few sets of the first cache. */
    if (g->n > nr && (g->a.transposed || (g->a.row % 1024 == 0 && g->m > 2))) {
        size_t fitting = l2 / 8 / (mr * p->depth);
        p->group = min(fitting > 0 ? fitting : 1, ceil_div(g->m, mr));
    }
    p->direct_b = !g->b.transposed && g->m <= 2 * mr;
    for (int axis = 0; axis < 2; axis++) p->shared_batch[axis] = g->b.batch[axis] != 0 ? g->batch[axis] : 1;
    size_t different = p->shared_batch[0] * p->shared_batch[1], whole = different * p->panels * nr * g->k;
    if (!p->direct_b && different < 8 * threads && whole <= l2 / 2) p->shared_floats = whole;
    choose_tasks(p, threads);

    p->columns = ceil_div(p->panels, p->grid_n) * nr;
    size_t b_floats = 0;
    if (p->shared_floats == 0) {
        size_t fitting = l2 / 4 / p->depth / nr * nr;
        p->columns = min(p->columns, fitting > nr ? fitting : nr);
        b_floats = (p->direct_b ? 1 : p->columns / nr) * panel_pitch(nr, p->depth);
    }
    p->a_floats = p->group * panel_pitch(mr, p->depth);
    p->worker_floats = p->a_floats + b_floats;
}

static size_t plan_floats(const plan *p, size_t threads)
{
    return round_up(p->shared_floats, LINE_FLOATS) + p->worker_floats * threads;
}

/* Columns first .. end of one B and steps k0 .. k0 + depth. */
static void pack_b(const plan *p, float *panel, const float *b, size_t first, size_t end, size_t k0, size_t depth)
{
    const size_t nr = p->kernels->nr, row = p->gemm->b.row, pitch = panel_pitch(nr, depth);
    if (first == end) return;
    if (p->gemm->b.transposed)
        p->kernels->pack_transpose(panel, pitch, nr, b + first * row + k0, row, end - first, depth);
    else
        p->kernels->pack_copy(panel, pitch, nr, b + k0 * row + first, row, end - first, depth);
}

static void pack_shared_task(void *arg, uint32_t task, uint32_t worker)
{
    const plan *p = arg;
    const cpu_gemm *g = p->gemm;
    const size_t nr = p->kernels->nr, product = task / p->panels, first = task % p->panels * nr;
    const float *b =
        g->b.data + product / p->shared_batch[1] * g->b.batch[0] + product % p->shared_batch[1] * g->b.batch[1];
    (void)worker;
    pack_b(p, p->shared + (size_t)task * nr * g->k, b, first, min(first + nr, g->n), 0, g->k);
}

/* One product of a batch. */
typedef struct product {
    const plan *p;
    const float *a, *b, *bias, *residual, *gate;
    float *c;
    const float *shared; /* this B packed, or NULL */
    float *panel_a, *panel_b;
} product;

static const float *operand_at(const cpu_operand *x, size_t i, size_t j)
{
    return x->data != NULL ? x->data + i * x->batch[0] + j * x->batch[1] : NULL;
}

static product product_at(const plan *p, size_t index, size_t worker)
{
    const cpu_gemm *g = p->gemm;
    const size_t i = index / g->batch[1], j = index % g->batch[1];
    float *own = p->workers + worker * p->worker_floats;
    product x = {.p = p, .panel_a = own, .panel_b = own + p->a_floats};
    x.a = operand_at(&g->a, i, j);
    x.b = operand_at(&g->b, i, j);
    x.bias = operand_at(&g->bias, i, j);
    x.residual = operand_at(&g->residual, i, j);
    x.gate = operand_at(&g->gate, i, j);
    x.c = g->c + i * g->c_batch[0] + j * g->c_batch[1];
    if (p->shared_floats > 0) {
        size_t which = (g->b.batch[0] != 0 ? i * p->shared_batch[1] : 0) + (g->b.batch[1] != 0 ? j : 0);
        x.shared = p->shared + which * p->panels * p->kernels->nr * g->k;
    }
    return x;
}

/* A matrix that is prefetched bit by bit, while others are multiplied. */
typedef struct cursor {
    const float *data;
    size_t row, left; /* floats between rows; rows not yet prefetched */
    size_t rows;      /* that one tile prefetches */
    size_t floats;    /* of a row that one stage of a tile prefetches */
} cursor;

static cursor cursor_over(const float *data, size_t row, size_t rows, size_t floats, size_t tiles, size_t stages)
{
    return (cursor){data, row, rows, ceil_div(rows, tiles), ceil_div(floats, stages)};
}

static cpu_prefetch cursor_next(cursor *at)
{
    cpu_prefetch ahead = {at->data, at->floats, at->row, min(at->rows, at->left), at->floats};
    at->data += ahead.rows * at->row;
    at->left -= ahead.rows;
    return ahead;
}

/* One block of columns and one block of the sum. */
typedef struct block {
    size_t row, row_end, first, end; /* rectangle of C */
    size_t k0, depth;
    size_t height, tiles, panels; /* tiles down and across */
    size_t group;                 /* tiles of A that are packed together, 1 if none are */
    cursor next_a, next_b;        /* over what the next packings of A and B read */
} block;

static const float *a_at(const product *x, size_t row, size_t k)
{
    const cpu_operand *a = &x->p->gemm->a;
    return a->transposed ? x->a + k * a->row + row : x->a + row * a->row + k;
}

/* Pack A for the tiles from row `top` on, and note what will be packed next: the next group, or the first one of the
 * next block. */
static void pack_group(const product *x, block *at, size_t top)
{
    const plan *p = x->p;
    const cpu_gemm *g = p->gemm;
    const size_t max = at->group * at->height, rows = min(max, at->row_end - top), row = g->a.row;
    if (p->group > 0)
        (g->a.transposed ? p->kernels->pack_copy : p->kernels->pack_transpose)(
            x->panel_a, panel_pitch(at->height, at->depth), at->height, a_at(x, top, at->k0), row, rows, at->depth);
    if (!g->a.transposed || at->depth < CPU_LONG_SUM) return;
    const bool more = top + rows < at->row_end;
    const size_t next = more ? top + rows : at->row, k = more ? at->k0 : at->k0 + at->depth;
    if (k < g->k)
        at->next_a = cursor_over(a_at(x, next, k), row, min(at->depth, g->k - k), min(max, at->row_end - next),
                                 at->group * at->panels, at->height);
}

static void pack_block(const product *x, block *at)
{
    const plan *p = x->p;
    const cpu_gemm *g = p->gemm;
    const size_t nr = p->kernels->nr, columns = at->end - at->first, k = at->k0 + at->depth;
    if (x->shared != NULL) return;
    pack_b(p, x->panel_b, x->b, at->first + (p->direct_b ? columns / nr * nr : 0), at->end, at->k0, at->depth);
    if (!g->b.transposed && k < g->k && at->depth >= CPU_LONG_SUM)
        at->next_b = cursor_over(x->b + k * g->b.row + at->first, g->b.row, min(at->depth, g->k - k), columns,
                                 at->tiles * at->panels, at->height);
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
        t->a_row = a->transposed ? 1 : a->row;
        t->a_step = a->transposed ? a->row : 1;
    }
}

/* B for a panel: packed for all, packed by this task, or in place. */
static void point_at_b(const product *x, const block *at, cpu_tile *t, size_t panel)
{
    const plan *p = x->p;
    const size_t nr = p->kernels->nr, column = at->first + panel * nr;
    t->b_step = nr;
    if (x->shared != NULL) {
        t->b = x->shared + column * p->gemm->k + at->k0 * nr;
    } else if (!p->direct_b) {
        t->b = x->panel_b + panel * panel_pitch(nr, at->depth);
    } else if (t->n == nr) {
        t->b = x->b + at->k0 * p->gemm->b.row + column;
        t->b_step = p->gemm->b.row;
    } else {
        t->b = x->panel_b;
    }
}

/* C, what is added to the sum, and the epilogue of the last block. The residual is added in the first block, as it may
 * be C. */
static void point_at_c(const product *x, const block *at, cpu_tile *t, size_t top)
{
    const cpu_gemm *g = x->p->gemm;
    t->c = x->c + top * g->c_row + at->first;
    t->c_row = g->c_row;
    if (at->k0 > 0) {
        t->start = t->c;
        t->start_row = g->c_row;
    } else {
        if (x->residual != NULL) t->start = x->residual + top * g->residual.row + at->first;
        if (x->bias != NULL) t->bias = x->bias + at->first;
        t->start_row = g->residual.row;
    }
    if (at->k0 + at->depth < g->k) return;
    t->act = g->act;
    if (x->gate != NULL) t->gate = x->gate + top * g->gate.row + at->first;
    t->gate_row = g->gate.row;
}

static void move_columns(cpu_tile *t, size_t columns)
{
    t->c += columns;
    if (t->start != NULL) t->start += columns;
    if (t->bias != NULL) t->bias += columns;
    if (t->gate != NULL) t->gate += columns;
}

static void compute_tile(const cpu_gemm_kernels *kernels, const cpu_tile *t)
{
    if (t->act <= CPU_ACT_RELU) {
        kernels->tile(t);
    } else {
        cpu_tile sum = *t;
        sum.act = CPU_ACT_NONE;
        sum.gate = NULL;
        kernels->tile(&sum);
        kernels->epilogue(t);
    }
}

/* One tile of rows, with all its panels. */
static void compute_rows(const product *x, block *at, size_t tile)
{
    const plan *p = x->p;
    const cpu_gemm *g = p->gemm;
    const size_t nr = p->kernels->nr, top = at->row + tile * at->height;
    cpu_tile t = {.m = min(at->height, at->row_end - top), .k = at->depth};
    if (tile % at->group == 0) pack_group(x, at, top);
    point_at_a(x, at, &t, tile, top);
    point_at_c(x, at, &t, top);
    cpu_prefetch rows = {0}; /* of the next tile, read in place */
    if (!g->a.transposed && p->group == 0 && top + at->height < at->row_end && at->depth >= CPU_LONG_SUM)
        rows = (cpu_prefetch){t.a + at->height * g->a.row, g->a.row, 0, 1, ceil_div(at->depth, at->panels)};
    for (size_t panel = 0; panel < at->panels; panel++) {
        t.n = min(nr, at->end - at->first - panel * nr);
        point_at_b(x, at, &t, panel);
        t.prefetch[0] = g->a.transposed ? cursor_next(&at->next_a) : rows;
        t.prefetch[1] = cursor_next(&at->next_b);
        if (t.gate != NULL)
            t.prefetch[2] = (cpu_prefetch){t.gate, t.gate_row, 0, 1, t.n};
        else if (t.start != NULL)
            t.prefetch[2] = (cpu_prefetch){t.start, t.start_row, 0, 1, t.n};
        compute_tile(p->kernels, &t);
        move_columns(&t, nr);
        if (rows.rows > 0) rows.data += rows.floats;
    }
}

static void compute_block(const product *x, block *at)
{
    const plan *p = x->p;
    const size_t rows = at->row_end - at->row;
    at->tiles = ceil_div(rows, p->kernels->mr);
    at->height = ceil_div(rows, at->tiles); /* equal tiles: a low one at the end would be slow */
    at->tiles = ceil_div(rows, at->height);
    at->panels = ceil_div(at->end - at->first, p->kernels->nr);
    at->group = p->group > 0 ? ceil_div(at->tiles, ceil_div(at->tiles, p->group)) : 1;
    pack_block(x, at);
    for (size_t tile = 0; tile < at->tiles; tile++) compute_rows(x, at, tile);
}

static void gemm_task(void *arg, uint32_t task, uint32_t worker)
{
    const plan *p = arg;
    const cpu_gemm *g = p->gemm;
    const size_t cells = p->grid_m * p->grid_n, cell = task % cells;
    const size_t row = part(g->m, p->grid_m, cell / p->grid_n), row_end = part(g->m, p->grid_m, cell / p->grid_n + 1);
    const size_t first = part(p->panels, p->grid_n, cell % p->grid_n) * p->kernels->nr;
    const size_t end = min(part(p->panels, p->grid_n, cell % p->grid_n + 1) * p->kernels->nr, g->n);
    const size_t index = task / cells * p->chunk;
    for (size_t i = index; i < min(index + p->chunk, p->products); i++) {
        product x = product_at(p, i, worker);
        for (size_t column = first; column < end; column += p->columns) {
            size_t k0 = 0;
            do { /* once when k is 0 */
                block at = {.row = row, .row_end = row_end, .first = column, .end = min(column + p->columns, end)};
                at.k0 = k0;
                at.depth = min(p->depth, g->k - k0);
                compute_block(&x, &at);
                k0 += p->depth;
            } while (k0 < g->k);
        }
    }
}

size_t cpu_gemm_scratch(const cpu_machine *machine, const cpu_gemm *gemm, uint32_t threads)
{
    plan p;
    threads = threads > 0 ? threads : 1;
    plan_init(&p, machine, gemm, threads);
    return p.tasks == 0 ? 0 : (plan_floats(&p, threads) + LINE_FLOATS) * sizeof(float);
}

void cpu_gemm_run(const cpu_machine *machine, const cpu_gemm *gemm, const cpu_pool *pool, void *scratch)
{
    enum { MIN_PARALLEL = 1 << 15 }; /* floats: packing fewer takes less time than waking a thread */
    plan p;
    plan_init(&p, machine, gemm, cpu_pool_threads(pool));
    if (p.tasks == 0) return;
    const uintptr_t line = LINE_FLOATS * sizeof(float);
    p.shared = (float *)(((uintptr_t)scratch + line - 1) / line * line);
    p.workers = p.shared + round_up(p.shared_floats, LINE_FLOATS);
    if (p.shared_floats > 0) {
        uint32_t panels = (uint32_t)(p.shared_batch[0] * p.shared_batch[1] * p.panels);
        cpu_pool_run(p.shared_floats < MIN_PARALLEL ? NULL : pool, panels, pack_shared_task, &p);
    }
    cpu_pool_run(pool, p.tasks, gemm_task, &p);
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
