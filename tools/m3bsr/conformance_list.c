/* conformance_list: the list of cases as a table of ops and rules, or as names. */
#include <string.h>

#include "m3bsr/op_list.h"
#include "tools/m3bsr/conformance.h"

enum { MAX_OPS = 256, MAX_RULES = 16 };

typedef struct table {
    uint32_t cases[MAX_OPS][MAX_RULES], total[MAX_OPS], all, gradients, full;
    bool in_table[MAX_OPS];
} table;

static void print_name(void *user, const m3_case_entry *entry)
{
    check *k = user;
    if (!k->c.json) {
        (void)printf("%s\n", entry->name);
        return;
    }
    (void)printf("%s", k->shown++ == 0 ? "[" : ", ");
    cli_json_text(entry->name);
}

static void count(void *user, const m3_case_entry *entry)
{
    table *t = user;
    uint32_t op = 0;
    t->all++;
    t->gradients += entry->slopes;
    t->full += entry->full;
    while (op < m3_op_count() && strcmp(m3_op_at(op)->name, entry->op) != 0) op++;
    if (op == m3_op_count() || op >= MAX_OPS) return;
    t->in_table[op] = true;
    t->total[op]++;
    for (uint32_t r = 0; r < m3_conformance_rule_count() && r < MAX_RULES; r++)
        t->cases[op][r] += (entry->rules >> r & 1u) != 0;
}

static void print_cell(const char *op, uint32_t rule, uint32_t cases)
{
    const int width = (int)strlen(m3_conformance_rule_name(rule)) + 2;
    if (cases > 0)
        (void)printf("%*u", width, cases);
    else
        (void)printf("%*s", width, m3_conformance_rule_never(op, rule) != NULL ? "-" : "");
}

static void print_table(const check *k, const table *t)
{
    (void)printf("%-28s", "op");
    for (uint32_t r = 0; r < m3_conformance_rule_count(); r++) (void)printf("  %s", m3_conformance_rule_name(r));
    (void)printf("    all\n");
    for (uint32_t op = 0; op < m3_op_count() && op < MAX_OPS; op++) {
        if (!t->in_table[op]) continue;
        const char *name = m3_op_at(op)->name;
        (void)printf("%-28s", name);
        for (uint32_t r = 0; r < m3_conformance_rule_count() && r < MAX_RULES; r++)
            print_cell(name, r, t->cases[op][r]);
        (void)printf("%7u\n", t->total[op]);
    }
    (void)printf(
        "%u cases of the %s list, %u of them with gradients. A case may follow from several rules; - means that "
        "a rule\nsays nothing of an op%s.\n",
        t->all, k->full ? "full" : "quick", t->gradients, k->c.verbose ? ":" : " (-v says why)");
    for (uint32_t op = 0; op < m3_op_count() && op < MAX_OPS && k->c.verbose; op++)
        for (uint32_t r = 0; r < m3_conformance_rule_count() && t->in_table[op]; r++) {
            const char *why = m3_conformance_rule_never(m3_op_at(op)->name, r);
            if (why != NULL) (void)printf("  %-28s %-10s %s\n", m3_op_at(op)->name, m3_conformance_rule_name(r), why);
        }
}

int check_list(check *k)
{
    static table t;
    m3_error err = {0};
    const bool names = k->cases != NULL || k->c.json;
    const m3_cases_options options = {.size = M3_STRUCT_SIZE(m3_cases_options, full),
                                      .pattern = k->cases,
                                      .full = k->full,
                                      .user = names ? (void *)k : (void *)&t};
    if (m3_conformance_list(&options, names ? print_name : count, &err) != M3_OK) return cli_report(&err);
    if (k->c.json)
        (void)printf("]\n");
    else if (!names)
        print_table(k, &t);
    return CLI_DONE;
}
