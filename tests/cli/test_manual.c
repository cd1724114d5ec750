/* The manual names every key of a configuration and every option of a device, each with its default and meaning as the
 * library tells them: *width* (64) d: width of the model; even */
#include "m3bsr/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *read_text(const char *path)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long bytes = ftell(file);
    assert_true(bytes > 0);
    rewind(file);
    char *text = calloc((size_t)bytes + 1, 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)bytes, file), (size_t)bytes);
    (void)fclose(file);
    return text;
}

/* scdoc gives _ and * a meaning, so the page writes a backslash before them. */
static void escape(char *to, const char *from)
{
    for (; *from != 0; from++) {
        if (*from == '_' || *from == '*') *to++ = '\\';
        *to++ = *from;
    }
    *to = 0;
}

static void keys_are_described(m3_span keys, const char *manual)
{
    assert_true(keys.count > 0);
    for (uint32_t i = 0; i < keys.count; i++) {
        const m3_option_desc *key = m3_span_at(keys, i);
        char name[128], fallback[128], help[512], wanted[1024];
        escape(name, key->key);
        escape(fallback, key->fallback[0] != 0 ? key->fallback : "empty");
        escape(help, key->help);
        (void)snprintf(wanted, sizeof wanted, "*%s* (%s)", name, fallback);
        const char *entry = strstr(manual, wanted);
        if (entry == NULL) fail_msg("the manual lacks: %s", wanted);
        (void)snprintf(wanted, sizeof wanted, "\n\t%s\n", help);
        const char *meaning = strstr(entry, wanted);
        if (meaning != strchr(entry, '\n')) fail_msg("the manual lacks, for %s:%s", key->key, wanted);
    }
}

static void every_key_is_in_the_manual(void **state)
{
    (void)state;
    char *manual = read_text(M3BSR_SOURCE_DIR "/tools/man/m3bsr-config.5.scd");
    keys_are_described(m3_model_keys(), manual);
    keys_are_described(m3_settings_keys(), manual);
    free(manual);
}

/* The part of the page on one backend's options. */
static void options_are_described(const m3_engine *engine, const char *backend, const char *manual)
{
    char wanted[1024];
    const m3_span options = m3_engine_backend_options(engine, backend);
    if (options.count == 0) fail_msg("%s describes no options", backend);
    (void)snprintf(wanted, sizeof wanted, "\n## Options of %s\n", backend);
    const char *part = strstr(manual, wanted);
    if (part == NULL) fail_msg("the manual lacks: %s", wanted);
    const char *end = strstr(part + 1, "\n#");
    uint32_t entries = 0;
    for (const char *at = part; (at = strstr(at, "\n*")) != NULL && at < end; at++) entries++;
    assert_int_equal(entries, options.count);
    for (uint32_t i = 0; i < options.count; i++) {
        const m3_option_desc *option = m3_span_at(options, i);
        char key[128], fallback[128], help[512];
        const bool chosen = option->fallback[0] == 0; /* by the device */
        escape(key, option->key);
        escape(fallback, option->fallback);
        escape(help, option->help);
        (void)snprintf(wanted, sizeof wanted, "\n*%s*%s%s%s\n\t%s\n", key, chosen ? "" : " (", fallback,
                       chosen ? "" : ")", help);
        const char *entry = strstr(part, wanted);
        if (entry == NULL || entry > end) fail_msg("the manual lacks, for %s:%s", backend, wanted);
    }
}

static void every_option_of_a_device_is_in_the_manual(void **state)
{
    static const char *const backends[] = {"cpu", "opencl", "vulkan", "reference"};
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR,
                                     .threads = 1,
                                     .log_level = M3_LOG_ERROR,
                                     .allow_writable_folder = true};
    m3_engine *engine = NULL;
    (void)state;
    assert_int_equal(m3_engine_create(&config, &engine, NULL), M3_OK);
    char *manual = read_text(M3BSR_SOURCE_DIR "/tools/man/m3bsr.1.scd");
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        char path[1024]; /* a backend whose headers are missing is not built */
        (void)snprintf(path, sizeof path, "%s/m3bsr_backend_%s.so", M3BSR_BUILD_PLUGIN_DIR, backends[i]);
        FILE *built = fopen(path, "rb");
        if (built == NULL) continue;
        (void)fclose(built);
        options_are_described(engine, backends[i], manual);
    }
    free(manual);
    m3_engine_free(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_option_of_a_device_is_in_the_manual),
                                       cmocka_unit_test(every_key_is_in_the_manual)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
