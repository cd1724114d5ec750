/* kernels: what this backend computes itself. The table at the end is what grows: an op, what its kernel refuses, and
 * the kernel. `m3bsr conformance --backend @NAME@ --device-option evaluate=no --next` says which op to write next.
 *
 * A kernel is given the node and the memory of its tensors, row-major, in their own types; in[i] is NULL for an
 * optional input that is absent. What is unusual belongs into `refuse`, once and before compiling; a kernel cannot
 * fail. */
#include "backend.h"

#include <string.h>

/* copy: the same bytes. The one op that every backend must have, for every type: states and outputs of the model lie on
 * the chosen device, wherever they were computed. */

static m3_status any(const m3_node *node, m3_error *why)
{
    (void)node, (void)why;
    return M3_OK;
}

static void copy(const m3_host *host, const m3_node *node, const void *const *in, void *const *out)
{
    (void)host;
    memcpy(out[0], in[0], (size_t)m3_tensor_bytes(node->out[0]));
}

static m3_status want_f32(const m3_node *node, m3_error *why)
{
    if (node->out[0]->dtype == M3_F32) return M3_OK;
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name, "it is of type %s, the kernel of f32",
                   m3_dtype_name(node->out[0]->dtype));
}

/* add: y = a + b. Operands of other shapes repeat, as NumPy has it. y may lie on an operand of its own
 * shape: each element is read before it is written. */

/* Where operand x has the element for y's element i. */
static uint64_t place(const m3_shape *x, const m3_shape *y, uint64_t i)
{
    uint64_t at = 0, stride = 1;
    for (uint32_t k = 1; k <= x->rank; k++) {
        uint64_t extent = x->dim[x->rank - k], of = y->dim[y->rank - k];
        if (extent > 1) at += i % of * stride;
        stride *= extent;
        i /= of;
    }
    return at;
}

static void add(const m3_host *host, const m3_node *node, const void *const *in, void *const *out)
{
    const m3_shape *shape = &node->out[0]->shape;
    const float *a = in[0], *b = in[1];
    float *y = out[0];
    (void)host;
    for (uint64_t i = 0; i < m3_shape_count(shape); i++)
        y[i] = a[place(&node->in[0]->shape, shape, i)] + b[place(&node->in[1]->shape, shape, i)];
}

/* The table. */

static const kernel kernels[] = {
    {"copy", any, copy},
    {"add", want_f32, add},
};

m3_status kernel_find(const m3_node *node, const kernel **found, m3_error *why)
{
    *found = NULL;
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++) {
        if (strcmp(kernels[i].op, node->op->name) != 0) continue;
        m3_status st = kernels[i].refuse(node, why);
        if (st == M3_OK) *found = &kernels[i];
        return st;
    }
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name, "no kernel");
}
