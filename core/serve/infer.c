/* infer: inference over histories in batches. The rows of a last, smaller batch that are left over are users without
 * history. */
#include "core/serve/infer.h"

#include <string.h>

m3_status m3_infer_shape_of(m3_executable *infer, m3_infer_shape *shape, m3_error *err)
{
    const m3_tensor *ids = m3_graph_find(m3_executable_graph(infer), "ids");
    const m3_tensor *scores = m3_executable_output_tensor(infer, "scores");
    *shape = (m3_infer_shape){.executable = infer,
                              .ids = m3_executable_input(infer, "ids", NULL),
                              .recent = m3_executable_input(infer, "trend", NULL),
                              .scores = m3_executable_output(infer, "scores", NULL)};
    if (shape->ids == NULL || ids->shape.rank != 3)
        return M3_FAIL(err, M3_ERR_INTERNAL, "inference", "wants an input ids [B, n, L]");
    shape->behaviors = (uint32_t)ids->shape.dim[0];
    shape->batch = (uint32_t)ids->shape.dim[1];
    shape->length = (uint32_t)ids->shape.dim[2];
    if (scores != NULL) shape->items = (uint32_t)scores->shape.dim[1];
    return M3_OK;
}

/* Of whom the histories are. */
typedef struct histories_source {
    m3_infer_source from;
    const m3_histories *histories; /* NULL: the set's */
    const m3_sample *samples;      /* NULL: users */
    const uint32_t *users;
    uint64_t count;
} histories_source;

static m3_status fill_one(const histories_source *all, const m3_infer_shape *s, uint64_t index, size_t stride,
                          int32_t *ids, m3_error *err)
{
    const m3_infer_source *from = &all->from;
    if (all->histories != NULL)
        return m3_histories_filtered(from->filter, all->histories, all->users[index], s->length, stride, ids, err);
    const bool sampled = all->samples != NULL;
    m3_history_filtered(from->filter, from->set, sampled ? all->samples[index].user : all->users[index],
                        sampled ? all->samples[index].time : M3_TIME_END, s->length, stride, ids);
    return M3_OK;
}

/* Users are served after all events of the set that the model may know. */
static void fill_trend(const histories_source *all, const m3_infer_shape *s, uint64_t index, float *to)
{
    const int64_t time = all->samples != NULL ? all->samples[index].time : M3_TIME_END;
    memcpy(to, m3_trend_at(all->from.trend, time), s->items * sizeof *to);
}

static m3_status run(const histories_source *from, const m3_infer_shape *s, m3_inferred_fn inferred, void *user,
                     m3_error *err)
{
    m3_status st = M3_OK;
    const size_t stride = (size_t)s->batch * s->length;
    if (s->recent != NULL && from->from.trend == NULL)
        return M3_FAIL(err, M3_ERR_INTERNAL, "inference", "wants recent popularity, and none is given");
    for (uint64_t first = 0; st == M3_OK && first < from->count; first += s->batch) {
        if (from->from.stop != NULL && *from->from.stop != 0) return M3_ERR_INTERRUPTED;
        const uint32_t rows = from->count - first < s->batch ? (uint32_t)(from->count - first) : s->batch;
        memset(s->ids, 0, s->behaviors * stride * sizeof *s->ids);
        for (uint32_t i = 0; st == M3_OK && i < rows; i++)
            st = fill_one(from, s, first + i, stride, s->ids + (size_t)i * s->length, err);
        for (uint32_t i = 0; s->recent != NULL && i < rows; i++)
            fill_trend(from, s, first + i, s->recent + (size_t)i * s->items);
        if (st == M3_OK) st = m3_dataset_check(from->from.set, err); /* what was read is what was checked */
        if (st == M3_OK && from->from.place != NULL)
            st = from->from.place(from->from.user, s->ids, s->behaviors * stride, err);
        if (st == M3_OK && (st = m3_executable_run(s->executable, err)) == M3_OK) st = inferred(user, first, rows, err);
    }
    return st;
}

m3_status m3_infer_samples(const m3_infer_shape *shape, m3_infer_source source, const m3_sample *samples,
                           uint64_t count, m3_inferred_fn inferred, void *user, m3_error *err)
{
    const histories_source from = {.from = source, .samples = samples, .count = count};
    return run(&from, shape, inferred, user, err);
}

m3_status m3_infer_users(const m3_infer_shape *shape, m3_infer_source source, const m3_histories *histories,
                         const uint32_t *users, uint32_t count, m3_inferred_fn inferred, void *user, m3_error *err)
{
    const histories_source from = {.from = source, .histories = histories, .users = users, .count = count};
    const uint32_t there = histories != NULL ? m3_histories_user_count(histories) : m3_dataset_user_count(source.set);
    for (uint32_t i = 0; i < count; i++)
        if (users[i] >= there)
            return M3_FAIL(err, M3_ERR_RANGE, "users", "has %u, but there are %u, counted from 0", users[i], there);
    return run(&from, shape, inferred, user, err);
}
