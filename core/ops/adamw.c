/* adamw: any number of tensors, so that a model costs one node. Output 3j + c replaces input 2 + 4j + c. */
#include "core/ops/common/adam.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("step", "scale", "p", "m", "v", "g"),
    .input_count = 6,
    .outputs = M3_NAMES("next_p", "next_m", "next_v"),
    .output_count = 3,
    .attrs = M3_NAMES("Decay of m, from 0 and below 1.", "Decay of v, from 0 and below 1.", "Above 0.", "From 0."),
    .summary = "AdamW step of many tensors",
    .types = "step, scale: f32; p, m, v, g: f32 or f64, of one type for each tensor",
    .shapes = "step [3] = {lr, 1 - beta1^t, 1 - beta2^t}, scale [], then p, m, v, g of each tensor, of one shape -> "
              "next_p, next_m, next_v of each",
    .formula = "g' = scale g\n"
               "next_m = beta1 m + (1 - beta1) g', next_v = beta2 v + (1 - beta2) g'^2\n"
               "next_p = p (1 - lr weight_decay) - lr (next_m / step_1) / (sqrt(next_v / step_2) + eps)",
    .gradient = "None: it comes after the gradients.",
    .special = "A scale below 0 leaves p, m and v as they are, whatever g is. NaN in g or a state spreads to this "
               "element of all three, NaN in step or scale to all. Denormal "
               "results may be flushed to zero.",
};

enum { FIRST = 2, EACH = 4, STATES = 3 };

static uint32_t count_outputs(const m3_node *node)
{
    return node->in_count < FIRST ? 0 : (node->in_count - FIRST) / EACH * STATES;
}

static int32_t update_of(const m3_node *node, uint32_t output)
{
    return output < count_outputs(node) ? (int32_t)(FIRST + EACH * (output / STATES) + output % STATES) : -1;
}

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    static const char *const role[EACH] = {"p", "m", "v", "g"};
    m3_status st;
    if ((st = m3_adam_check(node, err)) != M3_OK) return st;
    if ((node->in_count - FIRST) % EACH != 0)
        return M3_FAIL_NODE(err, node, "%u inputs follow step and scale; give p, m, v, g of each tensor",
                            node->in_count - FIRST);
    for (uint32_t at = FIRST, j = 0; at < node->in_count; at += EACH, j++) {
        const m3_tensor *p = node->in[at];
        for (uint32_t c = 0; c < EACH; c++) {
            char name[32];
            (void)snprintf(name, sizeof name, "%s of tensor %u", role[c], j);
            const m3_tensor *x = node->in[at + c];
            if (x == NULL) return M3_FAIL_NODE(err, node, "%s is missing; give p, m, v, g of each tensor", name);
            if ((st = m3_want_float(node, x, name, 0, err)) != M3_OK) return st;
            if ((st = m3_want(node, x, name, p->dtype, p->shape, "its p", err)) != M3_OK) return st;
        }
        for (uint32_t c = 0; c < STATES; c++) out[STATES * j + c] = m3_desc_of(p->dtype, p->shape);
    }
    return M3_OK;
}

static void decompose(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    for (uint32_t at = FIRST, j = 0; at < node->in_count; at += EACH, j++)
        m3_adam_update(b, node, node->in + at, node->in[at + 3], y + (size_t)STATES * j);
}

static uint64_t flops(const m3_node *node)
{
    uint64_t count = 0;
    for (uint32_t at = FIRST; at < node->in_count; at += EACH) count += m3_tensor_count(node->in[at]);
    return M3_ADAM_FLOPS * count;
}

const m3_op m3_op_adamw = {
    .size = M3_OP_SIZE,
    .name = "adamw",
    .doc = &doc,
    .flags = M3_OP_UPDATES | M3_OP_MULTI_TENSOR,
    .min_inputs = FIRST + EACH,
    .max_inputs = UINT32_MAX,
    .attrs = m3_adam_attrs,
    .attr_count = M3_ADAM_ATTRS,
    .infer = infer,
    .decompose = decompose,
    .flops = flops,
    .count_outputs = count_outputs,
    .update_of = update_of,
    .shared_inputs = FIRST,
};
