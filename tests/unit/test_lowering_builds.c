/* Kernels that are compiled side by side: each once, progress that ends, and one failure whatever the threads do.
 * Labels: threads */
#include "backends/lowering/builds.h"

#include <pthread.h>
#include <setjmp.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { COUNT = 40, THREADS = 4 };

typedef struct kitchen {
    pthread_mutex_t lock, turn;
    void (*fn)(void *arg, uint32_t task, uint32_t worker);
    void *arg;
    uint32_t next, tasks;
    uint32_t told, total; /* of progress */
    bool falls, over;     /* done went back; done = total was said */
    uint32_t built[COUNT];
    uint64_t bad; /* a bit for each kernel that fails */
} kitchen;

static void *work(void *user)
{
    kitchen *k = user;
    for (;;) {
        pthread_mutex_lock(&k->lock);
        const uint32_t task = k->next++;
        pthread_mutex_unlock(&k->lock);
        if (task >= k->tasks) return NULL;
        k->fn(k->arg, task, 0);
    }
}

static void parallel(void *user, uint32_t tasks, void (*fn)(void *arg, uint32_t task, uint32_t worker), void *arg)
{
    kitchen *k = user;
    pthread_t threads[THREADS];
    k->fn = fn;
    k->arg = arg;
    k->tasks = tasks;
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, work, k), 0);
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void progress(void *user, const char *what, uint32_t done, uint32_t total)
{
    kitchen *k = user;
    assert_string_equal(what, "compiling kernels");
    k->falls = k->falls || done < k->told || k->over;
    k->over = done == total;
    k->told = done;
    k->total = total;
}

static m3_status cook(void *user, uint32_t index, m3_error *err)
{
    kitchen *k = user;
    const struct timespec some = {0, 1000000 * (long)(index % 3)};
    (void)nanosleep(&some, NULL);
    pthread_mutex_lock(&k->lock);
    k->built[index]++;
    pthread_mutex_unlock(&k->lock);
    if ((k->bad >> index & 1) == 0) return M3_OK;
    return M3_FAIL(err, M3_ERR_INTERNAL, "kernel", "number %u", index);
}

static m3_status cook_all(kitchen *k, uint64_t bad, m3_error *err)
{
    *k = (kitchen){.bad = bad};
    pthread_mutex_init(&k->lock, NULL);
    pthread_mutex_init(&k->turn, NULL);
    const m3_host host = {
        .size = M3_STRUCT_SIZE(m3_host, progress), .user = k, .parallel = parallel, .progress = progress};
    const m3_status st = lower_build_all(&host, &k->turn, COUNT, cook, k, err);
    pthread_mutex_destroy(&k->lock);
    pthread_mutex_destroy(&k->turn);
    assert_true(k->over && !k->falls && k->total == COUNT);
    return st;
}

static void each_is_built_once(void **state)
{
    kitchen k;
    m3_error err = {0};
    (void)state;
    assert_int_equal(cook_all(&k, 0, &err), M3_OK);
    for (int i = 0; i < COUNT; i++) assert_int_equal(k.built[i], 1);
}

/* Threads that are held up while one fails may build the last, but not every time. */
static void the_first_in_order_that_fails_is_told_and_later_ones_are_left(void **state)
{
    int left = 0;
    (void)state;
    for (int round = 0; round < 10; round++) {
        kitchen k;
        m3_error err = {0};
        assert_int_equal(cook_all(&k, UINT64_C(7) << 5, &err), M3_ERR_INTERNAL);
        assert_string_equal(err.message, "number 5");
        for (int i = 0; i <= 5; i++) assert_int_equal(k.built[i], 1);
        left += k.built[COUNT - 1] == 0;
    }
    assert_true(left > 0);
}

static void a_host_that_does_not_know_progress_is_not_told(void **state)
{
    kitchen k = {0};
    (void)state;
    pthread_mutex_init(&k.lock, NULL);
    pthread_mutex_init(&k.turn, NULL);
    const m3_host host = {
        .size = M3_STRUCT_SIZE(m3_host, cache_path), .user = &k, .parallel = parallel, .progress = progress};
    assert_int_equal(lower_build_all(&host, &k.turn, 3, cook, &k, NULL), M3_OK);
    assert_int_equal(k.total, 0);
    pthread_mutex_destroy(&k.lock);
    pthread_mutex_destroy(&k.turn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_built_once),
        cmocka_unit_test(the_first_in_order_that_fails_is_told_and_later_ones_are_left),
        cmocka_unit_test(a_host_that_does_not_know_progress_is_not_told),
    };
    return cmocka_run_group_tests_name("kernels side by side", tests, NULL, NULL);
}
