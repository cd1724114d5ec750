/* rules: checks that shape rules share. */
#include "core/ops/common/rules.h"

enum { COUNT_BITS = 48, TYPES_TEXT = 64 };

static const char *types_text(uint32_t types, char *text)
{
    size_t at = 0;
    text[0] = 0;
    for (uint32_t t = 0; t <= M3_F64 && at < TYPES_TEXT; t++)
        if ((types >> t & 1u) != 0)
            at += (size_t)snprintf(text + at, TYPES_TEXT - at, "%s%s", at != 0 ? ", " : "", m3_dtype_name((m3_dtype)t));
    return text;
}

m3_status m3_check_type(const m3_node *node, uint32_t i, uint32_t types, m3_error *err)
{
    m3_dtype dtype = node->in[i]->dtype;
    if ((uint32_t)dtype <= M3_F64 && (types >> dtype & 1u) != 0) return M3_OK;
    char text[TYPES_TEXT];
    return M3_FAIL_NODE(err, node, "input %u is %s; give one of %s, or cast it", i, m3_dtype_name(dtype),
                        types_text(types, text));
}

m3_status m3_check_same_type(const m3_node *node, uint32_t i, m3_error *err)
{
    if (node->in[i]->dtype == node->in[0]->dtype) return M3_OK;
    return M3_FAIL_NODE(err, node, "input %u is %s and input 0 is %s; give equal types, or cast one", i,
                        m3_dtype_name(node->in[i]->dtype), m3_dtype_name(node->in[0]->dtype));
}

m3_status m3_check_rank(const m3_node *node, uint32_t i, uint32_t min, uint32_t max, m3_error *err)
{
    const m3_shape *shape = &node->in[i]->shape;
    if (shape->rank >= min && shape->rank <= max) return M3_OK;
    return M3_FAIL_NODE(err, node, "input %u is %s of rank %u; give rank %u to %u", i, M3_SHAPE_TEXT(shape),
                        shape->rank, min, max);
}

m3_status m3_check_attr(const m3_node *node, uint32_t a, int64_t min, int64_t max, m3_error *err)
{
    int64_t value = node->attr[a].i[0];
    if (value >= min && value <= max) return M3_OK;
    return M3_FAIL_NODE(err, node, "%s is %lld; give %lld to %lld", node->op->attrs[a].name, (long long)value,
                        (long long)min, (long long)max);
}

m3_status m3_check_count(const m3_node *node, const m3_shape *shape, m3_error *err)
{
    uint64_t count = 1;
    const uint64_t max = (uint64_t)1 << COUNT_BITS;
    for (uint32_t i = 0; i < shape->rank; i++)
        if (shape->dim[i] == 0) return M3_OK;
    for (uint32_t i = 0; i < shape->rank; i++) {
        if (shape->dim[i] > max / count)
            return M3_FAIL_NODE(err, node, "shape %s has 2^%d elements or more; give smaller extents",
                                M3_SHAPE_TEXT(shape), COUNT_BITS);
        count *= shape->dim[i];
    }
    return M3_OK;
}

m3_status m3_check_attr_shape(const m3_node *node, uint32_t a, m3_shape *shape, m3_error *err)
{
    const m3_attr *attr = &node->attr[a];
    *shape = (m3_shape){0};
    if (attr->count > M3_MAX_RANK)
        return M3_FAIL_NODE(err, node, "%s has rank %u; give at most %d", node->op->attrs[a].name, attr->count,
                            M3_MAX_RANK);
    shape->rank = attr->count;
    for (uint32_t i = 0; i < attr->count; i++) {
        if (attr->i[i] < 0)
            return M3_FAIL_NODE(err, node, "%s has %lld at axis %u; give 0 or more", node->op->attrs[a].name,
                                (long long)attr->i[i], i);
        shape->dim[i] = (uint64_t)attr->i[i];
    }
    return m3_check_count(node, shape, err);
}

bool m3_shape_merge(const m3_shape *a, const m3_shape *b, m3_shape *out)
{
    const m3_shape *longer = a->rank >= b->rank ? a : b, *other = longer == a ? b : a;
    uint32_t lead = longer->rank - other->rank;
    *out = *longer;
    for (uint32_t i = 0; i < other->rank; i++) {
        uint64_t x = longer->dim[lead + i], y = other->dim[i];
        if (x != y && x != 1 && y != 1) return false;
        out->dim[lead + i] = x == 1 ? y : x;
    }
    return true;
}

m3_status m3_infer_unary(const m3_node *node, uint32_t types, m3_tensor_desc *out, m3_error *err)
{
    m3_status st = m3_check_type(node, 0, types, err);
    if (st != M3_OK) return st;
    *out = (m3_tensor_desc){node->in[0]->dtype, node->in[0]->shape};
    return M3_OK;
}

m3_status m3_infer_binary(const m3_node *node, uint32_t types, m3_tensor_desc *out, m3_error *err)
{
    m3_status st;
    const m3_tensor *x = node->in[0], *y = node->in[1];
    if ((st = m3_check_type(node, 0, types, err)) != M3_OK) return st;
    if ((st = m3_check_same_type(node, 1, err)) != M3_OK) return st;
    out->dtype = x->dtype;
    if (!m3_shape_merge(&x->shape, &y->shape, &out->shape))
        return M3_FAIL_NODE(err, node, "%s and %s do not broadcast; make extents equal or 1, aligned at the last axis",
                            M3_SHAPE_TEXT(&x->shape), M3_SHAPE_TEXT(&y->shape));
    return m3_check_count(node, &out->shape, err);
}

m3_status m3_infer_compare(const m3_node *node, uint32_t types, m3_tensor_desc *out, m3_error *err)
{
    m3_status st = m3_infer_binary(node, types, out, err);
    out->dtype = M3_BOOL;
    return st;
}

uint64_t m3_flops_none(const m3_node *node)
{
    (void)node;
    return 0;
}

uint64_t m3_flops_input(const m3_node *node)
{
    return m3_tensor_count(node->in[0]);
}
