/* threads: workers claim tasks by counting `open` down from the number of tasks to 0.
 * A claim that succeeds belongs to the run under way, because that run ends only when every claimed task is done; so
 * the run's description (fn, arg, tasks) is read after the claim and needs no lock. Whoever waits spins for a moment,
 * then sleeps on a condition: a training step has hundreds of runs, microseconds apart. */
#include "core/base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "core/base/alloc.h"

enum { SPINS = 2000, CACHE_LINE = 64 };

typedef struct worker {
    m3_pool *pool;
    uint32_t index;
    pthread_t thread;
} worker;

struct m3_pool {
    uint32_t threads; /* the caller included */
    uint32_t started;
    uint32_t spins;
    worker *workers;
    pthread_mutex_t turn; /* held by the caller whose run is under way */
    pthread_mutex_t mutex;
    pthread_cond_t work, finished;
    m3_task_fn fn;
    void *arg;
    uint32_t tasks;
    char apart0[CACHE_LINE];
    _Atomic uint32_t open; /* tasks that nobody has claimed */
    char apart1[CACHE_LINE];
    _Atomic uint32_t left; /* tasks that are not done */
    char apart2[CACHE_LINE];
    _Atomic uint32_t sleepers;
    _Atomic bool stop;
};

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

uint32_t m3_threads_available(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? (uint32_t)count : 1;
}

/* Do tasks until none is open. Returns whether this thread finished the last one of the run. */
static bool take_part(m3_pool *pool, uint32_t index)
{
    bool last = false;
    uint32_t open = atomic_load_explicit(&pool->open, memory_order_acquire);
    while (open > 0) {
        if (!atomic_compare_exchange_weak_explicit(&pool->open, &open, open - 1, memory_order_acq_rel,
                                                   memory_order_acquire))
            continue;
        pool->fn(pool->arg, pool->tasks - open, index);
        last = atomic_fetch_sub_explicit(&pool->left, 1, memory_order_acq_rel) == 1;
        open = atomic_load_explicit(&pool->open, memory_order_acquire);
    }
    return last;
}

static void wait_for_work(m3_pool *pool)
{
    for (uint32_t i = 0; i < pool->spins; i++) {
        if (atomic_load_explicit(&pool->open, memory_order_relaxed) > 0) return;
        relax();
    }
    pthread_mutex_lock(&pool->mutex);
    /* Sequential consistency: either the caller sees this sleeper, or the sleeper sees the caller's tasks. */
    atomic_fetch_add(&pool->sleepers, 1);
    while (atomic_load(&pool->open) == 0 && !atomic_load(&pool->stop)) pthread_cond_wait(&pool->work, &pool->mutex);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
}

static void *work(void *arg)
{
    const worker *self = arg;
    m3_pool *pool = self->pool;
    while (!atomic_load(&pool->stop)) {
        if (take_part(pool, self->index)) {
            pthread_mutex_lock(&pool->mutex);
            pthread_cond_signal(&pool->finished);
            pthread_mutex_unlock(&pool->mutex);
        }
        wait_for_work(pool);
    }
    return NULL;
}

/* Workers must not take the signals that the program waits for, such as an interrupt from the keyboard. Those that a
 * worker's own instructions raise are the program's to handle: a mapped file may have been cut short. */
static m3_status start_workers(m3_pool *pool, m3_error *err)
{
    sigset_t all, before;
    int failed = 0;
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGFPE);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (failed == 0 && pool->started + 1 < pool->threads) {
        worker *next = &pool->workers[pool->started];
        next->pool = pool;
        next->index = pool->started + 1;
        failed = pthread_create(&next->thread, NULL, work, next);
        if (failed == 0) pool->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed == 0) return M3_OK;
    return M3_FAIL(err, M3_ERR_MEMORY, "threads",
                   "thread %u of %u could not be started: %s; free memory, or ask for fewer threads", pool->started + 2,
                   pool->threads, strerror(failed));
}

m3_status m3_pool_create(uint32_t threads, m3_pool **pool, m3_error *err)
{
    uint32_t available = m3_threads_available();
    m3_pool *made = *pool = NULL;
    if (threads == 0) threads = available;
    if (threads > UINT16_MAX)
        return M3_FAIL(err, M3_ERR_INVALID, "threads", "%u threads were asked for; give at most %u", threads,
                       UINT16_MAX);
    made = m3_calloc(1, sizeof *made);
    if (made == NULL) return M3_FAIL_MEMORY(err, "threads", sizeof *made);
    made->threads = threads;
    made->spins = threads <= available ? SPINS : 0; /* who spins without a processor to spare only delays the work */
    pthread_mutex_init(&made->turn, NULL);
    pthread_mutex_init(&made->mutex, NULL);
    pthread_cond_init(&made->work, NULL);
    pthread_cond_init(&made->finished, NULL);
    made->workers = m3_calloc(threads, sizeof *made->workers);
    m3_status st = made->workers != NULL ? start_workers(made, err)
                                         : M3_FAIL_MEMORY(err, "threads", threads * sizeof *made->workers);
    if (st == M3_OK)
        *pool = made;
    else
        m3_pool_free(made);
    return st;
}

void m3_pool_free(m3_pool *pool)
{
    if (pool == NULL) return;
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->stop, true);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
    for (uint32_t i = 0; i < pool->started; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->finished);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->mutex);
    pthread_mutex_destroy(&pool->turn);
    m3_free(pool->workers);
    m3_free(pool);
}

uint32_t m3_pool_threads(const m3_pool *pool)
{
    return pool->threads;
}

static void wait_for_others(m3_pool *pool)
{
    for (uint32_t i = 0; i < pool->spins; i++) {
        if (atomic_load_explicit(&pool->left, memory_order_acquire) == 0) return;
        relax();
    }
    pthread_mutex_lock(&pool->mutex);
    while (atomic_load_explicit(&pool->left, memory_order_acquire) != 0)
        pthread_cond_wait(&pool->finished, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
}

void m3_pool_run(m3_pool *pool, uint32_t tasks, m3_task_fn fn, void *arg)
{
    if (tasks <= 1 || pool->threads == 1 || pthread_mutex_trylock(&pool->turn) != 0) {
        for (uint32_t i = 0; i < tasks; i++) fn(arg, i, 0);
        return;
    }
    pool->fn = fn;
    pool->arg = arg;
    pool->tasks = tasks;
    atomic_store_explicit(&pool->left, tasks, memory_order_relaxed);
    atomic_store(&pool->open, tasks);
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->work);
        pthread_mutex_unlock(&pool->mutex);
    }
    (void)take_part(pool, 0);
    wait_for_others(pool);
    pthread_mutex_unlock(&pool->turn);
}
