/* engine: the plugin registry, the thread pool and the host table, as the other files of this folder see them. */
#ifndef M3_CORE_RUNTIME_ENGINE_H
#define M3_CORE_RUNTIME_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/base/threads.h"
#include "core/runtime/loader.h"
#include "m3bsr/runtime.h"

struct m3_engine {
    m3_registry registry;
    m3_pool *pool;
    m3_host host;
    m3_op_lookup ops;
    m3_logger log;
    char *cache_path;
    m3_visitor visitor;
    void (*progress)(void *user, const char *what, uint32_t done, uint32_t total); /* NULL: nobody hears of it */
    void *progress_user;
    pthread_mutex_t progress_lock;
};

struct m3_device {
    m3_engine *engine;
    const m3_backend_api *api;
    m3_device_impl *impl;
    m3_device_info info;
    m3_device_limits limits;
    uint32_t spacing; /* bytes that memory plans leave free behind every tensor: 0, but where memory is watched */
    char name[64];
    _Atomic uint64_t busy_since; /* nanoseconds of the monotonic clock, 0: idle */
    const char *_Atomic busy_what;
};

#define m3_engine_log(engine, ...) m3_logger_write(&(engine)->log, __VA_ARGS__)

/** The device is at work from here until m3_device_idle(), for m3_device_busy(). */
void m3_device_begin(m3_device *device, const char *what);
void m3_device_idle(m3_device *device);

/** Fill a struct of the caller's, which may be shorter or longer than ours, as its size says; 0 stands for ours. */
void m3_copy_out(void *to, const void *from, uint32_t theirs, uint32_t ours);

#endif
