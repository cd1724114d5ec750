/* trace: what m3_trace_users writes: tensors by name and layout, whose values are those that recommendations come from,
 * and notes that say whose they are.   Labels: errors */
#include "core/base/alloc.h"
#include "core/base/safetensors.h"
#include "m3bsr/serve.h"
#include "tests/support/training.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

enum { BEHAVIORS = 2, MODALITIES = 2, GROUPS = BEHAVIORS * MODALITIES, LENGTH = 6, WIDTH = 8, TOP = 10 };

static m3_engine *engine;
static m3_device *device;
static data_source source;
static m3_served *served;

static int set_up(void **state)
{
    (void)state;
    m3_error err = {0};
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR,
                                     .threads = 1,
                                     .log_level = M3_LOG_ERROR,
                                     .allow_writable_folder = true};
    training_check(m3_engine_create(&config, &engine, &err), &err);
    training_check(m3_device_open(engine, "cpu", (m3_span){0}, &device, &err), &err);
    training_check(training_data(&source, &err), &err);
    m3_settings *settings = training_settings(data_source_path(&source, "set"), "epochs=1", "eval_batch=7", NULL);
    training_run(device, &source, settings, "run", (m3_train_options){0}, M3_OK, &err);
    m3_settings_free(settings);
    training_check(m3_serve(device, data_source_path(&source, "run"), NULL, &served, &err), &err);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    m3_served_free(served);
    m3_device_close(device);
    m3_engine_free(engine);
    data_source_remove(&source);
    return 0;
}

/* Trace users from `first` on into FILE and open it. */
static m3_safetensors *traced(const char *file, uint32_t first, uint32_t count, const char *const *tensors)
{
    m3_error err = {0};
    uint32_t users[64];
    m3_safetensors *opened = NULL;
    for (uint32_t i = 0; i < count; i++) users[i] = first + i;
    training_check(m3_trace_users(served, NULL, users, count, tensors, data_source_path(&source, file), &err), &err);
    training_check(m3_safetensors_open(data_source_path(&source, file), &opened, &err), &err);
    return opened;
}

/* The values of a tensor that must have this shape. free() them. */
static float *values(const m3_safetensors *file, const char *name, m3_shape shape)
{
    m3_error err = {0};
    uint32_t index = 0;
    if (!m3_safetensors_find(file, name, &index)) fail_msg("there is no %s", name);
    if (!m3_shape_equal(&m3_safetensors_at(file, index)->shape, &shape))
        fail_msg("%s is %s, not %s", name, M3_SHAPE_TEXT(&m3_safetensors_at(file, index)->shape),
                 M3_SHAPE_TEXT(&shape));
    const uint64_t count = m3_shape_count(&shape);
    float *data = calloc((size_t)count, sizeof *data);
    if (m3_safetensors_at(file, index)->dtype == M3_I32)
        training_check(m3_safetensors_read(file, index, data, count * sizeof *data, &err), &err);
    else
        training_check(m3_safetensors_read_f32(file, index, data, count, &err), &err);
    return data;
}

static m3_shape shape_of(uint32_t rank, ...)
{
    m3_shape shape = {.rank = rank};
    va_list dims;
    va_start(dims, rank);
    for (uint32_t i = 0; i < rank; i++) shape.dim[i] = (uint64_t)va_arg(dims, int);
    va_end(dims);
    return shape;
}

static bool near(float a, float b)
{
    return fabs((double)(a - b)) <= 1e-5 * (1.0 + fabs((double)b));
}

static const char *const all[] = {"ids",    "encoded", "after_modality", "after_behavior", "specific",
                                  "common", "gate",    "user",           "scores",         NULL};

static void every_tensor_has_its_name_and_layout(void **state)
{
    (void)state;
    enum { COUNT = 17 }; /* three batches of 7 */
    m3_safetensors *file = traced("all.safetensors", 3, COUNT, all);
    const int items = (int)m3_dataset_item_count(m3_served_dataset(served));
    float *ids = values(file, "input.ids", shape_of(3, BEHAVIORS, COUNT, LENGTH));
    const m3_shape sequences = shape_of(5, BEHAVIORS, MODALITIES, COUNT, LENGTH, WIDTH);
    for (int i = 1; i <= 3; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "infer.%s", all[i]);
        float *x = values(file, name, sequences);
        for (size_t k = 0; k < BEHAVIORS * MODALITIES * COUNT * LENGTH; k++) { /* padding is 0, all else is not */
            const size_t user = k / LENGTH % COUNT, b = k / LENGTH / COUNT / MODALITIES;
            int32_t id;
            double sum = 0.0;
            memcpy(&id, &ids[(b * COUNT + user) * LENGTH + k % LENGTH], sizeof id);
            for (size_t d = 0; d < WIDTH; d++) sum += fabs((double)x[k * WIDTH + d]);
            assert_int_equal(sum > 0.0, id != 0);
        }
        free(x);
    }
    free(values(file, "infer.specific", shape_of(3, GROUPS, COUNT, WIDTH)));
    free(values(file, "infer.common", shape_of(3, GROUPS, COUNT, WIDTH)));
    float *gate = values(file, "infer.gate", shape_of(2, COUNT, GROUPS + 1));
    for (size_t u = 0; u < COUNT; u++) {
        float sum = 0.0F;
        for (size_t i = 0; i <= GROUPS; i++) sum += gate[u * (GROUPS + 1) + i];
        assert_true(near(sum, 1.0F));
    }
    free(values(file, "infer.user", shape_of(2, COUNT, WIDTH)));
    free(values(file, "infer.scores", shape_of(2, COUNT, items)));
    assert_int_equal(m3_safetensors_count(file), 9);
    free(ids);
    free(gate);
    m3_safetensors_close(file);
}

/* user · E_j is item j's score, and the score that a recommendation has. */
static void user_vectors_are_what_ranks(void **state)
{
    (void)state;
    enum { COUNT = 9 };
    m3_error err = {0};
    m3_recommendation best[COUNT * TOP];
    uint32_t users[COUNT], index = 0;
    const uint32_t items = m3_dataset_item_count(m3_served_dataset(served));
    m3_safetensors *file = traced("rank.safetensors", 0, COUNT, (const char *const[]){"scores", "user", NULL});
    m3_safetensors *checkpoint = NULL;
    training_check(m3_safetensors_open(data_source_path(&source, "run/best.safetensors"), &checkpoint, &err), &err);
    assert_true(m3_safetensors_find(checkpoint, "item.weight", &index));
    float *table = values(checkpoint, "item.weight", shape_of(2, (int)items + 1, WIDTH));
    float *user = values(file, "infer.user", shape_of(2, COUNT, WIDTH));
    float *scores = values(file, "infer.scores", shape_of(2, COUNT, (int)items));
    for (uint32_t u = 0; u < COUNT; u++) {
        users[u] = u;
        for (uint32_t j = 1; j <= items; j++) {
            float sum = 0.0F;
            for (uint32_t d = 0; d < WIDTH; d++) sum += user[u * WIDTH + d] * table[j * WIDTH + d];
            assert_true(near(sum, scores[u * items + j - 1]));
        }
    }
    training_check(m3_recommend(served, NULL, users, COUNT, TOP, M3_EXCLUDE_NONE, best, &err), &err);
    for (uint32_t i = 0; i < COUNT * TOP; i++)
        assert_true(near(scores[i / TOP * items + best[i].item - 1], best[i].score));
    assert_int_equal(m3_safetensors_count(file), 2);
    free(table);
    free(user);
    free(scores);
    m3_safetensors_close(checkpoint);
    m3_safetensors_close(file);
}

static json_t *note(const m3_safetensors *file, const char *key)
{
    json_error_t wrong;
    const char *text = m3_safetensors_meta(file, key);
    if (text == NULL) fail_msg("there is no note %s", key);
    json_t *value = json_loads(text, 0, &wrong);
    if (value == NULL) fail_msg("%s: %s", key, wrong.text);
    return value;
}

static void assert_text(const json_t *list, size_t i, const char *text)
{
    assert_string_equal(json_string_value(json_array_get(list, i)), text);
}

/* ids are those of the last items of each behavior, oldest first, and a note translates them. */
static void notes_say_whose_values_they_are(void **state)
{
    (void)state;
    enum { COUNT = 8 };
    const m3_dataset *set = m3_served_dataset(served);
    m3_safetensors *file = traced("notes.safetensors", 5, COUNT, NULL);
    json_t *users = note(file, "users"), *items = note(file, "items"), *experts = note(file, "experts");
    json_t *behaviors = note(file, "behaviors"), *modalities = note(file, "modalities");
    uint32_t scores = 0;
    assert_string_equal(m3_safetensors_meta(file, "format"), "m3bsr-trace");
    assert_string_equal(m3_safetensors_meta(file, "run"), data_source_path(&source, "run"));
    assert_non_null(strstr(m3_safetensors_meta(file, "checkpoint"), "best.safetensors"));
    assert_false(m3_safetensors_find(file, "infer.scores", &scores));
    assert_int_equal(json_array_size(users), COUNT);
    assert_int_equal(json_array_size(experts), GROUPS + 1);
    assert_text(behaviors, 1, m3_dataset_behavior_name(set, 1));
    assert_text(modalities, 0, "id");
    assert_text(modalities, 1, m3_dataset_features(set, 0).name);
    assert_text(experts, 0, "common");
    char name[128];
    (void)snprintf(name, sizeof name, "%s/id", m3_dataset_behavior_name(set, 1));
    assert_text(experts, 1 + MODALITIES, name);
    float *ids = values(file, "input.ids", shape_of(3, BEHAVIORS, COUNT, LENGTH));
    for (uint32_t k = 0; k < BEHAVIORS * COUNT * LENGTH; k++) {
        int32_t id;
        char number[16];
        const uint32_t b = k / LENGTH / COUNT, user = 5 + k / LENGTH % COUNT, place = k % LENGTH;
        const m3_events events = m3_dataset_events(set, user, b);
        const uint32_t back = LENGTH - place;
        memcpy(&id, &ids[k], sizeof id);
        assert_text(users, user - 5, m3_dataset_user_id(set, user));
        assert_int_equal(id, back > events.count ? 0 : events.items[events.count - back]);
        if (id == 0) continue;
        (void)snprintf(number, sizeof number, "%d", (int)id);
        assert_string_equal(json_string_value(json_object_get(items, number)), m3_dataset_item_id(set, (uint32_t)id));
    }
    free(ids);
    json_t *notes[] = {users, items, experts, behaviors, modalities};
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) json_decref(notes[i]);
    m3_safetensors_close(file);
}

/* What a configuration leaves out is not in the file, and asked for by name it is an error. */
static void interests_that_are_left_out_are_not_there(void **state)
{
    (void)state;
    enum { COUNT = 9 };
    m3_error err = {0};
    uint32_t users[COUNT] = {0}, index = 0;
    m3_served *whole = served;
    m3_settings *settings = training_settings(data_source_path(&source, "set"), "epochs=1", "interests=specific",
                                              "router=balanced", "fusion=scores", "trend=20", NULL);
    training_run(device, &source, settings, "part", (m3_train_options){0}, M3_OK, &err);
    m3_settings_free(settings);
    training_check(m3_serve(device, data_source_path(&source, "part"), NULL, &served, &err), &err);
    m3_safetensors *file = traced("part.safetensors", 0, COUNT, NULL);
    assert_false(m3_safetensors_find(file, "infer.common", &index));
    free(values(file, "infer.specific", shape_of(3, GROUPS, COUNT, WIDTH)));
    free(values(file, "infer.user", shape_of(2, COUNT, MODALITIES * WIDTH)));
    m3_safetensors_close(file);
    file = traced("scores.safetensors", 0, COUNT, (const char *const[]){"scores", NULL}); /* with the trend */
    m3_safetensors_close(file);
    const char *const common[] = {"common", NULL};
    assert_int_equal(m3_trace_users(served, NULL, users, COUNT, common, data_source_path(&source, "none"), &err),
                     M3_ERR_INVALID);
    assert_string_equal(err.subject, "common");
    assert_non_null(strstr(err.message, "interests leaves it out"));
    assert_int_equal(access(data_source_path(&source, "none"), F_OK), -1);
    m3_served_free(served);
    served = whole;
}

static void what_cannot_be_traced_is_named(void **state)
{
    (void)state;
    m3_error err = {0};
    const char *path = data_source_path(&source, "none.safetensors");
    const uint32_t users[] = {0, 60};
    assert_int_equal(m3_trace_users(served, NULL, users, 1, (const char *const[]){"user", "weights", NULL}, path, &err),
                     M3_ERR_INVALID);
    assert_string_equal(err.subject, "weights");
    assert_non_null(strstr(err.message, "after_modality"));
    err = (m3_error){0};
    assert_int_equal(m3_trace_users(served, NULL, users, 2, NULL, path, &err), M3_ERR_RANGE);
    assert_non_null(strstr(err.message, "has 60"));
    err = (m3_error){0};
    assert_int_equal(m3_trace_users(served, NULL, users, 0, NULL, path, &err), M3_ERR_RANGE);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void without_memory_nothing_is_left_over(void **state)
{
    (void)state;
    m3_status st = M3_ERR_MEMORY;
    uint64_t n = 0;
    for (; st != M3_OK; n += 1 + n / 16) {
        alloc_failure failure = {.at = n};
        m3_error err = {0};
        const char *path = data_source_path(&source, "memory.safetensors");
        m3_alloc_set_gate(alloc_failure_gate, &failure);
        st = m3_trace_users(served, NULL, (const uint32_t[]){1}, 1, NULL, path, &err);
        m3_alloc_set_gate(NULL, NULL);
        if (failure.seen <= n) training_check(st, &err);
        if (st != M3_OK) assert_true(err.message[0] != 0);
    }
    assert_true(n > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tensor_has_its_name_and_layout),
        cmocka_unit_test(user_vectors_are_what_ranks),
        cmocka_unit_test(notes_say_whose_values_they_are),
        cmocka_unit_test(what_cannot_be_traced_is_named),
        cmocka_unit_test(interests_that_are_left_out_are_not_there),
        cmocka_unit_test(without_memory_nothing_is_left_over),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
