/* group: what the ranks of one training tell each other, over the plugin local: a thread for each rank. What it
 * promises holds, and a rank that fails or is silent ends all.
 * Labels: threads errors */
#include "core/parallel/group.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/alloc.h"
#include "m3bsr/conformance.h"

enum { MOST = 5 };

static m3_engine *engine;

static void quiet(void *user, m3_log_level level, const char *line)
{
    (void)user;
    (void)level;
    (void)line;
}

static int start_engine(void **state)
{
    m3_error err = {0};
    const m3_engine_config config = {.size = sizeof config,
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR "/m3bsr_collectives_local.so",
                                     .threads = 1,
                                     .log = quiet};
    (void)state;
    return m3_engine_create(&config, &engine, &err) != M3_OK;
}

static int stop_engine(void **state)
{
    (void)state;
    m3_engine_free(engine);
    return 0;
}

/* A thread for each rank does the same. */

typedef struct gang gang;
typedef struct worker {
    gang *all;
    m3_member *member;
    uint32_t rank;
    m3_status status;
    m3_error err;
} worker;

struct gang {
    m3_group *group;
    uint32_t count;
    pthread_barrier_t barrier;
    worker workers[MOST];
    void (*work)(worker *w);
};

static void *begin(void *arg)
{
    worker *w = arg;
    w->all->work(w);
    return NULL;
}

static void open_gang(gang *g, uint32_t count, double seconds)
{
    m3_error err = {0};
    *g = (gang){.count = count};
    if (m3_group_open(engine, "local", count, seconds, (m3_span){0}, &g->group, &err) != M3_OK)
        fail_msg("%s", err.message);
    assert_int_equal(pthread_barrier_init(&g->barrier, NULL, count), 0);
    for (uint32_t i = 0; i < count; i++)
        g->workers[i] = (worker){.all = g, .member = m3_group_member(g->group, i), .rank = i};
}

static void run_gang(gang *g, void (*work)(worker *w))
{
    pthread_t threads[MOST];
    g->work = work;
    for (uint32_t i = 0; i < g->count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, begin, &g->workers[i]), 0);
    for (uint32_t i = 0; i < g->count; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void close_gang(gang *g)
{
    m3_group_close(g->group);
    (void)pthread_barrier_destroy(&g->barrier);
}

static void all_are_well(const gang *g)
{
    for (uint32_t i = 0; i < g->count; i++)
        if (g->workers[i].status != M3_OK) fail_msg("rank %u: %s", i, g->workers[i].err.message);
}

static void print_failed(void *user, const m3_collectives_finding *finding)
{
    (void)user;
    if (!finding->passed) print_message("%s: %s\n", finding->name, finding->text);
}

static void local_does_what_is_asked_of_collectives(void **state)
{
    static const uint32_t counts[] = {1, 2, 3, MOST};
    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        m3_error err = {0};
        m3_collectives_report report;
        const m3_collectives_options options = {
            .size = sizeof options, .here = counts[i], .seconds = 0, .done = print_failed};
        if (m3_conformance_collectives(engine, "local", &options, &report, &err) != M3_OK) fail_msg("%s", err.message);
        assert_int_equal(report.failed, 0);
        assert_int_equal(report.run, counts[i] == 1 ? 6 : 9);
        assert_int_equal(report.ranks, counts[i]);
    }
}

/* Faults: what the ranks are told. */

static void expect_all(const gang *g, m3_status status, const char *subject, const char *says)
{
    for (uint32_t i = 0; i < g->count; i++) {
        const worker *w = &g->workers[i];
        assert_int_equal(w->status, status);
        if (strcmp(w->err.subject, subject) != 0 || strstr(w->err.message, says) == NULL)
            fail_msg("rank %u: '%s': %s", i, w->err.subject, w->err.message);
    }
}

static void one_ends(worker *w)
{
    float values[3] = {1, 2, 3};
    w->status = m3_member_sum(w->member, values, 3, &w->err);
    if (w->rank == 1) {
        const m3_error why = {.code = M3_ERR_IO, .subject = "run/log", .message = "the disk is full"};
        m3_member_fail(w->member, &why);
    }
    for (uint32_t i = 0; i < 3 && w->status == M3_OK; i++) w->status = m3_member_sum(w->member, values, 3, &w->err);
}

static void a_rank_that_ends_tells_why(void **state)
{
    gang g;
    (void)state;
    open_gang(&g, 3, 0);
    run_gang(&g, one_ends);
    expect_all(&g, M3_ERR_DEVICE_LOST, "rank 1", "ended: run/log: the disk is full");
    close_gang(&g);
}

static void one_is_silent(worker *w)
{
    m3_parcel parcels[MOST] = {{0}};
    m3_exchange *exchange = NULL;
    if (w->rank != 2) w->status = m3_member_start(w->member, parcels, &exchange, &w->err);
    (void)pthread_barrier_wait(&w->all->barrier); /* all but rank 2 have started */
    if (w->rank != 2) w->status = m3_member_finish(w->member, &exchange, &w->err);
    (void)pthread_barrier_wait(&w->all->barrier);
    if (w->rank == 2) w->status = m3_member_start(w->member, parcels, &exchange, &w->err);
}

static void a_rank_that_is_silent_is_named(void **state)
{
    gang g;
    (void)state;
    open_gang(&g, 4, 0.05);
    run_gang(&g, one_is_silent);
    expect_all(&g, M3_ERR_DEVICE_LOST, "rank 2", "was silent for 0.05 s");
    run_gang(&g, one_ends); /* and it stays so */
    expect_all(&g, M3_ERR_DEVICE_LOST, "rank 2", "was silent for 0.05 s");
    close_gang(&g);
}

static void one_has_more(worker *w)
{
    float values[9] = {0};
    w->status = m3_member_sum(w->member, values, w->rank == 1 ? 9 : 6, &w->err);
}

static void other_sizes_are_refused(void **state)
{
    gang g;
    (void)state;
    open_gang(&g, 3, 0);
    run_gang(&g, one_has_more);
    expect_all(&g, M3_ERR_INVALID, "exchange", "they do not do the same");
    close_gang(&g);
}

static const uint64_t counts_summed[] = {0, 1, 7, (1 << 20) - 1, (2 << 20) + 1};
static uint64_t count_summed;

static void adds_many(worker *w)
{
    float *values = m3_calloc(count_summed + 1, sizeof *values);
    assert_non_null(values);
    w->status = m3_member_sum(w->member, values, count_summed, &w->err);
    m3_free(values);
}

/* In pieces, to all ranks. */
static void a_sum_sends_what_is_said(void **state)
{
    (void)state;
    for (uint32_t ranks = 1; ranks <= MOST; ranks++) {
        for (size_t i = 0; i < sizeof counts_summed / sizeof counts_summed[0]; i++) {
            gang g;
            uint64_t most = 0;
            count_summed = counts_summed[i];
            open_gang(&g, ranks, 0);
            run_gang(&g, adds_many);
            all_are_well(&g);
            for (uint32_t r = 0; r < ranks; r++)
                if (m3_member_sent(g.workers[r].member) > most) most = m3_member_sent(g.workers[r].member);
            assert_int_equal(most, m3_sum_traffic(count_summed, ranks));
            close_gang(&g);
        }
    }
}

static const char *texts[MOST];

static void agrees(worker *w)
{
    w->status = m3_member_agree(w->member, "settings", texts[w->rank], &w->err);
}

static void texts_that_differ_are_shown(void **state)
{
    gang g;
    (void)state;
    open_gang(&g, 4, 0);
    for (uint32_t i = 0; i < 4; i++) texts[i] = "width: 8\nseed: 1\n";
    run_gang(&g, agrees);
    all_are_well(&g);
    texts[1] = "width: 8\nseed: 12\n";
    texts[3] = "width: 8\n";
    run_gang(&g, agrees);
    expect_all(
        &g, M3_ERR_INVALID, "rank 1",
        "the ranks differ in settings: rank 1, 3 from rank 0, which has \"seed: 1\" where rank 1 has \"seed: 12\"");
    for (uint32_t i = 0; i < 4; i++) g.workers[i] = (worker){.all = &g, .member = g.workers[i].member, .rank = i};
    texts[1] = texts[3] = texts[0];
    run_gang(&g, agrees); /* the group goes on */
    all_are_well(&g);
    close_gang(&g);
}

static void a_group_of_none_moves_nothing(void **state)
{
    float value = 3;
    uint32_t all = 0;
    const uint32_t mine = 7;
    m3_error err = {0};
    (void)state;
    assert_int_equal(m3_member_rank(NULL), 0);
    assert_int_equal(m3_member_count(NULL), 1);
    assert_int_equal(m3_member_sum(NULL, &value, 1, &err), M3_OK);
    assert_true(value == 3);
    assert_int_equal(m3_member_broadcast(NULL, 0, &value, sizeof value, &err), M3_OK);
    assert_int_equal(m3_member_gather(NULL, &mine, sizeof mine, &all, &err), M3_OK);
    assert_int_equal(all, 7);
    assert_int_equal(m3_member_agree(NULL, "settings", "a", &err), M3_OK);
    m3_member_fail(NULL, &err);
    m3_group_close(NULL);
}

static void what_cannot_be_opened(void **state)
{
    m3_group *group = NULL;
    m3_error unknown = {0}, none = {0}, option = {0};
    const m3_option odd = {"speed", "9"};
    (void)state;
    assert_int_equal(m3_group_open(engine, "locl", 2, 0, (m3_span){0}, &group, &unknown), M3_ERR_INVALID);
    assert_non_null(strstr(unknown.message, "there is no collectives plugin 'locl'; loaded are: "));
    assert_null(group);
    assert_int_equal(m3_group_open(engine, "local", 0, 0, (m3_span){0}, &group, &none), M3_ERR_INVALID);
    assert_int_equal(m3_group_open(engine, "local", 2, 0, (m3_span){1, sizeof odd, &odd}, &group, &option),
                     M3_ERR_INVALID);
    assert_non_null(strstr(option.subject, "speed"));
    assert_null(group);
}

/* Every request for memory fails once: all ranks end, and all alike. */

static atomic_long left;

static bool gate(void *user, size_t bytes)
{
    (void)user;
    (void)bytes;
    return atomic_fetch_sub(&left, 1) != 0;
}

static void does_all(worker *w)
{
    float values[7] = {0};
    w->status = m3_member_sum(w->member, values, 7, &w->err);
    if (w->status == M3_OK) w->status = m3_member_agree(w->member, "settings", "a: 1\n", &w->err);
}

static void memory_may_fail_anywhere(void **state)
{
    bool done = false;
    (void)state;
    for (long n = 0; !done; n++) {
        gang g = {.count = 3};
        m3_error err = {0};
        atomic_store(&left, n);
        m3_alloc_set_gate(gate, NULL);
        const m3_status st = m3_group_open(engine, "local", 3, 0, (m3_span){0}, &g.group, &err);
        m3_alloc_set_gate(NULL, NULL);
        if (st != M3_OK) {
            assert_int_equal(st, M3_ERR_MEMORY);
            assert_null(g.group);
            continue;
        }
        m3_group_close(g.group);
        open_gang(&g, 3, 0);
        m3_alloc_set_gate(gate, NULL);
        run_gang(&g, does_all);
        m3_alloc_set_gate(NULL, NULL);
        done = atomic_load(&left) >= 0;
        uint32_t failed = 0, lacking = 0;
        for (uint32_t i = 0; i < 3; i++) {
            failed += g.workers[i].status != M3_OK;
            lacking += g.workers[i].status == M3_ERR_MEMORY;
        }
        assert_int_equal(failed, done ? 0 : 3);
        assert_int_equal(lacking, done ? 0 : 1);
        close_gang(&g);
    }
}

/* Rank r has r letters, rank 0 none. */
static void collect_letters(worker *w)
{
    uint64_t bytes[MOST] = {0};
    char mine[MOST], all[MOST * MOST] = "";
    for (uint32_t r = 0; r < w->all->count; r++) bytes[r] = r;
    memset(mine, 'a' + (int)w->rank, sizeof mine);
    w->status = m3_member_collect(w->member, mine, bytes, w->rank == 0 ? all : NULL, &w->err);
    if (w->rank == 0) assert_memory_equal(all, "bccddd", sizeof "bccddd");
}

static void rank_0_collects(void **state)
{
    (void)state;
    gang g;
    open_gang(&g, 4, 0);
    run_gang(&g, collect_letters);
    all_are_well(&g);
    close_gang(&g);
    const uint64_t three = 3;
    char alone[4] = "";
    assert_int_equal(m3_member_collect(NULL, "abc", &three, alone, NULL), M3_OK);
    assert_string_equal(alone, "abc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(local_does_what_is_asked_of_collectives),
        cmocka_unit_test(a_rank_that_ends_tells_why),
        cmocka_unit_test(a_rank_that_is_silent_is_named),
        cmocka_unit_test(other_sizes_are_refused),
        cmocka_unit_test(a_sum_sends_what_is_said),
        cmocka_unit_test(rank_0_collects),
        cmocka_unit_test(texts_that_differ_are_shown),
        cmocka_unit_test(a_group_of_none_moves_nothing),
        cmocka_unit_test(what_cannot_be_opened),
        cmocka_unit_test(memory_may_fail_anywhere),
    };
    return cmocka_run_group_tests(tests, start_engine, stop_engine);
}
