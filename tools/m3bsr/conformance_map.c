/* conformance_map: the results of a layer as a map: rows are what the cases are about and their type, columns are the
 * rules that ask for them, and a cell has the largest error as a share of its bound, as a number and as a colour. */
#include <math.h>
#include <string.h>

#include "tools/m3bsr/conformance_page.h"

enum { FEW = 100 /* cases that are shown one by one */ };

/* A cell: [cases, failed, lacking, largest share or null, the case that has it]. */
enum { CELL_CASES, CELL_FAILED, CELL_LACKING, CELL_SHARE, CELL_WORST };

typedef struct map {
    json_t *rows;    /* about -> type -> rule -> cell, in the order of the results */
    json_t *columns; /* rule -> true */
} map;

static json_t *member(json_t *object, const char *key)
{
    json_t *found = json_object_get(object, key);
    if (found != NULL) return found;
    (void)json_object_set_new(object, key, json_object());
    return json_object_get(object, key);
}

static void count_up(json_t *cell, size_t at)
{
    json_t *number = json_array_get(cell, at);
    (void)json_integer_set(number, json_integer_value(number) + 1);
}

static void add_to_cell(json_t *by_rule, const char *rule, const json_t *row)
{
    const char *verdict = result_text(row, RESULT_VERDICT), *name = result_text(row, RESULT_CASE);
    json_t *cell = json_object_get(by_rule, rule);
    if (cell == NULL) {
        (void)json_object_set_new(by_rule, rule, json_pack("[i, i, i, n, s]", 0, 0, 0, name));
        cell = json_object_get(by_rule, rule);
    }
    const bool passed = strcmp(verdict, "pass") == 0, lacks = strcmp(verdict, "lack") == 0;
    count_up(cell, CELL_CASES);
    if (lacks) count_up(cell, CELL_LACKING);
    const bool first_failure = !passed && !lacks && json_integer_value(json_array_get(cell, CELL_FAILED)) == 0;
    if (!passed && !lacks) count_up(cell, CELL_FAILED);
    const json_t *share = json_array_get(row, RESULT_SHARE), *before = json_array_get(cell, CELL_SHARE);
    const bool worse =
        json_is_real(share) && (!json_is_real(before) || json_real_value(share) > json_real_value(before));
    if (worse) (void)json_array_set_new(cell, CELL_SHARE, json_real(json_real_value(share)));
    if (first_failure || (worse && json_integer_value(json_array_get(cell, CELL_FAILED)) == 0))
        (void)json_array_set_new(cell, CELL_WORST, json_string(name));
}

static void add_row(map *m, const json_t *row)
{
    const char *rules = result_text(row, RESULT_RULES);
    json_t *by_rule = member(member(m->rows, result_text(row, RESULT_ABOUT)), result_text(row, RESULT_TYPE));
    do {
        char rule[64];
        const size_t length = strcspn(rules, " ");
        (void)snprintf(rule, sizeof rule, "%.*s", (int)length, length > 0 ? rules : "–");
        if (length == 0) (void)snprintf(rule, sizeof rule, "–");
        (void)json_object_set_new(m->columns, rule, json_true());
        add_to_cell(by_rule, rule, row);
        rules += length + (rules[length] == ' ');
    } while (*rules != '\0');
}

/* Rules of the list come in their order, and others behind them. */
static json_t *order_columns(const json_t *columns)
{
    const char *rule;
    json_t *value, *ordered = json_object();
    for (uint32_t r = 0; r < m3_conformance_rule_count(); r++)
        if (json_object_get(columns, m3_conformance_rule_name(r)) != NULL)
            (void)json_object_set_new(ordered, m3_conformance_rule_name(r), json_true());
    json_object_foreach((json_t *)columns, rule, value)(void) json_object_set_new(ordered, rule, json_true());
    return ordered;
}

static const char *heat(double share)
{
    static const double upper[] = {0.0, 0.1, 0.25, 0.5, 0.75};
    static const char *const looks[] = {"", "h1", "h2", "h3", "h4", "h5"};
    size_t i = 0;
    while (i < sizeof upper / sizeof upper[0] && share > upper[i]) i++;
    return looks[i];
}

static void put_cell(FILE *to, const json_t *cell)
{
    if (cell == NULL) {
        (void)fputs("<td></td>", to);
        return;
    }
    const long long cases = json_integer_value(json_array_get(cell, CELL_CASES)),
                    failed = json_integer_value(json_array_get(cell, CELL_FAILED)),
                    lacking = json_integer_value(json_array_get(cell, CELL_LACKING));
    const json_t *share = json_array_get(cell, CELL_SHARE);
    const char *look = failed > 0 ? "hf" : lacking > 0 ? "hl" : heat(json_number_value(share));
    (void)fprintf(to, look[0] != '\0' ? "<td class=\"%s\" title=\"" : "<td title=\"", look);
    if (cases > 1) (void)fprintf(to, "%lld cases; %s: ", cases, failed > 0 ? "the first that failed" : "the worst");
    report_escape(to, result_text(cell, CELL_WORST));
    (void)fputs("\">", to);
    if (failed > 0)
        (void)fprintf(to, "✗ %lld of %lld", failed, cases);
    else if (lacking > 0)
        (void)fprintf(to, "lacks %lld", lacking);
    else if (json_is_real(share))
        page_share(to, share);
    else
        (void)fputs("ok", to);
    (void)fputs("</td>", to);
}

static void put_map(FILE *to, const map *m, const char *layer)
{
    const char *about, *type, *rule;
    json_t *types, *by_rule, *unused, *columns = order_columns(m->columns);
    (void)fputs("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Error over bound of layer ", to);
    report_escape(to, layer);
    (void)fputs("\"><table class=\"map\">\n<tr><td></td>", to);
    json_object_foreach(columns, rule, unused)
    {
        (void)fputs("<th scope=\"col\">", to);
        report_escape(to, rule);
        (void)fputs("</th>", to);
    }
    (void)fputs("</tr>\n", to);
    json_object_foreach(m->rows, about, types) json_object_foreach(types, type, by_rule)
    {
        (void)fputs("<tr><th scope=\"row\">", to);
        report_escape(to, about);
        (void)fputs(" <span>", to);
        report_escape(to, type);
        (void)fputs("</span></th>", to);
        json_object_foreach(columns, rule, unused) put_cell(to, json_object_get(by_rule, rule));
        (void)fputs("</tr>\n", to);
    }
    (void)fputs("</table></div>\n", to);
    json_decref(columns);
}

/* One by one. */
static void put_list(FILE *to, const json_t *rows)
{
    const json_t *row;
    size_t i;
    (void)fputs("<table>\n<tr><th scope=\"col\">case</th><th scope=\"col\">verdict</th>"
                "<th scope=\"col\" class=\"n\">error / bound</th><th scope=\"col\" class=\"n\">time</th></tr>\n",
                to);
    json_array_foreach(rows, i, row)
    {
        const char *verdict = result_text(row, RESULT_VERDICT);
        const char *look = strcmp(verdict, "pass") == 0 ? "good" : strcmp(verdict, "lack") == 0 ? "odd" : "bad";
        (void)fputs("<tr><td><code>", to);
        report_escape(to, result_text(row, RESULT_CASE));
        (void)fprintf(to, "</code></td><td class=\"%s\">%s</td><td class=\"n\">", look, verdict);
        page_share(to, json_array_get(row, RESULT_SHARE));
        (void)fputs("</td><td class=\"n\">", to);
        page_ms(to, json_real_value(json_array_get(row, RESULT_MS)));
        (void)fputs("</td></tr>\n", to);
    }
    (void)fputs("</table>\n", to);
}

void page_maps(const json_t *statement, FILE *to)
{
    const char *name;
    json_t *rows, *row;
    size_t i;
    (void)fputs(
        "<h2>Error over bound</h2>\n<p>A cell has the largest error of its cases as a share of what the "
        "arithmetic allows: 0 is exact, and above 1 is wrong. Rows are what the cases are about; columns are the "
        "rules that ask for them. A case may follow from several rules. An empty cell has no case.</p>\n"
        "<p class=\"legend\"><span>0</span><span class=\"h1\">to .10</span><span class=\"h2\">to .25</span>"
        "<span class=\"h3\">to .50</span><span class=\"h4\">to .75</span><span class=\"h5\">to 1</span>"
        "<span class=\"hf\">✗ failed</span><span class=\"hl\">lacks</span><span>ok: nothing to measure</span>"
        "</p>\n",
        to);
    json_object_foreach(json_object_get(statement, "results"), name, rows)
    {
        map m = {.rows = json_object(), .columns = json_object()};
        (void)fputs("<h3>Layer ", to);
        report_escape(to, name);
        (void)fputs("</h3>\n", to);
        json_array_foreach(rows, i, row) add_row(&m, row);
        if (json_array_size(rows) == 0)
            (void)fputs("<p class=\"bad\">No case was run.</p>\n", to);
        else if (json_array_size(rows) <= FEW)
            put_list(to, rows);
        else
            put_map(to, &m, name);
        json_decref(m.rows);
        json_decref(m.columns);
    }
}
