/* matmul_processor: blocks of a product for the items of a processor, see shaders/processor/matmul.cl. */
#include <string.h>

#include "backends/lowering/matmul_plan.h"

/* Tiles whose sums, a row of a panel and an element fit the registers: 32 of vectors of 16, else 16. */
typedef struct variant {
    const char *name;
    uint32_t rows, min_vector, max_vector;
} variant;

static const variant variants[] = {
    {"rows8", 8, 16, 16}, {"rows12", 12, 16, 16}, {"rows14", 14, 16, 16}, {"rows4", 4, 1, 8}, {"rows6", 6, 1, 8}};

enum {
    VARIANTS = sizeof variants / sizeof variants[0],
    KEPT = 72 * 1024, /* floats of b that an item keeps in its second cache, and of a where it lies transposed */
    PAD = 16,         /* floats between panels: whole pages would all fall into the same lines of the first cache */
    PIECE = 512,      /* steps of a piece at most: the rows of a tile stay in the first cache */
    TALL = 128,       /* rows enough that copying b is little beside using it */
    DEEP = 256        /* steps enough that adding a part is */
};

/* Work of an item. */
typedef struct block {
    uint32_t tile_rows, vectors;      /* constants ROWS, VECTORS */
    bool direct;                      /* DIRECT */
    uint64_t rows, columns, products; /* of an item */
    uint64_t blocks;                  /* of rows */
    uint64_t kept;                    /* constant KEPT */
    uint64_t parts, depth, piece;     /* of the sum; steps of a part, and of a piece of it */
} block;

const char *lower_processor_variant(const char *name)
{
    for (uint32_t i = 0; i < VARIANTS; i++)
        if (strcmp(variants[i].name, name) == 0) return variants[i].name;
    return NULL;
}

uint32_t lower_processor_variants(const lower_traits *traits, const lower_product *p, const char **names)
{
    /* Higher tiles read b less often, which shows where tiles are long; they leave more of a rest. */
    const bool high = p->m >= 64 && (p->transpose_a || p->k >= 256);
    uint32_t count = 0;
    for (uint32_t i = 0; i < VARIANTS; i++)
        if (traits->vector >= variants[i].min_vector && traits->vector <= variants[i].max_vector &&
            (count == 0 || variants[i].rows <= p->m))
            names[count++] = variants[i].name;
    if (high && count > 1) {
        const char *first = names[0];
        names[0] = names[1];
        names[1] = first;
    }
    return count;
}

/* Rows of a tile: the variant's, or a power of two where there are fewer. */
static uint32_t tile_rows(uint64_t m, const char *name)
{
    uint32_t max = 1, rows = 1;
    for (uint32_t i = 0; i < VARIANTS; i++)
        if (strcmp(variants[i].name, name) == 0) max = variants[i].rows;
    if (m >= max) return max;
    while (rows * 2 <= m) rows *= 2;
    return rows;
}

static uint64_t round_up(uint64_t count, uint64_t unit)
{
    return lower_parts(count, unit) * unit;
}

/* Size of a piece when count is cut evenly into pieces of at most `max`. */
static uint64_t even(uint64_t count, uint64_t max)
{
    return count == 0 ? 1 : lower_parts(count, lower_parts(count, max));
}

/* Floats of local memory for b, and as many for a where it lies transposed. */
static uint64_t kept_floats(const lower_traits *traits, const lower_product *p)
{
    return lower_min(KEPT, traits->local_bytes / sizeof(float) / (p->transpose_a ? 2 : 1));
}

/* Most steps of a piece, of which a panel fits, and the two tiles that a block may end with. */
static uint64_t max_steps(uint64_t kept, uint64_t panel, uint64_t rows)
{
    return lower_min(PIECE, lower_min((kept - PAD) / panel, (kept / 2 - PAD) / rows));
}

/* Units of `width` whose panels, of depth steps, fit. */
static uint64_t fitting(uint64_t kept, uint64_t width, uint64_t depth)
{
    return kept / (width * depth + PAD) * width;
}

/* Rows of a block when m is cut into about `count`, evenly and in whole tiles. */
static uint64_t cut_rows(uint64_t m, uint64_t count, uint64_t min, uint64_t tile)
{
    return lower_min(m, round_up(lower_max(min, lower_parts(m, count)), tile));
}

/* Enough items for all units: rows first, then parts of the sum, then blocks of fewer rows, which are less efficient.
 * The last block of rows takes a rest that is less than a tile. */
static block choose_block(const lower_product *p, const lower_traits *traits, const char *name)
{
    const uint64_t vector = traits->vector, products = p->outer * p->inner, wanted = 8ull * traits->units;
    block b = {.tile_rows = tile_rows(p->m, name), .vectors = p->n > vector ? 2 : 1};
    const uint64_t panel = b.vectors * vector;
    b.direct = !p->transpose_b && p->n % panel == 0 && p->m <= 2 * b.tile_rows;
    b.kept = kept_floats(traits, p);
    const uint64_t steps = max_steps(b.kept, panel, b.tile_rows);
    b.piece = even(p->k, steps);
    b.columns = round_up(even(p->n, fitting(b.kept, panel, b.piece)), panel);
    uint64_t items = products * lower_parts(p->n, b.columns);
    b.rows = cut_rows(p->m, lower_parts(wanted, items), TALL, b.tile_rows);
    if (p->transpose_a) b.rows = lower_min(b.rows, fitting(b.kept, b.tile_rows, b.piece) - b.tile_rows);
    items *= lower_parts(p->m, b.rows);
    const uint64_t parts = lower_min(lower_parts(wanted, items), lower_max_parts(traits, p));
    b.depth = parts > 1 ? lower_min(p->k, lower_max(DEEP, lower_parts(p->k, parts))) : p->k;
    b.parts = p->k == 0 ? 1 : lower_parts(p->k, b.depth);
    b.piece = lower_min(b.piece, even(b.depth, steps)); /* columns and rows fit no longer one */
    items *= b.parts;
    if (items < wanted) b.rows = cut_rows(b.rows, lower_parts(wanted, items), TALL / 4, b.tile_rows);
    b.blocks = lower_parts(p->m, b.rows);
    if (p->m % b.rows > 0 && p->m % b.rows < b.tile_rows) b.blocks--;
    b.products =
        lower_max(lower_parts(products, lower_max(wanted, 64)), lower_parts(products, traits->largest_count[2]));
    return b;
}

void lower_processor_emit(lower_list *l, const lower_product *p, const char *name)
{
    const block b = choose_block(p, l->traits, name);
    lower_cut cut = {.y.memory = LOWER_NOTHING};
    if (b.parts > 1) cut = lower_product_parts(l, p, b.parts);
    lower_dispatch *d =
        LOWER(l, product_processor, .VECTOR = l->traits->vector, .TRANSPOSE_A = p->transpose_a, .ROWS = b.tile_rows,
              .VECTORS = b.vectors, .DIRECT = b.direct, .KEPT = b.kept, .PAD = PAD, LOWER_PRODUCT(l, p, cut),
              .flags = (p->transpose_b ? B_TRANSPOSED : 0) | (b.parts > 1 ? 0 : lower_product_flags(p)), .rows = b.rows,
              .columns = b.columns, .parts = b.parts, .depth = b.depth, .piece = b.piece, .chunk = b.products);
    lower_groups(d, b.blocks, lower_parts(p->n, b.columns) * b.parts, lower_parts(p->outer * p->inner, b.products), 1,
                 1, 1);
    if (b.parts > 1) lower_product_sum(l, p, cut, b.parts);
}
