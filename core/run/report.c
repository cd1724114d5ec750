/* report: what a person and a script look at after a training: metrics.json with the validation metrics of the best
 * epoch, and report.html, one page without anything from elsewhere: curves, metrics, settings. Both come from log.jsonl
 * and settings.yaml alone, so they can be made again at any time. */
#include "core/run/report.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/number.h"
#include "core/base/outfile.h"
#include "core/run/run.h"
#include "core/settings/settings.h"

typedef struct report {
    json_t *epochs; /* array of the log's "epoch" lines */
    json_t *start;  /* the log's first line, or NULL */
    m3_settings *settings;
} report;

static m3_status read_line(report *r, const char *path, const char *line, m3_error *err)
{
    json_error_t wrong;
    json_t *value = json_loads(line, 0, &wrong);
    const char *event = json_string_value(json_object_get(value, "event"));
    if (event == NULL) {
        json_decref(value);
        return M3_FAIL(err, M3_ERR_INVALID, path, "has a line that is no event: %.80s", line);
    }
    if (strcmp(event, "start") == 0 && r->start == NULL)
        r->start = json_incref(value);
    else if (strcmp(event, "epoch") == 0)
        (void)json_array_append(r->epochs, value); /* a curve may lack a point, should memory run out */
    json_decref(value);
    return M3_OK;
}

static m3_status read_log(report *r, const char *folder, m3_error *err)
{
    m3_status st = M3_OK;
    FILE *file = NULL;
    char *line = NULL;
    size_t capacity = 0;
    char *path = m3_run_path(folder, "log.jsonl");
    if (path == NULL || (r->epochs = json_array()) == NULL) {
        st = M3_FAIL_MEMORY(err, folder, strlen(folder) + 16);
        goto done;
    }
    if ((file = fopen(path, "rbe")) == NULL) {
        st = M3_FAIL(err, M3_ERR_IO, path, "cannot be opened: %s", strerror(errno));
        goto done;
    }
    while (st == M3_OK && getline(&line, &capacity, file) > 0) st = read_line(r, path, line, err);
done:
    if (file != NULL) (void)fclose(file);
    free(line); /* getline's */
    m3_free(path);
    return st;
}

static const json_t *best_epoch(const report *r)
{
    const json_t *best = NULL;
    for (size_t i = 0; i < json_array_size(r->epochs); i++) {
        const json_t *epoch = json_array_get(r->epochs, i);
        if (json_is_true(json_object_get(epoch, "best"))) best = epoch;
    }
    return best;
}

static m3_status write_metrics(const report *r, const char *folder, m3_error *err)
{
    m3_outfile out;
    const json_t *best = best_epoch(r);
    char *path = m3_run_path(folder, "metrics.json");
    if (path == NULL) return M3_FAIL_MEMORY(err, folder, strlen(folder) + 16);
    m3_status st = m3_outfile_open(&out, path, err);
    m3_free(path);
    if (st != M3_OK) return st;
    json_t *valid = json_object_get(best, "valid");
    json_t *all =
        json_pack("{s:i, s:i, s:s, s:o}", "epochs", (int)json_array_size(r->epochs), "best_epoch",
                  (int)json_integer_value(json_object_get(best, "epoch")), "metric",
                  m3_settings_get(r->settings, "metric"), "valid", valid != NULL ? json_incref(valid) : json_null());
    if (all == NULL) {
        m3_outfile_discard(&out);
        return M3_FAIL_MEMORY(err, "metrics.json", 0);
    }
    (void)json_dumpf(all, out.stream, JSON_INDENT(2) | JSON_REAL_PRECISION(9)); /* commit reports errors */
    (void)fputc('\n', out.stream);
    json_decref(all);
    return m3_outfile_commit(&out, err);
}

/* HTML. */

static void escape(FILE *to, const char *text)
{
    for (; *text != 0; text++) {
        switch (*text) {
        case '&': (void)fputs("&amp;", to); break;
        case '<': (void)fputs("&lt;", to); break;
        case '>': (void)fputs("&gt;", to); break;
        case '"': (void)fputs("&quot;", to); break;
        default: (void)fputc(*text, to);
        }
    }
}

enum { WIDE = 640, HIGH = 240, LEFT = 64, BOTTOM = 32, TOP = 12, RIGHT = 12 };

typedef struct curve {
    const char *key, *group, *color; /* group: the object in the line that has the key, or NULL */
} curve;

/* false where the epoch has no such number. */
static bool point(const report *r, const curve *c, size_t i, double *value)
{
    const json_t *epoch = json_array_get(r->epochs, i);
    const json_t *at = json_object_get(c->group != NULL ? json_object_get(epoch, c->group) : epoch, c->key);
    *value = json_number_value(at);
    return json_is_number(at);
}

static bool range(const report *r, const curve *curves, size_t count, double *low, double *high)
{
    double value;
    *low = INFINITY;
    *high = -INFINITY;
    for (size_t c = 0; c < count; c++)
        for (size_t i = 0; i < json_array_size(r->epochs); i++) {
            if (!point(r, &curves[c], i, &value)) continue;
            *low = fmin(*low, value);
            *high = fmax(*high, value);
        }
    if (*low > *high) return false;
    if (*high - *low < 1e-12) *high = *low + 1.0; /* a flat curve still has a scale */
    return true;
}

static void draw_axes(FILE *to, double low, double high, size_t epochs)
{
    (void)fprintf(to, "<path d=\"M%d %dV%dH%d\" fill=\"none\" stroke=\"#888\"/>\n", LEFT, TOP, HIGH - BOTTOM,
                  WIDE - RIGHT);
    for (int i = 0; i <= 2; i++) {
        double fraction = i / 2.0, y = HIGH - BOTTOM - fraction * (HIGH - BOTTOM - TOP);
        (void)fprintf(to, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n", LEFT - 6, y + 4.0,
                      low + fraction * (high - low));
    }
    (void)fprintf(to, "<text x=\"%d\" y=\"%d\">1</text><text x=\"%d\" y=\"%d\" text-anchor=\"end\">epoch %zu</text>\n",
                  LEFT, HIGH - 10, WIDE - RIGHT, HIGH - 10, epochs);
}

static void draw(const report *r, FILE *to, const char *title, const curve *curves, size_t count)
{
    double low, high, value;
    size_t epochs = json_array_size(r->epochs);
    if (!range(r, curves, count, &low, &high)) return;
    (void)fprintf(to, "<h2>%s</h2>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n", title, WIDE, HIGH,
                  title);
    draw_axes(to, low, high, epochs);
    for (size_t c = 0; c < count; c++) {
        (void)fprintf(to, "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"%s\" points=\"", curves[c].color);
        for (size_t i = 0; i < epochs; i++) {
            if (!point(r, &curves[c], i, &value)) continue;
            double x = epochs > 1 ? (double)i / (double)(epochs - 1) : 0.5;
            (void)fprintf(to, "%.1f,%.1f ", LEFT + x * (WIDE - LEFT - RIGHT),
                          HIGH - BOTTOM - (value - low) / (high - low) * (HIGH - BOTTOM - TOP));
        }
        (void)fprintf(to, "\"/>\n<text x=\"%zu\" y=\"%d\" fill=\"%s\">%s</text>\n", (size_t)LEFT + 12 + c * 120,
                      TOP + 8, curves[c].color, curves[c].key);
    }
    (void)fputs("</svg>\n", to);
}

static void put_metrics(const report *r, FILE *to)
{
    const char *key;
    json_t *value;
    const json_t *best = best_epoch(r);
    if (best == NULL) {
        (void)fputs("<p>Nothing was validated.</p>\n", to);
        return;
    }
    (void)fprintf(to, "<h2>Validation, epoch %d</h2>\n<table>\n",
                  (int)json_integer_value(json_object_get(best, "epoch")));
    json_object_foreach(json_object_get(best, "valid"), key, value)
    {
        (void)fputs("<tr><td>", to);
        escape(to, key);
        (void)fprintf(to, "</td><td>%.5f</td></tr>\n", json_number_value(value));
    }
    (void)fputs("</table>\n", to);
}

static void put_object(FILE *to, const char *title, json_t *object)
{
    const char *key;
    json_t *value;
    if (object == NULL) return;
    (void)fprintf(to, "<h2>%s</h2>\n<table>\n", title);
    json_object_foreach(object, key, value)
    {
        (void)fputs("<tr><td>", to);
        escape(to, key);
        (void)fputs("</td><td>", to);
        if (json_is_string(value))
            escape(to, json_string_value(value));
        else
            (void)fprintf(to, "%.10g", json_number_value(value));
        (void)fputs("</td></tr>\n", to);
    }
    (void)fputs("</table>\n", to);
}

static void put_settings(const m3_settings *settings, FILE *to)
{
    (void)fputs("<h2>Settings</h2>\n<table>\n", to);
    for (uint32_t i = 0; i < settings->count; i++) {
        (void)fputs("<tr><td>", to);
        escape(to, settings->all[i].name);
        (void)fputs("</td><td>", to);
        escape(to, settings->all[i].text);
        (void)fputs("</td></tr>\n", to);
    }
    (void)fputs("</table>\n", to);
}

static void put_page(const report *r, FILE *to)
{
    static const curve losses[] = {{"loss", NULL, "#0b62a4"}, {"loss_recommend", NULL, "#d9822b"}};
    static const curve others[] = {
        {"loss_modality", NULL, "#0b62a4"}, {"loss_behavior", NULL, "#d9822b"}, {"loss_contrast", NULL, "#2e8540"}};
    static const curve metrics[] = {
        {"ndcg@10", "valid", "#0b62a4"}, {"hr@10", "valid", "#d9822b"}, {"mrr@10", "valid", "#2e8540"}};
    (void)fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>M3BSR training</title>\n"
                "<style>body{font:15px/1.5 sans-serif;max-width:46em;margin:2em auto;padding:0 1em}"
                "svg{width:100%;font:12px sans-serif}table{border-collapse:collapse}"
                "td{border-bottom:1px solid #ddd;padding:.15em .8em .15em 0;overflow-wrap:anywhere}</style></head>\n"
                "<body><h1>M3BSR training</h1>\n",
                to);
    draw(r, to, "Loss", losses, sizeof losses / sizeof losses[0]);
    draw(r, to, "Denoising and contrast losses", others, sizeof others / sizeof others[0]);
    draw(r, to, "Validation", metrics, sizeof metrics / sizeof metrics[0]);
    put_metrics(r, to);
    put_object(to, "Start", r->start);
    put_settings(r->settings, to);
    (void)fputs("</body></html>\n", to);
}

static m3_status write_page(const report *r, const char *folder, m3_error *err)
{
    m3_outfile out;
    char *path = m3_run_path(folder, "report.html");
    if (path == NULL) return M3_FAIL_MEMORY(err, folder, strlen(folder) + 16);
    m3_status st = m3_outfile_open(&out, path, err);
    m3_free(path);
    if (st != M3_OK) return st;
    locale_t before = m3_locale_enter();
    put_page(r, out.stream);
    m3_locale_leave(before);
    return m3_outfile_commit(&out, err);
}

m3_status m3_report_write(const char *folder, m3_error *err)
{
    m3_status st;
    report r = {0};
    char *path = m3_run_path(folder, "settings.yaml");
    if (path == NULL) return M3_FAIL_MEMORY(err, folder, strlen(folder) + 16);
    if ((st = m3_settings_load(path, &r.settings, err)) != M3_OK) goto done;
    if ((st = read_log(&r, folder, err)) != M3_OK) goto done;
    if ((st = write_metrics(&r, folder, err)) != M3_OK) goto done;
    st = write_page(&r, folder, err);
done:
    json_decref(r.epochs);
    json_decref(r.start);
    m3_settings_free(r.settings);
    m3_free(path);
    return st;
}
