/* rows: sums of rows by their indices, in order; see ops/rows.h. Four vectors of columns at a time stay in registers.
 */
#include "backends/cpu/ops/rows.h"

#include "backends/cpu/isa/vec.h"

enum { VECTORS = 4 };

static void sum_f32(void *to, const void *rows, const uint32_t *index, size_t count, size_t size)
{
    const float *from = rows;
    float *y = to;
    size_t j = 0;
    for (; j + VECTORS * CPU_VW <= size; j += VECTORS * CPU_VW) {
        vf sum[VECTORS];
        CPU_UNROLL
        for (size_t k = 0; k < VECTORS; k++) sum[k] = v_load(from + index[0] * size + j + k * CPU_VW);
        for (size_t i = 1; i < count; i++) {
            const float *row = from + index[i] * size + j;
            CPU_UNROLL
            for (size_t k = 0; k < VECTORS; k++) sum[k] += v_load(row + k * CPU_VW);
        }
        CPU_UNROLL
        for (size_t k = 0; k < VECTORS; k++) v_store(y + j + k * CPU_VW, sum[k]);
    }
    for (; j < size; j += CPU_VW) {
        size_t n = size - j < CPU_VW ? size - j : CPU_VW;
        vf sum = v_load_n(from + index[0] * size + j, n);
        for (size_t i = 1; i < count; i++) sum += v_load_n(from + index[i] * size + j, n);
        v_store_n(y + j, n, sum);
    }
}

static void sum_i32(void *to, const void *rows, const uint32_t *index, size_t count, size_t size)
{
    const uint32_t *from = rows;
    uint32_t *y = to;
    memcpy(y, from + index[0] * size, size * sizeof *y);
    for (size_t i = 1; i < count; i++)
        for (size_t j = 0; j < size; j++) y[j] += from[index[i] * size + j];
}

const cpu_rows_kernels CPU_FN(cpu_rows_kernels) = {sum_f32, sum_i32};
