/* evaluate: metrics of a run with baselines beside them, or of the baselines alone.
 *   m3bsr evaluate RUN [--split valid|test] [--truth SRC/truth]
 *   m3bsr evaluate SET --baselines [--target NAME] [--split valid|test] */
#include <string.h>

#include "m3bsr/serve.h"
#include "tools/m3bsr/cli.h"
#include "tools/m3bsr/truth_print.h"

static const int cuts[M3_METRIC_CUTS] = {5, 10, 20};

static void print_row(const char *group, const char *who, const m3_metrics *m)
{
    (void)printf("%-8s %8llu  %-10s", group, (unsigned long long)m->samples, who);
    const double *of[3] = {m->hr, m->ndcg, m->mrr};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < M3_METRIC_CUTS; k++) (void)printf(" %7.4f", of[i][k]);
    (void)printf("\n");
}

static void print_table(const char *title, const m3_metrics_group *groups, const m3_metrics *itemknn,
                        const m3_metrics *trend, uint32_t count)
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
        if (groups[g].popularity.samples == 0 && g > 0) continue;
        if (groups[g].model.samples != 0) print_row(groups[g].name, "model", &groups[g].model);
        print_row(groups[g].model.samples != 0 ? "" : groups[g].name, "popularity", &groups[g].popularity);
        print_row("", "trend", &trend[g]);
        print_row("", "item-kNN", &itemknn[g]);
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

/* @param has_model  false: the baselines alone. */
static void print_groups_json(const char *name, const m3_metrics_group *groups, const m3_metrics *itemknn,
                              const m3_metrics *trend, uint32_t count, bool has_model)
{
    (void)printf(", \"%s\": [", name);
    for (uint32_t g = 0; g < count; g++) {
        (void)printf("%s{\"history\": \"%s\", \"samples\": %llu", g == 0 ? "" : ", ", groups[g].name,
                     (unsigned long long)groups[g].popularity.samples);
        if (has_model) {
            (void)printf(", \"model\": ");
            print_metrics_json(&groups[g].model);
        }
        (void)printf(", \"popularity\": ");
        print_metrics_json(&groups[g].popularity);
        (void)printf(", \"trend\": ");
        print_metrics_json(&trend[g]);
        (void)printf(", \"itemknn\": ");
        print_metrics_json(&itemknn[g]);
        (void)printf("}");
    }
    (void)printf("]");
}

/* What there is beside the figures of m3_evaluation: those of a model against planted truth, or NULL. */
typedef struct against {
    const char *path;
    m3_truth_report *report;
} against;

static void print_json(const char *of, const char *split, const m3_evaluation *e, const against *truth, bool has_model)
{
    (void)printf("{\"%s\": ", has_model ? "run" : "data");
    cli_json_text(of);
    (void)printf(", \"split\": \"%s\", \"samples\": %llu", split, (unsigned long long)e->full[0].popularity.samples);
    (void)printf(", \"itemknn_damping\": ");
    cli_json_number(e->itemknn_damping);
    (void)printf(", \"trend_half_life\": ");
    cli_json_number(e->trend_half_life);
    (void)printf(", \"uni99_short\": %llu, \"uni99_least\": %u", (unsigned long long)e->uni99_short, e->uni99_least);
    print_groups_json("full", e->full, e->full_itemknn, e->full_trend, e->group_count, has_model);
    print_groups_json("uni99", e->uni99, e->uni99_itemknn, e->uni99_trend, e->group_count, has_model);
    if (truth->report != NULL) {
        (void)printf(", ");
        truth_print_json(truth->report, truth->path);
    }
    (void)printf("}\n");
}

static void print(const cli *c, const char *split, const m3_evaluation *e, const against *truth, bool has_model)
{
    const char *of = c->words[0];
    if (c->json) {
        print_json(of, split, e, truth, has_model);
        return;
    }
    (void)printf("%s, %s: %llu samples\n", of, split, (unsigned long long)e->full[0].popularity.samples);
    print_table("Full ranking: among all items that the user has not had in the target behavior before", e->full,
                e->full_itemknn, e->full_trend, e->group_count);
    char title[160];
    (void)snprintf(title, sizeof title,
                   "uni99: among %s%u%s items that the user never touched, drawn uniformly with a fixed seed",
                   e->uni99_short > 0 ? "only " : "", e->uni99_least, e->uni99_short > 0 ? " to 99" : "");
    print_table(title, e->uni99, e->uni99_itemknn, e->uni99_trend, e->group_count);
    if (e->uni99_short > 0 && !c->quiet)
        (void)fprintf(
            stderr,
            "warning: %llu of %llu samples of uni99 are ranked among fewer than 99 other items, which flatters; "
            "the set is too small for it\n",
            (unsigned long long)e->uni99_short, (unsigned long long)e->uni99[0].popularity.samples);
    if (truth->report != NULL) truth_print_text(truth->report, truth->path);
    if (e->full[0].popularity.samples == 0 && !c->quiet)
        (void)fprintf(stderr, "no sample: a user needs three different items in the target behavior\n");
}

static m3_split_part part_of(const char *split)
{
    return split[0] == 'v' ? M3_SPLIT_VALID : M3_SPLIT_TEST;
}

static m3_status evaluate(cli *c, m3_serve_options *options, const char *split, against *truth, m3_served **served,
                          m3_error *err)
{
    m3_status st = M3_OK;
    m3_evaluation e = {.size = M3_STRUCT_SIZE(m3_evaluation, uni99_least)};
    if ((st = cli_open_device(c, err)) != M3_OK) return st;
    options->no_pass = cli_no_pass(c);
    options->strict = c->strict;
    options->fallbacks = c->fallbacks;
    if ((st = m3_serve(c->device, c->words[0], options, served, err)) != M3_OK) return st;
    if (truth->path != NULL) st = m3_evaluate_truth(*served, part_of(split), truth->path, &truth->report, err);
    if (st != M3_OK || (st = m3_evaluate(*served, part_of(split), &e, err)) != M3_OK) return st;
    print(c, split, &e, truth, true);
    return M3_OK;
}

static m3_status evaluate_baselines(const cli *c, const char *target, const char *split, m3_error *err)
{
    m3_dataset *set = NULL;
    m3_evaluation e = {.size = M3_STRUCT_SIZE(m3_evaluation, uni99_least)};
    m3_status st = m3_dataset_open(c->words[0], &set, err);
    if (st != M3_OK) return st;
    uint32_t behavior = m3_dataset_target(set);
    if (target != NULL && !m3_dataset_find_behavior(set, target, &behavior))
        st = M3_FAIL(err, M3_ERR_INVALID, "--target", "%s has no behavior '%s'; `m3bsr data describe` lists them",
                     c->words[0], target);
    if (st == M3_OK) st = m3_evaluate_baselines(set, behavior, part_of(split), &e, err);
    if (st == M3_OK) print(c, split, &e, &(against){0}, false);
    m3_dataset_close(set);
    return st;
}

/* Options that belong to the other form of the command. */
static bool is_mixed(bool baselines, const char *target, const m3_serve_options *serve, const char *truth)
{
    if (baselines && (serve->checkpoint != NULL || serve->data != NULL || truth != NULL))
        (void)fprintf(stderr,
                      "error: --baselines needs the data set file alone; leave out --checkpoint, --data and --truth\n");
    else if (!baselines && target != NULL)
        (void)fprintf(stderr, "error: --target goes with --baselines; a run has its own target\n");
    else
        return false;
    return true;
}

int cmd_evaluate(int argc, char **argv)
{
    cli c = {0};
    m3_error err = {0};
    bool baselines = false;
    const char *split = "test", *target = NULL;
    against truth = {0};
    m3_served *served = NULL;
    m3_serve_options serve = {.size = M3_STRUCT_SIZE(m3_serve_options, precision)};
    const cli_option options[] = {
        {"split", CLI_TEXT, &split, "NAME", "test (default) or valid"},
        {"checkpoint", CLI_TEXT, &serve.checkpoint, "FILE", "default: the run's best.safetensors, else the last"},
        {"data", CLI_TEXT, &serve.data, "SET", "another data set file than the run's"},
        {"precision", CLI_TEXT, &serve.precision, "TYPE", "f32, bf16 or f16, in the place of the run's key"},
        {"truth", CLI_TEXT, &truth.path, "FOLDER",
         "what m3bsr data synth planted, SRC/truth: compare the model with it"},
        {"baselines", CLI_FLAG, &baselines, NULL, "popularity, trend and item-kNN of a data set file; needs no run"},
        {"target", CLI_TEXT, &target, "NAME", "with --baselines: the behavior to predict; default: the set's"},
    };
    const cli_command command = {
        .usage = "evaluate RUN [--split valid|test] [--truth SRC/truth] [options]\n"
                 "evaluate SET --baselines [--target NAME] [--split valid|test]",
        .about =
            "HR, NDCG and MRR at 5, 10 and 20, by full ranking and among 99 drawn items, overall and by the number\n"
            "of events before the sample, with popularity, recent popularity and item-kNN beside them.",
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
    if (is_mixed(baselines, target, &serve, truth.path)) return CLI_BAD_INPUT;
    m3_status st =
        baselines ? evaluate_baselines(&c, target, split, &err) : evaluate(&c, &serve, split, &truth, &served, &err);
    m3_truth_report_free(truth.report);
    m3_served_free(served);
    cli_close(&c);
    return st == M3_OK ? CLI_DONE : cli_report(&err);
}
