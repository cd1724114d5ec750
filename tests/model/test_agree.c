/* agree: a training on the devices that the argument names (tests/support/named.h) goes as on the cpu backend. Step by
 * step the losses of the first steps are the same but for rounding, which grows with each step; and the model that an
 * epoch makes ranks as well.
 * Labels: kernels
 * Parts: opencl vulkan */
#include "tests/support/named.h"
#include "tests/support/training.h"

#include <math.h>
#include <setjmp.h>

#include <cmocka.h>

enum { STEPS = 50, MOST_STEPS = 1000, RECENT = 32 /* steps that the reported loss is a mean of */, SETTINGS = 6 };

static struct {
    m3_engine *engine;
    m3_device *cpu, *devices[NAMED_DEVICES];
    uint32_t count;
    data_source source;
} with;

typedef struct row {
    const char *name;
    const char *settings[SETTINGS]; /* over those of training_settings() */
} row;

/* A small learning rate: AdamW makes whole steps of gradients that are nothing but rounding, such as those of key
 * biases, so with a large one two runs part that only round differently, the cpu's and the reference's too. */
static const row rows[] = {
    {"transformer experts, the loss over all items",
     {"lr=0.001", "width=16", "expert=transformer", "expert_layers=2", "dropout=0.1", "epochs=1"}},
    {"gru experts, the loss over sampled items",
     {"lr=0.001", "width=16", "expert=gru", "loss=sampled", "trend=20", "epochs=1"}},
    {"pooling experts, three batches a step", {"lr=0.001", "accumulate=3", "batch=8", "trend=20", "epochs=1"}},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

/* The losses of each step, from the means of the last ones that are reported. */
typedef struct losses {
    double value[MOST_STEPS], mean;
    uint32_t count;
} losses;

static void hear(void *user, const m3_progress *progress)
{
    losses *l = user;
    if (progress->note != NULL || progress->step == 0 || l->count == MOST_STEPS) return;
    const double before = l->count < RECENT ? l->mean * l->count : l->mean * RECENT - l->value[l->count - RECENT];
    const double kept = l->count < RECENT ? l->count + 1 : RECENT;
    l->value[l->count++] = progress->loss * kept - before;
    l->mean = progress->loss;
}

static double train(m3_device *device, const row *r, const char *run, losses *l)
{
    m3_error err = {0};
    char path[64];
    const char *const *s = r->settings;
    const m3_train_options options = {.strict = true, .progress = hear, .user = l};
    *l = (losses){.count = 0};
    m3_settings *settings =
        training_settings(data_source_path(&with.source, "set"), s[0], s[1], s[2], s[3], s[4], s[5], NULL);
    (void)snprintf(path, sizeof path, "%s-%zu", run, (size_t)(r - rows));
    const m3_train_result result = training_run(device, &with.source, settings, path, options, M3_OK, &err);
    m3_settings_free(settings);
    return result.best_metric;
}

static void goes_as_on_the_cpu(void **state)
{
    const row *r = *state;
    static losses want, have;
    const double ndcg = train(with.cpu, r, "cpu", &want);
    if (want.count < STEPS) fail_msg("the data give %u steps only", want.count);
    for (uint32_t d = 0; d < with.count; d++) {
        char run[64];
        (void)snprintf(run, sizeof run, "device-%u", d);
        const double got = train(with.devices[d], r, run, &have);
        assert_int_equal(have.count, want.count);
        for (uint32_t i = 0; i < STEPS; i++)
            if (!(fabs(have.value[i] - want.value[i]) <= 1e-3 * fabs(want.value[i])))
                fail_msg("step %u of %s: the loss is %.9g, on the cpu %.9g", i + 1, m3_device_name(with.devices[d]),
                         have.value[i], want.value[i]);
        if (!(fabs(got - ndcg) <= 0.05 * ndcg))
            fail_msg("%s: ndcg@10 is %.5f, on the cpu %.5f", m3_device_name(with.devices[d]), got, ndcg);
        print_message("%s: the loss of step %u is %.9g, on the cpu %.9g; ndcg@10 %.5f, on the cpu %.5f\n",
                      m3_device_name(with.devices[d]), STEPS, have.value[STEPS - 1], want.value[STEPS - 1], got, ndcg);
    }
}

static void open_all(const char *argument)
{
    m3_error err = {0};
    named names;
    m3_synth_options synth = M3_SYNTH_OPTIONS_INIT;
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR,
                                     .threads = 2,
                                     .log_level = M3_LOG_ERROR,
                                     .allow_writable_folder = true};
    named_read(&names, argument);
    m3_status st = m3_engine_create(&config, &with.engine, &err);
    if (st == M3_OK) with.count = named_open(&names, with.engine, with.devices);
    if (st == M3_OK) st = m3_device_open(with.engine, "cpu", (m3_span){0}, &with.cpu, &err);
    data_source_make(&with.source);
    synth.users = 600;
    synth.items = 80;
    synth.clusters = 5;
    synth.width = 6;
    synth.events = 10;
    if (st == M3_OK) st = m3_data_synth(&synth, with.source.directory, &err);
    if (st == M3_OK) st = data_source_import(&with.source, (m3_import_options){0}, NULL, &err);
    if (st == M3_OK) return;
    print_error("%s: %s\n", err.subject, err.message);
    exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[ROWS];
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s BACKEND[,KEY=VALUE]...\n", argv[0]);
        return EXIT_FAILURE;
    }
    open_all(argv[1]);
    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, goes_as_on_the_cpu, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    const int failed = cmocka_run_group_tests_name(argv[1], tests, NULL, NULL);
    data_source_remove(&with.source);
    for (uint32_t i = 0; i < with.count; i++) m3_device_close(with.devices[i]);
    m3_device_close(with.cpu);
    m3_engine_free(with.engine);
    return failed;
}
