/* settings: every mistake in a settings file has its message with file and line; what is saved reads back the same.
 * Labels: errors */
#include "core/settings/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/alloc.h"
#include "tests/support/data_source.h"

static m3_engine *engine;
static data_source source;

/* A file's text; the key that is looked at and its value, or the line and what the message says. */
static const struct row {
    const char *name, *text, *key, *want;
    int line;
} rows[] = {
    {"a number", "lr: 0.01\n", "lr", "0.01", 0},
    {"a number in another notation", "lr: 1e-2\n", "lr", "0.01", 0},
    {"a whole number", "epochs: 1e3\n", "epochs", "1000", 0},
    {"a large seed keeps its digits", "seed: 9007199254740991\n", "seed", "9007199254740991", 0},
    {"a truth value", "modality_denoise: False\n", "modality_denoise", "false", 0},
    {"a list", "features: [image, text]\n", "features", "[image, text]", 0},
    {"a list in lines", "features:\n  - image\n  - 'two words'\n", "features", "[image, two words]", 0},
    {"an empty list", "features: []\n", "features", "[]", 0},
    {"a single feature is a list", "features: image\n", "features", "[image]", 0},
    {"none is an empty list", "features: none\n", "features", "[]", 0},
    {"all features is the default", "{}\n", "features", "all", 0},
    {"a list of numbers", "modalities: [7, 5]\n", "modalities", "[7, 5]", 0},
    {"a relative path starts at the file", "data: sets/a.set\n", "data", "@/sets/a.set", 0},
    {"an absolute path stays", "data: /sets/a.set\n", "data", "/sets/a.set", 0},
    {"an empty file is all defaults", "", "metric", "ndcg@10", 0},
    {"comments alone are all defaults", "# nothing\n", "lr", "0.001", 0},
    {"an option of a plugin is kept", "window: 3\n", "window", "3", 0},
    {"text beyond ASCII", "target: größe\n", "target", "größe", 0},
    {"quotes", "target: \"a: b\"\n", "target", "a: b", 0},

    {"not a number", "lr: fast\n", NULL, "'fast' is no number", 1},
    {"out of range", "\nepochs: 0\n", NULL, "is 0; give a whole number from 1 to 1000000", 2},
    {"not whole", "epochs: 1.5\n", NULL, "'1.5' is no whole number", 1},
    {"not a number at all", "lr_end: .nan\n", NULL, "is no number", 1},
    {"no such choice", "a: 1\nschedule: step\n", NULL, "is 'step'; give one of constant|linear|cosine", 2},
    {"no truth value", "modality_denoise: maybe\n", NULL, "is 'maybe'; give true", 1},
    {"a seed that double would round", "seed: 9007199254740993\n", NULL, "is 9007199254740993; give", 1},
    {"a list for a number", "lr: [1, 2]\n", NULL, "is the list [1, 2]; give a single value", 1},
    {"a mapping for a number", "lr:\n  a: 1\n", NULL, "has a mapping inside", 2},
    {"a list in a list", "features: [[a]]\n", NULL, "has a list inside", 1},
    {"no value", "lr:\nepochs: 1\n", NULL, "has no value", 1},
    {"twice", "lr: 1\nepochs: 2\nlr: 2\n", NULL, "is set again; line 1 has it already", 3},
    {"an anchor", "lr: &a 1\n", NULL, "uses the anchor or alias 'a'", 1},
    {"an alias", "epochs: 1\nlr: *a\n", NULL, "", 2},
    {"a mapping with an anchor", "base: &a {lr: 1}\n", NULL, "uses the anchor or alias", 1},
    {"a tag", "lr: !!str 1\n", NULL, "has the tag", 1},
    {"a list instead of keys", "- lr\n", NULL, "holds a list", 1},
    {"a word instead of keys", "lr\n", NULL, "holds a single value", 1},
    {"two documents", "lr: 1\n---\nlr: 2\n", NULL, "has a second document here", 2},
    {"no YAML", "lr: 1\nb: [\n", NULL, "is no YAML", 3},
    {"bytes that are no UTF-8", "lr: 1\ntarget: \xff\xfe\n", NULL, "is no YAML", 0},
    {"a bracket in an entry", "features: ['a]']\n", NULL, "an entry has no comma and no bracket", 1},
    {"a zero character", "target: \"a\\0b\"\n", NULL, "has a zero character", 1},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static const char *write_yaml(const char *text)
{
    data_source_write(&source, "settings.yaml", text, strlen(text));
    if (text[0] == 0) data_source_write(&source, "settings.yaml", "\n", 0);
    return data_source_path(&source, "settings.yaml");
}

static void loads(void **state)
{
    const struct row *row = *state;
    m3_settings *settings = NULL;
    m3_error err = {0};
    const char *path = write_yaml(row->text);
    m3_status st = m3_settings_load(path, &settings, &err);
    if (row->key != NULL) {
        if (st != M3_OK) fail_msg("%s: %s", err.subject, err.message);
        char want[256];
        (void)snprintf(want, sizeof want, "%s%s", row->want[0] == '@' ? source.directory : "",
                       row->want + (row->want[0] == '@'));
        assert_string_equal(m3_settings_get(settings, row->key), want);
    } else {
        assert_int_equal(st, M3_ERR_INVALID);
        assert_null(settings);
        if (strstr(err.message, row->want) == NULL) fail_msg("says: %s", err.message);
        assert_string_equal(err.file, path);
        if (row->line != 0) assert_int_equal(err.line, row->line);
    }
    m3_settings_free(settings);
}

/* A list of 100,000 entries is read in time by its length; a file that is longer than any, or has no end, is not. */
static void long_files_end(void **state)
{
    enum { ENTRIES = 100000, LONG = (1 << 20) + 1 };
    static const char head[] = "lr: 1\nfeatures: [";
    (void)state;
    char *text = malloc(LONG + 1);
    m3_settings *settings = NULL;
    m3_error err = {0};
    assert_non_null(text);
    size_t at = (size_t)snprintf(text, LONG, "%s", head);
    for (int i = 0; i < ENTRIES; i++) at += (size_t)snprintf(text + at, LONG - at, "%sm%05d", i > 0 ? ", " : "", i);
    (void)snprintf(text + at, LONG - at, "]\n");
    if (m3_settings_load(write_yaml(text), &settings, &err) != M3_OK) fail_msg("%s", err.message);
    assert_int_equal(strlen(m3_settings_get(settings, "features")), strlen(text) - strlen("lr: 1\nfeatures: \n"));
    m3_settings_free(settings);
    memset(text, '#', LONG);
    text[LONG] = '\0';
    assert_int_equal(m3_settings_load(write_yaml(text), &settings, &err), M3_ERR_INVALID);
    assert_string_equal(err.message, "is longer than 1048576 bytes; give a file of settings");
    free(text);
}

/* A key that is neither the model's nor training's nor a chosen plugin's. */
static const struct unknown_row {
    const char *name, *text, *says;
    int line;
} unknown_rows[] = {
    {"letters swapped", "epcohs: 3\n", "did you mean 'epochs'?", 1},
    {"a letter missing", "lr: 1\nwarmup_step: 3\n", "did you mean 'warmup_steps'?", 2},
    {"a letter too many", "widthh: 3\n", "did you mean 'width'?", 1},
    {"another name for it", "learning_rate: 3\n", "is no key", 1},
    {"nothing like it", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz: 3\n", "is no key and like none", 1},
};
enum { UNKNOWN_ROWS = sizeof unknown_rows / sizeof unknown_rows[0] };

static void suggests(void **state)
{
    const struct unknown_row *row = *state;
    m3_settings *settings = NULL;
    m3_model_config config;
    m3_error err = {0};
    const char *path = write_yaml(row->text);
    assert_int_equal(m3_settings_load(path, &settings, &err), M3_OK);
    assert_int_equal(m3_settings_config(engine, settings, &config, &err), M3_ERR_INVALID);
    if (strstr(err.message, row->says) == NULL) fail_msg("says: %s", err.message);
    assert_string_equal(err.file, path);
    assert_int_equal(err.line, row->line);
    m3_settings_free(settings);
}

static const struct assignment_row {
    const char *name, *text, *says;
} assignment_rows[] = {
    {"key=value", "lr=0.5", NULL},
    {"a value may be empty", "target=", NULL},
    {"a value may have an equals sign", "target=a=b", NULL},
    {"no equals sign", "lr", "is no assignment; give key=value"},
    {"no key", "=3", "is no assignment"},
    {"a bad value", "batch=0", "is 0; give a whole number"},
    {"a value that is no UTF-8", "target=\xff", "which is not UTF-8"},
    {"an option that is no UTF-8", "window\xc3=1", "which is not UTF-8"},
};
enum { ASSIGNMENT_ROWS = sizeof assignment_rows / sizeof assignment_rows[0] };

static void assigns(void **state)
{
    const struct assignment_row *row = *state;
    m3_settings *settings = NULL;
    m3_error err = {0};
    assert_int_equal(m3_settings_create(&settings, &err), M3_OK);
    assert_int_equal(m3_settings_set(settings, row->text, &err), row->says == NULL ? M3_OK : M3_ERR_INVALID);
    if (row->says != NULL) {
        if (strstr(err.message, row->says) == NULL) fail_msg("says: %s", err.message);
    } else {
        char key[32];
        (void)snprintf(key, sizeof key, "%.*s", (int)strcspn(row->text, "="), row->text);
        assert_string_equal(m3_settings_get(settings, key), strchr(row->text, '=') + 1);
    }
    m3_settings_free(settings);
}

static void defaults_fit(void **state)
{
    (void)state;
    m3_settings *settings = NULL;
    m3_error err = {0};
    m3_training t;
    assert_int_equal(m3_settings_create(&settings, &err), M3_OK);
    m3_span keys = m3_settings_keys();
    for (uint32_t i = 0; i < keys.count; i++) {
        const m3_option_desc *key = m3_span_at(keys, i);
        char text[256];
        (void)snprintf(text, sizeof text, "%s=%s", key->key, key->fallback);
        if (m3_settings_set(settings, text, &err) != M3_OK) fail_msg("%s: %s", key->key, err.message);
        assert_string_equal(m3_settings_get(settings, key->key), key->fallback);
    }
    m3_settings_training(settings, &t);
    assert_int_equal(t.epochs, 100);
    assert_int_equal(t.patience, 10);
    assert_int_equal(t.seed, 1);
    assert_int_equal(t.empty_histories, M3_EMPTY_SKIP);
    assert_null(m3_settings_get(settings, "nothing"));
    m3_settings_free(settings);
}

static const char *const odd_values[] = {"target=a: b # c",
                                         "target=it's",
                                         "target=say \"no\"\\",
                                         "features=[a b, on, '1']",
                                         "modalities=[7, 5]",
                                         "lr=0.1",
                                         "window=true",
                                         "data=/tmp/a\tb",
                                         "lazy=on",
                                         "epochs=7",
                                         "target=-",
                                         "target=[a]",
                                         "window=[a",
                                         "window=[null]",
                                         "window=[a,b]",
                                         "features=a]",
                                         "window=\xc2\x85\xe2\x80\xa8\xef\xbb\xbf\xc2\x9f\xef\xbf\xbf\x7f",
                                         "beta2=0.99999"};

static void saves(void **state)
{
    (void)state;
    m3_settings *settings = NULL, *again = NULL;
    m3_error err = {0};
    assert_int_equal(m3_settings_create(&settings, &err), M3_OK);
    const char *path = data_source_path(&source, "saved.yaml");
    for (size_t i = 0; i < sizeof odd_values / sizeof odd_values[0]; i++) {
        assert_int_equal(m3_settings_set(settings, odd_values[i], &err), M3_OK);
        assert_int_equal(m3_settings_save(settings, path, &err), M3_OK);
        if (m3_settings_load(path, &again, &err) != M3_OK)
            fail_msg("%s: line %d: %s", err.subject, err.line, err.message);
        assert_int_equal(settings->count, again->count);
        for (uint32_t k = 0; k < settings->count; k++)
            assert_string_equal(m3_settings_get(again, settings->all[k].name), settings->all[k].text);
        m3_settings_free(again);
    }
    m3_settings_free(settings);
}

static void hashes(void **state)
{
    (void)state;
    m3_settings *a = NULL, *b = NULL;
    m3_error err = {0};
    char x[17], y[17];
    assert_int_equal(m3_settings_create(&a, &err), M3_OK);
    assert_int_equal(m3_settings_create(&b, &err), M3_OK);
    static const char *const same[] = {"epochs=3", "patience=1", "data=/a", "eval_batch=8", "checkpoint_steps=4"};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        assert_int_equal(m3_settings_set(b, same[i], &err), M3_OK);
    m3_settings_hash(a, &a->config, x);
    m3_settings_hash(b, &b->config, y);
    assert_string_equal(x, y);
    assert_null(m3_settings_difference(a, &a->config, b, &b->config));
    assert_int_equal(m3_settings_set(b, "seed=2", &err), M3_OK);
    m3_settings_hash(b, &b->config, y);
    assert_string_not_equal(x, y);
    assert_string_equal(m3_settings_difference(a, &a->config, b, &b->config), "seed");
    assert_int_equal(m3_settings_set(b, "seed=1", &err), M3_OK);
    /* A key that came later counts beside what runs from before it stand for, and there alone. */
    assert_true(m3_model_key_is_before("fusion", "none") && !m3_model_key_is_before("fusion", "table"));
    assert_false(m3_model_key_is_before("router", "softmax"));
    assert_int_equal(m3_settings_set(b, "fusion=table", &err), M3_OK);
    m3_settings_hash(b, &b->config, y);
    assert_string_not_equal(x, y);
    assert_int_equal(m3_settings_set(b, "fusion=scores", &err), M3_OK);
    m3_settings_hash(b, &b->config, y);
    assert_string_equal(x, y);
    static const char *const first[] = {"fusion=none", "denoise=replace", "contrast=interests", "router=softmax",
                                        "w_contrast=0.01"};
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++)
        assert_int_equal(m3_settings_set(b, first[i], &err), M3_OK);
    m3_settings_hash(b, &b->config, y);
    assert_string_equal(y, "7dd964dad6345f60"); /* what the first version gave to its defaults */
    m3_settings_free(b);
    assert_int_equal(m3_settings_create(&b, &err), M3_OK);
    assert_int_equal(m3_settings_set(b, "window=1", &err), M3_OK);
    assert_string_equal(m3_settings_difference(a, &a->config, b, &b->config), "window");
    m3_settings_free(a);
    m3_settings_free(b);
}

/* A run's file that lacks keys is from before them, and means what was computed then. */
static void files_of_older_runs(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_settings *saved = NULL, *given = NULL;
    data_source_write(&source, "older.yaml", "width: 8\nfusion: table\n", 0);
    const char *path = data_source_path(&source, "older.yaml");
    assert_int_equal(m3_settings_load_saved(path, &saved, &err), M3_OK);
    assert_int_equal(m3_settings_load(path, &given, &err), M3_OK);
    assert_string_equal(m3_settings_get(saved, "denoise"), "replace");
    assert_string_equal(m3_settings_get(given, "denoise"), "neighbors");
    assert_int_equal(saved->config.denoise, M3_DENOISE_REPLACE);
    assert_int_equal(given->config.denoise, M3_DENOISE_NEIGHBORS);
    assert_string_equal(m3_settings_get(saved, "contrast"), "interests");
    assert_string_equal(m3_settings_get(saved, "fusion"), "table");
    assert_int_equal(saved->config.width, 8);
    assert_string_equal(m3_settings_get(saved, "lr"), m3_settings_get(given, "lr"));
    m3_settings_free(saved);
    m3_settings_free(given);
}

/* An engine whose expert `window` has options of its own (tests/plugins/window.c). */
static m3_engine *engine_with_window(void)
{
    m3_engine *made = NULL;
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_TEST_PLUGIN_DIR ":" M3BSR_BUILD_PLUGIN_DIR,
                                     .threads = 1,
                                     .log_level = M3_LOG_ERROR,
                                     .allow_writable_folder = true};
    assert_int_equal(m3_engine_create(&config, &made, NULL), M3_OK);
    return made;
}

static m3_settings *settings_of(const char *const *assignments)
{
    m3_settings *settings = NULL;
    m3_error err = {0};
    assert_int_equal(m3_settings_create(&settings, &err), M3_OK);
    for (; *assignments != NULL; assignments++) assert_int_equal(m3_settings_set(settings, *assignments, &err), M3_OK);
    return settings;
}

static void options_of_plugins_are_written_and_compared(void **state)
{
    (void)state;
    m3_engine *with = engine_with_window();
    m3_settings *bare = settings_of((const char *const[]){"expert=window", NULL});
    m3_settings *given = settings_of((const char *const[]){"window_rate=0.5", "expert=window", "window_size=+4", NULL});
    m3_settings *other = settings_of((const char *const[]){"expert=window", "window_kind=falling", NULL});
    m3_settings *saved = NULL;
    m3_model_config bare_config, given_config, other_config, saved_config;
    m3_error err = {0};
    char x[17], y[17], text[M3_OPTION_BYTES];
    const char *path = data_source_path(&source, "options.yaml");
    assert_int_equal(m3_settings_config(with, bare, &bare_config, &err), M3_OK);
    assert_int_equal(m3_settings_config(with, given, &given_config, &err), M3_OK);
    assert_int_equal(m3_settings_config(with, other, &other_config, &err), M3_OK);
    assert_int_equal(bare_config.option_count, 3);
    assert_string_equal(bare_config.options[0].value, "4");
    assert_string_equal(bare_config.options[1].value, "0.5");
    assert_string_equal(bare_config.options[2].value, "flat");
    m3_settings_hash(bare, &bare_config, x);
    m3_settings_hash(given, &given_config, y);
    assert_string_equal(x, y); /* a default is a default, however it is given */
    assert_null(m3_settings_difference(bare, &bare_config, given, &given_config));
    assert_string_equal(m3_settings_difference(bare, &bare_config, other, &other_config), "window_kind");
    assert_string_equal(m3_settings_value(other, &other_config, "window_kind", text), "falling");
    assert_string_equal(m3_settings_value(other, &other_config, "lr", text), "0.001");

    assert_int_equal(m3_settings_write(bare, &bare_config, path, &err), M3_OK);
    assert_int_equal(m3_settings_load(path, &saved, &err), M3_OK);
    assert_string_equal(m3_settings_get(saved, "window_rate"), "0.5");
    assert_int_equal(m3_settings_config(with, saved, &saved_config, &err), M3_OK);
    assert_null(m3_settings_difference(bare, &bare_config, saved, &saved_config));
    m3_settings_hash(saved, &saved_config, y);
    assert_string_equal(x, y);
    /* A run that an older version saved has the options that were given, as they were typed. */
    m3_settings_hash_as_written(given, x);
    m3_settings_hash(given, &given_config, y);
    assert_string_not_equal(x, y);
    m3_settings_free(bare);
    m3_settings_free(given);
    m3_settings_free(other);
    m3_settings_free(saved);
    m3_engine_free(with);
}

static void options_of_plugins_are_checked_at_their_place(void **state)
{
    (void)state;
    m3_engine *with = engine_with_window();
    m3_settings *settings = NULL;
    m3_model_config config;
    m3_error err = {0};
    const char *path = write_yaml("expert: window\nwindow_size: 0x4\n");
    assert_int_equal(m3_settings_load(path, &settings, &err), M3_OK);
    assert_int_equal(m3_settings_config(with, settings, &config, &err), M3_ERR_INVALID);
    assert_string_equal(err.message, "'0x4' is no whole number; give one from 1 to 64");
    assert_string_equal(err.file, path);
    assert_int_equal(err.line, 2);
    m3_settings_free(settings);
    m3_engine_free(with);
}

static void no_file(void **state)
{
    (void)state;
    m3_settings *settings = NULL;
    m3_error err = {0};
    assert_int_equal(m3_settings_load(data_source_path(&source, "none.yaml"), &settings, &err), M3_ERR_INVALID);
    assert_non_null(strstr(err.message, "cannot be opened"));
    assert_null(settings);
}

static void runs_out_of_memory(void **state)
{
    (void)state;
    const char *path = write_yaml("data: a.set\nfeatures: [a, b]\nlr: 0.1\nwindow: 4\n");
    m3_status st = M3_ERR_MEMORY;
    for (uint64_t at = 0; st != M3_OK; at++) {
        m3_error err = {0};
        m3_settings *settings = NULL;
        alloc_failure failure = {.at = at, .on = at % 2 == 0};
        m3_alloc_set_gate(alloc_failure_gate, &failure);
        st = m3_settings_load(path, &settings, &err);
        m3_alloc_set_gate(NULL, NULL);
        if (st != M3_OK && st != M3_ERR_MEMORY) fail_msg("request %d: %s: %s", (int)at, err.subject, err.message);
        assert_true((settings != NULL) == (st == M3_OK));
        m3_settings_free(settings);
        assert_true(at < 10000);
    }
}

static int start(void **state)
{
    (void)state;
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR,
                                     .threads = 1,
                                     .log_level = M3_LOG_ERROR,
                                     .allow_writable_folder = true};
    data_source_make(&source);
    return m3_engine_create(&config, &engine, NULL) == M3_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    m3_engine_free(engine);
    data_source_remove(&source);
    return 0;
}

int main(void)
{
    struct CMUnitTest tests[ROWS + UNKNOWN_ROWS + ASSIGNMENT_ROWS + 9];
    size_t n = 0;
    for (size_t i = 0; i < ROWS; i++)
        tests[n++] = (struct CMUnitTest){rows[i].name, loads, NULL, NULL, (void *)&rows[i]};
    for (size_t i = 0; i < UNKNOWN_ROWS; i++)
        tests[n++] = (struct CMUnitTest){unknown_rows[i].name, suggests, NULL, NULL, (void *)&unknown_rows[i]};
    for (size_t i = 0; i < ASSIGNMENT_ROWS; i++)
        tests[n++] = (struct CMUnitTest){assignment_rows[i].name, assigns, NULL, NULL, (void *)&assignment_rows[i]};
    tests[n++] = (struct CMUnitTest){"defaults are legal values", defaults_fit, NULL, NULL, NULL};
    tests[n++] = (struct CMUnitTest){"what is saved reads back the same", saves, NULL, NULL, NULL};
    tests[n++] = (struct CMUnitTest){"only what is computed counts for resuming", hashes, NULL, NULL, NULL};
    tests[n++] =
        (struct CMUnitTest){"a run's file without a key is from before it", files_of_older_runs, NULL, NULL, NULL};
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(long_files_end);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(options_of_plugins_are_written_and_compared);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(options_of_plugins_are_checked_at_their_place);
    tests[n++] = (struct CMUnitTest){"a file that is not there", no_file, NULL, NULL, NULL};
    tests[n++] = (struct CMUnitTest){"no memory at any point", runs_out_of_memory, NULL, NULL, NULL};
    return cmocka_run_group_tests(tests, start, stop);
}
