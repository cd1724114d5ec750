/* rules: what the makers of cases share, and which rules mean nothing for an op. */
#include "core/conformance/rules.h"

#include <string.h>

#include "core/ops/common/op.h"

const char *m3_rule_name(m3_rule rule)
{
    static const char *const names[M3_RULES] = {"line",  "rank",  "axis", "square", "attribute", "optional",
                                                "count", "dtype", "size", "large",  "integers",  "special"};
    return names[rule];
}

/* clang-format off */
const uint32_t m3_make_sizes[] = {0, 1, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129};
const uint32_t m3_make_size_count = sizeof m3_make_sizes / sizeof m3_make_sizes[0];

const char *const m3_make_special[] = {
    " rare nan", " rare inf", " rare -inf", " rare -0", " rare 1e-40", " mean 1e4", " value 0", " value -0",
    " nonfinite", " special", " value 1e30", " value nan", " value inf", " value -inf", " value 1e-40"};
const uint32_t m3_make_special_count = sizeof m3_make_special / sizeof m3_make_special[0];
const uint32_t m3_make_special_modest = 8;
/* clang-format on */

const m3_op_rules *m3_op_rules_find(const char *op)
{
    const m3_op_rules *const tables[] = {m3_rules_elementwise, m3_rules_movement, m3_rules_rows, m3_rules_sequence,
                                         m3_rules_products,    m3_rules_fused,    m3_rules_chain};
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
        for (const m3_op_rules *r = tables[t]; r->op != NULL; r++)
            if (strcmp(r->op, op) == 0) return r;
    return NULL;
}

const char *m3_rule_never(const m3_op *op, m3_rule rule)
{
    const m3_op_rules *rules = m3_op_rules_find(op->name);
    if (rule == M3_RULE_LINE) return NULL;
    if (rules != NULL && rules->never[rule] != NULL) return rules->never[rule];
    if (rule == M3_RULE_ATTRIBUTE && op->attr_count == 0) return "it has no attribute";
    if (rule == M3_RULE_COUNT && op->max_inputs != UINT32_MAX) return "its inputs are of a fixed number";
    if (rule == M3_RULE_OPTIONAL && op->min_inputs == op->max_inputs) return "no input is optional";
    if (rule == M3_RULE_OPTIONAL && op->max_inputs == UINT32_MAX) return "no input is optional; see count";
    return NULL;
}

void m3_make_rule(m3_case_maker *m, m3_rule rule)
{
    m->rule = rule;
    m->full = false;
    m->layers = M3_CASE_OPS;
}

void m3_make_rule_gradients(m3_case_maker *m, m3_rule rule)
{
    m3_make_rule(m, rule);
    if (m->op->gradient != NULL && !m->of->kinks) m->layers |= M3_CASE_GRADIENTS;
}

void m3_make(m3_case_maker *m, const char *attrs, const char *inputs)
{
    m->take(m, attrs, inputs);
}

void m3_make_halves(m3_case_maker *m, const char *attrs, const char *inputs)
{
    static const m3_dtype types[] = {M3_F16, M3_BF16};
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        char text[sizeof((m3_case *)NULL)->inputs] = "";
        uint32_t input = 0;
        for (const char *at = inputs; *at != 0; at++) {
            const size_t used = strlen(text);
            const bool full = strncmp(at, "f32[", 4) == 0;
            input += *at == ';';
            if (!full || (m->op->halves >> input & 1u) == 0) {
                (void)snprintf(text + used, sizeof text - used, "%c", *at);
                continue;
            }
            (void)snprintf(text + used, sizeof text - used, "%s", m3_dtype_name(types[t]));
            at += 2; /* of "f32" */
        }
        m3_make(m, attrs, m3_make_text(m, "%s", text));
    }
}

const char *m3_make_text(m3_case_maker *m, const char *format, ...)
{
    const char *text = m->text;
    const size_t room = (size_t)(m->text_end - m->text);
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(m->text, room, format, args);
    va_end(args);
    if (length < 0 || (size_t)length >= room) {
        m->overflows = true;
        return "";
    }
    m->text += length + 1;
    return text;
}

const char *m3_make_ints(m3_case_maker *m, m3_shape shape)
{
    char text[128] = "";
    for (uint32_t i = 0, at = 0; i < shape.rank; i++)
        at += (uint32_t)snprintf(text + at, sizeof text - at, "%s%llu", i > 0 ? "," : "",
                                 (unsigned long long)shape.dim[i]);
    return m3_make_text(m, "%s", text);
}

const char *m3_make_shape(m3_case_maker *m, m3_shape shape)
{
    return m3_make_text(m, "[%s]", m3_make_ints(m, shape));
}

m3_shape m3_make_extents(uint32_t rank)
{
    static const uint64_t dim[M3_MAX_RANK + 1][M3_MAX_RANK] = {
        {0}, {7}, {3, 5}, {2, 3, 5}, {2, 3, 4, 5}, {2, 3, 2, 4, 5}, {2, 3, 2, 3, 2, 5}};
    return m3_shape_of(rank, dim[rank]);
}

/* Asks the op's own rule about the smallest node. */
bool m3_make_admits(const m3_case_maker *m, m3_dtype dtype)
{
    m3_notation array[M3_NOTATION_ARRAYS];
    m3_tensor tensor[M3_NOTATION_ARRAYS] = {{0}}, *in[M3_NOTATION_ARRAYS];
    m3_tensor_desc out[M3_NOTATION_ARRAYS];
    m3_attr attr[M3_NOTATION_ATTRS] = {{0}};
    char inputs[256] = "";
    uint32_t count = 0;
    for (const char *at = m->of->probe; at != NULL && *at != 0; at++) {
        const size_t used = strlen(inputs);
        if (*at == '?')
            (void)snprintf(inputs + used, sizeof inputs - used, "%s", m3_dtype_name(dtype));
        else
            (void)snprintf(inputs + used, sizeof inputs - used, "%c", *at);
    }
    if (m3_notation_arrays(inputs, array, &count, NULL) != M3_OK) return false;
    if (m3_notation_attrs(m->of->probe_attrs != NULL ? m->of->probe_attrs : "", m->op, attr, NULL) != M3_OK)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        tensor[i].dtype = array[i].dtype;
        tensor[i].shape = array[i].shape;
        in[i] = &tensor[i];
    }
    const m3_node node = {.op = m->op, .scope = "", .in_count = count, .in = in, .attr = attr};
    return m->op->infer(&node, out, NULL) == M3_OK;
}

m3_dtype m3_make_first(const m3_case_maker *m)
{
    m3_dtype dtype = M3_F32;
    while (dtype < M3_BF16 && !m3_make_admits(m, dtype)) dtype = (m3_dtype)(dtype + 1);
    return dtype;
}
