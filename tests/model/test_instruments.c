/* instruments: what a training logs about the parts of its model, and which it warns of: those that are broken here on
 * purpose and no others; and that looking changes nothing. */
#include "tests/support/training.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static m3_engine *engine;
static m3_device *device;
static data_source source;
static char said[8192]; /* lines of the engine's log */

static void hear(void *user, m3_log_level level, const char *line)
{
    const size_t at = strlen(said);
    (void)user;
    (void)level;
    (void)snprintf(said + at, sizeof said - at, "%s\n", line);
}

static int set_up(void **state)
{
    (void)state;
    m3_error err = {0};
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR,
                                     .threads = 1,
                                     .log = hear,
                                     .log_level = M3_LOG_WARN,
                                     .allow_writable_folder = true};
    training_check(m3_engine_create(&config, &engine, &err), &err);
    training_check(m3_device_open(engine, "cpu", (m3_span){0}, &device, &err), &err);
    training_check(training_data(&source, &err), &err);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    m3_device_close(device);
    m3_engine_free(engine);
    data_source_remove(&source);
    return 0;
}

/* Train, and give the member "instruments" of the last epoch's line; json_decref() it. said has what was warned of. */
static json_t *instruments_after(const m3_settings *settings, const char *run, m3_train_options options)
{
    m3_error err = {0};
    char path[300], line[65536];
    json_t *last = NULL;
    said[0] = 0;
    training_run(device, &source, settings, run, options, M3_OK, &err);
    (void)snprintf(path, sizeof path, "%s/log.jsonl", data_source_path(&source, run));
    FILE *log = fopen(path, "rb");
    assert_non_null(log);
    while (fgets(line, sizeof line, log) != NULL) {
        json_t *event = json_loads(line, 0, NULL), *found = json_object_get(event, "instruments");
        if (found != NULL) {
            json_decref(last);
            last = json_incref(found);
        }
        json_decref(event);
    }
    (void)fclose(log);
    return last;
}

static json_t *instruments_of(const m3_settings *settings, const char *run)
{
    return instruments_after(settings, run, (m3_train_options){0});
}

static json_t *at(const json_t *object, const char *a, const char *b, const char *c)
{
    json_t *found = json_object_get(object, a);
    if (b != NULL) found = json_object_get(found, b);
    if (c != NULL) found = json_object_get(found, c);
    if (found == NULL) fail_msg("there is no %s %s %s", a, b != NULL ? b : "", c != NULL ? c : "");
    return found;
}

static double number(const json_t *object, const char *a, const char *b, const char *c)
{
    const json_t *found = at(object, a, b, c);
    if (!json_is_number(found)) fail_msg("%s %s %s is no number", a, b, c != NULL ? c : "");
    return json_number_value(found);
}

static void a_healthy_model_has_its_numbers_and_no_warning(void **state)
{
    (void)state;
    const char *name;
    json_t *value;
    double sum = 0.0;
    m3_settings *settings = training_settings(data_source_path(&source, "set"), "router=sigmoid", NULL);
    json_t *in = instruments_of(settings, "healthy");
    if (said[0] != 0 || json_object_size(at(in, "dead", NULL, NULL)) != 0) fail_msg("warns: %s", said);
    assert_true(json_integer_value(at(in, "samples", NULL, NULL)) > 30);
    json_object_foreach(at(in, "router", "weights", NULL), name, value) sum += json_number_value(value);
    assert_true(fabs(sum - 1.0) < 1e-6);
    assert_int_equal(json_object_size(at(in, "router", "weights", NULL)), 5); /* common, 2 behaviors, 2 modalities */
    /* The sigmoid router gives to all specific experts alike. */
    assert_true(fabs(number(in, "router", "weights", "view/id") - number(in, "router", "weights", "buy/image")) < 1e-6);
    const double entropy = number(in, "router", "entropy", NULL), of_mean = number(in, "router", "mean_entropy", NULL);
    assert_true(0.0 < entropy && entropy <= of_mean + 1e-6 && of_mean <= 1.0 + 1e-9);
    assert_true(number(in, "encoders", "id", "rank") > 2.0 && number(in, "encoders", "id", "rank") <= 8.0);
    assert_true(number(in, "encoders", "image", "spread") <= number(in, "encoders", "image", "scale"));
    assert_int_equal(json_object_size(at(in, "interests", NULL, NULL)), 5);
    assert_true(number(in, "interests", "common", "spread") > 0.01);
    assert_true(number(in, "interests", "view/image", "rank") >= 1.0);
    assert_true(number(in, "gradients", "experts.specific.buy/image", "rms") > 0.0);
    assert_true(number(in, "gradients", "denoise.modality0", "zero") < 0.5);
    assert_true(number(in, "gradients", "item.weight", "rms") > 0.0);
    assert_true(number(in, "denoisers", "denoise.modality0", "change") > 0.001);
    assert_true(number(in, "denoisers", "denoise.behavior0", "change") > 0.001);
    assert_true(number(in, "denoisers", "denoise.behavior0", "loss") > 0.0);
    /* The mean square of normal noise. */
    assert_true(fabs(number(in, "denoisers", "denoise.modality0", "nothing") - 1.0) < 0.1);
    assert_true(number(in, "contrast", "loss", NULL) > 0.0);
    assert_true(fabs(number(in, "contrast", "untrained", NULL) - log(5.0)) < 1e-6);
    json_decref(in);
    m3_settings_free(settings);
}

/* What a configuration leaves out is not looked for, and what it has is alive. */
static void other_formulas_are_alive_too(void **state)
{
    static const struct formulas {
        const char *settings[6], *has, *lacks;
        int weights;
    } all[] = {
        {{"denoise=gated", "objective=x0", "router=balanced", "contrast=users", "fusion=table", NULL},
         "common",
         "none",
         5},
        {{"interests=specific", "router=balanced", "fusion=scores", "loss=sampled", "trend=20", NULL},
         "view/id",
         "common",
         4},
        {{"interests=common", "router=balanced", "contrast=users", NULL}, "common", "view/id", 1},
        {{"router=normed", "contrast=targets", "w_contrast=0.1", NULL}, "common", "none", 5},
    };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        char name[32];
        m3_error err = {0};
        m3_settings *settings = training_settings(data_source_path(&source, "set"), all[i].settings[0], NULL);
        for (size_t k = 1; all[i].settings[k] != NULL; k++)
            training_check(m3_settings_set(settings, all[i].settings[k], &err), &err);
        (void)snprintf(name, sizeof name, "formulas%zu", i);
        json_t *in = instruments_of(settings, name), *weights = at(in, "router", "weights", NULL);
        if (said[0] != 0 || json_object_size(at(in, "dead", NULL, NULL)) != 0) fail_msg("%zu warns: %s", i, said);
        assert_int_equal(json_object_size(weights), all[i].weights);
        assert_non_null(json_object_get(weights, all[i].has));
        assert_null(json_object_get(weights, all[i].lacks));
        assert_int_equal(json_object_size(at(in, "interests", NULL, NULL)), all[i].weights);
        if (!json_is_null(at(in, "contrast", NULL, NULL))) /* users or targets of the batch of 32 */
            assert_true(fabs(number(in, "contrast", "untrained", NULL) - log(32.0)) < 1e-6);
        json_decref(in);
        m3_settings_free(settings);
    }
}

/* A denoiser that is to predict the clean signal and predicts 0 is wrong by the signal. */
static void nothing_costs_the_signal(void **state)
{
    (void)state;
    m3_settings *settings = training_settings(data_source_path(&source, "set"), "objective=x0", "dropout=0.3", NULL);
    json_t *in = instruments_of(settings, "signal");
    const double scale = number(in, "encoders", "image", "scale");
    assert_true(fabs(number(in, "denoisers", "denoise.modality0", "nothing") / (scale * scale) - 1.0) < 1e-3);
    json_decref(in);
    m3_settings_free(settings);
}

enum features { AS_THEY_ARE, ALL_ZERO, ONE_DIRECTION };

/* A part that is broken on purpose. */
static const struct broken {
    const char *name;
    const char *settings[5];
    enum features features;
    const char *part, *says;
} rows[] = {
    {"features that are all 0",
     {"router=sigmoid"},
     ALL_ZERO,
     "encoder.feature0 (image)",
     "its output hardly differs from item to item"},
    {"features that differ along one line",
     {"router=sigmoid"},
     ONE_DIRECTION,
     "encoder.feature0 (image)",
     "its output has an effective rank of 1."},
    {"a denoiser that changes nothing",
     {"router=sigmoid", "objective=eps", "beta_start=1e-9", "infer_start=1"},
     AS_THEY_ARE,
     "denoise.behavior0 (view)",
     "it changes what it denoises by"},
    {"a denoiser that does not learn",
     {"router=sigmoid", "objective=eps", "lr=0", "epochs=3"},
     AS_THEY_ARE,
     "denoise.modality0 (image)",
     "is no better than the"},
    {"a contrast that is saturated",
     {"router=sigmoid", "temperature=0.01", "w_contrast=5", "epochs=6"},
     AS_THEY_ARE,
     "contrast",
     "it is saturated: its mean loss is"},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

/* All zeros, or all multiples of one row. */
static void break_features(const data_source *from, enum features features)
{
    enum { ITEMS = 50, COLUMNS = 8 };
    static double values[ITEMS * COLUMNS];
    for (int i = 0; i < ITEMS * COLUMNS; i++)
        values[i] = features == ALL_ZERO ? 0.0 : sin(1.0 + i / COLUMNS) * cos(1.0 + i % COLUMNS);
    data_source_write_npy(from, "image.npy", "<f4", false, ITEMS, COLUMNS, values);
}

static void a_broken_part_is_named(void **state)
{
    const struct broken *row = *state;
    const char *const *set = row->settings;
    m3_error err = {0};
    data_source own;
    char line[256], page_path[300], page[65536] = "";
    training_check(training_data(&own, &err), &err);
    if (row->features != AS_THEY_ARE) {
        break_features(&own, row->features);
        training_check(data_source_import(&own, (m3_import_options){0}, NULL, &err), &err);
    }
    m3_settings *settings = training_settings(data_source_path(&own, "set"), set[0], set[1], set[2], set[3], NULL);
    char run[32];
    (void)snprintf(run, sizeof run, "broken%d", (int)(row - rows));
    json_t *in = instruments_of(settings, run), *dead = at(in, "dead", NULL, NULL), *reason;
    const char *part;
    bool found = false;
    json_object_foreach(dead, part, reason)
    {
        found = found || (strncmp(part, row->part, strlen(row->part)) == 0 &&
                          strstr(json_string_value(reason), row->says) != NULL);
        (void)snprintf(line, sizeof line, "%s is dead: ", part); /* with the reason when it was first seen */
        const char *first = strstr(said, line);
        if (first == NULL) fail_msg("no warning of %s: %s", part, said);
        if (first != NULL && strstr(first + 1, line) != NULL) fail_msg("%s is warned of twice: %s", part, said);
    }
    if (!found) fail_msg("%s is not among the dead: %s", row->part, said);
    (void)snprintf(page_path, sizeof page_path, "%s/report.html", data_source_path(&source, run));
    FILE *file = fopen(page_path, "rb");
    assert_non_null(file);
    assert_true(fread(page, 1, sizeof page - 1, file) > 0);
    (void)fclose(file);
    assert_non_null(strstr(page, row->says));
    assert_non_null(strstr(page, "Router: mean weight by expert"));
    json_decref(in);
    m3_settings_free(settings);
    data_source_remove(&own);
}

/* Nobody has the behavior buy, so that its experts never see anything. */
static void an_expert_without_gradients_is_named(void **state)
{
    (void)state;
    static const char *const behaviors[] = {"view", "buy"};
    m3_error err = {0};
    data_source odd;
    char text[8192] = "user_id\titem_id\tbehavior\ttimestamp\n";
    data_source_make(&odd);
    for (int u = 0; u < 20; u++)
        for (int i = 0; i < 8; i++)
            (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%d\t%c\tview\t%d\n", u, 'a' + (u + i) % 11,
                           i);
    data_source_write(&odd, "interactions.tsv", text, 0);
    const m3_import_options import = {.size = M3_STRUCT_SIZE(m3_import_options, reading),
                                      .behaviors = behaviors,
                                      .behavior_count = 2,
                                      .target = "view"};
    training_check(data_source_import(&odd, import, NULL, &err), &err);
    m3_settings *settings = training_settings(data_source_path(&odd, "set"), "router=sigmoid", NULL);
    json_t *in = instruments_of(settings, "unseen");
    assert_true(number(in, "gradients", "experts.specific.buy/id", "zero") > 0.99);
    assert_true(number(in, "gradients", "experts.specific.view/id", "zero") < 0.5);
    assert_non_null(strstr(said, "experts.specific.buy/id is dead: "));
    assert_non_null(strstr(said, "get no gradient"));
    assert_null(strstr(said, "view/id is dead"));
    json_decref(in);
    m3_settings_free(settings);
    data_source_remove(&odd);
}

/* Overwrite the first numbers of a parameter in a checkpoint. */
static void write_parameter(const char *path, const char *name, const float *values, size_t count)
{
    uint64_t length = 0;
    static char header[1 << 16];
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fread(&length, sizeof length, 1, file), 1);
    assert_true(length < sizeof header);
    assert_int_equal(fread(header, 1, (size_t)length, file), length);
    json_t *all = json_loadb(header, (size_t)length, 0, NULL);
    const json_int_t begin = json_integer_value(json_array_get(at(all, name, "data_offsets", NULL), 0));
    assert_int_equal(fseek(file, (long)(sizeof length + length) + (long)begin, SEEK_SET), 0);
    assert_int_equal(fwrite(values, sizeof *values, count, file), count);
    (void)fclose(file);
    json_decref(all);
}

/* Nothing is learned, but between two epochs the router's bias for the common interest becomes 20. */
static void experts_without_weight_are_named(void **state)
{
    (void)state;
    char path[300];
    const float bias = 20.0F;
    const char *set = data_source_path(&source, "set");
    m3_settings *one = training_settings(set, "router=softmax", "lr=0", "epochs=1", NULL);
    m3_settings *two = training_settings(set, "router=softmax", "lr=0", "epochs=2", NULL);
    json_decref(instruments_of(one, "router"));
    assert_string_equal(said, "");
    (void)snprintf(path, sizeof path, "%s/last.safetensors", data_source_path(&source, "router"));
    write_parameter(path, "router.gate.bias", &bias, 1);
    json_t *in = instruments_after(two, "router", (m3_train_options){.resume = true});
    assert_int_equal(json_object_size(at(in, "dead", NULL, NULL)), 4);
    assert_true(number(in, "router", "weights", "common") > 0.99);
    assert_true(number(in, "router", "entropy", NULL) < 0.01);
    assert_non_null(strstr(said, "epoch 2: experts.specific.view/image is dead: the router gives it a mean weight of"));
    assert_null(strstr(said, "experts.common"));
    json_decref(in);
    m3_settings_free(one);
    m3_settings_free(two);
}

/* The same with an encoder, and with the shared expert, whose last scale becomes 1e-3. */
static void outputs_that_collapse_are_named(void **state)
{
    (void)state;
    enum { WIDTH = 8 };
    char path[300];
    float weight[WIDTH];
    const char *set = data_source_path(&source, "set");
    m3_settings *one = training_settings(set, "router=sigmoid", "lr=0", "epochs=1", NULL);
    m3_settings *two = training_settings(set, "router=sigmoid", "lr=0", "epochs=2", NULL);
    json_decref(instruments_of(one, "collapse"));
    for (int i = 0; i < WIDTH; i++) weight[i] = 1e-3F;
    (void)snprintf(path, sizeof path, "%s/last.safetensors", data_source_path(&source, "collapse"));
    write_parameter(path, "encoder.feature0.norm.weight", weight, WIDTH);
    write_parameter(path, "experts.shared.norm.weight", weight, WIDTH);
    json_t *in = instruments_after(two, "collapse", (m3_train_options){.resume = true});
    assert_true(fabs(number(in, "encoders", "image", "scale") - 1e-3) < 1e-4);
    assert_non_null(strstr(said, "epoch 2: encoder.feature0 (image) is dead: its output has a scale of 0.001"));
    /* Small beside the noise, it is replaced by the denoiser instead of denoised. */
    assert_non_null(strstr(said, "epoch 2: denoise.modality0 (image) is dead: it changes what it denoises by"));
    assert_non_null(strstr(said, "epoch 2: experts.common is dead: its output has a scale of"));
    assert_null(strstr(said, "encoder.id"));
    assert_null(strstr(said, "experts.specific"));
    json_decref(in);
    m3_settings_free(one);
    m3_settings_free(two);
}

static void what_is_not_used_is_not_dead(void **state)
{
    (void)state;
    m3_settings *settings = training_settings(data_source_path(&source, "set"), "router=sigmoid", "w_contrast=0", NULL);
    json_t *in = instruments_of(settings, "unused");
    if (said[0] != 0) fail_msg("warns: %s", said);
    assert_true(json_is_null(at(in, "contrast", NULL, NULL)));
    assert_true(json_is_null(at(in, "gradients", "contrast", NULL)));
    json_decref(in);
    m3_settings_free(settings);
}

/* With one sequence there is nothing to contrast it with. */
static void one_sequence_has_no_contrast(void **state)
{
    (void)state;
    m3_error err = {0};
    data_source plain;
    char text[8192] = "user_id\titem_id\ttimestamp\n";
    data_source_make(&plain);
    for (int u = 0; u < 20; u++)
        for (int i = 0; i < 8; i++)
            (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%d\t%c\t%d\n", u, 'a' + (u + i) % 11, i);
    data_source_write(&plain, "interactions.tsv", text, 0);
    training_check(data_source_import(&plain, (m3_import_options){0}, NULL, &err), &err);
    m3_settings *settings = training_settings(data_source_path(&plain, "set"), "router=sigmoid", NULL);
    json_t *in = instruments_of(settings, "alone");
    if (said[0] != 0) fail_msg("warns: %s", said);
    assert_true(json_is_null(at(in, "contrast", NULL, NULL)));
    assert_int_equal(json_object_size(at(in, "denoisers", NULL, NULL)), 0);
    json_decref(in);
    m3_settings_free(settings);
    data_source_remove(&plain);
}

static void looking_changes_nothing(void **state)
{
    (void)state;
    const char *set = data_source_path(&source, "set");
    m3_settings *with = training_settings(set, "dropout=0.2", "instruments=7", "eval_batch=5", NULL);
    m3_settings *without = training_settings(set, "dropout=0.2", "instruments=0", "eval_batch=5", NULL);
    json_t *in = instruments_of(with, "with"), *none = instruments_of(without, "without");
    assert_null(none);
    assert_int_equal(json_integer_value(at(in, "samples", NULL, NULL)), 7); /* in batches of 5 */
    training_same_tensors(&source, "with", "without", "last.safetensors", 0.0);
    training_same_tensors(&source, "with", "without", "best.safetensors", 0.0);
    json_decref(in);
    m3_settings_free(with);
    m3_settings_free(without);
}

int main(void)
{
    struct CMUnitTest tests[ROWS + 9] = {
        cmocka_unit_test(a_healthy_model_has_its_numbers_and_no_warning),
        cmocka_unit_test(an_expert_without_gradients_is_named),
        cmocka_unit_test(experts_without_weight_are_named),
        cmocka_unit_test(outputs_that_collapse_are_named),
        cmocka_unit_test(other_formulas_are_alive_too),
        cmocka_unit_test(nothing_costs_the_signal),
        cmocka_unit_test(what_is_not_used_is_not_dead),
        cmocka_unit_test(one_sequence_has_no_contrast),
        cmocka_unit_test(looking_changes_nothing),
    };
    for (size_t i = 0; i < ROWS; i++)
        tests[9 + i] =
            (struct CMUnitTest){rows[i].name, a_broken_part_is_named, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
