/* gru: one step of a cell, and its gradient. An item takes `piece` neighbouring elements of the state, VECTOR at once.
 *   r = sigmoid(xi_r + hh_r),  z = sigmoid(xi_z + hh_z),  n = tanh(xi_n + r hh_n)
 *   y = (1 - z) n + z h where mask, else h
 *   da_n = dy (1 - z) (1 - n^2),  da_z = dy (h - n) z (1 - z),  da_r = da_n hh_n r (1 - r)
 *   dxi = [da_r, da_z, da_n],  dhh = [da_r, da_z, da_n r],  dh = dy z; where the mask is false 0, 0, dy
 *   xi, hh [rows, 3 width], h [rows, width], mask [rows] */
typedef struct gates {
    real r, z, n, hidden; /* hidden: hh_n */
} gates;

inline real sigmoid(real x)
{
    return 1.0f / (1.0f + exp(-x));
}

inline gates gates_of(global const float *xi, global const float *hh, uint width, uint n)
{
    gates g;
    g.hidden = load_part(hh + 2 * width, n);
    g.r = sigmoid(load_part(xi, n) + load_part(hh, n));
    g.z = sigmoid(load_part(xi + width, n) + load_part(hh + width, n));
    const real before = load_part(xi + 2 * width, n) + g.r * g.hidden;
    g.n = TANH(before);
    return g;
}

KERNEL(gru_cell)
{
    OPEN_BUFFERS(gru_cell)
    uint at = ITEM * piece;
    const uint end = at < count ? min(at + piece, count) : at;
    while (at < end) {
        const uint row = at / width, column = at - row * width, run = min(end - at, width - column);
        const bool keeps = mask[row] == 0;
        for (uint k = 0; k < run; k += VECTOR) {
            const uint n = run - k, gate = 3 * row * width + column + k;
            real v = load_part(h + at + k, n);
            if (!keeps) {
                const gates g = gates_of(xi + gate, hh + gate, width, n);
                v = (1.0f - g.z) * g.n + g.z * v;
            }
            store_part(v, y + at + k, n);
        }
        at += run;
    }
}

KERNEL(gru_cell_grad)
{
    OPEN_BUFFERS(gru_cell_grad)
    uint at = ITEM * piece;
    const uint end = at < count ? min(at + piece, count) : at;
    while (at < end) {
        const uint row = at / width, column = at - row * width, run = min(end - at, width - column);
        const bool keeps = mask[row] == 0;
        for (uint k = 0; k < run; k += VECTOR) {
            const uint n = run - k, gate = 3 * row * width + column + k;
            const real slope = load_part(dy + at + k, n);
            real da_r = 0.0f, da_z = 0.0f, da_n = 0.0f, scaled = 0.0f, passed = slope;
            if (!keeps) {
                const gates g = gates_of(xi + gate, hh + gate, width, n);
                da_n = slope * (1.0f - g.z) * (1.0f - g.n * g.n);
                da_z = slope * (load_part(h + at + k, n) - g.n) * g.z * (1.0f - g.z);
                da_r = da_n * g.hidden * g.r * (1.0f - g.r);
                scaled = da_n * g.r;
                passed = slope * g.z;
            }
            store_part(da_r, dxi + gate, n);
            store_part(da_z, dxi + gate + width, n);
            store_part(da_n, dxi + gate + 2 * width, n);
            store_part(da_r, dhh + gate, n);
            store_part(da_z, dhh + gate + width, n);
            store_part(scaled, dhh + gate + 2 * width, n);
            store_part(passed, dh + at + k, n);
        }
        at += run;
    }
}
