/* encode: item ids and features as sequences of unit scale, shared over behaviors (MODEL.md 4).
 *   x[., 0] = LN(E[ids] + position) mask,   x[., k] = LN(enc_k(F_k[ids]) + position) mask     [B, n, L, d]
 * with dropout on the result (MODEL.md 6). */
#include "core/model/model.h"

/* enc_k(F_k[ids]); k counts modalities, so the features are F_(k-1) by name. */
static m3_tensor *features(m3_model *m, uint64_t k)
{
    m3_tensor *table = m3_model_features(m, k - 1);
    m->encoder.args.modality = (uint32_t)k;
    return m3_module_build(&m->encoder, m->b, m3_gather(m->b, table, m->ids, 0), m->mask, 0);
}

m3_tensor *m3_model_encode(m3_model *m, uint64_t index)
{
    m3_builder *b = m->b;
    char scope[48] = "encoder.id";
    if (index != 0) (void)snprintf(scope, sizeof scope, "encoder.feature%llu", (unsigned long long)(index - 1));
    m3_push(b, scope);
    m3_tensor *raw = index == 0 ? m3_model_item_rows(m, m->ids) : features(m, index);
    m3_shape table = M3_SHAPE(m->L, m->d);
    m3_tensor *position = m3_parameter(b, "position", &table, m3_init_normal(0.02));
    m3_tensor *x = m3_mul(b, m3_block_norm(b, "norm", m3_add(b, raw, position)), m->valid);
    m3_pop(b);
    return m3_dropout(b, x);
}
