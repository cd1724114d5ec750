/* elementwise: how .evaluate of small ops passes over its arrays. */
#include "core/ops/common/elementwise.h"

void m3_strides(const m3_shape *shape, uint64_t stride[M3_MAX_RANK])
{
    uint64_t step = 1;
    for (uint32_t i = shape->rank; i-- > 0; step *= shape->dim[i]) stride[i] = step;
}

m3_iterator m3_iterator_over(const m3_shape *shape)
{
    m3_iterator it = {.rank = shape->rank};
    memcpy(it.dim, shape->dim, sizeof it.dim);
    return it;
}

void m3_iterator_add(m3_iterator *it, const m3_shape *shape)
{
    uint64_t stride[M3_MAX_RANK], *mine = it->stride[it->arrays++];
    m3_strides(shape, stride);
    uint32_t lead = it->rank - shape->rank;
    for (uint32_t i = 0; i < shape->rank; i++) mine[lead + i] = shape->dim[i] == 1 ? 0 : stride[i];
}

void m3_iterator_next(m3_iterator *it)
{
    for (uint32_t i = it->rank; i-- > 0;) {
        for (uint32_t k = 0; k < it->arrays; k++) it->index[k] += it->stride[k][i];
        if (++it->at[i] < it->dim[i]) return;
        for (uint32_t k = 0; k < it->arrays; k++) it->index[k] -= it->stride[k][i] * it->dim[i];
        it->at[i] = 0;
    }
}

m3_line m3_line_of(const m3_shape *shape, uint32_t axis)
{
    m3_line line = {1, shape->dim[axis], 1};
    for (uint32_t i = 0; i < axis; i++) line.outer *= shape->dim[i];
    for (uint32_t i = axis + 1; i < shape->rank; i++) line.inner *= shape->dim[i];
    return line;
}

m3_status m3_evaluate_unary(const m3_node *node, const double *const *in, double *const *out, double (*f)(double x))
{
    uint64_t count = m3_tensor_count(node->out[0]);
    for (uint64_t i = 0; i < count; i++) out[0][i] = f(in[0][i]);
    return M3_OK;
}

m3_status m3_evaluate_binary(const m3_node *node, const double *const *in, double *const *out,
                             double (*f)(double x, double y))
{
    uint64_t count = m3_tensor_count(node->out[0]);
    m3_iterator it = m3_iterator_over(&node->out[0]->shape);
    m3_iterator_add(&it, &node->in[0]->shape);
    m3_iterator_add(&it, &node->in[1]->shape);
    for (uint64_t i = 0; i < count; i++, m3_iterator_next(&it)) out[0][i] = f(in[0][it.index[0]], in[1][it.index[1]]);
    return M3_OK;
}

double m3_wrap(int64_t value, m3_dtype dtype)
{
    uint32_t low = (uint32_t)(uint64_t)value;
    if (dtype == M3_U32 || low <= INT32_MAX) return (double)low;
    return (double)low - 4294967296.0;
}

m3_status m3_evaluate_arithmetic(const m3_node *node, const double *const *in, double *const *out,
                                 double (*real)(double x, double y), int64_t (*whole)(int64_t x, int64_t y))
{
    m3_dtype dtype = node->out[0]->dtype;
    if (m3_dtype_is_float(dtype)) return m3_evaluate_binary(node, in, out, real);
    uint64_t count = m3_tensor_count(node->out[0]);
    m3_iterator it = m3_iterator_over(&node->out[0]->shape);
    m3_iterator_add(&it, &node->in[0]->shape);
    m3_iterator_add(&it, &node->in[1]->shape);
    for (uint64_t i = 0; i < count; i++, m3_iterator_next(&it))
        out[0][i] = m3_wrap(whole((int64_t)in[0][it.index[0]], (int64_t)in[1][it.index[1]]), dtype);
    return M3_OK;
}
