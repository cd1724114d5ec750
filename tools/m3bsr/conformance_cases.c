/* conformance_cases: the layers of cases (ops, gradients). The list is run in groups, each in a child; a case that ends
 * its child, or takes too long, has failed, and the next child goes on behind it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/m3bsr/conformance.h"

enum { GROUP = 500 /* cases a child: what a driver leaks does not add up */ };

static const char *const verdicts[] = {"pass", "FAIL", "lacks"};

/* One layer while it runs. */
typedef struct layer_run {
    check *k;
    const char *name;
    m3_cases_report sum;
    double ms;   /* that the case at hand took */
    bool begun;  /* something of it was printed */
    bool broken; /* it did not come to its end */
} layer_run;

static void begin(layer_run *l)
{
    if (!l->begun && l->k->c.json)
        (void)printf("%s{\"layer\": \"%s\", \"cases\": [", l->k->parts++ == 0 ? "" : ", ", l->name);
    l->begun = true;
}

/* Findings. */

/* A word for a shell: as it is, or in single quotes. */
static void print_word(FILE *to, const char *word)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=:,./@%";
    if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
        (void)fputs(word, to);
        return;
    }
    (void)fputc('\'', to);
    for (; *word != '\0'; word++) (void)fputs(*word == '\'' ? "'\\''" : (const char[]){*word, '\0'}, to);
    (void)fputc('\'', to);
}

static void print_option(FILE *to, const char *option, const char *value)
{
    if (value == NULL) return;
    (void)fprintf(to, " %s ", option);
    print_word(to, value);
}

static void print_command(FILE *to, const check *k, const char *layer)
{
    print_word(to, program_invocation_name);
    (void)fprintf(to, " conformance");
    print_option(to, "--plugin-path", k->c.plugin_path);
    print_option(to, "--backend", k->device_name[0] != '\0' ? k->device_name : k->c.backend);
    for (uint32_t i = 0; i < k->c.device_option.count; i++)
        print_option(to, "--device-option", k->c.device_option.at[i]);
    if (k->c.threads > 0) (void)fprintf(to, " --threads %u", k->c.threads);
    (void)fprintf(to, " --layer %s", layer);
}

void check_print_again(FILE *to, const check *k, const char *layer, const char *name)
{
    print_command(to, k, layer);
    if (strcmp(layer, "model") == 0) (void)fprintf(to, " --random %u", k->configurations);
    (void)fprintf(to, " --case-seed %u", k->seed);
    print_option(to, "--cases", name);
}

void check_print_again_file(FILE *to, const check *k, const char *path)
{
    print_command(to, k, "model");
    print_option(to, "--vectors", path);
}

/* The configuration as options that `m3bsr diverge` and others take. */
static void print_settings(FILE *to, const char *settings)
{
    char word[256];
    for (const char *at = settings; at[0] != '\0';) {
        const size_t length = strcspn(at, " ");
        (void)snprintf(word, sizeof word, "%.*s", (int)length, at);
        print_option(to, "--set", word);
        at += length + (at[length] == ' ');
    }
}

static bool names(const char *list, const char *op)
{
    const size_t length = strlen(op);
    for (const char *at = list; (at = strstr(at, op)) != NULL; at += length)
        if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0')) return true;
    return false;
}

/* Another op that this case ran and that failed in cases of its own, or NULL: the case may be right. */
static const check_failed *cause(const check *k, const m3_case_report *r)
{
    for (uint32_t i = 0; i < k->failed_count; i++)
        if (strcmp(k->failed[i].op, r->op) != 0 && names(r->ran, k->failed[i].op)) return &k->failed[i];
    return NULL;
}

static void remember(check *k, const m3_case_report *r)
{
    for (uint32_t i = 0; i < k->failed_count; i++)
        if (strcmp(k->failed[i].op, r->op) == 0) return;
    if (k->failed_count == CHECK_FAILED_OPS) return;
    check_failed *failed = &k->failed[k->failed_count++];
    (void)snprintf(failed->op, sizeof failed->op, "%s", r->op);
    (void)snprintf(failed->name, sizeof failed->name, "%s", r->name);
}

static void print_json(check *k, const char *name, const m3_case_report *r, const check_failed *by)
{
    (void)printf("%s{\"case\": ", k->shown++ == 0 ? "" : ", ");
    cli_json_text(r->name);
    (void)printf(", \"verdict\": \"%s\", \"native\": %s, \"share\": ",
                 r->verdict == M3_VERDICT_FAIL ? "FAIL" : verdicts[r->verdict], r->native ? "true" : "false");
    cli_json_number(r->share);
    (void)printf(", \"text\": ");
    cli_json_text(r->text);
    if (by != NULL) {
        (void)printf(", \"after\": ");
        cli_json_text(by->name);
    }
    if (r->settings != NULL && r->settings[0] != '\0') {
        (void)printf(", \"settings\": ");
        cli_json_text(r->settings);
    }
    char *again = NULL;
    size_t bytes = 0;
    FILE *to = r->verdict == M3_VERDICT_FAIL ? open_memstream(&again, &bytes) : NULL;
    if (to != NULL) {
        check_print_again(to, k, name, r->op[0] != '\0' ? r->name : k->cases);
        (void)fclose(to);
        (void)printf(", \"again\": ");
        cli_json_text(again);
        free(again);
    }
    (void)printf("}");
}

/* The names of a case's rules. */
static void name_rules(uint32_t rules, char *text, size_t bytes)
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < m3_conformance_rule_count() && used < bytes; i++)
        if ((rules >> i & 1u) != 0)
            used +=
                (size_t)snprintf(text + used, bytes - used, "%s%s", used > 0 ? " " : "", m3_conformance_rule_name(i));
}

static void take(const layer_run *l, const m3_case_report *r)
{
    char rules[256];
    const bool lost = r->op[0] == '\0'; /* no case: a child that died between two */
    name_rules(r->rules, rules, sizeof rules);
    check_take(l->k, &(check_result){.layer = l->name,
                                     .name = r->name,
                                     .about = lost ? "device" : r->op,
                                     .dtype = r->dtype != NULL ? r->dtype : "",
                                     .rules = rules[0] != '\0' || lost        ? rules
                                              : strcmp(l->name, "model") == 0 ? "random"
                                                                              : "declared",
                                     .verdict = r->verdict,
                                     .share = r->verdict == M3_VERDICT_LACKS ? -1.0 : r->share,
                                     .ms = l->ms,
                                     .text = r->text,
                                     .select = lost ? l->k->cases : r->name});
}

static void on_case(void *user, const m3_case_report *r)
{
    layer_run *l = user;
    check *k = l->k;
    const bool good = r->verdict == M3_VERDICT_PASS, failed = r->verdict == M3_VERDICT_FAIL;
    const check_failed *by = failed ? cause(k, r) : NULL;
    if (failed) remember(k, r);
    l->sum.run++;
    l->sum.passed += good;
    l->sum.failed += failed;
    l->sum.lacking += r->verdict == M3_VERDICT_LACKS;
    l->sum.native += r->native;
    if (r->share > l->sum.share) l->sum.share = r->share;
    take(l, r);
    if (good && !k->c.verbose) return;
    if (k->c.json) {
        print_json(k, l->name, r, by);
        return;
    }
    if (!check_may_show(k)) return;
    (void)printf("        %-5s %s%s%s", verdicts[r->verdict], r->name, r->text[0] != '\0' ? ": " : "", r->text);
    if (good && r->share > 0.0) (void)printf(": %.3f of the bound", r->share);
    if (by != NULL) (void)printf("; it runs %s, which failed before: %s", by->op, by->name);
    if (failed) {
        (void)printf("\n              again: ");
        check_print_again(stdout, k, l->name, r->op[0] != '\0' ? r->name : k->cases);
    }
    if (failed && r->settings != NULL && r->settings[0] != '\0') {
        (void)printf("\n              of:");
        print_settings(stdout, r->settings);
    }
    (void)printf("\n");
}

/* Running. */

static m3_cases_options options_of(const check *k, const char *name)
{
    return (m3_cases_options){.size = M3_STRUCT_SIZE(m3_cases_options, strict),
                              .no_pass = cli_no_pass(&k->c),
                              .strict = k->strict,
                              .gradients = strcmp(name, "gradients") == 0,
                              .pattern = k->cases,
                              .seed = k->seed,
                              .full = k->full};
}

static m3_status run_list(const check *k, const char *name, const m3_cases_options *options, m3_cases_report *report,
                          m3_error *err)
{
    return strcmp(name, "model") == 0
               ? m3_conformance_random(k->c.device, k->reference, k->configurations, options, report, err)
               : m3_conformance_cases(k->c.device, k->reference, options, report, err);
}

static void report_begun(void *user, uint32_t index, uint32_t matching, const char *name)
{
    (void)user;
    (void)check_lap();
    child_report(name, "begun\t%u\t%u", index, matching);
}

static void report_done(void *user, const m3_case_report *r)
{
    (void)user;
    child_report(r->text, "done\t%d\t%d\t%.17g\t%s\t%s\t%s\t%u\t%s\t%.4g", (int)r->verdict, (int)r->native, r->share,
                 r->op, r->ran, r->settings != NULL ? r->settings : "", r->rules, r->dtype != NULL ? r->dtype : "",
                 check_lap());
}

int check_cases_child(check *k, const char *name, uint32_t first, uint32_t count)
{
    m3_error err = {0};
    m3_cases_report report = {.size = M3_STRUCT_SIZE(m3_cases_report, share)};
    m3_cases_options options = options_of(k, name);
    options.first = first;
    options.count = count;
    options.begun = report_begun;
    options.done = report_done;
    m3_status st = check_open(k, &err);
    if (st == M3_OK) st = run_list(k, name, &options, &report, &err);
    if (st != M3_OK) {
        int status = cli_report(&err);
        child_report(NULL, "error\t%d", status);
        return status;
    }
    child_report(NULL, "group\t%u", report.version);
    return CLI_DONE;
}

/* What one child has said so far. */
typedef struct hearing {
    char name[800];
    uint32_t next;        /* the case behind the last one that began */
    bool running, opened; /* a case; the device */
    bool finished;        /* all of its group */
    bool any;             /* a case ended in its own way */
    uint32_t matching;
} hearing;

static void hear_case(layer_run *l, child *c, hearing *h)
{
    char text[1024];
    m3_case_report r = {.size = M3_STRUCT_SIZE(m3_case_report, dtype),
                        .name = h->name,
                        .verdict = (m3_verdict)strtol(c->field[1], NULL, 10),
                        .native = c->field[2][0] == '1',
                        .share = strtod(c->field[3], NULL),
                        .op = c->field[4],
                        .ran = c->field[5],
                        .settings = c->field[6],
                        .rules = (uint32_t)strtoul(c->field[7], NULL, 10),
                        .dtype = c->field[8],
                        .text = c->field[10],
                        .index = h->next - 1};
    if (r.verdict == M3_VERDICT_PASS && child_sanitizer(c, text, sizeof text)) {
        r.verdict = M3_VERDICT_FAIL;
        r.text = text;
    }
    h->running = false;
    h->any = true;
    l->ms = strtod(c->field[9], NULL);
    on_case(l, &r);
}

static void hear(layer_run *l, child *c, hearing *h)
{
    const char *what = c->field[0];
    if (check_heard(l->k, c)) {
        h->opened = h->opened || strcmp(what, "opened") == 0;
        l->broken = l->broken || strcmp(what, "error") == 0;
        if (h->opened) begin(l);
    } else if (strcmp(what, "begun") == 0) {
        h->next = (uint32_t)strtoul(c->field[1], NULL, 10) + 1;
        h->running = true;
        (void)check_lap();
        h->matching = (uint32_t)strtoul(c->field[2], NULL, 10);
        (void)snprintf(h->name, sizeof h->name, "%s", c->field[3]);
        child_forget(c);
    } else if (strcmp(what, "done") == 0) {
        hear_case(l, c, h);
    } else if (strcmp(what, "group") == 0) {
        h->finished = true;
        l->sum.version = (uint32_t)strtoul(c->field[1], NULL, 10);
        child_forget(c);
    }
}

/* A child died in a case, between two, or while it closed its device. */
static void report_death(layer_run *l, const child *c, const hearing *h)
{
    char text[2048], op[64], name[900];
    m3_case_report r = {.size = M3_STRUCT_SIZE(m3_case_report, dtype),
                        .verdict = M3_VERDICT_FAIL,
                        .ran = "",
                        .dtype = "",
                        .text = text};
    child_fate(c, text, sizeof text);
    if (h->running)
        (void)snprintf(name, sizeof name, "%s", h->name);
    else if (h->next == 0)
        (void)snprintf(name, sizeof name, "before the first case");
    else
        (void)snprintf(name, sizeof name, "%s%s", h->finished ? "closing the device" : "after ",
                       h->finished ? "" : h->name);
    (void)snprintf(op, sizeof op, "%.*s", h->running ? (int)strcspn(name, "(") : 0, name); /* "": no case */
    r.name = name;
    r.op = op;
    l->ms = check_lap();
    l->k->end = c->late ? CHECK_LATE : CHECK_CRASHED;
    on_case(l, &r);
    l->k->end = CHECK_ENDED;
}

/* Run one group from *first on. false: the layer is over. */
static bool run_group(layer_run *l, uint32_t *first, uint32_t *deaths)
{
    check *k = l->k;
    child c;
    hearing h = {.next = *first};
    char role[64];
    (void)snprintf(role, sizeof role, "cases %s %u %d", l->name, *first, (int)GROUP);
    if (!child_start(&c, k->argv, role, k->c.verbose || !k->started)) {
        check_worsen(k, CLI_SYSTEM);
        k->stopped = true;
        return false;
    }
    child_event event;
    while ((event = child_next(&c, h.any ? k->timeout : check_patience(k))) == CHILD_REPORT) hear(l, &c, &h);
    k->started = true;
    const bool clean = event == CHILD_ENDED && !c.late && c.status == 0;
    if (event == CHILD_INTERRUPTED) {
        check_worsen(k, CLI_INTERRUPTED);
        k->stopped = true;
    } else if (l->broken) {
        *deaths = 0; /* it said why, and check_heard() passed that on */
    } else if (!h.opened) {
        check_not_opened(k, &c);
    } else if (!clean || !h.finished) {
        report_death(l, &c, &h);
        *deaths = h.any ? 1 : *deaths + 1;
        if (*deaths == CHECK_MAX_DEATHS) {
            cli_show(stderr,
                     "error: %u processes one after another ended in their first case, the last in %s, so no more "
                     "are started; %u of %u cases were not run\n",
                     *deaths, h.name, h.matching - h.next, h.matching);
            k->stopped = true;
        }
        /* A device that does not survive between cases would never get further. */
        if (!h.running && !h.finished && h.next == *first) k->stopped = true;
    } else {
        *deaths = 0;
    }
    child_finish(&c);
    *first = h.next;
    return !k->stopped && !l->broken && h.next < h.matching;
}

static void on_case_here(void *user, const m3_case_report *r)
{
    layer_run *l = user;
    l->ms = check_lap();
    on_case(l, r);
}

static void lap_begun(void *user, uint32_t index, uint32_t matching, const char *name)
{
    (void)user, (void)index, (void)matching, (void)name;
    (void)check_lap();
}

static m3_status run_here(layer_run *l, m3_error *err)
{
    check *k = l->k;
    m3_cases_report report = {.size = M3_STRUCT_SIZE(m3_cases_report, share)};
    m3_cases_options options = options_of(k, l->name);
    options.done = on_case_here;
    options.begun = lap_begun;
    options.user = l;
    m3_status st = run_list(k, l->name, &options, &report, err);
    l->sum.version = report.version;
    return st;
}

static void print_sum(const layer_run *l, bool passed)
{
    const m3_cases_report *r = &l->sum;
    const check *k = l->k;
    const bool random = strcmp(l->name, "model") == 0;
    if (k->c.json) {
        (void)printf("], \"passed\": %s, \"version\": %u, \"seed\": %u, \"run\": %u, \"pass\": %u, \"fail\": %u, "
                     "\"lacks\": %u, \"native\": %u, \"share\": ",
                     passed ? "true" : "false", r->version, k->seed, r->run, r->passed, r->failed, r->lacking,
                     r->native);
        cli_json_number(r->share);
        (void)printf("}");
    } else if (r->run > 0) {
        const char *verdict = passed ? "pass" : r->failed == 0 && r->lacking > 0 ? "lacks" : "FAIL";
        (void)printf("%-7s %s on %s: %u %s (list %u, seed %u): %u pass, %u fail, %u lack; ", verdict, l->name,
                     k->device_name, r->run, random ? "random configurations" : "cases", r->version, k->seed, r->passed,
                     r->failed, r->lacking);
        if (!random) (void)printf("%u native; ", r->native);
        (void)printf("largest error %.3f of the bound\n", r->share);
    }
}

void check_cases(check *k, const char *name)
{
    layer_run l = {.k = k, .name = name};
    m3_error err = {0};
    uint32_t first = 0, deaths = 0;
    m3_status st = M3_OK;
    k->shown = 0;
    check_take_layer(k, name);
    if (k->in_process) {
        begin(&l);
        st = run_here(&l, &err);
    } else {
        while (run_group(&l, &first, &deaths)) continue;
    }
    bool passed = st == M3_OK && !l.broken && !k->stopped && l.sum.run > 0 && l.sum.failed == 0 && l.sum.lacking == 0;
    check_worsen(k, passed ? CLI_DONE : CLI_CHECK_FAILED);
    if (l.begun) print_sum(&l, passed);
    if (st != M3_OK) check_worsen(k, cli_report(&err));
}
