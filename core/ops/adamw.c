/* adamw: one AdamW step (adam.h) over any number of tensors, so that a model costs one node.
 *   step f32 [3], scale f32, then p, m, v, g of each tensor, of one shape  ->  p', m', v' of each
 * Output 3j + c replaces input 2 + 4j + c. */
#include "core/ops/common/adam.h"

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
