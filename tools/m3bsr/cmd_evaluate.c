/* evaluate: metrics of a run, popularity beside them.
 *   m3bsr evaluate RUN [--split valid|test] */
#include <string.h>

#include "m3bsr/serve.h"
#include "tools/m3bsr/cli.h"

static const int cuts[M3_METRIC_CUTS] = {5, 10, 20};

static void print_row(const char *group, const char *who, const m3_metrics *m)
{
    (void)printf("%-8s %8llu  %-10s", group, (unsigned long long)m->samples, who);
    const double *of[3] = {m->hr, m->ndcg, m->mrr};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < M3_METRIC_CUTS; k++) (void)printf(" %7.4f", of[i][k]);
    (void)printf("\n");
}

static void print_table(const char *title, const m3_metrics_group *groups, uint32_t count)
{
    static const char *const names[3] = {"HR@", "NDCG@", "MRR@"};
    (void)printf("\n%s\n%-8s %8s  %-10s", title, "history", "samples", "ranked by");
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < M3_METRIC_CUTS; k++) {
            char name[16];
            (void)snprintf(name, sizeof name, "%s%d", names[i], cuts[k]);
            (void)printf(" %7s", name);
        }
    }
    (void)printf("\n");
    for (uint32_t g = 0; g < count; g++) {
        if (groups[g].model.samples == 0 && g > 0) continue;
        print_row(groups[g].name, "model", &groups[g].model);
        print_row("", "popularity", &groups[g].popularity);
    }
}

static void print_metrics_json(const m3_metrics *m)
{
    static const char *const names[3] = {"hr", "ndcg", "mrr"};
    const double *of[3] = {m->hr, m->ndcg, m->mrr};
    (void)printf("{");
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < M3_METRIC_CUTS; k++) {
            (void)printf("%s\"%s@%d\": ", i + k == 0 ? "" : ", ", names[i], cuts[k]);
            cli_json_number(of[i][k]);
        }
    }
    (void)printf("}");
}

static void print_groups_json(const char *name, const m3_metrics_group *groups, uint32_t count)
{
    (void)printf(", \"%s\": [", name);
    for (uint32_t g = 0; g < count; g++) {
        (void)printf("%s{\"history\": \"%s\", \"samples\": %llu, \"model\": ", g == 0 ? "" : ", ", groups[g].name,
                     (unsigned long long)groups[g].model.samples);
        print_metrics_json(&groups[g].model);
        (void)printf(", \"popularity\": ");
        print_metrics_json(&groups[g].popularity);
        (void)printf("}");
    }
    (void)printf("]");
}

static void print_json(const char *run, const char *split, const m3_evaluation *e)
{
    (void)printf("{\"run\": ");
    cli_json_text(run);
    (void)printf(", \"split\": \"%s\", \"samples\": %llu", split, (unsigned long long)e->full[0].model.samples);
    print_groups_json("full", e->full, e->group_count);
    print_groups_json("uni99", e->uni99, e->group_count);
    (void)printf("}\n");
}

static m3_status evaluate(cli *c, m3_serve_options *options, const char *split, m3_served **served, m3_error *err)
{
    m3_status st;
    m3_evaluation e = {.size = M3_STRUCT_SIZE(m3_evaluation, uni99)};
    const char *run = c->words[0];
    if ((st = cli_open_device(c, err)) != M3_OK) return st;
    options->no_pass = cli_no_pass(c);
    options->strict = c->strict;
    options->fallbacks = c->fallbacks;
    if ((st = m3_serve(c->device, run, options, served, err)) != M3_OK) return st;
    if ((st = m3_evaluate(*served, split[0] == 'v' ? M3_SPLIT_VALID : M3_SPLIT_TEST, &e, err)) != M3_OK) return st;
    if (c->json) {
        print_json(run, split, &e);
        return M3_OK;
    }
    (void)printf("%s, %s: %llu samples\n", run, split, (unsigned long long)e.full[0].model.samples);
    print_table("Full ranking: among all items that the user has not had in the target behavior before", e.full,
                e.group_count);
    print_table("uni99: among 99 items that the user never touched, drawn uniformly with a fixed seed", e.uni99,
                e.group_count);
    if (e.full[0].model.samples == 0 && !c->quiet)
        (void)fprintf(stderr, "no sample: a user needs three different items in the target behavior\n");
    return M3_OK;
}

int cmd_evaluate(int argc, char **argv)
{
    cli c = {0};
    m3_error err = {0};
    const char *split = "test";
    m3_served *served = NULL;
    m3_serve_options serve = {.size = M3_STRUCT_SIZE(m3_serve_options, fallbacks)};
    const cli_option options[] = {
        {"split", CLI_TEXT, &split, "NAME", "test (default) or valid"},
        {"checkpoint", CLI_TEXT, &serve.checkpoint, "FILE", "default: the run's best.safetensors, else the last"},
        {"data", CLI_TEXT, &serve.data, "SET", "another data set file than the run's"},
    };
    const cli_command command = {
        .usage = "evaluate RUN [--split valid|test] [options]",
        .about =
            "HR, NDCG and MRR at 5, 10 and 20, by full ranking and among 99 drawn items, overall and by the number\n"
            "of events before the sample, with popularity beside them.",
        .groups = CLI_DEVICE | CLI_PASSES,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .min_words = 1,
        .max_words = 1};
    int status = cli_parse(&c, &command, argc, argv);
    if (status != CLI_GO_ON) return status;
    if (strcmp(split, "test") != 0 && strcmp(split, "valid") != 0) {
        (void)fprintf(stderr, "error: --split cannot be '%s'; give valid or test\n", split);
        return CLI_BAD_INPUT;
    }
    m3_status st = evaluate(&c, &serve, split, &served, &err);
    m3_served_free(served);
    cli_close(&c);
    return st == M3_OK ? CLI_DONE : cli_report(&err);
}
