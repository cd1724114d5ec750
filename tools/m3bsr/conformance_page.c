/* conformance_page: the statement of conformance as one page without anything from elsewhere and without a program: it
 * is read as it is, in a light or a dark window, wide or narrow. It carries its statement as JSON, for `m3bsr
 * conformance verify`. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/m3bsr/conformance_page.h"

enum { MAX_FAILURES = 200, MAX_OF_ONE = 4, MAX_SLOW = 10 };

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta name=\"color-scheme\" content=\"light dark\">\n<title>M3BSR conformance</title>\n"
    "<style>\n"
    ":root{--Page:#fff;--Text:#1a1a1a;--Soft:#5a5a5a;--Line:#ddd;--Good:#2e8540;--Odd:#a85f14;--Bad:#b0282e}\n"
    "@media(prefers-color-scheme:dark){:root{--Page:#15181c;--Text:#e8e8e8;--Soft:#a6adb5;--Line:#3a4047;"
    "--Good:#62c378;--Odd:#f0a95c;--Bad:#ff7f85}}\n"
    "body{font:15px/1.5 sans-serif;max-width:72em;margin:2em auto;padding:0 1em;background:var(--Page);"
    "color:var(--Text)}\n"
    "p,ul{max-width:46em}h2{margin:2em 0 .5em}h3{margin:1.5em 0 .5em}table{border-collapse:collapse}\n"
    "td,th{border-bottom:1px solid var(--Line);padding:.15em .8em .15em 0;text-align:left;vertical-align:top;"
    "overflow-wrap:anywhere}\n"
    "th{font-weight:600}td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}\n"
    ".soft{color:var(--Soft)}.good{color:var(--Good)}.odd{color:var(--Odd)}.bad{color:var(--Bad)}\n"
    ".verdict{border-left:.4em solid;padding:.5em 1em;font-size:1.15em}.verdict span{color:var(--Text)}\n"
    ".scroll th{overflow-wrap:normal;white-space:nowrap}\n"
    "code{font:13px/1.4 monospace;overflow-wrap:anywhere}.again{display:block;color:var(--Soft)}\n"
    ".scroll{overflow:auto;max-height:85vh}.scroll:focus{outline:2px solid var(--Soft)}\n"
    ".map{font-size:13px;font-variant-numeric:tabular-nums;border-collapse:separate;border-spacing:0}\n"
    ".map td,.map th{padding:.1em .45em;white-space:nowrap;overflow-wrap:normal;text-align:right}\n"
    ".map td{border-left:1px solid var(--Page);min-width:2.6em;color:var(--Soft)}\n"
    ".map th:first-child,.map "
    "td:first-child{position:sticky;left:0;background:var(--Page);text-align:left;padding-left:0}\n"
    ".map tr:first-child>*{position:sticky;top:0;background:var(--Page)}\n"
    ".map tr:first-child>td{z-index:1}\n"
    ".map th span{color:var(--Soft);font-weight:400}\n"
    ".map .h1,.map .h2,.map .h3,.map .h4,.map .h5,.map .hl{color:var(--Text)}.map .hf{color:#fff}\n"
    ".h1{background:rgb(11 98 164/10%)}.h2{background:rgb(11 98 164/25%)}.h3{background:rgb(11 98 164/45%)}\n"
    ".h4{background:rgb(217 130 43/45%)}.h5{background:rgb(217 130 43/75%)}\n"
    ".hf{background:#b0282e;color:#fff;font-weight:600}\n"
    ".hl{background:repeating-linear-gradient(135deg,var(--Line) 0 3px,transparent 3px 7px)}\n"
    ".legend span{display:inline-block;padding:0 .6em;margin:0 .3em .3em 0}\n"
    "@media(max-width:40em){body{margin:1em auto;padding:0 .7em}h1{font-size:1.5em}td,th{padding-right:.5em}"
    ".map th:first-child{white-space:normal;overflow-wrap:anywhere;max-width:9em}}\n"
    "@media print{.scroll{overflow:visible;max-height:none}}\n"
    "</style></head>\n<body><main>\n<h1>M3BSR conformance</h1>\n";

/* Parts that others use. */

const char *page_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

void page_share(FILE *to, const json_t *share)
{
    const double value = json_number_value(share);
    if (!json_is_number(share))
        (void)fputs("–", to);
    else if (value <= 0.0)
        (void)fputs("0", to);
    else if (value < 0.01)
        (void)fputs("&lt;.01", to);
    else if (value < 0.995)
        (void)fprintf(to, ".%02.0f", value * 100.0);
    else
        (void)fprintf(to, value < 1e4 ? "%.3g" : "%.0e", value);
}

void page_ms(FILE *to, double ms)
{
    if (ms < 1000.0)
        (void)fprintf(to, "%.3g ms", ms);
    else
        (void)fprintf(to, ms < 60e3 ? "%.1f s" : "%.0f s", ms / 1e3);
}

/* The statement. */

static void put_verdict(const json_t *statement, FILE *to)
{
    static const struct {
        const char *verdict, *look, *sign, *says;
    } all[] = {
        {"conformant", "good", "✓ Conformant", "Every case of every layer passed."},
        {"partial", "odd", "◐ Partial", "Nothing failed, but not everything was run."},
        {"lacking", "odd", "◐ Lacking", "Nothing failed, but the device refused some of it."},
        {"not conformant", "bad", "✗ Not conformant", "What failed is listed below."},
    };
    const json_t *because = json_object_get(statement, "because"), *reason,
                 *device = json_object_get(statement, "device"), *list = json_object_get(statement, "list");
    size_t i, v = 0;
    while (v < 3 && strcmp(all[v].verdict, page_text(statement, "verdict")) != 0) v++;
    (void)fprintf(to, "<p class=\"verdict %s\"><strong>%s</strong><span>: ", all[v].look, all[v].sign);
    report_escape(to, page_text(device, "name"));
    (void)fputs(" (", to);
    report_escape(to, page_text(device, "device"));
    (void)fputs(", ", to);
    report_escape(to, page_text(device, "driver"));
    (void)fputs("), with the ", to);
    report_escape(to, page_text(list, "kind"));
    (void)fprintf(to, " list of cases. %s</span></p>\n", all[v].says);
    if (json_array_size(because) > 0) (void)fputs("<ul>\n", to);
    json_array_foreach(because, i, reason)
    {
        (void)fputs("<li>", to);
        report_escape(to, json_string_value(reason) != NULL ? json_string_value(reason) : "");
        (void)fputs("</li>\n", to);
    }
    if (json_array_size(because) > 0) (void)fputs("</ul>\n", to);
}

static void put_fact(FILE *to, const char *name, const char *text)
{
    (void)fprintf(to, "<tr><th scope=\"row\">%s</th><td>", name);
    report_escape(to, text[0] != '\0' ? text : "–");
    (void)fputs("</td></tr>\n", to);
}

static void put_number(FILE *to, const char *name, const json_t *number)
{
    (void)fprintf(to, "<tr><th scope=\"row\">%s</th><td>%lld</td></tr>\n", name, (long long)json_integer_value(number));
}

static void put_facts(const json_t *statement, FILE *to)
{
    const json_t *device = json_object_get(statement, "device"), *list = json_object_get(statement, "list"),
                 *options = json_object_get(statement, "options"), *option;
    size_t i;
    (void)fputs("<h2>Statement</h2>\n<table>\n", to);
    put_fact(to, "Device", page_text(device, "device"));
    put_fact(to, "Driver", page_text(device, "driver"));
    put_fact(to, "Features", page_text(device, "features"));
    put_fact(to, "Backend", page_text(device, "backend"));
    put_fact(to, "Backend version", page_text(device, "version"));
    (void)fputs("<tr><th scope=\"row\">Options</th><td>", to);
    json_array_foreach(options, i, option)
    {
        (void)fputs(i > 0 ? ", " : "", to);
        report_escape(to, json_string_value(option) != NULL ? json_string_value(option) : "");
    }
    (void)fputs(i == 0 ? "none</td></tr>\n" : "</td></tr>\n", to);
    put_fact(to, "m3bsr", page_text(statement, "product"));
    put_fact(to, "Plugin interface", page_text(statement, "abi"));
    put_fact(to, "List of cases", page_text(list, "kind"));
    put_number(to, "List version", json_object_get(list, "version"));
    put_number(to, "Cases of the list", json_object_get(list, "cases"));
    put_fact(to, "Hash of the list", page_text(list, "hash"));
    put_number(to, "Seed", json_object_get(statement, "seed"));
    if (json_is_string(json_object_get(statement, "cases")))
        put_fact(to, "Only cases that match", page_text(statement, "cases"));
    put_fact(to, "Date", page_text(statement, "date"));
    put_fact(to, "Digest", page_text(statement, "digest"));
    (void)fputs("</table>\n", to);
}

static void put_layers(const json_t *statement, FILE *to)
{
    static const char *const counts[] = {"cases", "pass", "fail", "lack", "crash", "timeout"};
    const json_t *layers = json_object_get(statement, "layers"), *layer;
    size_t i;
    (void)fputs("<h2>Layers</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Layers\"><table>\n"
                "<tr><th scope=\"col\">layer</th>",
                to);
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++)
        (void)fprintf(to, "<th scope=\"col\" class=\"n\">%s</th>", counts[c]);
    (void)fputs("<th scope=\"col\" class=\"n\">error / bound</th><th scope=\"col\" class=\"n\">time</th></tr>\n", to);
    json_array_foreach(layers, i, layer)
    {
        (void)fputs("<tr><th scope=\"row\">", to);
        report_escape(to, page_text(layer, "name"));
        (void)fputs("</th>", to);
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            const json_int_t count = json_integer_value(json_object_get(layer, counts[c]));
            const char *look = c < 2 || count == 0 ? "" : c == 3 ? " odd" : " bad";
            (void)fprintf(to, "<td class=\"n%s\">%lld</td>", look, (long long)count);
        }
        (void)fputs("<td class=\"n\">", to);
        page_share(to, json_object_get(layer, "share"));
        (void)fputs("</td><td class=\"n\">", to);
        page_ms(to, json_number_value(json_object_get(layer, "ms")));
        (void)fputs("</td></tr>\n", to);
    }
    (void)fputs("</table></div>\n", to);
}

static void put_failure(FILE *to, const json_t *row)
{
    (void)fputs("<li><code>", to);
    report_escape(to, result_text(row, RESULT_CASE));
    (void)fprintf(to, "</code> <strong class=\"bad\">%s</strong> ", result_text(row, RESULT_VERDICT));
    report_escape(to, result_text(row, RESULT_TEXT));
    (void)fputs("<code class=\"again\">", to);
    report_escape(to, result_text(row, RESULT_AGAIN));
    (void)fputs("</code></li>\n", to);
}

/* Some of each op, so that none hides the others. */
static void put_failures(const json_t *statement, FILE *to)
{
    const char *name;
    json_t *rows, *row, *seen = json_object();
    size_t i, found = 0, shown = 0;
    json_object_foreach(json_object_get(statement, "results"), name, rows) json_array_foreach(rows, i, row)
    {
        const char *verdict = result_text(row, RESULT_VERDICT), *about = result_text(row, RESULT_ABOUT);
        if (strcmp(verdict, "pass") == 0 || strcmp(verdict, "lack") == 0) continue;
        if (found++ == 0) (void)fputs("<h2>What failed</h2>\n<ul>\n", to);
        const json_int_t before = json_integer_value(json_object_get(seen, about));
        (void)json_object_set_new(seen, about, json_integer(before + 1));
        if (before >= MAX_OF_ONE || shown == MAX_FAILURES) continue;
        shown++;
        put_failure(to, row);
    }
    if (found > shown)
        (void)fprintf(to, "<li>… and %zu more, in the statement at the end of this page</li>\n", found - shown);
    if (found > 0) (void)fputs("</ul>\n", to);
    json_decref(seen);
}

static void put_lacks(const json_t *statement, FILE *to)
{
    const json_t *lacks = json_object_get(statement, "lacks"), *lack;
    size_t i;
    (void)fputs("<h2>What lacks</h2>\n", to);
    if (json_array_size(lacks) == 0) {
        (void)fputs("<p>Nothing: the device refused no case that was run.</p>\n", to);
        return;
    }
    (void)fputs("<p>The device refused these. A case that lacks never counts as passed.</p>\n<table>\n<tr>"
                "<th scope=\"col\">layer</th><th scope=\"col\">what</th><th scope=\"col\" class=\"n\">cases</th>"
                "<th scope=\"col\">why, of the first</th></tr>\n",
                to);
    json_array_foreach(lacks, i, lack)
    {
        (void)fputs("<tr><td>", to);
        report_escape(to, page_text(lack, "layer"));
        (void)fputs("</td><td>", to);
        report_escape(to, page_text(lack, "about"));
        (void)fputs(" <span class=\"soft\">", to);
        report_escape(to, page_text(lack, "type"));
        (void)fprintf(to, "</span></td><td class=\"n\">%lld</td><td>",
                      (long long)json_integer_value(json_object_get(lack, "cases")));
        report_escape(to, page_text(lack, "why"));
        (void)fputs("</td></tr>\n", to);
    }
    (void)fputs("</table>\n", to);
}

/* Times. */

static void put_slow(const json_t *statement, FILE *to)
{
    const json_t *slow[MAX_SLOW] = {NULL};
    const char *name;
    json_t *rows, *row;
    size_t i;
    json_object_foreach(json_object_get(statement, "results"), name, rows) json_array_foreach(rows, i, row)
    {
        const json_t *at = row;
        for (size_t s = 0; s < MAX_SLOW && at != NULL; s++) {
            const double ms = json_real_value(json_array_get(at, RESULT_MS));
            if (slow[s] != NULL && json_real_value(json_array_get(slow[s], RESULT_MS)) >= ms) continue;
            const json_t *behind = slow[s];
            slow[s] = at;
            at = behind;
        }
    }
    if (slow[0] == NULL) return;
    (void)fputs("<h2>Slowest cases</h2>\n<p>With comparing and compiling; the first case of a process waits for the "
                "driver.</p>\n<table>\n",
                to);
    for (size_t s = 0; s < MAX_SLOW && slow[s] != NULL; s++) {
        (void)fputs("<tr><td class=\"n\">", to);
        page_ms(to, json_real_value(json_array_get(slow[s], RESULT_MS)));
        (void)fputs("</td><td><code>", to);
        report_escape(to, result_text(slow[s], RESULT_CASE));
        (void)fputs("</code></td></tr>\n", to);
    }
    (void)fputs("</table>\n", to);
}

/* The statement itself, in which nothing may look like the end of its element. */
static int put_bytes(const char *bytes, size_t size, void *user)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] == '<' ? fputs("\\u003c", user) < 0 : fputc(bytes[i], user) == EOF) return -1;
    return 0;
}

void report_page(const json_t *statement, FILE *to)
{
    (void)fputs(head, to);
    put_verdict(statement, to);
    put_layers(statement, to);
    put_failures(statement, to);
    put_lacks(statement, to);
    put_facts(statement, to);
    page_maps(statement, to);
    put_slow(statement, to);
    (void)fputs(
        "<h2>How to check this</h2>\n<p><code>m3bsr conformance verify FILE</code> reads the statement that this "
        "page carries, and says whether the page, its counts and its verdict follow from the results. The digest "
        "notices accidents and changes by hand; it is no signature. The stronger check is to run cases again, with the "
        "same seed: <code>m3bsr conformance verify FILE --rerun N</code> does so with N of them, and "
        "<code>m3bsr conformance --backend NAME --case-seed ",
        to);
    (void)fprintf(to, "%lld</code> with all.</p>\n</main>\n",
                  (long long)json_integer_value(json_object_get(statement, "seed")));
    (void)fputs("<script type=\"application/json\" id=\"statement\">", to);
    (void)json_dump_callback(statement, put_bytes, to, JSON_COMPACT | JSON_REAL_PRECISION(REPORT_DIGITS));
    (void)fputs("</script>\n</body></html>\n", to);
}
