/* train: m3_train(). An epoch is its batches in the order of data_loader.c, then a full ranking of the validation
 * samples; the best epoch and the last are saved. */
#include "m3bsr/train.h"

#include <inttypes.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/run/report.h"
#include "core/runtime/engine.h"
#include "core/serve/rank.h"
#include "core/train/host.h"
#include "core/train/instruments.h"
#include "core/train/ranks.h"
#include "core/train/save.h"
#include "core/train/shards.h"

/* Steps. */

static void report_progress(const m3_trainer *tr, const char *note)
{
    if (tr->options.progress == NULL) return;
    uint64_t accumulate = tr->keys.accumulate,
             kept = tr->recent_count < M3_RECENT_STEPS ? tr->recent_count : M3_RECENT_STEPS;
    double sum = 0.0, seconds = tr->steps_s > 0.0 ? tr->steps_s : m3_seconds() - tr->epoch_began;
    for (uint64_t i = 0; i < kept; i++) sum += tr->recent[i];
    double rate = seconds > 0.0 ? (double)tr->epoch_rows / seconds : 0.0;
    double left = (double)(m3_data_loader_samples(tr->loader) - tr->state.rows);
    const m3_progress progress = {.size = M3_STRUCT_SIZE(m3_progress, waited),
                                  .epoch = tr->state.epoch + 1,
                                  .epochs = (uint32_t)tr->keys.epochs,
                                  .step = (tr->state.batch + accumulate - 1) / accumulate,
                                  .epoch_steps = (m3_data_loader_batches(tr->loader) + accumulate - 1) / accumulate,
                                  .loss = kept != 0 ? sum / (double)kept : 0.0,
                                  .samples_per_s = rate,
                                  .seconds_left = rate > 0.0 ? left / rate : 0.0,
                                  .note = note,
                                  .seconds = seconds,
                                  .ranks = tr->shared.count,
                                  .waited = tr->shared.waits};
    tr->options.progress(tr->options.user, &progress);
}

/* Ranks stop when all know it. */
static bool stopped(const m3_trainer *tr)
{
    const bool asked = tr->options.stop != NULL && *tr->options.stop != 0;
    return (tr->shared.count > 1 ? tr->shared.stop : asked) ||
           (tr->options.stop_after != 0 && tr->done >= tr->options.stop_after);
}

static m3_status save_and_stop(m3_trainer *tr, m3_error *err)
{
    if (err != NULL) *err = (m3_error){0}; /* of a run that was broken off: where it was says nothing to people */
    m3_status st = m3_trainer_save(tr, err);
    if (st != M3_OK) return st;
    return M3_FAIL(err, M3_ERR_INTERRUPTED, tr->run.folder,
                   "stopped in epoch %u after step %llu; all of it is saved. Go on with: m3bsr train %s/settings.yaml "
                   "--out %s --resume",
                   tr->state.epoch + 1, (unsigned long long)tr->state.steps, tr->run.folder, tr->run.folder);
}

static m3_status run_steps(m3_trainer *tr, m3_error *err)
{
    m3_status st;
    uint64_t every = tr->keys.checkpoint_steps;
    m3_data_loader_shuffle(tr->loader, tr->state.epoch);
    while (tr->state.batch < m3_data_loader_batches(tr->loader)) {
        if (stopped(tr)) return save_and_stop(tr, err);
        if ((st = m3_trainer_step(tr, err)) == M3_ERR_INTERRUPTED) return save_and_stop(tr, err);
        if (st != M3_OK) return st;
        report_progress(tr, NULL);
        if (every != 0 && tr->state.steps % every == 0 && (st = m3_trainer_save(tr, err)) != M3_OK) return st;
    }
    tr->steps_s = m3_seconds() - tr->epoch_began;
    return stopped(tr) ? save_and_stop(tr, err) : M3_OK;
}

/* An epoch. */

/* Where a run was broken off says nothing to people. */
static bool was_cut(m3_status st, m3_error *err)
{
    if (st == M3_ERR_INTERRUPTED && err != NULL) *err = (m3_error){0};
    return st == M3_ERR_INTERRUPTED;
}

/* Places of all samples. This rank ranks its share, in the batches that one rank would make. */
static m3_status rank_all(m3_trainer *tr, m3_error *err)
{
    m3_status st = M3_OK;
    const m3_shared *s = &tr->shared;
    const uint64_t batches = m3_trainer_eval_batches(tr), rows = m3_trainer_eval_batch(tr);
    const uint64_t begin = m3_share_begin(batches, s->rank, s->count) * rows;
    uint64_t end = m3_share_begin(batches, s->rank + 1, s->count) * rows;
    if (end > tr->valid_count) end = tr->valid_count;
    if (begin < end)
        st = m3_rank_samples(tr->programs.infer, m3_trainer_source(tr), tr->split, tr->valid + begin, end - begin,
                             tr->ranks + begin, err);
    bool cut = was_cut(st, err);
    if (st != M3_OK && !cut) return st;
    if ((st = m3_ranks_places(tr, batches, &cut, err)) != M3_OK) return st;
    return cut ? M3_ERR_INTERRUPTED : M3_OK;
}

static m3_status validate(m3_trainer *tr, bool *better, m3_error *err)
{
    m3_status st;
    m3_places_clear(&tr->places);
    *better = false;
    if (tr->valid_count == 0) return M3_OK;
    if ((st = tr->shards != NULL ? m3_shards_rank(tr, err) : rank_all(tr, err)) != M3_OK) return st;
    for (uint64_t i = 0; i < tr->valid_count; i++) m3_places_add(&tr->places, tr->ranks[i]);
    double value = m3_places_mean(&tr->places, tr->metric);
    *better = value > tr->state.best;
    if (*better) {
        tr->state.best = value;
        tr->state.best_epoch = tr->state.epoch + 1;
    }
    tr->state.bad_epochs = *better ? 0 : tr->state.bad_epochs + 1;
    return M3_OK;
}

static bool add_metric(json_t *to, const m3_places *places, const char *name, m3_metric metric)
{
    return json_object_set_new(to, name, json_real(m3_places_mean(places, metric))) == 0;
}

/* HR, NDCG and MRR at each cut-off, and the metric that chooses; NULL without memory. */
static json_t *metrics_json(const m3_trainer *tr)
{
    static const m3_measure measures[] = {M3_MEASURE_HR, M3_MEASURE_NDCG, M3_MEASURE_MRR};
    if (tr->places.samples == 0) return json_null();
    json_t *all = json_object();
    bool whole = all != NULL;
    for (size_t m = 0; m < sizeof measures / sizeof measures[0]; m++)
        for (uint32_t i = 0; i < tr->cuts.count && whole; i++) {
            char name[32];
            const m3_metric metric = {measures[m], tr->cuts.at[i]};
            (void)snprintf(name, sizeof name, "%s@%u", m3_measure_name(metric.measure), metric.k);
            whole = add_metric(all, &tr->places, name, metric);
        }
    if (whole && add_metric(all, &tr->places, tr->keys.metric, tr->metric)) return all;
    json_decref(all);
    return NULL;
}

static m3_status log_epoch(m3_trainer *tr, bool better, json_t *instruments, json_t *waited, m3_error *err)
{
    const m3_trainer_state *at = &tr->state;
    double rows = (double)at->rows, seconds = m3_seconds() - tr->epoch_began;
    return m3_run_log(&tr->run, err, "{s:s, s:i, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:o, s:b, s:O*, s:O*, s:f, s:f}",
                      "event", "epoch", "epoch", (int)at->epoch + 1, "steps", (json_int_t)at->steps, m3_loss_names[0],
                      at->sums[0] / rows, m3_loss_names[1], at->sums[1] / rows, m3_loss_names[2], at->sums[2] / rows,
                      m3_loss_names[3], at->sums[3] / rows, m3_loss_names[4], at->sums[4] / rows, "lr",
                      m3_lr_schedule_at(&tr->schedule, at->steps), "valid", metrics_json(tr), "best", better,
                      "instruments", instruments, "waited", waited, "seconds", seconds, "samples_per_s",
                      tr->steps_s > 0.0 ? (double)tr->epoch_rows / tr->steps_s : 0.0);
}

static void report_epoch(const m3_trainer *tr, double loss, bool better)
{
    char note[192];
    if (tr->valid_count == 0)
        (void)snprintf(note, sizeof note, "epoch %u: loss %.5f", tr->state.epoch + 1, loss);
    else
        (void)snprintf(note, sizeof note, "epoch %u: loss %.5f, valid %s %.5f%s", tr->state.epoch + 1, loss,
                       tr->keys.metric, m3_places_mean(&tr->places, tr->metric), better ? ", the best so far" : "");
    report_progress(tr, note);
}

static m3_status measure(m3_trainer *tr, json_t **instruments, m3_error *err)
{
    m3_status st = m3_instruments_measure(tr, instruments, err);
    bool cut = was_cut(st, err);
    if (st != M3_OK && !cut) return st;
    if ((st = m3_ranks_hear(tr, &cut, err)) != M3_OK) return st;
    return cut ? M3_ERR_INTERRUPTED : M3_OK;
}

static m3_status end_epoch(m3_trainer *tr, m3_error *err)
{
    m3_status st;
    bool better = false;
    json_t *instruments = NULL, *waited = NULL;
    const m3_trainer_state before = tr->state;
    if ((st = m3_ranks_compare(tr, err)) != M3_OK) return st;
    st = validate(tr, &better, err);
    if (st == M3_OK) st = measure(tr, &instruments, err);
    if (st == M3_ERR_INTERRUPTED) tr->state = before; /* a resumed training judges the epoch anew */
    if (st == M3_OK) st = m3_ranks_waited(tr, &waited, err);
    if (st == M3_OK && (st = log_epoch(tr, better, instruments, waited, err)) == M3_OK) {
        report_epoch(tr, tr->state.sums[0] / (double)tr->state.rows, better);
        m3_instruments_warn(tr, instruments);
    }
    json_decref(instruments);
    json_decref(waited);
    if (st != M3_OK) return st;
    tr->state.epoch++;
    tr->state.batch = tr->state.rows = 0;
    memset(tr->state.sums, 0, sizeof tr->state.sums);
    if (tr->shared.rank == 0 && (st = m3_run_sync_log(&tr->run, &tr->state.log_bytes, err)) != M3_OK) return st;
    if (better && (st = m3_save_checkpoint(tr, tr->best, err)) != M3_OK) return st;
    return m3_trainer_save(tr, err);
}

static bool is_early(const m3_trainer *tr)
{
    return tr->keys.patience != 0 && tr->state.bad_epochs >= tr->keys.patience && tr->state.batch == 0;
}

/* How many batches a step has is no longer what the settings say. */
static void report_ranks(const m3_trainer *tr)
{
    char note[512];
    const m3_shared *s = &tr->shared;
    int at = snprintf(note, sizeof note, "%u ranks (", s->count);
    for (uint32_t r = 0; r < s->count && at < 300; r++)
        at += snprintf(note + at, sizeof note - (size_t)at, "%s%s", r > 0 ? ", " : "",
                       at < 230 ? s->names[r].name : "...");
    (void)snprintf(note + at, sizeof note - (size_t)at, "): a step takes %" PRIu64 " batches of %u samples%s",
                   tr->keys.accumulate, m3_data_loader_batch(tr->loader),
                   s->mixed ? "; devices differ, so that each step sends the parameters of rank 0" : "");
    report_progress(tr, note);
    if (tr->shards == NULL) return;
    m3_shards_say(tr, note, sizeof note);
    report_progress(tr, note);
    m3_host_say(tr, note, sizeof note);
    report_progress(tr, note);
}

static m3_status run_epochs(m3_trainer *tr, m3_error *err)
{
    m3_status st;
    tr->began = m3_seconds();
    if (tr->shared.count > 1) report_ranks(tr);
    while (tr->state.epoch < tr->keys.epochs && !is_early(tr)) {
        tr->epoch_began = m3_seconds();
        tr->steps_s = 0.0;
        tr->epoch_rows = 0;
        m3_ranks_begin_epoch(tr);
        if ((st = run_steps(tr, err)) != M3_OK) return st;
        if ((st = end_epoch(tr, err)) == M3_ERR_INTERRUPTED) return save_and_stop(tr, err);
        if (st != M3_OK) return st;
    }
    return m3_run_log(&tr->run, err, "{s:s, s:i, s:I, s:i, s:f, s:b}", "event", "end", "epochs", (int)tr->state.epoch,
                      "steps", (json_int_t)tr->state.steps, "best_epoch", (int)tr->state.best_epoch, "best_metric",
                      tr->state.best_epoch != 0 ? tr->state.best : 0.0, "early", is_early(tr));
}

static void fill_result(const m3_trainer *tr, m3_train_result *result)
{
    if (!M3_HAS(result, m3_train_result, early)) return;
    result->epochs = tr->state.epoch;
    result->best_epoch = tr->state.best_epoch;
    result->steps = tr->state.steps;
    result->best_metric = tr->state.best_epoch != 0 ? tr->state.best : 0.0;
    result->seconds = tr->began > 0.0 ? m3_seconds() - tr->began : 0.0;
    result->early = is_early(tr);
}

m3_status m3_trainer_train(m3_trainer *tr, const char *run, const m3_train_options *options, m3_train_result *result,
                           m3_error *err)
{
    m3_status st;
    if (options != NULL)
        memcpy(&tr->options, options, options->size < sizeof tr->options ? options->size : sizeof tr->options);
    tr->engine = m3_device_engine(tr->device);
    m3_settings_training(tr->settings, &tr->keys);
    if ((st = m3_trainer_init(tr, run, err)) != M3_OK) goto done;
    if ((st = run_epochs(tr, err)) != M3_OK && st != M3_ERR_INTERRUPTED) goto done;
    m3_status written = m3_trainer_end_trace(tr, st == M3_OK ? err : NULL);
    if (tr->shared.rank == 0 && written == M3_OK) written = m3_report_write(run, st == M3_OK ? err : NULL);
    if (st == M3_OK) st = written;
    if (st == M3_OK || st == M3_ERR_INTERRUPTED) { /* other ranks end when rank 0 has written all */
        const m3_status ended = m3_ranks_end(tr, st == M3_OK ? err : NULL);
        if (st == M3_OK) st = ended;
    }
done:
    fill_result(tr, result);
    m3_trainer_fini(tr);
    return st;
}

m3_status m3_train(m3_device *device, const m3_settings *settings, const char *run, const m3_train_options *options,
                   m3_train_result *result, m3_error *err)
{
    m3_trainer tr = {.device = device, .settings = settings, .shared.count = 1};
    return m3_trainer_train(&tr, run, options, result, err);
}
