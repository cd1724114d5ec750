/* report_instruments: what tells a dead part of the model: what the router gives to each expert and how many directions
 * each encoder uses, by epoch; and of the last epoch, all of it, and the parts that are dead. */
#include "core/base/alloc.h"
#include "core/run/report_page.h"

static const char *const colors[] = {"#0b62a4", "#d9822b", "#2e8540", "#b0282e", "#6b4c9a",
                                     "#7a5230", "#c2478f", "#5f6368", "#8a8a00", "#008080"};
enum { COLORS = sizeof colors / sizeof colors[0] };

static json_t *last_of(const m3_report *r)
{
    const size_t epochs = json_array_size(r->epochs);
    return epochs != 0 ? json_object_get(json_array_get(r->epochs, epochs - 1), "instruments") : NULL;
}

/* A curve for each member of a group: the member itself, or its number `key`. */
static void draw_members(const m3_report *r, FILE *to, const char *title, const char *group, const char *key)
{
    const char *name;
    json_t *value;
    size_t count = 0;
    json_t *members = m3_page_member(last_of(r), group);
    char path[64];
    m3_curve *curves = m3_calloc(json_object_size(members), sizeof *curves);
    if (curves == NULL) return; /* a page without these curves, should memory run out */
    (void)snprintf(path, sizeof path, "instruments/%s", group);
    json_object_foreach(members, name, value)
    {
        curves[count] = (m3_curve){path, key != NULL ? name : NULL, key != NULL ? key : name, colors[count % COLORS]};
        count++;
    }
    m3_page_draw(r, to, title, curves, count);
    m3_free(curves);
}

static void put_cell(FILE *to, const json_t *value)
{
    (void)fputs("<td>", to);
    if (json_is_number(value)) (void)fprintf(to, "%.4g", json_number_value(value));
    (void)fputs("</td>", to);
}

/* A row for each member, a column for each of its numbers; a member that is null is not used. */
static void put_table(FILE *to, const char *title, json_t *members, const char *const *columns)
{
    const char *name;
    json_t *value;
    if (json_object_size(members) == 0) return;
    (void)fprintf(to, "<h3>%s</h3>\n<table>\n<tr><th></th>", title);
    for (size_t i = 0; columns[i] != NULL; i++) (void)fprintf(to, "<th>%s</th>", columns[i]);
    (void)fputs("</tr>\n", to);
    json_object_foreach(members, name, value)
    {
        (void)fputs("<tr><td>", to);
        m3_page_text(to, name);
        (void)fputs(json_is_null(value) ? " (not used)</td>" : "</td>", to);
        for (size_t i = 0; columns[i] != NULL; i++) put_cell(to, json_object_get(value, columns[i]));
        (void)fputs("</tr>\n", to);
    }
    (void)fputs("</table>\n", to);
}

/* The first of the last epochs that all have the part among the dead, from 1. */
static size_t dead_since(const m3_report *r, const char *part)
{
    size_t epoch = json_array_size(r->epochs);
    while (epoch > 1) {
        const json_t *dead = m3_page_member(json_array_get(r->epochs, epoch - 2), "instruments/dead");
        if (json_object_get(dead, part) == NULL) break;
        epoch--;
    }
    return epoch;
}

static void put_dead(const m3_report *r, FILE *to, json_t *dead)
{
    const char *part;
    json_t *reason;
    if (json_object_size(dead) == 0) {
        (void)fputs("<p>No part is dead.</p>\n", to);
        return;
    }
    (void)fputs("<ul>\n", to);
    json_object_foreach(dead, part, reason)
    {
        (void)fputs("<li class=\"dead\"><strong>", to);
        m3_page_text(to, part);
        (void)fprintf(to, "</strong> is dead since epoch %zu: ", dead_since(r, part));
        m3_page_text(to, json_is_string(reason) ? json_string_value(reason) : "");
        (void)fputs("</li>\n", to);
    }
    (void)fputs("</ul>\n", to);
}

static void put_summary(FILE *to, const json_t *last)
{
    static const struct {
        const char *text, *group, *key;
    } rows[] = {
        {"entropy of a sample's weights, of at most 1", "router", "entropy"},
        {"entropy of the mean weights, of at most 1", "router", "mean_entropy"},
        {"contrast loss", "contrast", "loss"},
        {"contrast loss of an untrained network", "contrast", "untrained"},
    };
    (void)fputs("<table>\n", to);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const json_t *value = json_object_get(json_object_get(last, rows[i].group), rows[i].key);
        if (!json_is_number(value)) continue;
        (void)fprintf(to, "<tr><td>%s</td>", rows[i].text);
        put_cell(to, value);
        (void)fputs("</tr>\n", to);
    }
    (void)fputs("</table>\n", to);
}

void m3_report_instruments(const m3_report *r, FILE *to)
{
    static const char *const of_outputs[] = {"scale", "spread", "rank", NULL};
    static const char *const of_denoisers[] = {"change", "loss", "nothing", NULL};
    static const char *const of_gradients[] = {"rms", "zero", NULL};
    const json_t *last = last_of(r);
    if (!json_is_object(last)) return;
    (void)fputs("<h2>Parts of the model</h2>\n", to);
    put_dead(r, to, json_object_get(last, "dead"));
    put_summary(to, last);
    draw_members(r, to, "Router: mean weight by expert", "router/weights", NULL);
    draw_members(r, to, "Encoders: effective rank of the output", "encoders", "rank");
    put_table(to, "Encoders: output", json_object_get(last, "encoders"), of_outputs);
    put_table(to, "Interests: output of the experts", json_object_get(last, "interests"), of_outputs);
    put_table(to, "Denoisers: change in what they are given, relative to it; loss, and that of predicting nothing",
              json_object_get(last, "denoisers"), of_denoisers);
    put_table(to, "Gradients: size, and share of parameters without one", json_object_get(last, "gradients"),
              of_gradients);
}
