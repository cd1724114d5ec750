/* option: values as text. What each type takes, and its canonical text, stands in m3bsr/plugin.h. */
#include "core/base/option.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/alloc.h"
#include "core/base/number.h"
#include "m3bsr/runtime.h"

#define EXACT 9007199254740992.0 /* 2^53: whole numbers up to here are exact in double */

const m3_option_desc *m3_option_find(m3_span table, const char *key)
{
    for (uint32_t i = 0; i < table.count; i++) {
        const m3_option_desc *desc = m3_span_at(table, i);
        if (strcmp(desc->key, key) == 0) return desc;
    }
    return NULL;
}

const char *m3_option_choices(const m3_option_desc *desc)
{
    return M3_HAS(desc, m3_option_desc, choices) ? desc->choices : NULL;
}

const char *m3_option_choice_at(const char *choices, int64_t place, char *text, size_t bytes)
{
    for (; place > 0 && choices != NULL; place--) {
        choices = strchr(choices, '|');
        if (choices != NULL) choices++;
    }
    (void)snprintf(text, bytes, "%.*s", choices != NULL ? (int)strcspn(choices, "|") : 0,
                   choices != NULL ? choices : "");
    return text;
}

/* Reading. */

/* "from 1 to 8", "of at least 0". */
static const char *range_text(const m3_option_desc *desc, char *text, size_t bytes)
{
    if (desc->type != M3_OPTION_FLOAT && desc->max >= (double)INT64_MAX)
        (void)m3_number_write(text, bytes, "of at least %.16g", desc->min);
    else
        (void)m3_number_write(text, bytes, "from %.16g to %.16g", desc->min, desc->max);
    return text;
}

void m3_option_takes(const m3_option_desc *desc, char *text, size_t bytes)
{
    char range[96];
    const char *choices = m3_option_choices(desc);
    (void)range_text(desc, range, sizeof range);
    switch (desc->type) {
    case M3_OPTION_INT: (void)snprintf(text, bytes, "a whole number %s", range); return;
    case M3_OPTION_FLOAT: (void)snprintf(text, bytes, "a number %s", range); return;
    case M3_OPTION_BOOL: (void)snprintf(text, bytes, "true|false"); return;
    case M3_OPTION_TEXT: (void)snprintf(text, bytes, "a text"); return;
    case M3_OPTION_CHOICE: (void)snprintf(text, bytes, "%s", choices != NULL ? choices : ""); return;
    case M3_OPTION_INTS: (void)snprintf(text, bytes, "a list of whole numbers %s", range); return;
    case M3_OPTION_TEXTS:
        (void)snprintf(text, bytes, "a list%s%s", choices != NULL ? " or " : "", choices != NULL ? choices : "");
        return;
    }
    (void)snprintf(text, bytes, "a value");
}

static const char *number_kind(const m3_option_desc *desc)
{
    return desc->type == M3_OPTION_FLOAT ? "number" : "whole number";
}

static m3_status fail_number(const m3_option_desc *desc, const char *text, int length, const char *what, m3_error *err)
{
    char range[96];
    return M3_FAIL(err, M3_ERR_INVALID, desc->key, "'%.*s' is no %s%s; give one %s", length, text, number_kind(desc),
                   what, range_text(desc, range, sizeof range));
}

static m3_status fail_range(const m3_option_desc *desc, const char *text, int length, m3_error *err)
{
    char range[96];
    return M3_FAIL(err, M3_ERR_INVALID, desc->key, "is %.*s; give a %s %s", length, text, number_kind(desc),
                   range_text(desc, range, sizeof range));
}

/* Digits alone are read exactly; with a point or an exponent the value must be whole and exact in double. */
static bool read_whole(const char *text, const char *end, int64_t *whole, bool *beyond)
{
    const char *digits = text + (*text == '+' || *text == '-');
    if (digits + strspn(digits, "0123456789") == end) {
        errno = 0;
        *whole = strtoll(text, NULL, 10);
        *beyond = errno == ERANGE;
        return true;
    }
    double value = m3_number_read(text, NULL);
    if (value != floor(value)) return false;
    *beyond = fabs(value) > EXACT;
    if (!*beyond) *whole = (int64_t)value;
    return true;
}

/* A limit of whole numbers: of 64 bits, since a double beyond 2^53 is not equal to its neighbours. */
static int64_t whole_limit(double limit)
{
    if (limit >= 0x1p63) return INT64_MAX;
    return limit <= -0x1p63 ? INT64_MIN : (int64_t)limit;
}

/* text[0 .. length) without blanks around it. */
static m3_status read_number(const m3_option_desc *desc, const char *text, size_t length, int64_t *whole,
                             double *number, m3_error *err)
{
    bool beyond = false;
    const char *end = m3_number_end(text);
    if (end == text || end != text + length) return fail_number(desc, text, (int)length, "", err);
    if (desc->type == M3_OPTION_FLOAT) {
        errno = 0;
        *number = m3_number_read(text, NULL);
        if (errno == ERANGE && *number == 0.0)
            return fail_number(desc, text, (int)length, " that can be kept: it is too near to 0", err);
        beyond = *number < desc->min || *number > desc->max;
    } else {
        if (!read_whole(text, end, whole, &beyond)) return fail_number(desc, text, (int)length, "", err);
        beyond = beyond || *whole < whole_limit(ceil(desc->min)) || *whole > whole_limit(floor(desc->max));
    }
    return beyond ? fail_range(desc, text, (int)length, err) : M3_OK;
}

/* The part without blanks at its ends. */
static const char *trim(const char *text, size_t *length)
{
    size_t blanks = strspn(text, " \t");
    text += blanks < *length ? blanks : *length;
    *length -= blanks < *length ? blanks : *length;
    while (*length > 0 && (text[*length - 1] == ' ' || text[*length - 1] == '\t')) --*length;
    return text;
}

static m3_status fail_list(const m3_option_desc *desc, const char *text, m3_error *err)
{
    return M3_FAIL(err, M3_ERR_INVALID, desc->key, "'%s' is no list of at most %d whole numbers, such as [7, 5]", text,
                   M3_OPTION_ENTRIES);
}

/* "[7, 5]", "7, 5", "[]" or "". */
static m3_status read_list(const m3_option_desc *desc, const char *text, m3_option_value *value, m3_error *err)
{
    size_t length = strlen(text);
    const char *at = trim(text, &length), *end = at + length;
    if (length > 0 && *at == '[') {
        if (length < 2 || end[-1] != ']') return fail_list(desc, text, err);
        at++, end--;
    }
    length = (size_t)(end - at);
    (void)trim(at, &length);
    for (bool more = length > 0; more;) {
        size_t entry = strcspn(at, ",");
        more = entry < (size_t)(end - at);
        if (!more) entry = (size_t)(end - at);
        length = entry;
        const char *from = trim(at, &length);
        if (value->whole == M3_OPTION_ENTRIES) return fail_list(desc, text, err);
        m3_status st = read_number(desc, from, length, &value->entries[value->whole], NULL, err);
        if (st != M3_OK) return st;
        value->whole++;
        at += entry + more;
    }
    return M3_OK;
}

static m3_status read_bool(const m3_option_desc *desc, const char *text, m3_option_value *value, m3_error *err)
{
    static const char *const words[2][3] = {{"false", "no", "off"}, {"true", "yes", "on"}};
    for (int on = 0; on < 2; on++)
        for (int i = 0; i < 3; i++)
            if (strcasecmp(text, words[on][i]) == 0) {
                value->whole = on;
                return M3_OK;
            }
    return M3_FAIL(err, M3_ERR_INVALID, desc->key, "is '%s'; give true (yes, on) or false (no, off)", text);
}

/* The place of a word among choices, or -1. */
static int find_choice(const char *choices, const char *text)
{
    size_t length = strlen(text);
    for (int place = 0; choices != NULL; place++) {
        size_t choice = strcspn(choices, "|");
        if (choice == length && memcmp(choices, text, length) == 0) return place;
        choices = choices[choice] != 0 ? choices + choice + 1 : NULL;
    }
    return -1;
}

m3_status m3_option_parse(const m3_option_desc *desc, const char *text, m3_option_value *value, m3_error *err)
{
    size_t length = strlen(text);
    const char *trimmed = trim(text, &length);
    *value = (m3_option_value){0};
    switch (desc->type) {
    case M3_OPTION_TEXT:
    case M3_OPTION_TEXTS: return M3_OK;
    case M3_OPTION_INT:
    case M3_OPTION_FLOAT: return read_number(desc, trimmed, length, &value->whole, &value->number, err);
    case M3_OPTION_BOOL: return read_bool(desc, text, value, err);
    case M3_OPTION_INTS: return read_list(desc, text, value, err);
    case M3_OPTION_CHOICE:
        value->whole = find_choice(m3_option_choices(desc), text);
        if (value->whole >= 0) return M3_OK;
        return M3_FAIL(err, M3_ERR_INVALID, desc->key, "is '%s'; give one of %s", text,
                       m3_option_choices(desc) != NULL ? m3_option_choices(desc) : "none");
    }
    return M3_FAIL(err, M3_ERR_UNSUPPORTED, desc->key, "has type %d, which this host does not know", (int)desc->type);
}

/* Printing. */

void m3_option_print(const m3_option_desc *desc, const m3_option_value *value, char *text, size_t bytes)
{
    size_t at = 0;
    text[0] = 0;
    switch (desc->type) {
    case M3_OPTION_INT: (void)snprintf(text, bytes, "%" PRId64, value->whole); break;
    case M3_OPTION_FLOAT: m3_number_shortest(value->number, text, bytes); break;
    case M3_OPTION_BOOL: (void)snprintf(text, bytes, "%s", value->whole != 0 ? "true" : "false"); break;
    case M3_OPTION_CHOICE: (void)m3_option_choice_at(m3_option_choices(desc), value->whole, text, bytes); break;
    case M3_OPTION_INTS:
        at = (size_t)snprintf(text, bytes, "[");
        for (int64_t i = 0; i < value->whole && at < bytes; i++)
            at += (size_t)snprintf(text + at, bytes - at, "%s%" PRId64, i != 0 ? ", " : "", value->entries[i]);
        if (at < bytes) (void)snprintf(text + at, bytes - at, "]");
        break;
    case M3_OPTION_TEXT:
    case M3_OPTION_TEXTS: break;
    }
}

m3_status m3_option_canonical(const m3_option_desc *desc, const char *given, char **text, m3_error *err)
{
    m3_option_value value;
    char printed[M3_OPTION_BYTES];
    m3_status st = m3_option_parse(desc, given, &value, err);
    *text = NULL;
    if (st != M3_OK) return st;
    if (desc->type == M3_OPTION_TEXTS && given[0] != '[' && find_choice(m3_option_choices(desc), given) < 0) {
        *text = m3_strfmt("[%s]", strcmp(given, "none") == 0 ? "" : given);
    } else if (desc->type == M3_OPTION_TEXT || desc->type == M3_OPTION_TEXTS) {
        *text = m3_strdup(given);
    } else {
        m3_option_print(desc, &value, printed, sizeof printed);
        *text = m3_strdup(printed);
    }
    return *text != NULL ? M3_OK : M3_FAIL_MEMORY(err, desc->key, strlen(given) + 3);
}

/* Many. */

static m3_status fail_unknown(m3_span table, const char *key, const char *what, m3_error *err)
{
    m3_nearest nearest = m3_nearest_to(key);
    char names[512] = "";
    for (uint32_t i = 0; i < table.count; i++) {
        const m3_option_desc *desc = m3_span_at(table, i);
        const size_t at = strlen(names);
        m3_nearest_try(&nearest, desc->key);
        (void)snprintf(names + at, sizeof names - at, "%s%s", i != 0 ? ", " : "", desc->key);
    }
    if (table.count == 0) return M3_FAIL(err, M3_ERR_INVALID, key, "no such option of %s, which has none", what);
    if (nearest.key == NULL) return M3_FAIL(err, M3_ERR_INVALID, key, "no such option of %s; it has %s", what, names);
    return M3_FAIL(err, M3_ERR_INVALID, key, "no such option of %s; did you mean '%s'? It has %s", what, nearest.key,
                   names);
}

m3_status m3_options_check(m3_span table, m3_span given, const char *what, m3_option **checked, uint32_t *count,
                           m3_error *err)
{
    m3_status st = M3_OK;
    char *text = NULL;
    size_t bytes = 0;
    *checked = NULL;
    *count = 0;
    for (uint32_t i = 0; i < given.count; i++) {
        const m3_option *option = m3_span_at(given, i);
        bytes += sizeof **checked + strlen(option->value) + 3 + M3_OPTION_BYTES;
    }
    if (given.count == 0) return M3_OK;
    m3_option *made = m3_calloc(1, bytes);
    if (made == NULL) return M3_FAIL_MEMORY(err, what, bytes);
    char *texts = (char *)(made + given.count);
    for (uint32_t i = 0; i < given.count && st == M3_OK; i++) {
        const m3_option *option = m3_span_at(given, i);
        const m3_option_desc *desc = m3_option_find(table, option->key);
        if (desc == NULL) {
            st = fail_unknown(table, option->key, what, err);
            break;
        }
        if ((st = m3_option_canonical(desc, option->value, &text, err)) != M3_OK) break;
        uint32_t at = 0;
        while (at < *count && strcmp(made[at].key, option->key) != 0) at++;
        made[at] = (m3_option){.key = desc->key, .value = texts};
        if (at == *count) ++*count;
        texts += snprintf(texts, strlen(text) + 1, "%s", text) + 1;
        m3_free(text);
    }
    if (st == M3_OK)
        *checked = made;
    else
        m3_free(made);
    if (st != M3_OK) *count = 0;
    return st;
}
