/* dropout: y = factor x where uniform >= rate, else 0; the uniforms are random_uniform's of the same site. An item
 * takes `piece` neighbouring elements, whole blocks of four: a block at once, or VECTOR blocks where vectors are long. */

/* The block at y[at], or what the array has of it. */
inline void drop_block(global const float *x, global const uint *rng, global float *y, uint at, uint count, uint site,
                       uint blocks, float rate, float factor)
{
    const uint4 bits = philox(block_of(at / 4, blocks, rng), site, rng[2], (uint2)(rng[0], rng[1]));
    if (count - at >= 4) {
        const float4 kept = vload4(0, x + at) * factor;
        vstore4((convert_float4(bits >> 8) * 0x1p-24f >= rate) ? kept : (float4)(0.0f), 0, y + at);
        return;
    }
    const uint word[4] = {bits.x, bits.y, bits.z, bits.w};
    for (uint i = 0; i < count - at; i++)
        y[at + i] = convert_float(word[i] >> 8) * 0x1p-24f >= rate ? x[at + i] * factor : 0.0f;
}

KERNEL(drop)
{
    OPEN_BUFFERS(drop)
    uint at = ITEM * piece;
    const uint end = at < count ? min(at + piece, count) : at;
#if VECTOR >= 8
    for (; at + 4 * VECTOR <= end; at += 4 * VECTOR) {
        word_t bits[4];
        if (!are_neighbors(at / 4, blocks, rng)) {
            for (uint i = 0; i < VECTOR; i++) drop_block(x, rng, y, at + 4 * i, count, site, blocks, rate, factor);
            continue;
        }
        philox_wide(block_of(at / 4, blocks, rng), site, rng[2], (uint2)(rng[0], rng[1]), bits);
        in_order(bits);
        for (uint i = 0; i < 4; i++) {
            const real kept = LOAD(x, at + i * VECTOR) * factor;
            STORE((TO_REAL(bits[i] >> 8) * 0x1p-24f >= rate) ? kept : (real)(0.0f), y, at + i * VECTOR);
        }
    }
#endif
    for (; at < end; at += 4) drop_block(x, rng, y, at, count, site, blocks, rate, factor);
}
