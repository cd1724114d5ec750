/* scan: recurrences along an axis; see ops/scan.h. Vectors lie across columns, so that a step needs no other lane; a
 * single column is a chain that nothing shortens. */
#include "backends/cpu/ops/scan.h"

#include "backends/cpu/isa/row.h"

/* One vector of n columns; a NULL: all ones. */
INLINE void down(const cpu_columns *c, const float *a, const float *b, float *y, size_t n, const bool part)
{
    vf state = v_zero();
    for (size_t l = 0; l < c->length; l++, b += c->row, y += c->row) {
        const vf x = part ? v_load_n(b, n) : v_load(b);
        if (l == 0)
            state = x;
        else if (a == NULL)
            state = state + x;
        else
            state = v_fma(part ? v_load_n(a, n) : v_load(a), state, x);
        if (part)
            v_store_n(y, n, state);
        else
            v_store(y, state);
        if (a != NULL) a += c->row;
    }
}

static void scan(const cpu_columns *c, const float *a, const float *b, float *y)
{
    size_t i = 0;
    for (; i + CPU_VW <= c->columns; i += CPU_VW) down(c, a + i, b + i, y + i, CPU_VW, false);
    if (i < c->columns) down(c, a + i, b + i, y + i, c->columns - i, true);
}

static void cumsum(const cpu_columns *c, const float *x, float *y)
{
    size_t i = 0;
    for (; i + CPU_VW <= c->columns; i += CPU_VW) down(c, NULL, x + i, y + i, CPU_VW, false);
    if (i < c->columns) down(c, NULL, x + i, y + i, c->columns - i, true);
}

const cpu_scan_kernels CPU_FN(cpu_scan_kernels) = {scan, cumsum};
