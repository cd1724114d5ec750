/* program: a node goes to the file of ops/ that has its op, or to custom.c. */
#include "backends/lowering/program.h"
#include "backends/lowering/custom.h"
#include "backends/lowering/ops/list.h"

enum { MAX_ELEMENTS = INT32_MAX }; /* kernels index with 32 bits */

/* What can be lowered. */

static m3_status check_tensor(const lower_traits *traits, const m3_node *node, const m3_tensor *x, const char *what,
                              uint32_t i, m3_error *why)
{
    if (x == NULL) return M3_OK;
    if (x->dtype == M3_F64 || m3_dtype_bytes(x->dtype) == 0)
        return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name, "%s %u is %s; the kernels compute in f32: cast it",
                       what, i, m3_dtype_name(x->dtype));
    if (m3_tensor_count(x) > MAX_ELEMENTS)
        return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name,
                       "%s %u has %llu elements; the kernels index up to %d: use a smaller batch", what, i,
                       (unsigned long long)m3_tensor_count(x), MAX_ELEMENTS);
    if (m3_tensor_bytes(x) > traits->largest_binding)
        return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name,
                       "%s %u has %llu bytes; a kernel of this device sees %llu of a buffer: use a smaller batch", what,
                       i, (unsigned long long)m3_tensor_bytes(x), (unsigned long long)traits->largest_binding);
    return M3_OK;
}

m3_status lower_supports(const lower_traits *traits, const m3_node *node, m3_error *why)
{
    const m3_kernel_desc *kernel = lower_custom_kernel(traits, node);
    if (kernel != NULL) return lower_custom_supports(traits, kernel, node, why);
    const lower_op *op = lower_op_find(node->op->name);
    if (op == NULL)
        return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name, "there is no kernel for it%s",
                       node->op->decompose != NULL ? ": its decomposition is wanted" : "");
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < node->in_count && st == M3_OK; i++)
        st = check_tensor(traits, node, node->in[i], "input", i, why);
    for (uint32_t i = 0; i < node->out_count && st == M3_OK; i++)
        st = check_tensor(traits, node, node->out[i], "output", i, why);
    return st == M3_OK && op->supports != NULL ? op->supports(traits, node, why) : st;
}

/* Lowering. */

m3_status lower_program(lower_list *l, const m3_host *host, const lower_traits *traits, const m3_program *program,
                        uint32_t alignment, m3_error *err)
{
    *l = (lower_list){.host = host, .traits = traits, .program = program, .alignment = alignment};
    for (uint32_t i = 0; i < program->node_count && l->error.code == M3_OK; i++) {
        const m3_node *node = program->nodes[i];
        const m3_kernel_desc *kernel = lower_custom_kernel(traits, node);
        if (lower_supports(traits, node, &l->error) != M3_OK) break;
        l->node = i;
        l->scratch_at = 0;
        if (kernel != NULL)
            lower_custom(l, kernel, node);
        else
            lower_op_find(node->op->name)->lower(l, node);
    }
    if (l->error.code == M3_OK) return M3_OK;
    if (err != NULL && err->code == M3_OK) *err = l->error;
    return l->error.code;
}
