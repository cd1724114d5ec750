/* warm_start: which row of a run's item table belongs to which item of another set, and what the run was trained on. */
#include "core/serve/warm_start.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/model/model.h"
#include "core/run/parts.h"
#include "core/run/run.h"
#include "core/runtime/engine.h"

/* Opening. */

/* The ids of the run's items stand in its set alone. */
static m3_status check_own_set(const m3_warm_start *s, const char *data, m3_error *err)
{
    m3_parts *file = NULL;
    m3_status st = m3_parts_open(s->checkpoint, &file, err);
    if (st != M3_OK) return st;
    const char *items = m3_parts_meta(file, "items"), *sum = m3_parts_meta(file, "data");
    const bool same = (items != NULL && strtoull(items, NULL, 10) == m3_dataset_item_checksum(s->from)) ||
                      (sum != NULL && strtoull(sum, NULL, 10) == m3_dataset_checksum(s->from));
    m3_parts_close(file);
    if (same) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, s->run,
                   "was trained on a set that %s no longer is: its items are others now, and the rows of its table "
                   "cannot be told apart; keep the set of a run, and give the new one another name",
                   data);
}

static m3_status open_run(m3_warm_start *s, const char *run, const char *checkpoint, m3_error *err)
{
    m3_status st;
    char *path = m3_run_path(run, "settings.yaml");
    s->run = m3_strdup(run);
    if (path == NULL || s->run == NULL) {
        m3_free(path);
        return M3_FAIL_MEMORY(err, run, strlen(run) + 16);
    }
    st = m3_settings_load_saved(path, &s->settings, err);
    m3_free(path);
    if (st != M3_OK || (st = m3_run_checkpoint(run, checkpoint, &s->checkpoint, err)) != M3_OK) return st;
    const char *data = m3_settings_get(s->settings, "data");
    m3_error why = {0};
    if ((st = m3_dataset_open(data, &s->from, &why)) == M3_OK) return check_own_set(s, data, err);
    return M3_FAIL(err, st, s->run,
                   "finds its items by the ids that stand in the set which it was trained on, and %s %s", why.subject,
                   why.message);
}

static m3_status check_names(const m3_warm_start *s, m3_error *err)
{
    m3_sequence_names was;
    m3_status st = m3_settings_names(s->settings, s->from, &was, err);
    if (st != M3_OK) return st;
    const m3_sequence_names *now = &s->names;
    bool same = was.behavior_count == now->behavior_count && was.modality_count == now->modality_count;
    for (uint32_t b = 0; same && b < now->behavior_count; b++) same = strcmp(was.behaviors[b], now->behaviors[b]) == 0;
    for (uint32_t m = 0; same && m < now->modality_count; m++)
        same = strcmp(was.modalities[m], now->modalities[m]) == 0;
    if (same) return M3_OK;
    return M3_FAIL(
        err, M3_ERR_INVALID, s->run,
        "was trained on other behaviors or modalities than those of the set at hand, in their order; make the "
        "set with: m3bsr data append %s NEW --out SET",
        m3_settings_get(s->settings, "data"));
}

static m3_status match_items(m3_warm_start *s, m3_error *err)
{
    const uint32_t items = m3_dataset_item_count(s->set);
    if ((s->row_of = m3_calloc((size_t)items + 1, sizeof *s->row_of)) == NULL)
        return M3_FAIL_MEMORY(err, s->run, items * sizeof *s->row_of);
    for (uint32_t i = 1; i <= items; i++)
        s->unknown += !m3_dataset_find_item(s->from, m3_dataset_item_id(s->set, i), &s->row_of[i]);
    const m3_status st = m3_dataset_check(s->from, err); /* what was compared is what was checked */
    if (st != M3_OK) return st;
    if (s->unknown <= items / 2) return M3_OK; /* a set that grew, not another that has some ids in common */
    return M3_FAIL(err, M3_ERR_INVALID, s->run,
                   "was trained on other items than those of the set: it knows the ids of %" PRIu32 " of %" PRIu32
                   ", and at least half are wanted. Train on this set from the beginning",
                   items - s->unknown, items);
}

m3_status m3_warm_start_open(m3_warm_start *start, const char *run, const char *checkpoint, const m3_settings *settings,
                             const m3_dataset *set, const m3_split *split, m3_error *err)
{
    m3_status st;
    start->set = set;
    start->split = split;
    if ((st = m3_settings_names(settings, set, &start->names, err)) != M3_OK) return st;
    if ((st = open_run(start, run, checkpoint, err)) != M3_OK) return st;
    if ((st = check_names(start, err)) != M3_OK) return st;
    return match_items(start, err);
}

void m3_warm_start_fini(m3_warm_start *start)
{
    m3_dataset_close(start->from);
    m3_settings_free(start->settings);
    m3_free(start->row_of);
    m3_free(start->checkpoint);
    m3_free(start->run);
    *start = (m3_warm_start){0};
}

/* Parameters. */

typedef struct filling {
    const m3_warm_start *start;
    m3_engine *engine;
    m3_new_items new_items;
} filling;

static m3_status fill(void *user, const float *was, const m3_shape *had, float *rows, const m3_shape *shape,
                      m3_error *err)
{
    const filling *f = user;
    const m3_warm_start *s = f->start;
    const uint64_t width = shape->dim[1];
    m3_new_rows report = {0};
    if (had->dim[0] != (uint64_t)m3_dataset_item_count(s->from) + 1)
        return M3_FAIL(err, M3_ERR_INVALID, s->checkpoint, "has a table of %" PRIu64 " rows for %" PRIu32 " items",
                       had->dim[0], m3_dataset_item_count(s->from));
    for (uint64_t i = 1; i < shape->dim[0]; i++)
        if (s->row_of[i] != 0) memcpy(rows + i * width, was + s->row_of[i] * width, width * sizeof *rows);
    if (s->unknown == 0) return M3_OK;
    const m3_status st = m3_new_rows_fill(s, f->new_items, rows, (uint32_t)width, &report, err);
    if (st == M3_OK)
        m3_engine_log(f->engine, M3_LOG_INFO,
                      "%s knows %" PRIu32 " of %" PRIu32 " items; rows of the others: %" PRIu32
                      " from features (which explain %.0f %% of the known rows), %" PRIu32 " from neighbors, %" PRIu32
                      " as they start",
                      s->run, m3_dataset_item_count(s->set) - s->unknown, m3_dataset_item_count(s->set),
                      report.features, 100.0 * report.explained, report.neighbors,
                      s->unknown - report.features - report.neighbors);
    return st;
}

m3_status m3_warm_start_load(const m3_warm_start *start, m3_engine *engine, m3_new_items new_items, m3_store *store,
                             const m3_graph *graph, m3_error *err)
{
    filling f = {start, engine, new_items};
    const m3_checkpoint_table table = {M3_ITEM_PARAMETER, fill, &f};
    const m3_status st = m3_checkpoint_load_parameters(start->checkpoint, store, graph, &table, err);
    return st == M3_OK ? m3_dataset_check(start->from, err) : st;
}

/* Samples. */

/* For the users of the run's set: its item is in the training part of the user's samples. mark [items of `from` + 1]
 * holds, for items that are, user + 1. */
static void mark_trained(const m3_split *was, uint64_t *next, uint32_t user, uint32_t *mark)
{
    uint64_t count;
    const m3_sample *samples = m3_split_samples(was, M3_SPLIT_TRAIN, &count);
    while (*next < count && samples[*next].user < user) ++*next;
    for (; *next < count && samples[*next].user == user; ++*next) mark[samples[*next].item] = user + 1;
}

static int by_user(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The samples' places in the order of the users in the run's set, which the run's samples are in; users that it does
 * not know come last. Each entry: user there (or UINT32_MAX) * 2^32 + place. */
static m3_status order_samples(const m3_warm_start *s, const m3_sample *samples, uint64_t count, uint64_t **order,
                               m3_error *err)
{
    uint32_t last = UINT32_MAX, user = UINT32_MAX;
    if (count > UINT32_MAX) return M3_FAIL(err, M3_ERR_RANGE, "samples", "more than %u", UINT32_MAX);
    if ((*order = m3_calloc(count, sizeof **order)) == NULL)
        return M3_FAIL_MEMORY(err, "samples", count * sizeof **order);
    for (uint64_t i = 0; i < count; i++) {
        if (samples[i].user != last) {
            last = samples[i].user;
            user = UINT32_MAX;
            (void)m3_dataset_find_user(s->from, m3_dataset_user_id(s->set, last), &user);
        }
        (*order)[i] = (uint64_t)user << 32 | i;
    }
    if (count > 1) qsort(*order, count, sizeof **order, by_user);
    return M3_OK;
}

m3_status m3_warm_start_new_samples(const m3_warm_start *start, bool **is_new, m3_error *err)
{
    m3_status st;
    uint32_t target = 0;
    uint64_t count, next = 0, *order = NULL;
    m3_split *was = NULL;
    const m3_sample *samples = m3_split_samples(start->split, M3_SPLIT_TRAIN, &count);
    uint32_t *mark = m3_calloc((size_t)m3_dataset_item_count(start->from) + 1, sizeof *mark);
    *is_new = m3_calloc(count, sizeof **is_new);
    if (mark == NULL || *is_new == NULL) {
        st = M3_FAIL_MEMORY(err, "samples", count * sizeof **is_new);
        goto done;
    }
    if ((st = m3_settings_target(start->settings, start->from, &target, err)) != M3_OK) goto done;
    if ((st = m3_dataset_split(start->from, target, &was, err)) != M3_OK) goto done;
    if ((st = order_samples(start, samples, count, &order, err)) != M3_OK) goto done;
    for (uint64_t i = 0; order != NULL && i < count; i++) {
        const uint32_t user = (uint32_t)(order[i] >> 32), place = (uint32_t)order[i];
        if (user != UINT32_MAX) mark_trained(was, &next, user, mark);
        const uint32_t row = start->row_of[samples[place].item];
        (*is_new)[place] = user == UINT32_MAX || row == 0 || mark[row] != user + 1;
    }
    st = m3_dataset_check(start->from, err);
done:
    m3_split_free(was);
    m3_free(order);
    m3_free(mark);
    if (st != M3_OK) {
        m3_free(*is_new);
        *is_new = NULL;
    }
    return st;
}
