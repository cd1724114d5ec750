/* faulty: a backend that is wrong on purpose. It hands everything to backend cpu, node by node, and plants the one
 * fault that M3BSR_FAULT names. tests/conformance/test_faults.sh lists which check finds which fault.
 *
 * A fault of a node happens around the run of that node alone, on every node of its op, or on all ("*").
 * A name that begins with duty_ breaks a promise of the interface instead (duties.h). */
#include <dlfcn.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "m3bsr/backend.h"
#include "tests/conformance/faulty/duties.h"

/* The table. */

typedef enum kind {
    NOTHING,
    /* around a node */
    ADD_FIRST,     /* the first element is 1 too large */
    LOSE_LAST,     /* the last element is not written */
    LOSE_TAIL,     /* what is behind the last multiple of 8 is not written */
    SCALE,         /* all elements are 0.1 % too large */
    WRONG_FROM,    /* the element with this index, in outputs that large, is 1 too large */
    LONG_FIRST,    /* the first element is 1 too large, where the last input has at least so many */
    NAN_TO_ZERO,   /* as if by fmax(x, 0) */
    INF_TO_MAX,    /* saturates */
    FLUSH,         /* denormal results are 0 */
    THROUGH_FLOAT, /* whole numbers go through a float */
    LOSE_OUTPUT,   /* the output with this index is not written */
    INPUT_ZERO,    /* the input with this index is taken for zeros (false) */
    INPUT_ONE,     /* … for ones (true) */
    WORD_ZERO,     /* the word with this index of its last input is taken for 0 */
    WRITE_BEHIND,  /* 4 bytes behind the output, at this distance */
    WRITE_BEFORE,  /* 4 bytes before it */
    UPDATE_BEHIND, /* the element behind it, read and written: 1 more than it was */
    WRITE_INPUT,   /* the first element of its first input */
    READ_BEHIND,   /* the element behind its first input gets into the result */
    READ_BEFORE,   /* the one before it */
    FIRST_RESULT,  /* later runs give what the first one gave */
    LAST_RESULT,   /* a run gives what the one before it gave */
    ADD_TO_OUTPUT, /* takes the output to be zero when it starts */
    COUNT_RUNS,    /* each run differs a little from the one before */
    IN_PLACE,      /* wrong where the output lies on the input */
    MANY_NODES,    /* the first element is 1 too large, in programs of more nodes than this */
    SECOND_SHAPE, /* the first element is 1 too large when the program has a node of this op and another shape before */
    LATE_NODE,    /* not run in programs of more nodes than this */
    NOT_RUN,      /* success without a run */
    SEGFAULT,
    ABORT,
    EXIT, /* with this status */
    HANG,
    SANITIZER, /* goes on after a report on stderr */
    FAIL_RUN,  /* the run fails, without a message */
    /* elsewhere */
    FAIL_COMPILE,  /* `supports` said yes */
    UPLOAD_OFFSET, /* ignored */
    UPLOAD_SHORT,  /* the last 4 bytes are not copied */
    UPLOAD_LATE,   /* host memory is read when the next run starts */
    DOWNLOAD_OFFSET,
    DOWNLOAD_SHORT,
    DOWNLOAD_NOTHING,
    SMALL_BUFFER, /* 16 bytes are missing */
    SAME_BUFFER,  /* two buffers share memory */
    LATE_RUN,     /* wait returns before the run is done */
    OPEN_SEGFAULT,
    OPEN_EXIT,
    OPEN_HANG,
    LIST_SEGFAULT,
    LIST_NOTHING,
    LOAD_SEGFAULT, /* in m3_plugin_query */
    DEVICE_SEGFAULT,
    DEVICE_FAIL,
    CLOSE_SEGFAULT,
    CLOSE_EXIT,
    FREE_SEGFAULT, /* exec_free */
} kind;

typedef struct fault {
    const char *name, *op;
    kind kind;
    int64_t with;
} fault;

static const fault faults[] = {
    {"none", "*", NOTHING, 0},
#include "tests/conformance/faulty/faults.inc"
};

static const fault *the_fault(void)
{
    const char *name = getenv("M3BSR_FAULT");
    for (size_t i = 0; name != NULL && i < sizeof faults / sizeof faults[0]; i++)
        if (strcmp(faults[i].name, name) == 0) return &faults[i];
    if (name != NULL) {
        (void)fprintf(stderr, "faulty: there is no fault '%s'\n", name);
        _exit(99);
    }
    return &faults[0];
}

static bool is(kind k)
{
    return the_fault()->kind == k;
}

/* Ends of a process. */

static void crash(void)
{
    (void)fprintf(stderr, "faulty: going down\n");
    (void)signal(SIGSEGV, SIG_DFL); /* whatever a sanitizer has put there */
    (void)raise(SIGSEGV);
}

static void hang(void)
{
    (void)fprintf(stderr, "faulty: hanging\n");
    for (;;) (void)pause();
}

/* Handles. */

struct m3_backend {
    const m3_host *host;
    m3_backend *inner;
};

struct m3_device_impl {
    m3_device_impl *inner;
    m3_buffer *shared; /* SAME_BUFFER */
    uint64_t shared_bytes;
    uint32_t shared_users;
    m3_exec_impl *waiting; /* LATE_RUN */
    struct {               /* UPLOAD_LATE */
        m3_buffer *to;
        uint64_t offset, bytes;
        const void *from;
    } late;
};

/* A node as a program of its own. */
typedef struct piece {
    const m3_node *node;
    m3_exec_impl *inner;
    const m3_place *places;
    void *kept; /* of all outputs: FIRST_RESULT, LAST_RESULT */
} piece;

struct m3_exec_impl {
    m3_buffer **buffers;
    m3_place *places;
    uint32_t count, runs;
    piece pieces[];
};

static const m3_backend_api *cpu(void)
{
    static const m3_backend_api *api;
    if (api != NULL) return api;
    void *object = dlopen(FAULTY_CPU, RTLD_NOW | RTLD_LOCAL),
         *symbol = object != NULL ? dlsym(object, M3_PLUGIN_SYMBOL) : NULL;
    m3_plugin_query_fn query;
    if (symbol == NULL) {
        (void)fprintf(stderr, "faulty: %s\n", dlerror());
        _exit(99);
    }
    memcpy(&query, &symbol, sizeof query);
    return api = query()->table;
}

/* Plugin and device. */

static m3_status backend_open(const m3_host *host, m3_backend **backend, m3_error *err)
{
    if (is(OPEN_SEGFAULT)) crash();
    if (is(OPEN_EXIT)) exit(7);
    if (is(OPEN_HANG)) hang();
    *backend = calloc(1, sizeof **backend);
    if (*backend == NULL) return M3_FAIL_MEMORY(err, "faulty", sizeof **backend);
    (*backend)->host = host;
    return cpu()->open(host, &(*backend)->inner, err);
}

static void backend_close(m3_backend *backend)
{
    cpu()->close(backend->inner);
    free(backend);
}

static m3_status backend_list(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count,
                              m3_error *err)
{
    if (is(LIST_SEGFAULT)) crash();
    m3_status st = cpu()->list(backend->inner, infos, capacity, count, err);
    for (uint32_t i = 0; i < capacity && i < *count; i++) infos[i].device_class = M3_DEVICE_REFERENCE;
    if (is(LIST_NOTHING)) *count = 0;
    return st;
}

static m3_status device_open(m3_backend *backend, uint32_t index, m3_span options, m3_device_impl **device,
                             m3_error *err)
{
    if (is(DEVICE_SEGFAULT)) crash();
    if (is(DEVICE_FAIL)) return M3_FAIL(err, M3_ERR_DEVICE_LOST, "faulty", "it is not there any more");
    *device = calloc(1, sizeof **device);
    if (*device == NULL) return M3_FAIL_MEMORY(err, "faulty", sizeof **device);
    return cpu()->device_open(backend->inner, index, options, &(*device)->inner, err);
}

static void device_close(m3_device_impl *device)
{
    if (is(CLOSE_SEGFAULT)) crash();
    if (is(CLOSE_EXIT)) exit(5);
    cpu()->device_close(device->inner);
    free(device);
}

static m3_status limits(m3_device_impl *device, m3_device_limits *l, m3_error *err)
{
    return cpu()->limits(device->inner, l, err);
}

static m3_status supports(m3_device_impl *device, const m3_node *node, m3_error *why)
{
    return cpu()->supports(device->inner, node, why);
}

/* Memory. */

static m3_status buffer_create(m3_device_impl *device, uint64_t bytes, uint32_t usage, m3_buffer **buffer,
                               m3_error *err)
{
    usage |= M3_BUFFER_UPLOAD | M3_BUFFER_DOWNLOAD; /* faults read and write all memory */
    if (is(SMALL_BUFFER) && bytes > 16) bytes -= 16;
    if (is(SAME_BUFFER) && device->shared != NULL && bytes <= device->shared_bytes) {
        *buffer = device->shared;
        device->shared_users++;
        return M3_OK;
    }
    m3_status st = cpu()->buffer_create(device->inner, bytes, usage, buffer, err);
    if (st == M3_OK && is(SAME_BUFFER) && device->shared == NULL) {
        device->shared = *buffer;
        device->shared_bytes = bytes;
        device->shared_users = 1;
    }
    return st;
}

static void buffer_free(m3_device_impl *device, m3_buffer *buffer)
{
    if (buffer == device->shared && --device->shared_users > 0) return;
    if (buffer == device->shared) device->shared = NULL;
    if (buffer == device->late.to) device->late.to = NULL;
    cpu()->buffer_free(device->inner, buffer);
}

static m3_status upload(m3_device_impl *device, m3_buffer *to, uint64_t offset, const void *from, uint64_t bytes,
                        uint64_t *value, m3_error *err)
{
    if (is(UPLOAD_OFFSET)) offset = 0;
    if (is(UPLOAD_SHORT) && bytes > 4) bytes -= 4;
    if (is(UPLOAD_LATE) && bytes < 4096) { /* all but the first content of a buffer */
        device->late.to = to;
        device->late.offset = offset;
        device->late.bytes = bytes;
        device->late.from = from;
        bytes = 0;
    }
    return cpu()->upload(device->inner, to, offset, from, bytes, value, err);
}

static m3_status download(m3_device_impl *device, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes,
                          uint64_t *value, m3_error *err)
{
    if (is(DOWNLOAD_OFFSET)) offset = 0;
    if (is(DOWNLOAD_SHORT) && bytes > 4) bytes -= 4;
    if (is(DOWNLOAD_NOTHING)) bytes = 0;
    return cpu()->download(device->inner, from, offset, to, bytes, value, err);
}

static m3_status wait_for(m3_device_impl *device, uint64_t value, uint64_t timeout_ns, m3_error *err)
{
    return cpu()->wait(device->inner, value, timeout_ns, err);
}

/* Programs, node by node. */

static void exec_free(m3_device_impl *device, m3_exec_impl *exec)
{
    if (is(FREE_SEGFAULT)) crash();
    if (device->waiting == exec) device->waiting = NULL;
    for (uint32_t i = 0; i < exec->count; i++) {
        if (exec->pieces[i].inner != NULL) cpu()->exec_free(device->inner, exec->pieces[i].inner);
        free(exec->pieces[i].kept);
    }
    free(exec->buffers);
    free(exec->places);
    free(exec);
}

static void *copy_of(const void *from, size_t bytes)
{
    void *to = malloc(bytes + 1);
    if (to != NULL && bytes > 0) memcpy(to, from, bytes);
    return to;
}

static m3_status compile(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                         m3_exec_impl **exec, m3_error *err)
{
    m3_status st = M3_OK;
    if (is(FAIL_COMPILE)) return M3_FAIL(err, M3_ERR_INTERNAL, "faulty", "it does not compile");
    m3_exec_impl *e = calloc(1, sizeof *e + program->node_count * sizeof e->pieces[0]);
    if (e == NULL) return M3_FAIL_MEMORY(err, "faulty", sizeof *e);
    e->buffers = copy_of(buffers, program->segment_count * sizeof(m3_buffer *));
    e->places = copy_of(program->places, program->tensor_count * sizeof *e->places);
    if (e->buffers == NULL || e->places == NULL) st = M3_FAIL_MEMORY(err, "faulty", sizeof *e);
    for (; e->count < program->node_count && st == M3_OK; e->count++) {
        m3_program one = *program;
        one.node_count = 1;
        one.nodes = &program->nodes[e->count];
        e->pieces[e->count].node = program->nodes[e->count];
        st = cpu()->compile(device->inner, &one, buffers, &e->pieces[e->count].inner, err);
    }
    *exec = e;
    if (st == M3_OK) return M3_OK;
    exec_free(device, e);
    *exec = NULL;
    return st;
}

/* The memory of a tensor, and bytes around it. Faults do not care for errors. */

static void get(m3_device_impl *d, const m3_exec_impl *e, const m3_tensor *x, int64_t at, void *to, uint64_t bytes)
{
    const m3_place *place = &e->places[x->id];
    uint64_t value;
    if (bytes > 0 && cpu()->download(d->inner, e->buffers[place->segment], place->offset + (uint64_t)at, to, bytes,
                                     &value, NULL) == M3_OK)
        (void)cpu()->wait(d->inner, value, UINT64_MAX, NULL);
}

static void put(m3_device_impl *d, const m3_exec_impl *e, const m3_tensor *x, int64_t at, const void *from,
                uint64_t bytes)
{
    const m3_place *place = &e->places[x->id];
    uint64_t value;
    if (bytes > 0 && cpu()->upload(d->inner, e->buffers[place->segment], place->offset + (uint64_t)at, from, bytes,
                                   &value, NULL) == M3_OK)
        (void)cpu()->wait(d->inner, value, UINT64_MAX, NULL);
}

static uint64_t output_bytes(const m3_node *node)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < node->out_count; i++) bytes += m3_tensor_bytes(node->out[i]);
    return bytes;
}

static void get_outputs(m3_device_impl *d, const m3_exec_impl *e, const m3_node *node, void *to)
{
    unsigned char *at = to;
    for (uint32_t i = 0; i < node->out_count; at += m3_tensor_bytes(node->out[i++]))
        get(d, e, node->out[i], 0, at, m3_tensor_bytes(node->out[i]));
}

static void put_outputs(m3_device_impl *d, const m3_exec_impl *e, const m3_node *node, const void *from)
{
    const unsigned char *at = from;
    for (uint32_t i = 0; i < node->out_count; at += m3_tensor_bytes(node->out[i++]))
        put(d, e, node->out[i], 0, at, m3_tensor_bytes(node->out[i]));
}

/* 1 more, whatever the type. */
static void increase(m3_dtype dtype, void *element)
{
    if (dtype == M3_F32) *(float *)element += 1.0f;
    if (dtype == M3_I32 || dtype == M3_U32) *(uint32_t *)element += 1;
    if (dtype == M3_BOOL || dtype == M3_U8) *(uint8_t *)element ^= 1;
}

/* Faults that a program has for its size or for what else is in it. */
static bool happens_here(const fault *f, const m3_exec_impl *e, const piece *p)
{
    const m3_shape *shape = &p->node->out[0]->shape;
    if (f->kind == MANY_NODES || f->kind == LATE_NODE) return e->count > (uint64_t)f->with;
    if (f->kind == LONG_FIRST) return m3_tensor_count(p->node->in[p->node->in_count - 1]) >= (uint64_t)f->with;
    if (f->kind != SECOND_SHAPE) return true;
    for (const piece *before = e->pieces; before < p; before++)
        if (before->node->op == p->node->op && !m3_shape_equal(&before->node->out[0]->shape, shape)) return true;
    return false;
}

static void change_value(const fault *f, const m3_tensor *y, unsigned char *data, uint64_t i)
{
    float *x = (float *)(void *)data + i;
    const uint64_t size = m3_dtype_bytes(y->dtype);
    const bool real = y->dtype == M3_F32;
    const bool adds = f->kind == ADD_FIRST || f->kind == MANY_NODES || f->kind == SECOND_SHAPE || f->kind == LONG_FIRST;
    if (adds && i == 0) increase(y->dtype, data);
    if (f->kind == WRONG_FROM && i == (uint64_t)f->with) increase(y->dtype, data + i * size);
    if (f->kind == SCALE && real) *x *= 1.001f;
    if (f->kind == NAN_TO_ZERO && real && isnan(*x)) *x = 0.0f;
    if (f->kind == INF_TO_MAX && real && isinf(*x)) *x = copysignf(3.402823466e38f, *x);
    if (f->kind == FLUSH && real && !isnormal(*x) && isfinite(*x)) *x = 0.0f;
    if (f->kind == THROUGH_FLOAT && y->dtype == M3_I32) {
        int32_t *whole = (int32_t *)(void *)data + i;
        float rounded = (float)*whole;
        *whole = rounded >= 2147483648.0f ? INT32_MAX : (int32_t)rounded;
    }
}

static void spoil_memory(m3_device_impl *d, const m3_exec_impl *e, const fault *f, const m3_node *node, void *data)
{
    static const uint32_t stray = 0x01020304;
    const m3_tensor *y = node->out[0], *x = node->in_count > 0 ? node->in[0] : NULL;
    const int64_t bytes = (int64_t)m3_tensor_bytes(y);
    float other = 0.0f;
    if (f->kind == WRITE_BEHIND) put(d, e, y, bytes + f->with, &stray, sizeof stray);
    if (f->kind == WRITE_BEFORE) put(d, e, y, -4 - f->with, &stray, sizeof stray);
    if (x == NULL || m3_tensor_count(x) == 0) return;
    if (f->kind == WRITE_INPUT) put(d, e, x, 0, &stray, 1);
    if (x->dtype != M3_F32 || y->dtype != M3_F32 || bytes == 0) return;
    if (f->kind == UPDATE_BEHIND) {
        get(d, e, y, bytes, &other, sizeof other);
        other += 1.0f;
        put(d, e, y, bytes, &other, sizeof other);
    }
    if (f->kind == READ_BEHIND) get(d, e, x, (int64_t)m3_tensor_bytes(x), &other, sizeof other);
    if (f->kind == READ_BEFORE) get(d, e, x, -4, &other, sizeof other);
    if (f->kind != READ_BEHIND && f->kind != READ_BEFORE) return;
    *(float *)data += 0.0f * other; /* as a kernel that multiplies what it should not have read by 0 */
    put_outputs(d, e, node, data);
}

/* What the outputs are after the run, given what they were before. */
static void change_outputs(m3_device_impl *d, m3_exec_impl *e, const fault *f, piece *p, unsigned char *before,
                           unsigned char *after)
{
    const m3_node *node = p->node;
    const uint64_t all = output_bytes(node);
    unsigned char *at = after, *was = before;
    for (uint32_t k = 0; k < node->out_count; k++) {
        const m3_tensor *y = node->out[k];
        const uint64_t count = m3_tensor_count(y), size = m3_dtype_bytes(y->dtype);
        const bool floats = y->dtype == M3_F32;
        for (uint64_t i = 0; i < count; i++) change_value(f, y, at, i);
        if (f->kind == LOSE_LAST && count > 1) memcpy(at + (count - 1) * size, was + (count - 1) * size, size);
        if (f->kind == LOSE_TAIL) memcpy(at + count / 8 * 8 * size, was + count / 8 * 8 * size, count % 8 * size);
        if (f->kind == LOSE_OUTPUT && k == (uint64_t)f->with) memcpy(at, was, count * size);
        if (f->kind == IN_PLACE && node->in_count > 0 && count > 0 &&
            e->places[y->id].segment == e->places[node->in[0]->id].segment &&
            e->places[y->id].offset == e->places[node->in[0]->id].offset)
            increase(y->dtype, at);
        if (f->kind == ADD_TO_OUTPUT && floats)
            for (uint64_t i = 0; i < count; i++) ((float *)(void *)at)[i] += ((float *)(void *)was)[i];
        if (f->kind == COUNT_RUNS && floats && count > 0) *(float *)(void *)at *= 1.0f + 1e-6f * (float)e->runs;
        at += count * size;
        was += count * size;
    }
    if (f->kind == FIRST_RESULT || f->kind == LAST_RESULT) {
        unsigned char *now = copy_of(after, all);
        if (p->kept != NULL) memcpy(after, p->kept, all);
        if (p->kept == NULL || f->kind == LAST_RESULT) {
            free(p->kept);
            p->kept = now;
        } else {
            free(now);
        }
    }
    put_outputs(d, e, node, after);
}

/* The index of the input that a run is given otherwise, or in_count. */
static int64_t replaced_input(const fault *f, const m3_node *node)
{
    const int64_t count = node->in_count;
    if (f->kind == WORD_ZERO) return count - 1;
    const bool replaces =
        (f->kind == INPUT_ZERO || f->kind == INPUT_ONE) && f->with < count && node->in[f->with] != NULL;
    return replaces ? f->with : count;
}

/* An input for the time of a run. Returns what it was. */
static void *replace_input(m3_device_impl *d, const m3_exec_impl *e, const fault *f, const m3_tensor *x)
{
    const uint64_t bytes = m3_tensor_bytes(x), size = m3_dtype_bytes(x->dtype);
    unsigned char *was = malloc(bytes + 1), *other = calloc(bytes + 1, 1);
    const float one = 1.0f;
    for (uint64_t at = 0; f->kind == INPUT_ONE && at < bytes; at += size) {
        if (x->dtype == M3_F32)
            memcpy(other + at, &one, sizeof one);
        else
            other[at] = 1;
    }
    get(d, e, x, 0, was, bytes);
    if (f->kind == WORD_ZERO) {
        memcpy(other, was, bytes);
        memset(other + (uint64_t)f->with * size, 0, size);
    }
    put(d, e, x, 0, other, bytes);
    free(other);
    return was;
}

static void end_process(const fault *f)
{
    if (f->kind == SEGFAULT) crash();
    if (f->kind == ABORT) abort();
    if (f->kind == EXIT) exit((int)f->with);
    if (f->kind == HANG) hang();
    if (f->kind == SANITIZER)
        (void)fprintf(stderr, "==1==ERROR: AddressSanitizer: heap-buffer-overflow\nSUMMARY: AddressSanitizer: "
                              "heap-buffer-overflow faulty.c:1 in kernel\n");
}

static m3_status run_piece(m3_device_impl *d, m3_exec_impl *e, piece *p, m3_error *err)
{
    const fault *f = the_fault();
    const m3_node *node = p->node;
    const bool hit = f->kind > NOTHING && f->kind <= FAIL_RUN &&
                     (f->op[0] == '*' || strcmp(f->op, node->op->name) == 0) && happens_here(f, e, p);
    uint64_t value = 0;
    if (!hit) {
        m3_status st = cpu()->submit(d->inner, p->inner, &value, err);
        return st != M3_OK ? st : cpu()->wait(d->inner, value, UINT64_MAX, err);
    }
    if (f->kind == NOT_RUN || f->kind == LATE_NODE) return M3_OK;
    if (f->kind == FAIL_RUN) return M3_ERR_INTERNAL;
    end_process(f);
    const uint64_t bytes = output_bytes(node);
    unsigned char *before = malloc(bytes + 8), *after = malloc(bytes + 8);
    const int64_t replaced = replaced_input(f, node);
    const bool replaces = replaced < (int64_t)node->in_count;
    get_outputs(d, e, node, before);
    void *was = replaces ? replace_input(d, e, f, node->in[replaced]) : NULL;
    m3_status st = cpu()->submit(d->inner, p->inner, &value, err);
    if (st == M3_OK) st = cpu()->wait(d->inner, value, UINT64_MAX, err);
    get_outputs(d, e, node, after);
    if (replaces) put(d, e, node->in[replaced], 0, was, m3_tensor_bytes(node->in[replaced]));
    if (st == M3_OK && bytes > 0) change_outputs(d, e, f, p, before, after);
    if (st == M3_OK) spoil_memory(d, e, f, node, after);
    free(was);
    free(before);
    free(after);
    return st;
}

static m3_status run_all(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err)
{
    m3_status st = M3_OK;
    exec->runs++;
    for (uint32_t i = 0; i < exec->count && st == M3_OK; i++) st = run_piece(device, exec, &exec->pieces[i], err);
    /* A value to wait for: that of a transfer of nothing. */
    if (st == M3_OK && exec->count > 0)
        st = cpu()->upload(device->inner, exec->buffers[exec->places[exec->pieces[0].node->out[0]->id].segment], 0, "",
                           0, value, err);
    return st;
}

static m3_status submit(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err)
{
    *value = 0;
    if (device->late.to != NULL) {
        (void)cpu()->upload(device->inner, device->late.to, device->late.offset, device->late.from, device->late.bytes,
                            value, err);
        device->late.to = NULL;
    }
    if (!is(LATE_RUN)) return run_all(device, exec, value, err);
    m3_exec_impl *now = device->waiting;
    device->waiting = exec;
    return now != NULL ? run_all(device, now, value, err) : M3_OK;
}

/* What is published. */

static const m3_backend_api api = {
    .size = M3_STRUCT_SIZE(m3_backend_api, wait),
    .open = backend_open,
    .close = backend_close,
    .list = backend_list,
    .device_open = device_open,
    .device_close = device_close,
    .limits = limits,
    .buffer_create = buffer_create,
    .buffer_free = buffer_free,
    .upload = upload,
    .download = download,
    .supports = supports,
    .compile = compile,
    .exec_free = exec_free,
    .submit = submit,
    .wait = wait_for,
};

static const m3_plugin plugin = {
    .size = M3_STRUCT_SIZE(m3_plugin, table),
    .magic = M3_PLUGIN_MAGIC,
    .abi_major = M3_ABI_MAJOR,
    .abi_minor = M3_ABI_MINOR,
    .host_minor = 0,
    .kind = M3_PLUGIN_BACKEND,
    .name = "faulty",
    .version = "1",
    .build = __VERSION__,
    .table = &api,
};

const m3_plugin *m3_plugin_query(void)
{
    static m3_plugin careless;
    const char *name = getenv("M3BSR_FAULT");
    careless = plugin;
    if (name != NULL && (careless.table = duties_table(name, cpu())) != NULL) {
        careless.host_minor = 2; /* options come checked, as cpu needs them */
        return &careless;
    }
    if (is(LOAD_SEGFAULT)) crash();
    return &plugin;
}
