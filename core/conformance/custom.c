/* custom: cases of the ops that plugins bring. */
#include "core/conformance/custom.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/conformance/run.h"
#include "core/runtime/engine.h"

/* Float32 arithmetic of an op whose formula is not known. */
static const m3_bound usual = {1e-6, 2e-5, 1e-6, "a custom op: float32"};

/* The cases. */

static bool has_gradient(const m3_op *op)
{
    return op->gradient != NULL && !op->zero_gradient;
}

/* A case that does not fit keeps its place, under a name without its inputs. */
static m3_custom_kind describe(const m3_op *op, uint32_t index, m3_case *c)
{
    const m3_op_case *given = op->cases.count > 0 ? m3_span_at(op->cases, index) : NULL;
    const char *inputs = given != NULL && given->inputs != NULL ? given->inputs : "";
    const char *attrs = given != NULL && given->attrs != NULL ? given->attrs : "";
    *c = (m3_case){.layers = M3_CASE_OPS | (has_gradient(op) ? M3_CASE_GRADIENTS : 0), .bound = &usual};
    (void)snprintf(c->op, sizeof c->op, "%s", op->name);
    if (strlen(op->name) >= sizeof c->op || strlen(inputs) >= sizeof c->inputs || strlen(attrs) >= sizeof c->attrs) {
        (void)snprintf(c->name, sizeof c->name, "%s(case %u)", c->op, index);
        return M3_CUSTOM_TOO_LONG;
    }
    (void)snprintf(c->inputs, sizeof c->inputs, "%s", inputs);
    (void)snprintf(c->attrs, sizeof c->attrs, "%s", attrs);
    (void)snprintf(c->name, sizeof c->name, given != NULL ? "%s(%s)%s%s" : "%s", c->op, c->inputs,
                   c->attrs[0] != 0 ? " " : "", c->attrs);
    return given != NULL ? M3_CUSTOM_CASE : M3_CUSTOM_NONE;
}

/* Walk over all cases that take part until the one with this place. */
static void walk(m3_engine *engine, uint32_t layer, const char *pattern, uint32_t wanted, m3_case *c,
                 m3_custom_kind *kind, uint32_t *count)
{
    *count = 0;
    for (uint32_t e = 0; e < engine->registry.count; e++) {
        const m3_plugin_entry *entry = engine->registry.entries[e];
        for (uint32_t k = 0; entry->reason == NULL && k < entry->op_count; k++) {
            const m3_op *op = &entry->ops[k];
            uint32_t cases = op->cases.count > 0 ? op->cases.count : 1;
            for (uint32_t i = 0; i < cases; i++) {
                m3_case at;
                const m3_custom_kind found = describe(op, i, &at);
                /* Without cases it is told once. */
                if ((at.layers & layer) == 0 || (op->cases.count == 0 && layer != M3_CASE_OPS)) continue;
                if (pattern != NULL && !m3_case_matches(&at, pattern)) continue;
                if ((*count)++ != wanted) continue;
                *c = at;
                *kind = found;
                return;
            }
        }
    }
}

uint32_t m3_custom_count(m3_engine *engine, uint32_t layer, const char *pattern)
{
    m3_case c;
    m3_custom_kind kind;
    uint32_t count = 0;
    walk(engine, layer, pattern, UINT32_MAX, &c, &kind, &count);
    return count;
}

m3_custom_kind m3_custom_at(m3_engine *engine, uint32_t layer, const char *pattern, uint32_t index, m3_case *c)
{
    m3_custom_kind kind = M3_CUSTOM_NONE;
    uint32_t count = 0;
    *c = (m3_case){0};
    walk(engine, layer, pattern, index, c, &kind, &count);
    return kind;
}

void m3_custom_cannot_run(m3_custom_kind kind, const m3_case *c, m3_case_result *result)
{
    const bool none = kind == M3_CUSTOM_NONE;
    *result = (m3_case_result){.verdict = none ? M3_VERDICT_LACKS : M3_VERDICT_FAIL};
    if (none)
        (void)snprintf(result->text, sizeof result->text,
                       "has no cases, so nothing of %s was compared; declare some in m3_op.cases", c->op);
    else
        (void)snprintf(result->text, sizeof result->text,
                       "is too long to be run; inputs have at most %zu characters, attributes %zu: declare it shorter",
                       sizeof c->inputs - 1, sizeof c->attrs - 1);
}

/* Evaluate against decompose, both in double precision on the reference. */

/* Finds an op without its evaluate and its kernels, so that it is decomposed. */
typedef struct stripped {
    const m3_op_lookup *all;
    m3_op op;
} stripped;

static const m3_op *find_stripped(void *user, const char *name)
{
    const stripped *s = user;
    return strcmp(name, s->op.name) == 0 ? &s->op : s->all->find(s->all->user, name);
}

static m3_status run_double(m3_device *reference, const m3_op_lookup *lookup, const m3_case *c, uint64_t seed,
                            m3_case_graph *built, double **out, m3_error *err)
{
    m3_case_exec exec = {0};
    double *value[M3_NOTATION_ARRAYS] = {NULL}, *at = NULL;
    uint64_t total = 1;
    char name[32];
    m3_status st;
    *out = NULL;
    if ((st = m3_case_build(c, lookup, M3_CASE_DOUBLE, built, err)) != M3_OK) return st;
    if ((st = m3_case_values(c, built, seed, value, err)) != M3_OK) goto done;
    if ((st = m3_case_exec_init(&exec, reference, built->graph, err)) != M3_OK) goto done;
    for (uint32_t i = 0; i < built->in_count; i++) {
        (void)snprintf(name, sizeof name, "in%u", i);
        if (!built->in[i].absent) m3_case_exec_write(&exec, name, built->x[i], value[i]);
    }
    if ((st = m3_executable_run(exec.executable, err)) != M3_OK) goto done;
    for (uint32_t k = 0; k < built->out_count; k++) total += m3_tensor_count(built->node->out[k]);
    if ((at = *out = m3_calloc(total, sizeof *at)) == NULL) st = M3_FAIL_MEMORY(err, c->op, total * sizeof *at);
    for (uint32_t k = 0; k < built->out_count && st == M3_OK; k++) {
        (void)snprintf(name, sizeof name, "out%u", k);
        st = m3_case_exec_read(&exec, name, built->node->out[k], at, err);
        at += m3_tensor_count(built->node->out[k]);
    }
done:
    m3_case_exec_fini(&exec);
    m3_free(value[0]);
    return st;
}

static void compare_double(const m3_case_graph *built, const double *want, const double *have, m3_case_result *result)
{
    for (uint32_t k = 0; k < built->out_count; k++) {
        uint64_t count = m3_tensor_count(built->node->out[k]);
        double largest = 0.0;
        for (uint64_t i = 0; i < count; i++)
            if (isfinite(want[i])) largest = fmax(largest, fabs(want[i]));
        for (uint64_t i = 0; i < count; i++) {
            if (m3_case_error_share(have[i], want[i], 1e-6 * (fabs(want[i]) + 1e-3 * largest)) <= 1.0) continue;
            result->verdict = M3_VERDICT_FAIL;
            (void)snprintf(result->text, sizeof result->text,
                           "evaluate and decompose differ, both in double precision: out%u[%llu] is %.9g by "
                           "decompose, %.9g by evaluate",
                           k, (unsigned long long)i, have[i], want[i]);
            return;
        }
        want += count;
        have += count;
    }
}

static void check_decomposition(m3_device *reference, const m3_op *op, const m3_case *c, uint64_t seed,
                                m3_case_result *result)
{
    m3_case_graph by_evaluate = {0}, by_decompose = {0};
    double *want = NULL, *have = NULL;
    m3_error err = {0};
    stripped s = {.all = m3_engine_ops(m3_device_engine(reference)), .op = *op};
    const m3_op_lookup lookup = {find_stripped, &s};
    s.op.evaluate = NULL;
    s.op.kernels = (m3_span){0};
    m3_status st = run_double(reference, s.all, c, seed, &by_evaluate, &want, &err);
    if (st == M3_OK) st = run_double(reference, &lookup, c, seed, &by_decompose, &have, &err);
    if (st == M3_OK) compare_double(&by_evaluate, want, have, result);
    if (st != M3_OK) {
        m3_case_result_error(result, "the decomposition", &err);
        result->verdict = M3_VERDICT_FAIL;
    }
    m3_free(want);
    m3_free(have);
    m3_case_graph_free(&by_evaluate);
    m3_case_graph_free(&by_decompose);
}

/* Other devices. */

static void open_others(m3_custom_devices *others, m3_device *device)
{
    enum { MOST = sizeof others->device / sizeof others->device[0] };
    m3_engine *engine = m3_device_engine(device);
    m3_device_entry entries[MOST];
    uint32_t count = 0;
    m3_error why = {0};
    if (others->opened) return;
    others->opened = true;
    for (uint32_t i = 0; i < MOST; i++)
        entries[i].info = (m3_device_info){.size = M3_STRUCT_SIZE(m3_device_info, features)};
    if (m3_engine_devices(engine, entries, MOST, &count, &why) != M3_OK) {
        m3_engine_log(engine, M3_LOG_WARN, "custom ops are compared on %s alone, as the others cannot be listed: %s",
                      m3_device_name(device), why.message);
        return;
    }
    if (count > MOST)
        m3_engine_log(engine, M3_LOG_WARN, "custom ops are compared on the first %d of %u devices", MOST, count);
    for (uint32_t i = 0; i < count && i < MOST; i++) {
        bool known = strcmp(entries[i].name, m3_device_name(device)) == 0;
        if (known || entries[i].info.device_class == M3_DEVICE_REFERENCE) continue;
        why = (m3_error){0};
        if (m3_device_open(engine, entries[i].name, (m3_span){0}, &others->device[others->count], &why) == M3_OK)
            others->count++;
        else
            m3_engine_log(engine, M3_LOG_WARN, "custom ops are not compared on %s, which cannot be opened: %s",
                          entries[i].name, why.message);
    }
}

void m3_custom_devices_close(m3_custom_devices *others)
{
    for (uint32_t i = 0; i < others->count; i++) m3_device_close(others->device[i]);
    *others = (m3_custom_devices){0};
}

static bool is_native(m3_device *device, const m3_op_lookup *lookup, const m3_case *c)
{
    m3_case_graph built = {0};
    m3_error why = {0};
    bool native = m3_case_build(c, lookup, M3_CASE_PLAIN, &built, &why) == M3_OK &&
                  m3_device_supports(device, built.node, &why) == M3_OK;
    m3_case_graph_free(&built);
    return native;
}

/* Say where it was: another device than the one that is checked, a kernel of the plugin's or the decomposition. */
static void place(m3_case_result *result, const m3_device *device, bool native)
{
    char text[sizeof result->text];
    if (result->verdict == M3_VERDICT_PASS) return;
    (void)snprintf(text, sizeof text, "%s", result->text);
    (void)snprintf(result->text, sizeof result->text, "on %.63s, %s: %.600s", m3_device_name(device),
                   native ? "by the kernel for it" : "without a kernel for it", text);
}

void m3_custom_run(m3_device *device, m3_device *reference, m3_custom_devices *others, const m3_case *c, uint64_t seed,
                   m3_case_result *result)
{
    const m3_op_lookup *lookup = m3_engine_ops(m3_device_engine(reference));
    const m3_op *op = lookup->find(lookup->user, c->op);
    m3_case_run(device, reference, lookup, c, seed, result);
    place(result, device, result->native);
    if (result->verdict == M3_VERDICT_FAIL) return;
    m3_case_result more = {0};
    if (op->evaluate != NULL && op->decompose != NULL) check_decomposition(reference, op, c, seed, &more);
    if (op->kernels.count > 0) open_others(others, device);
    for (uint32_t i = 0; i < others->count && op->kernels.count > 0 && more.verdict == M3_VERDICT_PASS; i++) {
        if (!is_native(others->device[i], lookup, c)) continue;
        m3_case_run(others->device[i], reference, lookup, c, seed, &more);
        place(&more, others->device[i], true);
        if (more.share > result->share) result->share = more.share;
    }
    if (more.verdict == M3_VERDICT_PASS) return;
    result->verdict = more.verdict;
    (void)snprintf(result->text, sizeof result->text, "%s", more.text);
}
