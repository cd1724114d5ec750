/* tune: compile the training step and inference on a device that measures while it compiles. */
#include "core/programs/programs.h"
#include "core/runtime/engine.h"
#include "core/settings/settings.h"
#include "m3bsr/bench.h"

static m3_status take_settings(m3_device *device, const m3_settings *settings, uint32_t batch, m3_model_config *config,
                               m3_error *err)
{
    m3_status st = m3_settings_config(m3_device_engine(device), settings, config, err);
    if (st != M3_OK) return st;
    if (batch > INT32_MAX) return M3_FAIL(err, M3_ERR_RANGE, "batch", "is %u; give at most %d", batch, INT32_MAX);
    if (batch != 0) config->batch = (int32_t)batch;
    return m3_model_check(m3_device_engine(device), config, err);
}

m3_status m3_tune(m3_device *device, const m3_settings *settings, const m3_tune_options *options, m3_tuning *tuning,
                  m3_error *err)
{
    m3_status st;
    m3_model_config config;
    m3_training training;
    m3_tune_options o = {0};
    m3_store *store = NULL;
    m3_programs programs = {0};
    m3_programs_plan plan = {0};
    if (options != NULL) m3_copy_out(&o, options, options->size, M3_STRUCT_SIZE(m3_tune_options, fallbacks));
    if ((st = m3_device_tuning(device, tuning, err)) != M3_OK) return st; /* no use in compiling, then */
    if ((st = take_settings(device, settings, o.batch, &config, err)) != M3_OK) return st;
    m3_settings_training(settings, &training);
    plan = (m3_programs_plan){.device = device,
                              .config = &config,
                              .batch = (uint32_t)config.batch,
                              .accumulate = training.accumulate,
                              .parts = (uint32_t)training.accumulate,
                              .eval_batch = o.batch != 0 ? o.batch : (uint32_t)training.eval_batch,
                              .no_pass = o.no_pass,
                              .strict = o.strict,
                              .fallbacks = o.fallbacks,
                              .key = "batch"};
    if ((st = m3_store_create(device, training.seed, &store, err)) != M3_OK) goto done;
    if ((st = m3_programs_make(&plan, store, &programs, err)) != M3_OK) goto done;
    st = m3_device_tuning(device, tuning, err);
done:
    m3_programs_free(&programs);
    m3_store_free(store);
    if (st != M3_OK) m3_programs_explain(&plan, err);
    return st;
}
