/* gemm_plan: sizes of blocks, and the grid of tasks, by the caches and the number of threads. */
#include "backends/cpu/gemm_plan.h"

enum {
    MIN_SLICED = 1024,
    SLICE = 1280, /* steps of a slice, about */
    MAX_SLICES = 16,
    SLICE_DEPTH = 128,       /* of a block: A's and B's part, the next one's and C's share the second cache */
    MAX_PARTIALS = 4u << 20, /* floats: with more, slices follow one another */
};

/* Do pairs of an operand's steps lie side by side, each at a whole multiple of 4 bytes? If not, packing makes them so.
 */
static bool has_pairs(const cpu_operand *x)
{
    return (x->row | x->batch[0] | x->batch[1]) % 2 == 0;
}

static void choose_form(gemm_plan *p)
{
    const cpu_gemm *g = p->gemm;
    const bool pairs = g->in == M3_BF16 && p->kernels->tile_pairs != NULL && g->k % 2 == 0 &&
                       (g->a.transposed || has_pairs(&g->a)) && (!g->b.transposed || has_pairs(&g->b));
    p->in_bytes = m3_dtype_bytes(g->in);
    p->out_bytes = m3_dtype_bytes(g->out);
    p->elements = pairs ? 2 : 1;
    p->k = g->k / p->elements;
    p->widen = g->in != M3_F32 && !pairs;
    p->rounds = g->out != M3_F32;
    p->tile = pairs ? p->kernels->tile_pairs : p->kernels->tile;
    p->pack = pairs              ? &p->kernels->pack_pairs
              : g->in == M3_BF16 ? &p->kernels->pack_bf16
              : g->in == M3_F16  ? &p->kernels->pack_f16
                                 : &p->kernels->pack;
}

/* Rectangles of C for at most `max_tasks` tasks that minimise the time of the slowest thread. The cost is counted in
 * multiply-adds per step of the sum, of which packing an element of B or A takes as many as pack_b or pack_a. */
static void choose_grid(gemm_plan *p, size_t threads, size_t max_tasks)
{
    const size_t m = p->gemm->m, mr = p->kernels->mr, nr = p->kernels->nr;
    const size_t pack_b = p->shared_floats > 0 ? 0 : p->gemm->b.transposed ? 16 : 8, pack_a = p->group > 0 ? 8 : 1;
    size_t best = SIZE_MAX;
    for (size_t gn = 1; gn <= min(p->panels, max_tasks); gn++) {
        for (size_t gm = 1; gm <= min(ceil_div(m, mr), max_tasks / gn); gm++) {
            size_t rows = ceil_div(m, gm), columns = ceil_div(p->panels, gn) * nr;
            size_t task = rows * columns + columns * pack_b + rows * pack_a;
            size_t cost = ceil_div(p->units * gm * gn, threads) * task;
            if (cost > best || (cost == best && gm * gn < p->grid_m * p->grid_n)) continue;
            best = cost;
            p->grid_m = gm;
            p->grid_n = gn;
        }
    }
}

/* Slices are many, but for few threads; and a rectangle of C is to stay in the second cache from block to block. */
static void choose_split_grid(gemm_plan *p, size_t threads, size_t l2)
{
    const size_t m = p->gemm->m, n = p->gemm->n, tiles = ceil_div(m, p->kernels->mr);
    const size_t cells = max(ceil_div(m * n, l2 / 4), ceil_div(threads, p->units));
    if (m > n) {
        p->grid_m = min(cells, tiles);
        p->grid_n = min(ceil_div(cells, p->grid_m), p->panels);
    } else {
        p->grid_n = min(cells, p->panels);
        p->grid_m = min(ceil_div(cells, p->grid_n), tiles);
    }
}

/* Enough tasks to balance the load when a thread is delayed, each large enough to be worth its overhead. */
static void choose_tasks(gemm_plan *p, size_t threads, size_t l2)
{
    const size_t tiles = ceil_div(p->gemm->m, p->kernels->mr);
    p->grid_m = p->grid_n = 1;
    p->units = p->products * (p->split ? p->slices : 1);
    size_t most = 8 * threads;
    if (p->split) {
        choose_split_grid(p, threads, l2);
        most = 4 * threads;
    } else if (threads > 1 && p->units < 8 * threads) {
        size_t wanted = ceil_div(8 * threads, p->units);
        if (p->shared_floats > 0 && tiles >= 4 * wanted)
            p->grid_m = wanted;
        else
            choose_grid(p, threads, ceil_div(2 * threads, p->units));
    }
    p->units *= p->grid_m * p->grid_n;
    p->tasks = (uint32_t)(p->grid_m * p->grid_n > 1 && !p->split ? p->units : min(p->units, most));
}

static void choose_slices(gemm_plan *p)
{
    const size_t k = p->k;
    p->slices = k < MIN_SLICED || p->rounds ? 1 : min(max(ceil_div(k, SLICE), 2), MAX_SLICES);
    p->slice = k == 0 ? 1 : round_up(ceil_div(k, p->slices), 8);
    p->slices = max(ceil_div(k, p->slice), 1);
}

/* Blocks of equal depth. Sums that are not much longer than a block stay whole: then C is not read again. */
static size_t choose_depth(const gemm_plan *p, size_t depth)
{
    if (p->slices > 1) depth = min(depth, SLICE_DEPTH);
    size_t blocks = p->slices == 1 && p->slice <= 3 * depth ? 1 : ceil_div(p->slice, depth);
    return round_up(ceil_div(p->slice, blocks), 8);
}

static void choose_packing(gemm_plan *p, size_t threads, size_t l2)
{
    const cpu_gemm *g = p->gemm;
    const size_t mr = p->kernels->mr, nr = p->kernels->nr;
    /* Rows whose distance is a multiple of a page map to the same few sets of the first cache. */
    const bool pairs = p->elements == 2, laid_out = p->widen || (pairs && g->a.transposed);
    const bool in_place = g->a.row / p->elements % 1024 != 0 && ((p->split && !pairs) || !g->a.transposed);
    if (laid_out || (g->n > nr && !in_place && g->m > (g->a.transposed ? 0 : 2)))
        p->group = min(max(l2 / 8 / (mr * p->depth), 1), ceil_div(g->m, mr));
    p->direct_b = g->in == M3_F32 && !g->b.transposed && (g->m <= 2 * mr || (p->split && g->b.row % 1024 != 0));
    for (int axis = 0; axis < 2; axis++) p->shared_batch[axis] = g->b.batch[axis] != 0 ? g->batch[axis] : 1;
    size_t different = p->shared_batch[0] * p->shared_batch[1], whole = different * p->panels * nr * p->k;
    if (!p->direct_b && different < 8 * threads && whole <= l2 / 2) p->shared_floats = whole;
}

void gemm_plan_init(gemm_plan *p, const cpu_machine *machine, const cpu_gemm *g, size_t threads)
{
    const size_t mr = machine->gemm.mr, nr = machine->gemm.nr, l2 = machine->l2_bytes / sizeof(float);
    *p = (gemm_plan){.gemm = g, .kernels = &machine->gemm, .products = g->batch[0] * g->batch[1]};
    if (p->products == 0 || g->m == 0 || g->n == 0) return;

    choose_form(p);
    choose_slices(p);
    p->depth = choose_depth(p, machine->depth);
    p->kept = p->rounds && p->depth < p->k;
    p->panels = ceil_div(g->n, nr);
    const size_t sums = p->products * g->m * g->n;
    p->split = p->slices > 1 && sums <= MAX_PARTIALS / (p->slices - 1);
    if (p->split) p->partial_floats = (p->slices - 1) * sums;
    if (g->sums != NULL) p->sum_floats = p->products * p->slices * (g->sums_of_a ? g->m : g->n);
    choose_packing(p, threads, l2);
    choose_tasks(p, threads, l2);

    p->columns = ceil_div(p->panels, p->grid_n) * nr;
    if (p->shared_floats == 0) {
        size_t fitting = l2 / 4 / p->depth / nr * nr;
        if (!p->direct_b) p->columns = min(p->columns, max(fitting, nr));
        p->b_floats = (p->direct_b ? 1 : p->columns / nr) * panel_pitch(nr, p->depth);
    }
    p->a_floats = p->group * panel_pitch(mr, p->depth);
    p->worker_floats = p->a_floats + p->b_floats;
    if (p->kept || (p->slices > 1 && !p->split))
        p->worker_floats += round_up(ceil_div(g->m, p->grid_m) * p->columns, LINE_FLOATS);
}

size_t gemm_plan_floats(const gemm_plan *p, size_t threads)
{
    return round_up(p->shared_floats, LINE_FLOATS) + round_up(p->partial_floats, LINE_FLOATS) +
           round_up(p->sum_floats, LINE_FLOATS) + p->worker_floats * threads;
}
