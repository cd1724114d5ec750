/* backend_rig: opens a backend plugin without the library around it, and runs single nodes on it: buffers are filled
 * with a pattern, tensors lie between guard bytes, and an output may be laid on an input. */
#ifndef M3_TESTS_SUPPORT_BACKEND_RIG_H
#define M3_TESTS_SUPPORT_BACKEND_RIG_H

#include "core/base/alloc.h"
#include "core/base/option.h"
#include "core/conformance/values.h"
#include "core/ops/common/op.h"
#include "m3bsr/backend.h"

#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

enum { RIG_TENSORS = 2 * M3_NOTATION_ARRAYS, RIG_GUARD = 256 /* a multiple of any device's alignment */ };

typedef struct rig {
    m3_host host;
    long live; /* blocks of the host that are not released yet */
    long deny; /* so many allocations succeed before one fails; negative: none fails */
    const m3_backend_api *api;
    m3_backend *backend;
    m3_device_impl *device;
} rig;

/* The host. */

static inline void rig_log(void *user, m3_log_level level, const char *line)
{
    (void)user, (void)level, (void)line;
}

static inline void *rig_allocate(void *user, size_t count, size_t size)
{
    rig *r = user;
    if (r->deny == 0) return NULL;
    if (r->deny > 0) r->deny--;
    void *block = calloc(count, size);
    r->live += block != NULL;
    return block;
}

static inline void rig_release(void *user, void *block)
{
    ((rig *)user)->live -= block != NULL;
    free(block);
}

typedef struct rig_team {
    void (*fn)(void *arg, uint32_t task, uint32_t worker);
    void *arg;
    uint32_t tasks, next, worker;
} rig_team;

static inline void *rig_work(void *arg)
{
    rig_team *team = arg;
    uint32_t worker = __atomic_fetch_add(&team->worker, 1, __ATOMIC_RELAXED), task;
    while ((task = __atomic_fetch_add(&team->next, 1, __ATOMIC_RELAXED)) < team->tasks)
        team->fn(team->arg, task, worker);
    return NULL;
}

static inline void rig_parallel(void *user, uint32_t tasks, void (*fn)(void *arg, uint32_t task, uint32_t worker),
                                void *arg)
{
    pthread_t thread[8];
    rig_team team = {fn, arg, tasks, 0, 0};
    uint32_t others = ((rig *)user)->host.threads - 1;
    for (uint32_t i = 0; i < others; i++) assert_int_equal(pthread_create(&thread[i], NULL, rig_work, &team), 0);
    (void)rig_work(&team);
    for (uint32_t i = 0; i < others; i++) (void)pthread_join(thread[i], NULL);
}

/* The plugin stays loaded, as in the library. deny: see rig. */
static inline m3_status rig_open_backend(rig *r, const char *name, uint32_t threads, long deny, m3_error *err)
{
    char path[512];
    m3_plugin_query_fn query = NULL;
    *r = (rig){.deny = deny};
    r->host = (m3_host){.size = M3_STRUCT_SIZE(m3_host, cache_path),
                        .abi_major = M3_ABI_MAJOR,
                        .abi_minor = M3_ABI_MINOR,
                        .user = r,
                        .log = rig_log,
                        .allocate = rig_allocate,
                        .release = rig_release,
                        .parallel = rig_parallel,
                        .threads = threads,
                        .cache_path = getenv("XDG_CACHE_HOME")};
    (void)snprintf(path, sizeof path, "%s/m3bsr_backend_%s.so", M3BSR_BUILD_PLUGIN_DIR, name);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library == NULL) fail_msg("%s", dlerror());
    *(void **)&query = dlsym(library, M3_PLUGIN_SYMBOL);
    assert_non_null(query);
    r->api = query()->table;
    (void)dlclose(library);
    return r->api->open(&r->host, &r->backend, err);
}

static inline m3_status rig_open_as(rig *r, const char *name, uint32_t threads, const m3_option *options,
                                    uint32_t count, long deny, m3_error *err)
{
    m3_option *checked = NULL; /* as the library does it */
    uint32_t checked_count = 0;
    m3_status st = rig_open_backend(r, name, threads, deny, err);
    if (st != M3_OK) return st;
    st = m3_options_check(r->api->options, (m3_span){count, sizeof *options, options}, name, &checked, &checked_count,
                          err);
    if (st == M3_OK)
        st = r->api->device_open(r->backend, 0, (m3_span){checked_count, sizeof *checked, checked}, &r->device, err);
    m3_free(checked);
    return st;
}

static inline m3_status rig_open(rig *r, const char *name, uint32_t threads, const m3_option *options, uint32_t count,
                                 m3_error *err)
{
    return rig_open_as(r, name, threads, options, count, -1, err);
}

static inline m3_status rig_open_denying(rig *r, const char *name, long deny, m3_error *err)
{
    const m3_option option = {"refuse", "nothing"};
    return rig_open_as(r, name, 1, &option, 1, deny, err);
}

static inline void rig_close(rig *r)
{
    r->api->device_close(r->device);
    r->api->close(r->backend);
    assert_int_equal(r->live, 0);
}

/* Nodes. */

typedef struct rig_node {
    m3_tensor tensor[RIG_TENSORS];
    m3_tensor *in[M3_NOTATION_ARRAYS], *out[M3_NOTATION_ARRAYS];
    m3_notation array[M3_NOTATION_ARRAYS];
    m3_attr attr[M3_NOTATION_ATTRS];
    m3_node node;
    uint32_t tensors;
} rig_node;

static inline m3_tensor *rig_tensor(rig_node *n, m3_tensor_kind kind, m3_dtype dtype, const m3_shape *shape)
{
    m3_tensor *x = &n->tensor[n->tensors];
    *x = (m3_tensor){.size = sizeof *x, .id = n->tensors++, .kind = kind, .dtype = dtype, .shape = *shape, .name = ""};
    return x;
}

/* An op over arrays and attributes in the notation of the conformance cases. */
static inline m3_status rig_node_make(rig_node *n, const m3_op *op, const char *arrays, const char *attrs,
                                      m3_error *err)
{
    m3_tensor_desc desc[M3_NOTATION_ARRAYS];
    *n = (rig_node){.node = {.size = sizeof n->node, .op = op, .scope = "test", .in = n->in, .out = n->out}};
    n->node.attr = n->attr;
    m3_status st = m3_notation_arrays(arrays, n->array, &n->node.in_count, err);
    if (st == M3_OK) st = m3_notation_attrs(attrs, op, n->attr, err);
    if (st != M3_OK) return st;
    for (uint32_t i = 0; i < n->node.in_count; i++)
        n->in[i] = n->array[i].absent ? NULL : rig_tensor(n, M3_INPUT, n->array[i].dtype, &n->array[i].shape);
    uint32_t outputs = op->outputs != 0 ? op->outputs : op->count_outputs(&n->node);
    if ((st = op->infer(&n->node, desc, err)) != M3_OK) return st;
    for (uint32_t i = 0; i < outputs; i++) n->out[i] = rig_tensor(n, M3_TEMPORARY, desc[i].dtype, &desc[i].shape);
    n->node.out_count = outputs;
    return M3_OK;
}

/* Where each tensor lies in one segment; output 0 on input `onto`, unless that is negative. Returns the bytes. */
static inline uint64_t rig_places(const rig_node *n, int onto, m3_place place[RIG_TENSORS])
{
    uint64_t at = RIG_GUARD;
    for (uint32_t i = 0; i < n->tensors; i++) {
        const m3_tensor *x = &n->tensor[i];
        place[i] = (m3_place){0, at};
        if (onto >= 0 && x == n->out[0])
            place[i] = place[n->in[onto]->id];
        else
            at += (m3_tensor_bytes(x) + RIG_GUARD - 1) / RIG_GUARD * RIG_GUARD + RIG_GUARD;
    }
    return at;
}

/* Run a node. data[i] holds input i; the outputs come back in memory that the caller frees, one after another.
 * Everything else of the buffer starts as `pattern`, and what lies between the tensors must stay so. */
static inline m3_status rig_run(rig *r, const rig_node *n, void *const *data, uint8_t pattern, int onto, void **result,
                                m3_error *err)
{
    m3_place place[RIG_TENSORS];
    uint64_t bytes = rig_places(n, onto, place), value = 0, total = 1;
    const m3_node *nodes[] = {&n->node};
    const m3_segment segment = {M3_SEGMENT_STORE, bytes};
    const m3_program program = {sizeof program, "test", 1, nodes, n->tensors, place, 1, &segment};
    m3_buffer *buffer = NULL;
    m3_exec_impl *exec = NULL;
    unsigned char *image = malloc((size_t)bytes), *used = calloc((size_t)bytes, 1);
    assert_true(image != NULL && used != NULL);
    memset(image, pattern, (size_t)bytes);
    for (uint32_t i = 0; i < n->tensors; i++) memset(used + place[i].offset, 1, (size_t)m3_tensor_bytes(&n->tensor[i]));
    for (uint32_t i = 0; i < n->node.in_count; i++)
        if (n->in[i] != NULL && m3_tensor_bytes(n->in[i]) > 0)
            memcpy(image + place[n->in[i]->id].offset, data[i], (size_t)m3_tensor_bytes(n->in[i]));
    m3_status st =
        r->api->buffer_create(r->device, bytes, M3_BUFFER_DEVICE | M3_BUFFER_UPLOAD | M3_BUFFER_DOWNLOAD, &buffer, err);
    if (st == M3_OK) st = r->api->upload(r->device, buffer, 0, image, bytes, &value, err);
    if (st == M3_OK) st = r->api->compile(r->device, &program, &buffer, &exec, err);
    if (st == M3_OK) st = r->api->submit(r->device, exec, &value, err);
    if (st == M3_OK) st = r->api->download(r->device, buffer, 0, image, bytes, &value, err);
    if (st == M3_OK) st = r->api->wait(r->device, value, UINT64_MAX, err);
    if (st != M3_OK) (void)r->api->wait(r->device, value, UINT64_MAX, NULL); /* the image must stay until then */
    r->api->exec_free(r->device, exec);
    r->api->buffer_free(r->device, buffer);
    for (uint32_t i = 0; i < n->node.out_count; i++) total += m3_tensor_bytes(n->out[i]);
    unsigned char *to = *result = malloc((size_t)total);
    assert_non_null(to);
    for (uint32_t i = 0; i < n->node.out_count && st == M3_OK; i++) {
        memcpy(to, image + place[n->out[i]->id].offset, (size_t)m3_tensor_bytes(n->out[i]));
        to += m3_tensor_bytes(n->out[i]);
    }
    for (uint64_t i = 0; i < bytes && st == M3_OK; i++)
        if (used[i] == 0 && image[i] != pattern)
            fail_msg("%s wrote byte %llu", n->node.op->name, (unsigned long long)i);
    free(image);
    free(used);
    return st;
}

#endif
