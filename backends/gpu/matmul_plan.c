/* matmul_plan: which way a product is computed, what all ways share, and the call of CLBlast. */
#include "matmul_plan.h"

#include <stdio.h>
#include <string.h>

/* Binding. */

static uint64_t products(const gpu_product *p)
{
    return p->outer * p->inner;
}

static uint32_t finish_flags(const gpu_product *p)
{
    return (p->bias != NULL ? GPU_BIAS : 0u) | (p->residual != NULL ? GPU_RESIDUAL : 0u) |
           (p->gate != NULL ? GPU_GATE : 0u) | p->act << GPU_ACT_SHIFT;
}

static void bind_finish(gpu_dispatch *d, const gpu_product *p)
{
    gpu_read(d, p->bias);
    gpu_read(d, p->residual);
    gpu_read(d, p->gate);
}

void gpu_product_bind(gpu_dispatch *d, const gpu_product *p, gpu_view part, uint64_t parts)
{
    if (parts == 1) {
        bind_finish(d, p);
        gpu_write(d, p->y);
        return;
    }
    for (int i = 0; i < 3; i++) gpu_read(d, NULL);
    gpu_bind(d, part, false, true);
}

void gpu_product_words(gpu_dispatch *d, const gpu_product *p, uint64_t parts, uint32_t flags)
{
    gpu_u32(d, p->m);
    gpu_u32(d, p->n);
    gpu_u32(d, p->k);
    gpu_u32(d, flags | (parts > 1 ? 0 : finish_flags(p)));
    gpu_u32(d, products(p));
    gpu_u32(d, p->inner);
    gpu_u32(d, p->a_outer);
    gpu_u32(d, p->a_inner);
    gpu_u32(d, p->b_outer);
    gpu_u32(d, p->b_inner);
    gpu_u32(d, p->a_first);
    gpu_u32(d, p->b_first);
    gpu_u32(d, parts > 1 ? 0 : p->y_first);
}

/* Parts of a sum. */

uint64_t gpu_most_parts(const gpu_traits *traits, const gpu_product *p)
{
    const uint64_t bytes = products(p) * p->m * p->n * sizeof(float);
    return gpu_larger(1, gpu_smaller(traits->largest_binding, INT32_MAX) / bytes);
}

gpu_view gpu_product_parts(gpu_list *l, const gpu_product *p, uint64_t parts)
{
    if (parts == 1) return (gpu_view){.memory = GPU_NOTHING};
    return gpu_scratch(l, parts * products(p) * p->m * p->n * sizeof(float));
}

void gpu_product_sum(gpu_list *l, const gpu_product *p, gpu_view part, uint64_t parts)
{
    const uint64_t count = products(p) * p->m * p->n;
    const bool processor = l->traits->lanes == 1;
    gpu_dispatch *d = gpu_begin(l, processor ? "matmul_processor" : "matmul", "sum_parts");
    if (processor) gpu_constant(d, "VECTOR", (int32_t)l->traits->vector);
    gpu_bind(d, part, true, false);
    bind_finish(d, p);
    gpu_write(d, p->y);
    gpu_u32(d, count);
    gpu_u32(d, p->m);
    gpu_u32(d, p->n);
    gpu_u32(d, finish_flags(p));
    gpu_u32(d, parts);
    gpu_u32(d, p->y_first);
    gpu_items(d, processor ? gpu_parts(count, l->traits->vector) : count);
}

/* CLBlast. */

/* The library takes one stride for a batch, and no empty sum. */
static bool clblast_takes(const gpu_traits *traits, const gpu_product *p)
{
    const bool one_stride =
        p->outer == 1 || (p->a_outer == p->inner * p->a_inner && p->b_outer == p->inner * p->b_inner);
    return traits->clblast && p->k > 0 && one_stride;
}

static void clblast_lower(gpu_list *l, const gpu_product *p)
{
    gpu_dispatch *d = gpu_begin(l, "clblast", "gemm");
    gpu_constant(d, "TRANSPOSE_A", p->transpose_a);
    gpu_constant(d, "TRANSPOSE_B", p->transpose_b);
    gpu_read(d, p->a);
    gpu_read(d, p->b);
    gpu_write(d, p->y);
    gpu_u32(d, p->m);
    gpu_u32(d, p->n);
    gpu_u32(d, p->k);
    gpu_u32(d, p->transpose_a ? p->m : p->k);
    gpu_u32(d, p->transpose_b ? p->k : p->n);
    gpu_u32(d, p->n);
    gpu_u32(d, p->a_inner);
    gpu_u32(d, p->b_inner);
    gpu_u32(d, p->m * p->n);
    gpu_u32(d, p->a_first);
    gpu_u32(d, p->b_first);
    gpu_u32(d, p->y_first);
    gpu_u32(d, products(p));
    gpu_groups(d, 1, 1, 1, 1, 1, 1);
    /* Each element is finished where it lies. */
    if (finish_flags(p) != 0) gpu_product_sum(l, p, gpu_tensor(l, p->y), 1);
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

uint32_t gpu_product_ways(const gpu_traits *traits, const gpu_product *p, char *class_text, const char **names)
{
    (void)snprintf(class_text, GPU_CLASS_BYTES, "product.%c%c.m%llu.n%llu.k%llu.b%llu", p->transpose_a ? 't' : 'n',
                   p->transpose_b ? 't' : 'n', rounded(p->m), rounded(p->n), rounded(p->k), rounded(products(p)));
    uint32_t count = traits->lanes == 1 ? gpu_processor_ways(traits, p, names) : gpu_tiles_ways(traits, p, names);
    if (clblast_takes(traits, p)) names[count++] = "clblast";
    return count;
}

const char *gpu_way_named(const char *name)
{
    const char *way = gpu_processor_way(name);
    if (way == NULL) way = gpu_tiles_way(name);
    return way == NULL && strcmp(name, "clblast") == 0 ? "clblast" : way;
}

void gpu_product_lower(gpu_list *l, const gpu_product *p)
{
    char class_text[GPU_CLASS_BYTES];
    const char *names[GPU_MAX_WAYS];
    if (products(p) * p->m * p->n == 0) return;
    const uint32_t count = gpu_product_ways(l->traits, p, class_text, names);
    const char *tuned = gpu_tuned(l->traits->tuning, class_text), *way = names[0];
    if (l->traits->way != NULL) tuned = l->traits->way;
    for (uint32_t i = 0; i < count && tuned != NULL; i++)
        if (strcmp(names[i], tuned) == 0) way = names[i];
    if (strcmp(way, "clblast") == 0)
        clblast_lower(l, p);
    else if (l->traits->lanes == 1)
        gpu_processor_lower(l, p, way);
    else
        gpu_tiles_lower(l, p, way);
}
