/* locale: a process whose numbers have a decimal comma reads and writes the same files and options. The locale is made
 * here, with localedef, so that none need be installed.
 * Labels: errors */
#include "core/base/number.h"
#include "core/base/option.h"
#include "core/conformance/notation.h"
#include "core/ops/common/op.h"
#include "core/settings/settings.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "core/base/alloc.h"
#include "tests/support/data_source.h"

static data_source source;

static void numbers_have_a_point(void **state)
{
    (void)state;
    char text[64];
    char *end = NULL;
    (void)snprintf(text, sizeof text, "%.1f", 1.5);
    assert_string_equal(text, "1,5"); /* what the process has set */
    assert_true(m3_number_read("1.5", &end) == 1.5 && *end == 0);
    (void)m3_number_write(text, sizeof text, "%.1f", 1.5);
    assert_string_equal(text, "1.5");
    m3_number_shortest(0.1, text, sizeof text);
    assert_string_equal(text, "0.1");
    (void)snprintf(text, sizeof text, "%.1f", 1.5);
    assert_string_equal(text, "1,5"); /* and still has */
}

static void defaults_are_what_they_are(void **state)
{
    (void)state;
    m3_model_config config;
    m3_model_defaults(&config);
    assert_true(config.lr == 0.001 && config.beta2 == 0.999 && config.adam_eps == 1e-8 && config.w_contrast == 0.1);
}

static void settings_read_back(void **state)
{
    (void)state;
    m3_settings *settings = NULL, *again = NULL;
    m3_error err = {0};
    m3_training t;
    const char *path = data_source_path(&source, "settings.yaml");
    assert_int_equal(m3_settings_create(&settings, &err), M3_OK);
    assert_int_equal(m3_settings_set(settings, "lr=0.25", &err), M3_OK);
    assert_int_equal(m3_settings_set(settings, "lr_end=.5e-1", &err), M3_OK);
    assert_int_equal(m3_settings_set(settings, "lr=0,5", &err), M3_ERR_INVALID);
    assert_non_null(strstr(err.message, "'0,5' is no number; give one from 0 to 1000"));
    err = (m3_error){0};
    assert_int_equal(m3_settings_set(settings, "dropout=2", &err), M3_ERR_INVALID);
    assert_non_null(strstr(err.message, "from 0 to 0.95"));
    err = (m3_error){0};
    assert_int_equal(m3_settings_save(settings, path, &err), M3_OK);
    if (m3_settings_load(path, &again, &err) != M3_OK) fail_msg("%s: %s", err.subject, err.message);
    assert_string_equal(m3_settings_get(again, "lr"), "0.25");
    assert_string_equal(m3_settings_get(again, "lr_end"), "0.05");
    m3_settings_training(again, &t);
    assert_true(t.lr_end == 0.05);
    m3_settings_free(settings);
    m3_settings_free(again);
}

/* What a plugin includes: it has no code of ours. */
static void a_plugin_reads_what_was_meant(void **state)
{
    (void)state;
    static const m3_option options[] = {
        {"decay", "0.1"}, {"tiny", "1e-08"}, {"count", "-12"}, {"on", "true"}, {"kind", "cosine"}};
    const m3_module_args args = {.size = M3_STRUCT_SIZE(m3_module_args, modality),
                                 .options = {5, sizeof options[0], options}};
    assert_true(m3_option_float(&args, "decay") == 0.1);
    assert_true(m3_option_float(&args, "tiny") == 1e-8);
    assert_true(m3_option_float(&args, "count") == -12.0);
    assert_int_equal(m3_option_int(&args, "count"), -12);
    assert_true(m3_option_bool(&args, "on"));
    assert_int_equal(m3_option_choice(&args, "kind", "linear|cosine"), 1);
    assert_int_equal(m3_option_choice(&args, "other", "linear|cosine"), -1);
    assert_string_equal(m3_option_text(&args, "other"), "");
}

static void attributes_of_cases_have_a_point(void **state)
{
    (void)state;
    m3_attr attr[M3_NOTATION_ATTRS];
    m3_error err = {0};
    const m3_op *op = m3_op_find("layer_norm");
    assert_non_null(op);
    if (m3_notation_attrs("1.5e-3", op, attr, &err) != M3_OK) fail_msg("%s", err.message);
    assert_true(attr[0].f == 1.5e-3);
}

static int start(void **state)
{
    char command[1024], folder[128];
    (void)state;
    data_source_make(&source);
    (void)snprintf(folder, sizeof folder, "%s/locales", source.directory);
    (void)snprintf(
        command, sizeof command,
        "mkdir -p '%s' && localedef -c -i de_DE -f UTF-8 '%s/de_DE.UTF-8' >/dev/null 2>&1; test -d '%s/de_DE.UTF-8'",
        folder, folder, folder);
    if (system(command) != 0) { /* NOLINT(cert-env33-c): a fixed command */
        print_message("no locale with a decimal comma can be made: Debian's package locales is missing\n");
        return -1;
    }
    if (setenv("LOCPATH", folder, 1) != 0 || setlocale(LC_ALL, "de_DE.UTF-8") == NULL) return -1;
    return localeconv()->decimal_point[0] == ',' ? 0 : -1;
}

static int stop(void **state)
{
    char command[600];
    (void)state;
    (void)setlocale(LC_ALL, "C");
    (void)snprintf(command, sizeof command, "rm -r '%s/locales'", source.directory);
    if (system(command) != 0) return -1; /* NOLINT(cert-env33-c): a fixed command */
    data_source_remove(&source);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_have_a_point),
        cmocka_unit_test(defaults_are_what_they_are),
        cmocka_unit_test(settings_read_back),
        cmocka_unit_test(a_plugin_reads_what_was_meant),
        cmocka_unit_test(attributes_of_cases_have_a_point),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
