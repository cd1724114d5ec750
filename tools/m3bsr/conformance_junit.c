/* conformance_junit: the results as JUnit XML, which continuous integration reads: a testsuite for each layer, a
 * testcase for each case. A case that lacks is skipped, one that crashed or was too slow is an error. */
#include <string.h>

#include "tools/m3bsr/conformance_report.h"

void report_escape(FILE *to, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&': (void)fputs("&amp;", to); break;
        case '<': (void)fputs("&lt;", to); break;
        case '>': (void)fputs("&gt;", to); break;
        case '"': (void)fputs("&quot;", to); break;
        default: (void)fputc(*text, to);
        }
    }
}

static void put_attribute(FILE *to, const char *name, const char *text)
{
    (void)fprintf(to, " %s=\"", name);
    report_escape(to, text);
    (void)fputc('"', to);
}

static void put_case(FILE *to, const char *layer, const json_t *row)
{
    const char *verdict = result_text(row, RESULT_VERDICT);
    const bool lacks = strcmp(verdict, "lack") == 0;
    (void)fputs("    <testcase", to);
    put_attribute(to, "name", result_text(row, RESULT_CASE));
    (void)fprintf(to, " classname=\"conformance.%s.", layer);
    report_escape(to, result_text(row, RESULT_ABOUT));
    (void)fprintf(to, "\" time=\"%.6f\"", json_real_value(json_array_get(row, RESULT_MS)) / 1e3);
    if (strcmp(verdict, "pass") == 0) {
        (void)fputs("/>\n", to);
        return;
    }
    const char *element = lacks ? "skipped" : strcmp(verdict, "fail") == 0 ? "failure" : "error";
    (void)fprintf(to, ">\n      <%s", element);
    if (!lacks) put_attribute(to, "type", verdict);
    put_attribute(to, "message", result_text(row, RESULT_TEXT));
    (void)fputc('>', to);
    report_escape(to, result_text(row, RESULT_TEXT));
    (void)fputs("\nagain: ", to);
    report_escape(to, result_text(row, RESULT_AGAIN));
    (void)fprintf(to, "</%s>\n    </testcase>\n", element);
}

static void put_property(FILE *to, const char *name, const char *text)
{
    (void)fputs("      <property", to);
    put_attribute(to, "name", name);
    put_attribute(to, "value", text != NULL ? text : "");
    (void)fputs("/>\n", to);
}

static int count_of(const json_t *layer, const char *key)
{
    return (int)json_integer_value(json_object_get(layer, key));
}

/* No case is a failure too: readers would show an empty suite as one that is fine. */
static void put_suite(FILE *to, const json_t *statement, const json_t *layer)
{
    const char *name = json_string_value(json_object_get(layer, "name"));
    const json_t *rows = json_object_get(json_object_get(statement, "results"), name),
                 *device = json_object_get(statement, "device"), *row;
    const bool empty = json_array_size(rows) == 0;
    size_t i;
    (void)fprintf(to,
                  "  <testsuite name=\"conformance %s\" tests=\"%d\" failures=\"%d\" errors=\"%d\" skipped=\"%d\" "
                  "time=\"%.3f\" timestamp=\"%.19s\">\n    <properties>\n",
                  name, empty ? 1 : count_of(layer, "cases"), empty ? 1 : count_of(layer, "fail"),
                  count_of(layer, "crash") + count_of(layer, "timeout"), count_of(layer, "lack"),
                  json_real_value(json_object_get(layer, "ms")) / 1e3,
                  json_string_value(json_object_get(statement, "date")));
    put_property(to, "device", json_string_value(json_object_get(device, "name")));
    put_property(to, "driver", json_string_value(json_object_get(device, "driver")));
    put_property(to, "verdict of all layers", json_string_value(json_object_get(statement, "verdict")));
    put_property(to, "digest", json_string_value(json_object_get(statement, "digest")));
    (void)fputs("    </properties>\n", to);
    json_array_foreach(rows, i, row) put_case(to, name, row);
    if (empty)
        (void)fprintf(to,
                      "    <testcase name=\"no case was run\" classname=\"conformance.%s\" time=\"0\">\n"
                      "      <failure message=\"no case of this layer was run\"/>\n    </testcase>\n",
                      name);
    (void)fputs("  </testsuite>\n", to);
}

void report_junit(const json_t *statement, FILE *to)
{
    const json_t *layers = json_object_get(statement, "layers"), *layer;
    int tests = 0, failures = 0, errors = 0, skipped = 0;
    double ms = 0.0;
    size_t i;
    json_array_foreach(layers, i, layer)
    {
        const bool empty = count_of(layer, "cases") == 0;
        tests += empty ? 1 : count_of(layer, "cases");
        failures += empty ? 1 : count_of(layer, "fail");
        errors += count_of(layer, "crash") + count_of(layer, "timeout");
        skipped += count_of(layer, "lack");
        ms += json_real_value(json_object_get(layer, "ms"));
    }
    (void)fprintf(to,
                  "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"m3bsr conformance\" tests=\"%d\" "
                  "failures=\"%d\" errors=\"%d\" skipped=\"%d\" time=\"%.3f\">\n",
                  tests, failures, errors, skipped, ms / 1e3);
    json_array_foreach(layers, i, layer) put_suite(to, statement, layer);
    (void)fputs("</testsuites>\n", to);
}
