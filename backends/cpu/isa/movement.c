/* movement: a matrix transposed in square tiles of one vector's width; see ops/movement.h. Only bits are moved, so
 * f32, i32 and u32 are the same. */
#include "backends/cpu/ops/movement.h"

#include "backends/cpu/isa/vec.h"

static void transpose(float *to, size_t to_row, const float *from, size_t from_row, size_t rows, size_t columns)
{
    for (size_t i = 0; i < rows; i += CPU_VW) {
        size_t m = rows - i < CPU_VW ? rows - i : CPU_VW;
        for (size_t j = 0; j < columns; j += CPU_VW) {
            size_t n = columns - j < CPU_VW ? columns - j : CPU_VW;
            const float *source = from + j * from_row + i;
            float *target = to + i * to_row + j;
            vf tile[CPU_VW];
            if (m == CPU_VW && n == CPU_VW) {
                CPU_UNROLL
                for (size_t k = 0; k < CPU_VW; k++) tile[k] = v_load(source + k * from_row);
                v_transpose(tile);
                CPU_UNROLL
                for (size_t k = 0; k < CPU_VW; k++) v_store(target + k * to_row, tile[k]);
                continue;
            }
            for (size_t k = 0; k < CPU_VW; k++) tile[k] = k < n ? v_load_n(source + k * from_row, m) : v_zero();
            v_transpose(tile);
            for (size_t k = 0; k < m; k++) v_store_n(target + k * to_row, n, tile[k]);
        }
    }
}

const cpu_movement_kernels CPU_FN(cpu_movement_kernels) = {transpose};
