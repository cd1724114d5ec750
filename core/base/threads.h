/* threads: a fixed pool that runs one function over numbered tasks, as host->parallel promises it to plugins.
 * The caller takes part; a pool of one thread is a plain loop. A run allocates nothing. */
#ifndef M3_CORE_BASE_THREADS_H
#define M3_CORE_BASE_THREADS_H

#include "m3bsr/base.h"

typedef struct m3_pool m3_pool;

/** worker is 0 for the caller and below m3_pool_threads() for all. */
typedef void (*m3_task_fn)(void *arg, uint32_t task, uint32_t worker);

/** How many threads this process may run at once: the size of its affinity mask, at least 1. */
uint32_t m3_threads_available(void);

/** @param threads  The caller included; 0: as many as the process may run at once. */
m3_status m3_pool_create(uint32_t threads, m3_pool **pool, m3_error *err);
void m3_pool_free(m3_pool *pool);
uint32_t m3_pool_threads(const m3_pool *pool);

/** fn(arg, task, worker) for task = 0 .. tasks-1, in any order, then return. A second caller while a run is under way
 * (another thread, or a task itself) does its tasks alone, as worker 0. */
void m3_pool_run(m3_pool *pool, uint32_t tasks, m3_task_fn fn, void *arg);

#endif
