/* unpack: zlib and libzstd, each where the build has it. Several streams in one file, as pigz, bgzip and `cat` make
 * them, are one text. */
#include "core/data/unpack.h"

#include <string.h>

#ifdef M3BSR_ZLIB
#include <zlib.h>
#endif
#ifdef M3BSR_ZSTD
#include <zstd.h>
#endif

#include "core/base/alloc.h"

struct m3_unpacker {
    const char *path, *bytes;
    size_t size, at;
    bool between; /* streams: the file may end here */
    m3_status (*step)(m3_unpacker *u, char *to, size_t room, size_t *got, m3_error *err);
#ifdef M3BSR_ZLIB
    z_stream gzip;
    bool gzip_open;
#endif
#ifdef M3BSR_ZSTD
    ZSTD_DStream *zstd;
#endif
};

static bool is_gzip(const char *bytes, size_t size)
{
    return size >= 3 && memcmp(bytes, "\x1f\x8b\x08", 3) == 0;
}

static bool is_zstd(const char *bytes, size_t size)
{
    return size >= 4 && memcmp(bytes, "\x28\xb5\x2f\xfd", 4) == 0;
}

const char *m3_unpack_format(const char *bytes, size_t size)
{
    if (is_gzip(bytes, size)) return "gzip";
    return is_zstd(bytes, size) ? "zstd" : NULL;
}

#if defined M3BSR_ZLIB || defined M3BSR_ZSTD
static m3_status damaged(const m3_unpacker *u, const char *why, m3_error *err)
{
    return M3_FAIL(err, M3_ERR_INVALID, u->path, "is damaged: its compressed bytes end or are broken at %zu of %zu: %s",
                   u->at, u->size, why != NULL ? why : "no reason given");
}
#endif

#ifdef M3BSR_ZLIB
static voidpf gzip_memory(voidpf user, uInt count, uInt size)
{
    (void)user;
    return m3_calloc(count, size);
}

static void gzip_free(voidpf user, voidpf block)
{
    (void)user;
    m3_free(block);
}

static m3_status step_gzip(m3_unpacker *u, char *to, size_t room, size_t *got, m3_error *err)
{
    enum { MOST = 1 << 30 }; /* zlib counts in 32 bits */
    z_stream *z = &u->gzip;
    const size_t left = u->size - u->at;
    z->next_in = (z_const Bytef *)(uintptr_t)(u->bytes + u->at);
    z->avail_in = (uInt)(left < MOST ? left : MOST);
    z->next_out = (Bytef *)to;
    z->avail_out = (uInt)(room < MOST ? room : MOST);
    const uInt in = z->avail_in, out = z->avail_out;
    const int state = inflate(z, Z_NO_FLUSH);
    u->at += in - z->avail_in;
    *got = out - z->avail_out;
    u->between = false;
    if (state == Z_MEM_ERROR) return M3_FAIL_MEMORY(err, u->path, 1 << 15);
    if (state == Z_STREAM_END) {
        while (u->at < u->size && u->bytes[u->at] == '\0') u->at++; /* tapes are filled up with zeros */
        if (u->at < u->size && !is_gzip(u->bytes + u->at, u->size - u->at))
            return damaged(u, "bytes that are not gzip follow", err);
        u->between = true;
        return inflateReset(z) == Z_OK ? M3_OK : damaged(u, z->msg, err);
    }
    if (state != Z_OK && state != Z_BUF_ERROR) return damaged(u, z->msg, err);
    return M3_OK;
}
#endif

#ifdef M3BSR_ZSTD
static m3_status step_zstd(m3_unpacker *u, char *to, size_t room, size_t *got, m3_error *err)
{
    ZSTD_inBuffer in = {u->bytes, u->size, u->at};
    ZSTD_outBuffer out = {to, room, 0};
    const size_t state = ZSTD_decompressStream(u->zstd, &out, &in);
    const bool moved = in.pos > u->at || out.pos > 0;
    u->at = in.pos;
    *got = out.pos;
    if (ZSTD_isError(state)) return damaged(u, ZSTD_getErrorName(state), err);
    if (moved) u->between = state == 0;
    return M3_OK;
}
#endif

static m3_status prepare(m3_unpacker *u, const char *format, m3_error *err)
{
#ifdef M3BSR_ZLIB
    if (strcmp(format, "gzip") == 0) {
        enum { GZIP_ALONE = 16 };
        u->gzip = (z_stream){.zalloc = gzip_memory, .zfree = gzip_free};
        if (inflateInit2(&u->gzip, MAX_WBITS + GZIP_ALONE) != Z_OK) return M3_FAIL_MEMORY(err, u->path, sizeof u->gzip);
        u->gzip_open = true;
        u->step = step_gzip;
    }
#endif
#ifdef M3BSR_ZSTD
    if (strcmp(format, "zstd") == 0) {
        if ((u->zstd = ZSTD_createDStream()) == NULL) return M3_FAIL_MEMORY(err, u->path, 1 << 17);
        u->step = step_zstd;
    }
#endif
    if (u->step == NULL)
        return M3_FAIL(err, M3_ERR_INVALID, u->path,
                       "is compressed, and this build has no library for %s; unpack it with %s -d, or build with %s",
                       format, format, format[0] == 'g' ? "zlib" : "libzstd");
    return M3_OK;
}

m3_status m3_unpacker_create(const char *path, const char *bytes, size_t size, m3_unpacker **out, m3_error *err)
{
    m3_unpacker *u = *out = m3_calloc(1, sizeof *u);
    if (u == NULL) return M3_FAIL_MEMORY(err, path, sizeof *u);
    u->path = path;
    u->bytes = bytes;
    u->size = size;
    const m3_status st = prepare(u, m3_unpack_format(bytes, size), err);
    if (st != M3_OK) {
        m3_unpacker_free(u);
        *out = NULL;
    }
    return st;
}

m3_status m3_unpacker_read(m3_unpacker *u, char *to, size_t room, size_t *got, m3_error *err)
{
    m3_status st = M3_OK;
    for (*got = 0; st == M3_OK && *got < room;) {
        size_t more = 0;
        const size_t before = u->at;
        if (u->between && u->at == u->size) break;
        st = u->step(u, to + *got, room - *got, &more, err);
        *got += more;
        if (st == M3_OK && more == 0 && u->at == before && !u->between)
            st = M3_FAIL(err, M3_ERR_INVALID, u->path, "is cut off: its compressed bytes end before its text does");
    }
    return st;
}

size_t m3_unpacker_position(const m3_unpacker *u)
{
    return u->at;
}

void m3_unpacker_free(m3_unpacker *u)
{
    if (u == NULL) return;
#ifdef M3BSR_ZLIB
    if (u->gzip_open) (void)inflateEnd(&u->gzip);
#endif
#ifdef M3BSR_ZSTD
    (void)ZSTD_freeDStream(u->zstd);
#endif
    m3_free(u);
}
