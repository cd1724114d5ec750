/* attention: multi-head attention and its gradient, over heads of WIDTH columns that lie side by side.
 *   s_ij = scale q_i k_j,  p = softmax of s over the valid keys j,  y_i = sum_j p_ij v_j
 *   dv_j = sum_i p_ij dy_i,  dp_ij = dy_i v_j,  ds_ij = scale p_ij (dp_ij - sum_j p_ij dp_ij)
 *   dq_i = sum_j ds_ij k_j,  dk_j = sum_i ds_ij q_i
 * q, y [rows, queries, heads, WIDTH], k, v [rows, keys, heads, WIDTH], mask [rows, keys]. A unit is a row and a head.
 * Rows of y and dy follow each other; those of the others lie q_row and kv_row apart, from 0, k_first and v_first on.
 * Masked keys are neither read nor multiplied. Keys come in blocks of KEYS, first for the sums over all keys: a block
 * that raises the largest score of a query shrinks what the blocks before it have summed up.
 * Constants: WIDTH; GRADIENT: the gradient is built, else attention; AGAIN: there are more than KEYS keys, so that
 * scores are computed twice, else the only block stays at hand; QUERIES, KEYS, TILE, LANES.
 *
 * A group of LANES items takes a unit, or QUERIES queries of it. A block of QUERIES x KEYS scores lies in local memory,
 * as do COLUMNS columns of its queries and keys, with zeros for what is masked or behind the end. An item keeps a tile
 * of TILE or 4 times 4 sums in registers; TILE divides QUERIES, 4 divides KEYS;
 * QUERIES <= LANES, and QUERIES KEYS <= 4 TILE LANES.
 *   scores   tile t: queries t / (KEYS / 4) TILE ..,    keys t % (KEYS / 4) 4 ..
 *   y, dq    tile t: queries t / (COLUMNS / 4) TILE .., columns t % (COLUMNS / 4) 4 ..
 *   dk, dv   tile t: keys t / (COLUMNS / 4) 4 ..,       columns as before
 * An item adds only to what it wrote itself, so sums have a fixed order.
 * HALVES are q, k, v and dy, Y_HALVES y and gradients: keys, of the gradient queries too, are then one block, as what was
 * rounded is not added to. */

#define COLUMNS ATTEND_COLUMNS
#define PITCH   (COLUMNS + 1) /* so that a column's elements lie in different banks */
#define ACROSS  (KEYS + 1)
#define SCORES  (QUERIES / TILE * (KEYS / 4))

#if Y_HALVES
typedef value_t y_t;
#define Y_VALUE(x, i)  VALUE(x, i)
#define PUT_Y(v, x, i) PUT(v, x, i)
#else
typedef float y_t;
#define Y_VALUE(x, i)  (x)[i]
#define PUT_Y(v, x, i) ((x)[i] = (v))
#endif

/* Columns from c on of `count` queries, or keys. */
inline void load_queries(local float *to, global const value_t *x, uint count, uint stride, uint c)
{
    for (uint e = LANE; e < QUERIES * COLUMNS; e += LANES) {
        const uint i = e / COLUMNS, at = c + e % COLUMNS;
        to[i * PITCH + e % COLUMNS] = i < count && at < WIDTH ? VALUE(x, i * stride + at) : 0.0f;
    }
}

inline void load_keys(local float *to, global const value_t *x, global const uchar *mask, uint count, uint stride, uint c)
{
    for (uint e = LANE; e < KEYS * COLUMNS; e += LANES) {
        const uint j = e / COLUMNS, at = c + e % COLUMNS;
        to[j * PITCH + e % COLUMNS] = j < count && at < WIDTH && mask[j] != 0 ? VALUE(x, j * stride + at) : 0.0f;
    }
}

/* sum[r][l] += sum over e < n of x_re z_le, where x_re = x[r * x_row + e * x_step]. */
#define MULTIPLY(sum, rows, x, x_row, x_step, z, z_row, z_step, n)                                                     \
    for (uint e = 0; e < (n); e++) {                                                                                   \
        float of_z[4];                                                                                                 \
        for (uint l = 0; l < 4; l++) of_z[l] = (z)[l * (z_row) + e * (z_step)];                                        \
        for (uint r = 0; r < (rows); r++) {                                                                            \
            const float of_x = (x)[r * (x_row) + e * (x_step)];                                                        \
            for (uint l = 0; l < 4; l++) sum[r][l] = fma(of_x, of_z[l], sum[r][l]);                                    \
        }                                                                                                              \
    }

/* An item's tile of scores to local memory, -infinity where there is no key. Who has none leaves in the inner loop: PoCL 3
 * joined a return up here with the condition of the products, across barriers, where there is one tile, and failed. */
inline void store_scores(float (*sum)[4], float factor, float missing, local float *s, global const uchar *mask,
                         uint count)
{
    const uint i = LANE / (KEYS / 4) * TILE, j = LANE % (KEYS / 4) * 4;
    for (uint l = 0; l < 4; l++) {
        const bool valid = j + l < count && mask[j + l] != 0;
        for (uint r = 0; r < TILE && LANE < SCORES; r++) s[(i + r) * ACROSS + j + l] = valid ? sum[r][l] * factor : missing;
    }
}

/* The largest score of each query so far, and by how much what was summed before shrinks. */
inline void raise(local const float *s, local float *largest, local float *keep)
{
    if (LANE >= QUERIES) return;
    float top = largest[LANE];
    for (uint j = 0; j < KEYS; j++) top = fmax(top, s[LANE * ACROSS + j]);
    keep[LANE] = exp(largest[LANE] - top);
    largest[LANE] = top;
}

/* Scores become exp of their distance to the largest. */
inline void exponents(local float *s, local const float *largest)
{
    for (uint e = LANE; e < QUERIES * KEYS; e += LANES) {
        const uint i = e / KEYS, at = i * ACROSS + e % KEYS;
        s[at] = s[at] == -INFINITY ? 0.0f : exp(s[at] - largest[i]);
    }
}

#if !GRADIENT
GROUP_KERNEL(attend)
{
    OPEN_BUFFERS(attend)
    local float of_query[QUERIES * PITCH], of_key[KEYS * PITCH], p[QUERIES * ACROSS];
    local float largest[QUERIES], total[QUERIES], keep[QUERIES];
    const uint parts = (queries + QUERIES - 1) / QUERIES;
    const uint unit = min(ROW / parts, units - 1), first = ROW % parts * QUERIES; /* one too many does the last again */
    const uint count = ROW / parts < units ? min((uint)QUERIES, queries - first) : 0;
    const uint row = unit / heads, column = unit % heads * WIDTH, stride = heads * WIDTH;
    global const value_t *q_here = (global const value_t *)q + ((row * queries + first) * q_row + column);
    global y_t *y_here = (global y_t *)y + ((row * queries + first) * stride + column);
    global const value_t *k_here = (global const value_t *)k + (k_first + row * keys * kv_row + column);
    global const value_t *v_here = (global const value_t *)v + (v_first + row * keys * kv_row + column);
    mask += row * keys;
    if (LANE < QUERIES) {
        largest[LANE] = -FLT_MAX;
        total[LANE] = 0.0f;
    }
    /* A row without keys has one block of nothing, which writes its zeros. */
    for (uint start = 0; start == 0 || start < keys; start += KEYS) {
        const uint n = min((uint)KEYS, keys - start);
        const uint i = LANE / (KEYS / 4) * TILE, j = LANE % (KEYS / 4) * 4;
        float s[TILE][4] = {{0.0f}};
        for (uint c = 0; c < WIDTH; c += COLUMNS) {
            barrier(CLK_LOCAL_MEM_FENCE);
            load_queries(of_query, q_here, count, q_row, c);
            load_keys(of_key, k_here + start * kv_row, mask + start, n, kv_row, c);
            barrier(CLK_LOCAL_MEM_FENCE);
            if (LANE < SCORES)
                MULTIPLY(s, TILE, of_query + i * PITCH, PITCH, 1, of_key + j * PITCH, PITCH, 1, COLUMNS)
        }
        store_scores(s, scale, -INFINITY, p, mask + start, n);
        barrier(CLK_LOCAL_MEM_FENCE);
        raise(p, largest, keep);
        barrier(CLK_LOCAL_MEM_FENCE);
        exponents(p, largest);
        barrier(CLK_LOCAL_MEM_FENCE);
        if (LANE < QUERIES) {
            float sum = total[LANE] * keep[LANE];
            for (uint j = 0; j < n; j++) sum += p[LANE * ACROSS + j];
            total[LANE] = sum;
        }
        for (uint c = 0; c < WIDTH; c += COLUMNS) {
            barrier(CLK_LOCAL_MEM_FENCE);
            load_keys(of_key, v_here + start * kv_row, mask + start, n, kv_row, c);
            barrier(CLK_LOCAL_MEM_FENCE);
            for (uint t = LANE; t < QUERIES / TILE * (COLUMNS / 4); t += LANES) {
                const uint i = t / (COLUMNS / 4) * TILE, at = t % (COLUMNS / 4) * 4;
                float sum[TILE][4] = {{0.0f}};
                MULTIPLY(sum, TILE, p + i * ACROSS, ACROSS, 1, of_key + at, 1, PITCH, n)
                for (uint r = 0; r < TILE && i + r < count; r++) {
                    /* The largest score adds exp(0), so that only a row without keys sums to 0. */
                    const float inverse = start + KEYS < keys ? 1.0f : total[i + r] == 0.0f ? 0.0f : 1.0f / total[i + r];
                    global y_t *to = y_here + ((i + r) * stride + c + at);
                    for (uint l = 0; l < 4 && c + at + l < WIDTH; l++) {
                        const float before = start == 0 ? 0.0f : Y_VALUE(to, l) * keep[i + r];
                        PUT_Y((before + sum[r][l]) * inverse, to, l);
                    }
                }
            }
        }
    }
}

#else
/* A tile of sums to rows of x from column c on, or added to what is there. */
#define PUT_TILE(sum, rows, x, row_length, row, count, add, c)                                                                     \
    for (uint r = 0; r < (rows) && (row) + r < (count); r++)                                                           \
        for (uint l = 0; l < 4 && (c) + l < WIDTH; l++) {                                                              \
            global y_t *to = (x) + ((row) + r) * (row_length) + (c) + l;                                               \
            const float before = (add) ? Y_VALUE(to, 0) : 0.0f;                                                        \
            PUT_Y((add) ? before + sum[r][l] : sum[r][l], to, 0);                                                      \
        }

/* p = scale q kT and ds = dy vT of a block; the columns that it loads last stay. Ends with a barrier. */
inline void score(global const value_t *q, global const value_t *dy, global const value_t *k, global const value_t *v,
                  global const uchar *mask, uint count, uint n, uint q_row, uint kv_row, uint stride, float scale,
                  local float *of_q,
                  local float *of_dy, local float *of_k, local float *of_v, local float *p, local float *ds)
{
    const uint i = LANE / (KEYS / 4) * TILE, j = LANE % (KEYS / 4) * 4;
    float s[TILE][4] = {{0.0f}}, dp[TILE][4] = {{0.0f}};
    for (uint c = 0; c < WIDTH; c += COLUMNS) {
        barrier(CLK_LOCAL_MEM_FENCE);
        load_queries(of_q, q, count, q_row, c);
        load_queries(of_dy, dy, count, stride, c);
        load_keys(of_k, k, mask, n, kv_row, c);
        load_keys(of_v, v, mask, n, kv_row, c);
        barrier(CLK_LOCAL_MEM_FENCE);
        if (LANE < SCORES) {
            MULTIPLY(s, TILE, of_q + i * PITCH, PITCH, 1, of_k + j * PITCH, PITCH, 1, COLUMNS)
            MULTIPLY(dp, TILE, of_dy + i * PITCH, PITCH, 1, of_v + j * PITCH, PITCH, 1, COLUMNS)
        }
    }
    store_scores(s, scale, -INFINITY, p, mask, n);
    store_scores(dp, 1.0f, 0.0f, ds, mask, n);
    barrier(CLK_LOCAL_MEM_FENCE);
}

GROUP_KERNEL(attend_grad)
{
    OPEN_BUFFERS(attend_grad)
    local float of_q[QUERIES * PITCH], of_dy[QUERIES * PITCH], of_k[KEYS * PITCH], of_v[KEYS * PITCH];
    local float p[QUERIES * ACROSS], ds[QUERIES * ACROSS];
    local float largest[QUERIES], total[QUERIES], dot_of[QUERIES], keep[QUERIES];
    const uint unit = min(ROW, units - 1), row = unit / heads, column = unit % heads * WIDTH, stride = heads * WIDTH;
    const bool mine = ROW < units; /* one too many does the last again, and writes nothing */
    const uint query_at = row * queries * q_row + column, key_at = row * keys * kv_row + column;
    global const value_t *q_here = (global const value_t *)q + query_at;
    global const value_t *dy_here = (global const value_t *)dy + (row * queries * stride + column);
    global const value_t *k_here = (global const value_t *)k + (k_first + key_at);
    global const value_t *v_here = (global const value_t *)v + (v_first + key_at);
    global y_t *dq_here = (global y_t *)dq + query_at;
    global y_t *dk_here = (global y_t *)dk + (k_first + key_at), *dv_here = (global y_t *)dv + (v_first + key_at);
    mask += row * keys;
    /* Without queries or keys there is one block of nothing, which writes zeros. */
    for (uint first = 0; first == 0 || first < queries; first += QUERIES) {
        const uint count = min((uint)QUERIES, queries - first), at = first * stride, q_at = first * q_row;
        barrier(CLK_LOCAL_MEM_FENCE);
        if (LANE < QUERIES) {
            largest[LANE] = -FLT_MAX;
            total[LANE] = dot_of[LANE] = 0.0f;
        }
        for (uint start = 0; start == 0 || start < keys; start += KEYS) {
            const uint n = min((uint)KEYS, keys - start);
            score(q_here + q_at, dy_here + at, k_here + start * kv_row, v_here + start * kv_row, mask + start, count, n,
                  q_row, kv_row, stride, scale, of_q, of_dy, of_k, of_v, p, ds);
            raise(p, largest, keep);
            barrier(CLK_LOCAL_MEM_FENCE);
            exponents(p, largest);
            barrier(CLK_LOCAL_MEM_FENCE);
            if (LANE < QUERIES) {
                float sum = total[LANE] * keep[LANE], dot = dot_of[LANE] * keep[LANE];
                for (uint j = 0; j < n; j++) {
                    sum += p[LANE * ACROSS + j];
                    dot = fma(p[LANE * ACROSS + j], ds[LANE * ACROSS + j], dot);
                }
                total[LANE] = sum;
                dot_of[LANE] = dot;
            }
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        for (uint start = 0; start == 0 || start < keys; start += KEYS) {
            const uint n = min((uint)KEYS, keys - start);
#if AGAIN
            score(q_here + q_at, dy_here + at, k_here + start * kv_row, v_here + start * kv_row, mask + start, count, n,
                  q_row, kv_row, stride, scale, of_q, of_dy, of_k, of_v, p, ds);
            exponents(p, largest);
            barrier(CLK_LOCAL_MEM_FENCE);
#endif
            for (uint e = LANE; e < QUERIES * KEYS; e += LANES) {
                const uint i = e / KEYS, place = i * ACROSS + e % KEYS;
                const float inverse = total[i] == 0.0f ? 0.0f : 1.0f / total[i], of_p = p[place] * inverse;
                p[place] = of_p;
                ds[place] = (ds[place] - dot_of[i] * inverse) * of_p * scale;
            }
            for (uint c = 0; c < WIDTH; c += COLUMNS) {
                barrier(CLK_LOCAL_MEM_FENCE);
                if (WIDTH > COLUMNS) {
                    load_queries(of_q, q_here + q_at, count, q_row, c);
                    load_queries(of_dy, dy_here + at, count, stride, c);
                    load_keys(of_k, k_here + start * kv_row, mask + start, n, kv_row, c);
                    barrier(CLK_LOCAL_MEM_FENCE);
                }
                for (uint t = LANE; t < QUERIES / TILE * (COLUMNS / 4) && mine; t += LANES) {
                    const uint i = t / (COLUMNS / 4) * TILE, across = t % (COLUMNS / 4) * 4;
                    float sum[TILE][4] = {{0.0f}};
                    MULTIPLY(sum, TILE, ds + i * ACROSS, ACROSS, 1, of_k + across, 1, PITCH, n)
                    PUT_TILE(sum, TILE, dq_here + q_at, q_row, i, count, start > 0, c + across)
                }
                for (uint t = LANE; t < KEYS / 4 * (COLUMNS / 4) && mine; t += LANES) {
                    const uint j = t / (COLUMNS / 4) * 4, across = t % (COLUMNS / 4) * 4;
                    float of_dk[4][4] = {{0.0f}}, of_dv[4][4] = {{0.0f}};
                    MULTIPLY(of_dk, 4, ds + j, 1, ACROSS, of_q + across, 1, PITCH, count)
                    MULTIPLY(of_dv, 4, p + j, 1, ACROSS, of_dy + across, 1, PITCH, count)
                    for (uint r = 0; r < 4 && j + r < n; r++)
                        for (uint l = 0; l < 4 && mask[start + j + r] == 0; l++) of_dk[r][l] = of_dv[r][l] = 0.0f;
                    PUT_TILE(of_dk, 4, dk_here + start * kv_row, kv_row, j, n, first > 0, c + across)
                    PUT_TILE(of_dv, 4, dv_here + start * kv_row, kv_row, j, n, first > 0, c + across)
                }
            }
        }
    }
}

#endif
