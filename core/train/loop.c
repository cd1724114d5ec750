/* loop: m3_train. An epoch is its batches in the order of batch.c, then a full ranking of the validation samples.
 *   step    one executable, or accumulate batches of gradients and apply them
 *   epoch   validate, keep the best, save the last
 * Whatever a later step depends on lies in the store or in m3_trainer_state, and both are saved between steps alone. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/programs/programs.h"
#include "core/run/checkpoint.h"
#include "core/run/report.h"
#include "core/run/run.h"
#include "core/run/trace.h"
#include "core/runtime/engine.h"
#include "core/serve/rank.h"
#include "core/settings/settings.h"
#include "core/train/data_loader.h"
#include "core/train/lr_schedule.h"
#include "m3bsr/train.h"

enum { RECENT = 32, TRACED_STEPS = 3 };

typedef struct trainer {
    m3_device *device;
    m3_engine *engine;
    const m3_settings *settings;
    m3_training t;
    m3_train_options options;
    m3_model_config config;
    m3_dataset *set;
    m3_split *split;
    m3_data_loader *loader;
    m3_store *store;
    m3_programs programs;
    m3_batch batch;
    m3_lr_schedule schedule;
    m3_run run;
    char *last, *best; /* paths */
    const char *from;  /* the one of them to resume from */
    m3_trainer_state at;
    bool saved; /* there is a last checkpoint, made after saved_steps */
    uint64_t saved_steps;
    const m3_sample *valid;
    uint64_t valid_count;
    uint32_t *ranks; /* [valid_count] */
    m3_metrics metrics;
    m3_trace *trace;
    uint64_t done; /* steps of this call */
    double began, epoch_began;
    uint64_t epoch_rows;   /* of this call */
    double recent[RECENT]; /* losses of the last steps, a ring */
    uint64_t recent_count; /* ever */
} trainer;

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Set-up. */

static m3_status write_features(void *user, m3_store *store, m3_error *err)
{
    const trainer *tr = user;
    uint32_t modalities[M3_MAX_MODALITIES], count = 0;
    m3_status st = m3_settings_features(tr->settings, tr->set, modalities, &count, err);
    return st != M3_OK ? st : m3_features_store(store, tr->set, modalities, count, err);
}

static m3_programs_plan plan_of(trainer *tr)
{
    const uint64_t eval_batch = tr->valid_count < tr->t.eval_batch ? tr->valid_count : tr->t.eval_batch;
    return (m3_programs_plan){.device = tr->device,
                              .config = &tr->config,
                              .batch = (uint32_t)tr->config.batch,
                              .accumulate = tr->t.accumulate,
                              .eval_batch = (uint32_t)eval_batch,
                              .no_pass = tr->options.no_pass,
                              .strict = tr->options.strict,
                              .fallbacks = tr->options.fallbacks,
                              .key = "batch",
                              .spread = true,
                              .fill = write_features,
                              .user = tr};
}

static m3_status open_data(trainer *tr, m3_error *err)
{
    m3_status st;
    uint32_t target = 0;
    if (tr->t.data[0] == 0)
        return M3_FAIL(err, M3_ERR_INVALID, "data", "is not set; give the data set file that `m3bsr data import` made");
    if ((st = m3_dataset_open(tr->t.data, &tr->set, err)) != M3_OK) return st;
    if ((st = m3_settings_model(tr->engine, tr->settings, tr->set, &tr->config, err)) != M3_OK) return st;
    if ((st = m3_settings_target(tr->settings, tr->set, &target, err)) != M3_OK) return st;
    if ((st = m3_dataset_split(tr->set, target, &tr->split, err)) != M3_OK) return st;
    if ((st = m3_data_loader_create(tr->set, tr->split, &tr->config, tr->t.seed,
                                    strcmp(tr->t.empty_histories, "keep") == 0, &tr->loader, err)) != M3_OK)
        return st;
    tr->valid = m3_split_samples(tr->split, M3_SPLIT_VALID, &tr->valid_count);
    if ((tr->ranks = m3_calloc(tr->valid_count, sizeof *tr->ranks)) == NULL)
        return M3_FAIL_MEMORY(err, "ranks", tr->valid_count * sizeof *tr->ranks);
    uint64_t steps = (m3_data_loader_batches(tr->loader) + tr->t.accumulate - 1) / tr->t.accumulate;
    tr->schedule = (m3_lr_schedule){.kind = tr->t.schedule,
                                    .lr = tr->config.lr,
                                    .lr_end = tr->t.lr_end,
                                    .beta1 = tr->config.beta1,
                                    .beta2 = tr->config.beta2,
                                    .warmup = tr->t.warmup_steps,
                                    .total = steps * tr->t.epochs};
    return M3_OK;
}

static m3_status make_store(trainer *tr, m3_error *err)
{
    const m3_programs_plan plan = plan_of(tr);
    m3_status st = m3_store_create(tr->device, tr->t.seed, &tr->store, err);
    if (st == M3_OK) st = write_features(tr, tr->store, err);
    if (st == M3_OK) st = m3_programs_make(&plan, tr->store, &tr->programs, err);
    if (st == M3_OK) {
        tr->batch = m3_batch_of(tr->programs.step);
        return M3_OK;
    }
    m3_store_free(tr->store);
    tr->store = NULL;
    m3_programs_explain(&plan, err);
    return st;
}

static m3_status check_settings(const trainer *tr, const char *hash, m3_error *err)
{
    m3_settings *old = NULL;
    m3_error ignored = {0};
    char room[512];
    if (strcmp(tr->at.settings, hash) == 0) return M3_OK;
    char *path = m3_run_path(tr->run.folder, "settings.yaml");
    if (path == NULL) return M3_FAIL_MEMORY(err, tr->run.folder, strlen(tr->run.folder) + 16);
    const char *key = NULL;
    if (m3_settings_load(path, &old, &ignored) == M3_OK) key = m3_settings_difference(tr->settings, &tr->config, old);
    m3_status st;
    if (key == NULL) {
        st = M3_FAIL(err, M3_ERR_INVALID, tr->run.folder,
                     "was trained with other settings; go on with the settings of its settings.yaml");
    } else {
        const m3_setting *s = m3_setting_find(tr->settings, key);
        const char *was = m3_settings_get(old, key);
        st = M3_FAIL(err, M3_ERR_INVALID, key,
                     "is '%s' now and was '%s' when the run was saved; give the old value, "
                     "or start a new run",
                     s != NULL ? m3_setting_text(s, &tr->config, room) : "not set", was != NULL ? was : "not set");
        m3_setting_blame(s, err);
    }
    m3_settings_free(old);
    m3_free(path);
    return st;
}

/* Where to go on. The tensors come later, when the store has them. */
static m3_status find_state(trainer *tr, m3_error *err)
{
    m3_status st;
    char hash[17];
    uint64_t data = m3_dataset_checksum(tr->set);
    m3_settings_hash(tr->settings, &tr->config, hash);
    tr->at = (m3_trainer_state){.best = -1.0, .seed = tr->t.seed, .data = data};
    (void)snprintf(tr->at.settings, sizeof tr->at.settings, "%s", hash);
    tr->last = m3_run_path(tr->run.folder, "last.safetensors");
    tr->best = m3_run_path(tr->run.folder, "best.safetensors");
    if (tr->last == NULL || tr->best == NULL) return M3_FAIL_MEMORY(err, tr->run.folder, strlen(tr->run.folder) + 32);
    /* An epoch's end saves the best before the last, and both whole. */
    tr->from = access(tr->last, F_OK) == 0 || access(tr->best, F_OK) != 0 ? tr->last : tr->best;
    if (!tr->options.resume || access(tr->from, F_OK) != 0) return M3_OK; /* stopped before the first checkpoint */
    if ((st = m3_checkpoint_load(tr->from, NULL, &tr->at, err)) != M3_OK) return st;
    if (tr->at.data != data)
        return M3_FAIL(err, M3_ERR_INVALID, tr->t.data,
                       "has the checksum %016llx; the run was trained on a set with %016llx. Give that set",
                       (unsigned long long)data, (unsigned long long)tr->at.data);
    if ((st = check_settings(tr, hash, err)) != M3_OK) return st;
    if (tr->at.batch > m3_data_loader_batches(tr->loader) || tr->at.rows > m3_data_loader_samples(tr->loader))
        return M3_FAIL(err, M3_ERR_INVALID, tr->from, "stands at batch %llu of %llu; the file is damaged",
                       (unsigned long long)tr->at.batch, (unsigned long long)m3_data_loader_batches(tr->loader));
    tr->saved = true;
    tr->saved_steps = tr->at.steps;
    return M3_OK;
}

static uint64_t parameter_count(const m3_store *store)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < m3_store_count(store); i++) {
        m3_store_entry entry, moment;
        char name[M3_ERROR_SUBJECT];
        m3_store_at(store, i, &entry);
        (void)snprintf(name, sizeof name, "adam.m.%s", entry.name);
        if (m3_store_find(store, name, &moment)) count += m3_shape_count(&entry.shape);
    }
    return count;
}

static m3_status write_start(trainer *tr, m3_error *err)
{
    uint64_t skipped = m3_data_loader_skipped(tr->loader);
    if (skipped != 0)
        m3_engine_log(tr->engine, M3_LOG_INFO, "%llu training samples have an empty history and are skipped",
                      (unsigned long long)skipped);
    if (tr->valid_count == 0)
        m3_engine_log(tr->engine, M3_LOG_WARN,
                      "no user has three target items, so nothing is validated: all %llu epochs are trained and "
                      "last.safetensors is the result",
                      (unsigned long long)tr->t.epochs);
    if (tr->at.log_bytes != 0) return M3_OK;
    return m3_run_log(&tr->run, err, "{s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I}", "event", "start", "samples",
                      (json_int_t)m3_data_loader_samples(tr->loader), "skipped", (json_int_t)skipped, "valid",
                      (json_int_t)tr->valid_count, "batches", (json_int_t)m3_data_loader_batches(tr->loader),
                      "parameters", (json_int_t)parameter_count(tr->store), "device", m3_device_name(tr->device),
                      "seed", (json_int_t)tr->t.seed, "time", (json_int_t)time(NULL));
}

static m3_status set_up(trainer *tr, const char *folder, m3_error *err)
{
    m3_status st;
    if ((st = open_data(tr, err)) != M3_OK) return st;
    if ((st = m3_run_open(&tr->run, folder, tr->options.resume, err)) != M3_OK) return st;
    if ((st = find_state(tr, err)) != M3_OK) return st;
    if ((st = make_store(tr, err)) != M3_OK) return st;
    if (tr->saved && (st = m3_checkpoint_load(tr->from, tr->store, &tr->at, err)) != M3_OK) return st;
    if ((st = m3_run_open_log(&tr->run, tr->at.log_bytes, err)) != M3_OK) return st;
    char *path = m3_run_path(folder, "settings.yaml");
    if (path == NULL) return M3_FAIL_MEMORY(err, folder, strlen(folder) + 16);
    st = m3_settings_write(tr->settings, &tr->config, path, err);
    m3_free(path);
    if (st != M3_OK) return st;
    if (tr->options.profile != NULL && (st = m3_trace_create(tr->options.profile, &tr->trace, err)) != M3_OK) return st;
    return write_start(tr, err);
}

/* A step. */

static m3_status save_last(trainer *tr, m3_error *err)
{
    m3_status st;
    if ((st = m3_run_sync_log(&tr->run, &tr->at.log_bytes, err)) != M3_OK) return st;
    if ((st = m3_checkpoint_save(tr->last, tr->store, &tr->at, err)) != M3_OK) return st;
    tr->saved = true;
    tr->saved_steps = tr->at.steps;
    return M3_OK;
}

static m3_status fail_diverged(trainer *tr, const char *term, double value, m3_error *err)
{
    char text[32], good[M3_ERROR_SUBJECT + 64];
    unsigned long long step = tr->at.steps + 1;
    (void)snprintf(text, sizeof text, "%g", isnan(value) ? (double)NAN : value); /* never -nan */
    if (tr->saved)
        (void)snprintf(good, sizeof good, "the last good checkpoint is %s, made after step %llu", tr->last,
                       (unsigned long long)tr->saved_steps);
    else
        (void)snprintf(good, sizeof good, "there is no checkpoint yet");
    (void)m3_run_log(&tr->run, NULL, "{s:s, s:I, s:i, s:s, s:s}", "event", "diverged", "step", (json_int_t)step,
                     "epoch", (int)tr->at.epoch + 1, "term", term, "value", text);
    return M3_FAIL(err, M3_ERR_INVALID, term, "is %s at step %llu, in epoch %u; %s. Lower lr, or warm up, or clip more",
                   text, step, tr->at.epoch + 1, good);
}

static double output(const m3_executable *executable, const char *name)
{
    /* The executable is not changed: an output is host memory of the last run. */
    const float *value = m3_executable_output((m3_executable *)executable, name, NULL);
    return value != NULL ? (double)*value : 0.0;
}

/* One batch through the step's executable; *loss receives its loss. */
static m3_status run_batch(trainer *tr, double *loss, m3_error *err)
{
    m3_status st;
    uint32_t rows = m3_data_loader_fill(tr->loader, tr->at.batch, (uint32_t)tr->at.draws, &tr->batch);
    if ((st = m3_executable_run(tr->programs.step, err)) != M3_OK) return st;
    for (int i = M3_LOSSES; i-- > 0;) { /* the total last: a term says more */
        double value = output(tr->programs.step, m3_loss_names[i]);
        if (!isfinite(value)) return fail_diverged(tr, m3_loss_names[i], value, err);
        tr->at.sums[i] += value * rows;
    }
    *loss = output(tr->programs.step, m3_loss_names[0]);
    tr->at.rows += rows;
    tr->epoch_rows += rows;
    tr->at.batch++;
    tr->at.draws++;
    return M3_OK;
}

static void fill_step(const trainer *tr, m3_executable *executable)
{
    float *step = m3_executable_input(executable, "step", NULL);
    if (step != NULL) m3_lr_schedule_fill(&tr->schedule, tr->at.steps + 1, step);
}

static m3_status apply(trainer *tr, uint32_t parts, m3_error *err)
{
    float *count = m3_executable_input(tr->programs.apply, "count", NULL);
    if (count != NULL) *count = (float)parts;
    fill_step(tr, tr->programs.apply);
    return m3_executable_run(tr->programs.apply, err);
}

static m3_status run_step(trainer *tr, m3_error *err)
{
    m3_status st;
    double sum = 0.0, loss = 0.0;
    uint64_t left = m3_data_loader_batches(tr->loader) - tr->at.batch;
    uint32_t parts = (uint32_t)(left < tr->t.accumulate ? left : tr->t.accumulate);
    if (tr->programs.apply == NULL) fill_step(tr, tr->programs.step);
    for (uint32_t k = 0; k < parts; k++) {
        if ((st = run_batch(tr, &loss, err)) != M3_OK) return st;
        sum += loss;
    }
    if (tr->programs.apply != NULL && (st = apply(tr, parts, err)) != M3_OK) return st;
    double norm = output(tr->programs.apply != NULL ? tr->programs.apply : tr->programs.step, "grad_norm");
    if (!isfinite(norm)) return fail_diverged(tr, "grad_norm", norm, err);
    tr->recent[tr->recent_count++ % RECENT] = sum / parts;
    tr->at.steps++;
    tr->done++;
    return M3_OK;
}

/* The first step of a call is slow for other reasons, so the trace begins with the second. */
static m3_status profile(trainer *tr, bool on, m3_error *err)
{
    m3_status st = m3_executable_profile(tr->programs.step, on, err);
    if (st == M3_OK && tr->programs.apply != NULL) st = m3_executable_profile(tr->programs.apply, on, err);
    return st;
}

static m3_status traced_step(trainer *tr, m3_error *err)
{
    m3_status st;
    if (tr->trace == NULL || tr->done == 0) return run_step(tr, err);
    uint64_t begin = (uint64_t)((now() - tr->began) * 1e9);
    if (tr->done == 1 && (st = profile(tr, true, err)) != M3_OK) return st;
    if ((st = run_step(tr, err)) != M3_OK) return st;
    if ((st = m3_trace_add(tr->trace, tr->programs.apply != NULL ? "accumulate" : "train", begin, tr->programs.step,
                           err)) != M3_OK)
        return st;
    begin = (uint64_t)((now() - tr->began) * 1e9);
    if (tr->programs.apply != NULL && (st = m3_trace_add(tr->trace, "apply", begin, tr->programs.apply, err)) != M3_OK)
        return st;
    if (tr->done <= TRACED_STEPS) return M3_OK;
    if ((st = profile(tr, false, err)) != M3_OK) return st;
    st = m3_trace_finish(tr->trace, err);
    m3_trace_free(tr->trace);
    tr->trace = NULL;
    return st;
}

static void tell(const trainer *tr, const char *note)
{
    if (tr->options.progress == NULL) return;
    uint64_t accumulate = tr->t.accumulate, kept = tr->recent_count < RECENT ? tr->recent_count : RECENT;
    double sum = 0.0, seconds = now() - tr->epoch_began;
    for (uint64_t i = 0; i < kept; i++) sum += tr->recent[i];
    double rate = seconds > 0.0 ? (double)tr->epoch_rows / seconds : 0.0;
    double left = (double)(m3_data_loader_samples(tr->loader) - tr->at.rows);
    const m3_progress progress = {.size = M3_STRUCT_SIZE(m3_progress, note),
                                  .epoch = tr->at.epoch + 1,
                                  .epochs = (uint32_t)tr->t.epochs,
                                  .step = (tr->at.batch + accumulate - 1) / accumulate,
                                  .epoch_steps = (m3_data_loader_batches(tr->loader) + accumulate - 1) / accumulate,
                                  .loss = kept != 0 ? sum / (double)kept : 0.0,
                                  .samples_per_s = rate,
                                  .seconds_left = rate > 0.0 ? left / rate : 0.0,
                                  .note = note};
    tr->options.progress(tr->options.user, &progress);
}

static bool stopped(const trainer *tr)
{
    return (tr->options.stop != NULL && *tr->options.stop != 0) ||
           (tr->options.stop_after != 0 && tr->done >= tr->options.stop_after);
}

static m3_status save_and_stop(trainer *tr, m3_error *err)
{
    m3_status st = save_last(tr, err);
    if (st != M3_OK) return st;
    return M3_FAIL(err, M3_ERR_INTERRUPTED, tr->run.folder,
                   "stopped in epoch %u after step %llu; all of it is saved. Go on with: m3bsr train %s/settings.yaml "
                   "--out %s --resume",
                   tr->at.epoch + 1, (unsigned long long)tr->at.steps, tr->run.folder, tr->run.folder);
}

static m3_status run_steps(trainer *tr, m3_error *err)
{
    m3_status st;
    uint64_t every = tr->t.checkpoint_steps;
    m3_data_loader_shuffle(tr->loader, tr->at.epoch);
    while (tr->at.batch < m3_data_loader_batches(tr->loader)) {
        if (stopped(tr)) return save_and_stop(tr, err);
        if ((st = traced_step(tr, err)) != M3_OK) return st;
        tell(tr, NULL);
        if (every != 0 && tr->at.steps % every == 0 && (st = save_last(tr, err)) != M3_OK) return st;
    }
    return stopped(tr) ? save_and_stop(tr, err) : M3_OK;
}

/* An epoch. */

static double metric_value(const m3_metrics *m, const char *name)
{
    static const char *const cuts[M3_METRIC_CUTS] = {"@5", "@10", "@20"};
    const char *cut = strchr(name, '@');
    for (int i = 0; i < M3_METRIC_CUTS; i++) {
        if (strcmp(cut, cuts[i]) != 0) continue;
        return name[0] == 'h' ? m->hr[i] : name[0] == 'n' ? m->ndcg[i] : m->mrr[i];
    }
    return 0.0;
}

static m3_status validate(trainer *tr, bool *better, m3_error *err)
{
    m3_status st;
    tr->metrics = (m3_metrics){0};
    *better = false;
    if (tr->valid_count == 0) return M3_OK;
    st = m3_rank_samples(tr->programs.infer, tr->set, tr->split, tr->valid, tr->valid_count, tr->ranks, err);
    if (st != M3_OK) return st;
    for (uint64_t i = 0; i < tr->valid_count; i++) m3_metrics_add(&tr->metrics, tr->ranks[i]);
    m3_metrics_finish(&tr->metrics);
    double value = metric_value(&tr->metrics, tr->t.metric);
    *better = value > tr->at.best;
    if (*better) {
        tr->at.best = value;
        tr->at.best_epoch = tr->at.epoch + 1;
    }
    tr->at.bad_epochs = *better ? 0 : tr->at.bad_epochs + 1;
    return M3_OK;
}

static json_t *metrics_json(const m3_metrics *m)
{
    return m->samples == 0
               ? json_null()
               : json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "hr@5", m->hr[0], "hr@10", m->hr[1],
                           "hr@20", m->hr[2], "ndcg@5", m->ndcg[0], "ndcg@10", m->ndcg[1], "ndcg@20", m->ndcg[2],
                           "mrr@5", m->mrr[0], "mrr@10", m->mrr[1], "mrr@20", m->mrr[2]);
}

static m3_status log_epoch(trainer *tr, bool better, m3_error *err)
{
    const m3_trainer_state *at = &tr->at;
    double rows = (double)at->rows, seconds = now() - tr->epoch_began;
    return m3_run_log(&tr->run, err, "{s:s, s:i, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:o, s:b, s:f, s:f}", "event",
                      "epoch", "epoch", (int)at->epoch + 1, "steps", (json_int_t)at->steps, m3_loss_names[0],
                      at->sums[0] / rows, m3_loss_names[1], at->sums[1] / rows, m3_loss_names[2], at->sums[2] / rows,
                      m3_loss_names[3], at->sums[3] / rows, m3_loss_names[4], at->sums[4] / rows, "lr",
                      m3_lr_schedule_at(&tr->schedule, at->steps), "valid", metrics_json(&tr->metrics), "best", better,
                      "seconds", seconds, "samples_per_s", seconds > 0.0 ? (double)tr->epoch_rows / seconds : 0.0);
}

static void tell_epoch(const trainer *tr, double loss, bool better)
{
    char note[192];
    if (tr->valid_count == 0)
        (void)snprintf(note, sizeof note, "epoch %u: loss %.5f", tr->at.epoch + 1, loss);
    else
        (void)snprintf(note, sizeof note, "epoch %u: loss %.5f, valid %s %.5f%s", tr->at.epoch + 1, loss, tr->t.metric,
                       metric_value(&tr->metrics, tr->t.metric), better ? ", the best so far" : "");
    tell(tr, note);
}

static m3_status end_epoch(trainer *tr, m3_error *err)
{
    m3_status st;
    bool better = false;
    if ((st = validate(tr, &better, err)) != M3_OK) return st;
    if ((st = log_epoch(tr, better, err)) != M3_OK) return st;
    tell_epoch(tr, tr->at.sums[0] / (double)tr->at.rows, better);
    tr->at.epoch++;
    tr->at.batch = tr->at.rows = 0;
    memset(tr->at.sums, 0, sizeof tr->at.sums);
    if ((st = m3_run_sync_log(&tr->run, &tr->at.log_bytes, err)) != M3_OK) return st;
    if (better && (st = m3_checkpoint_save(tr->best, tr->store, &tr->at, err)) != M3_OK) return st;
    return save_last(tr, err);
}

static bool is_early(const trainer *tr)
{
    return tr->t.patience != 0 && tr->at.bad_epochs >= tr->t.patience && tr->at.batch == 0;
}

static m3_status run_epochs(trainer *tr, m3_error *err)
{
    m3_status st;
    tr->began = now();
    while (tr->at.epoch < tr->t.epochs && !is_early(tr)) {
        tr->epoch_began = now();
        tr->epoch_rows = 0;
        if ((st = run_steps(tr, err)) != M3_OK) return st;
        if ((st = end_epoch(tr, err)) != M3_OK) return st;
    }
    return m3_run_log(&tr->run, err, "{s:s, s:i, s:I, s:i, s:f, s:b}", "event", "end", "epochs", (int)tr->at.epoch,
                      "steps", (json_int_t)tr->at.steps, "best_epoch", (int)tr->at.best_epoch, "best_metric",
                      tr->at.best_epoch != 0 ? tr->at.best : 0.0, "early", is_early(tr));
}

static void fill_result(const trainer *tr, m3_train_result *result)
{
    if (!M3_HAS(result, m3_train_result, early)) return;
    result->epochs = tr->at.epoch;
    result->best_epoch = tr->at.best_epoch;
    result->steps = tr->at.steps;
    result->best_metric = tr->at.best_epoch != 0 ? tr->at.best : 0.0;
    result->seconds = tr->began > 0.0 ? now() - tr->began : 0.0;
    result->early = is_early(tr);
}

static void trainer_fini(trainer *tr)
{
    m3_trace_free(tr->trace);
    m3_run_close(&tr->run);
    m3_programs_free(&tr->programs);
    m3_store_free(tr->store);
    m3_data_loader_free(tr->loader);
    m3_split_free(tr->split);
    m3_dataset_close(tr->set);
    m3_free(tr->ranks);
    m3_free(tr->last);
    m3_free(tr->best);
}

m3_status m3_train(m3_device *device, const m3_settings *settings, const char *run, const m3_train_options *options,
                   m3_train_result *result, m3_error *err)
{
    m3_status st;
    trainer tr = {.device = device, .engine = m3_device_engine(device), .settings = settings};
    if (options != NULL)
        memcpy(&tr.options, options, options->size < sizeof tr.options ? options->size : sizeof tr.options);
    m3_settings_training(settings, &tr.t);
    if ((st = set_up(&tr, run, err)) != M3_OK) goto done;
    if ((st = run_epochs(&tr, err)) != M3_OK && st != M3_ERR_INTERRUPTED) goto done;
    m3_status written = m3_report_write(run, st == M3_OK ? err : NULL);
    if (tr.trace != NULL && written == M3_OK) written = m3_trace_finish(tr.trace, st == M3_OK ? err : NULL);
    if (st == M3_OK) st = written;
done:
    fill_result(&tr, result);
    trainer_fini(&tr);
    return st;
}
