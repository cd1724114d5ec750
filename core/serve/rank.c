/* rank: scores of samples, the place of a sample's item among them, and metrics over places (MODEL.md 12). */
#include "core/serve/rank.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"

m3_status m3_check_scores(const m3_infer_shape *shape, uint32_t rows, m3_error *err)
{
    const uint64_t count = (uint64_t)rows * shape->items;
    if (shape->scores == NULL)
        return M3_FAIL(err, M3_ERR_INTERNAL, "scores", "are not published by this executable of inference");
    for (uint64_t i = 0; i < count; i++)
        if (!isfinite(shape->scores[i]))
            return M3_FAIL(err, M3_ERR_INVALID, "scores",
                           "hold %s at [%llu, %llu] of a batch, so there is no order; parameters or features are too "
                           "large: train with a lower lr, or scale the features",
                           isnan(shape->scores[i]) ? "nan" : "infinity", (unsigned long long)(i / shape->items),
                           (unsigned long long)(i % shape->items));
    return M3_OK;
}

typedef struct scoring {
    m3_infer_shape shape;
    m3_scored_fn scored;
    void *user;
} scoring;

static m3_status hand_out(void *user, uint64_t first, uint32_t rows, m3_error *err)
{
    const scoring *s = user;
    m3_status st = m3_check_scores(&s->shape, rows, err);
    for (uint32_t i = 0; st == M3_OK && i < rows; i++)
        s->scored(s->user, first + i, s->shape.scores + (size_t)i * s->shape.items);
    return st;
}

m3_status m3_score_samples(m3_executable *infer, m3_infer_source source, const m3_sample *samples, uint64_t count,
                           m3_scored_fn scored, void *user, m3_error *err)
{
    scoring s = {.scored = scored, .user = user};
    m3_status st = m3_infer_shape_of(infer, &s.shape, err);
    return st != M3_OK ? st : m3_infer_samples(&s.shape, source, samples, count, hand_out, &s, err);
}

uint32_t m3_rank_full(const float *scores, uint32_t item_count, uint32_t item, m3_items had)
{
    const float own = scores[item - 1];
    uint32_t rank = 0; /* the item itself does not score less than itself, and is the one that ranks begin with */
    for (uint32_t j = 0; j < item_count; j++) rank += !(scores[j] < own);
    for (uint32_t i = 0; i < had.count; i++) rank -= !(scores[had.items[i] - 1] < own);
    return rank;
}

typedef struct ranking {
    const m3_split *split;
    const m3_sample *samples;
    uint32_t items, *ranks;
} ranking;

static void rank_one(void *user, uint64_t index, const float *scores)
{
    const ranking *r = user;
    const m3_sample *sample = &r->samples[index];
    r->ranks[index] = m3_rank_full(scores, r->items, sample->item, m3_split_had_before(r->split, sample));
}

m3_status m3_rank_samples(m3_executable *infer, m3_infer_source source, const m3_split *split, const m3_sample *samples,
                          uint64_t count, uint32_t *ranks, m3_error *err)
{
    ranking r = {split, samples, m3_dataset_item_count(source.set), ranks};
    return m3_score_samples(infer, source, samples, count, rank_one, &r, err);
}

m3_status m3_places_init(m3_places *places, uint32_t most, m3_error *err)
{
    *places = (m3_places){.most = most, .at = m3_calloc((size_t)most + 1, sizeof *places->at)};
    return places->at != NULL ? M3_OK : M3_FAIL_MEMORY(err, "places", ((size_t)most + 1) * sizeof *places->at);
}

void m3_places_fini(m3_places *places)
{
    m3_free(places->at);
    *places = (m3_places){0};
}

void m3_places_clear(m3_places *places)
{
    places->samples = 0;
    memset(places->at, 0, ((size_t)places->most + 1) * sizeof *places->at);
}

void m3_places_add(m3_places *places, uint32_t place)
{
    places->samples++;
    if (place <= places->most) places->at[place]++;
}

double m3_places_mean(const m3_places *places, m3_metric metric)
{
    const uint32_t end = metric.k < places->most ? metric.k : places->most;
    double sum = 0.0;
    for (uint32_t place = 1; place <= end; place++)
        if (places->at[place] != 0) sum += (double)places->at[place] * m3_metric_of_place(metric, place);
    return places->samples != 0 ? sum / (double)places->samples : 0.0;
}
