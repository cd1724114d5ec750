/* system_host: the host that a backend is lent, and the device that is opened with it. */
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/option.h"
#include "core/conformance/system.h"

enum { GUARD = 32, GUARD_BYTE = 0xa7 };

/* Before every block; the guard lies behind it. */
struct m3_watched_block {
    m3_watched_block *before, *behind;
    size_t bytes;
    uint64_t fill; /* so that what follows is aligned as malloc's memory is */
};
_Static_assert(sizeof(m3_watched_block) % 16 == 0, "blocks are aligned");

static void misuse(m3_watched *w, const char *what)
{
    if (w->fault[0] == 0) (void)snprintf(w->fault, sizeof w->fault, "%s", what);
}

/* Memory. */

static bool is_denied(m3_watched *w)
{
    w->requests++;
    const bool denied = w->deny != 0 && w->requests >= w->deny && w->requests <= w->deny_last;
    w->denied += denied;
    return denied;
}

/* 512 GiB: refused as a host without memory refuses it. From 2^40 bytes on the address sanitizer would end the process.
 */
static const uint64_t MOST = 1ull << 39;

static void *host_allocate(void *user, size_t count, size_t size)
{
    m3_watched *w = user;
    pthread_mutex_lock(&w->lock);
    const bool denied = is_denied(w);
    pthread_mutex_unlock(&w->lock);
    if (denied || (size != 0 && count > MOST / size)) return NULL;
    const size_t bytes = count * size;
    m3_watched_block *block = calloc(1, sizeof *block + bytes + GUARD);
    if (block == NULL) return NULL;
    block->bytes = bytes;
    memset((unsigned char *)(block + 1) + bytes, GUARD_BYTE, GUARD);
    pthread_mutex_lock(&w->lock);
    block->behind = w->blocks;
    if (w->blocks != NULL) w->blocks->before = block;
    w->blocks = block;
    w->live++;
    w->bytes += bytes;
    pthread_mutex_unlock(&w->lock);
    return block + 1;
}

/* Under the lock. */
static void check_guard(m3_watched *w, const m3_watched_block *block)
{
    char text[128];
    const unsigned char *behind = (const unsigned char *)(block + 1) + block->bytes;
    for (uint32_t i = 0; i < GUARD; i++) {
        if (behind[i] == GUARD_BYTE) continue;
        (void)snprintf(text, sizeof text, "wrote %u bytes behind the end of %zu bytes that the host had allocated", i,
                       block->bytes);
        misuse(w, text);
        return;
    }
}

static void host_release(void *user, void *pointer)
{
    m3_watched *w = user;
    if (pointer == NULL) return;
    pthread_mutex_lock(&w->lock);
    m3_watched_block *block = w->blocks;
    while (block != NULL && (void *)(block + 1) != pointer) block = block->behind;
    if (block == NULL) {
        misuse(w, "released a pointer that the host had not allocated, or had taken back already");
    } else {
        check_guard(w, block);
        if (block->before != NULL) block->before->behind = block->behind;
        if (block->behind != NULL) block->behind->before = block->before;
        if (w->blocks == block) w->blocks = block->behind;
        w->live--;
        w->bytes -= block->bytes;
    }
    pthread_mutex_unlock(&w->lock);
    free(block);
}

void m3_watched_deny(m3_watched *w, uint64_t n, bool on)
{
    pthread_mutex_lock(&w->lock);
    w->deny = n != 0 ? w->requests + n : 0;
    w->deny_last = on ? UINT64_MAX : w->deny;
    w->denied = 0;
    pthread_mutex_unlock(&w->lock);
}

/* The rest of the table. */

static void host_log(void *user, m3_log_level level, const char *line)
{
    (void)user, (void)level, (void)line;
}

static void host_parallel(void *user, uint32_t tasks, void (*fn)(void *arg, uint32_t task, uint32_t worker), void *arg)
{
    m3_watched *w = user;
    pthread_mutex_lock(&w->lock);
    if (w->in_parallel++ > 0) misuse(w, "called the host's parallel while another call of it was under way");
    pthread_mutex_unlock(&w->lock);
    m3_pool_run(w->pool, tasks, fn, arg);
    pthread_mutex_lock(&w->lock);
    w->in_parallel--;
    pthread_mutex_unlock(&w->lock);
}

m3_status m3_watched_create(const m3_system *s, m3_watched **host, m3_error *err)
{
    m3_watched *w = *host = m3_calloc(1, sizeof *w);
    if (w == NULL) return M3_FAIL_MEMORY(err, "host", sizeof *w);
    (void)pthread_mutex_init(&w->lock, NULL);
    m3_status st = m3_pool_create(s->threads, &w->pool, err);
    if (st != M3_OK) {
        m3_free(w);
        *host = NULL;
        return st;
    }
    w->host = (m3_host){.size = M3_STRUCT_SIZE(m3_host, cache_path),
                        .abi_major = M3_ABI_MAJOR,
                        .abi_minor = M3_ABI_MINOR,
                        .user = w,
                        .log = host_log,
                        .allocate = host_allocate,
                        .release = host_release,
                        .parallel = host_parallel,
                        .threads = m3_pool_threads(w->pool),
                        .cache_path = s->cache_path};
    return M3_OK;
}

void m3_watched_free(m3_system *s, m3_watched *host)
{
    if (host == NULL) return;
    for (const m3_watched_block *block = host->blocks; block != NULL; block = block->behind) check_guard(host, block);
    if (host->fault[0] != 0) (void)m3_system_fail(s, "the backend %s", host->fault);
    if (host->live > 0)
        (void)m3_system_fail(s,
                             "after devices and backend were closed: wanted all of the host's memory back, came %llu "
                             "blocks of %llu bytes that were not released",
                             (unsigned long long)host->live, (unsigned long long)host->bytes);
    while (host->blocks != NULL) {
        m3_watched_block *block = host->blocks;
        host->blocks = block->behind;
        free(block);
    }
    m3_pool_free(host->pool);
    (void)pthread_mutex_destroy(&host->lock);
    m3_free(host);
}

/* Devices. */

enum { OPTIONS = 64 };

m3_status m3_opened_device(m3_opened *o, const m3_option *more, m3_error *err)
{
    const m3_system *s = o->s;
    m3_option all[OPTIONS], *checked = NULL;
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->given.count && count + 1 < OPTIONS; i++)
        all[count++] = *(const m3_option *)m3_span_at(s->given, i);
    if (more != NULL) all[count++] = *more;
    m3_span options = {.count = count, .stride = sizeof all[0], .data = all};
    o->impl = NULL;
    if (M3_HAS(s->api, m3_backend_api, options)) {
        m3_status st = m3_options_check(s->api->options, options, s->name, &checked, &count, err);
        if (st != M3_OK) return st;
        options = (m3_span){.count = count, .stride = sizeof *checked, .data = checked};
    }
    m3_status st = s->api->device_open(o->backend, s->index, options, &o->impl, err);
    m3_free(checked);
    if (st != M3_OK) return st;
    o->limits = (m3_device_limits){.size = M3_STRUCT_SIZE(m3_device_limits, coherent)};
    if ((st = s->api->limits(o->impl, &o->limits, err)) == M3_OK) return M3_OK;
    s->api->device_close(o->impl);
    o->impl = NULL;
    return st;
}

/* The limits that sizes are computed from. */
static bool has_limits(const m3_opened *o)
{
    const uint32_t alignment = o->limits.offset_alignment;
    if (alignment != 0 && (alignment & (alignment - 1)) == 0 && o->limits.largest_buffer > 0) return true;
    return m3_system_fail(o->s,
                          "limits: wanted an offset_alignment that is a power of two and a largest_buffer above 0, "
                          "came %u and %llu",
                          alignment, (unsigned long long)o->limits.largest_buffer);
}

bool m3_opened_init(m3_opened *o, m3_system *s, const m3_option *more)
{
    m3_error err = {0};
    *o = (m3_opened){.s = s};
    if (!m3_system_wants(s, "preparing a host", M3_OK, m3_watched_create(s, &o->host, &err), &err)) return false;
    m3_status st = s->api->open(&o->host->host, &o->backend, &err);
    if (st != M3_OK) o->backend = NULL;
    return m3_system_wants(s, "open", M3_OK, st, &err) &&
           m3_system_wants(s, "device_open", M3_OK, m3_opened_device(o, more, &err), &err) && has_limits(o);
}

bool m3_opened_beside(m3_opened *o, const m3_opened *other, const m3_option *more)
{
    m3_error err = {0};
    *o = (m3_opened){.s = other->s, .host = other->host, .backend = other->backend, .beside = true};
    return m3_system_wants(o->s, "device_open beside an open device", M3_OK, m3_opened_device(o, more, &err), &err) &&
           has_limits(o);
}

void m3_opened_fini(m3_opened *o)
{
    if (o->impl != NULL) o->s->api->device_close(o->impl);
    if (!o->beside) {
        if (o->backend != NULL) o->s->api->close(o->backend);
        m3_watched_free(o->s, o->host);
    }
    *o = (m3_opened){0};
}

/* Calls. */

m3_buffer *m3_opened_buffer(m3_opened *o, uint64_t bytes, uint32_t usage)
{
    m3_error err = {0};
    m3_buffer *buffer = NULL;
    m3_status st = o->s->api->buffer_create(o->impl, bytes, usage, &buffer, &err);
    if (!m3_system_wants(o->s, M3_DID("buffer_create of %llu bytes", (unsigned long long)bytes), M3_OK, st, &err))
        return NULL;
    if (buffer == NULL)
        (void)m3_system_fail(o->s, "buffer_create of %llu bytes: wanted a buffer, came M3_OK and NULL",
                             (unsigned long long)bytes);
    return buffer;
}

void m3_opened_drop(m3_opened *o, m3_buffer *buffer)
{
    if (buffer != NULL) o->s->api->buffer_free(o->impl, buffer);
}

bool m3_opened_wait(m3_opened *o, uint64_t value)
{
    m3_error err = {0};
    m3_status st = o->s->api->wait(o->impl, value, UINT64_MAX, &err);
    return m3_system_wants(o->s, M3_DID("wait for value %llu", (unsigned long long)value), M3_OK, st, &err);
}

bool m3_opened_put(m3_opened *o, m3_buffer *to, uint64_t offset, const void *from, uint64_t bytes)
{
    m3_error err = {0};
    uint64_t value = 0;
    m3_status st = o->s->api->upload(o->impl, to, offset, from, bytes, &value, &err);
    return m3_system_wants(
               o->s, M3_DID("upload of %llu bytes at %llu", (unsigned long long)bytes, (unsigned long long)offset),
               M3_OK, st, &err) &&
           m3_opened_wait(o, value);
}

bool m3_opened_get(m3_opened *o, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes)
{
    m3_error err = {0};
    uint64_t value = 0;
    m3_status st = o->s->api->download(o->impl, from, offset, to, bytes, &value, &err);
    return m3_system_wants(
               o->s, M3_DID("download of %llu bytes at %llu", (unsigned long long)bytes, (unsigned long long)offset),
               M3_OK, st, &err) &&
           m3_opened_wait(o, value);
}

uint64_t m3_opened_memory(const m3_opened *o)
{
    return o->s->api->memory_used != NULL ? o->s->api->memory_used(o->impl) : 0;
}
