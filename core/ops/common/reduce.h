/* reduce: what reductions over one axis share. Attributes: axis, keep (1 leaves extent 1, 0 drops the axis). */
#ifndef M3_CORE_OPS_COMMON_REDUCE_H
#define M3_CORE_OPS_COMMON_REDUCE_H

#include "core/ops/common/rules.h"

extern const m3_attr_desc m3_reduce_attrs[2];

m3_status m3_infer_reduce(const m3_node *node, m3_tensor_desc *out, m3_error *err);
/** dy or y of the node with the axis at extent 1, so that it broadcasts to x. */
m3_tensor *m3_reduce_kept(m3_builder *b, const m3_node *node, m3_tensor *reduced);
/** Fold f over the axis, first to last, from `start`. */
m3_status m3_evaluate_reduce(const m3_node *node, const double *in, double *out, double start,
                             double (*f)(double sum, double x));

#endif
