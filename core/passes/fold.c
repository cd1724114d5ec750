/* fold: compute small nodes whose inputs are all constants, or that have none, and drop what changes nothing: a node
 * that repeats one of its inputs (m3_op.repeats: x + 0, x * 1, a reshape to the same shape, ...), and an alias of an
 * alias by the same op. */
#include "core/base/alloc.h"
#include "core/ops/common/constant.h"
#include "core/passes/pass.h"

enum { LARGEST = 1 << 16 }; /* elements of a folded result: larger ones are cheaper to compute than to carry */

static void write_value(void *data, m3_dtype dtype, uint64_t i, double value)
{
    switch (dtype) {
    case M3_F32: ((float *)data)[i] = (float)value; break;
    case M3_F64: ((double *)data)[i] = value; break;
    case M3_I32: ((int32_t *)data)[i] = (int32_t)value; break;
    case M3_U32: ((uint32_t *)data)[i] = (uint32_t)value; break;
    case M3_U8: ((uint8_t *)data)[i] = (uint8_t)value; break;
    case M3_BOOL: ((uint8_t *)data)[i] = value != 0.0; break;
    case M3_F16:
    case M3_BF16: break;
    }
}

static bool is_half(const m3_tensor *x)
{
    return x->dtype == M3_F16 || x->dtype == M3_BF16;
}

static bool can_compute(const m3_rewrite *rw, const m3_node *node)
{
    if (node->op->evaluate == NULL || node->out_count != 1) return false;
    if (m3_tensor_count(node->out[0]) > LARGEST || is_half(node->out[0])) return false;
    for (uint32_t i = 0; i < node->in_count; i++) {
        const m3_tensor *x = node->in[i] == NULL ? NULL : node->in[i];
        if (x == NULL) continue;
        if (x->kind == M3_TEMPORARY) x = rw->map[x->id];
        if (x == NULL || x->kind != M3_CONSTANT || m3_tensor_count(x) > LARGEST || is_half(x)) return false;
    }
    return true;
}

/* One block of doubles holds every input, the output, and the output again in its own type. */
static void compute(m3_rewrite *rw, const m3_node *node)
{
    uint64_t total = 2 * (m3_tensor_count(node->out[0]) + 1);
    for (uint32_t i = 0; i < node->in_count; i++)
        if (node->in[i] != NULL) total += m3_tensor_count(node->in[i]) + 1;
    double *block = m3_calloc((size_t)total, sizeof(double));
    const double **in = m3_calloc((size_t)node->in_count + 1, sizeof(double *));
    if (block == NULL || in == NULL) {
        rw->b->api->fail(rw->b, M3_ERR_MEMORY, "fold: out of memory");
    } else {
        double *at = block;
        for (uint32_t i = 0; i < node->in_count; i++) {
            if (node->in[i] == NULL) continue;
            const m3_tensor *x = m3_rewrite_get(rw, node->in[i]);
            uint64_t count = m3_tensor_count(node->in[i]);
            in[i] = at;
            for (uint64_t k = 0; x != NULL && k < count; k++) at[k] = m3_constant_at(x, k);
            at += count + 1;
        }
        uint64_t count = m3_tensor_count(node->out[0]);
        double *out[1] = {at}, *typed = at + count + 1;
        m3_error err = {0};
        if (node->op->evaluate(node, in, out, &err) == M3_OK) {
            for (uint64_t k = 0; k < count; k++) write_value(typed, node->out[0]->dtype, k, out[0][k]);
            m3_rewrite_set(rw, node->out[0], m3_constant(rw->b, node->out[0]->dtype, &node->out[0]->shape, typed));
        } else {
            rw->b->api->fail(rw->b, err.code, err.message);
        }
    }
    m3_free(block);
    m3_free(in);
}

/* The new tensor that this node only repeats, or NULL. */
static m3_tensor *repeated(m3_rewrite *rw, const m3_node *node)
{
    enum { FEW = 4 };
    m3_tensor *in[FEW];
    if (M3_OP_MEMBER(node->op, repeats) == NULL || node->in_count > FEW) return NULL;
    for (uint32_t i = 0; i < node->in_count; i++) {
        in[i] = m3_rewrite_get(rw, node->in[i]);
        if (in[i] == NULL) return NULL;
    }
    m3_node here = *node;
    here.in = in;
    const int32_t input = node->op->repeats(&here);
    return input >= 0 && (uint32_t)input < node->in_count ? in[input] : NULL;
}

/* The tensor behind two aliases of one op, of which the first may be left out; else NULL. One that stops gradients is
 * left alone: gradients may still be to come. */
static m3_tensor *behind_aliases(m3_rewrite *rw, const m3_node *node)
{
    if ((node->op->flags & M3_OP_ALIAS) == 0 || node->op->zero_gradient) return NULL;
    const m3_tensor *x = m3_rewrite_get(rw, node->in[0]);
    return x != NULL && x->producer != NULL && x->producer->op == node->op ? x->producer->in[0] : NULL;
}

/* The alias anew, over x. */
static void alias(m3_rewrite *rw, const m3_node *node, m3_tensor *x)
{
    const m3_tensor *y = node->out[0];
    m3_tensor *made = x->dtype == y->dtype && m3_shape_equal(&x->shape, &y->shape)
                          ? x
                          : m3_emit(rw->b, node->op->name, &x, 1, node->attr, node->op->attr_count);
    m3_rewrite_set(rw, y, made);
}

static m3_status run(const m3_graph *in, const m3_pass_context *context, m3_graph **out, m3_error *err)
{
    (void)context;
    m3_rewrite rw;
    m3_status st = m3_rewrite_begin(&rw, in, err);
    if (st != M3_OK) return st;
    for (uint32_t i = 0; i < m3_graph_node_count(in); i++) {
        const m3_node *node = m3_graph_node(in, i);
        m3_tensor *kept = repeated(&rw, node), *behind = behind_aliases(&rw, node);
        if (kept != NULL)
            m3_rewrite_set(&rw, node->out[0], kept);
        else if (can_compute(&rw, node))
            compute(&rw, node);
        else if (behind != NULL)
            alias(&rw, node, behind);
        else
            m3_rewrite_copy(&rw, node);
    }
    return m3_rewrite_end(&rw, out, err);
}

const m3_pass m3_pass_fold = {"fold", run};
