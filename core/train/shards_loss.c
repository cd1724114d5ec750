/* shards_loss: the full loss over a table in shards. In a round each rank makes the vectors of its batch's users, with
 * the draws of the step, and all get all of them. Each scores them against its own items, a tile at a time, and tells
 * the others the largest score and the sum of exponentials; then the gradients by the users go to whose they are,
 * summed in the order of the ranks, and those by rows stay. No rank has the scores of all items, nor their rows. */
#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/model/model.h"
#include "core/runtime/store.h"
#include "core/train/ranks.h"
#include "core/train/shards.h"

/* Of a user's scores: the largest, sum of e^(score - top), and the target's. Over items, then over ranks. */
typedef struct sums {
    double top, sum, own;
} sums;

struct m3_shards_loss {
    uint32_t each, users; /* of a batch, of all ranks' batches */
    uint32_t width;       /* of a user's vector */
    uint32_t tile;
    uint64_t stride;          /* floats of a rank in `all`: users, and its wish to stop */
    float *all;               /* [ranks][stride] */
    const m3_sample **sample; /* [users], NULL where a row does not count */
    float *weight;            /* [users] */
    sums *mine, *others;      /* [users], [ranks][users] */
    float *log_sum;           /* [users] */
    float *gradient;          /* [users][width], by this rank's items */
    float *received;          /* [ranks][each][width], by those of each rank */
    m3_parcel *parcels;       /* [ranks] */
    float scale;              /* of the loss (precision f16) */
};

bool m3_shards_has_loss(const m3_trainer *tr)
{
    return tr->shards != NULL && tr->shards->loss != NULL;
}

m3_status m3_shards_loss_create(m3_trainer *tr, m3_error *err)
{
    const m3_model_config *c = &tr->config;
    const uint32_t ranks = tr->shared.count;
    if (c->loss != M3_LOSS_FULL) return M3_OK;
    m3_shards_loss *l = tr->shards->loss = m3_calloc(1, sizeof *l);
    if (l == NULL) return M3_FAIL_MEMORY(err, "loss", sizeof *l);
    l->each = m3_data_loader_batch(tr->loader);
    l->users = l->each * ranks;
    l->width = (uint32_t)c->width * (c->fusion == M3_FUSION_SCORES ? (uint32_t)c->modality_count + 1 : 1);
    l->tile = m3_model_tile(c, tr->shards->count, l->users);
    l->stride = (uint64_t)l->each * l->width + 1;
    l->all = m3_calloc(ranks * l->stride, sizeof *l->all);
    l->sample = m3_calloc(l->users, sizeof(m3_sample *));
    l->weight = m3_calloc(l->users, sizeof *l->weight);
    l->mine = m3_calloc(l->users, sizeof *l->mine);
    l->others = m3_calloc((uint64_t)l->users * ranks, sizeof *l->others);
    l->log_sum = m3_calloc(l->users, sizeof *l->log_sum);
    l->gradient = m3_calloc((uint64_t)l->users * l->width, sizeof *l->gradient);
    l->received = m3_calloc((uint64_t)l->users * l->width, sizeof *l->received);
    l->parcels = m3_calloc(ranks, sizeof *l->parcels);
    if (l->all != NULL && l->sample != NULL && l->weight != NULL && l->mine != NULL && l->others != NULL &&
        l->log_sum != NULL && l->gradient != NULL && l->received != NULL && l->parcels != NULL)
        return M3_OK;
    return M3_FAIL_MEMORY(err, "loss", (uint64_t)l->users * (3 * l->width * sizeof(float) + ranks * sizeof(sums)));
}

void m3_shards_loss_free(m3_shards_loss *l)
{
    if (l == NULL) return;
    m3_free(l->all);
    m3_free((void *)l->sample);
    m3_free(l->weight);
    m3_free(l->mine);
    m3_free(l->others);
    m3_free(l->log_sum);
    m3_free(l->gradient);
    m3_free(l->received);
    m3_free(l->parcels);
    m3_free(l);
}

void m3_shards_loss_size(const m3_shards *s, uint32_t *users, uint32_t *tile)
{
    *users = s->loss != NULL ? s->loss->users : 0;
    *tile = s->loss != NULL ? s->loss->tile : 0;
}

/* Rounds. */

uint32_t m3_shards_rounds(const m3_trainer *tr, uint32_t batches)
{
    return (uint32_t)m3_share_begin(batches, 1, tr->shared.count);
}

bool m3_shards_batch(const m3_trainer *tr, uint32_t batches, uint32_t round, uint32_t rank, uint32_t *batch)
{
    const uint32_t begin = (uint32_t)m3_share_begin(batches, rank, tr->shared.count);
    const uint32_t end = (uint32_t)m3_share_begin(batches, rank + 1, tr->shared.count);
    const uint32_t idle = m3_shards_rounds(tr, batches) - (end - begin);
    *batch = begin + round - idle;
    return round >= idle;
}

/* Whose samples these are, and what each counts: the mean over the step's batches is that over its samples. */
static m3_status list_samples(m3_trainer *tr, uint32_t batches, uint32_t round, m3_error *err)
{
    m3_shards_loss *l = tr->shards->loss;
    m3_status st = M3_OK;
    l->scale = 1.0F;
    if (m3_store_find(tr->store, "loss_scale", NULL))
        st = m3_store_read_part(tr->store, "loss_scale", 0, &l->scale, sizeof l->scale, err);
    for (uint32_t rank = 0; rank < tr->shared.count; rank++) {
        uint32_t k = 0;
        const bool there = m3_shards_batch(tr, batches, round, rank, &k);
        const uint64_t first = (tr->state.batch + k) * l->each, all = m3_data_loader_samples(tr->loader);
        const uint64_t rows = !there || first >= all ? 0 : all - first < l->each ? all - first : l->each;
        for (uint32_t i = 0; i < l->each; i++) {
            const uint64_t u = (uint64_t)rank * l->each + i;
            l->sample[u] = i < rows ? m3_data_loader_at(tr->loader, first + i) : NULL;
            l->weight[u] = i < rows ? l->scale * (float)tr->step.batches / (float)tr->step.rows : 0.0F;
        }
    }
    return st;
}

/* This rank's users, if it has a batch, then everybody's. */
static m3_status make_users(m3_trainer *tr, uint32_t batches, uint32_t round, bool *cut, m3_error *err)
{
    m3_status st;
    uint32_t k = 0;
    m3_shards_loss *l = tr->shards->loss;
    m3_executable *e = tr->programs.users;
    const uint32_t rank = tr->shared.rank;
    float *mine = l->all + rank * l->stride;
    if (m3_shards_batch(tr, batches, round, rank, &k)) {
        const m3_batch to = m3_batch_of(e), drawn = {.rng = to.rng, .parts = tr->batch.parts, .step = &tr->step};
        (void)m3_data_loader_fill(tr->loader, tr->state.batch + k, (uint32_t)tr->state.draws, &drawn);
        m3_window_place(tr, tr->state.batch + k, &to);
        if ((st = m3_executable_run(e, err)) != M3_OK) return st;
        memcpy(mine, m3_executable_output(e, "user", NULL), (l->stride - 1) * sizeof *mine);
    } else {
        memset(mine, 0, l->stride * sizeof *mine);
    }
    mine[l->stride - 1] = round > 0 && tr->options.stop != NULL && *tr->options.stop != 0 ? 1.0F : 0.0F;
    if ((st = m3_ranks_gather(tr, mine, l->stride * sizeof *mine, l->all, err)) != M3_OK) return st;
    for (uint32_t r = 0; r < tr->shared.count; r++) *cut = *cut || l->all[(r + 1) * l->stride - 1] != 0.0F;
    return M3_OK;
}

/* Tiles. */

/* What is the same for all tiles. The row of the target is -2 where another rank has it. */
static void fill_users(const m3_trainer *tr, m3_executable *e)
{
    const m3_shards *s = tr->shards;
    const m3_shards_loss *l = s->loss;
    float *user = m3_executable_input(e, "user", NULL);
    int32_t *target = m3_executable_input(e, "target", NULL);
    for (uint32_t r = 0; r < tr->shared.count; r++)
        memcpy(user + r * (l->stride - 1), l->all + r * l->stride, (l->stride - 1) * sizeof *user);
    for (uint32_t u = 0; u < l->users; u++) {
        const uint32_t row = l->sample[u] != NULL ? l->sample[u]->item - s->begin : s->count;
        target[u] = row < s->count ? (int32_t)row : -2;
    }
}

/* Of the rows first .. first + some - 1 of the shard. */
static void fill_tile(const m3_trainer *tr, m3_executable *e, uint32_t first, uint32_t some)
{
    const m3_shards *s = tr->shards;
    const m3_shards_loss *l = s->loss;
    const uint64_t item = (uint64_t)s->begin + first;
    const m3_trend *trend = m3_data_loader_trend(tr->loader);
    int32_t *ids = m3_executable_input(e, "tile", NULL);
    float *z = m3_executable_input(e, "trend", NULL);
    for (uint32_t i = 0; i < l->tile; i++) ids[i] = i < some ? (int32_t)(first + i) : -1;
    for (uint32_t k = 0; k < s->feature_count; k++) {
        char name[48];
        const m3_features *f = &s->features[k];
        (void)snprintf(name, sizeof name, "features%u", k);
        float *to = m3_executable_input(e, name, NULL);
        if (to != NULL) memcpy(to, f->rows + item * f->width, some * f->width * sizeof *to);
    }
    for (uint32_t u = 0; z != NULL && u < l->users; u++)
        if (l->sample[u] != NULL)
            memcpy(z + (uint64_t)u * l->tile, m3_trend_at(trend, l->sample[u]->time) + item - 1, some * sizeof *z);
}

typedef void (*take_fn)(m3_trainer *tr, m3_executable *e, uint32_t first, uint32_t some);

/* Over all of this rank's items. */
static m3_status run_tiles(m3_trainer *tr, m3_executable *e, take_fn take, m3_error *err)
{
    m3_status st = M3_OK;
    const m3_shards *s = tr->shards;
    fill_users(tr, e);
    for (uint32_t at = s->begin == 0 ? 1 : 0; st == M3_OK && at < s->count; at += s->loss->tile) {
        const uint32_t some = s->count - at < s->loss->tile ? s->count - at : s->loss->tile;
        fill_tile(tr, e, at, some);
        if ((st = m3_executable_run(e, err)) == M3_OK) take(tr, e, at, some);
    }
    return st;
}

static void add_sums(sums *to, const sums *more)
{
    to->own += more->own;
    if (more->sum == 0.0) return; /* of no item */
    if (more->top > to->top) {
        to->sum = to->sum * exp(to->top - more->top) + more->sum;
        to->top = more->top;
    } else {
        to->sum += more->sum * exp(more->top - to->top);
    }
}

static void take_sums(m3_trainer *tr, m3_executable *e, uint32_t first, uint32_t some)
{
    m3_shards_loss *l = tr->shards->loss;
    const float *top = m3_executable_output(e, "top", NULL), *sum = m3_executable_output(e, "sum", NULL),
                *own = m3_executable_output(e, "own", NULL);
    (void)first;
    (void)some;
    for (uint32_t u = 0; u < l->users; u++) {
        const sums more = {(double)top[u], (double)sum[u], (double)own[u]};
        add_sums(&l->mine[u], &more);
    }
}

static void take_gradients(m3_trainer *tr, m3_executable *e, uint32_t first, uint32_t some)
{
    const m3_shards *s = tr->shards;
    m3_shards_loss *l = s->loss;
    const float *user = m3_executable_output(e, "user", NULL), *rows = m3_executable_output(e, "rows", NULL);
    float *to = (float *)m3_executable_input(tr->programs.rows, "rows", NULL) + (uint64_t)first * s->width;
    for (uint64_t i = 0; i < (uint64_t)l->users * l->width; i++) l->gradient[i] += user[i];
    for (uint64_t i = 0; i < (uint64_t)some * s->width; i++) to[i] += rows[i];
}

/* What the others' items add. */
static m3_status join_sums(m3_trainer *tr, uint32_t batches, uint32_t round, m3_error *err)
{
    m3_shards_loss *l = tr->shards->loss;
    const uint32_t rank = tr->shared.rank;
    uint32_t k = 0;
    double loss = 0.0;
    const m3_status st = m3_ranks_gather(tr, l->mine, l->users * sizeof *l->mine, l->others, err);
    if (st != M3_OK) return st;
    for (uint32_t u = 0; u < l->users; u++) {
        sums all = {-INFINITY, 0.0, 0.0};
        for (uint32_t r = 0; r < tr->shared.count; r++) add_sums(&all, &l->others[(uint64_t)r * l->users + u]);
        const double log_sum = all.top + log(all.sum);
        l->log_sum[u] = (float)log_sum;
        if (u / l->each != rank || l->sample[u] == NULL) continue;
        loss += log_sum - all.own;
    }
    float *to = m3_executable_input(tr->programs.step, "recommend", NULL);
    if (to != NULL && m3_shards_batch(tr, batches, round, rank, &k))
        *to = (float)(loss * tr->step.batches / (double)tr->step.rows);
    return M3_OK;
}

/* To each rank what this one's items give its users. */
static m3_status send_gradients(m3_trainer *tr, m3_error *err)
{
    m3_shards_loss *l = tr->shards->loss;
    m3_exchange *exchange = NULL;
    const uint32_t ranks = tr->shared.count;
    const uint64_t count = l->stride - 1, bytes = count * sizeof *l->gradient;
    float *to = m3_executable_input(tr->programs.step, "user_gradient", NULL);
    for (uint32_t r = 0; r < ranks; r++)
        l->parcels[r] = (m3_parcel){l->gradient + r * count, bytes, l->received + r * count, bytes};
    m3_status st = m3_ranks_heard(tr, m3_member_start(tr->shared.member, l->parcels, &exchange, err));
    if (st == M3_OK) st = m3_ranks_heard(tr, m3_member_finish(tr->shared.member, &exchange, err));
    for (uint64_t i = 0; st == M3_OK && to != NULL && i < count; i++) {
        float sum = l->received[i];
        for (uint32_t r = 1; r < ranks; r++) sum += l->received[r * count + i];
        to[i] = sum / l->scale;
    }
    return st;
}

m3_status m3_shards_score(m3_trainer *tr, uint32_t batches, uint32_t round, bool *cut, m3_error *err)
{
    m3_status st;
    const m3_shards *s = tr->shards;
    m3_shards_loss *l = s->loss;
    float *rows = m3_executable_input(tr->programs.rows, "rows", NULL);
    m3_executable *gradients = tr->programs.gradients;
    if (round == 0) memset(rows, 0, (uint64_t)s->count * s->width * sizeof *rows);
    if ((st = list_samples(tr, batches, round, err)) != M3_OK) return st;
    if ((st = make_users(tr, batches, round, cut, err)) != M3_OK || *cut) return st;
    for (uint32_t u = 0; u < l->users; u++) l->mine[u] = (sums){-INFINITY, 0.0, 0.0};
    if ((st = run_tiles(tr, tr->programs.sums, take_sums, err)) != M3_OK) return st;
    if ((st = join_sums(tr, batches, round, err)) != M3_OK) return st;
    memset(l->gradient, 0, (uint64_t)l->users * l->width * sizeof *l->gradient);
    memcpy(m3_executable_input(gradients, "log_sum", NULL), l->log_sum, l->users * sizeof *l->log_sum);
    memcpy(m3_executable_input(gradients, "weight", NULL), l->weight, l->users * sizeof *l->weight);
    if ((st = run_tiles(tr, gradients, take_gradients, err)) != M3_OK) return st;
    return send_gradients(tr, err);
}

double m3_shards_loss_mean(m3_trainer *tr, uint32_t batches)
{
    const m3_shards *s = tr->shards;
    double squares = 0.0;
    const float factor = 1.0F / (float)batches;
    float *rows = m3_executable_input(tr->programs.rows, "rows", NULL);
    for (uint64_t i = 0; i < (uint64_t)s->count * s->width; i++) rows[i] *= factor;
    for (uint64_t i = 0; i < s->trade.sums; i++) {
        if ((uint32_t)s->trade.sum_ids[i] >= s->count) continue;
        float *to = rows + (uint64_t)s->trade.sum_ids[i] * s->width;
        for (uint32_t k = 0; k < s->width; k++) to[k] += s->trade.sum_rows[i * s->width + k];
    }
    for (uint64_t i = 0; i < (uint64_t)s->count * s->width; i++) squares += (double)rows[i] * (double)rows[i];
    return squares;
}
