/* scan: kernels that go along an axis in order, a strip of columns at a time. */
#ifndef CPU_OPS_SCAN_H
#define CPU_OPS_SCAN_H

#include "backends/cpu/step.h"

/* Columns of an array; rows lie `row` elements apart, and the kernel goes from the first row given to the last. */
typedef struct cpu_columns {
    size_t length, columns;
    ptrdiff_t row; /* negative: backwards */
} cpu_columns;

typedef struct cpu_scan_kernels {
    /* y_l = a_l y_(l-1) + b_l, y_0 = b_0; y may be a or b. */
    void (*scan)(const cpu_columns *c, const float *a, const float *b, float *y);
    /* y_l = x_0 + … + x_l; y may be x. */
    void (*cumsum)(const cpu_columns *c, const float *x, float *y);
} cpu_scan_kernels;

CPU_DECLARE_KERNELS(cpu_scan_kernels);

#endif
