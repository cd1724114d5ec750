/* cases: choosing and building cases. */
#include "core/conformance/cases.h"

#include <fnmatch.h>
#include <string.h>

#include "core/conformance/values.h"
#include "core/ops/common/op.h"

bool m3_case_matches(const m3_case *c, const char *pattern)
{
    /* A name has brackets, which a pattern would take for a set of characters. */
    char plain[2 * sizeof c->name];
    size_t at = 0;
    for (const char *p = pattern; *p != 0 && at + 2 < sizeof plain; p++) {
        if (*p == '[') plain[at++] = '\\';
        plain[at++] = *p;
    }
    plain[at] = 0;
    return strcmp(c->name, pattern) == 0 || fnmatch(plain, c->name, 0) == 0;
}

/* The neutral element of a product. */
static m3_tensor *neutral(m3_graph *graph, m3_dtype dtype)
{
    char name[32];
    (void)snprintf(name, sizeof name, "in_one_%s", m3_dtype_name(dtype));
    m3_tensor *one = m3_graph_find(graph, name);
    return one != NULL ? one : m3_graph_input(m3_graph_builder(graph), name, dtype, m3_shape_of(0, NULL));
}

/* The input as the op sees it: itself, or a temporary of the same values. */
static m3_tensor *through_temporary(m3_graph *graph, m3_tensor *x)
{
    m3_builder *b = m3_graph_builder(graph);
    if (x == NULL || x->dtype == M3_U8) return x;
    if (m3_dtype_is_half(x->dtype))
        return m3_cast(b, m3_mul(b, m3_cast(b, x, M3_F32), neutral(graph, M3_F32)), x->dtype);
    m3_tensor *one = neutral(graph, x->dtype);
    return x->dtype == M3_BOOL ? m3_and(b, x, one) : m3_mul(b, x, one);
}

static const m3_op *find_op(const m3_op_lookup *lookup, const char *name)
{
    const m3_op *op = m3_op_find(name);
    return op != NULL || lookup == NULL || lookup->find == NULL ? op : lookup->find(lookup->user, name);
}

static m3_status emit(const m3_case *c, const m3_op *op, m3_case_form form, m3_case_graph *built, m3_error *err)
{
    m3_attr attr[M3_NOTATION_ATTRS];
    m3_tensor *in[M3_NOTATION_ARRAYS] = {NULL}, *first = NULL;
    m3_builder *b = m3_graph_builder(built->graph);
    char name[32];
    m3_status st;
    if ((st = m3_notation_attrs(c->attrs, op, attr, err)) != M3_OK) return st;
    for (uint32_t i = 0; i < op->attr_count && form == M3_CASE_ABSOLUTE; i++)
        if (strcmp(op->attrs[i].name, "activation") == 0) attr[i].i[0] = 0;
    if ((st = m3_notation_arrays(c->inputs, built->in, &built->in_count, err)) != M3_OK) return st;
    for (uint32_t i = 0; i < built->in_count; i++) {
        m3_notation *array = &built->in[i];
        if (array->absent) continue;
        const bool takes_halves = M3_OP_MEMBER(op, halves) != 0;
        const bool narrow = array->dtype == M3_F32 || (takes_halves && m3_dtype_is_half(array->dtype));
        const bool widen = form != M3_CASE_PLAIN && form != M3_CASE_INPLACE && narrow && !m3_values_keep_type(array);
        (void)snprintf(name, sizeof name, "in%u", i);
        built->x[i] = m3_graph_input(b, name, widen ? M3_F64 : array->dtype, array->shape);
        const bool moved = form == M3_CASE_INPLACE && (takes_halves || !m3_dtype_is_half(array->dtype));
        in[i] = moved ? through_temporary(built->graph, built->x[i]) : built->x[i];
    }
    m3_tensor *busy = NULL;
    if (form == M3_CASE_INPLACE) {
        const uint64_t count = M3_CASE_OTHER;
        m3_tensor *other = m3_graph_input(b, "in_other", M3_F32, m3_shape_of(1, &count));
        busy = m3_mul(b, other, neutral(built->graph, M3_F32));
    }
    b->api->emit(b, c->op, in, built->in_count, attr, op->attr_count, &first, 1);
    if (first == NULL) return m3_builder_status(b, err);
    if (busy != NULL) m3_graph_output(b, "out_other", m3_mul(b, busy, neutral(built->graph, M3_F32)));
    built->node = first->producer;
    built->out_count = built->node->out_count;
    for (uint32_t k = 0; k < built->out_count; k++) {
        (void)snprintf(name, sizeof name, "out%u", k);
        m3_graph_output(b, name, built->node->out[k]);
    }
    return m3_builder_status(b, err);
}

m3_status m3_case_build(const m3_case *c, const m3_op_lookup *lookup, m3_case_form form, m3_case_graph *built,
                        m3_error *err)
{
    *built = (m3_case_graph){0};
    const m3_op *op = find_op(lookup, c->op);
    if (op == NULL) return M3_FAIL(err, M3_ERR_INVALID, c->op, "there is no op of this name");
    m3_status st = m3_graph_create(lookup, &built->graph, err);
    if (st == M3_OK) st = emit(c, op, form, built, err);
    if (st != M3_OK) m3_case_graph_free(built);
    return st;
}

void m3_case_graph_free(m3_case_graph *built)
{
    m3_graph_free(built->graph);
    *built = (m3_case_graph){0};
}
