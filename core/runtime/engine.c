/* engine: what plugins are lent (log, memory, threads, a cache folder), and what is loaded. */
#include "core/runtime/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#include "core/base/alloc.h"
#include "core/runtime/loader.h"

/* Log. */

static void to_stderr(void *user, m3_log_level level, const char *line)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    (void)user;
    (void)fprintf(stderr, "m3bsr: %s: %s\n", names[level <= M3_LOG_DEBUG ? level : M3_LOG_DEBUG], line);
}

/* The host table. */

static void host_log(void *user, m3_log_level level, const char *line)
{
    const m3_engine *engine = user;
    m3_engine_log(engine, level, "%s", line);
}

static void *host_allocate(void *user, size_t count, size_t size)
{
    (void)user;
    return m3_calloc(count, size);
}

static void host_release(void *user, void *block)
{
    (void)user;
    m3_free(block);
}

static void host_parallel(void *user, uint32_t tasks, void (*fn)(void *arg, uint32_t task, uint32_t worker), void *arg)
{
    m3_engine *engine = user;
    m3_pool_run(engine->pool, tasks, fn, arg);
}

static void host_progress(void *user, const char *what, uint32_t done, uint32_t total)
{
    m3_engine *engine = user;
    if (engine->progress == NULL) return;
    pthread_mutex_lock(&engine->progress_lock);
    engine->progress(engine->progress_user, what, done, total);
    pthread_mutex_unlock(&engine->progress_lock);
}

/* Make a folder and those above it; false when that cannot be. */
static bool make_folder(char *path)
{
    for (char *at = path + 1; *at != 0; at++) {
        if (*at != '/') continue;
        *at = 0;
        int failed = mkdir(path, 0700);
        *at = '/';
        if (failed != 0 && errno != EEXIST) return false;
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

/* A cache is a convenience: without a folder to write to, plugins do without. */
static m3_status find_cache(m3_engine *engine, const char *asked, m3_error *err)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    if (getauxval(AT_SECURE) != 0) return M3_OK;
    if (asked != NULL)
        path = m3_strdup(asked);
    else if (base != NULL && base[0] == '/')
        path = m3_strfmt("%s/m3bsr", base);
    else if (home != NULL && home[0] == '/')
        path = m3_strfmt("%s/.cache/m3bsr", home);
    else
        return M3_OK;
    if (path == NULL) return M3_FAIL_MEMORY(err, "cache folder", M3_ERROR_SUBJECT);
    if (path[0] != 0 && make_folder(path)) {
        engine->cache_path = path;
        return M3_OK;
    }
    m3_engine_log(engine, asked != NULL ? M3_LOG_WARN : M3_LOG_DEBUG, "no kernels are cached: '%s': %s", path,
                  strerror(errno));
    m3_free(path);
    return M3_OK;
}

static const m3_op *find_op(void *user, const char *name)
{
    const m3_engine *engine = user;
    return m3_registry_op(&engine->registry, name);
}

m3_status m3_engine_create(const m3_engine_config *config, m3_engine **engine, m3_error *err)
{
    m3_engine_config c = {0};
    m3_status st;
    *engine = NULL;
    if (config != NULL) memcpy(&c, config, config->size < sizeof c ? config->size : sizeof c);
    m3_engine *made = m3_calloc(1, sizeof *made);
    if (made == NULL) return M3_FAIL_MEMORY(err, "engine", sizeof *made);
    made->log.write = c.log != NULL ? c.log : to_stderr;
    made->log.user = c.log_user;
    made->log.level = c.log == NULL && c.log_level < M3_LOG_WARN ? M3_LOG_WARN : c.log_level;
    made->progress = c.progress;
    made->progress_user = c.progress_user;
    pthread_mutex_init(&made->progress_lock, NULL);
    made->ops = (m3_op_lookup){find_op, made};
    if ((st = m3_pool_create(c.threads, &made->pool, err)) != M3_OK) goto done;
    if ((st = find_cache(made, c.cache_path, err)) != M3_OK) goto done;
    made->host = (m3_host){
        .size = M3_STRUCT_SIZE(m3_host, progress),
        .abi_major = M3_ABI_MAJOR,
        .abi_minor = M3_ABI_MINOR,
        .user = made,
        .log = host_log,
        .allocate = host_allocate,
        .release = host_release,
        .parallel = host_parallel,
        .threads = m3_pool_threads(made->pool),
        .cache_path = made->cache_path,
        .progress = host_progress,
    };
    made->visitor = (m3_visitor){c.visit, c.visit_user, c.avoid};
    st = m3_registry_load(&made->registry, c.plugin_path, c.allow_writable_folder, &made->visitor, &made->log, err);
    made->visitor.avoid = (m3_span){0}; /* the caller's */
    if (st != M3_OK) goto done;
    *engine = made;
    made = NULL;
done:
    m3_engine_free(made);
    return st;
}

void m3_engine_free(m3_engine *engine)
{
    if (engine == NULL) return;
    for (uint32_t i = 0; i < engine->registry.count; i++) {
        m3_plugin_entry *entry = engine->registry.entries[i];
        if (entry->opened != NULL) entry->backend.close(entry->opened);
    }
    m3_registry_fini(&engine->registry);
    m3_pool_free(engine->pool);
    m3_free(engine->cache_path);
    (void)pthread_mutex_destroy(&engine->progress_lock);
    m3_free(engine);
}

void m3_copy_out(void *to, const void *from, uint32_t theirs, uint32_t ours)
{
    const uint32_t bytes = theirs != 0 && theirs < ours ? theirs : ours;
    memcpy(to, from, bytes);
    memcpy(to, &bytes, sizeof bytes);
}

uint32_t m3_engine_plugin_count(const m3_engine *engine)
{
    return engine->registry.count;
}

void m3_engine_plugin(const m3_engine *engine, uint32_t index, m3_plugin_report *report)
{
    const m3_plugin_entry *entry = engine->registry.entries[index];
    const m3_plugin *plugin = entry->plugin;
    m3_plugin_report all = {.size = M3_STRUCT_SIZE(m3_plugin_report, reason)};
    all.path = entry->path;
    all.name = plugin != NULL ? plugin->name : "";
    all.kind = plugin != NULL ? m3_plugin_kind_name(plugin->kind) : "";
    all.version = plugin != NULL && plugin->version != NULL ? plugin->version : "";
    all.loaded = entry->reason == NULL;
    all.reason = entry->reason != NULL ? entry->reason : "";
    m3_copy_out(report, &all, report->size, all.size);
}

static bool is_module(m3_plugin_kind kind)
{
    return kind == M3_PLUGIN_ENCODER || kind == M3_PLUGIN_EXPERT;
}

m3_status m3_engine_module(const m3_engine *engine, m3_plugin_kind kind, const char *name, const m3_module_api **module,
                           m3_error *err)
{
    char known[512], skipped[512];
    const m3_plugin_entry *entry = is_module(kind) ? m3_registry_find(&engine->registry, kind, name) : NULL;
    *module = entry != NULL ? &entry->module : NULL;
    if (entry != NULL) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, name, "there is no %s '%s'; loaded are: %s%s", m3_plugin_kind_name(kind), name,
                   m3_registry_names(&engine->registry, kind, known, sizeof known),
                   m3_registry_skipped(&engine->registry, name, skipped, sizeof skipped));
}

const m3_module_api *m3_engine_module_at(const m3_engine *engine, m3_plugin_kind kind, uint32_t index,
                                         const char **name)
{
    const m3_plugin_entry *entry = is_module(kind) ? m3_registry_at(&engine->registry, kind, index) : NULL;
    if (name != NULL) *name = entry != NULL ? entry->plugin->name : "";
    return entry != NULL ? &entry->module : NULL;
}

m3_span m3_engine_backend_options(const m3_engine *engine, const char *name)
{
    char backend[64];
    (void)snprintf(backend, sizeof backend, "%.*s", (int)strcspn(name, ":"), name);
    const m3_plugin_entry *entry = m3_registry_find(&engine->registry, M3_PLUGIN_BACKEND, backend);
    return entry != NULL ? entry->backend.options : (m3_span){0};
}

const m3_op_lookup *m3_engine_ops(const m3_engine *engine)
{
    return &engine->ops;
}

uint32_t m3_engine_threads(const m3_engine *engine)
{
    return engine->host.threads;
}
