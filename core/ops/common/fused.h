/* fused: what the fused ops of this folder share: checks whose messages say what is, what is wanted and why, and
 * small pieces of formulas. Shape rules read attributes that a plugin may have filled, so nothing is taken on trust. */
#ifndef M3_CORE_OPS_COMMON_FUSED_H
#define M3_CORE_OPS_COMMON_FUSED_H

#include "core/ops/common/rules.h"

/** For "%s %s": type and shape of a tensor. */
#define M3_TENSOR_TEXT(x) m3_dtype_name((x)->dtype), M3_SHAPE_TEXT(&(x)->shape)

/** An optional input: NULL when it is absent or the node has fewer inputs. */
static inline m3_tensor *m3_optional_input(const m3_node *node, uint32_t index)
{
    return index < node->in_count ? node->in[index] : NULL;
}

static inline m3_tensor_desc m3_desc_of(m3_dtype dtype, m3_shape shape)
{
    m3_tensor_desc desc = {dtype, shape};
    return desc;
}

/** The extent of an axis counted from the last, 1 = last. The rank must reach it. */
static inline uint64_t m3_extent_back(const m3_tensor *x, uint32_t back)
{
    return x->shape.dim[x->shape.rank - back];
}

/** Product of the extents of axes [from, to). */
static inline uint64_t m3_extent_product(const m3_tensor *x, uint32_t from, uint32_t to)
{
    uint64_t product = 1;
    for (uint32_t i = from; i < to; i++) product *= x->shape.dim[i];
    return product;
}

/** The shape without its last `count` axes. */
static inline m3_shape m3_shape_leading(const m3_tensor *x, uint32_t count)
{
    return m3_shape_of(x->shape.rank - count, x->shape.dim);
}

/** x is f32 or f64 and has at least so many axes. */
static inline m3_status m3_want_float(const m3_node *node, const m3_tensor *x, const char *name, uint32_t rank,
                                      m3_error *err)
{
    if (x->dtype != M3_F32 && x->dtype != M3_F64)
        return M3_FAIL_NODE(err, node, "%s is %s %s; give f32 or f64, or cast it first", name, M3_TENSOR_TEXT(x));
    if (x->shape.rank < rank)
        return M3_FAIL_NODE(err, node, "%s is %s %s; give it at least %u axes", name, M3_TENSOR_TEXT(x), rank);
    return M3_OK;
}

/** The same, or x has 16 bits. */
static inline m3_status m3_want_float_or_half(const m3_node *node, const m3_tensor *x, const char *name, uint32_t rank,
                                              m3_error *err)
{
    if (!m3_dtype_is_half(x->dtype)) return m3_want_float(node, x, name, rank, err);
    if (x->shape.rank < rank)
        return M3_FAIL_NODE(err, node, "%s is %s %s; give it at least %u axes", name, M3_TENSOR_TEXT(x), rank);
    return M3_OK;
}

/** What sums and vectors beside operands of a type have. */
static inline m3_dtype m3_sum_type(m3_dtype dtype)
{
    return m3_dtype_is_half(dtype) ? M3_F32 : dtype;
}

/** x has this type and shape; `why` says where they come from. */
static inline m3_status m3_want(const m3_node *node, const m3_tensor *x, const char *name, m3_dtype dtype,
                                m3_shape shape, const char *why, m3_error *err)
{
    if (x->dtype == dtype && m3_shape_equal(&x->shape, &shape)) return M3_OK;
    return M3_FAIL_NODE(err, node, "%s is %s %s, but %s wants %s %s; cast or reshape it", name, M3_TENSOR_TEXT(x), why,
                        m3_dtype_name(dtype), M3_SHAPE_TEXT(&shape));
}

/** The attribute is a finite number above 0. */
static inline m3_status m3_want_positive(const m3_node *node, uint32_t attr, m3_error *err)
{
    double value = node->attr[attr].f;
    if (value > 0 && value <= (double)FLT_MAX) return M3_OK;
    return M3_FAIL_NODE(err, node, "%s is %g; give a finite number above 0", node->op->attrs[attr].name, value);
}

/** 0 <= attribute < 1. */
static inline m3_status m3_want_fraction(const m3_node *node, uint32_t attr, m3_error *err)
{
    double value = node->attr[attr].f;
    if (value >= 0 && value < 1) return M3_OK;
    return M3_FAIL_NODE(err, node, "%s is %g; give at least 0 and less than 1", node->op->attrs[attr].name, value);
}

static inline m3_tensor *m3_zero_like(m3_builder *b, const m3_tensor *like)
{
    return m3_scalar_like(b, like, 0.0);
}

/** 1 - x. */
static inline m3_tensor *m3_one_minus(m3_builder *b, m3_tensor *x)
{
    return m3_sub(b, m3_scalar_like(b, x, 1.0), x);
}

/** x with an axis of extent 1 behind the last, so that it broadcasts over rows. */
static inline m3_tensor *m3_column(m3_builder *b, m3_tensor *x)
{
    if (x == NULL) return NULL;
    m3_shape shape = x->shape;
    shape.dim[shape.rank++] = 1;
    return m3_reshape(b, x, shape);
}

#endif
