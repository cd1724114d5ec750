/* neighbors: w_ij = sum over places p of i and q of j in one sequence, 0 < |p - q| <= WINDOW, of a_p a_q / |p - q|;
 * of each item the Q largest, over their sum. */
#include "core/data/neighbors.h"

#include <stdlib.h>

#include "core/base/spill.h"
#include "m3bsr/model.h"

typedef struct counting {
    const m3_merged *merged;
    m3_neighbors *to;
    double weight_of[M3_MAX_BEHAVIORS]; /* a */
    uint64_t *starts, *places;          /* [N+2], [events]: places of each item's events */
    uint32_t *users;                    /* [events] of the places */
    double *sums;                       /* [N+1], zeros between items */
    uint32_t *touched;                  /* [N+1] */
    m3_weighted *list;                  /* [N+1] */
} counting;

static int heavier(const void *a, const void *b)
{
    const m3_weighted *x = a, *y = b;
    if (x->weight != y->weight) return x->weight > y->weight ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

void m3_weighted_sort(m3_weighted *items, size_t count)
{
    if (count > 1) qsort(items, count, sizeof *items, heavier);
}

/* The user's events that training may look at. */
static uint64_t end_of(const m3_merged *merged, uint32_t user)
{
    const uint64_t start = merged->starts[user];
    return start +
           m3_merged_before(merged->events + start, (uint32_t)(merged->starts[user + 1] - start), merged->until[user]);
}

/* Sort the places by item, each item's in rising order: starts[i] .. starts[i + 1] are those of item i. */
static void list_places(counting *c)
{
    const uint32_t items = c->to->items;
    for (uint32_t u = 0; u < c->merged->users; u++)
        for (uint64_t p = c->merged->starts[u], end = end_of(c->merged, u); p < end; p++) {
            const m3_merged_event *e = &c->merged->events[p];
            c->starts[e->item]++;
            c->to->mass[e->item] += c->weight_of[e->behavior];
        }
    for (uint32_t i = 1; i <= items + 1; i++) c->starts[i] += c->starts[i - 1];
    for (uint32_t u = c->merged->users; u-- > 0;)
        for (uint64_t p = end_of(c->merged, u); p-- > c->merged->starts[u];) {
            const uint64_t at = --c->starts[c->merged->events[p].item];
            c->places[at] = p;
            c->users[at] = u;
        }
}

/* Add what one event of item i gives. Returns how many items are touched by now. */
static uint32_t add_place(counting *c, uint32_t i, uint64_t at, uint32_t touched)
{
    const m3_merged_event *e = c->merged->events;
    const uint64_t p = c->places[at], start = c->merged->starts[c->users[at]], end = end_of(c->merged, c->users[at]);
    const uint64_t first = p - start > M3_WINDOW ? p - M3_WINDOW : start;
    for (uint64_t q = first; q < end && q <= p + M3_WINDOW; q++) {
        const uint32_t j = e[q].item;
        if (j == i) continue;
        if (c->sums[j] == 0.0) c->touched[touched++] = j;
        c->sums[j] += c->weight_of[e[p].behavior] * c->weight_of[e[q].behavior] / (double)(q > p ? q - p : p - q);
    }
    return touched;
}

static void list_neighbors(counting *c, uint32_t i)
{
    uint32_t touched = 0, kept;
    double sum = 0.0;
    for (uint64_t at = c->starts[i]; at < c->starts[i + 1]; at++) touched = add_place(c, i, at, touched);
    for (uint32_t t = 0; t < touched; t++) {
        c->list[t] = (m3_weighted){c->sums[c->touched[t]], c->touched[t]};
        c->sums[c->touched[t]] = 0.0;
    }
    m3_weighted_sort(c->list, touched);
    kept = touched < M3_NEIGHBORS ? touched : M3_NEIGHBORS;
    for (uint32_t t = 0; t < kept; t++) sum += c->list[t].weight;
    for (uint32_t t = 0; t < kept; t++) {
        c->to->ids[(size_t)i * M3_NEIGHBORS + t] = c->list[t].item;
        c->to->weights[(size_t)i * M3_NEIGHBORS + t] = (float)(c->list[t].weight / sum);
    }
}

static m3_status count(counting *c, m3_error *err)
{
    const size_t rows = (size_t)c->to->items + 1;
    const uint64_t events = c->merged->starts[c->merged->users];
    const char *beside = c->merged->beside;
    m3_status st = M3_OK;
    c->starts = m3_spill_array(beside, rows + 1, sizeof *c->starts, &st, err);
    c->places = m3_spill_array(beside, events, sizeof *c->places, &st, err);
    c->users = m3_spill_array(beside, events, sizeof *c->users, &st, err);
    c->sums = m3_spill_array(beside, rows, sizeof *c->sums, &st, err);
    c->touched = m3_spill_array(beside, rows, sizeof *c->touched, &st, err);
    c->list = m3_spill_array(beside, rows, sizeof *c->list, &st, err);
    if (st != M3_OK) return st;
    list_places(c);
    for (uint32_t i = 1; i < rows; i++) list_neighbors(c, i);
    return M3_OK;
}

m3_status m3_neighbors_create(const m3_merged *merged, uint32_t items, uint32_t behaviors, m3_neighbors *neighbors,
                              m3_error *err)
{
    m3_status st = M3_OK;
    const size_t rows = (size_t)items + 1;
    counting c = {.merged = merged, .to = neighbors};
    for (uint32_t b = 0; b < behaviors && b < M3_MAX_BEHAVIORS; b++) c.weight_of[b] = m3_behavior_weight(b, behaviors);
    neighbors->items = items;
    neighbors->ids = m3_spill_array(merged->beside, rows * M3_NEIGHBORS, sizeof *neighbors->ids, &st, err);
    neighbors->weights = m3_spill_array(merged->beside, rows * M3_NEIGHBORS, sizeof *neighbors->weights, &st, err);
    neighbors->mass = m3_spill_array(merged->beside, rows, sizeof *neighbors->mass, &st, err);
    if (st == M3_OK) st = count(&c, err);
    m3_spill_free(c.starts);
    m3_spill_free(c.places);
    m3_spill_free(c.users);
    m3_spill_free(c.sums);
    m3_spill_free(c.touched);
    m3_spill_free(c.list);
    return st;
}

void m3_neighbors_fini(m3_neighbors *neighbors)
{
    m3_spill_free(neighbors->ids);
    m3_spill_free(neighbors->weights);
    m3_spill_free(neighbors->mass);
    *neighbors = (m3_neighbors){0};
}
