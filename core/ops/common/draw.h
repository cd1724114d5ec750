/* draw: what the ops that draw random numbers have in common. A draw's rng is u32 [3] = {seed low, seed high, step},
 * that of a part of a larger draw u32 [5] = {seed low, seed high, step, part, parts}. */
#ifndef M3_CORE_OPS_COMMON_DRAW_H
#define M3_CORE_OPS_COMMON_DRAW_H

#include "core/ops/common/fused.h"

/* Words, and so elements, of a Philox block. */
enum { M3_DRAW_WORDS = 4 };

/* What the descriptions of the ops say of a part. */
#define M3_DRAW_PART_RNG "rng [5] = {seed low, seed high, step, part, parts}"
#define M3_DRAW_REPEATS                                                                                                \
    "How often the batch stands in y, one behind the other: the product of the extents before its axis; above 1 the "  \
    "elements of each are a multiple of 4."

static inline m3_status m3_want_rng(const m3_node *node, const m3_tensor *rng, m3_error *err)
{
    return m3_want(node, rng, "rng", M3_U32, M3_SHAPE(3), "a draw (seed low, seed high, step)", err);
}

static inline m3_status m3_want_part_rng(const m3_node *node, const m3_tensor *rng, m3_error *err)
{
    return m3_want(node, rng, "rng", M3_U32, M3_SHAPE(5), "a part of a draw (seed low, seed high, step, part, parts)",
                   err);
}

static inline m3_status m3_draw_infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    m3_status st;
    if ((st = m3_want_rng(node, node->in[0], err)) != M3_OK) return st;
    if ((st = m3_check_attr(node, 1, 0, UINT32_MAX, err)) != M3_OK) return st;
    out->dtype = M3_F32;
    return m3_check_attr_shape(node, 0, &out->shape, err);
}

/** Does attribute `attr` repeat a batch in `count` elements, so that every batch begins with a block? */
static inline m3_status m3_check_repeats(const m3_node *node, uint32_t attr, uint64_t count, m3_error *err)
{
    const m3_status st = m3_check_attr(node, attr, 1, UINT32_MAX, err);
    if (st != M3_OK) return st;
    const uint64_t repeats = (uint64_t)node->attr[attr].i[0];
    if (repeats == 1 || count % (repeats * M3_DRAW_WORDS) == 0) return M3_OK;
    return M3_FAIL_NODE(
        err, node, "%s is %llu, but %llu elements are not that many batches of a multiple of %d; give 1",
        node->op->attrs[attr].name, (unsigned long long)repeats, (unsigned long long)count, M3_DRAW_WORDS);
}

/** Of a part of an array of this type. */
static inline m3_status m3_draw_part_infer(const m3_node *node, m3_dtype dtype, m3_tensor_desc *out, m3_error *err)
{
    m3_status st;
    if ((st = m3_want_part_rng(node, node->in[0], err)) != M3_OK) return st;
    if ((st = m3_check_attr_shape(node, 0, &out->shape, err)) != M3_OK) return st;
    if ((st = m3_check_attr(node, 1, 0, UINT32_MAX, err)) != M3_OK) return st;
    out->dtype = dtype;
    return m3_check_repeats(node, 2, m3_shape_count(&out->shape), err);
}

/** The shape attribute of a checked node. */
static inline m3_shape m3_draw_shape(const m3_node *node)
{
    m3_shape shape = m3_shape_of(0, NULL);
    (void)m3_check_attr_shape(node, 0, &shape, NULL);
    return shape;
}

static inline uint32_t m3_draw_site(const m3_node *node)
{
    return (uint32_t)node->attr[1].i[0];
}

/** Uniforms of random bits: the upper 24, which f32 holds exactly. */
static inline m3_tensor *m3_draw_uniform(m3_builder *b, m3_tensor *bits)
{
    static const uint32_t low_byte = 256;
    m3_shape scalar = m3_shape_of(0, NULL);
    m3_tensor *high = m3_div(b, bits, m3_constant(b, M3_U32, &scalar, &low_byte)); /* truncates: a shift by 8 */
    return m3_mul(b, m3_cast(b, high, M3_F32), m3_scalar(b, 0x1p-24f));
}

/** How uniforms are drawn for normals of this shape: pairs (u, v). */
static inline m3_shape m3_draw_pairs(const m3_shape *shape)
{
    const uint64_t count = m3_shape_count(shape);
    return M3_SHAPE(count / 2 + count % 2, 2);
}

/** Box-Muller over pairs of consecutive uniforms; 1 - u is exact in f32. */
static inline m3_tensor *m3_draw_normal(m3_builder *b, m3_tensor *uniform, m3_shape shape)
{
    static const float two_pi = 6.28318530717958647692f;
    m3_tensor *u = m3_slice(b, uniform, 1, 0, 1), *v = m3_slice(b, uniform, 1, 1, 1);
    m3_tensor *radius = m3_sqrt(b, m3_mul(b, m3_scalar(b, -2.0f), m3_log(b, m3_one_minus(b, u))));
    m3_tensor *angle = m3_mul(b, m3_scalar(b, two_pi), v);
    m3_tensor *pair[2] = {m3_mul(b, radius, m3_cos(b, angle)), m3_mul(b, radius, m3_sin(b, angle))};
    m3_tensor *flat = m3_reshape(b, m3_concat(b, pair, 2, 1), M3_SHAPE(2 * m3_draw_pairs(&shape).dim[0]));
    return m3_reshape(b, m3_slice(b, flat, 0, 0, m3_shape_count(&shape)), shape);
}

/** Logarithm, root, product, angle, sine or cosine, product; the first three serve two elements. */
static inline uint64_t m3_draw_normal_flops(const m3_node *node)
{
    return 5 * m3_tensor_count(node->out[0]);
}

/** x / (1 - rate) where a uniform is at least rate, else 0. */
static inline m3_tensor *m3_draw_keep(m3_builder *b, m3_tensor *x, m3_tensor *uniform, double rate)
{
    m3_tensor *keep = m3_less_equal(b, m3_scalar(b, (float)rate), uniform);
    return m3_where(b, keep, m3_mul(b, x, m3_scalar_like(b, x, 1.0 / (1.0 - rate))), m3_zero_like(b, x));
}

#endif
