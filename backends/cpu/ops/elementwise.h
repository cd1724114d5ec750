/* elementwise: kernels of one row, and the axes over which they are called. */
#ifndef CPU_OPS_ELEMENTWISE_H
#define CPU_OPS_ELEMENTWISE_H

#include "backends/cpu/step.h"

enum { CPU_MAX_OPERANDS = 3 };

/* out[i] = f(in[0][i], in[1][i], in[2][i]), i < n; operand k is in[k][0] for every i where repeat[k] is set.
 * out may be one of those in[k] that do not repeat. */
typedef void (*cpu_elementwise_fn)(void *out, const void *const in[CPU_MAX_OPERANDS],
                                   const bool repeat[CPU_MAX_OPERANDS], size_t n);

typedef struct cpu_elementwise_kernels {
    /* The kernel of an op from one type to another, or NULL; the first type of `where` is that of its choices. */
    cpu_elementwise_fn (*find)(const char *op, m3_dtype from, m3_dtype to);
} cpu_elementwise_kernels;

CPU_DECLARE_KERNELS(cpu_elementwise_kernels);

/* Coalesced axes of an output, and the strides of its operands, in elements: axes that are contiguous in all operands
 * are one, axes of one element are left out. The last axis of any operand has a stride of 1, or 0 where it repeats. */
typedef struct cpu_axes {
    uint32_t rank, operands;
    size_t dim[M3_MAX_RANK];
    size_t stride[CPU_MAX_OPERANDS][M3_MAX_RANK];
} cpu_axes;

/* Operands must broadcast to out. */
cpu_axes cpu_axes_of(const m3_shape *out, const m3_shape *const *operand, uint32_t operands);

#endif
