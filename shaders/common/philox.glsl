/* philox: Philox4x32-10, the words of block number `block` of a draw, {low, high}. */
uvec4 philox(uvec2 block, uint site, uint step, uvec2 key)
{
    uvec4 c = uvec4(block.x, site, step, block.y);
    for (int round = 0; round < 10; round++) {
        uint high0, low0, high1, low1;
        umulExtended(0xD2511F53u, c.x, high0, low0);
        umulExtended(0xCD9E8D57u, c.z, high1, low1);
        c = uvec4(high1 ^ c.y ^ key.x, low1, high0 ^ c.w ^ key.y, low0);
        key += uvec2(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}

/* Where block number `block` of a part stands in the draw of the whole batch: (before parts + part) blocks + rest, where
 * `before` batches of `blocks` blocks stand before it (op philox_part). */
uvec2 block_of_part(uint block, uint blocks, uint part, uint parts)
{
    const uint before = block / blocks;
    uint low, high, bottom, top, carry;
    umulExtended(before, parts, high, low);
    low = uaddCarry(low, part, carry);
    high += carry;
    umulExtended(low, blocks, top, bottom);
    bottom = uaddCarry(bottom, block - before * blocks, carry);
    return uvec2(bottom, top + high * blocks + carry);
}
