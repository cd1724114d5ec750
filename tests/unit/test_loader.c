/* loader: a plugin that is not right is reported with its reason, skipped, and harms nobody.
 * Labels: errors */
#include "m3bsr/runtime.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/alloc.h"

/* A folder of its own for each test. */

static char folder[256];

static int make_folder(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/m3bsr-loader-XXXXXX", base != NULL ? base : "/tmp");
    unsetenv("M3BSR_PLUGIN_PATH");
    return mkdtemp(folder) == NULL;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

static int remove_folder(void **state)
{
    (void)state;
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *path_of(const char *name, char path[512])
{
    (void)snprintf(path, 512, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const void *data, size_t bytes)
{
    char path[512];
    FILE *to = fopen(path_of(name, path), "wb");
    assert_non_null(to);
    assert_int_equal(fwrite(data, 1, bytes, to), bytes);
    assert_int_equal(fclose(to), 0);
    assert_int_equal(chmod(path, 0644), 0);
}

/* Copy a plugin of tests/plugins into the folder under another name. */
static void copy_plugin(const char *plugin, const char *name)
{
    char from[512];
    (void)snprintf(from, sizeof from, "%s/%s.so", M3BSR_TEST_PLUGIN_DIR, plugin);
    FILE *file = fopen(from, "rb");
    if (file == NULL) fail_msg("%s is not built", from);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    const size_t bytes = (size_t)ftell(file);
    char *data = malloc(bytes);
    rewind(file);
    assert_int_equal(fread(data, 1, bytes, file), bytes);
    (void)fclose(file);
    write_file(name, data, bytes);
    free(data);
}

static void quiet(void *user, m3_log_level level, const char *line)
{
    (void)user;
    (void)level;
    (void)line;
}

static m3_engine *start(const char *path, bool allow_writable)
{
    m3_engine *engine = NULL;
    m3_error err = {0};
    const m3_engine_config config = {.size = sizeof config,
                                     .plugin_path = path,
                                     .threads = 1,
                                     .log = quiet,
                                     .cache_path = folder,
                                     .allow_writable_folder = allow_writable};
    if (m3_engine_create(&config, &engine, &err) != M3_OK) fail_msg("%s", err.message);
    return engine;
}

/* The verdict on a path of the folder, or "not met". */
static const char *verdict(const m3_engine *engine, const char *name, char text[1200])
{
    char path[512];
    if (name[0] == '/')
        (void)snprintf(path, sizeof path, "%s", name);
    else
        (void)path_of(name, path);
    for (uint32_t i = 0; i < m3_engine_plugin_count(engine); i++) {
        m3_plugin_report report = {.size = sizeof report};
        m3_engine_plugin(engine, i, &report);
        if (strcmp(report.path, path) != 0) continue;
        (void)snprintf(text, 1200, report.loaded ? "loaded %s %s" : "%s%s", report.loaded ? report.kind : report.reason,
                       report.loaded ? report.name : "");
        return text;
    }
    return "not met";
}

static void expect_verdict(const m3_engine *engine, const char *name, const char *says)
{
    char text[1200];
    const char *found = verdict(engine, name, text);
    if (strstr(found, says) == NULL) fail_msg("%s: \"%s\" instead of \"%s\"", name, found, says);
}

static const struct row {
    const char *name, *plugin, *says;
} rows[] = {
    {"a plugin that is right loads", "fine", "loaded expert fine"},
    {"longer structs of a newer minor load", "long_struct", "loaded expert long_struct"},
    {"without the symbol", "no_symbol", "it has no symbol m3_plugin_query"},
    {"without a descriptor", "null_descriptor", "m3_plugin_query() returned NULL"},
    {"with a short descriptor", "short_struct", "its descriptor has 32 bytes, at least 56 are needed"},
    {"with another magic", "wrong_magic", "its magic is 0x12345678 instead of 0x5033424d"},
    {"for another major", "newer_major", "it was made for interface 2.4, this library has 1.4"},
    {"for a newer host", "newer_host", "it needs a library with interface 1.5 or later, this one has 1.4"},
    {"of an unknown kind", "unknown_kind", "its kind 77 is unknown"},
    {"without a name", "no_name", "it has no name"},
    {"with a blank in its name", "bad_name", "its name 'bad name' has other characters"},
    {"an expert without build", "missing_build", "lacks the required function build"},
    {"an op without its plugin's name", "foreign_op", "its custom op 'matmul' is not named 'foreign_op.NAME'"},
    {"a backend without device_open", "missing_function", "lacks the required function device_open"},
    {"a backend with a short table", "short_table", "its table of 32 bytes lacks the required function device_open"},
    {"collectives without exchange", "no_exchange", "lacks the required function exchange"},
    {"a backend named auto", "named_auto", "it is named 'auto', which stands for the best device"},
    {"a name that no configuration keeps", "long_name", "has 48 characters; a name that can be chosen has at most 47"},
    {"a default outside of its range", "wild_default", "the default of its option 'reach' will not do: "},
    {"a range that nothing is in", "wild_range", "its option 'rate' takes from 1 to 0, where no number is"},
    {"such a range of a device's option", "wild_device", "its option 'reach' takes from 9 to 1, where no number is"},
    {"an option that no configuration keeps", "long_key", "has 48 characters; a key that can be given has at most 47"},
    {"an option that cannot be typed", "odd_key", "its option 'reach=far' cannot be typed"},
    {"an option that is there twice", "twice_key", "it describes its option 'reach' twice"},
    {"a default that is no choice", "wild_choice", "the default of its option 'shape' will not do: "},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

/* Beside a plugin that is right, which must load whatever the other one does. */
static void is_judged(void **state)
{
    const struct row *row = *state;
    copy_plugin(row->plugin, "a.so");
    if (strcmp(row->plugin, "fine") != 0) copy_plugin("fine", "z.so");
    m3_engine *engine = start(folder, false);
    expect_verdict(engine, "a.so", row->says);
    if (strcmp(row->plugin, "fine") != 0) expect_verdict(engine, "z.so", "loaded expert fine");
    m3_engine_free(engine);
}

static void text_is_no_plugin(void **state)
{
    (void)state;
    write_file("text.so", "hello\n", 6);
    write_file("empty.so", "", 0);
    write_file("notes.txt", "hello\n", 6);
    m3_engine *engine = start(folder, false);
    expect_verdict(engine, "text.so", "it cannot be loaded: ");
    expect_verdict(engine, "empty.so", "it cannot be loaded: ");
    expect_verdict(engine, "notes.txt", "not met");
    m3_engine_free(engine);
}

static void the_first_of_two_names_wins(void **state)
{
    char path[512], says[1024];
    (void)state;
    copy_plugin("fine", "2.so");
    copy_plugin("fine", "1.so");
    m3_engine *engine = start(folder, false);
    (void)snprintf(says, sizeof says, "an expert named 'fine' is loaded already, from '%s'", path_of("1.so", path));
    expect_verdict(engine, "1.so", "loaded");
    expect_verdict(engine, "2.so", says + 3);
    m3_engine_free(engine);
}

static void others_must_not_write_here(void **state)
{
    static const mode_t modes[] = {0777, 01777, 0770, 0702};
    (void)state;
    copy_plugin("fine", "a.so");
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(folder, modes[i]), 0);
        m3_engine *engine = start(folder, false);
        expect_verdict(engine, folder, "can be written by others");
        expect_verdict(engine, "a.so", "not met");
        m3_engine_free(engine);
        engine = start(folder, true);
        expect_verdict(engine, "a.so", "loaded");
        m3_engine_free(engine);
    }
}

static void others_must_not_write_the_file(void **state)
{
    char path[512];
    (void)state;
    copy_plugin("fine", "a.so");
    assert_int_equal(chmod(path_of("a.so", path), 0666), 0);
    m3_engine *engine = start(folder, false);
    expect_verdict(engine, "a.so", "can be written by others (mode 666, of user ");
    m3_engine_free(engine);
}

static void paths_are_absolute_and_there(void **state)
{
    (void)state;
    m3_engine *engine = start("some/where:/nowhere/at/all::", false);
    m3_plugin_report report = {.size = sizeof report};
    m3_engine_plugin(engine, 0, &report);
    assert_string_equal(report.reason, "'some/where' is not an absolute path; write it in full");
    assert_false(report.loaded);
    expect_verdict(engine, "/nowhere/at/all", "No such file or directory");
    m3_engine_free(engine);
}

static void a_single_file_can_be_named(void **state)
{
    char path[512];
    (void)state;
    copy_plugin("fine", "one.so");
    copy_plugin("long_struct", "two.so");
    m3_engine *engine = start(path_of("two.so", path), false);
    expect_verdict(engine, "two.so", "loaded");
    expect_verdict(engine, "one.so", "not met");
    m3_engine_free(engine);
}

static void the_environment_counts_unless_a_path_is_given(void **state)
{
    (void)state;
    copy_plugin("fine", "a.so");
    setenv("M3BSR_PLUGIN_PATH", folder, 1);
    m3_engine *engine = start(NULL, false);
    expect_verdict(engine, "a.so", "loaded");
    m3_engine_free(engine);
    engine = start("/nowhere", false);
    expect_verdict(engine, "a.so", "not met");
    m3_engine_free(engine);
}

static void a_folder_is_searched_once(void **state)
{
    char twice[600];
    (void)state;
    copy_plugin("fine", "a.so");
    (void)snprintf(twice, sizeof twice, "%s:%s/.", folder, folder);
    m3_engine *engine = start(twice, false);
    m3_plugin_report report = {.size = sizeof report};
    uint32_t met = 0;
    for (uint32_t i = 0; i < m3_engine_plugin_count(engine); i++) {
        m3_engine_plugin(engine, i, &report);
        if (strcmp(report.name, "fine") == 0) met++;
    }
    assert_int_equal(met, 1);
    m3_engine_free(engine);
}

static void modules_and_ops_are_found_by_name(void **state)
{
    (void)state;
    const m3_module_api *module = NULL;
    const char *name = NULL;
    m3_error err = {0};
    copy_plugin("fine", "a.so");
    copy_plugin("long_struct", "b.so");
    m3_engine *engine = start(folder, false);
    assert_int_equal(m3_engine_module(engine, M3_PLUGIN_EXPERT, "fine", &module, &err), M3_OK);
    assert_non_null(module->build);
    assert_int_equal(m3_engine_module(engine, M3_PLUGIN_EXPERT, "fien", &module, &err), M3_ERR_INVALID);
    assert_non_null(strstr(err.message, "there is no expert 'fien'; loaded are: fine, long_struct"));
    assert_ptr_not_equal(m3_engine_module_at(engine, M3_PLUGIN_EXPERT, 1, &name), NULL);
    assert_string_equal(name, "long_struct");
    assert_null(m3_engine_module_at(engine, M3_PLUGIN_EXPERT, 2, &name));
    assert_null(m3_engine_module_at(engine, M3_PLUGIN_ENCODER, 0, &name));
    const m3_op_lookup *ops = m3_engine_ops(engine);
    assert_string_equal(ops->find(ops->user, "fine.square")->name, "fine.square");
    assert_null(ops->find(ops->user, "fine.cube"));
    m3_engine_free(engine);
}

/* Why a plugin is not there stands where it is missed. */
static void a_missing_plugin_says_what_was_skipped(void **state)
{
    const m3_module_api *module = NULL;
    m3_device *device = NULL;
    m3_error by_name = {0}, by_file = {0}, other = {0}, backend = {0};
    (void)state;
    copy_plugin("wild_default", "a.so");
    copy_plugin("no_symbol", "m3bsr_expert_mine.so");
    write_file("m3bsr_backend_gpu.so", "", 0);
    m3_engine *engine = start(folder, false);
    (void)m3_engine_module(engine, M3_PLUGIN_EXPERT, "wild_default", &module, &by_name);
    assert_non_null(strstr(by_name.message, "a.so' was skipped: the default of its option 'reach' will not do"));
    (void)m3_engine_module(engine, M3_PLUGIN_EXPERT, "mine", &module, &by_file);
    assert_non_null(strstr(by_file.message, "m3bsr_expert_mine.so' was skipped: it has no symbol m3_plugin_query"));
    (void)m3_engine_module(engine, M3_PLUGIN_EXPERT, "ine", &module, &other);
    assert_non_null(strstr(other.message, "loaded are: none; 3 plugin files were skipped, `m3bsr plugins` says why"));
    (void)m3_device_open(engine, "gpu:1", (m3_span){0}, &device, &backend);
    assert_non_null(strstr(backend.message, "m3bsr_backend_gpu.so' was skipped: it cannot be loaded"));
    m3_engine_free(engine);
}

static const struct lie {
    const char *name, *plugin, *says;
} lies[] = {
    {"an alignment that is no power of two", "misaligned",
     "aligned to 48 bytes; offset_alignment must be a power of two"},
    {"a count of devices that cannot be", "many_devices", "it says that it has 4000000000 devices; at most 1024"},
    {"more devices than there was room for", "more_devices",
     "it has 1 devices when asked how many, and 2 when asked for them"},
};
enum { LIES = sizeof lies / sizeof lies[0] };

static void is_refused(void **state)
{
    const struct lie *row = *state;
    m3_device *device = NULL;
    m3_error err = {0};
    copy_plugin(row->plugin, "a.so");
    m3_engine *engine = start(folder, false);
    expect_verdict(engine, "a.so", "loaded backend");
    assert_int_equal(m3_device_open(engine, row->plugin, (m3_span){0}, &device, &err), M3_ERR_ABI);
    if (strstr(err.message, row->says) == NULL) fail_msg("\"%s\" instead of \"%s\"", err.message, row->says);
    assert_null(device);
    m3_engine_free(engine);
}

static void a_text_that_fills_its_room_ends_there(void **state)
{
    (void)state;
    m3_device_entry entries[64];
    m3_error err = {0};
    uint32_t count = 0, met = 0;
    copy_plugin("endless_name", "a.so");
    m3_engine *engine = start(folder, false);
    assert_int_equal(m3_engine_devices(engine, entries, 64, &count, &err), M3_OK);
    for (uint32_t i = 0; i < count && i < 64; i++) {
        if (strcmp(entries[i].name, "endless_name:0") != 0) continue;
        assert_int_equal(strnlen(entries[i].info.name, sizeof entries[i].info.name), sizeof entries[i].info.name - 1);
        met++;
    }
    assert_int_equal(met, 1);
    m3_engine_free(engine);
}

static void two_engines_share_a_process(void **state)
{
    (void)state;
    copy_plugin("fine", "a.so");
    m3_engine *one = start(folder, false), *two = start(folder, false);
    m3_engine_free(one);
    expect_verdict(two, "a.so", "loaded");
    m3_engine_free(two);
}

/* Devices. */

static const struct device {
    const char *name, *asked;
    m3_status want;
    const char *says;
} devices[] = {
    {"an unknown backend lists what there is", "abacus", M3_ERR_INVALID, "there is no device 'abacus'; there are: "},
    {"an index beyond the last lists what there is", "reference:7", M3_ERR_INVALID, "reference:0 (reference)"},
    {"an index is a number", "reference:x", M3_ERR_INVALID, "there is no device 'reference:x'"},
    {"an index is not empty", "reference:", M3_ERR_INVALID, "there is no device 'reference:'"},
    {"a backend alone is its first device", "reference", M3_OK, "reference:0"},
    {"a device has an index", "reference:0", M3_OK, "reference:0"},
};
enum { DEVICES = sizeof devices / sizeof devices[0] };

static void is_opened(void **state)
{
    const struct device *row = *state;
    m3_device *device = NULL;
    m3_error err = {0};
    m3_engine *engine = start(M3BSR_BUILD_PLUGIN_DIR, true);
    assert_int_equal(m3_device_open(engine, row->asked, (m3_span){0}, &device, &err), row->want);
    const char *text = device != NULL ? m3_device_name(device) : err.message;
    if (strstr(text, row->says) == NULL) fail_msg("\"%s\" instead of \"%s\"", text, row->says);
    m3_device_close(device);
    m3_engine_free(engine);
}

/* The numbers of the devices of classes.c that were tried, in order. */
static void note_attempt(void *user, m3_log_level level, const char *line)
{
    char *tried = user;
    const char *at = strstr(line, "device classes:");
    if (level == M3_LOG_WARN && at != NULL) (void)strncat(tried, at + strlen("device classes:"), 1);
}

static void auto_tries_the_best_class_first(void **state)
{
    (void)state;
    char tried[16] = "";
    m3_engine *engine = NULL;
    m3_device *device = NULL;
    m3_error err = {0};
    copy_plugin("classes", "m3bsr_backend_classes.so");
    const m3_engine_config config = {.size = sizeof config,
                                     .plugin_path = folder,
                                     .threads = 1,
                                     .log = note_attempt,
                                     .log_user = tried,
                                     .log_level = M3_LOG_WARN,
                                     .cache_path = folder,
                                     .allow_writable_folder = true};
    assert_int_equal(m3_engine_create(&config, &engine, &err), M3_OK);
    (void)m3_device_open(engine, "auto", (m3_span){0}, &device, &err);
    const bool opened = device != NULL;
    m3_device_close(device);
    m3_engine_free(engine);
    /* Discrete, then integrated; an installed library may have a cpu beside it, which then opens. */
    assert_memory_equal(tried, "425", 3);
    assert_null(strchr(tried, '0')); /* the reference */
    if (!opened) assert_string_equal(tried, "42531");
}

static void auto_never_takes_the_reference(void **state)
{
    char path[512];
    (void)state;
    m3_device *device = NULL;
    m3_device_entry entries[8];
    m3_error err = {0};
    uint32_t count = 0;
    (void)snprintf(path, sizeof path, "%s/m3bsr_backend_reference.so", M3BSR_BUILD_PLUGIN_DIR);
    m3_engine *engine = start(path, true);
    assert_int_equal(m3_engine_devices(engine, entries, 8, &count, NULL), M3_OK);
    bool only = true;
    for (uint32_t i = 0; i < count && i < 8; i++) only = only && entries[i].info.device_class == M3_DEVICE_REFERENCE;
    if (!only) skip(); /* an installed library has other backends beside it */
    assert_int_equal(m3_device_open(engine, "auto", (m3_span){0}, &device, &err), M3_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "no backend offers a device"));
    m3_engine_free(engine);
}

/* Memory. */

typedef struct failing {
    uint32_t seen, at;
} failing;

static bool fail_from(void *user, size_t bytes)
{
    failing *f = user;
    (void)bytes;
    return f->seen++ < f->at;
}

static bool fail_one(void *user, size_t bytes)
{
    failing *f = user;
    (void)bytes;
    return f->seen++ != f->at;
}

static void each_failed_allocation_is_survived(void **state)
{
    const m3_alloc_gate gate = *state != NULL ? fail_from : fail_one;
    copy_plugin("fine", "a.so");
    copy_plugin("wrong_magic", "b.so");
    const m3_engine_config config = {
        .size = sizeof config, .plugin_path = folder, .threads = 1, .log = quiet, .cache_path = folder};
    m3_status st = M3_ERR_MEMORY;
    uint32_t failed = 0;
    for (; st != M3_OK && failed < 1000; failed++) {
        failing f = {0, failed};
        m3_engine *engine = NULL;
        m3_error err = {0};
        m3_alloc_set_gate(gate, &f);
        st = m3_engine_create(&config, &engine, &err);
        m3_alloc_set_gate(NULL, NULL);
        if (st != M3_OK) assert_int_equal(err.code, M3_ERR_MEMORY);
        if (st != M3_OK) assert_null(engine);
        m3_engine_free(engine);
    }
    assert_int_equal(st, M3_OK);
    assert_true(failed > 10);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest others[] = {
        IN_FOLDER(text_is_no_plugin),
        IN_FOLDER(the_first_of_two_names_wins),
        IN_FOLDER(others_must_not_write_here),
        IN_FOLDER(others_must_not_write_the_file),
        IN_FOLDER(paths_are_absolute_and_there),
        IN_FOLDER(a_single_file_can_be_named),
        IN_FOLDER(the_environment_counts_unless_a_path_is_given),
        IN_FOLDER(a_folder_is_searched_once),
        IN_FOLDER(modules_and_ops_are_found_by_name),
        IN_FOLDER(a_missing_plugin_says_what_was_skipped),
        IN_FOLDER(a_text_that_fills_its_room_ends_there),
        IN_FOLDER(two_engines_share_a_process),
        IN_FOLDER(auto_never_takes_the_reference),
        IN_FOLDER(auto_tries_the_best_class_first),
        IN_FOLDER(each_failed_allocation_is_survived),
        {"so is memory that stays away", each_failed_allocation_is_survived, make_folder, remove_folder, folder},
    };
    enum { OTHERS = sizeof others / sizeof others[0] };
    struct CMUnitTest tests[ROWS + DEVICES + LIES + OTHERS];
    size_t count = 0;
    for (size_t i = 0; i < ROWS; i++)
        tests[count++] = (struct CMUnitTest){rows[i].name, is_judged, make_folder, remove_folder, (void *)&rows[i]};
    for (size_t i = 0; i < DEVICES; i++)
        tests[count++] =
            (struct CMUnitTest){devices[i].name, is_opened, make_folder, remove_folder, (void *)&devices[i]};
    for (size_t i = 0; i < LIES; i++)
        tests[count++] = (struct CMUnitTest){lies[i].name, is_refused, make_folder, remove_folder, (void *)&lies[i]};
    for (size_t i = 0; i < OTHERS; i++) tests[count++] = others[i];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
