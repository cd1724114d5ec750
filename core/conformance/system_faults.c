/* system_faults: memory that cannot be had, at each request in turn, and a device that stops working. */
#include <string.h>

#include "core/conformance/system.h"

/* Failing requests. Each n-th request of an operation to the host fails, once alone and once with all behind it. The
 * operation must say M3_ERR_MEMORY, or do without and be right; it must keep nothing, and work when it is tried again.
 */

typedef struct trial {
    m3_system *s;
    m3_opened o;
    m3_probe probe;
    m3_watched *host;
    m3_backend *backend; /* operation open */
    m3_buffer *buffer;
} trial;

typedef struct operation {
    const char *name;
    m3_status (*run)(trial *t, m3_error *err);
    const void *(*made)(const trial *t);
    bool (*holds)(trial *t); /* what it made is right; may be NULL */
    void (*undo)(trial *t);
} operation;

static m3_status run_open(trial *t, m3_error *err)
{
    t->backend = NULL;
    return t->s->api->open(&t->host->host, &t->backend, err);
}

static void undo_open(trial *t)
{
    t->s->api->close(t->backend);
    t->backend = NULL;
}

static const void *made_backend(const trial *t)
{
    return t->backend;
}

static const void *made_device(const trial *t)
{
    return t->o.impl;
}

static const void *made_buffer(const trial *t)
{
    return t->buffer;
}

static const void *made_exec(const trial *t)
{
    return t->probe.exec;
}

static m3_status run_device(trial *t, m3_error *err)
{
    return m3_opened_device(&t->o, NULL, err);
}

static bool device_holds(trial *t)
{
    return m3_probe_again(&t->o, "on a device that was opened when a request failed");
}

static void undo_device(trial *t)
{
    t->s->api->device_close(t->o.impl);
    t->o.impl = NULL;
}

static m3_status run_buffer(trial *t, m3_error *err)
{
    t->buffer = NULL;
    return t->s->api->buffer_create(t->o.impl, 1000, M3_SYSTEM_USE, &t->buffer, err);
}

static void undo_buffer(trial *t)
{
    m3_opened_drop(&t->o, t->buffer);
    t->buffer = NULL;
}

static m3_status run_compile(trial *t, m3_error *err)
{
    t->probe.exec = NULL;
    return m3_probe_compile(&t->probe, err);
}

static bool compile_holds(trial *t)
{
    return m3_probe_run(&t->probe, "a program that was compiled when a request failed");
}

static void undo_compile(trial *t)
{
    t->s->api->exec_free(t->o.impl, t->probe.exec);
    t->probe.exec = NULL;
}

/* After a failure. */
static bool failed_well(trial *t, const operation *op, const char *did, m3_status st, const m3_error *err,
                        uint64_t live)
{
    if (!m3_system_wants(t->s, did, M3_ERR_MEMORY, st, err)) return false;
    if (op->made(t) != NULL) return m3_system_fail(t->s, "%s: wanted NULL behind the failure, came a pointer", did);
    if (t->host->live == live) return true;
    return m3_system_fail(t->s, "%s: wanted nothing to be kept, came %lld blocks of the host's memory more", did,
                          (long long)(t->host->live - live));
}

/* false: this was the last request, or something failed. */
static bool deny(trial *t, const operation *op, uint64_t n, bool on)
{
    const char *did = M3_DID("%s while request %llu of the host's memory%s fails", op->name, (unsigned long long)n,
                             on ? " and all behind it" : "");
    const uint64_t live = t->host->live;
    m3_error err = {0};
    m3_watched_deny(t->host, n, on);
    m3_status st = op->run(t, &err);
    const bool denied = t->host->denied > 0;
    m3_watched_deny(t->host, 0, false);
    if (st != M3_OK && !denied) return m3_system_wants(t->s, op->name, M3_OK, st, &err);
    if (st != M3_OK) return failed_well(t, op, did, st, &err, live);
    bool good = !denied || op->holds == NULL || op->holds(t);
    op->undo(t);
    return good && denied;
}

enum { FEW = 40, MOST = 4000, STEP = 23 };

static void deny_each(trial *t, const operation *op)
{
    for (int on = 0; on < 2; on++)
        for (uint64_t n = 1; n < MOST && deny(t, op, n, on != 0); n += n < FEW ? 1 : STEP) continue;
    if (t->s->verdict != M3_VERDICT_PASS) return;
    m3_error err = {0};
    if (m3_system_wants(t->s, M3_DID("%s after it had failed for want of memory", op->name), M3_OK, op->run(t, &err),
                        &err)) {
        if (op->holds != NULL) (void)op->holds(t);
        op->undo(t);
    }
}

static void check_alloc_open(m3_system *s)
{
    static const operation open = {"open", run_open, made_backend, NULL, undo_open};
    trial t = {.s = s};
    m3_error err = {0};
    if (m3_system_wants(s, "preparing a host", M3_OK, m3_watched_create(s, &t.host, &err), &err)) deny_each(&t, &open);
    m3_watched_free(s, t.host);
}

static void check_alloc_device(m3_system *s)
{
    static const operation device = {"device_open", run_device, made_device, device_holds, undo_device};
    trial t = {.s = s};
    if (m3_opened_init(&t.o, s, NULL)) {
        t.host = t.o.host;
        undo_device(&t);
        deny_each(&t, &device);
    }
    m3_opened_fini(&t.o);
}

static void check_alloc_buffer(m3_system *s)
{
    static const operation buffer = {"buffer_create", run_buffer, made_buffer, NULL, undo_buffer};
    trial t = {.s = s};
    if (m3_opened_init(&t.o, s, NULL)) {
        t.host = t.o.host;
        deny_each(&t, &buffer);
        if (s->verdict == M3_VERDICT_PASS) (void)m3_probe_again(&t.o, "after buffers that had no memory");
    }
    m3_opened_fini(&t.o);
}

static void check_alloc_compile(m3_system *s)
{
    static const operation compile = {"compile", run_compile, made_exec, compile_holds, undo_compile};
    trial t = {.s = s};
    if (m3_opened_init(&t.o, s, NULL) && m3_probe_init(&t.probe, &t.o, &m3_probe_other)) {
        t.host = t.o.host;
        undo_compile(&t);
        deny_each(&t, &compile);
    }
    m3_probe_fini(&t.probe);
    m3_opened_fini(&t.o);
}

/* "A run allocates nothing." */
static void check_alloc_run(m3_system *s)
{
    m3_opened o;
    m3_probe p = {0};
    if (m3_opened_init(&o, s, NULL) && m3_probe_init(&p, &o, &m3_probe_other)) {
        m3_error err = {0};
        uint64_t value = 0;
        const uint64_t requests = o.host->requests;
        m3_status st = s->api->submit(o.impl, p.exec, &value, &err);
        const uint64_t first = o.host->requests - requests;
        if (m3_system_wants(s, "submit", M3_OK, st, &err) && m3_opened_wait(&o, value)) {
            if (first > 0)
                (void)m3_system_fail(s,
                                     "submit of a program for the first time: wanted no request for memory, since "
                                     "compile makes all that runs need, came %llu",
                                     (unsigned long long)first);
            (void)m3_probe_run(&p, "after a run");
        }
    }
    m3_probe_fini(&p);
    m3_opened_fini(&o);
}

/* A device that is lost. */

static bool stays_lost(m3_probe *p, const char *said)
{
    m3_opened *o = p->o;
    const m3_backend_api *api = o->s->api;
    uint64_t value = 0;
    for (uint32_t i = 0; i < 4; i++) {
        static const char *const did[] = {"submit on a lost device", "wait on a lost device", "upload on a lost device",
                                          "download on a lost device"};
        m3_error err = {0};
        m3_status st;
        if (i == 0)
            st = api->submit(o->impl, p->exec, &value, &err);
        else if (i == 1)
            st = api->wait(o->impl, p->value, 0, &err);
        else if (i == 2)
            st = api->upload(o->impl, p->buffers[0], 0, p->input, 4, &value, &err);
        else
            st = api->download(o->impl, p->buffers[0], 0, p->input, 4, &value, &err);
        if (!m3_system_wants(o->s, did[i], M3_ERR_DEVICE_LOST, st, &err)) return false;
        if (strcmp(err.message, said) != 0)
            return m3_system_fail(o->s, "%s: wanted the message of the first failure, \"%.300s\", came \"%.300s\"",
                                  did[i], said, err.message);
    }
    return true;
}

static void check_lost(m3_system *s)
{
    static const m3_option after = {"fail_after", "2"};
    m3_opened o = {0}, other = {0};
    m3_probe p = {0}, q = {0};
    if (m3_system_option(s, after.key) == NULL) {
        (void)m3_system_lack(s,
                             "its devices have no option fail_after (m3bsr/backend.h), so what follows the loss of a "
                             "device could not be tried");
        return;
    }
    bool good = m3_opened_init(&o, s, &after) && m3_probe_init(&p, &o, &m3_probe_small) &&
                m3_opened_beside(&other, &o, NULL) && m3_probe_init(&q, &other, &m3_probe_other);
    for (int i = 0; i < 2 && good; i++) good = m3_probe_run(&p, "a run before the device is lost");
    if (good) {
        m3_error err = {0};
        m3_status st = m3_probe_start(&p, &err);
        if (st == M3_OK) st = s->api->wait(o.impl, p.value, UINT64_MAX, &err);
        good = m3_system_wants(s, "the third run with fail_after=2", M3_ERR_DEVICE_LOST, st, &err) &&
               stays_lost(&p, err.message) && stays_lost(&p, err.message);
        if (good) (void)m3_probe_run(&q, "on another device of the backend");
    }
    m3_probe_fini(&p);
    m3_probe_fini(&q);
    if (other.s != NULL) m3_opened_fini(&other);
    m3_opened_fini(&o);
}

/* NULL, where something is freed. */
static void check_null(m3_system *s)
{
    m3_opened o;
    if (m3_opened_init(&o, s, NULL)) {
        s->api->exec_free(o.impl, NULL);
        s->api->buffer_free(o.impl, NULL);
        s->api->device_close(NULL);
        s->api->close(NULL);
        (void)m3_probe_again(&o, "after NULL was freed");
    }
    m3_opened_fini(&o);
}

const m3_system_check m3_system_faults[] = {
    {"system.misuse.null", "NULL may be freed and closed", check_null},
    {"system.alloc.open", "an open without memory is M3_ERR_MEMORY and keeps nothing, at each request in turn",
     check_alloc_open},
    {"system.alloc.device", "so is device_open", check_alloc_device},
    {"system.alloc.buffer", "so is buffer_create", check_alloc_buffer},
    {"system.alloc.compile", "so is compile", check_alloc_compile},
    {"system.alloc.run", "a run asks for no memory", check_alloc_run},
    {"system.lost", "a lost device says so to every later call, and closes (with the device option fail_after)",
     check_lost},
};
const uint32_t m3_system_faults_count = sizeof m3_system_faults / sizeof m3_system_faults[0];
