/* conformance_next: what to write next: the ops of a training step that the device does not run itself, the most
 * beneficial first. A child asks the device, and reports each op as a line. */
#include <stdlib.h>
#include <string.h>

#include "tools/m3bsr/conformance.h"

enum { NAMED = 3 }; /* ops in the line at the end */

typedef struct next_run {
    check *k;
    bool table, ended;
    uint32_t told; /* ops so far */
    char named[512];
} next_run;

/* A share as "4.1 %", "58 %". */
static const char *percent(double share, char text[16])
{
    (void)snprintf(text, 16, "%.*f %%", share < 0.0995 ? 1 : 0, 100.0 * share);
    return text;
}

/* What becomes of the op today, in a few words. */
static void describe(const m3_lacking *l, char *text, size_t bytes)
{
    char more[16];
    if (!l->elsewhere)
        (void)snprintf(text, bytes, "here, in pieces, which cost %s of the step more", percent(l->saves, more));
    else if (l->missing[0] != '\0')
        (void)snprintf(text, bytes, "elsewhere, for want of %s", l->missing);
    else
        (void)snprintf(text, bytes, "elsewhere: %s", l->why);
}

static void print_op(next_run *n, const m3_lacking *l)
{
    char text[1280];
    describe(l, text, sizeof text);
    if (n->told == 0) (void)printf("%-28s %6s %7s  %s\n", "op", "nodes", "work", "today");
    (void)printf("%-28s %6u %6.2f%%  %s\n", l->op, l->nodes, 100.0 * l->share, text);
}

static void print_op_json(next_run *n, const m3_lacking *l)
{
    (void)printf("%s{\"op\": ", n->told == 0 ? "" : ", ");
    cli_json_text(l->op);
    (void)printf(", \"nodes\": %u, \"elsewhere\": %s, \"share\": ", l->nodes, l->elsewhere ? "true" : "false");
    cli_json_number(l->share);
    (void)printf(", \"saves\": ");
    cli_json_number(l->saves);
    (void)printf(", \"missing\": ");
    cli_json_text(l->missing);
    (void)printf(", \"why\": ");
    cli_json_text(l->why);
    (void)printf("}");
}

static void on_lacking(void *user, const m3_lacking *l)
{
    next_run *n = user;
    const size_t at = strlen(n->named);
    if (n->table && n->k->c.json)
        print_op_json(n, l);
    else if (n->table)
        print_op(n, l);
    char share[16];
    if (n->told < NAMED && l->elsewhere && !(l->share > 0))
        (void)snprintf(n->named + at, sizeof n->named - at, "%s%s", n->told > 0 ? ", " : "", l->op);
    else if (n->told < NAMED)
        (void)snprintf(n->named + at, sizeof n->named - at, "%s%s (%s%s)", n->told > 0 ? ", " : "", l->op,
                       l->elsewhere ? "" : "its pieces cost ", percent(l->elsewhere ? l->share : l->saves, share));
    n->told++;
}

static void begin(const next_run *n)
{
    if (n->k->c.json) (void)printf("%s{\"layer\": \"next\", \"ops\": [", n->k->parts++ == 0 ? "" : ", ");
}

static void print_sum(const next_run *n, const m3_lacking_report *r)
{
    const check *k = n->k;
    if (k->c.json) {
        (void)printf("], \"different\": %u, \"lacking\": %u, \"here\": ", r->ops, r->lacking);
        cli_json_number(r->here);
        (void)printf(", \"pieces\": ");
        cli_json_number(r->pieces);
        (void)printf(", \"elsewhere\": ");
        cli_json_number(r->elsewhere);
        (void)printf("}");
    } else if (r->lacking == 0) {
        if (n->table) (void)printf("next    %s itself runs every op of a training step\n", k->device_name);
    } else {
        char here[16], pieces[16], elsewhere[16];
        (void)printf(
            "next    %s itself runs %u of the %u ops of a training step: %s of its work, %s more in pieces, %s "
            "elsewhere; most useful next: %s%s\n",
            k->device_name, r->ops - r->lacking, r->ops, percent(r->here, here), percent(r->pieces, pieces),
            percent(r->elsewhere, elsewhere), n->named, n->table ? "" : "; --next has all");
    }
}

static m3_status ask(check *k, void (*each)(void *user, const m3_lacking *lacking), void *user,
                     m3_lacking_report *report, m3_error *err)
{
    cli_model model = {0};
    const int words = k->c.count;
    if (!k->next) k->c.count = 0; /* the words are vector files */
    m3_status st = cli_model_open(&k->c, NULL, &model, err);
    k->c.count = words;
    if (st == M3_OK) st = m3_conformance_next(k->c.device, &model.config, each, user, report, err);
    cli_model_close(&model);
    return st;
}

static void report_lacking(void *user, const m3_lacking *l)
{
    (void)user;
    child_report(l->why, "op\t%s\t%u\t%d\t%.17g\t%.17g\t%s", l->op, l->nodes, (int)l->elsewhere, l->share, l->saves,
                 l->missing);
}

int check_next_child(check *k)
{
    m3_error err = {0};
    m3_lacking_report r = {0};
    m3_status st = check_open(k, &err);
    const bool opened = st == M3_OK;
    if (opened) st = ask(k, report_lacking, NULL, &r, &err);
    if (opened && st != M3_OK && !k->next) { /* where it is not asked for, a model that cannot be made is no matter */
        child_report(NULL, "none");
        return CLI_DONE;
    }
    if (st != M3_OK) {
        int status = cli_report(&err);
        child_report(NULL, "error\t%d", status);
        return status;
    }
    child_report(NULL, "sum\t%u\t%u\t%.17g\t%.17g\t%.17g", r.ops, r.lacking, r.here, r.pieces, r.elsewhere);
    return CLI_DONE;
}

static void hear(next_run *n, child *c)
{
    if (check_heard(n->k, c)) {
        if (strcmp(c->field[0], "opened") == 0) begin(n);
        n->ended = n->ended || strcmp(c->field[0], "error") == 0; /* it was passed on */
    } else if (strcmp(c->field[0], "op") == 0) {
        const m3_lacking l = {.size = M3_STRUCT_SIZE(m3_lacking, why),
                              .op = c->field[1],
                              .nodes = (uint32_t)strtoul(c->field[2], NULL, 10),
                              .elsewhere = c->field[3][0] == '1',
                              .share = strtod(c->field[4], NULL),
                              .saves = strtod(c->field[5], NULL),
                              .missing = c->field[6],
                              .why = c->field[7]};
        on_lacking(n, &l);
    } else if (strcmp(c->field[0], "none") == 0) {
        n->ended = true;
    } else if (strcmp(c->field[0], "sum") == 0) {
        const m3_lacking_report r = {.size = M3_STRUCT_SIZE(m3_lacking_report, elsewhere),
                                     .ops = (uint32_t)strtoul(c->field[1], NULL, 10),
                                     .lacking = (uint32_t)strtoul(c->field[2], NULL, 10),
                                     .here = strtod(c->field[3], NULL),
                                     .pieces = strtod(c->field[4], NULL),
                                     .elsewhere = strtod(c->field[5], NULL)};
        print_sum(n, &r);
        n->ended = true;
    }
}

static void run_here(next_run *n)
{
    m3_error err = {0};
    m3_lacking_report r = {0};
    begin(n);
    if (ask(n->k, on_lacking, n, &r, &err) == M3_OK)
        print_sum(n, &r);
    else if (n->k->next)
        check_worsen(n->k, cli_report(&err));
}

void check_next(check *k)
{
    next_run n = {.k = k, .table = k->next || k->c.verbose};
    child c;
    child_event event;
    if (k->in_process) {
        run_here(&n);
        return;
    }
    if (!child_start(&c, k->argv, "next", k->next)) {
        check_worsen(k, CLI_SYSTEM);
        return;
    }
    while ((event = child_next(&c, check_patience(k))) == CHILD_REPORT) hear(&n, &c);
    if (event == CHILD_INTERRUPTED) {
        check_worsen(k, CLI_INTERRUPTED);
        k->stopped = true;
    } else if (!n.ended && k->device_name[0] == '\0') {
        check_not_opened(k, &c);
    } else if (!n.ended) {
        char text[2048];
        child_fate(&c, text, sizeof text);
        cli_show(stderr, "error: %s: which ops it runs could not be asked: %s\n", k->device_name, text);
        check_worsen(k, CLI_CHECK_FAILED);
    }
    child_finish(&c);
}
