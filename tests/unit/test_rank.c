/* rank: places among scores, metrics over places, and the best of many, on hand-worked examples. */
#include "core/data/draw.h"
#include "core/serve/rankings.h"
#include "core/serve/serve.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Places. */

enum { ITEMS = 5 };

static const struct place {
    const char *name;
    float scores[ITEMS];
    uint32_t item;
    uint32_t had[ITEMS], had_count;
    uint32_t want;
} places[] = {
    {"the highest score is first", {9, 1, 2, 3, 4}, 1, {0}, 0, 1},
    {"every higher score counts", {1, 9, 8, 7, 6}, 1, {0}, 0, 5},
    {"a tie counts against the item", {5, 5, 1, 5, 0}, 1, {0}, 0, 3},
    {"a tie counts against it wherever it stands", {5, 5, 1, 5, 0}, 4, {0}, 0, 3},
    {"equal scores make it last", {0, 0, 0, 0, 0}, 3, {0}, 0, 5},
    {"what the user had does not count", {1, 9, 8, 7, 6}, 1, {2, 4}, 2, 3},
    {"what the user had and scores less changes nothing", {5, 9, 1, 0, 0}, 1, {3, 4}, 2, 2},
    {"a NaN of the item makes it last", {NAN, 1, 2, 3, 4}, 1, {0}, 0, 5},
    {"a NaN of another counts against it", {9, NAN, 1, 2, NAN}, 1, {0}, 0, 3},
    {"a NaN that the user had does not count", {9, NAN, 1, 2, NAN}, 1, {5}, 1, 2},
    {"an infinity is a score", {INFINITY, 1, -INFINITY, 3, 4}, 5, {0}, 0, 2},
};

static void ranks(void **state)
{
    const struct place *p = *state;
    const m3_items had = {p->had_count, p->had};
    assert_int_equal(m3_rank_full(p->scores, ITEMS, p->item, had), p->want);
}

/* Metrics. */

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) < 1e-12)) fail_msg("%.17g is not %.17g", a, b);
}

static double mean(const m3_places *counted, const char *name)
{
    m3_metric metric;
    m3_error err = {0};
    assert_int_equal(m3_metric_parse(name, &metric, &err), M3_OK);
    return m3_places_mean(counted, metric);
}

static void metrics_are_those_of_one_right_item(void **state)
{
    (void)state;
    static const uint32_t given[] = {1, 3, 6, 20, 21};
    m3_places m;
    m3_error err = {0};
    assert_int_equal(m3_places_init(&m, 20, &err), M3_OK);
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) m3_places_add(&m, given[i]);
    assert_int_equal(m.samples, 5);
    assert_near(mean(&m, "hr@1"), 1.0 / 5);
    assert_near(mean(&m, "hr@5"), 2.0 / 5);
    assert_near(mean(&m, "hr@10"), 3.0 / 5);
    assert_near(mean(&m, "recall@20"), 4.0 / 5); /* 20 is within 20, 21 is not */
    assert_near(mean(&m, "precision@5"), 2.0 / 5 / 5);
    assert_near(mean(&m, "precision@20"), 4.0 / 20 / 5);
    assert_near(mean(&m, "ndcg@5"), (1.0 + 0.5) / 5);
    assert_near(mean(&m, "ndcg@10"), (1.0 + 0.5 + 1.0 / log2(7)) / 5);
    assert_near(mean(&m, "ndcg@20"), (1.0 + 0.5 + 1.0 / log2(7) + 1.0 / log2(21)) / 5);
    assert_near(mean(&m, "mrr@5"), (1.0 + 1.0 / 3) / 5);
    assert_near(mean(&m, "map@20"), (1.0 + 1.0 / 3 + 1.0 / 6 + 1.0 / 20) / 5);
    m3_places_clear(&m);
    assert_true(m.samples == 0 && mean(&m, "hr@20") == 0);
    m3_places_fini(&m);
}

static const struct named {
    const char *text, *says;
} named[] = {
    {"Recall@5", "'Recall' is no metric; give hr, recall, precision, ndcg, mrr, map, coverage or gini"},
    {"auc@5", "'auc' is no metric"},
    {"precisionprecision@5", "is no metric"},
    {"", "'' is no metric"},
    {"ndcg", "'ndcg' has no cut-off from 1 to 1000000; write ndcg@10"},
    {"ndcg@", "'ndcg@' has no cut-off"},
    {"ndcg@0", "'ndcg@0' has no cut-off"},
    {"ndcg@-5", "'ndcg@-5' has no cut-off"},
    {"ndcg@5.5", "'ndcg@5.5' has no cut-off"},
    {"ndcg@1000001", "'ndcg@1000001' has no cut-off"},
    {"ndcg@99999999999", "has no cut-off"},
};

static void a_name_that_is_none_is_refused(void **state)
{
    const struct named *row = *state;
    m3_metric metric;
    m3_error err = {0};
    assert_int_equal(m3_metric_parse(row->text, &metric, &err), M3_ERR_INVALID);
    if (strstr(err.message, row->says) == NULL) fail_msg("%s", err.message);
}

/* Lists of three samples over four items, at cut-offs 1 and 3. */
static void lists_are_counted_together(void **state)
{
    (void)state;
    m3_rankings *r = NULL;
    m3_error err = {0};
    const uint32_t ks[] = {1, 3};
    const m3_ranking_options options = {.size = M3_STRUCT_SIZE(m3_ranking_options, top), .ks = ks, .k_count = 2};
    static const m3_recommendation lists[][3] = {{{1, 0}, {2, 0}, {4, 0}}, {{1, 0}, {4, 0}, {0, 0}}, {{2, 0}}};
    assert_int_equal(m3_rankings_create(&options, 4, true, &r, &err), M3_OK);
    for (int i = 0; i < 3; i++) m3_rankings_show(r, M3_RANKER_MODEL, lists[i]);
    const m3_metric coverage1 = {M3_MEASURE_COVERAGE, 1}, coverage3 = {M3_MEASURE_COVERAGE, 3},
                    gini1 = {M3_MEASURE_GINI, 1}, gini3 = {M3_MEASURE_GINI, 3};
    assert_near(m3_rankings_metric(r, M3_CANDIDATES_FULL, M3_RANKER_MODEL, 0, coverage1), 2.0 / 4);
    assert_near(m3_rankings_metric(r, M3_CANDIDATES_FULL, M3_RANKER_MODEL, 0, coverage3), 3.0 / 4);
    /* Shares 0, 0, 1/3, 2/3: (1 * 1/3 + 3 * 2/3) / 3. */
    assert_near(m3_rankings_metric(r, M3_CANDIDATES_FULL, M3_RANKER_MODEL, 0, gini1), 7.0 / 9);
    /* Shares 0, 1/3, 1/3, 1/3: (-1/3 + 1/3 + 3/3) / 3. */
    assert_near(m3_rankings_metric(r, M3_CANDIDATES_FULL, M3_RANKER_MODEL, 0, gini3), 1.0 / 3);
    assert_near(m3_rankings_metric(r, M3_CANDIDATES_FULL, M3_RANKER_TREND, 0, gini3), 0.0);
    assert_true(isnan(m3_rankings_metric(r, M3_CANDIDATES_UNI99, M3_RANKER_MODEL, 0, gini3)));
    assert_true(isnan(m3_rankings_metric(r, M3_CANDIDATES_FULL, M3_RANKER_MODEL, 1, gini3)));
    assert_true(isnan(m3_rankings_metric(r, M3_CANDIDATES_FULL, M3_RANKER_MODEL, 0, (m3_metric){M3_MEASURE_GINI, 2})));
    assert_true(isnan(m3_rankings_metric(r, M3_CANDIDATES_FULL, M3_RANKER_MODEL, 0, (m3_metric){M3_MEASURE_HR, 4})));
    m3_rankings_free(r);
}

static const struct wrong_cuts {
    const char *name;
    uint32_t ks[3], count;
    const char *says;
} wrong_cuts[] = {
    {"none", {0}, 0, "has no cut-off"},
    {"a 0", {0, 5}, 2, "have a 0"},
    {"one twice", {5, 5}, 2, "has 5 after 5; give rising cut-offs"},
    {"falling ones", {10, 5}, 2, "has 5 after 10"},
    {"more than there are items", {5, 31}, 2, "go up to 31, but the set has 30 items to rank; give at most 30"},
};

static void wrong_cuts_are_refused(void **state)
{
    const struct wrong_cuts *row = *state;
    m3_rankings *r = NULL;
    m3_error err = {0};
    const m3_ranking_options options = {.ks = row->ks, .k_count = row->count};
    assert_int_equal(m3_rankings_create(&options, 30, false, &r, &err), M3_ERR_INVALID);
    assert_null(r);
    if (strstr(err.message, row->says) == NULL) fail_msg("%s", err.message);
}

/* The best of many. */

static const struct choice {
    const char *name;
    float scores[ITEMS];
    uint8_t marked[ITEMS + 1];
    uint32_t popularity[ITEMS + 1]; /* place of item j */
    uint32_t top, want[ITEMS + 2];
} choices[] = {
    {"the best come first", {1, 5, 3, 4, 2}, {0}, {0, 1, 2, 3, 4, 5}, 3, {2, 4, 3}},
    {"all of them in order", {1, 5, 3, 4, 2}, {0}, {0, 1, 2, 3, 4, 5}, 5, {2, 4, 3, 5, 1}},
    {"marked ones are left out", {1, 5, 3, 4, 2}, {0, 0, 1, 0, 1}, {0, 1, 2, 3, 4, 5}, 3, {3, 5, 1}},
    {"fewer are left than wanted", {1, 5, 3, 4, 2}, {0, 1, 1, 0, 1}, {0, 1, 2, 3, 4, 5}, 4, {3, 5, 0, 0}},
    {"none is left", {1, 5, 3, 4, 2}, {0, 1, 1, 1, 1, 1}, {0, 1, 2, 3, 4, 5}, 2, {0, 0}},
    {"popularity breaks ties", {0, 0, 0, 0, 0}, {0}, {0, 4, 2, 5, 1, 3}, 5, {4, 2, 5, 1, 3}},
    {"both zeros are equal", {-0.0F, 0, -0.0F, 0, 0}, {0}, {0, 1, 2, 3, 4, 5}, 3, {1, 2, 3}},
    {"a NaN comes last", {NAN, 1, -9, NAN, 2}, {0}, {0, 1, 2, 3, 4, 5}, 5, {5, 2, 3, 1, 4}},
};

static void chooses(void **state)
{
    const struct choice *c = *state;
    m3_recommendation best[ITEMS + 2];
    m3_choose_top(c->scores, ITEMS, c->marked, c->popularity, c->top, best);
    for (uint32_t i = 0; i < c->top; i++) assert_int_equal(best[i].item, c->want[i]);
}

static void the_best_of_many_are_those_of_a_sort(void **state)
{
    (void)state;
    enum { MANY = 500, TOP = 37 };
    float scores[MANY];
    uint32_t popularity[MANY + 1] = {0};
    m3_recommendation best[TOP];
    for (uint32_t i = 0; i < MANY; i++) {
        scores[i] = (float)(m3_draw(1, 2, 3, i) % 97); /* many ties */
        popularity[i + 1] = (i * 211 + 5) % MANY + 1;  /* a permutation: 211 and 500 have no common factor */
    }
    m3_choose_top(scores, MANY, NULL, popularity, TOP, best);
    for (uint32_t k = 0; k < TOP; k++) {
        uint32_t before = 0;
        const uint32_t item = best[k].item;
        for (uint32_t j = 1; j <= MANY; j++)
            before += scores[j - 1] > scores[item - 1] ||
                      (scores[j - 1] == scores[item - 1] && popularity[j] < popularity[item]);
        assert_int_equal(before, k);
    }
}

int main(void)
{
    enum {
        PLACES = sizeof places / sizeof places[0],
        CHOICES = sizeof choices / sizeof choices[0],
        NAMED = sizeof named / sizeof named[0],
        WRONG = sizeof wrong_cuts / sizeof wrong_cuts[0]
    };
    struct CMUnitTest tests[PLACES + CHOICES + NAMED + WRONG + 3] = {
        cmocka_unit_test(metrics_are_those_of_one_right_item),
        cmocka_unit_test(lists_are_counted_together),
        cmocka_unit_test(the_best_of_many_are_those_of_a_sort),
    };
    size_t count = 3;
    for (size_t i = 0; i < PLACES; i++, count++)
        tests[count] = (struct CMUnitTest){places[i].name, ranks, NULL, NULL, (void *)(uintptr_t)&places[i]};
    for (size_t i = 0; i < CHOICES; i++, count++)
        tests[count] = (struct CMUnitTest){choices[i].name, chooses, NULL, NULL, (void *)(uintptr_t)&choices[i]};
    for (size_t i = 0; i < NAMED; i++, count++)
        tests[count] = (struct CMUnitTest){named[i].says, a_name_that_is_none_is_refused, NULL, NULL,
                                           (void *)(uintptr_t)&named[i]};
    for (size_t i = 0; i < WRONG; i++, count++)
        tests[count] = (struct CMUnitTest){wrong_cuts[i].name, wrong_cuts_are_refused, NULL, NULL,
                                           (void *)(uintptr_t)&wrong_cuts[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
