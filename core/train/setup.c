/* setup: from settings to a trainer that is ready for its next step: data, where an earlier call stopped, store,
 * executables, and the files of the run directory. */
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/outfile.h"
#include "core/base/spill.h"
#include "core/data/split.h"
#include "core/runtime/engine.h"
#include "core/runtime/executable.h"
#include "core/train/instruments.h"
#include "core/train/ranks.h"
#include "core/train/save.h"
#include "core/train/shards.h"

/* Executables. */

enum { WATCHED_AT_ONCE = 64 }; /* samples of the instruments: what they publish is large */

static m3_status write_features(void *user, m3_store *store, m3_error *err)
{
    const m3_trainer *tr = user;
    return m3_settings_store_features(tr->settings, tr->set, &tr->denoised, store, err);
}

uint64_t m3_trainer_eval_batch(const m3_trainer *tr)
{
    return tr->valid_count < tr->keys.eval_batch ? tr->valid_count : tr->keys.eval_batch;
}

uint64_t m3_trainer_eval_batches(const m3_trainer *tr)
{
    const uint64_t batch = m3_trainer_eval_batch(tr);
    return batch != 0 ? (tr->valid_count + batch - 1) / batch : 0;
}

static uint64_t eval_batch_of(const m3_trainer *tr)
{
    return tr->shards != NULL ? tr->shards->eval_batch : m3_trainer_eval_batch(tr);
}

uint32_t m3_trainer_watched(const m3_trainer *tr)
{
    const uint64_t eval_batch = eval_batch_of(tr);
    const uint64_t watched = eval_batch < tr->keys.instruments ? eval_batch : tr->keys.instruments;
    return watched < WATCHED_AT_ONCE ? (uint32_t)watched : WATCHED_AT_ONCE;
}

uint32_t m3_trainer_parts(const m3_trainer *tr)
{
    const uint64_t all = m3_data_loader_batches(tr->loader);
    return (uint32_t)(tr->keys.accumulate < all ? tr->keys.accumulate : all);
}

static m3_programs_plan plan_of(m3_trainer *tr)
{
    const m3_shards *s = tr->shards;
    const uint64_t eval_batch = eval_batch_of(tr);
    const uint32_t watched = tr->shared.rank == 0 ? m3_trainer_watched(tr) : 0; /* what is logged is measured by one */
    uint32_t publish = M3_PUBLISH_GATE | M3_PUBLISH_ENCODED | M3_PUBLISH_SPECIFIC | M3_PUBLISH_COMMON;
    if (m3_model_denoises_modalities(&tr->config)) publish |= M3_PUBLISH_AFTER_MODALITY;
    if (m3_model_denoises_behaviors(&tr->config)) publish |= M3_PUBLISH_AFTER_BEHAVIOR;
    m3_programs_plan plan = {.device = tr->device,
                             .config = &tr->config,
                             .batch = m3_data_loader_batch(tr->loader),
                             .accumulate = tr->keys.accumulate,
                             .parts = m3_trainer_parts(tr),
                             .early = tr->shared.count > 1,
                             .eval_batch = (uint32_t)eval_batch,
                             .published_batch = watched,
                             .publish = publish,
                             .denoiser_batch = m3_instruments_denoise(tr) ? watched : 0,
                             .no_pass = tr->options.no_pass,
                             .strict = tr->options.strict,
                             .fallbacks = tr->options.fallbacks,
                             .key = "batch",
                             .spread = true,
                             .fill = s == NULL ? write_features : NULL,
                             .user = tr};
    if (tr->window != NULL) plan.window = tr->window->rows;
    if (s == NULL) return plan;
    plan.shard.rows = s->count;
    plan.shard.batch = s->batch;
    plan.shard.users = s->users;
    m3_shards_loss_size(s, &plan.shard.trained, &plan.shard.tile);
    return plan;
}

/* The run to start from, once. */
static m3_status open_from(m3_trainer *tr, m3_error *err)
{
    if (tr->from.row_of != NULL) return M3_OK;
    const m3_status st = m3_warm_start_open(&tr->from, tr->keys.from, NULL, tr->settings, tr->set, tr->split, err);
    if (st != M3_OK || tr->options.profile == NULL) return st;
    const char *const inputs[] = {m3_settings_get(tr->from.settings, "data")};
    return m3_outfile_check(tr->options.profile, inputs, 1, err);
}

m3_infer_source m3_trainer_source(const m3_trainer *trainer)
{
    return (m3_infer_source){.set = trainer->set,
                             .filter = trainer->denoised.filter,
                             .trend = m3_data_loader_trend(trainer->loader),
                             .stop = trainer->options.stop};
}

/* The log has 5, 10 and 20 whatever key "ks" says: the page of a run draws them. */
static m3_status make_metrics(m3_trainer *tr, m3_error *err)
{
    static const uint32_t always[] = {5, 10, 20};
    const m3_cuts *ks = &tr->keys.ks;
    m3_status st = m3_settings_check_cuts(tr->settings, tr->set, err);
    if (st != M3_OK) return st;
    tr->metric = m3_settings_metric(tr->settings);
    tr->cuts.count = 0;
    for (uint32_t i = 0, a = 0; i < ks->count || a < 3;) {
        const uint32_t k = a == 3 || (i < ks->count && ks->at[i] <= always[a]) ? ks->at[i] : always[a];
        if (i < ks->count && ks->at[i] == k) i++;
        if (a < 3 && always[a] == k) a++;
        tr->cuts.at[tr->cuts.count++] = k;
    }
    const uint32_t last = tr->cuts.at[tr->cuts.count - 1];
    return m3_places_init(&tr->places, tr->metric.k > last ? tr->metric.k : last, err);
}

static m3_status make_loader(m3_trainer *tr, m3_error *err)
{
    m3_status st = M3_OK;
    bool *is_new = NULL;
    if (tr->keys.train_on == M3_TRAIN_ON_NEW) {
        if (tr->keys.from[0] == 0)
            return M3_FAIL(err, M3_ERR_INVALID, "train_on",
                           "is new, which needs the run that knows the old: set `from`");
        if ((st = open_from(tr, err)) == M3_OK) st = m3_warm_start_new_samples(&tr->from, &is_new, err);
    }
    if (st == M3_OK)
        st = m3_data_loader_create(tr->set, tr->split, tr->denoised.filter, &tr->config, tr->keys.seed,
                                   tr->keys.empty_histories == M3_EMPTY_KEEP, is_new, &tr->loader, err);
    m3_spill_free(is_new);
    return st;
}

/* No rank of shards keeps in memory what grows with the set: it lies beside the run, whose folder they share. */
static m3_status make_split(m3_trainer *tr, uint32_t target, const char *folder, m3_error *err)
{
    if (!m3_shards_wanted(tr)) return m3_dataset_split(tr->set, target, &tr->split, err);
    char *beside = m3_strdup(folder);
    if (beside == NULL) return M3_FAIL_MEMORY(err, folder, strlen(folder) + 1);
    for (size_t end = strlen(beside); end > 1 && beside[end - 1] == '/'; end--) beside[end - 1] = '\0';
    const m3_status st = m3_split_create(tr->set, target, beside, &tr->split, err);
    m3_free(beside);
    return st;
}

static m3_status open_data(m3_trainer *tr, const char *folder, m3_error *err)
{
    m3_status st;
    uint32_t target = 0;
    if (tr->keys.data[0] == 0)
        return M3_FAIL(err, M3_ERR_INVALID, "data", "is not set; give the data set file that `m3bsr data import` made");
    if ((st = m3_dataset_open(tr->keys.data, &tr->set, err)) != M3_OK) return st;
    if ((st = m3_settings_model(tr->engine, tr->settings, tr->set, &tr->config, err)) != M3_OK) return st;
    if ((st = m3_settings_target(tr->settings, tr->set, &target, err)) != M3_OK) return st;
    if ((st = make_split(tr, target, folder, err)) != M3_OK) return st;
    if ((st = m3_settings_denoise(tr->engine, tr->settings, &tr->config, tr->set, tr->split, &tr->denoised, err)) !=
        M3_OK)
        return st;
    if ((st = make_loader(tr, err)) != M3_OK) return st;
    if ((st = make_metrics(tr, err)) != M3_OK) return st;
    tr->valid = m3_split_samples(tr->split, M3_SPLIT_VALID, &tr->valid_count);
    tr->ranks = m3_spill_array(m3_split_beside(tr->split), tr->valid_count, sizeof *tr->ranks, &st, err);
    return st;
}

/* What depends on how many batches a step has. */
static m3_status size_steps(m3_trainer *tr, m3_error *err)
{
    const uint64_t accumulate = tr->keys.accumulate;
    const uint64_t steps = (m3_data_loader_batches(tr->loader) + accumulate - 1) / accumulate;
    tr->schedule = (m3_lr_schedule){.decay = tr->keys.schedule,
                                    .lr = tr->config.lr,
                                    .lr_end = tr->keys.lr_end,
                                    .beta1 = tr->config.beta1,
                                    .beta2 = tr->config.beta2,
                                    .warmup = tr->keys.warmup_steps,
                                    .total = steps * tr->keys.epochs};
    tr->losses = m3_calloc(accumulate, sizeof *tr->losses);
    return tr->losses != NULL ? M3_OK : M3_FAIL_MEMORY(err, "losses", accumulate * sizeof *tr->losses);
}

/* A step whose gradients are accumulated writes sums alone, which nobody needs when it is stopped. Whether several
 * ranks apply their sums is settled before they do. */
static void set_stop(m3_trainer *tr)
{
    const m3_programs *p = &tr->programs;
    const bool whole = tr->shards == NULL; /* ranks that share out a table stop between its runs */
    m3_executable *const all[] = {!m3_shards_has_loss(tr) ? p->step : NULL, tr->shared.count == 1 ? p->apply : NULL,
                                  whole ? p->infer : NULL, whole ? p->published : NULL, whole ? p->denoisers : NULL};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i] != NULL) m3_executable_set_stop(all[i], tr->options.stop, all[i] == p->step && p->apply != NULL);
}

static m3_status make_store(m3_trainer *tr, m3_error *err)
{
    const m3_programs_plan plan = plan_of(tr);
    m3_status st = m3_store_create(tr->device, tr->keys.seed, &tr->store, err);
    if (st == M3_OK && plan.fill != NULL) st = plan.fill(tr, tr->store, err);
    if (st == M3_OK) st = m3_programs_make(&plan, tr->store, &tr->programs, err);
    if (st == M3_OK && tr->shards != NULL) st = m3_shards_start(tr, err);
    if (st == M3_OK) {
        set_stop(tr);
        tr->batch = m3_batch_of(tr->programs.step);
        tr->batch.step = &tr->step;
        if (tr->batch.parts != 0) tr->batch.parts = m3_trainer_parts(tr);
        return M3_OK;
    }
    m3_store_free(tr->store);
    tr->store = NULL;
    m3_programs_explain(&plan, err);
    return st;
}

/* The settings that the run was saved with. One that an older version saved has another hash where it has options of
 * plugins: then its file must be as it was saved, and mean the same. */
static m3_status check_settings(const m3_trainer *tr, const char *hash, m3_error *err)
{
    m3_settings *old = NULL;
    m3_model_config was = {0};
    m3_error why = {0};
    m3_status st = M3_OK;
    char now_text[M3_OPTION_BYTES], old_text[M3_OPTION_BYTES], older[17] = "";
    if (strcmp(tr->state.settings, hash) == 0) return M3_OK;
    char *path = m3_run_path(tr->run.folder, "settings.yaml");
    if (path == NULL) return M3_FAIL_MEMORY(err, tr->run.folder, strlen(tr->run.folder) + 16);
    const char *key = NULL;
    if ((st = m3_settings_load_saved(path, &old, &why)) == M3_OK) {
        if ((st = m3_settings_config(tr->engine, old, &was, &why)) != M3_OK && st != M3_ERR_MEMORY)
            (void)m3_settings_config(NULL, old, &was, NULL); /* of plugins that are not here */
        key = m3_settings_difference(tr->settings, &tr->config, old, &was);
        m3_settings_hash_as_written(old, older);
    }
    if (st == M3_ERR_MEMORY) {
        (void)M3_FAIL(err, st, why.subject, "%s", why.message);
        goto done;
    }
    st = M3_OK;
    if (key != NULL) {
        const char *now = m3_settings_value(tr->settings, &tr->config, key, now_text);
        const char *before = m3_settings_value(old, &was, key, old_text);
        st = M3_FAIL(err, M3_ERR_INVALID, key,
                     "is '%s' now and was '%s' when the run was saved; give the old value, "
                     "or start a new run",
                     now != NULL ? now : "not set", before != NULL ? before : "not set");
        m3_setting_locate(m3_setting_find(tr->settings, key), err);
    } else if (strcmp(tr->state.settings, older) != 0) {
        st = M3_FAIL(err, M3_ERR_INVALID, tr->run.folder,
                     "was trained with other settings; go on with the settings of its settings.yaml");
    }
done:
    m3_settings_free(old);
    m3_free(path);
    return st;
}

/* Does the set at hand (now) mean what the run was trained on? A file of an older version knows its checksum alone. */
static m3_status check_data(m3_trainer *tr, const m3_trainer_state *now, m3_error *err)
{
    m3_trainer_state *was = &tr->state;
    if (was->data != now->data && was->content != now->content)
        return M3_FAIL(err, M3_ERR_INVALID, tr->keys.data,
                       "has %s than the set that the run was trained on (checksum %016llx, now %016llx). Give that set",
                       was->items != 0 && was->items != now->items ? "other items"
                                                                   : "other users, items, events or features",
                       (unsigned long long)was->data, (unsigned long long)now->data);
    was->data = now->data;
    was->content = now->content;
    was->items = now->items;
    return M3_OK;
}

/* Values of two metrics do not compare. */
static void check_metric(m3_trainer *tr)
{
    m3_trainer_state *at = &tr->state;
    if (at->metric[0] != '\0' && strcmp(at->metric, tr->keys.metric) != 0) {
        m3_engine_log(tr->engine, M3_LOG_WARN, "%s chose the best epoch by %s; from here on, %s chooses it anew",
                      tr->run.folder, at->metric, tr->keys.metric);
        at->best = -1.0;
        at->best_epoch = at->bad_epochs = 0;
    }
    (void)snprintf(at->metric, sizeof at->metric, "%s", tr->keys.metric);
}

/* Rank 0 alone has the folder. */
static m3_status open_run(m3_trainer *tr, const char *folder, m3_error *err)
{
    m3_status st;
    if (tr->shared.rank != 0) {
        tr->run = (m3_run){.folder = m3_strdup(folder)};
        if (tr->run.folder == NULL) return M3_FAIL_MEMORY(err, folder, strlen(folder) + 1);
    } else if ((st = m3_run_open(&tr->run, folder, tr->options.resume, err)) != M3_OK) {
        return st;
    }
    tr->last = m3_run_path(folder, "last.safetensors");
    tr->best = m3_run_path(folder, "best.safetensors");
    if (tr->last == NULL || tr->best == NULL) return M3_FAIL_MEMORY(err, folder, strlen(folder) + 32);
    /* An epoch's end saves the best before the last, and both whole. */
    tr->resume_from = access(tr->last, F_OK) == 0 || access(tr->best, F_OK) != 0 ? tr->last : tr->best;
    tr->goes_on = tr->shared.rank == 0 && tr->options.resume && access(tr->resume_from, F_OK) == 0;
    return tr->goes_on ? m3_checkpoint_load(tr->resume_from, NULL, &tr->state, err) : M3_OK;
}

/* Where to go on. The tensors come later, when the store has them. */
static m3_status find_state(m3_trainer *tr, m3_error *err)
{
    m3_status st;
    char hash[17];
    m3_settings_hash(tr->settings, &tr->config, hash);
    m3_trainer_state now = {.best = -1.0, .seed = tr->keys.seed, .ranks = tr->shared.count};
    now.data = m3_dataset_checksum(tr->set);
    now.content = m3_dataset_content_checksum(tr->set);
    now.items = m3_dataset_item_checksum(tr->set);
    (void)snprintf(now.settings, sizeof now.settings, "%s", hash);
    (void)snprintf(now.metric, sizeof now.metric, "%s", tr->keys.metric);
    if (!tr->goes_on) { /* nor where a run stopped before its first checkpoint */
        tr->state = now;
        return M3_OK;
    }
    if ((st = check_data(tr, &now, err)) != M3_OK) return st;
    if ((st = check_settings(tr, hash, err)) != M3_OK) return st;
    check_metric(tr);
    if (tr->state.batch > m3_data_loader_batches(tr->loader) || tr->state.rows > m3_data_loader_samples(tr->loader))
        return M3_FAIL(err, M3_ERR_INVALID, tr->resume_from, "stands at batch %llu of %llu; the file is damaged",
                       (unsigned long long)tr->state.batch, (unsigned long long)m3_data_loader_batches(tr->loader));
    tr->saved = true;
    tr->saved_steps = tr->state.steps;
    return M3_OK;
}

static uint64_t parameter_count(const m3_trainer *tr)
{
    const m3_store *store = tr->store;
    uint64_t count = 0;
    for (uint32_t i = 0; i < m3_store_count(store); i++) {
        m3_store_entry entry, moment;
        char name[M3_ERROR_SUBJECT];
        m3_store_at(store, i, &entry);
        (void)snprintf(name, sizeof name, "adam.m.%s", entry.name);
        if (m3_store_find(store, name, &moment)) count += m3_shape_count(&entry.shape);
    }
    if (tr->shards != NULL) count += (tr->shards->total - tr->shards->count) * tr->shards->width; /* the others' */
    return count;
}

static void say_features(const m3_trainer *tr, const char *name, const m3_denoised_features *f)
{
    if (f->says_nothing)
        m3_engine_log(
            tr->engine, M3_LOG_WARN,
            "features %s: items that users have together are no more alike than others, so that all items get "
            "the mean; to use them all the same, set modality_denoise to false",
            name);
    else
        m3_engine_log(tr->engine, M3_LOG_INFO,
                      "features %s: those of %" PRIu32 " items are replaced by their neighbors'", name, f->replaced);
}

/* What `denoise: neighbors` did to the set; NULL with another key, and *whole is false where memory ran out. */
static json_t *denoised_json(const m3_trainer *tr, const m3_sequence_names *names, bool *whole)
{
    const m3_denoised *d = &tr->denoised;
    if (tr->config.denoise != M3_DENOISE_NEIGHBORS) return NULL;
    json_t *features = json_object(), *events = json_object();
    for (uint32_t k = 0; k < d->modality_count && tr->config.modality_denoise; k++) {
        const m3_denoised_features *f = &d->features[k];
        say_features(tr, names->modalities[k + 1], f);
        json_t *one = json_pack("{s:b, s:I, s:f}", "says_nothing", f->says_nothing, "replaced", (json_int_t)f->replaced,
                                "belief", f->belief);
        *whole = json_object_set_new(features, names->modalities[k + 1], one) == 0 && *whole;
    }
    if (d->filter != NULL) {
        const m3_event_filter_summary s = m3_event_filter_summarize(d->filter);
        m3_engine_log(tr->engine, M3_LOG_INFO,
                      "behavior %s: %" PRIu64 " of %" PRIu64 " events that went no deeper are left out of histories",
                      names->behaviors[0], s.left_out, s.judged);
        json_t *one = json_pack("{s:I, s:I, s:f}", "judged", (json_int_t)s.judged, "left_out", (json_int_t)s.left_out,
                                "threshold", s.threshold);
        *whole = json_object_set_new(events, names->behaviors[0], one) == 0 && *whole;
    }
    json_t *all = json_pack("{s:o, s:o}", "features", features, "events", events);
    *whole = all != NULL && *whole;
    return all;
}

/* Of all ranks; NULL alone. */
static json_t *devices_json(const m3_trainer *tr, bool *whole)
{
    json_t *all = tr->shared.count > 1 ? json_array() : NULL;
    for (uint32_t r = 0; tr->shared.count > 1 && r < tr->shared.count; r++)
        *whole = json_array_append_new(all, json_string(tr->shared.names[r].name)) == 0 && *whole;
    return all;
}

static m3_status write_start(m3_trainer *tr, m3_error *err)
{
    m3_sequence_names names;
    m3_status st = m3_settings_names(tr->settings, tr->set, &names, err);
    if (st != M3_OK) return st;
    uint64_t skipped = m3_data_loader_skipped(tr->loader);
    if (skipped != 0)
        m3_engine_log(tr->engine, M3_LOG_INFO, "%llu training samples have an empty history and are skipped",
                      (unsigned long long)skipped);
    const m3_split_rule rule = m3_dataset_split_rule(tr->set);
    if (tr->valid_count == 0)
        m3_engine_log(tr->engine, M3_LOG_WARN,
                      "%s, so nothing is validated: all %llu epochs are trained and last.safetensors is the result",
                      rule.kind != M3_SPLIT_LAST ? "the set's split has no validation"
                      : rule.last > 1            ? "no user has enough target items to hold some out"
                                                 : "no user has three target items",
                      (unsigned long long)tr->keys.epochs);
    if (tr->state.log_bytes != 0) return M3_OK;
    bool whole = true;
    json_t *devices = devices_json(tr, &whole);
    json_t *denoised = denoised_json(tr, &names, &whole);
    if ((st = m3_dataset_check(tr->set, err)) != M3_OK || !whole) { /* names of a set that changed are no texts */
        json_decref(denoised);
        json_decref(devices);
        return st != M3_OK ? st : M3_FAIL_MEMORY(err, "log.jsonl", 0);
    }
    return m3_run_log(&tr->run, err, "{s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:o*, s:o*}", "event", "start",
                      "samples", (json_int_t)m3_data_loader_samples(tr->loader), "skipped", (json_int_t)skipped,
                      "valid", (json_int_t)tr->valid_count, "batches", (json_int_t)m3_data_loader_batches(tr->loader),
                      "parameters", (json_int_t)parameter_count(tr), "device", m3_device_name(tr->device), "seed",
                      (json_int_t)tr->keys.seed, "time", (json_int_t)time(NULL), "devices", devices, "denoised",
                      denoised);
}

/* A checkpoint and its settings are enough to go on; the log is for people. */
static m3_status open_log(m3_trainer *tr, m3_error *err)
{
    const uint64_t wanted = tr->state.log_bytes;
    m3_status st = m3_run_open_log(&tr->run, &tr->state.log_bytes, err);
    if (st == M3_OK && tr->state.log_bytes < wanted)
        m3_engine_log(tr->engine, M3_LOG_WARN,
                      "%s/log.jsonl has %" PRIu64 " bytes, where its checkpoint was made at %" PRIu64
                      "; training goes on, but lines of the log are missing",
                      tr->run.folder, tr->state.log_bytes, wanted);
    return st;
}

/* Each rank reads its rows, and those that it makes new ones from. The run may lie elsewhere on each machine, and may
 * be trained on meanwhile: rows of two checkpoints would make no table. */
static m3_status start_shard(m3_trainer *tr, m3_error *err)
{
    m3_warm_shard own = {.begin = tr->shards->begin};
    m3_engine *told = tr->shared.rank == 0 ? tr->engine : NULL;
    const m3_status st = m3_warm_start_load(&tr->from, told, tr->keys.new_items, tr->store, NULL, &own, err);
    if (st != M3_OK) return st;
    return m3_ranks_heard(
        tr, m3_member_agree(tr->shared.member, "the checkpoint that they start from", own.checkpoint, err));
}

/* Parameters and states of rank 0, and each rank's rows of a table in shards: those of a checkpoint, of the run to
 * start from, or what they begin with. */
static m3_status fill_store(m3_trainer *tr, m3_error *err)
{
    m3_status st;
    if (tr->saved) return m3_save_load(tr, tr->resume_from, err);
    if (tr->keys.from[0] == 0 || (tr->shared.rank != 0 && tr->shards == NULL)) return M3_OK;
    if ((st = open_from(tr, err)) != M3_OK) return st;
    if (tr->shards != NULL) return start_shard(tr, err);
    return m3_warm_start_load(&tr->from, tr->engine, tr->keys.new_items, tr->store, NULL, NULL, err);
}

static m3_status write_settings(const m3_trainer *tr, m3_error *err)
{
    char hash[17];
    char *path = m3_run_path(tr->run.folder, "settings.yaml");
    if (path == NULL) return M3_FAIL_MEMORY(err, tr->run.folder, strlen(tr->run.folder) + 16);
    m3_settings_hash(tr->settings, &tr->config, hash);
    m3_status st = M3_OK;
    if (strcmp(tr->state.settings, hash) == 0) /* else an older version's file, which its checkpoints go with */
        st = m3_settings_write(tr->settings, &tr->config, path, err);
    m3_free(path);
    return st;
}

static m3_status make_trace(m3_trainer *tr, m3_error *err)
{
    char name[96];
    const char *device = m3_device_name(tr->device);
    if (tr->options.profile == NULL && !tr->shared.traced) return M3_OK;
    if (tr->shared.count == 1)
        (void)snprintf(name, sizeof name, "%s", device);
    else
        (void)snprintf(name, sizeof name, "rank %u: %s", tr->shared.rank, device);
    return m3_trace_create(tr->options.profile, tr->shared.rank, name, &tr->trace, err);
}

/* Neither over what this training reads, the run that it starts from too, nor over what it writes. */
static m3_status check_profile(const m3_trainer *tr, const char *folder, m3_error *err)
{
    const char *profile = tr->options.profile;
    if (profile == NULL) return M3_OK;
    m3_status st = m3_outfile_check(profile, (const char *const[]){tr->keys.data}, 1, err);
    if (st == M3_OK) st = m3_run_check_output(folder, profile, err);
    if (st == M3_OK && tr->keys.from[0] != 0) st = m3_run_check_output(tr->keys.from, profile, err);
    return st;
}

m3_status m3_trainer_init(m3_trainer *tr, const char *folder, m3_error *err)
{
    m3_status st;
    if ((st = check_profile(tr, folder, err)) != M3_OK) return st;
    if ((st = open_data(tr, folder, err)) != M3_OK) return st;
    if ((st = m3_ranks_agree(tr, err)) != M3_OK) return st;
    if ((st = open_run(tr, folder, err)) != M3_OK) return st;
    if ((st = check_profile(tr, folder, err)) != M3_OK) return st; /* again: now there is a folder to compare with */
    if ((st = m3_ranks_share(tr, err)) != M3_OK) return st;
    if ((st = size_steps(tr, err)) != M3_OK) return st;
    if (tr->shared.rank == 0 && (st = find_state(tr, err)) != M3_OK) return st;
    if ((st = m3_ranks_take_state(tr, err)) != M3_OK) return st;
    if ((st = m3_window_create(tr, err)) != M3_OK) return st;
    if (m3_shards_wanted(tr) && (st = m3_shards_create(tr, err)) != M3_OK) return st;
    if ((st = make_store(tr, err)) != M3_OK) return st;
    if ((st = fill_store(tr, err)) != M3_OK) return st;
    m3_warm_start_fini(&tr->from); /* its set is not kept open while this one trains */
    if ((st = m3_ranks_begin(tr, err)) != M3_OK) return st;
    if ((st = m3_save_rehearse(tr, err)) != M3_OK) return st;
    if ((st = make_trace(tr, err)) != M3_OK || tr->shared.rank != 0) return st;
    if ((st = write_settings(tr, err)) != M3_OK || (st = open_log(tr, err)) != M3_OK) return st;
    return write_start(tr, err);
}

void m3_trainer_fini(m3_trainer *tr)
{
    m3_ranks_fini(tr); /* first: its thread may still read the store */
    m3_warm_start_fini(&tr->from);
    m3_trace_free(tr->trace);
    m3_run_close(&tr->run);
    m3_programs_free(&tr->programs);
    m3_store_free(tr->store);
    m3_shards_free(tr->shards);
    m3_window_free(tr->window);
    m3_data_loader_free(tr->loader);
    m3_denoised_fini(&tr->denoised);
    m3_split_free(tr->split);
    m3_dataset_close(tr->set);
    m3_places_fini(&tr->places);
    m3_spill_free(tr->ranks);
    m3_free(tr->losses);
    m3_free(tr->last);
    m3_free(tr->best);
    json_decref(tr->warned);
}
