/* device: listing, choosing and opening the devices of all backends. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/alloc.h"
#include "core/base/option.h"
#include "core/runtime/engine.h"

enum { MOST_DEVICES = 1024 };

/* Open a backend when it is not open yet. */
static m3_status open_backend(m3_engine *engine, m3_plugin_entry *entry, m3_error *err)
{
    if (entry->opened != NULL) return M3_OK;
    m3_engine_log(engine, M3_LOG_DEBUG, "backend %s is opened", entry->plugin->name);
    m3_visitor_tell(&engine->visitor, entry->path, "opened");
    m3_status st = entry->backend.open(&engine->host, &entry->opened, err);
    if (st != M3_OK) entry->opened = NULL;
    return st;
}

static m3_device_info empty_info(void)
{
    return (m3_device_info){.size = M3_STRUCT_SIZE(m3_device_info, features)};
}

/* All devices of one backend, in memory that the caller frees. */
static m3_status list_backend(m3_engine *engine, m3_plugin_entry *entry, m3_device_info **infos, uint32_t *count,
                              m3_error *err)
{
    uint32_t there = 0;
    m3_status st;
    *infos = NULL;
    *count = 0;
    if ((st = open_backend(engine, entry, err)) != M3_OK) return st;
    m3_visitor_tell(&engine->visitor, entry->path, "listed");
    if ((st = entry->backend.list(entry->opened, NULL, 0, count, err)) != M3_OK) return st;
    if (*count > MOST_DEVICES)
        return M3_FAIL(err, M3_ERR_ABI, entry->plugin->name,
                       "it says that it has %u devices; at most %d are taken: list must set *count", *count,
                       MOST_DEVICES);
    *infos = m3_calloc(*count, sizeof **infos);
    if (*infos == NULL) return M3_FAIL_MEMORY(err, entry->plugin->name, *count * sizeof **infos);
    for (uint32_t i = 0; i < *count; i++) (*infos)[i] = empty_info();
    st = entry->backend.list(entry->opened, *infos, *count, &there, err);
    if (st == M3_OK && there > *count)
        st = M3_FAIL(err, M3_ERR_ABI, entry->plugin->name,
                     "it has %u devices when asked how many, and %u when asked for them; list must count the same",
                     *count, there);
    if (there < *count) *count = there;
    for (uint32_t i = 0; i < *count; i++) { /* texts that fill all of their room end there */
        m3_device_info *info = &(*infos)[i];
        info->name[sizeof info->name - 1] = info->driver[sizeof info->driver - 1] = 0;
        info->features[sizeof info->features - 1] = 0;
    }
    return st;
}

/* Every device as "cpu:0" with its info. A backend that cannot be opened has no devices, and says why. */
static m3_status list_all(m3_engine *engine, m3_device_entry **entries, uint32_t *count, m3_error *err)
{
    m3_plugin_entry *entry;
    m3_status st = M3_OK;
    *entries = NULL;
    *count = 0;
    for (uint32_t i = 0; (entry = m3_registry_at(&engine->registry, M3_PLUGIN_BACKEND, i)) != NULL; i++) {
        m3_device_info *infos = NULL;
        uint32_t some = 0;
        m3_error why = {0};
        st = list_backend(engine, entry, &infos, &some, &why);
        if (st == M3_ERR_MEMORY) {
            m3_free(infos);
            return M3_FAIL(err, st, entry->plugin->name, "%s", why.message);
        }
        if (st != M3_OK) {
            m3_engine_log(engine, M3_LOG_WARN, "backend %s lists no device: %s", entry->plugin->name, why.message);
            some = 0;
        }
        m3_device_entry *grown = m3_realloc(*entries, *count + some, sizeof **entries);
        if (grown == NULL) {
            m3_free(infos);
            return M3_FAIL_MEMORY(err, "devices", (*count + some) * sizeof **entries);
        }
        *entries = grown;
        for (uint32_t k = 0; infos != NULL && k < some; k++) {
            m3_device_entry *device = &grown[(*count)++];
            (void)snprintf(device->name, sizeof device->name, "%.50s:%u", entry->plugin->name, k);
            device->info = infos[k];
        }
        m3_free(infos);
    }
    return M3_OK;
}

m3_status m3_engine_devices(m3_engine *engine, m3_device_entry *entries, uint32_t capacity, uint32_t *count,
                            m3_error *err)
{
    m3_device_entry *all = NULL;
    m3_status st = list_all(engine, &all, count, err);
    for (uint32_t i = 0; st == M3_OK && i < *count && i < capacity; i++) entries[i] = all[i];
    m3_free(all);
    return st;
}

static m3_status fail_unknown(m3_engine *engine, const char *name, m3_error *err)
{
    m3_device_entry *all = NULL;
    uint32_t count = 0;
    char there[512] = "none", backend[64], skipped[400];
    size_t at = 0;
    m3_status st = list_all(engine, &all, &count, err);
    for (uint32_t i = 0; i < count && at < sizeof there; i++)
        at += (size_t)snprintf(there + at, sizeof there - at, "%s%s (%s)", i != 0 ? ", " : "", all[i].name,
                               all[i].info.name);
    m3_free(all);
    if (st != M3_OK) return st;
    (void)snprintf(backend, sizeof backend, "%.*s", (int)strcspn(name, ":"), name);
    bool loaded = m3_registry_find(&engine->registry, M3_PLUGIN_BACKEND, backend) != NULL;
    return M3_FAIL(err, M3_ERR_INVALID, name, "there is no device '%s'; there are: %s%s", name, there,
                   loaded ? "" : m3_registry_skipped(&engine->registry, backend, skipped, sizeof skipped));
}

static bool is_power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* Places are computed from these. */
static m3_status check_limits(const m3_device *device, m3_error *err)
{
    const m3_device_limits *limits = &device->limits;
    if (!is_power_of_two(limits->offset_alignment))
        return M3_FAIL(err, M3_ERR_ABI, device->name,
                       "its backend says that places are aligned to %u bytes; offset_alignment must be a power of two",
                       limits->offset_alignment);
    if (limits->map_alignment != 0 && !is_power_of_two(limits->map_alignment))
        return M3_FAIL(err, M3_ERR_ABI, device->name,
                       "its backend says that maps are aligned to %u bytes; map_alignment must be a power of two or 0",
                       limits->map_alignment);
    if (limits->largest_buffer == 0)
        return M3_FAIL(err, M3_ERR_ABI, device->name,
                       "its backend says that no buffer is possible; largest_buffer must be above 0");
    return M3_OK;
}

static m3_status open_index(m3_engine *engine, m3_plugin_entry *entry, uint32_t index, const m3_device_info *info,
                            m3_span options, m3_device **device, m3_error *err)
{
    m3_status st = M3_ERR_INTERNAL;
    m3_option *checked = NULL;
    m3_device *made = m3_calloc(1, sizeof *made);
    if (made == NULL) return M3_FAIL_MEMORY(err, "device", sizeof *made);
    made->engine = engine;
    made->api = &entry->backend;
    made->info = *info;
    (void)snprintf(made->name, sizeof made->name, "%.50s:%u", entry->plugin->name, index);
    if (M3_HAS(&entry->backend, m3_backend_api, options)) {
        char what[80];
        uint32_t count = 0;
        (void)snprintf(what, sizeof what, "backend %.50s", entry->plugin->name);
        if ((st = m3_options_check(entry->backend.options, options, what, &checked, &count, err)) != M3_OK) goto done;
        options = (m3_span){.count = count, .stride = sizeof *checked, .data = checked};
    }
    m3_engine_log(engine, M3_LOG_DEBUG, "device %s is opened", made->name);
    m3_visitor_tell(&engine->visitor, entry->path, "opening a device");
    if ((st = made->api->device_open(entry->opened, index, options, &made->impl, err)) != M3_OK) goto done;
    if ((st = m3_device_get_limits(made, &made->limits, err)) != M3_OK) goto done;
    if ((st = check_limits(made, err)) != M3_OK) goto done;
    *device = made;
    made = NULL;
done:
    m3_free(checked);
    m3_device_close(made);
    return st;
}

/* "cpu" or "cpu:0". */
static m3_status open_named(m3_engine *engine, const char *name, m3_span options, m3_device **device, m3_error *err)
{
    char backend[64];
    m3_device_info *infos = NULL;
    uint32_t count = 0;
    size_t length = strcspn(name, ":");
    const char *digits = name[length] == ':' ? name + length + 1 : "0";
    unsigned long index = strtoul(digits, NULL, 10);
    if (length >= sizeof backend || digits[0] == 0 || digits[strspn(digits, "0123456789")] != 0)
        return fail_unknown(engine, name, err);
    (void)snprintf(backend, sizeof backend, "%.*s", (int)length, name);
    m3_plugin_entry *entry = m3_registry_find(&engine->registry, M3_PLUGIN_BACKEND, backend);
    if (entry == NULL) return fail_unknown(engine, name, err);
    m3_status st = list_backend(engine, entry, &infos, &count, err);
    if (st == M3_OK && (infos == NULL || index >= count))
        st = fail_unknown(engine, name, err);
    else if (st == M3_OK)
        st = open_index(engine, entry, (uint32_t)index, &infos[index], options, device, err);
    m3_free(infos);
    return st;
}

/* Classes beyond the known ones rank last; the reference is not for work. */
static unsigned rank(m3_device_class class)
{
    unsigned value = (unsigned)class;
    return value == M3_DEVICE_REFERENCE ? UINT32_MAX : value;
}

/* The best class first. A device that does not open gives way to the next one, with a warning; a wrong option is the
 * caller's to mend. */
static m3_status open_best(m3_engine *engine, m3_span options, m3_device **device, m3_error *err)
{
    m3_device_entry *all = NULL;
    uint32_t count = 0;
    m3_error why = {0};
    m3_status st = list_all(engine, &all, &count, err);
    while (st == M3_OK && *device == NULL) {
        uint32_t best = count;
        for (uint32_t i = 0; i < count; i++)
            if (all[i].name[0] != 0 && rank(all[i].info.device_class) != UINT32_MAX &&
                (best == count || rank(all[i].info.device_class) < rank(all[best].info.device_class)))
                best = i;
        if (best == count) {
            st = why.code != M3_OK
                     ? M3_FAIL(err, why.code, "auto", "no device could be opened; the last: %s", why.message)
                     : M3_FAIL(err, M3_ERR_UNSUPPORTED, "auto",
                               "no backend offers a device; see `m3bsr plugins`, or name one "
                               "(the reference device is never chosen by itself)");
            break;
        }
        why = (m3_error){0};
        m3_status opened = open_named(engine, all[best].name, options, device, &why);
        if (opened == M3_ERR_INVALID || opened == M3_ERR_MEMORY) {
            st = opened;
            if (err != NULL && err->code == M3_OK) *err = why;
        } else if (opened != M3_OK) {
            m3_engine_log(engine, M3_LOG_WARN, "device %s does not open: %s", all[best].name, why.message);
        }
        all[best].name[0] = 0; /* tried */
    }
    m3_free(all);
    return st;
}

m3_status m3_device_open(m3_engine *engine, const char *name, m3_span options, m3_device **device, m3_error *err)
{
    *device = NULL;
    m3_status st = strcmp(name, "auto") == 0 ? open_best(engine, options, device, err)
                                             : open_named(engine, name, options, device, err);
    if (st == M3_OK)
        m3_engine_log(engine, M3_LOG_INFO, "device %s: %s (%s)", (*device)->name, (*device)->info.name,
                      (*device)->info.driver);
    return st;
}

void m3_device_close(m3_device *device)
{
    if (device == NULL) return;
    if (device->impl != NULL) device->api->device_close(device->impl);
    m3_free(device);
}

const char *m3_device_name(const m3_device *device)
{
    return device->name;
}

const m3_device_info *m3_device_get_info(const m3_device *device)
{
    return &device->info;
}

m3_status m3_device_get_limits(m3_device *device, m3_device_limits *limits, m3_error *err)
{
    *limits = (m3_device_limits){.size = M3_STRUCT_SIZE(m3_device_limits, overlaps)};
    return device->api->limits(device->impl, limits, err);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void m3_device_begin(m3_device *device, const char *what)
{
    atomic_store(&device->busy_what, what);
    atomic_store(&device->busy_since, now_ns());
}

void m3_device_idle(m3_device *device)
{
    atomic_store(&device->busy_since, 0);
}

uint64_t m3_device_busy(const m3_device *device, const char **what)
{
    const uint64_t since = atomic_load(&device->busy_since);
    if (what != NULL) *what = since != 0 ? atomic_load(&device->busy_what) : "";
    return since != 0 ? now_ns() - since : 0;
}

uint64_t m3_device_memory_used(m3_device *device)
{
    return device->api->memory_used != NULL ? device->api->memory_used(device->impl) : 0;
}

m3_status m3_device_measure_peak(m3_device *device, double *gflops, m3_error *err)
{
    *gflops = 0.0;
    if (device->api->measure_peak != NULL) return device->api->measure_peak(device->impl, gflops, err);
    return M3_FAIL(err, M3_ERR_UNSUPPORTED, device->name, "this backend does not measure its peak");
}

m3_status m3_device_tuning(m3_device *device, m3_tuning *tuning, m3_error *err)
{
    m3_tuning all = {.size = M3_STRUCT_SIZE(m3_tuning, path)};
    if (device->api->tuning == NULL)
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, device->name,
                       "this backend chooses nothing by measurement, so there is nothing to tune");
    m3_status st = device->api->tuning(device->impl, &all, err);
    if (st == M3_OK) m3_copy_out(tuning, &all, tuning->size, all.size);
    return st;
}

m3_status m3_device_supports(m3_device *device, const m3_node *node, m3_error *why)
{
    return device->api->supports(device->impl, node, why);
}

m3_engine *m3_device_engine(m3_device *device)
{
    return device->engine;
}
