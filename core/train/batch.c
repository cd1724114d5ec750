/* batch: which training samples, in which order, with which negatives. Everything is a pure function of the set and
 * (seed, epoch, batch), so a resumed training sees what an uninterrupted one would have seen.
 *   order      Fisher-Yates with draws keyed by (seed, epoch)
 *   negatives  uniform over the items that the user never touched, keyed by (seed, batch, row, draw) */
#include "core/train/batch.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/data/draw.h"

struct m3_feed {
    const m3_dataset *set;
    const m3_sample *samples; /* the split's */
    uint64_t *order;          /* [count] into samples, of the epoch at hand */
    uint64_t *kept;           /* [count] into samples, rising */
    uint64_t count, skipped, seed;
    uint32_t behaviors, length, batch, negatives, items;
};

static bool has_history(const m3_dataset *set, const m3_sample *sample, uint32_t behaviors)
{
    for (uint32_t b = 0; b < behaviors; b++) {
        m3_events events = m3_dataset_events(set, sample->user, b);
        if (events.count != 0 && events.times[0] < sample->time) return true;
    }
    return false;
}

static m3_status keep_samples(m3_feed *feed, uint64_t all, bool keep_empty, m3_error *err)
{
    if (all == 0)
        return M3_FAIL(err, M3_ERR_INVALID, "data",
                       "the set has no training sample: no user has the target behavior; choose another target");
    feed->kept = m3_calloc(all, sizeof *feed->kept);
    feed->order = m3_calloc(all, sizeof *feed->order);
    if (feed->kept == NULL || feed->order == NULL) return M3_FAIL_MEMORY(err, "samples", 2 * all * sizeof *feed->kept);
    for (uint64_t i = 0; i < all; i++)
        if (keep_empty || has_history(feed->set, &feed->samples[i], feed->behaviors)) feed->kept[feed->count++] = i;
    feed->skipped = all - feed->count;
    if (feed->count == 0)
        return M3_FAIL(err, M3_ERR_INVALID, "data",
                       "none of the %llu training samples has an event before it, so there is nothing to learn from; "
                       "give more events a user, or set empty_histories to keep",
                       (unsigned long long)all);
    memcpy(feed->order, feed->kept, feed->count * sizeof *feed->order);
    return M3_OK;
}

m3_status m3_feed_create(const m3_dataset *set, const m3_split *split, const m3_model_config *config, uint64_t seed,
                         bool keep_empty, m3_feed **out, m3_error *err)
{
    m3_status st = M3_OK;
    uint64_t all;
    m3_feed *feed = m3_calloc(1, sizeof *feed);
    *out = NULL;
    if (feed == NULL) return M3_FAIL_MEMORY(err, "samples", sizeof *feed);
    *feed = (m3_feed){.set = set,
                      .samples = m3_split_samples(split, M3_PART_TRAIN, &all),
                      .seed = seed,
                      .behaviors = (uint32_t)config->behaviors,
                      .length = (uint32_t)config->length,
                      .batch = (uint32_t)config->batch,
                      .negatives = strcmp(config->loss, "sampled") == 0 ? (uint32_t)config->negatives : 0,
                      .items = m3_dataset_item_count(set)};
    if (feed->negatives != 0 && feed->items < 2) {
        st = M3_FAIL(err, M3_ERR_INVALID, "loss",
                     "is sampled, but the set has %u item, so there is no negative; set loss to full", feed->items);
        goto done;
    }
    if ((st = keep_samples(feed, all, keep_empty, err)) != M3_OK) goto done;
    *out = feed;
    feed = NULL; /* the caller owns it now */
done:
    m3_feed_free(feed);
    return st;
}

void m3_feed_free(m3_feed *feed)
{
    if (feed == NULL) return;
    m3_free(feed->kept);
    m3_free(feed->order);
    m3_free(feed);
}

uint64_t m3_feed_samples(const m3_feed *feed)
{
    return feed->count;
}

uint64_t m3_feed_skipped(const m3_feed *feed)
{
    return feed->skipped;
}

uint64_t m3_feed_batches(const m3_feed *feed)
{
    return (feed->count + feed->batch - 1) / feed->batch;
}

void m3_feed_shuffle(m3_feed *feed, uint32_t epoch)
{
    memcpy(feed->order, feed->kept, feed->count * sizeof *feed->order);
    for (uint64_t i = feed->count; i > 1; i--) {
        uint64_t j = m3_draw(feed->seed, epoch, M3_SITE_ORDER, i) % i, other = feed->order[j];
        feed->order[j] = feed->order[i - 1];
        feed->order[i - 1] = other;
    }
}

const m3_sample *m3_feed_at(const m3_feed *feed, uint64_t i)
{
    return &feed->samples[feed->order[i]];
}

/* A user who touched every item still gets negatives: any item but the target. */
static void draw_negatives(const m3_feed *feed, const m3_sample *sample, uint32_t draw, uint32_t row, int32_t *to)
{
    m3_items touched = m3_dataset_touched(feed->set, sample->user);
    if (touched.count >= feed->items) touched = (m3_items){.count = 1, .items = &sample->item};
    for (uint32_t k = 0; k < feed->negatives; k++) {
        uint64_t bits = m3_draw(feed->seed, draw, M3_SITE_NEGATIVES, (uint64_t)row * feed->negatives + k);
        to[k] = (int32_t)m3_draw_item(bits, feed->items, touched);
    }
}

static void clear(const m3_feed *feed, uint32_t rows, const m3_batch *to)
{
    uint32_t n = feed->batch, left = n - rows, L = feed->length;
    for (uint32_t b = 0; to->ids != NULL && b < feed->behaviors; b++)
        memset(to->ids + ((size_t)b * n + rows) * L, 0, (size_t)left * L * sizeof *to->ids);
    if (to->target != NULL) memset(to->target + rows, 0, left * sizeof *to->target);
    if (to->negatives != NULL)
        memset(to->negatives + (size_t)rows * feed->negatives, 0,
               (size_t)left * feed->negatives * sizeof *to->negatives);
}

uint32_t m3_feed_fill(const m3_feed *feed, uint64_t index, uint32_t draw, const m3_batch *to)
{
    uint64_t first = index * feed->batch, left = first < feed->count ? feed->count - first : 0;
    uint32_t rows = left < feed->batch ? (uint32_t)left : feed->batch, L = feed->length;
    for (uint32_t i = 0; i < rows; i++) {
        const m3_sample *sample = m3_feed_at(feed, first + i);
        if (to->ids != NULL)
            m3_dataset_history(feed->set, sample->user, sample->time, L, (size_t)feed->batch * L,
                               to->ids + (size_t)i * L);
        if (to->target != NULL) to->target[i] = (int32_t)sample->item;
        if (to->negatives != NULL) draw_negatives(feed, sample, draw, i, to->negatives + (size_t)i * feed->negatives);
    }
    clear(feed, rows, to);
    if (to->rng != NULL)
        memcpy(to->rng, (uint32_t[]){(uint32_t)feed->seed, (uint32_t)(feed->seed >> 32), draw}, 3 * sizeof *to->rng);
    if (to->valid != NULL) *to->valid = (float)rows;
    return rows;
}

m3_batch m3_batch_of(m3_executable *executable)
{
    return (m3_batch){.ids = m3_executable_input(executable, "ids", NULL),
                      .target = m3_executable_input(executable, "target", NULL),
                      .negatives = m3_executable_input(executable, "negatives", NULL),
                      .rng = m3_executable_input(executable, "rng", NULL),
                      .valid = m3_executable_input(executable, "valid", NULL)};
}
