/* draws: random bits, uniforms and normals.
 *   DRAW_BITS     the words as they come
 *   DRAW_UNIFORM  (bits >> 8) 2^-24
 *   DRAW_NORMAL   of each pair (u, v) of uniforms: sqrt(-2 log(1 - u)) times cos(2 pi v), then sin(2 pi v)
 * An item makes PART blocks of four elements: one at once, or VECTOR where vectors are long. */

#if KIND == DRAW_NORMAL
#define NORMAL_PAIR(u, v, type)                                                                                        \
    const type radius = sqrt(-2.0f * log(1.0f - u)), angle = 6.28318530717958647692f * v;                              \
    u = radius * cos(angle);                                                                                           \
    v = radius * sin(angle);
#endif

inline uint4 draw_of(uint4 bits)
{
#if KIND == DRAW_BITS
    return bits;
#else
    float4 u = convert_float4(bits >> 8) * 0x1p-24f;
#if KIND == DRAW_NORMAL
    float2 even = u.even, odd = u.odd;
    NORMAL_PAIR(even, odd, float2)
    u.even = even;
    u.odd = odd;
#endif
    return as_uint4(u);
#endif
}

/* Block number `block` at y[at], or what the array has of it. */
inline void draw_block(global uint *y, ulong block, uint at, uint count, uint site, uint step, uint2 key)
{
    const uint4 v = draw_of(philox(block, site, step, key));
    if (count - at >= 4) {
        vstore4(v, 0, y + at);
        return;
    }
    y[at] = v.x;
    if (at + 1 < count) y[at + 1] = v.y;
    if (at + 2 < count) y[at + 2] = v.z;
}

#if VECTOR >= 4
/* VECTOR blocks from that number on at y[at]. */
inline void draw_wide(global uint *y, ulong block, uint at, uint site, uint step, uint2 key)
{
    word_t c[4];
    philox_wide(block, site, step, key, c);
#if KIND != DRAW_BITS
    real u[4];
    for (int i = 0; i < 4; i++) u[i] = TO_REAL(c[i] >> 8) * 0x1p-24f;
#if KIND == DRAW_NORMAL
    for (int i = 0; i < 4; i += 2) {
        NORMAL_PAIR(u[i], u[i + 1], real)
    }
#endif
    for (int i = 0; i < 4; i++) c[i] = GLUE(as_uint, VECTOR)(u[i]);
#endif
    in_order(c);
    for (int i = 0; i < 4; i++) STORE(c[i], y, at + i * VECTOR);
}
#endif

KERNEL(draw)
{
    OPEN_BUFFERS(draw)
    const uint2 key = (uint2)(rng[0], rng[1]);
    const uint step = rng[2];
    uint at = ITEM * PART * 4;
    const uint end = at < count ? min(at + PART * 4, count) : at;
#if VECTOR >= 4
    for (; at + 4 * VECTOR <= end; at += 4 * VECTOR) {
        if (are_neighbors(at / 4, blocks, rng)) {
            draw_wide(y, block_of(at / 4, blocks, rng), at, site, step, key);
            continue;
        }
        for (uint i = at; i < at + 4 * VECTOR; i += 4)
            draw_block(y, block_of(i / 4, blocks, rng), i, count, site, step, key);
    }
#endif
    for (; at < end; at += 4) draw_block(y, block_of(at / 4, blocks, rng), at, count, site, step, key);
}
