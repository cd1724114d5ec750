/* synth events: a user has one to three clusters as interests, and a place in each. A genuine step stays in the
 * interest (0.85) or changes it, moves one or two places on, and is an event of the shallowest behavior; with chance
 * `deepen` each it is one of the next behavior too, at the same time: on the same item, or, where that behavior has an
 * order of its own, on the next item of the same interest in that order. accidental   between steps, of the shallowest
 * behavior: alone, or several in a row (a burst) drift        half way each interest is replaced with this chance; then
 * other clusters are popular */
#include <math.h>

#include "core/base/alloc.h"
#include "core/data/synth/synth.h"

enum { BURST_MIN = 3, BURST_MAX = 6, TRIES = 100 };

static const double STAY = 0.85;
static const int64_t FIRST_TIME = 1700000000;

typedef struct walk {
    m3_synth_user *user;
    m3_synth_draws base;
    m3_synth_draws own; /* of orders of their own, so that they do not shift the draws of the others */
    uint32_t places[M3_SYNTH_RINGS][M3_SYNTH_INTERESTS];
    uint32_t at, bursts;
    int64_t time;
} walk;

static m3_status add_event(m3_synth *s, m3_synth_event event, m3_error *err)
{
    if (s->count == s->capacity) {
        size_t capacity = s->capacity == 0 ? 1024 : s->capacity * 2;
        m3_synth_event *events = m3_realloc(s->events, capacity, sizeof *events);
        if (events == NULL) return M3_FAIL_MEMORY(err, "events", capacity * sizeof *events);
        s->events = events;
        s->capacity = capacity;
    }
    s->events[s->count++] = event;
    return M3_OK;
}

/* Low numbers are popular. */
static uint32_t draw_cluster(const m3_synth *s, m3_synth_draws *d)
{
    return (uint32_t)(s->o.clusters * pow(m3_synth_draw_uniform(d), 1.5));
}

static bool is_among(const uint32_t *clusters, uint32_t count, uint32_t cluster)
{
    for (uint32_t i = 0; i < count; i++)
        if (clusters[i] == cluster) return true;
    return false;
}

static void choose_interests(const m3_synth *s, m3_synth_user *user, m3_synth_draws *d)
{
    uint32_t wanted = 1 + m3_synth_draw_below(d, M3_SYNTH_INTERESTS);
    if (wanted > s->o.clusters) wanted = s->o.clusters;
    while (user->count < wanted) {
        uint32_t cluster = draw_cluster(s, d);
        if (!is_among(user->interests, user->count, cluster)) user->interests[user->count++] = cluster;
    }
}

/* The later interests: those of before, or clusters that are new to the user. Numbers from the middle on are popular
 * then. Where all clusters are the user's already, the interest stays. */
static void drift(const m3_synth *s, uint32_t u, m3_synth_user *user)
{
    m3_synth_draws d = m3_synth_draws_for(s, M3_SYNTH_FOR_DRIFT, u, 0);
    for (uint32_t i = 0; i < user->count; i++) {
        user->later[i] = user->interests[i];
        if (m3_synth_draw_uniform(&d) >= s->o.drift) continue;
        for (int tries = 0; tries < TRIES; tries++) {
            uint32_t cluster = (draw_cluster(s, &d) + s->o.clusters / 2) % s->o.clusters;
            if (is_among(user->interests, user->count, cluster) || is_among(user->later, i, cluster)) continue;
            user->later[i] = cluster;
            break;
        }
    }
}

static walk start(m3_synth *s, uint32_t u)
{
    walk w = {.user = &s->users[u],
              .base = m3_synth_draws_for(s, M3_SYNTH_FOR_USERS, u, 0),
              .own = m3_synth_draws_for(s, M3_SYNTH_FOR_OWN_WALKS, u, 0)};
    choose_interests(s, w.user, &w.base);
    drift(s, u, w.user);
    for (uint32_t r = 0; r < s->ring_count; r++)
        for (uint32_t i = 0; i < w.user->count; i++) w.places[r][i] = m3_synth_draw(r == 0 ? &w.base : &w.own);
    return w;
}

/* An event of the shallowest behavior, and those of the deeper ones that grow from it. */
static m3_status add_step(m3_synth *s, walk *w, uint32_t u, const uint32_t *interests, m3_error *err)
{
    m3_status st;
    const uint32_t cluster = interests[w->at];
    const uint32_t item = m3_synth_next_item(s, 0, cluster, &w->places[0][w->at], true, &w->base);
    m3_synth_event event = {.time = w->time, .user = u};
    do {
        const uint32_t ring = s->ring_of[event.behavior];
        event.item = ring == 0 ? item : m3_synth_next_item(s, ring, cluster, &w->places[ring][w->at], true, &w->own);
        if ((st = add_event(s, event, err)) != M3_OK) return st;
    } while (++event.behavior < s->o.behaviors && m3_synth_draw_uniform(&w->base) < s->o.deepen);
    return M3_OK;
}

/* A few seconds lie between its events. Their items are chosen later. */
static m3_status add_burst(m3_synth *s, walk *w, uint32_t u, m3_error *err)
{
    m3_status st;
    const uint32_t length = BURST_MIN + m3_synth_draw_below(&w->base, BURST_MAX - BURST_MIN + 1);
    w->bursts++;
    for (uint32_t i = 0; i < length; i++) {
        if (i > 0) w->time += 2 + m3_synth_draw_below(&w->base, 20);
        if ((st = add_event(s, (m3_synth_event){w->time, u, 0, 0, 1, w->bursts}, err)) != M3_OK) return st;
    }
    return M3_OK;
}

/* What comes next: one accidental event with chance `single`, a burst with chance `burst`, else a genuine step. With m
 * the mean length of a burst and A = single + m burst, accidental events are the share a = A / (A + 1 - single - burst)
 * of all, and bursts the share `bursts` of A. */
static void chances(const m3_synth *s, double *single, double *burst)
{
    const double a = s->o.accidental, share = s->o.bursts, length = (BURST_MIN + BURST_MAX) / 2.0;
    const double all = share == 0.0 ? a : a / (1.0 - a + a * (1.0 - share + share / length));
    *single = (1.0 - share) * all;
    *burst = share * all / length;
}

m3_status m3_synth_add_user_events(m3_synth *s, uint32_t u, m3_error *err)
{
    m3_status st = M3_OK;
    double single, burst;
    walk w = start(s, u);
    chances(s, &single, &burst);
    const uint32_t steps = s->o.events / 2 + m3_synth_draw_below(&w.base, s->o.events + 1);
    w.at = m3_synth_draw_below(&w.base, w.user->count);
    w.time = FIRST_TIME + m3_synth_draw_below(&w.base, 30 * 86400);
    for (uint32_t step = 0; st == M3_OK && step < steps;) {
        w.time += 60 + m3_synth_draw_below(&w.base, 3600);
        const double chance = m3_synth_draw_uniform(&w.base);
        if (chance < single) {
            const uint32_t item = m3_synth_draw_below(&w.base, s->o.items);
            st = add_event(s, (m3_synth_event){w.time, u, item, 0, 1, 0}, err);
        } else if (chance < single + burst) {
            st = add_burst(s, &w, u, err);
        } else {
            if (m3_synth_draw_uniform(&w.base) >= STAY) w.at = m3_synth_draw_below(&w.base, w.user->count);
            if (step == steps / 2) w.user->since = w.time;
            st = add_step(s, &w, u, step < steps / 2 ? w.user->interests : w.user->later, err);
            step++;
        }
    }
    return st;
}
