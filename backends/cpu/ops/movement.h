/* movement: the kernel that depends on the instruction set. */
#ifndef CPU_OPS_MOVEMENT_H
#define CPU_OPS_MOVEMENT_H

#include "backends/cpu/step.h"

typedef struct cpu_movement_kernels {
    /* to[i * to_row + j] = from[j * from_row + i], i < rows, j < columns; elements of 4 bytes, rows in elements. */
    void (*transpose)(float *to, size_t to_row, const float *from, size_t from_row, size_t rows, size_t columns);
} cpu_movement_kernels;

CPU_DECLARE_KERNELS(cpu_movement_kernels);

#endif
