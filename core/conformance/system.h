/* system: what the files of the layer system share. The layer speaks to a backend as an engine does, through
 * m3_backend_api alone, but lends it a host of its own, which counts and watches what the backend allocates and can let
 * the n-th request fail. Each check opens what it needs and closes all of it. */
#ifndef M3_CORE_CONFORMANCE_SYSTEM_H
#define M3_CORE_CONFORMANCE_SYSTEM_H

#include <pthread.h>

#include "core/base/threads.h"
#include "core/runtime/engine.h"
#include "m3bsr/conformance.h"

enum { M3_SYSTEM_TEXT = 1024 };

/** A check while it is made: the device at hand, and what was found. */
typedef struct m3_system {
    const m3_backend_api *api;
    const char *name; /**< of the device: "cpu:0" */
    uint32_t index;   /**< of the device in its backend */
    uint32_t threads;
    const char *cache_path;
    m3_span given;        /**< m3_option: the device's options, as they were given */
    pthread_mutex_t lock; /**< of what follows: checks have threads */
    m3_verdict verdict;
    char text[M3_SYSTEM_TEXT];
} m3_system;

/** A line of the layer's table. */
typedef struct m3_system_check {
    const char *name, *about; /**< "queue.order"; what must hold, in a sentence */
    void (*run)(m3_system *s);
} m3_system_check;

/** The tables, by files. */
extern const m3_system_check m3_system_life[], m3_system_memory[], m3_system_programs[], m3_system_together[],
    m3_system_faults[];
extern const uint32_t m3_system_life_count, m3_system_memory_count, m3_system_programs_count, m3_system_together_count,
    m3_system_faults_count;

/* Findings. All return false, so that a check can end with one; the first failure stays. */

M3_PRINTF(2, 3) bool m3_system_fail(m3_system *s, const char *format, ...);
/** The check could not be made, or only in part, and why. A failure goes before it. */
M3_PRINTF(2, 3) bool m3_system_lack(m3_system *s, const char *format, ...);
/** Did a call return what it should? A failure needs a message as well. @param did  "upload of 9 bytes at 0 of 8" */
bool m3_system_wants(m3_system *s, const char *did, m3_status want, m3_status came, const m3_error *err);
/** Something worth telling of a check that passes. */
M3_PRINTF(2, 3) void m3_system_note(m3_system *s, const char *format, ...);
/** For what is done in words with numbers in them; the text lasts until the caller's block ends. */
#define M3_DID(...) m3_system_text((char[160]){0}, 160, __VA_ARGS__)
M3_PRINTF(3, 4) const char *m3_system_text(char *text, size_t bytes, const char *format, ...);
/** "M3_ERR_RANGE" */
const char *m3_system_status(m3_status st);
/** The description of an option that the backend's devices have, or NULL. */
const m3_option_desc *m3_system_option(const m3_system *s, const char *key);

/* The host. */

typedef struct m3_watched_block m3_watched_block;

/** What a backend is lent. Its memory has guard bytes behind every block; releasing anything else than a live block is
 * remembered, and so is a second caller of `parallel`. Any thread. */
typedef struct m3_watched {
    m3_host host;
    m3_pool *pool;
    pthread_mutex_t lock;
    m3_watched_block *blocks;
    uint64_t live, bytes;     /**< blocks that are not released, and their bytes */
    uint64_t requests;        /**< so far */
    uint64_t deny, deny_last; /**< requests with these numbers, from 1, fail; 0: none */
    uint64_t denied;
    uint32_t in_parallel;
    char fault[256]; /**< the first misuse of the host, or "" */
} m3_watched;

/** Let request n from now on fail, and if `on` all behind it; n 0: none. */
void m3_watched_deny(m3_watched *w, uint64_t n, bool on);

/** A backend that was opened with a host of its own, and one device of it. Starts as {0}. */
typedef struct m3_opened {
    m3_system *s;
    m3_watched *host;
    m3_backend *backend;
    m3_device_impl *impl;
    m3_device_limits limits;
    bool beside; /**< host and backend are another's */
} m3_opened;

m3_status m3_watched_create(const m3_system *s, m3_watched **host, m3_error *err);
/** After it the host must hold nothing. */
void m3_watched_free(m3_system *s, m3_watched *host);

/** The device's options, and one more, or NULL. Fills impl and limits. */
m3_status m3_opened_device(m3_opened *o, const m3_option *more, m3_error *err);
/** Open all of it; a failure is one of the check. */
bool m3_opened_init(m3_opened *o, m3_system *s, const m3_option *more);
/** Another device of the same opened backend; close it before the other. */
bool m3_opened_beside(m3_opened *o, const m3_opened *other, const m3_option *more);
/** Close, and see that nothing is left. */
void m3_opened_fini(m3_opened *o);

/* Calls that must succeed; a failure is one of the check. */

enum { M3_SYSTEM_USE = M3_BUFFER_DEVICE | M3_BUFFER_UPLOAD | M3_BUFFER_DOWNLOAD };

m3_buffer *m3_opened_buffer(m3_opened *o, uint64_t bytes, uint32_t usage);
void m3_opened_drop(m3_opened *o, m3_buffer *buffer);
/** Copy and wait. */
bool m3_opened_put(m3_opened *o, m3_buffer *to, uint64_t offset, const void *from, uint64_t bytes);
bool m3_opened_get(m3_opened *o, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes);
bool m3_opened_wait(m3_opened *o, uint64_t value);
/** 0 when the backend does not tell. */
uint64_t m3_opened_memory(const m3_opened *o);

/* A buffer with an image of what it should hold. */

typedef struct m3_imaged {
    m3_opened *o;
    m3_buffer *buffer;
    uint64_t bytes;
    unsigned char *image, *seen; /**< seen: with room for guards before and behind */
} m3_imaged;

/** Starts with bytes that depend on `salt`. */
bool m3_imaged_init(m3_imaged *b, m3_opened *o, uint64_t bytes, uint32_t salt);
void m3_imaged_fini(m3_imaged *b);
/** Download a range, and compare it and what lies around it in the host's memory. */
bool m3_imaged_check(m3_imaged *b, uint64_t offset, uint64_t bytes, const char *did);
/** Put other bytes into a range; everything else must stay. */
bool m3_imaged_put(m3_imaged *b, uint64_t offset, uint64_t bytes, unsigned char salt);

/* A probe: a small program of what the device can run, over whole numbers, so that every right result is exact in
 * float32 whatever the order of a sum; its results are known from the ops' own .evaluate.
 *   x [R, C], a [C], w [C, C]:  y = max(((x + a) a) w, x) + a ...     each op that the device refuses is left out */

typedef struct m3_probe_form {
    uint32_t rows, columns, rounds; /**< rounds of the four ops */
    uint32_t seed;                  /**< of the numbers */
    bool fractions;                 /**< no whole numbers: results are compared with each other alone */
    bool store;                     /**< the result lies among parameters and states */
} m3_probe_form;

typedef struct m3_probe {
    m3_opened *o;
    m3_probe_form form;
    m3_graph *graph;
    const m3_node **nodes;
    m3_place *places;
    m3_segment segments[3]; /**< input, output, scratch */
    m3_program program;
    m3_buffer *buffers[3];
    m3_exec_impl *exec;
    const m3_tensor *result;
    unsigned char *input, *output; /**< images of the two segments */
    float *want;
    uint64_t value; /**< of the work queued last */
} m3_probe;

extern const m3_probe_form m3_probe_small, m3_probe_other, m3_probe_large;

/** Build the graph and its places; nothing of the device is held but by `supports`. A device that runs none of the ops
 * lacks. */
bool m3_probe_build(m3_probe *p, m3_opened *o, const m3_probe_form *form);
/** Buffers, and compile, with their status; or compile alone. */
m3_status m3_probe_try(m3_probe *p, m3_error *err);
m3_status m3_probe_compile(m3_probe *p, m3_error *err);
/** Build, and try, which must succeed. */
bool m3_probe_init(m3_probe *p, m3_opened *o, const m3_probe_form *form);
void m3_probe_fini(m3_probe *p);
/** Free what m3_probe_try() made. */
void m3_probe_release(m3_probe *p);
/** Queue inputs, a run, and the way back, or all three; then wait, and compare. */
m3_status m3_probe_load(m3_probe *p, m3_error *err);
m3_status m3_probe_submit(m3_probe *p, m3_error *err);
m3_status m3_probe_fetch(m3_probe *p, m3_error *err);
m3_status m3_probe_start(m3_probe *p, m3_error *err);
/** Is the segment of the result as m3_probe_load() left it? */
bool m3_probe_untouched(m3_probe *p, const char *when);
bool m3_probe_finish(m3_probe *p, const char *when);
/** Both. */
bool m3_probe_run(m3_probe *p, const char *when);
/** The bits of the result after a run. */
const void *m3_probe_bits(const m3_probe *p, uint64_t *bytes);
/** Does the device still work? A new probe is compiled, run and freed. */
bool m3_probe_again(m3_opened *o, const char *when);

#endif
