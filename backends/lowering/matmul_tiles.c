/* matmul_tiles: tiles of a product in local memory for devices whose items work in groups, see matmul.cl. */
#include <string.h>

#include "backends/lowering/matmul_plan.h"
#include "backends/lowering/ops/list.h"
#include "backends/lowering/ops/split.h"

typedef struct tile {
    const char *name;
    uint32_t rows, columns, steps, item_rows, item_columns; /* constants TM, TN, TK, RM, RN */
} tile;

/* From the largest on. Groups have 64 to 256 items, and fewer where an item has 16 x 16 sums. */
static const tile tiles[] = {{"tile128x128r16", 128, 128, 8, 16, 16},
                             {"tile64x128r16", 64, 128, 16, 16, 16},
                             {"tile32x128r16", 32, 128, 16, 16, 16},
                             {"tile256x32r16", 256, 32, 8, 16, 16},
                             {"tile64x64r16", 64, 64, 16, 16, 16},
                             {"tile128x128", 128, 128, 8, 8, 8},
                             {"tile128x64", 128, 64, 8, 8, 4},
                             {"tile64x64r8", 64, 64, 16, 8, 8},
                             {"tile64x64r8c4", 64, 64, 8, 8, 4},
                             {"tile64x64", 64, 64, 16, 4, 4},
                             {"tile32x64", 32, 64, 16, 4, 4},
                             {"tile32x32", 32, 32, 16, 4, 4},
                             {"tile8x128", 8, 128, 16, 2, 4},
                             {"tile8x32", 8, 32, 16, 1, 4},
                             {"tile64x8", 64, 8, 16, 1, 4}};

enum {
    TILES = sizeof tiles / sizeof tiles[0],
    DEEP = 256,        /* steps enough that adding a part is little beside them */
    GROUPS_OF_UNIT = 4 /* that hide each other's waiting */
};

static uint32_t items_of(const tile *t)
{
    return t->rows / t->item_rows * (t->columns / t->item_columns);
}

static uint64_t tiles_in(const lower_product *p, const tile *t)
{
    return lower_parts(p->m, t->rows) * lower_parts(p->n, t->columns) * p->outer * p->inner;
}

/* Parts that a sum must be cut into where an item's iterations are counted: those over steps, once more for each column
 * that it sums, and those of a long activation at the end. */
static uint64_t min_parts(const lower_traits *traits, const lower_product *p, const tile *t)
{
    const uint64_t summed = p->summed == SUMS_NONE ? 0 : p->summed == SUMS_OF_A ? t->rows : t->columns;
    const uint64_t each = (1 + lower_parts(summed, items_of(t))) * (t->steps + 1) + 4, end = 512;
    return lower_max(1, lower_parts(p->k, (lower_max_iterations(traits) - end) / each * t->steps));
}

/* Worth the seconds that a processor needs to compile a kernel of 256 sums. */
static bool is_large(const lower_product *p)
{
    return (double)p->m * (double)p->n * (double)p->k * (double)(p->outer * p->inner) >= 1 << 22;
}

/* A GPU's registers hold 64 sums; where it is simulated its local memory is slow beside arithmetic, and more pay. */
static bool fits(const lower_traits *traits, const lower_product *p, const tile *t)
{
    const uint64_t floats = (uint64_t)t->steps * (t->rows + 4 + t->columns + 4);
    return items_of(t) <= traits->largest_group && floats * sizeof(float) <= traits->local_bytes &&
           (t->item_rows * t->item_columns <= 64 || (traits->kind == LOWER_SIMULATED_GPU && is_large(p))) &&
           min_parts(traits, p, t) <= lower_max_parts(traits, p);
}

/* Without a measurement: where 64 items run in step, 64 sums of each leave room in the registers for two such waves,
 * and 32 sums for four, which hide more of each other's waiting. */
static bool is_default(const lower_traits *traits, const tile *t)
{
    return traits->kind != LOWER_GPU || traits->lanes < 64 || t->item_rows * t->item_columns <= 32;
}

static uint64_t parts_of(const lower_traits *traits, const lower_product *p, const tile *t)
{
    const uint64_t wanted = lower_parts((uint64_t)GROUPS_OF_UNIT * traits->units, tiles_in(p, t));
    return lower_max(min_parts(traits, p, t), lower_min(lower_min(wanted, p->k / DEEP), lower_max_parts(traits, p)));
}

/* Time of a product in a made-up unit: rounds of groups, each as long as its tile is large, or as the copies from
 * memory are where a tile is small; a little more for each group. */
static uint64_t cost(const lower_traits *traits, const lower_product *p, const tile *t)
{
    const uint64_t parts = parts_of(traits, p, t), steps = lower_parts(p->k, parts) + 16;
    const uint64_t rounds = lower_parts(tiles_in(p, t) * parts, traits->units);
    const uint64_t sums = (uint64_t)t->rows * t->columns, copies = 16ull * (t->rows + t->columns);
    /* An item reads item_rows + item_columns elements of local memory for each item_rows * item_columns sums. */
    const uint64_t reads = 4 * sums * (t->item_rows + t->item_columns) / (t->item_rows * t->item_columns);
    return rounds * steps * (sums + copies + reads);
}

const char *lower_tiles_variant(const char *name)
{
    for (uint32_t i = 0; i < TILES; i++)
        if (strcmp(tiles[i].name, name) == 0) return tiles[i].name;
    return NULL;
}

uint32_t lower_tiles_variants(const lower_traits *traits, const lower_product *p, const char **names)
{
    uint32_t count = 0, best = 0;
    uint64_t min = UINT64_MAX;
    for (uint32_t i = 0; i < TILES; i++) {
        if (!fits(traits, p, &tiles[i])) continue;
        const uint64_t this = cost(traits, p, &tiles[i]);
        if (is_default(traits, &tiles[i])) {
            if (this < min) best = count;
            min = lower_min(min, this);
        }
        names[count++] = tiles[i].name;
    }
    if (count > 0) {
        const char *first = names[0];
        names[0] = names[best];
        names[best] = first;
    }
    return count;
}

bool lower_product_is_wide(const lower_product *p)
{
    const uint64_t a_row = p->transpose_a ? p->m : p->k, b_row = p->transpose_b ? p->k : p->n;
    return ((a_row | b_row | p->n | p->a_first | p->a_inner | p->a_outer | p->b_first | p->b_inner | p->b_outer) & 3) ==
           0;
}

/* A long activation is a pass over what was stored, which in 16 bits has been rounded. */
static bool acts_late(const lower_product *p)
{
    return m3_dtype_is_half(p->y->dtype) && p->act > ACT_RELU;
}

void lower_tiles_emit(lower_list *l, const lower_product *p, const char *name)
{
    const tile *t = &tiles[0];
    for (uint32_t i = 0; i < TILES; i++)
        if (strcmp(tiles[i].name, name) == 0) t = &tiles[i];
    const uint64_t depth = lower_parts(lower_parts(p->k, parts_of(l->traits, p, t)), t->steps) * t->steps,
                   parts = depth > 0 ? lower_parts(p->k, depth) : 1;
    lower_cut cut = {.y.memory = LOWER_NOTHING};
    if (parts > 1 || acts_late(p)) cut = lower_product_parts(l, p, parts);
    lower_dispatch *d =
        LOWER(l, product, .TRANSPOSE_A = p->transpose_a, .TRANSPOSE_B = p->transpose_b, .TM = t->rows, .TN = t->columns,
              .TK = t->steps, .RM = t->item_rows, .RN = t->item_columns, .LANES = items_of(t),
              .WIDE = lower_product_is_wide(p), .EPILOGUE = lower_is_cut(cut) ? 0 : lower_product_flags(p),
              .AHEAD = l->traits->kind == LOWER_GPU, .HALVES = lower_halves(p->a),
              .Y_HALVES = lower_is_cut(cut) ? 0 : lower_halves(p->y), LOWER_PRODUCT(l, p, cut), .parts = parts,
              .depth = depth, .groups = tiles_in(p, t) * parts);
    lower_rows(d, tiles_in(p, t) * parts, items_of(t));
    if (lower_is_cut(cut)) lower_product_sum(l, p, cut, parts);
}
