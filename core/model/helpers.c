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

m3_tensor *m3_model_mean(m3_model *m, m3_tensor *sum, m3_tensor *count)
{
    return m3_div(m->b, sum, m3_max(m->b, count, m3_scalar(m->b, 1.0F)));
}

m3_tensor *m3_model_step_mean(m3_model *m, m3_tensor *sum, m3_tensor *count)
{
    const float one = 1.0F / (float)m->parts; /* of a step with as many batches; of fewer it is more */
    return m3_div(m->b, sum, m3_max(m->b, count, m3_scalar(m->b, one)));
}

m3_tensor *m3_model_step_count(m3_model *m, uint64_t index)
{
    m3_tensor *one = m3_slice(m->b, m->counts, 0, index, 1);
    return m3_reshape(m->b, one, m3_shape_of(0, NULL));
}
