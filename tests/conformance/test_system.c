/* system: what the interface promises, on every backend of the build: a test is one check of the layer.
 * The argument names devices (named.h). Where a driver is slow to open and to compile, checks that do little else are
 * left to `m3bsr conformance --backend NAME --layer system`.
 * Parts: cpu reference opencl vulkan */
#include "m3bsr/conformance.h"
#include "tests/support/named.h"

#include <setjmp.h>

#include <cmocka.h>

enum { MOST = 128 };

static struct {
    m3_engine *engine;
    m3_device *device[NAMED_DEVICES];
    named n;
} with;

typedef struct heard {
    uint32_t count, begun;
    char name[128];
} heard;

static void hear(void *user, const m3_system_finding *f)
{
    heard *h = user;
    h->count++;
    (void)snprintf(h->name, sizeof h->name, "%s", f->name);
    if (f->verdict != M3_VERDICT_PASS) print_error("%s: %s\n", f->name, f->text);
}

static void hear_begun(void *user, uint32_t index, const char *name)
{
    heard *h = user;
    h->begun++;
    assert_string_equal(m3_conformance_system_name(index, NULL), name);
}

static m3_system_options options_of(heard *h, const char *pattern)
{
    return (m3_system_options){.size = M3_STRUCT_SIZE(m3_system_options, begun),
                               .pattern = pattern,
                               .device_options = {with.n.option_count, sizeof with.n.option[0], with.n.option},
                               .done = hear,
                               .user = h,
                               .begun = hear_begun};
}

static void holds(void **state)
{
    const char *name = *state;
    heard h = {0};
    m3_error err = {0};
    m3_system_report report = {0};
    const m3_system_options options = options_of(&h, name);
    if (m3_conformance_system(with.device[0], &options, &report, &err) != M3_OK) fail_msg("%s", err.message);
    assert_int_equal(report.run, 1);
    assert_int_equal(h.count, 1);
    assert_string_equal(h.name, name);
    assert_int_equal(report.passed, 1);
}

static void names_are_unique_and_say_what(void **state)
{
    const char *name, *other, *about;
    (void)state;
    for (uint32_t i = 0; (name = m3_conformance_system_name(i, &about)) != NULL; i++) {
        assert_int_equal(strncmp(name, "system.", 7), 0);
        assert_true(strlen(about) > 3);
        for (uint32_t k = i + 1; (other = m3_conformance_system_name(k, NULL)) != NULL; k++)
            assert_string_not_equal(name, other);
    }
}

static void patterns_and_places_choose(void **state)
{
    heard h = {0}, rest = {0};
    m3_error err = {0};
    m3_system_report report = {0};
    m3_system_options options = options_of(&h, "system.copy.*");
    (void)state;
    assert_int_equal(m3_conformance_system(with.device[0], &options, &report, &err), M3_OK);
    assert_int_equal(h.count, report.run);
    assert_int_equal(h.begun, report.run);
    assert_true(report.run > 8);
    uint32_t first = 0; /* behind the first of them */
    while (strncmp(m3_conformance_system_name(first, NULL), "system.copy.", 12) != 0) first++;
    options.first = first + 1;
    options.user = &rest;
    assert_int_equal(m3_conformance_system(with.device[0], &options, &report, &err), M3_OK);
    assert_int_equal(rest.count + 1, h.count);
    options.first = MOST; /* none is left, which is no error: a caller has had them all */
    assert_int_equal(m3_conformance_system(with.device[0], &options, &report, &err), M3_OK);
    assert_int_equal(report.run, 0);
    options.pattern = "system.no*";
    assert_int_equal(m3_conformance_system(with.device[0], &options, &report, &err), M3_ERR_INVALID);
    assert_non_null(strstr(err.message, "matches no check"));
}

static bool is_slow(const char *name)
{
    static const char *const slow[] = {"system.reopen",    "system.reopen.backend",  "system.recompile",
                                       "system.supports",  "system.supports.beside", "system.alloc.device",
                                       "system.alloc.open"};
    for (size_t i = 0; i < sizeof slow / sizeof slow[0]; i++)
        if (strcmp(slow[i], name) == 0) return true;
    return false;
}

int main(int argc, char **argv)
{
    static struct CMUnitTest tests[MOST];
    size_t count = 0;
    m3_error err = {0};
    const char *name;
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s BACKEND[,KEY=VALUE]...\n", argv[0]);
        return EXIT_FAILURE;
    }
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR,
                                     .threads = 2,
                                     .log_level = M3_LOG_WARN,
                                     .allow_writable_folder = true};
    if (m3_engine_create(&config, &with.engine, &err) != M3_OK) {
        print_error("%s: %s\n", err.subject, err.message);
        return EXIT_FAILURE;
    }
    named_read(&with.n, argv[1]);
    const uint32_t devices = named_open(&with.n, with.engine, with.device);
    for (uint32_t i = 0; (name = m3_conformance_system_name(i, NULL)) != NULL && count + 2 < MOST; i++) {
        if (named_needs_driver(&with.n) && is_slow(name)) continue;
        tests[count++] = (struct CMUnitTest){name, holds, NULL, NULL, (void *)(uintptr_t)name};
    }
    if (!named_needs_driver(&with.n)) {
        tests[count++] = (struct CMUnitTest)cmocka_unit_test(names_are_unique_and_say_what);
        tests[count++] = (struct CMUnitTest)cmocka_unit_test(patterns_and_places_choose);
    }
    int failed = _cmocka_run_group_tests(argv[1], tests, count, NULL, NULL);
    for (uint32_t i = 0; i < devices; i++) m3_device_close(with.device[i]);
    m3_engine_free(with.engine);
    return failed;
}
