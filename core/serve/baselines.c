/* baselines: what ranks items without a model (MODEL.md 12).
 *   popularity   training events of the target behavior
 *   trend        recent popularity at the time of the sample, with the half-life that does best on the validation part
 *   item-kNN     score(j) = sum over items i of the history, i != j, of s(i, j)
 *                s(i, j) = |users other than the sample's in both U_i and U_j| / (|U_i|^1/2 |U_j|^beta)
 * U_i are the users with a training event of item i in any behavior: one before m3_split_until() of the user. So
 * similarities are the same for both held-out parts and see neither.
 * The user's own events say nothing of what goes together, and without i != j an item that was only viewed would come
 * back first. beta 1/2 is the cosine, which favours rare items; beta is chosen by NDCG@10 on the validation part, as a
 * model's settings are: the cosine alone gives .009 on KuaiRand, where beta 0 gives .034 and popularity .025.
 *
 * The similarities of all pairs of items would be many. Summed in another order they are never needed:
 *   score(j) = |U_j|^-beta * sum over other users v in U_j of w_v(j),
 *   w_v(j) = sum over items i != j of the history that v had of |U_i|^-1/2,
 * which takes the lists of who had what alone, and at most twice their length in steps. */
#include "core/serve/baselines.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/data/history.h"
#include "core/serve/rank.h"

/* Popularity. */

typedef struct counted {
    uint32_t item, count;
} counted;

static int by_count(const void *a, const void *b)
{
    const counted *x = a, *y = b;
    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

m3_status m3_popularity_places(const m3_dataset *set, const m3_split *split, uint32_t **places, m3_error *err)
{
    const uint32_t items = m3_dataset_item_count(set);
    const uint32_t *counts = m3_split_item_counts(split);
    *places = m3_calloc((size_t)items + 1, sizeof **places);
    counted *order = m3_calloc(items, sizeof *order);
    if (*places == NULL || order == NULL) {
        m3_free(*places);
        m3_free(order);
        *places = NULL;
        return M3_FAIL_MEMORY(err, "popularity", (size_t)items * (sizeof *order + sizeof **places));
    }
    for (uint32_t i = 0; i < items; i++) order[i] = (counted){i + 1, counts[i + 1]};
    qsort(order, items, sizeof *order, by_count);
    for (uint32_t i = 0; i < items; i++) (*places)[order[i].item] = i + 1;
    m3_free(order);
    return M3_OK;
}

/* Settings are chosen by NDCG@10 over some thousand validation samples, spread evenly; here its sum. */
static double judge(const double *(*score)(void *by, const m3_sample *sample), void *by, uint32_t items,
                    const m3_split *split, const uint32_t *places)
{
    enum { ENOUGH = 4096 };
    const m3_metric ndcg = {M3_MEASURE_NDCG, 10};
    uint64_t count;
    double sum = 0;
    const m3_sample *valid = m3_split_samples(split, M3_SPLIT_VALID, &count);
    for (uint64_t i = 0; i < count; i += count / ENOUGH + 1)
        sum += m3_metric_of_place(ndcg, m3_baseline_rank(score(by, &valid[i]), places, items, valid[i].item,
                                                         m3_split_had_before(split, &valid[i])));
    return sum;
}

/* Trend. */

struct m3_trending {
    m3_trend *trend;
    double half_life;
    uint32_t items;
    double *scores; /* [N] */
};

const double *m3_trending_score(m3_trending *trending, const m3_sample *sample)
{
    const float *z = m3_trend_at(trending->trend, sample->time);
    for (uint32_t j = 0; j < trending->items; j++) trending->scores[j] = (double)z[j];
    return trending->scores;
}

static const double *score_by_trend(void *trending, const m3_sample *sample)
{
    return m3_trending_score(trending, sample);
}

m3_status m3_trending_create(const m3_dataset *set, const m3_split *split, const uint32_t *places, m3_trending **out,
                             m3_error *err)
{
    static const double half_lives[] = {100, 300, 1000, 3000, 10000, 30000};
    m3_status st = M3_OK;
    double best = -1;
    m3_trending *t = m3_calloc(1, sizeof *t);
    *out = NULL;
    if (t == NULL || (t->scores = m3_calloc(m3_dataset_item_count(set), sizeof *t->scores)) == NULL) {
        m3_trending_free(t);
        return M3_FAIL_MEMORY(err, "trend", m3_dataset_item_count(set) * sizeof(double));
    }
    t->items = m3_dataset_item_count(set);
    for (size_t h = 0; st == M3_OK && h < sizeof half_lives / sizeof half_lives[0]; h++) {
        m3_trend *chosen = t->trend, *other = NULL;
        if ((st = m3_trend_create(set, split, half_lives[h], &other, err)) != M3_OK) break;
        t->trend = other;
        const double ndcg = judge(score_by_trend, t, t->items, split, places);
        if (ndcg <= best) { /* the first of equal ones stays */
            t->trend = chosen;
            chosen = other;
        } else {
            best = ndcg;
            t->half_life = half_lives[h];
        }
        m3_trend_free(chosen);
    }
    if (st == M3_OK)
        *out = t;
    else
        m3_trending_free(t);
    return st;
}

void m3_trending_free(m3_trending *trending)
{
    if (trending == NULL) return;
    m3_trend_free(trending->trend);
    m3_free(trending->scores);
    m3_free(trending);
}

double m3_trending_half_life(const m3_trending *trending)
{
    return trending->half_life;
}

/* Item-kNN. */

/** Lists of numbers, one after another: list i is at[starts[i]] to at[starts[i + 1] - 1]. */
typedef struct lists {
    uint64_t *starts;
    uint32_t *at;
} lists;

struct m3_itemknn {
    const m3_dataset *set;
    double damping;         /* beta */
    lists items_of;         /* [U] users: different items in training */
    lists users_of;         /* [N + 1] items: users */
    double *norms, *damped; /* [N + 1] |U_i|^-1/2 and |U_i|^-beta, 0 for an item that nobody had */
    uint32_t *seen, mark;   /* [N + 1]: seen[i] == mark, i is among the items taken so far */
    uint32_t *found;        /* [N] those items */
    double *weights;        /* [U] of all items of the history that v had; zero between scorings */
    uint32_t *users;        /* [U] those with a weight */
    double *own;            /* [N + 1] the norm of an item of the history; zero between scorings */
    double *scores;         /* [N] */
};

/* The different items of a user before a time, in any behavior, in found; returns how many. */
static uint32_t items_before(m3_itemknn *knn, uint32_t user, int64_t time)
{
    const uint32_t items = m3_dataset_item_count(knn->set);
    uint32_t count = 0;
    if (++knn->mark == 0) { /* marks of 2^32 calls ago would look new */
        memset(knn->seen, 0, ((size_t)items + 1) * sizeof *knn->seen);
        knn->mark = 1;
    }
    for (uint32_t b = 0; b < m3_dataset_behavior_count(knn->set); b++) {
        const m3_events events = m3_dataset_events(knn->set, user, b);
        const uint32_t before = m3_events_before(events, time);
        for (uint32_t i = 0; i < before; i++) {
            const uint32_t item = events.items[i]; /* in range, unless something writes to the set's file */
            if (item == 0 || item > items || knn->seen[item] == knn->mark) continue;
            knn->seen[item] = knn->mark;
            knn->found[count++] = item;
        }
    }
    return count;
}

/* users_of from items_of: count, begin each list where the one before ends, append the users in order. */
static void turn(m3_itemknn *knn, uint32_t users, uint32_t items)
{
    uint64_t *starts = knn->users_of.starts;
    const uint64_t pairs = knn->items_of.starts[users];
    for (uint64_t p = 0; p < pairs; p++) starts[knn->items_of.at[p] + 1]++;
    for (uint32_t i = 1; i <= items; i++) {
        if (starts[i + 1] > 0) knn->norms[i] = 1.0 / sqrt((double)starts[i + 1]);
        starts[i + 1] += starts[i];
    }
    for (uint32_t u = 0; u < users; u++)
        for (uint64_t p = knn->items_of.starts[u]; p < knn->items_of.starts[u + 1]; p++)
            knn->users_of.at[starts[knn->items_of.at[p]]++] = u;
    for (uint32_t i = items + 1; i > 0; i--) starts[i] = starts[i - 1]; /* each was moved to its list's end */
    starts[0] = 0;
}

static void list_training(m3_itemknn *knn, const m3_split *split, uint32_t users)
{
    uint64_t at = 0;
    for (uint32_t u = 0; u < users; u++) {
        const uint32_t count = items_before(knn, u, m3_split_until(split, u));
        knn->items_of.starts[u] = at;
        memcpy(knn->items_of.at + at, knn->found, count * sizeof *knn->found);
        at += count;
    }
    knn->items_of.starts[users] = at;
}

static bool allocate(m3_itemknn *knn, uint32_t users, uint32_t items, uint64_t pairs)
{
    const size_t each_item = (size_t)items + 1;
    return (knn->items_of.starts = m3_calloc((size_t)users + 1, sizeof *knn->items_of.starts)) != NULL &&
           (knn->items_of.at = m3_calloc(pairs, sizeof *knn->items_of.at)) != NULL &&
           (knn->users_of.starts = m3_calloc(each_item + 1, sizeof *knn->users_of.starts)) != NULL &&
           (knn->users_of.at = m3_calloc(pairs, sizeof *knn->users_of.at)) != NULL &&
           (knn->norms = m3_calloc(each_item, sizeof *knn->norms)) != NULL &&
           (knn->damped = m3_calloc(each_item, sizeof *knn->damped)) != NULL &&
           (knn->own = m3_calloc(each_item, sizeof *knn->own)) != NULL &&
           (knn->seen = m3_calloc(each_item, sizeof *knn->seen)) != NULL &&
           (knn->found = m3_calloc(items, sizeof *knn->found)) != NULL &&
           (knn->weights = m3_calloc(users, sizeof *knn->weights)) != NULL &&
           (knn->users = m3_calloc(users, sizeof *knn->users)) != NULL &&
           (knn->scores = m3_calloc(items, sizeof *knn->scores)) != NULL;
}

static const double *score_by_itemknn(void *knn, const m3_sample *sample)
{
    return m3_itemknn_score(knn, sample);
}

static void set_damping(m3_itemknn *knn, double damping)
{
    const uint32_t items = m3_dataset_item_count(knn->set);
    knn->damping = damping;
    for (uint32_t i = 1; i <= items; i++)
        if (knn->norms[i] > 0) knn->damped[i] = pow(knn->norms[i], 2 * damping);
}

static void choose_damping(m3_itemknn *knn, const m3_split *split, const uint32_t *places)
{
    static const double dampings[] = {0.5, 0.25, 0.0};
    double best = -1, chosen = dampings[0];
    for (size_t d = 0; d < sizeof dampings / sizeof dampings[0]; d++) {
        set_damping(knn, dampings[d]);
        const double ndcg = judge(score_by_itemknn, knn, m3_dataset_item_count(knn->set), split, places);
        if (ndcg <= best) continue; /* the first of equal ones stays */
        best = ndcg;
        chosen = dampings[d];
    }
    set_damping(knn, chosen);
}

m3_status m3_itemknn_create(const m3_dataset *set, const m3_split *split, const uint32_t *places, m3_itemknn **out,
                            m3_error *err)
{
    const uint32_t users = m3_dataset_user_count(set), items = m3_dataset_item_count(set);
    uint64_t pairs = 0;
    for (uint32_t u = 0; u < users; u++) pairs += m3_dataset_touched(set, u).count;
    m3_itemknn *knn = *out = m3_calloc(1, sizeof *knn);
    if (knn == NULL || !allocate(knn, users, items, pairs)) {
        m3_itemknn_free(knn);
        *out = NULL;
        return M3_FAIL_MEMORY(err, "item-kNN", 2 * pairs * sizeof(uint32_t));
    }
    knn->set = set;
    list_training(knn, split, users);
    turn(knn, users, items);
    choose_damping(knn, split, places);
    return M3_OK;
}

void m3_itemknn_free(m3_itemknn *knn)
{
    if (knn == NULL) return;
    m3_free(knn->items_of.starts);
    m3_free(knn->items_of.at);
    m3_free(knn->users_of.starts);
    m3_free(knn->users_of.at);
    m3_free(knn->norms);
    m3_free(knn->damped);
    m3_free(knn->own);
    m3_free(knn->seen);
    m3_free(knn->found);
    m3_free(knn->weights);
    m3_free(knn->users);
    m3_free(knn->scores);
    m3_free(knn);
}

double m3_itemknn_damping(const m3_itemknn *knn)
{
    return knn->damping;
}

/* The weights of all users who had an item of the history, and the norms of its items in own. Returns how many users.
 */
static uint32_t weigh_users(m3_itemknn *knn, uint32_t history)
{
    uint32_t users = 0;
    for (uint32_t h = 0; h < history; h++) {
        const uint32_t i = knn->found[h];
        knn->own[i] = knn->norms[i];
        for (uint64_t p = knn->users_of.starts[i]; p < knn->users_of.starts[i + 1]; p++) {
            const uint32_t v = knn->users_of.at[p];
            if (knn->weights[v] == 0) knn->users[users++] = v;
            knn->weights[v] += knn->norms[i];
        }
    }
    return users;
}

const double *m3_itemknn_score(m3_itemknn *knn, const m3_sample *sample)
{
    const uint32_t items = m3_dataset_item_count(knn->set);
    const uint32_t history = items_before(knn, sample->user, sample->time), users = weigh_users(knn, history);
    memset(knn->scores, 0, items * sizeof *knn->scores);
    for (uint32_t k = 0; k < users; k++) {
        const uint32_t v = knn->users[k];
        const double weight = knn->weights[v];
        knn->weights[v] = 0;
        if (v == sample->user) continue;
        for (uint64_t p = knn->items_of.starts[v]; p < knn->items_of.starts[v + 1]; p++) {
            const uint32_t j = knn->items_of.at[p];
            knn->scores[j - 1] += weight - knn->own[j]; /* exactly 0 when v had no other item of the history */
        }
    }
    for (uint32_t j = 1; j <= items; j++) knn->scores[j - 1] *= knn->damped[j];
    for (uint32_t h = 0; h < history; h++) knn->own[knn->found[h]] = 0;
    return knn->scores;
}

bool m3_baseline_before(const double *scores, const uint32_t *places, uint32_t a, uint32_t b)
{
    if (scores[a - 1] != scores[b - 1]) return scores[a - 1] > scores[b - 1];
    return places[a] < places[b];
}

uint32_t m3_baseline_rank(const double *scores, const uint32_t *places, uint32_t item_count, uint32_t item,
                          m3_items had)
{
    uint32_t rank = 1;
    for (uint32_t j = 1; j <= item_count; j++) rank += m3_baseline_before(scores, places, j, item);
    for (uint32_t i = 0; i < had.count; i++) rank -= m3_baseline_before(scores, places, had.items[i], item);
    return rank;
}
