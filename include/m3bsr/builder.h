/* builder: formulas as graphs. The builder keeps its first error and then does nothing, so a formula reads as a
 * formula and its caller asks once (m3_builder_status). Every call goes through the builder's own table, so a plugin
 * that uses these functions has no undefined symbol of ours.
 *
 * Ownership: the graph owns every tensor; a NULL tensor means that an error is kept already. Threads: one builder is
 * used by one thread. Shapes: "..." stands for any leading axes; [(G,) M, K] for an optional group axis. */
#ifndef M3BSR_BUILDER_H
#define M3BSR_BUILDER_H

#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "m3bsr/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The table behind a builder. Since ABI 1.0; members are appended, see M3_HAS. */
typedef struct m3_builder_api {
    uint32_t size;
    /** Append a node. attrs: op->attr_count entries in the op's order. out receives out_count tensors (NULLs on
     * failure). Checks shapes by the op's rule; the error names op, scope and what is wrong. */
    void (*emit)(m3_builder *b, const char *op, m3_tensor *const *in, uint32_t in_count, const m3_attr *attr,
                 uint32_t attr_count, m3_tensor **out, uint32_t out_count);
    /** A constant; data (row-major) is copied. */
    m3_tensor *(*constant)(m3_builder *b, m3_dtype dtype, const m3_shape *shape, const void *data);
    /** A trained parameter named scope + "." + name, shape [(G,) shape...] when the builder is grouped.
     * Asked twice for the same name and shape, it returns the same tensor. */
    m3_tensor *(*parameter)(m3_builder *b, const char *name, const m3_shape *shape, m3_init init);
    /** Enter and leave a name scope; scopes nest and join with '.'. */
    void (*push)(m3_builder *b, const char *scope);
    void (*pop)(m3_builder *b);
    /** Keep an error of the caller's own. */
    void (*fail)(m3_builder *b, m3_status code, const char *message);
    /** M3_OK, or the code of the kept error, whose text is copied to err. */
    m3_status (*status)(const m3_builder *b, m3_error *err);
    /** x with dropout at the rate of the model, a draw of its own; x itself outside training or at rate 0. */
    m3_tensor *(*dropout)(m3_builder *b, m3_tensor *x);
    /** G when parameters made now are grouped, else 0. */
    uint32_t (*group)(const m3_builder *b);
} m3_builder_api;

/** The visible head of a builder. */
struct m3_builder {
    const m3_builder_api *api;
};

/* Attributes. */

static inline m3_attr m3_attr_int(int64_t value)
{
    m3_attr a;
    memset(&a, 0, sizeof a);
    a.count = 1;
    a.i[0] = value;
    return a;
}

static inline m3_attr m3_attr_float(double value)
{
    m3_attr a;
    memset(&a, 0, sizeof a);
    a.f = value;
    return a;
}

static inline m3_attr m3_attr_ints(const int64_t *values, uint32_t count)
{
    m3_attr a;
    memset(&a, 0, sizeof a);
    a.count = count;
    for (uint32_t i = 0; i < count && i < M3_MAX_RANK; i++) a.i[i] = values[i];
    return a;
}

static inline m3_attr m3_attr_shape(const m3_shape *shape)
{
    m3_attr a;
    memset(&a, 0, sizeof a);
    a.count = shape->rank;
    for (uint32_t i = 0; i < shape->rank; i++) a.i[i] = (int64_t)shape->dim[i];
    return a;
}

/* Emission. */

static inline m3_tensor *m3_emit(m3_builder *b, const char *op, m3_tensor *const *in, uint32_t in_count,
                                 const m3_attr *attr, uint32_t attr_count)
{
    m3_tensor *out = NULL;
    b->api->emit(b, op, in, in_count, attr, attr_count, &out, 1);
    return out;
}

static inline m3_tensor *m3_emit1(m3_builder *b, const char *op, m3_tensor *x)
{
    return m3_emit(b, op, &x, 1, NULL, 0);
}

static inline m3_tensor *m3_emit2(m3_builder *b, const char *op, m3_tensor *x, m3_tensor *y)
{
    m3_tensor *in[2] = {x, y};
    return m3_emit(b, op, in, 2, NULL, 0);
}

static inline m3_status m3_builder_status(const m3_builder *b, m3_error *err)
{
    return b->api->status(b, err);
}

static inline void m3_push(m3_builder *b, const char *scope)
{
    b->api->push(b, scope);
}

static inline void m3_pop(m3_builder *b)
{
    b->api->pop(b);
}

static inline m3_tensor *m3_dropout(m3_builder *b, m3_tensor *x)
{
    return b->api->dropout(b, x);
}

/* Leaves. */

static inline m3_tensor *m3_constant(m3_builder *b, m3_dtype dtype, const m3_shape *shape, const void *data)
{
    return b->api->constant(b, dtype, shape, data);
}

/** A rank-0 f32 constant. */
static inline m3_tensor *m3_scalar(m3_builder *b, float value)
{
    m3_shape shape;
    memset(&shape, 0, sizeof shape);
    return m3_constant(b, M3_F32, &shape, &value);
}

/** A rank-0 constant of the float type of `like`, so that a formula also builds in double precision. */
static inline m3_tensor *m3_scalar_like(m3_builder *b, const m3_tensor *like, double value)
{
    m3_shape shape;
    memset(&shape, 0, sizeof shape);
    if (like != NULL && like->dtype == M3_F64) return m3_constant(b, M3_F64, &shape, &value);
    float f = (float)value;
    return m3_constant(b, M3_F32, &shape, &f);
}

/** A constant array of the float type of `like`, so that a formula also builds in double precision: data [count of
 * shape], row-major, is copied. NULL without memory, which the builder keeps as its error. */
static inline m3_tensor *m3_constant_like(m3_builder *b, const m3_tensor *like, m3_shape shape, const double *data)
{
    if (like != NULL && like->dtype == M3_F64) return m3_constant(b, M3_F64, &shape, data);
    const uint64_t count = m3_shape_count(&shape);
    float *narrow = (float *)malloc(count != 0 ? (size_t)count * sizeof(float) : 1);
    if (narrow == NULL) {
        b->api->fail(b, M3_ERR_MEMORY, "m3_constant_like: out of memory");
        return NULL;
    }
    for (uint64_t i = 0; i < count; i++) narrow[i] = (float)data[i];
    m3_tensor *x = m3_constant(b, M3_F32, &shape, narrow);
    free(narrow);
    return x;
}

static inline m3_tensor *m3_scalar_i32(m3_builder *b, int32_t value)
{
    m3_shape shape;
    memset(&shape, 0, sizeof shape);
    return m3_constant(b, M3_I32, &shape, &value);
}

static inline m3_tensor *m3_parameter(m3_builder *b, const char *name, const m3_shape *shape, m3_init init)
{
    return b->api->parameter(b, name, shape, init);
}

static inline m3_shape m3_shape_of(uint32_t rank, const uint64_t *dim)
{
    m3_shape shape;
    memset(&shape, 0, sizeof shape);
    shape.rank = rank;
    for (uint32_t i = 0; i < rank && i < M3_MAX_RANK; i++) shape.dim[i] = dim[i];
    return shape;
}

/** M3_SHAPE(3, 5): a shape written in place. In C alone: C++ has no compound literals. */
#define M3_SHAPE(...)                                                                                                  \
    m3_shape_of((uint32_t)(sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t)), (const uint64_t[]){__VA_ARGS__})

/* Elementwise; binary ones broadcast as NumPy does and want equal types. */

#define M3_UNARY_(function, op)                                                                                        \
    static inline m3_tensor *function(m3_builder *b, m3_tensor *x)                                                     \
    {                                                                                                                  \
        return m3_emit1(b, op, x);                                                                                     \
    }
#define M3_BINARY_(function, op)                                                                                       \
    static inline m3_tensor *function(m3_builder *b, m3_tensor *x, m3_tensor *y)                                       \
    {                                                                                                                  \
        return m3_emit2(b, op, x, y);                                                                                  \
    }
M3_UNARY_(m3_copy, "copy")         /* x in memory of its own */
M3_UNARY_(m3_detach, "detach")     /* x, but gradients stop here */
M3_UNARY_(m3_neg, "neg")           /* -x */
M3_UNARY_(m3_abs, "abs")           /* |x| */
M3_UNARY_(m3_exp, "exp")           /* e^x */
M3_UNARY_(m3_log, "log")           /* natural logarithm */
M3_UNARY_(m3_sqrt, "sqrt")         /* square root */
M3_UNARY_(m3_sin, "sin")           /* radians */
M3_UNARY_(m3_cos, "cos")           /* radians */
M3_UNARY_(m3_tanh, "tanh")         /* hyperbolic tangent */
M3_UNARY_(m3_sigmoid, "sigmoid")   /* 1 / (1 + e^-x) */
M3_UNARY_(m3_log1p, "log1p")       /* ln(1 + x), exact near 0 */
M3_UNARY_(m3_expm1, "expm1")       /* e^x - 1, exact near 0 */
M3_UNARY_(m3_erf, "erf")           /* error function */
M3_UNARY_(m3_floor, "floor")       /* largest integer <= x */
M3_UNARY_(m3_not, "not")           /* bool */
M3_UNARY_(m3_relu, "relu")         /* fused: max(x, 0) */
M3_UNARY_(m3_silu, "silu")         /* fused: x sigmoid(x) */
M3_UNARY_(m3_softplus, "softplus") /* fused: ln(1 + e^x) */
M3_UNARY_(m3_gelu, "gelu")         /* fused: x Phi(x), Phi of the normal distribution */
M3_BINARY_(m3_add, "add")
M3_BINARY_(m3_sub, "sub")
M3_BINARY_(m3_mul, "mul")
M3_BINARY_(m3_div, "div")
M3_BINARY_(m3_pow, "pow")               /* x^y, as C's pow */
M3_BINARY_(m3_max, "max")               /* NaN if either is NaN */
M3_BINARY_(m3_min, "min")               /* NaN if either is NaN */
M3_BINARY_(m3_equal, "equal")           /* bool */
M3_BINARY_(m3_less, "less")             /* x < y, bool */
M3_BINARY_(m3_less_equal, "less_equal") /* x <= y, bool */
M3_BINARY_(m3_and, "and")               /* bool */
M3_BINARY_(m3_or, "or")                 /* bool */
M3_BINARY_(m3_relu_grad, "relu_grad")   /* fused: (y, dy) -> dy where y > 0, else 0; equal shapes */
#undef M3_UNARY_
#undef M3_BINARY_

/** x where cond, else y; all three broadcast. Selects: a value not taken may be NaN. */
static inline m3_tensor *m3_where(m3_builder *b, m3_tensor *cond, m3_tensor *x, m3_tensor *y)
{
    m3_tensor *in[3] = {cond, x, y};
    return m3_emit(b, "where", in, 3, NULL, 0);
}

/** To another type: float to integer truncates towards zero; to bool is x != 0. */
static inline m3_tensor *m3_cast(m3_builder *b, m3_tensor *x, m3_dtype dtype)
{
    if (x != NULL && x->dtype == dtype) return x;
    m3_attr attr = m3_attr_int((int64_t)dtype);
    return m3_emit(b, "cast", &x, 1, &attr, 1);
}

/* Movement. */

/** The same elements in order under another shape of equal count. Costs nothing. */
static inline m3_tensor *m3_reshape(m3_builder *b, m3_tensor *x, m3_shape shape)
{
    if (x != NULL && m3_shape_equal(&x->shape, &shape)) return x;
    m3_attr attr = m3_attr_shape(&shape);
    return m3_emit(b, "reshape", &x, 1, &attr, 1);
}

/** out axis i is x's axis perm[i]; perm has x's rank. */
static inline m3_tensor *m3_transpose(m3_builder *b, m3_tensor *x, const int64_t *perm, uint32_t rank)
{
    m3_attr attr = m3_attr_ints(perm, rank);
    return m3_emit(b, "transpose", &x, 1, &attr, 1);
}

/** Repeat along axes that are 1 or missing. */
static inline m3_tensor *m3_broadcast(m3_builder *b, m3_tensor *x, m3_shape shape)
{
    if (x != NULL && m3_shape_equal(&x->shape, &shape)) return x;
    m3_attr attr = m3_attr_shape(&shape);
    return m3_emit(b, "broadcast", &x, 1, &attr, 1);
}

/** Elements [start, start + count) of one axis; axis < 0 counts from the last (-1). The axis stays. */
static inline m3_tensor *m3_slice(m3_builder *b, m3_tensor *x, int axis, uint64_t start, uint64_t count)
{
    if (x == NULL) return NULL;
    uint32_t at = (uint32_t)(axis < 0 ? axis + (int)x->shape.rank : axis);
    if (at >= x->shape.rank) {
        b->api->fail(b, M3_ERR_INVALID, "m3_slice: the axis is outside the tensor's rank");
        return NULL;
    }
    if (start == 0 && count == x->shape.dim[at]) return x;
    m3_shape size = x->shape;
    m3_attr attr[2];
    attr[0] = m3_attr_shape(&size);
    for (uint32_t i = 0; i < size.rank; i++) attr[0].i[i] = 0;
    attr[0].i[at] = (int64_t)start;
    size.dim[at] = count;
    attr[1] = m3_attr_shape(&size);
    return m3_emit(b, "slice", &x, 1, attr, 2);
}

/** Zeros before and after along one axis, to `total` elements with x starting at `before`. */
static inline m3_tensor *m3_pad(m3_builder *b, m3_tensor *x, int axis, uint64_t before, uint64_t total)
{
    if (x == NULL) return NULL;
    uint32_t at = (uint32_t)(axis < 0 ? axis + (int)x->shape.rank : axis);
    if (at >= x->shape.rank || before + x->shape.dim[at] > total) {
        b->api->fail(b, M3_ERR_INVALID, "m3_pad: the axis or the total does not fit the tensor");
        return NULL;
    }
    m3_shape size = x->shape;
    m3_attr attr[2];
    attr[0] = m3_attr_shape(&size);
    for (uint32_t i = 0; i < size.rank; i++) attr[0].i[i] = 0;
    attr[0].i[at] = (int64_t)before;
    size.dim[at] = total;
    attr[1] = m3_attr_shape(&size);
    return m3_emit(b, "pad", &x, 1, attr, 2);
}

/** Join along an axis >= 0; the other extents and the types are equal. */
static inline m3_tensor *m3_concat(m3_builder *b, m3_tensor *const *x, uint32_t count, int axis)
{
    if (count == 1) return x[0];
    m3_attr attr = m3_attr_int(axis);
    return m3_emit(b, "concat", x, count, &attr, 1);
}

/** An axis in the opposite order; axis < 0 counts from the last (-1). */
static inline m3_tensor *m3_flip(m3_builder *b, m3_tensor *x, int axis)
{
    if (x == NULL) return NULL;
    m3_attr attr = m3_attr_int(axis < 0 ? axis + (int)x->shape.rank : axis);
    return m3_emit(b, "flip", &x, 1, &attr, 1);
}

/* Along an axis. */

/** y_l = a_l y_(l-1) + x_l along an axis (axis < 0 from the last), y_0 = x_0; reverse: y_l = a_l y_(l+1) + x_l from the
 * axis' end. a and x have one shape, which y has too. */
static inline m3_tensor *m3_scan(m3_builder *b, m3_tensor *a, m3_tensor *x, int axis, bool reverse)
{
    if (a == NULL || x == NULL) return NULL;
    m3_tensor *in[2] = {a, x};
    m3_attr attr[2];
    attr[0] = m3_attr_int(axis < 0 ? axis + (int)x->shape.rank : axis);
    attr[1] = m3_attr_int(reverse);
    return m3_emit(b, "scan", in, 2, attr, 2);
}

/** y_l = x_0 + ... + x_l along an axis (axis < 0 from the last); reverse: x_l + ... to the axis' end. */
static inline m3_tensor *m3_cumsum(m3_builder *b, m3_tensor *x, int axis, bool reverse)
{
    if (x == NULL) return NULL;
    m3_attr attr[2];
    attr[0] = m3_attr_int(axis < 0 ? axis + (int)x->shape.rank : axis);
    attr[1] = m3_attr_int(reverse);
    return m3_emit(b, "cumsum", &x, 1, attr, 2);
}

/** Causal depthwise convolution, PyTorch's order of weights: x [(G,) ..., L, C], w [(G,) C, K] -> [(G,) ..., L, C],
 * y_(t,c) = sum over k of w_(c,k) x_(t-(K-1)+k,c), 0 before the first place; reverse: x_(t+(K-1)-k,c). */
static inline m3_tensor *m3_causal_conv(m3_builder *b, m3_tensor *x, m3_tensor *w, bool reverse)
{
    m3_tensor *in[2] = {x, w};
    m3_attr attr = m3_attr_int(reverse);
    return m3_emit(b, "causal_conv", in, 2, &attr, 1);
}

/* Reductions. */

enum { M3_DROP = 0, M3_KEEP = 1 };

static inline m3_tensor *m3_reduce_(m3_builder *b, const char *op, m3_tensor *x, int axis, int keep)
{
    if (x == NULL) return NULL;
    m3_attr attr[2];
    attr[0] = m3_attr_int(axis < 0 ? axis + (int)x->shape.rank : axis);
    attr[1] = m3_attr_int(keep);
    return m3_emit(b, op, &x, 1, attr, 2);
}

/** Sum over one axis (axis < 0 from the last); M3_KEEP leaves extent 1. */
static inline m3_tensor *m3_reduce_sum(m3_builder *b, m3_tensor *x, int axis, int keep)
{
    return m3_reduce_(b, "reduce_sum", x, axis, keep);
}

/** Maximum over one axis; -infinity over an empty one. */
static inline m3_tensor *m3_reduce_max(m3_builder *b, m3_tensor *x, int axis, int keep)
{
    return m3_reduce_(b, "reduce_max", x, axis, keep);
}

/** Sum of all elements, rank 0. */
static inline m3_tensor *m3_sum_all(m3_builder *b, m3_tensor *x)
{
    if (x == NULL) return NULL;
    uint64_t count = m3_tensor_count(x);
    m3_tensor *flat = m3_reshape(b, x, m3_shape_of(1, &count));
    return m3_reduce_sum(b, flat, 0, M3_DROP);
}

/** Undo a broadcast: sum dy over the axes along which an x of this shape was repeated, neighbours of them at once, the
 * last first. */
static inline m3_tensor *m3_sum_to(m3_builder *b, m3_tensor *dy, const m3_shape *shape)
{
    if (dy == NULL || m3_shape_equal(&dy->shape, shape)) return dy;
    uint32_t lead = dy->shape.rank - shape->rank;
    for (uint32_t i = dy->shape.rank; dy != NULL && i-- > 0;) {
        m3_shape rows = dy->shape;
        if (rows.dim[i] == (i < lead ? 1 : shape->dim[i - lead])) continue;
        const uint32_t last = i;
        while (i > 0 && (i - 1 < lead || shape->dim[i - 1 - lead] == 1)) i--;
        for (uint32_t k = i + 1; k < rows.rank; k++) {
            if (k <= last)
                rows.dim[i] *= rows.dim[k];
            else
                rows.dim[i + k - last] = rows.dim[k];
        }
        rows.rank -= last - i;
        dy = m3_reduce_sum(b, m3_reshape(b, dy, rows), (int)i, M3_KEEP);
    }
    return dy == NULL ? NULL : m3_reshape(b, dy, *shape);
}

/* Products. */

/** a [..., M, K] x b [..., K, N] -> [..., M, N]; transpose_a: a is [..., K, M]; transpose_b: b is [..., N, K].
 * Leading axes broadcast. */
static inline m3_tensor *m3_matmul(m3_builder *b, m3_tensor *x, m3_tensor *y, bool transpose_a, bool transpose_b)
{
    m3_tensor *in[2] = {x, y};
    m3_attr attr[2];
    attr[0] = m3_attr_int(transpose_a);
    attr[1] = m3_attr_int(transpose_b);
    return m3_emit(b, "matmul", in, 2, attr, 2);
}

typedef enum m3_activation {
    M3_ACT_NONE = 0,
    M3_ACT_RELU = 1,
    M3_ACT_SILU = 2,
    M3_ACT_SIGMOID = 3,
    M3_ACT_TANH = 4
} m3_activation;

/** The fused product under m3_linear: y = gate( act(x w + bias + residual) ).
 *   x [(G,) M, K], or [(G,) K, M] when transpose_a;  w [(G,) K, N], or [(G,) N, K] when transpose_b
 *   bias [(G,) N] or NULL;  residual [(G,) M, N] or NULL;  gate [(G,) M, N] or NULL: y = 0 where gate <= 0
 * All with G or all without. Inputs: x, w, bias, residual, gate. Attributes: transpose_a, transpose_b, activation. */
static inline m3_tensor *m3_linear_node(m3_builder *b, m3_tensor *const in[5], bool transpose_a, bool transpose_b,
                                        m3_activation activation)
{
    m3_attr attr[3];
    attr[0] = m3_attr_int(transpose_a);
    attr[1] = m3_attr_int(transpose_b);
    attr[2] = m3_attr_int(activation);
    return m3_emit(b, "linear", in, 5, attr, 3);
}

/** y = act(x Wt + c), PyTorch's layout: x [..., K] with W [N, K], c [N]; or grouped x [G, ..., K] with W [G, N, K],
 * c [G, N]. c may be NULL. -> [..., N] */
static inline m3_tensor *m3_linear_act(m3_builder *b, m3_tensor *x, m3_tensor *w, m3_tensor *c,
                                       m3_activation activation)
{
    if (x == NULL || w == NULL) return NULL;
    if (x->shape.rank < 1 || w->shape.rank < 2 || w->shape.rank > 3 ||
        (w->shape.rank == 3 && (x->shape.rank < 2 || x->shape.dim[0] != w->shape.dim[0]))) {
        b->api->fail(b, M3_ERR_INVALID, "m3_linear: x [..., K] wants W [N, K]; x [G, ..., K] wants W [G, N, K]");
        return NULL;
    }
    m3_shape out = x->shape;
    uint64_t k = out.dim[out.rank - 1], n = w->shape.dim[w->shape.rank - 2], rows = 1;
    for (uint32_t i = w->shape.rank - 2; i + 1 < out.rank; i++) rows *= out.dim[i];
    uint64_t dim[3] = {out.dim[0], rows, k};
    m3_shape flat = w->shape.rank == 3 ? m3_shape_of(3, dim) : m3_shape_of(2, dim + 1);
    m3_tensor *in[5] = {m3_reshape(b, x, flat), w, c, NULL, NULL};
    m3_tensor *y = m3_linear_node(b, in, false, true, activation);
    out.dim[out.rank - 1] = n;
    return y == NULL ? NULL : m3_reshape(b, y, out);
}

static inline m3_tensor *m3_linear(m3_builder *b, m3_tensor *x, m3_tensor *w, m3_tensor *c)
{
    return m3_linear_act(b, x, w, c, M3_ACT_NONE);
}

/* Rows. */

/** table [N, ...], ids i32 [...] -> [ids..., ...]: row ids[i]; ids outside 0..N-1, and `skip`, give zeros (skip < 0:
 * none). In the gradient such ids contribute nothing: skip 0 keeps the padding item still. */
static inline m3_tensor *m3_gather(m3_builder *b, m3_tensor *table, m3_tensor *ids, int64_t skip)
{
    m3_tensor *in[2] = {table, ids};
    m3_attr attr = m3_attr_int(skip);
    return m3_emit(b, "gather", in, 2, &attr, 1);
}

/** ids i32 [R], rows [R, d...] -> [count, d...]: the sum of the rows of each id in their order, zeros elsewhere.
 * ids outside 0..count-1, and skip, contribute nothing. */
static inline m3_tensor *m3_scatter_add(m3_builder *b, m3_tensor *ids, m3_tensor *rows, uint64_t count, int64_t skip)
{
    m3_tensor *in[2] = {ids, rows};
    m3_attr attr[2];
    attr[0] = m3_attr_int((int64_t)count);
    attr[1] = m3_attr_int(skip);
    return m3_emit(b, "scatter_add", in, 2, attr, 2);
}

/** Sum rows that share an id, in their order: ids i32 [R], rows [R, d] -> ids' [R] (distinct, rising, then -1 to the
 * end), rows' [R, d] (zeros behind the last distinct id). Negative ids and `skip` are left out. */
static inline void m3_group_rows(m3_builder *b, m3_tensor *ids, m3_tensor *rows, int64_t skip, m3_tensor *out[2])
{
    m3_tensor *in[2] = {ids, rows};
    m3_attr attr = m3_attr_int(skip);
    b->api->emit(b, "group_rows", in, 2, &attr, 1, out, 2);
}

/** The k largest of the last axis, falling; equal values in rising index order; NaN counts as -infinity.
 * x [..., L] -> out[0] [..., k], out[1] i32 [..., k] */
static inline void m3_top_k(m3_builder *b, m3_tensor *x, uint64_t k, m3_tensor *out[2])
{
    m3_attr attr = m3_attr_int((int64_t)k);
    b->api->emit(b, "top_k", &x, 1, &attr, 1, out, 2);
}

/** i32 shape with the index along one axis (axis >= 0). */
static inline m3_tensor *m3_iota(m3_builder *b, m3_shape shape, int axis)
{
    m3_attr attr[2];
    attr[0] = m3_attr_shape(&shape);
    attr[1] = m3_attr_int(axis);
    return m3_emit(b, "iota", NULL, 0, attr, 2);
}

/* Blocks of networks (fused; every one decomposes into the above). */

/** y = (x - mean) / sqrt(var + eps) * gamma + beta over the last axis. gamma, beta [d]; or grouped [G, d] with x
 * [G, ..., d]. */
static inline m3_tensor *m3_layer_norm(m3_builder *b, m3_tensor *x, m3_tensor *gamma, m3_tensor *beta, double eps)
{
    m3_tensor *in[3] = {x, gamma, beta};
    m3_attr attr = m3_attr_float(eps);
    return m3_emit(b, "layer_norm", in, 3, &attr, 1);
}

/** Probabilities over the valid entries of the last axis; a row with none gives zeros, never NaN.
 * x [..., L], mask bool broadcastable to x. */
static inline m3_tensor *m3_masked_softmax(m3_builder *b, m3_tensor *x, m3_tensor *mask)
{
    return m3_emit2(b, "masked_softmax", x, mask);
}

/** Multi-head attention without its projections (MODEL.md 4): heads lie side by side in the last axis.
 * q [..., Lq, d], k and v [..., Lk, d], mask bool [..., Lk] -> [..., Lq, d]; scale 1/sqrt(d/heads).
 * A query with no valid key gives 0. */
static inline m3_tensor *m3_attention(m3_builder *b, m3_tensor *q, m3_tensor *k, m3_tensor *v, m3_tensor *mask,
                                      uint32_t heads)
{
    m3_tensor *in[4] = {q, k, v, mask};
    m3_attr attr = m3_attr_int(heads);
    return m3_emit(b, "attention", in, 4, &attr, 1);
}

/** The same of operands that one product made side by side: q [..., Lq, d], kv [..., Lk, 2 d], k before v; or kv NULL
 * and q [..., L, 3 d], all three. Since ABI 1.2. */
static inline m3_tensor *m3_attention_packed(m3_builder *b, m3_tensor *q, m3_tensor *kv, m3_tensor *mask,
                                             uint32_t heads)
{
    m3_tensor *in[M3_ATTENTION_PACKED_INPUTS] = {q, kv, mask};
    m3_attr attr = m3_attr_int(heads);
    return m3_emit(b, "attention_packed", in, M3_ATTENTION_PACKED_INPUTS, &attr, 1);
}

/** One GRU step (PyTorch's gates r, z, n): xi [..., 3d] = input projection, hh [..., 3d] = hidden projection,
 * h [..., d], mask bool [...]; where the mask is false h stays. -> h' [..., d] */
static inline m3_tensor *m3_gru_cell(m3_builder *b, m3_tensor *xi, m3_tensor *hh, m3_tensor *h, m3_tensor *mask)
{
    m3_tensor *in[4] = {xi, hh, h, mask};
    return m3_emit(b, "gru_cell", in, 4, NULL, 0);
}

/** -log softmax(logits)[target]: logits [n, C], target i32 [n] in 0..C-1 -> [n]. A target outside gives 0. */
static inline m3_tensor *m3_softmax_cross_entropy(m3_builder *b, m3_tensor *logits, m3_tensor *target)
{
    return m3_emit2(b, "softmax_cross_entropy", logits, target);
}

/* Training. */

/** The square root of the sum of the squares of all elements of g[0 .. count-1]. */
static inline m3_tensor *m3_global_norm(m3_builder *b, m3_tensor *const *g, uint32_t count)
{
    return m3_emit(b, "global_norm", g, count, NULL, 0);
}

typedef struct m3_adamw_rates {
    double beta1, beta2, eps, weight_decay;
} m3_adamw_rates;

/** One AdamW step over a tensor p with its moments m, v and its gradient g, of one shape; out: the next p, m, v.
 * step f32 [3] = {lr, 1 - beta1^t, 1 - beta2^t}; scale f32, a factor of g. */
static inline void m3_adamw(m3_builder *b, const m3_adamw_rates *rates, m3_tensor *step, m3_tensor *scale,
                            m3_tensor *const pmvg[4], m3_tensor *out[3])
{
    m3_tensor *in[6] = {step, scale, pmvg[0], pmvg[1], pmvg[2], pmvg[3]};
    m3_attr attr[M3_ADAMW_ATTRS];
    attr[M3_ADAMW_BETA1] = m3_attr_float(rates->beta1);
    attr[M3_ADAMW_BETA2] = m3_attr_float(rates->beta2);
    attr[M3_ADAMW_EPS] = m3_attr_float(rates->eps);
    attr[M3_ADAMW_WEIGHT_DECAY] = m3_attr_float(rates->weight_decay);
    b->api->emit(b, "adamw", in, 6, attr, M3_ADAMW_ATTRS, out, 3);
}

/** The same over the rows `ids` (distinct) of a table p, whose gradients are `rows`; the other rows stay. */
static inline void m3_adamw_rows(m3_builder *b, const m3_adamw_rates *rates, m3_tensor *step, m3_tensor *scale,
                                 m3_tensor *const pmv[3], m3_tensor *ids, m3_tensor *rows, m3_tensor *out[3])
{
    m3_tensor *in[M3_ADAMW_ROWS_INPUTS] = {step, scale, pmv[0], pmv[1], pmv[2], ids, rows};
    m3_attr attr[M3_ADAMW_ROWS_ATTRS];
    attr[M3_ADAMW_ROWS_BETA1] = m3_attr_float(rates->beta1);
    attr[M3_ADAMW_ROWS_BETA2] = m3_attr_float(rates->beta2);
    attr[M3_ADAMW_ROWS_EPS] = m3_attr_float(rates->eps);
    attr[M3_ADAMW_ROWS_WEIGHT_DECAY] = m3_attr_float(rates->weight_decay);
    b->api->emit(b, "adamw_rows", in, M3_ADAMW_ROWS_INPUTS, attr, M3_ADAMW_ROWS_ATTRS, out, M3_ADAMW_ROWS_OUTPUTS);
}

/** table with row ids[i] replaced by rows[i]; ids outside are left out, the others are distinct. */
static inline m3_tensor *m3_scatter_rows(m3_builder *b, m3_tensor *table, m3_tensor *ids, m3_tensor *rows)
{
    m3_tensor *in[M3_SCATTER_ROWS_INPUTS] = {table, ids, rows};
    return m3_emit(b, "scatter_rows", in, M3_SCATTER_ROWS_INPUTS, NULL, 0);
}

/* Draws: Philox4x32-10. rng is u32 [3] = {seed low, seed high, step}; site tells the draws of a step apart. */

/** u32 bits: element e is word e mod 4 of philox(counter {e/4 low 32 bits, site, step, e/4 high bits}, key seed). */
static inline m3_tensor *m3_philox(m3_builder *b, m3_tensor *rng, m3_shape shape, uint32_t site)
{
    m3_attr attr[2];
    attr[0] = m3_attr_shape(&shape);
    attr[1] = m3_attr_int(site);
    return m3_emit(b, "philox", &rng, 1, attr, 2);
}

/** f32 in [0, 1): (bits >> 8) * 2^-24. */
static inline m3_tensor *m3_random_uniform(m3_builder *b, m3_tensor *rng, m3_shape shape, uint32_t site)
{
    m3_attr attr[2];
    attr[0] = m3_attr_shape(&shape);
    attr[1] = m3_attr_int(site);
    return m3_emit(b, "random_uniform", &rng, 1, attr, 2);
}

/** f32 standard normal by Box-Muller: with pair p = e/2 of consecutive uniforms (u, v),
 * r = sqrt(-2 log(1 - u)), e even: r cos(2 pi v), e odd: r sin(2 pi v). */
static inline m3_tensor *m3_random_normal(m3_builder *b, m3_tensor *rng, m3_shape shape, uint32_t site)
{
    m3_attr attr[2];
    attr[0] = m3_attr_shape(&shape);
    attr[1] = m3_attr_int(site);
    return m3_emit(b, "random_normal", &rng, 1, attr, 2);
}

/** x / (1 - rate) where a uniform draw of the site is at least rate, else 0. m3_dropout takes rate, rng and a site from
 * the builder. */
static inline m3_tensor *m3_dropout_node(m3_builder *b, m3_tensor *x, m3_tensor *rng, double rate, uint32_t site)
{
    m3_tensor *in[M3_DROPOUT_INPUTS] = {x, rng};
    m3_attr attr[M3_DROPOUT_ATTRS];
    attr[M3_DROPOUT_RATE] = m3_attr_float(rate);
    attr[M3_DROPOUT_SITE] = m3_attr_int(site);
    return m3_emit(b, "dropout", in, M3_DROPOUT_INPUTS, attr, M3_DROPOUT_ATTRS);
}

/* Draws of one part of a batch, by elements' places in the whole, since ABI 1.4. rng is u32 [5] = {seed low, seed high,
 * step, part, parts}: the shape has part `part`, from 0 on, of `parts` parts of one size. `repeats` is how often the
 * part's samples stand in it, one behind the other: 1 for [n, ...], B for [B, n, ...]; above 1 the elements of each
 * time are a multiple of 4. n samples as one part of `parts` are drawn as they are in n * parts samples at once, if
 * theirs are a multiple of 4. */

static inline m3_tensor *m3_draw_part(m3_builder *b, const char *op, m3_tensor *rng, m3_shape shape, uint32_t site,
                                      uint32_t repeats)
{
    m3_attr attr[3];
    attr[0] = m3_attr_shape(&shape);
    attr[1] = m3_attr_int(site);
    attr[2] = m3_attr_int(repeats);
    return m3_emit(b, op, &rng, 1, attr, 3);
}

/** u32 bits: with chunk = count / repeats, blocks = ceil(chunk / 4) and e = o chunk + r, element e is word r mod 4 of
 * block (o parts + part) blocks + r/4, as in m3_philox. */
static inline m3_tensor *m3_philox_part(m3_builder *b, m3_tensor *rng, m3_shape shape, uint32_t site, uint32_t repeats)
{
    return m3_draw_part(b, "philox_part", rng, shape, site, repeats);
}

/** m3_random_uniform of these bits. */
static inline m3_tensor *m3_random_uniform_part(m3_builder *b, m3_tensor *rng, m3_shape shape, uint32_t site,
                                                uint32_t repeats)
{
    return m3_draw_part(b, "random_uniform_part", rng, shape, site, repeats);
}

/** m3_random_normal of these bits. */
static inline m3_tensor *m3_random_normal_part(m3_builder *b, m3_tensor *rng, m3_shape shape, uint32_t site,
                                               uint32_t repeats)
{
    return m3_draw_part(b, "random_normal_part", rng, shape, site, repeats);
}

/** m3_dropout_node by these bits. */
static inline m3_tensor *m3_dropout_part_node(m3_builder *b, m3_tensor *x, m3_tensor *rng, double rate, uint32_t site,
                                              uint32_t repeats)
{
    m3_tensor *in[M3_DROPOUT_PART_INPUTS] = {x, rng};
    m3_attr attr[M3_DROPOUT_PART_ATTRS];
    attr[M3_DROPOUT_PART_RATE] = m3_attr_float(rate);
    attr[M3_DROPOUT_PART_SITE] = m3_attr_int(site);
    attr[M3_DROPOUT_PART_REPEATS] = m3_attr_int(repeats);
    return m3_emit(b, "dropout_part", in, M3_DROPOUT_PART_INPUTS, attr, M3_DROPOUT_PART_ATTRS);
}

#ifdef __cplusplus
}
#endif
#endif
