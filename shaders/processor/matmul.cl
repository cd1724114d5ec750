/* matmul for processors: y = gate(act(a b + bias + residual)), f32, for each of a batch of matrices.
 *   a [m, k], or [k, m] when TRANSPOSE_A;  b [k, n], or [n, k] when B_TRANSPOSED is set;  y, residual, gate [m, n];  bias [n]
 *
 * An item, alone in its group, computes a block of y, of at least ROWS rows:
 *   for each piece of the sum
 *     copy b's part of it into panels of VECTORS * VECTOR columns, contiguous in local memory, KEPT floats in all
 *     for each ROWS rows: copy a's part too when it lies transposed
 *       for each panel: a tile, whose ROWS x VECTORS sums stay in registers; a step adds one element of each row of a
 *       times a row of the panel
 * With DIRECT, b is not copied but read where it lies: n is a multiple of the panel and the rows are few.
 * ROWS divides no m in general: the last tile of a block moves up and leaves out the rows that it finds done.
 * A sum may be cut into parts, one an item, which sum_parts_processor adds in order and finishes.
 * With SUMS, items of the first column or row of blocks also add up the columns of a or b as they lie in memory, while
 * the piece is in the cache: bias gradients (linear_grad_weight).
 * Sums run k rising within a piece, pieces in order, parts in order. */

#define ACT(flags) ((flags) >> EPILOGUE_ACT_SHIFT) /* the activation */

/* exp cannot overflow to a quotient of infinities: 1 / (1 + inf) is 0, and silu's z / (1 + inf) is -0. */
inline real long_act(real z, uint act)
{
    if (act == ACT_TANH) return TANH(z);
    const real e = 1.0f + exp(-z);
    return act == ACT_SILU ? z / e : 1.0f / e;
}

inline float long_act_1(float z, uint act)
{
    if (act == ACT_TANH) return TANH(z);
    const float e = 1.0f + exp(-z);
    return act == ACT_SILU ? z / e : 1.0f / e;
}

inline real gated(real x, real gate)
{
    return select((real)0.0f, x, gate > 0.0f);
}

#ifdef ROWS
#define PANEL (VECTORS * VECTOR)

#if DIRECT
typedef global const float *panel_t;
#else
typedef local const float *panel_t;
#endif
#if TRANSPOSE_A
typedef local const float *rows_t;
#else
typedef global const float *rows_t;
#endif

/* What a tile needs beside the factors. Pointers are to the tile's first element; row is n. */
typedef struct finish_t {
    global const float *bias, *residual, *gate;
    global float *y;
    uint row, flags;
    bool again; /* y holds the sum of the pieces before */
} finish_t;

/* A tile with fewer columns than a panel: element by element. */
inline void finish_edge(const real s[ROWS][VECTORS], finish_t f, uint skip, uint columns)
{
    float z[PANEL];
    for (uint i = skip; i < ROWS; i++) {
#pragma unroll
        for (uint row = 0; row < ROWS; row++) {
            if (row != i) continue;
#pragma unroll
            for (uint v = 0; v < VECTORS; v++) STORE(s[row][v], z, v * VECTOR);
        }
        for (uint j = 0; j < columns; j++) {
            const uint at = i * f.row + j;
            float x = f.again ? f.y[at] + z[j] : z[j];
            if (f.flags & EPILOGUE_BIAS) x += f.bias[j];
            if (f.flags & EPILOGUE_RESIDUAL) x += f.residual[at];
            if (ACT(f.flags) == ACT_RELU) x = x < 0.0f ? 0.0f : x;
            if (ACT(f.flags) > ACT_RELU) x = long_act_1(x, ACT(f.flags));
            if (f.flags & EPILOGUE_GATE) x = f.gate[at] > 0.0f ? x : 0.0f;
            f.y[at] = x;
        }
    }
}

#define EACH_ROW                                                                                                       \
    _Pragma("unroll") for (uint i = 0; i < ROWS; i++) _Pragma("unroll") for (uint v = 0; v < VECTORS; v++)

/* A whole tile: what is short is done before the sums leave the registers, the rest on what was just stored. */
inline void finish_whole(real s[ROWS][VECTORS], finish_t f, uint skip)
{
    const uint act = ACT(f.flags);
    if (f.again) EACH_ROW s[i][v] = LOAD(f.y, i * f.row + v * VECTOR) + s[i][v];
    if (f.flags & EPILOGUE_BIAS) {
#pragma unroll
        for (uint v = 0; v < VECTORS; v++) {
            const real bias = LOAD(f.bias, v * VECTOR);
#pragma unroll
            for (uint i = 0; i < ROWS; i++) s[i][v] += bias;
        }
    }
    if (f.flags & EPILOGUE_RESIDUAL) EACH_ROW s[i][v] += LOAD(f.residual, i * f.row + v * VECTOR);
    if (act == ACT_RELU) EACH_ROW s[i][v] = select(s[i][v], (real)0.0f, s[i][v] < 0.0f);
    if ((f.flags & EPILOGUE_GATE) && act <= ACT_RELU) EACH_ROW s[i][v] = gated(s[i][v], LOAD(f.gate, i * f.row + v * VECTOR));
    EACH_ROW if (i >= skip) STORE(s[i][v], f.y, i * f.row + v * VECTOR);
    if (act <= ACT_RELU) return;
    for (uint i = skip; i < ROWS; i++) {
        for (uint v = 0; v < VECTORS; v++) {
            const uint at = i * f.row + v * VECTOR;
            const real x = long_act(LOAD(f.y, at), act);
            STORE(f.flags & EPILOGUE_GATE ? gated(x, LOAD(f.gate, at)) : x, f.y, at);
        }
    }
}

/* Memory that is needed soon is prefetched while a tile computes: it is the narrow place of long products. PoCL leaves
 * OpenCL's prefetch empty; its compiler has one, whose pointers are alike in all address spaces. */
#ifdef POCL_DEVICE_ADDRESS_BITS
#define PREFETCH(p)       __builtin_prefetch((const void *)(ulong)(p), 0, 2) /* into the second cache */
#define PREFETCH_WRITE(p) __builtin_prefetch((const void *)(ulong)(p), 1)
#else
#define PREFETCH(p)       prefetch(p, 16)
#define PREFETCH_WRITE(p) prefetch(p, 16)
#endif

/* What a tile prefetches: rows of a and b, and with `below` the tile of y, residual and gate under its own. */
typedef struct ahead_t {
    bool below;
    uint rows; /* at most ROWS */
    global const float *a, *b;
    uint a_row, a_floats, b_row, b_floats;
} ahead_t;

/* Row i of it. */
inline void prefetch_ahead(ahead_t ahead, finish_t f, uint i)
{
    if (i < ahead.rows) {
        for (uint j = 0; j < ahead.a_floats; j += 16) PREFETCH(ahead.a + i * ahead.a_row + j);
        for (uint j = 0; j < ahead.b_floats; j += 16) PREFETCH(ahead.b + i * ahead.b_row + j);
    }
    if (!ahead.below) return;
    const uint at = (ROWS + i) * f.row;
    for (uint j = 0; j < PANEL; j += 16) {
        PREFETCH_WRITE(f.y + at + j);
        if (f.flags & EPILOGUE_RESIDUAL) PREFETCH(f.residual + at + j);
        if (f.flags & EPILOGUE_GATE) PREFETCH(f.gate + at + j);
    }
}

/* steps of the sum for ROWS rows. */
inline void tile(rows_t a, uint a_row, panel_t b, uint b_row, uint steps, finish_t f, ahead_t ahead, uint skip,
                 uint columns)
{
    real s[ROWS][VECTORS];
    EACH_ROW s[i][v] = 0.0f;
    const uint stage = (steps + ROWS - 1) / ROWS;
    for (uint k = 0, row = 0; k < steps; row++) {
        prefetch_ahead(ahead, f, row);
        for (const uint end = min(k + stage, steps); k < end; k++) {
            real x[VECTORS];
#pragma unroll
            for (uint v = 0; v < VECTORS; v++) x[v] = LOAD(b, v * VECTOR);
#if TRANSPOSE_A
            EACH_ROW s[i][v] = fma((real)a[i], x[v], s[i][v]);
            a += ROWS;
#else
            EACH_ROW s[i][v] = fma((real)a[i * a_row], x[v], s[i][v]);
            a++;
#endif
            b += b_row;
        }
    }
    /* A copy, because what a function is given lies in memory, and these must stay in registers until here. */
    real sums[ROWS][VECTORS];
    EACH_ROW sums[i][v] = s[i][v];
    if (columns >= PANEL)
        finish_whole(sums, f, skip);
    else
        finish_edge(sums, f, skip, columns);
}

/* Panels. */

#if !DIRECT
/* Rows of a square of VECTOR become its columns: the halves of the rows are shuffled into each other, as cards are,
 * once for each factor 2 of the size. */
#if VECTOR == 16
#define WEAVE_LOW(p, q)                                                                                                \
    (real)(p.s0, q.s0, p.s1, q.s1, p.s2, q.s2, p.s3, q.s3, p.s4, q.s4, p.s5, q.s5, p.s6, q.s6, p.s7, q.s7)
#define WEAVE_HIGH(p, q)                                                                                               \
    (real)(p.s8, q.s8, p.s9, q.s9, p.sa, q.sa, p.sb, q.sb, p.sc, q.sc, p.sd, q.sd, p.se, q.se, p.sf, q.sf)
#define SHUFFLES 4
#elif VECTOR == 8
#define WEAVE_LOW(p, q)  (real)(p.s0, q.s0, p.s1, q.s1, p.s2, q.s2, p.s3, q.s3)
#define WEAVE_HIGH(p, q) (real)(p.s4, q.s4, p.s5, q.s5, p.s6, q.s6, p.s7, q.s7)
#define SHUFFLES 3
#elif VECTOR == 4
#define WEAVE_LOW(p, q)  (real)(p.s0, q.s0, p.s1, q.s1)
#define WEAVE_HIGH(p, q) (real)(p.s2, q.s2, p.s3, q.s3)
#define SHUFFLES 2
#endif

#if VECTOR > 1
inline void square(local float *panel, global const float *b, uint row)
{
    real p[VECTOR], q[VECTOR];
#pragma unroll
    for (uint i = 0; i < VECTOR; i++) p[i] = LOAD(b, i * row);
#pragma unroll
    for (uint round = 0; round < SHUFFLES; round++) {
#pragma unroll
        for (uint i = 0; i < VECTOR / 2; i++) {
            q[2 * i] = WEAVE_LOW(p[i], p[i + VECTOR / 2]);
            q[2 * i + 1] = WEAVE_HIGH(p[i], p[i + VECTOR / 2]);
        }
#pragma unroll
        for (uint i = 0; i < VECTOR; i++) p[i] = q[i];
    }
#pragma unroll
    for (uint i = 0; i < VECTOR; i++) STORE(p[i], panel, i * PANEL);
}
#endif

/* Panels [steps, PANEL] of columns of b [k, n], zeros behind the last; memory is read along its rows. */
inline void pack_rows(local float *panels, uint pitch, global const float *b, uint row, uint steps, uint columns)
{
    for (uint k = 0; k < steps; k++, b += row, panels += PANEL) {
        local float *panel = panels;
        uint c = 0;
        for (; c + PANEL <= columns; c += PANEL, panel += pitch) {
            real x[VECTORS];
#pragma unroll
            for (uint v = 0; v < VECTORS; v++) x[v] = LOAD(b, c + v * VECTOR);
#pragma unroll
            for (uint v = 0; v < VECTORS; v++) STORE(x[v], panel, v * VECTOR);
        }
        if (c < columns)
            for (uint j = 0; j < PANEL; j++) panel[j] = c + j < columns ? b[c + j] : 0.0f;
    }
}

/* The same from b [n, k]. */
inline void pack_columns(local float *panels, uint pitch, global const float *b, uint row, uint steps, uint columns)
{
    for (uint c = 0; c < (columns + PANEL - 1) / PANEL * PANEL; c += VECTOR) {
        local float *panel = panels + c / PANEL * pitch + c % PANEL;
        uint k = 0;
#if VECTOR > 1
        if (c + VECTOR <= columns)
            for (; k + VECTOR <= steps; k += VECTOR) square(panel + k * PANEL, b + c * row + k, row);
#endif
        for (; k < steps; k++)
            for (uint i = 0; i < VECTOR; i++) panel[k * PANEL + i] = c + i < columns ? b[(c + i) * row + k] : 0.0f;
    }
}
#endif

#if TRANSPOSE_A
/* The same of a [k, m], for tiles of ROWS columns, of which the last moves up. */
inline void pack_a(local float *tiles, uint pitch, global const float *a, uint row, uint steps, uint rows)
{
    for (uint k = 0; k < steps; k++, a += row, tiles += ROWS) {
        local float *tile = tiles;
        for (uint r = 0; r < rows; r += ROWS, tile += pitch) {
            global const float *from = a + min(r, rows - ROWS);
            float x[ROWS];
#pragma unroll
            for (uint i = 0; i < ROWS; i++) x[i] = from[i];
#pragma unroll
            for (uint i = 0; i < ROWS; i++) tile[i] = x[i];
        }
    }
}
#endif

#if SUMS
/* Sums down `columns` columns of x over these steps; `again`: on top of what is there. */
inline void add_columns(global float *sums, global const float *x, uint row, uint steps, uint columns, bool again)
{
    for (uint c = 0; c < columns; c += VECTOR) {
        real s = 0.0f;
        for (uint k = 0; k < steps; k++) s += load_part(x + (k * row + c), columns - c);
        if (again) s += load_part(sums + c, columns - c);
        store_part(s, sums + c, columns - c);
    }
}
#endif

KERNEL(product_processor)
{
    OPEN_BUFFERS(product_processor)
#if !DIRECT
    local float panels[KEPT];
#endif
#if TRANSPOSE_A
    local float tiles[KEPT];
#endif
    const uint block = get_group_id(0), part = (uint)get_group_id(1) % parts;
    const uint row_0 = block * rows, row_1 = block + 1 == (uint)get_num_groups(0) ? m : row_0 + rows;
    const uint column_0 = (uint)get_group_id(1) / parts * columns, column_1 = min(n, column_0 + columns);
    const uint k_0 = part * depth, k_1 = min(k, k_0 + depth);
    const uint across = (column_1 - column_0 + PANEL - 1) / PANEL;
#if TRANSPOSE_A
    const uint all_tiles = (row_1 - row_0 + ROWS - 1) / ROWS * across;
#endif
    const uint batch_0 = (uint)get_group_id(2) * chunk, batch_1 = min(batches, batch_0 + chunk);
    for (uint batch = batch_0; batch < batch_1; batch++) {
        global const float *a_this = a + (a_first + batch / inner * a_outer + batch % inner * a_inner);
        global const float *b_this = b + (b_first + batch / inner * b_outer + batch % inner * b_inner);
        const uint y_this = y_first + (part * batches + batch) * m * n;
        uint k_at = k_0;
        do {
            const uint steps = min(k_1 - k_at, piece);
            const uint done = k_at + steps == k_1 ? flags : 0;
#if SUMS == SUMS_OF_A
            if (column_0 == 0)
                add_columns(sums + ((part * batches + batch) * m + row_0), a_this + (k_at * m + row_0), m, steps,
                            row_1 - row_0, k_at > k_0);
#elif SUMS == SUMS_OF_B
            if (block == 0)
                add_columns(sums + ((part * batches + batch) * n + column_0), b_this + (k_at * n + column_0), n, steps,
                            column_1 - column_0, k_at > k_0);
#endif
#if !DIRECT
            const uint b_pitch = steps * PANEL + PAD;
            if (flags & B_TRANSPOSED)
                pack_columns(panels, b_pitch, b_this + (column_0 * k + k_at), k, steps, column_1 - column_0);
            else
                pack_rows(panels, b_pitch, b_this + (k_at * n + column_0), n, steps, column_1 - column_0);
#endif
#if TRANSPOSE_A
            const uint a_pitch = steps * ROWS + PAD;
            pack_a(tiles, a_pitch, a_this + (k_at * m + row_0), m, steps, row_1 - row_0);
            /* Tiles split the rows of the next piece. */
            const uint next = min(piece, k_1 - k_at - steps);
            const uint split = min((next + all_tiles - 1) / all_tiles, (uint)ROWS);
#else
            /* Panels split the rows of the next tile. */
            const uint split = (steps + across - 1) / across;
#endif
            uint tile_index = 0;
            for (uint r = row_0; r < row_1; r += ROWS) {
                const uint top = min(r, row_1 - ROWS);
#if TRANSPOSE_A
                rows_t left = tiles + (r - row_0) / ROWS * a_pitch;
#else
                rows_t left = a_this + (top * k + k_at);
#endif
                for (uint c = column_0; c < column_1; c += PANEL, tile_index++) {
                    const uint at = y_this + top * n + c;
#if TRANSPOSE_A
                    const uint first = tile_index * split, row = k_at + steps + first;
                    const ahead_t ahead = {false, min(split, next - min(next, first)),
                                           a_this + (row * m + row_0), b_this + (row * n + column_0), m, row_1 - row_0, n,
                                           flags & B_TRANSPOSED ? 0 : column_1 - column_0};
#else
                    const uint first = tile_index % across * split;
                    const bool below = r + 2 * ROWS <= row_1;
                    const ahead_t ahead = {below, below ? ROWS : 0, a_this + ((top + ROWS) * k + k_at + first), b_this,
                                           k, min(split, steps - min(steps, first)), 0, 0};
#endif
                    const finish_t f = {bias + (batch * n + c), residual + at, gate + at, y + at, n, done, k_at > k_0};
#if DIRECT
                    tile(left, k, b_this + (k_at * n + c), n, steps, f, ahead, r - top, n - c);
#else
                    tile(left, k, panels + (c - column_0) / PANEL * b_pitch, PANEL, steps, f, ahead, r - top, n - c);
#endif
                }
            }
            k_at += steps;
        } while (k_at < k_1);
    }
}
#endif /* ROWS */

/* y = gate(act(sum of parts + bias + residual)); an item finishes VECTOR elements, at once where n allows. Behind the
 * items of y come those of the sums of columns. */
KERNEL(sum_parts_processor)
{
    OPEN_BUFFERS(sum_parts_processor)
    y += y_first;
    const uint y_items = (count + VECTOR - 1) / VECTOR, at = ITEM * VECTOR, act = ACT(flags);
    if (ITEM >= y_items) {
        const uint c = (ITEM - y_items) * VECTOR;
        if (c >= sum_count) return;
        real s = load_part(part_sums + c, sum_count - c);
        for (uint i = 1; i < parts; i++) s += load_part(part_sums + (i * sum_count + c), sum_count - c);
        store_part(s, sums + c, sum_count - c);
        return;
    }
    if (n % VECTOR == 0) {
        real s = LOAD(part, at);
        for (uint i = 1; i < parts; i++) s += LOAD(part, i * count + at);
        if (flags & EPILOGUE_BIAS) s += LOAD(bias, at / (m * n) * n + at % n);
        if (flags & EPILOGUE_RESIDUAL) s += LOAD(residual, at);
        if (act == ACT_RELU) s = select(s, (real)0.0f, s < 0.0f);
        if (act > ACT_RELU) s = long_act(s, act);
        if (flags & EPILOGUE_GATE) s = gated(s, LOAD(gate, at));
        STORE(s, y, at);
        return;
    }
    for (uint e = at; e < min(count, at + VECTOR); e++) {
        float s = part[e];
        for (uint i = 1; i < parts; i++) s += part[i * count + e];
        if (flags & EPILOGUE_BIAS) s += bias[e / (m * n) * n + e % n];
        if (flags & EPILOGUE_RESIDUAL) s += residual[e];
        if (act == ACT_RELU) s = s < 0.0f ? 0.0f : s;
        if (act > ACT_RELU) s = long_act_1(s, act);
        if (flags & EPILOGUE_GATE) s = gate[e] > 0.0f ? s : 0.0f;
        y[e] = s;
    }
}
