/* A settings file. What was read, written and read again is the same; so is what was set key by key. What is legal for
 * a set is legal for the model. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "core/settings/settings.h"

static void same(const m3_settings *a, const m3_settings *b)
{
    FUZZ_CHECK(a->count == b->count);
    for (uint32_t i = 0; i < a->count; i++) {
        const char *text = m3_settings_get(b, a->all[i].name);
        if (text == NULL || strcmp(a->all[i].text, text) != 0)
            (void)fprintf(stderr, "%s: '%s' became '%s'\n", a->all[i].name, a->all[i].text,
                          text != NULL ? text : "nothing");
        FUZZ_CHECK(text != NULL && strcmp(a->all[i].text, text) == 0);
    }
}

static void set_again(const m3_settings *from)
{
    m3_settings *to = NULL;
    char assignment[8192];
    m3_error err = {0};
    FUZZ_CHECK(m3_settings_create(&to, &err) == M3_OK);
    for (uint32_t i = 0; i < from->count; i++) {
        int length = snprintf(assignment, sizeof assignment, "%s=%s", from->all[i].name, from->all[i].text);
        FUZZ_CHECK(length > 0 && (size_t)length < sizeof assignment);
        if (strchr(from->all[i].name, '=') != NULL) goto done; /* a key that no assignment can name */
        m3_status st = m3_settings_set(to, assignment, &err);
        fuzz_check_error(st, &err);
        FUZZ_CHECK(st == M3_OK);
    }
    same(from, to);
done:
    m3_settings_free(to);
}

static void ask_for_model(const m3_settings *settings)
{
    m3_engine *engine = m3_device_engine(fuzz_device());
    m3_model_config config;
    m3_error err = {0};
    m3_status st = m3_settings_model(engine, settings, fuzz_set(), &config, &err);
    fuzz_check_error(st, &err);
    if (st == M3_OK) FUZZ_CHECK(m3_model_check(engine, &config, &err) == M3_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    m3_settings *settings = NULL, *again = NULL;
    m3_error err = {0};
    m3_status st = m3_settings_load(fuzz_write("settings.yaml", data, size), &settings, &err);
    fuzz_check_error(st, &err);
    FUZZ_CHECK((st == M3_OK) == (settings != NULL));
    if (settings == NULL) return 0;
    FUZZ_CHECK(m3_settings_save(settings, fuzz_path("again.yaml"), &err) == M3_OK);
    st = m3_settings_load(fuzz_path("again.yaml"), &again, &err);
    if (st != M3_OK) (void)fprintf(stderr, "%s:%d: %s: %s\n", err.file, err.line, err.subject, err.message);
    FUZZ_CHECK(st == M3_OK);
    same(settings, again);
    set_again(settings);
    ask_for_model(settings);
    m3_settings_free(again);
    m3_settings_free(settings);
    return 0;
}
