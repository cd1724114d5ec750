/* system_image: a buffer, and what it should hold. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/conformance/system.h"

enum { GUARD = 64, GUARD_BYTE = 0xc3 };

bool m3_imaged_init(m3_imaged *b, m3_opened *o, uint64_t bytes, uint32_t salt)
{
    *b = (m3_imaged){.o = o, .bytes = bytes, .image = m3_calloc(bytes, 1), .seen = m3_calloc(bytes + 2 * GUARD, 1)};
    if (b->image == NULL || b->seen == NULL) return m3_system_fail(o->s, "this process is out of memory");
    for (uint64_t i = 0; i < bytes; i++) b->image[i] = (unsigned char)(i * 7 + 3 + salt * 41u);
    b->buffer = m3_opened_buffer(o, bytes, M3_SYSTEM_USE);
    return b->buffer != NULL && m3_opened_put(o, b->buffer, 0, b->image, bytes);
}

void m3_imaged_fini(m3_imaged *b)
{
    if (b->o == NULL) return;
    m3_opened_drop(b->o, b->buffer);
    m3_free(b->image);
    m3_free(b->seen);
    *b = (m3_imaged){0};
}

bool m3_imaged_check(m3_imaged *b, uint64_t offset, uint64_t bytes, const char *did)
{
    memset(b->seen, GUARD_BYTE, bytes + 2 * GUARD);
    if (!m3_opened_get(b->o, b->buffer, offset, b->seen + GUARD, bytes)) return false;
    for (uint64_t i = 0; i < bytes; i++)
        if (b->seen[GUARD + i] != b->image[offset + i])
            return m3_system_fail(b->o->s,
                                  "%s, then download of %llu bytes at %llu: wanted byte %llu of the buffer to be "
                                  "0x%02x, came 0x%02x",
                                  did, (unsigned long long)bytes, (unsigned long long)offset,
                                  (unsigned long long)offset + i, b->image[offset + i], b->seen[GUARD + i]);
    for (uint64_t i = 0; i < GUARD; i++) {
        if (b->seen[i] != GUARD_BYTE)
            return m3_system_fail(b->o->s, "download of %llu bytes at %llu: wrote %llu bytes before the host's memory",
                                  (unsigned long long)bytes, (unsigned long long)offset,
                                  (unsigned long long)(GUARD - i));
        if (b->seen[GUARD + bytes + i] != GUARD_BYTE)
            return m3_system_fail(b->o->s,
                                  "download of %llu bytes at %llu: wrote %llu bytes behind the end of the "
                                  "host's memory",
                                  (unsigned long long)bytes, (unsigned long long)offset, (unsigned long long)i);
    }
    return true;
}

bool m3_imaged_put(m3_imaged *b, uint64_t offset, uint64_t bytes, unsigned char salt)
{
    const char *did = M3_DID("upload of %llu bytes at %llu", (unsigned long long)bytes, (unsigned long long)offset);
    unsigned char *from = m3_calloc(bytes + 1, 1);
    if (from == NULL) return m3_system_fail(b->o->s, "this process is out of memory");
    for (uint64_t i = 0; i < bytes; i++) from[i] = (unsigned char)(salt + i * 5);
    memcpy(b->image + offset, from, bytes);
    bool good = m3_opened_put(b->o, b->buffer, offset, from, bytes);
    memset(from, 0xee, bytes); /* the copy is done, so it may not be read any more */
    if (good) good = m3_imaged_check(b, 0, b->bytes, did) && m3_imaged_check(b, offset, bytes, did);
    m3_free(from);
    return good;
}
