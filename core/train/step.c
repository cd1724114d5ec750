/* step: one step of the optimiser: one executable, or `accumulate` batches of gradients and an executable that applies
 * their mean. Whatever a later step depends on lies in the store or in m3_trainer_state. */
#include <jansson.h>
#include <math.h>

#include "core/base/clock.h"
#include "core/train/trainer.h"

enum { TRACED_STEPS = 3 };

m3_status m3_trainer_save(m3_trainer *tr, m3_error *err)
{
    m3_status st;
    if ((st = m3_run_sync_log(&tr->run, &tr->state.log_bytes, err)) != M3_OK) return st;
    if ((st = m3_checkpoint_save(tr->last, tr->store, &tr->state, err)) != M3_OK) return st;
    tr->saved = true;
    tr->saved_steps = tr->state.steps;
    return M3_OK;
}

static m3_status fail_diverged(m3_trainer *tr, const char *term, double value, m3_error *err)
{
    char text[32], good[M3_ERROR_SUBJECT + 64];
    unsigned long long step = tr->state.steps + 1;
    (void)snprintf(text, sizeof text, "%g", isnan(value) ? (double)NAN : value); /* never -nan */
    if (tr->saved)
        (void)snprintf(good, sizeof good, "the last good checkpoint is %s, made after step %llu", tr->last,
                       (unsigned long long)tr->saved_steps);
    else
        (void)snprintf(good, sizeof good, "there is no checkpoint yet");
    (void)m3_run_log(&tr->run, NULL, "{s:s, s:I, s:i, s:s, s:s}", "event", "diverged", "step", (json_int_t)step,
                     "epoch", (int)tr->state.epoch + 1, "term", term, "value", text);
    return M3_FAIL(err, M3_ERR_INVALID, term, "is %s at step %llu, in epoch %u; %s. Lower lr, or warm up, or clip more",
                   text, step, tr->state.epoch + 1, good);
}

static double output(const m3_executable *executable, const char *name)
{
    /* The executable is not changed: an output is host memory of the last run. */
    const float *value = m3_executable_output((m3_executable *)executable, name, NULL);
    return value != NULL ? (double)*value : 0.0;
}

/* One batch through the step's executable; *loss receives its loss. */
static m3_status run_batch(m3_trainer *tr, double *loss, m3_error *err)
{
    m3_status st;
    uint32_t rows = m3_data_loader_fill(tr->loader, tr->state.batch, (uint32_t)tr->state.draws, &tr->batch);
    if ((st = m3_dataset_check(tr->set, err)) != M3_OK) return st; /* what was read is what was checked */
    if ((st = m3_executable_run(tr->programs.step, err)) != M3_OK) return st;
    for (int i = M3_LOSSES; i-- > 0;) { /* the total last: a term says more */
        double value = output(tr->programs.step, m3_loss_names[i]);
        if (!isfinite(value)) return fail_diverged(tr, m3_loss_names[i], value, err);
        tr->state.sums[i] += value * rows;
    }
    *loss = output(tr->programs.step, m3_loss_names[0]);
    tr->state.rows += rows;
    tr->epoch_rows += rows;
    tr->state.batch++;
    tr->state.draws++;
    return M3_OK;
}

static void fill_step(const m3_trainer *tr, m3_executable *executable)
{
    float *step = m3_executable_input(executable, "step", NULL);
    if (step != NULL) m3_lr_schedule_fill(&tr->schedule, tr->state.steps + 1, step);
}

static m3_status apply(m3_trainer *tr, uint32_t batches, m3_error *err)
{
    float *count = m3_executable_input(tr->programs.apply, "count", NULL);
    if (count != NULL) *count = (float)batches;
    fill_step(tr, tr->programs.apply);
    return m3_executable_run(tr->programs.apply, err);
}

/* In f16: gradients that overflowed have changed nothing but the loss scale, and the step does not count. At the least
 * scale it is the gradients themselves that are too large. */
static m3_status skip_step(m3_trainer *tr, const m3_executable *last, m3_error *err)
{
    const double scale = output(last, "loss_scale"), norm = output(last, "grad_norm");
    if (scale <= 1.0) return fail_diverged(tr, "grad_norm", norm, err);
    return m3_run_log(&tr->run, err, "{s:s, s:i, s:I, s:I, s:f}", "event", "overflow", "epoch",
                      (int)tr->state.epoch + 1, "steps", (json_int_t)tr->state.steps, "batch",
                      (json_int_t)tr->state.batch, "loss_scale", scale);
}

static m3_status run_step(m3_trainer *tr, m3_error *err)
{
    m3_status st = M3_OK;
    double sum = 0.0, loss = 0.0;
    uint64_t left = m3_data_loader_batches(tr->loader) - tr->state.batch;
    uint32_t batches = (uint32_t)(left < tr->keys.accumulate ? left : tr->keys.accumulate);
    if (tr->programs.apply == NULL) fill_step(tr, tr->programs.step);
    const m3_trainer_state before = tr->state;
    for (uint32_t k = 0; k < batches; k++) {
        if (k > 0 && tr->options.stop != NULL && *tr->options.stop != 0) { /* sums of gradients are not saved */
            tr->state = before;
            return M3_ERR_INTERRUPTED;
        }
        st = run_batch(tr, &loss, err);
        if (st == M3_ERR_INTERRUPTED) tr->state = before;
        if (st != M3_OK) return st;
        sum += loss;
    }
    if (tr->programs.apply != NULL) st = apply(tr, batches, err);
    if (st == M3_ERR_INTERRUPTED) tr->state = before;
    if (st != M3_OK) return st;
    const m3_executable *last = tr->programs.apply != NULL ? tr->programs.apply : tr->programs.step;
    const double norm = output(last, "grad_norm");
    tr->recent[tr->recent_count++ % M3_RECENT_STEPS] = sum / batches;
    tr->done++;
    if (output(last, "overflow") > 0.0) return skip_step(tr, last, err);
    if (!isfinite(norm)) return fail_diverged(tr, "grad_norm", norm, err);
    tr->state.steps++;
    return M3_OK;
}

/* The first step of a call is slow for other reasons, so the trace begins with the second. */
static m3_status profile(m3_trainer *tr, bool on, m3_error *err)
{
    m3_status st = m3_executable_profile(tr->programs.step, on, err);
    if (st == M3_OK && tr->programs.apply != NULL) st = m3_executable_profile(tr->programs.apply, on, err);
    return st;
}

m3_status m3_trainer_step(m3_trainer *tr, m3_error *err)
{
    m3_status st;
    if (tr->trace == NULL || tr->done == 0) return run_step(tr, err);
    uint64_t begin = (uint64_t)((m3_seconds() - tr->began) * 1e9);
    if (tr->done == 1 && (st = profile(tr, true, err)) != M3_OK) return st;
    if ((st = run_step(tr, err)) != M3_OK) return st;
    if ((st = m3_trace_add(tr->trace, tr->programs.apply != NULL ? "accumulate" : "train", begin, tr->programs.step,
                           err)) != M3_OK)
        return st;
    begin = (uint64_t)((m3_seconds() - tr->began) * 1e9);
    if (tr->programs.apply != NULL && (st = m3_trace_add(tr->trace, "apply", begin, tr->programs.apply, err)) != M3_OK)
        return st;
    if (tr->done <= TRACED_STEPS) return M3_OK;
    if ((st = profile(tr, false, err)) != M3_OK) return st;
    st = m3_trace_finish(tr->trace, err);
    m3_trace_free(tr->trace);
    tr->trace = NULL;
    return st;
}
