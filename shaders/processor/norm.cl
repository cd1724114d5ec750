/* norm: layer_norm and its gradient, to which a residual may be added, over x [groups, rows, width], gamma and beta [groups, width].
 *   n = (x - mean) / s,  s = sqrt(mean of (x - mean)^2 + eps)      y = n gamma + beta
 *   e = dy gamma,  dx = (e - mean(e) - n mean(e n)) / s            dgamma = sum of dy n,  dbeta = sum of dy
 * An item takes a row, and of the gradient the rows of a part, whose sums it keeps in `sums`.
 * sums [groups, parts, 2, width] are those of dgamma and dbeta over the rows of each part. */

/* Sum of (x - mean)^2, or of x with squares 0 and mean 0. */
inline float sum_along(global const float *x, uint width, float mean, bool squares)
{
    real a = 0.0f, b = 0.0f;
    float rest = 0.0f;
    uint j = 0;
    for (; width - j >= 2 * VECTOR; j += 2 * VECTOR) {
        const real u = LOAD(x, j) - mean, v = LOAD(x, j + VECTOR) - mean;
        a += squares ? u * u : u;
        b += squares ? v * v : v;
    }
    for (; width - j >= VECTOR; j += VECTOR) {
        const real u = LOAD(x, j) - mean;
        a += squares ? u * u : u;
    }
    for (; j < width; j++) {
        const float u = x[j] - mean;
        rest += squares ? u * u : u;
    }
    return sum_of(a + b) + rest;
}

/* Mean and 1 / s. */
inline float2 moments_of(global const float *x, uint width, float eps)
{
    const float mean = sum_along(x, width, 0.0f, false) / (float)width;
    return (float2)(mean, 1.0f / sqrt(sum_along(x, width, mean, true) / (float)width + eps));
}

KERNEL(layer_norm)
{
    OPEN_BUFFERS(layer_norm)
    const uint row = ITEM;
    if (row >= groups * rows) return;
    uint j = 0;
    gamma += row / rows * width;
    beta += row / rows * width;
    x += row * width;
    y += row * width;
    const float2 m = moments_of(x, width, eps);
    for (; width - j >= VECTOR; j += VECTOR)
        STORE((LOAD(x, j) - m.x) * m.y * LOAD(gamma, j) + LOAD(beta, j), y, j);
    for (; j < width; j++) y[j] = (x[j] - m.x) * m.y * gamma[j] + beta[j];
}

/* A row adds to dgamma and dbeta; gives the means of e and e n. */
inline float2 add_row(global const float *x, global const float *gamma, global const float *dy, uint width, float2 m,
                      global float *restrict dgamma, global float *restrict dbeta)
{
    real e_sum = 0.0f, en_sum = 0.0f;
    float2 rest = 0.0f;
    uint j = 0;
    for (; width - j >= VECTOR; j += VECTOR) {
        const real g = LOAD(dy, j), n = (LOAD(x, j) - m.x) * m.y, e = g * LOAD(gamma, j);
        e_sum += e;
        en_sum += e * n;
        STORE(LOAD(dgamma, j) + g * n, dgamma, j);
        STORE(LOAD(dbeta, j) + g, dbeta, j);
    }
    for (; j < width; j++) {
        const float g = dy[j], n = (x[j] - m.x) * m.y, e = g * gamma[j];
        rest += (float2)(e, e * n);
        dgamma[j] += g * n;
        dbeta[j] += g;
    }
    return (rest + (float2)(sum_of(e_sum), sum_of(en_sum))) / (float)width;
}

KERNEL(layer_norm_grad)
{
    OPEN_BUFFERS(layer_norm_grad)
    const uint at = ITEM, first = at % parts * part;
    if (at >= groups * parts) return;
    const uint start = (at / parts * rows + first) * width, end = start + min(part, rows - first) * width;
    global float *dgamma = sums + at * 2 * width, *dbeta = dgamma + width;
    for (uint j = 0; j < 2 * width; j++) dgamma[j] = 0.0f;
    gamma += at / parts * width;
    for (uint i = start; i < end; i += width) {
        const float2 m = moments_of(x + i, width, eps);
        const float2 mean = add_row(x + i, gamma, dy + i, width, m, dgamma, dbeta);
        uint j = 0;
        for (; width - j >= VECTOR; j += VECTOR) {
            const real n = (LOAD(x, i + j) - m.x) * m.y, e = LOAD(dy, i + j) * LOAD(gamma, j);
            const real more = adds != 0 ? LOAD(residual, i + j) : (real)0.0f;
            STORE((e - mean.x - n * mean.y) * m.y + more, dx, i + j);
        }
        for (; j < width; j++)
            dx[i + j] = (dy[i + j] * gamma[j] - mean.x - (x[i + j] - m.x) * m.y * mean.y) * m.y +
                        (adds != 0 ? residual[i + j] : 0.0f);
    }
}

/* Sums of the parts, in order; an item takes a vector of columns. */
KERNEL(layer_norm_sums)
{
    OPEN_BUFFERS(layer_norm_sums)
    const uint strips = (width + VECTOR - 1) / VECTOR, at = ITEM, group = at / strips;
    if (group >= groups) return;
    uint j = at % strips * VECTOR;
    sums += group * parts * 2 * width;
    dgamma += group * width;
    dbeta += group * width;
    if (width - j >= VECTOR) {
        real a = 0.0f, b = 0.0f;
        for (uint p = 0; p < parts; p++) {
            a += LOAD(sums, 2 * p * width + j);
            b += LOAD(sums, (2 * p + 1) * width + j);
        }
        STORE(a, dgamma, j);
        STORE(b, dbeta, j);
        return;
    }
    for (; j < width; j++) {
        float a = 0.0f, b = 0.0f;
        for (uint p = 0; p < parts; p++) {
            a += sums[2 * p * width + j];
            b += sums[(2 * p + 1) * width + j];
        }
        dgamma[j] = a;
        dbeta[j] = b;
    }
}
