/* blocks: formulas with their parameters, named and laid out as PyTorch does (MODEL.md 3), for encoders and experts.
 * Parameters lie under the builder's scope; in a grouped builder they come grouped [G, ...], and x's first axis is G.
 * Every function gives NULL when the builder keeps an error. Shapes: as in builder.h. A plugin links libm for sqrt. */
#ifndef M3BSR_BLOCKS_H
#define M3BSR_BLOCKS_H

#include <math.h>

#include "m3bsr/builder.h"

#ifdef __cplusplus
extern "C" {
#endif

static inline m3_init m3_init_constant(float value)
{
    m3_init init;
    memset(&init, 0, sizeof init);
    init.kind = M3_INIT_CONSTANT;
    init.value = value;
    return init;
}

static inline m3_init m3_init_normal(double deviation)
{
    m3_init init;
    memset(&init, 0, sizeof init);
    init.kind = M3_INIT_NORMAL;
    init.value = (float)deviation;
    return init;
}

static inline m3_tensor *m3_block_vector_(m3_builder *b, const char *name, uint64_t count, m3_init init)
{
    m3_shape shape = m3_shape_of(1, &count);
    return m3_parameter(b, name, &shape, init);
}

/** The parameters of a linear map. */
typedef struct m3_block_map {
    m3_tensor *weight, *bias;
} m3_block_map;

/** NAME.weight [(G,) out, in], starts N(0, 1/in); NAME.bias [(G,) out], starts 0. */
static inline m3_block_map m3_block_map_of(m3_builder *b, const char *name, uint64_t out, uint64_t in)
{
    m3_block_map map;
    uint64_t dim[2];
    dim[0] = out;
    dim[1] = in;
    m3_shape shape = m3_shape_of(2, dim);
    m3_push(b, name);
    map.weight = m3_parameter(b, "weight", &shape, m3_init_normal(1.0 / sqrt(in != 0 ? (double)in : 1.0)));
    map.bias = m3_block_vector_(b, "bias", out, m3_init_constant(0.0f));
    m3_pop(b);
    return map;
}

/** y = act(x Wt + c) with the parameters of m3_block_map_of. x [(G,) ..., in] -> [(G,) ..., out] */
static inline m3_tensor *m3_block_linear(m3_builder *b, const char *name, m3_tensor *x, uint64_t out,
                                         m3_activation activation)
{
    if (x == NULL || x->shape.rank == 0) return NULL;
    m3_block_map map = m3_block_map_of(b, name, out, x->shape.dim[x->shape.rank - 1]);
    return m3_linear_act(b, x, map.weight, map.bias, activation);
}

/** LayerNorm over the last axis, eps 1e-5: NAME.weight [(G,) d], starts 1; NAME.bias [(G,) d], starts 0. */
static inline m3_tensor *m3_block_norm(m3_builder *b, const char *name, m3_tensor *x)
{
    if (x == NULL || x->shape.rank == 0) return NULL;
    uint64_t d = x->shape.dim[x->shape.rank - 1];
    m3_push(b, name);
    m3_tensor *gamma = m3_block_vector_(b, "weight", d, m3_init_constant(1.0f));
    m3_tensor *beta = m3_block_vector_(b, "bias", d, m3_init_constant(0.0f));
    m3_tensor *y = m3_layer_norm(b, x, gamma, beta, 1e-5);
    m3_pop(b);
    return y;
}

/** Of the query (part 0), key (1) and value (2) of x by an attention's `.in`, whose rows hold the three one after the
 * other, `count` from part `first` on, side by side: part p is rows p d .. (p+1) d - 1. x [..., d] -> [..., count d] */
static inline m3_tensor *m3_block_attention_parts(m3_builder *b, m3_block_map in, m3_tensor *x, uint64_t first,
                                                  uint64_t count)
{
    if (x == NULL || x->shape.rank == 0) return NULL;
    uint64_t d = x->shape.dim[x->shape.rank - 1];
    m3_tensor *w = m3_slice(b, in.weight, -2, first * d, count * d);
    m3_tensor *c = m3_slice(b, in.bias, -1, first * d, count * d);
    return m3_linear(b, x, w, c);
}

/** One of them. x [..., d] -> [..., d] */
static inline m3_tensor *m3_block_attention_part(m3_builder *b, m3_block_map in, m3_tensor *x, uint64_t part)
{
    return m3_block_attention_parts(b, in, x, part, 1);
}

/** Attn(q; kv) with NAME.in and NAME.out: q [..., Lq, d], kv [..., Lk, d], mask bool [..., Lk] -> [..., Lq, d]. */
static inline m3_tensor *m3_block_attention(m3_builder *b, const char *name, m3_tensor *q, m3_tensor *kv,
                                            m3_tensor *mask, uint32_t heads)
{
    if (q == NULL || kv == NULL || q->shape.rank == 0) return NULL;
    uint64_t d = q->shape.dim[q->shape.rank - 1];
    m3_push(b, name);
    m3_block_map in = m3_block_map_of(b, "in", 3 * d, d);
    m3_tensor *query = m3_block_attention_part(b, in, q, 0);
    m3_tensor *key = m3_block_attention_part(b, in, kv, 1);
    m3_tensor *value = m3_block_attention_part(b, in, kv, 2);
    m3_tensor *y = m3_block_linear(b, "out", m3_attention(b, query, key, value, mask, heads), d, M3_ACT_NONE);
    m3_pop(b);
    return y;
}

/** ffn2 ReLU(ffn1 x) with a hidden width of `hidden`. */
static inline m3_tensor *m3_block_ffn(m3_builder *b, m3_tensor *x, uint64_t hidden)
{
    if (x == NULL || x->shape.rank == 0) return NULL;
    m3_tensor *h = m3_block_linear(b, "ffn1", x, hidden, M3_ACT_RELU);
    return m3_block_linear(b, "ffn2", h, x->shape.dim[x->shape.rank - 1], M3_ACT_NONE);
}

/** Element `index` of the axis before the last: x [..., L, d] -> [..., d]. */
static inline m3_tensor *m3_block_position(m3_builder *b, m3_tensor *x, uint64_t index)
{
    m3_tensor *row = m3_slice(b, x, -2, index, 1);
    if (row == NULL) return NULL;
    m3_shape shape = row->shape;
    shape.dim[shape.rank - 2] = shape.dim[shape.rank - 1];
    shape.rank--;
    return m3_reshape(b, row, shape);
}

/** x with its last axis of extent 1 added: [...] -> [..., 1]. */
static inline m3_tensor *m3_block_column(m3_builder *b, m3_tensor *x)
{
    if (x == NULL) return NULL;
    if (x->shape.rank >= M3_MAX_RANK) {
        b->api->fail(b, M3_ERR_INVALID, "m3_block_column: the tensor has the largest rank already");
        return NULL;
    }
    m3_shape shape = x->shape;
    shape.dim[shape.rank++] = 1;
    return m3_reshape(b, x, shape);
}

/** 1 where some position is valid, else 0, in the type of `like`: mask bool [..., L] -> [..., 1]. */
static inline m3_tensor *m3_block_any(m3_builder *b, m3_tensor *mask, const m3_tensor *like)
{
    if (mask == NULL || like == NULL) return NULL;
    return m3_reduce_max(b, m3_cast(b, mask, like->dtype), -1, M3_KEEP);
}

#ifdef __cplusplus
}
#endif
#endif
