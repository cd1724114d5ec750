/* step: one step of the optimiser: one executable, or `accumulate` batches of gradients, shared out among the ranks,
 * and an executable that applies their mean. Whatever a later step depends on lies in the store or in m3_trainer_state.
 */
#include <jansson.h>
#include <math.h>

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/train/ranks.h"
#include "core/train/save.h"
#include "core/train/shards.h"

enum { TRACED_STEPS = 3 };

m3_status m3_trainer_save(m3_trainer *tr, m3_error *err)
{
    m3_status st = M3_OK;
    if (tr->shared.rank == 0 && (st = m3_run_sync_log(&tr->run, &tr->state.log_bytes, err)) != M3_OK) return st;
    if ((st = m3_save_checkpoint(tr, tr->last, err)) != M3_OK) return st;
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
    (void)M3_FAIL(err, M3_ERR_INVALID, term, "is %s at step %llu, in epoch %u; %s. Lower lr, or warm up, or clip more",
                  text, step, tr->state.epoch + 1, good);
    return m3_ranks_all_fail(tr, M3_ERR_INVALID);
}

static double output(const m3_executable *executable, const char *name)
{
    /* The executable is not changed: an output is host memory of the last run. */
    const float *value = m3_executable_output((m3_executable *)executable, name, NULL);
    return value != NULL ? (double)*value : 0.0;
}

/* Batch k of the step through its executable. */
static m3_status run_batch(m3_trainer *tr, uint32_t k, m3_losses *losses, m3_error *err)
{
    m3_status st;
    const m3_batch to = tr->window != NULL ? m3_window_rest(tr) : tr->batch;
    losses->rows = m3_data_loader_fill(tr->loader, tr->state.batch + k, (uint32_t)tr->state.draws, &to);
    if (tr->window != NULL) m3_window_place(tr, tr->state.batch + k, &tr->batch);
    if ((st = m3_dataset_check(tr->set, err)) != M3_OK) return st; /* what was read is what was checked */
    if ((st = m3_executable_run(tr->programs.step, err)) != M3_OK) return st;
    for (int i = 0; i < M3_LOSSES; i++) losses->terms[i] = output(tr->programs.step, m3_loss_names[i]);
    return M3_OK;
}

/* All ranks score the users of all, so they run their batches side by side. */
static m3_status run_rounds(m3_trainer *tr, uint32_t batches, bool *cut, m3_error *err)
{
    m3_status st = M3_OK;
    const uint32_t rounds = m3_shards_rounds(tr, batches);
    for (uint32_t i = 0; st == M3_OK && i < rounds && !*cut; i++) {
        uint32_t k = 0;
        const bool own = m3_shards_batch(tr, batches, i, tr->shared.rank, &k);
        if ((st = m3_shards_score(tr, batches, i, cut, err)) != M3_OK || *cut || !own) continue;
        m3_ranks_watch(tr, i + 1 == rounds);
        st = run_batch(tr, k, &tr->losses[k], err);
    }
    return st;
}

/* This rank's batches of a step. @param cut  It was asked to stop before the end of the last of them. */
static m3_status run_batches(m3_trainer *tr, uint32_t batches, bool *cut, m3_error *err)
{
    m3_status st = M3_OK;
    const m3_shared *s = &tr->shared;
    const uint32_t begin = (uint32_t)m3_share_begin(batches, s->rank, s->count);
    const uint32_t end = (uint32_t)m3_share_begin(batches, s->rank + 1, s->count);
    tr->step = m3_data_loader_step(tr->loader, tr->state.batch, batches, tr->batch.step_counts != NULL);
    if (tr->window != NULL) st = m3_window_open(tr, tr->state.batch + begin, end - begin, err);
    if (st == M3_OK && m3_shards_has_loss(tr)) return run_rounds(tr, batches, cut, err);
    for (uint32_t k = begin; st == M3_OK && k < end && !*cut; k++) {
        *cut = k > begin && tr->options.stop != NULL && *tr->options.stop != 0;
        m3_ranks_watch(tr, k + 1 == end);
        if (!*cut) st = run_batch(tr, k, &tr->losses[k], err);
    }
    if (st != M3_ERR_INTERRUPTED) return st;
    *cut = true; /* broken off in the middle of one */
    if (err != NULL) *err = (m3_error){0};
    return M3_OK;
}

static m3_status count_losses(m3_trainer *tr, const m3_losses *losses, m3_error *err)
{
    const double weight = (double)tr->step.rows / tr->step.batches;
    for (int i = M3_LOSSES; i-- > 0;) { /* the total last: a term says more */
        if (!isfinite(losses->terms[i])) return fail_diverged(tr, m3_loss_names[i], losses->terms[i], err);
        tr->state.sums[i] += losses->terms[i] * weight;
    }
    tr->state.rows += (uint64_t)losses->rows;
    tr->epoch_rows += (uint64_t)losses->rows;
    tr->state.batch++;
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
    if (tr->window != NULL) m3_window_leave(tr);
    if (count != NULL) *count = (float)batches;
    fill_step(tr, tr->programs.apply);
    return m3_executable_run(tr->programs.apply, err);
}

/* What a step says of itself. */
enum { NORM, OVERFLOW, SCALE, FACTOR, FIGURES };

/* In f16: gradients that overflowed have changed nothing but the loss scale, and the step does not count. At the least
 * scale it is the gradients themselves that are too large. */
static m3_status skip_step(m3_trainer *tr, const double figures[FIGURES], m3_error *err)
{
    if (figures[SCALE] <= 1.0) return fail_diverged(tr, "grad_norm", figures[NORM], err);
    return m3_run_log(&tr->run, err, "{s:s, s:i, s:I, s:I, s:f}", "event", "overflow", "epoch",
                      (int)tr->state.epoch + 1, "steps", (json_int_t)tr->state.steps, "batch",
                      (json_int_t)tr->state.batch, "loss_scale", figures[SCALE]);
}

/* Gradients of all ranks, and the update. */
static m3_status update(m3_trainer *tr, uint32_t batches, double figures[FIGURES], m3_error *err)
{
    m3_status st;
    if ((st = m3_ranks_sum(tr, err)) != M3_OK) return st;
    if (tr->shards != NULL && (st = m3_shards_sum(tr, batches, err)) != M3_OK) return st;
    if (tr->programs.apply != NULL && (st = apply(tr, batches, err)) != M3_OK) return st;
    const m3_executable *last = tr->programs.apply != NULL ? tr->programs.apply : tr->programs.step;
    figures[NORM] = output(last, "grad_norm");
    figures[OVERFLOW] = output(last, "overflow");
    figures[SCALE] = output(last, "loss_scale");
    figures[FACTOR] = output(last, "scale");
    if ((st = m3_ranks_follow(tr, figures, FIGURES, err)) != M3_OK || tr->shards == NULL) return st;
    fill_step(tr, tr->programs.rows);
    return m3_shards_update(tr, (float)figures[FACTOR], err);
}

static m3_status run_step(m3_trainer *tr, m3_error *err)
{
    m3_status st;
    bool cut = false;
    double sum = 0.0, figures[FIGURES];
    const m3_trainer_state before = tr->state;
    uint64_t left = m3_data_loader_batches(tr->loader) - tr->state.batch;
    uint32_t batches = (uint32_t)(left < tr->keys.accumulate ? left : tr->keys.accumulate);
    if (tr->programs.apply == NULL) fill_step(tr, tr->programs.step);
    if ((st = run_batches(tr, batches, &cut, err)) != M3_OK) return st;
    if ((st = m3_ranks_send(tr, err)) != M3_OK) return st;
    if ((st = m3_ranks_losses(tr, batches, &cut, err)) != M3_OK) return st;
    if (cut) return M3_ERR_INTERRUPTED; /* sums of gradients are not saved */
    for (uint32_t k = 0; k < batches; k++) {
        if ((st = count_losses(tr, &tr->losses[k], err)) != M3_OK) return st;
        sum += tr->losses[k].terms[0];
    }
    tr->state.draws++;
    st = update(tr, batches, figures, err);
    if (st == M3_ERR_INTERRUPTED) tr->state = before;
    if (st != M3_OK) return st;
    tr->recent[tr->recent_count++ % M3_RECENT_STEPS] = sum / batches;
    tr->done++;
    if (figures[OVERFLOW] > 0.0) return skip_step(tr, figures, err);
    if (!isfinite(figures[NORM])) return fail_diverged(tr, "grad_norm", figures[NORM], err);
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

m3_status m3_trainer_end_trace(m3_trainer *tr, m3_error *err)
{
    char *others = NULL;
    size_t bytes = 0, own = 0;
    if (tr->trace == NULL) return M3_OK;
    const char *text = m3_trace_text(tr->trace, &own);
    m3_status st =
        text != NULL ? m3_ranks_collect(tr, text, own, &others, &bytes, err) : M3_FAIL_MEMORY(err, "trace", sizeof *tr);
    if (st == M3_OK && tr->shared.rank == 0) st = m3_trace_finish(tr->trace, others, bytes, err);
    m3_free(others);
    m3_trace_free(tr->trace);
    tr->trace = NULL;
    return st;
}

static m3_status start_trace(m3_trainer *tr, m3_error *err)
{
    double zero = 0.0;
    m3_status st = profile(tr, true, err);
    if (st == M3_OK) st = m3_ranks_zero(tr, &zero, err);
    if (st == M3_OK) m3_trace_begin(tr->trace, zero);
    return st;
}

m3_status m3_trainer_step(m3_trainer *tr, m3_error *err)
{
    m3_status st;
    const m3_programs *p = &tr->programs;
    if (tr->trace == NULL || tr->done == 0) return run_step(tr, err);
    if (tr->done == 1 && (st = start_trace(tr, err)) != M3_OK) return st;
    const double began = m3_seconds();
    if ((st = run_step(tr, err)) != M3_OK) return st;
    if ((st = m3_trace_add(tr->trace, p->apply != NULL ? "accumulate" : "train", began, p->step, err)) != M3_OK)
        return st;
    if (p->apply != NULL && (st = m3_trace_add(tr->trace, "apply", began, p->apply, err)) != M3_OK) return st;
    if (tr->done <= TRACED_STEPS) return M3_OK;
    if ((st = profile(tr, false, err)) != M3_OK) return st;
    return m3_trainer_end_trace(tr, err);
}
