/* shards_rank: places of validation samples over a table in shards. In a round each rank makes the vectors of its next
 * samples' users, and all get all of them. Then each counts, over its own items, those that come before each sample's.
 * The sample's own item is scored first, by all ranks alike, with the program that scores the others: it counts once,
 * whatever its score rounds to there. */
#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/train/ranks.h"
#include "core/train/shards.h"

typedef struct ranking {
    m3_trainer *tr;
    m3_shards *s;
    m3_window *w;
    uint64_t batches; /* of all ranks */
    uint64_t *first;  /* [ranks] the first sample of each rank's round */
    uint32_t *rows;   /* [ranks] how many samples it has */
    uint32_t width;   /* of a user vector */
    float *users;     /* [users][width], of rank r from r * eval_batch on; behind each rank's its wish to stop */
    float *own;       /* [users] score of the sample's item */
    uint32_t *before; /* [users] items that come before it, of this rank's */
    uint32_t *all;    /* [ranks][users] */
    float *scores_user, *scores_trend;
    const float *scores;
} ranking;

static m3_status prepare(ranking *r, m3_error *err)
{
    m3_trainer *tr = r->tr;
    const m3_shards *s = r->s;
    const uint32_t ranks = tr->shared.count;
    const m3_tensor *user = m3_executable_output_tensor(tr->programs.infer, "user");
    r->scores_user = m3_executable_input(tr->programs.scores, "user", NULL);
    r->scores_trend = m3_executable_input(tr->programs.scores, "trend", NULL);
    r->scores = m3_executable_output(tr->programs.scores, "scores", NULL);
    if (user == NULL || r->scores == NULL || r->scores_user == NULL)
        return M3_FAIL(err, M3_ERR_INTERNAL, "scores", "are not published by this executable of inference");
    r->width = (uint32_t)user->shape.dim[1];
    r->batches = (tr->valid_count + s->eval_batch - 1) / s->eval_batch;
    r->first = m3_calloc(ranks, sizeof *r->first);
    r->rows = m3_calloc(ranks, sizeof *r->rows);
    r->users = m3_calloc((uint64_t)s->users * r->width + ranks, sizeof *r->users);
    r->own = m3_calloc(s->users, sizeof *r->own);
    r->before = m3_calloc(s->users, sizeof *r->before);
    r->all = m3_calloc((uint64_t)s->users * ranks, sizeof *r->all);
    if (r->first != NULL && r->rows != NULL && r->users != NULL && r->own != NULL && r->before != NULL &&
        r->all != NULL)
        return M3_OK;
    return M3_FAIL_MEMORY(err, "ranks", s->users * (r->width + ranks + 2) * sizeof *r->users);
}

static void fini(ranking *r)
{
    m3_free(r->first);
    m3_free(r->rows);
    m3_free(r->users);
    m3_free(r->own);
    m3_free(r->before);
    m3_free(r->all);
}

/* Which samples each rank has in a round. */
static void begin_round(ranking *r, uint64_t round)
{
    const uint32_t ranks = r->tr->shared.count;
    const uint64_t each = r->s->eval_batch;
    for (uint32_t i = 0; r->first != NULL && i < ranks; i++) {
        const uint64_t batch = m3_share_begin(r->batches, i, ranks) + round;
        const bool there = batch < m3_share_begin(r->batches, i + 1, ranks);
        const uint64_t first = batch * each, left = r->tr->valid_count > first ? r->tr->valid_count - first : 0;
        r->first[i] = first;
        r->rows[i] = !there ? 0 : (uint32_t)(left < each ? left : each);
    }
}

static const m3_sample *sample_at(const ranking *r, uint32_t rank, uint32_t i)
{
    return &r->tr->valid[r->first[rank] + i];
}

/* With the items that stand in places. */
static m3_status fill_window(ranking *r, uint64_t count, m3_error *err)
{
    m3_window_find(r->w, r->w->places, count);
    return m3_shards_fill(r->tr, err);
}

/* This rank's users, then everybody's. @param cut  One of the ranks was asked to stop. */
static m3_status make_users(ranking *r, bool *cut, m3_error *err)
{
    m3_status st;
    m3_trainer *tr = r->tr;
    m3_shards *s = r->s;
    const uint32_t rank = tr->shared.rank, ranks = tr->shared.count, rows = r->rows[rank];
    const uint64_t length = (uint64_t)tr->config.length, stride = s->eval_batch * length;
    const uint64_t count = (uint64_t)tr->config.behaviors * stride;
    const uint64_t each = (uint64_t)s->eval_batch * r->width + 1;
    const m3_infer_source source = m3_trainer_source(tr);
    memset(r->w->places, 0, count * sizeof *r->w->places);
    for (uint32_t i = 0; i < rows; i++) {
        const m3_sample *sample = sample_at(r, rank, i);
        m3_history_filtered(source.filter, source.set, sample->user, sample->time, (uint32_t)length, stride,
                            r->w->places + i * length);
    }
    if ((st = fill_window(r, count, err)) != M3_OK) return st;
    if ((st = m3_dataset_check(tr->set, err)) != M3_OK) return st;
    float *mine = r->users + rank * each;
    if (rows != 0) {
        int32_t *ids = m3_executable_input(tr->programs.infer, "ids", NULL);
        if (ids != NULL) memcpy(ids, r->w->places, count * sizeof *ids);
        if ((st = m3_executable_run(tr->programs.infer, err)) != M3_OK) return st;
        memcpy(mine, m3_executable_output(tr->programs.infer, "user", NULL), (each - 1) * sizeof *mine);
    }
    mine[each - 1] = tr->options.stop != NULL && *tr->options.stop != 0 ? 1.0F : 0.0F;
    if ((st = m3_ranks_gather(tr, mine, each * sizeof *mine, r->users, err)) != M3_OK) return st;
    for (uint32_t i = 0; i < ranks; i++) {
        *cut = *cut || r->users[i * each + each - 1] != 0.0F;
        memcpy(r->scores_user + i * (each - 1), r->users + i * each, (each - 1) * sizeof *mine);
    }
    return M3_OK;
}

/* Popularity of the items at the window's places 1 .. count, which are `ids` or follow `first`. */
static void fill_trend(const ranking *r, const int32_t *ids, uint32_t first, uint32_t count)
{
    const m3_shards *s = r->s;
    const m3_infer_source source = m3_trainer_source(r->tr);
    for (uint32_t rank = 0; r->scores_trend != NULL && rank < r->tr->shared.count; rank++)
        for (uint32_t i = 0; i < r->rows[rank]; i++) {
            const float *z = m3_trend_at(source.trend, sample_at(r, rank, i)->time);
            float *to = r->scores_trend + ((uint64_t)rank * s->eval_batch + i) * (r->w->rows - 1);
            for (uint32_t j = 0; j < count; j++) to[j] = z[(ids != NULL ? (uint32_t)ids[j] : first + j) - 1];
        }
}

static m3_status check_score(float score, uint64_t sample, m3_error *err)
{
    if (isfinite(score)) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, "scores",
                   "hold %s for validation sample %llu, so there is no order; parameters or features are too large: "
                   "train with a lower lr, or scale the features",
                   isnan(score) ? "nan" : "infinity", (unsigned long long)sample);
}

/* Scores of the samples' own items, on every rank. */
static m3_status score_targets(ranking *r, m3_error *err)
{
    m3_status st;
    m3_shards *s = r->s;
    const uint32_t ranks = r->tr->shared.count, each = s->eval_batch;
    memset(r->w->places, 0, s->users * sizeof *r->w->places);
    for (uint32_t rank = 0; rank < ranks; rank++)
        for (uint32_t i = 0; i < r->rows[rank]; i++)
            r->w->places[rank * each + i] = (int32_t)sample_at(r, rank, i)->item;
    if ((st = fill_window(r, s->users, err)) != M3_OK) return st;
    fill_trend(r, r->w->ids + 1, 0, r->w->used - 1);
    if ((st = m3_executable_run(r->tr->programs.scores, err)) != M3_OK) return st;
    for (uint32_t rank = 0; st == M3_OK && rank < ranks; rank++)
        for (uint32_t i = 0; st == M3_OK && i < r->rows[rank]; i++) {
            const uint64_t u = (uint64_t)rank * each + i;
            r->own[u] = r->scores[u * (r->w->rows - 1) + (uint32_t)r->w->places[u] - 1];
            st = check_score(r->own[u], r->first[rank] + i, err);
        }
    return st;
}

/* As m3_rank_full(), over the items first .. first + count - 1. */
static m3_status count_before(ranking *r, uint32_t first, uint32_t count, m3_error *err)
{
    m3_status st = M3_OK;
    const m3_shards *s = r->s;
    for (uint32_t rank = 0; st == M3_OK && rank < r->tr->shared.count; rank++)
        for (uint32_t i = 0; st == M3_OK && i < r->rows[rank]; i++) {
            const m3_sample *sample = sample_at(r, rank, i);
            const uint64_t u = (uint64_t)rank * s->eval_batch + i;
            const float *scores = r->scores + u * (r->w->rows - 1), own = r->own[u];
            const m3_items had = m3_split_had_before(r->tr->split, sample);
            float odd = 0.0F; /* a score that is not finite */
            uint32_t before = 0;
            for (uint32_t j = 0; j < count; j++) {
                before += !(scores[j] < own);
                if (!isfinite(scores[j])) odd = scores[j];
            }
            st = check_score(odd, r->first[rank] + i, err);
            for (uint32_t h = 0; h < had.count; h++)
                if (had.items[h] - first < count) before -= !(scores[had.items[h] - first] < own);
            if (sample->item - first < count) before -= !(scores[sample->item - first] < own);
            r->before[u] += before;
        }
    return st;
}

/* This rank's items, a window at a time. */
static m3_status score_shard(ranking *r, m3_error *err)
{
    m3_status st = M3_OK;
    m3_shards *s = r->s;
    const uint32_t step = r->w->rows - 1;
    memset(r->before, 0, s->users * sizeof *r->before);
    for (uint32_t at = s->begin == 0 ? 1 : 0; st == M3_OK && at < s->count; at += step) {
        const uint32_t some = s->count - at < step ? s->count - at : step;
        if ((st = m3_shards_show(r->tr, at, some, err)) != M3_OK) break;
        fill_trend(r, NULL, s->begin + at, some);
        if ((st = m3_executable_run(r->tr->programs.scores, err)) != M3_OK) break;
        st = count_before(r, s->begin + at, some, err);
    }
    return st;
}

static m3_status end_round(ranking *r, m3_error *err)
{
    const m3_shards *s = r->s;
    const uint32_t ranks = r->tr->shared.count;
    const m3_status st = m3_ranks_gather(r->tr, r->before, s->users * sizeof *r->before, r->all, err);
    for (uint32_t rank = 0; st == M3_OK && rank < ranks; rank++)
        for (uint32_t i = 0; i < r->rows[rank]; i++) {
            uint32_t place = 1;
            for (uint32_t k = 0; k < ranks; k++) place += r->all[k * s->users + rank * s->eval_batch + i];
            r->tr->ranks[r->first[rank] + i] = place;
        }
    return st;
}

m3_status m3_shards_rank(m3_trainer *tr, m3_error *err)
{
    ranking r = {.tr = tr, .s = tr->shards, .w = tr->window};
    bool cut = false;
    m3_status st = prepare(&r, err);
    const uint64_t rounds = st == M3_OK ? m3_share_begin(r.batches, 1, tr->shared.count) : 0;
    for (uint64_t i = 0; st == M3_OK && !cut && i < rounds; i++) {
        begin_round(&r, i);
        if ((st = make_users(&r, &cut, err)) != M3_OK || cut) break;
        if ((st = score_targets(&r, err)) != M3_OK) break;
        if ((st = score_shard(&r, err)) != M3_OK) break;
        st = end_round(&r, err);
    }
    fini(&r);
    return st == M3_OK && cut ? M3_ERR_INTERRUPTED : st;
}
