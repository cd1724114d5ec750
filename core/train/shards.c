/* shards: see the header. shards_rank.c has the ranking. */
#include "core/train/shards.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/model/model.h"
#include "core/runtime/engine.h"
#include "core/runtime/init.h"
#include "core/runtime/store.h"
#include "core/train/prefetch.h"
#include "core/train/ranks.h"

static const char table[] = M3_ITEM_PARAMETER, window_table[] = M3_WINDOW_TABLE, sums[] = "accum." M3_WINDOW_TABLE;
static const uint64_t most_scores = 1 << 24; /* at a time, so that the ranking takes no more than a step */

bool m3_shards_own(const m3_shards *s, const char *name)
{
    static const char *const moments[] = {"adam.m.", "adam.v.", "accum."};
    if (s == NULL) return false;
    for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++)
        if (strncmp(name, moments[i], strlen(moments[i])) == 0) name += strlen(moments[i]);
    return strcmp(name, table) == 0 || strcmp(name, window_table) == 0;
}

/* Sizes. */

static uint32_t lesser(uint64_t a, uint64_t b)
{
    return (uint32_t)(a < b ? a : b);
}

static m3_status check(const m3_trainer *tr, uint64_t total, m3_error *err)
{
    const uint32_t ranks = tr->shared.count;
    if (tr->keys.checkpoint_parts == M3_PARTS_OFF)
        return M3_FAIL(err, M3_ERR_INVALID, "checkpoint_parts",
                       "is off, but with shard rows no rank has the whole table to write; set it to auto");
    if (total < ranks || total > INT32_MAX)
        return M3_FAIL(err, M3_ERR_INVALID, "shard",
                       "is rows, but %" PRIu64 " rows cannot be shared out among %u ranks; set it to none", total,
                       ranks);
    return M3_OK;
}

/* Ranking takes as many samples as the window suffices for: their histories, and the targets of all ranks. */
static void set_sizes(m3_shards *s, const m3_trainer *tr)
{
    const m3_window *w = tr->window;
    const uint64_t ranks = tr->shared.count;
    const uint64_t history = (uint64_t)tr->config.behaviors * (uint64_t)tr->config.length;
    s->batch = lesser(s->count, w->rows);
    uint64_t each = lesser(m3_trainer_eval_batch(tr), w->items / (history > ranks ? history : ranks));
    if (each * ranks * w->rows > most_scores) each = most_scores / (ranks * w->rows);
    s->eval_batch = each == 0 && tr->valid_count != 0 ? 1 : (uint32_t)each;
    s->users = s->eval_batch * (uint32_t)ranks;
}

static m3_status make_host(m3_shards *s, const m3_window *w, m3_error *err)
{
    enum { PIECE = 1 << 20 };
    s->host_bytes = (uint64_t)w->rows * s->width * sizeof *s->host;
    if (s->host_bytes < PIECE) s->host_bytes = PIECE; /* some rows of features, however wide */
    s->host = m3_calloc(s->host_bytes, 1);
    return s->host != NULL ? M3_OK : M3_FAIL_MEMORY(err, "window", s->host_bytes);
}

bool m3_shards_wanted(const m3_trainer *tr)
{
    return tr->keys.shard == M3_SHARD_ROWS && tr->shared.count > 1;
}

m3_status m3_shards_create(m3_trainer *tr, m3_error *err)
{
    m3_status st;
    const m3_shared *shared = &tr->shared;
    const uint64_t total = (uint64_t)m3_dataset_item_count(tr->set) + 1;
    if ((st = check(tr, total, err)) != M3_OK) return m3_ranks_all_fail(tr, st);
    m3_shards *s = tr->shards = m3_calloc(1, sizeof *s);
    if (s == NULL) return M3_FAIL_MEMORY(err, "shards", sizeof *s);
    s->total = total;
    s->begin = (uint32_t)m3_share_begin(total, shared->rank, shared->count);
    s->count = (uint32_t)m3_share_begin(total, shared->rank + 1, shared->count) - s->begin;
    s->width = (uint32_t)tr->config.width;
    set_sizes(s, tr);
    if ((st = m3_settings_features(tr->settings, tr->set, &tr->denoised, s->features, &s->feature_count, err)) != M3_OK)
        return st;
    if ((st = make_host(s, tr->window, err)) != M3_OK) return st;
    if ((st = m3_shards_loss_create(tr, err)) != M3_OK) return st;
    if ((st = m3_trade_init(&s->trade, shared->member, total, s->width, err)) != M3_OK) return st;
    return m3_prefetch_create(tr, &s->prefetch, err);
}

void m3_shards_free(m3_shards *s)
{
    if (s == NULL) return;
    m3_prefetch_free(s->prefetch);
    m3_trade_fini(&s->trade);
    m3_shards_loss_free(s->loss);
    m3_free(s->host);
    m3_free(s);
}

m3_status m3_shards_start(m3_trainer *tr, m3_error *err)
{
    m3_status st = M3_OK;
    m3_shards *s = tr->shards;
    const uint64_t row = (uint64_t)s->width * sizeof *s->host, step = s->host_bytes / row;
    const m3_tensor whole = {.size = M3_STRUCT_SIZE(m3_tensor, data),
                             .kind = M3_PARAMETER,
                             .dtype = M3_F32,
                             .shape = M3_SHAPE(s->total, s->width),
                             .name = table,
                             .init = m3_model_item_start()};
    for (uint64_t at = 0; st == M3_OK && at < s->count; at += step) {
        const uint64_t some = s->count - at < step ? s->count - at : step;
        st = m3_init_fill(&whole, tr->keys.seed, (s->begin + at) * s->width, some * s->width, s->host, err);
        if (st == M3_OK) st = m3_store_write_part(tr->store, table, at * row, s->host, some * row, err);
    }
    return st;
}

static double mebibytes(uint64_t rows, uint64_t width)
{
    return (double)rows * (double)width * sizeof(float) / 1048576.0;
}

/* Beside the rest, with the full loss. */
static void say_loss(const m3_shards *s, char *text, size_t bytes)
{
    uint32_t users = 0, tile = 0;
    m3_shards_loss_size(s, &users, &tile);
    if (users != 0)
        (void)snprintf(
            text, bytes,
            "; scores of %u users and %u items at a time %.1f MiB, gradients of its rows, on the host as well, "
            "%.1f MiB",
            users, tile, mebibytes(users, tile), mebibytes(s->count, s->width));
}

void m3_shards_say(const m3_trainer *tr, char *text, size_t bytes)
{
    const m3_shards *s = tr->shards;
    const uint32_t window = tr->window->rows;
    uint64_t features = 0;
    for (uint32_t k = 0; k < s->feature_count; k++) features += s->features[k].width;
    const double own = mebibytes(s->count, s->width), rows = mebibytes(window, s->width);
    const double wide = mebibytes(window, features), all = (double)m3_store_bytes(tr->store) / 1048576.0;
    const int length = snprintf(
        text, bytes,
        "each rank keeps %u of %" PRIu64 " rows of the item table: %.1f MiB, their moments %.1f MiB; %u rows that a "
        "step sees with their gradients %.1f MiB, and features %.1f MiB, and on their way for the next one "
        "%.1f MiB; all "
        "other parameters %.1f MiB",
        s->count, s->total, own, 2.0 * own, window, 2.0 * rows, wide, s->prefetch != NULL ? rows : 0.0,
        fmax(all - 3.0 * own - 2.0 * rows - wide, 0.0));
    if (length > 0 && (size_t)length < bytes) say_loss(s, text + length, bytes - (size_t)length);
}

/* The window. */

m3_status m3_shards_read(m3_trainer *tr, const int32_t *ids, uint64_t count, float *rows, m3_error *err)
{
    m3_status st = M3_OK;
    const m3_shards *s = tr->shards;
    m3_executable *e = tr->programs.fetch;
    int32_t *to = m3_executable_input(e, "ids", NULL);
    for (uint64_t at = 0; st == M3_OK && at < count; at += s->batch) {
        const uint64_t some = count - at < s->batch ? count - at : s->batch;
        memcpy(to, ids + at, some * sizeof *to);
        for (uint64_t i = some; i < s->batch; i++) to[i] = -1;
        if ((st = m3_executable_run(e, err)) != M3_OK) break;
        memcpy(rows + at * s->width, m3_executable_output(e, "rows", NULL), some * s->width * sizeof *rows);
    }
    return st;
}

static void feature_name(uint32_t k, char name[48])
{
    (void)snprintf(name, 48, "window.features%u", k);
}

/* Features of the window's items, of the set, a piece at a time. */
static m3_status write_features(m3_trainer *tr, m3_error *err)
{
    m3_status st = M3_OK;
    m3_shards *s = tr->shards;
    const m3_window *w = tr->window;
    char name[48];
    for (uint32_t k = 0; st == M3_OK && k < s->feature_count; k++) {
        const m3_features *f = &s->features[k];
        const uint64_t row = f->width * sizeof *s->host, step = s->host_bytes / row;
        feature_name(k, name);
        if (!m3_store_find(tr->store, name, NULL)) continue; /* nothing reads them */
        for (uint64_t at = 0; st == M3_OK && at < w->used; at += step) {
            const uint64_t some = w->used - at < step ? w->used - at : step;
            for (uint64_t i = 0; i < some; i++)
                memcpy(s->host + i * f->width, f->rows + (uint64_t)w->ids[at + i] * f->width, row);
            st = m3_store_write_part(tr->store, name, at * row, s->host, some * row, err);
        }
    }
    return st;
}

m3_status m3_shards_put(m3_trainer *tr, m3_error *err)
{
    const m3_shards *s = tr->shards;
    const uint64_t bytes = (uint64_t)tr->window->used * s->width * sizeof *s->host;
    memset(s->host, 0, s->width * sizeof *s->host);
    const m3_status st = m3_store_write_part(tr->store, window_table, 0, s->host, bytes, err);
    return st == M3_OK ? write_features(tr, err) : st;
}

/* An exchange of rows that was begun then, when the member had sent so much. */
static m3_status ended(m3_trainer *tr, m3_status st, const char *what, double begin, uint64_t sent, m3_error *err)
{
    if (m3_ranks_heard(tr, st) != M3_OK) return st;
    return m3_ranks_traced(tr, what, begin, m3_member_sent(tr->shared.member) - sent, err);
}

m3_status m3_shards_fill(m3_trainer *tr, m3_error *err)
{
    m3_shards *s = tr->shards;
    const m3_window *w = tr->window;
    double begin = m3_seconds();
    uint64_t sent = m3_member_sent(tr->shared.member);
    m3_status st = ended(tr, m3_trade_ask(&s->trade, w->ids + 1, w->used - 1, err), "ids", begin, sent, err);
    if (st == M3_OK) st = m3_shards_read(tr, s->trade.ids, s->trade.wanted[s->trade.ranks], s->trade.rows, err);
    if (st != M3_OK) return st;
    begin = m3_seconds();
    sent = m3_member_sent(tr->shared.member);
    st = ended(tr, m3_trade_give(&s->trade, s->host + s->width, err), "rows late", begin, sent, err);
    return st == M3_OK ? m3_shards_put(tr, err) : st;
}

m3_status m3_shards_show(m3_trainer *tr, uint32_t first, uint32_t count, m3_error *err)
{
    m3_shards *s = tr->shards;
    char name[48];
    const uint64_t row = s->width * sizeof *s->host;
    m3_status st = m3_store_read_part(tr->store, table, first * row, s->host, count * row, err);
    if (st == M3_OK) st = m3_store_write_part(tr->store, window_table, row, s->host, count * row, err);
    for (uint32_t k = 0; st == M3_OK && k < s->feature_count; k++) {
        const m3_features *f = &s->features[k];
        const uint64_t bytes = f->width * sizeof *f->rows;
        feature_name(k, name);
        if (m3_store_find(tr->store, name, NULL))
            st = m3_store_write_part(tr->store, name, bytes, f->rows + ((uint64_t)s->begin + first) * f->width,
                                     count * bytes, err);
    }
    return st;
}

/* A step. */

m3_status m3_shards_sum(m3_trainer *tr, uint32_t batches, m3_error *err)
{
    m3_status st;
    m3_shards *s = tr->shards;
    const uint64_t bytes = (uint64_t)tr->window->used * s->width * sizeof *s->host;
    if ((st = m3_store_read_part(tr->store, sums, 0, s->host, bytes, err)) != M3_OK) return st;
    const double begin = m3_seconds();
    const uint64_t sent = m3_member_sent(tr->shared.member);
    st = ended(tr, m3_trade_return(&s->trade, s->host + s->width, err), "gradients of rows", begin, sent, err);
    if (st != M3_OK) return st;
    double squares = m3_trade_add_up(&s->trade, 1.0F / (float)batches), all = 0.0;
    if (s->loss != NULL) squares = m3_shards_loss_mean(tr, batches);
    if ((st = m3_ranks_doubles(tr, &squares, &all, err)) != M3_OK) return st;
    float *norm = m3_executable_input(tr->programs.apply, "rows_norm", NULL);
    if (norm != NULL) *norm = (float)sqrt(all);
    return M3_OK;
}

static m3_status run_update(m3_trainer *tr, uint64_t first, uint64_t count, m3_error *err)
{
    m3_shards *s = tr->shards;
    m3_executable *e = tr->programs.rows;
    int32_t *ids = m3_executable_input(e, "ids", NULL);
    float *rows = m3_executable_input(e, "rows", NULL);
    memcpy(ids, s->trade.sum_ids + first, count * sizeof *ids);
    memcpy(rows, s->trade.sum_rows + first * s->width, count * s->width * sizeof *rows);
    for (uint64_t i = count; i < s->batch; i++) ids[i] = -1;
    return m3_executable_run(e, err);
}

static m3_status update_all(m3_trainer *tr, m3_error *err)
{
    m3_shards *s = tr->shards;
    float *rows = m3_executable_input(tr->programs.rows, "rows", NULL);
    memset(rows, 0, (uint64_t)s->count * s->width * sizeof *rows);
    for (uint64_t i = 0; i < s->trade.sums; i++)
        if ((uint32_t)s->trade.sum_ids[i] < s->count)
            memcpy(rows + (uint64_t)s->trade.sum_ids[i] * s->width, s->trade.sum_rows + i * s->width,
                   s->width * sizeof *rows);
    return m3_executable_run(tr->programs.rows, err);
}

m3_status m3_shards_update(m3_trainer *tr, float scale, m3_error *err)
{
    m3_status st = M3_OK;
    m3_shards *s = tr->shards;
    float *to = m3_executable_input(tr->programs.rows, "scale", NULL);
    if (to != NULL) *to = scale;
    if (s->loss != NULL) return m3_executable_run(tr->programs.rows, err);
    if (!m3_model_is_lazy(&tr->config)) return update_all(tr, err);
    for (uint64_t at = 0; st == M3_OK && at < s->trade.sums; at += s->batch)
        st = run_update(tr, at, s->trade.sums - at < s->batch ? s->trade.sums - at : s->batch, err);
    return st;
}
