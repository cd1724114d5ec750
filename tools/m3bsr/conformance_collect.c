/* conformance_collect: collects what the layers find, makes the statement of it, and writes the reports that were
 * asked for. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "m3bsr/output.h"
#include "m3bsr/version.h"
#include "tools/m3bsr/conformance_report.h"

struct check_collected {
    json_t *results; /* by layer, in the order in which they ran */
    bool lost;       /* no memory for a result: there shall be no report that lacks it */
};

double check_lap(void)
{
    static struct timespec before;
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    const double ms = (double)(now.tv_sec - before.tv_sec) * 1e3 + (double)(now.tv_nsec - before.tv_nsec) / 1e6;
    before = now;
    return ms;
}

/* The length of the character at `text` in UTF-8, 0 when it is none, or none that XML may hold. */
static size_t character(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    const size_t length = at[0] < 0x80 ? 1 : at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    uint32_t code = length == 1 ? at[0] : at[0] & (0x7fu >> length);
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if ((at[0] >= 0x80 && at[0] < 0xc2) || at[0] > 0xf4) return 0;
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (at[i] & 0x3f);
    }
    const bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least[length] || code > 0x10ffff || surrogate || (code & 0xfffe) == 0xfffe ? 0 : length;
}

json_t *report_text(const char *text)
{
    static const char unknown[] = "\xef\xbf\xbd";
    char *clean = cli_allocate(3 * strlen(text) + 1), *to = clean;
    if (clean == NULL) return NULL;
    while (*text != '\0') {
        const size_t length = character(text);
        const bool control = (length == 1 && ((unsigned char)*text < 0x20 || *text == 0x7f)) ||
                             (length == 2 && (unsigned char)text[0] == 0xc2 && (unsigned char)text[1] < 0xa0);
        if (control)
            *to++ = ' ';
        else
            to = (char *)mempcpy(to, length > 0 ? text : unknown, length > 0 ? length : sizeof unknown - 1);
        text += length > 0 ? length : 1;
    }
    *to = '\0';
    json_t *value = json_string(clean);
    free(clean);
    return value;
}

json_t *report_number(double value)
{
    char text[64];
    if (!isfinite(value)) return json_null();
    (void)snprintf(text, sizeof text, "%.3g", value);
    return json_real(strtod(text, NULL));
}

static json_t *rows_of(check *k, const char *layer)
{
    if (k->collected == NULL && (k->collected = calloc(1, sizeof *k->collected)) != NULL)
        k->collected->results = json_object();
    if (k->collected == NULL) return NULL;
    json_t *rows = json_object_get(k->collected->results, layer);
    if (rows == NULL) {
        (void)json_object_set_new(k->collected->results, layer, json_array());
        rows = json_object_get(k->collected->results, layer);
    }
    k->collected->lost = k->collected->lost || rows == NULL;
    return rows;
}

void check_take_layer(check *k, const char *layer)
{
    (void)snprintf(k->layer, sizeof k->layer, "%s", layer);
    if (k->reports.count > 0) (void)rows_of(k, layer);
}

static const char *verdict_of(const check *k, const check_result *r)
{
    if (r->verdict == M3_VERDICT_PASS) return "pass";
    if (r->verdict == M3_VERDICT_LACKS) return "lack";
    return k->end == CHECK_LATE ? "timeout" : k->end == CHECK_CRASHED ? "crash" : "fail";
}

/* The command that runs it again, as JSON. */
static json_t *again(const check *k, const check_result *r)
{
    if (r->again != NULL) return report_text(r->again);
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    if (to == NULL) return NULL;
    check_print_again(to, k, r->layer, r->select);
    json_t *value = fclose(to) == 0 ? report_text(text) : NULL;
    free(text);
    return value;
}

void check_take_opening(check *k, const char *text)
{
    if (k->device_name[0] == '\0' && k->layer[0] != '\0')
        check_take(k, &(check_result){.layer = k->layer,
                                      .name = "opening the device",
                                      .about = "device",
                                      .dtype = "",
                                      .rules = "open",
                                      .verdict = M3_VERDICT_FAIL,
                                      .share = -1.0,
                                      .ms = check_lap(),
                                      .text = text});
}

void check_take(check *k, const check_result *r)
{
    if (k->reports.count == 0) return;
    json_t *rows = rows_of(k, r->layer);
    if (rows == NULL) return;
    json_t *row = json_array();
    bool good = json_array_append_new(row, report_text(r->name)) == 0;
    good = json_array_append_new(row, json_string(verdict_of(k, r))) == 0 && good;
    good = json_array_append_new(row, report_text(r->about)) == 0 && good;
    good = json_array_append_new(row, report_text(r->dtype)) == 0 && good;
    good = json_array_append_new(row, report_text(r->rules)) == 0 && good;
    good = json_array_append_new(row, r->share < 0.0 ? json_null() : report_number(r->share)) == 0 && good;
    good = json_array_append_new(row, report_number(r->ms)) == 0 && good;
    if (r->verdict != M3_VERDICT_PASS) {
        good = json_array_append_new(row, report_text(r->text)) == 0 && good;
        good = json_array_append_new(row, again(k, r)) == 0 && good;
    }
    if (json_array_append_new(rows, row) != 0 || !good) k->collected->lost = true;
}

/* The statement. */

static json_t *device_of(const check *k)
{
    const check_about *d = &k->device;
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
                     report_text(k->device_name[0] != '\0' ? k->device_name
                                 : k->c.backend != NULL    ? k->c.backend
                                                           : "auto"),
                     "backend", report_text(d->backend), "version", report_text(d->version), "class",
                     report_text(d->kind), "device", report_text(d->name), "driver", report_text(d->driver), "features",
                     report_text(d->features));
}

/* What was given to the device and the passes, which a reader must know to judge. */
static json_t *options_of(const check *k)
{
    json_t *all = json_array();
    for (uint32_t i = 0; i < k->c.device_option.count; i++)
        (void)json_array_append_new(all, report_text(k->c.device_option.at[i]));
    for (uint32_t i = 0; i < k->c.no_pass.count; i++)
        (void)json_array_append_new(all, json_sprintf("no-pass=%s", k->c.no_pass.at[i]));
    if (k->c.threads > 0) (void)json_array_append_new(all, json_sprintf("threads=%u", k->c.threads));
    return all;
}

static json_t *make_statement(const check *k)
{
    char date[32] = "", abi[32], digest[33];
    const time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc) != NULL) (void)strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    (void)snprintf(abi, sizeof abi, "%d.%d", M3_ABI_MAJOR, M3_ABI_MINOR);
    json_t *because = json_array(), *results = k->collected->results;
    json_t *all = json_pack("{s:s, s:i, s:s, s:o, s:s, s:s, s:s, s:I, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:O}",
                            "statement", "m3bsr conformance", "format", (int)REPORT_FORMAT, "verdict", "", "because",
                            because, "product", m3_version(), "abi", abi, "date", date, "seed", (json_int_t)k->seed,
                            "ended", (int)(!k->stopped && k->status <= CLI_CHECK_FAILED), "cases",
                            k->cases != NULL ? report_text(k->cases) : json_null(), "options", options_of(k), "device",
                            device_of(k), "list", statement_list(k->full), "layers", statement_layers(results), "lacks",
                            statement_lacks(results), "columns", statement_columns(), "results", results);
    if (all == NULL) return NULL;
    if (json_object_set_new(all, "verdict", json_string(statement_verdict(all, because))) == 0 &&
        statement_digest(all, digest) && json_object_set_new(all, "digest", json_string(digest)) == 0)
        return all;
    json_decref(all);
    return NULL;
}

/* Files. */

static bool ends_in(const char *path, const char *ending)
{
    const size_t length = strlen(path), more = strlen(ending);
    return length > more && strcmp(path + length - more, ending) == 0;
}

bool check_may_report(const check *k)
{
    for (uint32_t i = 0; i < k->reports.count; i++) {
        const char *path = k->reports.at[i];
        if (!ends_in(path, ".json") && !ends_in(path, ".html") && !ends_in(path, ".xml")) {
            cli_show(stderr, "error: --report cannot be '%s'; its ending chooses the form: .html, .json or .xml\n",
                     path);
            return false;
        }
        m3_error err = {0};
        m3_output *output = NULL;
        m3_status st = m3_output_check(path, cli_list_texts(&k->vectors), k->vectors.count, &err);
        if (st == M3_OK) st = m3_output_check(path, (const char *const *)k->c.words, (uint32_t)k->c.count, &err);
        if (st == M3_OK) st = m3_output_open(path, &output, &err);
        m3_output_discard(output);
        if (st != M3_OK) {
            (void)cli_report(&err);
            return false;
        }
    }
    return true;
}

/* The document with a result a line, so that tools which compare lines can compare two. */
static void write_json(const json_t *statement, FILE *to)
{
    const char *key, *layer;
    json_t *value, *rows, *row;
    size_t i;
    bool first = true;
    json_object_foreach((json_t *)statement, key, value)
    {
        (void)fprintf(to, "%s\"%s\": ", first ? "{" : ",\n", key);
        first = false;
        if (strcmp(key, "results") != 0) {
            (void)json_dumpf(value, to, JSON_ENCODE_ANY | JSON_REAL_PRECISION(REPORT_DIGITS));
            continue;
        }
        (void)fputc('{', to);
        json_object_foreach(value, layer, rows)
        {
            (void)fprintf(to, "%s\n\"%s\": [", rows == json_object_iter_value(json_object_iter(value)) ? "" : ",",
                          layer);
            json_array_foreach(rows, i, row)
            {
                (void)fputs(i == 0 ? "\n" : ",\n", to);
                (void)json_dumpf(row, to, JSON_COMPACT | JSON_REAL_PRECISION(REPORT_DIGITS));
            }
            (void)fputc(']', to);
        }
        (void)fputc('}', to);
    }
    (void)fputs("}\n", to);
}

static m3_status write_report(const json_t *statement, const char *path, m3_error *err)
{
    m3_output *output = NULL;
    m3_status st = m3_output_open(path, &output, err);
    if (st != M3_OK) return st;
    if (ends_in(path, ".json"))
        write_json(statement, m3_output_stream(output));
    else if (ends_in(path, ".xml"))
        report_junit(statement, m3_output_stream(output));
    else
        report_page(statement, m3_output_stream(output));
    return m3_output_commit(output, err);
}

void check_report(check *k)
{
    if (k->reports.count == 0) return;
    json_t *statement = k->collected != NULL && !k->collected->lost ? make_statement(k) : NULL;
    if (statement == NULL) {
        (void)fprintf(stderr, "error: there is no memory for the report\n");
        check_worsen(k, CLI_SYSTEM);
    }
    for (uint32_t i = 0; statement != NULL && i < k->reports.count; i++) {
        m3_error err = {0};
        if (write_report(statement, k->reports.at[i], &err) == M3_OK) continue;
        (void)cli_report(&err);
        check_worsen(k, CLI_SYSTEM);
    }
    json_decref(statement);
    if (k->collected != NULL) json_decref(k->collected->results);
    free(k->collected);
    k->collected = NULL;
}
