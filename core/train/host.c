/* host: see the header. */
#include "core/train/host.h"

#include "core/runtime/executable.h"
#include "core/train/shards.h"

/* In memory. */

/* Of a window's rows there are those that come, those that others want, their gradients, and a quarter of room; and
 * those of the next step. Ids of one, two steps ahead, have their places too. */
uint64_t m3_host_moved_bytes(const m3_host_moved *m)
{
    if (m->ranks == 1) return 0;
    const uint64_t dense = (m->sums > m->largest ? m->sums : m->largest) + m3_sum_room(m->ranks);
    if (m->window == 0) return dense;
    const uint64_t ids = m->named * ((m->ahead ? 3 : 1) * sizeof(int32_t) + 2 * sizeof(uint64_t));
    return dense + (m->ahead ? 5 : 4) * m->window * m->row + ids;
}

uint64_t m3_host_blocks(const m3_executable *e)
{
    return e != NULL ? e->targets[0].plan.input_bytes + e->targets[0].plan.output_bytes : 0;
}

/* In files: what split.c, data_loader.c, trend.c, merged.c, neighbors.c, denoise_features.c and event_filter.c make;
 * and warm_start.c and new_rows.c where a training starts from a run. */

enum { ID = sizeof(uint32_t), PLACE = sizeof(uint64_t), NEAR = M3_NEIGHBORS * (sizeof(uint32_t) + sizeof(float)) };

typedef struct counts {
    uint64_t items; /* with the padding */
    m3_host_counts of;
} counts;

static uint64_t more(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void add_samples(const counts *n, m3_host_files *f)
{
    f->items += n->items * ID; /* how often each is in training */
    f->events +=
        n->of.users * 3 * PLACE + n->of.targets * (ID + sizeof(m3_sample)); /* had, until, touched; first, samples */
    f->events += n->of.targets * (2 * PLACE + ID) + n->of.events * ID;      /* kept and their order, ranks; touched */
    f->making = more(f->making, n->items * ID + n->of.targets * (PLACE + ID + 1)); /* seen; times, places, parts */
}

static void add_trend(const counts *n, m3_host_files *f)
{
    f->items += n->items * m3_trend_rows(n->of.events, n->items) * sizeof(float);
    f->events += n->of.events * PLACE;
    f->making = more(f->making, n->items * sizeof(double) + n->of.events * 3 * PLACE); /* sums; events */
}

static uint64_t merged_bytes(const counts *n)
{
    return n->of.users * 2 * PLACE + n->of.events * sizeof(m3_merged_event);
}

/* What neighbors are, and what they are made with. */
static uint64_t neighbors_bytes(const counts *n)
{
    return n->items * (NEAR + sizeof(double));
}

static uint64_t counting_bytes(const counts *n)
{
    return n->items * (PLACE + sizeof(double) + ID + sizeof(m3_weighted)) + n->of.events * (PLACE + ID);
}

/* Numbers of the run's rows by items, while all else is made; its samples; known rows, and neighbors of new items. What
 * its own set has is counted as this one's. */
static void add_start(const counts *n, const m3_model_config *c, m3_host_files *f)
{
    const uint64_t looked = n->items < M3_KNOWN_ROWS ? n->items : M3_KNOWN_ROWS;
    const uint64_t samples = n->items * 2 * ID + n->of.targets * (1 + sizeof(m3_sample) + ID) + n->of.users * 3 * PLACE;
    const uint64_t known = n->items + looked * (uint64_t)c->width * sizeof(float);
    const uint64_t near = merged_bytes(n) + neighbors_bytes(n) + counting_bytes(n);
    f->making = n->items * ID + more(more(f->making, samples), more(known, near));
}

/* Whether there is a filter of events, only the set tells: it counts. */
static void add_denoised(const counts *n, const m3_model_config *c, m3_host_files *f)
{
    uint64_t all = 0, widest = 0;
    for (int32_t k = 0; k < c->modality_count; k++) {
        all += (uint64_t)c->modalities[k];
        widest = more(widest, (uint64_t)c->modalities[k]);
    }
    f->items += n->items * all * sizeof(float);
    const uint64_t merged = merged_bytes(n);
    const bool filters = c->behavior_denoise && c->behaviors > 1;
    uint64_t making = filters ? n->of.events * 3 * sizeof(double) : 0; /* support */
    if (c->modality_denoise) {
        const uint64_t rounds = n->items * (widest * sizeof(float) + 3 * sizeof(double) + sizeof(m3_weighted));
        making = more(making, neighbors_bytes(n) + more(counting_bytes(n), rounds));
    }
    if (filters)
        f->events += merged + (n->of.users + n->of.events) * PLACE;
    else
        making += merged;
    f->making = more(f->making, making);
}

m3_host_counts m3_host_count(const m3_dataset *set, uint32_t target)
{
    m3_host_counts n = {.users = m3_dataset_user_count(set), .events = m3_dataset_event_count(set)};
    for (uint32_t u = 0; u < n.users; u++) n.targets += m3_dataset_events(set, u, target).count;
    return n;
}

m3_host_files m3_host_files_of(const m3_model_config *c, const m3_host_counts *of)
{
    m3_host_files f = {0};
    const counts n = {(uint64_t)c->items + 1, *of};
    add_samples(&n, &f);
    if (c->trend > 0) add_trend(&n, &f);
    if (c->denoise == M3_DENOISE_NEIGHBORS && c->modality_count > 0) add_denoised(&n, c, &f);
    if (of->starts) add_start(&n, c, &f);
    return f;
}

/* For people. */

static double mebibytes(uint64_t bytes)
{
    return (double)bytes / 1048576.0;
}

void m3_host_say(const m3_trainer *tr, char *text, size_t bytes)
{
    const m3_programs *p = &tr->programs;
    const m3_executable *const all[] = {p->step,   p->apply,     p->infer,     p->window, p->fetch, p->rows,
                                        p->scores, p->published, p->denoisers, p->users,  p->sums,  p->gradients};
    const m3_host_moved moved = {.ranks = tr->shared.count,
                                 .sums = tr->shared.bytes,
                                 .window = tr->window->rows,
                                 .row = (uint64_t)tr->config.width * sizeof(float),
                                 .named = tr->window->items,
                                 .ahead = tr->shards->prefetch != NULL};
    m3_host_counts has = m3_host_count(tr->set, m3_split_target(tr->split));
    has.starts = tr->keys.from[0] != 0;
    const m3_host_files f = m3_host_files_of(&tr->config, &has);
    uint64_t blocks = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) blocks += m3_host_blocks(all[i]);
    (void)snprintf(
        text, bytes,
        "and in its host's memory sums and rows on their way %.1f MiB, inputs and outputs %.1f MiB; nothing else "
        "there grows with the set: %.1f MiB, %.0f bytes an item and %.0f an event, lie in files without a name "
        "beside the run, and %.1f MiB more until now",
        mebibytes(m3_host_moved_bytes(&moved)), mebibytes(blocks), mebibytes(f.items + f.events),
        (double)f.items / (double)m3_dataset_item_count(tr->set), (double)f.events / (double)has.events,
        mebibytes(f.making));
}
