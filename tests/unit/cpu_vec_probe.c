/* cpu_vec_probe: the functions of vec.h and functions.h over arrays, compiled like the kernels once for each set of
 * instructions. */
#include "backends/cpu/isa/functions.h"

#include "tests/unit/cpu_vec_probe.h"

static vf apply(vec_probe_function function, vf x)
{
    switch (function) {
    case VEC_EXP: return v_exp(x);
    case VEC_LOG: return v_log(x);
    case VEC_SIN: return v_sin(x);
    case VEC_COS: return v_cos(x);
    case VEC_TANH: return v_tanh(x);
    case VEC_SIGMOID: return v_sigmoid(x);
    case VEC_SQRT: return v_sqrt(x);
    case VEC_ROUND: return v_round(x);
    case VEC_FLOOR: return v_floor(x);
    case VEC_RELU: return v_relu(x);
    case VEC_LOG1P: return v_log1p(x);
    case VEC_EXPM1: return v_expm1(x);
    case VEC_ERF: return v_erf(x);
    case VEC_SOFTPLUS: return v_softplus(x);
    case VEC_SUM: return v_set1(v_sum(x));
    case VEC_MAX_OF: return v_set1(v_max_of(x));
    case VEC_MIN_OF: return v_set1(v_min_of(x));
    }
    return v_zero();
}

static void map(vec_probe_function function, const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i += CPU_VW) {
        size_t count = n - i < CPU_VW ? n - i : CPU_VW;
        v_store_n(y + i, count, apply(function, v_load_n(x + i, count)));
    }
}

static void transpose(float *square)
{
    vf r[CPU_VW];
    for (size_t i = 0; i < CPU_VW; i++) r[i] = v_load(square + i * CPU_VW);
    v_transpose(r);
    for (size_t i = 0; i < CPU_VW; i++) v_store(square + i * CPU_VW, r[i]);
}

static void mul_wide(const uint32_t *a, const uint32_t *b, uint32_t *high, uint32_t *low)
{
    vu h, l;
    v_mul_wide(v_load_u32(a), v_load_u32(b), &h, &l);
    v_store_u32(high, h);
    v_store_u32(low, l);
}

static void mask(const uint8_t *in, size_t n, uint8_t *out, float *chosen)
{
    vm m = v_load_mask(in, n);
    v_store_mask(out, n, m);
    v_store(chosen, v_select(m, v_set1(1.0f), v_set1(2.0f)));
}

void CPU_FN(vec_probe)(vec_probe *probe)
{
    *probe = (vec_probe){CPU_VW, map, transpose, mul_wide, mask};
}
