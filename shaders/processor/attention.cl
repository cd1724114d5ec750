/* attention: multi-head attention and its gradient, over heads of WIDTH columns that lie side by side.
 *   s_ij = scale q_i k_j,  p = softmax of s over the valid keys j,  y_i = sum_j p_ij v_j
 *   dv_j = sum_i p_ij dy_i,  dp_ij = dy_i v_j,  ds_ij = scale p_ij (dp_ij - sum_j p_ij dp_ij)
 *   dq_i = sum_j ds_ij k_j,  dk_j = sum_i ds_ij q_i
 * q, y [rows, queries, heads, WIDTH], k, v [rows, keys, heads, WIDTH], mask [rows, keys]. A unit is a row and a head.
 * Rows of y and dy follow each other; those of the others lie q_row and kv_row apart, from 0, k_first and v_first on.
 * Masked keys are neither read nor multiplied. Keys come in blocks of KEYS, first for the sums over all keys: a block
 * that raises the largest score of a query shrinks what the blocks before it have summed up.
 * Constants: WIDTH; GRADIENT: the gradient is built, else attention; AGAIN: there are more than KEYS keys, so that
 * scores are computed twice, else the only block stays at hand; VECTOR, at least 4, and 4 divides KEYS.
 *
 * An item takes a unit. Scores are kept as [key][query], with queries in the lanes of vectors, so that
 * maxima and sums over keys need no sum across lanes; q and dy are transposed for them. Products run in tiles of ROWS
 * rows, of up to SPAN vectors, which stay in registers. */

#define ROWS 4
#define WIDE ((WIDTH + VECTOR - 1) / VECTOR * VECTOR)
#define SPAN (WIDE / VECTOR % 2 == 0 ? 2 : 1)

/* Columns of a row from c on, as far as there are some; zeros behind them. */
inline real load_columns(global const float *x, uint c)
{
    float part[VECTOR];
    if (WIDTH % VECTOR == 0 || c + VECTOR <= WIDTH) return LOAD(x, c);
    for (uint i = 0; i < VECTOR; i++) part[i] = c + i < WIDTH ? x[c + i] : 0.0f;
    return LOAD(part, 0);
}

inline void store_columns(real v, global float *x, uint c)
{
    float part[VECTOR];
    if (WIDTH % VECTOR == 0 || c + VECTOR <= WIDTH) {
        STORE(v, x, c);
        return;
    }
    STORE(v, part, 0);
    for (uint i = 0; c + i < WIDTH; i++) x[c + i] = part[i];
}

inline void zero_row(global float *x)
{
    for (uint c = 0; c < WIDTH; c += VECTOR) store_columns(0.0f, x, c);
}

/* A square of VECTOR vectors. Each round rotates the bits of an element's place, row above lane, by one. */
inline void transpose(real *x)
{
#pragma unroll
    for (uint round = 1; round < VECTOR; round *= 2) {
        real y[VECTOR];
#pragma unroll
        for (uint i = 0; i < VECTOR / 2; i++) {
            y[2 * i].even = x[i].lo;
            y[2 * i].odd = x[i + VECTOR / 2].lo;
            y[2 * i + 1].even = x[i].hi;
            y[2 * i + 1].odd = x[i + VECTOR / 2].hi;
        }
#pragma unroll
        for (uint i = 0; i < VECTOR; i++) x[i] = y[i];
    }
}

/* to[c] = column c of up to VECTOR rows. */
inline void load_queries(global const float *x, uint count, uint stride, real *to)
{
    for (uint c = 0; c < WIDTH; c += VECTOR) {
        real part[VECTOR];
#pragma unroll
        for (uint i = 0; i < VECTOR; i++) part[i] = i < count ? load_columns(x + i * stride, c) : 0.0f;
        transpose(part);
#pragma unroll
        for (uint i = 0; i < VECTOR; i++) to[c + i] = part[i];
    }
}

/* The next valid keys, at most KEYS, from key *at on, as elements into k and v. */
inline uint next_keys(global const uchar *mask, uint keys, uint stride, uint *at, uint *place)
{
    uint n = 0, j = *at;
    for (; j < keys && n < KEYS; j++)
        if (mask[j] != 0) place[n++] = j * stride;
    *at = j;
    return n;
}

/* s[j] = key j times the queries. Behind the last of n keys the tile repeats it. */
inline void score(global const float *k, const uint *place, uint n, const real *queries, float *s)
{
    for (uint j = 0; j < n; j += ROWS) {
        global const float *row[ROWS];
        real sum[ROWS];
#pragma unroll
        for (uint r = 0; r < ROWS; r++) {
            row[r] = k + place[min(j + r, n - 1)];
            sum[r] = 0.0f;
        }
        for (uint c = 0; c < WIDTH; c++) {
            const real x = queries[c];
#pragma unroll
            for (uint r = 0; r < ROWS; r++) sum[r] = fma((real)row[r][c], x, sum[r]);
        }
#pragma unroll
        for (uint r = 0; r < ROWS; r++) STORE(sum[r], s, (j + r) * VECTOR);
    }
}

/* Row r of `count` (+)= sum over e < depth of x[r * x_row + e * x_step] times row e. Rows lie at their places. */
inline void combine(global const float *from, const uint *from_place, uint depth, const float *x, uint x_row,
                    uint x_step, global float *to, const uint *to_place, uint count, bool add)
{
    for (uint c = 0; c < WIDTH; c += SPAN * VECTOR) {
        for (uint i = 0; i < count; i += ROWS) {
            real sum[ROWS][SPAN];
#pragma unroll
            for (uint r = 0; r < ROWS; r++)
#pragma unroll
                for (uint l = 0; l < SPAN; l++)
                    sum[r][l] = add ? load_columns(to + to_place[min(i + r, count - 1)], c + l * VECTOR) : 0.0f;
            for (uint e = 0; e < depth; e++) {
                real row[SPAN];
#pragma unroll
                for (uint l = 0; l < SPAN; l++) row[l] = load_columns(from + from_place[e], c + l * VECTOR);
#pragma unroll
                for (uint r = 0; r < ROWS; r++)
#pragma unroll
                    for (uint l = 0; l < SPAN; l++)
                        sum[r][l] = fma((real)x[(i + r) * x_row + e * x_step], row[l], sum[r][l]);
            }
#pragma unroll
            for (uint r = 0; r < ROWS; r++)
#pragma unroll
                for (uint l = 0; l < SPAN; l++)
                    if (i + r < count) store_columns(sum[r][l], to + to_place[i + r], c + l * VECTOR);
        }
    }
}

/* Scores of n keys become exp of their distance to the largest so far, which is returned. */
inline real raise(float *s, uint n, float scale, real largest, real *keep)
{
    real top = largest;
    for (uint j = 0; j < n; j++) top = fmax(top, LOAD(s, j * VECTOR));
    for (uint j = 0; j < n; j++) STORE(exp((LOAD(s, j * VECTOR) - top) * scale), s, j * VECTOR);
    *keep = exp((largest - top) * scale);
    return top;
}

#if !GRADIENT
KERNEL(attend)
{
    OPEN_BUFFERS(attend)
    const uint unit = ITEM, row = unit / heads, column = unit % heads * WIDTH, stride = heads * WIDTH;
    if (unit >= units) return;
    k += k_first + row * keys * kv_row + column;
    v += v_first + row * keys * kv_row + column;
    mask += row * keys;
    for (uint first = 0; first < queries; first += VECTOR) {
        const uint at = (row * queries + first) * stride + column, q_at = (row * queries + first) * q_row + column;
        const uint count = min((uint)VECTOR, queries - first);
        real of_q[WIDE], largest = -FLT_MAX, total = 0.0f, keep;
        float p[KEYS * VECTOR];
        uint query[VECTOR], key[KEYS], n = 0, next = 0;
        for (uint i = 0; i < VECTOR; i++) query[i] = i * stride;
        load_queries(q + q_at, count, q_row, of_q);
        do {
            n = next_keys(mask, keys, kv_row, &next, key);
            score(k, key, n, of_q, p);
            largest = raise(p, n, scale, largest, &keep);
            total *= keep;
            for (uint j = 0; j < n; j++) total += LOAD(p, j * VECTOR);
        } while (next < keys);
        /* The largest score adds exp(0), so that only a row without keys sums to 0. */
        const real inverse = total == 0.0f ? (real)0.0f : 1.0f / total;
        next = AGAIN ? 0 : keys;
        bool add = false;
        do {
            if (AGAIN) {
                n = next_keys(mask, keys, kv_row, &next, key);
                score(k, key, n, of_q, p);
                (void)raise(p, n, scale, largest, &keep);
            }
            for (uint j = 0; j < n; j++) STORE(LOAD(p, j * VECTOR) * inverse, p, j * VECTOR);
            combine(v, key, n, p, 1, VECTOR, y + at, query, count, add);
            add = true;
        } while (next < keys);
    }
}

#else
KERNEL(attend_grad)
{
    OPEN_BUFFERS(attend_grad)
    const uint unit = ITEM, row = unit / heads, column = unit % heads * WIDTH, stride = heads * WIDTH;
    if (unit >= units) return;
    k += k_first + row * keys * kv_row + column;
    v += v_first + row * keys * kv_row + column;
    dk += k_first + row * keys * kv_row + column;
    dv += v_first + row * keys * kv_row + column;
    mask += row * keys;
    for (uint j = 0; j < keys; j++) {
        if (queries > 0 && mask[j] != 0) continue;
        zero_row(dk + j * kv_row);
        zero_row(dv + j * kv_row);
    }
    for (uint first = 0; first < queries; first += VECTOR) {
        const uint at = (row * queries + first) * stride + column, q_at = (row * queries + first) * q_row + column;
        const uint count = min((uint)VECTOR, queries - first);
        real of_q[WIDE], of_dy[WIDE], largest = -FLT_MAX, total = 0.0f, dot = 0.0f, keep;
        float p[KEYS * VECTOR], ds[KEYS * VECTOR];
        uint query[VECTOR], of_query[VECTOR], key[KEYS], n = 0, next = 0; /* rows of y and dy, and of q and dq */
        for (uint i = 0; i < VECTOR; i++) {
            query[i] = i * stride;
            of_query[i] = i * q_row;
        }
        load_queries(q + q_at, count, q_row, of_q);
        load_queries(dy + at, count, stride, of_dy);
        do {
            n = next_keys(mask, keys, kv_row, &next, key);
            score(k, key, n, of_q, p);
            score(v, key, n, of_dy, ds);
            largest = raise(p, n, scale, largest, &keep);
            total *= keep;
            dot *= keep;
            for (uint j = 0; j < n; j++) {
                const real e = LOAD(p, j * VECTOR);
                total += e;
                dot = fma(e, LOAD(ds, j * VECTOR), dot);
            }
        } while (next < keys);
        const real inverse = total == 0.0f ? (real)0.0f : 1.0f / total;
        dot *= inverse;
        next = AGAIN ? 0 : keys;
        bool add = false;
        do {
            if (AGAIN) {
                n = next_keys(mask, keys, kv_row, &next, key);
                score(k, key, n, of_q, p);
                score(v, key, n, of_dy, ds);
                (void)raise(p, n, scale, largest, &keep);
            }
            for (uint j = 0; j < n; j++) {
                const real of_p = LOAD(p, j * VECTOR) * inverse;
                STORE(of_p, p, j * VECTOR);
                STORE((LOAD(ds, j * VECTOR) - dot) * of_p * scale, ds, j * VECTOR);
            }
            combine(k, key, n, ds, 1, VECTOR, dq + q_at, of_query, count, add);
            combine(q + q_at, of_query, count, ds, VECTOR, 1, dk, key, n, first > 0);
            combine(dy + at, query, count, p, VECTOR, 1, dv, key, n, first > 0);
            add = true;
        } while (next < keys);
    }
}

#endif
