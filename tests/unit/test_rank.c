/* rank: places among scores, metrics over places, and the best of many, on hand-worked examples. */
#include "core/data/draw.h"
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

static void metrics_are_those_of_one_right_item(void **state)
{
    (void)state;
    static const uint32_t given[] = {1, 3, 6, 20, 21};
    m3_metrics m = {0};
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) m3_metrics_add(&m, given[i]);
    m3_metrics_finish(&m);
    assert_int_equal(m.samples, 5);
    assert_near(m.hr[0], 2.0 / 5);
    assert_near(m.hr[1], 3.0 / 5);
    assert_near(m.hr[2], 4.0 / 5); /* 20 is within 20, 21 is not */
    assert_near(m.ndcg[0], (1.0 + 0.5) / 5);
    assert_near(m.ndcg[1], (1.0 + 0.5 + 1.0 / log2(7)) / 5);
    assert_near(m.ndcg[2], (1.0 + 0.5 + 1.0 / log2(7) + 1.0 / log2(21)) / 5);
    assert_near(m.mrr[0], (1.0 + 1.0 / 3) / 5);
    assert_near(m.mrr[2], (1.0 + 1.0 / 3 + 1.0 / 6 + 1.0 / 20) / 5);
}

static void no_sample_gives_zeros(void **state)
{
    (void)state;
    m3_metrics m = {0};
    m3_metrics_finish(&m);
    assert_int_equal(m.samples, 0);
    for (int k = 0; k < M3_METRIC_CUTS; k++) assert_true(m.hr[k] == 0 && m.ndcg[k] == 0 && m.mrr[k] == 0);
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
    enum { PLACES = sizeof places / sizeof places[0], CHOICES = sizeof choices / sizeof choices[0] };
    struct CMUnitTest tests[PLACES + CHOICES + 3] = {
        cmocka_unit_test(metrics_are_those_of_one_right_item),
        cmocka_unit_test(no_sample_gives_zeros),
        cmocka_unit_test(the_best_of_many_are_those_of_a_sort),
    };
    size_t count = 3;
    for (size_t i = 0; i < PLACES; i++, count++)
        tests[count] = (struct CMUnitTest){places[i].name, ranks, NULL, NULL, (void *)(uintptr_t)&places[i]};
    for (size_t i = 0; i < CHOICES; i++, count++)
        tests[count] = (struct CMUnitTest){choices[i].name, chooses, NULL, NULL, (void *)(uintptr_t)&choices[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
