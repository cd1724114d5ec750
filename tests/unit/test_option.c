/* option: what each type takes, its canonical text, and what a refusal says.
 * Labels: errors */
#include "core/base/alloc.h"
#include "core/base/option.h"
#include "m3bsr/runtime.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const m3_option_desc table[] = {
    M3_DESCRIBE_INT("count", -5, 100, "4", "a whole number"),
    M3_DESCRIBE_INT("large", 0, 0x1p63, "0", "a whole number without an upper limit"),
    M3_DESCRIBE_INT("exact", 0, 0x1p53, "0", "a whole number that double has"),
    M3_DESCRIBE_FLOAT("rate", -1, 1e30, "0.5", "a number"),
    M3_DESCRIBE_BOOL("on", "false", "a truth value"),
    M3_DESCRIBE_TEXT("name", "", "a text"),
    M3_DESCRIBE_CHOICE("kind", "linear|cosine", "linear", "a choice"),
    M3_DESCRIBE("sizes", M3_OPTION_INTS, "[]", 1, 9, NULL, "a list of whole numbers"),
    M3_DESCRIBE("names", M3_OPTION_TEXTS, "all", 0, 0, "all", "a list"),
};
enum { OPTIONS = sizeof table / sizeof table[0] };
static const m3_span options = {OPTIONS, sizeof table[0], table};

/* want: the canonical text, or what the refusal says when it starts with '!'. */
static const struct row {
    const char *name, *key, *given, *want;
} rows[] = {
    {"a whole number", "count", "4", "4"},
    {"with a sign", "count", "+4", "4"},
    {"negative", "count", "-4", "-4"},
    {"with an exponent", "count", ".4e1", "4"},
    {"with a point", "count", "4.0", "4"},
    {"leading zeros", "count", "007", "7"},
    {"blanks around", "count", " 4\t", "4"},
    {"minus zero", "count", "-0", "0"},
    {"hexadecimal", "count", "0x4", "!'0x4' is no whole number; give one from -5 to 100"},
    {"a fraction", "count", "4.5", "!'4.5' is no whole number"},
    {"nothing", "count", "", "!'' is no whole number"},
    {"a point alone", "count", ".", "!'.' is no whole number"},
    {"a decimal comma", "count", "4,0", "!'4,0' is no whole number"},
    {"a tail", "count", "4x", "!'4x' is no whole number"},
    {"above", "count", "101", "!is 101; give a whole number from -5 to 100"},
    {"below", "count", "-6", "!is -6; give a whole number"},
    {"beyond 64 bits", "large", "99999999999999999999", "!give a whole number of at least 0"},
    {"all 63 bits", "large", "9223372036854775807", "9223372036854775807"},
    {"one beyond what double has", "exact", "9007199254740993", "!is 9007199254740993; give"},
    {"the last that double has", "exact", "9007199254740992", "9007199254740992"},
    {"a number", "rate", "0.1", "0.1"},
    {"shorter", "rate", "1.50", "1.5"},
    {"small", "rate", "0.00000001", "1e-08"},
    {"all its digits", "rate", "0.12345678901234568", "0.12345678901234568"},
    {"not a number", "rate", "nan", "!'nan' is no number"},
    {"infinity", "rate", "inf", "!'inf' is no number"},
    {"too large", "rate", "1e999", "!is 1e999; give a number from -1 to 1e+30"},
    {"too near to zero", "rate", "1e-400", "!too near to 0"},
    {"an exponent without digits", "rate", "1e", "!'1e' is no number"},
    {"true", "on", "true", "true"},
    {"yes", "on", "Yes", "true"},
    {"off", "on", "OFF", "false"},
    {"one", "on", "1", "!is '1'; give true (yes, on) or false (no, off)"},
    {"a text", "name", " a b", " a b"},
    {"a choice", "kind", "cosine", "cosine"},
    {"a part of a choice", "kind", "cos", "!is 'cos'; give one of linear|cosine"},
    {"two choices", "kind", "linear|cosine", "!give one of linear|cosine"},
    {"no choice", "kind", "", "!give one of linear|cosine"},
    {"a list", "sizes", "[7,5]", "[7, 5]"},
    {"a list without brackets", "sizes", " 7 , 5 ", "[7, 5]"},
    {"an empty list", "sizes", "[ ]", "[]"},
    {"nothing as a list", "sizes", "", "[]"},
    {"an entry out of range", "sizes", "[7, 10]", "!is 10; give a whole number from 1 to 9"},
    {"a gap", "sizes", "[7,,5]", "!'' is no whole number"},
    {"an open list", "sizes", "[7", "!is no list"},
    {"a long list", "sizes", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "!at most 16"},
    {"a list of texts", "names", "[a, b]", "[a, b]"},
    {"one text", "names", "a", "[a]"},
    {"none", "names", "none", "[]"},
    {"a word that stands for a list", "names", "all", "all"},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void reads(void **state)
{
    const struct row *row = *state;
    const m3_option_desc *desc = m3_option_find(options, row->key);
    char *text = NULL, *again = NULL;
    m3_error err = {0};
    m3_status st = m3_option_canonical(desc, row->given, &text, &err);
    if (row->want[0] == '!') {
        assert_int_equal(st, M3_ERR_INVALID);
        assert_string_equal(err.subject, row->key);
        if (strstr(err.message, row->want + 1) == NULL) fail_msg("says: %s", err.message);
        return;
    }
    if (st != M3_OK) fail_msg("%s", err.message);
    assert_string_equal(text, row->want);
    assert_int_equal(m3_option_canonical(desc, text, &again, &err), M3_OK); /* it stays what it is */
    assert_string_equal(text, again);
    m3_free(text);
    m3_free(again);
}

static void an_unknown_type_is_refused(void **state)
{
    (void)state;
    m3_option_desc desc = table[0];
    m3_option_value value;
    desc.type = (m3_option_type)77;
    assert_int_equal(m3_option_parse(&desc, "1", &value, NULL), M3_ERR_UNSUPPORTED);
}

/* A plugin of an older minor: its struct ends before the choices, whatever lies there. */
static void an_older_description_has_no_choices(void **state)
{
    (void)state;
    m3_option_desc desc = table[6];
    desc.size = M3_STRUCT_SIZE(m3_option_desc, help);
    assert_null(m3_option_choices(&desc));
}

static void many_are_checked(void **state)
{
    (void)state;
    static const m3_option given[] = {{"count", "+4"}, {"on", "yes"}, {"count", "5e0"}};
    static const m3_option unknown = {"cuont", "1"}, strange = {"zzzzzzzzzz", "1"};
    m3_option *checked = NULL;
    uint32_t count = 0;
    m3_error err = {0};
    assert_int_equal(m3_options_check(options, (m3_span){3, sizeof given[0], given}, "thing", &checked, &count, &err),
                     M3_OK);
    assert_int_equal(count, 2);
    const m3_span span = {count, sizeof *checked, checked};
    assert_int_equal(m3_options_int(span, "count", 0), 5);
    assert_true(m3_options_bool(span, "on", false));
    assert_true(m3_options_float(span, "rate", 0.25) == 0.25);
    assert_int_equal(m3_options_choice(span, "kind", "linear|cosine", 1), 1);
    m3_free(checked);
    assert_int_equal(m3_options_check(options, (m3_span){1, sizeof unknown, &unknown}, "thing", &checked, &count, &err),
                     M3_ERR_INVALID);
    assert_null(checked);
    assert_non_null(strstr(err.message, "no such option of thing; did you mean 'count'? It has count, large, exact"));
    err = (m3_error){0};
    assert_int_equal(m3_options_check(options, (m3_span){1, sizeof strange, &strange}, "thing", &checked, &count, &err),
                     M3_ERR_INVALID);
    assert_null(strstr(err.message, "did you mean"));
    assert_int_equal(
        m3_options_check((m3_span){0}, (m3_span){1, sizeof strange, &strange}, "thing", &checked, &count, NULL),
        M3_ERR_INVALID);
}

static void values_are_said_in_words(void **state)
{
    (void)state;
    static const char *const words[OPTIONS] = {"a whole number from -5 to 100",
                                               "a whole number of at least 0",
                                               NULL,
                                               "a number from -1 to 1e+30",
                                               "true|false",
                                               "a text",
                                               "linear|cosine",
                                               "a list of whole numbers from 1 to 9",
                                               "a list or all"};
    for (int i = 0; i < OPTIONS; i++) {
        char text[128];
        m3_option_takes(&table[i], text, sizeof text);
        if (words[i] != NULL) assert_string_equal(text, words[i]);
    }
}

int main(void)
{
    struct CMUnitTest tests[ROWS + 4];
    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, reads, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    tests[ROWS] = (struct CMUnitTest)cmocka_unit_test(an_unknown_type_is_refused);
    tests[ROWS + 1] = (struct CMUnitTest)cmocka_unit_test(an_older_description_has_no_choices);
    tests[ROWS + 2] = (struct CMUnitTest)cmocka_unit_test(many_are_checked);
    tests[ROWS + 3] = (struct CMUnitTest)cmocka_unit_test(values_are_said_in_words);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
