/* philox: the known answers that the authors of Random123 publish for philox4x32-10. */
#include "core/base/philox.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

static const struct row {
    const char *name;
    uint32_t counter[4], key[2], want[4];
} rows[] = {
    {"zeros", {0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {"all bits set",
     {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {"the digits of pi",
     {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void answers(void **state)
{
    const struct row *row = *state;
    uint32_t out[4];
    m3_philox4x32_10(row->counter, row->key, out);
    assert_memory_equal(out, row->want, sizeof out);
}

static void output_may_overwrite_the_counter(void **state)
{
    (void)state;
    uint32_t block[4] = {0, 0, 0, 0};
    m3_philox4x32_10(block, (const uint32_t[2]){0, 0}, block);
    assert_memory_equal(block, rows[0].want, sizeof block);
}

int main(void)
{
    struct CMUnitTest tests[ROWS + 1];
    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, answers, NULL, NULL, (void *)&rows[i]};
    tests[ROWS] = (struct CMUnitTest)cmocka_unit_test(output_may_overwrite_the_counter);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
