/* baselines: places by popularity and scores of item-kNN on sets that are worked out by hand, and what they must not
 * see. Labels: errors */
#include "core/base/alloc.h"
#include "core/serve/baselines.h"
#include "m3bsr/serve.h"
#include "tests/support/data_source.h"

#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* "1a5" is user 1 buying item a at time 5, "1A5" viewing it. Buying is predicted. */
typedef struct case_set {
    data_source source;
    m3_dataset *set;
    m3_split *split;
    uint32_t *places;
    m3_itemknn *knn;
} case_set;

static void check(m3_status st, const m3_error *err)
{
    if (st != M3_OK) fail_msg("%s: %s", err->subject, err->message);
}

static void open_case(case_set *c, const char *events)
{
    static char text[1 << 16];
    m3_error err = {0};
    const char *const behaviors[] = {"view", "buy"};
    size_t used = (size_t)snprintf(text, sizeof text, "user_id\titem_id\tbehavior\ttimestamp\n");
    for (const char *at = events; *at != '\0'; at += strspn(at, " ")) {
        char *end;
        const long time = strtol(at + 2, &end, 10);
        used += (size_t)snprintf(text + used, sizeof text - used, "u%c\t%c\t%s\t%ld\n", at[0], tolower(at[1]),
                                 islower(at[1]) ? "buy" : "view", time);
        at = end;
    }
    data_source_make(&c->source);
    data_source_write(&c->source, "interactions.tsv", text, 0);
    check(data_source_import(&c->source, (m3_import_options){.behaviors = behaviors, .behavior_count = 2}, NULL, &err),
          &err);
    check(m3_dataset_open(data_source_path(&c->source, "set"), &c->set, &err), &err);
    check(m3_dataset_split(c->set, 1, &c->split, &err), &err);
    check(m3_popularity_places(c->set, c->split, &c->places, &err), &err);
    check(m3_itemknn_create(c->set, c->split, c->places, &c->knn, &err), &err);
}

static void close_case(case_set *c)
{
    m3_itemknn_free(c->knn);
    m3_free(c->places);
    m3_split_free(c->split);
    m3_dataset_close(c->set);
    data_source_remove(&c->source);
}

static double score_of(const case_set *c, const double *scores, char item)
{
    uint32_t number = 0;
    assert_true(m3_dataset_find_item(c->set, (const char[]){item, '\0'}, &number));
    return scores[number - 1];
}

static const m3_sample *sample_of(const case_set *c, m3_split_part part, const char *user)
{
    uint64_t count;
    const m3_sample *samples = m3_split_samples(c->split, part, &count);
    for (uint64_t i = 0; i < count; i++)
        if (strcmp(m3_dataset_user_id(c->set, samples[i].user), user) == 0) return &samples[i];
    fail_msg("%s has no sample", user);
    return NULL;
}

/* Scores of a, b, c, d for the sample of user 1. */
static const struct scored {
    const char *name, *events;
    m3_split_part part;
    double want[4];
} scored_rows[] = {
    /* U_a = {2, 3}, U_b = {2, 3, 4}, U_c = {4}, U_d = {5}: user 1 has nothing before the validation sample but d. */
    {"without a history that others share all scores are 0",
     "1d1 1b2 1c3 2a1 2b2 3a1 3b2 4b1 4c2",
     M3_SPLIT_VALID,
     {0, 0, 0, 0}},
    /* U_a = {1, 2, 3}, U_b = {2, 3, 4}, U_c = {4}; history a: s(a, b) = |{2, 3}| / 3; a itself is no evidence for a. */
    {"users in common over the root of the product",
     "1a1 1b2 1c3 2a1 2b2 3a1 3b2 4b1 4c2 5d1",
     M3_SPLIT_VALID,
     {0, 2.0 / 3, 0, 0}},
    /* History a, b: to c s(b, c) = |{4}| / sqrt(3), to a s(b, a), to b s(a, b). */
    {"the items of the history add up, but none for itself",
     "1a1 1b2 1c3 2a1 2b2 3a1 3b2 4b1 4c2 5d1",
     M3_SPLIT_TEST,
     {2.0 / 3, 2.0 / 3, 0.57735026918962576, 0}},
    /* User 5 has a and c, too: U_a = {1, 2, 3, 5}, U_c = {4, 5}: s(a, c) = 1 / sqrt(8), s(b, c) = 1 / sqrt(6). */
    {"a sum over two items",
     "1a1 1b2 1c3 2a1 2b2 3a1 3b2 4b1 4c2 5a1 5c2 6d1",
     M3_SPLIT_TEST,
     {0.57735026918962576, 0.57735026918962576, 0.35355339059327373 + 0.40824829046386307, 0}},
    /* As the second row, with views for what the others had. */
    {"any behavior counts", "1A1 1z1 1b2 1c3 2A1 2B2 3A1 3B2 4B1 4C2 5D1", M3_SPLIT_VALID, {0, 2.0 / 3, 0, 0}},
    {"an item had twice, or in two behaviors, counts once",
     "1A0 1a1 1A1 1b2 1c3 2a1 2A1 2a2 2b2 3a1 3b2 4b1 4c2 5d1",
     M3_SPLIT_VALID,
     {0, 2.0 / 3, 0, 0}},
    /* Users 1 and 2 alone have a and d: what user 1 did is no evidence for user 1, so s(a, d) = |{2}| / 2. */
    {"the user's own events are no evidence", "1a1 1D1 1b2 1c3 2a1 2d1 3b1 3c1", M3_SPLIT_VALID, {0.5, 0, 0, 0.5}},
};

static void scores_are(void **state)
{
    const struct scored *row = *state;
    case_set c = {0};
    open_case(&c, row->events);
    assert_true(m3_itemknn_damping(c.knn) == 0.5);
    for (int again = 0; again < 2; again++) { /* nothing is left over from a scoring */
        const double *scores = m3_itemknn_score(c.knn, sample_of(&c, row->part, "u1"));
        for (int i = 0; i < 4; i++) {
            const double is = score_of(&c, scores, (char)('a' + i));
            if (!(fabs(is - row->want[i]) < 1e-15)) fail_msg("%c has %.17g, not %.17g", 'a' + i, is, row->want[i]);
        }
    }
    close_case(&c);
}

/* User 1 validates with b at time 5 and tests with c or d: what it does from then on may differ in every way. */
static void held_out_events_change_no_similarity(void **state)
{
    (void)state;
    static const char *const sets[] = {
        "1a1 1b5 1c6 2a1 2b2 3a1 3b2 4b1 4c2 5c1 5d2",
        "1a1 1A5 1B5 1C5 1D5 1b5 1c6 1D7 1a8 1b9 2a1 2b2 3a1 3b2 4b1 4c2 5c1 5d2",
        "1a1 1b5 1D6 1d6 1C7 2a1 2b2 3a1 3b2 4b1 4c2 5c1 5d2",
    };
    double first[4] = {0};
    for (size_t s = 0; s < sizeof sets / sizeof sets[0]; s++) {
        /* The history of user 6 is d: were an event of user 1 with d seen, its a, b and c would score more. */
        char events[256];
        case_set c = {0};
        (void)snprintf(events, sizeof events, "%s 6d1 6e2 6f3", sets[s]);
        open_case(&c, events);
        const double *scores = m3_itemknn_score(c.knn, sample_of(&c, M3_SPLIT_VALID, "u6"));
        for (int i = 0; i < 4; i++) {
            if (s == 0) first[i] = score_of(&c, scores, (char)('a' + i));
            assert_true(score_of(&c, scores, (char)('a' + i)) == first[i]);
        }
        close_case(&c);
    }
    assert_true(first[2] > 0 && first[0] == 0 && first[1] == 0);
}

/* a was viewed 300 times, and then b 100 times; user 1 buys a. With a half-life of 100 events b comes first, with 300
 * and more a, and 300 is the first of them. */
static void validation_chooses_the_half_life(void **state)
{
    (void)state;
    static char events[1 << 14];
    size_t used = 0;
    case_set c = {0};
    m3_trending *trending = NULL;
    m3_error err = {0};
    for (int i = 0; i < 300; i++)
        used += (size_t)snprintf(events + used, sizeof events - used, "%cA%d ", '3' + i % 5, i);
    for (int i = 300; i < 400; i++)
        used += (size_t)snprintf(events + used, sizeof events - used, "%cB%d ", '3' + i % 5, i);
    (void)snprintf(events + used, sizeof events - used, "1z500 1a501 1c502");
    open_case(&c, events);
    check(m3_trending_create(c.set, c.split, c.places, &trending, &err), &err);
    assert_true(m3_trending_half_life(trending) == 300.0);
    const double *scores = m3_trending_score(trending, sample_of(&c, M3_SPLIT_VALID, "u1"));
    assert_true(score_of(&c, scores, 'a') > score_of(&c, scores, 'b'));
    m3_trending_free(trending);
    close_case(&c);
}

/* b has 25 users, two of them with a; c one user, with a. By cosine c comes first, by the count of users b. */
static void validation_chooses_the_damping(void **state)
{
    (void)state;
    char events[2048] = "1a1 1b2 1x3 2a1 2b1 3a1 3b1 4a1 4c1";
    case_set c = {0};
    for (char user = 'A'; user < 'A' + 23; user++) {
        char one[8];
        (void)snprintf(one, sizeof one, " %cb1", user);
        (void)strncat(events, one, sizeof events - strlen(events) - 1);
    }
    open_case(&c, events);
    assert_true(m3_itemknn_damping(c.knn) == 0.0);
    const m3_sample *sample = sample_of(&c, M3_SPLIT_VALID, "u1");
    const double *scores = m3_itemknn_score(c.knn, sample);
    assert_true(score_of(&c, scores, 'b') == 1.0 && score_of(&c, scores, 'c') == 0.5);
    assert_int_equal(m3_baseline_rank(scores, c.places, m3_dataset_item_count(c.set), sample->item,
                                      m3_split_had_before(c.split, sample)),
                     1);
    close_case(&c);
}

static void ties_go_to_the_more_popular_then_the_lower(void **state)
{
    (void)state;
    case_set c = {0};
    open_case(&c, "1a1 1b2 1c3 2b1 3d1 3c1 4d1 5c1 5d1"); /* bought in training: a 1, b 1, c 2, d 3 */
    uint32_t place[4];
    for (int i = 0; i < 4; i++) {
        uint32_t number = 0;
        assert_true(m3_dataset_find_item(c.set, (const char[]){(char)('a' + i), '\0'}, &number));
        place[i] = c.places[number];
    }
    assert_int_equal(place[0], 3);
    assert_int_equal(place[1], 4);
    assert_int_equal(place[2], 2);
    assert_int_equal(place[3], 1);
    const m3_sample *sample = sample_of(&c, M3_SPLIT_VALID, "u1"); /* nobody shares a: all scores are 0 */
    const double *scores = m3_itemknn_score(c.knn, sample);
    assert_int_equal(m3_baseline_rank(scores, c.places, 4, sample->item, (m3_items){0}), 4);
    assert_int_equal(m3_baseline_rank(scores, c.places, 4, sample->item, m3_split_had_before(c.split, sample)), 3);
    close_case(&c);
}

static void baselines_need_no_model(void **state)
{
    (void)state;
    case_set c = {0};
    m3_error err = {0};
    m3_evaluation e = {.size = M3_STRUCT_SIZE(m3_evaluation, trend_half_life)};
    open_case(&c, "1a1 1b2 1c3 2a1 2b2 3a1 3b2 4b1 4c2 5d1"); /* test: a, b were had; c scores .58, d 0 */
    check(m3_evaluate_baselines(c.set, 1, M3_SPLIT_TEST, &e, &err), &err);
    assert_int_equal(e.group_count, 7);
    assert_int_equal(e.full[0].model.samples, 0);
    assert_int_equal(e.full[0].popularity.samples, 1);
    assert_int_equal(e.full_itemknn[0].samples, 1);
    assert_true(e.full_itemknn[0].mrr[0] == 1.0 && e.full[0].popularity.mrr[0] == 1.0);
    assert_int_equal(e.full_itemknn[2].samples, 1); /* a history of 2 events is in "1-4" */
    assert_true(e.uni99_itemknn[0].mrr[0] == 1.0);
    assert_true(e.itemknn_damping == 0.5);
    assert_int_equal(e.full_trend[0].samples, 1); /* c was bought at time 2, d at time 1 */
    assert_true(e.full_trend[0].mrr[0] == 1.0 && e.uni99_trend[0].mrr[0] == 1.0);
    assert_true(e.trend_half_life == 100.0); /* none ranks the validation sample better */

    m3_evaluation older;
    memset(&older, 0x55, sizeof older);
    older.size = M3_STRUCT_SIZE(m3_evaluation, uni99);
    check(m3_evaluate_baselines(c.set, 1, M3_SPLIT_TEST, &older, &err), &err);
    assert_int_equal(((unsigned char *)&older.full_itemknn)[0], 0x55);
    assert_int_equal(m3_evaluate_baselines(c.set, 2, M3_SPLIT_TEST, &e, &err), M3_ERR_RANGE);
    assert_int_equal(m3_evaluate_baselines(c.set, 1, (m3_split_part)3, &e, &err), M3_ERR_RANGE);
    close_case(&c);
}

static void without_memory_nothing_is_left_over(void **state)
{
    (void)state;
    case_set c = {0};
    m3_status st = M3_ERR_MEMORY;
    uint64_t n = 0;
    open_case(&c, "1a1 1b2 1c3 2a1 2b2 3a1 3b2 4b1 4c2 5d1");
    for (; st != M3_OK; n++) {
        alloc_failure failure = {.at = n};
        m3_error err = {0};
        m3_evaluation e = {.size = M3_STRUCT_SIZE(m3_evaluation, trend_half_life)};
        m3_alloc_set_gate(alloc_failure_gate, &failure);
        st = m3_evaluate_baselines(c.set, 1, M3_SPLIT_TEST, &e, &err);
        m3_alloc_set_gate(NULL, NULL);
        if (failure.seen <= n) check(st, &err);
        if (st != M3_OK) assert_int_equal(err.code, M3_ERR_MEMORY);
    }
    assert_true(n > 15);
    close_case(&c);
}

int main(void)
{
    enum { ROWS = sizeof scored_rows / sizeof scored_rows[0] };
    struct CMUnitTest tests[ROWS + 6] = {
        cmocka_unit_test(held_out_events_change_no_similarity),
        cmocka_unit_test(validation_chooses_the_damping),
        cmocka_unit_test(ties_go_to_the_more_popular_then_the_lower),
        cmocka_unit_test(baselines_need_no_model),
        cmocka_unit_test(without_memory_nothing_is_left_over),
        cmocka_unit_test(validation_chooses_the_half_life),
    };
    for (size_t i = 0; i < ROWS; i++)
        tests[6 + i] =
            (struct CMUnitTest){scored_rows[i].name, scores_are, NULL, NULL, (void *)(uintptr_t)&scored_rows[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
