/* scan: what ops share that go along one axis in order. */
#ifndef M3_CORE_OPS_COMMON_SCAN_H
#define M3_CORE_OPS_COMMON_SCAN_H

#include "core/ops/common/elementwise.h"

/** One output of the type and shape of input `x`, a float; the attributes are an axis of it and 0 or 1. */
m3_status m3_infer_scan(const m3_node *node, uint32_t x, uint32_t axis, uint32_t reverse, m3_tensor_desc *out,
                        m3_error *err);
/** y_l = a_l y_(l-1) + b_l along an axis; y may not be a or b. */
void m3_evaluate_scan(const m3_shape *shape, uint32_t axis, bool reverse, const double *a, const double *b, double *y);
/** x with everything `by` places further along an axis, and zeros where nothing came from; by < 0: nearer. */
m3_tensor *m3_shift_axis(m3_builder *b, m3_tensor *x, int axis, int64_t by);

#endif
