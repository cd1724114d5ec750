#version 450
/* gru: one step of a cell, and its gradient. An invocation takes `piece` neighbouring elements of the state.
 *   r = sigmoid(xi_r + hh_r),  z = sigmoid(xi_z + hh_z),  n = tanh(xi_n + r hh_n)
 *   y = (1 - z) n + z h where mask, else h
 *   da_n = dy (1 - z) (1 - n^2),  da_z = dy (h - n) z (1 - z),  da_r = da_n hh_n r (1 - r)
 *   dxi = [da_r, da_z, da_n],  dhh = [da_r, da_z, da_n r],  dh = dy z; where the mask is false 0, 0, dy
 *   xi, hh [rows, 3 width], h [rows, width], mask [rows] */
#extension GL_GOOGLE_include_directive : require
#include "shaders/common/common.glsl"
#include "shaders/common/math.glsl"
#include "shaders/contract/gru.h"

DECLARE_CONTRACT(ENTRY)

struct gates {
    float r, z, n, hidden; /* hidden: hh_n */
};

gates gates_of(uint at)
{
    gates g;
    g.hidden = hh[at + 2u * width];
    g.r = m_sigmoid(xi[at] + hh[at]);
    g.z = m_sigmoid(xi[at + width] + hh[at + width]);
    g.n = m_tanh(xi[at + 2u * width] + g.r * g.hidden);
    return g;
}

#ifdef ENTRY_gru_cell
void cell(uint i, uint gate, bool keeps)
{
    float v = h[i];
    if (!keeps) {
        const gates g = gates_of(gate);
        v = (1.0 - g.z) * g.n + g.z * v;
    }
    y[i] = v;
}
#else
void cell(uint i, uint gate, bool keeps)
{
    const float slope = dy[i];
    float da_r = 0.0, da_z = 0.0, da_n = 0.0, scaled = 0.0, passed = slope;
    if (!keeps) {
        const gates g = gates_of(gate);
        da_n = slope * (1.0 - g.z) * (1.0 - g.n * g.n);
        da_z = slope * (h[i] - g.n) * g.z * (1.0 - g.z);
        da_r = da_n * g.hidden * g.r * (1.0 - g.r);
        scaled = da_n * g.r;
        passed = slope * g.z;
    }
    dxi[gate] = dhh[gate] = da_r;
    dxi[gate + width] = dhh[gate + width] = da_z;
    dxi[gate + 2u * width] = da_n;
    dhh[gate + 2u * width] = scaled;
    dh[i] = passed;
}
#endif

void main()
{
    const uint begin = ITEM * piece, end = begin < count ? min(begin + piece, count) : begin;
    uint row = begin / width, column = begin - row * width;
    for (uint i = begin; i < end; i++, column++) {
        if (column == width) {
            column = 0u;
            row++;
        }
        cell(i, 3u * row * width + column, BYTE(mask, row) == 0u);
    }
}
