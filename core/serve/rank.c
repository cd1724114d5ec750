/* rank: scores of samples, the place of a sample's item among them, and metrics over places (MODEL.md 12). */
#include "core/serve/rank.h"

#include <math.h>
#include <string.h>

static const uint32_t cuts[M3_METRIC_CUTS] = {5, 10, 20};

m3_status m3_infer_shape_of(m3_executable *infer, m3_infer_shape *shape, m3_error *err)
{
    const m3_tensor *ids = m3_graph_find(m3_executable_graph(infer), "ids");
    const m3_tensor *scores = m3_executable_output_tensor(infer, "scores");
    *shape = (m3_infer_shape){.ids = m3_executable_input(infer, "ids", NULL),
                              .scores = m3_executable_output(infer, "scores", NULL)};
    if (shape->ids == NULL || shape->scores == NULL || ids->shape.rank != 3 || scores->shape.rank != 2)
        return M3_FAIL(err, M3_ERR_INTERNAL, "inference", "wants an input ids [B, n, L] and an output scores [n, N]");
    shape->behaviors = (uint32_t)ids->shape.dim[0];
    shape->batch = (uint32_t)ids->shape.dim[1];
    shape->length = (uint32_t)ids->shape.dim[2];
    shape->items = (uint32_t)scores->shape.dim[1];
    return M3_OK;
}

m3_status m3_check_scores(const m3_infer_shape *shape, uint32_t rows, m3_error *err)
{
    const uint64_t count = (uint64_t)rows * shape->items;
    for (uint64_t i = 0; i < count; i++)
        if (!isfinite(shape->scores[i]))
            return M3_FAIL(err, M3_ERR_INVALID, "scores",
                           "hold %s at [%llu, %llu] of a batch, so there is no order; parameters or features are too "
                           "large: train with a lower lr, or scale the features",
                           isnan(shape->scores[i]) ? "nan" : "infinity", (unsigned long long)(i / shape->items),
                           (unsigned long long)(i % shape->items));
    return M3_OK;
}

m3_status m3_score_samples(m3_executable *infer, const m3_dataset *set, const m3_sample *samples, uint64_t count,
                           m3_scored_fn scored, void *user, m3_error *err)
{
    m3_infer_shape s;
    m3_status st = m3_infer_shape_of(infer, &s, err);
    const size_t stride = (size_t)s.batch * s.length;
    for (uint64_t first = 0; st == M3_OK && first < count; first += s.batch) {
        const uint32_t rows = count - first < s.batch ? (uint32_t)(count - first) : s.batch;
        memset(s.ids, 0, s.behaviors * stride * sizeof *s.ids); /* rows that are left over: users without history */
        for (uint32_t i = 0; i < rows; i++) {
            const m3_sample *sample = &samples[first + i];
            m3_dataset_history(set, sample->user, sample->time, s.length, stride, s.ids + (size_t)i * s.length);
        }
        if ((st = m3_executable_run(infer, err)) != M3_OK) break;
        if ((st = m3_check_scores(&s, rows, err)) != M3_OK) break;
        for (uint32_t i = 0; i < rows; i++) scored(user, first + i, s.scores + (size_t)i * s.items);
    }
    return st;
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

m3_status m3_rank_samples(m3_executable *infer, const m3_dataset *set, const m3_split *split, const m3_sample *samples,
                          uint64_t count, uint32_t *ranks, m3_error *err)
{
    ranking r = {split, samples, m3_dataset_item_count(set), ranks};
    return m3_score_samples(infer, set, samples, count, rank_one, &r, err);
}

void m3_metrics_add(m3_metrics *metrics, uint32_t rank)
{
    metrics->samples++;
    for (int k = 0; k < M3_METRIC_CUTS; k++) {
        if (rank > cuts[k]) continue;
        metrics->hr[k] += 1.0;
        metrics->ndcg[k] += 1.0 / log2(rank + 1.0);
        metrics->mrr[k] += 1.0 / rank;
    }
}

void m3_metrics_finish(m3_metrics *metrics)
{
    if (metrics->samples == 0) return;
    for (int k = 0; k < M3_METRIC_CUTS; k++) {
        metrics->hr[k] /= (double)metrics->samples;
        metrics->ndcg[k] /= (double)metrics->samples;
        metrics->mrr[k] /= (double)metrics->samples;
    }
}
