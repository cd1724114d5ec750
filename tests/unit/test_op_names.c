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
    {"unary", " copy neg abs exp log sqrt sin cos tanh sigmoid floor not relu silu "},
    {"binary", " add sub mul div max min equal less less_equal and or "},
    {"reduce", " reduce_sum reduce_max "},
    {"draw", " philox random_uniform random_normal "},
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

/* How many names stand before the enumerator that ends their list; 0 when there is no such list. */
static uint32_t names_before(const char *text, const char *op, const char *end)
{
    char last[LIST] = "";
    append(last, op, end);
    (void)strcat(last, " }");
    const char *at = strstr(text, last);
    uint32_t names = 0;
    for (; at != NULL && at > text && *at != '{'; at--) names += *at == ',';
    return names;
}

static void operands_are_counted(void **state)
{
    (void)state;
    const char *text = header_text();
    for (uint32_t i = 0; i < m3_op_count(); i++) {
        const m3_op *op = m3_op_at(i);
        const uint32_t inputs = op->max_inputs != UINT32_MAX ? op->max_inputs : 0;
        if (names_before(text, op->name, "inputs") != inputs || names_before(text, op->name, "outputs") != op->outputs)
            fail_msg("ops.h does not name the %u inputs and %u outputs of %s", inputs, op->outputs, op->name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(attributes_have_their_names),
                                       cmocka_unit_test(operands_are_counted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
