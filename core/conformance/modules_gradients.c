/* modules_gradients: whether all of an encoder or expert learns, and whether it learns the right thing.
 *   L = sum(y w), w random
 *   dL/dp . v  ~  (L(p + h v) - L(p - h v)) / 2h   for a parameter p (or x) and a random direction v
 * The quotient is off by h^2 L''' / 6 and by the rounding of L, some 1e-16 |L| / h; where it crosses a kink of the
 * formula a smaller h tells. */
#include "core/conformance/modules.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/conformance/values.h"

enum {
    GROUPS = 3,
    DRAWS = 3,
    ONE_BY_ONE = 64 /* parameters that have a direction each; more of them have one together */
};

/* A compiled build with gradients. Starts as {0}. */
typedef struct slope {
    m3_trial trial;
    double *x, *mask, *w;
    double **grad; /* [trial.count + 1], the last one x's */
    double roundings;
} slope;

static const m3_tensor *variable(const slope *p, uint32_t i)
{
    return i < p->trial.count ? p->trial.parameter[i] : p->trial.x;
}

static const char *variable_name(const slope *p, uint32_t i)
{
    return i < p->trial.count ? p->trial.parameter[i]->name : "x, its input";
}

static m3_status fill_inputs(slope *p, const m3_subject *s, uint64_t draw, m3_error *err)
{
    m3_subject other = *s;
    m3_modules_options options = *s->options;
    const m3_notation array = {.dtype = M3_F32, .shape = p->trial.y->shape};
    options.seed += draw;
    other.options = &options;
    m3_status st = m3_subject_fill(&other, &p->trial, 0.0, p->x, p->mask, err);
    if (st == M3_OK) st = m3_values_fill(&array, options.seed, 8, p->w, err);
    if (st != M3_OK) return st;
    m3_trial_write(&p->trial, p->trial.x, p->x);
    m3_trial_write(&p->trial, p->trial.mask, p->mask);
    m3_trial_write(&p->trial, p->trial.w, p->w);
    return M3_OK;
}

static m3_status run_gradients(slope *p, m3_error *err)
{
    char name[32];
    m3_status st = m3_trial_run(&p->trial, err);
    for (uint32_t i = 0; i <= p->trial.count && st == M3_OK; i++) {
        (void)snprintf(name, sizeof name, "grad%u", i);
        st = m3_trial_read(&p->trial, name, variable(p, i), p->grad[i], err);
    }
    return st;
}

/* @param like  In double precision: the build whose parameters it takes, compiled; else NULL. */
static m3_status slope_init(slope *p, const m3_subject *s, const m3_trial_form *of, const slope *like, m3_error *err)
{
    const bool wide = like != NULL;
    m3_trial_form form = *of;
    m3_status st;
    form.wide = wide;
    form.gradients = true;
    if ((st = m3_trial_build(&p->trial, &form, err)) != M3_OK) return st;
    if (p->trial.w == NULL) return M3_FAIL(err, M3_ERR_INTERNAL, s->name, "gives no result in this form");
    if ((st = m3_trial_roundings(&p->trial, &p->roundings, err)) != M3_OK) return st;
    st = m3_trial_compile(&p->trial, wide ? s->reference : s->device, s->reference, s->options->seed, err);
    if (st == M3_OK && wide) st = m3_trial_take_values(&p->trial, &like->trial, err);
    if (st != M3_OK) return st;
    p->x = m3_calloc(m3_tensor_count(p->trial.x) + 1, sizeof(double));
    p->mask = m3_calloc(m3_tensor_count(p->trial.mask) + 1, sizeof(double));
    p->w = m3_calloc(m3_tensor_count(p->trial.w) + 1, sizeof(double));
    p->grad = m3_calloc((size_t)p->trial.count + 1, sizeof(double *));
    bool there = p->x != NULL && p->mask != NULL && p->w != NULL && p->grad != NULL;
    for (uint32_t i = 0; i <= p->trial.count && there; i++)
        there = (p->grad[i] = m3_calloc(m3_tensor_count(variable(p, i)) + 1, sizeof(double))) != NULL;
    if (!there) return M3_FAIL_MEMORY(err, s->name, m3_tensor_bytes(p->trial.x));
    if ((st = fill_inputs(p, s, 0, err)) != M3_OK) return st;
    return run_gradients(p, err);
}

static void slope_fini(slope *p)
{
    for (uint32_t i = 0; p->grad != NULL && i <= p->trial.count; i++) m3_free(p->grad[i]);
    m3_free(p->grad);
    m3_free(p->x);
    m3_free(p->mask);
    m3_free(p->w);
    m3_trial_free(&p->trial);
    *p = (slope){0};
}

/* Does it learn? */

static bool is_zero(const slope *p, uint32_t i)
{
    for (uint64_t e = 0; e < m3_tensor_count(variable(p, i)); e++)
        if (p->grad[i][e] != 0.0) return false;
    return true;
}

/* Exactly 0 in every draw: rounding alone makes a gradient that is 0 in exact arithmetic differ from it. Features are
 * frozen, so an encoder's x needs none. */
static void check_trains(slope *p, const m3_subject *s, m3_finding *finding)
{
    uint32_t count = p->trial.count + (s->kind == M3_PLUGIN_EXPERT);
    m3_error err = {0};
    bool *learns = m3_calloc((size_t)count + 1, sizeof *learns);
    if (learns == NULL) (void)M3_FAIL_MEMORY(&err, s->name, count);
    for (uint64_t draw = 0; learns != NULL && draw < DRAWS && err.code == M3_OK; draw++) {
        if (draw != 0 && fill_inputs(p, s, draw, &err) == M3_OK) (void)run_gradients(p, &err);
        for (uint32_t i = 0; i < count && err.code == M3_OK; i++) learns[i] = learns[i] || !is_zero(p, i);
    }
    for (uint32_t i = 0; learns != NULL && i < count && err.code == M3_OK; i++) {
        bool uses = true;
        if (!learns[i] && i < p->trial.count) (void)m3_trial_uses(&p->trial, i, &uses, &err);
        if (!learns[i] && uses) /* else the check `used` tells it */
            m3_finding_fail(finding,
                            "wanted a gradient for '%s', came exactly 0 for all its %llu elements in %d draws; "
                            "m3_detach, an op without gradient or a product with 0 stops it",
                            variable_name(p, i), (unsigned long long)m3_tensor_count(variable(p, i)), DRAWS);
    }
    if (err.code == M3_OK && fill_inputs(p, s, 0, &err) == M3_OK) (void)run_gradients(p, &err);
    if (err.code != M3_OK) m3_finding_error(finding, "its gradients", &err);
    m3_free(learns);
}

/* Slopes. */

static double *values(slope *p, uint32_t i)
{
    return i < p->trial.count ? p->trial.value[i] : p->x;
}

/* The loss with variables first .. last moved by h along their directions; they are back afterwards. */
static m3_status loss_at(slope *p, uint32_t first, uint32_t last, double *const *v, double h, double *loss,
                         m3_error *err)
{
    for (uint32_t i = first; i <= last; i++) {
        double *value = values(p, i);
        for (uint64_t e = 0; e < m3_tensor_count(variable(p, i)); e++) value[e] += h * v[i][e];
        m3_trial_write(&p->trial, variable(p, i), value);
    }
    m3_status st = m3_trial_run(&p->trial, err);
    if (st == M3_OK) st = m3_trial_read(&p->trial, "loss", p->trial.loss, loss, err);
    for (uint32_t i = first; i <= last; i++) {
        double *value = values(p, i);
        for (uint64_t e = 0; e < m3_tensor_count(variable(p, i)); e++) value[e] -= h * v[i][e];
        m3_trial_write(&p->trial, variable(p, i), value);
    }
    return st;
}

static m3_status check_direction(slope *p, const char *how, uint32_t first, uint32_t last, double *const *v,
                                 m3_finding *finding, m3_error *err)
{
    double along = 0.0, size = 0.0, quotient = 0.0, error = INFINITY, bound = 0.0;
    for (uint32_t i = first; i <= last; i++) {
        assert(v[i] != NULL);
        for (uint64_t e = 0; e < m3_tensor_count(variable(p, i)); e++) {
            along += p->grad[i][e] * v[i][e];
            size += fabs(p->grad[i][e] * v[i][e]);
        }
    }
    for (double h = 1e-5; h > 5e-8 && !(error <= bound); h /= 10.0) {
        double above = 0.0, below = 0.0;
        m3_status st = loss_at(p, first, last, v, h, &above, err);
        if (st == M3_OK) st = loss_at(p, first, last, v, -h, &below, err);
        if (st != M3_OK) return st;
        quotient = (above - below) / (2.0 * h);
        bound = 1e-5 * size + 1e-13 * (1.0 + fabs(above)) / h;
        error = fabs(along - quotient);
    }
    if (error > finding->error && finding->verdict == M3_VERDICT_PASS) finding->error = error, finding->bound = bound;
    if (error <= bound) return M3_OK;
    m3_finding_fail(finding, "%swanted a slope of %.9g within %.3g along a random direction of %s, came %.9g", how,
                    quotient, bound, first == last ? variable_name(p, first) : "all parameters together", along);
    return M3_OK;
}

static void check_slopes(slope *p, const m3_subject *s, const char *how, m3_finding *finding)
{
    m3_error err = {0};
    if (p->trial.count + (s->kind == M3_PLUGIN_EXPERT) == 0) return; /* there is nothing to move */
    uint32_t last = p->trial.count - (s->kind == M3_PLUGIN_ENCODER); /* features are frozen */
    double **v = m3_calloc((size_t)last + 1, sizeof(double *));
    if (v == NULL) (void)M3_FAIL_MEMORY(&err, s->name, last * sizeof(double *));
    for (uint32_t i = 0; v != NULL && i <= last && err.code == M3_OK; i++) {
        const m3_notation array = {.dtype = M3_F32, .shape = variable(p, i)->shape};
        v[i] = m3_calloc(m3_shape_count(&array.shape) + 1, sizeof(double));
        if (v[i] == NULL) (void)M3_FAIL_MEMORY(&err, s->name, m3_shape_count(&array.shape) * sizeof(double));
        if (v[i] != NULL) (void)m3_values_fill(&array, s->options->seed, 100 + i, v[i], &err);
        /* Only valid positions of x: what stands at the others is nobody's. */
        const uint64_t places = m3_tensor_count(p->trial.mask), each = m3_tensor_count(p->trial.x) / (places + !places);
        for (uint64_t e = 0; i == p->trial.count && v[i] != NULL && each > 0 && e < places * each; e++)
            v[i][e] *= p->mask[e / each];
    }
    if (v != NULL && last > ONE_BY_ONE && err.code == M3_OK) (void)check_direction(p, how, 0, last, v, finding, &err);
    for (uint32_t i = 0; v != NULL && last <= ONE_BY_ONE && i <= last && err.code == M3_OK; i++)
        if (!s->settled || !is_zero(p, i) || !m3_subject_wants(s, "trains")) /* else `trains` tells it */
            (void)check_direction(p, how, i, i, v, finding, &err);
    if (err.code != M3_OK) m3_finding_error(finding, "the slopes", &err);
    for (uint32_t i = 0; v != NULL && i <= last; i++) m3_free(v[i]);
    m3_free(v);
}

/* The device's gradients against those in double precision. */
static void check_device(const slope *have, const slope *want, const char *how, m3_finding *finding)
{
    double largest = 1.0;
    char place[96];
    for (uint32_t i = 0; i <= want->trial.count; i++)
        for (uint64_t e = 0; e < m3_tensor_count(variable(want, i)); e++)
            largest = fmax(largest, fabs(want->grad[i][e]));
    const double bound = have->roundings * 0x1p-24 * largest;
    finding->bound = fmax(finding->bound, bound);
    for (uint32_t i = 0; i <= want->trial.count; i++) {
        for (uint64_t e = 0; e < m3_tensor_count(variable(want, i)); e++) {
            const double wanted = want->grad[i][e], came = have->grad[i][e], error = fabs(came - wanted);
            if (error > finding->error) finding->error = error;
            if (error <= bound) continue; /* not true for NaN either */
            (void)m3_place_text(&variable(want, i)->shape, e, place, sizeof place);
            if (isfinite(wanted))
                m3_finding_fail(finding, "%swanted %.9g within %.3g as the gradient of %s at %s, came %.9g", how,
                                wanted, bound, variable_name(want, i), place, came);
            else
                m3_finding_fail(finding,
                                "%swanted a number as the gradient of %s at %s, came %g; with %g in double "
                                "precision it is the formula",
                                how, variable_name(want, i), place, came, wanted);
        }
    }
}

/* Another build than the first. */
typedef struct form {
    const char *how;
    m3_trial_form form;
    bool slopes; /* else the device alone: at the start much lies on a kink, such as biases of 0 before a relu */
} form;

enum { FORMS = 5 };

static uint32_t list_forms(const m3_subject *s, form forms[FORMS])
{
    uint32_t count = 0;
    m3_trial_form f = s->form;
    if (s->kind == M3_PLUGIN_EXPERT) {
        f.group = (uint32_t)(f.lead = GROUPS);
        forms[count++] = (form){"grouped: ", f, true};
    }
    f = s->form;
    f.lead = 0;
    f.n = 4;
    f.L = s->form.L + 4;
    forms[count++] = (form){"for longer sequences: ", f, true};
    f.L = 1;
    forms[count++] = (form){"for sequences of one position: ", f, true};
    f = s->form;
    f.dropout = true;
    forms[count++] = (form){"with dropout: ", f, true};
    f = s->form;
    f.start = true;
    forms[count++] = (form){"at the values that training starts with: ", f, false};
    return count;
}

static void check_form(const m3_subject *s, const form *f, m3_finding *slopes, m3_finding *gradients)
{
    slope have = {0}, want = {0};
    m3_error err = {0};
    m3_status st = slope_init(&have, s, &f->form, NULL, &err);
    if (st == M3_OK) st = slope_init(&want, s, &f->form, &have, &err);
    if (st != M3_OK) {
        m3_finding_error(gradients, f->how, &err);
    } else {
        check_device(&have, &want, f->how, gradients);
        if (f->slopes && m3_subject_wants(s, "slopes")) check_slopes(&want, s, f->how, slopes);
    }
    slope_fini(&have);
    slope_fini(&want);
}

/* Settings that are no choice differ in numbers; what they are checked in is the first form alone. */
static void check_wide(m3_subject *s, const slope *have, m3_finding *slopes, m3_finding *gradients)
{
    slope want = {0};
    m3_error err = {0};
    form forms[FORMS];
    const uint32_t count = s->settled ? list_forms(s, forms) : 0;
    if (slope_init(&want, s, &s->form, have, &err) != M3_OK) {
        m3_finding_error(slopes, "in double precision (an op of its own should take f64 as it takes f32)", &err);
        slopes->verdict = M3_VERDICT_LACKS;
        (void)m3_subject_tell(s, "slopes", slopes);
        slope_fini(&want);
        return;
    }
    check_device(have, &want, "", gradients);
    m3_subject_begin(s, "slopes");
    if (m3_subject_wants(s, "slopes")) check_slopes(&want, s, "", slopes);
    slope_fini(&want);
    for (uint32_t i = 0; i < count; i++) check_form(s, &forms[i], slopes, gradients);
    (void)m3_subject_tell(s, "gradients", gradients);
    (void)m3_subject_tell(s, "slopes", slopes);
}

void m3_subject_check_gradients(m3_subject *s)
{
    slope have = {0};
    m3_error err = {0};
    m3_finding trains = {0}, slopes = {0}, gradients = {0};
    bool wide = m3_subject_wants(s, "slopes") || m3_subject_wants(s, "gradients");
    if (!wide && !m3_subject_wants(s, "trains")) return;
    m3_subject_begin(s, s->settled ? "trains" : "gradients");
    m3_status st = slope_init(&have, s, &s->form, NULL, &err);
    if (st != M3_OK) {
        m3_finding_error(&trains, "its gradients", &err);
        trains.verdict = M3_VERDICT_FAIL;
    } else if (s->settled && m3_subject_wants(s, "trains")) {
        check_trains(&have, s, &trains);
    }
    if (st != M3_OK || s->settled) (void)m3_subject_tell(s, "trains", &trains);
    if (st == M3_OK && wide) check_wide(s, &have, &slopes, &gradients);
    slope_fini(&have);
}
