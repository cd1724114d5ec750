/* interest: what a user wants, from every sequence alone and from all of them together (MODEL.md 7, 8).
 *   s_g = Expert_g(x[g])
 *   c_g = Expert_shared(y[g]),  y[b, m] = x[b, m] + Attn_cross(x[b, m]; the other behaviors' x[., m] joined along L) */
#include "core/base/alloc.h"
#include "core/model/model.h"
#include "core/passes/pass.h"

static m3_tensor *expert(m3_model *m, m3_tensor *x, m3_tensor *mask, uint32_t group)
{
    return m3_module_build(&m->expert, m->b, x, mask, group);
}

/* Without the pass "grouping": each expert by itself, with its slice of the grouped parameters. */
static m3_tensor *one_by_one(m3_model *m, m3_tensor *z, m3_tensor *mask)
{
    m3_tensor *joined = NULL, **each = m3_calloc(m->G, sizeof(m3_tensor *));
    if (each == NULL) {
        m->b->api->fail(m->b, M3_ERR_MEMORY, "no memory for the list of experts");
        return NULL;
    }
    for (uint64_t g = 0; g < m->G; g++) {
        m3_builder_set_group(m->b, (uint32_t)m->G, (int64_t)g);
        each[g] = expert(m, m3_model_at(m, z, g), m3_model_at(m, mask, g), 0);
        each[g] = m3_reshape(m->b, each[g], M3_SHAPE(1, m->n, m->d));
    }
    joined = m3_concat(m->b, each, (uint32_t)m->G, 0);
    m3_free(each);
    return joined;
}

m3_tensor *m3_model_specific(m3_model *m, m3_tensor *z, m3_tensor *mask)
{
    m3_tensor *s = NULL;
    m3_push(m->b, "experts.specific");
    if (m3_pass_enabled(m->no_pass, "grouping")) {
        m3_builder_set_group(m->b, (uint32_t)m->G, -1);
        s = expert(m, z, mask, (uint32_t)m->G);
    } else {
        s = one_by_one(m, z, mask);
    }
    m3_builder_set_group(m->b, 0, -1);
    m3_pop(m->b);
    return s;
}

/* Of x [G, n, L, ...]: all behaviors but one, joined along the positions. */
static m3_tensor *others(m3_model *m, m3_tensor *x, uint64_t but)
{
    m3_tensor *rest[M3_MAX_BEHAVIORS] = {0};
    uint32_t count = 0;
    for (uint64_t o = 0; o < m->B; o++)
        if (o != but) rest[count++] = m3_slice(m->b, x, 0, o * m->M, m->M);
    return m3_concat(m->b, rest, count, 2);
}

/* y of all sequences z [G, n, L, d]. Products are of all of them, and keys and values are made once and joined, not
 * joined and made. */
static m3_tensor *attend_to_others(m3_model *m, m3_tensor *z, m3_tensor *mask)
{
    m3_builder *b = m->b;
    m3_tensor *h[M3_MAX_BEHAVIORS];
    m3_block_map in = m3_block_map_of(b, "in", 3 * m->d, m->d), out = m3_block_map_of(b, "out", m->d, m->d);
    if (m->B == 1) return z;
    m3_tensor *q = m3_block_attention_parts(b, in, z, 0, 1), *kv = m3_block_attention_parts(b, in, z, 1, 2);
    for (uint64_t i = 0; i < m->B; i++)
        h[i] = m3_attention_packed(b, m3_slice(b, q, 0, i * m->M, m->M), others(m, kv, i), others(m, mask, i),
                                   (uint32_t)m->c->heads);
    return m3_add(b, z, m3_linear(b, m3_concat(b, h, (uint32_t)m->B, 0), out.weight, out.bias));
}

m3_tensor *m3_model_common(m3_model *m, m3_tensor *z, m3_tensor *mask)
{
    m3_builder *b = m->b;
    m3_push(b, "experts.cross");
    m3_tensor *y = attend_to_others(m, z, mask);
    m3_pop(b);
    m3_push(b, "experts.shared");
    m3_tensor *c = expert(m, y, mask, 0);
    m3_pop(b);
    return c;
}
