/* matmul_plan: which variant of a product is chosen, what all variants have alike, and the call of CLBlast. */
#include "backends/lowering/matmul_plan.h"
#include "backends/lowering/ops/list.h"

#include <stdio.h>
#include <string.h>

static uint64_t products(const lower_product *p)
{
    return p->outer * p->inner;
}

uint32_t lower_product_flags(const lower_product *p)
{
    return (p->bias != NULL ? EPILOGUE_BIAS : 0u) | (p->residual != NULL ? EPILOGUE_RESIDUAL : 0u) |
           (p->gate != NULL ? EPILOGUE_GATE : 0u) | p->act << EPILOGUE_ACT_SHIFT;
}

/* Parts of a sum. */

uint64_t lower_max_parts(const lower_traits *traits, const lower_product *p)
{
    const uint64_t bytes = products(p) * p->m * p->n * sizeof(float);
    return lower_max(1, lower_min(traits->largest_binding, INT32_MAX) / bytes);
}

static uint64_t sum_count(const lower_product *p)
{
    return p->summed == SUMS_NONE ? 0 : products(p) * (p->summed == SUMS_OF_A ? p->m : p->n);
}

lower_cut lower_product_parts(lower_list *l, const lower_product *p, uint64_t parts)
{
    lower_cut cut = {.sums.memory = LOWER_NOTHING};
    cut.y = lower_scratch(l, parts * products(p) * p->m * p->n * sizeof(float));
    if (p->summed != SUMS_NONE) cut.sums = lower_scratch(l, parts * sum_count(p) * sizeof(float));
    return cut;
}

void lower_product_sum(lower_list *l, const lower_product *p, lower_cut cut, uint64_t parts)
{
    const uint64_t count = products(p) * p->m * p->n, sums = sum_count(p);
    const bool processor = l->traits->kind == LOWER_PROCESSOR;
    const uint32_t each = processor ? l->traits->vector : 1;
#define SUM                                                                                                            \
    .part = cut.y, .bias = lower_tensor(l, p->bias), .residual = lower_tensor(l, p->residual),                         \
    .gate = lower_tensor(l, p->gate), .y = lower_tensor(l, p->y), .part_sums = cut.sums,                               \
    .sums = lower_tensor(l, p->sums), .count = count, .sum_count = sums, .m = p->m, .n = p->n,                         \
    .flags = lower_product_flags(p), .parts = parts, .y_first = p->y_first
    const uint32_t halves = lower_halves(p->y);
    const uint64_t items = halves != M3_F32 ? lower_parts(count, 2) : lower_parts(count, each);
    lower_dispatch *d = processor ? LOWER(l, sum_parts_processor, .VECTOR = l->traits->vector, SUM)
                                  : LOWER(l, sum_parts, .HALVES = halves, SUM);
#undef SUM
    lower_items(d, items + lower_parts(sums, each));
}

void lower_round(lower_list *l, lower_view from, const m3_tensor *to)
{
    const lower_view nothing = {.memory = LOWER_NOTHING};
    const uint64_t count = m3_tensor_count(to);
    if (count == 0) return;
    lower_dispatch *d =
        LOWER(l, sum_parts, .HALVES = lower_halves(to), .part = from, .bias = nothing, .residual = nothing,
              .gate = nothing, .y = lower_tensor(l, to), .part_sums = nothing, .sums = nothing, .count = count,
              .sum_count = 0, .m = 1, .n = count, .flags = 0, .parts = 1, .y_first = 0);
    lower_items(d, lower_parts(count, 2));
}

/* CLBlast. */

/* The library takes one stride for a batch, no empty sum, and sums no columns. */
static bool clblast_takes(const lower_traits *traits, const lower_product *p)
{
    const bool one_stride =
        p->outer == 1 || (p->a_outer == p->inner * p->a_inner && p->b_outer == p->inner * p->b_inner);
    return traits->clblast && p->k > 0 && one_stride && p->summed == SUMS_NONE && !m3_dtype_is_half(p->a->dtype);
}

static void clblast_lower(lower_list *l, const lower_product *p)
{
    lower_dispatch *d =
        LOWER(l, gemm, .TRANSPOSE_A = p->transpose_a, .TRANSPOSE_B = p->transpose_b, .a = lower_tensor(l, p->a),
              .b = lower_tensor(l, p->b), .y = lower_tensor(l, p->y), .m = p->m, .n = p->n, .k = p->k,
              .a_row = p->transpose_a ? p->m : p->k, .b_row = p->transpose_b ? p->k : p->n, .y_row = p->n,
              .a_stride = p->a_inner, .b_stride = p->b_inner, .y_stride = p->m * p->n, .a_first = p->a_first,
              .b_first = p->b_first, .y_first = p->y_first, .products = products(p));
    lower_groups(d, 1, 1, 1, 1, 1, 1);
    /* Each element is finished where it lies. */
    if (lower_product_flags(p) != 0) lower_product_sum(l, p, (lower_cut){.y = lower_tensor(l, p->y)}, 1);
}

/* Choice. */

/* Shapes of one class behave alike. */
uint32_t lower_product_variants(const lower_traits *traits, const lower_product *p, char *class_text,
                                const char **names)
{
    (void)snprintf(class_text, LOWER_CLASS_BYTES, "product.%s%c%c.m%llu.n%llu.k%llu.b%llu",
                   m3_dtype_is_half(p->a->dtype) ? "halves." : "", p->transpose_a ? 't' : 'n',
                   p->transpose_b ? 't' : 'n', lower_class_extent(p->m), lower_class_extent(p->n),
                   lower_class_extent(p->k), lower_class_extent(products(p)));
    uint32_t count = traits->kind == LOWER_PROCESSOR ? lower_processor_variants(traits, p, names)
                                                     : lower_tiles_variants(traits, p, names);
    if (count > 0) count += lower_matrices_variants(traits, p, names + count);
    if (clblast_takes(traits, p)) names[count++] = "clblast";
    return count;
}

void lower_product_emit(lower_list *l, const lower_product *p)
{
    char class_text[LOWER_CLASS_BYTES];
    const char *names[LOWER_MAX_VARIANTS];
    if (products(p) * p->m * p->n == 0) return;
    const uint32_t count = lower_product_variants(l->traits, p, class_text, names);
    const char *variant = lower_chosen(l->traits, class_text, names, count);
    if (strcmp(variant, "clblast") == 0)
        clblast_lower(l, p);
    else if (lower_matrices_variant(variant) != NULL)
        lower_matrices_emit(l, p, variant);
    else if (l->traits->kind == LOWER_PROCESSOR)
        lower_processor_emit(l, p, variant);
    else
        lower_tiles_emit(l, p, variant);
}
