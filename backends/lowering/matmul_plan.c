/* matmul_plan: which way a product is computed, what all ways share, and the call of CLBlast. */
#include "backends/lowering/matmul_plan.h"

#include <stdio.h>
#include <string.h>

/* Binding. */

static uint64_t products(const lower_product *p)
{
    return p->outer * p->inner;
}

static uint32_t finish_flags(const lower_product *p)
{
    return (p->bias != NULL ? LOWER_BIAS : 0u) | (p->residual != NULL ? LOWER_RESIDUAL : 0u) |
           (p->gate != NULL ? LOWER_GATE : 0u) | p->act << LOWER_ACT_SHIFT;
}

static void bind_finish(lower_dispatch *d, const lower_product *p)
{
    lower_read(d, p->bias);
    lower_read(d, p->residual);
    lower_read(d, p->gate);
}

void lower_product_bind(lower_dispatch *d, const lower_product *p, lower_view part, uint64_t parts)
{
    if (parts == 1) {
        bind_finish(d, p);
        lower_write(d, p->y);
        return;
    }
    for (int i = 0; i < 3; i++) lower_read(d, NULL);
    lower_bind(d, part, false, true);
}

void lower_product_words(lower_dispatch *d, const lower_product *p, uint64_t parts, uint32_t flags)
{
    lower_u32(d, p->m);
    lower_u32(d, p->n);
    lower_u32(d, p->k);
    lower_u32(d, flags | (parts > 1 ? 0 : finish_flags(p)));
    lower_u32(d, products(p));
    lower_u32(d, p->inner);
    lower_u32(d, p->a_outer);
    lower_u32(d, p->a_inner);
    lower_u32(d, p->b_outer);
    lower_u32(d, p->b_inner);
    lower_u32(d, p->a_first);
    lower_u32(d, p->b_first);
    lower_u32(d, parts > 1 ? 0 : p->y_first);
}

/* Parts of a sum. */

uint64_t lower_most_parts(const lower_traits *traits, const lower_product *p)
{
    const uint64_t bytes = products(p) * p->m * p->n * sizeof(float);
    return lower_larger(1, lower_smaller(traits->largest_binding, INT32_MAX) / bytes);
}

lower_view lower_product_parts(lower_list *l, const lower_product *p, uint64_t parts)
{
    if (parts == 1) return (lower_view){.memory = LOWER_NOTHING};
    return lower_scratch(l, parts * products(p) * p->m * p->n * sizeof(float));
}

void lower_product_sum(lower_list *l, const lower_product *p, lower_view part, uint64_t parts)
{
    const uint64_t count = products(p) * p->m * p->n;
    const bool processor = l->traits->lanes == 1;
    lower_dispatch *d = lower_begin(l, processor ? "matmul_processor" : "matmul", "sum_parts");
    if (processor) lower_constant(d, "VECTOR", l->traits->vector);
    lower_bind(d, part, true, false);
    bind_finish(d, p);
    lower_write(d, p->y);
    lower_u32(d, count);
    lower_u32(d, p->m);
    lower_u32(d, p->n);
    lower_u32(d, finish_flags(p));
    lower_u32(d, parts);
    lower_u32(d, p->y_first);
    lower_items(d, processor ? lower_parts(count, l->traits->vector) : count);
}

/* CLBlast. */

/* The library takes one stride for a batch, and no empty sum. */
static bool clblast_takes(const lower_traits *traits, const lower_product *p)
{
    const bool one_stride =
        p->outer == 1 || (p->a_outer == p->inner * p->a_inner && p->b_outer == p->inner * p->b_inner);
    return traits->clblast && p->k > 0 && one_stride;
}

static void clblast_lower(lower_list *l, const lower_product *p)
{
    lower_dispatch *d = lower_begin(l, "clblast", "gemm");
    lower_constant(d, "TRANSPOSE_A", p->transpose_a);
    lower_constant(d, "TRANSPOSE_B", p->transpose_b);
    lower_read(d, p->a);
    lower_read(d, p->b);
    lower_write(d, p->y);
    lower_u32(d, p->m);
    lower_u32(d, p->n);
    lower_u32(d, p->k);
    lower_u32(d, p->transpose_a ? p->m : p->k);
    lower_u32(d, p->transpose_b ? p->k : p->n);
    lower_u32(d, p->n);
    lower_u32(d, p->a_inner);
    lower_u32(d, p->b_inner);
    lower_u32(d, p->m * p->n);
    lower_u32(d, p->a_first);
    lower_u32(d, p->b_first);
    lower_u32(d, p->y_first);
    lower_u32(d, products(p));
    lower_groups(d, 1, 1, 1, 1, 1, 1);
    /* Each element is finished where it lies. */
    if (finish_flags(p) != 0) lower_product_sum(l, p, lower_tensor(l, p->y), 1);
}

/* Choice. */

/* Shapes of one class behave alike: extents are rounded to the nearest power of two. */
static unsigned long long rounded(uint64_t x)
{
    uint64_t power = 1;
    while (2 * power <= x) power *= 2;
    if (x > power && 2 * power - x <= x - power) power *= 2;
    return (unsigned long long)power;
}

uint32_t lower_product_ways(const lower_traits *traits, const lower_product *p, char *class_text, const char **names)
{
    (void)snprintf(class_text, LOWER_CLASS_BYTES, "product.%c%c.m%llu.n%llu.k%llu.b%llu", p->transpose_a ? 't' : 'n',
                   p->transpose_b ? 't' : 'n', rounded(p->m), rounded(p->n), rounded(p->k), rounded(products(p)));
    uint32_t count = traits->lanes == 1 ? lower_processor_ways(traits, p, names) : lower_tiles_ways(traits, p, names);
    if (clblast_takes(traits, p)) names[count++] = "clblast";
    return count;
}

const char *lower_way_named(const char *name)
{
    const char *way = lower_processor_way(name);
    if (way == NULL) way = lower_tiles_way(name);
    return way == NULL && strcmp(name, "clblast") == 0 ? "clblast" : way;
}

void lower_product_emit(lower_list *l, const lower_product *p)
{
    char class_text[LOWER_CLASS_BYTES];
    const char *names[LOWER_MAX_WAYS];
    if (products(p) * p->m * p->n == 0) return;
    const uint32_t count = lower_product_ways(l->traits, p, class_text, names);
    const char *tuned = lower_tuned(l->traits->tuning, class_text), *way = names[0];
    if (l->traits->way != NULL) tuned = l->traits->way;
    for (uint32_t i = 0; i < count && tuned != NULL; i++)
        if (strcmp(names[i], tuned) == 0) way = names[i];
    if (strcmp(way, "clblast") == 0)
        clblast_lower(l, p);
    else if (l->traits->lanes == 1)
        lower_processor_emit(l, p, way);
    else
        lower_tiles_emit(l, p, way);
}
