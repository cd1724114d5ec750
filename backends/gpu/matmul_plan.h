/* matmul_plan: a product of matrices as the kernels see it, and the choice of a way to compute it on a device.
 *   y = gate(act(a b + bias + residual)) for each of outer * inner products; linear and matmul are both of this form.
 *
 * Ways have names, which tuning.h measures:
 *   rowsN      a processor's: tiles whose sums lie in registers, N rows high (matmul_processor.c)
 *   tileMxN…   of devices with groups: tiles in local memory (matmul_tiles.c)
 *   clblast    a call of that library, where a device has it */
#ifndef GPU_MATMUL_PLAN_H
#define GPU_MATMUL_PLAN_H

#include "lower.h"
#include "tuning.h"

typedef struct gpu_product {
    const m3_tensor *a, *b, *bias, *residual, *gate, *y; /* bias, residual, gate: or NULL */
    uint64_t m, n, k;
    uint64_t outer, inner;                       /* axes of the batch */
    uint64_t a_outer, a_inner, b_outer, b_inner; /* elements from one product to the next; 0: the same again */
    uint64_t a_first, b_first, y_first;          /* elements before the first product */
    bool transpose_a, transpose_b;
    uint32_t act; /* m3_activation */
} gpu_product;

/* Dispatches that compute it, in the way that the device's tuning names, else in the default one; none where y has no
 * elements. y_first is 0 where there is a bias, residual or gate. */
void gpu_product_lower(gpu_list *l, const gpu_product *p);

/* The ways, the default one first, and the class of products that are measured together: see gpu_op. */
uint32_t gpu_product_ways(const gpu_traits *traits, const gpu_product *p, char *class_text, const char **names);

/* Shared by the ways. */

/* Bits of the word `flags` of the kernels; the activation lies above them. */
enum { GPU_B_TRANSPOSED = 1, GPU_BIAS = 2, GPU_RESIDUAL = 4, GPU_GATE = 8, GPU_ACT_SHIFT = 4 };

static inline uint64_t gpu_smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t gpu_larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* bias, residual, gate and y, of which the first three are absent where parts of the sum are written instead. */
void gpu_product_bind(gpu_dispatch *d, const gpu_product *p, gpu_view part, uint64_t parts);
/* m, n, k, flags, then the words that say where the factors lie: batches … y_first. */
void gpu_product_words(gpu_dispatch *d, const gpu_product *p, uint64_t parts, uint32_t flags);
/* Memory for parts, and y from them. At most gpu_most_parts fit what a kernel sees and counts. */
gpu_view gpu_product_parts(gpu_list *l, const gpu_product *p, uint64_t parts);
void gpu_product_sum(gpu_list *l, const gpu_product *p, gpu_view part, uint64_t parts);
uint64_t gpu_most_parts(const gpu_traits *traits, const gpu_product *p);

/* The kinds. Their names are listed from the one that is the default for the product on; ended by NULL. */
const char *gpu_processor_way(const char *name); /* that name, static, or NULL when it is none of them */
const char *gpu_tiles_way(const char *name);
void gpu_processor_lower(gpu_list *l, const gpu_product *p, const char *way);
uint32_t gpu_processor_ways(const gpu_traits *traits, const gpu_product *p, const char **names);
void gpu_tiles_lower(gpu_list *l, const gpu_product *p, const char *way);
uint32_t gpu_tiles_ways(const gpu_traits *traits, const gpu_product *p, const char **names);

#endif
