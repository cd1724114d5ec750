/* bench: time the model of some settings on random full histories: every position of every history has an item.
 * A run is what training or serving does again and again: host memory to host memory. Two runs warm up; then the
 * median is the result. A few more runs keep times per node: their median run gives the table by op, the host's share,
 * and what is told of nodes beside the rates that the device reaches at best (rates.h). */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/bench/rates.h"
#include "core/data/draw.h"
#include "core/programs/programs.h"
#include "core/runtime/engine.h"
#include "core/serve/serve.h"
#include "core/train/data_loader.h"
#include "core/train/lr_schedule.h"
#include "m3bsr/bench.h"

enum { WARM_UPS = 2, MIN_RUNS = 5, MAX_RUNS = 1000, PROFILED_RUNS = 5, TOP = 10, OPS = 64, SEED = 1 };
static const double about_s = 10.0;

typedef struct bench {
    m3_device *device;
    m3_bench_options options;
    m3_model_config config;
    m3_store *store;
    m3_executable *executable;
    m3_batch batch;
    m3_lr_schedule schedule;
    float *step;               /* training: the input of that name */
    m3_infer_shape shape;      /* inference */
    uint32_t *popularity;      /* inference: an order of items to break ties by */
    m3_recommendation *chosen; /* inference: [batch, TOP] */
    m3_rates rates;            /* measured where nodes are wanted */
    double peak_gflops;        /* of fused multiply-adds, 0 when the backend cannot measure it */
    uint64_t runs;
} bench;

/* Random inputs. */

static m3_status write_features(void *user, m3_store *store, m3_error *err)
{
    const bench *b = user;
    m3_status st = M3_OK;
    for (int32_t k = 0; st == M3_OK && k < b->config.modality_count; k++) {
        const uint64_t width = (uint64_t)b->config.modalities[k], rows = (uint64_t)b->config.items + 1;
        const m3_shape shape = m3_shape_of(2, (const uint64_t[]){rows, width});
        char name[32];
        float *data = m3_calloc(rows * width, sizeof *data);
        if (data == NULL) return M3_FAIL_MEMORY(err, "features", rows * width * sizeof *data);
        for (uint64_t i = width; i < rows * width; i++) {
            const uint64_t bits = m3_draw(SEED, (uint32_t)k, M3_SITE_BENCH, i);
            /* the sum of two uniform numbers, scaled to variance 1, is normal enough to time with */
            data[i] = ((float)(uint32_t)bits + (float)(uint32_t)(bits >> 32) - 0x1p32f) * (2.449490f * 0x1p-32f);
        }
        (void)snprintf(name, sizeof name, "features%d", (int)k);
        st = m3_store_write(store, name, M3_F32, &shape, data, err);
        m3_free(data);
    }
    return st;
}

static void draw_items(int32_t *to, uint64_t count, uint32_t items, uint32_t stream)
{
    for (uint64_t i = 0; to != NULL && i < count; i++)
        to[i] = (int32_t)(m3_draw(SEED, stream, M3_SITE_BENCH + 1, i) % items) + 1;
}

static void fill_inputs(bench *b)
{
    const m3_model_config *c = &b->config;
    const uint64_t batch = (uint64_t)c->batch, history = (uint64_t)c->length, items = (uint64_t)c->items;
    draw_items(b->batch.ids, (uint64_t)c->behaviors * batch * history, (uint32_t)items, 0);
    draw_items(b->batch.target, batch, (uint32_t)items, 1);
    draw_items(b->batch.negatives, batch * (uint64_t)c->negatives, (uint32_t)items, 2);
    if (b->batch.valid != NULL) *b->batch.valid = (float)c->batch;
}

/* Set-up. */

static m3_programs_plan plan_of(bench *b)
{
    const uint32_t batch = (uint32_t)b->config.batch;
    return (m3_programs_plan){.device = b->device,
                              .config = &b->config,
                              .batch = b->options.infer ? 0 : batch,
                              .eval_batch = b->options.infer ? batch : 0,
                              .no_pass = b->options.no_pass,
                              .strict = b->options.strict,
                              .fallbacks = b->options.fallbacks,
                              .key = "batch",
                              .fill = write_features,
                              .user = b};
}

static m3_status compile(bench *b, m3_error *err)
{
    m3_programs programs = {0};
    const m3_programs_plan plan = plan_of(b);
    m3_status st = m3_programs_make(&plan, b->store, &programs, err);
    b->executable = programs.step != NULL ? programs.step : programs.infer; /* the plan has one of them */
    return st;
}

static m3_status prepare_choice(bench *b, m3_error *err)
{
    const uint32_t items = (uint32_t)b->config.items;
    m3_status st = m3_infer_shape_of(b->executable, &b->shape, err);
    if (st != M3_OK) return st;
    b->popularity = m3_calloc((size_t)items + 1, sizeof *b->popularity);
    b->chosen = m3_calloc((size_t)b->shape.batch * TOP, sizeof *b->chosen);
    if (b->popularity == NULL || b->chosen == NULL) return M3_FAIL_MEMORY(err, "bench", (size_t)items * 4);
    for (uint32_t i = 0; i <= items; i++) b->popularity[i] = i;
    return M3_OK;
}

static m3_status prepare(bench *b, m3_error *err)
{
    m3_status st;
    if ((st = m3_model_check(m3_device_engine(b->device), &b->config, err)) != M3_OK) return st;
    if ((st = m3_store_create(b->device, SEED, &b->store, err)) != M3_OK) return st;
    if ((st = write_features(b, b->store, err)) != M3_OK) return st;
    if ((st = compile(b, err)) != M3_OK) return st;
    b->batch = m3_batch_of(b->executable);
    b->step = m3_executable_input(b->executable, "step", NULL);
    b->schedule = (m3_lr_schedule){
        .decay = M3_DECAY_NONE, .lr = b->config.lr, .beta1 = b->config.beta1, .beta2 = b->config.beta2, .total = 1};
    fill_inputs(b);
    return b->options.infer ? prepare_choice(b, err) : M3_OK;
}

static void explain(bench *b, m3_error *err)
{
    const m3_programs_plan plan = plan_of(b);
    m3_store_free(b->store);
    b->store = NULL;
    if (b->executable == NULL) m3_programs_explain(&plan, err);
}

/* Runs. */

static m3_status run_once(bench *b, double *seconds, m3_error *err)
{
    const double began = m3_seconds();
    const uint64_t t = ++b->runs;
    if (b->batch.rng != NULL)
        memcpy(b->batch.rng, (const uint32_t[]){SEED, 0, (uint32_t)t, 0, 1},
               (b->batch.parts != 0 ? 5 : 3) * sizeof(uint32_t));
    if (b->step != NULL) m3_lr_schedule_fill(&b->schedule, t, b->step);
    m3_status st = m3_executable_run(b->executable, err);
    for (uint32_t i = 0; st == M3_OK && b->chosen != NULL && i < b->shape.batch; i++)
        m3_choose_top(b->shape.scores + (size_t)i * b->shape.items, b->shape.items, NULL, b->popularity,
                      b->shape.items < TOP ? b->shape.items : TOP, b->chosen + (size_t)i * TOP);
    *seconds = m3_seconds() - began;
    return st;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static m3_status time_runs(bench *b, m3_bench_result *result, m3_error *err)
{
    double times[MAX_RUNS] = {0}, total = 0;
    m3_status st = M3_OK;
    uint32_t count = 0;
    for (uint32_t i = 0; st == M3_OK && i < WARM_UPS; i++) st = run_once(b, &times[0], err);
    const uint32_t wanted = b->options.repeats < MAX_RUNS ? b->options.repeats : MAX_RUNS;
    while (st == M3_OK && (wanted != 0 ? count < wanted : count < MIN_RUNS || (total < about_s && count < MAX_RUNS))) {
        st = run_once(b, &times[count], err);
        total += times[count++];
    }
    if (st != M3_OK) return st;
    qsort(times, count, sizeof times[0], by_value);
    result->runs = count;
    result->lowest_s = times[0];
    result->highest_s = times[count - 1];
    result->median_s = count % 2 != 0 ? times[count / 2] : 0.5 * (times[count / 2 - 1] + times[count / 2]);
    return M3_OK;
}

/* The table by op. */

static int by_time(const void *a, const void *b)
{
    const m3_bench_op *x = a, *y = b;
    return x->seconds > y->seconds ? -1 : x->seconds < y->seconds;
}

/* gflops and gigabytes_per_s hold sums until all nodes are in. */
static m3_status tabulate(const bench *b, const uint64_t *time_ns, m3_bench_result *result, m3_error *err)
{
    uint32_t count = 0;
    const uint32_t nodes = m3_executable_node_count(b->executable);
    m3_bench_op *ops = m3_calloc(nodes, sizeof *ops);
    if (ops == NULL) return M3_FAIL_MEMORY(err, "bench", nodes * sizeof *ops);
    for (uint32_t i = 0; i < nodes; i++) {
        m3_executable_node at = {.size = M3_STRUCT_SIZE(m3_executable_node, time_ns)};
        m3_executable_node_at(b->executable, i, &at);
        uint32_t k = 0;
        while (k < count && strcmp(ops[k].name, at.node->op->name) != 0) k++;
        if (k == count) ops[count++].name = at.node->op->name;
        ops[k].nodes++;
        ops[k].seconds += 1e-9 * (double)time_ns[i];
        ops[k].gflops += 1e-9 * (double)m3_node_flops(at.node);
        ops[k].gigabytes_per_s += 1e-9 * (double)m3_node_traffic(at.node, NULL);
    }
    for (uint32_t k = 0; k < count; k++) {
        ops[k].gflops = ops[k].seconds > 0 ? ops[k].gflops / ops[k].seconds : 0.0;
        ops[k].gigabytes_per_s = ops[k].seconds > 0 ? ops[k].gigabytes_per_s / ops[k].seconds : 0.0;
    }
    qsort(ops, count, sizeof *ops, by_time);
    result->op_count = count < OPS ? count : OPS;
    memcpy(result->ops, ops, result->op_count * sizeof *ops);
    m3_free(ops);
    return M3_OK;
}

/* Nodes beside the device's rates. */

static int by_time_ns(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* times: [PROFILED_RUNS, nodes]. The median of each node, since what disturbs a run disturbs some of its nodes. */
static void tell_nodes(const bench *b, const uint64_t *times, m3_bench_result *result)
{
    const uint32_t nodes = m3_executable_node_count(b->executable);
    const m3_rates *rates = &b->rates;
    const double f32 = fmax(1e9 * b->peak_gflops, rates->product), half = fmax(f32, rates->half);
    for (uint32_t i = 0; i < nodes; i++) {
        uint64_t of[PROFILED_RUNS];
        m3_executable_node at = {.size = M3_STRUCT_SIZE(m3_executable_node, time_ns)};
        m3_executable_node_at(b->executable, i, &at);
        for (uint32_t r = 0; r < PROFILED_RUNS; r++) of[r] = times[(size_t)r * nodes + i];
        qsort(of, PROFILED_RUNS, sizeof of[0], by_time_ns);
        const uint64_t median = of[PROFILED_RUNS / 2];
        m3_bench_node told = {.size = M3_STRUCT_SIZE(m3_bench_node, memory_s), .node = at.node};
        told.flops = m3_node_flops(at.node);
        told.bytes = m3_node_traffic(at.node, NULL);
        told.seconds = 1e-9 * (double)median;
        told.arithmetic_s = (double)told.flops / (m3_node_has_halves(at.node) ? half : f32);
        told.memory_s = (double)told.bytes / rates->copy;
        told.floor_s = fmax(told.arithmetic_s, told.memory_s);
        result->nodes_s += told.seconds;
        result->floor_s += told.floor_s;
        b->options.node(b->options.node_user, &told);
    }
    result->copy_gigabytes_per_s = 1e-9 * rates->copy;
    result->product_gflops = 1e-9 * rates->product;
    result->half_gflops = 1e-9 * rates->half;
}

typedef struct profiled {
    double seconds; /* first: by_value sorts by it */
    uint32_t index;
} profiled;

static m3_status profile(bench *b, m3_bench_result *result, m3_error *err)
{
    profiled runs[PROFILED_RUNS];
    m3_status st = M3_OK;
    const uint32_t nodes = m3_executable_node_count(b->executable);
    m3_error unsupported = {0};
    result->host_share = NAN;
    if (m3_executable_profile(b->executable, true, &unsupported) != M3_OK) return M3_OK;
    uint64_t *times = m3_calloc((size_t)nodes * PROFILED_RUNS, sizeof *times);
    if (times == NULL) return M3_FAIL_MEMORY(err, "bench", (size_t)nodes * PROFILED_RUNS * sizeof *times);
    for (uint32_t r = 0; r < PROFILED_RUNS; r++) {
        runs[r].index = r;
        if ((st = run_once(b, &runs[r].seconds, err)) != M3_OK) goto done;
        for (uint32_t i = 0; i < nodes; i++) {
            m3_executable_node at = {.size = M3_STRUCT_SIZE(m3_executable_node, time_ns)};
            m3_executable_node_at(b->executable, i, &at);
            times[(size_t)r * nodes + i] = at.time_ns;
        }
    }
    qsort(runs, PROFILED_RUNS, sizeof runs[0], by_value);
    const profiled *median = &runs[PROFILED_RUNS / 2];
    const uint64_t *of = times + (size_t)median->index * nodes;
    double inside = 0;
    for (uint32_t i = 0; i < nodes; i++) inside += 1e-9 * (double)of[i];
    result->host_share = inside < median->seconds ? 1.0 - inside / median->seconds : 0.0;
    if (b->options.node != NULL) tell_nodes(b, times, result);
    if (b->options.per_op) st = tabulate(b, of, result, err);
done:
    m3_free(times);
    return st;
}

/* Results. */

static void add_figures(const bench *b, m3_bench_result *result)
{
    struct rusage usage;
    m3_executable_stats stats = {.size = M3_STRUCT_SIZE(m3_executable_stats, constant_bytes)};
    m3_executable_get_stats(b->executable, &stats);
    result->flops = stats.flops;
    result->samples_per_s = (double)b->config.batch / result->median_s;
    result->gflops = 1e-9 * (double)stats.flops / result->median_s;
    result->peak_gflops = b->peak_gflops;
    result->peak_share = b->peak_gflops > 0 ? result->gflops / b->peak_gflops : 0.0;
    result->arena_bytes = m3_device_memory_used(b->device);
    if (getrusage(RUSAGE_SELF, &usage) == 0) result->rss_bytes = (uint64_t)usage.ru_maxrss * 1024;
}

m3_status m3_bench(m3_device *device, const m3_settings *settings, const m3_bench_options *options,
                   m3_bench_result *result, m3_error *err)
{
    m3_status st;
    m3_error unsupported = {0};
    bench b = {.device = device};
    m3_bench_result all = {.size = M3_STRUCT_SIZE(m3_bench_result, floor_s)};
    if (options != NULL) m3_copy_out(&b.options, options, options->size, M3_STRUCT_SIZE(m3_bench_options, node_user));
    if ((st = m3_settings_config(m3_device_engine(device), settings, &b.config, err)) != M3_OK) goto done;
    if (b.options.batch > INT32_MAX) {
        st = M3_FAIL(err, M3_ERR_RANGE, "batch", "is %u; give at most %d", b.options.batch, INT32_MAX);
        goto done;
    }
    if (b.options.batch != 0) b.config.batch = (int32_t)b.options.batch;
    if (b.options.node != NULL) { /* while the device's memory is free */
        st = m3_rates_measure(device, m3_model_precision(&b.config), &b.rates, err);
        if (st != M3_OK) goto done;
    }
    if ((st = prepare(&b, err)) != M3_OK) {
        explain(&b, err);
        goto done;
    }
    if (m3_device_measure_peak(device, &b.peak_gflops, &unsupported) != M3_OK) b.peak_gflops = 0;
    if ((st = time_runs(&b, &all, err)) != M3_OK) goto done;
    if ((st = profile(&b, &all, err)) != M3_OK) goto done;
    add_figures(&b, &all);
    m3_copy_out(result, &all, result->size, all.size);
done:
    m3_executable_free(b.executable);
    m3_store_free(b.store);
    m3_free(b.popularity);
    m3_free(b.chosen);
    return st;
}
