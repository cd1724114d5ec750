/* serve: load a run: settings, set, features, parameters, and the inference graph. */
#include "core/serve/serve.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/programs/programs.h"
#include "core/run/checkpoint.h"
#include "core/run/run.h"
#include "core/runtime/engine.h"
#include "core/serve/baselines.h"
#include "core/settings/settings.h"

/* Which items. */

/* Item numbers belong to a set: parameters of another one may fit and still mean other items. served->start is there
 * where rows have to be found by ids. */
static m3_status check_items(m3_served *served, m3_engine *engine, m3_error *err)
{
    m3_parts *file = NULL;
    const char *path = served->checkpoint;
    m3_status st = m3_parts_open(path, &file, err);
    if (st != M3_OK) return st;
    const char *data = m3_parts_meta(file, "data"), *items = m3_parts_meta(file, "items");
    const bool other = data != NULL && strtoull(data, NULL, 10) != m3_dataset_checksum(served->set);
    const uint64_t sum = items != NULL ? strtoull(items, NULL, 10) : 0;
    m3_parts_close(file);
    if (other && sum == 0)
        m3_engine_log(engine, M3_LOG_WARN,
                      "%s was trained on another data set than the one given (checksum %016" PRIx64
                      "); results are right only if the items are the same",
                      path, m3_dataset_checksum(served->set));
    if (!other || sum == 0 || sum == m3_dataset_item_checksum(served->set)) return M3_OK;
    st = m3_warm_start_open(&served->start, served->run, path, served->settings, served->set, served->split, err);
    if (st == M3_OK && served->start.unknown > 0)
        m3_engine_log(engine, M3_LOG_WARN,
                      "%s has %" PRIu32 " of %" PRIu32
                      " items that the run was not trained on; they are ranked by their "
                      "features, or by what stands beside them",
                      served->data, served->start.unknown, m3_dataset_item_count(served->set));
    return st;
}

/* The model on its device. */

static m3_status open_data(m3_served *served, m3_engine *engine, const char *run, const char *data, m3_error *err)
{
    m3_status st;
    uint32_t target = 0;
    char *path = m3_run_path(run, "settings.yaml");
    if (path == NULL) return M3_FAIL_MEMORY(err, run, strlen(run) + 32);
    st = m3_settings_load_saved(path, &served->settings, err);
    m3_free(path);
    if (st != M3_OK) return st;
    if (data == NULL)
        data = m3_settings_get(served->settings, "data");
    else
        m3_setting_find(served->settings, "items")->given = false; /* check_items() compares ids */
    if (data[0] == 0) return M3_FAIL(err, M3_ERR_INVALID, "data", "is not set; give the data set file");
    if ((served->data = m3_strdup(data)) == NULL) return M3_FAIL_MEMORY(err, data, strlen(data) + 1);
    if ((st = m3_dataset_open(data, &served->set, err)) != M3_OK) return st;
    if ((st = m3_settings_model(engine, served->settings, served->set, &served->config, err)) != M3_OK) return st;
    if ((st = m3_settings_target(served->settings, served->set, &target, err)) != M3_OK) return st;
    if ((st = m3_dataset_split(served->set, target, &served->split, err)) != M3_OK) return st;
    if (served->config.trend > 0 &&
        (st = m3_trend_create(served->set, served->split, served->config.trend, &served->trend, err)) != M3_OK)
        return st;
    st = m3_settings_denoise(engine, served->settings, &served->config, served->set, served->split, &served->denoised,
                             err);
    if (st != M3_OK) return st;
    return m3_popularity_places(served->set, served->split, &served->popularity, err);
}

typedef struct loading {
    const m3_served *served;
    const m3_programs_plan *plan;
    const char *path;
} loading;

/* Parameters are read by the names of the whole graph, with all that it may publish: a pass may have left out one that
 * has no effect on the scores. */
static m3_status fill(void *user, m3_store *store, m3_error *err)
{
    m3_status st;
    const loading *l = user;
    m3_graph *graph = NULL;
    const m3_build_options build = {.size = M3_STRUCT_SIZE(m3_build_options, accumulate),
                                    .batch = l->plan->eval_batch,
                                    .publish = UINT32_MAX,
                                    .no_pass = l->plan->no_pass};
    st = m3_settings_store_features(l->served->settings, l->served->set, &l->served->denoised, store, err);
    if (st != M3_OK) return st;
    st = m3_model_build_infer(m3_device_engine(l->plan->device), l->plan->config, &build, &graph, err);
    if (st == M3_OK && l->served->start.row_of != NULL)
        st = m3_warm_start_load(&l->served->start, m3_device_engine(l->plan->device), M3_NEW_FEATURES, store, graph,
                                NULL, err);
    else if (st == M3_OK)
        st = m3_checkpoint_load_parameters(l->path, store, graph, NULL, err);
    m3_graph_free(graph);
    return st;
}

static m3_status make(m3_served *served, const m3_programs_plan *plan, const char *path, m3_error *err)
{
    m3_status st;
    loading l = {served, plan, path};
    m3_programs programs = {0};
    m3_programs_plan with = *plan;
    if ((st = check_items(served, m3_device_engine(plan->device), err)) != M3_OK) return st;
    if ((st = m3_store_create(plan->device, 0, &served->store, err)) != M3_OK) return st;
    if ((st = fill(&l, served->store, err)) == M3_OK) st = m3_programs_make(plan, served->store, &programs, err);
    served->infer = programs.infer;
    if (st == M3_OK) return m3_infer_shape_of(served->infer, &served->shape, err);
    m3_store_free(served->store);
    served->store = NULL;
    with.fill = fill;
    with.user = &l;
    m3_programs_explain(&with, err);
    return st;
}

/* The options' arrays live as long as the call; executables are made later too. */
static m3_status keep_options(m3_served *served, const m3_serve_options *o, m3_error *err)
{
    size_t names = 0;
    while (o->no_pass != NULL && o->no_pass[names] != NULL) names++;
    served->strict = o->strict;
    served->no_pass = m3_calloc(names + 1, sizeof *served->no_pass);
    served->fallbacks = m3_calloc(o->fallbacks.count, sizeof(m3_device *));
    if (served->no_pass == NULL || served->fallbacks == NULL) return M3_FAIL_MEMORY(err, "options", names);
    for (size_t i = 0; i < names; i++)
        if ((served->no_pass[i] = m3_strdup(o->no_pass[i])) == NULL) return M3_FAIL_MEMORY(err, "options", names);
    for (; served->fallback_count < o->fallbacks.count; served->fallback_count++)
        served->fallbacks[served->fallback_count] =
            *(m3_device *const *)m3_span_at(o->fallbacks, served->fallback_count);
    return M3_OK;
}

static m3_programs_plan plan_of(const m3_served *served)
{
    return (m3_programs_plan){
        .device = served->device,
        .config = &served->config,
        .no_pass = (const char *const *)served->no_pass,
        .strict = served->strict,
        .fallbacks = {served->fallback_count, sizeof(m3_device *), (const void *)served->fallbacks},
        .key = "eval_batch"};
}

m3_status m3_serve(m3_device *device, const char *run, const m3_serve_options *options, m3_served **out, m3_error *err)
{
    m3_status st;
    m3_training training;
    m3_serve_options o = {0};
    if (options != NULL) m3_copy_out(&o, options, options->size, M3_STRUCT_SIZE(m3_serve_options, precision));
    *out = NULL;
    m3_served *served = m3_calloc(1, sizeof *served);
    if (served == NULL) return M3_FAIL_MEMORY(err, run, sizeof *served);
    served->device = device;
    if ((served->run = m3_strdup(run)) == NULL) {
        st = M3_FAIL_MEMORY(err, run, strlen(run) + 1);
        goto done;
    }
    if ((st = keep_options(served, &o, err)) != M3_OK) goto done;
    if ((st = open_data(served, m3_device_engine(device), run, o.data, err)) != M3_OK) goto done;
    if (o.precision != NULL && (st = m3_model_set(&served->config, "precision", o.precision, err)) != M3_OK) goto done;
    if ((st = m3_run_checkpoint(run, o.checkpoint, &served->checkpoint, err)) != M3_OK) goto done;
    m3_settings_training(served->settings, &training);
    m3_programs_plan plan = plan_of(served);
    plan.eval_batch = (uint32_t)training.eval_batch;
    if ((st = make(served, &plan, served->checkpoint, err)) != M3_OK) goto done;
    *out = served;
    served = NULL; /* the caller owns it now */
done:
    m3_served_free(served);
    return st;
}

m3_infer_source m3_served_source(const m3_served *served)
{
    return (m3_infer_source){.set = served->set, .filter = served->denoised.filter, .trend = served->trend};
}

m3_status m3_served_publish(m3_served *served, uint32_t publish, uint32_t batch, m3_executable **executable,
                            m3_error *err)
{
    m3_programs programs = {0};
    m3_programs_plan plan = plan_of(served);
    plan.publish = publish;
    plan.published_batch = batch != 0 ? batch : served->shape.batch;
    m3_status st = m3_programs_make(&plan, served->store, &programs, err);
    *executable = programs.published;
    return st;
}

void m3_served_free(m3_served *served)
{
    if (served == NULL) return;
    m3_warm_start_fini(&served->start);
    m3_executable_free(served->infer);
    m3_store_free(served->store);
    m3_trend_free(served->trend);
    m3_denoised_fini(&served->denoised);
    m3_split_free(served->split);
    m3_dataset_close(served->set);
    m3_settings_free(served->settings);
    m3_free(served->popularity);
    for (char **name = served->no_pass; name != NULL && *name != NULL; name++) m3_free(*name);
    m3_free((void *)served->no_pass);
    m3_free((void *)served->fallbacks);
    m3_free(served->run);
    m3_free(served->data);
    m3_free(served->checkpoint);
    m3_free(served);
}

const m3_dataset *m3_served_dataset(const m3_served *served)
{
    return served->set;
}
