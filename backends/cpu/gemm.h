/* gemm: batches of matrix products with their epilogue.
 *   C[i,j] = act(sum_k A[i,k] B[k,j] + bias[j] + residual[i,j]) where gate[i,j] > 0, else 0
 *   A [M,K], B [K,N], C [M,N], row-major; a transposed operand lies in memory as [K,M] or [N,K].
 * Elements are f32, or of 16 bits: then sums and what follows them are f32, and an element of C is rounded once.
 *   bf16 with VDPBF16PS: two steps of a sum in one instruction, which takes denormals for 0 and rounds twice a pair;
 *   f16, bf16 without it, and sums of an odd number of steps: widened to f32 when they are packed.
 * An element's sum runs in an order that K alone decides: results do not depend on threads, batch or tiles. */
#ifndef CPU_GEMM_H
#define CPU_GEMM_H

#include "backends/cpu/machine.h"

/* An input matrix. Strides and leading dimensions count elements, here and below. */
typedef struct cpu_operand {
    const void *data;
    size_t row;      /* from one row in memory to the next */
    size_t batch[2]; /* from one product to the next along each batch axis; 0: all use the same */
    bool transposed;
} cpu_operand;

typedef struct cpu_gemm {
    size_t batch[2]; /* products; {1, 1} for one. The second axis runs fastest (heads, say) */
    size_t m, n, k;  /* any may be 0; k = 0 sums nothing and still adds bias and residual */
    m3_dtype in;     /* of A and B: f32, bf16 or f16 */
    m3_dtype out;    /* of C, residual and gate: f32, or as `in`; bias is f32 */
    cpu_operand a, b;
    void *c; /* written, never read. Must not overlap an input, except that residual may be c itself */
    size_t c_row, c_batch[2];
    cpu_operand bias;     /* [n]; data NULL: none; row is not used */
    cpu_operand residual; /* [m,n]; data NULL: none; never transposed */
    cpu_operand gate;     /* [m,n]; data NULL: none; never transposed */
    cpu_activation act;
    /* Sums of an operand of 16 bits over K, in f32 [products, m or n], which cost no further pass over memory: of B,
     * or of a transposed A. NULL: none. */
    float *sums;
    bool sums_of_a;
} cpu_gemm;

/* Fold batch axes into M where all products share B (and bias), and rows follow one another evenly.
 * The result is the same; products are fewer and larger. */
void cpu_gemm_merge_batch(cpu_gemm *gemm);

/* Bytes of scratch for a run with this many threads. Depends on shapes, strides and transposition, and of pointers only
 * on whether `sums` is NULL. */
size_t cpu_gemm_scratch(const cpu_machine *machine, const cpu_gemm *gemm, uint32_t threads);

/* Compute. scratch: the caller's, cpu_gemm_scratch() bytes for the pool's number of threads, of any alignment; contents
 * do not matter before or after. Allocates nothing and cannot fail. Operands need 4-byte alignment. pool may be NULL:
 * the calling thread alone, so kernels may call it from within a task. */
void cpu_gemm_run(const cpu_machine *machine, const cpu_gemm *gemm, const cpu_pool *pool, void *scratch);

#endif
