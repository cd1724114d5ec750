/* sort and top_k along the last axis.
 *   sort   rising and stable, NaN last, with the index that each value had
 *   top_k  the k largest, falling, equal ones by rising index; NaN counts as -infinity, and is given as that */
#include <math.h>
#include <string.h>

#include "backends/cpu/ops/radix_sort.h"
#include "backends/cpu/step.h"
#include "m3bsr/ops.h"

typedef struct sort_args {
    const void *x;
    void *values;
    int32_t *indices;
    size_t rows, length, k;
    m3_dtype dtype;
    void *scratch; /* of sort, while it runs */
} sort_args;

/* An unsigned key in the order of the values: negative floats are mirrored, -0 and 0 are equal. */
static uint32_t key_of(m3_dtype dtype, uint32_t bits)
{
    const uint32_t sign = 0x80000000u, infinity = 0x7f800000u;
    if (dtype == M3_U32) return bits;
    if (dtype == M3_I32) return bits ^ sign;
    if ((bits & ~sign) > infinity) return UINT32_MAX;
    if ((bits & ~sign) == 0) return sign;
    return (bits & sign) != 0 ? ~bits : bits | sign;
}

_Static_assert(M3_SORT_X == (int)M3_TOP_K_X && M3_SORT_VALUES == (int)M3_TOP_K_VALUES &&
                   M3_SORT_INDICES == (int)M3_TOP_K_INDICES,
               "both ops have the same operands");

static sort_args sort_args_of(const cpu_node *at)
{
    const m3_tensor *x = at->node->in[M3_SORT_X];
    return (sort_args){
        .x = at->in[M3_SORT_X],
        .values = at->out[M3_SORT_VALUES],
        .indices = at->out[M3_SORT_INDICES],
        .rows = cpu_rows(x),
        .length = cpu_row_length(x),
        .dtype = x->dtype,
    };
}

static void sort_rows(const void *args, size_t begin, size_t end, uint32_t worker)
{
    const sort_args *a = args;
    uint32_t *scratch =
        (uint32_t *)(void *)((unsigned char *)a->scratch + cpu_align(cpu_radix_sort_bytes(a->length)) * worker);
    for (size_t row = begin; row < end; row++) {
        const uint32_t *x = (const uint32_t *)a->x + row * a->length, *key, *index;
        uint32_t *values = (uint32_t *)a->values + row * a->length;
        for (size_t i = 0; i < a->length; i++) scratch[i] = key_of(a->dtype, x[i]);
        cpu_radix_sort(scratch, a->length, &key, &index);
        for (size_t i = 0; i < a->length; i++) {
            values[i] = x[index[i]];
            a->indices[row * a->length + i] = (int32_t)index[i];
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
    sort_args *a = cpu_step_args(at, step, run_sort, sizeof *a, err);
    if (a == NULL) return M3_ERR_MEMORY;
    *a = sort_args_of(at);
    step->scratch_bytes = cpu_align(cpu_radix_sort_bytes(a->length)) * at->threads;
    return M3_OK;
}

/* top_k: the best so far are a heap in the outputs, with the worst of them on top. */

typedef struct ranked {
    float value;
    int32_t index;
} ranked;

static bool worse(ranked a, ranked b)
{
    return a.value != b.value ? a.value < b.value : a.index > b.index;
}

/* Put x at the top of a heap of n and sift it down. */
static void sift_down(float *value, int32_t *index, size_t n, ranked x)
{
    size_t at = 0;
    for (size_t child = 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && worse((ranked){value[child + 1], index[child + 1]}, (ranked){value[child], index[child]}))
            child++;
        if (!worse((ranked){value[child], index[child]}, x)) break;
        value[at] = value[child];
        index[at] = index[child];
        at = child;
    }
    value[at] = x.value;
    index[at] = x.index;
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
        int32_t *index = a->indices + row * k;
        /* The first k are put at the end and sifted up. */
        for (size_t i = 0; i < k; i++) {
            size_t at = i;
            ranked x_i = item(x, i);
            for (; at > 0 && worse(x_i, (ranked){value[(at - 1) / 2], index[(at - 1) / 2]}); at = (at - 1) / 2) {
                value[at] = value[(at - 1) / 2];
                index[at] = index[(at - 1) / 2];
            }
            value[at] = x_i.value;
            index[at] = x_i.index;
        }
        for (size_t i = k; i < a->length; i++) {
            if (!(x[i] > value[0])) continue; /* an equal one has a larger index, and so is worse */
            sift_down(value, index, k, item(x, i));
        }
        for (size_t n = k; n-- > 1;) { /* the worst moves to the end, and the last is sifted down */
            ranked worst = {value[0], index[0]}, last = {value[n], index[n]};
            sift_down(value, index, n, last);
            value[n] = worst.value;
            index[n] = worst.index;
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
    sort_args *a = cpu_step_args(at, step, run_top_k, sizeof *a, err);
    if (a == NULL) return M3_ERR_MEMORY;
    *a = sort_args_of(at);
    a->k = (size_t)m3_node_int(at->node, M3_TOP_K_K);
    return M3_OK;
}

const cpu_op cpu_sort_ops[] = {{"sort", NULL, prepare_sort}, {"top_k", NULL, prepare_top_k}, {0}};
