/* system_together: programs, devices, engines and threads side by side. */
#include <stdatomic.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/conformance/system.h"

/* Each step for both, the results of the first one last. */
static bool interleave(m3_probe *p, m3_probe *q, const char *when)
{
    m3_error err = {0};
    m3_status st = m3_probe_load(p, &err);
    if (st == M3_OK) st = m3_probe_load(q, &err);
    if (st == M3_OK) st = m3_probe_submit(p, &err);
    if (st == M3_OK) st = m3_probe_submit(q, &err);
    if (st == M3_OK) st = m3_probe_fetch(q, &err);
    if (st == M3_OK) st = m3_probe_fetch(p, &err);
    const bool good = m3_system_wants(p->o->s, M3_DID("%s: runs", when), M3_OK, st, &err);
    if (good) return m3_probe_finish(q, when) && m3_probe_finish(p, when);
    /* Nothing may still be reading or writing the images. */
    (void)q->o->s->api->wait(q->o->impl, q->value, UINT64_MAX, NULL);
    (void)p->o->s->api->wait(p->o->impl, p->value, UINT64_MAX, NULL);
    return false;
}

static void check_programs(m3_system *s)
{
    m3_opened o;
    m3_probe p = {0}, q = {0}, r = {0};
    bool good =
        m3_opened_init(&o, s, NULL) && m3_probe_init(&p, &o, &m3_probe_small) && m3_probe_init(&q, &o, &m3_probe_other);
    for (int i = 0; i < 5 && good; i++) good = interleave(&p, &q, "two programs on one device");
    if (good) good = m3_probe_init(&r, &o, &m3_probe_large) && interleave(&p, &r, "after a third was compiled");
    m3_probe_fini(&q);
    if (good) good = interleave(&r, &p, "after the second of three was freed");
    m3_probe_fini(&r);
    if (good) (void)m3_probe_run(&p, "after the others were freed");
    m3_probe_fini(&p);
    m3_opened_fini(&o);
}

/* memory_used of a new device says nothing of another's buffers. */
static bool counts_alone(m3_opened *o, m3_opened *o2)
{
    enum { BYTES = 1 << 20 };
    const uint64_t before = m3_opened_memory(o2);
    m3_buffer *buffer = m3_opened_buffer(o, BYTES, M3_SYSTEM_USE);
    const uint64_t after = m3_opened_memory(o2);
    m3_opened_drop(o, buffer);
    if (buffer == NULL || after == before) return buffer != NULL;
    return m3_system_fail(o->s,
                          "memory_used of the second of two devices: wanted nothing of a buffer of %d bytes on the "
                          "first one, came %lld bytes more",
                          BYTES, (long long)(after - before));
}

static void check_devices(m3_system *s)
{
    m3_opened o, o2 = {0};
    m3_probe p = {0}, q = {0};
    bool good = m3_opened_init(&o, s, NULL) && m3_probe_init(&p, &o, &m3_probe_small) && m3_probe_run(&p, "alone") &&
                m3_opened_beside(&o2, &o, NULL) && counts_alone(&o, &o2) && m3_probe_init(&q, &o2, &m3_probe_other);
    for (int i = 0; i < 5 && good; i++) good = interleave(&p, &q, "two devices of one backend");
    if (good) good = m3_probe_run(&p, "the first of two devices") && m3_probe_run(&q, "the second of two devices");
    m3_probe_fini(&q);
    if (o2.s != NULL) m3_opened_fini(&o2);
    if (good)
        (void)(m3_probe_run(&p, "after the second device was closed") &&
               m3_probe_again(&o, "after the second device was closed"));
    m3_probe_fini(&p);
    m3_opened_fini(&o);
}

/* Two engines: each has its own host, which stays with its handle. */
static void check_backends(m3_system *s)
{
    m3_opened o, o2;
    m3_probe p = {0}, q = {0};
    bool good = m3_opened_init(&o, s, NULL), second = m3_opened_init(&o2, s, NULL);
    if (good && second) {
        const uint64_t requests = o.host->requests, live = o.host->live;
        good = m3_probe_init(&q, &o2, &m3_probe_other) && m3_probe_run(&q, "on the second of two opened backends");
        if (good && (o.host->requests != requests || o.host->live != live))
            good = m3_system_fail(s,
                                  "work on the second of two opened backends: wanted the first one's host left alone, "
                                  "came %llu requests to it",
                                  (unsigned long long)(o.host->requests - requests));
        const uint64_t later = o2.host->requests;
        if (good) good = m3_probe_init(&p, &o, &m3_probe_small) && m3_probe_run(&p, "on the first of two backends");
        if (good && o2.host->requests != later)
            good = m3_system_fail(s,
                                  "work on the first of two opened backends: wanted the second one's host left alone, "
                                  "came %llu requests to it",
                                  (unsigned long long)(o2.host->requests - later));
        for (int i = 0; i < 3 && good; i++) good = interleave(&p, &q, "two opened backends");
    }
    m3_probe_fini(&p);
    m3_opened_fini(&o);
    if (good && second) (void)m3_probe_run(&q, "after the first of two backends was closed");
    m3_probe_fini(&q);
    m3_opened_fini(&o2);
}

/* Many at once: what is kept in a table of fixed size ends here. */

static void check_many_buffers(m3_system *s)
{
    enum { BUFFERS = 700 };
    static m3_imaged b[BUFFERS];
    m3_opened o;
    memset(b, 0, sizeof b);
    bool good = m3_opened_init(&o, s, NULL);
    for (uint32_t i = 0; i < BUFFERS && good; i++) good = m3_imaged_init(&b[i], &o, 16 + i % 50, i);
    for (uint32_t i = 0; i < BUFFERS && good; i += 2) m3_imaged_fini(&b[i]);
    for (uint32_t i = 0; i < BUFFERS && good; i += 4) good = m3_imaged_init(&b[i], &o, 100 + i % 50, i + 7);
    for (uint32_t i = 0; i < BUFFERS && good; i++)
        good = b[i].buffer == NULL || m3_imaged_check(&b[i], 0, b[i].bytes, "700 buffers, of which others were freed");
    for (uint32_t i = 0; i < BUFFERS; i++) m3_imaged_fini(&b[i]);
    m3_opened_fini(&o);
}

static void check_many_programs(m3_system *s)
{
    enum { PROGRAMS = 24 };
    m3_opened o;
    m3_probe p[PROGRAMS] = {0};
    bool good = m3_opened_init(&o, s, NULL);
    for (uint32_t i = 0; i < PROGRAMS && good; i++) {
        m3_probe_form form = m3_probe_small;
        form.seed += i;
        form.rounds = 1 + i % 2;
        good = m3_probe_init(&p[i], &o, &form);
    }
    for (uint32_t i = 0; i < PROGRAMS && good; i++) good = m3_probe_run(&p[i], "one of 24 programs");
    for (uint32_t i = 0; i < PROGRAMS; i += 2) m3_probe_fini(&p[i]);
    for (uint32_t i = 1; i < PROGRAMS && good; i += 2)
        good = m3_probe_run(&p[i], "one of 24 programs, half of them freed");
    for (uint32_t i = 0; i < PROGRAMS; i++) m3_probe_fini(&p[i]);
    m3_opened_fini(&o);
}

static void check_many_devices(m3_system *s)
{
    enum { DEVICES = 8 };
    m3_opened o[DEVICES] = {0};
    m3_imaged b[DEVICES] = {0};
    bool good = m3_opened_init(&o[0], s, NULL);
    for (uint32_t i = 0; i < DEVICES && good; i++) {
        if (i > 0) good = m3_opened_beside(&o[i], &o[0], NULL);
        if (good) good = m3_imaged_init(&b[i], &o[i], 1000, i);
    }
    for (uint32_t i = 0; i < DEVICES && good; i++)
        good = m3_imaged_check(&b[i], 0, b[i].bytes, "upload on each of 8 devices") &&
               m3_probe_again(&o[i], "on one of 8 devices");
    for (uint32_t i = 0; i < DEVICES && good; i++) good = m3_imaged_put(&b[i], 10 + i, 300, (unsigned char)(i * 3 + 5));
    for (uint32_t i = 0; i < DEVICES && good; i++)
        good = m3_imaged_check(&b[i], 0, b[i].bytes, "upload on each of 8 devices, twice");
    for (uint32_t i = DEVICES; i-- > 0;) {
        m3_imaged_fini(&b[i]);
        if (o[i].s != NULL) m3_opened_fini(&o[i]);
    }
}

/* Buffers of two opened backends, with what was uploaded before the second was opened. */
static void check_apart_backends(m3_system *s)
{
    m3_opened o, o2 = {0};
    m3_imaged b = {0}, b2 = {0};
    if (m3_opened_init(&o, s, NULL) && m3_imaged_init(&b, &o, 3000, 1) && m3_opened_init(&o2, s, NULL) &&
        m3_imaged_init(&b2, &o2, 3000, 2))
        (void)(m3_imaged_check(&b, 0, b.bytes, "upload on the second of two opened backends") &&
               m3_imaged_put(&b, 100, 900, 77) &&
               m3_imaged_check(&b2, 0, b2.bytes, "upload on the first of two opened backends"));
    m3_imaged_fini(&b2);
    if (o2.s != NULL) m3_opened_fini(&o2);
    m3_imaged_fini(&b);
    m3_opened_fini(&o);
}

/* Threads. */

typedef struct worker {
    m3_opened o;
    m3_probe probe;
    uint32_t rounds;
    bool there;
    pthread_t thread;
} worker;

static void *work(void *arg)
{
    worker *w = arg;
    bool good = true;
    for (uint32_t i = 0; i < w->rounds && good; i++) {
        good = m3_probe_run(&w->probe, "a run while a thread works on another device");
        if (i % 4 == 3 && good) good = m3_probe_again(&w->o, "compiling while a thread works on another device");
    }
    return NULL;
}

enum { WORKERS = 3 };

static void together(worker *workers)
{
    for (uint32_t i = 0; i < WORKERS; i++)
        workers[i].there = pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0;
    for (uint32_t i = 0; i < WORKERS; i++)
        if (workers[i].there) (void)pthread_join(workers[i].thread, NULL);
}

static void check_threads(m3_system *s)
{
    worker w[WORKERS] = {0};
    bool good = m3_opened_init(&w[0].o, s, NULL);
    for (uint32_t i = 0; i < WORKERS && good; i++) {
        m3_probe_form form = m3_probe_large;
        form.seed += i;
        form.rows += i;
        w[i].rounds = 24;
        if (i == 1) good = m3_opened_beside(&w[i].o, &w[0].o, NULL); /* of one backend */
        if (i == 2) good = m3_opened_init(&w[i].o, s, NULL);         /* of another engine */
        if (good) good = m3_probe_init(&w[i].probe, &w[i].o, &form) && m3_probe_run(&w[i].probe, "alone");
    }
    if (good) together(w);
    for (uint32_t i = WORKERS; i-- > 0;) {
        m3_probe_fini(&w[i].probe);
        if (w[i].o.s != NULL) m3_opened_fini(&w[i].o);
    }
}

typedef struct asker {
    m3_opened *o;
    const m3_node *node;
    atomic_bool stop;
    atomic_uint asked;
    uint32_t wrong;
} asker;

static void *ask(void *arg)
{
    asker *a = arg;
    while (!atomic_load(&a->stop)) {
        m3_error why = {0};
        a->wrong += a->o->s->api->supports(a->o->impl, a->node, &why) != M3_OK;
        atomic_fetch_add(&a->asked, 1);
    }
    return NULL;
}

/* `supports` may be called from any thread. On a busy machine the thread may have to wait for its first turn. */
static void check_supports_beside(m3_system *s)
{
    enum { ROUNDS = 10, MOST_ROUNDS = 10000, ASKED = 2000 };
    m3_opened o;
    m3_probe p = {0};
    if (m3_opened_init(&o, s, NULL) && m3_probe_init(&p, &o, &m3_probe_large)) {
        pthread_t thread;
        asker a = {.o = &o, .node = p.nodes[0]};
        const bool there = pthread_create(&thread, NULL, ask, &a) == 0;
        for (int i = 0; i < ROUNDS || (there && i < MOST_ROUNDS && atomic_load(&a.asked) < ASKED); i++)
            if (!m3_probe_run(&p, "a run while a thread asks supports") ||
                !m3_probe_again(&o, "compiling while a thread asks supports"))
                break;
        atomic_store(&a.stop, true);
        if (there) (void)pthread_join(thread, NULL);
        if (a.wrong > 0)
            (void)m3_system_fail(
                s, "supports in a thread beside runs: wanted the same answer each time, came no %u times", a.wrong);
    }
    m3_probe_fini(&p);
    m3_opened_fini(&o);
}

const m3_system_check m3_system_together[] = {
    {"system.programs", "programs on one device do not disturb each other", check_programs},
    {"system.many.buffers", "700 buffers may be there at once, and be freed in any order", check_many_buffers},
    {"system.many.programs", "so may 24 programs", check_many_programs},
    {"system.many.devices", "and 8 devices, which share no memory", check_many_devices},
    {"system.devices", "neither do devices of one backend", check_devices},
    {"system.backends", "nor two opened backends, as in two engines; each keeps to its own host", check_backends},
    {"system.apart.backends", "they share no memory", check_apart_backends},
    {"system.threads", "devices work in threads side by side", check_threads},
    {"system.supports.beside", "supports may be asked from any thread", check_supports_beside},
};
const uint32_t m3_system_together_count = sizeof m3_system_together / sizeof m3_system_together[0];
