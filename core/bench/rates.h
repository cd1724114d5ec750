/* rates: what a device reaches where nothing but it is in the way, measured with programs of its own kernels: a
 * copy-like op over tensors that no cache holds, and a large product. `m3bsr bench --roofline` compares nodes with
 * them. */
#ifndef M3_CORE_BENCH_RATES_H
#define M3_CORE_BENCH_RATES_H

#include "m3bsr/runtime.h"

typedef struct m3_rates {
    double copy;    /**< bytes a second, read and written together */
    double product; /**< FLOP a second, in f32 */
    double half;    /**< the same of 16-bit operands; 0 when not asked for */
} m3_rates;

/** Measure, in about a second on an idle device; takes and gives back up to 512 MiB of it.
 * @param half  M3_F16, M3_BF16, or M3_F32: none.
 * Returns M3_ERR_UNSUPPORTED when the backend keeps no times. */
m3_status m3_rates_measure(m3_device *device, m3_dtype half, m3_rates *rates, m3_error *err);

#endif
