/* reduce: what reductions over one axis share. */
#include "core/ops/common/reduce.h"

#include "core/ops/common/elementwise.h"

const m3_attr_desc m3_reduce_attrs[2] = {{"axis", M3_ATTR_INT}, {"keep", M3_ATTR_INT}};

m3_status m3_infer_reduce(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    m3_status st;
    const m3_shape *x = &node->in[0]->shape;
    if ((st = m3_check_type(node, 0, M3_TYPES_FLOAT | M3_TYPES_I32, err)) != M3_OK) return st;
    if ((st = m3_check_rank(node, 0, 1, M3_MAX_RANK, err)) != M3_OK) return st;
    if ((st = m3_check_attr(node, 0, 0, (int64_t)x->rank - 1, err)) != M3_OK) return st;
    if ((st = m3_check_attr(node, 1, 0, 1, err)) != M3_OK) return st;
    uint32_t axis = (uint32_t)node->attr[0].i[0];
    *out = (m3_tensor_desc){node->in[0]->dtype, *x};
    out->shape.dim[axis] = 1;
    if (node->attr[1].i[0] != 0) return M3_OK;
    out->shape.rank--;
    for (uint32_t i = axis; i < out->shape.rank; i++) out->shape.dim[i] = x->dim[i + 1];
    out->shape.dim[out->shape.rank] = 0;
    return M3_OK;
}

m3_tensor *m3_reduce_kept(m3_builder *b, const m3_node *node, m3_tensor *reduced)
{
    m3_shape shape = node->in[0]->shape;
    shape.dim[node->attr[0].i[0]] = 1;
    return m3_reshape(b, reduced, shape);
}

m3_status m3_evaluate_reduce(const m3_node *node, const double *in, double *out, double start,
                             double (*f)(double sum, double x))
{
    const m3_line x = m3_line_of(&node->in[0]->shape, (uint32_t)node->attr[0].i[0]);
    for (uint64_t o = 0; o < x.outer; o++) {
        for (uint64_t i = 0; i < x.inner; i++) {
            double sum = start;
            for (uint64_t l = 0; l < x.length; l++) sum = f(sum, in[(o * x.length + l) * x.inner + i]);
            out[o * x.inner + i] = sum;
        }
    }
    return M3_OK;
}
