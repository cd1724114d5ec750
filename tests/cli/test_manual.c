/* The manual names every key of a configuration, each with its default and meaning as the library tells them:
 *   *width* (64)
 *   	d: width of the model; even */
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_key_is_in_the_manual)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
