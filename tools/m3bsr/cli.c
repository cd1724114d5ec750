/* cli: options by table, errors as sentences and exit statuses, the engine and devices that options name. */
#include "tools/m3bsr/cli.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/m3bsr/child.h"

enum { OPTION_FIRST = 256, MAX_OPTIONS = 48 };

int cli_status(m3_status st)
{
    switch (st) {
    case M3_OK: return CLI_DONE;
    case M3_ERR_INVALID:
    case M3_ERR_RANGE: return CLI_BAD_INPUT;
    case M3_ERR_INTERRUPTED: return CLI_INTERRUPTED;
    case M3_ERR_UNSUPPORTED:
    case M3_ERR_MEMORY:
    case M3_ERR_DEVICE_LOST:
    case M3_ERR_TIMEOUT:
    case M3_ERR_ABI:
    case M3_ERR_IO:
    case M3_ERR_INTERNAL: break;
    }
    return CLI_SYSTEM;
}

int cli_report(const m3_error *err)
{
    (void)fflush(stdout); /* a result that is there comes before what went wrong after it */
    const bool failed = err->code != M3_ERR_INTERRUPTED; /* being stopped is no error */
    if (err->code == M3_OK) { /* a plugin's fault: who calls this has a status that is none */
        (void)fputs("error: something failed, and did not say what; -v shows what led to it\n", stderr);
        return CLI_SYSTEM;
    }
    (void)fputs(failed ? "error: " : "", stderr);
    cli_print_safe(stderr, err->subject);
    (void)fputs(err->subject[0] != '\0' ? ": " : "", stderr);
    cli_print_safe(stderr, err->message);
    if (failed && err->file[0] != '\0') {
        (void)fputs("  [", stderr);
        cli_print_safe(stderr, err->file);
        (void)fprintf(stderr, ":%d]", (int)err->line);
    }
    (void)fputc('\n', stderr);
    return cli_status(err->code);
}

/* Options. */

static bool read_whole(const char *text, uint64_t max, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && *number <= max;
}

static bool read_real(const char *text, double *number)
{
    char *end;
    errno = 0;
    *number = strtod(text, &end); /* in the C locale, which the tool never leaves */
    return *text != '\0' && *end == '\0' && isfinite(*number) && (errno == 0 || *number != 0.0);
}

bool cli_count(const char *text, uint32_t *number)
{
    uint64_t value;
    if (!read_whole(text, UINT32_MAX, &value)) return false;
    *number = (uint32_t)value;
    return true;
}

static bool append_text(cli_list *list, char *text)
{
    if (list->count == CLI_MAX_LIST) return false;
    list->at[list->count++] = text;
    return true;
}

/* Cuts "A,B,C" in place. */
static bool append_names(cli_list *list, char *text)
{
    while (text != NULL)
        if (!append_text(list, strsep(&text, ","))) return false;
    return true;
}

static bool take(const cli_option *option, char *text)
{
    switch (option->kind) {
    case CLI_FLAG: *(bool *)option->to = true; return true;
    case CLI_SWITCH: break; /* take_switch() */
    case CLI_TEXT: *(const char **)option->to = text; return true;
    case CLI_COUNT: return cli_count(text, option->to) && *(const uint32_t *)option->to > 0;
    case CLI_NUMBER: return cli_count(text, option->to);
    case CLI_WHOLE: return read_whole(text, UINT64_MAX, option->to);
    case CLI_REAL: return read_real(text, option->to);
    case CLI_LIST: return append_text(option->to, text);
    case CLI_NAMES: return append_names(option->to, text);
    }
    return false;
}

/* The word auto may stand behind the option, or behind its '='. */
static bool take_switch(const cli_option *option, const char *text, int argc, char **argv)
{
    const bool apart = text == NULL && optind < argc && strcmp(argv[optind], "auto") == 0;
    if (apart) optind++;
    *(cli_switch *)option->to = apart || text != NULL ? CLI_AUTO : CLI_ON;
    return text == NULL || strcmp(text, "auto") == 0;
}

static uint32_t append(cli_option *all, uint32_t count, const cli_option *some, size_t some_count)
{
    for (size_t i = 0; i < some_count && count < MAX_OPTIONS; i++) all[count++] = some[i];
    return count;
}

/* The command's own options, then those of its groups. */
static uint32_t gather(cli *c, const cli_command *command, cli_option all[MAX_OPTIONS])
{
    const cli_option device[] = {
        {"backend", CLI_TEXT, &c->backend, "NAME", "auto (default), or a device such as cpu or cpu:0"},
        {"device-option", CLI_LIST, &c->device_option, "KEY=VALUE", "of the backend; may be repeated"},
        {"threads", CLI_COUNT, &c->threads, "N", "default: as many as the process may use"},
    };
    const cli_option plugins[] = {
        {"plugin-path", CLI_TEXT, &c->plugin_path, "A:B", "folders to search first, instead of M3BSR_PLUGIN_PATH"},
    };
    const cli_option model[] = {
        {"set", CLI_LIST, &c->set, "KEY=VALUE", "over the configuration; may be repeated"},
        {"seed", CLI_TEXT, &c->seed, "N", "the same as --set seed=N"},
    };
    const cli_option passes[] = {
        {"no-pass", CLI_LIST, &c->no_pass, "NAME", "leave out a pass over the graph; may be repeated"},
        {"strict", CLI_FLAG, &c->strict, NULL, "an operation that the device does not run is an error"},
    };
    const cli_option common[] = {
        {"json", CLI_FLAG, &c->json, NULL, "the result as JSON"},
    };
    uint32_t count = append(all, 0, command->options, command->option_count);
    if (command->groups & CLI_MODEL) count = append(all, count, model, sizeof model / sizeof *model);
    if (command->groups & CLI_DEVICE) count = append(all, count, device, sizeof device / sizeof *device);
    if (command->groups & (CLI_DEVICE | CLI_PLUGINS)) count = append(all, count, plugins, 1);
    if (command->groups & CLI_PASSES) count = append(all, count, passes, sizeof passes / sizeof *passes);
    return append(all, count, common, 1);
}

static void print_help(const cli_command *command, const cli_option *options, uint32_t count, FILE *to)
{
    const char *line = command->usage;
    for (bool first = true; line != NULL; first = false) {
        const char *end = strchr(line, '\n');
        int length = end != NULL ? (int)(end - line) : (int)strlen(line);
        (void)fprintf(to, "%s m3bsr %.*s\n", first ? "usage:" : "      ", length, line);
        line = end != NULL ? end + 1 : NULL;
    }
    (void)fprintf(to, "\n%s\n\n", command->about);
    for (uint32_t i = 0; i < count; i++) {
        char left[64];
        (void)snprintf(left, sizeof left, "--%s%s%s", options[i].name, options[i].argument != NULL ? " " : "",
                       options[i].argument != NULL ? options[i].argument : "");
        (void)fprintf(to, "  %-26s %s\n", left, options[i].help);
    }
    (void)fprintf(to, "  %-26s %s\n  %-26s %s\n  %-26s %s\n", "-q", "errors only", "-v", "say more", "-h, --help",
                  "this text");
}

static int check_words(const cli *c, const cli_command *command)
{
    if (c->count >= command->min_words && c->count <= command->max_words) return CLI_GO_ON;
    if (c->count > command->max_words)
        cli_show(stderr, "error: '%s' is one argument too many\n", c->words[command->max_words]);
    else
        (void)fprintf(stderr, "error: something is missing\n");
    cli_show(stderr, "usage: m3bsr %.*s\n", (int)strcspn(command->usage, "\n"), command->usage);
    return CLI_BAD_INPUT;
}

/* Names of passes are known before anything is built, so a wrong one is refused at once. */
static int check_passes(const cli *c)
{
    const char *const *known = m3_pass_names();
    for (uint32_t i = 0; i < c->no_pass.count; i++) {
        bool found = false;
        for (size_t k = 0; known[k] != NULL; k++) found = found || strcmp(known[k], c->no_pass.at[i]) == 0;
        if (found) continue;
        cli_show(stderr, "error: there is no pass '%s' to leave out; there are:", c->no_pass.at[i]);
        for (size_t k = 0; known[k] != NULL; k++) cli_show(stderr, " %s", known[k]);
        (void)fputc('\n', stderr);
        return CLI_BAD_INPUT;
    }
    return CLI_GO_ON;
}

/* getopt's own messages would show names as they are. */
static void say_wrong(int id, char **argv)
{
    const char *word = argv[optind - 1];
    if (id == ':')
        cli_show(stderr, "%s: option '%s' requires an argument\n", argv[0], word);
    else if (optopt >= OPTION_FIRST || optopt == 'h')
        cli_show(stderr, "%s: option '%s' takes no argument\n", argv[0], word);
    else if (optopt != 0)
        cli_show(stderr, "%s: unrecognized option '-%c'\n", argv[0], optopt);
    else
        cli_show(stderr, "%s: unrecognized option '%s'; --help lists them\n", argv[0], word);
}

int cli_parse(cli *c, const cli_command *command, int argc, char **argv)
{
    cli_option options[MAX_OPTIONS];
    struct option getopt_options[MAX_OPTIONS + 2] = {{0}};
    uint32_t count = gather(c, command, options);
    for (uint32_t i = 0; i < count; i++) {
        const int argument = options[i].kind == CLI_FLAG     ? no_argument
                             : options[i].kind == CLI_SWITCH ? optional_argument
                                                             : required_argument;
        getopt_options[i] = (struct option){options[i].name, argument, NULL, OPTION_FIRST + (int)i};
    }
    getopt_options[count] = (struct option){"help", no_argument, NULL, 'h'};

    optind = 0; /* a second parse in one process: getopt starts anew */
    opterr = 0;
    for (int id; (id = getopt_long(argc, argv, ":qvh", getopt_options, NULL)) != -1;) {
        if (id == '?' || id == ':') {
            say_wrong(id, argv);
            return CLI_BAD_INPUT;
        }
        if (id == 'q') c->quiet = true;
        if (id == 'v') c->verbose = true;
        if (id == 'h') {
            print_help(command, options, count, stdout);
            return CLI_DONE;
        }
        if (id < OPTION_FIRST) continue;
        const cli_option *option = &options[id - OPTION_FIRST];
        if (option->kind == CLI_SWITCH ? take_switch(option, optarg, argc, argv) : take(option, optarg)) continue;
        cli_show(stderr, "error: --%s cannot be '%s'\n", option->name, optarg);
        return CLI_BAD_INPUT;
    }
    c->words = argv + optind;
    c->count = argc - optind;
    int status = check_words(c, command);
    return status != CLI_GO_ON ? status : check_passes(c);
}

const char *const *cli_list_texts(const cli_list *list)
{
    return (const char *const *)list->at; /* ended by NULL: it starts as zeros and has one place more than it takes */
}

const char *const *cli_no_pass(const cli *c)
{
    return cli_list_texts(&c->no_pass);
}

/* Engine, device. */

static void print_log(void *user, m3_log_level level, const char *line)
{
    (void)user;
    cli_say(level == M3_LOG_ERROR ? "error: " : level == M3_LOG_WARN ? "warning: " : "", line);
}

static void tell_visit(void *user, const char *path, const char *what)
{
    (void)user;
    child_report(path, "visit\t%s", what);
}

m3_status cli_open_engine(cli *c, m3_error *err)
{
    c->progress.quiet = c->quiet;
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, progress_user),
                                     .plugin_path = c->plugin_path,
                                     .threads = c->threads,
                                     .log = print_log,
                                     .log_level = c->quiet     ? M3_LOG_ERROR
                                                  : c->verbose ? M3_LOG_DEBUG
                                                               : M3_LOG_WARN,
                                     .visit = c->told ? tell_visit : NULL,
                                     .avoid = c->avoid,
                                     .progress = c->told || (c->quiet && c->stall == 0) ? NULL : cli_show_progress,
                                     .progress_user = &c->progress};
    return m3_engine_create(&config, &c->engine, err);
}

m3_status cli_device_options(const cli *c, char **text, m3_option options[CLI_MAX_LIST], m3_error *err)
{
    size_t bytes = 1;
    for (uint32_t i = 0; i < c->device_option.count; i++) bytes += strlen(c->device_option.at[i]) + 1;
    char *at = *text = malloc(bytes);
    if (at == NULL) return M3_FAIL_MEMORY(err, "device options", bytes);
    for (uint32_t i = 0; i < c->device_option.count; i++) {
        size_t length = strlen(c->device_option.at[i]) + 1;
        memcpy(at, c->device_option.at[i], length);
        char *equals = strchr(at, '=');
        if (equals == NULL || equals == at)
            return M3_FAIL(err, M3_ERR_INVALID, "--device-option", "cannot be '%s'; write KEY=VALUE", at);
        *equals = '\0';
        options[i] = (m3_option){at, equals + 1};
        at += length;
    }
    return M3_OK;
}

static bool has_backend(const m3_engine *engine, const char *name)
{
    for (uint32_t i = 0; i < m3_engine_plugin_count(engine); i++) {
        m3_plugin_report report = {.size = M3_STRUCT_SIZE(m3_plugin_report, reason)};
        m3_engine_plugin(engine, i, &report);
        if (report.loaded && strcmp(report.kind, "backend") == 0 && strcmp(report.name, name) == 0) return true;
    }
    return false;
}

/* What the device refuses goes to the processor, and last to the reference, which runs all. Both by name: to list
 * devices would open every backend's driver. */
static void open_fallbacks(cli *c)
{
    static const char *const names[] = {"cpu", "reference"};
    uint32_t opened = 0;
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        const size_t length = strlen(names[k]);
        const char *own = m3_device_name(c->device);
        if (strncmp(own, names[k], length) == 0 && own[length] == ':') continue;
        if (has_backend(c->engine, names[k]) &&
            m3_device_open(c->engine, names[k], (m3_span){0}, &c->others[opened], NULL) == M3_OK)
            opened++;
    }
    c->fallbacks = (m3_span){.count = opened, .stride = sizeof c->others[0], .data = c->others};
}

m3_status cli_open_device(cli *c, m3_error *err)
{
    m3_option options[CLI_MAX_LIST];
    char *text = NULL;
    m3_status st;
    cli_watch_opening(c, c->backend != NULL ? c->backend : "auto");
    if ((st = cli_open_engine(c, err)) != M3_OK) goto done;
    if ((st = cli_device_options(c, &text, options, err)) != M3_OK) goto done;
    const m3_span span = {.count = c->device_option.count, .stride = sizeof options[0], .data = options};
    if ((st = m3_device_open(c->engine, c->backend != NULL ? c->backend : "auto", span, &c->device, err)) != M3_OK)
        goto done;
    if (!c->strict) open_fallbacks(c);
done:
    cli_watch_devices(c);
    free(text);
    return st;
}

void cli_close(cli *c)
{
    cli_watch_end(c);
    for (size_t i = 0; i < sizeof c->others / sizeof c->others[0]; i++) m3_device_close(c->others[i]);
    m3_device_close(c->device);
    m3_engine_free(c->engine);
}

m3_status cli_apply_settings(const cli *c, m3_settings *settings, m3_error *err)
{
    char seed[64];
    m3_status st = M3_OK;
    for (uint32_t i = 0; st == M3_OK && i < c->set.count; i++) st = m3_settings_set(settings, c->set.at[i], err);
    if (st != M3_OK || c->seed == NULL) return st;
    (void)snprintf(seed, sizeof seed, "seed=%s", c->seed);
    return m3_settings_set(settings, seed, err);
}

m3_status cli_settings(const cli *c, const char *path, m3_settings **settings, m3_error *err)
{
    const m3_status st = path != NULL ? m3_settings_load(path, settings, err) : m3_settings_create(settings, err);
    return st == M3_OK ? cli_apply_settings(c, *settings, err) : st;
}

m3_status cli_model_open(const cli *c, const char *data, cli_model *model, m3_error *err)
{
    m3_status st = cli_settings(c, c->count > 0 ? c->words[0] : NULL, &model->settings, err);
    if (st != M3_OK) return st;
    if (data == NULL) data = m3_settings_get(model->settings, "data");
    if (data[0] == '\0') {
        st = m3_settings_config(c->engine, model->settings, &model->config, err);
        return st != M3_OK ? st : m3_model_check(c->engine, &model->config, err);
    }
    if ((st = m3_dataset_open(data, &model->set, err)) != M3_OK) return st;
    return m3_settings_model(c->engine, model->settings, model->set, &model->config, err);
}

void cli_model_close(cli_model *model)
{
    m3_dataset_close(model->set);
    m3_settings_free(model->settings);
}

/* JSON on stdout. */

void cli_json_text(const char *text)
{
    (void)putchar('"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            (void)printf("\\%c", c);
        else if (c < 0x20)
            (void)printf("\\u%04x", c);
        else
            (void)putchar(c);
    }
    (void)putchar('"');
}

const char *cli_class_name(m3_device_class class)
{
    switch (class) {
    case M3_DEVICE_DISCRETE: return "discrete";
    case M3_DEVICE_INTEGRATED: return "integrated";
    case M3_DEVICE_CPU: return "cpu";
    case M3_DEVICE_SOFTWARE: return "software";
    case M3_DEVICE_REFERENCE: return "reference";
    }
    return "other";
}

void cli_json_number(double number)
{
    if (isfinite(number))
        (void)printf("%.9g", number);
    else
        (void)fputs("null", stdout);
}
