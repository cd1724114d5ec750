/* system_life: opening and closing: devices, backends, and the same again 200 times. */
#include <dirent.h>
#include <dlfcn.h>
#include <malloc.h>
#include <string.h>
#include <unistd.h>

#include "core/conformance/system.h"

/* A backend without a device. */
static bool open_backend(m3_system *s, m3_watched **host, m3_backend **backend)
{
    m3_error err = {0};
    *backend = NULL;
    *host = NULL;
    if (!m3_system_wants(s, "preparing a host", M3_OK, m3_watched_create(s, host, &err), &err)) return false;
    m3_status st = s->api->open(&(*host)->host, backend, &err);
    if (st != M3_OK) *backend = NULL;
    return m3_system_wants(s, "open", M3_OK, st, &err);
}

static void close_backend(m3_system *s, m3_watched *host, m3_backend *backend)
{
    if (backend != NULL) s->api->close(backend);
    m3_watched_free(s, host);
}

/* Lists. */

enum { INFOS = 64 };

static bool ends(const char *text, size_t bytes)
{
    return memchr(text, 0, bytes) != NULL;
}

static bool check_infos(m3_system *s, m3_backend *backend, uint32_t count)
{
    static m3_device_info infos[INFOS + 1];
    m3_error err = {0};
    uint32_t again = 0;
    const uint32_t capacity = count < INFOS ? count : INFOS;
    memset(infos, 0x5a, sizeof infos);
    for (uint32_t i = 0; i < capacity; i++) infos[i].size = M3_STRUCT_SIZE(m3_device_info, features);
    const m3_device_info untouched = infos[capacity];
    m3_status st = s->api->list(backend, infos, capacity, &again, &err);
    if (!m3_system_wants(s, "list", M3_OK, st, &err)) return false;
    if (again != count)
        return m3_system_fail(s, "list: wanted the same count with room for infos as without, came %u and %u", again,
                              count);
    if (memcmp(&untouched, &infos[capacity], sizeof untouched) != 0)
        return m3_system_fail(s, "list with room for %u infos: wanted nothing behind them to change", capacity);
    for (uint32_t i = 0; i < capacity; i++)
        if (!ends(infos[i].name, sizeof infos[i].name) || !ends(infos[i].driver, sizeof infos[i].driver) ||
            !ends(infos[i].features, sizeof infos[i].features) || infos[i].name[0] == 0)
            return m3_system_fail(s,
                                  "list: wanted name, driver and features of device %u as texts that end, and a "
                                  "name, came others",
                                  i);
    return true;
}

static void check_list(m3_system *s)
{
    m3_watched *host;
    m3_backend *backend;
    m3_error err = {0};
    uint32_t count = UINT32_MAX;
    if (open_backend(s, &host, &backend)) {
        m3_status st = s->api->list(backend, NULL, 0, &count, &err);
        if (m3_system_wants(s, "list without room", M3_OK, st, &err)) {
            if (count <= s->index)
                (void)m3_system_fail(s, "list: wanted at least %u devices, for %s is one, came %u", s->index + 1,
                                     s->name, count);
            else
                (void)check_infos(s, backend, count);
        }
    }
    close_backend(s, host, backend);
}

/* A device that is not there. */
static void check_absent(m3_system *s)
{
    static const uint32_t far[] = {0, 1000, UINT32_MAX};
    m3_watched *host;
    m3_backend *backend;
    m3_error err = {0};
    uint32_t count = 0;
    bool good = open_backend(s, &host, &backend) &&
                m3_system_wants(s, "list without room", M3_OK, s->api->list(backend, NULL, 0, &count, &err), &err);
    for (size_t i = 0; i < sizeof far / sizeof far[0] && good; i++) {
        m3_device_impl *impl = NULL;
        const uint32_t index = far[i] == 0 ? count : far[i];
        err = (m3_error){0};
        m3_status st = s->api->device_open(backend, index, (m3_span){0}, &impl, &err);
        good = m3_system_wants(s, M3_DID("device_open of device %u of %u", index, count), M3_ERR_INVALID, st, &err);
        if (st == M3_OK && impl != NULL) s->api->device_close(impl);
    }
    close_backend(s, host, backend);
}

/* Options. */

static void check_options(m3_system *s)
{
    m3_watched *host;
    m3_backend *backend;
    if (M3_HAS(s->api, m3_backend_api, options) && s->api->options.count > 0) return; /* the host checks them */
    if (open_backend(s, &host, &backend)) {
        const m3_option unknown = {"no_such_option", "1"};
        m3_device_impl *impl = NULL;
        m3_error err = {0};
        m3_status st = s->api->device_open(backend, s->index, (m3_span){1, sizeof unknown, &unknown}, &impl, &err);
        (void)m3_system_wants(s, "device_open with an option that nobody knows, without a table of options",
                              M3_ERR_INVALID, st, &err);
        if (st == M3_OK && impl != NULL) s->api->device_close(impl);
    }
    close_backend(s, host, backend);
}

static void check_limits(m3_system *s)
{
    m3_opened o;
    struct {
        m3_device_limits limits;
        unsigned char behind[64];
    } wide;
    m3_error err = {0};
    if (m3_opened_init(&o, s, NULL)) {
        memset(&wide, 0x5a, sizeof wide);
        wide.limits.size = M3_STRUCT_SIZE(m3_device_limits, coherent);
        if (m3_system_wants(s, "limits", M3_OK, s->api->limits(o.impl, &wide.limits, &err), &err)) {
            for (size_t i = 0; i < sizeof wide.behind; i++)
                if (wide.behind[i] != 0x5a) {
                    (void)m3_system_fail(s, "limits: wanted nothing behind the struct to change");
                    break;
                }
            const uint32_t map = wide.limits.map_alignment;
            if ((map & (map - 1)) != 0)
                (void)m3_system_fail(s, "limits: wanted a map_alignment that is 0 or a power of two, came %u", map);
            if (wide.limits.offset_alignment != o.limits.offset_alignment)
                (void)m3_system_fail(s, "limits: wanted the same offset_alignment each time, came %u and %u",
                                     o.limits.offset_alignment, wide.limits.offset_alignment);
        }
    }
    m3_opened_fini(&o);
}

/* Closing. */

static void check_close(m3_system *s)
{
    m3_opened o;
    if (m3_opened_init(&o, s, NULL)) (void)m3_probe_again(&o, "on a new device");
    m3_opened_fini(&o);
}

/* Again and again. */

static uint32_t entries_of(const char *folder)
{
    uint32_t count = 0;
    DIR *list = opendir(folder);
    if (list == NULL) return 0;
    while (readdir(list) != NULL) count++;
    (void)closedir(list);
    return count;
}

/* What a process holds. */
typedef struct holdings {
    uint64_t resident, heap; /* bytes */
    uint32_t files, threads;
} holdings;

static holdings look(void)
{
    holdings h = {.heap = mallinfo2().uordblks + mallinfo2().hblkhd,
                  .files = entries_of("/proc/self/fd"),
                  .threads = entries_of("/proc/self/task")};
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file != NULL) {
        if (fscanf(file, "%*u %llu", &pages) != 1) pages = 0;
        (void)fclose(file);
    }
    h.resident = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return h;
}

/* Threads that were told to end may take a moment. */
static holdings look_settled(const holdings *before)
{
    holdings now = look();
    for (int i = 0; i < 200 && now.threads > before->threads; i++) {
        (void)usleep(10000);
        now = look();
    }
    return now;
}

/* What drivers and the C library keep at hand comes and goes. */
enum { SOME_BYTES = 32 << 10, SOME_EACH = 32, SOME_RESIDENT = 8 << 20 };

/* A sanitizer keeps what was freed for a while, and finds leaks by itself. */
static bool is_sanitized(void)
{
    return dlsym(RTLD_DEFAULT, "__asan_init") != NULL || dlsym(RTLD_DEFAULT, "__tsan_init") != NULL;
}

static bool has_not_grown(m3_system *s, const char *did, uint32_t rounds, const holdings *before)
{
    const holdings now = look_settled(before);
    if (now.files > before->files)
        return m3_system_fail(s, "%s %u times: wanted as many open files as before, %u, came %u", did, rounds,
                              before->files, now.files);
    if (now.threads > before->threads)
        return m3_system_fail(s, "%s %u times: wanted as many threads as before, %u, came %u", did, rounds,
                              before->threads, now.threads);
    if (is_sanitized()) {
        m3_system_note(s, "memory was not measured: a sanitizer keeps what was freed");
        return true;
    }
    if (now.heap > before->heap + SOME_BYTES + SOME_EACH * (uint64_t)rounds)
        return m3_system_fail(s, "%s %u times: wanted no growth of the heap, came %llu bytes more, %llu each time", did,
                              rounds, (unsigned long long)(now.heap - before->heap),
                              (unsigned long long)((now.heap - before->heap) / rounds));
    if (now.resident > before->resident + SOME_RESIDENT)
        return m3_system_fail(s, "%s %u times: wanted no growth of resident memory, came %llu bytes more", did, rounds,
                              (unsigned long long)(now.resident - before->resident));
    m3_system_note(s, "%lld bytes of heap and %lld resident more after %u times", (long long)(now.heap - before->heap),
                   (long long)(now.resident - before->resident), rounds);
    return true;
}

enum { WARM = 20, ROUNDS = 200 };

/* A device with a buffer. */
static bool open_once(m3_opened *o)
{
    m3_error err = {0};
    if (!m3_system_wants(o->s, "device_open", M3_OK, m3_opened_device(o, NULL, &err), &err)) return false;
    m3_buffer *buffer = m3_opened_buffer(o, 1000, M3_SYSTEM_USE);
    m3_opened_drop(o, buffer);
    o->s->api->device_close(o->impl);
    o->impl = NULL;
    return buffer != NULL;
}

static void check_reopen(m3_system *s)
{
    m3_opened o;
    holdings before = {0};
    uint64_t live = 0;
    if (m3_opened_init(&o, s, NULL)) {
        s->api->device_close(o.impl);
        o.impl = NULL;
        for (uint32_t i = 0; i < WARM + ROUNDS; i++) {
            if (i == WARM) {
                before = look();
                live = o.host->live;
            }
            if (!open_once(&o)) break;
            if (i <= WARM || o.host->live <= live) continue;
            (void)m3_system_fail(s,
                                 "device_open and device_close: wanted as many blocks of the host's memory as before, "
                                 "%llu, came %llu",
                                 (unsigned long long)live, (unsigned long long)o.host->live);
            break;
        }
        if (s->verdict == M3_VERDICT_PASS) (void)has_not_grown(s, "device_open and device_close", ROUNDS, &before);
    }
    m3_opened_fini(&o);
}

static void check_reopen_backend(m3_system *s)
{
    enum { FEW = 5, TIMES = 40 };
    holdings before = {0};
    for (uint32_t i = 0; i < FEW + TIMES && s->verdict == M3_VERDICT_PASS; i++) {
        m3_opened o;
        if (i == FEW) before = look();
        (void)m3_opened_init(&o, s, NULL);
        m3_opened_fini(&o);
    }
    if (s->verdict == M3_VERDICT_PASS) (void)has_not_grown(s, "open, device_open and both closes", TIMES, &before);
}

static void check_recompile(m3_system *s)
{
    enum { TIMES = 200 };
    m3_opened o;
    m3_probe p = {0};
    holdings before = {0};
    uint64_t live = 0, memory = 0;
    bool good = m3_opened_init(&o, s, NULL) && m3_probe_build(&p, &o, &m3_probe_small);
    for (uint32_t i = 0; i < WARM + TIMES && good; i++) {
        m3_error err = {0};
        if (i == WARM) {
            before = look();
            live = o.host->live;
            memory = m3_opened_memory(&o);
        }
        good = m3_system_wants(s, "compile", M3_OK, m3_probe_try(&p, &err), &err) && m3_probe_run(&p, "after compile");
        m3_probe_release(&p);
    }
    if (good && (o.host->live > live || m3_opened_memory(&o) > memory))
        good =
            m3_system_fail(s,
                           "compile, a run and exec_free, %d times: wanted no growth, came %lld blocks of the host's "
                           "memory and %lld bytes of memory_used more",
                           TIMES, (long long)(o.host->live - live), (long long)(m3_opened_memory(&o) - memory));
    if (good) (void)has_not_grown(s, "compile, a run and exec_free", TIMES, &before);
    m3_probe_fini(&p);
    m3_opened_fini(&o);
}

static void check_rerun(m3_system *s)
{
    enum { TIMES = 1000 };
    m3_opened o;
    m3_probe p = {0};
    holdings before = {0};
    uint64_t live = 0, memory = 0;
    bool good = m3_opened_init(&o, s, NULL) && m3_probe_init(&p, &o, &m3_probe_small);
    for (uint32_t i = 0; i < WARM + TIMES && good; i++) {
        if (i == WARM) {
            before = look();
            live = o.host->live;
            memory = m3_opened_memory(&o);
        }
        good = m3_probe_run(&p, "one of many runs");
    }
    if (good && (o.host->live > live || m3_opened_memory(&o) > memory))
        good = m3_system_fail(s,
                              "%d runs: wanted no growth, came %lld blocks of the host's memory and %lld bytes of "
                              "memory_used more",
                              TIMES, (long long)(o.host->live - live), (long long)(m3_opened_memory(&o) - memory));
    if (good) (void)has_not_grown(s, "a run with its copies", TIMES, &before);
    m3_probe_fini(&p);
    m3_opened_fini(&o);
}

/* A host with one thread and no folder for a cache. */
static void check_bare(m3_system *s)
{
    m3_opened o;
    const uint32_t threads = s->threads;
    const char *cache_path = s->cache_path;
    s->threads = 1;
    s->cache_path = NULL;
    if (m3_opened_init(&o, s, NULL)) (void)m3_probe_again(&o, "with a host that has one thread and no cache_path");
    m3_opened_fini(&o);
    s->threads = threads;
    s->cache_path = cache_path;
}

const m3_system_check m3_system_life[] = {
    {"system.list", "list counts alike with and without room, and fills its infos and no more", check_list},
    {"system.absent", "a device that is not there is M3_ERR_INVALID", check_absent},
    {"system.options", "an unknown option is M3_ERR_INVALID where the backend has no table of options", check_options},
    {"system.limits", "limits are powers of two where they must be, and fill their struct and no more", check_limits},
    {"system.close", "after all is closed the host has its memory back", check_close},
    {"system.bare", "a host may have one thread, and no folder for a cache", check_bare},
    {"system.reopen", "200 times device_open and device_close leave no memory, files or threads", check_reopen},
    {"system.reopen.backend", "neither do 40 times open and close", check_reopen_backend},
    {"system.recompile", "nor 200 times compile, run and exec_free", check_recompile},
    {"system.rerun", "nor 1000 runs", check_rerun},
};
const uint32_t m3_system_life_count = sizeof m3_system_life / sizeof m3_system_life[0];
