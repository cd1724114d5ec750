/* duties: a table over backend cpu's, in which one promise of m3bsr/backend.h is broken. Handles are wrapped where a
 * duty needs to know what was asked before; everything else goes through. */
#include "tests/conformance/faulty/duties.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum duty {
    BREAK_NOTHING,
    CLOSE_LEAKS,        /* a block of the host is not released */
    OPEN_GROWS_HOST,    /* a list in the backend grows with each device_open */
    OPEN_GROWS_HEAP,    /* the same with malloc */
    OPEN_GROWS_FILES,   /* a file stays open */
    OPEN_GROWS_THREADS, /* a thread stays */
    BACKEND_GROWS,      /* open itself grows the heap */
    COMPILE_GROWS,      /* compile grows the heap */
    LIST_OVERFLOW,      /* one info more than there is room for */
    LIST_COUNTS,        /* counts less when there is room */
    ANY_INDEX,          /* every index is device 0 */
    LIMITS_OVERFLOW,    /* 8 bytes behind the struct are written */
    NULL_CRASH,         /* buffer_free(NULL) */
    SHARED_DEVICE,      /* the second device is the first one */
    SHARED_HOST,        /* the host is kept in a static, so the last one counts */
    OVERSIZE_CRASH,     /* a size beyond 2^40 is written to */
    OVERSIZE_WRAPS,     /* sizes are cut to 32 bits */
    OVERSIZE_KIND,      /* M3_ERR_INVALID */
    OVERSIZE_SILENT,    /* without the figure */
    OVERSIZE_KEEPS,     /* a block of the host is kept */
    ZERO_BYTES,         /* a buffer of 0 bytes is made */
    USAGE_BITS,         /* unknown bits are ignored */
    UNDECLARED,         /* every buffer takes uploads and downloads */
    RANGE_IGNORED,      /* a copy outside is cut, and succeeds */
    RANGE_KIND,         /* M3_ERR_INVALID */
    RANGE_WRAPS,        /* offset + bytes may overflow */
    UPLOAD_ALIGNS,      /* offsets are rounded down to 4 */
    UPLOAD_HALVES,      /* offsets of 2 modulo 4 lose these 2 */
    UPLOAD_BEHIND,      /* sizes are rounded up to 4, if there is room */
    DOWNLOAD_BEHIND,    /* … in the host's memory */
    DOWNLOAD_ALIGNS,    /* offsets of downloads are rounded down to 8 */
    LARGE_CUT,          /* what is behind 4 MiB of one copy is lost */
    UPLOAD_LATER,       /* host memory is read when the next call comes */
    MAP_COPY,           /* a mapping is a copy, which unmap drops */
    MEMORY_LOST,        /* freed memory stays counted */
    USED_WRONG,         /* memory_used forgets buffers */
    HOST_OVERRUN,       /* a byte behind a block of the host is written */
    DOUBLE_RELEASE,     /* a block is released twice */
    LEAK_OPEN,          /* device_open keeps its first block when it fails */
    LEAK_BUFFER,        /* buffer_create likewise */
    LEAK_COMPILE,       /* compile likewise */
    MEMORY_KIND,        /* M3_ERR_INTERNAL for want of memory */
    MEMORY_CRASH,       /* NULL is written to */
    RUN_ALLOCATES,      /* submit asks the host */
    STOP_IGNORED,       /* a run goes on although it is stopped */
    VALUE_STAYS,        /* an upload returns the value before */
    WAIT_UNKNOWN,       /* wait takes any value */
    LOST_FORGOTTEN,     /* the failure does not stick */
    LOST_KIND,          /* M3_ERR_INTERNAL */
    LOST_COPIES,        /* copies go on */
    LOST_HANGS,         /* device_close of a lost device */
    STATIC_SCRATCH,     /* all devices compute in one static buffer */
    LAST_PROGRAM,       /* the executable compiled last runs */
    DRIFT,              /* results change a little from run to run */
    SAYS_YES,           /* supports says yes to everything */
    SAYS_NO,            /* supports says no to add, which compile takes */
    UNKNOWN_CRASH,      /* a custom op is looked up in a table */
    TYPE_CRASH,         /* so is a type */
    PLACE_UNCHECKED,    /* places are taken as they are */
    PLACE_ROUNDED,      /* an unaligned place is rounded down */
    SUPPORTS_STATIC,    /* supports keeps its state in a static */
    FEW_DEVICES,        /* a table of 4 devices */
    FEW_PROGRAMS,       /* a table of 16 programs, from which the oldest falls out */
    FEW_BUFFERS,        /* a table of 256 buffers */
    SHARED_MEMORY,      /* small buffers of different devices lie in the same memory */
    RUN_GROWS,          /* submit grows the heap */
    CACHE_CRASH,        /* cache_path is always there */
    KEEPS_PROGRAM,      /* the places that are lent to compile are read in a run */
    ERROR_CODE,         /* the code in the error is another one than the status */
    HANDLE_KEPT,        /* a failure leaves a pointer to what was freed */
} duty;

static const struct {
    const char *name;
    duty duty;
} names[] = {
#include "tests/conformance/faulty/duties.inc"
};

static duty broken;
static const m3_backend_api *inner;

static bool is(duty d)
{
    return broken == d;
}

static void crash(void)
{
    (void)signal(SIGSEGV, SIG_DFL); /* whatever a sanitizer has put there */
    (void)raise(SIGSEGV);
}

static const m3_host *last_host;    /* SHARED_HOST */
static m3_device_impl *last_device; /* SHARED_DEVICE */

/* Handles. */

struct m3_backend {
    const m3_host *host;
    m3_backend *in;
    void *blocks[1024];
    uint32_t count;
};

struct m3_device_impl {
    m3_backend *backend;
    m3_device_impl *in;
    const m3_host *host;
    uint32_t users;
    bool lost;
    uint64_t last; /* value */
    uint64_t lost_bytes;
    m3_exec_impl *latest;
    struct {
        m3_buffer *to;
        uint64_t offset, bytes;
        const void *from;
    } later;
};

struct m3_buffer {
    m3_buffer *in;
    uint64_t bytes;
    void *mapping;
    bool borrowed; /* SHARED_MEMORY */
};

struct m3_exec_impl {
    m3_exec_impl *in;
    const m3_node *last; /* of its nodes */
    m3_buffer *output;   /* where that lies */
    uint64_t offset;
    uint32_t runs, slot;
    const m3_place *places; /* KEEPS_PROGRAM */
};

static uint32_t devices, buffers_made, programs; /* FEW_… */
static m3_exec_impl *slots[16];
static struct {
    m3_device_impl *owner;
    m3_buffer *in;
} shared; /* SHARED_MEMORY */

static const m3_host *host_of(const m3_device_impl *d)
{
    return is(SHARED_HOST) ? last_host : d->host;
}

/* Grow by what is never released before the end. */
static void grow(m3_backend *b, size_t bytes)
{
    if (b->count < sizeof b->blocks / sizeof b->blocks[0])
        b->blocks[b->count++] = b->host->allocate(b->host->user, 1, bytes);
}

static void *idle(void *arg)
{
    (void)arg;
    for (;;) (void)pause();
    return NULL;
}

static void keep(void *block)
{
    static void *volatile kept;
    if (block != NULL) memset(block, 1, 1);
    kept = block;
    (void)kept;
}

/* Plugin and devices. */

static m3_status backend_open(const m3_host *host, m3_backend **backend, m3_error *err)
{
    last_host = host;
    if (is(BACKEND_GROWS)) keep(malloc(20000));
    m3_backend *b = *backend = host->allocate(host->user, 1, sizeof *b);
    if (b == NULL) return M3_FAIL_MEMORY(err, "faulty", sizeof *b);
    b->host = host;
    m3_status st = inner->open(host, &b->in, err);
    if (st == M3_OK) return M3_OK;
    host->release(host->user, b);
    *backend = NULL;
    return st;
}

static void backend_close(m3_backend *b)
{
    if (b == NULL) return;
    inner->close(b->in);
    for (uint32_t i = 0; i < b->count; i++) b->host->release(b->host->user, b->blocks[i]);
    b->host->release(b->host->user, b);
}

static m3_status backend_list(m3_backend *b, m3_device_info *infos, uint32_t capacity, uint32_t *count, m3_error *err)
{
    static uint32_t calls; /* the engine's own is right */
    m3_status st = inner->list(b->in, infos, capacity, count, err);
    for (uint32_t i = 0; i < capacity && i < *count && st == M3_OK; i++) infos[i].device_class = M3_DEVICE_REFERENCE;
    calls += capacity > 0;
    if (is(LIST_OVERFLOW) && calls > 1 && capacity > 0) infos[*count].device_class = M3_DEVICE_REFERENCE;
    if (is(LIST_COUNTS) && calls > 1 && capacity > 0) *count = 0;
    return st;
}

static void break_open(m3_backend *b)
{
    pthread_t thread;
    if (is(OPEN_GROWS_HOST)) grow(b, 64);
    if (is(OPEN_GROWS_HEAP)) keep(malloc(4000));
    if (is(OPEN_GROWS_FILES)) (void)open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (is(OPEN_GROWS_THREADS) && pthread_create(&thread, NULL, idle, NULL) == 0) (void)pthread_detach(thread);
}

static m3_status device_open(m3_backend *b, uint32_t index, m3_span options, m3_device_impl **device, m3_error *err)
{
    const m3_host *host = b->host;
    *device = NULL;
    if (is(SHARED_DEVICE) && last_device != NULL && last_device->backend == b) {
        last_device->users++;
        *device = last_device;
        return M3_OK;
    }
    void *extra = is(LEAK_OPEN) ? host->allocate(host->user, 1, 24) : NULL;
    if (is(LEAK_OPEN) && extra == NULL) return M3_FAIL_MEMORY(err, "faulty", 24);
    m3_device_impl *d = host->allocate(host->user, 1, sizeof *d);
    if (d == NULL && is(MEMORY_CRASH)) crash();
    if (d == NULL) return M3_FAIL_MEMORY(err, "faulty", sizeof *d);
    if (is(LEAK_OPEN)) host->release(host->user, extra);
    if (is(CACHE_CRASH) && host->cache_path == NULL) crash();
    if (is(FEW_DEVICES) && devices == 4) {
        host->release(host->user, d);
        return M3_FAIL(err, M3_ERR_INTERNAL, "faulty", "there is no room for a fifth device");
    }
    devices++;
    d->backend = b;
    d->host = host;
    d->users = 1;
    if (is(ANY_INDEX)) index = 0;
    m3_status st = inner->device_open(b->in, index, options, &d->in, err);
    if (st != M3_OK) {
        host->release(host->user, d);
        return st;
    }
    break_open(b);
    *device = last_device = d;
    return M3_OK;
}

static void device_close(m3_device_impl *d)
{
    if (d == NULL) return;
    if (--d->users > 0) return;
    if (last_device == d) last_device = NULL;
    devices--;
    if (is(LOST_HANGS) && d->lost)
        for (;;) (void)pause();
    inner->device_close(d->in);
    if (is(CLOSE_LEAKS)) (void)host_of(d)->allocate(host_of(d)->user, 1, 48);
    if (is(DOUBLE_RELEASE)) {
        void *block = host_of(d)->allocate(host_of(d)->user, 1, 48);
        host_of(d)->release(host_of(d)->user, block);
        host_of(d)->release(host_of(d)->user, block);
    }
    if (is(HOST_OVERRUN)) {
        unsigned char *block = host_of(d)->allocate(host_of(d)->user, 5, 1);
        if (block != NULL) block[5] = 1;
        host_of(d)->release(host_of(d)->user, block);
    }
    host_of(d)->release(host_of(d)->user, d);
}

static m3_status limits(m3_device_impl *d, m3_device_limits *l, m3_error *err)
{
    if (is(LIMITS_OVERFLOW)) memset((unsigned char *)l + l->size, 0, 16);
    return inner->limits(d->in, l, err);
}

/* Buffers. */

static m3_status oversize(m3_device_impl *d, uint64_t *bytes, m3_error *err)
{
    if (is(OVERSIZE_CRASH) && *bytes >> 40 != 0) crash();
    if (is(OVERSIZE_WRAPS) && *bytes >> 40 != 0) *bytes = (uint32_t)*bytes | 64;
    if (is(OVERSIZE_KIND) && *bytes >> 40 != 0)
        return M3_FAIL(err, M3_ERR_INVALID, "buffer", "%llu bytes are too many", (unsigned long long)*bytes);
    if (is(OVERSIZE_SILENT) && *bytes >> 40 != 0) return M3_FAIL(err, M3_ERR_MEMORY, "buffer", "out of memory");
    if (is(OVERSIZE_KEEPS) && *bytes >> 40 != 0) grow(d->backend, 8);
    return M3_OK;
}

static m3_status make_buffer(m3_device_impl *d, uint64_t bytes, uint32_t usage, m3_buffer *b, m3_error *err)
{
    m3_status st = oversize(d, &bytes, err);
    if (st != M3_OK) return st;
    b->bytes = bytes;
    if (is(ZERO_BYTES) && bytes == 0) bytes = 1;
    if (is(USAGE_BITS)) usage &= 15u;
    if (is(UNDECLARED) || is(UPLOAD_LATER) || is(DRIFT) || is(STATIC_SCRATCH))
        usage |= M3_BUFFER_UPLOAD | M3_BUFFER_DOWNLOAD;
    if (is(MAP_COPY)) usage |= M3_BUFFER_DOWNLOAD;
    if (is(MEMORY_LOST) && bytes > 65536) {
        m3_device_limits l = {.size = M3_STRUCT_SIZE(m3_device_limits, coherent)};
        (void)inner->limits(d->in, &l, NULL);
        if (l.memory_total < 8 << 20 && d->lost_bytes + bytes > l.memory_total)
            return M3_FAIL(err, M3_ERR_MEMORY, "buffer", "%llu bytes were asked, none is left",
                           (unsigned long long)bytes);
        d->lost_bytes += bytes;
    }
    if (is(FEW_BUFFERS) && buffers_made == 256) return M3_FAIL(err, M3_ERR_INTERNAL, "buffer", "the table is full");
    if (is(ERROR_CODE) && bytes == 0) {
        (void)M3_FAIL(err, M3_ERR_INTERNAL, "buffer", "0 bytes");
        return M3_ERR_INVALID;
    }
    if (is(SHARED_MEMORY) && bytes == 1000 && shared.in != NULL && shared.owner != d) {
        b->in = shared.in;
        b->borrowed = true;
        return M3_OK;
    }
    st = inner->buffer_create(d->in, bytes, usage, &b->in, err);
    if (st == M3_OK && bytes == 1000 && shared.in == NULL) {
        shared.owner = d;
        shared.in = b->in;
    }
    buffers_made += st == M3_OK;
    return st;
}

static m3_status buffer_create(m3_device_impl *d, uint64_t bytes, uint32_t usage, m3_buffer **buffer, m3_error *err)
{
    const m3_host *host = host_of(d);
    void *extra = is(LEAK_BUFFER) ? host->allocate(host->user, 1, 40) : NULL;
    *buffer = NULL;
    m3_buffer *b = host->allocate(host->user, 1, sizeof *b);
    if (b == NULL && is(MEMORY_KIND)) return M3_FAIL(err, M3_ERR_INTERNAL, "buffer", "something went wrong");
    if (b == NULL) {
        host->release(host->user, extra);
        return M3_FAIL_MEMORY(err, "buffer", sizeof *b);
    }
    m3_status st = make_buffer(d, bytes, usage, b, err);
    if (st != M3_OK) {
        if (is(HANDLE_KEPT)) *buffer = b;
        host->release(host->user, b);
        return st; /* LEAK_BUFFER */
    }
    host->release(host->user, extra);
    *buffer = b;
    return M3_OK;
}

static void buffer_free(m3_device_impl *d, m3_buffer *b)
{
    if (b == NULL && is(NULL_CRASH)) crash();
    if (b == NULL) return;
    if (d->later.to == b) d->later.to = NULL;
    if (shared.in == b->in && !b->borrowed) shared.in = NULL;
    if (!b->borrowed) {
        inner->buffer_free(d->in, b->in);
        buffers_made--;
    }
    free(b->mapping);
    host_of(d)->release(host_of(d)->user, b);
}

static m3_status buffer_map(m3_device_impl *d, m3_buffer *b, uint32_t access, uint64_t offset, uint64_t bytes,
                            void **pointer, m3_error *err)
{
    m3_status st = inner->buffer_map(d->in, b->in, access, offset, bytes, pointer, err);
    if (st != M3_OK || !is(MAP_COPY)) return st;
    b->mapping = malloc(bytes + 1);
    if (b->mapping == NULL) return M3_FAIL_MEMORY(err, "map", bytes);
    memcpy(b->mapping, *pointer, bytes);
    *pointer = b->mapping;
    return M3_OK;
}

static void buffer_unmap(m3_device_impl *d, m3_buffer *b)
{
    free(b->mapping);
    b->mapping = NULL;
    inner->buffer_unmap(d->in, b->in);
}

/* Copies. */

/* A failure of the inner device, as this one tells it. */
static m3_status tell(m3_device_impl *d, m3_status st, m3_error *err)
{
    if (st != M3_ERR_DEVICE_LOST) return st;
    d->lost = true;
    if (!is(LOST_KIND)) return st;
    if (err != NULL) err->code = M3_ERR_INTERNAL;
    return M3_ERR_INTERNAL;
}

static m3_status check_range(const m3_buffer *b, uint64_t *offset, uint64_t *bytes, m3_error *err)
{
    const bool inside = *offset <= b->bytes && *bytes <= b->bytes - *offset;
    if (inside) return M3_OK;
    if (is(RANGE_IGNORED)) *offset = *bytes = 0;
    if (is(RANGE_KIND)) return M3_FAIL(err, M3_ERR_INVALID, "copy", "it leaves the buffer");
    if (is(RANGE_WRAPS) && *offset + *bytes <= b->bytes) *offset = *bytes = 0;
    return M3_OK;
}

static void flush(m3_device_impl *d)
{
    uint64_t value;
    if (d->later.to == NULL) return;
    (void)inner->upload(d->in, d->later.to->in, d->later.offset, d->later.from, d->later.bytes, &value, NULL);
    d->later.to = NULL;
}

static m3_status upload(m3_device_impl *d, m3_buffer *to, uint64_t offset, const void *from, uint64_t bytes,
                        uint64_t *value, m3_error *err)
{
    unsigned char *more = NULL;
    m3_status st = check_range(to, &offset, &bytes, err);
    if (st != M3_OK) return st;
    if (is(LOST_COPIES) && d->lost) {
        *value = d->last;
        return M3_OK;
    }
    flush(d);
    if (is(UPLOAD_ALIGNS)) offset &= ~(uint64_t)3;
    if (is(UPLOAD_HALVES) && bytes % 4 == 2 && offset % 4 == 2) offset -= 2;
    if (is(LARGE_CUT) && bytes > 4u << 20) bytes = 4u << 20;
    if (is(UPLOAD_BEHIND) && bytes % 4 != 0 && offset + (bytes | 3) + 1 <= to->bytes) {
        more = calloc(bytes + 4, 1);
        if (more != NULL) memcpy(more, from, bytes);
        if (more != NULL) bytes = (bytes | 3) + 1;
    }
    if (is(UPLOAD_LATER) && bytes > 0 && bytes <= to->bytes && offset <= to->bytes - bytes) {
        d->later.to = to;
        d->later.offset = offset;
        d->later.bytes = bytes;
        d->later.from = from;
        bytes = 0;
    }
    st = inner->upload(d->in, to->in, offset, more != NULL ? more : from, bytes, value, err);
    free(more);
    if (is(VALUE_STAYS) && d->last != 0) *value = d->last;
    if (st == M3_OK) d->last = *value;
    return tell(d, st, err);
}

static m3_status download(m3_device_impl *d, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes,
                          uint64_t *value, m3_error *err)
{
    m3_status st = check_range(from, &offset, &bytes, err);
    if (st != M3_OK) return st;
    if (is(LOST_COPIES) && d->lost) {
        *value = d->last;
        return M3_OK;
    }
    flush(d);
    if (is(DOWNLOAD_ALIGNS)) offset &= ~(uint64_t)7;
    st = inner->download(d->in, from->in, offset, to, bytes, value, err);
    if (is(DOWNLOAD_BEHIND) && st == M3_OK && bytes % 4 != 0) memset((unsigned char *)to + bytes, 0, 4 - bytes % 4);
    return tell(d, st, err);
}

static m3_status wait_for(m3_device_impl *d, uint64_t value, uint64_t timeout_ns, m3_error *err)
{
    if (is(WAIT_UNKNOWN) && value == UINT64_MAX) return M3_OK;
    if (is(LOST_FORGOTTEN) && d->lost) return M3_OK;
    return tell(d, inner->wait(d->in, value, timeout_ns, err), err);
}

/* Programs. */

static m3_status supports(m3_device_impl *d, const m3_node *node, m3_error *why)
{
    static const char *volatile asked; /* SUPPORTS_STATIC */
    if (is(UNKNOWN_CRASH) && strchr(node->op->name, '.') != NULL) crash();
    if (is(TYPE_CRASH) && m3_dtype_bytes(node->out[0]->dtype) == 0) crash();
    if (is(SAYS_YES)) return M3_OK;
    if (is(SAYS_NO) && strcmp(node->op->name, "add") == 0)
        return M3_FAIL(why, M3_ERR_UNSUPPORTED, "add", "it says no, and could");
    if (is(SUPPORTS_STATIC)) {
        const char *now = node->op->name;
        asked = now;
        for (int i = 0; i < 20000; i++)
            if (asked != now) return M3_FAIL(why, M3_ERR_UNSUPPORTED, now, "another thread asked");
    }
    return inner->supports(d->in, node, why);
}

static void exec_free(m3_device_impl *d, m3_exec_impl *e)
{
    if (e == NULL) return;
    if (d->latest == e) d->latest = NULL;
    if (slots[e->slot] == e) slots[e->slot] = NULL;
    inner->exec_free(d->in, e->in);
    host_of(d)->release(host_of(d)->user, e);
}

/* A program that is right, made of one that is not. */
static m3_status compile_places(m3_device_impl *d, const m3_program *program, m3_buffer **buffers, m3_exec_impl *e,
                                m3_error *err)
{
    m3_program mended = *program;
    m3_place *places = calloc((size_t)program->tensor_count + 1, sizeof *places);
    if (places == NULL) return M3_FAIL_MEMORY(err, "faulty", program->tensor_count);
    for (uint32_t i = 0; i < program->tensor_count; i++) {
        places[i] = program->places[i];
        if (is(PLACE_ROUNDED)) places[i].offset &= ~(uint64_t)63;
        if (is(PLACE_UNCHECKED) && (places[i].segment >= program->segment_count ||
                                    places[i].offset >= program->segments[places[i].segment].bytes))
            places[i] = (m3_place){0, 0};
    }
    mended.places = places;
    m3_status st = inner->compile(d->in, &mended, buffers, &e->in, err);
    free(places);
    return st;
}

static m3_status compile(m3_device_impl *d, const m3_program *program, m3_buffer *const *buffers, m3_exec_impl **exec,
                         m3_error *err)
{
    const m3_host *host = host_of(d);
    m3_buffer *in[16] = {NULL};
    *exec = NULL;
    if (is(COMPILE_GROWS)) keep(malloc(4000));
    for (uint32_t i = 0; i < program->segment_count && i < 16; i++) in[i] = buffers[i]->in;
    m3_exec_impl *e = host->allocate(host->user, 1, sizeof *e);
    if (e == NULL) return M3_FAIL_MEMORY(err, "faulty", sizeof *e);
    m3_status st = is(PLACE_ROUNDED) || is(PLACE_UNCHECKED) ? compile_places(d, program, in, e, err)
                                                            : inner->compile(d->in, program, in, &e->in, err);
    if (st != M3_OK) {
        if (!is(LEAK_COMPILE)) host->release(host->user, e);
        return st;
    }
    e->last = program->nodes[program->node_count - 1];
    const m3_place *place = &program->places[e->last->out[0]->id];
    e->output = in[place->segment < 16 ? place->segment : 0];
    e->offset = place->offset;
    e->places = program->places;
    e->slot = programs++ % 16;
    slots[e->slot] = e;
    *exec = d->latest = e;
    return M3_OK;
}

/* The result goes through memory that all devices share. */
static void share_scratch(m3_device_impl *d, const m3_exec_impl *e)
{
    static unsigned char scratch[1 << 20];
    uint64_t value = 0, bytes = m3_tensor_bytes(e->last->out[0]);
    if (bytes > sizeof scratch) return;
    (void)inner->download(d->in, e->output, e->offset, scratch, bytes, &value, NULL);
    (void)usleep(300);
    (void)inner->upload(d->in, e->output, e->offset, scratch, bytes, &value, NULL);
}

static void drift(m3_device_impl *d, m3_exec_impl *e)
{
    float x = 0;
    uint64_t value = 0;
    if (e->runs++ == 0 || m3_tensor_bytes(e->last->out[0]) < sizeof x) return;
    (void)inner->download(d->in, e->output, e->offset, &x, sizeof x, &value, NULL);
    x *= 1.000001f;
    (void)inner->upload(d->in, e->output, e->offset, &x, sizeof x, &value, NULL);
}

static m3_status submit(m3_device_impl *d, m3_exec_impl *e, uint64_t *value, m3_error *err)
{
    flush(d);
    if (is(LOST_FORGOTTEN) && d->lost) return M3_OK;
    if (is(RUN_ALLOCATES)) host_of(d)->release(host_of(d)->user, host_of(d)->allocate(host_of(d)->user, 1, 16));
    m3_exec_impl *now = is(LAST_PROGRAM) && d->latest != NULL ? d->latest : e;
    if (is(FEW_PROGRAMS) && slots[e->slot] != NULL) now = slots[e->slot];
    if (is(RUN_GROWS)) keep(malloc(400));
    if (is(KEEPS_PROGRAM) && e->places[e->last->out[0]->id].offset != e->offset)
        return M3_FAIL(err, M3_ERR_INTERNAL, "faulty", "the places are gone");
    m3_status st = inner->submit(d->in, now->in, value, err);
    if (st == M3_OK && is(STATIC_SCRATCH)) share_scratch(d, e);
    if (st == M3_OK && is(DRIFT)) drift(d, e);
    return tell(d, st, err);
}

static m3_status submit_until(m3_device_impl *d, m3_exec_impl *e, const volatile int *stop, bool anywhere,
                              uint64_t *value, m3_error *err)
{
    m3_status st = inner->submit_until(d->in, e->in, is(STOP_IGNORED) ? &(int){0} : stop, anywhere, value, err);
    if (st == M3_ERR_INTERRUPTED) return st;
    return tell(d, st, err);
}

static uint64_t memory_used(m3_device_impl *d)
{
    return is(USED_WRONG) ? 0 : inner->memory_used(d->in);
}

const m3_backend_api *duties_table(const char *name, const m3_backend_api *of)
{
    static m3_backend_api api;
    bool found = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !found; i++)
        if ((found = strcmp(names[i].name, name) == 0)) broken = names[i].duty;
    if (!found) return NULL;
    inner = of;
    api = (m3_backend_api){.size = M3_STRUCT_SIZE(m3_backend_api, submit_until),
                           .open = backend_open,
                           .close = backend_close,
                           .list = backend_list,
                           .device_open = device_open,
                           .device_close = device_close,
                           .limits = limits,
                           .buffer_create = buffer_create,
                           .buffer_free = buffer_free,
                           .buffer_map = buffer_map,
                           .buffer_unmap = buffer_unmap,
                           .upload = upload,
                           .download = download,
                           .supports = supports,
                           .compile = compile,
                           .exec_free = exec_free,
                           .submit = submit,
                           .wait = wait_for,
                           .memory_used = memory_used,
                           .options = of->options,
                           .submit_until = submit_until};
    return &api;
}
