/* schedule: the learning rate by step, and AdamW's bias corrections. */
#include "core/train/lr_schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* lr 0.1, lr_end 0.01, 100 steps. */
static const struct row {
    const char *name;
    m3_decay decay;
    uint64_t warmup, step;
    double want;
} rows[] = {
    {"constant stays", M3_DECAY_NONE, 0, 1, 0.1},
    {"constant stays to the end", M3_DECAY_NONE, 0, 100, 0.1},
    {"the warm-up rises from a share", M3_DECAY_NONE, 10, 1, 0.01},
    {"the warm-up reaches lr", M3_DECAY_NONE, 10, 10, 0.1},
    {"after the warm-up it stays", M3_DECAY_NONE, 10, 11, 0.1},
    {"linear is halfway at half", M3_DECAY_LINEAR, 0, 50, 0.055},
    {"linear ends at lr_end", M3_DECAY_LINEAR, 0, 100, 0.01},
    {"linear begins after the warm-up", M3_DECAY_LINEAR, 20, 60, 0.055},
    {"cosine is halfway at half", M3_DECAY_COSINE, 0, 50, 0.055},
    {"cosine ends at lr_end", M3_DECAY_COSINE, 0, 100, 0.01},
    {"cosine at a quarter", M3_DECAY_COSINE, 20, 40, 0.01 + 0.09 * (1.0 + 0.70710678118654752) / 2.0},
    {"steps beyond the last stay at lr_end", M3_DECAY_COSINE, 0, 1000, 0.01},
    {"a warm-up longer than the training only rises", M3_DECAY_LINEAR, 1000, 100, 0.01},
    {"a warm-up as long as the training ends at lr", M3_DECAY_LINEAR, 100, 100, 0.1},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void learning_rate(void **state)
{
    const struct row *row = *state;
    const m3_lr_schedule s = {.decay = row->decay, .lr = 0.1, .lr_end = 0.01, .warmup = row->warmup, .total = 100};
    double got = m3_lr_schedule_at(&s, row->step);
    if (fabs(got - row->want) > 1e-12) fail_msg("%.15g, not %.15g", got, row->want);
}

static void corrections(void **state)
{
    (void)state;
    const m3_lr_schedule s = {.decay = M3_DECAY_NONE, .lr = 0.001, .beta1 = 0.9, .beta2 = 0.999, .total = 10};
    const m3_lr_schedule none = {.decay = M3_DECAY_NONE, .lr = 0.001, .total = 10};
    const uint64_t steps[] = {1, 2, 10, 1000, 1000000};
    float step[3];
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        m3_lr_schedule_fill(&s, steps[i], step);
        assert_true(step[0] == 0.001F);
        assert_true(fabs(step[1] - (1.0 - pow(0.9, (double)steps[i]))) <= 1e-7);
        assert_true(fabs(step[2] - (1.0 - pow(0.999, (double)steps[i]))) <= 1e-7);
    }
    m3_lr_schedule_fill(&none, 1, step);
    assert_true(step[1] == 1.0F && step[2] == 1.0F);
}

int main(void)
{
    struct CMUnitTest tests[ROWS + 1];
    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, learning_rate, NULL, NULL, (void *)&rows[i]};
    tests[ROWS] = (struct CMUnitTest){"bias corrections are 1 - beta^t", corrections, NULL, NULL, NULL};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
