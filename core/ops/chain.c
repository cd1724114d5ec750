/* chain: a run of elementwise ops as one node, so that what passes between them never reaches memory. The pass of this
 * name makes it of nodes that are there, after gradients; a step means what the op of its name means, types included: a
 * cast to bf16 and back is a rounding. */
#include "core/ops/common/chain.h"

#include "core/ops/common/fused.h"
#include "core/ops/common/list.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("x"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("Steps whose values are the outputs, up to 4, counted from 0.",
                      "Steps 1 to 6, each a number of four pairs of digits: function, operands a, b, c.",
                      "Steps 7 to 12.", "Steps 13 to 18."),
    .summary = "Run of elementwise ops as one node",
    .types = "x, y: any, by the rules of the steps' ops",
    .shapes = "x: up to 10, which broadcast as NumPy does -> y, of the shape of all of them together",
    .formula = "step s = f(values a, b, c), value k is input k or, from the number of inputs n on, step k - n\n"
               "f: 0 neg, 1 abs, 2 exp, 3 log, 4 sqrt, 5 sin, 6 cos, 7 tanh, 8 floor, 9 sigmoid, 10 relu, 11 silu,\n"
               "12 log1p, 13 expm1, 14 erf, 15 softplus, 16 gelu, 17 not, 18 cast to type b, 19 add, 20 sub, 21 mul,\n"
               "22 div, 23 pow, 24 max, 25 min, 26 equal, 27 less, 28 less_equal, 29 and, 30 or, 31 relu_grad,\n"
               "32 where",
    .gradient = "None: chains are made when there are gradients already.",
    .special = "As each step's op.",
};

static const m3_op *const functions[M3_CHAIN_FUNCTIONS] = {
    [M3_CHAIN_NEG] = &m3_op_neg,
    [M3_CHAIN_ABS] = &m3_op_abs,
    [M3_CHAIN_EXP] = &m3_op_exp,
    [M3_CHAIN_LOG] = &m3_op_log,
    [M3_CHAIN_SQRT] = &m3_op_sqrt,
    [M3_CHAIN_SIN] = &m3_op_sin,
    [M3_CHAIN_COS] = &m3_op_cos,
    [M3_CHAIN_TANH] = &m3_op_tanh,
    [M3_CHAIN_FLOOR] = &m3_op_floor,
    [M3_CHAIN_SIGMOID] = &m3_op_sigmoid,
    [M3_CHAIN_RELU] = &m3_op_relu,
    [M3_CHAIN_SILU] = &m3_op_silu,
    [M3_CHAIN_LOG1P] = &m3_op_log1p,
    [M3_CHAIN_EXPM1] = &m3_op_expm1,
    [M3_CHAIN_ERF] = &m3_op_erf,
    [M3_CHAIN_SOFTPLUS] = &m3_op_softplus,
    [M3_CHAIN_GELU] = &m3_op_gelu,
    [M3_CHAIN_NOT] = &m3_op_not,
    [M3_CHAIN_CAST] = &m3_op_cast,
    [M3_CHAIN_ADD] = &m3_op_add,
    [M3_CHAIN_SUB] = &m3_op_sub,
    [M3_CHAIN_MUL] = &m3_op_mul,
    [M3_CHAIN_DIV] = &m3_op_div,
    [M3_CHAIN_POW] = &m3_op_pow,
    [M3_CHAIN_MAX] = &m3_op_max,
    [M3_CHAIN_MIN] = &m3_op_min,
    [M3_CHAIN_EQUAL] = &m3_op_equal,
    [M3_CHAIN_LESS] = &m3_op_less,
    [M3_CHAIN_LESS_EQUAL] = &m3_op_less_equal,
    [M3_CHAIN_AND] = &m3_op_and,
    [M3_CHAIN_OR] = &m3_op_or,
    [M3_CHAIN_RELU_GRAD] = &m3_op_relu_grad,
    [M3_CHAIN_WHERE] = &m3_op_where,
};

const m3_op *m3_chain_op(uint32_t function)
{
    return functions[function];
}

uint32_t m3_chain_function_of(const m3_op *op)
{
    uint32_t function = 0;
    while (function < M3_CHAIN_FUNCTIONS && functions[function] != op) function++;
    return function;
}

bool m3_chain_repeats(const m3_op *op)
{
    return op == &m3_op_broadcast;
}

int64_t m3_chain_pack(uint32_t function, const uint32_t operand[3])
{
    return (int64_t)function * 1000000 + operand[0] * 10000 + operand[1] * 100 + operand[2];
}

/* The counts of the lists and the ranges of all numbers, so that what follows may read steps. */
static m3_status check_tape(const m3_node *node, m3_error *err)
{
    const m3_attr *results = &node->attr[M3_CHAIN_RESULTS];
    const uint32_t steps = m3_chain_length(node);
    if (node->in_count > M3_CHAIN_MAX_INPUTS)
        return M3_FAIL_NODE(err, node, "%u inputs; give at most %d", node->in_count, M3_CHAIN_MAX_INPUTS);
    for (uint32_t list = M3_CHAIN_STEPS; list <= M3_CHAIN_STEPS13; list++) {
        const bool full = list == M3_CHAIN_STEPS || node->attr[list - 1].count == M3_MAX_RANK;
        if (node->attr[list].count > M3_MAX_RANK || (node->attr[list].count > 0 && !full))
            return M3_FAIL_NODE(err, node, "%s has %u steps; fill each list of %d before the next",
                                node->op->attrs[list].name, node->attr[list].count, M3_MAX_RANK);
    }
    if (results->count == 0 || results->count > M3_CHAIN_MAX_OUTPUTS)
        return M3_FAIL_NODE(err, node, "%u results; give 1 to %d", results->count, M3_CHAIN_MAX_OUTPUTS);
    for (uint32_t i = 0; i < results->count; i++)
        for (uint32_t k = 0; k <= i; k++)
            if (results->i[i] < 0 || results->i[i] >= steps || (k < i && results->i[k] == results->i[i]))
                return M3_FAIL_NODE(err, node, "result %u is step %lld of %u; name each step once", i,
                                    (long long)results->i[i], steps);
    for (uint32_t s = 0; s < steps; s++) {
        const int64_t all = node->attr[M3_CHAIN_STEPS + s / M3_MAX_RANK].i[s % M3_MAX_RANK];
        const m3_chain_step step = m3_chain_step_at(node, s);
        bool legal = all >= 0 && all / 1000000 < M3_CHAIN_FUNCTIONS;
        for (uint32_t k = 0; legal && k < step.operands; k++) legal = step.operand[k] < node->in_count + s;
        if (!legal)
            return M3_FAIL_NODE(err, node, "step %u is %lld; give a function below %d and operands before it", s,
                                (long long)all, M3_CHAIN_FUNCTIONS);
    }
    return M3_OK;
}

/* The type and shape of every value, each by the rule of its step's op. */
static m3_status infer_values(const m3_node *node, m3_tensor value[M3_CHAIN_MAX_VALUES], m3_error *err)
{
    for (uint32_t k = 0; k < node->in_count; k++) value[k] = *node->in[k];
    for (uint32_t s = 0; s < m3_chain_length(node); s++) {
        const m3_chain_step step = m3_chain_step_at(node, s);
        m3_tensor *in[3], *y = &value[node->in_count + s];
        const m3_attr attr = {.count = 1, .i = {step.operand[1]}};
        const m3_node one = {.size = node->size,
                             .id = node->id,
                             .op = functions[step.function],
                             .scope = node->scope,
                             .in_count = step.operands,
                             .in = in,
                             .attr = &attr};
        m3_tensor_desc desc = {0};
        for (uint32_t k = 0; k < step.operands; k++) in[k] = &value[step.operand[k]];
        m3_status st = one.op->infer(&one, &desc, err);
        if (st != M3_OK) return st;
        *y = (m3_tensor){.size = M3_STRUCT_SIZE(m3_tensor, data),
                         .kind = M3_TEMPORARY,
                         .dtype = desc.dtype,
                         .shape = desc.shape,
                         .name = ""};
    }
    return M3_OK;
}

static uint32_t count_outputs(const m3_node *node)
{
    const uint32_t count = node->attr[M3_CHAIN_RESULTS].count;
    return count <= M3_CHAIN_MAX_OUTPUTS ? count : 0;
}

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    m3_tensor value[M3_CHAIN_MAX_VALUES];
    m3_status st;
    m3_shape all = {0}, so_far;
    if ((st = check_tape(node, err)) != M3_OK || (st = infer_values(node, value, err)) != M3_OK) return st;
    for (uint32_t k = 0; k < node->in_count; k++) {
        so_far = all;
        if (!m3_shape_merge(&so_far, &node->in[k]->shape, &all))
            return M3_FAIL_NODE(err, node, "input %u is %s, which does not broadcast with those before it, %s", k,
                                M3_SHAPE_TEXT(&node->in[k]->shape), M3_SHAPE_TEXT(&so_far));
    }
    for (uint32_t i = 0; i < node->attr[M3_CHAIN_RESULTS].count; i++) {
        const m3_tensor *y = &value[node->in_count + (uint32_t)node->attr[M3_CHAIN_RESULTS].i[i]];
        if (!m3_shape_equal(&y->shape, &all))
            return M3_FAIL_NODE(err, node, "result %u is %s, the inputs together are %s; give it the whole shape", i,
                                M3_SHAPE_TEXT(&y->shape), M3_SHAPE_TEXT(&all));
        out[i] = m3_desc_of(y->dtype, y->shape);
    }
    return m3_check_count(node, &all, err);
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    m3_tensor *value[M3_CHAIN_MAX_VALUES];
    for (uint32_t k = 0; k < node->in_count; k++) value[k] = node->in[k];
    for (uint32_t s = 0; s < m3_chain_length(node); s++) {
        const m3_chain_step step = m3_chain_step_at(node, s);
        const m3_op *op = functions[step.function];
        const m3_attr attr = {.count = 1, .i = {step.operand[1]}};
        m3_tensor *in[3] = {NULL};
        for (uint32_t k = 0; k < step.operands; k++) in[k] = value[step.operand[k]];
        value[node->in_count + s] = m3_emit(b, op->name, in, step.operands, &attr, op->attr_count);
    }
    for (uint32_t i = 0; i < node->out_count; i++)
        y[i] = value[node->in_count + (uint32_t)node->attr[M3_CHAIN_RESULTS].i[i]];
}

static uint64_t flops(const m3_node *node)
{
    return m3_chain_length(node) * m3_tensor_count(node->out[0]);
}

static const m3_attr_desc attrs[] = {
    {"results", M3_ATTR_INTS}, {"steps", M3_ATTR_INTS}, {"steps7", M3_ATTR_INTS}, {"steps13", M3_ATTR_INTS}};

const m3_op m3_op_chain = {
    .size = M3_OP_SIZE,
    .name = "chain",
    .doc = &doc,
    .flags = M3_OP_INPLACE,
    .min_inputs = 1,
    .max_inputs = UINT32_MAX,
    .attrs = attrs,
    .attr_count = M3_CHAIN_ATTRS,
    .infer = infer,
    .decompose = decompose,
    .flops = flops,
    .count_outputs = count_outputs,
};
