/* gradients: the gradient graph of an op against central differences, in double precision, and the device's against it.
 *   L = sum over the float outputs y_k and their elements of w_k y_k, w random
 *   dL/dx_i by m3_gradients  ~  (L(x_i + h) - L(x_i - h)) / 2h,  h = 1e-5 max(1, |x_i|)
 * The difference is off by h^2 L'''/6 and by the rounding of L, about 1e-16 |L| / h: both near 1e-10 of their scales.
 * The device computes dL/dx in f32, with gradient ops of its own; roundings may be some of the sizes of the gradient,
 * and growth(elements) times what the gradient changes by when every input changes by half a unit in its last place. */
#include <assert.h>
#include <math.h>

#include "core/base/alloc.h"
#include "core/conformance/run.h"
#include "core/conformance/values.h"

enum { PROBES = 12 }; /* elements of an input that are checked */

/* Share of the gradient's size, and of the loss' (whose rounding the difference divides by h), that may be wrong. */
static const double relative = 2e-6, of_loss = 1e-9;

/* What functions in f32 are off by, as in the bounds of the ops (rules_elementwise.c, rules_fused.c). */
static const double of_device = 1e-5;

/* The case with a loss and its gradients behind it. */
typedef struct probe {
    m3_case_graph built;
    m3_case_exec exec;
    m3_tensor *loss, *weight[M3_CASE_OUTPUTS], *wrt[M3_NOTATION_ARRAYS], *grad[M3_NOTATION_ARRAYS];
    uint32_t wrt_index[M3_NOTATION_ARRAYS], wrt_count; /* which inputs are differentiated */
    m3_dtype real;                                     /* f64 on the reference, f32 on a device */
    double *value[M3_NOTATION_ARRAYS];
} probe;

static m3_tensor *add_loss(probe *p)
{
    m3_builder *b = m3_graph_builder(p->built.graph);
    m3_tensor *loss = NULL;
    for (uint32_t k = 0; k < p->built.out_count && k < M3_CASE_OUTPUTS; k++) {
        m3_tensor *y = p->built.node->out[k];
        if (y->dtype != p->real) continue;
        char name[32];
        (void)snprintf(name, sizeof name, "weight%u", k);
        p->weight[k] = m3_graph_input(b, name, p->real, y->shape);
        m3_tensor *part = m3_sum_all(b, m3_mul(b, y, p->weight[k]));
        loss = loss == NULL ? part : m3_add(b, loss, part);
    }
    return loss;
}

static m3_status probe_build(probe *p, const m3_op_lookup *lookup, const m3_case *c, m3_case_form form, m3_error *err)
{
    char name[32];
    m3_status st = m3_case_build(c, lookup, form, &p->built, err);
    if (st != M3_OK) return st;
    p->real = form == M3_CASE_PLAIN ? M3_F32 : M3_F64;
    m3_builder *b = m3_graph_builder(p->built.graph);
    for (uint32_t i = 0; i < p->built.in_count; i++) {
        m3_tensor *x = p->built.x[i];
        if (x == NULL || p->built.in[i].dtype != M3_F32 || m3_values_keep_type(&p->built.in[i])) continue;
        p->wrt_index[p->wrt_count] = i;
        p->wrt[p->wrt_count++] = x;
    }
    p->loss = add_loss(p);
    if (p->loss == NULL)
        return M3_FAIL(err, M3_ERR_INVALID, c->op, "no result is %s, of which gradients are taken here",
                       m3_dtype_name(p->real));
    m3_gradients(b, p->loss, p->wrt, p->wrt_count, p->grad);
    m3_graph_output(b, "loss", p->loss);
    for (uint32_t g = 0; g < p->wrt_count; g++) {
        (void)snprintf(name, sizeof name, "grad%u", g);
        m3_graph_output(b, name, p->grad[g]);
    }
    return m3_builder_status(b, err);
}

/* Inputs and weights; the numbers of the weights come after those of the inputs and are of f32. */
static m3_status probe_fill(probe *p, const m3_case *c, m3_case_form form, uint64_t seed, m3_error *err)
{
    char name[32];
    m3_status st = m3_case_values(c, &p->built, seed, p->value, err);
    if (st == M3_OK) m3_case_change_values(&p->built, form, 0, p->value);
    for (uint32_t i = 0; i < p->built.in_count && st == M3_OK; i++) {
        if (p->built.in[i].absent) continue;
        (void)snprintf(name, sizeof name, "in%u", i);
        m3_case_exec_write(&p->exec, name, p->built.x[i], p->value[i]);
    }
    for (uint32_t k = 0; k < M3_CASE_OUTPUTS && st == M3_OK; k++) {
        if (p->weight[k] == NULL) continue;
        m3_notation array = {.dtype = M3_F32, .shape = p->weight[k]->shape};
        double *value = m3_calloc(m3_tensor_count(p->weight[k]), sizeof *value);
        if (value == NULL) return M3_FAIL_MEMORY(err, c->op, m3_tensor_bytes(p->weight[k]));
        (void)snprintf(name, sizeof name, "weight%u", k);
        st = m3_values_fill(&array, m3_case_seed(c, seed), M3_NOTATION_ARRAYS + k, value, err);
        if (st == M3_OK) m3_case_exec_write(&p->exec, name, p->weight[k], value);
        m3_free(value);
    }
    return st;
}

/* The loss with element e of input i at x. */
static m3_status loss_at(probe *p, uint32_t i, uint64_t e, double x, double *loss, m3_error *err)
{
    char name[32];
    double before = p->value[i][e];
    (void)snprintf(name, sizeof name, "in%u", i);
    p->value[i][e] = x;
    m3_case_exec_write(&p->exec, name, p->built.x[i], p->value[i]);
    p->value[i][e] = before;
    m3_status st = m3_executable_run(p->exec.executable, err);
    if (st == M3_OK) st = m3_case_exec_read(&p->exec, "loss", p->loss, loss, err);
    m3_case_exec_write(&p->exec, name, p->built.x[i], p->value[i]);
    return st;
}

static m3_status check_input(probe *p, uint32_t g, const double *grad, double loss, m3_case_result *result,
                             m3_error *err)
{
    uint32_t i = p->wrt_index[g];
    uint64_t count = m3_tensor_count(p->wrt[g]), stride = count / PROBES + 1;
    double largest = 0.0;
    assert(grad != NULL);
    for (uint64_t e = 0; e < count; e++) largest = fmax(largest, fabs(grad[e]));
    for (uint64_t e = 0; e < count; e += stride) {
        double x = p->value[i][e], h = 1e-5 * fmax(1.0, fabs(x)), above, below;
        m3_status st = loss_at(p, i, e, x + h, &above, err);
        if (st == M3_OK) st = loss_at(p, i, e, x - h, &below, err);
        if (st != M3_OK) return st;
        double want = (above - below) / (2.0 * h), limit = relative * largest + of_loss * (1.0 + fabs(loss));
        double share = fabs(grad[e] - want) / limit;
        if (share <= result->share) continue;
        result->share = share;
        if (share <= 1.0) continue;
        result->verdict = M3_VERDICT_FAIL;
        (void)snprintf(result->text, sizeof result->text,
                       "d loss / d in%u[%llu] is %.9g, the difference quotient %.9g, allowed %.3g", i,
                       (unsigned long long)e, grad[e], want, limit);
    }
    /* A NaN compares with nothing, so it needs a question of its own. */
    for (uint64_t e = 0; e < count; e++) {
        if (isfinite(grad[e])) continue;
        result->verdict = M3_VERDICT_FAIL;
        (void)snprintf(result->text, sizeof result->text, "d loss / d in%u[%llu] is %g", i, (unsigned long long)e,
                       grad[e]);
    }
    return M3_OK;
}

static void probe_fini(probe *p)
{
    m3_case_exec_fini(&p->exec);
    m3_free(p->value[0]);
    m3_case_graph_free(&p->built);
}

/* All gradients, as they come from a run. */
typedef struct slopes {
    double *grad[M3_NOTATION_ARRAYS];
} slopes;

static void slopes_fini(slopes *s)
{
    for (uint32_t g = 0; g < M3_NOTATION_ARRAYS; g++) m3_free(s->grad[g]);
}

static m3_status slopes_read(slopes *s, probe *p, m3_error *err)
{
    char name[32];
    m3_status st = M3_OK;
    for (uint32_t g = 0; g < p->wrt_count && st == M3_OK; g++) {
        (void)snprintf(name, sizeof name, "grad%u", g);
        s->grad[g] = m3_calloc(m3_tensor_count(p->grad[g]) + 1, sizeof *s->grad[g]);
        st = s->grad[g] == NULL ? M3_FAIL_MEMORY(err, name, m3_tensor_bytes(p->grad[g]))
                                : m3_case_exec_read(&p->exec, name, p->grad[g], s->grad[g], err);
    }
    return st;
}

/* Build a form on a device, run it, and read its gradients; the probe stays open. */
static m3_status slopes_run(slopes *s, probe *p, m3_device *device, const m3_op_lookup *lookup, const m3_case *c,
                            m3_case_form form, uint64_t seed, m3_error *err)
{
    m3_status st = probe_build(p, lookup, c, form, err);
    if (st == M3_OK) st = m3_case_exec_init(&p->exec, device, p->built.graph, err);
    if (st == M3_OK) st = probe_fill(p, c, form, seed, err);
    if (st == M3_OK) st = m3_executable_run(p->exec.executable, err);
    return st == M3_OK ? slopes_read(s, p, err) : st;
}

/* The device's gradients of one input against the reference's. */
static void compare_slopes(const double *have, const double *want, const double *shaken, uint64_t count, uint32_t input,
                           double growth, m3_case_result *result)
{
    double largest = 0.0, change = 0.0;
    assert(have != NULL && want != NULL && shaken != NULL);
    for (uint64_t e = 0; e < count; e++) {
        if (isinf((float)want[e])) continue;
        largest = fmax(largest, fabs(want[e]));
        change = fmax(change, fabs(shaken[e] - want[e]));
    }
    const double limit = of_device * (1.0 + largest) + growth * (change + M3_CASE_UNIT * largest);
    for (uint64_t e = 0; e < count; e++) {
        const double as_stored = (double)(float)want[e]; /* what f32 cannot hold is infinite there too */
        const double error = have[e] == as_stored ? 0.0 : fabs(have[e] - as_stored);
        const double share = isfinite(error) ? error / limit : INFINITY;
        if (share > result->share) result->share = share;
        if (share <= 1.0 || result->verdict == M3_VERDICT_FAIL) continue;
        result->verdict = M3_VERDICT_FAIL;
        (void)snprintf(result->text, sizeof result->text,
                       "on the device d loss / d in%u[%llu] is %.9g, the reference's %.9g, allowed %.3g", input,
                       (unsigned long long)e, have[e], want[e], limit);
    }
}

/* Is a result f64 even where the inputs are f32, as of a cast? Devices need not have it. */
static bool has_doubles(const m3_op_lookup *lookup, const m3_case *c)
{
    m3_case_graph plain;
    bool has = false;
    if (m3_case_build(c, lookup, M3_CASE_PLAIN, &plain, NULL) != M3_OK) return false;
    for (uint32_t k = 0; k < plain.out_count; k++) has |= plain.node->out[k]->dtype == M3_F64;
    m3_case_graph_free(&plain);
    return has;
}

static void check_device(m3_device *device, m3_device *reference, const m3_op_lookup *lookup, const m3_case *c,
                         uint64_t seed, const slopes *want, m3_case_result *result)
{
    probe p = {0}, q = {0};
    slopes have = {{NULL}}, shaken = {{NULL}};
    m3_error err = {0}, why = {0};
    uint64_t elements = 1;
    m3_status st = slopes_run(&shaken, &q, reference, lookup, c, M3_CASE_SHAKEN, seed, &err);
    if (st == M3_OK && has_doubles(lookup, c)) goto done;
    if (st == M3_OK) st = slopes_run(&have, &p, device, lookup, c, M3_CASE_PLAIN, seed, &err);
    if (st != M3_OK) {
        m3_case_result_error(result, "the gradient on the device", &err);
    } else {
        result->native = m3_device_supports(device, p.built.node, &why) == M3_OK;
        for (uint32_t g = 0; g < p.wrt_count; g++) elements += m3_tensor_count(p.grad[g]);
        for (uint32_t g = 0; g < p.wrt_count; g++)
            compare_slopes(have.grad[g], want->grad[g], shaken.grad[g], m3_tensor_count(p.grad[g]), p.wrt_index[g],
                           m3_case_growth(elements), result);
    }
done:
    slopes_fini(&have);
    slopes_fini(&shaken);
    probe_fini(&p);
    probe_fini(&q);
}

void m3_case_run_gradient(m3_device *device, m3_device *reference, const m3_op_lookup *lookup, const m3_case *c,
                          uint64_t seed, m3_case_result *result)
{
    *result = (m3_case_result){.verdict = M3_VERDICT_PASS};
    if ((c->layers & M3_CASE_GRADIENTS) == 0) {
        result->verdict = M3_VERDICT_SKIP;
        return;
    }
    m3_error err = {0};
    probe p = {0};
    slopes want = {{NULL}};
    double loss = 0.0;
    m3_status st = slopes_run(&want, &p, reference, lookup, c, M3_CASE_DOUBLE, seed, &err);
    if (st == M3_OK) st = m3_case_exec_read(&p.exec, "loss", p.loss, &loss, &err);
    for (uint32_t g = 0; g < p.wrt_count && st == M3_OK; g++) st = check_input(&p, g, want.grad[g], loss, result, &err);
    if (st != M3_OK) m3_case_result_error(result, "the gradient", &err);
    if (device != NULL && result->verdict == M3_VERDICT_PASS)
        check_device(device, reference, lookup, c, seed, &want, result);
    slopes_fini(&want);
    probe_fini(&p);
}
