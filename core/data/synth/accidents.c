/* synth accidents: on which items accidental events are, once all genuine ones are known.
 *   uniform      an item of all
 *   popularity   the item of a genuine event of the shallowest behavior, drawn from those of all users
 *   a burst      begins on such an item, of a cluster that is no interest of the user, and goes on along its ring:
 *                a child with the phone */
#include "core/base/alloc.h"
#include "core/data/synth/synth.h"

enum { TRIES = 1000 };

typedef struct popular {
    uint32_t *items; /* of genuine events of the shallowest behavior; NULL: uniform */
    uint32_t count;
} popular;

static bool is_interest(const m3_synth_user *user, uint32_t cluster)
{
    for (uint32_t i = 0; i < user->count; i++)
        if (user->interests[i] == cluster || user->later[i] == cluster) return true;
    return false;
}

static uint32_t draw_item(const m3_synth *s, const popular *p, m3_synth_draws *d)
{
    return p->items != NULL ? p->items[m3_synth_draw_below(d, p->count)] : m3_synth_draw_below(d, s->o.items);
}

/* Where all clusters are interests of the user, any will do. */
static uint32_t draw_foreign_item(const m3_synth *s, const popular *p, uint32_t u, m3_synth_draws *d)
{
    uint32_t item = draw_item(s, p, d);
    for (int tries = 0; tries < TRIES && is_interest(&s->users[u], s->cluster[item]); tries++)
        item = draw_item(s, p, d);
    return item;
}

static m3_status gather_popular(const m3_synth *s, popular *p, m3_error *err)
{
    if ((p->items = m3_calloc(s->count, sizeof *p->items)) == NULL)
        return M3_FAIL_MEMORY(err, "items of events", s->count * sizeof *p->items);
    for (size_t i = 0; i < s->count; i++)
        if (!s->events[i].accidental && s->events[i].behavior == 0) p->items[p->count++] = s->events[i].item;
    return M3_OK;
}

m3_status m3_synth_choose_accidents(m3_synth *s, m3_error *err)
{
    m3_status st;
    popular p = {0};
    m3_synth_draws d = {0};
    uint32_t place = 0, cluster = 0;
    const bool by_popularity = s->o.accidental_by == M3_ACCIDENTAL_POPULARITY;
    if (!by_popularity && s->o.bursts == 0.0) return M3_OK; /* as they were drawn with the events */
    if (by_popularity && (st = gather_popular(s, &p, err)) != M3_OK) return st;
    for (size_t i = 0; i < s->count; i++) {
        m3_synth_event *e = &s->events[i];
        const bool first = i == 0 || e[-1].user != e->user;
        if (first) d = m3_synth_draws_for(s, M3_SYNTH_FOR_ACCIDENTS, e->user, 0);
        if (!e->accidental) continue;
        if (e->burst == 0) {
            if (by_popularity) e->item = draw_item(s, &p, &d);
        } else if (first || e[-1].burst != e->burst) {
            e->item = draw_foreign_item(s, &p, e->user, &d);
            place = s->rings[0].place[e->item];
            cluster = s->cluster[e->item];
        } else {
            e->item = m3_synth_next_item(s, 0, cluster, &place, by_popularity, &d);
        }
    }
    m3_free(p.items);
    return M3_OK;
}
