/* data: make data sets and look at them.
 *   m3bsr data import SRC --out SET | describe SET | synth --out SRC */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "m3bsr/data.h"
#include "tools/m3bsr/cli.h"

enum { MOST_LISTED = 64 };

enum option_id {
    OPT_OUT = 256,
    OPT_INTERACTIONS,
    OPT_ITEMS,
    OPT_FEATURES,
    OPT_MODALITIES,
    OPT_NO_FEATURES,
    OPT_USER_COLUMN,
    OPT_ITEM_COLUMN,
    OPT_BEHAVIOR_COLUMN,
    OPT_TIME_COLUMN,
    OPT_TITLE_COLUMN,
    OPT_CATEGORY_COLUMN,
    OPT_DERIVE,
    OPT_BEHAVIORS,
    OPT_TARGET,
    OPT_MAX_LENGTH,
    OPT_MIN_USER,
    OPT_MIN_ITEM,
    OPT_KEEP_ITEMS,
    OPT_STRICT,
    OPT_JSON,
    OPT_USERS,
    OPT_CLUSTERS,
    OPT_WIDTH,
    OPT_EVENTS,
    OPT_ACCIDENTAL,
    OPT_FEATURE_NOISE,
    OPT_DEEPEN,
    OPT_SEED
};

static const char usage[] =
    "usage: m3bsr data import SRC --out SET [options]   make a data set from a directory or an interactions file\n"
    "       m3bsr data describe SET [--json]            what is in a data set\n"
    "       m3bsr data synth --out SRC [options]        make source files with planted interests and noise\n"
    "\n"
    "import: what to read\n"
    "  --interactions FILE      .tsv, .csv or .inter (default: interactions.* or the only *.inter of SRC)\n"
    "  --items FILE             .tsv, .csv or .item (default: items.* or the only *.item of SRC, if any)\n"
    "  --features NAME=FILE[,IDS]  .npy or .safetensors and its id list; may be repeated (default: those of SRC)\n"
    "  --modalities A,B         take these modalities, in this order (default: all, by name); --no-features takes "
    "none\n"
    "  --user-column, --item-column, --behavior-column, --time-column, --title-column, --category-column NAME\n"
    "  --derive NAME=COLUMN>=NUMBER   an event of behavior NAME where it holds (>=, >, <=, <, ==, !=), or NAME=*\n"
    "import: what to keep\n"
    "  --behaviors A,B,C        from shallow to deep; others are dropped (default: all, most frequent first)\n"
    "  --target NAME            the behavior to predict (default: the deepest)\n"
    "  --max-length N           history length that the set proposes to training (default 20)\n"
    "  --min-user N, --min-item N   k-core: at least so many events a user, an item\n"
    "  --keep-items             items of the items file without events are candidates too\n"
    "  --strict                 a defective row is an error instead of being dropped\n"
    "synth: --users 1000 --items 1000 --clusters 20 --behaviors 2 --modalities 1 --width 32 --events 24\n"
    "       --accidental 0.2 --feature-noise 0.2 --deepen 0.6 --seed 1\n"
    "all: --json (result as JSON), -q (errors only), -v (every dropped row)\n";

struct list {
    const char *at[MOST_LISTED];
    uint32_t count;
};

struct arguments {
    const char *source, *out;
    m3_import_options import;
    m3_synth_options synth;
    m3_feature_source features[MOST_LISTED];
    struct list modalities, derive, behaviors;
    bool json, quiet;
};

static void print_log(void *user, m3_log_level level, const char *line)
{
    const struct arguments *args = user;
    if (!args->quiet) (void)fprintf(stderr, "%s%s\n", level <= M3_LOG_WARN ? "warning: " : "", line);
}

static bool read_seed(const char *text, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
}

static bool read_real(const char *text, double *number)
{
    char *end;
    *number = strtod(text, &end);
    return *text != '\0' && *end == '\0';
}

/* Cut "A,B,C" in place. */
static bool read_list(char *text, struct list *list)
{
    while (text != NULL) {
        if (list->count == MOST_LISTED) return false;
        list->at[list->count++] = strsep(&text, ",");
    }
    return true;
}

/* Cut "NAME=FILE[,IDS]" in place. */
static bool read_feature(char *text, struct arguments *args)
{
    char *file = text;
    const char *name = strsep(&file, "=");
    if (file == NULL || name == NULL || *name == '\0' || args->import.feature_count == MOST_LISTED) return false;
    char *ids = file;
    const char *path = strsep(&ids, ",");
    args->features[args->import.feature_count++] = (m3_feature_source){name, path, ids};
    return true;
}

static bool take_import_option(struct arguments *args, int option, char *value)
{
    m3_import_options *import = &args->import;
    m3_reading *reading = &import->reading;
    switch (option) {
    case OPT_INTERACTIONS: import->interactions = value; return true;
    case OPT_FEATURES: return read_feature(value, args);
    case OPT_NO_FEATURES: import->no_features = true; return true;
    case OPT_USER_COLUMN: reading->user_column = value; return true;
    case OPT_ITEM_COLUMN: reading->item_column = value; return true;
    case OPT_BEHAVIOR_COLUMN: reading->behavior_column = value; return true;
    case OPT_TIME_COLUMN: reading->time_column = value; return true;
    case OPT_TITLE_COLUMN: reading->title_column = value; return true;
    case OPT_CATEGORY_COLUMN: reading->category_column = value; return true;
    case OPT_DERIVE:
        if (args->derive.count == MOST_LISTED) return false;
        args->derive.at[args->derive.count++] = value;
        return true;
    case OPT_TARGET: import->target = value; return true;
    case OPT_MAX_LENGTH: return cli_count(value, &import->max_length) && import->max_length > 0;
    case OPT_MIN_USER: return cli_count(value, &import->min_user_events);
    case OPT_MIN_ITEM: return cli_count(value, &import->min_item_events);
    case OPT_KEEP_ITEMS: import->keep_items = true; return true;
    case OPT_STRICT: reading->strict = true; return true;
    case OPT_ITEMS: import->items = value; return true;
    case OPT_BEHAVIORS: return read_list(value, &args->behaviors);
    case OPT_MODALITIES: return read_list(value, &args->modalities);
    default: return false;
    }
}

static bool take_synth_option(struct arguments *args, int option, char *value)
{
    m3_synth_options *synth = &args->synth;
    switch (option) {
    case OPT_USERS: return cli_count(value, &synth->users);
    case OPT_ITEMS: return cli_count(value, &synth->items);
    case OPT_CLUSTERS: return cli_count(value, &synth->clusters);
    case OPT_BEHAVIORS: return cli_count(value, &synth->behaviors);
    case OPT_MODALITIES: return cli_count(value, &synth->modalities);
    case OPT_WIDTH: return cli_count(value, &synth->width);
    case OPT_EVENTS: return cli_count(value, &synth->events);
    case OPT_ACCIDENTAL: return read_real(value, &synth->accidental);
    case OPT_FEATURE_NOISE: return read_real(value, &synth->feature_noise);
    case OPT_DEEPEN: return read_real(value, &synth->deepen);
    case OPT_SEED: return read_seed(value, &synth->seed);
    default: return false;
    }
}

#define COMMON_OPTIONS                                                                                                 \
    {"out", required_argument, NULL, OPT_OUT}, {"json", no_argument, NULL, OPT_JSON},                                  \
    {                                                                                                                  \
        NULL, 0, NULL, 0                                                                                               \
    }

static const struct option import_options[] = {{"interactions", required_argument, NULL, OPT_INTERACTIONS},
                                               {"items", required_argument, NULL, OPT_ITEMS},
                                               {"features", required_argument, NULL, OPT_FEATURES},
                                               {"modalities", required_argument, NULL, OPT_MODALITIES},
                                               {"no-features", no_argument, NULL, OPT_NO_FEATURES},
                                               {"user-column", required_argument, NULL, OPT_USER_COLUMN},
                                               {"item-column", required_argument, NULL, OPT_ITEM_COLUMN},
                                               {"behavior-column", required_argument, NULL, OPT_BEHAVIOR_COLUMN},
                                               {"time-column", required_argument, NULL, OPT_TIME_COLUMN},
                                               {"title-column", required_argument, NULL, OPT_TITLE_COLUMN},
                                               {"category-column", required_argument, NULL, OPT_CATEGORY_COLUMN},
                                               {"derive", required_argument, NULL, OPT_DERIVE},
                                               {"behaviors", required_argument, NULL, OPT_BEHAVIORS},
                                               {"target", required_argument, NULL, OPT_TARGET},
                                               {"max-length", required_argument, NULL, OPT_MAX_LENGTH},
                                               {"min-user", required_argument, NULL, OPT_MIN_USER},
                                               {"min-item", required_argument, NULL, OPT_MIN_ITEM},
                                               {"keep-items", no_argument, NULL, OPT_KEEP_ITEMS},
                                               {"strict", no_argument, NULL, OPT_STRICT},
                                               COMMON_OPTIONS};
static const struct option synth_options[] = {{"users", required_argument, NULL, OPT_USERS},
                                              {"items", required_argument, NULL, OPT_ITEMS},
                                              {"clusters", required_argument, NULL, OPT_CLUSTERS},
                                              {"behaviors", required_argument, NULL, OPT_BEHAVIORS},
                                              {"modalities", required_argument, NULL, OPT_MODALITIES},
                                              {"width", required_argument, NULL, OPT_WIDTH},
                                              {"events", required_argument, NULL, OPT_EVENTS},
                                              {"accidental", required_argument, NULL, OPT_ACCIDENTAL},
                                              {"feature-noise", required_argument, NULL, OPT_FEATURE_NOISE},
                                              {"deepen", required_argument, NULL, OPT_DEEPEN},
                                              {"seed", required_argument, NULL, OPT_SEED},
                                              COMMON_OPTIONS};
static const struct option describe_options[] = {{"json", no_argument, NULL, OPT_JSON}, {NULL, 0, NULL, 0}};

/* argv[0] is the subcommand. Returns false after saying what is wrong. */
static bool parse(struct arguments *args, int argc, char **argv, const struct option *options,
                  bool (*take)(struct arguments *, int, char *))
{
    optind = 0; /* a second parse in one process: getopt starts anew */
    for (int option, index = 0; (option = getopt_long(argc, argv, "qv", options, &index)) != -1;) {
        bool good = true;
        switch (option) {
        case 'q': args->quiet = true; break;
        case 'v': args->import.reading.say_all = true; break;
        case OPT_OUT: args->out = optarg; break;
        case OPT_JSON: args->json = true; break;
        case '?': return false; /* getopt has spoken */
        default: good = take != NULL && take(args, option, optarg); break;
        }
        if (!good) {
            (void)fprintf(stderr, "error: --%s cannot be '%s'\n", options[index].name, optarg != NULL ? optarg : "");
            return false;
        }
    }
    if (optind < argc) args->source = argv[optind++];
    if (optind < argc) {
        (void)fprintf(stderr, "error: '%s' is one argument too many\n", argv[optind]);
        return false;
    }
    return true;
}

static double sparsity(const m3_dataset *set)
{
    double cells = (double)m3_dataset_user_count(set) * m3_dataset_item_count(set), pairs = 0;
    for (uint32_t u = 0; u < m3_dataset_user_count(set); u++) pairs += m3_dataset_touched(set, u).count;
    return 1.0 - pairs / cells;
}

static void print_import_json(const m3_import_report *report)
{
    (void)printf("\"import\": {\"rows\": %llu, \"events\": %llu, \"out_of_order\": %llu, \"fractional_times\": %llu, "
                 "\"items_without_text\": %llu, \"dropped\": {",
                 (unsigned long long)report->rows, (unsigned long long)report->events,
                 (unsigned long long)report->out_of_order, (unsigned long long)report->fractional_times,
                 (unsigned long long)report->items_without_text);
    for (uint32_t i = 0; m3_drop_name(i) != NULL; i++)
        (void)printf("%s\"%s\": %llu", i == 0 ? "" : ", ", m3_drop_name(i), (unsigned long long)report->dropped[i]);
    (void)printf("}}");
}

static m3_status print_json(const m3_dataset *set, const char *path, m3_error *err)
{
    m3_status st = M3_OK;
    (void)printf("{\"set\": ");
    cli_json_text(path);
    (void)printf(", \"checksum\": \"%016llx\", \"users\": %u, \"items\": %u, \"events\": %llu, \"sparsity\": %.9g, "
                 "\"max_length\": %u, \"target\": ",
                 (unsigned long long)m3_dataset_checksum(set), m3_dataset_user_count(set), m3_dataset_item_count(set),
                 (unsigned long long)m3_dataset_event_count(set), sparsity(set), m3_dataset_max_length(set));
    cli_json_text(m3_dataset_behavior_name(set, m3_dataset_target(set)));
    (void)printf(", \"behaviors\": [");
    for (uint32_t b = 0; b < m3_dataset_behavior_count(set); b++) {
        m3_behavior_stats s;
        if ((st = m3_dataset_stats(set, b, &s, err)) != M3_OK) return st;
        (void)printf("%s{\"name\": ", b == 0 ? "" : ", ");
        cli_json_text(m3_dataset_behavior_name(set, b));
        (void)printf(", \"events\": %llu, \"pairs\": %llu, \"users\": %u, \"items\": %u, \"users_3\": %u, "
                     "\"users_5\": %u, \"users_10\": %u, \"length\": {\"min\": %u, \"mean\": %.6g, \"median\": %u, "
                     "\"p90\": %u, \"p99\": %u, \"max\": %u}, \"first_time\": %lld, \"last_time\": %lld}",
                     (unsigned long long)s.events, (unsigned long long)s.pairs, s.users, s.items, s.users_3, s.users_5,
                     s.users_10, s.length_min, s.length_mean, s.length_median, s.length_p90, s.length_p99, s.length_max,
                     (long long)s.first_time, (long long)s.last_time);
    }
    (void)printf("], \"modalities\": [");
    for (uint32_t k = 0; k < m3_dataset_modality_count(set); k++) {
        m3_features f = m3_dataset_features(set, k);
        (void)printf("%s{\"name\": ", k == 0 ? "" : ", ");
        cli_json_text(f.name);
        (void)printf(", \"width\": %u, \"covered\": %u, \"coverage\": %.6g}", f.width, f.covered,
                     (double)f.covered / m3_dataset_item_count(set));
    }
    (void)printf("], ");
    print_import_json(m3_dataset_import_report(set));
    (void)printf("}\n");
    return M3_OK;
}

static m3_status print_behaviors(const m3_dataset *set, m3_error *err)
{
    (void)printf("\n%-16s %10s %10s %8s %8s %8s %8s %8s   %s\n", "behavior", "events", "pairs", "users", "items", ">=3",
                 ">=5", ">=10", "events a user: mean, median, 90 %, 99 %, most");
    for (uint32_t b = 0; b < m3_dataset_behavior_count(set); b++) {
        m3_behavior_stats s;
        m3_status st = m3_dataset_stats(set, b, &s, err);
        if (st != M3_OK) return st;
        (void)printf("%-16s %10llu %10llu %8u %8u %8u %8u %8u   %.1f, %u, %u, %u, %u\n",
                     m3_dataset_behavior_name(set, b), (unsigned long long)s.events, (unsigned long long)s.pairs,
                     s.users, s.items, s.users_3, s.users_5, s.users_10, s.length_mean, s.length_median, s.length_p90,
                     s.length_p99, s.length_max);
    }
    return M3_OK;
}

static m3_status print_text(const m3_dataset *set, const char *path, m3_error *err)
{
    const m3_import_report *report = m3_dataset_import_report(set);
    uint32_t items = m3_dataset_item_count(set);
    (void)printf("set         %s (checksum %016llx)\nusers       %u\nitems       %u\nevents      %llu\n"
                 "sparsity    %.4f %%\ntarget      %s\nmax length  %u\n",
                 path, (unsigned long long)m3_dataset_checksum(set), m3_dataset_user_count(set), items,
                 (unsigned long long)m3_dataset_event_count(set), 100.0 * sparsity(set),
                 m3_dataset_behavior_name(set, m3_dataset_target(set)), m3_dataset_max_length(set));
    m3_status st = print_behaviors(set, err);
    if (st != M3_OK) return st;
    if (m3_dataset_modality_count(set) > 0)
        (void)printf("\n%-16s %10s %10s %8s\n", "modality", "width", "items", "share");
    for (uint32_t k = 0; k < m3_dataset_modality_count(set); k++) {
        m3_features f = m3_dataset_features(set, k);
        (void)printf("%-16s %10u %10u %6.1f %%\n", f.name, f.width, f.covered, 100.0 * f.covered / items);
    }
    (void)printf("\nimport      %llu rows, %llu of them out of order; dropped:\n", (unsigned long long)report->rows,
                 (unsigned long long)report->out_of_order);
    uint64_t dropped = 0;
    for (uint32_t i = 0; m3_drop_name(i) != NULL; i++) {
        dropped += report->dropped[i];
        if (report->dropped[i] > 0)
            (void)printf("  %10llu %s\n", (unsigned long long)report->dropped[i], m3_drop_meaning(i));
    }
    if (dropped == 0) (void)printf("           nothing\n");
    return M3_OK;
}

static int describe_set(const struct arguments *args, const char *path)
{
    m3_error err = {0};
    m3_dataset *set = NULL;
    m3_status st = m3_dataset_open(path, &set, &err);
    if (st == M3_OK) st = args->json ? print_json(set, path, &err) : print_text(set, path, &err);
    m3_dataset_close(set);
    return st == M3_OK ? CLI_DONE : cli_report(&err);
}

static int describe(struct arguments *args, int argc, char **argv)
{
    if (!parse(args, argc, argv, describe_options, NULL)) return CLI_BAD_INPUT;
    if (args->source != NULL) return describe_set(args, args->source);
    (void)fprintf(stderr, "error: which set? m3bsr data describe SET\n");
    return CLI_BAD_INPUT;
}

static int import(struct arguments *args, int argc, char **argv)
{
    m3_error err = {0};
    if (!parse(args, argc, argv, import_options, take_import_option)) return CLI_BAD_INPUT;
    if (args->out == NULL) {
        (void)fprintf(stderr, "error: where to? m3bsr data import SRC --out SET\n");
        return CLI_BAD_INPUT;
    }
    m3_import_options *options = &args->import;
    options->source = args->source;
    options->features = args->features;
    options->modalities = args->modalities.at;
    options->modality_count = args->modalities.count;
    options->behaviors = args->behaviors.at;
    options->behavior_count = args->behaviors.count;
    options->reading.derive = args->derive.at;
    options->reading.derive_count = args->derive.count;
    options->reading.log = print_log;
    options->reading.log_user = args;
    if (m3_data_import(options, args->out, NULL, &err) != M3_OK) return cli_report(&err);
    return describe_set(args, args->out);
}

static int synth(struct arguments *args, int argc, char **argv)
{
    m3_error err = {0};
    if (!parse(args, argc, argv, synth_options, take_synth_option)) return CLI_BAD_INPUT;
    if (args->out == NULL || args->source != NULL) {
        (void)fprintf(stderr, "error: where to? m3bsr data synth --out SRC\n");
        return CLI_BAD_INPUT;
    }
    if (m3_data_synth(&args->synth, args->out, &err) != M3_OK) return cli_report(&err);
    if (args->json) {
        (void)printf("{\"source\": ");
        cli_json_text(args->out);
        (void)printf("}\n");
    } else {
        (void)printf("%s: interactions.tsv, items.tsv, features; the planted truth is in %s/truth\n", args->out,
                     args->out);
    }
    return CLI_DONE;
}

int cmd_data(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(struct arguments *, int, char **);
    } commands[] = {{"import", import}, {"describe", describe}, {"synth", synth}};
    struct arguments args = {.import = M3_IMPORT_OPTIONS_INIT, .synth = M3_SYNTH_OPTIONS_INIT};
    const char *name = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(name, commands[i].name) == 0) return commands[i].run(&args, argc - 1, argv + 1);
    bool help = strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0;
    (void)fputs(usage, help ? stdout : stderr);
    return help ? CLI_DONE : CLI_BAD_INPUT;
}
