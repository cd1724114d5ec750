/* serve: what m3_serve, m3_evaluate, m3_recommend and m3_bench promise, against definitions that are worked out again
 * here, sample by sample.   Labels: errors */
#include "core/base/alloc.h"
#include "core/base/safetensors.h"
#include "core/serve/serve.h"
#include "m3bsr/bench.h"
#include "m3bsr/train.h"
#include "tests/support/data_source.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { USERS = 60, ITEMS = 130, TOP = 12 };

static m3_engine *engine;
static m3_device *device;
static data_source source;
static m3_served *served;
static char warnings[4096];

static void check(m3_status st, const m3_error *err)
{
    if (st != M3_OK) fail_msg("%s: %s [%s:%d]", err->subject, err->message, err->file, err->line);
}

static void hear(void *user, m3_log_level level, const char *line)
{
    (void)user;
    (void)level;
    const size_t at = strlen(warnings);
    (void)snprintf(warnings + at, sizeof warnings - at, "%s\n", line);
}

static m3_settings *small_settings(const char *set)
{
    static const char *const small[] = {
        "width=8",       "heads=2",  "length=6", "expert=pool", "ffn_mult=2",  "diffusion_steps=8",
        "infer_start=4", "batch=32", "epochs=2", "lr=0.01",     "eval_batch=7"}; /* divides no number of samples here: a
                                                                                    last, smaller batch */
    m3_settings *settings = NULL;
    m3_error err = {0};
    char data[300];
    check(m3_settings_create(&settings, &err), &err);
    (void)snprintf(data, sizeof data, "data=%s", set);
    check(m3_settings_set(settings, data, &err), &err);
    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++) check(m3_settings_set(settings, small[i], &err), &err);
    return settings;
}

static m3_status serve(const char *checkpoint, const char *data, m3_served **out, m3_error *err)
{
    const m3_serve_options options = {
        .size = M3_STRUCT_SIZE(m3_serve_options, fallbacks), .checkpoint = checkpoint, .data = data};
    return m3_serve(device, data_source_path(&source, "run"), &options, out, err);
}

static void make_set(const char *folder, const char *set, uint64_t seed)
{
    m3_error err = {0};
    m3_synth_options synth = M3_SYNTH_OPTIONS_INIT;
    m3_import_options import = M3_IMPORT_OPTIONS_INIT;
    synth.users = USERS;
    synth.items = ITEMS;
    synth.clusters = 4;
    synth.width = 4;
    synth.seed = seed;
    check(m3_data_synth(&synth, data_source_path(&source, folder), &err), &err);
    import.source = data_source_path(&source, folder);
    import.keep_items = true; /* both sets have all items */
    check(m3_data_import(&import, data_source_path(&source, set), NULL, &err), &err);
}

static int set_up(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_train_result result = {.size = M3_STRUCT_SIZE(m3_train_result, early)};
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR,
                                     .threads = 2,
                                     .log = hear,
                                     .log_level = M3_LOG_WARN,
                                     .allow_writable_folder = true};
    data_source_make(&source);
    check(m3_engine_create(&config, &engine, &err), &err);
    check(m3_device_open(engine, "cpu", (m3_span){0}, &device, &err), &err);
    make_set("source", "set", 1);
    make_set("source2", "set2", 2);
    m3_settings *settings = small_settings(data_source_path(&source, "set"));
    check(m3_train(device, settings, data_source_path(&source, "run"), NULL, &result, &err), &err);
    m3_settings_free(settings);
    check(serve(NULL, NULL, &served, &err), &err);
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

/* Evaluation, from the definitions. */

typedef struct judged {
    const m3_sample *samples;
    uint32_t group; /* of which the metrics are worked out */
    double damping; /* of item-kNN */
    m3_metrics model, popularity, itemknn;
} judged;

static bool is_in(m3_items items, uint32_t item)
{
    for (uint32_t i = 0; i < items.count; i++)
        if (items.items[i] == item) return true;
    return false;
}

static uint32_t group_of(const m3_sample *sample)
{
    static const uint32_t least[] = {0, 1, 5, 10, 20, 50};
    uint32_t events = 0, group = 0;
    for (uint32_t b = 0; b < m3_dataset_behavior_count(served->set); b++) {
        const m3_events e = m3_dataset_events(served->set, sample->user, b);
        for (uint32_t i = 0; i < e.count; i++) events += e.times[i] < sample->time;
    }
    while (group < 6 && events >= least[group]) group++;
    return group; /* 1 is "0" */
}

static void add_place(m3_metrics *m, uint32_t place)
{
    static const uint32_t cuts[] = {5, 10, 20};
    m->samples++;
    for (int k = 0; k < M3_METRIC_CUTS; k++) {
        m->hr[k] += place <= cuts[k];
        m->ndcg[k] += place <= cuts[k] ? log(2) / log(1.0 + place) : 0;
        m->mrr[k] += place <= cuts[k] ? 1.0 / place : 0;
    }
}

/* Whether a user has an item in any behavior before a time. */
static bool has_before(uint32_t user, uint32_t item, int64_t time)
{
    for (uint32_t b = 0; b < m3_dataset_behavior_count(served->set); b++) {
        const m3_events e = m3_dataset_events(served->set, user, b);
        for (uint32_t i = 0; i < e.count && e.times[i] < time; i++)
            if (e.items[i] == item) return true;
    }
    return false;
}

/* Whether a user has an item in training: before the validation sample. Worked out once. */
static const bool (*training(void))[ITEMS + 1]
{
    static bool has[USERS][ITEMS + 1], known;
    uint64_t count;
    const m3_sample *valid = m3_split_samples(served->split, M3_SPLIT_VALID, &count);
    for (uint32_t u = 0; u < USERS && !known; u++) {
        int64_t end = M3_TIME_END;
        for (uint64_t i = 0; i < count; i++)
            if (valid[i].user == u) end = valid[i].time;
        for (uint32_t item = 1; item <= ITEMS; item++) has[u][item] = has_before(u, item, end);
    }
    known = true;
    return (const bool(*)[ITEMS + 1]) has;
}

/* The score of an item by item-kNN: MODEL.md 12 as it stands there. */
static double near_score(const m3_sample *s, uint32_t item, double damping)
{
    const bool(*has)[ITEMS + 1] = training();
    double score = 0;
    for (uint32_t i = 1; i <= ITEMS; i++) {
        double both = 0, own = 0, other = 0;
        if (i == item || !has_before(s->user, i, s->time)) continue;
        for (uint32_t u = 0; u < USERS; u++) {
            both += u != s->user && has[u][i] && has[u][item];
            own += has[u][i];
            other += has[u][item];
        }
        if (both > 0) score += both / (sqrt(own) * pow(other, damping));
    }
    return score;
}

static void judge_near(judged *j, const m3_sample *s)
{
    const uint32_t *places = served->popularity;
    const m3_items had = m3_split_had_before(served->split, s);
    const double own = near_score(s, s->item, j->damping);
    uint32_t place = 1;
    for (uint32_t item = 1; item <= ITEMS; item++) {
        if (item == s->item || is_in(had, item)) continue;
        const double score = near_score(s, item, j->damping);
        const bool equal = fabs(score - own) < 1e-12; /* sums in another order */
        place += equal ? places[item] < places[s->item] : score > own;
    }
    add_place(&j->itemknn, place);
}

static void judge(void *user, uint64_t index, const float *scores)
{
    judged *j = user;
    const m3_sample *s = &j->samples[index];
    const uint32_t *counts = m3_split_item_counts(served->split);
    const m3_items had = m3_split_had_before(served->split, s);
    uint32_t model = 1, popularity = 1;
    if (j->group != 0 && group_of(s) != j->group) return;
    for (uint32_t item = 1; item <= m3_dataset_item_count(served->set); item++) {
        if (item == s->item || is_in(had, item)) continue;
        model += scores[item - 1] >= scores[s->item - 1];
        popularity += counts[item] > counts[s->item] || (counts[item] == counts[s->item] && item < s->item);
    }
    add_place(&j->model, model);
    add_place(&j->popularity, popularity);
    judge_near(j, s);
}

static void assert_metrics(const m3_metrics *is, const m3_metrics *sums)
{
    assert_int_equal(is->samples, sums->samples);
    const double n = sums->samples != 0 ? (double)sums->samples : 1.0;
    for (int k = 0; k < M3_METRIC_CUTS; k++) {
        assert_true(fabs(is->hr[k] - sums->hr[k] / n) < 1e-12);
        assert_true(fabs(is->ndcg[k] - sums->ndcg[k] / n) < 1e-12);
        assert_true(fabs(is->mrr[k] - sums->mrr[k] / n) < 1e-12);
    }
}

static void evaluation_is_the_definition(void **state)
{
    (void)state;
    m3_error err = {0};
    for (int part = M3_SPLIT_VALID; part <= M3_SPLIT_TEST; part++) {
        m3_evaluation e = {.size = M3_STRUCT_SIZE(m3_evaluation, itemknn_damping)}, alone = e;
        uint64_t count = 0;
        check(m3_evaluate(served, (m3_split_part)part, &e, &err), &err);
        check(m3_evaluate_baselines(served->set, m3_split_target(served->split), (m3_split_part)part, &alone, &err),
              &err);
        assert_memory_equal(e.full_itemknn, alone.full_itemknn, sizeof e.full_itemknn);
        assert_memory_equal(e.uni99_itemknn, alone.uni99_itemknn, sizeof e.uni99_itemknn);
        const m3_sample *samples = m3_split_samples(served->split, (m3_split_part)part, &count);
        assert_true(count > 10);
        assert_int_equal(e.part, part);
        assert_int_equal(e.group_count, 7);
        assert_string_equal(e.full[0].name, "all");
        for (uint32_t g = 0; g < e.group_count; g++) {
            judged j = {.samples = samples, .group = g, .damping = e.itemknn_damping};
            check(m3_score_samples(served->infer, m3_served_source(served), samples, count, judge, &j, &err), &err);
            assert_metrics(&e.full[g].model, &j.model);
            assert_metrics(&e.full[g].popularity, &j.popularity);
            assert_metrics(&e.full_itemknn[g], &j.itemknn);
            assert_int_equal(e.uni99[g].model.samples, j.model.samples);
        }
    }
}

/* 99 of about 110 items that are left: a place among them is at most the place among all, and often less. */
static void among_drawn_items_places_are_better(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_evaluation a = {.size = M3_STRUCT_SIZE(m3_evaluation, uni99)}, b = a;
    check(m3_evaluate(served, M3_SPLIT_TEST, &a, &err), &err);
    check(m3_evaluate(served, M3_SPLIT_TEST, &b, &err), &err);
    assert_memory_equal(a.uni99, b.uni99, sizeof a.uni99);
    for (int k = 0; k < M3_METRIC_CUTS; k++) {
        assert_true(a.uni99[0].model.hr[k] >= a.full[0].model.hr[k]);
        assert_true(a.uni99[0].popularity.ndcg[k] >= a.full[0].popularity.ndcg[k]);
    }
    assert_true(a.uni99[0].popularity.ndcg[2] > a.full[0].popularity.ndcg[2]);
}

static void an_older_caller_gets_what_it_knows(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_evaluation e;
    memset(&e, 0x55, sizeof e);
    e.size = M3_STRUCT_SIZE(m3_evaluation, full);
    check(m3_evaluate(served, M3_SPLIT_TEST, &e, &err), &err);
    assert_int_equal(e.size, M3_STRUCT_SIZE(m3_evaluation, full));
    assert_int_equal(((unsigned char *)&e.uni99)[0], 0x55);
    assert_int_equal(m3_evaluate(served, (m3_split_part)7, &e, &err), M3_ERR_RANGE);
}

/* Recommendation. */

static void recommends_the_best_that_are_not_left_out(void **state)
{
    (void)state;
    m3_error err = {0};
    uint32_t users[USERS];
    static m3_recommendation items[USERS * TOP];
    for (uint32_t u = 0; u < USERS; u++) users[u] = USERS - 1 - u;
    for (int exclude = M3_EXCLUDE_TARGET; exclude <= M3_EXCLUDE_NONE; exclude++) {
        check(m3_recommend(served, NULL, users, USERS, TOP, (m3_exclude)exclude, items, &err), &err);
        for (uint32_t u = 0; u < USERS; u++) {
            const m3_items had = m3_split_had(served->split, users[u]),
                           touched = m3_dataset_touched(served->set, users[u]);
            for (uint32_t k = 0; k < TOP; k++) {
                const m3_recommendation *one = &items[u * TOP + k];
                assert_in_range(one->item, 1, ITEMS);
                if (exclude == M3_EXCLUDE_TARGET) assert_false(is_in(had, one->item));
                if (exclude == M3_EXCLUDE_TOUCHED) assert_false(is_in(touched, one->item));
                if (k > 0) assert_true(one->score <= one[-1].score);
            }
        }
    }
}

/* A user of the set, written to a file as a stranger, gets the same items with the same scores. */
static void a_stranger_with_the_same_history_gets_the_same(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_histories *histories = NULL;
    m3_recommendation known[TOP], strange[TOP];
    const uint32_t user = 17, cold = 0; /* by rising id */
    static char text[65536];
    size_t at = (size_t)snprintf(text, sizeof text, "user_id\titem_id\tbehavior\ttimestamp\n");
    for (uint32_t b = 0; b < m3_dataset_behavior_count(served->set); b++) {
        const m3_events e = m3_dataset_events(served->set, user, b);
        for (uint32_t i = 0; i < e.count; i++)
            at += (size_t)snprintf(text + at, sizeof text - at, "stranger\t%s\t%s\t%lld\n",
                                   m3_dataset_item_id(served->set, e.items[i]),
                                   m3_dataset_behavior_name(served->set, b), (long long)e.times[i]);
    }
    (void)snprintf(text + at, sizeof text - at, "cold\tunknown\t%s\t1\n", m3_dataset_behavior_name(served->set, 0));
    data_source_write(&source, "history.tsv", text, 0);
    check(m3_histories_read(served->set, data_source_path(&source, "history.tsv"), NULL, &histories, NULL, &err), &err);
    uint32_t stranger = 0;
    assert_true(m3_histories_find_user(histories, "stranger", &stranger));
    check(m3_recommend(served, NULL, &user, 1, TOP, M3_EXCLUDE_TARGET, known, &err), &err);
    check(m3_recommend(served, histories, &stranger, 1, TOP, M3_EXCLUDE_TARGET, strange, &err), &err);
    assert_memory_equal(known, strange, sizeof known);

    check(m3_recommend(served, histories, &cold, 1, TOP, M3_EXCLUDE_TARGET, strange, &err), &err);
    const uint32_t *counts = m3_split_item_counts(served->split);
    for (uint32_t k = 0; k < TOP; k++) {
        assert_true(strange[k].score == 0.0F);
        if (k > 0) assert_true(counts[strange[k].item] <= counts[strange[k - 1].item]);
    }
    assert_int_equal(m3_recommend(served, histories, (const uint32_t[]){9}, 1, TOP, M3_EXCLUDE_NONE, strange, &err),
                     M3_ERR_RANGE);
    m3_histories_free(histories);
}

/* Other inferences over the same parameters and features. */

typedef struct published {
    const m3_infer_shape *shape;
    float *encoded; /* [USERS][M][L * d] of behavior 0 */
    uint32_t modalities, each;
    float *scores; /* [USERS, N] */
} published;

static m3_status keep(void *user, uint64_t first, uint32_t rows, m3_error *err)
{
    published *p = user;
    (void)err;
    const float *encoded = m3_executable_output(p->shape->executable, "encoded", NULL);
    for (uint32_t i = 0; i < rows; i++) {
        memcpy(p->scores + (first + i) * ITEMS, p->shape->scores + (size_t)i * ITEMS, ITEMS * sizeof(float));
        for (uint32_t m = 0; m < p->modalities; m++)
            memcpy(p->encoded + ((first + i) * p->modalities + m) * p->each,
                   encoded + ((size_t)m * p->shape->batch + i) * p->each, p->each * sizeof(float));
    }
    return M3_OK;
}

static published publish(m3_executable *executable, m3_infer_shape *shape)
{
    m3_error err = {0};
    uint32_t users[USERS];
    check(m3_infer_shape_of(executable, shape, &err), &err);
    const m3_tensor *encoded = m3_executable_output_tensor(executable, "encoded"); /* [B, M, n, L, d] */
    published p = {.shape = shape,
                   .modalities = (uint32_t)encoded->shape.dim[1],
                   .each = (uint32_t)(encoded->shape.dim[3] * encoded->shape.dim[4])};
    p.encoded = calloc((size_t)USERS * p.modalities * p.each, sizeof *p.encoded);
    p.scores = calloc((size_t)USERS * ITEMS, sizeof *p.scores);
    for (uint32_t u = 0; u < USERS; u++) users[u] = u;
    check(m3_infer_users(shape, m3_served_source(served), NULL, users, USERS, keep, &p, &err), &err);
    return p;
}

static bool modality_is_same(const published *a, const published *b, uint32_t m)
{
    for (uint32_t u = 0; u < USERS; u++) {
        const size_t at = ((size_t)u * a->modalities + m) * a->each;
        if (memcmp(a->encoded + at, b->encoded + at, a->each * sizeof(float)) != 0) return false;
    }
    return true;
}

/* In batches of 8, which 60 users do not fill, it gives the scores that recommendations come from. Features that are
 * rewritten count at once, in their modality alone. */
static void another_inference_publishes_what_is_asked_for(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_executable *executable = NULL;
    m3_infer_shape shape;
    uint32_t users[USERS];
    static m3_recommendation items[USERS * TOP];
    check(m3_served_publish(served, M3_PUBLISH_SCORES | M3_PUBLISH_ENCODED, 8, &executable, &err), &err);
    published before = publish(executable, &shape);
    for (uint32_t u = 0; u < USERS; u++) users[u] = u;
    check(m3_recommend(served, NULL, users, USERS, TOP, M3_EXCLUDE_NONE, items, &err), &err);
    for (uint32_t i = 0; i < USERS * TOP; i++) {
        const float score = before.scores[i / TOP * ITEMS + items[i].item - 1];
        assert_true(fabs((double)(score - items[i].score)) <= 1e-5 * (1.0 + fabs((double)score)));
    }

    const m3_features features = m3_dataset_features(served->set, 0);
    const m3_shape rows = {.rank = 2, .dim = {ITEMS + 1, features.width}};
    const uint64_t count = (uint64_t)(ITEMS + 1) * features.width;
    float *zeros = calloc(count, sizeof *zeros), *seen = calloc(count, sizeof *seen);
    check(m3_store_read(served->store, "features0", seen, count * sizeof *seen, &err), &err);
    check(m3_store_write(served->store, "features0", M3_F32, &rows, zeros, &err), &err);
    published without = publish(executable, &shape);
    assert_true(modality_is_same(&before, &without, 0));
    assert_false(modality_is_same(&before, &without, 1));
    check(m3_store_write(served->store, "features0", M3_F32, &rows, seen, &err), &err);
    published after = publish(executable, &shape);
    assert_true(modality_is_same(&before, &after, 1));

    assert_int_equal(
        m3_infer_users(&shape, m3_served_source(served), NULL, (const uint32_t[]){USERS}, 1, keep, &after, &err),
        M3_ERR_RANGE);
    published *all[] = {&before, &without, &after};
    for (int i = 0; i < 3; i++) {
        free(all[i]->encoded);
        free(all[i]->scores);
    }
    free(seen);
    free(zeros);
    m3_executable_free(executable);
}

/* Recent popularity. */

static float taken[USERS * ITEMS];

static void take_scores(void *user, uint64_t index, const float *scores)
{
    (void)user;
    memcpy(taken + index * ITEMS, scores, ITEMS * sizeof *scores);
}

static void set_weight(m3_served *of, float weight)
{
    m3_error err = {0};
    const m3_shape one = {.rank = 1, .dim = {1}};
    check(m3_store_write(of->store, "trend.weight", M3_F32, &one, &weight, &err), &err);
}

/* Samples are scored with what was popular before each of them, users with what is popular in the end. */
static void scores_know_what_is_popular(void **state)
{
    (void)state;
    static float without[USERS * ITEMS];
    static m3_recommendation items[USERS * TOP];
    m3_error err = {0};
    m3_served *with = NULL;
    m3_train_result result = {.size = M3_STRUCT_SIZE(m3_train_result, early)};
    const m3_serve_options options = {.size = M3_STRUCT_SIZE(m3_serve_options, fallbacks)};
    uint64_t count = 0;
    uint32_t users[USERS];
    m3_settings *settings = small_settings(data_source_path(&source, "set"));
    check(m3_settings_set(settings, "trend=30", &err), &err);
    check(m3_train(device, settings, data_source_path(&source, "trend"), NULL, &result, &err), &err);
    m3_settings_free(settings);
    check(m3_serve(device, data_source_path(&source, "trend"), &options, &with, &err), &err);
    assert_non_null(with->trend);

    const m3_sample *samples = m3_split_samples(with->split, M3_SPLIT_TEST, &count);
    assert_in_range(count, 10, USERS);
    set_weight(with, 0.0F);
    check(m3_score_samples(with->infer, m3_served_source(with), samples, count, take_scores, NULL, &err), &err);
    memcpy(without, taken, sizeof taken);
    set_weight(with, 2.0F);
    check(m3_score_samples(with->infer, m3_served_source(with), samples, count, take_scores, NULL, &err), &err);
    for (uint64_t i = 0; i < count * ITEMS; i++) {
        const float z = m3_trend_at(with->trend, samples[i / ITEMS].time)[i % ITEMS];
        assert_true(fabsf(taken[i] - without[i] - 2.0F * z) < 1e-4F);
    }
    assert_int_equal(
        m3_score_samples(with->infer, (m3_infer_source){.set = with->set}, samples, count, take_scores, NULL, &err),
        M3_ERR_INTERNAL);

    set_weight(with, 1e6F);
    for (uint32_t u = 0; u < USERS; u++) users[u] = u;
    check(m3_recommend(with, NULL, users, USERS, TOP, M3_EXCLUDE_NONE, items, &err), &err);
    const float *end = m3_trend_at(with->trend, M3_TIME_END);
    for (uint32_t i = 0; i < USERS * TOP; i++)
        assert_true(i % TOP == 0 || end[items[i].item - 1] <= end[items[i - 1].item - 1]);
    assert_true(end[items[0].item - 1] > end[items[TOP - 1].item - 1]);
    m3_served_free(with);
}

/* Checkpoints. */

/* What another tool might write: parameters alone, and something that the model has no use for. */
typedef struct foreign {
    m3_safetensors *from;
    m3_safetensors_entry entries[256];
    uint32_t count;
} foreign;

static m3_status copy_entry(void *user, uint32_t index, void *data, uint64_t bytes, m3_error *err)
{
    const foreign *f = user;
    uint32_t at = 0;
    memset(data, 0, bytes);
    if (!m3_safetensors_find(f->from, f->entries[index].name, &at)) return M3_OK;
    return m3_safetensors_read(f->from, at, data, bytes, err);
}

/* @param leave  A parameter to leave out.  @param bend  One to give another shape. */
static void write_foreign(const char *name, const char *leave, const char *bend, const char *data)
{
    m3_error err = {0};
    foreign f = {0};
    const m3_safetensors_note note = {"data", data};
    check(m3_safetensors_open(data_source_path(&source, "run/best.safetensors"), &f.from, &err), &err);
    for (uint32_t i = 0; i < m3_safetensors_count(f.from); i++) {
        m3_safetensors_entry entry = *m3_safetensors_at(f.from, i);
        if (strncmp(entry.name, "adam.", 5) == 0 || strcmp(entry.name, leave) == 0) continue;
        if (strcmp(entry.name, bend) == 0) {
            entry.shape.dim[1] = entry.shape.dim[0] * entry.shape.dim[1];
            entry.shape.dim[0] = 1;
        }
        f.entries[f.count++] = entry;
    }
    f.entries[f.count++] = (m3_safetensors_entry){"something.else", M3_F32, {.rank = 1, .dim = {3}}};
    check(m3_safetensors_write(data_source_path(&source, name), f.entries, f.count, &note, data != NULL, copy_entry, &f,
                               &err),
          &err);
    m3_safetensors_close(f.from);
}

static void a_checkpoint_of_another_tool_serves(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_served *other = NULL;
    m3_evaluation a = {.size = M3_STRUCT_SIZE(m3_evaluation, uni99)}, b = a;
    write_foreign("foreign.safetensors", "", "", NULL);
    check(serve(data_source_path(&source, "foreign.safetensors"), NULL, &other, &err), &err);
    check(m3_evaluate(served, M3_SPLIT_TEST, &a, &err), &err);
    check(m3_evaluate(other, M3_SPLIT_TEST, &b, &err), &err);
    assert_memory_equal(a.full, b.full, sizeof a.full);
    m3_served_free(other);
}

static const struct misfit {
    const char *name, *leave, *bend, *says;
} misfits[] = {
    {"a missing parameter is named", "router.gate.weight", "", "router.gate.weight"},
    {"a parameter of another shape is named", "", "router.hidden.weight", "router.hidden.weight"},
};

static void misfit_is_refused(void **state)
{
    const struct misfit *m = *state;
    m3_error err = {0};
    m3_served *other = NULL;
    write_foreign("misfit.safetensors", m->leave, m->bend, NULL);
    assert_int_equal(serve(data_source_path(&source, "misfit.safetensors"), NULL, &other, &err), M3_ERR_INVALID);
    assert_null(other);
    assert_string_equal(err.subject, m->says);
}

/* Of a set with the same items nothing needs to be said; a checkpoint of before does not know its items. */
static void another_set_is_warned_of(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_served *other = NULL;
    m3_dataset *set = NULL;
    check(m3_dataset_open(data_source_path(&source, "set2"), &set, &err), &err);
    assert_int_equal(m3_dataset_item_checksum(set), m3_dataset_item_checksum(m3_served_dataset(served)));
    assert_int_not_equal(m3_dataset_content_checksum(set), m3_dataset_content_checksum(m3_served_dataset(served)));
    m3_dataset_close(set);
    warnings[0] = 0;
    check(serve(NULL, data_source_path(&source, "set2"), &other, &err), &err);
    assert_null(strstr(warnings, "another data set"));
    m3_served_free(other);
    write_foreign("older.safetensors", "", "", "7");
    check(serve(data_source_path(&source, "older.safetensors"), data_source_path(&source, "set2"), &other, &err), &err);
    assert_non_null(strstr(warnings, "another data set"));
    m3_served_free(other);
}

static void without_memory_nothing_is_left_over(void **state)
{
    (void)state;
    m3_served *other = NULL;
    m3_status st = M3_ERR_MEMORY;
    uint64_t n = 0;
    for (; st != M3_OK; n += 1 + n / 16) { /* every one at first, then ever fewer: there are thousands */
        alloc_failure failure = {.at = n};
        m3_error err = {0};
        m3_alloc_set_gate(alloc_failure_gate, &failure);
        st = serve(NULL, NULL, &other, &err);
        if (st == M3_OK) {
            m3_evaluation e = {.size = M3_STRUCT_SIZE(m3_evaluation, uni99)};
            m3_recommendation items[TOP];
            st = m3_evaluate(other, M3_SPLIT_TEST, &e, &err);
            if (st == M3_OK)
                st = m3_recommend(other, NULL, (const uint32_t[]){1}, 1, TOP, M3_EXCLUDE_NONE, items, &err);
            m3_served_free(other);
        }
        m3_alloc_set_gate(NULL, NULL);
        if (failure.seen <= n) check(st, &err);
        if (st != M3_OK) assert_true(err.message[0] != 0);
    }
    assert_true(n > 100);
}

/* Benchmarks. */

static void a_bench_counts_what_runs(void **state)
{
    const bool infer = *state != NULL;
    m3_error err = {0};
    m3_settings *settings = small_settings("");
    m3_bench_result r = {.size = M3_STRUCT_SIZE(m3_bench_result, ops)};
    const m3_bench_options options = {
        .size = M3_STRUCT_SIZE(m3_bench_options, fallbacks), .infer = infer, .batch = 4, .repeats = 3, .per_op = true};
    check(m3_settings_set(settings, "behaviors=2", &err), &err);
    check(m3_settings_set(settings, "modalities=[5]", &err), &err);
    check(m3_settings_set(settings, "items=50", &err), &err);
    check(m3_bench(device, settings, &options, &r, &err), &err);
    m3_settings_free(settings);
    assert_int_equal(r.runs, 3);
    assert_true(0 < r.lowest_s && r.lowest_s <= r.median_s && r.median_s <= r.highest_s);
    assert_true(fabs(r.samples_per_s * r.median_s - 4) < 1e-9);
    assert_true(fabs(r.gflops * r.median_s - 1e-9 * (double)r.flops) < 1e-12);
    assert_true(r.flops > 0 && r.arena_bytes > 0 && r.rss_bytes > 0);
    assert_true(r.host_share >= 0 && r.host_share <= 1);
    assert_true(r.op_count > 5);
    bool linear = false;
    for (uint32_t i = 0; i < r.op_count; i++) {
        linear = linear || strcmp(r.ops[i].name, "linear") == 0;
        assert_true(r.ops[i].nodes > 0);
        if (i > 0) assert_true(r.ops[i].seconds <= r.ops[i - 1].seconds);
    }
    assert_true(linear);
}

typedef struct told {
    uint32_t nodes, halves;
    double seconds, floor_s;
    uint64_t flops;
} told;

static void hear_node(void *user, const m3_bench_node *node)
{
    told *t = user;
    assert_non_null(node->node->op->name);
    assert_true(node->arithmetic_s >= 0 && node->memory_s >= 0);
    assert_true(node->floor_s == fmax(node->arithmetic_s, node->memory_s));
    assert_true(node->bytes == m3_node_traffic(node->node, NULL));
    t->nodes++;
    t->halves += node->node->in_count > 0 && node->node->in[0] != NULL && m3_dtype_is_half(node->node->in[0]->dtype);
    t->seconds += node->seconds;
    t->floor_s += node->floor_s;
    t->flops += node->flops;
}

static void a_bench_tells_of_every_node(void **state)
{
    const bool half = *state != NULL;
    m3_error err = {0};
    told t = {0};
    m3_settings *settings = small_settings("");
    m3_bench_result r = {.size = M3_STRUCT_SIZE(m3_bench_result, floor_s)};
    const m3_bench_options options = {.size = M3_STRUCT_SIZE(m3_bench_options, node_user),
                                      .batch = 4,
                                      .repeats = 1,
                                      .node = hear_node,
                                      .node_user = &t};
    if (half) check(m3_settings_set(settings, "precision=bf16", &err), &err);
    check(m3_settings_set(settings, "behaviors=2", &err), &err);
    check(m3_settings_set(settings, "modalities=[5]", &err), &err);
    check(m3_settings_set(settings, "items=50", &err), &err);
    check(m3_bench(device, settings, &options, &r, &err), &err);
    m3_settings_free(settings);
    assert_true(t.nodes > 20 && (t.halves > 0) == half);
    assert_int_equal(t.flops, r.flops);
    assert_true(t.seconds == r.nodes_s && t.floor_s == r.floor_s && t.floor_s > 0);
    assert_true(r.copy_gigabytes_per_s > 0 && r.product_gflops > 0 && (r.half_gflops > 0) == half);
}

/* Writes `size` bytes to a file of the source: a new one, or over what is there. */
static void put(const char *name, const char *bytes, size_t size, const char *mode)
{
    FILE *file = fopen(data_source_path(&source, name), mode);
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void a_set_that_changes_serves_nothing(void **state)
{
    (void)state;
    static char bytes[1 << 20];
    m3_error err = {0};
    m3_served *moving = NULL;
    m3_evaluation e = {.size = M3_STRUCT_SIZE(m3_evaluation, uni99_least)};
    m3_recommendation items[TOP];
    const uint32_t user = 3;
    FILE *file = fopen(data_source_path(&source, "set"), "rb");
    assert_non_null(file);
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    (void)fclose(file);
    assert_true(size > 0 && size < sizeof bytes);
    put("moving", bytes, size, "wb");
    check(serve(NULL, data_source_path(&source, "moving"), &moving, &err), &err);
    check(m3_recommend(moving, NULL, &user, 1, TOP, M3_EXCLUDE_TARGET, items, &err), &err);
    memset(bytes, 0xff, size); /* numbers of items, places in lists: all out of range */
    put("moving", bytes, size, "r+b");
    assert_int_equal(m3_recommend(moving, NULL, &user, 1, TOP, M3_EXCLUDE_TARGET, items, &err), M3_ERR_IO);
    assert_non_null(strstr(err.message, "was written to after it was opened"));
    err = (m3_error){0};
    assert_int_equal(m3_evaluate(moving, M3_SPLIT_TEST, &e, &err), M3_ERR_IO);
    assert_non_null(strstr(err.message, "was written to after it was opened"));
    m3_served_free(moving);
}

int main(void)
{
    enum { MISFITS = sizeof misfits / sizeof misfits[0] };
    struct CMUnitTest tests[MISFITS + 15] = {
        cmocka_unit_test(evaluation_is_the_definition),
        cmocka_unit_test(among_drawn_items_places_are_better),
        cmocka_unit_test(an_older_caller_gets_what_it_knows),
        cmocka_unit_test(recommends_the_best_that_are_not_left_out),
        cmocka_unit_test(a_stranger_with_the_same_history_gets_the_same),
        cmocka_unit_test(another_inference_publishes_what_is_asked_for),
        cmocka_unit_test(scores_know_what_is_popular),
        cmocka_unit_test(a_checkpoint_of_another_tool_serves),
        cmocka_unit_test(another_set_is_warned_of),
        cmocka_unit_test(without_memory_nothing_is_left_over),
        cmocka_unit_test(a_set_that_changes_serves_nothing),
        {"a bench of a training step counts what runs", a_bench_counts_what_runs, NULL, NULL, NULL},
        {"a bench of inference counts what runs", a_bench_counts_what_runs, NULL, NULL, &source},
        {"a bench tells of every node", a_bench_tells_of_every_node, NULL, NULL, NULL},
        {"a bench in 16 bits tells of every node", a_bench_tells_of_every_node, NULL, NULL, &source},
    };
    size_t count = 15;
    for (size_t i = 0; i < MISFITS; i++, count++)
        tests[count] =
            (struct CMUnitTest){misfits[i].name, misfit_is_refused, NULL, NULL, (void *)(uintptr_t)&misfits[i]};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
