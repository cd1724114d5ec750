/* list: all cases, made once: the lines (rows_*.c), then what rules ask for (rules.h). A case that is asked for twice
 * is kept once, with the rules of both. The quick list comes first, then what only the full one has. */
#include <pthread.h>
#include <string.h>

#include "core/conformance/rules.h"
#include "core/ops/common/op.h"

/* Memory of its own, so that the list neither fails nor has to be freed; unit/cases tells when it is too small. */
enum { CASES = 1 << 16, SLOTS = 1 << 17, TEXT = 2 << 20, SCRATCH = 1 << 20 };

/* Where the texts of a case begin: the op's entry, attributes, inputs. */
typedef struct entry {
    uint32_t attrs, inputs, rules;
    uint16_t op, layers;
    bool full;
} entry;

static struct list {
    entry at[CASES];
    uint32_t slot[SLOTS]; /* 1 + index of a case, by a hash of its texts */
    uint32_t order[CASES];
    char text[TEXT], scratch[SCRATCH];
    uint32_t count, quick, text_used;
    bool overflows;
} all;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t hash_of(uint32_t op, const char *attrs, const char *inputs)
{
    uint32_t hash = 0x811c9dc5u ^ op; /* FNV-1a */
    for (const char *at = attrs; *at != 0; at++) hash = (hash ^ (unsigned char)*at) * 0x01000193u;
    hash *= 31;
    for (const char *at = inputs; *at != 0; at++) hash = (hash ^ (unsigned char)*at) * 0x01000193u;
    return hash ^ hash >> 15;
}

static uint32_t keep_text(const char *text)
{
    const uint32_t at = all.text_used, bytes = (uint32_t)strlen(text) + 1;
    memcpy(all.text + at, text, bytes);
    all.text_used += bytes;
    return at;
}

static void add(uint32_t op, m3_rule rule, uint32_t layers, bool full, const char *attrs, const char *inputs)
{
    uint32_t s = hash_of(op, attrs, inputs) % SLOTS;
    for (; all.slot[s] != 0; s = (s + 1) % SLOTS) {
        entry *e = &all.at[all.slot[s] - 1];
        if (e->op != op || strcmp(all.text + e->attrs, attrs) != 0 || strcmp(all.text + e->inputs, inputs) != 0)
            continue;
        e->rules |= 1u << rule;
        e->layers |= (uint16_t)layers;
        e->full = e->full && full;
        return;
    }
    if (all.count == CASES || all.text_used + strlen(attrs) + strlen(inputs) + 2 > TEXT) {
        all.overflows = true;
        return;
    }
    all.at[all.count] = (entry){keep_text(attrs), keep_text(inputs), 1u << rule, (uint16_t)op, (uint16_t)layers, full};
    all.slot[s] = ++all.count;
}

/* Lines. */

static const char separator[] = " | ";

static uint32_t count_choices(const char *text)
{
    uint32_t count = 1;
    for (const char *at = text; (at = strstr(at, separator)) != NULL; at += strlen(separator)) count++;
    return count;
}

/* Copy choice `index`, as far as it fits. */
static void copy_choice(const char *text, uint32_t index, char *to, size_t bytes)
{
    while (index-- > 0) text = strstr(text, separator) + strlen(separator);
    const char *end = strstr(text, separator);
    size_t length = end != NULL ? (size_t)(end - text) : strlen(text);
    if (length >= bytes) {
        all.overflows = true;
        length = bytes - 1;
    }
    memcpy(to, text, length);
    to[length] = 0;
}

static uint32_t op_index(const char *name)
{
    uint32_t i = 0;
    while (i < m3_op_count() && strcmp(m3_op_at(i)->name, name) != 0) i++;
    return i;
}

static void add_row(const m3_case_row *row)
{
    m3_case c;
    const uint32_t inputs = count_choices(row->inputs), attrs = count_choices(row->attrs);
    for (uint32_t i = 0; i < count_choices(row->ops) * attrs * inputs; i++) {
        copy_choice(row->inputs, i % inputs, c.inputs, sizeof c.inputs);
        copy_choice(row->attrs, i / inputs % attrs, c.attrs, sizeof c.attrs);
        copy_choice(row->ops, i / inputs / attrs, c.op, sizeof c.op);
        add(op_index(c.op), M3_RULE_LINE, row->layers, false, c.attrs, c.inputs);
    }
}

/* Rules. */

static void take(m3_case_maker *m, const char *attrs, const char *inputs)
{
    m3_case c;
    if (m->overflows || strlen(attrs) >= sizeof c.attrs || strlen(inputs) >= sizeof c.inputs) {
        all.overflows = true;
        return;
    }
    add(op_index(m->op->name), m->rule, m->layers, m->full, attrs, inputs);
}

static void make_all(void)
{
    for (uint32_t i = 0; i < m3_case_rows_core_count; i++) add_row(&m3_case_rows_core[i]);
    for (uint32_t i = 0; i < m3_case_rows_fused_count; i++) add_row(&m3_case_rows_fused[i]);
    for (uint32_t o = 0; o < m3_op_count(); o++) {
        m3_case_maker m = {.of = m3_op_rules_find(m3_op_at(o)->name),
                           .op = m3_op_at(o),
                           .take = take,
                           .text = all.scratch,
                           .text_end = all.scratch + SCRATCH};
        if (m.of != NULL) m.of->make(&m, m.of);
    }
    for (uint32_t i = 0; i < all.count; i++)
        if (!all.at[i].full) all.order[all.quick++] = i;
    for (uint32_t i = 0, at = all.quick; i < all.count; i++)
        if (all.at[i].full) all.order[at++] = i;
}

uint32_t m3_case_count(void)
{
    (void)pthread_once(&once, make_all);
    return all.quick;
}

uint32_t m3_case_count_full(void)
{
    (void)pthread_once(&once, make_all);
    return all.count;
}

uint32_t m3_case_count_of(bool full, const char *pattern)
{
    const bool name = pattern != NULL && strpbrk(pattern, "*?") == NULL;
    return full || name ? m3_case_count_full() : m3_case_count();
}

m3_status m3_case_at(uint32_t index, m3_case *c, m3_error *err)
{
    *c = (m3_case){0};
    if (index >= m3_case_count_full())
        return M3_FAIL(err, M3_ERR_RANGE, "conformance", "case %u is not there; there are %u", index, all.count);
    if (all.overflows) return M3_FAIL(err, M3_ERR_INTERNAL, "conformance", "the list is longer than its memory");
    const entry *e = &all.at[all.order[index]];
    const m3_op *op = m3_op_at(e->op);
    const m3_op_rules *rules = op != NULL ? m3_op_rules_find(op->name) : NULL;
    if (rules == NULL)
        return M3_FAIL(err, M3_ERR_INTERNAL, op != NULL ? op->name : "conformance", "an op of a case has no rules");
    c->layers = e->layers;
    c->rules = e->rules;
    c->full = e->full;
    c->bound = rules->bound;
    (void)snprintf(c->op, sizeof c->op, "%s", op->name);
    (void)snprintf(c->attrs, sizeof c->attrs, "%s", all.text + e->attrs);
    (void)snprintf(c->inputs, sizeof c->inputs, "%s", all.text + e->inputs);
    (void)snprintf(c->name, sizeof c->name, "%s(%s)%s%s", c->op, c->inputs, c->attrs[0] != 0 ? " " : "", c->attrs);
    return M3_OK;
}
