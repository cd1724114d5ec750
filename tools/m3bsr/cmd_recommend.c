/* recommend: the best items for users of the set, or of a file of new histories.
 *   m3bsr recommend RUN --users A,B|@FILE [--top 10] [--history FILE] */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "m3bsr/serve.h"
#include "tools/m3bsr/cli.h"

enum { AT_ONCE = 1024 }; /* users of one call */

typedef struct request {
    cli c;
    m3_serve_options serve;
    const char *users, *history, *exclude, *format;
    uint32_t top;
    m3_exclude leave_out;
    m3_served *served;
    m3_histories *histories;
    uint32_t *numbers; /* [count] of the users, in the set or in the histories */
    uint32_t count, capacity;
    m3_recommendation *items;
} request;

/* Users. */

static m3_status add_user(request *r, uint32_t number, m3_error *err)
{
    if (r->count == r->capacity) {
        const uint32_t capacity = r->capacity == 0 ? 64 : 2 * r->capacity;
        uint32_t *grown = realloc(r->numbers, capacity * sizeof *grown);
        if (grown == NULL) return M3_FAIL_MEMORY(err, "users", capacity * sizeof *grown);
        r->numbers = grown;
        r->capacity = capacity;
    }
    r->numbers[r->count++] = number;
    return M3_OK;
}

static m3_status find_user(request *r, const char *id, m3_error *err)
{
    uint32_t number = 0;
    if (r->histories != NULL && m3_histories_find_user(r->histories, id, &number)) return add_user(r, number, err);
    if (r->histories == NULL && m3_dataset_find_user(m3_served_dataset(r->served), id, &number))
        return add_user(r, number, err);
    if (r->histories != NULL) return M3_FAIL(err, M3_ERR_INVALID, id, "is no user of %s", r->history);
    return M3_FAIL(err, M3_ERR_INVALID, id,
                   "is no user of the set, which has %u; give the history of a new user with --history",
                   m3_dataset_user_count(m3_served_dataset(r->served)));
}

/* "A,B". */
static m3_status read_list(request *r, const char *list, m3_error *err)
{
    m3_status st = M3_OK;
    char *copy = strdup(list), *left = copy;
    if (copy == NULL) return M3_FAIL_MEMORY(err, "users", strlen(list) + 1);
    while (st == M3_OK && left != NULL) {
        const char *id = strsep(&left, ",");
        if (*id != '\0') st = find_user(r, id, err);
    }
    free(copy);
    return st;
}

/* An id a line. A byte order mark does no harm. */
static m3_status read_file(request *r, const char *path, m3_error *err)
{
    m3_status st = M3_OK;
    char *line = NULL;
    size_t capacity = 0;
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    FILE *file = fopen(path, "rbe");
    if (file == NULL) return M3_FAIL(err, M3_ERR_INVALID, path, "cannot be opened: %s", strerror(errno));
    for (size_t mark = strlen(byte_order_mark); st == M3_OK && getline(&line, &capacity, file) > 0; mark = 0) {
        const char *id = strncmp(line, byte_order_mark, mark) == 0 ? line + mark : line;
        line[strcspn(line, "\r\n")] = '\0';
        if (id[0] != '\0') st = find_user(r, id, err);
    }
    if (st == M3_OK && ferror(file))
        st = M3_FAIL(err, errno == EISDIR ? M3_ERR_INVALID : M3_ERR_IO, path, "cannot be read: %s", strerror(errno));
    free(line);
    (void)fclose(file);
    return st;
}

static m3_status read_users(request *r, m3_error *err)
{
    m3_status st = M3_OK;
    if (r->users != NULL) {
        st = r->users[0] == '@' ? read_file(r, r->users + 1, err) : read_list(r, r->users, err);
    } else { /* everyone in the file of histories */
        const uint32_t count = m3_histories_user_count(r->histories);
        for (uint32_t i = 0; st == M3_OK && i < count; i++) st = add_user(r, i, err);
    }
    if (st == M3_OK && r->count == 0) st = M3_FAIL(err, M3_ERR_INVALID, "--users", "names nobody");
    return st;
}

static void print_log(void *user, m3_log_level level, const char *line)
{
    const request *r = user;
    if (level <= M3_LOG_WARN ? !r->c.quiet : r->c.verbose) (void)fprintf(stderr, "%s\n", line);
}

static m3_status read_history(request *r, m3_error *err)
{
    const m3_reading reading = {.say_all = r->c.verbose, .log = print_log, .log_user = r};
    m3_import_report report = {0};
    m3_status st = m3_histories_read(m3_served_dataset(r->served), r->history, &reading, &r->histories, &report, err);
    for (uint32_t i = 0; st == M3_OK && m3_drop_name(i) != NULL; i++)
        if (report.dropped[i] > 0 && !r->c.quiet)
            (void)fprintf(stderr, "%s: left out %llu rows: %s\n", r->history, (unsigned long long)report.dropped[i],
                          m3_drop_meaning(i));
    return st;
}

/* Results. */

static const char *user_id(const request *r, uint32_t number)
{
    return r->histories != NULL ? m3_histories_user_id(r->histories, number)
                                : m3_dataset_user_id(m3_served_dataset(r->served), number);
}

/* A title is free text, and a tab would begin another column. */
static void print_field(const char *text)
{
    for (; *text != '\0'; text++) (void)putchar((unsigned char)*text < 0x20 ? ' ' : *text);
}

static void print_tsv(const request *r, uint32_t number, const m3_recommendation *items)
{
    const m3_dataset *set = m3_served_dataset(r->served);
    for (uint32_t k = 0; k < r->top && items[k].item != 0; k++) {
        print_field(user_id(r, number));
        (void)printf("\t%u\t", k + 1);
        print_field(m3_dataset_item_id(set, items[k].item));
        (void)printf("\t%.6g\t", (double)items[k].score);
        print_field(m3_dataset_item_title(set, items[k].item));
        (void)printf("\n");
    }
}

static void print_json(const request *r, uint32_t number, const m3_recommendation *items, bool first)
{
    const m3_dataset *set = m3_served_dataset(r->served);
    (void)printf("%s{\"user\": ", first ? "" : ", ");
    cli_json_text(user_id(r, number));
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
    const uint32_t at_once = r->count < AT_ONCE ? r->count : AT_ONCE;
    r->items = calloc((size_t)at_once * r->top + 1, sizeof *r->items); /* never an empty block */
    if (r->items == NULL) return M3_FAIL_MEMORY(err, "items", (size_t)at_once * r->top * sizeof *r->items);
    for (uint32_t first = 0; st == M3_OK && first < r->count; first += at_once) {
        const uint32_t count = r->count - first < at_once ? r->count - first : at_once;
        st = m3_recommend(r->served, r->histories, r->numbers + first, count, r->top, r->leave_out, r->items, err);
        if (st != M3_OK) return st;
        if (first == 0) (void)printf("%s", r->c.json ? "{\"users\": [" : "user\trank\titem\tscore\ttitle\n");
        for (uint32_t i = 0; i < count; i++) {
            const m3_recommendation *items = r->items + (size_t)i * r->top;
            if (r->c.json)
                print_json(r, r->numbers[first + i], items, first + i == 0);
            else
                print_tsv(r, r->numbers[first + i], items);
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
    if (r->history != NULL && (st = read_history(r, err)) != M3_OK) return st;
    if ((st = read_users(r, err)) != M3_OK) return st;
    const uint32_t items = m3_dataset_item_count(m3_served_dataset(r->served));
    if (r->top > items) r->top = items;
    return print_all(r, err);
}

static int check_usage(request *r)
{
    static const char *const choices[] = {"target", "touched", "none"}; /* by m3_exclude */
    if (r->users == NULL && r->history == NULL) {
        (void)fprintf(stderr, "error: for whom? m3bsr recommend RUN --users A,B|@FILE, or --history FILE\n");
        return CLI_BAD_INPUT;
    }
    if (r->top == 0) {
        (void)fprintf(stderr, "error: --top cannot be '0'; give 1 or more\n");
        return CLI_BAD_INPUT;
    }
    int found = -1;
    for (int i = 0; i < 3; i++)
        if (strcmp(r->exclude, choices[i]) == 0) found = i;
    if (found < 0) {
        (void)fprintf(stderr, "error: --exclude cannot be '%s'; give target, touched or none\n", r->exclude);
        return CLI_BAD_INPUT;
    }
    r->leave_out = (m3_exclude)found;
    const bool json = r->format != NULL && strcmp(r->format, "json") == 0;
    if (r->format != NULL && !json && strcmp(r->format, "tsv") != 0) {
        (void)fprintf(stderr, "error: --format cannot be '%s'; give tsv or json\n", r->format);
        return CLI_BAD_INPUT;
    }
    r->c.json = r->c.json || json;
    return CLI_GO_ON;
}

int cmd_recommend(int argc, char **argv)
{
    m3_error err = {0};
    request r = {.exclude = "target", .top = 10};
    r.serve.size = M3_STRUCT_SIZE(m3_serve_options, fallbacks);
    const cli_option options[] = {
        {"users", CLI_TEXT, &r.users, "A,B|@FILE", "ids, or a file with an id a line"},
        {"history", CLI_TEXT, &r.history, "FILE",
         "new histories: user_id, item_id, behavior, timestamp; the users\n"
         "                             are then the file's, by default all"},
        {"top", CLI_COUNT, &r.top, "N", "items a user; default 10"},
        {"exclude", CLI_TEXT, &r.exclude, "WHAT",
         "target (default): items had in the target behavior; touched: in\n"
         "                             any behavior; none"},
        {"format", CLI_TEXT, &r.format, "NAME", "tsv (default) or json"},
        {"checkpoint", CLI_TEXT, &r.serve.checkpoint, "FILE", "default: the run's best.safetensors, else the last"},
        {"data", CLI_TEXT, &r.serve.data, "SET", "another data set file than the run's"},
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
    free(r.numbers);
    m3_histories_free(r.histories);
    m3_served_free(r.served);
    cli_close(&r.c);
    return st == M3_OK ? CLI_DONE : cli_report(&err);
}
