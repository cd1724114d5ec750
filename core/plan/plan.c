/* plan: see the header. The exchanges are those of core/parallel/group.c and core/train/ranks.c:
 *   a rank sends     2 (R - 1)/R of the sums of gradients, as each adds up a slice: reduce-scatter, all-gather
 *   sharded          the window's rows but its own, (R - 1)/R of them: 4 bytes of an id, the row, its gradient; ids go
 *                    beside the batches of steps before, and rows that the step before does not touch (prefetch.h)
 *   lazily           the items of its batches to everybody, and gradients of what all touched in the place of the table
 *   losses           its own to everybody
 * and a step takes
 *   T = batches * step + apply + bus + bytes sent / link + exchanges * latency
 * with what a run of an executable takes added up over its nodes (work.c), and less what goes over the link while the
 * last batch is computed. No rank waits for one that is slower, so T is what ranks that are alike take on a link that
 * is theirs. */
#include <math.h>
#include <string.h>

#include "core/model/model.h"
#include "core/parallel/group.h"
#include "core/passes/pass.h"
#include "core/plan/work.h"
#include "core/runtime/engine.h"
#include "core/settings/settings.h"
#include "core/train/host.h"
#include "core/train/ranks.h"

typedef struct planning {
    m3_device *device;
    m3_plan_options options;
    m3_training keys;
    m3_model_config config, local; /* as asked; what one rank's step computes with */
    m3_host_counts counts;         /* of the set; zeros without one */
    double touched;                /* sharded: rows that all batches of a step touch */
    uint64_t updated;              /* rows of the item table that one rank updates */
    uint32_t window;               /* rows that a step sees, not sharded; 0: all */
    uint64_t row_bytes;
    bool ahead;          /* sharded: ids and rows of the next step go beside this one's batches */
    m3_shard_size shard; /* of the full loss over shards; users 0: none */
    m3_work work;
    m3_ranks_plan plan;
} planning;

/* Different items among `draws` of `items`, as many as are expected when each is as likely. */
static double distinct(double draws, double items)
{
    return -items * expm1(draws * log1p(-1.0 / items));
}

/* Items that a batch names: in histories, as targets and as negatives. */
static double named(const m3_model_config *c)
{
    return (double)c->batch * (double)m3_model_sample_items(c);
}

/* Items that a rank names in a step: in its batches, and the targets of all. */
static double rank_named(const planning *p)
{
    const m3_ranks_plan *plan = &p->plan;
    const uint64_t targets = plan->batches > 1 ? m3_model_step_targets(&p->config, plan->samples) : 0;
    return (double)plan->own_batches * named(&p->config) + (double)targets;
}

static m3_status check_options(const planning *p, m3_error *err)
{
    const m3_plan_options *o = &p->options;
    const m3_plan_rates *r = &o->rates;
    enum { MOST = 1 << 20 }; /* what a rank sends is added up rank by rank */
    if (o->ranks < 1 || o->ranks > MOST)
        return M3_FAIL(err, M3_ERR_INVALID, "ranks", "are %u; give 1 to %d", (unsigned)o->ranks, MOST);
    if (!(o->link > 0) || !(o->latency >= 0) || !isfinite(o->link) || !isfinite(o->latency))
        return M3_FAIL(err, M3_ERR_INVALID, "link", "is %g bytes a second, with a latency of %g s; give more than 0",
                       o->link, o->latency);
    if (!(r->flops > 0) || !(r->memory > 0) || !(r->factor > 0) || !(r->bus >= 0) || !(r->run_s >= 0) ||
        !(r->node_s >= 0) || !isfinite(r->flops + r->memory + r->factor + r->bus + r->run_s + r->node_s))
        return M3_FAIL(err, M3_ERR_INVALID, "rates",
                       "of the device are %g FLOP/s and %g bytes/s; give what it was measured at", r->flops, r->memory);
    return M3_OK;
}

/* Sizes are the set's where one is named, else those that are written. */
static m3_status take_sizes(planning *p, const m3_settings *settings, m3_error *err)
{
    m3_engine *engine = m3_device_engine(p->device);
    m3_dataset *set = NULL;
    if (p->keys.data[0] == 0) return m3_settings_config(engine, settings, &p->config, err);
    m3_status st = m3_dataset_open(p->keys.data, &set, err);
    uint32_t target = 0;
    if (st == M3_OK) st = m3_settings_model(engine, settings, set, &p->config, err);
    if (st == M3_OK) st = m3_settings_target(settings, set, &target, err);
    if (st == M3_OK) p->counts = m3_host_count(set, target);
    m3_dataset_close(set);
    return st;
}

static m3_status take_settings(planning *p, const m3_settings *settings, m3_error *err)
{
    m3_settings_training(settings, &p->keys);
    m3_status st = take_sizes(p, settings, err);
    if (st != M3_OK) return st;
    p->counts.starts = p->keys.from[0] != 0;
    if (p->options.items > INT32_MAX - 1)
        return M3_FAIL(err, M3_ERR_RANGE, "items", "are %llu; ids have 31 bits, so give at most %d",
                       (unsigned long long)p->options.items, INT32_MAX - 1);
    if (p->options.items != 0) p->config.items = (int32_t)p->options.items;
    if ((st = m3_model_check(m3_device_engine(p->device), &p->config, err)) != M3_OK) return st;
    return check_options(p, err);
}

/* Of a step in two halves, lazily (core/train/window.h). */
static uint32_t window_of(const planning *p, uint64_t batches)
{
    const uint64_t samples = batches * (uint64_t)p->config.batch;
    return batches > 1 && m3_model_is_lazy(&p->config) ? m3_model_window_rows(&p->config, samples) : 0;
}

/* How a step is shared out, and which rows of the table a rank has to do with. */
static void size_step(planning *p)
{
    m3_ranks_plan *plan = &p->plan;
    const uint64_t ranks = p->options.ranks;
    const double items = (double)p->config.items;
    plan->items = (uint64_t)p->config.items;
    plan->own_batches = (p->keys.accumulate + ranks - 1) / ranks;
    plan->batches = plan->own_batches * ranks;
    plan->samples = plan->batches * (uint64_t)p->config.batch;
    plan->shard_rows = plan->items + 1;
    p->local = p->config;
    p->updated = plan->items;
    if (!p->options.sharded) {
        p->window = window_of(p, plan->batches);
        return;
    }
    const double window = rank_named(p);
    plan->shard_rows = (plan->items + 1 + ranks - 1) / ranks;
    plan->window_rows = window < items ? (uint64_t)window + 1 : plan->items + 1;
    p->local.items = (int32_t)plan->window_rows - 1;
    p->touched = distinct((double)plan->batches * named(&p->config), items);
    p->updated = plan->shard_rows;
    p->ahead = ranks > 1 && p->config.loss == M3_LOSS_SAMPLED && m3_pass_enabled(p->options.no_pass, "overlap");
    if (p->config.loss == M3_LOSS_FULL && ranks > 1) { /* one rank has the table whole */
        p->shard.rows = p->shard.batch = (uint32_t)plan->shard_rows;
        p->shard.users = (uint32_t)(ranks * (uint64_t)p->config.batch);
        p->shard.tile = m3_model_tile(&p->config, p->shard.rows, p->shard.users);
    }
    if (m3_model_is_lazy(&p->config)) p->updated = (uint64_t)ceil(p->touched / (double)ranks);
}

static m3_status make_work(planning *p, m3_error *err)
{
    const m3_work_options o = {.device = p->device,
                               .config = &p->local,
                               .accumulate = p->plan.batches > 1,
                               .parts = (uint32_t)p->plan.batches,
                               .early = p->options.ranks > 1,
                               .updated_items = p->updated > 1 ? p->updated : 1,
                               .window = p->window,
                               .shard = p->shard,
                               .eval_batch = p->options.sharded ? 0 : (uint32_t)p->keys.eval_batch,
                               .plan = &p->options};
    const bool small = p->window != 0 && !m3_model_sees_all(&p->config, p->window);
    const char *name = small || p->shard.users != 0 ? M3_WINDOW_TABLE : M3_ITEM_PARAMETER;
    const m3_status st = m3_work_make(&o, &p->work, err);
    const m3_tensor *table = st == M3_OK ? m3_graph_find(m3_executable_graph(p->work.step), name) : NULL;
    if (table != NULL) p->row_bytes = m3_tensor_bytes(table) / table->shape.dim[0];
    return st;
}

/* What goes between ranks. */

/* Of a round: users with a wish to stop, gradients by them, and three numbers of each user's scores. */
static void add_loss_traffic(planning *p)
{
    m3_ranks_plan *plan = &p->plan;
    const uint64_t others = p->options.ranks - 1, rounds = plan->own_batches;
    const uint64_t modalities = p->config.fusion == M3_FUSION_SCORES ? (uint64_t)p->config.modality_count + 1 : 1;
    const uint64_t vectors = (uint64_t)p->config.batch * modalities * (uint64_t)p->config.width * sizeof(float);
    plan->traffic[M3_PLAN_ROWS] += rounds * others * (vectors + sizeof(float));
    plan->traffic[M3_PLAN_GRADIENTS] += rounds * others * vectors;
    plan->traffic[M3_PLAN_LOSSES] += rounds * others * p->shard.users * 3 * sizeof(double);
}

static void add_traffic(planning *p)
{
    m3_ranks_plan *plan = &p->plan;
    const uint32_t ranks = p->options.ranks;
    const uint64_t others = ranks - 1;
    if (ranks == 1) return;
    plan->traffic[M3_PLAN_SUMMED] = m3_work_traffic(&p->work, p->options.sharded, ranks);
    plan->traffic[M3_PLAN_LOSSES] = others * sizeof(m3_losses) * (1 + plan->own_batches);
    if (p->window != 0) {
        const double own = fmin(rank_named(p), (double)plan->items + 1.0);
        plan->traffic[M3_PLAN_IDS] = others * (uint64_t)(1.0 + own) * sizeof(int32_t);
    }
    if (!p->options.sharded) return;
    /* Of the rows of one rank's window as many lie with each rank. */
    const double window = distinct(rank_named(p), (double)plan->items);
    const double foreign = window * (double)others / ranks;
    const uint64_t rows = (uint64_t)llround(foreign);
    plan->traffic[M3_PLAN_IDS] = rows * sizeof(int32_t) + others * sizeof(uint64_t);
    if (p->ahead && m3_model_is_lazy(&p->config)) plan->traffic[M3_PLAN_IDS] += rows; /* whether they come early */
    plan->traffic[M3_PLAN_ROWS] = rows * p->row_bytes;
    plan->traffic[M3_PLAN_GRADIENTS] = rows * p->row_bytes;
    plan->traffic[M3_PLAN_LOSSES] += others * sizeof(double); /* of the norm */
    if (p->shard.users != 0) add_loss_traffic(p);
}

/* Seconds of what goes ahead of a step: ids in three exchanges, and lazily rows that the step before does not touch.
 * @param rows  Bytes of these. */
static double ahead_seconds(const planning *p, double *rows)
{
    const m3_plan_options *o = &p->options;
    const bool lazy = m3_model_is_lazy(&p->config);
    *rows = 0.0;
    if (!p->ahead) return 0.0;
    if (lazy) *rows = (double)p->plan.traffic[M3_PLAN_ROWS] * (1.0 - p->touched / (double)p->plan.items);
    return ((double)p->plan.traffic[M3_PLAN_IDS] + *rows) / o->link + (lazy ? 4.0 : 2.0) * o->latency;
}

/* What is left of the way of the sums behind the last batch, and of what goes ahead; then losses, and before and behind
 * it counts, ids, rows, gradients and norms. */
static double link_seconds(const planning *p, double *hidden)
{
    const m3_plan_options *o = &p->options;
    double early = 0.0;
    if (o->ranks == 1) return 0.0;
    const double sums = (double)p->plan.traffic[M3_PLAN_SUMMED] / o->link + 2.0 * p->work.buckets.count * o->latency;
    const double ahead = ahead_seconds(p, &early);
    /* The processors that such a device computes on move the bytes, too: what goes early was measured to hide nothing.
     */
    const bool on_host = !(o->rates.bus > 0);
    const double exposed = on_host ? sums + ahead : m3_work_exposed(&p->work, o, ahead, (double)p->plan.own_batches);
    const double exchanges = o->sharded ? (p->ahead ? 3.0 : 5.0) : p->window != 0 ? 1.0 : 0.0;
    double others = (1.0 + exchanges) * o->latency - early / o->link;
    if (p->shard.users != 0) others += 3.0 * (double)p->plan.own_batches * o->latency;
    for (int i = 0; i < M3_PLAN_TRAFFICS; i++)
        if (i != M3_PLAN_SUMMED && !(i == M3_PLAN_IDS && p->ahead)) others += (double)p->plan.traffic[i] / o->link;
    *hidden = sums + ahead - exposed;
    return exposed + others;
}

/* Memory. */

static void add_memory(planning *p)
{
    uint64_t *memory = p->plan.memory;
    const m3_work *w = &p->work;
    const bool sharded = p->options.sharded;
    m3_work_add_stored(w, sharded, memory);
    if (sharded) {
        memory[M3_PLAN_TABLE] = p->plan.shard_rows * p->row_bytes;
        memory[M3_PLAN_MOMENTS] = 2 * memory[M3_PLAN_TABLE];
    }
    memory[M3_PLAN_TEMPORARIES] = m3_work_scratch(w->step) + m3_work_scratch(w->apply) + m3_work_scratch(w->window) +
                                  m3_work_scratch(w->users) + m3_work_scratch(w->sums) + m3_work_scratch(w->gradients);
    memory[M3_PLAN_RANKING] = m3_work_scratch(w->infer);
    const m3_host_moved moved = {.ranks = p->options.ranks,
                                 .sums = m3_work_sums(w, sharded),
                                 .largest = m3_work_largest(w),
                                 .window = sharded ? p->plan.window_rows : 0,
                                 .row = p->row_bytes,
                                 .ahead = p->ahead,
                                 .named = (uint64_t)rank_named(p)};
    memory[M3_PLAN_HOST] = m3_host_moved_bytes(&moved) + m3_host_blocks(w->step) + m3_host_blocks(w->apply) +
                           m3_host_blocks(w->infer) + m3_host_blocks(w->window) + m3_host_blocks(w->users) +
                           m3_host_blocks(w->sums) + m3_host_blocks(w->gradients);
    if (p->shard.users != 0) memory[M3_PLAN_HOST] += p->plan.shard_rows * p->row_bytes; /* gradients of its rows */
    if (!sharded || p->options.ranks == 1) return;
    const m3_host_files files = m3_host_files_of(&p->config, &p->counts);
    p->plan.files_items = files.items;
    p->plan.files_events = files.events;
    p->plan.files_making = files.making;
}

/* Time. */

/* The sums of gradients come to the host and go back, and are added up there: each rank reads what it gets, and reads,
 * copies and writes its slice. */
static double bus_seconds(const planning *p)
{
    const m3_plan_rates *r = &p->options.rates;
    if (p->options.ranks == 1) return 0.0;
    const double sums = (double)m3_work_sums(&p->work, p->options.sharded);
    const double rows = p->options.sharded ? (double)p->plan.window_rows * (double)p->row_bytes : 0.0;
    if (r->bus > 0) return 2.0 * (sums + rows) / r->bus;
    return (2.0 * 2.0 * (sums + rows) + sums * (1.0 + 4.0 / p->options.ranks)) / r->memory;
}

static double sum_seconds(const m3_ranks_plan *plan)
{
    double seconds = 0;
    for (int i = 0; i < M3_PLAN_TIMES; i++) seconds += plan->seconds[i];
    return seconds;
}

static void add_time(planning *p)
{
    m3_ranks_plan *plan = &p->plan;
    const m3_plan_options *o = &p->options;
    m3_work_add_time(p->work.step, &o->rates, (double)plan->own_batches, plan);
    m3_work_add_time(p->work.apply, &o->rates, 1.0, plan);
    m3_work_add_time(p->work.window, &o->rates, 1.0, plan);
    if (p->shard.users != 0) {
        const double batches = (double)plan->own_batches, tiles = ceil((double)p->shard.rows / p->shard.tile);
        m3_work_add_time(p->work.users, &o->rates, batches, plan);
        m3_work_add_time(p->work.sums, &o->rates, batches * tiles, plan);
        m3_work_add_time(p->work.gradients, &o->rates, batches * tiles, plan);
    }
    plan->seconds[M3_PLAN_BUS] = bus_seconds(p);
    for (int i = 0; i < M3_PLAN_LINK; i++) plan->seconds[i] *= o->crowd;
    plan->seconds[M3_PLAN_LINK] = link_seconds(p, &plan->hidden_s);
    plan->step_s = sum_seconds(plan);
}

/* The same batches in one process. */
static m3_status add_alone(planning *p, m3_error *err)
{
    m3_ranks_plan alone = {.size = sizeof alone};
    const bool two = p->plan.own_batches > 1;
    m3_work_options o = {.device = p->device,
                         .config = &p->local,
                         .accumulate = two,
                         .parts = (uint32_t)p->plan.own_batches,
                         .updated_items = p->updated > 1 ? p->updated : 1,
                         .window = p->options.sharded ? 0 : window_of(p, p->plan.own_batches),
                         .plan = &p->options};
    m3_work work = {0};
    const m3_status st = m3_work_make(&o, &work, err);
    if (st == M3_OK) {
        m3_work_add_time(work.step, &p->options.rates, (double)p->plan.own_batches, &alone);
        m3_work_add_time(work.apply, &p->options.rates, 1.0, &alone);
        m3_work_add_time(work.window, &p->options.rates, 1.0, &alone);
        p->plan.alone_s = sum_seconds(&alone);
    }
    m3_work_fini(&work);
    return st;
}

m3_status m3_plan_ranks(m3_device *device, const m3_settings *settings, const m3_plan_options *options,
                        m3_ranks_plan *plan, m3_error *err)
{
    m3_status st;
    planning p = {.device = device, .plan = {.size = M3_STRUCT_SIZE(m3_ranks_plan, files_making)}};
    m3_copy_out(&p.options, options, options->size, M3_STRUCT_SIZE(m3_plan_options, fallbacks));
    if (p.options.crowd == 0) p.options.crowd = 1;
    if ((st = take_settings(&p, settings, err)) != M3_OK) return st;
    size_step(&p);
    if ((st = make_work(&p, err)) == M3_OK) {
        add_traffic(&p);
        add_memory(&p);
        add_time(&p);
        st = add_alone(&p, err);
    }
    m3_work_fini(&p.work);
    if (st == M3_OK) m3_copy_out(plan, &p.plan, plan->size, p.plan.size);
    return st;
}
