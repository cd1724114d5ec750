/* report: what a person and a script look at after a training: metrics.json with the validation metrics of the best
 * epoch, and report.html, one page without anything from elsewhere: curves, metrics, settings. Both come from log.jsonl
 * and settings.yaml alone, so they can be made again at any time. */
#include "core/run/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/json.h"
#include "core/base/number.h"
#include "core/base/outfile.h"
#include "core/run/report_page.h"
#include "core/run/run.h"

static m3_status read_line(m3_report *r, const char *path, const char *line, m3_error *err)
{
    json_error_t wrong;
    json_t *value = NULL;
    m3_status st = m3_json_parse(line, strlen(line), path, &value, &wrong, err);
    if (st != M3_OK) return st;
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

static m3_status read_log(m3_report *r, const char *folder, m3_error *err)
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
    if (st == M3_OK && !feof(file))
        st = M3_FAIL(err, m3_path_status(errno), path, "cannot be read: %s", strerror(errno));
done:
    if (file != NULL) (void)fclose(file);
    free(line); /* getline's */
    m3_free(path);
    return st;
}

const json_t *m3_report_best(const m3_report *r)
{
    const json_t *best = NULL;
    for (size_t i = 0; i < json_array_size(r->epochs); i++) {
        const json_t *epoch = json_array_get(r->epochs, i);
        if (json_is_true(json_object_get(epoch, "best"))) best = epoch;
    }
    return best;
}

static m3_status write_metrics(const m3_report *r, const char *folder, m3_error *err)
{
    m3_outfile out;
    const json_t *best = m3_report_best(r);
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

static m3_status write_page(const m3_report *r, const char *folder, m3_error *err)
{
    m3_outfile out;
    char *path = m3_run_path(folder, "report.html");
    if (path == NULL) return M3_FAIL_MEMORY(err, folder, strlen(folder) + 16);
    m3_status st = m3_outfile_open(&out, path, err);
    m3_free(path);
    if (st != M3_OK) return st;
    locale_t before = m3_locale_enter();
    m3_report_page(r, out.stream);
    m3_locale_leave(before);
    return m3_outfile_commit(&out, err);
}

m3_status m3_report_write(const char *folder, m3_error *err)
{
    m3_status st;
    m3_report r = {0};
    char *path = m3_run_path(folder, "settings.yaml");
    if (path == NULL) return M3_FAIL_MEMORY(err, folder, strlen(folder) + 16);
    if ((st = m3_settings_load_saved(path, &r.settings, err)) != M3_OK) goto done;
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
