/* init: the values with which parameters and states start.
 *   constant: x_e = value
 *   normal:   x_e = value sqrt(-2 log(1 - u_p)) (e even: cos, e odd: sin)(2 pi v_p),  p = e / 2,
 *             u, v = 32-bit words / 2^32 of Philox4x32-10, two pairs from a block:
 *             counter {block low, hash low, hash high, block high}, key seed ^ DOMAIN, hash = XXH64(name)
 *   x_e = 0 in the first zero_rows rows of axis 0
 * Computed in double on the host, so that every device starts from the same bits. */
#include "core/runtime/init.h"

#include <math.h>
#include <string.h>
#include <xxhash.h>

#include "core/base/philox.h"

/* Keeps these draws apart from those of a step, which are keyed by the plain seed. */
static const uint32_t DOMAIN[2] = {0x6d336273u, 0x72696e69u};

typedef struct draws {
    uint64_t seed, hash;
    uint64_t block; /* whose words are in `value` */
    double value[4];
    bool filled;
} draws;

static double normal(draws *d, uint64_t element)
{
    static const double TWO_PI = 6.283185307179586476925286766559;
    uint64_t block = element / 4;
    if (!d->filled || d->block != block) {
        const uint32_t counter[4] = {(uint32_t)block, (uint32_t)d->hash, (uint32_t)(d->hash >> 32),
                                     (uint32_t)(block >> 32)};
        const uint32_t key[2] = {(uint32_t)d->seed ^ DOMAIN[0], (uint32_t)(d->seed >> 32) ^ DOMAIN[1]};
        uint32_t word[4];
        m3_philox4x32_10(counter, key, word);
        for (int pair = 0; pair < 2; pair++) {
            double u = ldexp((double)word[2 * pair], -32), v = ldexp((double)word[2 * pair + 1], -32);
            double r = sqrt(-2.0 * log(1.0 - u));
            d->value[2 * pair] = r * cos(TWO_PI * v);
            d->value[2 * pair + 1] = r * sin(TWO_PI * v);
        }
        d->block = block;
        d->filled = true;
    }
    return d->value[element % 4];
}

static void put(void *data, m3_dtype dtype, uint64_t at, double value)
{
    switch (dtype) {
    case M3_F32: ((float *)data)[at] = (float)value; break;
    case M3_F64: ((double *)data)[at] = value; break;
    case M3_I32: ((int32_t *)data)[at] = (int32_t)value; break;
    case M3_U32: ((uint32_t *)data)[at] = (uint32_t)value; break;
    case M3_U8: ((uint8_t *)data)[at] = (uint8_t)value; break;
    case M3_BOOL: ((uint8_t *)data)[at] = value != 0.0; break;
    case M3_F16:
    case M3_BF16: break; /* all bits 0 are 0.0 */
    }
}

m3_status m3_init_fill(const m3_tensor *tensor, uint64_t seed, uint64_t first, uint64_t count, void *data,
                       m3_error *err)
{
    const m3_init *init = &tensor->init;
    double value = init->value;
    if (init->kind != M3_INIT_CONSTANT && init->kind != M3_INIT_NORMAL)
        return M3_FAIL(err, M3_ERR_INVALID, tensor->name, "its kind of initial value, %d, is unknown", (int)init->kind);
    if (value != 0.0 && (tensor->dtype == M3_F16 || tensor->dtype == M3_BF16))
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, tensor->name, "a %s tensor can start as 0 only, not as %g; use f32",
                       m3_dtype_name(tensor->dtype), value);
    memset(data, 0, count * m3_dtype_bytes(tensor->dtype));
    if (value == 0.0) return M3_OK;
    uint64_t rows = tensor->shape.rank > 0 ? tensor->shape.dim[0] : 1, all = m3_tensor_count(tensor);
    uint64_t zeros = rows > 0 ? all / rows * (init->zero_rows < rows ? init->zero_rows : rows) : 0;
    draws d = {.seed = seed, .hash = XXH64(tensor->name, strlen(tensor->name), 0)};
    for (uint64_t i = first < zeros ? zeros - first : 0; i < count; i++)
        put(data, tensor->dtype, i, init->kind == M3_INIT_NORMAL ? value * normal(&d, first + i) : value);
    return M3_OK;
}
