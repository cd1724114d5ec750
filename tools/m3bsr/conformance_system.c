/* conformance_system: layer system: what a backend's interface promises, checked in children. A check that ends its
 * child, or takes too long, has failed, and the next child goes on behind it. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "tools/m3bsr/conformance.h"

enum { NAME = 64 };

static const char *const verdicts[] = {"pass", "FAIL", "lacks"};

typedef struct system_run {
    check *k;
    m3_system_report sum;
    bool begun, broken, ended;
    double ms;       /* that the check at hand took */
    uint32_t next;   /* the index behind the check that began last */
    char name[NAME]; /* of that check */
    uint32_t deaths, told;
} system_run;

static void begin(system_run *m)
{
    if (!m->begun && m->k->c.json)
        (void)printf("%s{\"layer\": \"system\", \"cases\": [", m->k->parts++ == 0 ? "" : ", ");
    m->begun = true;
}

/* Findings. */

static void print_json(check *k, const m3_system_finding *f)
{
    (void)printf("%s{\"case\": ", k->shown++ == 0 ? "" : ", ");
    cli_json_text(f->name);
    (void)printf(", \"verdict\": \"%s\", \"text\": ", verdicts[f->verdict]);
    cli_json_text(f->text);
    (void)printf(", \"about\": ");
    cli_json_text(f->about);
    (void)printf("}");
}

static void take(const system_run *m, const m3_system_finding *f)
{
    const bool lost = f->about[0] == '\0';
    char group[NAME] = "device"; /* "copy" of system.copy.f32 */
    if (!lost) (void)sscanf(f->name, "system.%63[^.]", group);
    check_take(m->k, &(check_result){.layer = "system",
                                     .name = f->name,
                                     .about = group,
                                     .dtype = "",
                                     .rules = group,
                                     .verdict = f->verdict,
                                     .share = -1.0,
                                     .ms = m->ms,
                                     .text = f->text,
                                     .select = lost ? m->k->cases : f->name});
}

static void on_check(void *user, const m3_system_finding *f)
{
    system_run *m = user;
    check *k = m->k;
    const bool good = f->verdict == M3_VERDICT_PASS;
    m->told++;
    m->sum.run++;
    m->sum.passed += good;
    m->sum.failed += f->verdict == M3_VERDICT_FAIL;
    m->sum.lacking += f->verdict == M3_VERDICT_LACKS;
    take(m, f);
    if (good && !k->c.verbose) return;
    if (k->c.json) {
        print_json(k, f);
        return;
    }
    if (!check_may_show(k)) return;
    (void)printf("        %-5s %s", verdicts[f->verdict], f->name);
    if (f->text[0] != '\0') (void)printf(": %s", f->text);
    if (!good) {
        (void)printf("\n              again: ");
        check_print_again(stdout, k, "system", f->about[0] != '\0' ? f->name : k->cases);
    }
    (void)printf("\n");
}

/* In the child. */

static void report_begun(void *user, uint32_t index, const char *name)
{
    (void)user;
    (void)check_lap();
    child_report(name, "begun\t%u", index);
}

static void report_done(void *user, const m3_system_finding *f)
{
    (void)user;
    child_report(f->text, "done\t%d\t%.4g", (int)f->verdict, check_lap());
}

static m3_status make_checks(check *k, m3_system_options *options, m3_error *err)
{
    m3_option given[CLI_MAX_LIST];
    m3_system_report report = {0};
    char *text = NULL;
    m3_status st = cli_device_options(&k->c, &text, given, err);
    options->size = M3_STRUCT_SIZE(m3_system_options, begun);
    options->pattern = k->cases;
    options->device_options = (m3_span){.count = k->c.device_option.count, .stride = sizeof given[0], .data = given};
    if (st == M3_OK) st = m3_conformance_system(k->c.device, options, &report, err);
    free(text);
    return st;
}

int check_system_child(check *k, uint32_t first)
{
    m3_error err = {0};
    m3_system_options options = {.first = first, .begun = report_begun, .done = report_done};
    m3_status st = check_open(k, &err);
    if (st == M3_OK) st = make_checks(k, &options, &err);
    if (st != M3_OK) {
        int status = cli_report(&err);
        child_report(NULL, "error\t%d", status);
        return status;
    }
    child_report(NULL, "ended");
    return CLI_DONE;
}

/* In the parent. */

static m3_system_finding finding_of(const system_run *m, m3_verdict verdict, const char *text)
{
    const char *about = "";
    (void)m3_conformance_system_name(m->next - 1, &about);
    return (m3_system_finding){.size = M3_STRUCT_SIZE(m3_system_finding, text),
                               .name = m->name,
                               .about = about,
                               .verdict = verdict,
                               .text = text};
}

static void hear_check(system_run *m, child *c)
{
    char text[1024];
    m3_system_finding f = finding_of(m, (m3_verdict)strtol(c->field[1], NULL, 10), c->field[3]);
    m->ms = strtod(c->field[2], NULL);
    if (f.verdict == M3_VERDICT_PASS && child_sanitizer(c, text, sizeof text)) {
        f.verdict = M3_VERDICT_FAIL;
        f.text = text;
        child_forget(c);
    }
    on_check(m, &f);
}

static void hear(system_run *m, child *c)
{
    const char *what = c->field[0];
    if (check_heard(m->k, c)) {
        if (strcmp(what, "opened") == 0) begin(m);
        m->broken = m->broken || strcmp(what, "error") == 0;
    } else if (strcmp(what, "begun") == 0) {
        m->next = (uint32_t)strtoul(c->field[1], NULL, 10) + 1;
        (void)check_lap();
        (void)snprintf(m->name, sizeof m->name, "%s", c->field[2]);
        child_forget(c);
    } else if (strcmp(what, "done") == 0) {
        hear_check(m, c);
    } else if (strcmp(what, "ended") == 0) {
        m->ended = true;
    }
}

/* A child died in a check, or behind the last one. */
static void report_death(system_run *m, const child *c, bool in_check)
{
    char text[2048];
    child_fate(c, text, sizeof text);
    m3_system_finding f = finding_of(m, M3_VERDICT_FAIL, text);
    if (!in_check) {
        f.name = "closing the device";
        f.about = "";
    }
    m->ms = check_lap();
    m->k->end = c->late ? CHECK_LATE : CHECK_CRASHED;
    on_check(m, &f);
    m->k->end = CHECK_ENDED;
}

/* Check from m->next on. false: the layer is over. */
static bool run_child(system_run *m)
{
    check *k = m->k;
    child c;
    child_event event;
    char role[64];
    const uint32_t first = m->next;
    (void)snprintf(role, sizeof role, "system %u", first);
    if (!child_start(&c, k->argv, role, k->c.verbose || !k->started)) {
        check_worsen(k, CLI_SYSTEM);
        k->stopped = true;
        return false;
    }
    m->told = 0;
    while ((event = child_next(&c, m->told > 0 ? k->timeout : check_patience(k))) == CHILD_REPORT) hear(m, &c);
    k->started = true;
    const bool clean = event == CHILD_ENDED && !c.late && c.status == 0;
    bool again = false;
    if (event == CHILD_INTERRUPTED) {
        check_worsen(k, CLI_INTERRUPTED);
        k->stopped = true;
    } else if (!m->broken && !m->begun) {
        check_not_opened(k, &c);
    } else if (!m->broken && !(clean && m->ended)) {
        const bool in_check = !m->ended && m->next > first;
        report_death(m, &c, in_check);
        m->deaths = m->told > 1 ? 1 : m->deaths + 1;
        again = in_check && m->deaths < CHECK_MAX_DEATHS;
        if (in_check && !again) check_give_up(m->deaths, m->name);
    }
    child_finish(&c);
    return again;
}

static void on_check_here(void *user, const m3_system_finding *f)
{
    system_run *m = user;
    m->ms = check_lap();
    on_check(m, f);
}

static void lap_begun(void *user, uint32_t index, const char *name)
{
    (void)user, (void)index, (void)name;
    (void)check_lap();
}

static void run_here(system_run *m)
{
    m3_error err = {0};
    m3_system_options options = {.done = on_check_here, .user = m, .begun = lap_begun};
    begin(m);
    if (make_checks(m->k, &options, &err) == M3_OK) return;
    m->broken = true;
    check_worsen(m->k, cli_report(&err));
}

static void print_sum(const system_run *m, bool passed)
{
    const m3_system_report *r = &m->sum;
    const check *k = m->k;
    if (k->c.json) {
        (void)printf("], \"passed\": %s, \"run\": %u, \"pass\": %u, \"fail\": %u, \"lacks\": %u}",
                     passed ? "true" : "false", r->run, r->passed, r->failed, r->lacking);
    } else if (r->run > 0) {
        const char *verdict = passed ? "pass" : r->failed == 0 && r->lacking > 0 ? "lacks" : "FAIL";
        (void)printf("%-7s system on %s: %u checks: %u pass, %u fail, %u lack\n", verdict, k->device_name, r->run,
                     r->passed, r->failed, r->lacking);
    }
}

void check_system(check *k)
{
    system_run m = {.k = k};
    check_take_layer(k, "system");
    k->shown = 0;
    if (k->in_process)
        run_here(&m);
    else
        while (run_child(&m)) continue;
    const m3_system_report *r = &m.sum;
    bool passed = !m.broken && !k->stopped && r->run > 0 && r->failed == 0 && r->lacking == 0;
    check_worsen(k, passed ? CLI_DONE : CLI_CHECK_FAILED);
    if (m.begun) print_sum(&m, passed);
}

int check_system_list(const check *k)
{
    const char *name, *about;
    uint32_t shown = 0;
    for (uint32_t i = 0; (name = m3_conformance_system_name(i, &about)) != NULL; i++) {
        if (k->cases != NULL && fnmatch(k->cases, name, 0) != 0) continue;
        if (k->c.json) {
            (void)printf("%s", shown == 0 ? "[" : ", ");
            cli_json_text(name);
        } else {
            (void)printf("%-24s %s\n", name, about);
        }
        shown++;
    }
    if (shown == 0) {
        cli_show(stderr, "error: %s: matches no check of the layer system\n", k->cases);
        return CLI_BAD_INPUT;
    }
    if (k->c.json) (void)printf("]\n");
    return CLI_DONE;
}
