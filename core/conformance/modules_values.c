/* modules_values: what an encoder or expert computes on the device: numbers, 0 for an empty sequence, nothing of what
 * stands at padded positions or in another sequence, and the same as in double precision. */
#include "core/conformance/modules.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/conformance/values.h"

enum { GROUPS = 3 };
static const double large = 100.0;

/* A compiled build with its inputs and results. Starts as {0}. */
typedef struct bench {
    m3_trial trial;
    double *x, *mask, *y, *other; /* other: of a second run */
    double roundings;
} bench;

static uint64_t count_of(const m3_tensor *x)
{
    return m3_tensor_count(x);
}

/* Valid positions of sequence `at`: none, all, then from 1 on. */
static uint64_t valid_of(uint64_t at, uint64_t length)
{
    return at == 0 ? 0 : at == 1 ? length : 1 + (at - 2) % length;
}

m3_status m3_subject_fill(const m3_subject *s, const m3_trial *trial, double padding, double *x, double *mask,
                          m3_error *err)
{
    const m3_notation array = {.dtype = M3_F32, .shape = trial->x->shape};
    uint64_t length = trial->form.L, places = count_of(trial->mask), width = count_of(trial->x) / places;
    m3_status st = m3_values_fill(&array, s->options->seed, 7, x, err);
    for (uint64_t i = 0; i < places && st == M3_OK; i++) {
        bool valid = length - i % length <= valid_of(i / length, length);
        mask[i] = valid ? 1.0 : 0.0;
        for (uint64_t k = 0; k < width && !valid; k++) {
            double *at = &x[i * width + k];
            *at = padding == 0.0 ? 0.0 : (double)(float)(padding * (*at + 0.5));
        }
    }
    return st;
}

static m3_status bench_init(bench *b, const m3_subject *s, const m3_trial_form *form, m3_device *device, m3_error *err)
{
    m3_status st;
    if ((st = m3_trial_build(&b->trial, form, err)) != M3_OK) return st;
    if (b->trial.y == NULL) return M3_FAIL(err, M3_ERR_INTERNAL, s->name, "gives no result in this form");
    if ((st = m3_trial_roundings(&b->trial, &b->roundings, err)) != M3_OK) return st;
    if ((st = m3_trial_compile(&b->trial, device, s->reference, s->options->seed, err)) != M3_OK) return st;
    b->x = m3_calloc(count_of(b->trial.x) + 1, sizeof(double));
    b->mask = m3_calloc(count_of(b->trial.mask) + 1, sizeof(double));
    b->y = m3_calloc(count_of(b->trial.y) + 1, sizeof(double));
    b->other = m3_calloc(count_of(b->trial.y) + 1, sizeof(double));
    if (b->x == NULL || b->mask == NULL || b->y == NULL || b->other == NULL)
        return M3_FAIL_MEMORY(err, s->name, count_of(b->trial.x) * sizeof(double));
    return m3_subject_fill(s, &b->trial, 0.0, b->x, b->mask, err);
}

static void bench_fini(bench *b)
{
    m3_trial_free(&b->trial);
    m3_free(b->x);
    m3_free(b->mask);
    m3_free(b->y);
    m3_free(b->other);
    *b = (bench){0};
}

static m3_status bench_run(bench *b, double *y, m3_error *err)
{
    m3_trial_write(&b->trial, b->trial.x, b->x);
    m3_trial_write(&b->trial, b->trial.mask, b->mask);
    m3_status st = m3_trial_run(&b->trial, err);
    return st == M3_OK ? m3_trial_read(&b->trial, "y", b->trial.y, y, err) : st;
}

/* Elements of the result that a position or sequence has. */
static uint64_t share_of(const m3_subject *s, const bench *b)
{
    uint64_t sequences = count_of(b->trial.mask) / b->trial.form.L;
    return count_of(b->trial.y) / (s->kind == M3_PLUGIN_ENCODER ? count_of(b->trial.mask) : sequences);
}

/* Is element i of the result that of a valid position (encoders), or of a sequence at all (experts)? */
static bool counts(const m3_subject *s, const bench *b, uint64_t i)
{
    return s->kind != M3_PLUGIN_ENCODER || b->mask[i / share_of(s, b)] != 0.0;
}

/* Compare results of two ways: have[i] with want[i] at place i of y. */
static void compare(const m3_subject *s, const bench *b, const double *have, const double *want, double roundings,
                    const char *how, m3_finding *finding)
{
    double largest = 1.0;
    char place[96];
    for (uint64_t i = 0; i < count_of(b->trial.y); i++)
        if (counts(s, b, i)) largest = fmax(largest, fabs(want[i]));
    finding->bound = fmax(finding->bound, roundings * 0x1p-24 * largest);
    for (uint64_t i = 0; i < count_of(b->trial.y); i++) {
        if (!counts(s, b, i)) continue;
        double error = fabs(have[i] - want[i]);
        if (error > finding->error) finding->error = error;
        if (error <= finding->bound) continue; /* not true for NaN either */
        m3_finding_fail(finding, "%s: wanted y%s = %.9g within %.3g, came %.9g", how,
                        m3_place_text(&b->trial.y->shape, i, place, sizeof place), want[i], finding->bound, have[i]);
    }
}

static void check_finite(bench *b, m3_finding *finding)
{
    char place[96];
    m3_error err = {0};
    for (uint64_t i = 0; i < count_of(b->trial.y); i++)
        if (!isfinite(b->y[i]))
            m3_finding_fail(finding, "wanted numbers everywhere, came y%s = %g",
                            m3_place_text(&b->trial.y->shape, i, place, sizeof place), b->y[i]);
    if (bench_run(b, b->other, &err) != M3_OK) {
        m3_finding_error(finding, "the second run", &err);
        return;
    }
    for (uint64_t i = 0; i < count_of(b->trial.y); i++)
        if (memcmp(&b->y[i], &b->other[i], sizeof b->y[i]) != 0)
            m3_finding_fail(finding, "wanted the same bits in every run, came y%s = %.9g, then %.9g",
                            m3_place_text(&b->trial.y->shape, i, place, sizeof place), b->y[i], b->other[i]);
}

/* A batch in which no sequence has a valid position. */
static void check_empty(const m3_subject *s, bench *b, double padding, const char *how, m3_finding *finding)
{
    m3_error err = {0};
    char place[96];
    m3_status st = m3_subject_fill(s, &b->trial, padding, b->x, b->mask, &err);
    for (uint64_t i = 0; i < count_of(b->trial.mask); i++) b->mask[i] = 0.0;
    for (uint64_t i = 0; i < count_of(b->trial.x) && padding == 0.0; i++) b->x[i] = 0.0;
    if (st == M3_OK) st = bench_run(b, b->other, &err);
    if (st != M3_OK) m3_finding_error(finding, how, &err);
    for (uint64_t i = 0; i < count_of(b->trial.y) && st == M3_OK; i++)
        if (b->other[i] != 0.0)
            m3_finding_fail(finding,
                            "%s: wanted exactly 0 for a sequence without a valid position, came y%s = %.9g; "
                            "multiply the result by m3_block_any",
                            how, m3_place_text(&b->trial.y->shape, i, place, sizeof place), b->other[i]);
    st = m3_subject_fill(s, &b->trial, 0.0, b->x, b->mask, &err);
    if (st != M3_OK) m3_finding_error(finding, "the numbers", &err);
}

/* Large against the valid positions, and small enough for a mask that adds -1e9. */
static void check_padding(const m3_subject *s, bench *b, m3_finding *finding)
{
    m3_error err = {0};
    char place[96];
    m3_status st = m3_subject_fill(s, &b->trial, large, b->x, b->mask, &err);
    if (st == M3_OK) st = bench_run(b, b->other, &err);
    if (st != M3_OK) {
        m3_finding_error(finding, "the run with numbers at padded positions", &err);
        return;
    }
    for (uint64_t i = 0; i < count_of(b->trial.y); i++)
        if (!isfinite(b->other[i]))
            m3_finding_fail(finding, "wanted numbers whatever stands at padded positions, came y%s = %g",
                            m3_place_text(&b->trial.y->shape, i, place, sizeof place), b->other[i]);
    /* The first sequence is empty, which is another check's. */
    uint64_t first = s->kind == M3_PLUGIN_EXPERT ? share_of(s, b) : 0;
    memcpy(b->other, b->y, first * sizeof *b->y);
    compare(s, b, b->other, b->y, b->roundings, "with other numbers at padded positions", finding);
    st = m3_subject_fill(s, &b->trial, 0.0, b->x, b->mask, &err);
    if (st != M3_OK) m3_finding_error(finding, "the numbers", &err);
}

/* Every sequence of the first build again, alone in a build for one. */
static void check_batch(const m3_subject *s, bench *b, m3_finding *finding)
{
    bench one = {0};
    m3_error err = {0};
    m3_trial_form form = s->form;
    form.lead = 0;
    form.n = 1;
    m3_status st = bench_init(&one, s, &form, s->device, &err);
    uint64_t sequences = st == M3_OK ? count_of(b->trial.mask) / form.L : 0;
    for (uint64_t i = 0; i < sequences && st == M3_OK; i++) {
        uint64_t numbers = count_of(one.trial.x), results = count_of(one.trial.y);
        memcpy(one.x, b->x + i * numbers, numbers * sizeof *one.x);
        memcpy(one.mask, b->mask + i * form.L, form.L * sizeof *one.mask);
        st = bench_run(&one, b->other + i * results, &err);
    }
    if (st == M3_OK) compare(s, b, b->y, b->other, b->roundings, "in a batch, against the sequence alone", finding);
    if (st != M3_OK) m3_finding_error(finding, "a sequence alone", &err);
    bench_fini(&one);
}

/* Experts grouped, against each by itself with its slice of the parameters. */
static void check_group(const m3_subject *s, m3_finding *finding)
{
    bench all = {0};
    m3_error err = {0};
    m3_trial_form form = s->form;
    form.group = (uint32_t)(form.lead = GROUPS);
    m3_status st = bench_init(&all, s, &form, s->device, &err);
    if (st == M3_OK) st = bench_run(&all, all.y, &err);
    form.lead = 0;
    for (form.index = 0; form.index < GROUPS && st == M3_OK; form.index++) {
        bench one = {0};
        st = bench_init(&one, s, &form, s->device, &err);
        if (st == M3_OK) {
            uint64_t at = (uint64_t)form.index;
            memcpy(one.x, all.x + at * count_of(one.trial.x), count_of(one.trial.x) * sizeof *one.x);
            memcpy(one.mask, all.mask + at * count_of(one.trial.mask), count_of(one.trial.mask) * sizeof *one.mask);
            st = bench_run(&one, all.other + at * count_of(one.trial.y), &err);
        }
        bench_fini(&one);
    }
    if (st == M3_OK) compare(s, &all, all.y, all.other, all.roundings, "grouped, against each expert alone", finding);
    if (st != M3_OK) m3_finding_error(finding, "the experts of a group", &err);
    bench_fini(&all);
}

static void check_device(const m3_subject *s, bench *b, m3_finding *finding)
{
    bench wide = {0};
    m3_error err = {0};
    m3_trial_form form = s->form;
    form.wide = true;
    m3_status st = bench_init(&wide, s, &form, s->reference, &err);
    if (st == M3_OK) st = bench_run(&wide, b->other, &err);
    if (st == M3_OK) compare(s, b, b->y, b->other, b->roundings, "against the reference in double precision", finding);
    if (st != M3_OK) {
        m3_finding_error(finding, "in double precision (an op of its own should take f64 as it takes f32)", &err);
        finding->verdict = M3_VERDICT_LACKS;
    }
    bench_fini(&wide);
}

bool m3_subject_check_values(m3_subject *s)
{
    bench b = {0};
    m3_error err = {0};
    m3_finding finite = {0}, empty = {0}, padding = {0}, batch = {0}, group = {0}, values = {0};
    bool expert = s->kind == M3_PLUGIN_EXPERT;
    static const char *const checks[] = {"finite", "empty", "padding", "batch", "group", "values"};
    bool any = false;
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) any = any || m3_subject_wants(s, checks[i]);
    if (!any) return true;
    m3_subject_begin(s, "finite");
    m3_status st = bench_init(&b, s, &s->form, s->device, &err);
    if (st == M3_OK) st = bench_run(&b, b.y, &err);
    if (st != M3_OK) {
        m3_finding_error(&finite, "it does not run", &err);
        (void)m3_subject_tell(s, "finite", &finite);
        bench_fini(&b);
        return false;
    }
    if (m3_subject_wants(s, "finite")) check_finite(&b, &finite);
    bool fine = m3_subject_tell(s, "finite", &finite);
    if (fine && expert && m3_subject_wants(s, "empty")) {
        m3_subject_begin(s, "empty");
        check_empty(s, &b, 0.0, "with zeros at its positions", &empty);
        check_empty(s, &b, large, "with numbers at its positions", &empty);
        (void)m3_subject_tell(s, "empty", &empty);
    }
    if (fine && m3_subject_wants(s, "padding")) {
        m3_subject_begin(s, "padding");
        check_padding(s, &b, &padding);
        (void)m3_subject_tell(s, "padding", &padding);
    }
    if (fine && m3_subject_wants(s, "batch")) {
        m3_subject_begin(s, "batch");
        check_batch(s, &b, &batch);
        (void)m3_subject_tell(s, "batch", &batch);
    }
    if (fine && expert && m3_subject_wants(s, "group")) {
        m3_subject_begin(s, "group");
        check_group(s, &group);
        (void)m3_subject_tell(s, "group", &group);
    }
    if (fine && m3_subject_wants(s, "values")) {
        m3_subject_begin(s, "values");
        check_device(s, &b, &values);
        (void)m3_subject_tell(s, "values", &values);
    }
    bench_fini(&b);
    return fine;
}
