/* bench: time a training step or an inference.
 *   m3bsr bench [CONFIG] --what step|infer [--batch N] [--repeats N] [--per-op] [--roofline]
 * or, between ranks, their link:
 *   mpirun -n 2 m3bsr bench --what link */
#include <math.h>
#include <string.h>

#include "m3bsr/bench.h"
#include "m3bsr/plan.h"
#include "tools/m3bsr/cli.h"
#include "tools/m3bsr/roofline.h"

typedef struct request {
    cli c;
    m3_bench_options bench;
    bool wants_roofline;
    m3_settings *settings;
    roofline roofline;
} request;

static void print_ops(const m3_bench_result *r)
{
    (void)printf("\n%-24s %6s %10s %7s %10s %10s\n", "op", "nodes", "ms", "share", "GFLOP/s", "GB/s");
    double total = 0;
    for (uint32_t i = 0; i < r->op_count; i++) total += r->ops[i].seconds;
    for (uint32_t i = 0; i < r->op_count; i++) {
        const m3_bench_op *op = &r->ops[i];
        (void)printf("%-24s %6u %10.3f %6.1f%% %10.2f %10.2f\n", op->name, op->nodes, 1e3 * op->seconds,
                     total > 0 ? 100.0 * op->seconds / total : 0.0, op->gflops, op->gigabytes_per_s);
    }
}

static void print_text(const cli *c, const char *what, uint32_t batch, const m3_bench_result *r)
{
    cli_show(stdout, "%s on %s, batch %u: median %.2f ms (lowest %.2f, highest %.2f; %u runs) = %.1f samples/s\n", what,
             m3_device_name(c->device), batch, 1e3 * r->median_s, 1e3 * r->lowest_s, 1e3 * r->highest_s, r->runs,
             r->samples_per_s);
    (void)printf("  %.1f GFLOP a run, %.1f GFLOP/s", 1e-9 * (double)r->flops, r->gflops);
    if (r->peak_gflops > 0) (void)printf(" = %.1f %% of %.1f measured", 100.0 * r->peak_share, r->peak_gflops);
    if (!isnan(r->host_share)) (void)printf("; %.1f %% of the time outside of nodes", 100.0 * r->host_share);
    (void)printf("\n  memory: %.1f MiB on the device, %.1f MiB peak of the process\n",
                 (double)r->arena_bytes / (1 << 20), (double)r->rss_bytes / (1 << 20));
}

static void print_number(const char *key, double number)
{
    (void)printf(", \"%s\": ", key);
    cli_json_number(number);
}

static void print_json(const request *q, const char *what, uint32_t batch, const m3_bench_result *r)
{
    (void)printf("{\"what\": \"%s\", \"device\": ", what);
    cli_json_text(m3_device_name(q->c.device));
    (void)printf(", \"batch\": %u, \"runs\": %u", batch, r->runs);
    print_number("median_s", r->median_s);
    print_number("lowest_s", r->lowest_s);
    print_number("highest_s", r->highest_s);
    print_number("samples_per_s", r->samples_per_s);
    print_number("gflops", r->gflops);
    print_number("peak_gflops", r->peak_gflops);
    print_number("peak_share", r->peak_share);
    print_number("host_share", r->host_share);
    (void)printf(", \"flops\": %llu, \"arena_bytes\": %llu, \"rss_bytes\": %llu", (unsigned long long)r->flops,
                 (unsigned long long)r->arena_bytes, (unsigned long long)r->rss_bytes);
    if (r->op_count > 0) (void)printf(", \"ops\": [");
    for (uint32_t i = 0; i < r->op_count; i++) {
        (void)printf("%s{\"op\": \"%s\", \"nodes\": %u", i == 0 ? "" : ", ", r->ops[i].name, r->ops[i].nodes);
        print_number("seconds", r->ops[i].seconds);
        print_number("gflops", r->ops[i].gflops);
        print_number("gigabytes_per_s", r->ops[i].gigabytes_per_s);
        (void)printf("}");
    }
    if (r->op_count > 0) (void)printf("]");
    if (q->wants_roofline) roofline_print_json(&q->roofline, r);
    (void)printf("}\n");
}

static m3_status time_it(request *q, m3_error *err)
{
    m3_status st;
    cli *c = &q->c;
    m3_bench_result result = {.size = M3_STRUCT_SIZE(m3_bench_result, floor_s)};
    const char *what = q->bench.infer ? "infer" : "step";
    uint32_t batch = q->bench.batch;
    if ((st = cli_settings(c, c->count > 0 ? c->words[0] : NULL, &q->settings, err)) != M3_OK) return st;
    if ((st = cli_open_device(c, err)) != M3_OK) return st;
    q->bench.no_pass = cli_no_pass(c);
    q->bench.strict = c->strict;
    q->bench.fallbacks = c->fallbacks;
    q->bench.node = q->wants_roofline ? roofline_add : NULL;
    q->bench.node_user = &q->roofline;
    if ((st = m3_bench(c->device, q->settings, &q->bench, &result, err)) != M3_OK) return st;
    if (batch == 0) (void)cli_count(m3_settings_get(q->settings, "batch"), &batch);
    if (c->json) {
        print_json(q, what, batch, &result);
        return M3_OK;
    }
    print_text(c, what, batch, &result);
    if (q->bench.per_op) print_ops(&result);
    return q->wants_roofline ? roofline_print(&q->roofline, &result, err) : M3_OK;
}

/* Between ranks. */

static void print_link(const cli *c, const m3_group *group, const m3_link_result *r)
{
    if (m3_group_first(group) != 0) return;
    if (!c->json) {
        (void)printf("%u ranks, %s: an exchange takes %.3f ms, and a rank sends and receives %.1f MB/s\n", r->ranks,
                     m3_group_name(group), 1e3 * r->latency_s, 1e-6 * r->bytes_per_s);
        return;
    }
    (void)printf("{\"what\": \"link\", \"collectives\": ");
    cli_json_text(m3_group_name(group));
    (void)printf(", \"ranks\": %u", r->ranks);
    print_number("latency_s", r->latency_s);
    print_number("bytes_per_s", r->bytes_per_s);
    (void)printf("}\n");
}

static m3_status time_link(cli *c, const char *collectives, m3_error *err)
{
    enum { PATIENCE_S = 900 };
    m3_group *group = NULL;
    m3_link_result result = {.size = M3_STRUCT_SIZE(m3_link_result, bytes_per_s)};
    m3_status st = cli_open_engine(c, err);
    if (st == M3_OK) st = m3_group_open(c->engine, collectives, 1, PATIENCE_S, (m3_span){0}, &group, err);
    if (st == M3_OK) st = m3_bench_link(group, &result, err);
    if (st == M3_OK) print_link(c, group, &result);
    m3_group_close(group);
    return st;
}

int cmd_bench(int argc, char **argv)
{
    request q = {.bench = {.size = M3_STRUCT_SIZE(m3_bench_options, node_user)}};
    m3_error err = {0};
    const char *what = "step", *collectives = "mpi";
    const cli_option options[] = {
        {"what", CLI_TEXT, &what, "NAME", "step (default): training; infer: inference and top 10; link: between ranks"},
        {"batch", CLI_COUNT, &q.bench.batch, "N", "the same as --set batch=N"},
        {"repeats", CLI_COUNT, &q.bench.repeats, "N", "runs; default: what fits about 10 s, at least 5"},
        {"per-op", CLI_FLAG, &q.bench.per_op, NULL, "a table by op"},
        {"collectives", CLI_TEXT, &collectives, "NAME", "of a link: the plugin that moves bytes; mpi by default"},
        {"roofline", CLI_FLAG, &q.wants_roofline, NULL, "nodes beside the device's measured bandwidth and arithmetic"},
    };
    const cli_command command = {
        .usage = "bench [CONFIG] [--what step|infer] [options]",
        .about =
            "Time the model of a configuration, its behaviors, items and modalities as written, on random full\n"
            "histories: median and spread, samples/s, GFLOP/s and their share of the measured peak, memory. Or, under\n"
            "mpirun, what ranks reach between them.",
        .groups = CLI_MODEL | CLI_DEVICE | CLI_PASSES,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .max_words = 1};
    int status = cli_parse(&q.c, &command, argc, argv);
    if (status != CLI_GO_ON) return status;
    q.bench.infer = strcmp(what, "infer") == 0;
    const bool link = strcmp(what, "link") == 0;
    if (!q.bench.infer && !link && strcmp(what, "step") != 0) {
        cli_show(stderr, "error: --what cannot be '%s'; give step or infer, or link\n", what);
        return CLI_BAD_INPUT;
    }
    const m3_status st = link ? time_link(&q.c, collectives, &err) : time_it(&q, &err);
    roofline_free(&q.roofline);
    m3_settings_free(q.settings);
    cli_close(&q.c);
    return st == M3_OK ? CLI_DONE : cli_report(&err);
}
