/* pool: every task runs once, by a worker of its own number, whoever calls and however often.
 * Labels: threads */
#include "core/base/threads.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <time.h>

#include <cmocka.h>

#include "core/base/alloc.h"

enum { MOST = 1000 };

typedef struct tally {
    m3_pool *pool;
    uint32_t times[MOST];            /* written by the task's own thread: a data race if it ran twice at once */
    _Atomic uint32_t busy[MOST + 1]; /* by worker */
    _Atomic uint32_t wrong;
} tally;

static void count(void *arg, uint32_t task, uint32_t worker)
{
    tally *t = arg;
    if (worker >= m3_pool_threads(t->pool)) atomic_fetch_add(&t->wrong, 1);
    if (atomic_fetch_add(&t->busy[worker], 1) != 0) atomic_fetch_add(&t->wrong, 1);
    t->times[task]++;
    atomic_fetch_sub(&t->busy[worker], 1);
}

static const struct row {
    const char *name;
    uint32_t threads, tasks, rounds;
} rows[] = {
    {"no task is a run", 2, 0, 3},
    {"one thread is a loop", 1, 100, 2},
    {"one task needs no help", 2, 1, 10},
    {"fewer tasks than threads", 4, 2, 500},
    {"as many tasks as threads", 2, 2, 2000},
    {"many tasks on two threads", 2, MOST, 50},
    {"more threads than processors", 8, MOST, 20},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void every_task_runs_once(void **state)
{
    const struct row *row = *state;
    m3_error err = {0};
    tally t = {0};
    assert_int_equal(m3_pool_create(row->threads, &t.pool, &err), M3_OK);
    assert_int_equal(m3_pool_threads(t.pool), row->threads);
    for (uint32_t round = 0; round < row->rounds; round++) {
        m3_pool_run(t.pool, row->tasks, count, &t);
        for (uint32_t i = 0; i < MOST; i++) assert_int_equal(t.times[i], i < row->tasks ? round + 1 : 0);
    }
    assert_int_equal(t.wrong, 0);
    m3_pool_free(t.pool);
}

static void workers_that_fell_asleep_wake_up(void **state)
{
    (void)state;
    tally t = {0};
    const struct timespec pause = {0, 2000000};
    assert_int_equal(m3_pool_create(2, &t.pool, NULL), M3_OK);
    for (uint32_t round = 0; round < 20; round++) {
        nanosleep(&pause, NULL);
        m3_pool_run(t.pool, 50, count, &t);
        for (uint32_t i = 0; i < 50; i++) assert_int_equal(t.times[i], round + 1);
    }
    assert_int_equal(t.wrong, 0);
    m3_pool_free(t.pool);
}

typedef struct caller {
    m3_pool *pool;
    _Atomic uint32_t done;
} caller;

static void add_one(void *arg, uint32_t task, uint32_t worker)
{
    (void)task;
    (void)worker;
    atomic_fetch_add((_Atomic uint32_t *)arg, 1);
}

static void *call_often(void *arg)
{
    caller *c = arg;
    for (uint32_t i = 0; i < 200; i++) m3_pool_run(c->pool, 10, add_one, &c->done);
    return NULL;
}

static void two_callers_at_once_both_finish(void **state)
{
    (void)state;
    m3_pool *pool = NULL;
    pthread_t other;
    assert_int_equal(m3_pool_create(3, &pool, NULL), M3_OK);
    caller a = {pool, 0}, b = {pool, 0};
    assert_int_equal(pthread_create(&other, NULL, call_often, &a), 0);
    (void)call_often(&b);
    pthread_join(other, NULL);
    assert_int_equal(a.done, 2000);
    assert_int_equal(b.done, 2000);
    m3_pool_free(pool);
}

static bool count_request(void *user, size_t bytes)
{
    (void)bytes;
    ++*(uint32_t *)user;
    return true;
}

static void a_run_allocates_nothing(void **state)
{
    (void)state;
    uint32_t requests = 0;
    tally t = {0};
    assert_int_equal(m3_pool_create(2, &t.pool, NULL), M3_OK);
    m3_alloc_set_gate(count_request, &requests);
    for (uint32_t i = 0; i < 10; i++) m3_pool_run(t.pool, 10, count, &t);
    m3_alloc_set_gate(NULL, NULL);
    assert_int_equal(requests, 0);
    m3_pool_free(t.pool);
}

static void zero_threads_means_all_there_are(void **state)
{
    (void)state;
    m3_pool *pool = NULL;
    assert_int_equal(m3_pool_create(0, &pool, NULL), M3_OK);
    assert_int_equal(m3_pool_threads(pool), m3_threads_available());
    m3_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest others[] = {
        cmocka_unit_test(workers_that_fell_asleep_wake_up),
        cmocka_unit_test(two_callers_at_once_both_finish),
        cmocka_unit_test(a_run_allocates_nothing),
        cmocka_unit_test(zero_threads_means_all_there_are),
    };
    struct CMUnitTest tests[ROWS + 4];
    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, every_task_runs_once, NULL, NULL, (void *)&rows[i]};
    for (size_t i = 0; i < 4; i++) tests[ROWS + i] = others[i];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
