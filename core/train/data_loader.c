/* data_loader: which training samples, in which order, with which negatives. Everything is a pure function of the set
 * and (seed, epoch, batch), so a resumed training sees what an uninterrupted one would have seen. How many samples a
 * batch has changes neither their order nor their negatives.
 *   order      Fisher-Yates with draws keyed by (seed, epoch)
 *   negatives  uniform over the items that the user does not touch in training, keyed by (seed, epoch, place, draw):
 *              which item is held out must not show. Where repeats are samples, over all items but the target */
#include "core/train/data_loader.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/spill.h"
#include "core/data/draw.h"
#include "core/data/history.h"
#include "core/data/split.h"
#include "core/model/model.h"

struct m3_data_loader {
    const m3_dataset *set;
    const m3_event_filter *filter; /* NULL: all events stay */
    const m3_sample *samples;      /* the split's */
    uint64_t *order;               /* [count] into samples, of the epoch at hand */
    uint64_t *kept;                /* [count] into samples, rising */
    m3_trend *trend;               /* NULL: not wanted */
    uint64_t *touched_starts;      /* [U + 1] places in touched; NULL: any item but the target is a negative */
    uint32_t *touched;             /* different items that each user has in training, by rising number */
    uint64_t count, skipped, seed;
    uint32_t behaviors, length, batch, negatives, items;
    uint32_t epoch; /* at hand */
};

static bool has_history(const m3_data_loader *loader, const m3_sample *sample)
{
    for (uint32_t b = 0; b < loader->behaviors; b++)
        if (m3_history_count(loader->filter, loader->set, sample->user, sample->time, b, 1) != 0) return true;
    return false;
}

static m3_status keep_samples(m3_data_loader *loader, uint64_t all, const char *beside, bool keep_empty,
                              const bool *wanted, m3_error *err)
{
    uint64_t asked = 0;
    m3_status st = M3_OK;
    if (all == 0)
        return M3_FAIL(err, M3_ERR_INVALID, "data",
                       "the set has no training sample: no user has the target behavior; choose another target");
    loader->kept = m3_spill_array(beside, all, sizeof *loader->kept, &st, err);
    loader->order = m3_spill_array(beside, all, sizeof *loader->order, &st, err);
    if (st != M3_OK) return st;
    for (uint64_t i = 0; i < all; i++) {
        if (wanted != NULL && !wanted[i]) continue;
        asked++;
        if (keep_empty || has_history(loader, &loader->samples[i])) loader->kept[loader->count++] = i;
    }
    loader->skipped = asked - loader->count;
    if (asked == 0)
        return M3_FAIL(err, M3_ERR_INVALID, "train_on",
                       "is new, but the run to start from was trained on all %llu training samples; set it to all",
                       (unsigned long long)all);
    if (loader->count == 0)
        return M3_FAIL(err, M3_ERR_INVALID, "data",
                       "none of the %llu training samples has an event before it, so there is nothing to learn from; "
                       "give more events a user, or set empty_histories to keep",
                       (unsigned long long)asked);
    memcpy(loader->order, loader->kept, loader->count * sizeof *loader->order);
    return M3_OK;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Add an item to the list of user u, which ends at `at`, unless it is there. */
static uint64_t add_touched(m3_data_loader *loader, uint32_t *seen, uint32_t u, uint32_t item, uint64_t at)
{
    /* In range, unless something writes to the set's file. */
    if (item == 0 || item > loader->items || seen[item] == u + 1) return at;
    seen[item] = u + 1;
    loader->touched[at] = item;
    return at + 1;
}

/* What m3_dataset_touched() has, up to the end of training, and all of the user's training samples: one may share its
 * time with the first that is held out. */
static m3_status list_touched(m3_data_loader *loader, const m3_split *split, uint64_t samples, m3_error *err)
{
    const uint32_t users = m3_dataset_user_count(loader->set);
    uint64_t all = 0, at = 0, next = 0;
    for (uint32_t u = 0; u < users; u++) all += m3_dataset_touched(loader->set, u).count;
    const char *beside = m3_split_beside(split);
    m3_status st = M3_OK;
    loader->touched_starts = m3_spill_array(beside, (uint64_t)users + 1, sizeof *loader->touched_starts, &st, err);
    loader->touched = m3_spill_array(beside, all, sizeof *loader->touched, &st, err);
    /* The last user with the item, + 1. */
    uint32_t *seen = m3_spill_array(beside, (uint64_t)loader->items + 1, sizeof *seen, &st, err);
    if (st != M3_OK) return st;
    for (uint32_t u = 0; u < users; u++) {
        const uint64_t start = loader->touched_starts[u] = at;
        for (uint32_t b = 0; b < m3_dataset_behavior_count(loader->set); b++) {
            const m3_events events = m3_dataset_events(loader->set, u, b);
            const uint32_t end = m3_events_before(events, m3_split_until(split, u));
            for (uint32_t i = 0; i < end && at < all; i++) at = add_touched(loader, seen, u, events.items[i], at);
        }
        for (; next < samples && loader->samples[next].user == u; next++)
            if (at < all) at = add_touched(loader, seen, u, loader->samples[next].item, at);
        if (at > start) qsort(loader->touched + start, at - start, sizeof *loader->touched, by_number);
    }
    loader->touched_starts[users] = at;
    m3_spill_free(seen);
    return M3_OK;
}

m3_status m3_data_loader_create(const m3_dataset *set, const m3_split *split, const m3_event_filter *filter,
                                const m3_model_config *config, uint64_t seed, bool keep_empty, const bool *wanted,
                                m3_data_loader **out, m3_error *err)
{
    m3_status st = M3_OK;
    uint64_t all;
    m3_data_loader *loader = m3_calloc(1, sizeof *loader);
    *out = NULL;
    if (loader == NULL) return M3_FAIL_MEMORY(err, "samples", sizeof *loader);
    *loader = (m3_data_loader){.set = set,
                               .filter = filter,
                               .samples = m3_split_samples(split, M3_SPLIT_TRAIN, &all),
                               .seed = seed,
                               .behaviors = (uint32_t)config->behaviors,
                               .length = (uint32_t)config->length,
                               .negatives = config->loss == M3_LOSS_SAMPLED ? (uint32_t)config->negatives : 0,
                               .items = m3_dataset_item_count(set)};
    if (loader->negatives != 0 && loader->items < 2) {
        st = M3_FAIL(err, M3_ERR_INVALID, "loss",
                     "is sampled, but the set has %u item, so there is no negative; set loss to full", loader->items);
        goto done;
    }
    if ((st = keep_samples(loader, all, m3_split_beside(split), keep_empty, wanted, err)) != M3_OK) goto done;
    /* Rows beyond the samples would be computed and count for nothing. */
    const uint64_t batch = (uint64_t)config->batch;
    loader->batch = (uint32_t)(batch < loader->count ? batch : loader->count);
    if (loader->negatives != 0 && !m3_dataset_split_rule(set).repeats &&
        (st = list_touched(loader, split, all, err)) != M3_OK)
        goto done;
    if (config->trend > 0 && (st = m3_trend_create(set, split, config->trend, &loader->trend, err)) != M3_OK) goto done;
    *out = loader;
    loader = NULL; /* the caller owns it now */
done:
    m3_data_loader_free(loader);
    return st;
}

void m3_data_loader_free(m3_data_loader *loader)
{
    if (loader == NULL) return;
    m3_trend_free(loader->trend);
    m3_spill_free(loader->touched_starts);
    m3_spill_free(loader->touched);
    m3_spill_free(loader->kept);
    m3_spill_free(loader->order);
    m3_free(loader);
}

uint64_t m3_data_loader_samples(const m3_data_loader *loader)
{
    return loader->count;
}

uint64_t m3_data_loader_skipped(const m3_data_loader *loader)
{
    return loader->skipped;
}

uint32_t m3_data_loader_batch(const m3_data_loader *loader)
{
    return loader->batch;
}

uint64_t m3_data_loader_batches(const m3_data_loader *loader)
{
    return (loader->count + loader->batch - 1) / loader->batch;
}

const m3_trend *m3_data_loader_trend(const m3_data_loader *loader)
{
    return loader->trend;
}

void m3_data_loader_shuffle(m3_data_loader *loader, uint32_t epoch)
{
    loader->epoch = epoch;
    memcpy(loader->order, loader->kept, loader->count * sizeof *loader->order);
    for (uint64_t i = loader->count; i > 1; i--) {
        uint64_t j = m3_draw(loader->seed, epoch, M3_SITE_ORDER, i) % i, other = loader->order[j];
        loader->order[j] = loader->order[i - 1];
        loader->order[i - 1] = other;
    }
}

const m3_sample *m3_data_loader_at(const m3_data_loader *loader, uint64_t i)
{
    return &loader->samples[loader->order[i]];
}

/* A user who touched every item still gets negatives: any item but the target. */
static void draw_negatives(const m3_data_loader *loader, const m3_sample *sample, uint64_t place, int32_t *to)
{
    m3_items touched = {.count = loader->items};
    if (loader->touched_starts != NULL) {
        const uint64_t from = loader->touched_starts[sample->user];
        touched = (m3_items){(uint32_t)(loader->touched_starts[sample->user + 1] - from), loader->touched + from};
    }
    if (touched.count >= loader->items) touched = (m3_items){.count = 1, .items = &sample->item};
    for (uint32_t k = 0; k < loader->negatives; k++) {
        uint64_t bits = m3_draw(loader->seed, loader->epoch, M3_SITE_NEGATIVES, place * loader->negatives + k);
        to[k] = (int32_t)m3_draw_item(bits, loader->items, touched);
    }
}

/* How many items a row's trend is of. */
static size_t trend_width(const m3_data_loader *loader)
{
    return loader->negatives != 0 ? 1 + (size_t)loader->negatives : loader->items;
}

/* Of all items, or of the target and the row's negatives. */
static void fill_trend(const m3_data_loader *loader, const m3_sample *sample, uint32_t row, const m3_batch *batch)
{
    const float *all = m3_trend_at(loader->trend, sample->time);
    float *to = batch->trend + row * trend_width(loader);
    if (loader->negatives == 0) {
        memcpy(to, all, loader->items * sizeof *to);
        return;
    }
    to[0] = all[sample->item - 1];
    for (uint32_t k = 0; k < loader->negatives; k++)
        to[1 + k] = all[batch->negatives[(size_t)row * loader->negatives + k] - 1];
}

static void clear(const m3_data_loader *loader, uint32_t rows, const m3_batch *to)
{
    uint32_t n = loader->batch, left = n - rows, L = loader->length;
    for (uint32_t b = 0; to->ids != NULL && b < loader->behaviors; b++)
        memset(to->ids + ((size_t)b * n + rows) * L, 0, (size_t)left * L * sizeof *to->ids);
    if (to->target != NULL) memset(to->target + rows, 0, left * sizeof *to->target);
    if (to->negatives != NULL)
        memset(to->negatives + (size_t)rows * loader->negatives, 0,
               (size_t)left * loader->negatives * sizeof *to->negatives);
    if (to->trend != NULL)
        memset(to->trend + rows * trend_width(loader), 0, left * trend_width(loader) * sizeof *to->trend);
}

/* Samples of the batches first .. first + count - 1. */
static uint64_t samples_of(const m3_data_loader *loader, uint64_t first, uint64_t count)
{
    const uint64_t begin = first * loader->batch, end = begin + count * loader->batch;
    return (end < loader->count ? end : loader->count) - (begin < loader->count ? begin : loader->count);
}

static void count_sample(const m3_data_loader *loader, const m3_sample *sample, m3_step_samples *step)
{
    uint64_t sequences = 0;
    for (uint32_t b = 0; b < loader->behaviors; b++) {
        const uint32_t count =
            m3_history_count(loader->filter, loader->set, sample->user, sample->time, b, loader->length);
        sequences += count != 0;
        step->positions[b] += count;
    }
    step->sequences += sequences;
    step->squares += sequences * sequences;
}

m3_step_samples m3_data_loader_step(const m3_data_loader *loader, uint64_t first, uint32_t batches, bool counted)
{
    m3_step_samples step = {.first = first, .batches = batches, .rows = samples_of(loader, first, batches)};
    for (uint64_t i = 0; counted && i < step.rows; i++)
        count_sample(loader, m3_data_loader_at(loader, first * loader->batch + i), &step);
    return step;
}

/* What a part has of the other batches of its step. */
static void fill_step(const m3_data_loader *loader, uint64_t index, const m3_batch *to)
{
    const m3_step_samples *step = to->step;
    const float batches = (float)step->batches;
    if (to->rng != NULL && to->parts != 0)
        memcpy(to->rng + 3, (uint32_t[]){(uint32_t)(index - step->first), to->parts}, 2 * sizeof *to->rng);
    if (to->valid != NULL) *to->valid = (float)step->rows / batches;
    if (to->step_place != NULL) *to->step_place = (int32_t)((index - step->first) * loader->batch);
    for (uint64_t i = 0; to->step_target != NULL && i < (uint64_t)to->parts * loader->batch; i++)
        to->step_target[i] =
            i < step->rows ? (int32_t)m3_data_loader_at(loader, step->first * loader->batch + i)->item : 0;
    if (to->step_counts == NULL) return;
    to->step_counts[M3_COUNT_SEQUENCES] = (float)step->sequences / batches;
    to->step_counts[M3_COUNT_SQUARES] = (float)step->squares / batches;
    for (uint32_t b = 0; b < loader->behaviors; b++)
        to->step_counts[M3_COUNT_POSITIONS + b] = (float)step->positions[b] / batches;
}

uint32_t m3_data_loader_fill(const m3_data_loader *loader, uint64_t index, uint32_t draw, const m3_batch *to)
{
    const uint64_t first = index * loader->batch;
    const uint32_t rows = (uint32_t)samples_of(loader, index, 1), L = loader->length;
    for (uint32_t i = 0; i < rows; i++) {
        const m3_sample *sample = m3_data_loader_at(loader, first + i);
        if (to->ids != NULL)
            m3_history_filtered(loader->filter, loader->set, sample->user, sample->time, L, (size_t)loader->batch * L,
                                to->ids + (size_t)i * L);
        if (to->target != NULL) to->target[i] = (int32_t)sample->item;
        if (to->negatives != NULL)
            draw_negatives(loader, sample, first + i, to->negatives + (size_t)i * loader->negatives);
        const bool drawn = loader->negatives == 0 || to->negatives != NULL; /* what the trend is of */
        if (to->trend != NULL && loader->trend != NULL && drawn) fill_trend(loader, sample, i, to);
    }
    clear(loader, rows, to);
    if (to->rng != NULL)
        memcpy(to->rng, (uint32_t[]){(uint32_t)loader->seed, (uint32_t)(loader->seed >> 32), draw},
               3 * sizeof *to->rng);
    if (to->valid != NULL) *to->valid = (float)rows;
    if (to->step != NULL) fill_step(loader, index, to);
    return rows;
}

m3_batch m3_batch_of(m3_executable *executable)
{
    uint64_t bytes = 0;
    float *sampled = m3_executable_input(executable, "trend_sampled", NULL);
    uint32_t *rng = m3_executable_input(executable, "rng", &bytes);
    return (m3_batch){.ids = m3_executable_input(executable, "ids", NULL),
                      .target = m3_executable_input(executable, "target", NULL),
                      .negatives = m3_executable_input(executable, "negatives", NULL),
                      .trend = sampled != NULL ? sampled : m3_executable_input(executable, "trend", NULL),
                      .rng = rng,
                      .parts = bytes > 3 * sizeof *rng ? 1 : 0,
                      .valid = m3_executable_input(executable, "valid", NULL),
                      .step_target = m3_executable_input(executable, "step_target", NULL),
                      .step_place = m3_executable_input(executable, "step_place", NULL),
                      .step_counts = m3_executable_input(executable, "step_counts", NULL)};
}
