/* report_page: the page of a run: curves over epochs as SVG, metrics, instruments, settings. */
#include "core/run/report_page.h"

#include <math.h>
#include <string.h>

void m3_page_text(FILE *to, const char *text)
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

json_t *m3_page_member(json_t *object, const char *path)
{
    char key[64];
    while (path != NULL && *path != 0) {
        const size_t length = strcspn(path, "/");
        (void)snprintf(key, sizeof key, "%.*s", (int)length, path);
        object = json_object_get(object, key);
        path += length + (path[length] == '/');
    }
    return object;
}

/* false where the epoch has no such number. */
static bool point(const m3_report *r, const m3_curve *c, size_t i, double *value)
{
    json_t *at = m3_page_member(json_array_get(r->epochs, i), c->group);
    if (c->name != NULL) at = json_object_get(at, c->name);
    at = json_object_get(at, c->key);
    *value = json_number_value(at);
    return json_is_number(at);
}

static bool range(const m3_report *r, const m3_curve *curves, size_t count, double *low, double *high)
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

static void draw_curve(const m3_report *r, FILE *to, const m3_curve *curve, double low, double high)
{
    double value;
    const size_t epochs = json_array_size(r->epochs);
    (void)fprintf(to, "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"%s\" points=\"", curve->color);
    for (size_t i = 0; i < epochs; i++) {
        if (!point(r, curve, i, &value)) continue;
        const double x = epochs > 1 ? (double)i / (double)(epochs - 1) : 0.5;
        (void)fprintf(to, "%.1f,%.1f ", LEFT + x * (WIDE - LEFT - RIGHT),
                      HIGH - BOTTOM - (value - low) / (high - low) * (HIGH - BOTTOM - TOP));
    }
    (void)fputs("\"/>\n", to);
}

void m3_page_draw(const m3_report *r, FILE *to, const char *title, const m3_curve *curves, size_t count)
{
    double low, high;
    if (!range(r, curves, count, &low, &high)) return;
    (void)fprintf(to, "<h2>%s</h2>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n", title, WIDE, HIGH,
                  title);
    draw_axes(to, low, high, json_array_size(r->epochs));
    for (size_t c = 0; c < count; c++) draw_curve(r, to, &curves[c], low, high);
    (void)fputs("</svg>\n<p class=\"legend\">", to);
    for (size_t c = 0; c < count; c++) {
        (void)fprintf(to, "<span style=\"color:%s\">", curves[c].color);
        m3_page_text(to, curves[c].name != NULL ? curves[c].name : curves[c].key);
        (void)fputs("</span> ", to);
    }
    (void)fputs("</p>\n", to);
}

static void put_metrics(const m3_report *r, FILE *to)
{
    const char *key;
    json_t *value;
    const json_t *best = m3_report_best(r);
    if (best == NULL) {
        (void)fputs("<p>Nothing was validated.</p>\n", to);
        return;
    }
    (void)fprintf(to, "<h2>Validation, epoch %d</h2>\n<table>\n",
                  (int)json_integer_value(json_object_get(best, "epoch")));
    json_object_foreach(json_object_get(best, "valid"), key, value)
    {
        (void)fputs("<tr><td>", to);
        m3_page_text(to, key);
        (void)fprintf(to, "</td><td>%.5f</td></tr>\n", json_number_value(value));
    }
    (void)fputs("</table>\n", to);
}

/* A row of a value; of an object, a row of each of its values, named after both. */
static void put_rows(FILE *to, const char *name, json_t *value)
{
    const char *key;
    json_t *inner;
    char both[256];
    json_object_foreach(value, key, inner)
    {
        (void)snprintf(both, sizeof both, "%s%s%s", name, name[0] != 0 ? " " : "", key);
        put_rows(to, both, inner);
    }
    if (json_is_object(value)) return;
    (void)fputs("<tr><td>", to);
    m3_page_text(to, name);
    (void)fputs("</td><td>", to);
    if (json_is_string(value))
        m3_page_text(to, json_string_value(value));
    else if (json_is_boolean(value))
        (void)fputs(json_is_true(value) ? "yes" : "no", to);
    else
        (void)fprintf(to, "%.10g", json_number_value(value));
    (void)fputs("</td></tr>\n", to);
}

static void put_object(FILE *to, const char *title, json_t *object)
{
    if (object == NULL) return;
    (void)fprintf(to, "<h2>%s</h2>\n<table>\n", title);
    put_rows(to, "", object);
    (void)fputs("</table>\n", to);
}

static void put_settings(const m3_settings *settings, FILE *to)
{
    (void)fputs("<h2>Settings</h2>\n<table>\n", to);
    for (uint32_t i = 0; i < settings->count; i++) {
        (void)fputs("<tr><td>", to);
        m3_page_text(to, settings->all[i].name);
        (void)fputs("</td><td>", to);
        m3_page_text(to, settings->all[i].text);
        (void)fputs("</td></tr>\n", to);
    }
    (void)fputs("</table>\n", to);
}

void m3_report_page(const m3_report *r, FILE *to)
{
    static const m3_curve losses[] = {{.key = "loss", .color = "#0b62a4"},
                                      {.key = "loss_recommend", .color = "#d9822b"}};
    static const m3_curve others[] = {{.key = "loss_modality", .color = "#0b62a4"},
                                      {.key = "loss_behavior", .color = "#d9822b"},
                                      {.key = "loss_contrast", .color = "#2e8540"}};
    static const m3_curve metrics[] = {{.group = "valid", .key = "ndcg@10", .color = "#0b62a4"},
                                       {.group = "valid", .key = "hr@10", .color = "#d9822b"},
                                       {.group = "valid", .key = "mrr@10", .color = "#2e8540"}};
    (void)fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>M3BSR training</title>\n"
                "<style>body{font:15px/1.5 sans-serif;max-width:46em;margin:2em auto;padding:0 1em}"
                "svg{width:100%;font:12px sans-serif}table{border-collapse:collapse}"
                ".legend span{margin-right:1em}"
                "th{text-align:left;padding-right:.8em}.dead{color:#b0282e}"
                "td{border-bottom:1px solid #ddd;padding:.15em .8em .15em 0;overflow-wrap:anywhere}</style></head>\n"
                "<body><h1>M3BSR training</h1>\n",
                to);
    m3_page_draw(r, to, "Loss", losses, sizeof losses / sizeof losses[0]);
    m3_page_draw(r, to, "Denoising and contrast losses", others, sizeof others / sizeof others[0]);
    m3_page_draw(r, to, "Validation", metrics, sizeof metrics / sizeof metrics[0]);
    put_metrics(r, to);
    m3_report_instruments(r, to);
    put_object(to, "Start", r->start);
    put_settings(r->settings, to);
    (void)fputs("</body></html>\n", to);
}
