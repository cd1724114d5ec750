/* hostile: a device around a device, with guards and patterns in its memory. A buffer's offset b is the inner buffer's
 * guard + b; the host keeps an image of what every inner buffer should hold. */
#include "core/conformance/hostile.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/runtime/engine.h"

enum { GUARD = 4096, SPACING = 64 }; /* bytes, before they are rounded up to the alignment */

struct m3_device_impl {
    m3_device *inner;
    uint64_t guard;
};

struct m3_buffer {
    m3_buffer *inner;
    uint64_t bytes;       /* of the inner buffer */
    unsigned char *image; /* what it should hold, guards and all */
};

/* A segment of a program, and which of its bytes belong to tensors. */
typedef struct region {
    m3_segment_role role;
    m3_buffer *buffer;
    unsigned char *owned; /* by byte of the inner buffer */
} region;

struct m3_exec_impl {
    m3_exec_impl *inner;
    uint32_t node_count, region_count;
    const m3_node **nodes;
    m3_place *places; /* in the inner buffers */
    m3_segment *segments;
    m3_buffer **buffers;
    region *regions;
    unsigned char *seen; /* room for the largest inner buffer */
};

void m3_hostile_fill(void *bytes, uint64_t count)
{
    static const uint32_t word = M3_HOSTILE_WORD;
    for (uint64_t at = 0; at < count; at += sizeof word)
        memcpy((unsigned char *)bytes + at, &word, count - at < sizeof word ? count - at : sizeof word);
}

static const m3_backend_api *api_of(const m3_device_impl *d)
{
    return d->inner->api;
}

static m3_status wait_for(m3_device_impl *d, uint64_t value, uint64_t timeout_ns, m3_error *err)
{
    return api_of(d)->wait(d->inner->impl, value, timeout_ns, err);
}

static m3_status supports(m3_device_impl *d, const m3_node *node, m3_error *why)
{
    return api_of(d)->supports(d->inner->impl, node, why);
}

static m3_status limits(m3_device_impl *d, m3_device_limits *l, m3_error *err)
{
    const uint64_t lost = 2 * d->guard;
    (void)err;
    *l = d->inner->limits;
    l->largest_buffer = l->largest_buffer > lost ? l->largest_buffer - lost : 0;
    l->largest_binding = l->largest_binding > lost ? l->largest_binding - lost : 0;
    return M3_OK;
}

/* Buffers and copies. */

static m3_status copy_up(m3_device_impl *d, m3_buffer *b, uint64_t at, const void *from, uint64_t bytes, m3_error *err)
{
    uint64_t value = 0;
    m3_status st = api_of(d)->upload(d->inner->impl, b->inner, at, from, bytes, &value, err);
    return st != M3_OK ? st : wait_for(d, value, UINT64_MAX, err);
}

static void buffer_free(m3_device_impl *d, m3_buffer *b)
{
    if (b == NULL) return;
    if (b->inner != NULL) api_of(d)->buffer_free(d->inner->impl, b->inner);
    m3_free(b->image);
    m3_free(b);
}

static m3_status buffer_create(m3_device_impl *d, uint64_t bytes, uint32_t usage, m3_buffer **buffer, m3_error *err)
{
    m3_status st = M3_OK;
    m3_buffer *b = m3_calloc(1, sizeof *b);
    *buffer = NULL;
    if (b == NULL) return M3_FAIL_MEMORY(err, "buffer", sizeof *b);
    b->bytes = (bytes + 3) / 4 * 4 + 2 * d->guard;
    b->image = m3_calloc(b->bytes, 1);
    if (b->image == NULL) st = M3_FAIL_MEMORY(err, "buffer", b->bytes);
    usage |= M3_BUFFER_UPLOAD | M3_BUFFER_DOWNLOAD; /* guards go in and out */
    if (st == M3_OK) st = api_of(d)->buffer_create(d->inner->impl, b->bytes, usage, &b->inner, err);
    if (st == M3_OK) {
        m3_hostile_fill(b->image, b->bytes);
        st = copy_up(d, b, 0, b->image, b->bytes, err);
    }
    if (st != M3_OK)
        buffer_free(d, b);
    else
        *buffer = b;
    return st;
}

static m3_status check_range(const m3_device_impl *d, const m3_buffer *b, uint64_t offset, uint64_t bytes,
                             m3_error *err)
{
    const uint64_t all = b->bytes - 2 * d->guard;
    if (offset <= all && bytes <= all - offset) return M3_OK;
    return M3_FAIL(err, M3_ERR_RANGE, "buffer", "%llu bytes at %llu were asked, the buffer has %llu",
                   (unsigned long long)bytes, (unsigned long long)offset, (unsigned long long)all);
}

static m3_status upload(m3_device_impl *d, m3_buffer *to, uint64_t offset, const void *from, uint64_t bytes,
                        uint64_t *value, m3_error *err)
{
    m3_status st = check_range(d, to, offset, bytes, err);
    if (st != M3_OK) return st;
    /* From memory that is gone when the copy is done: a device that reads it later finds something else. */
    unsigned char *gone = m3_calloc(bytes + 1, 1);
    if (gone == NULL) return M3_FAIL_MEMORY(err, "upload", bytes);
    if (bytes > 0) memcpy(gone, from, bytes);
    if (bytes > 0) memcpy(to->image + d->guard + offset, from, bytes);
    st = api_of(d)->upload(d->inner->impl, to->inner, d->guard + offset, gone, bytes, value, err);
    if (st == M3_OK) st = wait_for(d, *value, UINT64_MAX, err);
    m3_hostile_fill(gone, bytes);
    m3_free(gone);
    return st;
}

static m3_status download(m3_device_impl *d, m3_buffer *from, uint64_t offset, void *to, uint64_t bytes,
                          uint64_t *value, m3_error *err)
{
    m3_status st = check_range(d, from, offset, bytes, err);
    if (st != M3_OK) return st;
    return api_of(d)->download(d->inner->impl, from->inner, d->guard + offset, to, bytes, value, err);
}

/* Programs. */

static void exec_free(m3_device_impl *d, m3_exec_impl *e)
{
    if (e == NULL) return;
    if (e->inner != NULL) api_of(d)->exec_free(d->inner->impl, e->inner);
    for (uint32_t i = 0; i < e->region_count && e->regions != NULL; i++) m3_free(e->regions[i].owned);
    m3_free(e->regions);
    m3_free((void *)e->nodes);
    m3_free(e->places);
    m3_free(e->segments);
    m3_free(e->buffers);
    m3_free(e->seen);
    m3_free(e);
}

static m3_status allocate(m3_exec_impl *e, const m3_program *program, m3_buffer *const *buffers, m3_error *err)
{
    uint64_t largest = 0, all = 0;
    const uint32_t segments = program->segment_count;
    e->node_count = program->node_count;
    e->region_count = segments;
    e->nodes = m3_calloc((size_t)program->node_count + 1, sizeof *e->nodes);
    e->places = m3_calloc((size_t)program->tensor_count + 1, sizeof *e->places);
    e->segments = m3_calloc((size_t)segments + 1, sizeof *e->segments);
    e->buffers = m3_calloc((size_t)segments + 1, sizeof(m3_buffer *));
    e->regions = m3_calloc((size_t)segments + 1, sizeof *e->regions);
    bool there =
        e->nodes != NULL && e->places != NULL && e->segments != NULL && e->buffers != NULL && e->regions != NULL;
    for (uint32_t s = 0; s < segments && there; s++) {
        const uint64_t bytes = buffers[s]->bytes;
        e->regions[s].owned = m3_calloc(bytes, 1);
        there = e->regions[s].owned != NULL;
        if (bytes > largest) largest = bytes;
        all += bytes;
    }
    if (there) e->seen = m3_calloc(largest + 1, 1);
    return there && e->seen != NULL ? M3_OK : M3_FAIL_MEMORY(err, program->name, all);
}

/* A tensor's bytes, and the rest of its last word, as m3_place has it. */
static void own(const m3_device_impl *d, m3_exec_impl *e, const m3_tensor *x)
{
    if (x == NULL || e->places[x->id].segment == M3_NO_SEGMENT) return;
    const uint64_t word = d->inner->limits.offset_alignment < 4 ? 1 : 4;
    memset(e->regions[e->places[x->id].segment].owned + e->places[x->id].offset, 1,
           (m3_tensor_bytes(x) + word - 1) / word * word);
}

static m3_status compile(m3_device_impl *d, const m3_program *program, m3_buffer *const *buffers, m3_exec_impl **exec,
                         m3_error *err)
{
    m3_exec_impl *e = *exec = NULL;
    if ((e = m3_calloc(1, sizeof *e)) == NULL) return M3_FAIL_MEMORY(err, program->name, sizeof *e);
    m3_status st = allocate(e, program, buffers, err);
    if (st != M3_OK) goto done;
    for (uint32_t i = 0; i < program->node_count; i++) e->nodes[i] = program->nodes[i];
    for (uint32_t i = 0; i < program->tensor_count; i++) {
        e->places[i] = program->places[i];
        if (e->places[i].segment != M3_NO_SEGMENT) e->places[i].offset += d->guard;
    }
    for (uint32_t s = 0; s < program->segment_count; s++) {
        e->segments[s] = (m3_segment){program->segments[s].role, buffers[s]->bytes};
        e->buffers[s] = buffers[s]->inner;
        e->regions[s].role = program->segments[s].role;
        e->regions[s].buffer = buffers[s];
    }
    for (uint32_t i = 0; i < e->node_count; i++) {
        for (uint32_t k = 0; k < e->nodes[i]->in_count; k++) own(d, e, e->nodes[i]->in[k]);
        for (uint32_t k = 0; k < e->nodes[i]->out_count; k++) own(d, e, e->nodes[i]->out[k]);
    }
    m3_program inner = *program;
    inner.places = e->places;
    inner.segments = e->segments;
    st = api_of(d)->compile(d->inner->impl, &inner, e->buffers, &e->inner, err);
done:
    if (st != M3_OK)
        exec_free(d, e);
    else
        *exec = e;
    return st;
}

/* Runs. */

static bool is_kept(m3_segment_role role)
{
    return role == M3_SEGMENT_INPUT || role == M3_SEGMENT_CONSTANT;
}

static bool is_lost(m3_segment_role role)
{
    return !is_kept(role) && role != M3_SEGMENT_STORE;
}

static const char *role_name(m3_segment_role role)
{
    switch (role) {
    case M3_SEGMENT_INPUT: return "the inputs";
    case M3_SEGMENT_OUTPUT: return "the outputs";
    case M3_SEGMENT_CONSTANT: return "the constants";
    case M3_SEGMENT_STORE: return "parameters and states";
    case M3_SEGMENT_SCRATCH: break;
    }
    return "the temporaries";
}

/* Of the tensors in a segment: the one that holds byte `at`, or that ends last before it, or that begins first. */
static const m3_tensor *nearest(const m3_exec_impl *e, uint32_t segment, uint64_t at)
{
    const m3_tensor *best = NULL;
    for (uint32_t i = 0; i < e->node_count; i++)
        for (uint32_t k = 0; k < e->nodes[i]->in_count + e->nodes[i]->out_count; k++) {
            const m3_node *node = e->nodes[i];
            const m3_tensor *x = k < node->in_count ? node->in[k] : node->out[k - node->in_count];
            if (x == NULL || e->places[x->id].segment != segment) continue;
            const uint64_t begin = e->places[x->id].offset;
            const uint64_t known = best != NULL ? e->places[best->id].offset : 0;
            if (best == NULL || (begin <= at && (known > at || begin > known)) || (known > at && begin < known))
                best = x;
        }
    return best;
}

static void name_tensor(const m3_tensor *x, char *text, size_t bytes)
{
    if (x->name != NULL && x->name[0] != 0)
        (void)snprintf(text, bytes, "%s", x->name);
    else
        (void)snprintf(text, bytes, "a result of %s", x->producer != NULL ? x->producer->op->name : "?");
}

/* "4 bytes changed that should not, the first 0 bytes behind the end of in0 (f32 [7], among the inputs); add ran" */
static m3_status fail_written(const m3_exec_impl *e, uint32_t segment, uint64_t at, uint64_t count, bool before,
                              m3_error *err)
{
    const region *r = &e->regions[segment];
    const m3_tensor *x = nearest(e, segment, at);
    char name[96], where[64], ran[256] = "";
    for (uint32_t i = 0; i < e->node_count && strlen(ran) + 40 < sizeof ran; i++)
        (void)snprintf(ran + strlen(ran), sizeof ran - strlen(ran), "%s%.32s", i > 0 ? ", " : "",
                       e->nodes[i]->op->name);
    (void)snprintf(ran + strlen(ran), sizeof ran - strlen(ran), " ran");
    if (before) (void)snprintf(ran, sizeof ran, "nothing ran yet, so it was a copy to or from the device");
    if (x == NULL)
        return M3_FAIL(err, M3_ERR_RANGE, "memory",
                       "%llu bytes changed that should not, outside of all tensors, in %s; %s",
                       (unsigned long long)count, role_name(r->role), ran);
    const uint64_t begin = e->places[x->id].offset, end = begin + m3_tensor_bytes(x);
    name_tensor(x, name, sizeof name);
    if (at < begin)
        (void)snprintf(where, sizeof where, "%llu bytes before", (unsigned long long)(begin - at));
    else if (at < end)
        (void)snprintf(where, sizeof where, "at byte %llu of", (unsigned long long)(at - begin));
    else
        (void)snprintf(where, sizeof where, "%llu bytes behind the end of", (unsigned long long)(at - end));
    return M3_FAIL(err, M3_ERR_RANGE, "memory",
                   "%llu bytes changed that should not, the first %s %s (%s %s, among %s); %s",
                   (unsigned long long)count, where, name, m3_dtype_name(x->dtype), M3_SHAPE_TEXT(&x->shape),
                   role_name(r->role), ran);
}

static m3_status check_region(m3_device_impl *d, m3_exec_impl *e, uint32_t segment, bool before, m3_error *err)
{
    const region *r = &e->regions[segment];
    const m3_buffer *b = r->buffer;
    uint64_t value = 0, first = 0, count = 0;
    m3_status st = api_of(d)->download(d->inner->impl, b->inner, 0, e->seen, b->bytes, &value, err);
    if (st == M3_OK) st = wait_for(d, value, UINT64_MAX, err);
    if (st != M3_OK || memcmp(e->seen, b->image, b->bytes) == 0) return st;
    const uint64_t end = b->bytes - d->guard;
    for (uint64_t i = 0; i < b->bytes; i++) {
        const bool inside = i >= d->guard && i < end;
        if (e->seen[i] == b->image[i] ||
            (inside && !is_kept(r->role) && (r->owned[i] != 0 || r->role == M3_SEGMENT_STORE)))
            continue;
        if (count++ == 0) first = i;
    }
    return count == 0 ? M3_OK : fail_written(e, segment, first, count, before, err);
}

static m3_status submit(m3_device_impl *d, m3_exec_impl *e, uint64_t *value, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t s = 0; s < e->region_count && st == M3_OK; s++)
        if (is_lost(e->regions[s].role))
            st = copy_up(d, e->regions[s].buffer, 0, e->regions[s].buffer->image, e->regions[s].buffer->bytes, err);
    for (uint32_t s = 0; s < e->region_count && st == M3_OK; s++)
        if (is_kept(e->regions[s].role)) st = check_region(d, e, s, true, err);
    if (st == M3_OK) st = api_of(d)->submit(d->inner->impl, e->inner, value, err);
    if (st == M3_OK) st = wait_for(d, *value, UINT64_MAX, err);
    for (uint32_t s = 0; s < e->region_count && st == M3_OK; s++) st = check_region(d, e, s, false, err);
    return st;
}

/* The device. */

static const m3_backend_api api = {
    .size = M3_STRUCT_SIZE(m3_backend_api, wait),
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

m3_status m3_hostile_open(m3_device *device, m3_device **hostile, m3_error *err)
{
    const uint64_t alignment = device->limits.offset_alignment;
    m3_device_impl *impl = m3_calloc(1, sizeof *impl);
    m3_device *made = *hostile = m3_calloc(1, sizeof *made);
    if (made == NULL || impl == NULL) {
        m3_free(made);
        m3_free(impl);
        *hostile = NULL;
        return M3_FAIL_MEMORY(err, device->name, sizeof *made);
    }
    /* An odd multiple of the alignment, and nothing that is aligned better. */
    impl->guard = alignment < GUARD ? GUARD + alignment : alignment;
    impl->inner = device;
    *made = *device;
    made->api = &api;
    made->impl = impl;
    made->spacing = SPACING;
    return limits(impl, &made->limits, err);
}

void m3_hostile_close(m3_device *hostile)
{
    if (hostile == NULL) return;
    m3_free(hostile->impl);
    m3_free(hostile);
}
