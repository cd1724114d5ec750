/* constant: constants read as numbers, for ops and passes that simplify. */
#include "core/ops/common/constant.h"

double m3_constant_at(const m3_tensor *x, uint64_t i)
{
    switch (x->dtype) {
    case M3_F32: return (double)((const float *)x->data)[i];
    case M3_F64: return ((const double *)x->data)[i];
    case M3_I32: return (double)((const int32_t *)x->data)[i];
    case M3_U32: return (double)((const uint32_t *)x->data)[i];
    case M3_U8:
    case M3_BOOL: return (double)((const uint8_t *)x->data)[i];
    case M3_F16:
    case M3_BF16: break;
    }
    return 0.0;
}

bool m3_constant_is(const m3_tensor *x, double value)
{
    if (x == NULL || x->kind != M3_CONSTANT || x->dtype == M3_F16 || x->dtype == M3_BF16) return false;
    uint64_t count = m3_tensor_count(x);
    for (uint64_t i = 0; i < count; i++)
        if (m3_constant_at(x, i) != value) return false;
    return count > 0;
}

int32_t m3_repeats_if(const m3_node *node, uint32_t input, bool condition)
{
    return condition && m3_shape_equal(&node->in[input]->shape, &node->out[0]->shape) ? (int32_t)input : -1;
}
