/* training: see the header. */
#include "tests/support/training.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/safetensors.h"

void training_check(m3_status st, const m3_error *err)
{
    if (st != M3_OK) fail_msg("%s: %s [%s:%d]", err->subject, err->message, err->file, err->line);
}

m3_settings *training_settings(const char *set, ...)
{
    /* With networks that denoise, which the defaults do not have. */
    static const char *const small[] = {"denoise=replace", "fusion=none",     "router=sigmoid", "contrast=interests",
                                        "w_contrast=0.01", "width=8",         "heads=2",        "length=6",
                                        "expert=pool",     "expert_layers=1", "ffn_mult=2",     "diffusion_steps=8",
                                        "infer_start=4",   "batch=32",        "epochs=2",       "lr=0.01",
                                        "seed=7"};
    m3_settings *settings = NULL;
    m3_error err = {0};
    char data[300];
    training_check(m3_settings_create(&settings, &err), &err);
    (void)snprintf(data, sizeof data, "data=%s", set);
    training_check(m3_settings_set(settings, data, &err), &err);
    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++)
        training_check(m3_settings_set(settings, small[i], &err), &err);
    va_list more;
    va_start(more, set);
    for (const char *one; (one = va_arg(more, const char *)) != NULL;)
        training_check(m3_settings_set(settings, one, &err), &err);
    va_end(more);
    return settings;
}

m3_status training_data(data_source *source, m3_error *err)
{
    m3_synth_options synth = M3_SYNTH_OPTIONS_INIT;
    data_source_make(source);
    synth.users = 60;
    synth.items = 50;
    synth.clusters = 4;
    synth.width = 4;
    synth.events = 8;
    m3_status st = m3_data_synth(&synth, source->directory, err);
    return st != M3_OK ? st : data_source_import(source, (m3_import_options){0}, NULL, err);
}

m3_train_result training_run(m3_device *device, const data_source *source, const m3_settings *settings, const char *run,
                             m3_train_options options, m3_status want, m3_error *err)
{
    m3_train_result result = {.size = M3_STRUCT_SIZE(m3_train_result, early)};
    options.size = M3_STRUCT_SIZE(m3_train_options, stop_after);
    m3_status st = m3_train(device, settings, data_source_path(source, run), &options, &result, err);
    if (st != want) fail_msg("%s: status %d: %s: %s", run, (int)st, err->subject, err->message);
    return result;
}

static m3_safetensors *open_file(const data_source *source, const char *run, const char *name)
{
    m3_safetensors *file = NULL;
    m3_error err = {0};
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", data_source_path(source, run), name);
    training_check(m3_safetensors_open(path, &file, &err), &err);
    return file;
}

void training_same_tensors(const data_source *source, const char *a, const char *b, const char *name, double bound)
{
    m3_error err = {0};
    m3_safetensors *x = open_file(source, a, name), *y = open_file(source, b, name);
    assert_int_equal(m3_safetensors_count(x), m3_safetensors_count(y));
    for (uint32_t i = 0; i < m3_safetensors_count(x); i++) {
        const m3_safetensors_entry *entry = m3_safetensors_at(x, i);
        uint32_t other = 0;
        assert_true(m3_safetensors_find(y, entry->name, &other));
        size_t count = (size_t)m3_shape_count(&entry->shape);
        float *p = calloc(count + 1, sizeof *p), *q = calloc(count + 1, sizeof *q);
        training_check(m3_safetensors_read_f32(x, i, p, count, &err), &err);
        training_check(m3_safetensors_read_f32(y, other, q, count, &err), &err);
        for (size_t k = 0; k < count; k++)
            if (!(fabs((double)p[k] - (double)q[k]) <= bound * (1.0 + fabs((double)q[k]))))
                fail_msg("%s[%zu] is %.9g in %s and %.9g in %s", entry->name, k, (double)p[k], a, (double)q[k], b);
        free(p);
        free(q);
    }
    m3_safetensors_close(x);
    m3_safetensors_close(y);
}

m3_status training_ranks_open(training_ranks *ranks, const char *plugins, m3_error *err)
{
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = plugins,
                                     .threads = 1,
                                     .log_level = M3_LOG_ERROR,
                                     .allow_writable_folder = true};
    m3_status st = m3_engine_create(&config, &ranks->groups, err);
    for (int i = 0; i < TRAINING_RANKS && st == M3_OK; i++) {
        st = m3_engine_create(&config, &ranks->engines[i], err);
        if (st == M3_OK) st = m3_device_open(ranks->engines[i], "cpu", (m3_span){0}, &ranks->devices[i], err);
    }
    return st;
}

void training_ranks_close(training_ranks *ranks)
{
    for (int i = 0; i < TRAINING_RANKS; i++) {
        m3_device_close(ranks->devices[i]);
        m3_engine_free(ranks->engines[i]);
    }
    m3_engine_free(ranks->groups);
    *ranks = (training_ranks){0};
}

m3_status training_ranks_train(const training_ranks *ranks, m3_device *const *with, uint32_t count,
                               const data_source *source, const m3_settings *settings, const char *run,
                               m3_train_options options, m3_train_result *result, m3_error *err)
{
    m3_group *group = NULL;
    m3_rank_device list[TRAINING_RANKS] = {{0}};
    result->size = M3_STRUCT_SIZE(m3_train_result, told);
    options.size = M3_STRUCT_SIZE(m3_train_options, stop_after);
    for (uint32_t i = 0; i < count; i++)
        list[i] = (m3_rank_device){.size = M3_STRUCT_SIZE(m3_rank_device, fallbacks), .device = with[i]};
    m3_status st = m3_group_open(ranks->groups, "local", count, 60.0, (m3_span){0}, &group, err);
    if (st == M3_OK) {
        assert_int_equal(m3_group_ranks(group), count);
        const m3_span span = {.count = count, .stride = sizeof list[0], .data = list};
        st = m3_train_ranks(group, span, settings, data_source_path(source, run), &options, result, err);
    }
    m3_group_close(group);
    return st;
}

bool training_fails(void *failing, size_t bytes)
{
    training_failing *f = failing;
    (void)bytes;
    return atomic_fetch_add(&f->seen, 1) != f->at;
}
