/* rows: what ops share that pick rows of axis 0 by i32 ids. */
#include "core/ops/common/rows.h"

uint64_t m3_row_elements(const m3_shape *shape)
{
    uint64_t count = 1;
    for (uint32_t i = 1; i < shape->rank; i++) count *= shape->dim[i];
    return count;
}

bool m3_row_named(double id, uint64_t count, int64_t skip)
{
    return id >= 0.0 && id < (double)count && id != (double)skip;
}

m3_status m3_check_ids_rows(const m3_node *node, uint32_t i, m3_error *err)
{
    m3_status st;
    const m3_shape *ids = &node->in[i]->shape, *rows = &node->in[i + 1]->shape;
    if ((st = m3_check_type(node, i, M3_TYPES_I32, err)) != M3_OK) return st;
    if ((st = m3_check_rank(node, i, 1, 1, err)) != M3_OK) return st;
    if ((st = m3_check_rank(node, i + 1, 1, M3_MAX_RANK, err)) != M3_OK) return st;
    if (ids->dim[0] != rows->dim[0])
        return M3_FAIL_NODE(err, node, "ids are %s and rows are %s; give one row for each id", M3_SHAPE_TEXT(ids),
                            M3_SHAPE_TEXT(rows));
    return M3_OK;
}
