/* pool: threads for kernels. run(pool, tasks, fn, arg) calls fn(arg, task, worker) once for each task 0 ..
 * tasks-1 and returns when all are done; worker < threads differs between those that run at the same time. */
#ifndef CPU_POOL_H
#define CPU_POOL_H

#include <stddef.h>
#include <stdint.h>

typedef void (*cpu_task_fn)(void *arg, uint32_t task, uint32_t worker);

typedef struct cpu_pool {
    void *pool;
    void (*run)(void *pool, uint32_t tasks, cpu_task_fn fn, void *arg);
    uint32_t threads;
} cpu_pool;

/* A NULL pool is the calling thread alone. */
static inline uint32_t cpu_pool_threads(const cpu_pool *pool)
{
    return pool != NULL && pool->threads > 1 ? pool->threads : 1;
}

static inline void cpu_pool_run(const cpu_pool *pool, uint32_t tasks, cpu_task_fn fn, void *arg)
{
    if (pool != NULL && pool->threads > 1 && tasks > 1)
        pool->run(pool->pool, tasks, fn, arg);
    else
        for (uint32_t task = 0; task < tasks; task++) fn(arg, task, 0);
}

#endif
