/* denoised: what `denoise: neighbors` makes of a set, against vectors that were written from MODEL.md 5.5 without this
 * code; histories under the filter in training, evaluation and of users from a file.   Labels: errors */
#include "core/data/denoised.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/alloc.h"
#include "core/base/safetensors.h"
#include "core/base/spill.h"
#include "core/data/history.h"
#include "tests/support/data_source.h"

static const char *const files[] = {"base", "three", "one", "raw", "features", "wide", "clean", "useless", "nothing"};
enum { FILES = sizeof files / sizeof files[0], MOST = 4 };

/* A vector file as a set. */
typedef struct vector {
    m3_safetensors *file;
    json_t *config;
    data_source source;
    m3_dataset *set;
    m3_split *split;
    uint32_t items, behaviors, length, modalities[MOST];
    m3_denoised_options options;
    m3_denoised made;
} vector;

static void check(m3_status st, const m3_error *err)
{
    if (st != M3_OK) fail_msg("%s", err->message);
}

static uint32_t number_of(const vector *v, const char *key)
{
    return (uint32_t)json_integer_value(json_object_get(v->config, key));
}

static bool is_on(const vector *v, const char *key)
{
    return json_is_true(json_object_get(v->config, key));
}

/* The caller frees it. @param count  Filled with the number of entries. */
static void *read_tensor(const vector *v, const char *name, uint64_t *count)
{
    uint32_t index;
    m3_error err = {0};
    if (!m3_safetensors_find(v->file, name, &index)) fail_msg("no tensor %s", name);
    const m3_safetensors_entry *entry = m3_safetensors_at(v->file, index);
    *count = m3_shape_count(&entry->shape);
    void *data = calloc(*count + 1, 4);
    check(m3_safetensors_read(v->file, index, data, *count * 4, &err), &err);
    return data;
}

static const char *item_name(uint32_t item, char text[16])
{
    (void)snprintf(text, 16, "i%04u", item);
    return text;
}

/* Behaviors in their order, so that the import numbers them likewise. */
static const char *const behavior_names[] = {"view", "cart", "buy"};

static void write_events(const vector *v)
{
    uint64_t count;
    char item[16];
    int32_t *events = read_tensor(v, "input.events", &count);
    char *text = malloc(count * 16 + 64), *at = text;
    at += sprintf(at, "user_id\titem_id\tbehavior\ttimestamp\n");
    for (uint64_t i = 0; i + 3 < count; i += 4)
        at += sprintf(at, "u%04d\t%s\t%s\t%d\n", events[i], item_name((uint32_t)events[i + 1], item),
                      behavior_names[events[i + 2]], events[i + 3]);
    data_source_write(&v->source, "interactions.tsv", text, 0);
    free(text);
    free(events);
}

static void write_features(vector *v, uint32_t k)
{
    uint64_t count;
    char name[32], item[16];
    (void)snprintf(name, sizeof name, "input.features%u", k);
    float *rows = read_tensor(v, name, &count);
    const uint32_t width = (uint32_t)(count / (v->items + 1));
    (void)snprintf(name, sizeof name, "input.present%u", k);
    int32_t *present = read_tensor(v, name, &count);
    double *values = malloc((size_t)v->items * width * sizeof *values);
    char *text = malloc((size_t)v->items * 8), *at = text;
    uint32_t kept = 0;
    for (uint32_t i = 1; i <= v->items; i++) {
        if (!present[i]) continue;
        at += sprintf(at, "%s\n", item_name(i, item));
        for (uint32_t d = 0; d < width; d++) values[(size_t)kept * width + d] = (double)rows[(size_t)i * width + d];
        kept++;
    }
    (void)snprintf(name, sizeof name, "m%u.npy", k);
    data_source_write_npy(&v->source, name, "<f4", false, kept, width, values);
    (void)snprintf(name, sizeof name, "m%u.ids.txt", k);
    data_source_write(&v->source, name, text, 0);
    free(text);
    free(values);
    free(present);
    free(rows);
}

static void open_vector(vector *v, const char *name)
{
    char path[512];
    m3_error err = {0};
    m3_import_options import = M3_IMPORT_OPTIONS_INIT;
    *v = (vector){0};
    (void)snprintf(path, sizeof path, "%s/tests/vectors/neighbors/%s.safetensors", M3BSR_SOURCE_DIR, name);
    check(m3_safetensors_open(path, &v->file, &err), &err);
    v->config = json_loads(m3_safetensors_meta(v->file, "config"), 0, NULL);
    v->items = number_of(v, "items");
    v->behaviors = number_of(v, "behaviors");
    v->length = number_of(v, "length");
    v->options =
        (m3_denoised_options){.modalities = v->modalities,
                              .modality_count = (uint32_t)json_array_size(json_object_get(v->config, "modalities")),
                              .features = is_on(v, "modality_denoise"),
                              .events = is_on(v, "behavior_denoise")};
    for (uint32_t k = 0; k < v->options.modality_count; k++) v->modalities[k] = k;
    data_source_make(&v->source);
    write_events(v);
    for (uint32_t k = 0; k < v->options.modality_count; k++) write_features(v, k);
    import.behaviors = behavior_names;
    import.behavior_count = v->behaviors;
    check(data_source_import(&v->source, import, NULL, &err), &err);
    check(m3_dataset_open(data_source_path(&v->source, "set"), &v->set, &err), &err);
    assert_int_equal(m3_dataset_item_count(v->set), v->items);
    assert_int_equal(m3_dataset_user_count(v->set), number_of(v, "users"));
    check(m3_dataset_split(v->set, v->behaviors - 1, &v->split, &err), &err);
}

static void close_vector(vector *v)
{
    m3_denoised_fini(&v->made);
    m3_split_free(v->split);
    m3_dataset_close(v->set);
    m3_safetensors_close(v->file);
    json_decref(v->config);
    data_source_remove(&v->source);
}

static void is_near(const char *file, const char *what, uint64_t at, double found, double wanted, double bound)
{
    if (!(fabs(found - wanted) <= bound * (1.0 + fabs(wanted))))
        fail_msg("%s: %s[%llu] is %.8g, not %.8g", file, what, (unsigned long long)at, found, wanted);
}

static int rising(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void check_features(const vector *v, const char *file, uint32_t k)
{
    char name[32];
    uint64_t count;
    const m3_denoised_features *f = &v->made.features[k];
    (void)snprintf(name, sizeof name, "expect.denoised%u", k);
    float *wanted = read_tensor(v, name, &count);
    assert_int_equal(count, (uint64_t)(v->items + 1) * f->width);
    for (uint64_t i = 0; i < count; i++) is_near(file, name, i, (double)f->rows[i], (double)wanted[i], 1e-5);
    free(wanted);
    if (!v->options.features) return;
    (void)snprintf(name, sizeof name, "input.present%u", k);
    int32_t *present = read_tensor(v, name, &count);
    (void)snprintf(name, sizeof name, "expect.belief%u", k);
    wanted = read_tensor(v, name, &count);
    double sum = 0.0, there = 0.0;
    uint32_t replaced = 0;
    for (uint32_t i = 1; i <= v->items; i++) {
        if (!present[i]) continue;
        there += 1.0;
        sum += (double)wanted[i];
        replaced += wanted[i] < 0.5F;
    }
    is_near(file, name, 0, f->belief, sum / there, 1e-5);
    assert_int_equal(f->replaced, replaced);
    /* A file without the verdict has none but modalities that say something. */
    uint32_t index;
    bool nothing = false;
    if (m3_safetensors_find(v->file, "expect.says_nothing", &index)) {
        int32_t *verdicts = read_tensor(v, "expect.says_nothing", &count);
        nothing = verdicts[k] != 0;
        free(verdicts);
    }
    assert_int_equal(f->says_nothing, nothing);
    free(wanted);
    free(present);
}

static void check_history(const vector *v, const char *file, uint32_t user, int64_t time, const int32_t *wanted)
{
    const uint32_t L = v->length;
    int32_t *ids = malloc((size_t)v->behaviors * (L + 1) * sizeof *ids);
    m3_history_filtered(v->made.filter, v->set, user, time, L, L + 1, ids);
    for (uint32_t b = 0; b < v->behaviors; b++)
        if (memcmp(ids + (size_t)b * (L + 1), wanted + (size_t)b * L, L * sizeof *ids) != 0)
            fail_msg("%s: history of user %u before %lld, behavior %u", file, user, (long long)time, b);
    free(ids);
}

static void check_events(const vector *v, const char *file)
{
    uint64_t count;
    const uint32_t each = v->behaviors * v->length;
    float *threshold = read_tensor(v, "expect.threshold", &count);
    int32_t *counts = read_tensor(v, "expect.counts", &count);
    bool judges = !v->options.features;
    for (uint32_t k = 0; k < v->options.modality_count; k++) judges = judges || !v->made.features[k].says_nothing;
    assert_int_equal(v->made.filter != NULL, v->options.events && v->behaviors > 1 && judges);
    if (v->made.filter != NULL) {
        const m3_event_filter_summary s = m3_event_filter_summarize(v->made.filter);
        is_near(file, "threshold", 0, s.threshold, (double)threshold[0], 1e-5);
        assert_int_equal(s.judged, counts[0]);
        assert_int_equal(s.left_out, counts[1]);
    }
    int32_t *ids = read_tensor(v, "expect.ids", &count), *samples = read_tensor(v, "expect.samples", &count);
    for (uint64_t i = 0; i < count / 4; i++)
        check_history(v, file, (uint32_t)samples[4 * i], samples[4 * i + 1], ids + i * each);
    free(samples);
    free(ids);
    int32_t *whole = read_tensor(v, "expect.whole", &count);
    for (uint32_t u = 0; u < m3_dataset_user_count(v->set); u++)
        check_history(v, file, u, M3_TIME_END, whole + (size_t)u * each);
    free(whole);
    free(counts);
    free(threshold);
}

static void as_the_vectors(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < FILES; i++) {
        vector v;
        m3_error err = {0};
        open_vector(&v, files[i]);
        check(m3_denoise_set(v.set, v.split, &v.options, &v.made, &err), &err);
        for (uint32_t k = 0; k < v.options.modality_count; k++) check_features(&v, files[i], k);
        check_events(&v, files[i]);
        close_vector(&v);
    }
}

/* Threads change nothing. */
static void same_bits_with_threads(void **state)
{
    (void)state;
    vector v;
    m3_error err = {0};
    m3_denoised other = {0};
    m3_pool *pool = NULL;
    open_vector(&v, "wide");
    check(m3_denoise_set(v.set, v.split, &v.options, &v.made, &err), &err);
    check(m3_pool_create(3, &pool, &err), &err);
    v.options.pool = pool;
    check(m3_denoise_set(v.set, v.split, &v.options, &other, &err), &err);
    assert_memory_equal(v.made.features[0].rows, other.features[0].rows,
                        (size_t)(v.items + 1) * other.features[0].width * sizeof(float));
    const m3_event_filter_summary a = m3_event_filter_summarize(v.made.filter),
                                  b = m3_event_filter_summarize(other.filter);
    assert_memory_equal(&a, &b, sizeof a);
    for (uint32_t u = 0; u < m3_dataset_user_count(v.set); u++)
        for (uint32_t i = 0; i < m3_dataset_events(v.set, u, 0).count; i++)
            assert_int_equal(m3_event_filter_keeps(v.made.filter, u, i, INT64_MIN),
                             m3_event_filter_keeps(other.filter, u, i, INT64_MIN));
    m3_denoised_fini(&other);
    m3_pool_free(pool);
    close_vector(&v);
}

/* A user of a file with all events of a user of the set is judged as at the set's end of time. */
static void users_of_a_file(void **state)
{
    (void)state;
    vector v;
    m3_error err = {0};
    m3_histories *histories = NULL;
    uint32_t differ = 0;
    open_vector(&v, "three");
    check(m3_denoise_set(v.set, v.split, &v.options, &v.made, &err), &err);
    check(m3_histories_read(v.set, data_source_path(&v.source, "interactions.tsv"), NULL, &histories, NULL, &err),
          &err);
    const uint32_t L = v.length, each = v.behaviors * L;
    int32_t *ids = calloc(3 * (size_t)each, sizeof *ids);
    for (uint32_t u = 0; u < m3_histories_user_count(histories); u++) {
        check(m3_histories_filtered(v.made.filter, histories, u, L, L, ids, &err), &err);
        m3_history_filtered(v.made.filter, v.set, u, M3_TIME_END, L, L, ids + each);
        assert_memory_equal(ids, ids + each, each * sizeof *ids);
        check(m3_histories_filtered(NULL, histories, u, L, L, ids + 2 * (size_t)each, &err), &err);
        differ += memcmp(ids, ids + 2 * (size_t)each, L * sizeof *ids) != 0;
    }
    assert_true(differ > 0); /* something was left out */
    free(ids);
    m3_histories_free(histories);
    close_vector(&v);
}

/* What events say of an event, and that the verdict is the support against the threshold. */
static void support_and_verdict(void **state)
{
    (void)state;
    vector v;
    m3_error err = {0};
    open_vector(&v, "base");
    check(m3_denoise_set(v.set, v.split, &v.options, &v.made, &err), &err);
    const double threshold = m3_event_filter_summarize(v.made.filter).threshold;
    const int64_t times[] = {20, 40, M3_TIME_END}; /* within and beyond what training may look at */
    for (uint32_t u = 0; u < m3_dataset_user_count(v.set); u++)
        for (uint32_t i = 0; i < m3_dataset_events(v.set, u, 0).count; i++)
            for (uint32_t t = 0; t < sizeof times / sizeof times[0]; t++) {
                if (m3_dataset_events(v.set, u, 0).times[i] >= times[t]) continue;
                const double support = m3_event_filter_support(v.made.filter, u, i, times[t]);
                assert_true(support >= 0.0 && support <= 1.0);
                assert_int_equal(m3_event_filter_keeps(v.made.filter, u, i, times[t]), support > threshold);
            }
    close_vector(&v);
}

/* Without features nothing is done, and no event is judged; with one behavior neither (vector one). */
static void nothing_to_do(void **state)
{
    (void)state;
    vector v;
    m3_error err = {0};
    open_vector(&v, "base");
    v.options.modality_count = 0;
    check(m3_denoise_set(v.set, v.split, &v.options, &v.made, &err), &err);
    assert_null(v.made.filter);
    assert_int_equal(v.made.modality_count, 0);
    close_vector(&v);
}

/* Where no item is like another, the scale of what a belief misses grows with the median: nobody is noise alone. */
static void scale_of_beliefs(void **state)
{
    (void)state;
    enum { N = 4 };
    static const float rows[] = {0, -3, -1, 1, 3};
    static const uint8_t present[] = {0, 1, 1, 1, 1};
    static const uint32_t other[] = {0, 2, 1, 4, 3};
    m3_error err = {0};
    m3_pool *pool = NULL;
    m3_denoised_features made = {0};
    uint32_t ids[(N + 1) * M3_NEIGHBORS] = {0};
    float weights[(N + 1) * M3_NEIGHBORS] = {0};
    double mass[] = {0, 1, 1, 1, 1}, missed[N + 1] = {0}, sorted[N], wanted = 0.0;
    const m3_features given = {.name = "line", .width = 1, .covered = N, .rows = rows, .present = present};
    const m3_neighbors neighbors = {.items = N, .ids = ids, .weights = weights, .mass = mass};
    for (uint32_t i = 1; i <= N; i++) {
        double sum = 0.0, weight = 0.0;
        ids[i * M3_NEIGHBORS] = other[i];
        weights[i * M3_NEIGHBORS] = 1;
        for (uint32_t j = 1; j <= N; j++) {
            const double apart = ((double)rows[i] - (double)rows[j]) / sqrt(5.0);
            const double p = j == i ? 0.0 : ((j == other[i]) + 0.1 / N) * exp(-apart * apart / 0.1);
            weight += p;
            sum += p * (double)rows[j] / sqrt(5.0);
        }
        missed[i] = pow(sum / weight - (double)rows[i] / sqrt(5.0), 2);
        sorted[i - 1] = missed[i];
    }
    qsort(sorted, N, sizeof *sorted, rising);
    assert_true(2.0 * sorted[N / 2] > 0.3); /* else the least scale stands */
    for (uint32_t i = 1; i <= N; i++) wanted += 1.0 / (1.0 + pow(missed[i] / (2.0 * sorted[N / 2]), 6)) / N;
    check(m3_pool_create(1, &pool, &err), &err);
    check(m3_denoise_features(&given, &neighbors, NULL, pool, &made, &err), &err);
    assert_false(made.says_nothing);
    is_near("line", "belief", 0, made.belief, wanted, 1e-5);
    m3_spill_free(made.rows);
    m3_free(made.mean);
    m3_pool_free(pool);
}

/* Equal features have no variance and say nothing. */
static void equal_features(void **state)
{
    (void)state;
    data_source source;
    m3_error err = {0};
    m3_dataset *set = NULL;
    m3_split *split = NULL;
    m3_denoised made = {0};
    const double values[] = {3, 1, 3, 1, 3, 1};
    const uint32_t modality = 0;
    data_source_make(&source);
    data_source_write(&source, "interactions.csv",
                      "user_id,item_id,behavior,timestamp\nu,a,view,1\nu,b,view,2\nu,c,view,3\nu,b,buy,4\nv,c,view,1\n",
                      0);
    data_source_write(&source, "m.ids.txt", "a\nb\nc\n", 0);
    data_source_write_npy(&source, "m.npy", "<f4", false, 3, 2, values);
    check(data_source_import(&source, (m3_import_options)M3_IMPORT_OPTIONS_INIT, NULL, &err), &err);
    check(m3_dataset_open(data_source_path(&source, "set"), &set, &err), &err);
    check(m3_dataset_split(set, 1, &split, &err), &err);
    const m3_denoised_options options = {&modality, 1, true, true, NULL};
    check(m3_denoise_set(set, split, &options, &made, &err), &err);
    for (uint32_t i = 0; i < 8; i++) assert_true(made.features[0].rows[i] == 0.0F); /* centered */
    assert_true(made.features[0].says_nothing);
    assert_null(made.filter); /* nothing to judge by */
    m3_denoised_fini(&made);
    m3_split_free(split);
    m3_dataset_close(set);
    data_source_remove(&source);
}

/* Whichever allocation fails, the call says so and leaks nothing. */
static void without_memory(void **state)
{
    (void)state;
    vector v;
    m3_error err = {0};
    bool ended = false;
    open_vector(&v, "three");
    for (uint64_t at = 0; !ended && at < 1000; at++) {
        alloc_failure failure = {.at = at, .on = at % 2 == 1};
        m3_denoised made = {0};
        m3_alloc_set_gate(alloc_failure_gate, &failure);
        const m3_status st = m3_denoise_set(v.set, v.split, &v.options, &made, &err);
        m3_alloc_set_gate(NULL, NULL);
        ended = failure.seen <= at;
        assert_int_equal(st, ended ? M3_OK : M3_ERR_MEMORY);
        m3_denoised_fini(&made);
        err = (m3_error){0};
    }
    assert_true(ended);
    close_vector(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_vectors),   cmocka_unit_test(same_bits_with_threads),
        cmocka_unit_test(users_of_a_file),  cmocka_unit_test(support_and_verdict),
        cmocka_unit_test(nothing_to_do),    cmocka_unit_test(equal_features),
        cmocka_unit_test(scale_of_beliefs), cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
