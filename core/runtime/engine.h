/* engine: the plugin registry, the thread pool and the host table, as the other files of this folder see them. */
#ifndef M3_CORE_RUNTIME_ENGINE_H
#define M3_CORE_RUNTIME_ENGINE_H

#include "core/base/threads.h"
#include "core/runtime/log.h"
#include "core/runtime/registry.h"
#include "m3bsr/runtime.h"

struct m3_engine {
    m3_registry registry;
    m3_pool *pool;
    m3_host host;
    m3_op_lookup ops;
    m3_logger log;
    char *cache_path;
};

struct m3_device {
    m3_engine *engine;
    const m3_backend_api *api;
    m3_device_impl *impl;
    m3_device_info info;
    m3_device_limits limits;
    uint32_t spacing; /* bytes that memory plans leave free behind every tensor: 0, but where memory is watched */
    char name[64];
};

#define m3_engine_log(engine, ...) m3_logger_write(&(engine)->log, __VA_ARGS__)

/** Fill a struct of the caller's, which may be shorter or longer than ours, as its size says; 0 stands for ours. */
void m3_copy_out(void *to, const void *from, uint32_t theirs, uint32_t ours);

#endif
