/* recommend: the best items for users after their whole history, those of the set or of a file. */
#include <math.h>

#include "core/base/alloc.h"
#include "core/serve/serve.h"
#include "core/serve/top.h"

/* Item a comes before b when its score is higher, or equal and it is more popular; so users whose scores are all zero,
 * having no history, get what is popular. */

typedef struct order {
    const float *scores;
    const uint32_t *popularity;
} order;

static float score_of(const order *o, uint32_t item)
{
    const float score = o->scores[item - 1];
    return isnan(score) ? -INFINITY : score;
}

static bool before(const void *by, uint32_t a, uint32_t b)
{
    const order *o = by;
    const float x = score_of(o, a), y = score_of(o, b);
    return x != y ? x > y : o->popularity[a] < o->popularity[b];
}

void m3_choose_top(const float *scores, uint32_t item_count, const uint8_t *marked, const uint32_t *popularity,
                   uint32_t top, m3_recommendation *best)
{
    const order by = {scores, popularity};
    const uint32_t found = m3_top_items(&by, before, item_count, marked, top, best);
    for (uint32_t i = 0; i < found; i++) best[i].score = score_of(&by, best[i].item);
}

/* Users. */

typedef struct request {
    const m3_served *served;
    const m3_histories *histories; /* NULL: users of the set */
    const uint32_t *users;
    m3_exclude exclude;
    uint8_t *marked; /* [N+1], zero between users */
    uint32_t top;
    m3_recommendation *items;
} request;

/* Set or clear the marks of what is left out. */
static void mark(const request *a, uint32_t user, uint8_t value)
{
    const uint32_t target = m3_split_target(a->served->split);
    if (a->exclude == M3_EXCLUDE_NONE) return;
    for (uint32_t b = 0; b < m3_dataset_behavior_count(a->served->set); b++) {
        if (a->exclude == M3_EXCLUDE_TARGET && b != target) continue;
        const m3_events events = a->histories != NULL ? m3_histories_events(a->histories, user, b)
                                                      : m3_dataset_events(a->served->set, user, b);
        for (uint32_t i = 0; i < events.count; i++) /* in range, unless something writes to the set's file */
            if (events.items[i] <= a->served->shape.items) a->marked[events.items[i]] = value;
    }
}

static m3_status choose(void *user, uint64_t first, uint32_t rows, m3_error *err)
{
    const request *a = user;
    const m3_infer_shape *s = &a->served->shape;
    m3_status st = m3_check_scores(s, rows, err);
    for (uint32_t i = 0; st == M3_OK && i < rows; i++) {
        mark(a, a->users[first + i], 1);
        m3_choose_top(s->scores + (size_t)i * s->items, s->items, a->marked, a->served->popularity, a->top,
                      a->items + (first + i) * a->top);
        mark(a, a->users[first + i], 0);
    }
    return st;
}

m3_status m3_recommend(m3_served *served, const m3_histories *histories, const uint32_t *users, uint32_t count,
                       uint32_t top, m3_exclude exclude, m3_recommendation *items, m3_error *err)
{
    request a = {.served = served,
                 .histories = histories,
                 .users = users,
                 .exclude = exclude,
                 .marked = m3_calloc((size_t)served->shape.items + 1, 1),
                 .top = top,
                 .items = items};
    m3_status st;
    if (a.marked == NULL)
        st = M3_FAIL_MEMORY(err, "recommend", (size_t)served->shape.items + 1);
    else if (top == 0)
        st = M3_FAIL(err, M3_ERR_RANGE, "top", "is 0; give 1 or more");
    else
        st = m3_infer_users(&served->shape, m3_served_source(served), histories, users, count, choose, &a, err);
    if (st == M3_OK) st = m3_dataset_check(served->set, err); /* what was left out came from it */
    m3_free(a.marked);
    return st;
}
