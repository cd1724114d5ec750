/* sort and top_k along the last axis.
 *   sort   rising and stable, NaN last, with the place where each value was
 *   top_k  the k largest, falling, equal ones in rising place; NaN counts as -infinity, and is given as that */
#include <math.h>
#include <string.h>

#include "backends/cpu/ops/order.h"
#include "backends/cpu/step.h"

typedef struct sort_args {
    const void *x;
    void *values;
    int32_t *places;
    size_t rows, length, k;
    m3_dtype dtype;
    void *scratch;
} sort_args;

/* A key that sorts as an unsigned number as its value does: floats lie mirrored below 0, -0 and 0 are equal. */
static uint32_t key_of(m3_dtype dtype, uint32_t bits)
{
    const uint32_t sign = 0x80000000u, infinity = 0x7f800000u;
    if (dtype == M3_U32) return bits;
    if (dtype == M3_I32) return bits ^ sign;
    if ((bits & ~sign) > infinity) return UINT32_MAX;
    if ((bits & ~sign) == 0) return sign;
    return (bits & sign) != 0 ? ~bits : bits | sign;
}

static void sort_rows(const void *args, size_t begin, size_t end, uint32_t worker)
{
    const sort_args *a = args;
    uint32_t *scratch =
        (uint32_t *)(void *)((unsigned char *)a->scratch + cpu_align(cpu_order_bytes(a->length)) * worker);
    for (size_t row = begin; row < end; row++) {
        const uint32_t *x = (const uint32_t *)a->x + row * a->length, *key, *place;
        uint32_t *values = (uint32_t *)a->values + row * a->length;
        for (size_t i = 0; i < a->length; i++) scratch[i] = key_of(a->dtype, x[i]);
        cpu_order(scratch, a->length, &key, &place);
        for (size_t i = 0; i < a->length; i++) {
            values[i] = x[place[i]];
            a->places[row * a->length + i] = (int32_t)place[i];
        }
    }
}

static void run_sort(const void *args, const cpu_run *cpu)
{
    sort_args a = *(const sort_args *)args;
    a.scratch = cpu->scratch;
    if (a.length > 0) cpu_for(cpu, a.rows, 16 * a.length, sort_rows, &a);
}

static m3_status prepare_sort(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_tensor *x = at->node->in[0];
    sort_args *a = cpu_step_args(at, step, run_sort, sizeof *a, err);
    if (a == NULL) return M3_ERR_MEMORY;
    *a = (sort_args){at->in[0], at->out[0], at->out[1], cpu_rows(x), cpu_last(x), 0, x->dtype, NULL};
    step->scratch_bytes = cpu_align(cpu_order_bytes(a->length)) * at->threads;
    return M3_OK;
}

/* top_k: the best so far lie in a heap within the outputs, the worst of them on top. */

typedef struct ranked {
    float value;
    int32_t place;
} ranked;

static bool worse(ranked a, ranked b)
{
    return a.value != b.value ? a.value < b.value : a.place > b.place;
}

/* Put x at the top of a heap of n and let it sink. */
static void sink(float *value, int32_t *place, size_t n, ranked x)
{
    size_t at = 0;
    for (size_t child = 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && worse((ranked){value[child + 1], place[child + 1]}, (ranked){value[child], place[child]}))
            child++;
        if (!worse((ranked){value[child], place[child]}, x)) break;
        value[at] = value[child];
        place[at] = place[child];
        at = child;
    }
    value[at] = x.value;
    place[at] = x.place;
}

static ranked item(const float *x, size_t i)
{
    return (ranked){isnan(x[i]) ? -INFINITY : x[i], (int32_t)i};
}

static void top_rows(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const sort_args *a = args;
    const size_t k = a->k;
    for (size_t row = begin; row < end; row++) {
        const float *x = (const float *)a->x + row * a->length;
        float *value = (float *)a->values + row * k;
        int32_t *place = a->places + row * k;
        /* The first k enter at the end and rise. */
        for (size_t i = 0; i < k; i++) {
            size_t at = i;
            ranked x_i = item(x, i);
            for (; at > 0 && worse(x_i, (ranked){value[(at - 1) / 2], place[(at - 1) / 2]}); at = (at - 1) / 2) {
                value[at] = value[(at - 1) / 2];
                place[at] = place[(at - 1) / 2];
            }
            value[at] = x_i.value;
            place[at] = x_i.place;
        }
        for (size_t i = k; i < a->length; i++) {
            if (!(x[i] > value[0])) continue; /* an equal one comes later, and so is worse */
            sink(value, place, k, item(x, i));
        }
        for (size_t n = k; n-- > 1;) { /* the worst goes behind, the last takes its place */
            ranked worst = {value[0], place[0]}, last = {value[n], place[n]};
            sink(value, place, n, last);
            value[n] = worst.value;
            place[n] = worst.place;
        }
    }
}

static void run_top_k(const void *args, const cpu_run *cpu)
{
    const sort_args *a = args;
    if (a->k > 0) cpu_for(cpu, a->rows, 2 * a->length, top_rows, a);
}

static m3_status prepare_top_k(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_tensor *x = at->node->in[0];
    sort_args *a = cpu_step_args(at, step, run_top_k, sizeof *a, err);
    if (a == NULL) return M3_ERR_MEMORY;
    *a = (sort_args){at->in[0], at->out[0], at->out[1], cpu_rows(x), cpu_last(x), (size_t)at->node->attr[0].i[0],
                     x->dtype,  NULL};
    return M3_OK;
}

const cpu_op cpu_sort_ops[] = {{"sort", NULL, prepare_sort}, {"top_k", NULL, prepare_top_k}, {0}};
