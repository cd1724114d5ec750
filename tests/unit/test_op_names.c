/* op names: include/m3bsr/ops.h names each operand and attribute of every built-in op, in the op's own order.
 * The header's lists are read as text: an enumerator's name is what a compiled constant no longer has. */
#include "core/ops/common/op.h"
#include "m3bsr/ops.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TEXT = 65536, LIST = 1024 };

/* Ops of one form share their names; every other op has a list of its own name. */
static const struct {
    const char *form, *ops;
} forms[] = {
    {"unary",
     " copy detach neg abs exp log sqrt sin cos tanh sigmoid log1p expm1 erf floor not relu silu softplus gelu "},
    {"binary", " add sub mul div pow max min equal less less_equal and or "},
    {"reduce", " reduce_sum reduce_max "},
    {"draw", " philox random_uniform random_normal "},
    {"draw_part", " philox_part random_uniform_part random_normal_part "},
};

/* The header with one blank for each run of white space. */
static char *header_text(void)
{
    static char text[TEXT];
    FILE *file = fopen(M3BSR_SOURCE_DIR "/include/m3bsr/ops.h", "r");
    assert_non_null(file);
    size_t at = 0;
    for (int c = fgetc(file); c != EOF; c = fgetc(file)) {
        if (isspace(c)) c = ' ';
        if (c == ' ' && at > 0 && text[at - 1] == ' ') continue;
        assert_true(at + 1 < TEXT);
        text[at++] = (char)c;
    }
    text[at] = 0;
    (void)fclose(file);
    return text;
}

/* " M3_LINEAR_X" behind what `list` holds; the op's form stands for its name. */
static void append(char *list, const char *op, const char *name)
{
    char padded[64], *at = list + strlen(list);
    (void)snprintf(padded, sizeof padded, " %s ", op);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (strstr(forms[i].ops, padded) != NULL) op = forms[i].form;
    (void)snprintf(at, LIST - (size_t)(at - list), "%s M3_%s_%s", list[0] != 0 ? "," : "", op, name);
    for (; *at != 0; at++) *at = (char)toupper((unsigned char)*at);
}

static void attributes_have_their_names(void **state)
{
    (void)state;
    const char *text = header_text();
    for (uint32_t i = 0; i < m3_op_count(); i++) {
        const m3_op *op = m3_op_at(i);
        char list[LIST] = "", line[LIST + 16];
        if (op->attr_count == 0) continue;
        for (uint32_t a = 0; a < op->attr_count; a++) append(list, op->name, op->attrs[a].name);
        append(list, op->name, "attrs");
        (void)snprintf(line, sizeof line, "enum {%s };", list);
        if (strstr(text, line) == NULL) fail_msg("ops.h lacks \"%s\"", line);
    }
}

/* The names of operands in their list, which ends with their number unless any number may follow. */
static void check_operands(const char *text, const m3_op *op, const char *const *names, uint32_t count, const char *end)
{
    char list[LIST] = "", line[LIST + 16];
    if (count == 0) return;
    for (uint32_t i = 0; i < count; i++) append(list, op->name, names[i]);
    if (end != NULL) append(list, op->name, end);
    (void)snprintf(line, sizeof line, "enum {%s };", list);
    if (strstr(text, line) == NULL) fail_msg("ops.h lacks \"%s\"", line);
}

static void operands_have_their_names(void **state)
{
    (void)state;
    const char *text = header_text();
    for (uint32_t i = 0; i < m3_op_count(); i++) {
        const m3_op *op = m3_op_at(i);
        const bool any = op->max_inputs == UINT32_MAX;
        check_operands(text, op, op->doc->inputs, op->doc->input_count, any ? NULL : "inputs");
        check_operands(text, op, op->doc->outputs, op->doc->output_count, op->count_outputs != NULL ? NULL : "outputs");
    }
}

static void is_said(const m3_op *op, const char *what, const char *text)
{
    if (text == NULL || text[0] == 0) fail_msg("%s does not say its %s", op->name, what);
}

/* What a description says agrees with the op's table. */
static void descriptions_are_complete(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < m3_op_count(); i++) {
        const m3_op *op = m3_op_at(i);
        const m3_op_doc *doc = op->doc;
        assert_non_null(doc);
        assert_true(M3_HAS(doc, m3_op_doc, special));
        const char *const text[] = {doc->summary, doc->types, doc->shapes, doc->formula, doc->gradient, doc->special};
        static const char *const what[] = {"summary", "types", "shapes", "formula", "gradient", "special values"};
        for (size_t k = 0; k < sizeof text / sizeof text[0]; k++) is_said(op, what[k], text[k]);
        for (uint32_t a = 0; a < op->attr_count; a++) is_said(op, op->attrs[a].name, doc->attrs[a]);
        if (op->max_inputs == UINT32_MAX)
            assert_true(doc->input_count >= op->min_inputs);
        else
            assert_int_equal(doc->input_count, op->max_inputs);
        if (op->count_outputs == NULL) assert_int_equal(doc->output_count, op->outputs);
        if (strncmp(doc->gradient, "None", 4) == 0) assert_null(op->gradient);
        if (op->gradient == NULL) assert_memory_equal(doc->gradient, "None", 4);
        for (uint32_t k = 0; k < doc->input_count + doc->output_count; k++) { /* each operand has a type */
            const char *name = k < doc->input_count ? doc->inputs[k] : doc->outputs[k - doc->input_count];
            if (strstr(doc->shapes, name) == NULL && strstr(doc->types, name) == NULL)
                fail_msg("%s does not say the type or shape of %s", op->name, name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(attributes_have_their_names),
                                       cmocka_unit_test(operands_have_their_names),
                                       cmocka_unit_test(descriptions_are_complete)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
