/* window: see the header. */
#include "core/train/window.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/model/model.h"
#include "core/train/prefetch.h"
#include "core/train/ranks.h"

static m3_status allocate(m3_window *w, uint32_t gathered, m3_error *err)
{
    w->ids = m3_calloc(w->rows, sizeof *w->ids);
    w->places = m3_calloc(w->items, sizeof *w->places);
    w->order = m3_calloc(w->items, sizeof *w->order);
    w->other = m3_calloc(w->items, sizeof *w->other);
    w->all = m3_calloc(gathered * w->each, sizeof *w->all);
    if (w->ids != NULL && w->places != NULL && w->order != NULL && w->other != NULL && w->all != NULL) return M3_OK;
    return M3_FAIL_MEMORY(err, "window", w->items * (2 * sizeof *w->order + 2 * sizeof *w->places));
}

m3_status m3_window_create(m3_trainer *tr, m3_error *err)
{
    const m3_model_config *c = &tr->config;
    const uint64_t n = m3_data_loader_batch(tr->loader), ranks = tr->shared.count, accumulate = tr->keys.accumulate;
    const bool sharded = m3_shards_wanted(tr);
    if (!sharded && (accumulate == 1 || !m3_model_is_lazy(c))) return M3_OK;
    m3_window *w = tr->window = m3_calloc(1, sizeof *w);
    if (w == NULL) return M3_FAIL_MEMORY(err, "window", sizeof *w);
    w->total = (uint64_t)m3_dataset_item_count(tr->set) + 1;
    w->batch_items = n * m3_model_sample_items(c);
    const uint64_t batches = m3_share_begin(accumulate, 1, tr->shared.count), parts = m3_trainer_parts(tr);
    w->step_items = parts > 1 ? m3_model_step_targets(c, parts * n) : 0;
    const uint64_t own = w->step_items + batches * w->batch_items; /* at most */
    w->rows = m3_model_window_rows(c, (sharded ? batches : accumulate) * n);
    if (sharded && w->rows + w->step_items < w->total)
        w->rows += (uint32_t)w->step_items;
    else if (sharded)
        w->rows = (uint32_t)w->total;
    if (sharded && w->rows <= ranks)
        w->rows = (uint32_t)ranks + 1; /* a ranking of shards wants a place for each rank */
    w->is_table = !sharded && m3_model_sees_all(c, w->rows);
    w->each = 1 + (own < w->total ? own : w->total);
    const uint64_t gathered = sharded || ranks == 1 ? 0 : ranks;
    w->items = own > ranks ? own : ranks;
    if (w->items < gathered * w->each) w->items = gathered * w->each;
    return allocate(w, (uint32_t)gathered, err);
}

void m3_window_free(m3_window *w)
{
    if (w == NULL) return;
    m3_free(w->ids);
    m3_free(w->places);
    m3_free(w->order);
    m3_free(w->other);
    m3_free(w->all);
    m3_free(w);
}

/* Places. */

/* Sort by the lower 32 bits of value >> 32, stable: s->order, with s->other as room. */
static uint64_t *sort(uint64_t *order, uint64_t *other, uint64_t count, uint64_t most)
{
    for (uint32_t shift = 32; shift < 64 && most >> (shift - 32) != 0; shift += 8) {
        uint64_t at[257] = {0}, *swap = order;
        for (uint64_t i = 0; i < count; i++) at[(order[i] >> shift & 255) + 1]++;
        for (int b = 0; b < 256; b++) at[b + 1] += at[b];
        for (uint64_t i = 0; i < count; i++) other[at[order[i] >> shift & 255]++] = order[i];
        order = other;
        other = swap;
    }
    return order;
}

/* The different ones of what is sorted by its upper 32 bits. @param place  [lower 32 bits] gets the place; may be NULL.
 */
static void name_rows(m3_window *w, const uint64_t *sorted, uint64_t count, int32_t *place)
{
    w->used = 1;
    for (uint64_t i = 0; i < count; i++) {
        const int32_t item = (int32_t)(sorted[i] >> 32);
        if (w->used == 1 || w->ids[w->used - 1] != item) w->ids[w->used++] = item;
        if (place != NULL) place[sorted[i] & UINT32_MAX] = (int32_t)w->used - 1;
    }
}

void m3_window_find(m3_window *w, int32_t *items, uint64_t count)
{
    uint64_t known = 0;
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t item = (uint64_t)(uint32_t)items[i];
        items[i] = 0;
        if (item != 0 && item < w->total) w->order[known++] = item << 32 | i;
    }
    name_rows(w, sort(w->order, w->other, known, w->total - 1), known, items);
}

/* From this rank's items to those of all: places follow. */
static m3_status join(m3_trainer *tr, uint64_t count, m3_error *err)
{
    m3_window *w = tr->window;
    const m3_shared *s = &tr->shared;
    int32_t *mine = w->all + s->rank * w->each;
    const uint32_t own = w->used;
    uint64_t known = 0;
    mine[0] = (int32_t)own - 1;
    memcpy(mine + 1, w->ids + 1, (own - 1) * sizeof *mine);
    const m3_status st = m3_ranks_gather(tr, mine, w->each * sizeof *mine, w->all, err);
    if (st != M3_OK) return st;
    for (uint32_t r = 0; r < s->count; r++) {
        const int32_t *theirs = w->all + r * w->each;
        for (int32_t i = 1; i <= theirs[0]; i++) w->order[known++] = (uint64_t)(uint32_t)theirs[i] << 32;
    }
    name_rows(w, sort(w->order, w->other, known, w->total - 1), known, NULL);
    mine[0] = 0;
    for (uint32_t i = 1, at = 0; i < own; i++) { /* both rise */
        while (w->ids[at] != mine[i]) at++;
        mine[i] = (int32_t)at;
    }
    for (uint64_t i = 0; i < count; i++) w->places[i] = mine[w->places[i]];
    return M3_OK;
}

static void put_ids(const m3_window *w, int32_t *ids)
{
    for (uint32_t i = 0; ids != NULL && i < w->rows; i++) ids[i] = -1;
    for (uint32_t i = 1; ids != NULL && i < w->used; i++) ids[w->is_table ? (uint32_t)w->ids[i] : i] = w->ids[i];
}

/* A step. */

static m3_batch items_of(const m3_window *w, const m3_model_config *c, uint64_t n, uint64_t batch)
{
    int32_t *at = w->places + w->step_items + batch * w->batch_items;
    const uint64_t histories = n * (uint64_t)c->behaviors * (uint64_t)c->length;
    return (m3_batch){.ids = at, .target = at + histories, .negatives = at + histories + n};
}

uint64_t m3_window_name(const m3_trainer *tr, m3_window *w, const m3_step_samples *step, uint64_t first, uint32_t count)
{
    const uint64_t n = m3_data_loader_batch(tr->loader);
    w->first = first;
    memset(w->places, 0, w->step_items * sizeof *w->places);
    for (uint32_t k = 0; k < count; k++) {
        m3_batch to = items_of(w, &tr->config, n, k);
        to.step_target = k == 0 && w->step_items != 0 ? w->places : NULL;
        to.step = step;
        to.parts = m3_trainer_parts(tr);
        (void)m3_data_loader_fill(tr->loader, first + k, 0, &to);
    }
    const uint64_t named = w->step_items + count * w->batch_items;
    m3_window_find(w, w->places, named);
    return named;
}

m3_status m3_window_open(m3_trainer *tr, uint64_t first, uint32_t count, m3_error *err)
{
    m3_status st = M3_OK;
    m3_window *w = tr->window;
    if (tr->shards != NULL && tr->shards->prefetch != NULL) return m3_prefetch_open(tr, err);
    const uint64_t named = m3_window_name(tr, w, &tr->step, first, count);
    if (tr->shards != NULL) return m3_shards_fill(tr, err);
    if (tr->shared.count > 1) st = join(tr, named, err);
    if (st != M3_OK || w->is_table) return st;
    put_ids(w, m3_executable_input(tr->programs.window, "ids", NULL));
    return m3_executable_run(tr->programs.window, err);
}

static void put(int32_t *to, const int32_t *from, uint64_t count)
{
    if (to != NULL) memcpy(to, from, count * sizeof *to);
}

m3_batch m3_window_rest(const m3_trainer *tr)
{
    m3_batch rest = tr->batch;
    if (tr->window->is_table) return rest;
    rest.ids = rest.target = rest.step_target = NULL;
    if (rest.trend == NULL) rest.negatives = NULL;
    return rest;
}

void m3_window_place(const m3_trainer *tr, uint64_t index, const m3_batch *to)
{
    const m3_window *w = tr->window;
    const m3_model_config *c = &tr->config;
    const uint64_t n = m3_data_loader_batch(tr->loader);
    if (w->is_table) return;
    const m3_batch from = items_of(w, c, n, index - w->first);
    put(to->ids, from.ids, n * (uint64_t)c->behaviors * (uint64_t)c->length);
    put(to->target, from.target, n);
    put(to->step_target, w->places, w->step_items);
    put(to->negatives, from.negatives, n * (uint64_t)c->negatives);
}

void m3_window_leave(const m3_trainer *tr)
{
    put_ids(tr->window, m3_executable_input(tr->programs.apply, "ids", NULL));
}
