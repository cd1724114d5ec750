/* train: from a configuration to a run directory.
 *   m3bsr train CONFIG --out RUN [--resume [auto]]
 * Ctrl-C once: save and end with status 130. Twice: end at once; what was saved last stays. SIGTERM, and SIGHUP unless
 * it was ignored (nohup), are the same. Before the first step there is nothing to save, and compiling kernels may take
 * minutes in which a driver does not listen: once is enough then. */
#include <math.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "m3bsr/output.h"
#include "m3bsr/train.h"
#include "tools/m3bsr/ranks.h"

/* What a signal can reach. */
static volatile sig_atomic_t signals, begun; /* begun: there may be something to save */
static volatile int stop;

static void on_signal(int number)
{
    static const char nothing[] = "\nstopped before the first step of this call; there was nothing to save. Start it "
                                  "again, with --resume auto\n";
    (void)number;
    stop = 1;
    if (begun == 0 && signals == 0) (void)!write(STDERR_FILENO, nothing, sizeof nothing - 1);
    if (++signals > 1 || begun == 0) _exit(CLI_INTERRUPTED);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal}, before;
    (void)sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) (void)sigaction(SIGHUP, &action, NULL);
}

/* Is there something to go on with? m3_train() looks again when nobody else can change it any more. */
static bool holds_run(const char *run)
{
    char path[4096];
    return snprintf(path, sizeof path, "%s/settings.yaml", run) < (int)sizeof path && access(path, F_OK) == 0;
}

/* What stderr shows of a training. */
typedef struct screen {
    bool bar, quiet, drawn;
    struct timespec last; /* when the bar was drawn */
} screen;

static const char *duration(double seconds, char text[32])
{
    if (!(seconds >= 0.0) || !isfinite(seconds)) return "?";
    const unsigned long s = (unsigned long)(seconds + 0.5);
    if (s >= 3600)
        (void)snprintf(text, 32, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else
        (void)snprintf(text, 32, "%lu:%02lu", s / 60, s % 60);
    return text;
}

/* "  waits 3, 0, 12 %", by rank; of many ranks the least and the most: "  waits 0 to 12 % (rank 7)". */
static const char *waits(const m3_progress *p, char *text, size_t bytes)
{
    enum { FEW = 4 };
    uint32_t least = 0, most = 0;
    int at = 0;
    text[0] = '\0';
    if (p->ranks < 2 || p->waited == NULL || !(p->seconds > 0.0)) return text;
    for (uint32_t r = 1; r < p->ranks; r++) {
        if (p->waited[r] < p->waited[least]) least = r;
        if (p->waited[r] > p->waited[most]) most = r;
    }
    const double percent = 100.0 / p->seconds;
    if (p->ranks > FEW)
        (void)snprintf(text, bytes, "  waits %.0f to %.0f %% (rank %u)", percent * p->waited[least],
                       percent * p->waited[most], most);
    for (uint32_t r = 0; r < p->ranks && p->ranks <= FEW; r++)
        at += snprintf(text + at, bytes - (size_t)at, "%s%.0f%s", r > 0 ? ", " : "  waits ", percent * p->waited[r],
                       r + 1 < p->ranks ? "" : " %");
    return text;
}

/* "epoch 3/100 [#####.....]  52 %  loss 6.1234  812 samples/s  0:42 left" */
static void draw_bar(const m3_progress *p)
{
    enum { WIDTH = 24 };
    char bar[WIDTH + 1], left[32], waiting[96];
    const uint64_t steps = p->epoch_steps > 0 ? p->epoch_steps : 1;
    const uint64_t filled = p->step >= steps ? WIDTH : p->step * WIDTH / steps;
    for (uint64_t i = 0; i < WIDTH; i++) bar[i] = i < filled ? '#' : '.';
    bar[WIDTH] = '\0';
    (void)fprintf(stderr, "\r\033[Kepoch %u/%u [%s] %3u %%  loss %.4f  %.0f samples/s%s  %s left", p->epoch, p->epochs,
                  bar, (unsigned)(100 * p->step / steps), p->loss, p->samples_per_s, waits(p, waiting, sizeof waiting),
                  duration(p->seconds_left, left));
    (void)fflush(stderr);
}

static void clear_bar(screen *s)
{
    if (s->drawn) (void)fputs("\r\033[K", stderr);
    s->drawn = false;
}

/* Ten times a second is enough for a person and costs a fast step nothing. */
static bool is_due(screen *s)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    const int64_t passed_ms = (now.tv_sec - s->last.tv_sec) * 1000 + (now.tv_nsec - s->last.tv_nsec) / 1000000;
    if (passed_ms < 100) return false;
    s->last = now;
    return true;
}

static void on_progress(void *user, const m3_progress *p)
{
    screen *s = user;
    begun = 1;
    if (s->quiet) return;
    if (p->note != NULL) {
        clear_bar(s);
        cli_show(stderr, "%s\n", p->note);
    } else if (s->bar && is_due(s)) {
        draw_bar(p);
        s->drawn = true;
    }
}

static void print_result(const cli *c, const char *run, const char *metric, const m3_train_result *r)
{
    char took[32];
    if (c->json) {
        (void)printf("{\"run\": ");
        cli_json_text(run);
        (void)printf(", \"epochs\": %u, \"steps\": %llu, \"best_epoch\": %u, \"metric\": ", r->epochs,
                     (unsigned long long)r->steps, r->best_epoch);
        cli_json_text(metric);
        (void)printf(", \"best_metric\": ");
        if (r->best_epoch > 0)
            cli_json_number(r->best_metric);
        else
            (void)printf("null");
        (void)printf(", \"early\": %s, \"seconds\": ", r->early ? "true" : "false");
        cli_json_number(r->seconds);
        (void)printf("}\n");
        return;
    }
    cli_show(stdout, "%s: %u epochs, %llu steps in %s", run, r->epochs, (unsigned long long)r->steps,
             duration(r->seconds, took));
    if (r->best_epoch > 0) cli_show(stdout, "; best is epoch %u, %s %.4f", r->best_epoch, metric, r->best_metric);
    (void)printf("%s\n", r->early ? "; patience ran out" : "");
}

/* Without a file, the settings are those of the run to start from. */
static m3_status read_settings(const cli *c, const char *from, m3_settings **settings, m3_error *err)
{
    if (c->count == 0) {
        const m3_status st = m3_settings_from_run(from, settings, err);
        return st == M3_OK ? cli_apply_settings(c, *settings, err) : st;
    }
    m3_status st = cli_settings(c, c->words[0], settings, err);
    if (st != M3_OK || from == NULL) return st;
    char *key = NULL;
    if (asprintf(&key, "from=%s", from) < 0) return M3_FAIL_MEMORY(err, from, strlen(from) + 8);
    st = m3_settings_set(*settings, key, err);
    free(key);
    return st;
}

/* With one device, or with those of the ranks. */
static m3_status run_training(cli *c, ranks *r, const m3_settings *settings, const char *run, m3_train_options *options,
                              m3_train_result *result, m3_error *err)
{
    m3_status st;
    screen *s = options->user;
    if (!ranks_wanted(r)) {
        if (r->devices.count > 0) c->backend = r->devices.at[0];
        if ((st = cli_open_device(c, err)) != M3_OK) return st;
        options->fallbacks = c->fallbacks;
        return m3_train(c->device, settings, run, options, result, err);
    }
    if ((st = ranks_open(r, c, err)) != M3_OK) return st;
    s->quiet = s->quiet || m3_group_first(r->group) != 0;
    const m3_span devices = {.count = r->count, .stride = sizeof r->list[0], .data = r->list};
    return m3_train_ranks(r->group, devices, settings, run, options, result, err);
}

static m3_status train(cli *c, ranks *r, m3_train_options *options, const char *from, const char *run, bool *told,
                       m3_error *err)
{
    m3_status st;
    m3_settings *settings = NULL;
    m3_train_result result = {.size = M3_STRUCT_SIZE(m3_train_result, told)};
    screen s = {.bar = isatty(STDERR_FILENO) == 1, .quiet = c->quiet};
    catch_signals();
    if (options->profile != NULL &&
        (st = m3_output_check(options->profile, (const char *const *)c->words, 1, err)) != M3_OK)
        return st;
    options->no_pass = cli_no_pass(c);
    options->strict = c->strict;
    options->stop = &stop;
    options->progress = on_progress;
    options->user = &s;
    if ((st = read_settings(c, from, &settings, err)) != M3_OK) goto done;
    if (options->resume && (st = m3_settings_take_from_run(settings, run, err)) != M3_OK) goto done;
    st = run_training(c, r, settings, run, options, &result, err);
    clear_bar(&s);
    *told = result.told;
    if (st == M3_OK && (r->group == NULL || m3_group_first(r->group) == 0))
        print_result(c, run, m3_settings_get(settings, "metric"), &result);
done:
    options->user = NULL;
    m3_settings_free(settings);
    return st;
}

int cmd_train(int argc, char **argv)
{
    cli c = {.stop = &stop};
    m3_error err = {0};
    const char *run = NULL, *from = NULL;
    cli_switch resume = CLI_OFF;
    bool told = false;
    ranks r = {0};
    m3_train_options train_options = {.size = M3_STRUCT_SIZE(m3_train_options, stop_after)};
    const cli_option options[] = {
        {"out", CLI_TEXT, &run, "RUN", "the folder of the run; made when missing"},
        {"resume", CLI_SWITCH, &resume, "[auto]", "go on from the run's last checkpoint, bit for bit; auto: or start"},
        {"from", CLI_TEXT, &from, "RUN", "start from its parameters; without CONFIG, with its settings too"},
        {"devices", CLI_NAMES, &r.devices, "NAMES", "train with several, such as cpu,opencl:0,vulkan:0; see DEVICES"},
        {"collectives", CLI_TEXT, &r.collectives, "NAME", "the plugin that moves bytes between them"},
        {"rank-limit", CLI_COUNT, &r.limit, "SECONDS", "take a rank for dead that the others wait for so long"},
        {"stall", CLI_COUNT, &c.stall, "SECONDS", "end when a device gives nothing back for so long"},
        {"profile", CLI_TEXT, &train_options.profile, "FILE", "write a Chrome trace of some steps"},
    };
    const cli_command command = {
        .usage = "train CONFIG --out RUN [options]\n"
                 "train [CONFIG] --from RUN [--set data=SET2] --out RUN2 [options]",
        .about = "Train, and validate after each epoch by full ranking. Ctrl-C saves; --resume goes on. The keys of\n"
                 "CONFIG are in m3bsr-config(5).",
        .groups = CLI_MODEL | CLI_DEVICE | CLI_PASSES,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .max_words = 1};
    const int parsed = cli_parse(&c, &command, argc, argv);
    if (parsed != CLI_GO_ON) return parsed;
    if (c.count == 0 && from == NULL) {
        (void)fprintf(stderr, "error: what to train?\nusage: m3bsr train CONFIG --out RUN [options]\n");
        return CLI_BAD_INPUT;
    }
    if (run == NULL) {
        (void)fprintf(stderr, "error: where to? m3bsr train CONFIG --out RUN\n");
        return CLI_BAD_INPUT;
    }
    train_options.resume = resume == CLI_ON || (resume == CLI_AUTO && holds_run(run));
    if (c.backend != NULL && r.devices.count > 0) {
        (void)fprintf(stderr, "error: --backend and --devices both say what to train with; give one of them\n");
        return CLI_BAD_INPUT;
    }
    const m3_status st = train(&c, &r, &train_options, from, run, &told, &err);
    const bool stalled = cli_stalled(&c) || ranks_stalled(&r);
    const int status = st == M3_OK ? CLI_DONE : told ? cli_status(st) : cli_report(&err);
    ranks_close(&r);
    cli_close(&c);
    return stalled && st != M3_OK ? CLI_SYSTEM : status;
}
