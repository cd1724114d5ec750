/* cases: choosing, naming and building cases. */
#include "core/conformance/cases.h"

#include <fnmatch.h>
#include <string.h>

#include "core/conformance/values.h"
#include "core/ops/common/op.h"

static const char separator[] = " | ";

static uint32_t count_choices(const char *text)
{
    uint32_t count = 1;
    for (const char *at = text; (at = strstr(at, separator)) != NULL; at += strlen(separator)) count++;
    return count;
}

/* Copy choice `index`; false when it does not fit. */
static bool copy_choice(const char *text, uint32_t index, char *to, size_t bytes)
{
    while (index-- > 0) text = strstr(text, separator) + strlen(separator);
    const char *end = strstr(text, separator);
    size_t length = end != NULL ? (size_t)(end - text) : strlen(text);
    if (length >= bytes) return false;
    memcpy(to, text, length);
    to[length] = 0;
    return true;
}

static uint32_t row_cases(const m3_case_row *row)
{
    return count_choices(row->ops) * count_choices(row->attrs) * count_choices(row->inputs);
}

static uint32_t row_count(void)
{
    return m3_case_rows_core_count + m3_case_rows_fused_count;
}

static const m3_case_row *row_at(uint32_t index)
{
    return index < m3_case_rows_core_count ? &m3_case_rows_core[index]
                                           : &m3_case_rows_fused[index - m3_case_rows_core_count];
}

uint32_t m3_case_count(void)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < row_count(); i++) count += row_cases(row_at(i));
    return count;
}

m3_status m3_case_at(uint32_t index, m3_case *c, m3_error *err)
{
    uint32_t r = 0, at = index;
    *c = (m3_case){0};
    while (r < row_count() && at >= row_cases(row_at(r))) at -= row_cases(row_at(r++));
    if (r == row_count())
        return M3_FAIL(err, M3_ERR_RANGE, "conformance", "case %u is not there; there are %u", index, m3_case_count());
    const m3_case_row *row = row_at(r);
    uint32_t inputs = count_choices(row->inputs), attrs = count_choices(row->attrs);
    c->layers = row->layers;
    c->bound = row->bound;
    bool fits = copy_choice(row->inputs, at % inputs, c->inputs, sizeof c->inputs) &&
                copy_choice(row->attrs, at / inputs % attrs, c->attrs, sizeof c->attrs) &&
                copy_choice(row->ops, at / inputs / attrs, c->op, sizeof c->op);
    if (!fits) return M3_FAIL(err, M3_ERR_INTERNAL, row->ops, "the line of this case is too long");
    (void)snprintf(c->name, sizeof c->name, "%s(%s)%s%s", c->op, c->inputs, c->attrs[0] != 0 ? " " : "", c->attrs);
    return M3_OK;
}

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
    if (x == NULL || x->dtype == M3_U8 || x->dtype == M3_F16 || x->dtype == M3_BF16) return x;
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
    if ((st = m3_notation_arrays(c->inputs, built->in, &built->in_count, err)) != M3_OK) return st;
    for (uint32_t i = 0; i < built->in_count; i++) {
        m3_notation *array = &built->in[i];
        if (array->absent) continue;
        bool widen = form == M3_CASE_DOUBLE && array->dtype == M3_F32 && !m3_values_keep_type(array);
        (void)snprintf(name, sizeof name, "in%u", i);
        built->x[i] = m3_graph_input(b, name, widen ? M3_F64 : array->dtype, array->shape);
        in[i] = form == M3_CASE_INPLACE ? through_temporary(built->graph, built->x[i]) : built->x[i];
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
