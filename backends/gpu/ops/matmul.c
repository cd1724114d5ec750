/* matmul and linear: a node as a product that matmul_plan.h lowers.
 * The leading axes of a matmul are joined as those of an elementwise op are; a product has the last two that remain,
 * and what remains outside them runs one after another. */
#include <string.h>

#include "matmul_plan.h"
#include "ops/list.h"

/* Extents of a product, from factors that may lie transposed. */
static gpu_product matrices(const m3_node *node)
{
    const m3_tensor *a = node->in[0], *b = node->in[1];
    gpu_product p = {.a = a, .b = b, .y = node->out[0], .outer = 1, .inner = 1};
    p.transpose_a = node->attr[0].i[0] != 0;
    p.transpose_b = node->attr[1].i[0] != 0;
    p.m = a->shape.dim[a->shape.rank - (p.transpose_a ? 1 : 2)];
    p.k = a->shape.dim[a->shape.rank - (p.transpose_a ? 2 : 1)];
    p.n = b->shape.dim[b->shape.rank - (p.transpose_b ? 2 : 1)];
    return p;
}

static gpu_product linear_of(const m3_node *node)
{
    gpu_product p = matrices(node);
    if (node->in[0]->shape.rank == 3) {
        p.inner = node->in[0]->shape.dim[0];
        p.a_inner = p.m * p.k;
        p.b_inner = p.k * p.n;
    }
    p.bias = node->in_count > 2 ? node->in[2] : NULL;
    p.residual = node->in_count > 3 ? node->in[3] : NULL;
    p.gate = node->in_count > 4 ? node->in[4] : NULL;
    p.act = (uint32_t)node->attr[2].i[0];
    return p;
}

static m3_shape leading(const m3_tensor *x)
{
    m3_shape lead = x->shape;
    lead.rank -= 2;
    return lead;
}

/* Rows of many products that share b are rows of one. */
static void merge_rows(gpu_product *p)
{
    if (p->transpose_a || p->b_inner != 0 || p->b_outer != 0) return;
    if (p->inner > 1 && p->a_inner != p->m * p->k) return;
    if (p->outer > 1 && p->a_outer != p->inner * p->m * p->k) return;
    p->m *= p->outer * p->inner;
    p->outer = p->inner = 1;
}

/* The product of the last two axes that remain of the leading ones; axes: all that remain. */
static gpu_product matmul_of(const m3_node *node, gpu_axes *axes)
{
    gpu_product p = matrices(node);
    const m3_shape a = leading(node->in[0]), b = leading(node->in[1]), y = leading(node->out[0]);
    const m3_shape *const operand[] = {&a, &b};
    *axes = gpu_axes_of(&y, operand, 2);
    const uint64_t a_size = p.m * p.k, b_size = p.k * p.n, last = axes->rank - 1;
    p.inner = axes->dim[last];
    p.a_inner = axes->stride[0][last] * a_size;
    p.b_inner = axes->stride[1][last] * b_size;
    if (last > 0) {
        p.outer = axes->dim[last - 1];
        p.a_outer = axes->stride[0][last - 1] * a_size;
        p.b_outer = axes->stride[1][last - 1] * b_size;
    }
    return p;
}

static void lower_matmul(gpu_list *l, const m3_node *node)
{
    gpu_axes axes;
    if (m3_tensor_count(node->out[0]) == 0) return;
    gpu_product p = matmul_of(node, &axes);
    const uint64_t a_size = p.m * p.k, b_size = p.k * p.n, y_size = p.outer * p.inner * p.m * p.n;
    const uint64_t count = m3_tensor_count(node->out[0]) / y_size;
    merge_rows(&p);
    for (uint64_t i = 0; i < count; i++) {
        p.a_first = p.b_first = 0;
        p.y_first = i * y_size;
        uint64_t rest = i;
        for (uint64_t axis = axes.rank > 2 ? axes.rank - 2 : 0; axis-- > 0; rest /= axes.dim[axis]) {
            const uint64_t at = rest % axes.dim[axis];
            p.a_first += at * axes.stride[0][axis] * a_size;
            p.b_first += at * axes.stride[1][axis] * b_size;
        }
        gpu_product_lower(l, &p);
    }
}

static void lower_linear(gpu_list *l, const m3_node *node)
{
    const gpu_product p = linear_of(node);
    gpu_product_lower(l, &p);
}

static gpu_product product_of(const m3_node *node)
{
    gpu_axes axes;
    if (strcmp(node->op->name, "linear") == 0) return linear_of(node);
    gpu_product p = matmul_of(node, &axes);
    merge_rows(&p);
    return p;
}

uint32_t gpu_matmul_ways(const gpu_traits *traits, const m3_node *node, char *class_text, const char **names)
{
    if (m3_tensor_count(node->out[0]) == 0) return 0;
    const gpu_product p = product_of(node);
    return gpu_product_ways(traits, &p, class_text, names);
}

/* Not even the smallest tile fits: less than any OpenCL or Vulkan device must have. */
static m3_status supports(const gpu_traits *traits, const m3_node *node, m3_error *why)
{
    enum { LOCAL = 16 * 1024, GROUP = 64 };
    if (traits->local_bytes >= LOCAL && (traits->lanes == 1 || traits->largest_group >= GROUP)) return M3_OK;
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name,
                   "groups have %u items and %llu bytes; the kernels want %d and %d", traits->largest_group,
                   (unsigned long long)traits->local_bytes, GROUP, LOCAL);
}

const gpu_op gpu_matmul_ops[] = {{"matmul", supports, lower_matmul}, {"linear", supports, lower_linear}, {0}};
