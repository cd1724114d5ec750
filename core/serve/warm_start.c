/* warm_start: which row of a run's item table belongs to which item of another set, and what the run was trained on. */
#include "core/serve/warm_start.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/spill.h"
#include "core/data/split.h"
#include "core/model/model.h"
#include "core/run/parts.h"
#include "core/run/run.h"
#include "core/runtime/store.h"

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
    m3_status st = M3_OK;
    s->row_of = m3_spill_array(m3_split_beside(s->split), (uint64_t)items + 1, sizeof *s->row_of, &st, err);
    if (st != M3_OK) return st;
    for (uint32_t i = 1; i <= items; i++)
        s->unknown += !m3_dataset_find_item(s->from, m3_dataset_item_id(s->set, i), &s->row_of[i]);
    if ((st = m3_dataset_check(s->from, err)) != M3_OK) return st; /* what was compared is what was checked */
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
    m3_spill_free(start->row_of);
    m3_free(start->checkpoint);
    m3_free(start->run);
    *start = (m3_warm_start){0};
}

/* Parameters. */

typedef struct filling {
    const m3_warm_start *start;
    m3_engine *engine;
    m3_new_items new_items;
    m3_store *store;
    m3_warm_shard *shard;
    m3_parts *file; /* it and what follows: of the table at hand */
    uint32_t index, width;
    m3_new_rows *new_rows; /* NULL: all items are known */
} filling;

static m3_status read_known(void *user, uint64_t begin, uint64_t end, float *rows, m3_error *err)
{
    const filling *f = user;
    return m3_checkpoint_read_rows(f->file, f->index, begin, end, rows, err);
}

/* Rows of the items first, first + 1, …. Items that follow each other there, too, are read at once. */
static m3_status make_rows(filling *f, uint32_t first, uint32_t count, float *rows, m3_error *err)
{
    m3_status st = M3_OK;
    const uint32_t *row_of = f->start->row_of + first;
    for (uint32_t i = first == 0, some = 1; st == M3_OK && i < count; i += some) {
        float *to = rows + (size_t)i * f->width;
        for (some = 1; row_of[i] != 0 && i + some < count && row_of[i + some] == row_of[i] + some;) some++;
        if (row_of[i] != 0)
            st = read_known(f, row_of[i], (uint64_t)row_of[i] + some, to, err);
        else
            st = m3_new_rows_make(f->new_rows, first + i, to, err);
    }
    return st;
}

/* Over those that the store starts with, which new items keep that nothing is known of. */
static m3_status fill_store(filling *f, uint32_t count, m3_error *err)
{
    m3_status st = M3_OK;
    const m3_safetensors_entry table = {M3_ITEM_PARAMETER, M3_F32, M3_SHAPE(count, f->width)};
    const uint64_t most = m3_safetensors_step(&table), row = f->width * sizeof(float);
    const uint32_t step = most < count ? (uint32_t)most : count;
    float *rows = m3_calloc(step, row);
    if (rows == NULL) return M3_FAIL_MEMORY(err, M3_ITEM_PARAMETER, step * row);
    for (uint32_t at = 0, some = 0; st == M3_OK && at < count; at += some) {
        some = count - at < step ? count - at : step;
        st = m3_store_read_part(f->store, M3_ITEM_PARAMETER, at * row, rows, some * row, err);
        if (st == M3_OK) st = make_rows(f, (f->shard != NULL ? f->shard->begin : 0) + at, some, rows, err);
        if (st == M3_OK) st = m3_store_write_part(f->store, M3_ITEM_PARAMETER, at * row, rows, some * row, err);
    }
    m3_free(rows);
    return st;
}

static void say(const filling *f)
{
    const m3_warm_start *s = f->start;
    if (f->engine == NULL || f->new_rows == NULL) return;
    const m3_new_report report = m3_new_rows_report(f->new_rows);
    m3_engine_log(f->engine, M3_LOG_INFO,
                  "%s knows %" PRIu32 " of %" PRIu32 " items; rows of the others: %" PRIu32
                  " from features (which explain %.0f %% of the known rows), %" PRIu32 " from neighbors, %" PRIu32
                  " as they start",
                  s->run, m3_dataset_item_count(s->set) - s->unknown, m3_dataset_item_count(s->set), report.features,
                  100.0 * report.explained, report.neighbors, s->unknown - report.features - report.neighbors);
}

static m3_status fill(void *user, m3_parts *file, uint32_t index, m3_error *err)
{
    m3_status st = M3_OK;
    filling *f = user;
    const m3_warm_start *s = f->start;
    m3_store_entry table = {0};
    const m3_shape had = m3_parts_at(file, index)->shape;
    if (had.dim[0] != (uint64_t)m3_dataset_item_count(s->from) + 1)
        return M3_FAIL(err, M3_ERR_INVALID, s->checkpoint, "has a table of %" PRIu64 " rows for %" PRIu32 " items",
                       had.dim[0], m3_dataset_item_count(s->from));
    if (f->shard != NULL) m3_checkpoint_identify(file, f->shard->checkpoint, sizeof f->shard->checkpoint);
    (void)m3_store_find(f->store, M3_ITEM_PARAMETER, &table);
    f->file = file;
    f->index = index;
    f->width = (uint32_t)had.dim[1];
    const m3_known_rows known = {f->width, read_known, f};
    if (s->unknown != 0) st = m3_new_rows_create(s, f->new_items, &known, &f->new_rows, err);
    if (st == M3_OK) st = fill_store(f, (uint32_t)table.shape.dim[0], err);
    if (st == M3_OK) say(f);
    m3_new_rows_free(f->new_rows);
    f->new_rows = NULL;
    return st;
}

m3_status m3_warm_start_load(const m3_warm_start *start, m3_engine *engine, m3_new_items new_items, m3_store *store,
                             const m3_graph *graph, m3_warm_shard *shard, m3_error *err)
{
    filling f = {.start = start, .engine = engine, .new_items = new_items, .store = store, .shard = shard};
    const uint64_t rows = (uint64_t)m3_dataset_item_count(start->set) + 1;
    const m3_checkpoint_table table = {M3_ITEM_PARAMETER, rows, fill, &f};
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

/* Both splits have their samples in the order of users, and both sets their users in the order of ids: so users that
 * both know come in the same order. */
m3_status m3_warm_start_new_samples(const m3_warm_start *start, bool **is_new, m3_error *err)
{
    m3_status st = M3_OK;
    uint32_t target = 0, last = UINT32_MAX, user = UINT32_MAX;
    uint64_t count, next = 0;
    m3_split *was = NULL;
    const char *beside = m3_split_beside(start->split);
    const m3_sample *samples = m3_split_samples(start->split, M3_SPLIT_TRAIN, &count);
    uint32_t *mark = m3_spill_array(beside, (uint64_t)m3_dataset_item_count(start->from) + 1, sizeof *mark, &st, err);
    *is_new = m3_spill_array(beside, count, sizeof **is_new, &st, err);
    if (st == M3_OK) st = m3_settings_target(start->settings, start->from, &target, err);
    if (st == M3_OK) st = m3_split_create(start->from, target, beside, &was, err);
    for (uint64_t i = 0; st == M3_OK && i < count; i++) {
        if (samples[i].user != last) {
            last = samples[i].user;
            user = UINT32_MAX;
            (void)m3_dataset_find_user(start->from, m3_dataset_user_id(start->set, last), &user);
            if (user != UINT32_MAX) mark_trained(was, &next, user, mark);
        }
        const uint32_t row = start->row_of[samples[i].item];
        (*is_new)[i] = user == UINT32_MAX || row == 0 || mark[row] != user + 1;
    }
    if (st == M3_OK) st = m3_dataset_check(start->from, err);
    m3_split_free(was);
    m3_spill_free(mark);
    if (st == M3_OK) return M3_OK;
    m3_spill_free(*is_new);
    *is_new = NULL;
    return st;
}
