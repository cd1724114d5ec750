/* synth items: each belongs to a cluster and has a place on the cluster's ring; a behavior may have another order of
 * each cluster's items, which only its own modalities know.
 *   useful    center(cluster) + w (cos a, sin a) on two directions, a = the angle of the place, + a little of its own
 *   only      sqrt(1 + w^2) (cos a, sin a), a = the angle in the behavior's own order, + a little: no cluster in it,
 *             so what the other behaviors do says nothing about it
 *   useless   sqrt(1 + w^2) a normal draw of the item's own
 * Some items get noise of the same size instead.
 *   popularity   rank r in a random order of the cluster's items is taken with chance r^-tail when a walk reaches it */
#include <math.h>

#include "core/base/alloc.h"
#include "core/data/synth/synth.h"

static const double PLACE_WEIGHT = 0.7, OWN_WEIGHT = 0.1, TURN = 6.283185307179586;

static void shuffle(uint32_t *numbers, uint32_t count, m3_synth_draws *d)
{
    for (uint32_t i = count - 1; i > 0; i--) {
        uint32_t other = m3_synth_draw_below(d, i + 1), number = numbers[i];
        numbers[i] = numbers[other];
        numbers[other] = number;
    }
}

static void number_places(m3_synth *s, m3_synth_ring *ring)
{
    for (uint32_t c = 0; c < s->o.clusters; c++)
        for (uint32_t i = s->starts[c]; i < s->starts[c + 1]; i++) ring->place[ring->members[i]] = i - s->starts[c];
}

/* Shuffle the items, then deal them to the clusters: numbers say nothing about clusters. */
static void deal_items(m3_synth *s)
{
    m3_synth_draws d = m3_synth_draws_for(s, M3_SYNTH_FOR_PLACES, 0, 0);
    uint32_t *members = s->rings[0].members;
    for (uint32_t i = 0; i < s->o.items; i++) members[i] = i;
    shuffle(members, s->o.items, &d);
    for (uint32_t c = 0; c <= s->o.clusters; c++) s->starts[c] = (uint32_t)((uint64_t)s->o.items * c / s->o.clusters);
    for (uint32_t c = 0; c < s->o.clusters; c++)
        for (uint32_t i = s->starts[c]; i < s->starts[c + 1]; i++) s->cluster[members[i]] = c;
    number_places(s, &s->rings[0]);
}

/* `members` becomes the items by cluster, each cluster in an order of its own draw. */
static void order_clusters(const m3_synth *s, m3_synth_purpose purpose, uint32_t object, uint32_t *members)
{
    for (uint32_t i = 0; i < s->o.items; i++) members[i] = s->rings[0].members[i];
    for (uint32_t c = 0; c < s->o.clusters; c++) {
        m3_synth_draws d = m3_synth_draws_for(s, purpose, object, c);
        shuffle(members + s->starts[c], s->starts[c + 1] - s->starts[c], &d);
    }
}

m3_status m3_synth_place_items(m3_synth *s, m3_error *err)
{
    const size_t items = s->o.items;
    for (uint32_t r = 0; r < s->ring_count; r++)
        if ((s->rings[r].place = m3_calloc(items, sizeof(uint32_t))) == NULL ||
            (s->rings[r].members = m3_calloc(items, sizeof(uint32_t))) == NULL)
            return M3_FAIL_MEMORY(err, "places of items", items * sizeof(uint32_t));
    deal_items(s);
    for (uint32_t r = 1; r < s->ring_count; r++) {
        order_clusters(s, M3_SYNTH_FOR_RINGS, r, s->rings[r].members);
        number_places(s, &s->rings[r]);
    }
    if (s->o.tail == 0.0) return M3_OK;
    uint32_t *order = m3_calloc(items, sizeof *order);
    if (order == NULL || (s->rank = m3_calloc(items, sizeof *s->rank)) == NULL) {
        m3_free(order);
        return M3_FAIL_MEMORY(err, "popularity of items", items * sizeof *order);
    }
    order_clusters(s, M3_SYNTH_FOR_RANKS, 0, order);
    for (uint32_t i = 0; i < s->o.items; i++) s->rank[order[i]] = i - s->starts[s->cluster[order[i]]] + 1;
    m3_free(order);
    return M3_OK;
}

uint32_t m3_synth_next_item(const m3_synth *s, uint32_t ring, uint32_t cluster, uint32_t *place, bool by_rank,
                            m3_synth_draws *d)
{
    const uint32_t *members = s->rings[ring].members + s->starts[cluster];
    const uint32_t size = s->starts[cluster + 1] - s->starts[cluster];
    *place = (*place % size + 1 + m3_synth_draw_below(d, 2)) % size;
    if (by_rank && s->rank != NULL) /* ends within a round: rank 1 is always taken */
        while (m3_synth_draw_uniform(d) >= pow(s->rank[members[*place]], -s->o.tail)) *place = (*place + 1) % size;
    return members[*place];
}

void m3_synth_make_features(m3_synth *s, uint32_t k)
{
    const uint32_t width = s->o.width;
    const m3_synth_use use = s->modalities[k].use;
    const m3_synth_ring *ring = &s->rings[use == M3_SYNTH_ONLY ? s->ring_of[s->modalities[k].behavior] : 0];
    const double whole = sqrt(1.0 + PLACE_WEIGHT * PLACE_WEIGHT);
    for (uint32_t i = 0; i < s->o.items; i++) {
        m3_synth_draws own = m3_synth_draws_for(s, M3_SYNTH_FOR_ITEMS, i, k);
        m3_synth_draws center = m3_synth_draws_for(s, M3_SYNTH_FOR_CENTERS, s->cluster[i], k);
        m3_synth_draws directions = m3_synth_draws_for(s, M3_SYNTH_FOR_DIRECTIONS, 0, k);
        uint32_t size = s->starts[s->cluster[i] + 1] - s->starts[s->cluster[i]];
        double angle = TURN * ring->place[i] / size;
        bool noise = m3_synth_draw_uniform(&own) < s->o.feature_noise;
        s->is_noise[(size_t)k * s->o.items + i] = noise;
        for (uint32_t j = 0; j < width; j++) {
            double along = m3_synth_draw_normal(&directions), across = m3_synth_draw_normal(&directions);
            double place = cos(angle) * along + sin(angle) * across, part = m3_synth_draw_normal(&own), value;
            if (use == M3_SYNTH_USEFUL)
                value = m3_synth_draw_normal(&center) + PLACE_WEIGHT * place + OWN_WEIGHT * part;
            else
                value = use == M3_SYNTH_ONLY ? whole * place + OWN_WEIGHT * part : whole * part;
            double other = m3_synth_draw_normal(&own) * whole;
            s->clean[(size_t)i * width + j] = (float)value;
            s->noisy[(size_t)i * width + j] = (float)(noise ? other : value);
        }
    }
}
