/* matmul_plan: a product of matrices as the kernels see it, and the choice of the variant that computes it on a device.
 *   y = gate(act(a b + bias + residual)) for each of outer * inner products; linear and matmul are both of this form.
 *
 * Variants have names, which tuning.h measures:
 *   rowsN      a processor's: tiles whose sums lie in registers, N rows high (matmul_processor.c)
 *   tileMxN…   of devices with groups: tiles in local memory (matmul_tiles.c)
 *   matricesMxN  of GPUs with matrices of 16 x 16 halves (matmul_matrices.c); only where it was measured
 *   clblast    a call of that library, where a device has it */
#ifndef LOWER_MATMUL_PLAN_H
#define LOWER_MATMUL_PLAN_H

#include "backends/lowering/contract.h"
#include "backends/lowering/tuning.h"

typedef struct lower_product {
    const m3_tensor *a, *b, *bias, *residual, *gate, *y; /* bias, residual, gate: or NULL */
    uint64_t m, n, k;
    uint64_t outer, inner;                       /* axes of the batch */
    uint64_t a_outer, a_inner, b_outer, b_inner; /* elements from one product to the next; 0: the same again */
    uint64_t a_first, b_first, y_first;          /* elements before the first product */
    bool transpose_a, transpose_b;
    uint32_t act; /* m3_activation */
    /* Sums down the columns of a factor that lies as [k, …], made with y; or NULL and SUMS_NONE. Without bias,
     * residual, gate and act, and y_first is 0. */
    const m3_tensor *sums; /* [products, m] of a, which lies transposed, or [products, n] of b, which does not */
    uint32_t summed;       /* SUMS_OF_A, SUMS_OF_B */
} lower_product;

/* Dispatches that compute it, by the variant that the device's tuning names, else by the default one; none where y has
 * no elements. y_first is 0 where there is a bias, residual or gate. */
void lower_product_emit(lower_list *l, const lower_product *p);

/* The variants, the default one first, and the class of products that are measured together: see variants.h. */
uint32_t lower_product_variants(const lower_traits *traits, const lower_product *p, char *class_text,
                                const char **names);

/* Shared by the variants. */

static inline uint64_t lower_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t lower_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The flags of what follows on the sum. */
uint32_t lower_product_flags(const lower_product *p);
/* What the kernels of all variants are given: factors and y, where they lie, and what follows on the sum. Where there
 * is memory for parts, they are written instead of y, and nothing follows. */
#define LOWER_PRODUCT(l, p, cut)                                                                                       \
    .SUMS = (p)->summed, .a = lower_tensor(l, (p)->a), .b = lower_tensor(l, (p)->b),                                   \
    .bias = lower_tensor(l, lower_is_cut(cut) ? NULL : (p)->bias),                                                     \
    .residual = lower_tensor(l, lower_is_cut(cut) ? NULL : (p)->residual),                                             \
    .gate = lower_tensor(l, lower_is_cut(cut) ? NULL : (p)->gate),                                                     \
    .y = lower_is_cut(cut) ? (cut).y : lower_tensor(l, (p)->y),                                                        \
    .sums = lower_is_cut(cut) ? (cut).sums : lower_tensor(l, (p)->sums), .m = (p)->m, .n = (p)->n, .k = (p)->k,        \
    .batches = (p)->outer * (p)->inner, .inner = (p)->inner, .a_outer = (p)->a_outer, .a_inner = (p)->a_inner,         \
    .b_outer = (p)->b_outer, .b_inner = (p)->b_inner, .a_first = (p)->a_first, .b_first = (p)->b_first,                \
    .y_first = lower_is_cut(cut) ? 0 : (p)->y_first
/* Memory for parts, and y from them. At most lower_max_parts fit what a kernel sees and counts. */
typedef struct lower_cut {
    lower_view y, sums; /* of all parts; nothing where what the kernel writes is y */
} lower_cut;
static inline bool lower_is_cut(lower_cut cut)
{
    return cut.y.memory != LOWER_NOTHING;
}
lower_cut lower_product_parts(lower_list *l, const lower_product *p, uint64_t parts);
void lower_product_sum(lower_list *l, const lower_product *p, lower_cut cut, uint64_t parts);
/* A tensor of 16 bits, with an even number of elements, from sums in f32: the last step of a product of one part. */
void lower_round(lower_list *l, lower_view from, const m3_tensor *to);
uint64_t lower_max_parts(const lower_traits *traits, const lower_product *p);

/* Can all be read in fours? */
bool lower_product_is_wide(const lower_product *p);

/* The kinds. Their names are listed from the one that is the default for the product on; ended by NULL. */
const char *lower_processor_variant(const char *name); /* that name, static, or NULL when it is none of them */
const char *lower_tiles_variant(const char *name);
const char *lower_matrices_variant(const char *name);
void lower_processor_emit(lower_list *l, const lower_product *p, const char *variant);
uint32_t lower_processor_variants(const lower_traits *traits, const lower_product *p, const char **names);
void lower_tiles_emit(lower_list *l, const lower_product *p, const char *variant);
uint32_t lower_tiles_variants(const lower_traits *traits, const lower_product *p, const char **names);
void lower_matrices_emit(lower_list *l, const lower_product *p, const char *variant);
uint32_t lower_matrices_variants(const lower_traits *traits, const lower_product *p, const char **names);

#endif
