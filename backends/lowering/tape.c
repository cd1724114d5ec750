/* tape: from ops and types to functions of the kernels. */
#include "backends/lowering/tape.h"
#include "shaders/contract/elementwise.h"
#include "shaders/contract/types.h"

#include <string.h>

#define NUMBER(operands, name) TAPE_##name,
#define ROW(operands, name)    {#name, operands},
typedef enum tape_function { TAPE_FUNCTIONS(NUMBER) TAPE_MISSING } tape_function;
static const lower_tape_function functions[] = {TAPE_FUNCTIONS(ROW)};

_Static_assert((int)TAPE_INPUTS == (int)M3_CHAIN_MAX_INPUTS && (int)TAPE_OUTPUTS == (int)M3_CHAIN_MAX_OUTPUTS,
               "a kernel holds any chain");
_Static_assert((int)DTYPE_F32 == (int)M3_F32 && (int)DTYPE_I32 == (int)M3_I32 && (int)DTYPE_U32 == (int)M3_U32 &&
                   (int)DTYPE_U8 == (int)M3_U8 && (int)DTYPE_BOOL == (int)M3_BOOL && (int)DTYPE_F16 == (int)M3_F16 &&
                   (int)DTYPE_BF16 == (int)M3_BF16,
               "types are numbered as m3_dtype numbers them");

/* What an op is of floats, of i32, and of u32, u8 and bool; in the order of m3_chain_function. */
static const struct {
    const char *name;
    uint8_t real, i32, word;
} ops[M3_CHAIN_FUNCTIONS] = {
    [M3_CHAIN_NEG] = {"neg", TAPE_neg, TAPE_neg_int, TAPE_MISSING},
    [M3_CHAIN_ABS] = {"abs", TAPE_abs, TAPE_abs_int, TAPE_MISSING},
    [M3_CHAIN_EXP] = {"exp", TAPE_exp, TAPE_MISSING, TAPE_MISSING},
    [M3_CHAIN_LOG] = {"log", TAPE_log, TAPE_MISSING, TAPE_MISSING},
    [M3_CHAIN_SQRT] = {"sqrt", TAPE_sqrt, TAPE_MISSING, TAPE_MISSING},
    [M3_CHAIN_SIN] = {"sin", TAPE_sin, TAPE_MISSING, TAPE_MISSING},
    [M3_CHAIN_COS] = {"cos", TAPE_cos, TAPE_MISSING, TAPE_MISSING},
    [M3_CHAIN_TANH] = {"tanh", TAPE_tanh, TAPE_MISSING, TAPE_MISSING},
    [M3_CHAIN_FLOOR] = {"floor", TAPE_floor, TAPE_MISSING, TAPE_MISSING},
    [M3_CHAIN_SIGMOID] = {"sigmoid", TAPE_sigmoid, TAPE_MISSING, TAPE_MISSING},
    [M3_CHAIN_RELU] = {"relu", TAPE_relu, TAPE_MISSING, TAPE_MISSING},
    [M3_CHAIN_SILU] = {"silu", TAPE_silu, TAPE_MISSING, TAPE_MISSING},
    [M3_CHAIN_LOG1P] = {"log1p", TAPE_log1p, TAPE_MISSING, TAPE_MISSING},
    [M3_CHAIN_EXPM1] = {"expm1", TAPE_expm1, TAPE_MISSING, TAPE_MISSING},
    [M3_CHAIN_ERF] = {"erf", TAPE_erf, TAPE_MISSING, TAPE_MISSING},
    [M3_CHAIN_SOFTPLUS] = {"softplus", TAPE_softplus, TAPE_MISSING, TAPE_MISSING},
    [M3_CHAIN_GELU] = {"gelu", TAPE_gelu, TAPE_MISSING, TAPE_MISSING},
    [M3_CHAIN_NOT] = {"not", TAPE_MISSING, TAPE_MISSING, TAPE_not},
    [M3_CHAIN_CAST] = {"cast", TAPE_MISSING, TAPE_MISSING, TAPE_MISSING}, /* see cast_of */
    [M3_CHAIN_ADD] = {"add", TAPE_add, TAPE_add_int, TAPE_add_int},
    [M3_CHAIN_SUB] = {"sub", TAPE_sub, TAPE_sub_int, TAPE_sub_int},
    [M3_CHAIN_MUL] = {"mul", TAPE_mul, TAPE_mul_int, TAPE_mul_int},
    [M3_CHAIN_DIV] = {"div", TAPE_div, TAPE_div_i32, TAPE_div_u32},
    [M3_CHAIN_POW] = {"pow", TAPE_pow, TAPE_MISSING, TAPE_MISSING},
    [M3_CHAIN_MAX] = {"max", TAPE_max, TAPE_max_i32, TAPE_max_u32},
    [M3_CHAIN_MIN] = {"min", TAPE_min, TAPE_min_i32, TAPE_min_u32},
    [M3_CHAIN_EQUAL] = {"equal", TAPE_equal, TAPE_equal_int, TAPE_equal_int},
    [M3_CHAIN_LESS] = {"less", TAPE_less, TAPE_less_i32, TAPE_less_u32},
    [M3_CHAIN_LESS_EQUAL] = {"less_equal", TAPE_less_equal, TAPE_less_equal_i32, TAPE_less_equal_u32},
    [M3_CHAIN_AND] = {"and", TAPE_MISSING, TAPE_MISSING, TAPE_and},
    [M3_CHAIN_OR] = {"or", TAPE_MISSING, TAPE_MISSING, TAPE_or},
    [M3_CHAIN_RELU_GRAD] = {"relu_grad", TAPE_relu_grad, TAPE_MISSING, TAPE_MISSING},
    [M3_CHAIN_WHERE] = {"where", TAPE_where, TAPE_where, TAPE_where},
};

/* How a value of a type lies in a word. */
typedef enum form { REAL, SIGNED, UNSIGNED, FORMS } form;

static form form_of(m3_dtype type)
{
    return type == M3_F32 || type == M3_F16 || type == M3_BF16 ? REAL : type == M3_I32 ? SIGNED : UNSIGNED;
}

static uint32_t cast_of(m3_dtype from, m3_dtype to)
{
    static const uint8_t casts[][FORMS] = {
        [M3_F32] = {TAPE_keep, TAPE_f32_of_i32, TAPE_f32_of_u32},
        [M3_I32] = {TAPE_i32, TAPE_keep, TAPE_keep},
        [M3_U32] = {TAPE_u32, TAPE_keep, TAPE_keep},
        [M3_U8] = {TAPE_u8, TAPE_u8_of_int, TAPE_u8_of_int},
        [M3_BOOL] = {TAPE_truth, TAPE_truth_of_int, TAPE_truth_of_int},
        [M3_F16] = {TAPE_f16, TAPE_f16_of_i32, TAPE_f16_of_u32},
        [M3_BF16] = {TAPE_bf16, TAPE_bf16_of_i32, TAPE_bf16_of_u32},
    };
    if (from == M3_F64 || to == M3_F64) return TAPE_MISSING;
    return from == to ? (uint32_t)TAPE_keep : casts[to][form_of(from)];
}

/* TAPE_MISSING: kernels compute with floats of 32 bits only. */
static uint32_t function_of(uint32_t op, m3_dtype from, m3_dtype to)
{
    if (from == M3_F64 || to == M3_F64) return TAPE_MISSING;
    if (op == M3_CHAIN_CAST) return cast_of(from, to);
    if ((from == M3_F16 || from == M3_BF16) && op != M3_CHAIN_WHERE) return TAPE_MISSING;
    return form_of(from) == REAL ? ops[op].real : form_of(from) == SIGNED ? ops[op].i32 : ops[op].word;
}

/* An op of its own as a chain's function. */
static m3_chain_step step_alone(const m3_node *node)
{
    m3_chain_step step = {.operands = node->in_count, .operand = {0, 1, 2}};
    while (strcmp(ops[step.function].name, node->op->name) != 0) step.function++;
    return step;
}

bool lower_tape_of(const m3_node *node, lower_tape *tape, uint32_t *step)
{
    const bool chain = strcmp(node->op->name, "chain") == 0;
    m3_dtype type[M3_CHAIN_MAX_VALUES] = {M3_F32};
    memset(tape, 0, sizeof *tape);
    tape->inputs = (uint8_t)node->in_count;
    tape->outputs = (uint8_t)node->out_count;
    tape->steps = (uint8_t)(chain ? m3_chain_length(node) : 1);
    for (uint32_t k = 0; k < node->in_count; k++) type[k] = node->in[k]->dtype;
    if (chain)
        m3_chain_types(node, type);
    else
        type[node->in_count] = node->out[0]->dtype;
    for (*step = 0; *step < tape->steps; (*step)++) {
        const m3_chain_step one = chain ? m3_chain_step_at(node, *step) : step_alone(node);
        const m3_dtype from = type[one.operand[one.operands - 1]]; /* of where: a choice */
        const uint32_t function = function_of(one.function, from, type[node->in_count + *step]);
        if (function == TAPE_MISSING) return false;
        tape->function[*step] = (uint8_t)function;
        for (uint32_t k = 0; k < one.operands; k++) tape->operand[*step][k] = (uint8_t)one.operand[k];
    }
    for (uint32_t k = 0; k < node->in_count; k++) tape->in_type[k] = (uint8_t)type[k];
    for (uint32_t i = 0; i < node->out_count; i++) {
        tape->result[i] = (uint8_t)(node->in_count + (chain ? (uint32_t)node->attr[M3_CHAIN_RESULTS].i[i] : 0));
        tape->out_type[i] = (uint8_t)type[tape->result[i]];
    }
    return true;
}

const lower_tape_function *lower_tape_function_at(uint32_t function)
{
    return &functions[function];
}
