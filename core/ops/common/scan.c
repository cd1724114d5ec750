/* scan: what ops share that go along one axis in order. */
#include "core/ops/common/scan.h"

m3_status m3_infer_scan(const m3_node *node, uint32_t x, uint32_t axis, uint32_t reverse, m3_tensor_desc *out,
                        m3_error *err)
{
    m3_status st;
    if ((st = m3_check_type(node, x, M3_TYPES_FLOAT, err)) != M3_OK) return st;
    if ((st = m3_check_rank(node, x, 1, M3_MAX_RANK, err)) != M3_OK) return st;
    if ((st = m3_check_attr(node, axis, 0, (int64_t)node->in[x]->shape.rank - 1, err)) != M3_OK) return st;
    if ((st = m3_check_attr(node, reverse, 0, 1, err)) != M3_OK) return st;
    *out = (m3_tensor_desc){node->in[x]->dtype, node->in[x]->shape};
    return M3_OK;
}

void m3_evaluate_scan(const m3_shape *shape, uint32_t axis, bool reverse, const double *a, const double *b, double *y)
{
    const m3_line line = m3_line_of(shape, axis);
    for (uint64_t o = 0; o < line.outer; o++)
        for (uint64_t k = 0; k < line.length; k++) {
            const uint64_t l = reverse ? line.length - 1 - k : k, at = (o * line.length + l) * line.inner;
            const uint64_t from = reverse ? at + line.inner : at - line.inner; /* not read where k = 0 */
            for (uint64_t i = 0; i < line.inner; i++)
                y[at + i] = k == 0 ? b[at + i] : a[at + i] * y[from + i] + b[at + i];
        }
}

m3_tensor *m3_shift_axis(m3_builder *b, m3_tensor *x, int axis, int64_t by)
{
    if (x == NULL) return NULL;
    const uint64_t length = x->shape.dim[axis], far = (uint64_t)(by < 0 ? -by : by);
    if (by == 0) return x;
    const uint64_t kept = far < length ? length - far : 0;
    m3_tensor *part = m3_slice(b, x, axis, by < 0 ? length - kept : 0, kept);
    return m3_pad(b, part, axis, by < 0 ? 0 : length - kept, length);
}
