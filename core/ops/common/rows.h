/* rows: what ops share that pick rows of axis 0 by i32 ids. */
#ifndef M3_CORE_OPS_COMMON_ROWS_H
#define M3_CORE_OPS_COMMON_ROWS_H

#include "core/ops/common/rules.h"

/** Elements of one row: the product of all extents but the first. */
uint64_t m3_row_elements(const m3_shape *shape);
/** Does an id name a row: 0 <= id < count and not `skip`? */
bool m3_row_named(double id, uint64_t count, int64_t skip);
/** ids [R] i32 at input i and rows [R, d...] at input i + 1. */
m3_status m3_check_ids_rows(const m3_node *node, uint32_t i, m3_error *err);

#endif
