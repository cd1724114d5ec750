/* system_memory: buffers and copies: every type at odd offsets, sizes beyond all limits, and misuse. */
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/conformance/system.h"

/* Copies. */

static void check_copies(m3_system *s, m3_dtype dtype)
{
    enum { ELEMENTS = 67 };
    static const struct {
        uint32_t offset, count;
    } ranges[] = {{0, 1}, {1, 1}, {3, 5}, {7, 9}, {13, 31}, {33, 34}, {65, 2}, {66, 1}, {0, ELEMENTS}};
    const uint64_t size = m3_dtype_bytes(dtype);
    m3_opened o;
    m3_imaged b = {0};
    bool good = m3_opened_init(&o, s, NULL) && m3_imaged_init(&b, &o, ELEMENTS * size, 0);
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0] && good; i++)
        good = m3_imaged_put(&b, ranges[i].offset * size, ranges[i].count * size, (unsigned char)(i * 40 + 11));
    m3_imaged_fini(&b);
    m3_opened_fini(&o);
}

#define COPIES(name, dtype)                                                                                            \
    static void check_copies_##name(m3_system *s)                                                                      \
    {                                                                                                                  \
        check_copies(s, dtype);                                                                                        \
    }
COPIES(f32, M3_F32)
COPIES(i32, M3_I32)
COPIES(u32, M3_U32)
COPIES(u8, M3_U8)
COPIES(bool, M3_BOOL)
COPIES(f16, M3_F16)
COPIES(bf16, M3_BF16)
COPIES(f64, M3_F64)

/* Copies that a driver may cut into pieces. */
static void check_copies_large(m3_system *s)
{
    m3_opened o;
    m3_imaged b = {0};
    const uint64_t bytes = (5u << 20) + 3;
    if (m3_opened_init(&o, s, NULL) && bytes <= o.limits.largest_buffer && m3_imaged_init(&b, &o, bytes, 0))
        (void)(m3_imaged_check(&b, 0, bytes, "upload of all") && m3_imaged_put(&b, 4097, bytes - 8192, 77) &&
               m3_imaged_put(&b, bytes - 1, 1, 9));
    m3_imaged_fini(&b);
    m3_opened_fini(&o);
}

/* Two buffers share nothing. */
static void check_apart(m3_system *s)
{
    enum { BUFFERS = 8 };
    m3_opened o;
    m3_imaged b[BUFFERS] = {0};
    bool good = m3_opened_init(&o, s, NULL);
    for (uint32_t i = 0; i < BUFFERS && good; i++) good = m3_imaged_init(&b[i], &o, 100 + 333 * (uint64_t)i, i);
    for (uint32_t i = 0; i < BUFFERS && good; i++)
        good = m3_imaged_put(&b[i], 1, b[i].bytes - 2, (unsigned char)(i * 29));
    for (uint32_t i = 0; i < BUFFERS && good; i++)
        good = m3_imaged_check(&b[i], 0, b[i].bytes, "upload into other buffers");
    for (uint32_t i = 0; i < BUFFERS; i++) m3_imaged_fini(&b[i]);
    m3_opened_fini(&o);
}

/* Maps. */

static bool map(m3_imaged *b, uint32_t access, uint64_t offset, uint64_t bytes, unsigned char **pointer)
{
    m3_error err = {0};
    void *at = NULL;
    m3_status st = b->o->s->api->buffer_map(b->o->impl, b->buffer, access, offset, bytes, &at, &err);
    *pointer = at;
    return m3_system_wants(
        b->o->s, M3_DID("buffer_map of %llu bytes at %llu", (unsigned long long)bytes, (unsigned long long)offset),
        M3_OK, st, &err);
}

static bool mapped_is_seen(m3_imaged *b, uint64_t offset, uint64_t bytes)
{
    unsigned char *at;
    if (!map(b, M3_MAP_READ | M3_MAP_WRITE, offset, bytes, &at)) return false;
    bool same = memcmp(at, b->image + offset, bytes) == 0;
    for (uint64_t i = 0; i < bytes; i++) b->image[offset + i] = at[i] = (unsigned char)(at[i] + 101 + i);
    b->o->s->api->buffer_unmap(b->o->impl, b->buffer);
    if (!same)
        return m3_system_fail(b->o->s,
                              "buffer_map of %llu bytes at %llu: wanted what had been uploaded, came other bytes",
                              (unsigned long long)bytes, (unsigned long long)offset);
    return m3_imaged_check(b, 0, b->bytes, "writes through a mapping and buffer_unmap");
}

static void check_map(m3_system *s)
{
    m3_opened o;
    m3_imaged b = {0};
    if (m3_opened_init(&o, s, NULL) && s->api->buffer_map != NULL && m3_imaged_init(&b, &o, 1000, 0)) {
        const uint64_t step = o.limits.map_alignment > 1 ? o.limits.map_alignment : 1;
        m3_opened_drop(&o, b.buffer);
        b.buffer = m3_opened_buffer(&o, b.bytes, M3_SYSTEM_USE | M3_BUFFER_MAPPABLE);
        if (b.buffer != NULL && m3_opened_put(&o, b.buffer, 0, b.image, b.bytes))
            (void)(mapped_is_seen(&b, 0, b.bytes) &&
                   (3 * step + 5 > b.bytes || (mapped_is_seen(&b, 3 * step, 5) && mapped_is_seen(&b, step, 1))));
    }
    m3_imaged_fini(&b);
    m3_opened_fini(&o);
}

/* Misuse. */

static void check_misused_buffer(m3_system *s)
{
    static const struct {
        uint64_t bytes;
        uint32_t usage;
        const char *did;
    } rows[] = {{0, M3_SYSTEM_USE, "buffer_create of 0 bytes"},
                {64, M3_BUFFER_DEVICE | 1u << 20, "buffer_create with the unknown usage bit 20"},
                {64, 1u << 31, "buffer_create with the unknown usage bit 31"}};
    m3_opened o;
    bool good = m3_opened_init(&o, s, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && good; i++) {
        m3_error err = {0};
        m3_buffer *buffer = NULL;
        m3_status st = s->api->buffer_create(o.impl, rows[i].bytes, rows[i].usage, &buffer, &err);
        good = m3_system_wants(s, rows[i].did, M3_ERR_INVALID, st, &err);
        if (st == M3_OK) m3_opened_drop(&o, buffer);
    }
    if (good) (void)m3_probe_again(&o, "after misused buffer_create");
    m3_opened_fini(&o);
}

typedef struct range {
    uint64_t offset, bytes;
    m3_status want;
} range;

static bool check_range(m3_imaged *b, const range *at, bool up)
{
    static unsigned char room[64];
    m3_error err = {0};
    const m3_backend_api *api = b->o->s->api;
    uint64_t value = 0;
    void *memory = at->bytes == 0 ? NULL : room;
    m3_status st = up ? api->upload(b->o->impl, b->buffer, at->offset, memory, at->bytes, &value, &err)
                      : api->download(b->o->impl, b->buffer, at->offset, memory, at->bytes, &value, &err);
    return m3_system_wants(b->o->s,
                           M3_DID("%s of %llu bytes at %llu of a buffer of %llu%s", up ? "upload" : "download",
                                  (unsigned long long)at->bytes, (unsigned long long)at->offset,
                                  (unsigned long long)b->bytes, at->bytes == 0 ? ", with NULL for the host" : ""),
                           at->want, st, &err) &&
           m3_opened_wait(b->o, value);
}

static void check_misused_copy(m3_system *s)
{
    static const range ranges[] = {{0, 0, M3_OK},
                                   {8, 0, M3_OK},
                                   {0, 9, M3_ERR_RANGE},
                                   {9, 0, M3_ERR_RANGE},
                                   {5, 4, M3_ERR_RANGE},
                                   {8, 1, M3_ERR_RANGE},
                                   {4, UINT64_MAX - 3, M3_ERR_RANGE},
                                   {UINT64_MAX, 1, M3_ERR_RANGE},
                                   {UINT64_MAX - 7, 16, M3_ERR_RANGE},
                                   {1ull << 32, 8, M3_ERR_RANGE},
                                   {0, 1ull << 32, M3_ERR_RANGE}};
    m3_opened o;
    m3_imaged b = {0};
    bool good = m3_opened_init(&o, s, NULL) && m3_imaged_init(&b, &o, 8, 0);
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0] && good; i++)
        good = check_range(&b, &ranges[i], true) && check_range(&b, &ranges[i], false);
    if (good) good = m3_imaged_check(&b, 0, b.bytes, "copies that were refused");
    if (good) (void)m3_probe_again(&o, "after copies that were refused");
    m3_imaged_fini(&b);
    m3_opened_fini(&o);
}

/* A buffer may be used for what was declared alone. */
static void check_undeclared(m3_system *s)
{
    m3_opened o;
    if (m3_opened_init(&o, s, NULL)) {
        unsigned char bytes[8] = {0};
        m3_error err = {0};
        uint64_t value = 0;
        m3_buffer *buffer = m3_opened_buffer(&o, 8, M3_BUFFER_DEVICE);
        if (buffer != NULL) {
            m3_status st = s->api->upload(o.impl, buffer, 0, bytes, 8, &value, &err);
            (void)m3_system_wants(s, "upload into a buffer that was made without M3_BUFFER_UPLOAD", M3_ERR_INVALID, st,
                                  &err);
            err = (m3_error){0};
            st = s->api->download(o.impl, buffer, 0, bytes, 8, &value, &err);
            (void)m3_system_wants(s, "download from a buffer that was made without M3_BUFFER_DOWNLOAD", M3_ERR_INVALID,
                                  st, &err);
        }
        m3_opened_drop(&o, buffer);
    }
    m3_opened_fini(&o);
}

static void check_misused_map(m3_system *s)
{
    static const struct {
        uint32_t access, usage;
        uint64_t offset, bytes;
        m3_status want;
        const char *did;
    } rows[] = {
        {M3_MAP_READ, M3_SYSTEM_USE, 0, 8, M3_ERR_INVALID, "buffer_map of a buffer made without M3_BUFFER_MAPPABLE"},
        {0, M3_BUFFER_MAPPABLE, 0, 8, M3_ERR_INVALID, "buffer_map for neither reading nor writing"},
        {M3_MAP_READ | 1u << 9, M3_BUFFER_MAPPABLE, 0, 8, M3_ERR_INVALID, "buffer_map with the unknown access bit 9"},
        {M3_MAP_READ, M3_BUFFER_MAPPABLE, 0, 9, M3_ERR_RANGE, "buffer_map of 9 bytes of a buffer of 8"},
        {M3_MAP_READ, M3_BUFFER_MAPPABLE, UINT64_MAX, 1, M3_ERR_RANGE, "buffer_map at 2^64 - 1 of a buffer of 8"}};
    m3_opened o;
    bool good = m3_opened_init(&o, s, NULL) && s->api->buffer_map != NULL;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && good; i++) {
        m3_error err = {0};
        void *pointer = NULL;
        m3_buffer *buffer = m3_opened_buffer(&o, 8, rows[i].usage | M3_BUFFER_UPLOAD);
        if (buffer == NULL) break;
        m3_status st =
            s->api->buffer_map(o.impl, buffer, rows[i].access, rows[i].offset, rows[i].bytes, &pointer, &err);
        good = m3_system_wants(s, rows[i].did, rows[i].want, st, &err);
        if (st == M3_OK) s->api->buffer_unmap(o.impl, buffer);
        m3_opened_drop(&o, buffer);
    }
    m3_opened_fini(&o);
}

/* Sizes beyond all limits. */

static bool says(const m3_error *err, uint64_t bytes)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)bytes);
    return strstr(err->message, text) != NULL;
}

static bool is_refused(m3_opened *o, uint64_t bytes)
{
    m3_system *s = o->s;
    const char *did = M3_DID("buffer_create of %llu bytes, of at most %llu", (unsigned long long)bytes,
                             (unsigned long long)o->limits.largest_buffer);
    const uint64_t live = o->host->live, memory = m3_opened_memory(o);
    m3_error err = {0};
    m3_buffer *buffer = NULL;
    m3_status st = s->api->buffer_create(o->impl, bytes, M3_SYSTEM_USE, &buffer, &err);
    if (st == M3_OK) m3_opened_drop(o, buffer);
    if (!m3_system_wants(s, did, M3_ERR_MEMORY, st, &err)) return false;
    if (buffer != NULL)
        return m3_system_fail(s, "%s: wanted *buffer to be NULL behind the failure, came a pointer", did);
    if (!says(&err, bytes))
        return m3_system_fail(s, "%s: wanted a message that says how much was asked, came \"%.300s\"", did,
                              err.message);
    if (o->host->live != live || m3_opened_memory(o) != memory)
        return m3_system_fail(s,
                              "%s: wanted nothing to be kept, came %lld blocks of the host's memory and %lld bytes of "
                              "memory_used more",
                              did, (long long)(o->host->live - live), (long long)(m3_opened_memory(o) - memory));
    return true;
}

static void check_oversize(m3_system *s)
{
    m3_opened o;
    const uint64_t absurd[] = {1ull << 60,        1ull << 62,     (1ull << 63) - 1, 1ull << 63,
                               UINT64_MAX - 4096, UINT64_MAX - 1, UINT64_MAX};
    bool good = m3_opened_init(&o, s, NULL);
    if (good && o.limits.largest_buffer < UINT64_MAX) good = is_refused(&o, o.limits.largest_buffer + 1);
    for (size_t i = 0; i < sizeof absurd / sizeof absurd[0] && good; i++) good = is_refused(&o, absurd[i]);
    if (good) (void)m3_probe_again(&o, "after buffers that were refused");
    m3_opened_fini(&o);
}

/* As many buffers as there is memory for, which must be as many again when they are freed. */
static uint32_t fill_up(m3_opened *o, m3_buffer **buffers, uint32_t most, uint64_t bytes)
{
    m3_error err = {0};
    m3_status st = M3_OK;
    uint32_t count = 0;
    while (count < most && st == M3_OK) {
        buffers[count] = NULL;
        st = o->s->api->buffer_create(o->impl, bytes, M3_SYSTEM_USE, &buffers[count], &err);
        count += st == M3_OK;
    }
    (void)m3_system_wants(
        o->s, M3_DID("buffer %u of %llu bytes on a device with the option memory", count, (unsigned long long)bytes),
        M3_ERR_MEMORY, st, &err);
    for (uint32_t i = 0; i < count; i++) m3_opened_drop(o, buffers[i]);
    return count;
}

/* Compile where no memory is left: it does without, or says so, and works when there is memory again. */
static bool compiles_when_full(m3_opened *o, m3_buffer **buffers, uint32_t most, uint64_t bytes)
{
    m3_probe p = {0};
    m3_error err = {0}, full = {0};
    uint32_t count = 0;
    bool good = m3_probe_init(&p, o, &m3_probe_large);
    if (good) o->s->api->exec_free(o->impl, p.exec);
    p.exec = NULL;
    while (good && count < most &&
           o->s->api->buffer_create(o->impl, bytes, M3_SYSTEM_USE, &buffers[count], &full) == M3_OK)
        count++;
    m3_status st = good ? m3_probe_compile(&p, &err) : M3_OK;
    if (st != M3_OK) good = m3_system_wants(o->s, "compile on a device whose memory is full", M3_ERR_MEMORY, st, &err);
    while (count > 0) m3_opened_drop(o, buffers[--count]);
    err = (m3_error){0};
    if (good && st != M3_OK)
        good = m3_system_wants(o->s, "compile when there is memory again", M3_OK, m3_probe_compile(&p, &err), &err);
    good = good && m3_probe_run(&p, "a program that was compiled when memory was full");
    m3_probe_fini(&p);
    return good;
}

static void check_full(m3_system *s)
{
    enum { MEMORY = 4 << 20, BYTES = 128 << 10, MOST = MEMORY / BYTES + 1 };
    static const m3_option memory = {"memory", "4194304"};
    m3_opened o;
    m3_buffer *buffers[MOST];
    if (m3_system_option(s, memory.key) == NULL) return;
    if (m3_opened_init(&o, s, &memory)) {
        const uint32_t first = fill_up(&o, buffers, MOST, BYTES), second = fill_up(&o, buffers, MOST, BYTES);
        if (first != second)
            (void)m3_system_fail(s,
                                 "filling the memory of a device, freeing, filling again: wanted room for as many "
                                 "buffers, %u, came %u",
                                 first, second);
        if (s->verdict == M3_VERDICT_PASS)
            (void)(compiles_when_full(&o, buffers, MOST, BYTES) && m3_probe_again(&o, "after its memory was full"));
    }
    m3_opened_fini(&o);
}

/* The count that the backend keeps. */
static void check_used(m3_system *s)
{
    enum { BYTES = 1 << 20 };
    m3_opened o;
    if (m3_opened_init(&o, s, NULL) && s->api->memory_used != NULL && m3_probe_again(&o, "on a new device")) {
        const uint64_t before = m3_opened_memory(&o);
        m3_buffer *buffer = m3_opened_buffer(&o, BYTES, M3_SYSTEM_USE);
        const uint64_t with = m3_opened_memory(&o);
        m3_opened_drop(&o, buffer);
        if (buffer != NULL && with < before + BYTES)
            (void)m3_system_fail(s, "memory_used with a buffer of %d bytes more: wanted at least %llu, came %llu",
                                 BYTES, (unsigned long long)before + BYTES, (unsigned long long)with);
        if (m3_probe_again(&o, "once more") && m3_opened_memory(&o) != before)
            (void)m3_system_fail(s,
                                 "memory_used after a buffer and a program were freed: wanted %llu as before, came "
                                 "%llu",
                                 (unsigned long long)before, (unsigned long long)m3_opened_memory(&o));
    }
    m3_opened_fini(&o);
}

const m3_system_check m3_system_memory[] = {
    {"system.copy.f32", "uploads and downloads of f32 at any element, with nothing changed around them",
     check_copies_f32},
    {"system.copy.i32", "of i32", check_copies_i32},
    {"system.copy.u32", "of u32", check_copies_u32},
    {"system.copy.u8", "of u8", check_copies_u8},
    {"system.copy.bool", "of bool", check_copies_bool},
    {"system.copy.f16", "of f16", check_copies_f16},
    {"system.copy.bf16", "of bf16", check_copies_bf16},
    {"system.copy.f64", "of f64", check_copies_f64},
    {"system.copy.large", "of 5 MiB and 3 bytes", check_copies_large},
    {"system.apart", "buffers share no memory", check_apart},
    {"system.map", "a mapping is the buffer (if there are any)", check_map},
    {"system.misuse.buffer", "a buffer of 0 bytes or with unknown usage bits is M3_ERR_INVALID", check_misused_buffer},
    {"system.misuse.copy", "a copy that leaves its buffer is M3_ERR_RANGE, one of 0 bytes succeeds",
     check_misused_copy},
    {"system.misuse.use", "a copy that the buffer was not made for is M3_ERR_INVALID", check_undeclared},
    {"system.misuse.map", "so is a mapping; outside of the buffer it is M3_ERR_RANGE", check_misused_map},
    {"system.oversize",
     "a buffer beyond largest_buffer, or beyond all memory, is M3_ERR_MEMORY that says how much was "
     "asked, and keeps nothing",
     check_oversize},
    {"system.full", "memory that is freed is there again (with the device option memory)", check_full},
    {"system.used", "memory_used counts buffers, and comes back (if it is there)", check_used},
};
const uint32_t m3_system_memory_count = sizeof m3_system_memory / sizeof m3_system_memory[0];
