/* sort: a stable order of rows of keys, and what follows from it: sort, top_k, group_rows, scatter_add.
 *
 * Groups of LANES items: LANES digits a pass, from the lowest. A row is cut into blocks of whole tiles; a tile is a key
 * for each item.
 *   order_count  of each block the number of keys with each digit; not where a block is WHOLE row
 *   order_move   key and place go to: keys of the row with a smaller digit + keys of earlier blocks with the same
 *                + keys of earlier tiles + keys of earlier parts of the tile + keys of earlier items of the part */

#ifdef KEYS
/* The k first values of each row of x, and their places, where the order is known. */
KERNEL(order_values)
{
    OPEN_BUFFERS(order_values)
    const uint to = ITEM;
    if (to >= count) return;
    const uint row = to / k, from = place[row * length + to % k];
    y[to] = value_of(x[row * length + from]);
    y_place[to] = from;
}

/* The same of short rows: an item puts a value behind as many as are before it. */
KERNEL(order_short)
{
    OPEN_BUFFERS(order_short)
    const uint from = ITEM;
    if (from >= count) return;
    const uint row = from / length, i = from % length, at = row * length, bits = x[from], mine = key_of(bits, 0, 0);
    uint to = 0;
    for (uint j = 0; j < length; j++) {
        const uint key = key_of(x[at + j], 0, 0);
        to += key < mine || (key == mine && j < i);
    }
    if (to >= k) return;
    y[row * k + to] = value_of(bits);
    y_place[row * k + to] = i;
}
#endif

/* Orders by groups of items. */
#ifdef LANES

#ifdef KEYS
#define DIGIT_OF(key) ((key) >> shift & (LANES - 1))
#define PARTS         (LANES < ORDER_PARTS ? LANES : ORDER_PARTS) /* of a tile */

GROUP_KERNEL(order_count)
{
    OPEN_BUFFERS(order_count)
    local uint count[LANES];
    const uint row = GROUP / blocks, from = GROUP % blocks * block;
    const uint end = row < rows ? min(from + block, length) : 0;
    count[LANE] = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = from + LANE; i < end; i += LANES)
        atomic_inc(&count[DIGIT_OF(key_of(x[row * length + i], limit, skip))]);
    barrier(CLK_LOCAL_MEM_FENCE);
    if (row < rows) counts[GROUP * LANES + LANE] = count[LANE];
}

GROUP_KERNEL(order_move)
{
    OPEN_BUFFERS(order_move)
    local uint digits[LANES], starts[PARTS * LANES]; /* digits: for a start, sums over digits */
    const uint row = GROUP / blocks, which = GROUP % blocks, from = which * block, at = row * length;
    const uint end = row < rows ? min(from + block, length) : 0;
    const uint part = LANE / (LANES / PARTS);
    /* Item d: where this block's keys with digit d begin. */
    uint before = 0, all = 0;
#if WHOLE
    digits[LANE] = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = LANE; i < end; i += LANES) atomic_inc(&digits[DIGIT_OF(key_of(x[at + i], limit, skip))]);
    barrier(CLK_LOCAL_MEM_FENCE);
    all = digits[LANE];
#else
    for (uint b = 0; row < rows && b < blocks; b++) {
        const uint count = counts[(row * blocks + b) * LANES + LANE];
        before += b < which ? count : 0;
        all += count;
    }
    digits[LANE] = all;
#endif
    for (uint step = 1; step < LANES; step *= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        const uint left = LANE >= step ? digits[LANE - step] : 0;
        barrier(CLK_LOCAL_MEM_FENCE);
        digits[LANE] += left;
    }
    uint next = digits[LANE] - all + before;
    for (uint tile = from; tile < end; tile += LANES) {
        const uint i = tile + LANE;
        const bool here = i < end;
        const uint key = here ? key_of(x[at + i], limit, skip) : 0, digit = DIGIT_OF(key);
        for (uint p = 0; p < PARTS; p++) starts[p * LANES + LANE] = 0;
        digits[LANE] = digit;
        barrier(CLK_LOCAL_MEM_FENCE);
        if (here) atomic_inc(&starts[part * LANES + digit]);
        uint to = 0;
        for (uint j = part * (LANES / PARTS); j < LANE; j++) to += digits[j] == digit;
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint p = 0; p < PARTS; p++) {
            const uint count = starts[p * LANES + LANE];
            starts[p * LANES + LANE] = next;
            next += count;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (here) {
            to += starts[part * LANES + digit];
            y[at + to] = key;
#if KEYS == KEYS_READY
            y_place[at + to] = x_place[at + i];
#else
            y_place[at + to] = i;
#endif
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}
#endif

/* top: the k <= KEEP largest of a row, found without an order of all, with KEYS_FALLING. The first k of the best keys
 * of each item bound those of the row: what is not behind the last of them is kept, and the kept ones are put behind as
 * many as are before them. Where more than KEEP are (many are equal, or k > LANES) the k-th pair of key and place is
 * found digit by digit from the highest: keys that agree with it so far are counted by their next digit, and its digit
 * is the one at which the count reaches what is still missing. Then exactly k pairs are not behind it. */
#ifdef KEEP
GROUP_KERNEL(top_select)
{
    OPEN_BUFFERS(top_select)
    local uint count[LANES], keys[KEEP], places[KEEP], found[2], kept;
    const uint row = ROW, at = row * length, end = row < rows ? length : 0;
    uint best = ~0u, rank = 0;
    for (uint i = LANE; i < end; i += LANES) best = min(best, key_of(x[at + i], 0, 0));
    count[LANE] = best;
    if (LANE == 0) found[0] = ~0u;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint j = 0; j < LANES; j++) rank += count[j] < best || (count[j] == best && j < LANE);
    if (rank == k - 1) found[0] = best;
    barrier(CLK_LOCAL_MEM_FENCE);
    uint last_key = found[0], last_place = ~0u, missing = k, rounds = 1;
    for (uint round = 0; round < rounds; round++) {
        for (int part = round == 0 ? 2 : 0; part < 2; part++) {
            for (int shift = (part == 0 ? 32 : (int)place_bits) - DIGIT; shift > -DIGIT; shift -= DIGIT) {
                const int low = max(shift, 0), high = shift + DIGIT; /* digit: bits low to high - 1 */
                count[LANE] = 0;
                barrier(CLK_LOCAL_MEM_FENCE);
                for (uint i = LANE; i < end; i += LANES) {
                    const uint key = key_of(x[at + i], 0, 0), number = part == 0 ? key : i;
                    const uint last = part == 0 ? last_key : last_place;
                    const bool agrees = high == 32 || number >> high == last >> high;
                    if (agrees && (part == 0 || key == last_key))
                        atomic_inc(&count[number >> low & ((1u << (high - low)) - 1)]);
                }
                for (uint step = 1; step < LANES; step *= 2) {
                    barrier(CLK_LOCAL_MEM_FENCE);
                    const uint left = LANE >= step ? count[LANE - step] : 0;
                    barrier(CLK_LOCAL_MEM_FENCE);
                    count[LANE] += left;
                }
                barrier(CLK_LOCAL_MEM_FENCE);
                const uint before = LANE > 0 ? count[LANE - 1] : 0;
                if (before < missing && missing <= count[LANE]) {
                    found[0] = LANE;
                    found[1] = before;
                }
                barrier(CLK_LOCAL_MEM_FENCE);
                if (part == 0)
                    last_key |= found[0] << low;
                else
                    last_place |= found[0] << low;
                missing -= found[1];
            }
        }
        if (LANE == 0) kept = 0;
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint i = LANE; i < end; i += LANES) {
            const uint key = key_of(x[at + i], 0, 0);
            if (key > last_key || (key == last_key && i > last_place)) continue;
            const uint to = atomic_inc(&kept); /* the order here does not matter */
            if (to >= KEEP) continue;
            keys[to] = key;
            places[to] = i;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (kept > KEEP) {
            rounds = 2;
            last_key = last_place = 0;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    for (uint i = LANE; row < rows && i < kept; i += LANES) {
        uint to = 0;
        for (uint j = 0; j < kept; j++) to += keys[j] < keys[i] || (keys[j] == keys[i] && places[j] < places[i]);
        if (to >= k) continue;
        y[row * k + to] = value_of(x[at + places[i]]);
        y_place[row * k + to] = (int)places[i];
    }
}
#endif
#endif
