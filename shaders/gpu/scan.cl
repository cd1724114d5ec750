/* scan: y_l = a_l y_(l-1) + b_l along the axis of [outer, length, inner], y_0 = b_0; in reverse from the axis' end. An item
 * goes down VECTOR neighbouring columns, over places [begin, end) in the order in which they are computed: what lies
 * before them is in y. */
KERNEL(scan)
{
    OPEN_BUFFERS(scan)
    const uint strips = (inner + VECTOR - 1) / VECTOR, column = ITEM % strips * VECTOR, which = ITEM / strips;
    if (which >= outer) return;
    const uint n = inner - column, step = reverse != 0 ? 0u - inner : inner; /* wraps */
    uint at = (which * length + (reverse != 0 ? length - 1 - begin : begin)) * inner + column;
    real state = (real)(0.0f);
    if (begin > 0) state = load_part(y + (at - step), n);
    for (uint k = begin; k < end; k++, at += step) {
        const real next = load_part(b + at, n);
        if (k == 0)
            state = next;
        else
            state = DECAY != 0 ? load_part(a + at, n) * state + next : state + next;
        store_part(state, y + at, n);
    }
}
