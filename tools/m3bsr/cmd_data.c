/* data: make data sets and look at them.
 *   m3bsr data import SRC --out SET | append SET SRC --out SET2 | describe SET | synth --out SRC */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "m3bsr/data.h"
#include "tools/m3bsr/cli.h"
#include "tools/m3bsr/data_print.h"
#include "tools/m3bsr/import_watch.h"
#include "tools/m3bsr/users.h"

static int missing(const char *question, const char *usage)
{
    cli_show(stderr, "error: %s m3bsr %s\n", question, usage);
    return CLI_BAD_INPUT;
}

/* Describe. */

static int print_set(const cli *c, const char *path)
{
    m3_error err = {0};
    m3_dataset *set = NULL;
    m3_status st = m3_dataset_open(path, &set, &err);
    if (st == M3_OK) st = c->json ? data_print_json(set, path, &err) : data_print_text(set, path, &err);
    m3_dataset_close(set);
    return st == M3_OK ? CLI_DONE : cli_report(&err);
}

static int describe(int argc, char **argv)
{
    cli c = {0};
    const cli_command command = {
        .usage = "data describe SET [--json]", .about = "What is in a data set.", .max_words = 1};
    int status = cli_parse(&c, &command, argc, argv);
    if (status != CLI_GO_ON) return status;
    return c.count > 0 ? print_set(&c, c.words[0]) : missing("which set?", "data describe SET");
}

/* Import, append. */

typedef struct importing {
    cli c;
    import_watch watch;
    const char *out;
    bool append, drop_gone;
    const char *repeats;
    m3_import_options options;
    const char *time_unit, *memory;
    cli_list features, modalities, derive, behaviors, columns, items_columns;
    m3_feature_source sources[CLI_MAX_LIST];
} importing;

static void print_log(void *user, m3_log_level level, const char *line)
{
    importing *m = user;
    if (m->c.quiet) return;
    import_watch_clear(&m->watch);
    cli_say(level <= M3_LOG_WARN ? "warning: " : "", line);
}

/* Cut every "NAME=FILE[,IDS]" in place. */
static bool read_features(importing *m)
{
    for (uint32_t i = 0; i < m->features.count; i++) {
        char *file = m->features.at[i];
        const char *name = strsep(&file, "=");
        if (file == NULL || *name == '\0') {
            cli_show(stderr, "error: --features cannot be '%s'; write NAME=FILE or NAME=FILE,IDS\n", name);
            return false;
        }
        char *ids = file;
        const char *path = strsep(&ids, ",");
        m->sources[i] = (m3_feature_source){name, path, ids};
    }
    return true;
}

static bool read_repeats(importing *m)
{
    m->options.keep_repeats = m->repeats != NULL && strcmp(m->repeats, "keep") == 0;
    if (m->repeats == NULL || m->options.keep_repeats || strcmp(m->repeats, "drop") == 0) return true;
    cli_show(stderr, "error: --repeats cannot be '%s'; give drop or keep\n", m->repeats);
    return false;
}

/* "2G" as bytes. */
static bool read_memory(importing *m)
{
    static const char units[] = "KMGT";
    char *end = NULL;
    if (m->memory == NULL) return true;
    errno = 0;
    const unsigned long long number = strtoull(m->memory, &end, 10);
    const char *unit = *end != '\0' ? strchr(units, toupper((unsigned char)*end)) : NULL;
    const unsigned shift = unit != NULL ? 10 * (unsigned)(unit - units + 1) : 0;
    const char *rest = unit != NULL ? end + 1 : end;
    m->options.memory = number << shift;
    if (isdigit((unsigned char)m->memory[0]) && errno == 0 && number > 0 && *rest == '\0' &&
        number <= UINT64_MAX >> shift)
        return true;
    cli_show(stderr, "error: --memory cannot be '%s'; give bytes, or a number with K, M, G or T such as 2G\n",
             m->memory);
    return false;
}

static int import_set(importing *m)
{
    m3_error err = {0};
    m3_import_options *o = &m->options;
    const int sources = m->append ? 1 : 0; /* the word that is one */
    if (m->append && m->c.count == 0) return missing("which set?", "data append SET SRC --out SET2");
    if (m->out == NULL)
        return missing("where to?", m->append ? "data append SET SRC --out SET2" : "data import SRC --out SET");
    if (!read_features(m) || !read_repeats(m) || !read_memory(m)) return CLI_BAD_INPUT;
    o->source = m->c.count > sources ? m->c.words[sources] : NULL;
    o->features = m->sources;
    o->feature_count = m->features.count;
    o->modalities = cli_list_texts(&m->modalities);
    o->modality_count = m->modalities.count;
    o->behaviors = cli_list_texts(&m->behaviors);
    o->behavior_count = m->behaviors.count;
    o->reading.derive = cli_list_texts(&m->derive);
    o->reading.derive_count = m->derive.count;
    o->reading.columns = cli_list_texts(&m->columns);
    o->reading.column_count = m->columns.count;
    o->reading.items_columns = cli_list_texts(&m->items_columns);
    o->reading.items_column_count = m->items_columns.count;
    o->reading.say_all = m->c.verbose;
    o->reading.log = print_log;
    o->reading.log_user = m;
    if (cli_take_times(&o->reading, m->time_unit, &err) != M3_OK) return cli_report(&err);
    import_watch_begin(&m->watch, m->c.quiet, o);
    const m3_status st = m->append ? m3_data_append(m->c.words[0], m->drop_gone, o, m->out, NULL, &err)
                                   : m3_data_import(o, m->out, NULL, &err);
    import_watch_clear(&m->watch);
    return st == M3_OK ? print_set(&m->c, m->out) : cli_report(&err);
}

static int import_or_append(int argc, char **argv, bool append)
{
    importing m = {.append = append, .options = M3_IMPORT_OPTIONS_INIT};
    m3_import_options *o = &m.options;
    m3_reading *r = &o->reading;
    /* clang-format off */
    enum { APPEND_ALONE = 1, IMPORT_ALONE = 9 }; /* at the start and at the end */
    const cli_option options[] = {
        {"drop-gone", CLI_FLAG, &m.drop_gone, NULL, "items without a row in the items file and without a new event leave"},
        {"out", CLI_TEXT, &m.out, "SET", "the data set file to write"},
        /* What to read. */
        {"interactions", CLI_TEXT, &o->interactions, "FILE", "default: interactions.* or the only *.inter of SRC"},
        {"items", CLI_TEXT, &o->items, "FILE", "default: items.* or the only *.item of SRC, if any"},
        {"features", CLI_LIST, &m.features, "NAME=FILE[,IDS]", ".npy or .safetensors and its ids; may be repeated"},
        {"user-column", CLI_TEXT, &r->user_column, "NAME", "default: user_id"},
        {"item-column", CLI_TEXT, &r->item_column, "NAME", "default: item_id"},
        {"behavior-column", CLI_TEXT, &r->behavior_column, "NAME", "default: behavior"},
        {"time-column", CLI_TEXT, &r->time_column, "NAME", "default: timestamp; none: the order of the rows is the time"},
        {"time-unit", CLI_TEXT, &m.time_unit, "NAME", "of whole timestamps: s, ms, us or ns; default: auto, found by their range"},
        {"title-column", CLI_TEXT, &r->title_column, "NAME", "default: title"},
        {"category-column", CLI_TEXT, &r->category_column, "NAME", "default: category"},
        {"separator", CLI_TEXT, &r->separator, "TEXT", "of fields, such as ';', tab or blank; default: found"},
        {"columns", CLI_NAMES, &m.columns, "A,B,C", "names of all columns of an interactions file without header"},
        {"items-columns", CLI_NAMES, &m.items_columns, "A,B", "the same of an items file"},
        {"derive", CLI_LIST, &m.derive, "NAME=COLUMN>=NUMBER", "by a condition (also >, <=, <, ==, !=), or NAME=*"},
        /* What to keep. */
        {"max-length", CLI_COUNT, &o->max_length, "N", append ? "history length that is proposed; default: the set's" : "history length that the set proposes to training; default 20"},
        {"keep-items", CLI_FLAG, &o->keep_items, NULL, "items of the items file without events are candidates too"},
        {"memory", CLI_TEXT, &m.memory, "SIZE", "to get along with, such as 2G; default: half of what there is"},
        {"threads", CLI_COUNT, &o->threads, "N", "that read and sort; default: as many as there are processors"},
        {"strict", CLI_FLAG, &r->strict, NULL, "a defective row is an error instead of being dropped"},
        /* What to hold out. */
        {"last", CLI_COUNT, &o->last, "N", "a user's last N targets are test, the N before them validation; default 1"},
        {"split-at", CLI_TEXT, &o->split_at, "VALID,TEST", "instead: two points in time for all users, or TEST alone"},
        {"repeats", CLI_TEXT, &m.repeats, "NAME", "drop (default), or keep: having an item again is a target too"},
        {"modalities", CLI_NAMES, &m.modalities, "A,B", "take these modalities, in this order; default: all, by name"},
        {"behaviors", CLI_NAMES, &m.behaviors, "A,B,C", "from shallow to deep; default: all, most frequent first"},
        {"target", CLI_TEXT, &o->target, "NAME", "the behavior to predict; default: the deepest"},
        {"min-user", CLI_NUMBER, &o->min_user_events, "N", "k-core: at least so many events a user"},
        {"min-item", CLI_NUMBER, &o->min_item_events, "N", "k-core: at least so many events an item"},
        {"no-features", CLI_FLAG, &o->no_features, NULL, "take no modality"},
        {"valid", CLI_TEXT, &o->valid, "FILE", "interactions to hold out for validation; default: valid.* of SRC, where"},
        {"test", CLI_TEXT, &o->test, "FILE", "those for test; SRC has train.*, test.* and no interactions.*"},
        {"split-column", CLI_TEXT, &r->split_column, "NAME", "a column of the interactions that says train, valid or test"},
    };
    /* clang-format on */
    enum { OPTIONS = sizeof options / sizeof options[0] };
    const cli_command importing_command = {
        .usage = "data import SRC --out SET [options]",
        .about = "Make a data set from a directory or an interactions file. -v prints every dropped row.",
        .options = options + APPEND_ALONE,
        .option_count = OPTIONS - APPEND_ALONE,
        .max_words = 1};
    const cli_command appending_command = {
        .usage = "data append SET SRC --out SET2 [options]",
        .about = "Add the events, users, items and features of a directory or an interactions file to a data set.",
        .options = options,
        .option_count = OPTIONS - IMPORT_ALONE,
        .max_words = 2};
    int status = cli_parse(&m.c, append ? &appending_command : &importing_command, argc, argv);
    return status != CLI_GO_ON ? status : import_set(&m);
}

static int import(int argc, char **argv)
{
    return import_or_append(argc, argv, false);
}

static int append(int argc, char **argv)
{
    return import_or_append(argc, argv, true);
}

/* Synthesise. */

static int synth(int argc, char **argv)
{
    cli c = {0};
    m3_error err = {0};
    cli_list features = {0};
    const char *out = NULL, *accidental_by = "uniform";
    m3_synth_options s = M3_SYNTH_OPTIONS_INIT;
    /* clang-format off */
    const cli_option options[] = {
        {"out", CLI_TEXT, &out, "SRC", "the folder to write"},
        {"users", CLI_NUMBER, &s.users, "N", "default 1000"},
        {"items", CLI_NUMBER, &s.items, "N", "default 1000"},
        {"clusters", CLI_NUMBER, &s.clusters, "N", "of items that interest the same users; default 20"},
        {"behaviors", CLI_NUMBER, &s.behaviors, "N", "default 2"},
        {"modalities", CLI_NUMBER, &s.modalities, "N", "default 1"},
        {"width", CLI_NUMBER, &s.width, "N", "features of an item in a modality; default 32"},
        {"events", CLI_NUMBER, &s.events, "N", "mean number of genuine shallow events of a user; default 24"},
        {"accidental", CLI_REAL, &s.accidental, "X", "fraction of shallow events that are accidental; default 0.2"},
        {"accidental-by", CLI_TEXT, &accidental_by, "NAME", "uniform (default), or popularity: on items that others chose"},
        {"bursts", CLI_REAL, &s.bursts, "X", "fraction of accidental events that come several in a row; default 0"},
        {"tail", CLI_REAL, &s.tail, "X", "the r-th item of a cluster is taken with chance r^-X; default 0"},
        {"drift", CLI_REAL, &s.drift, "X", "probability that an interest changes half way; default 0"},
        {"features", CLI_NAMES, &features, "A,B", "of each modality: useful (default), useless or only:BEHAVIOR"},
        {"feature-noise", CLI_REAL, &s.feature_noise, "X", "probability that an item has noise as features; default 0.2"},
        {"deepen", CLI_REAL, &s.deepen, "X", "probability that a genuine event goes one behavior deeper; default 0.6"},
        {"seed", CLI_WHOLE, &s.seed, "N", "default 1"},
    };
    /* clang-format on */
    const cli_command command = {.usage = "data synth --out SRC [options]",
                                 .about = "Make source files with planted interests and noise, whose truth is known.",
                                 .options = options,
                                 .option_count = sizeof options / sizeof options[0]};
    int status = cli_parse(&c, &command, argc, argv);
    if (status != CLI_GO_ON) return status;
    if (out == NULL) return missing("where to?", "data synth --out SRC");
    if (strcmp(accidental_by, "uniform") != 0 && strcmp(accidental_by, "popularity") != 0) {
        cli_show(stderr, "error: --accidental-by cannot be '%s'; give uniform or popularity\n", accidental_by);
        return CLI_BAD_INPUT;
    }
    s.accidental_by = accidental_by[0] == 'p' ? M3_ACCIDENTAL_POPULARITY : M3_ACCIDENTAL_UNIFORM;
    s.features = cli_list_texts(&features);
    s.feature_count = features.count;
    if (m3_data_synth(&s, out, &err) != M3_OK) return cli_report(&err);
    if (c.json) {
        (void)printf("{\"source\": ");
        cli_json_text(out);
        (void)printf("}\n");
    } else {
        cli_show(stdout, "%s: interactions.tsv, items.tsv, features; the planted truth is in %s/truth\n", out, out);
    }
    return CLI_DONE;
}

int cmd_data(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } commands[] = {{"import", import}, {"append", append}, {"describe", describe}, {"synth", synth}};
    enum { COMMANDS = sizeof commands / sizeof commands[0] };
    const char *name = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(name, commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
    if (strcmp(name, "--help") != 0 && strcmp(name, "-h") != 0) {
        (void)fputs("usage: m3bsr data import SRC --out SET [options]\n"
                    "       m3bsr data append SET SRC --out SET2 [options]\n"
                    "       m3bsr data describe SET [--json]\n"
                    "       m3bsr data synth --out SRC [options]\n",
                    stderr);
        return CLI_BAD_INPUT;
    }
    for (size_t i = 0; i < COMMANDS; i++) {
        char first[16], help[] = "--help";
        (void)snprintf(first, sizeof first, "%s", commands[i].name);
        if (i > 0) (void)putchar('\n');
        (void)commands[i].run(2, (char *[]){first, help, NULL});
    }
    return CLI_DONE;
}
