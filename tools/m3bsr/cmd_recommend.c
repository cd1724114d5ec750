/* recommend: the best items for users of the set, or of a file of new histories.
 *   m3bsr recommend RUN --users A,B|@FILE [--top 10] [--history FILE] */
#include <stdlib.h>
#include <string.h>

#include "m3bsr/serve.h"
#include "tools/m3bsr/users.h"

enum { AT_ONCE = 1024 }; /* users of one call */

typedef struct request {
    cli c;
    m3_serve_options serve;
    cli_users users;
    const char *exclude, *format;
    uint32_t top;
    m3_exclude leave_out;
    m3_served *served;
    m3_recommendation *items;
} request;

/* Results. */

/* A title is free text: as it is, a tab in it would begin another column. */
static void print_tsv(const request *r, uint32_t i, const m3_recommendation *items)
{
    const m3_dataset *set = m3_served_dataset(r->served);
    for (uint32_t k = 0; k < r->top && items[k].item != 0; k++) {
        cli_print_safe(stdout, cli_users_id(&r->users, set, i));
        (void)printf("\t%u\t", k + 1);
        cli_print_safe(stdout, m3_dataset_item_id(set, items[k].item));
        (void)printf("\t%.6g\t", (double)items[k].score);
        cli_print_safe(stdout, m3_dataset_item_title(set, items[k].item));
        (void)printf("\n");
    }
}

static void print_json(const request *r, uint32_t i, const m3_recommendation *items)
{
    const m3_dataset *set = m3_served_dataset(r->served);
    (void)printf("%s{\"user\": ", i == 0 ? "" : ", ");
    cli_json_text(cli_users_id(&r->users, set, i));
    (void)printf(", \"items\": [");
    for (uint32_t k = 0; k < r->top && items[k].item != 0; k++) {
        (void)printf("%s{\"item\": ", k == 0 ? "" : ", ");
        cli_json_text(m3_dataset_item_id(set, items[k].item));
        (void)printf(", \"score\": ");
        cli_json_number((double)items[k].score);
        (void)printf(", \"title\": ");
        cli_json_text(m3_dataset_item_title(set, items[k].item));
        (void)printf("}");
    }
    (void)printf("]}");
}

static m3_status print_all(request *r, m3_error *err)
{
    m3_status st = M3_OK;
    const uint32_t at_once = r->users.count < AT_ONCE ? r->users.count : AT_ONCE;
    r->items = calloc((size_t)at_once * r->top + 1, sizeof *r->items); /* never an empty block */
    if (r->items == NULL) return M3_FAIL_MEMORY(err, "items", (size_t)at_once * r->top * sizeof *r->items);
    for (uint32_t first = 0; st == M3_OK && first < r->users.count; first += at_once) {
        const uint32_t count = r->users.count - first < at_once ? r->users.count - first : at_once;
        st = m3_recommend(r->served, r->users.histories, r->users.numbers + first, count, r->top, r->leave_out,
                          r->items, err);
        if (st != M3_OK) return st;
        if (first == 0) (void)printf("%s", r->c.json ? "{\"users\": [" : "user\trank\titem\tscore\ttitle\n");
        for (uint32_t i = 0; i < count; i++) {
            const m3_recommendation *items = r->items + (size_t)i * r->top;
            if (r->c.json)
                print_json(r, first + i, items);
            else
                print_tsv(r, first + i, items);
        }
    }
    if (r->c.json) (void)printf("]}\n");
    return st;
}

/* The command. */

static m3_status recommend(request *r, m3_error *err)
{
    m3_status st;
    if ((st = cli_open_device(&r->c, err)) != M3_OK) return st;
    r->serve.no_pass = cli_no_pass(&r->c);
    r->serve.strict = r->c.strict;
    r->serve.fallbacks = r->c.fallbacks;
    if ((st = m3_serve(r->c.device, r->c.words[0], &r->serve, &r->served, err)) != M3_OK) return st;
    if ((st = cli_users_read(&r->users, m3_served_dataset(r->served), &r->c, err)) != M3_OK) return st;
    const m3_dataset *set = m3_served_dataset(r->served);
    const uint32_t items = m3_dataset_item_count(set);
    if (r->exclude == NULL && m3_dataset_split_rule(set).repeats) r->leave_out = M3_EXCLUDE_NONE;
    if (r->top > items) r->top = items;
    return print_all(r, err);
}

static int check_usage(request *r)
{
    static const char *const choices[] = {"target", "touched", "none"}; /* by m3_exclude */
    if (!cli_users_given(&r->users, "recommend RUN")) return CLI_BAD_INPUT;
    if (r->top == 0) {
        (void)fprintf(stderr, "error: --top cannot be '0'; give 1 or more\n");
        return CLI_BAD_INPUT;
    }
    int found = r->exclude == NULL ? M3_EXCLUDE_TARGET : -1;
    for (int i = 0; r->exclude != NULL && i < 3; i++)
        if (strcmp(r->exclude, choices[i]) == 0) found = i;
    if (found < 0) {
        cli_show(stderr, "error: --exclude cannot be '%s'; give target, touched or none\n", r->exclude);
        return CLI_BAD_INPUT;
    }
    r->leave_out = (m3_exclude)found;
    const bool json = r->format != NULL && strcmp(r->format, "json") == 0;
    if (r->format != NULL && !json && strcmp(r->format, "tsv") != 0) {
        cli_show(stderr, "error: --format cannot be '%s'; give tsv or json\n", r->format);
        return CLI_BAD_INPUT;
    }
    r->c.json = r->c.json || json;
    return CLI_GO_ON;
}

int cmd_recommend(int argc, char **argv)
{
    m3_error err = {0};
    request r = {.top = 10};
    r.serve.size = M3_STRUCT_SIZE(m3_serve_options, precision);
    const cli_option options[] = {
        CLI_USERS_OPTIONS(r.users),
        {"top", CLI_COUNT, &r.top, "N", "items a user; default 10"},
        {"exclude", CLI_TEXT, &r.exclude, "WHAT",
         "target (default): items had in the target behavior; touched: in\n"
         "                             any behavior; none (default for a set with --repeats keep)"},
        {"format", CLI_TEXT, &r.format, "NAME", "tsv (default) or json"},
        {"checkpoint", CLI_TEXT, &r.serve.checkpoint, "FILE", "default: the run's best.safetensors, else the last"},
        {"data", CLI_TEXT, &r.serve.data, "SET", "another data set file than the run's"},
        {"precision", CLI_TEXT, &r.serve.precision, "TYPE", "f32, bf16 or f16, in the place of the run's key"},
    };
    const cli_command command = {
        .usage = "recommend RUN --users A,B|@FILE [options]\n"
                 "recommend RUN --history FILE [--users A,B|@FILE] [options]",
        .about =
            "The best items for users after all of their history, with original ids, scores and titles. Who has no\n"
            "history gets what is popular, with score 0.",
        .groups = CLI_DEVICE | CLI_PASSES,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .min_words = 1,
        .max_words = 1};
    int status = cli_parse(&r.c, &command, argc, argv);
    if (status == CLI_GO_ON) status = check_usage(&r);
    if (status != CLI_GO_ON) return status;
    m3_status st = recommend(&r, &err);
    free(r.items);
    cli_users_fini(&r.users);
    m3_served_free(r.served);
    cli_close(&r.c);
    return st == M3_OK ? CLI_DONE : cli_report(&err);
}
