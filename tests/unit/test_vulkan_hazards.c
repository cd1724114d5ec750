/* What a list of dispatches says about barriers: the level of each, from the bytes that it reads and writes.
 * A dispatch is its accesses, such as "wA0:8 rB8:16": it writes bytes 0 to 7 of buffer A and reads 8 to 15 of B. */
#include "backends/vulkan/hazards.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 8 };

typedef struct row {
    const char *name;
    const char *dispatches; /* separated by '/' */
    const char *levels;     /* a digit for each */
} row;

static const row rows[] = {
    {"the first dispatch depends on nothing", "wA0:8", "0"},
    {"a read waits for the write before it", "wA0:8/rA0:8", "01"},
    {"a write waits for the read before it", "rA0:8/wA0:8", "01"},
    {"a write waits for the write before it", "wA0:8/wA0:8", "01"},
    {"reads do not wait for each other", "rA0:8/rA0:8", "00"},
    {"other buffers are not waited for", "wA0:8/rB0:8", "00"},
    {"neighbours are not waited for", "wA0:8/rA8:16", "00"},
    {"a common byte is enough", "wA0:9/rA8:16", "01"},
    {"independent chains run side by side", "wA0:8/wB0:8/rA0:8 wA8:16/rB0:8 wB8:16", "0011"},
    {"the later of two dependences decides", "wA0:8/rA0:8 wB0:8/rA0:8 rB0:8 wC0:8", "012"},
    {"a late independent dispatch moves to the front", "wA0:8/rA0:8 wA8:16/wB0:8", "010"},
    {"an access within a dispatch is no dependence", "rA0:8 wA0:8", "0"},
    {"in place, step after step", "rA0:8 wA0:8/rA0:8 wA0:8/rA0:8 wA0:8", "012"},
    {"a write over several reads waits for the latest", "wB0:8/rB0:8 rA0:8 wC0:8/rA4:8/wA0:16", "0102"},
    {"what a covering write hides is still waited for through it", "wA0:8/wA0:16/wA0:4", "012"},
    {"a partly hidden write is still seen", "wA0:16/wA0:8/rA8:16/wA8:12", "0112"},
    {"a later read does not hide an earlier one of more bytes", "wB0:4/rA0:16/rB0:4 rA0:8/wA8:16/wA0:4", "00112"},
    {"a read does not hide the write that it waited for", "wA0:8/rA0:8/rA0:8", "011"},
    {"an early read after a late one is not forgotten", "wB0:4/rB0:4 rA0:8/rA0:8/wA0:8", "0102"},
};

/* The host. */

static long live;

static void *allocate(void *user, size_t count, size_t size)
{
    void *block = user == NULL ? calloc(count, size) : NULL;
    live += block != NULL;
    return block;
}

static void release(void *user, void *block)
{
    (void)user;
    live -= block != NULL;
    free(block);
}

static const m3_host host = {.size = sizeof host, .allocate = allocate, .release = release};

static uint32_t read_dispatch(const char *text, vulkan_range ranges[MOST])
{
    uint32_t count = 0;
    for (char *end = NULL; *text != 0 && *text != '/'; text = end) {
        text += *text == ' ';
        vulkan_range *r = &ranges[count++];
        *r = (vulkan_range){.write = text[0] == 'w', .buffer = (uint32_t)(text[1] - 'A')};
        r->from = strtoull(text + 2, &end, 10);
        r->to = strtoull(end + 1, &end, 10);
    }
    return count;
}

static void levels(void **state)
{
    const row *r = *state;
    vulkan_hazards h = {.host = &host};
    vulkan_range ranges[MOST];
    char got[16] = {0};
    uint32_t at = 0;
    for (const char *text = r->dispatches; text != NULL; text = strchr(text, '/')) {
        text += *text == '/';
        uint32_t level = 0;
        m3_error err = {0};
        assert_int_equal(vulkan_hazards_add(&h, ranges, read_dispatch(text, ranges), &level, &err), M3_OK);
        got[at++] = (char)('0' + level);
    }
    vulkan_hazards_fini(&h);
    assert_string_equal(got, r->levels);
    assert_int_equal(live, 0);
}

/* Against the definition: each pair of a random list, one dispatch after another. */
static void random_lists_agree_with_the_definition(void **state)
{
    enum { COUNT = 60, EACH = 3 };
    (void)state;
    uint32_t random = 1;
    for (int list = 0; list < 100; list++) {
        vulkan_hazards h = {.host = &host};
        vulkan_range all[COUNT][EACH];
        uint32_t want[COUNT] = {0};
        for (int i = 0; i < COUNT; i++) {
            for (int k = 0; k < EACH; k++) {
                random = random * 1664525u + 1013904223u;
                const uint32_t from = (random >> 8) % 24, length = 1 + (random >> 16) % 12;
                all[i][k] = (vulkan_range){(random >> 13) % 3, (random >> 29) < 3, from, from + length, 0};
            }
            for (int j = 0; j < i; j++)
                for (int k = 0; k < EACH * EACH; k++) {
                    const vulkan_range *a = &all[i][k / EACH], *b = &all[j][k % EACH];
                    if (a->buffer == b->buffer && (a->write || b->write) && a->from < b->to && b->from < a->to &&
                        want[j] >= want[i])
                        want[i] = want[j] + 1;
                }
            uint32_t level = 0;
            assert_int_equal(vulkan_hazards_add(&h, all[i], EACH, &level, NULL), M3_OK);
            assert_int_equal(level, want[i]);
        }
        vulkan_hazards_fini(&h);
    }
}

static void ranges_that_touch_become_one(void **state)
{
    (void)state;
    vulkan_range ranges[] = {{1, true, 8, 16, 0}, {0, true, 20, 24, 0}, {0, true, 0, 8, 0},
                             {0, true, 4, 12, 0}, {0, true, 12, 16, 0}, {1, true, 9, 10, 0}};
    assert_int_equal(vulkan_ranges_join(ranges, 6), 3);
    assert_int_equal(ranges[0].from, 0);
    assert_int_equal(ranges[0].to, 16);
    assert_int_equal(ranges[1].from, 20);
    assert_int_equal(ranges[2].buffer, 1);
    assert_int_equal(ranges[2].to, 16);
    assert_int_equal(vulkan_ranges_join(ranges, 0), 0);
}

static void no_memory_is_said(void **state)
{
    (void)state;
    m3_host poor = host;
    poor.user = &poor;
    vulkan_hazards h = {.host = &poor};
    vulkan_range range = {0, true, 0, 8, 0};
    uint32_t level = 0;
    m3_error err = {0};
    assert_int_equal(vulkan_hazards_add(&h, &range, 1, &level, &err), M3_ERR_MEMORY);
    vulkan_hazards_fini(&h);
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[ROWS + 3];
    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, levels, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    tests[ROWS] = (struct CMUnitTest)cmocka_unit_test(random_lists_agree_with_the_definition);
    tests[ROWS + 1] = (struct CMUnitTest)cmocka_unit_test(ranges_that_touch_become_one);
    tests[ROWS + 2] = (struct CMUnitTest)cmocka_unit_test(no_memory_is_said);
    return _cmocka_run_group_tests("hazards", tests, ROWS + 3, NULL, NULL);
}
