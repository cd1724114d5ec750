/* helpers: small formulas that several parts of the model use. */
#include "core/model/model.h"

m3_tensor *m3_model_at(m3_model *m, m3_tensor *x, uint64_t index)
{
    m3_tensor *one = m3_slice(m->b, x, 0, index, 1);
    if (one == NULL) return NULL;
    m3_shape shape = {.rank = one->shape.rank - 1};
    for (uint32_t i = 0; i < shape.rank; i++) shape.dim[i] = one->shape.dim[i + 1];
    return m3_reshape(m->b, one, shape);
}

m3_tensor *m3_model_mean(m3_model *m, m3_tensor *sum, m3_tensor *count, float min)
{
    return m3_div(m->b, sum, m3_max(m->b, count, m3_scalar(m->b, min)));
}
