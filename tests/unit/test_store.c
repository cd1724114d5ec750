/* store: tensors that are copied together, side by side or not, in any order, are the tensors that are copied alone. */
#include "core/runtime/store.h"
#include "executable_bench.h"

enum { TENSORS = 6, MOST = 40 };

/* On cpu a tensor begins at a multiple of 64 bytes: some end where the next one begins. */
static const uint64_t counts[TENSORS] = {16, 32, 5, 0, 16, MOST};

static float value_of(uint32_t tensor, uint64_t at, float round)
{
    return round + (float)tensor + (float)at / 64.0F;
}

static void fill(bench *b, float round)
{
    float values[MOST];
    char name[2] = "a";
    for (uint32_t i = 0; i < TENSORS; i++, name[0]++) {
        const m3_shape shape = M3_SHAPE(counts[i]);
        for (uint64_t k = 0; k < counts[i]; k++) values[k] = value_of(i, k, round);
        assert_int_equal(m3_store_write(b->store, name, M3_F32, &shape, values, NULL), M3_OK);
    }
}

static void check(const float *values, const uint32_t *order, uint32_t count, float round)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint64_t k = 0; k < counts[order[i]]; k++)
            if (*values++ != value_of(order[i], k, round)) fail_msg("tensor %u, element %d", order[i], (int)k);
}

static void copies_are_the_same_together(void **state)
{
    (void)state;
    static const struct {
        uint32_t count, order[TENSORS];
    } rows[] = {
        {6, {0, 1, 2, 3, 4, 5}}, {6, {5, 4, 3, 2, 1, 0}}, {3, {0, 1, 4}}, {4, {1, 2, 0, 5}}, {1, {3}}, {0, {0}}};
    bench b;
    start(&b, "cpu", NULL, NULL);
    fill(&b, 0.0F); /* the tensors of the store, by number */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        float values[TENSORS * MOST], all[TENSORS * MOST];
        const uint32_t every[TENSORS] = {0, 1, 2, 3, 4, 5};
        uint64_t value = 0;
        fill(&b, 100.0F);
        assert_int_equal(m3_store_copy_out(b.store, rows[i].order, rows[i].count, values, NULL), M3_OK);
        check(values, rows[i].order, rows[i].count, 100.0F);
        fill(&b, 200.0F);
        assert_int_equal(m3_store_start_out(b.store, rows[i].order, rows[i].count, values, &value, NULL), M3_OK);
        assert_int_equal(m3_store_wait(b.store, value, NULL), M3_OK);
        check(values, rows[i].order, rows[i].count, 200.0F);
        fill(&b, 300.0F);
        assert_int_equal(m3_store_copy_in(b.store, rows[i].order, rows[i].count, values, NULL), M3_OK);
        assert_int_equal(m3_store_copy_out(b.store, every, TENSORS, all, NULL), M3_OK);
        const float *at = all;
        for (uint32_t t = 0; t < TENSORS; at += counts[t++]) {
            bool given = false;
            for (uint32_t k = 0; k < rows[i].count; k++) given = given || rows[i].order[k] == t;
            check(at, &t, 1, given ? 200.0F : 300.0F);
        }
    }
    stop(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(copies_are_the_same_together)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
