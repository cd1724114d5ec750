/* conformance_modules: layer modules: what encoders and experts must do, checked in children. A check that ends its
 * child, or takes too long, has failed, and the next child goes on behind its setting. */
#include <stdlib.h>
#include <string.h>

#include "tools/m3bsr/conformance.h"

enum { MAX_DEVICES = 64, NAME = 64 };

static const char *const verdicts[] = {"pass", "FAIL", "lacks", "untried"};

/* One device while it is checked. */
typedef struct modules_run {
    check *k;
    bool alone; /* values and gradients only: another device had the rest */
    m3_modules_report sum;
    bool begun, broken, ended;
    bool gave_up;  /* too many children died in a row */
    double ms;     /* that the check at hand took */
    uint32_t next; /* the setting behind the last one that began */
    bool running;
    char name[512];                      /* of the check that began last */
    char devices[MAX_DEVICES][NAME];     /* the others that are there */
    char last[NAME];                     /* module that was told last */
    uint32_t device_count, deaths, told; /* told: checks since the last child began */
} modules_run;

static void begin(modules_run *m)
{
    if (!m->begun && m->k->c.json) {
        (void)printf("%s{\"layer\": \"modules\", \"device\": ", m->k->parts++ == 0 ? "" : ", ");
        cli_json_text(m->k->device_name);
        (void)printf(", \"cases\": [");
    }
    m->begun = true;
}

/* Findings. */

static void print_json(check *k, const m3_module_report *r)
{
    (void)printf("%s{\"case\": ", k->shown++ == 0 ? "" : ", ");
    cli_json_text(r->name);
    (void)printf(", \"module\": ");
    cli_json_text(r->module);
    (void)printf(", \"check\": ");
    cli_json_text(r->check);
    (void)printf(", \"setting\": ");
    cli_json_text(r->setting);
    (void)printf(", \"verdict\": \"%s\", \"error\": ", verdicts[r->verdict]);
    cli_json_number(r->error);
    (void)printf(", \"bound\": ");
    cli_json_number(r->bound);
    (void)printf(", \"text\": ");
    cli_json_text(r->text);
    (void)printf("}");
}

static void take(const modules_run *m, const m3_module_report *r)
{
    const bool lost = r->check[0] == '\0';
    check_take(m->k, &(check_result){.layer = "modules",
                                     .name = r->name,
                                     .about = lost ? "device" : r->module,
                                     .dtype = "",
                                     .rules = r->check,
                                     .verdict = r->verdict,
                                     .share = r->bound > 0.0 ? r->error / r->bound : -1.0,
                                     .ms = m->ms,
                                     .text = r->text,
                                     .select = lost ? m->k->cases : r->name});
}

static void on_check(void *user, const m3_module_report *r)
{
    modules_run *m = user;
    check *k = m->k;
    const bool good = r->verdict == M3_VERDICT_PASS;
    m->told += r->verdict != M3_VERDICT_SKIP;
    m->sum.run++;
    m->sum.passed += good;
    m->sum.failed += r->verdict == M3_VERDICT_FAIL;
    m->sum.lacking += r->verdict == M3_VERDICT_LACKS;
    m->sum.untried += r->verdict == M3_VERDICT_SKIP;
    if (strncmp(m->last, r->module, sizeof m->last - 1) != 0) m->sum.modules++;
    (void)snprintf(m->last, sizeof m->last, "%s", r->module);
    if (r->verdict != M3_VERDICT_SKIP) take(m, r); /* a statement is about what was tried */
    if (good && !k->c.verbose) return;
    if (k->c.json) {
        print_json(k, r);
        return;
    }
    if (!check_may_show(k)) return;
    const bool untried = r->verdict == M3_VERDICT_SKIP;
    (void)printf("        %-5s %s", untried ? "" : verdicts[r->verdict], r->name);
    if (good && r->bound > 0.0) (void)printf(": error %.2g, allowed %.2g", r->error, r->bound);
    if (r->text[0] != '\0') (void)printf(": %s", r->text);
    if (!good && !untried) {
        (void)printf("\n              again: ");
        check_print_again(stdout, k, "modules", r->check[0] != '\0' ? r->name : k->cases);
    }
    (void)printf("\n");
}

/* In the child. */

static void report_begun(void *user, uint32_t setting, const char *name)
{
    (void)user;
    (void)check_lap();
    child_report(name, "begun\t%u", setting);
}

static void report_done(void *user, const m3_module_report *r)
{
    (void)user;
    child_report(r->text, "done\t%d\t%.17g\t%.17g\t%s\t%s\t%s\t%.4g", (int)r->verdict, r->error, r->bound, r->module,
                 r->check, r->setting, check_lap());
}

/* The devices that are there beside this one and the reference. */
static m3_status list_others(const check *k, void (*tell)(void *user, const char *name), void *user, m3_error *err)
{
    m3_device_entry entries[MAX_DEVICES];
    uint32_t count = 0;
    for (uint32_t i = 0; i < MAX_DEVICES; i++)
        entries[i].info = (m3_device_info){.size = M3_STRUCT_SIZE(m3_device_info, features)};
    m3_status st = m3_engine_devices(k->c.engine, entries, MAX_DEVICES, &count, err);
    for (uint32_t i = 0; st == M3_OK && i < count && i < MAX_DEVICES; i++)
        if (entries[i].info.device_class != M3_DEVICE_REFERENCE &&
            strcmp(entries[i].name, m3_device_name(k->c.device)) != 0)
            tell(user, entries[i].name);
    return st;
}

static void report_device(void *user, const char *name)
{
    (void)user;
    child_report(name, "device");
}

static m3_modules_options options_of(const check *k, uint32_t first, bool alone)
{
    return (m3_modules_options){.size = M3_STRUCT_SIZE(m3_modules_options, begun),
                                .device_alone = alone,
                                .pattern = k->cases,
                                .seed = k->seed,
                                .first = first};
}

int check_modules_child(check *k, const char *role)
{
    m3_error err = {0};
    m3_modules_report report = {0};
    char device[NAME] = "";
    unsigned first = 0, alone = 0;
    if (sscanf(role, "modules %u %u %63s", &first, &alone, device) < 2) return CLI_BAD_INPUT;
    const bool all = k->c.backend == NULL && device[0] == '\0' && first == 0;
    k->c.strict = true; /* the other devices are not needed, so they shall not stand in the way */
    if (device[0] != '\0') k->c.backend = device;
    m3_modules_options options = options_of(k, first, alone != 0);
    options.begun = report_begun;
    options.done = report_done;
    m3_status st = check_open(k, &err);
    if (st == M3_OK && all) st = list_others(k, report_device, NULL, &err);
    if (st == M3_OK) st = m3_conformance_modules(k->c.device, k->reference, &options, &report, &err);
    if (st != M3_OK) {
        int status = cli_report(&err);
        child_report(NULL, "error\t%d", status);
        return status;
    }
    child_report(NULL, "ended");
    return CLI_DONE;
}

/* In the parent. */

static void take_device(void *user, const char *name)
{
    modules_run *m = user;
    if (m->device_count < MAX_DEVICES) (void)snprintf(m->devices[m->device_count++], NAME, "%s", name);
}

static void hear_check(modules_run *m, child *c)
{
    char name[1024], text[1024];
    const char *module = c->field[4], *check_name = c->field[5], *setting = c->field[6];
    const size_t kind = strcspn(module, " ");
    m3_module_report r = {.size = M3_STRUCT_SIZE(m3_module_report, text),
                          .name = name,
                          .module = module,
                          .check = check_name,
                          .setting = setting,
                          .verdict = (m3_verdict)strtol(c->field[1], NULL, 10),
                          .error = strtod(c->field[2], NULL),
                          .bound = strtod(c->field[3], NULL),
                          .text = c->field[8]};
    (void)snprintf(name, sizeof name, "%.*s.%s.%s%s%s", (int)kind, module, module + kind + (module[kind] == ' '),
                   check_name, setting[0] != '\0' ? " " : "", setting);
    if (r.verdict == M3_VERDICT_PASS && child_sanitizer(c, text, sizeof text)) {
        r.verdict = M3_VERDICT_FAIL;
        r.text = text;
        child_forget(c);
    }
    m->running = false;
    m->ms = strtod(c->field[7], NULL);
    on_check(m, &r);
}

static void hear(modules_run *m, child *c)
{
    const char *what = c->field[0];
    if (check_heard(m->k, c)) {
        if (strcmp(what, "opened") == 0) begin(m);
        m->broken = m->broken || strcmp(what, "error") == 0;
    } else if (strcmp(what, "device") == 0) {
        take_device(m, c->field[1]);
    } else if (strcmp(what, "begun") == 0) {
        m->next = (uint32_t)strtoul(c->field[1], NULL, 10) + 1;
        m->running = true;
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
static void report_death(modules_run *m, const child *c)
{
    char text[2048], module[NAME] = "", check_name[NAME] = "";
    child_fate(c, text, sizeof text);
    /* KIND.NAME.CHECK SETTING; without one that began it is the device that failed. */
    (void)sscanf(m->name, "%63[^ ]", module);
    char *dot = strrchr(module, '.');
    if (dot != NULL) {
        (void)snprintf(check_name, sizeof check_name, "%s", dot + 1);
        *dot = '\0';
        if ((dot = strchr(module, '.')) != NULL) *dot = ' ';
    }
    const char *setting = strchr(m->name, ' ');
    const m3_module_report r = {.size = M3_STRUCT_SIZE(m3_module_report, text),
                                .name = m->ended || m->name[0] == '\0' ? "closing the device" : m->name,
                                .module = module,
                                .check = check_name,
                                .setting = setting != NULL ? setting + 1 : "",
                                .verdict = M3_VERDICT_FAIL,
                                .text = text};
    m->ms = check_lap();
    m->k->end = c->late ? CHECK_LATE : CHECK_CRASHED;
    on_check(m, &r);
    m->k->end = CHECK_ENDED;
}

/* Check from setting m->next on. false: this device is over. */
static bool run_child(modules_run *m, const char *device)
{
    check *k = m->k;
    child c;
    child_event event;
    char role[128];
    const uint32_t first = m->next;
    (void)snprintf(role, sizeof role, "modules %u %d %s", first, m->alone, device);
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
        report_death(m, &c);
        m->deaths = m->told > 1 ? 1 : m->deaths + 1;
        m->gave_up = !m->ended && m->deaths >= CHECK_MAX_DEATHS;
        again = !m->ended && m->next > first && !m->gave_up;
        if (m->gave_up) check_give_up(m->deaths, m->name);
    }
    child_finish(&c);
    return again;
}

static void on_check_here(void *user, const m3_module_report *r)
{
    modules_run *m = user;
    m->ms = check_lap();
    on_check(m, r);
}

static void lap_begun(void *user, uint32_t setting, const char *name)
{
    (void)user, (void)setting, (void)name;
    (void)check_lap();
}

static void run_here(modules_run *m)
{
    check *k = m->k;
    m3_error err = {0};
    m3_modules_report report = {0};
    m3_modules_options options = options_of(k, 0, m->alone);
    options.done = on_check_here;
    options.begun = lap_begun;
    options.user = m;
    begin(m);
    m3_status st = m3_conformance_modules(k->c.device, k->reference, &options, &report, &err);
    if (st == M3_OK) return;
    m->broken = true;
    check_worsen(k, cli_report(&err));
}

static void print_sum(const modules_run *m, bool passed)
{
    const m3_modules_report *r = &m->sum;
    const check *k = m->k;
    if (k->c.json) {
        (void)printf("], \"passed\": %s, \"seed\": %u, \"modules\": %u, \"run\": %u, \"pass\": %u, \"fail\": %u, "
                     "\"lacks\": %u, \"untried\": %u}",
                     passed ? "true" : "false", k->seed, r->modules, r->run, r->passed, r->failed, r->lacking,
                     r->untried);
    } else if (r->run > 0) {
        const char *verdict = passed ? "pass" : r->failed == 0 && r->lacking > 0 ? "lacks" : "FAIL";
        (void)printf("%-7s modules on %s: %u encoders and experts, %u checks (seed %u): %u pass, %u fail, %u lack, %u "
                     "not tried%s\n",
                     verdict, k->device_name, r->modules, r->run, k->seed, r->passed, r->failed, r->lacking, r->untried,
                     m->gave_up ? "; the rest was not run" : "");
    }
}

static void check_device(modules_run *m, const char *device)
{
    check *k = m->k;
    k->shown = 0;
    if (k->in_process)
        run_here(m);
    else
        while (run_child(m, device)) continue;
    const m3_modules_report *r = &m->sum;
    bool passed = !m->broken && !k->stopped && r->run > 0 && r->failed == 0 && r->lacking == 0;
    check_worsen(k, passed ? CLI_DONE : CLI_CHECK_FAILED);
    if (m->begun) print_sum(m, passed);
}

void check_modules(check *k)
{
    char device_name[sizeof k->device_name];
    modules_run first = {.k = k};
    check_take_layer(k, "modules");
    check_device(&first, "");
    if (k->reports.count > 0) return; /* a report is about one device */
    (void)snprintf(device_name, sizeof device_name, "%s", k->device_name);
    for (uint32_t i = 0; i < first.device_count && !k->stopped && !first.broken; i++) {
        modules_run other = {.k = k, .alone = true};
        check_device(&other, first.devices[i]);
    }
    (void)snprintf(k->device_name, sizeof k->device_name, "%s", device_name);
}
