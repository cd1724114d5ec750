/* fold: compute small nodes whose inputs are all constants, and drop what changes nothing: x + 0, x - 0, x * 1, x / 1,
 * a reshape of a reshape, a reshape or broadcast to the same shape. */
#include "core/base/alloc.h"
#include "core/passes/pass.h"

enum { LARGEST = 1 << 16 }; /* elements of a folded result: larger ones are cheaper to compute than to carry */

static double read_constant(const m3_tensor *x, uint64_t i)
{
    switch (x->dtype) {
    case M3_F32: return (double)((const float *)x->data)[i];
    case M3_F64: return ((const double *)x->data)[i];
    case M3_I32: return (double)((const int32_t *)x->data)[i];
    case M3_U32: return (double)((const uint32_t *)x->data)[i];
    case M3_U8:
    case M3_BOOL: return (double)((const uint8_t *)x->data)[i];
    case M3_F16:
    case M3_BF16: break;
    }
    return 0.0;
}

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
    if (node->op->evaluate == NULL || node->in_count == 0 || node->out_count != 1) return false;
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
    const double **in = m3_calloc(node->in_count, sizeof(double *));
    if (block == NULL || in == NULL) {
        rw->b->api->fail(rw->b, M3_ERR_MEMORY, "fold: out of memory");
    } else {
        double *at = block;
        for (uint32_t i = 0; i < node->in_count; i++) {
            if (node->in[i] == NULL) continue;
            const m3_tensor *x = m3_rewrite_get(rw, node->in[i]);
            uint64_t count = m3_tensor_count(node->in[i]);
            in[i] = at;
            for (uint64_t k = 0; x != NULL && k < count; k++) at[k] = read_constant(x, k);
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

static bool is_constant_of(const m3_tensor *x, double value)
{
    if (x == NULL || x->kind != M3_CONSTANT || is_half(x)) return false;
    uint64_t count = m3_tensor_count(x);
    for (uint64_t i = 0; i < count; i++)
        if (read_constant(x, i) != value) return false;
    return count > 0;
}

/* The new tensor that this node only repeats, or NULL. */
static m3_tensor *repeats(m3_rewrite *rw, const m3_node *node)
{
    const char *op = node->op->name;
    const m3_shape *shape = &node->out[0]->shape;
    if (node->in_count == 0 || node->in[0] == NULL) return NULL;
    m3_tensor *x = m3_rewrite_get(rw, node->in[0]);
    bool same = x != NULL && m3_shape_equal(&x->shape, shape);
    if (strcmp(op, "reshape") == 0 || strcmp(op, "broadcast") == 0) return same ? x : NULL;
    if (node->in_count != 2) return NULL;
    m3_tensor *y = m3_rewrite_get(rw, node->in[1]);
    bool other_same = y != NULL && m3_shape_equal(&y->shape, shape);
    bool add = strcmp(op, "add") == 0, mul = strcmp(op, "mul") == 0;
    if (same && (add || strcmp(op, "sub") == 0) && is_constant_of(y, 0.0)) return x;
    if (same && (mul || strcmp(op, "div") == 0) && is_constant_of(y, 1.0)) return x;
    if (other_same && ((add && is_constant_of(x, 0.0)) || (mul && is_constant_of(x, 1.0)))) return y;
    return NULL;
}

static m3_status run(const m3_graph *in, const m3_pass_context *context, m3_graph **out, m3_error *err)
{
    (void)context;
    m3_rewrite rw;
    m3_status st = m3_rewrite_begin(&rw, in, err);
    if (st != M3_OK) return st;
    for (uint32_t i = 0; i < m3_graph_node_count(in); i++) {
        const m3_node *node = m3_graph_node(in, i);
        m3_tensor *kept = repeats(&rw, node);
        const m3_tensor *x = node->in_count > 0 && node->in[0] != NULL ? m3_rewrite_get(&rw, node->in[0]) : NULL;
        bool twice = x != NULL && x->producer != NULL && strcmp(node->op->name, "reshape") == 0 &&
                     strcmp(x->producer->op->name, "reshape") == 0;
        if (kept != NULL)
            m3_rewrite_set(&rw, node->out[0], kept);
        else if (can_compute(&rw, node))
            compute(&rw, node);
        else if (twice)
            m3_rewrite_set(&rw, node->out[0], m3_reshape(rw.b, x->producer->in[0], node->out[0]->shape));
        else
            m3_rewrite_copy(&rw, node);
    }
    return m3_rewrite_end(&rw, out, err);
}

const m3_pass m3_pass_fold = {"fold", run};
