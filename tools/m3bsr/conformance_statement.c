/* conformance_statement: what follows from the results of a statement: counts, what lacks, the verdict, the digest. The
 * one who writes a statement and the one who verifies it compute all of it here. */
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "tools/m3bsr/conformance_report.h"

static const char *const verdicts[] = {"pass", "fail", "lack", "crash", "timeout"};
enum { VERDICTS = sizeof verdicts / sizeof verdicts[0], LEAST_MODELS = 20 };

const char *result_text(const json_t *result, size_t column)
{
    const char *text = json_string_value(json_array_get(result, column));
    return text != NULL ? text : "";
}

json_t *statement_columns(void)
{
    return json_pack("[s, s, s, s, s, s, s, s, s]", "case", "verdict", "about", "type", "rules", "share", "ms", "text",
                     "again");
}

/* Form. */

static bool is_verdict(const char *text)
{
    for (size_t v = 0; v < VERDICTS; v++)
        if (strcmp(text, verdicts[v]) == 0) return true;
    return false;
}

static bool is_result(const json_t *row)
{
    const size_t size = json_array_size(row);
    if (size != RESULT_TEXT && size != RESULT_COLUMNS) return false;
    for (size_t i = 0; i < size; i++) {
        const json_t *value = json_array_get(row, i);
        if (i == RESULT_SHARE ? !json_is_real(value) && !json_is_null(value)
            : i == RESULT_MS  ? !json_is_real(value)
                              : !json_is_string(value))
            return false;
    }
    const char *verdict = result_text(row, RESULT_VERDICT);
    return is_verdict(verdict) && (strcmp(verdict, "pass") == 0) == (size == RESULT_TEXT);
}

static bool are_texts(const json_t *object, const char *const *keys)
{
    for (; *keys != NULL; keys++)
        if (!json_is_string(json_object_get(object, *keys))) return false;
    return true;
}

const char *statement_malformed(const json_t *statement)
{
    static const char *const texts[] = {"statement", "verdict", "product", "abi", "date", "digest", NULL};
    static const char *const device_texts[] = {"name",   "backend", "version",  "class",
                                               "device", "driver",  "features", NULL};
    static const char *const arrays[] = {"because", "options", "layers", "lacks", "columns"};
    const char *name;
    json_t *rows, *row;
    size_t i;
    if (!json_is_object(statement) || !json_is_string(json_object_get(statement, "statement")) ||
        strcmp(json_string_value(json_object_get(statement, "statement")), "m3bsr conformance") != 0)
        return "it is no statement of conformance of m3bsr";
    const json_t *format = json_object_get(statement, "format");
    if (!json_is_integer(format)) return "it does not say its format";
    if (json_integer_value(format) != REPORT_FORMAT) return "its format is one that this program does not know";
    if (!are_texts(statement, texts)) return "a member is missing, or is no text";
    if (!are_texts(json_object_get(statement, "device"), device_texts)) return "\"device\" is not as it should be";
    for (i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        if (!json_is_array(json_object_get(statement, arrays[i]))) return "a list is missing";
    const json_t *list = json_object_get(statement, "list"), *cases = json_object_get(statement, "cases");
    if (!json_is_integer(json_object_get(list, "version")) || !json_is_string(json_object_get(list, "kind")) ||
        !json_is_integer(json_object_get(list, "cases")) || !json_is_string(json_object_get(list, "hash")))
        return "\"list\" is not as it should be";
    if (!json_is_boolean(json_object_get(statement, "ended")) || !json_is_integer(json_object_get(statement, "seed")) ||
        (!json_is_null(cases) && !json_is_string(cases)))
        return "\"ended\", \"seed\" or \"cases\" is not as it should be";
    json_t *results = json_object_get(statement, "results");
    if (!json_is_object(results)) return "it has no results";
    json_object_foreach(results, name, rows)
    {
        if (!json_is_array(rows)) return "the results of a layer are no list";
        json_array_foreach(rows, i, row) if (!is_result(row)) return "a result is not as it should be";
    }
    return NULL;
}

/* What follows. */

json_t *statement_layers(const json_t *results)
{
    const char *name;
    json_t *rows, *row, *all = json_array();
    size_t i;
    json_object_foreach((json_t *)results, name, rows)
    {
        int count[VERDICTS] = {0};
        double share = 0.0, ms = 0.0;
        json_array_foreach(rows, i, row)
        {
            for (size_t v = 0; v < VERDICTS; v++)
                count[v] += strcmp(result_text(row, RESULT_VERDICT), verdicts[v]) == 0;
            const double at = json_real_value(json_array_get(row, RESULT_SHARE));
            if (at > share) share = at;
            ms += json_real_value(json_array_get(row, RESULT_MS));
        }
        json_t *layer = json_pack("{s:s, s:i}", "name", name, "cases", (int)json_array_size(rows));
        for (size_t v = 0; v < VERDICTS; v++) (void)json_object_set_new(layer, verdicts[v], json_integer(count[v]));
        (void)json_object_set_new(layer, "share", report_number(share));
        if (json_object_set_new(layer, "ms", report_number(ms)) != 0 || json_array_append_new(all, layer) != 0) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

/* The entry of a layer, op and type, which `places` finds by a key of all three. */
static json_t *find_lack(json_t *all, json_t *places, const char *layer, const json_t *row)
{
    json_t *key = json_sprintf("%s\t%s\t%s", layer, result_text(row, RESULT_ABOUT), result_text(row, RESULT_TYPE));
    if (key == NULL) return NULL;
    json_t *lack = json_object_get(places, json_string_value(key));
    if (lack == NULL) {
        lack = json_pack("{s:s, s:s, s:s, s:i, s:s}", "layer", layer, "about", result_text(row, RESULT_ABOUT), "type",
                         result_text(row, RESULT_TYPE), "cases", 0, "why", result_text(row, RESULT_TEXT));
        if (json_object_set(places, json_string_value(key), lack) != 0 || json_array_append_new(all, lack) != 0)
            lack = NULL;
    }
    json_decref(key);
    return lack;
}

json_t *statement_lacks(const json_t *results)
{
    const char *name;
    json_t *rows, *row, *all = json_array(), *places = json_object();
    size_t i;
    bool good = true;
    json_object_foreach((json_t *)results, name, rows) json_array_foreach(rows, i, row)
    {
        if (strcmp(result_text(row, RESULT_VERDICT), "lack") != 0) continue;
        json_t *lack = find_lack(all, places, name, row), *cases = json_object_get(lack, "cases");
        good = good && json_integer_set(cases, json_integer_value(cases) + 1) == 0;
    }
    json_decref(places);
    if (good) return all;
    json_decref(all);
    return NULL;
}

/* What is against "conformant", from the worst on. */
typedef struct reasons {
    json_t *because;
    json_int_t failed, lacking;
    bool broken, partial;
} reasons;

static json_int_t count_of(const json_t *layer, const char *verdict)
{
    return json_integer_value(json_object_get(layer, verdict));
}

static void judge_layer(reasons *r, const char *name, const json_t *layer)
{
    const json_int_t failed = count_of(layer, "fail") + count_of(layer, "crash") + count_of(layer, "timeout"),
                     lacking = count_of(layer, "lack");
    if (layer == NULL) {
        r->partial = true;
        (void)json_array_append_new(r->because, json_sprintf("layer %s was not run", name));
        return;
    }
    if (count_of(layer, "cases") == 0) {
        r->broken = true;
        (void)json_array_append_new(r->because, json_sprintf("no case of layer %s was run", name));
    }
    /* As many configurations as there are without --random, or the vector files. */
    if (strcmp(name, "model") == 0 && count_of(layer, "cases") > 0 && count_of(layer, "cases") < LEAST_MODELS) {
        r->partial = true;
        (void)json_array_append_new(r->because, json_sprintf("layer model has %lld cases, and %d are the least",
                                                             (long long)count_of(layer, "cases"), LEAST_MODELS));
    }
    if (failed > 0)
        (void)json_array_append_new(r->because, json_sprintf("%lld of %lld cases of layer %s failed", (long long)failed,
                                                             (long long)count_of(layer, "cases"), name));
    if (lacking > 0)
        (void)json_array_append_new(r->because, json_sprintf("%lld of %lld cases of layer %s lack", (long long)lacking,
                                                             (long long)count_of(layer, "cases"), name));
    r->failed += failed;
    r->lacking += lacking;
}

const char *statement_verdict(const json_t *statement, json_t *because)
{
    reasons r = {.because = because};
    const json_t *layers = json_object_get(statement, "layers");
    for (size_t l = 0; check_layers[l] != NULL; l++) {
        const json_t *found = NULL;
        for (size_t i = 0; i < json_array_size(layers) && found == NULL; i++) {
            const json_t *layer = json_array_get(layers, i);
            const char *name = json_string_value(json_object_get(layer, "name"));
            if (name != NULL && strcmp(name, check_layers[l]) == 0) found = layer;
        }
        judge_layer(&r, check_layers[l], found);
    }
    if (!json_is_true(json_object_get(statement, "ended"))) {
        r.broken = true;
        (void)json_array_append_new(because, json_string("the run did not come to its end"));
    }
    const char *pattern = json_string_value(json_object_get(statement, "cases"));
    if (pattern != NULL) {
        r.partial = true;
        (void)json_array_append_new(because, json_sprintf("only cases that match '%s' were run", pattern));
    }
    return r.failed > 0 || r.broken ? "not conformant"
           : r.lacking > 0          ? "lacking"
           : r.partial              ? "partial"
                                    : "conformant";
}

/* Hashes. */

static void print_hash(XXH3_state_t *state, char hex[33])
{
    const XXH128_hash_t hash = XXH3_128bits_digest(state);
    (void)snprintf(hex, 33, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}

typedef struct listing {
    XXH3_state_t state;
    uint32_t cases;
} listing;

static void take_entry(void *user, const m3_case_entry *entry)
{
    listing *l = user;
    const unsigned char layers = (unsigned char)('0' + entry->values + 2 * entry->slopes);
    (void)XXH3_128bits_update(&l->state, entry->name, strlen(entry->name) + 1);
    (void)XXH3_128bits_update(&l->state, &layers, 1);
    l->cases++;
}

json_t *statement_list(bool full)
{
    listing l;
    char hex[33];
    m3_error err = {0};
    const m3_cases_options options = {.size = M3_STRUCT_SIZE(m3_cases_options, full), .full = full, .user = &l};
    l.cases = 0;
    XXH3_INITSTATE(&l.state);
    (void)XXH3_128bits_reset(&l.state);
    if (m3_conformance_list(&options, take_entry, &err) != M3_OK) return NULL;
    print_hash(&l.state, hex);
    return json_pack("{s:i, s:s, s:i, s:s}", "version", (int)m3_conformance_list_version(), "kind",
                     full ? "full" : "quick", "cases", (int)l.cases, "hash", hex);
}

static int take_bytes(const char *bytes, size_t size, void *user)
{
    (void)XXH3_128bits_update(user, bytes, size);
    return 0;
}

bool statement_digest(const json_t *statement, char hex[33])
{
    XXH3_state_t state;                              /* not allocated: it cannot fail */
    json_t *sealed = json_copy((json_t *)statement); /* its members are shared */
    if (sealed == NULL) return false;
    (void)json_object_del(sealed, "digest");
    XXH3_INITSTATE(&state);
    (void)XXH3_128bits_reset(&state);
    const bool good = json_dump_callback(sealed, take_bytes, &state,
                                         JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(REPORT_DIGITS)) == 0;
    json_decref(sealed);
    print_hash(&state, hex);
    return good;
}
