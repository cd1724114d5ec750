/* row: floats in memory as vectors, of which the last may be partial. */
#ifndef CPU_ISA_ROW_H
#define CPU_ISA_ROW_H

#include "backends/cpu/isa/vec.h"

/* The first n lanes, or all when n >= CPU_VW; the others are 0. */
INLINE vf v_load_part(const float *p, size_t n)
{
    return n >= CPU_VW ? v_load(p) : v_load_n(p, n);
}

INLINE void v_store_part(float *p, size_t n, vf x)
{
    if (n >= CPU_VW)
        v_store(p, x);
    else
        v_store_n(p, n, x);
}

/* x in the first n lanes, else other. */
INLINE vf v_first_or(vf x, size_t n, vf other)
{
    return n >= CPU_VW ? x : v_select(v_first(n), x, other);
}

/* n rounded up to whole vectors. */
INLINE size_t whole_vectors(size_t n)
{
    return (n + CPU_VW - 1) / CPU_VW * CPU_VW;
}

#endif
