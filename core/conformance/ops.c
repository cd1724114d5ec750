/* ops: the list of cases, or a part of it, on one device; the public face of cases.h. */
#include <string.h>

#include "core/conformance/custom.h"
#include "core/conformance/order.h"
#include "core/conformance/rules.h"
#include "core/ops/common/op.h"

/* The cases that take part: of the list, in their order, then those of custom ops. */
typedef struct part {
    m3_device *device, *reference;
    const m3_cases_options *o;
    m3_case_order order;
    m3_custom_devices others;
    uint32_t layer, count;
} part;

static void count(m3_cases_report *all, const m3_case_result *result)
{
    all->run++;
    all->passed += result->verdict == M3_VERDICT_PASS;
    all->failed += result->verdict == M3_VERDICT_FAIL;
    all->lacking += result->verdict == M3_VERDICT_LACKS;
    all->native += result->native;
    if (result->share > all->share) all->share = result->share;
}

/* The type that a case is about: of its first input of floats, else of whole numbers, else of bools. */
static const char *find_dtype(const m3_case *c)
{
    m3_notation array[M3_NOTATION_ARRAYS];
    m3_error err = {0};
    uint32_t inputs = 0;
    const m3_notation *found = NULL;
    if (m3_notation_arrays(c->inputs, array, &inputs, &err) != M3_OK) return "";
    for (uint32_t i = 0; i < inputs; i++) {
        if (array[i].absent) continue;
        const bool is_float = m3_dtype_is_float(array[i].dtype);
        if (found == NULL || (is_float && !m3_dtype_is_float(found->dtype)) ||
            (found->dtype == M3_BOOL && array[i].dtype != M3_BOOL))
            found = &array[i];
    }
    return found != NULL ? m3_dtype_name(found->dtype) : "";
}

static void report_case(const m3_cases_options *options, const m3_case *c, uint32_t index, const m3_case_result *result)
{
    const m3_case_report report = {.size = M3_STRUCT_SIZE(m3_case_report, dtype),
                                   .name = c->name,
                                   .verdict = result->verdict,
                                   .native = result->native,
                                   .share = result->share,
                                   .text = result->text,
                                   .index = index,
                                   .op = c->op,
                                   .ran = result->ran,
                                   .rules = c->rules,
                                   .dtype = find_dtype(c)};
    if (options->done != NULL) options->done(options->user, &report);
}

static void run_case(part *p, const m3_case *c, bool custom, m3_custom_kind kind, m3_case_result *result)
{
    const m3_op_lookup *lookup = m3_engine_ops(m3_device_engine(p->reference));
    if (custom && kind != M3_CUSTOM_CASE)
        m3_custom_cannot_run(kind, c, result);
    else if (p->o->gradients)
        m3_case_run_gradient(p->device, p->reference, lookup, c, p->o->seed, result);
    else if (custom)
        m3_custom_run(p->device, p->reference, &p->others, c, p->o->seed, result);
    else
        m3_case_run(p->device, p->reference, lookup, c, p->o->seed, result);
}

static m3_status run_at(part *p, uint32_t index, m3_cases_report *all, m3_error *err)
{
    m3_case c;
    m3_case_result result;
    const bool custom = index >= p->order.count;
    m3_custom_kind kind = M3_CUSTOM_CASE;
    m3_status st = custom ? M3_OK : m3_case_at(p->order.index[index], &c, err);
    if (st != M3_OK) return st;
    if (custom)
        kind = m3_custom_at(m3_device_engine(p->reference), p->layer, p->o->pattern, index - p->order.count, &c);
    if (p->o->begun != NULL) p->o->begun(p->o->user, index, p->count, c.name);
    run_case(p, &c, custom, kind, &result);
    if (result.verdict == M3_VERDICT_SKIP) return M3_OK;
    count(all, &result);
    report_case(p->o, &c, index, &result);
    return M3_OK;
}

m3_status m3_conformance_cases(m3_device *device, m3_device *reference, const m3_cases_options *options,
                               m3_cases_report *report, m3_error *err)
{
    m3_cases_options o = {0};
    part p = {.device = device, .reference = reference, .o = &o};
    m3_cases_report all = {.size = M3_STRUCT_SIZE(m3_cases_report, share), .version = M3_CASES_VERSION};
    memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
    p.layer = o.gradients ? M3_CASE_GRADIENTS : M3_CASE_OPS;
    m3_status st =
        m3_case_order_make(&p.order, p.layer, m3_engine_ops(m3_device_engine(reference)), o.pattern, o.full, err);
    p.count = p.order.count;
    if (st == M3_OK) p.count += m3_custom_count(m3_device_engine(reference), p.layer, o.pattern);
    uint32_t end = o.first < p.count && o.count > 0 && o.count < p.count - o.first ? o.first + o.count : p.count;
    for (uint32_t i = o.first; i < end && st == M3_OK; i++) st = run_at(&p, i, &all, err);
    const char *what = o.pattern != NULL ? o.pattern : "conformance";
    if (st == M3_OK && p.count == 0)
        st = M3_FAIL(err, M3_ERR_INVALID, what, "matches none of this layer's cases; * and ? stand for any characters");
    else if (st == M3_OK && all.run == 0)
        st = M3_FAIL(err, M3_ERR_INVALID, what, "%u cases match, so none is left from case %u on", p.count, o.first);
    if (st == M3_OK) *report = all;
    m3_custom_devices_close(&p.others);
    m3_case_order_fini(&p.order);
    return st;
}

m3_status m3_conformance_list(const m3_cases_options *options, void (*each)(void *user, const m3_case_entry *entry),
                              m3_error *err)
{
    m3_cases_options o = {0};
    uint32_t found = 0;
    memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
    const uint32_t count = m3_case_count_of(o.full, o.pattern);
    for (uint32_t i = 0; i < count; i++) {
        m3_case c;
        m3_status st = m3_case_at(i, &c, err);
        if (st != M3_OK) return st;
        if (o.pattern != NULL && !m3_case_matches(&c, o.pattern)) continue;
        found++;
        each(o.user, &(const m3_case_entry){.size = M3_STRUCT_SIZE(m3_case_entry, slopes),
                                            .name = c.name,
                                            .op = c.op,
                                            .rules = c.rules,
                                            .full = c.full,
                                            .values = (c.layers & M3_CASE_OPS) != 0,
                                            .slopes = (c.layers & M3_CASE_GRADIENTS) != 0});
    }
    if (found > 0) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, o.pattern != NULL ? o.pattern : "conformance",
                   "matches none of the cases; * and ? stand for any characters");
}

uint32_t m3_conformance_list_version(void)
{
    return M3_CASES_VERSION;
}

uint32_t m3_conformance_rule_count(void)
{
    return M3_RULES;
}

const char *m3_conformance_rule_name(uint32_t rule)
{
    return rule < M3_RULES ? m3_rule_name((m3_rule)rule) : NULL;
}

const char *m3_conformance_rule_never(const char *op, uint32_t rule)
{
    const m3_op *found = m3_op_find(op);
    return found != NULL && rule < M3_RULES ? m3_rule_never(found, (m3_rule)rule) : NULL;
}
