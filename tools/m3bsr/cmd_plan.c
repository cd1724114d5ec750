/* plan: what a training by many ranks would take, before there are any.
 *   m3bsr plan CONFIG --ranks 64 --items 1e9 --link 25e9 --device h200|FILE.json [--shard rows] */
#include <math.h>
#include <string.h>

#include "tools/m3bsr/plan_device.h"

typedef struct request {
    cli c;
    const char *device, *shard, *link;
    double items, latency, bus;
    m3_plan_options options;
    plan_device rates;
    m3_settings *settings;
    m3_ranks_plan plan;
} request;

static const char *const memory_names[M3_PLAN_MEMORIES] = {"table", "moments",     "window",  "features", "dense",
                                                           "sums",  "temporaries", "ranking", "host"};
static const char *const memory_says[M3_PLAN_MEMORIES] = {"rows of the item table",
                                                          "their two moments",
                                                          "rows that a step touches, with their sums",
                                                          "features",
                                                          "other parameters, with their moments",
                                                          "sums of gradients",
                                                          "temporaries of a step, inputs, outputs",
                                                          "validation, ranked at once",
                                                          "host memory: sums on their way, inputs, outputs"};
static const char *const traffic_names[M3_PLAN_TRAFFICS] = {"summed", "ids", "rows", "gradients", "losses"};
static const char *const traffic_says[M3_PLAN_TRAFFICS] = {"gradients that all have, and their sums", "ids of rows",
                                                           "rows", "gradients of rows", "losses, norm, decisions"};
static const char *const time_names[M3_PLAN_TIMES] = {"arithmetic", "memory", "runs", "bus", "link"};
static const char *const time_says[M3_PLAN_TIMES] = {"nodes bound by arithmetic", "nodes bound by memory",
                                                     "beside nodes", "between device and host, sums there",
                                                     "between ranks"};

static uint64_t sum(const uint64_t *of, int count)
{
    uint64_t all = 0;
    for (int i = 0; i < count; i++) all += of[i];
    return all;
}

static int bound(const m3_ranks_plan *p)
{
    int most = 0;
    for (int i = 1; i < M3_PLAN_TIMES; i++)
        if (p->seconds[i] > p->seconds[most]) most = i;
    return most;
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0.0;
}

/* Of what is on the device; where it computes in host memory that counts as well. */
static uint64_t on_device(const request *r)
{
    const uint64_t host = r->plan.memory[M3_PLAN_HOST];
    return sum(r->plan.memory, M3_PLAN_MEMORIES) - (r->options.rates.bus > 0 ? host : 0);
}

/* Text. */

static const char *amount(double value, char text[32])
{
    static const char *const units[] = {"", "k", "M", "G", "T", "P"};
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1000.0;
        unit++;
    }
    (void)snprintf(text, 32, "%.3g %sB", value, units[unit]);
    return text;
}

static void print_bytes(const char *says, uint64_t bytes)
{
    char text[32];
    if (bytes != 0) (void)printf("  %-50s %10s\n", says, amount((double)bytes, text));
}

static void print_memory(const request *r)
{
    char text[32], has[32];
    const m3_ranks_plan *p = &r->plan;
    (void)printf("memory of a rank\n");
    for (int i = 0; i < M3_PLAN_MEMORIES; i++) print_bytes(memory_says[i], p->memory[i]);
    const uint64_t all = on_device(r);
    (void)printf("  %-50s %10s", "on the device", amount((double)all, text));
    if (r->rates.memory != 0)
        (void)printf(" of %s%s", amount((double)r->rates.memory, has),
                     all > r->rates.memory ? ": it does not fit" : "");
    (void)printf("\n");
    if (!r->options.sharded) return;
    print_bytes("in files beside the run, of items", p->files_items);
    print_bytes("in files beside the run, of events", p->files_events);
    print_bytes("and more until the first step", p->files_making);
}

static void print_traffic(const request *r)
{
    char text[32];
    const m3_ranks_plan *p = &r->plan;
    (void)printf("what a rank sends in a step, and receives\n");
    for (int i = 0; i < M3_PLAN_TRAFFICS; i++) print_bytes(traffic_says[i], p->traffic[i]);
    (void)printf("  %-50s %10s\n", "together", amount((double)sum(p->traffic, M3_PLAN_TRAFFICS), text));
}

static void print_time(const request *r)
{
    const m3_ranks_plan *p = &r->plan;
    (void)printf("a step, %s\n", r->rates.measured ? "from figures that were measured"
                                                   : "at least: an estimate from the vendor's peaks, not measured");
    for (int i = 0; i < M3_PLAN_TIMES; i++)
        if (p->seconds[i] > 0)
            (void)printf("  %-50s %10.3f ms %5.1f %%\n", time_says[i], 1e3 * p->seconds[i],
                         100.0 * ratio(p->seconds[i], p->step_s));
    if (p->hidden_s > 0)
        (void)printf("  %-50s %10.3f ms\n", "between ranks, while gradients are computed: not", 1e3 * p->hidden_s);
    (void)printf("  %-50s %10.3f ms, bound by %s\n", "together", 1e3 * p->step_s, time_names[bound(p)]);
    (void)printf("  %.1f samples/s; %.1f %% of ranks that need not exchange anything\n",
                 ratio((double)p->samples, p->step_s), 100.0 * ratio(p->alone_s * r->options.crowd, p->step_s));
}

static void print_text(const request *r)
{
    const m3_ranks_plan *p = &r->plan;
    cli_show(stdout, "%u ranks on %s, %llu items%s, a step of %llu batches, %llu samples\n", r->options.ranks,
             r->rates.name, (unsigned long long)p->items, r->options.sharded ? " in shards of rows" : "",
             (unsigned long long)p->batches, (unsigned long long)p->samples);
    if (r->options.sharded)
        (void)printf("%llu rows of a rank, %llu in the window of a step\n", (unsigned long long)p->shard_rows,
                     (unsigned long long)p->window_rows);
    print_memory(r);
    if (r->options.ranks > 1) print_traffic(r);
    print_time(r);
}

/* JSON. */

static void print_counts(const char *key, const char *const *names, const uint64_t *values, int count)
{
    (void)printf(", \"%s\": {", key);
    for (int i = 0; i < count; i++)
        (void)printf("%s\"%s\": %llu", i == 0 ? "" : ", ", names[i], (unsigned long long)values[i]);
    (void)printf("}");
}

static void print_number(const char *key, double number)
{
    (void)printf(", \"%s\": ", key);
    cli_json_number(number);
}

static void print_json(const request *r)
{
    const m3_ranks_plan *p = &r->plan;
    (void)printf("{\"device\": ");
    cli_json_text(r->rates.name);
    (void)printf(", \"measured\": %s, \"ranks\": %u, \"sharded\": %s, \"items\": %llu, \"batches\": %llu, \"samples\": "
                 "%llu, \"shard_rows\": %llu, \"window_rows\": %llu",
                 r->rates.measured ? "true" : "false", r->options.ranks, r->options.sharded ? "true" : "false",
                 (unsigned long long)p->items, (unsigned long long)p->batches, (unsigned long long)p->samples,
                 (unsigned long long)p->shard_rows, (unsigned long long)p->window_rows);
    print_counts("memory", memory_names, p->memory, M3_PLAN_MEMORIES);
    (void)printf(", \"device_bytes\": %llu, \"files\": {\"items\": %llu, \"events\": %llu, \"making\": %llu}",
                 (unsigned long long)on_device(r), (unsigned long long)p->files_items,
                 (unsigned long long)p->files_events, (unsigned long long)p->files_making);
    print_counts("sent", traffic_names, p->traffic, M3_PLAN_TRAFFICS);
    (void)printf(", \"sent_bytes\": %llu, \"flops\": %llu, \"bytes\": %llu, \"seconds\": {",
                 (unsigned long long)sum(p->traffic, M3_PLAN_TRAFFICS), (unsigned long long)p->flops,
                 (unsigned long long)p->bytes);
    for (int i = 0; i < M3_PLAN_TIMES; i++) {
        (void)printf("%s\"%s\": ", i == 0 ? "" : ", ", time_names[i]);
        cli_json_number(p->seconds[i]);
    }
    (void)printf("}");
    print_number("step_s", p->step_s);
    print_number("alone_s", p->alone_s * r->options.crowd);
    print_number("hidden_s", p->hidden_s);
    print_number("samples_per_s", ratio((double)p->samples, p->step_s));
    (void)printf(", \"bound\": \"%s\"}\n", time_names[bound(p)]);
}

/* The command. */

static m3_status take_shard(request *r, m3_error *err)
{
    const char *said = r->shard != NULL ? r->shard : m3_settings_get(r->settings, "shard");
    r->options.sharded = said != NULL && strcmp(said, "rows") == 0;
    if (said == NULL || r->options.sharded || strcmp(said, "none") == 0) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, "--shard", "cannot be '%s'; give rows or none", said);
}

static m3_status make_plan(request *r, m3_error *err)
{
    m3_status st;
    cli *c = &r->c;
    if (!isnan(r->items) && !(r->items >= 1 && r->items < 0x1p53 && r->items == floor(r->items)))
        return M3_FAIL(err, M3_ERR_INVALID, "--items", "cannot be %g; give a whole number", r->items);
    if (!isnan(r->bus) && !(r->bus > 0)) return M3_FAIL(err, M3_ERR_INVALID, "--bus", "cannot be %g", r->bus);
    if ((st = plan_device_find(r->device, &r->rates, err)) != M3_OK) return st;
    if ((st = plan_link_find(r->link, &r->options.link, &r->latency, err)) != M3_OK) return st;
    if (c->backend == NULL) c->backend = "cpu"; /* whose buffers are as large as wanted */
    if ((st = cli_settings(c, c->count > 0 ? c->words[0] : NULL, &r->settings, err)) != M3_OK) return st;
    if ((st = take_shard(r, err)) != M3_OK) return st;
    if ((st = cli_open_device(c, err)) != M3_OK) return st;
    m3_plan_options *o = &r->options;
    o->items = isnan(r->items) ? 0 : (uint64_t)r->items;
    o->latency = r->latency;
    o->rates = r->rates.rates;
    if (!isnan(r->bus)) o->rates.bus = r->bus;
    o->no_pass = cli_no_pass(c);
    o->strict = c->strict;
    o->fallbacks = c->fallbacks;
    return m3_plan_ranks(c->device, r->settings, o, &r->plan, err);
}

int cmd_plan(int argc, char **argv)
{
    request r = {.items = NAN, /* not given; no option can be it */
                 .bus = NAN,
                 .latency = 50e-6,
                 .options = {.size = M3_STRUCT_SIZE(m3_plan_options, fallbacks), .ranks = 1, .crowd = 1},
                 .plan = {.size = M3_STRUCT_SIZE(m3_ranks_plan, files_making)}};
    m3_error err = {0};
    const cli_option options[] = {
        {"ranks", CLI_COUNT, &r.options.ranks, "N", "how many train one model; by default 1"},
        {"items", CLI_REAL, &r.items, "N", "such as 1e9, instead of the configuration's; the table need not exist"},
        {"link", CLI_TEXT, &r.link, "BYTES|FILE",
         "that a rank sends in a second: 25e9; or what bench --what link wrote"},
        {"latency", CLI_REAL, &r.latency, "SECONDS", "of an exchange; by default 50e-6"},
        {"device", CLI_TEXT, &r.device, "NAME|FILE", "h200, h100 or a100, or what bench --roofline --json wrote"},
        {"bus", CLI_REAL, &r.bus, "BYTES", "that go in a second between host and device, one way"},
        {"shard", CLI_TEXT, &r.shard, "NAME", "rows: each rank has its rows of the item table; or none"},
        {"crowd", CLI_COUNT, &r.options.crowd, "N", "ranks that share one device; by default 1"},
    };
    const cli_command command = {
        .usage = "plan CONFIG --ranks N --link BYTES|FILE --device NAME|FILE [options]",
        .about = "Say what a training by many ranks would take: memory of a rank, bytes that it sends in a step, the\n"
                 "time of a step, and what bounds it. Nothing runs, and nothing of these sizes is allocated.",
        .groups = CLI_MODEL | CLI_DEVICE | CLI_PASSES,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .max_words = 1};
    const int status = cli_parse(&r.c, &command, argc, argv);
    if (status != CLI_GO_ON) return status;
    if (r.device == NULL || (r.link == NULL && r.options.ranks > 1)) {
        (void)fprintf(stderr, "error: on what? m3bsr plan CONFIG --ranks 64 --link 25e9 --device h200, or a file that "
                              "m3bsr bench CONFIG --roofline --json wrote\n");
        return CLI_BAD_INPUT;
    }
    if (r.link == NULL) r.link = "1"; /* of one rank, which sends nothing */
    const m3_status st = make_plan(&r, &err);
    if (st == M3_OK && r.c.json) print_json(&r);
    if (st == M3_OK && !r.c.json) print_text(&r);
    m3_settings_free(r.settings);
    plan_device_free(&r.rates);
    cli_close(&r.c);
    return st == M3_OK ? CLI_DONE : cli_report(&err);
}
