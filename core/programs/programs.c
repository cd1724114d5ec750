/* programs: the executables of a model over one store: the training step, whole or in two halves, inference for scores,
 * and inference that publishes more. And when memory does not suffice for them, what would fit:
 *   largest b so that  stored + sum over programs of segments(b)  <=  free memory,  found by planning, then by trying.
 */
#include "core/programs/programs.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/model/model.h"
#include "core/passes/pass.h"
#include "core/runtime/executable.h"
#include "core/runtime/need.h"

/* More buckets hide more of the exchange behind the backward pass, and each costs a start of the device and an
 * exchange. Below so many bytes that is no gain. */
enum { MOST_BUCKETS = 4, LEAST_BYTES = 64 << 10 };

/* The step or its first half, its second half, inference, inference that publishes more, losses of denoisers; the
 * window of a whole table; scores, rows, and the update of a table in shards; users, sums and gradients of its full
 * loss. */
enum { PIECES = 12 };

typedef m3_status (*build_fn)(m3_engine *engine, const m3_model_config *config, const m3_build_options *options,
                              m3_graph **graph, m3_error *err);
typedef m3_status (*build_shard_fn)(m3_engine *engine, const m3_model_config *config, const m3_shard_size *size,
                                    m3_graph **graph, m3_error *err);

typedef struct piece {
    const char *name; /* NULL: not wanted */
    build_fn build;   /* NULL: of the shard */
    m3_build_options options;
    build_shard_fn build_shard;
} piece;

static m3_status build(const m3_programs_plan *plan, const piece *p, m3_graph **graph, m3_error *err)
{
    const m3_shard_size size = {plan->shard.rows, plan->shard.batch, plan->shard.trained, plan->shard.tile};
    m3_engine *engine = m3_device_engine(plan->device);
    return p->build != NULL ? p->build(engine, plan->config, &p->options, graph, err)
                            : p->build_shard(engine, plan->config, &size, graph, err);
}

static void list_pieces(const m3_programs_plan *plan, piece pieces[PIECES])
{
    const bool sharded = plan->shard.rows != 0, accumulate = plan->accumulate > 1 || plan->window != 0;
    const m3_build_options step = {.size = M3_STRUCT_SIZE(m3_build_options, parts),
                                   .batch = plan->batch,
                                   .no_pass = plan->no_pass,
                                   .accumulate = accumulate,
                                   .window = plan->window,
                                   .elsewhere = sharded,
                                   .parts = plan->parts};
    m3_build_options infer = step, published = step, denoisers = step, scores = step;
    memset(pieces, 0, PIECES * sizeof *pieces);
    infer.batch = plan->eval_batch;
    infer.publish = sharded ? M3_PUBLISH_USER : M3_PUBLISH_SCORES;
    published.batch = plan->published_batch;
    published.publish = plan->publish;
    denoisers.batch = plan->denoiser_batch;
    scores.batch = plan->shard.users;
    if (!sharded) infer.window = published.window = denoisers.window = 0;
    infer.accumulate = published.accumulate = denoisers.accumulate = scores.accumulate = false;
    if (plan->batch != 0) pieces[0] = (piece){accumulate ? "accumulate" : "train", m3_model_build_train, step, NULL};
    if (plan->batch != 0 && accumulate) pieces[1] = (piece){"apply", m3_model_build_apply, step, NULL};
    if (plan->eval_batch != 0) pieces[2] = (piece){"infer", m3_model_build_infer, infer, NULL};
    if (plan->published_batch != 0) pieces[3] = (piece){"published", m3_model_build_infer, published, NULL};
    if (plan->denoiser_batch != 0) pieces[4] = (piece){"denoisers", m3_model_build_denoisers, denoisers, NULL};
    if (plan->window != 0 && !sharded && !m3_model_sees_all(plan->config, plan->window))
        pieces[5] = (piece){"window", m3_model_build_window, step, NULL};
    if (!sharded) return;
    if (plan->eval_batch != 0) pieces[6] = (piece){"scores", m3_model_build_scores, scores, NULL};
    pieces[7] = (piece){.name = "fetch", .build_shard = m3_model_build_fetch};
    pieces[8] = (piece){.name = "rows", .build_shard = m3_model_build_update};
    if (plan->shard.trained == 0) return;
    pieces[9] = (piece){"users", m3_model_build_users, step, NULL};
    pieces[10] = (piece){.name = "sums", .build_shard = m3_model_build_sums};
    pieces[11] = (piece){.name = "gradients", .build_shard = m3_model_build_gradients};
}

static m3_compile_options compile_options(const m3_programs_plan *plan, const char *name)
{
    return (m3_compile_options){.size = M3_STRUCT_SIZE(m3_compile_options, recompute),
                                .name = name,
                                .no_pass = plan->no_pass,
                                .strict = plan->strict,
                                .precision = m3_model_precision(plan->config),
                                .recompute = m3_model_recompute(plan->config),
                                .fallbacks = plan->fallbacks};
}

m3_status m3_programs_buckets(const m3_graph *graph, const char *const *no_pass, m3_buckets *buckets, m3_error *err)
{
    const uint32_t most = m3_pass_enabled(no_pass, "overlap") ? MOST_BUCKETS : 1;
    return m3_buckets_make(buckets, graph, "accum.", most, LEAST_BYTES, err);
}

static m3_status make_piece(const m3_programs_plan *plan, const piece *p, m3_store *store, m3_buckets *buckets,
                            m3_executable **executable, m3_error *err)
{
    m3_graph *graph = NULL;
    const m3_compile_options options = compile_options(plan, p->name);
    const bool early = plan->early && p->options.accumulate && p->build == m3_model_build_train;
    m3_status st = build(plan, p, &graph, err);
    if (st == M3_OK && early) st = m3_programs_buckets(graph, plan->no_pass, buckets, err);
    if (st == M3_OK)
        st = m3_executable_create_early(plan->device, store, graph, &options, early ? buckets : NULL, executable, err);
    m3_graph_free(graph);
    return st;
}

m3_status m3_programs_make(const m3_programs_plan *plan, m3_store *store, m3_programs *programs, m3_error *err)
{
    piece pieces[PIECES];
    m3_executable **to[PIECES] = {&programs->step,      &programs->apply,  &programs->infer,  &programs->published,
                                  &programs->denoisers, &programs->window, &programs->scores, &programs->fetch,
                                  &programs->rows,      &programs->users,  &programs->sums,   &programs->gradients};
    m3_status st = M3_OK;
    *programs = (m3_programs){0};
    list_pieces(plan, pieces);
    for (int i = 0; i < PIECES && st == M3_OK; i++)
        if (pieces[i].name != NULL) st = make_piece(plan, &pieces[i], store, &programs->buckets, to[i], err);
    if (st != M3_OK) m3_programs_free(programs);
    return st;
}

void m3_programs_free(m3_programs *programs)
{
    m3_executable_free(programs->step);
    m3_executable_free(programs->apply);
    m3_executable_free(programs->infer);
    m3_executable_free(programs->published);
    m3_executable_free(programs->denoisers);
    m3_buckets_fini(&programs->buckets);
    m3_executable_free(programs->window);
    m3_executable_free(programs->scores);
    m3_executable_free(programs->fetch);
    m3_executable_free(programs->rows);
    m3_executable_free(programs->users);
    m3_executable_free(programs->sums);
    m3_executable_free(programs->gradients);
    *programs = (m3_programs){0};
}

/* What would fit. */

static m3_status measure(const m3_programs_plan *plan, uint64_t *bytes)
{
    piece pieces[PIECES];
    m3_need need = {0};
    m3_error ignored = {0};
    m3_status st = M3_OK;
    list_pieces(plan, pieces);
    for (int i = 0; i < PIECES && st == M3_OK; i++) {
        m3_graph *graph = NULL;
        if (pieces[i].name == NULL) continue;
        const m3_compile_options options = compile_options(plan, pieces[i].name);
        st = build(plan, &pieces[i], &graph, &ignored);
        if (st == M3_OK) st = m3_executable_measure(plan->device, graph, &options, &need, &ignored);
        m3_graph_free(graph);
    }
    *bytes = need.bytes;
    m3_need_fini(&need);
    return st;
}

/* The plan with another size: batches of a step are cut so that the step stays the same where that is possible. */
static m3_programs_plan resized(const m3_programs_plan *plan, uint32_t size)
{
    m3_programs_plan other = *plan;
    if (plan->batch == 0) {
        other.eval_batch = size;
        return other;
    }
    other.batch = size;
    if (!plan->spread) return other;
    const uint64_t samples = plan->batch * (plan->accumulate > 1 ? plan->accumulate : 1);
    const uint64_t min = (samples + size - 1) / size;
    other.accumulate = min;
    while (samples % other.accumulate != 0 && other.accumulate < 2 * min) other.accumulate++;
    if (samples % other.accumulate != 0) other.accumulate = min;
    other.batch = (uint32_t)((samples + other.accumulate - 1) / other.accumulate);
    if (plan->parts > 1) other.parts = (uint32_t)other.accumulate;
    other.shard.trained = plan->shard.trained / plan->batch * other.batch;
    if (plan->shard.rows == 0 && other.accumulate > 1 && m3_model_is_lazy(plan->config))
        other.window = m3_model_window_rows(plan->config, other.batch * other.accumulate);
    return other;
}

static bool is_within(const m3_programs_plan *plan, uint64_t limit)
{
    uint64_t bytes = 0;
    return measure(plan, &bytes) == M3_OK && bytes <= limit;
}

/* A plan does not count what a backend takes for itself, so what should fit is tried. */
static bool really_fits(const m3_programs_plan *plan)
{
    m3_store *store = NULL;
    m3_programs programs = {0};
    m3_error ignored = {0};
    m3_status st = m3_store_create(plan->device, 0, &store, &ignored);
    if (st == M3_OK && plan->fill != NULL) st = plan->fill(plan->user, store, &ignored);
    if (st == M3_OK) st = m3_programs_make(plan, store, &programs, &ignored);
    m3_programs_free(&programs);
    m3_store_free(store);
    return st == M3_OK;
}

/* The largest size below the plan's that fits; 0: none. */
static uint32_t find_size(const m3_programs_plan *plan, uint64_t limit)
{
    uint32_t good = 0, bad = plan->batch != 0 ? plan->batch : plan->eval_batch;
    while (bad - good > 1) {
        const uint32_t middle = good + (bad - good) / 2;
        const m3_programs_plan other = resized(plan, middle);
        if (is_within(&other, limit))
            good = middle;
        else
            bad = middle;
    }
    for (; good > 0; good -= good / 8 + 1) {
        const m3_programs_plan other = resized(plan, good);
        if (really_fits(&other)) return good;
    }
    return 0;
}

M3_PRINTF(2, 3)
static void append(m3_error *err, const char *format, ...)
{
    const size_t at = strlen(err->message);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(err->message + at, sizeof err->message - at, format, args);
    va_end(args);
}

static void append_sizes(const m3_programs_plan *plan, const m3_programs_plan *fits, m3_error *err)
{
    if (plan->batch == 0) {
        append(err, "; %s=%u would fit", plan->key, fits->eval_batch);
        return;
    }
    append(err, "; %s=%u", plan->key, fits->batch);
    if (plan->spread) append(err, " accumulate=%llu", (unsigned long long)fits->accumulate);
    if (fits->eval_batch != plan->eval_batch) append(err, " eval_batch=%u", fits->eval_batch);
    append(err, " would fit");
}

void m3_programs_explain(const m3_programs_plan *plan, m3_error *err)
{
    /* Histories ranked at once, when a small batch is not enough. */
    static const uint32_t fewer[] = {UINT32_MAX, 16, 1};
    m3_device_limits limits;
    m3_error ignored = {0};
    uint64_t wanted = 0, min = 0;
    if (err == NULL || (err->code != M3_ERR_MEMORY && err->code != M3_ERR_UNSUPPORTED)) return;
    if (m3_device_get_limits(plan->device, &limits, &ignored) != M3_OK || limits.memory_total == 0) return;
    const m3_programs_plan smallest = resized(plan, 1);
    if (measure(&smallest, &min) != M3_OK) return; /* it is not for its size */
    /* Half: the rest may be what a backend takes for itself. Below that, the host's memory ran out, not the device's.
     */
    if (measure(plan, &wanted) == M3_OK && wanted < limits.memory_free / 2) return;
    for (size_t i = 0; i < sizeof fewer / sizeof fewer[0]; i++) {
        m3_programs_plan with = *plan;
        if (i > 0 && (plan->batch == 0 || plan->eval_batch <= fewer[i])) continue;
        if (i > 0) with.eval_batch = fewer[i];
        if (with.published_batch > fewer[i]) with.published_batch = fewer[i];
        if (with.denoiser_batch > fewer[i]) with.denoiser_batch = fewer[i];
        const uint32_t size = find_size(&with, limits.memory_free);
        if (size == 0) continue;
        const m3_programs_plan fits = resized(&with, size);
        append_sizes(plan, &fits, err);
        return;
    }
    append(err,
           "; all of it takes %llu bytes with a %s of 1, which does not fit either: use a smaller model or another "
           "device",
           (unsigned long long)min, plan->key);
}
