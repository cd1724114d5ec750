/* work: see the header. A node takes  max(FLOP / arithmetic, bytes / bandwidth) * factor of its op + what any node
 * takes. */
#include "core/plan/work.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/model/model.h"
#include "core/parallel/group.h"
#include "core/programs/programs.h"
#include "core/runtime/engine.h"
#include "core/runtime/executable.h"

typedef m3_status (*build_fn)(m3_engine *engine, const m3_model_config *config, const m3_build_options *options,
                              m3_graph **graph, m3_error *err);

typedef m3_status (*build_shard_fn)(m3_engine *engine, const m3_model_config *config, const m3_shard_size *size,
                                    m3_graph **graph, m3_error *err);

/* @param graph  Freed here; NULL where it was not built. */
static m3_status plan_graph(const m3_work_options *o, const m3_model_config *config, m3_graph *graph, const char *name,
                            m3_buckets *buckets, m3_executable **to, m3_error *err)
{
    m3_status st = M3_OK;
    const m3_compile_options compile = {.size = M3_STRUCT_SIZE(m3_compile_options, recompute),
                                        .name = name,
                                        .no_pass = o->plan->no_pass,
                                        .strict = o->plan->strict,
                                        .precision = m3_model_precision(config),
                                        .recompute = m3_model_recompute(config),
                                        .fallbacks = o->plan->fallbacks};
    if (buckets != NULL) st = m3_programs_buckets(graph, o->plan->no_pass, buckets, err);
    if (st == M3_OK && (*to = m3_calloc(1, sizeof **to)) == NULL) st = M3_FAIL_MEMORY(err, "plan", sizeof **to);
    if (st == M3_OK) st = m3_executable_plan(*to, o->device, graph, &compile, buckets, err);
    m3_graph_free(graph);
    return st;
}

static m3_status plan_one(const m3_work_options *o, const m3_model_config *config, build_fn build, const char *name,
                          m3_build_options how, m3_buckets *buckets, m3_executable **to, m3_error *err)
{
    m3_graph *graph = NULL;
    how.size = M3_STRUCT_SIZE(m3_build_options, parts);
    how.no_pass = o->plan->no_pass;
    const m3_status st = build(m3_device_engine(o->device), config, &how, &graph, err);
    return st == M3_OK ? plan_graph(o, config, graph, name, buckets, to, err) : st;
}

static m3_status plan_shard(const m3_work_options *o, build_shard_fn build, const char *name, m3_executable **to,
                            m3_error *err)
{
    m3_graph *graph = NULL;
    const m3_status st = build(m3_device_engine(o->device), o->config, &o->shard, &graph, err);
    return st == M3_OK ? plan_graph(o, o->config, graph, name, NULL, to, err) : st;
}

/* The step sees a window, and what is said of it here is what core/programs makes. */
static m3_status plan_loss(const m3_work_options *o, m3_build_options how, m3_work *work, m3_error *err)
{
    m3_status st = plan_one(o, o->config, m3_model_build_users, "users", how, NULL, &work->users, err);
    if (st == M3_OK) st = plan_shard(o, m3_model_build_sums, "sums", &work->sums, err);
    if (st == M3_OK) st = plan_shard(o, m3_model_build_gradients, "gradients", &work->gradients, err);
    return st;
}

m3_status m3_work_make(const m3_work_options *o, m3_work *work, m3_error *err)
{
    m3_status st;
    m3_model_config updated = *o->config;
    const bool loss = o->shard.users != 0;
    const m3_build_options step = {.accumulate = o->accumulate || loss,
                                   .window = loss ? (uint32_t)o->config->items + 1 : o->window,
                                   .elsewhere = loss,
                                   .parts = o->parts};
    *work = (m3_work){0};
    updated.items = (int32_t)o->updated_items;
    st = plan_one(o, o->config, m3_model_build_train, step.accumulate ? "accumulate" : "train", step,
                  o->early ? &work->buckets : NULL, &work->step, err);
    if (st == M3_OK && loss) st = plan_loss(o, step, work, err);
    if (st == M3_OK && o->accumulate)
        st = plan_one(o, &updated, m3_model_build_apply, "apply",
                      (m3_build_options){.accumulate = true, .window = o->window}, NULL, &work->apply, err);
    if (st == M3_OK && o->window != 0 && !m3_model_sees_all(o->config, o->window))
        st = plan_one(o, o->config, m3_model_build_window, "window", (m3_build_options){.window = o->window}, NULL,
                      &work->window, err);
    if (st == M3_OK && o->eval_batch != 0)
        st =
            plan_one(o, o->config, m3_model_build_infer, "infer",
                     (m3_build_options){.batch = o->eval_batch, .publish = M3_PUBLISH_SCORES}, NULL, &work->infer, err);
    return st;
}

void m3_work_fini(m3_work *work)
{
    m3_executable_free(work->step);
    m3_executable_free(work->apply);
    m3_executable_free(work->infer);
    m3_buckets_fini(&work->buckets);
    m3_executable_free(work->window);
    m3_executable_free(work->users);
    m3_executable_free(work->sums);
    m3_executable_free(work->gradients);
    *work = (m3_work){0};
}

/* What is stored, by name. */

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_of_table(const char *name)
{
    const char *last = strstr(name, M3_ITEM_PARAMETER);
    return last != NULL && strcmp(last, M3_ITEM_PARAMETER) == 0;
}

static int kind_of(const char *name, bool sharded)
{
    if (starts_with(name, "window.")) return M3_PLAN_WINDOW;
    if (is_of_table(name)) {
        if (sharded) return M3_PLAN_WINDOW;
        if (starts_with(name, "adam.")) return M3_PLAN_MOMENTS;
        return starts_with(name, "accum.") ? M3_PLAN_SUMS : M3_PLAN_TABLE;
    }
    if (starts_with(name, "accum.")) return M3_PLAN_SUMS;
    return starts_with(name, "features") ? M3_PLAN_FEATURES : M3_PLAN_DENSE;
}

static uint64_t aligned_bytes(const m3_executable *e, const m3_tensor *x)
{
    const uint64_t alignment = e->devices[0]->limits.offset_alignment;
    return (m3_tensor_bytes(x) + alignment - 1) / alignment * alignment;
}

static bool is_stored(const m3_tensor *x)
{
    return x->kind == M3_PARAMETER || x->kind == M3_STATE;
}

static bool has(const m3_executable *e, const char *name)
{
    return e != NULL && m3_graph_find(e->graph, name) != NULL;
}

void m3_work_add_stored(const m3_work *w, bool sharded, uint64_t memory[M3_PLAN_MEMORIES])
{
    const m3_executable *const all[] = {w->step, w->apply, w->infer, w->window};
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
        const uint32_t tensors = all[k] != NULL ? m3_graph_tensor_count(all[k]->graph) : 0;
        for (uint32_t i = 0; i < tensors; i++) {
            const m3_tensor *x = m3_graph_tensor(all[k]->graph, i);
            if (!is_stored(x) || (k > 0 && has(all[0], x->name)) || (k > 1 && has(all[1], x->name)) ||
                (k > 2 && has(all[2], x->name)))
                continue;
            if (sharded && k > 0 && is_of_table(x->name)) continue;
            memory[kind_of(x->name, sharded)] += aligned_bytes(all[k], x);
        }
    }
}

uint64_t m3_work_scratch(const m3_executable *e)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; e != NULL && i < e->targets[0].plan.segment_count; i++)
        bytes += e->targets[0].plan.segments[i].bytes;
    return bytes;
}

uint64_t m3_work_sums(const m3_work *w, bool sharded)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < m3_graph_tensor_count(w->step->graph); i++) {
        const m3_tensor *x = m3_graph_tensor(w->step->graph, i);
        if (x->kind == M3_STATE && starts_with(x->name, "accum.") && !(sharded && is_of_table(x->name)))
            bytes += m3_tensor_bytes(x);
    }
    return bytes;
}

uint64_t m3_work_largest(const m3_work *w)
{
    const m3_executable *const all[] = {w->step, w->apply};
    uint64_t largest = 0;
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++)
        for (uint32_t i = 0; all[k] != NULL && i < m3_graph_tensor_count(all[k]->graph); i++) {
            const m3_tensor *x = m3_graph_tensor(all[k]->graph, i);
            const bool kept = is_stored(x) && !starts_with(x->name, "features") && !starts_with(x->name, "window.");
            if (kept && m3_tensor_bytes(x) > largest) largest = m3_tensor_bytes(x);
        }
    return largest;
}

/* Time. */

static double factor_of(const m3_plan_rates *rates, const char *op)
{
    for (uint32_t i = 0; i < rates->ops.count; i++) {
        const m3_plan_op *known = m3_span_at(rates->ops, i);
        if (strcmp(known->name, op) == 0) return known->factor;
    }
    return rates->factor;
}

typedef struct node_time {
    double seconds;
    bool arithmetic; /* is longer than memory */
} node_time;

static node_time time_of(const m3_node *node, const m3_plan_rates *rates)
{
    const double half = rates->half_flops > 0 ? rates->half_flops : rates->flops;
    const double arithmetic = (double)m3_node_flops(node) / (m3_node_has_halves(node) ? half : rates->flops);
    const double memory = (double)m3_node_traffic(node, NULL) / rates->memory;
    const double floor = fmax(arithmetic, memory);
    return (node_time){floor * factor_of(rates, node->op->name) + rates->node_s, arithmetic > memory};
}

void m3_work_add_time(const m3_executable *e, const m3_plan_rates *rates, double runs, m3_ranks_plan *to)
{
    for (uint32_t i = 0; e != NULL && i < e->schedule.step_count; i++) {
        const m3_node *node = e->schedule.steps[i].node;
        const node_time time = time_of(node, rates);
        to->seconds[time.arithmetic ? M3_PLAN_ARITHMETIC : M3_PLAN_MEMORY] += runs * time.seconds;
        to->flops += (uint64_t)(runs * (double)m3_node_flops(node));
        to->bytes += (uint64_t)(runs * (double)m3_node_traffic(node, NULL));
    }
    if (e != NULL) to->seconds[M3_PLAN_RUNS] += runs * rates->run_s;
}

/* Sums on their way. */

static uint64_t bucket_traffic(const m3_work *w, bool sharded, uint32_t bucket, uint32_t ranks)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < w->buckets.states; i++) {
        const m3_tensor *sum = m3_graph_find(w->step->graph, w->buckets.names[i]);
        if (w->buckets.bucket[i] == bucket && sum != NULL && !(sharded && is_of_table(sum->name)))
            bytes += m3_tensor_bytes(sum);
    }
    return m3_sum_traffic(bytes / sizeof(float), ranks);
}

uint64_t m3_work_traffic(const m3_work *w, bool sharded, uint32_t ranks)
{
    uint64_t bytes = 0;
    for (uint32_t b = 0; b < w->buckets.count; b++) bytes += bucket_traffic(w, sharded, b, ranks);
    return bytes;
}

static double times_of(const m3_work *w, const m3_plan_options *o, const m3_partition *p)
{
    double seconds = 0;
    for (uint32_t k = p->first; k < p->first + p->count; k++)
        seconds += o->crowd * time_of(w->step->schedule.steps[k].node, &o->rates).seconds;
    return seconds;
}

/* A bucket goes when its last state is there and what was before it is away; the host's part is left out. */
double m3_work_exposed(const m3_work *w, const m3_plan_options *o, double before, double batches)
{
    double now = 0, batch = 0;
    uint32_t sent = 0;
    const m3_schedule *s = &w->step->schedule;
    for (uint32_t i = 0; i < s->partition_count; i++) batch += times_of(w, o, &s->partitions[i]);
    double away = fmax(before - (batches - 1.0) * batch, 0.0);
    for (uint32_t i = 0; i < s->partition_count; i++) {
        const m3_partition *p = &s->partitions[i];
        now += times_of(w, o, p);
        for (; sent < (i + 1 < s->partition_count ? p->ready : w->buckets.count); sent++)
            away = fmax(now, away) + (double)bucket_traffic(w, o->sharded, sent, o->ranks) / o->link + 2.0 * o->latency;
    }
    return fmax(away - now, 0.0);
}
