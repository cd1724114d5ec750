/* conformance: whether a device computes what it should.
 *   m3bsr conformance --backend NAME [--layer system|ops|gradients|modules|model] [--random N] [--vectors FILE ...] */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/m3bsr/conformance.h"

enum {
    MAX_SHOWN = 10,
    RANDOM = 20 /* configurations, without --random */
};              /* findings a file or a layer, without -v */

void check_worsen(check *k, int status)
{
    if (status > k->status) k->status = status;
}

bool check_may_show(check *k)
{
    if (k->c.verbose || k->shown < MAX_SHOWN) {
        k->shown++;
        return true;
    }
    if (k->shown++ == MAX_SHOWN) (void)printf("        … (-v shows all)\n");
    return false;
}

unsigned check_patience(const check *k)
{
    enum { FIRST = 5 }; /* times the limit of a case */
    return k->timeout < UINT32_MAX / FIRST ? k->timeout * FIRST : UINT32_MAX;
}

const char *const check_layers[] = {"system", "ops", "gradients", "modules", "model", NULL};

/* The device is open. */
static void take_names(check *k, const char *device, const char *reference)
{
    const bool first = k->device_name[0] == '\0';
    (void)snprintf(k->device_name, sizeof k->device_name, "%s", device);
    (void)snprintf(k->reference_name, sizeof k->reference_name, "%s", reference);
    if (!first || !k->c.json) return;
    (void)printf("{\"device\": ");
    cli_json_text(device);
    (void)printf(", \"checks\": [");
}

static void describe_device(const check *k, check_about *d)
{
    const m3_device_info *info = m3_device_get_info(k->c.device);
    const char *name = m3_device_name(k->c.device);
    (void)snprintf(d->backend, sizeof d->backend, "%.*s", (int)strcspn(name, ":"), name);
    (void)snprintf(d->kind, sizeof d->kind, "%s", cli_class_name(info->device_class));
    (void)snprintf(d->name, sizeof d->name, "%s", info->name);
    (void)snprintf(d->driver, sizeof d->driver, "%s", info->driver);
    (void)snprintf(d->features, sizeof d->features, "%s", info->features);
    for (uint32_t i = 0; i < m3_engine_plugin_count(k->c.engine); i++) {
        m3_plugin_report report = {.size = M3_STRUCT_SIZE(m3_plugin_report, reason)};
        m3_engine_plugin(k->c.engine, i, &report);
        if (report.loaded && strcmp(report.kind, "backend") == 0 && strcmp(report.name, d->backend) == 0)
            (void)snprintf(d->version, sizeof d->version, "%s", report.version);
    }
}

m3_status check_open(check *k, m3_error *err)
{
    m3_status st = cli_open_device(&k->c, err);
    if (st == M3_OK) st = m3_device_open(k->c.engine, "reference", (m3_span){0}, &k->reference, err);
    if (st != M3_OK) return st;
    check_about *d = &k->device;
    describe_device(k, d);
    child_report(d->features, "about\t%s\t%s\t%s\t%s\t%s", d->backend, d->version, d->kind, d->name, d->driver);
    child_report(NULL, "opened\t%s\t%s", m3_device_name(k->c.device), m3_device_name(k->reference));
    return st;
}

/* Of the first device that is opened; the others only take part in a layer of its own. */
static void take_about(check *k, const child *c)
{
    check_about *d = &k->device;
    if (k->device_name[0] != '\0') return;
    (void)snprintf(d->backend, sizeof d->backend, "%s", c->field[1]);
    (void)snprintf(d->version, sizeof d->version, "%s", c->field[2]);
    (void)snprintf(d->kind, sizeof d->kind, "%s", c->field[3]);
    (void)snprintf(d->name, sizeof d->name, "%s", c->field[4]);
    (void)snprintf(d->driver, sizeof d->driver, "%s", c->field[5]);
    (void)snprintf(d->features, sizeof d->features, "%s", c->field[6]);
}

bool check_heard(check *k, child *c)
{
    if (strcmp(c->field[0], "visit") == 0) {
        (void)snprintf(k->visited, sizeof k->visited, "plugin %s was %s", c->field[2], c->field[1]);
        child_forget(c);
    } else if (strcmp(c->field[0], "about") == 0) {
        take_about(k, c);
        child_forget(c);
    } else if (strcmp(c->field[0], "opened") == 0) {
        take_names(k, c->field[1], c->field[2]);
        child_forget(c);
    } else if (strcmp(c->field[0], "error") == 0) {
        if (!c->echo) (void)fputs(c->words, stderr);
        check_take_opening(k, c->words);
        k->stopped = k->stopped || k->device_name[0] == '\0';
        check_worsen(k, (int)strtol(c->field[1], NULL, 10));
    } else {
        return false;
    }
    return true;
}

void check_give_up(uint32_t deaths, const char *last)
{
    cli_show(stderr,
             "error: %u processes one after another ended in their first check, the last in %s, so no more are "
             "started; what is behind it was not checked\n",
             deaths, last);
}

void check_not_opened(check *k, const child *c)
{
    char text[2048];
    child_fate(c, text, sizeof text);
    (void)fflush(stdout);
    cli_show(stderr, "error: %s: could not be opened: %s%s%s\n", k->c.backend != NULL ? k->c.backend : "auto", text,
             k->visited[0] != '\0' ? ", while " : "", k->visited);
    check_take_opening(k, text);
    check_worsen(k, CLI_SYSTEM);
    k->stopped = true;
}

/* Layer model. */

static void on_failure(void *user, const m3_vector_failure *f)
{
    check *k = user;
    if (k->c.json) {
        (void)printf("%s{\"tensor\": ", k->shown++ == 0 ? "" : ", ");
        cli_json_text(f->tensor);
        (void)printf(", \"index\": %llu, \"elements\": %llu, \"got\": ", (unsigned long long)f->index,
                     (unsigned long long)f->count);
        cli_json_number(f->got);
        (void)printf(", \"want\": ");
        cli_json_number(f->want);
        (void)printf(", \"error\": ");
        cli_json_number(f->error);
        (void)printf(", \"bound\": ");
        cli_json_number(f->bound);
        (void)printf("}");
    } else if (check_may_show(k)) {
        cli_show(stdout, "        %s[%llu] is %.9g, wanted %.9g: off by %.3g, allowed %.3g (%llu elements)\n",
                 f->tensor, (unsigned long long)f->index, f->got, f->want, f->error, f->bound,
                 (unsigned long long)f->count);
    }
}

static void print_groups(const check *k, const m3_vector_report *report)
{
    for (uint32_t g = 0; g < M3_VECTOR_GROUPS; g++) {
        const m3_vector_group *group = &report->groups[g];
        const char *name = m3_vector_group_name(g);
        if (k->c.json) {
            (void)printf("%s\"%s\": {\"tensors\": %u, \"failed\": %u, \"error\": ", g == 0 ? "" : ", ", name,
                         group->tensors, group->failed);
            cli_json_number(group->error);
            (void)printf(", \"share\": ");
            cli_json_number(group->share);
            (void)printf(", \"tensor\": ");
            cli_json_text(group->tensor);
            (void)printf("}");
        } else if (group->tensors == 0) {
            (void)printf("  %s: no tensor", name);
        } else {
            cli_show(stdout, "  %s %.2g (%.3f of the bound, %s)", name, group->error, group->share, group->tensor);
        }
    }
}

static uint32_t file_count(const check *k)
{
    return k->vectors.count + (uint32_t)k->c.count;
}

static const char *file_at(const check *k, uint32_t index)
{
    return index < k->vectors.count ? k->vectors.at[index] : k->c.words[index - k->vectors.count];
}

/* A vector file as reports take it. */
static void take_file(check *k, const char *path, bool passed, double share, double ms, const char *text)
{
    char *again = NULL;
    size_t bytes = 0;
    FILE *to = k->reports.count > 0 ? open_memstream(&again, &bytes) : NULL;
    if (to == NULL) return;
    check_print_again_file(to, k, path);
    (void)fclose(to);
    const char *slash = strrchr(path, '/');
    check_take(k, &(check_result){.layer = "model",
                                  .name = slash != NULL ? slash + 1 : path,
                                  .about = "vector file",
                                  .dtype = "",
                                  .rules = "vectors",
                                  .verdict = passed ? M3_VERDICT_PASS : M3_VERDICT_FAIL,
                                  .share = share,
                                  .ms = ms,
                                  .text = text,
                                  .again = again});
    free(again);
}

static void check_file(check *k, const char *path)
{
    m3_error err = {0};
    double share = -1.0;
    (void)check_lap();
    m3_vector_report report = {0};
    const m3_vector_options options = {.size = M3_STRUCT_SIZE(m3_vector_options, user),
                                       .no_pass = cli_no_pass(&k->c),
                                       .strict = k->c.strict,
                                       .fallbacks = k->c.fallbacks,
                                       .failed = on_failure,
                                       .user = k};
    k->shown = 0;
    if (k->c.json) {
        (void)printf("%s{\"layer\": \"model\", \"file\": ", k->parts++ == 0 ? "" : ", ");
        cli_json_text(path);
        (void)printf(", \"failures\": [");
    }
    m3_status st = m3_conformance_vectors(k->c.device, path, &options, &report, &err);
    bool passed = st == M3_OK && report.passed;
    for (uint32_t g = 0; st == M3_OK && g < M3_VECTOR_GROUPS; g++) share = fmax(share, report.groups[g].share);
    const double ms = check_lap();
    const char *text = st != M3_OK ? err.message : passed ? "" : "differs from the file";
    if (k->c.told)
        child_report(text, "checked\t%d\t%.17g\t%.4g", (int)passed, share, ms);
    else
        take_file(k, path, passed, share, ms, text);
    check_worsen(k, passed ? CLI_DONE : CLI_CHECK_FAILED);
    if (k->c.json) {
        (void)printf("], \"passed\": %s, \"groups\": {", passed ? "true" : "false");
        if (st == M3_OK) print_groups(k, &report);
        (void)printf("}}");
    } else {
        cli_show(stdout, "%-7s %s", passed ? "pass" : "FAIL", path);
        if (st == M3_OK) print_groups(k, &report);
        (void)printf("\n");
    }
    if (st != M3_OK) check_worsen(k, cli_report(&err));
}

/* The files from the first on, for the parent. */
static int files_child(check *k, uint32_t first)
{
    m3_error err = {0};
    if (check_open(k, &err) != M3_OK) {
        int status = cli_report(&err);
        child_report(NULL, "error\t%d", status);
        return status;
    }
    for (uint32_t i = first; i < file_count(k); i++) {
        k->status = CLI_DONE;
        child_report(NULL, "begun\t%u", i);
        check_file(k, file_at(k, i));
        (void)fflush(stdout);
        child_report(NULL, "done\t%d", k->status);
    }
    child_report(NULL, "ended");
    return CLI_DONE;
}

static void print_lost_file(check *k, const char *path, const char *text)
{
    take_file(k, path, false, -1.0, check_lap(), text);
    check_worsen(k, CLI_CHECK_FAILED);
    if (k->c.json) {
        (void)printf("%s{\"layer\": \"model\", \"file\": ", k->parts++ == 0 ? "" : ", ");
        cli_json_text(path);
        (void)printf(", \"failures\": [], \"passed\": false, \"text\": ");
        cli_json_text(text);
        (void)printf(", \"groups\": {}}");
    } else {
        cli_show(stdout, "FAIL    %s: %s\n", path, text);
    }
}

/* Hear one child. Returns the file to go on with. */
static uint32_t hear_files(check *k, child *c, uint32_t first)
{
    uint32_t next = first;
    bool running = false, error = false, ended = false;
    char text[2048];
    child_event event;
    while ((event = child_next(c, check_patience(k))) == CHILD_REPORT) {
        if (check_heard(k, c)) {
            error = error || strcmp(c->field[0], "error") == 0;
        } else if (strcmp(c->field[0], "checked") == 0) {
            take_file(k, file_at(k, next - 1), c->field[1][0] == '1', strtod(c->field[2], NULL),
                      strtod(c->field[3], NULL), c->field[4]);
        } else if (strcmp(c->field[0], "begun") == 0) {
            (void)check_lap();
            running = true;
            next++;
            child_forget(c);
        } else if (strcmp(c->field[0], "done") == 0) {
            char *output = child_take_output(c);
            if (output != NULL) (void)fputs(output, stdout);
            free(output);
            check_worsen(k, (int)strtol(c->field[1], NULL, 10));
            k->parts++;
            running = false;
            if (child_sanitizer(c, text, sizeof text)) print_lost_file(k, file_at(k, next - 1), text);
        } else if (strcmp(c->field[0], "ended") == 0) {
            ended = true;
        }
    }
    const bool clean = event == CHILD_ENDED && !c->late && c->status == 0 && ended;
    child_fate(c, text, sizeof text);
    k->stopped = k->stopped || event == CHILD_INTERRUPTED || error;
    if (event == CHILD_INTERRUPTED)
        check_worsen(k, CLI_INTERRUPTED);
    else if (!k->stopped && !clean && k->device_name[0] == '\0')
        check_not_opened(k, c);
    else if (!k->stopped && !clean) {
        k->end = c->late ? CHECK_LATE : CHECK_CRASHED;
        print_lost_file(k, running ? file_at(k, next - 1) : "closing the device", text);
        k->end = CHECK_ENDED;
    }
    return next;
}

static void check_files(check *k)
{
    uint32_t next = 0;
    check_take_layer(k, "model");
    while (next < file_count(k) && !k->stopped) {
        char role[64];
        child c;
        (void)snprintf(role, sizeof role, "files %u %u", next, k->parts);
        if (!child_start(&c, k->argv, role, true)) {
            check_worsen(k, CLI_SYSTEM);
            return;
        }
        uint32_t reached = hear_files(k, &c, next);
        child_finish(&c);
        if (reached == next) return; /* it does not get to a file */
        next = reached;
    }
}

/* The command. */

/* Names of cases say which layer they are of; a pattern that begins with a wild character may be of any. */
static bool may_match(const char *pattern, const char *layer)
{
    const bool module = strncmp(pattern, "encoder.", 8) == 0 || strncmp(pattern, "expert.", 7) == 0;
    const bool configuration = strncmp(pattern, "random.", 7) == 0, system = strncmp(pattern, "system.", 7) == 0;
    if (pattern[0] == '\0' || strchr("*?[", pattern[0]) != NULL) return true;
    if (strcmp(layer, "modules") == 0) return module;
    if (strcmp(layer, "system") == 0) return system;
    return strcmp(layer, "model") == 0 ? configuration : !module && !configuration && !system;
}

static bool wants(const check *k, const char *layer)
{
    for (uint32_t i = 0; i < k->layers.count; i++)
        if (strcmp(k->layers.at[i], layer) == 0) return true;
    /* Without a choice: what the options are about, else all layers. */
    if (k->layers.count > 0) return false;
    if (file_count(k) > 0 || k->random > 0) return strcmp(layer, "model") == 0;
    return k->cases == NULL || may_match(k->cases, layer);
}

/* Vector files alone when they are given. */
static bool wants_random(const check *k)
{
    return wants(k, "model") && k->configurations > 0;
}

static int check_usage(const check *k)
{
    if (k->next) return CLI_GO_ON;
    for (uint32_t i = 0; i < k->layers.count; i++) {
        const char *layer = k->layers.at[i];
        if (strcmp(layer, "system") == 0 || strcmp(layer, "ops") == 0 || strcmp(layer, "gradients") == 0 ||
            strcmp(layer, "modules") == 0 || strcmp(layer, "model") == 0)
            continue;
        cli_show(stderr, "error: there is no layer '%s'; there are: system ops gradients modules model\n", layer);
        return CLI_BAD_INPUT;
    }
    if (!wants(k, "model") && (file_count(k) > 0 || k->random > 0)) {
        cli_show(stderr, "error: %s are for --layer model\n", k->random > 0 ? "random configurations" : "vector files");
        return CLI_BAD_INPUT;
    }
    return CLI_GO_ON;
}

/* Behind the layer ops, where it says something new. */
static bool wants_next(const check *k)
{
    return k->next || (wants(k, "ops") && k->cases == NULL && !k->c.json);
}

static void run_here(check *k)
{
    m3_error err = {0};
    if (check_open(k, &err) != M3_OK) {
        k->status = cli_report(&err);
        return;
    }
    take_names(k, m3_device_name(k->c.device), m3_device_name(k->reference));
    if (wants(k, "system") && !k->next) check_system(k);
    if (wants(k, "ops") && !k->next) check_cases(k, "ops");
    if (wants(k, "gradients") && !k->next) check_cases(k, "gradients");
    if (wants(k, "modules") && !k->next) check_modules(k);
    if (wants_random(k) && !k->next) check_cases(k, "model");
    if (wants(k, "model") && !k->next) check_take_layer(k, "model");
    for (uint32_t i = 0; wants(k, "model") && !k->next && i < file_count(k); i++) check_file(k, file_at(k, i));
    if (wants_next(k)) check_next(k);
}

static void run_children(check *k)
{
    static const char *const cases[] = {"ops", "gradients"};
    child_catch_interrupts();
    if (k->next) {
        check_next(k);
        return;
    }
    if (wants(k, "system")) check_system(k);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (wants(k, cases[i]) && !k->stopped) check_cases(k, cases[i]);
    if (wants(k, "modules") && !k->stopped) check_modules(k);
    if (wants_random(k) && !k->stopped) check_cases(k, "model");
    if (wants(k, "model") && !k->stopped) check_files(k);
    if (wants_next(k) && !k->stopped) check_next(k);
}

/* The part of the work that this process is a child for. */
static int run_role(check *k, const char *role)
{
    char layer[32];
    unsigned first, count;
    k->in_process = true;
    k->c.told = true;
    k->strict = k->c.strict;
    if (sscanf(role, "cases %31s %u %u", layer, &first, &count) == 3) {
        k->c.strict = true; /* the other devices are not needed, so they shall not stand in the way */
        return check_cases_child(k, layer, first, count);
    }
    if (strncmp(role, "modules ", 8) == 0) return check_modules_child(k, role);
    if (strcmp(role, "next") == 0) {
        k->c.strict = true;
        return check_next_child(k);
    }
    if (sscanf(role, "system %u", &first) == 1) {
        k->c.strict = true;
        return check_system_child(k, first);
    }
    if (sscanf(role, "files %u %u", &first, &count) == 2) {
        k->parts = count;
        return files_child(k, first);
    }
    return CLI_BAD_INPUT;
}

static int list(check *k)
{
    const bool system = k->layers.count > 0 && strcmp(k->layers.at[0], "system") == 0;
    return system ? check_system_list(k) : check_list(k);
}

int cmd_conformance(int argc, char **argv)
{
    check k = {.seed = 1, .timeout = 120};
    const char *role = child_role();
    if (argc > 1 && strcmp(argv[1], "verify") == 0) return check_verify(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "collectives") == 0) return check_collectives(argc - 1, argv + 1);
    const cli_option options[] = {
        {"layer", CLI_LIST, &k.layers, "NAME", "system, ops, gradients, modules or model; may be repeated"},
        {"vectors", CLI_LIST, &k.vectors, "FILE ...", "vector files of layer model"},
        {"random", CLI_COUNT, &k.random, "N", "random configurations of layer model (default 20, with files none)"},
        {"cases", CLI_TEXT, &k.cases, "PATTERN", "only cases or checks whose names match; * and ? are wild"},
        {"full", CLI_FLAG, &k.full, NULL, "ops, gradients: the full list, not the quick one"},
        {"list", CLI_FLAG, &k.list, NULL, "print how many cases ops have by rule, or with --cases their names"},
        {"case-seed", CLI_COUNT, &k.seed, "N", "of the numbers (default 1)"},
        {"timeout", CLI_COUNT, &k.timeout, "SECONDS", "that a case may take (default 120); five times that to begin"},
        {"next", CLI_FLAG, &k.next, NULL, "check nothing; which ops of a training step to write next, by benefit"},
        {"report", CLI_LIST, &k.reports, "FILE", "write a report too: .html, .json or .xml (JUnit); may be repeated"},
        {"in-process", CLI_FLAG, &k.in_process, NULL, "no child processes: for debuggers"},
    };
    const cli_command command = {
        .usage = "conformance --backend NAME [--layer ops] [--layer gradients]\n"
                 "conformance --backend NAME --layer model [--random N] [--vectors FILE ...]\n"
                 "conformance --list [--full] [--cases PATTERN]\n"
                 "conformance --backend NAME --next [CONFIG]\n"
                 "conformance verify FILE [--rerun N]\n"
                 "conformance collectives NAME [--ranks N]",
        .about = "Check that a device computes what it should: every op against the double-precision reference,\n"
                 "every gradient against slopes, encoders and experts against what is asked of them, the backend\n"
                 "against what its interface promises, and the model against the reference, in random configurations,\n"
                 "and against vector files. Exit status 1: not so.\n"
                 "A case that crashes, exits or hangs has failed; the others are run nevertheless.",
        .groups = CLI_DEVICE | CLI_PASSES,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .max_words = INT_MAX};
    k.argv = child_copy_words(argc, argv);
    int status = k.argv != NULL ? cli_parse(&k.c, &command, argc, argv) : cli_no_memory();
    if (status == CLI_GO_ON) status = k.list ? list(&k) : check_usage(&k);
    k.configurations = k.random == 0 && file_count(&k) == 0 ? RANDOM : k.random;
    if (status == CLI_GO_ON && role == NULL && !check_may_report(&k)) status = CLI_BAD_INPUT;
    if (status == CLI_GO_ON) {
        if (role != NULL)
            k.status = run_role(&k, role);
        else if (k.in_process)
            run_here(&k);
        else
            run_children(&k);
        if (role == NULL && k.c.json && k.device_name[0] != '\0')
            (void)printf("], \"passed\": %s}\n", k.status == CLI_DONE ? "true" : "false");
        if (role == NULL && !k.next) check_report(&k);
        status = k.status;
    }
    m3_device_close(k.reference);
    cli_close(&k.c);
    free(k.argv);
    return status;
}
