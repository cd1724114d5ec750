/* matmul_matrices: products of f16 by matrices that the items of a subgroup multiply together, see product_matrices in
 * matmul.comp. They are among what is measured, and never the default: on some devices tiles are faster. */
#include <string.h>

#include "backends/lowering/matmul_plan.h"
#include "backends/lowering/ops/list.h"
#include "backends/lowering/ops/split.h"

enum { SIDE = 16, STEPS = 32, ROUND = 4 /* words behind a row */, DEEP = 256, GROUPS_OF_UNIT = 4 };

typedef struct blocks {
    const char *name;
    uint32_t rows, columns, down, across; /* constants TM, TN, RM, RN */
} blocks;

static const blocks all[] = {
    {"matrices128x128", 128, 128, 4, 4}, {"matrices64x64", 64, 64, 2, 2}, {"matrices32x32", 32, 32, 1, 1}};
enum { COUNT = sizeof all / sizeof all[0] };

static uint32_t teams_of(const blocks *b)
{
    return b->rows / (SIDE * b->down) * (b->columns / (SIDE * b->across));
}

static uint64_t local_words(const lower_product *p, const blocks *b)
{
    const uint64_t a = p->transpose_a ? STEPS * (b->rows / 2 + ROUND) : b->rows * (STEPS / 2 + ROUND);
    const uint64_t of_b = p->transpose_b ? b->columns * (STEPS / 2 + ROUND) : STEPS * (b->columns / 2 + ROUND);
    return a + of_b + (uint64_t)teams_of(b) * SIDE * SIDE;
}

static uint64_t blocks_in(const lower_product *p, const blocks *b)
{
    return lower_parts(p->m, b->rows) * lower_parts(p->n, b->columns) * p->outer * p->inner;
}

static uint64_t parts_of(const lower_traits *traits, const lower_product *p, const blocks *b)
{
    const uint64_t wanted = lower_parts((uint64_t)GROUPS_OF_UNIT * traits->units, blocks_in(p, b));
    return lower_max(1, lower_min(lower_min(wanted, p->k / DEEP), lower_max_parts(traits, p)));
}

static bool fits(const lower_traits *traits, const lower_product *p, const blocks *b)
{
    const uint64_t items = (uint64_t)teams_of(b) * traits->matrices.items;
    return traits->kind == LOWER_GPU && items > 0 && items <= traits->largest_group &&
           local_words(p, b) * sizeof(uint32_t) <= traits->local_bytes && p->a->dtype == M3_F16 &&
           p->b->dtype == M3_F16 && p->summed == SUMS_NONE && lower_product_is_wide(p);
}

const char *lower_matrices_variant(const char *name)
{
    for (uint32_t i = 0; i < COUNT; i++)
        if (strcmp(all[i].name, name) == 0) return all[i].name;
    return NULL;
}

uint32_t lower_matrices_variants(const lower_traits *traits, const lower_product *p, const char **names)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < COUNT; i++)
        if (fits(traits, p, &all[i])) names[count++] = all[i].name;
    return count;
}

void lower_matrices_emit(lower_list *l, const lower_product *p, const char *name)
{
    const lower_matrices *m = &l->traits->matrices;
    const blocks *b = &all[0];
    for (uint32_t i = 0; i < COUNT; i++)
        if (strcmp(all[i].name, name) == 0) b = &all[i];
    const uint64_t depth = lower_parts(lower_parts(p->k, parts_of(l->traits, p, b)), STEPS) * STEPS,
                   parts = depth > 0 ? lower_parts(p->k, depth) : 1;
    const uint32_t lanes = teams_of(b) * m->items;
    lower_cut cut = {.y.memory = LOWER_NOTHING};
    if (parts > 1 || p->act > ACT_RELU) cut = lower_product_parts(l, p, parts);
    const bool is_cut = lower_is_cut(cut);
    lower_dispatch *d = LOWER(
        l, product_matrices, .TRANSPOSE_A = p->transpose_a, .TRANSPOSE_B = p->transpose_b, .TM = b->rows,
        .TN = b->columns, .TK = STEPS, .RM = b->down, .RN = b->across, .LANES = lanes, .SHARE = m->items,
        .EPILOGUE = is_cut ? 0 : lower_product_flags(p), .HALVES = lower_halves(p->a),
        .Y_HALVES = is_cut ? 0 : lower_halves(p->y), .SUBGROUP = m->played ? 0 : m->items, .a = lower_tensor(l, p->a),
        .b = lower_tensor(l, p->b), .bias = lower_tensor(l, is_cut ? NULL : p->bias),
        .residual = lower_tensor(l, is_cut ? NULL : p->residual), .gate = lower_tensor(l, is_cut ? NULL : p->gate),
        .y = is_cut ? cut.y : lower_tensor(l, p->y), .m = p->m, .n = p->n, .k = p->k, .batches = p->outer * p->inner,
        .inner = p->inner, .a_outer = p->a_outer, .a_inner = p->a_inner, .b_outer = p->b_outer, .b_inner = p->b_inner,
        .a_first = p->a_first, .b_first = p->b_first, .y_first = is_cut ? 0 : p->y_first, .parts = parts,
        .depth = depth, .groups = blocks_in(p, b) * parts);
    lower_rows(d, blocks_in(p, b) * parts, lanes);
    if (is_cut) lower_product_sum(l, p, cut, parts);
}
