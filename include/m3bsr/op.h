/* op: what an operation is. Core ops carry their meaning (evaluate); fused ops and most custom ops carry a
 * decomposition into other ops instead. Plugins bring custom ops in the same form. */
#ifndef M3BSR_OP_H
#define M3BSR_OP_H

#include "m3bsr/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct m3_builder m3_builder;

typedef enum m3_attr_kind { M3_ATTR_INT = 0, M3_ATTR_INTS = 1, M3_ATTR_FLOAT = 2 } m3_attr_kind;

typedef struct m3_attr_desc {
    const char *name;
    m3_attr_kind kind;
} m3_attr_desc;

/** Type and shape of an output, as the shape rule says. */
typedef struct m3_tensor_desc {
    m3_dtype dtype;
    m3_shape shape;
} m3_tensor_desc;

/** Flags of an op. Unknown bits are ignored. */
enum {
    M3_OP_ALIAS = 1u << 0,   /**< output 0 is input 0's bytes under another shape: no kernel, no copy */
    M3_OP_INPLACE = 1u << 1, /**< output j may lie exactly on an input of the same type and shape when this node is
                                  the last to read it (each element is read before it is written, by its own writer) */
    M3_OP_UPDATES = 1u << 2, /**< outputs replace inputs listed in `update_of`, which they may overwrite in place,
                                  row by row, without touching the rest */
    M3_OP_DRAWS = 1u << 3    /**< depends on its site attribute: equal nodes are still the same draw */
};

/** Source or binary of a custom kernel. The backend that knows the language uses it; others use the decomposition. */
typedef struct m3_kernel_desc {
    uint32_t size;
    const char *language; /**< "opencl-c", "spirv", "c" */
    const void *code;     /**< text ends with NUL; for "c" a function pointer of type m3_c_kernel */
    uint64_t code_bytes;
    const char *entry;       /**< buffers are bound inputs first, then outputs, then the scalar block: elements of
                                  the grid output (u32), then the attributes in order: integers as i32, those of a
                                  list one by one, others as f32. OpenCL: arguments; SPIR-V: push constants */
    uint32_t local[3];       /**< work-group size; 0 leaves it to the backend */
    uint32_t grid_output;    /**< the grid is counted over this output's extents: */
    uint32_t grid_divide[3]; /**< ceil(count of elements / divide) for x; y and z are 1 when 0 */
} m3_kernel_desc;

/** A custom kernel in C: the node, and pointers to its inputs and outputs in the tensors' own types. */
typedef m3_status (*m3_c_kernel)(const m3_node *node, const void *const *in, void *const *out, m3_error *err);

struct m3_op {
    uint32_t size; /**< M3_STRUCT_SIZE(m3_op, the last member you know) */
    const char *name;
    uint32_t flags;
    uint32_t min_inputs, max_inputs; /**< inputs from min on may be NULL; max UINT32_MAX: any number */
    uint32_t outputs;                /**< 0: as many as `count_outputs` says */
    const m3_attr_desc *attrs;
    uint32_t attr_count;

    /** Shape and type rule: check inputs and attributes, fill out[0 .. outputs-1].
     * node->out is not there yet. Write a message that names what is wrong, both values and the mend. */
    m3_status (*infer)(const m3_node *node, m3_tensor_desc *out, m3_error *err);

    /** Append ops that compute dx[i] from dy[j]; dx starts as NULL = no gradient. dy[j] is NULL where output j
     * does not lead to the loss. NULL function: the op cannot be differentiated; see also `zero_gradient`. */
    void (*gradient)(m3_builder *b, const m3_node *node, m3_tensor *const *dy, m3_tensor **dx);

    /** Fused ops: build the same with core ops (or simpler fused ones); fill y[0 .. outputs-1]. Core ops: NULL. */
    void (*decompose)(m3_builder *b, const m3_node *node, m3_tensor **y);

    /** Core ops: the meaning, in double precision. Every array, whatever its type, comes as doubles (integers are
     * exact, bool is 0 or 1), row-major by the tensor's shape; the caller rounds to the output's type. in[i] is NULL
     * for an absent input. Must not keep pointers. Fused ops may leave it NULL. */
    m3_status (*evaluate)(const m3_node *node, const double *const *in, double *const *out, m3_error *err);

    /** Floating-point operations of a run; NULL counts one per element of output 0. */
    uint64_t (*flops)(const m3_node *node);

    /** Variadic outputs: how many for these inputs. NULL when `outputs` is fixed. */
    uint32_t (*count_outputs)(const m3_node *node);

    /** M3_OP_UPDATES: index of the input that output j replaces, or -1. */
    int32_t (*update_of)(const m3_node *node, uint32_t output);

    m3_span kernels; /**< of m3_kernel_desc; empty for built-in ops, whose kernels the backends have */

    /** The true derivative is zero or not wanted (comparisons, draws, indices): a path through it stops silently. */
    bool zero_gradient;
};

/** "layer_norm 'experts.shared.norm1'" for messages. */
static inline const char *m3_node_label(const m3_node *node, char *text, size_t bytes)
{
    (void)snprintf(text, bytes, "%s '%s' (node %u)", node->op->name, node->scope, node->id);
    return text;
}

/** Fail a shape rule: M3_FAIL_NODE(err, node, "gamma is %s, ...", ...). */
#define M3_FAIL_NODE(err, node, ...)                                                                                   \
    m3_error_set((err), M3_ERR_INVALID, __FILE__, __LINE__,                                                            \
                 m3_node_label((node), (char[M3_ERROR_SUBJECT]){0}, M3_ERROR_SUBJECT), __VA_ARGS__)

/** A shape as text inside an expression, e.g. as an argument of M3_FAIL_NODE. */
#define M3_SHAPE_TEXT(shape) m3_shape_text((shape), (char[128]){0}, 128)

#ifdef __cplusplus
}
#endif
#endif
