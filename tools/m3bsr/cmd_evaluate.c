/* evaluate: metrics of a run with baselines beside them, or of the baselines alone.
 *   m3bsr evaluate RUN [--split valid|test] [--ks A,B] [--metrics A,B] [--lists FILE] [--truth SRC/truth]
 *   m3bsr evaluate SET --baselines [--target NAME] [--split valid|test] [--ks A,B] [--metrics A,B] */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "m3bsr/serve.h"
#include "tools/m3bsr/cli.h"
#include "tools/m3bsr/truth_print.h"

/* What is printed: m3_rankings_metric() of each column. */
enum { MAX_COLUMNS = 512, MAX_CUTS = 32 };

typedef struct columns {
    uint32_t count;
    m3_metric at[MAX_COLUMNS];
} columns;

static const m3_measure usual[] = {M3_MEASURE_HR, M3_MEASURE_NDCG, M3_MEASURE_MRR};
enum { USUAL = sizeof usual / sizeof usual[0] };
static const char *const rankers[M3_RANKERS] = {"model", "popularity", "trend", "item-kNN"};

/* "NDCG@10" */
static void name_column(char name[32], m3_metric metric)
{
    (void)snprintf(name, 32, "%s@%u", m3_measure_name(metric.measure), metric.k);
    for (char *c = name; *c != '\0'; c++) *c = (char)toupper((unsigned char)*c);
}

static void add_column(columns *to, m3_metric metric)
{
    if (to->count < MAX_COLUMNS) to->at[to->count++] = metric;
}

static void print_row(const m3_rankings *r, m3_candidates candidates, uint32_t group, m3_ranker ranker,
                      const columns *shown)
{
    (void)printf("%-10s", rankers[ranker]);
    for (uint32_t i = 0; i < shown->count; i++) {
        char name[32];
        name_column(name, shown->at[i]);
        const double value = m3_rankings_metric(r, candidates, ranker, group, shown->at[i]);
        const int width = strlen(name) > 7 ? (int)strlen(name) : 7;
        if (isnan(value))
            (void)printf(" %*s", width, "-");
        else
            (void)printf(" %*.4f", width, value);
    }
    (void)printf("\n");
}

static void print_table(const char *title, const m3_rankings *r, m3_candidates candidates,
                        const m3_metrics_group *groups, uint32_t count, const columns *shown)
{
    (void)printf("\n%s\n%-8s %8s  %-10s", title, "history", "samples", "ranked by");
    for (uint32_t i = 0; i < shown->count; i++) {
        char name[32];
        name_column(name, shown->at[i]);
        (void)printf(" %7s", name);
    }
    (void)printf("\n");
    for (uint32_t g = 0; g < count; g++) {
        if (groups[g].popularity.samples == 0 && g > 0) continue;
        const bool has_model = groups[g].model.samples != 0;
        for (int i = has_model ? M3_RANKER_MODEL : M3_RANKER_POPULARITY; i < M3_RANKERS; i++) {
            const bool first = i == (has_model ? M3_RANKER_MODEL : M3_RANKER_POPULARITY);
            (void)printf("%-8s %8llu  ", first ? groups[g].name : "", (unsigned long long)groups[g].popularity.samples);
            print_row(r, candidates, g, (m3_ranker)i, shown);
        }
    }
}

/* How much of the items the lists show: the whole part alone. */
static void print_lists(const m3_rankings *r, bool has_model)
{
    uint32_t count;
    columns shown = {0};
    const uint32_t *ks = m3_rankings_ks(r, &count);
    for (int m = M3_MEASURE_COVERAGE; m <= M3_MEASURE_GINI; m++)
        for (uint32_t i = 0; i < count; i++) add_column(&shown, (m3_metric){(m3_measure)m, ks[i]});
    (void)printf(
        "\nLists of full ranking: the share of items that are in one, and how unequal the items' shares are\n%-10s",
        "ranked by");
    for (uint32_t i = 0; i < shown.count; i++) {
        char name[32];
        name_column(name, shown.at[i]);
        (void)printf(" %7s", name);
    }
    (void)printf("\n");
    for (int i = has_model ? M3_RANKER_MODEL : M3_RANKER_POPULARITY; i < M3_RANKERS; i++)
        print_row(r, M3_CANDIDATES_FULL, 0, (m3_ranker)i, &shown);
}

/* All metrics at all cut-offs. */
static void print_metrics_json(const m3_rankings *r, m3_candidates candidates, uint32_t group, m3_ranker ranker)
{
    uint32_t count, printed = 0;
    const uint32_t *ks = m3_rankings_ks(r, &count);
    (void)printf("{");
    for (int m = 0; m < M3_MEASURES; m++)
        for (uint32_t i = 0; i < count; i++) {
            const double value = m3_rankings_metric(r, candidates, ranker, group, (m3_metric){(m3_measure)m, ks[i]});
            if (isnan(value)) continue; /* coverage and gini are of the whole part alone */
            (void)printf("%s\"%s@%u\": ", printed++ == 0 ? "" : ", ", m3_measure_name((m3_measure)m), ks[i]);
            cli_json_number(value);
        }
    (void)printf("}");
}

/* @param has_model  false: the baselines alone. */
static void print_groups_json(const char *name, const m3_rankings *r, m3_candidates candidates,
                              const m3_metrics_group *groups, uint32_t count, bool has_model)
{
    static const char *const keys[M3_RANKERS] = {"model", "popularity", "trend", "itemknn"};
    (void)printf(", \"%s\": [", name);
    for (uint32_t g = 0; g < count; g++) {
        (void)printf("%s{\"history\": \"%s\", \"samples\": %llu", g == 0 ? "" : ", ", groups[g].name,
                     (unsigned long long)groups[g].popularity.samples);
        for (int i = has_model ? M3_RANKER_MODEL : M3_RANKER_POPULARITY; i < M3_RANKERS; i++) {
            (void)printf(", \"%s\": ", keys[i]);
            print_metrics_json(r, candidates, g, (m3_ranker)i);
        }
        (void)printf("}");
    }
    (void)printf("]");
}

/* What there is beside the figures of m3_evaluation: those of a model against planted truth, or NULL. */
typedef struct against {
    const char *path;
    m3_truth_report *report;
} against;

static void print_json(const char *of, const char *split, const m3_rankings *r, const m3_evaluation *e,
                       const against *truth, bool has_model)
{
    uint32_t count;
    const uint32_t *ks = m3_rankings_ks(r, &count);
    (void)printf("{\"%s\": ", has_model ? "run" : "data");
    cli_json_text(of);
    (void)printf(", \"split\": \"%s\", \"samples\": %llu", split, (unsigned long long)e->full[0].popularity.samples);
    (void)printf(", \"itemknn_damping\": ");
    cli_json_number(e->itemknn_damping);
    (void)printf(", \"trend_half_life\": ");
    cli_json_number(e->trend_half_life);
    (void)printf(", \"uni99_short\": %llu, \"uni99_least\": %u, \"ks\": [", (unsigned long long)e->uni99_short,
                 e->uni99_least);
    for (uint32_t i = 0; i < count; i++) (void)printf("%s%u", i == 0 ? "" : ", ", ks[i]);
    (void)printf("], \"full_short\": [");
    for (uint32_t i = 0; i < count; i++)
        (void)printf("%s%llu", i == 0 ? "" : ", ", (unsigned long long)m3_rankings_short(r, ks[i]));
    (void)printf("]");
    print_groups_json("full", r, M3_CANDIDATES_FULL, e->full, e->group_count, has_model);
    print_groups_json("uni99", r, M3_CANDIDATES_UNI99, e->uni99, e->group_count, has_model);
    if (truth->report != NULL) {
        (void)printf(", ");
        truth_print_json(truth->report, truth->path);
    }
    (void)printf("}\n");
}

static void warn(const m3_rankings *r, const m3_evaluation *e, m3_split_rule rule)
{
    uint32_t count;
    const uint32_t *ks = m3_rankings_ks(r, &count);
    const unsigned long long samples = e->full[0].popularity.samples;
    if (e->uni99_short > 0)
        (void)fprintf(
            stderr,
            "warning: %llu of %llu samples of uni99 are ranked among fewer than 99 other items, which flatters; "
            "the set is too small for it\n",
            (unsigned long long)e->uni99_short, samples);
    else if (samples > 0 && ks[count - 1] > 99)
        (void)fprintf(stderr, "warning: uni99 ranks 100 items, so that figures at %u and beyond hold for any order\n",
                      ks[count - 1] > 100 ? 100 : ks[count - 1]);
    for (uint32_t i = 0; i < count; i++) {
        const unsigned long long few = m3_rankings_short(r, ks[i]);
        if (few == 0) continue;
        (void)fprintf(stderr,
                      "warning: %llu of %llu samples have fewer than %u candidates in full ranking, so that figures at "
                      "%u flatter\n",
                      few, samples, ks[i], ks[i]);
        break; /* those that follow have no fewer */
    }
    if (samples == 0)
        cli_show(stderr, "no sample: %s\n",
                 rule.kind != M3_SPLIT_LAST ? "no target event is in that part of the set's split"
                 : rule.last > 1            ? "a user needs more target items than are held out"
                                            : "a user needs three different items in the target behavior");
}

/* Without a choice, HR, NDCG and MRR at all cut-offs. */
static columns fill_columns(const m3_rankings *r, const columns *chosen)
{
    uint32_t count;
    columns shown = {0};
    const uint32_t *ks = m3_rankings_ks(r, &count);
    for (uint32_t c = 0; c < (chosen->count != 0 ? chosen->count : USUAL); c++) {
        const m3_metric one = chosen->count != 0 ? chosen->at[c] : (m3_metric){usual[c], 0};
        for (uint32_t i = 0; i < count; i++)
            if (one.k == 0 || one.k == ks[i]) add_column(&shown, (m3_metric){one.measure, ks[i]});
    }
    return shown;
}

static void print(const cli *c, const char *split, const m3_rankings *r, const columns *chosen, const against *truth,
                  m3_split_rule rule, bool has_model)
{
    const char *of = c->words[0];
    m3_evaluation e = {.size = M3_STRUCT_SIZE(m3_evaluation, uni99_least)};
    m3_rankings_evaluation(r, &e);
    if (c->json) {
        print_json(of, split, r, &e, truth, has_model);
        return;
    }
    const columns shown = fill_columns(r, chosen);
    cli_show(stdout, "%s, %s: %llu samples\n", of, split, (unsigned long long)e.full[0].popularity.samples);
    print_table(rule.repeats ? "Full ranking: among all items"
                             : "Full ranking: among all items that the user has not had in the target behavior before",
                r, M3_CANDIDATES_FULL, e.full, e.group_count, &shown);
    print_lists(r, has_model);
    char title[160];
    (void)snprintf(title, sizeof title,
                   "uni99: among %s%u%s items that the user never touched, drawn uniformly with a fixed seed",
                   e.uni99_short > 0 ? "only " : "", e.uni99_least, e.uni99_short > 0 ? " to 99" : "");
    print_table(title, r, M3_CANDIDATES_UNI99, e.uni99, e.group_count, &shown);
    if (!c->quiet) warn(r, &e, rule);
    if (truth->report != NULL) truth_print_text(truth->report, truth->path);
}

static m3_split_part part_of(const char *split)
{
    return split[0] == 'v' ? M3_SPLIT_VALID : M3_SPLIT_TEST;
}

/* The command. */

typedef struct request {
    cli c;
    m3_serve_options serve;
    m3_ranking_options ranking;
    cli_list metrics, cuts;
    columns chosen;        /* of --metrics: k is 0 where none is said */
    uint32_t ks[MAX_CUTS]; /* of --ks and --metrics; none: the run's, or the usual ones */
    bool baselines;
    const char *split, *target;
    against truth;
    m3_served *served;
    m3_rankings *rankings;
} request;

static m3_status evaluate(request *q, m3_error *err)
{
    m3_status st = M3_OK;
    cli *c = &q->c;
    const m3_split_part part = part_of(q->split);
    if ((st = cli_open_device(c, err)) != M3_OK) return st;
    q->serve.no_pass = cli_no_pass(c);
    q->serve.strict = c->strict;
    q->serve.fallbacks = c->fallbacks;
    if ((st = m3_serve(c->device, c->words[0], &q->serve, &q->served, err)) != M3_OK) return st;
    if (q->truth.path != NULL) st = m3_evaluate_truth(q->served, part, q->truth.path, &q->truth.report, err);
    if (st != M3_OK || (st = m3_rank_part(q->served, part, &q->ranking, &q->rankings, err)) != M3_OK) return st;
    print(c, q->split, q->rankings, &q->chosen, &q->truth, m3_dataset_split_rule(m3_served_dataset(q->served)), true);
    return M3_OK;
}

static m3_status evaluate_baselines(request *q, m3_error *err)
{
    m3_dataset *set = NULL;
    const char *path = q->c.words[0];
    m3_status st = m3_dataset_open(path, &set, err);
    if (st != M3_OK) return st;
    uint32_t behavior = m3_dataset_target(set);
    if (q->target != NULL && !m3_dataset_find_behavior(set, q->target, &behavior))
        st = M3_FAIL(err, M3_ERR_INVALID, "--target", "%s has no behavior '%s'; `m3bsr data describe` lists them", path,
                     q->target);
    if (st == M3_OK) st = m3_rank_part_baselines(set, behavior, part_of(q->split), &q->ranking, &q->rankings, err);
    if (st == M3_OK) print(&q->c, q->split, q->rankings, &q->chosen, &q->truth, m3_dataset_split_rule(set), false);
    m3_dataset_close(set);
    return st;
}

/* Options that belong to the other form of the command. */
static bool is_mixed(const request *q)
{
    if (q->baselines && (q->serve.checkpoint != NULL || q->serve.data != NULL || q->truth.path != NULL))
        (void)fprintf(stderr,
                      "error: --baselines needs the data set file alone; leave out --checkpoint, --data and --truth\n");
    else if (q->baselines && q->ranking.lists != NULL)
        (void)fprintf(stderr, "error: --lists goes with a run; leave out --baselines\n");
    else if (!q->baselines && q->target != NULL)
        (void)fprintf(stderr, "error: --target goes with --baselines; a run has its own target\n");
    else if (q->ranking.lists == NULL && q->ranking.top != 0)
        (void)fprintf(stderr, "error: --top goes with --lists FILE; --ks has the cut-offs of metrics\n");
    else
        return false;
    return true;
}

/* Put a cut-off among the others, which rise. */
static bool add_cut(request *q, uint32_t k)
{
    uint32_t at = q->ranking.k_count;
    while (at > 0 && q->ks[at - 1] > k) at--;
    if (at > 0 && q->ks[at - 1] == k) return true;
    if (q->ranking.k_count == MAX_CUTS) {
        (void)fprintf(stderr, "error: there are more than %d cut-offs; give fewer\n", MAX_CUTS);
        return false;
    }
    memmove(&q->ks[at + 1], &q->ks[at], (q->ranking.k_count - at) * sizeof q->ks[0]);
    q->ks[at] = k;
    q->ranking.k_count++;
    return true;
}

static bool read_metrics(request *q)
{
    m3_error err = {0};
    for (uint32_t i = 0; i < q->cuts.count; i++) {
        char *end;
        const char *text = q->cuts.at[i];
        const unsigned long k = strtoul(text, &end, 10);
        if (*text < '0' || *text > '9' || *end != '\0' || k == 0 || k > M3_MOST_CUT) {
            cli_show(stderr, "error: --ks cannot be '%s'; give numbers from 1 to %d, such as 1,10,100\n", text,
                     M3_MOST_CUT);
            return false;
        }
        if (!add_cut(q, (uint32_t)k)) return false;
    }
    for (uint32_t i = 0; i < q->metrics.count; i++) {
        m3_metric metric = {0};
        const bool has_cut = strchr(q->metrics.at[i], '@') != NULL;
        const m3_status st = has_cut ? m3_metric_parse(q->metrics.at[i], &metric, &err)
                                     : m3_measure_find(q->metrics.at[i], &metric.measure, &err);
        if (st != M3_OK) {
            (void)snprintf(err.subject, sizeof err.subject, "--metrics");
            (void)cli_report(&err);
            return false;
        }
        if (has_cut && !add_cut(q, metric.k)) return false;
        add_column(&q->chosen, metric);
    }
    if (q->ranking.k_count > 0) q->ranking.ks = q->ks;
    return true;
}

static int check_usage(request *q)
{
    if (strcmp(q->split, "test") != 0 && strcmp(q->split, "valid") != 0) {
        cli_show(stderr, "error: --split cannot be '%s'; give valid or test\n", q->split);
        return CLI_BAD_INPUT;
    }
    return is_mixed(q) || !read_metrics(q) ? CLI_BAD_INPUT : CLI_GO_ON;
}

int cmd_evaluate(int argc, char **argv)
{
    m3_error err = {0};
    request q = {.split = "test",
                 .serve.size = M3_STRUCT_SIZE(m3_serve_options, precision),
                 .ranking.size = M3_STRUCT_SIZE(m3_ranking_options, top)};
    const cli_option options[] = {
        {"split", CLI_TEXT, &q.split, "NAME", "test (default) or valid"},
        {"ks", CLI_NAMES, &q.cuts, "A,B", "cut-offs; default: the run's key ks, without a run 5,10,20"},
        {"metrics", CLI_NAMES, &q.metrics, "A,B",
         "columns: hr, recall, precision, ndcg, mrr, map, coverage, gini\n"
         "                             at all cut-offs, or at one, as recall@50; default hr,ndcg,mrr"},
        {"lists", CLI_TEXT, &q.ranking.lists, "FILE", "write each sample's list of items: .csv, .tsv or .jsonl"},
        {"top", CLI_COUNT, &q.ranking.top, "N", "items of a list in that file; default: the last cut-off"},
        {"checkpoint", CLI_TEXT, &q.serve.checkpoint, "FILE", "default: the run's best.safetensors, else the last"},
        {"data", CLI_TEXT, &q.serve.data, "SET", "another data set file than the run's"},
        {"precision", CLI_TEXT, &q.serve.precision, "TYPE", "f32, bf16 or f16, in the place of the run's key"},
        {"truth", CLI_TEXT, &q.truth.path, "FOLDER",
         "what m3bsr data synth planted, SRC/truth: compare the model with it"},
        {"baselines", CLI_FLAG, &q.baselines, NULL, "popularity, trend and item-kNN of a data set file; needs no run"},
        {"target", CLI_TEXT, &q.target, "NAME", "with --baselines: the behavior to predict; default: the set's"},
    };
    const cli_command command = {
        .usage = "evaluate RUN [--split valid|test] [--ks A,B] [--metrics A,B] [--lists FILE] [options]\n"
                 "evaluate SET --baselines [--target NAME] [--split valid|test] [--ks A,B] [--metrics A,B]",
        .about =
            "HR, NDCG and MRR, or other metrics, by full ranking and among 99 drawn items, overall and by the number\n"
            "of events before the sample, with popularity, recent popularity and item-kNN beside them.",
        .groups = CLI_DEVICE | CLI_PASSES,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .min_words = 1,
        .max_words = 1};
    int status = cli_parse(&q.c, &command, argc, argv);
    if (status == CLI_GO_ON) status = check_usage(&q);
    if (status != CLI_GO_ON) return status;
    m3_status st = q.baselines ? evaluate_baselines(&q, &err) : evaluate(&q, &err);
    m3_rankings_free(q.rankings);
    m3_truth_report_free(q.truth.report);
    m3_served_free(q.served);
    cli_close(&q.c);
    return st == M3_OK ? CLI_DONE : cli_report(&err);
}
