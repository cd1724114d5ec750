/* elementwise: how .evaluate of small ops walks its arrays.
 * A walk goes over an output in row-major order and keeps, for up to three arrays, the index that belongs to it. */
#ifndef M3_CORE_OPS_COMMON_ELEMENTWISE_H
#define M3_CORE_OPS_COMMON_ELEMENTWISE_H

#include "core/ops/common/rules.h"

enum { M3_WALK_ARRAYS = 3 };

typedef struct m3_walk {
    uint32_t rank, arrays;
    uint64_t dim[M3_MAX_RANK], at[M3_MAX_RANK];
    uint64_t stride[M3_WALK_ARRAYS][M3_MAX_RANK]; /**< 0 along axes that repeat */
    uint64_t index[M3_WALK_ARRAYS];               /**< of the element where the walk stands */
} m3_walk;

/** Elements from one index of each axis to the next. */
void m3_strides(const m3_shape *shape, uint64_t stride[M3_MAX_RANK]);
/** A walk over `shape` with no arrays yet, standing on its first element. */
m3_walk m3_walk_over(const m3_shape *shape);
/** Add an array that broadcasts to the walk's shape. */
void m3_walk_add(m3_walk *walk, const m3_shape *shape);
/** Go to the next element; behind the last one it is back at the first. */
void m3_walk_next(m3_walk *walk);

m3_status m3_evaluate_unary(const m3_node *node, const double *const *in, double *const *out, double (*f)(double x));
m3_status m3_evaluate_binary(const m3_node *node, const double *const *in, double *const *out,
                             double (*f)(double x, double y));
/** As m3_evaluate_binary; integer types go through `whole` and wrap to 32 bits. Arguments of u32 are not negative. */
m3_status m3_evaluate_arithmetic(const m3_node *node, const double *const *in, double *const *out,
                                 double (*real)(double x, double y), int64_t (*whole)(int64_t x, int64_t y));
/** The low 32 bits of a whole number as a value of i32 or u32. */
double m3_wrap(int64_t value, m3_dtype dtype);

#endif
