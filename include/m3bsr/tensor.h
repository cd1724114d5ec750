/* tensor: types, shapes, tensors and nodes as everyone sees them: builders, ops, passes and backends.
 * Graph objects are owned by their graph; everybody else borrows and must not write. */
#ifndef M3BSR_TENSOR_H
#define M3BSR_TENSOR_H

#include "m3bsr/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Element types. f16 and bf16 are storage only; f64 exists on the reference backend alone, for gradient checks.
 * A backend refuses (supports) what it does not know. */
typedef enum m3_dtype {
    M3_F32 = 0,
    M3_I32 = 1,
    M3_U32 = 2,
    M3_U8 = 3,
    M3_BOOL = 4, /**< one byte, 0 or 1 */
    M3_F16 = 5,
    M3_BF16 = 6,
    M3_F64 = 7
} m3_dtype;

/** Bytes of one element; 0 for an unknown type. */
static inline size_t m3_dtype_bytes(m3_dtype dtype)
{
    switch (dtype) {
    case M3_F32:
    case M3_I32:
    case M3_U32: return 4;
    case M3_U8:
    case M3_BOOL: return 1;
    case M3_F16:
    case M3_BF16: return 2;
    case M3_F64: return 8;
    }
    return 0;
}

static inline const char *m3_dtype_name(m3_dtype dtype)
{
    switch (dtype) {
    case M3_F32: return "f32";
    case M3_I32: return "i32";
    case M3_U32: return "u32";
    case M3_U8: return "u8";
    case M3_BOOL: return "bool";
    case M3_F16: return "f16";
    case M3_BF16: return "bf16";
    case M3_F64: return "f64";
    }
    return "unknown";
}

static inline bool m3_dtype_is_float(m3_dtype dtype)
{
    return dtype == M3_F32 || dtype == M3_F64 || dtype == M3_F16 || dtype == M3_BF16;
}

/** A float of 16 bits. */
static inline bool m3_dtype_is_half(m3_dtype dtype)
{
    return dtype == M3_F16 || dtype == M3_BF16;
}

enum { M3_MAX_RANK = 6 };

/** Dense row-major extents. rank 0 is a scalar; an extent may be 0. */
typedef struct m3_shape {
    uint32_t rank;
    uint64_t dim[M3_MAX_RANK];
} m3_shape;

static inline uint64_t m3_shape_count(const m3_shape *shape)
{
    uint64_t count = 1;
    for (uint32_t i = 0; i < shape->rank; i++) count *= shape->dim[i];
    return count;
}

static inline bool m3_shape_equal(const m3_shape *a, const m3_shape *b)
{
    if (a->rank != b->rank) return false;
    for (uint32_t i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

/** NumPy's rule: aligned at the last axis, each extent of x equals that of to, or is 1, or is missing. */
static inline bool m3_shape_broadcasts_to(const m3_shape *x, const m3_shape *to)
{
    if (x->rank > to->rank) return false;
    for (uint32_t i = 0; i < x->rank; i++) {
        uint64_t d = x->dim[i];
        if (d != 1 && d != to->dim[to->rank - x->rank + i]) return false;
    }
    return true;
}

/** "[3, 5]" into text; returns text. 128 bytes hold any shape. */
static inline const char *m3_shape_text(const m3_shape *shape, char *text, size_t bytes)
{
    size_t at = (size_t)snprintf(text, bytes, "[");
    for (uint32_t i = 0; i < shape->rank && at < bytes; i++)
        at += (size_t)snprintf(text + at, bytes - at, "%s%llu", i != 0 ? ", " : "", (unsigned long long)shape->dim[i]);
    if (at < bytes) (void)snprintf(text + at, bytes - at, "]");
    return text;
}

typedef enum m3_tensor_kind {
    M3_INPUT = 0,     /**< given by the caller before each run */
    M3_CONSTANT = 1,  /**< data lies in the graph */
    M3_PARAMETER = 2, /**< trained; lives in a store under its name */
    M3_STATE = 3,     /**< moments, counters, frozen features; lives in a store under its name */
    M3_TEMPORARY = 4  /**< made by a node */
} m3_tensor_kind;

/** How a parameter or state starts. */
typedef enum m3_init_kind { M3_INIT_CONSTANT = 0, M3_INIT_NORMAL = 1 } m3_init_kind;
typedef struct m3_init {
    m3_init_kind kind;
    float value;        /**< the constant, or the standard deviation */
    uint32_t zero_rows; /**< so many leading rows of axis 0 start as zero (the padding item) */
} m3_init;

typedef struct m3_node m3_node;
typedef struct m3_op m3_op;

/** One value of the graph. */
typedef struct m3_tensor {
    uint32_t size; /**< of this struct, to the end of the last member */
    uint32_t id;   /**< dense index in its graph */
    m3_tensor_kind kind;
    m3_dtype dtype;
    m3_shape shape;
    const char *name;        /**< full dotted name; "" for most temporaries, never NULL */
    const m3_node *producer; /**< NULL unless temporary */
    uint32_t output;         /**< which output of the producer */
    m3_init init;            /**< parameters and states */
    const void *data;        /**< constants: row-major elements of dtype; else NULL */
} m3_tensor;

static inline uint64_t m3_tensor_count(const m3_tensor *x)
{
    return m3_shape_count(&x->shape);
}

static inline uint64_t m3_tensor_bytes(const m3_tensor *x)
{
    return m3_tensor_count(x) * m3_dtype_bytes(x->dtype);
}

/** One attribute of a node. Which member counts is said by the op's attribute list. */
typedef struct m3_attr {
    uint32_t count;         /**< of i, for M3_ATTR_INTS */
    int64_t i[M3_MAX_RANK]; /**< i[0] for M3_ATTR_INT */
    double f;               /**< M3_ATTR_FLOAT */
} m3_attr;

/** One application of an op. */
struct m3_node {
    uint32_t size;
    uint32_t id; /**< dense index in its graph, in an order that respects dependence */
    const m3_op *op;
    const char *scope; /**< where the builder stood, e.g. "experts.shared.layer0"; never NULL */
    uint32_t in_count, out_count;
    m3_tensor *const *in; /**< an absent optional input is NULL */
    m3_tensor *const *out;
    const m3_attr *attr; /**< op->attr_count entries, in the op's order */
};

#ifdef __cplusplus
}
#endif
#endif
