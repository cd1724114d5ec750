/* elementwise: how .evaluate of small ops passes over its arrays.
 * An iterator passes over an output in row-major order and keeps the matching index of up to three arrays. */
#ifndef M3_CORE_OPS_COMMON_ELEMENTWISE_H
#define M3_CORE_OPS_COMMON_ELEMENTWISE_H

#include "core/ops/common/rules.h"

enum { M3_ITERATOR_ARRAYS = 3 };

typedef struct m3_iterator {
    uint32_t rank, arrays;
    uint64_t dim[M3_MAX_RANK], at[M3_MAX_RANK];
    uint64_t stride[M3_ITERATOR_ARRAYS][M3_MAX_RANK]; /**< 0 along axes that repeat */
    uint64_t index[M3_ITERATOR_ARRAYS];               /**< of the current element */
} m3_iterator;

/** Elements from one index of each axis to the next. */
void m3_strides(const m3_shape *shape, uint64_t stride[M3_MAX_RANK]);
/** An iterator over `shape` at its first element, with no arrays yet. */
m3_iterator m3_iterator_over(const m3_shape *shape);
/** Add an array that broadcasts to the iterator's shape. */
void m3_iterator_add(m3_iterator *it, const m3_shape *shape);
/** Go to the next element; after the last one it is at the first again. */
void m3_iterator_next(m3_iterator *it);

/** A shape as [outer, length, inner] around an axis of it. */
typedef struct m3_line {
    uint64_t outer, length, inner;
} m3_line;
m3_line m3_line_of(const m3_shape *shape, uint32_t axis);

m3_status m3_evaluate_unary(const m3_node *node, const double *const *in, double *const *out, double (*f)(double x));
m3_status m3_evaluate_binary(const m3_node *node, const double *const *in, double *const *out,
                             double (*f)(double x, double y));
/** As m3_evaluate_binary; integer types go through `whole` and wrap to 32 bits. Arguments of u32 are not negative. */
m3_status m3_evaluate_arithmetic(const m3_node *node, const double *const *in, double *const *out,
                                 double (*real)(double x, double y), int64_t (*whole)(int64_t x, int64_t y));
/** The low 32 bits of a whole number as a value of i32 or u32. */
double m3_wrap(int64_t value, m3_dtype dtype);

#endif
