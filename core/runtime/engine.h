/* engine: the plugin registry, the thread pool and the host table, as the other files of this folder see them. */
#ifndef M3_CORE_RUNTIME_ENGINE_H
#define M3_CORE_RUNTIME_ENGINE_H

#include "core/base/threads.h"
#include "core/runtime/registry.h"
#include "m3bsr/runtime.h"

struct m3_engine {
    m3_registry registry;
    m3_pool *pool;
    m3_host host;
    m3_op_lookup ops;
    m3_log_fn log;
    void *log_user;
    m3_log_level log_level;
    char *cache_path;
};

struct m3_device {
    m3_engine *engine;
    const m3_backend_api *api;
    m3_device_impl *impl;
    m3_device_info info;
    m3_device_limits limits;
    char name[64];
};

M3_PRINTF(3, 4)
void m3_engine_log(const m3_engine *engine, m3_log_level level, const char *format, ...);

/** Search the folders and fill the registry (loader.c). Only running out of memory is an error. */
m3_status m3_engine_load(m3_engine *engine, const char *plugin_path, bool allow_writable, m3_error *err);

/** Open a backend when it is not open yet. */
m3_status m3_engine_open_backend(m3_engine *engine, m3_plugin_entry *entry, m3_error *err);

/** Fill a struct of the caller's, which may be shorter or longer than ours; its size says, 0 stands for ours. */
void m3_copy_out(void *to, const void *from, uint32_t theirs, uint32_t ours);

#endif
