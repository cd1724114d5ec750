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
    M3_OP_DRAWS = 1u << 3,   /**< depends on its site attribute: equal nodes are still the same draw */

    /* Since ABI 1.2: what the passes may do with a node. */
    M3_OP_ELEMENTWISE = 1u << 4,  /**< the one output has the shape that the inputs broadcast to, and an element of it
                                       depends on the elements at its place alone; see also `row_axis` */
    M3_OP_SLICE = 1u << 5,        /**< output 0 is the part of input 0 that starts at attribute 0, an index an axis */
    M3_OP_ROW_SUM = 1u << 6,      /**< output 0 is zero but for rows (input 1), summed by their ids (input 0): the
                                       gradient of a table that is only gathered from */
    M3_OP_MULTI_TENSOR = 1u << 7, /**< nodes with equal attributes and the same first `shared_inputs` inputs may become
                                      one node: their other inputs follow each other, and so do their outputs */
    M3_OP_CONCAT = 1u << 8 /**< output 0 is all inputs one behind the other along the axis that attribute 0 says */
};

/** What an elementwise op is when it runs in the epilogue of another op's kernel, on results that are still in
 * registers. Unknown values are ignored: such a node stays on its own. Since ABI 1.2. */
typedef enum m3_epilogue {
    M3_EPILOGUE_NONE = 0,
    M3_EPILOGUE_RELU = 1, /**< activations of input 0, numbered as m3_activation (builder.h) */
    M3_EPILOGUE_SILU = 2,
    M3_EPILOGUE_SIGMOID = 3,
    M3_EPILOGUE_TANH = 4,
    M3_EPILOGUE_RESIDUAL = 16, /**< input 0 + input 1, of which either is the result; the other is the operand */
    M3_EPILOGUE_GATE = 17      /**< input 1, the result, where input 0, the operand, is above 0; else 0 */
} m3_epilogue;

/** Answers of `row_axis` that are no axis. */
enum {
    M3_ROWS_ALL = -1,  /**< every row needs all of this input */
    M3_ROWS_MIXED = -2 /**< the rows depend on each other */
};

/** An op described for people; `m3bsr ops` prints it. Several lines are separated by newlines. Since ABI 1.2. */
typedef struct m3_op_doc {
    uint32_t size;
    uint32_t input_count;       /**< Number of names; of an op with any number of inputs, the first ones. */
    uint32_t output_count;      /**< Likewise. */
    const char *const *inputs;  /**< [input_count] */
    const char *const *outputs; /**< [output_count] */
    const char *const *attrs;   /**< [m3_op.attr_count]: what each is; NULL when there are none. */
    const char *summary;        /**< What it computes, in a few words. */
    const char *types;
    const char *shapes;   /**< "a [..., M, K], b [..., K, N] -> y [..., M, N]" */
    const char *formula;  /**< The values of the outputs. */
    const char *gradient; /**< The gradients of the inputs, or why none passes. */
    const char *special;  /**< What happens with NaN, infinity and, where it matters, negative zero or nothing. */
} m3_op_doc;

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

/** What `m3bsr conformance` runs a custom op with, as text. Words behind a shape say what fills it; without them floats
 * are standard normal and integers small.
 *   inputs  "f32[2,3]; i32[5] ids 3; -"   type, extents, words; ';' between inputs; '-' is an absent one
 *           words: normal, positive, wide (30 times normal), special (NaN, infinities, zeros, tiny and huge),
 *           ties (whole numbers -2 to 2), value X, small, ids N (-2 to N + 1), random, mask (left-padded), true, false
 *   attrs   "1,0; 2.5"                     one entry for each attribute in the op's order; "" when it has none */
typedef struct m3_op_case {
    uint32_t size;
    const char *inputs, *attrs;
} m3_op_case;

/** An element of a table of cases: M3_OP_CASE("f32[4,7]; f32[7] positive", "1"). */
#define M3_OP_CASE(inputs_, attrs_)                                                                                    \
    {                                                                                                                  \
        .size = M3_STRUCT_SIZE(m3_op_case, attrs), .inputs = (inputs_), .attrs = (attrs_)                              \
    }

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

    /* Since ABI 1.2. All of it is optional: NULL or 0 when there is nothing to say. */

    const m3_op_doc *doc;

    /** Row sinking: the axis of an input whose row r, with nothing else of this input, makes row r of `axis` of
     * output 0; or M3_ROWS_ALL, or M3_ROWS_MIXED. M3_OP_ELEMENTWISE has an answer already. */
    int32_t (*row_axis)(const m3_node *node, uint32_t axis, uint32_t input);

    /** The index of an input that output 0 always equals, as in x + 0, or -1. Constants have their data. */
    int32_t (*repeats)(const m3_node *node);

    /** Add up outputs 0 of `count` >= 2 nodes of this op, which have one shape, with less work than by adding: fill
     * taken[i] for what went in. NULL: there is nothing to save. Used for gradients that meet at one tensor. */
    m3_tensor *(*accumulate)(m3_builder *b, const m3_node *const *nodes, uint32_t count, bool *taken);

    /** This node again, with one more step in its epilogue. `operand` is the step's other input under the shape of
     * output 0, or NULL for an activation. NULL: the epilogue has no place for it. */
    m3_tensor *(*absorb)(m3_builder *b, const m3_node *node, m3_epilogue step, m3_tensor *operand);

    /** Bytes that a run reads and writes; NULL counts every input and output once. */
    uint64_t (*bytes)(const m3_node *node);

    m3_epilogue epilogue;   /**< What this op is in another's epilogue. */
    uint32_t shared_inputs; /**< M3_OP_MULTI_TENSOR: the number of leading inputs that nodes have in common. */

    /** Of m3_op_case: what `m3bsr conformance` compares a custom op by. In double precision f32 inputs are f64, so
     * infer takes f64 as it takes f32. `evaluate` (without it `decompose`) says what must come out; `decompose`, and
     * every kernel for which a device is there, are compared with it, and the gradient with difference quotients. An op
     * without cases is reported as such. Built-in ops have a list of their own. Since ABI 1.2. */
    m3_span cases;

    /** Bit i: input i may be f16 or bf16 in the place of f32, all of these inputs of one type. The op is then computed
     * as in f32, and what `infer` gives that type is rounded once, at the end. On a device that does not take it, casts
     * to f32 and back stand around the op of f32. Since ABI 1.2. */
    uint32_t halves;

    /** Outputs 0 of `count` >= 2 nodes of this op, side by side along their last axis, as one node that does less work;
     * the nodes have one output each, whose other axes are the same. NULL: there is nothing to save, or they cannot.
     * Since ABI 1.2. */
    m3_tensor *(*join)(m3_builder *b, const m3_node *const *nodes, uint32_t count);

    /** The same result from inputs `first` to `last` side by side along the last axis of one tensor, `joined`.
     * NULL: there is no op that takes them so. Since ABI 1.2. */
    m3_tensor *(*side_by_side)(m3_builder *b, const m3_node *node, uint32_t first, uint32_t last, m3_tensor *joined);
};

/** A member that an older op may lack: it is NULL or 0 then. */
#define M3_OP_MEMBER(op, member) (M3_HAS((op), m3_op, member) ? (op)->member : 0)

/** Does the node compute over operands of 16 bits that stand in the place of f32 (m3_op.halves)? */
static inline bool m3_node_has_halves(const m3_node *node)
{
    const uint32_t halves = M3_OP_MEMBER(node->op, halves);
    for (uint32_t i = 0; i < node->in_count && i < 32; i++)
        if ((halves >> i & 1u) != 0 && node->in[i] != NULL && m3_dtype_is_half(node->in[i]->dtype)) return true;
    return false;
}

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
