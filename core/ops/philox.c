/* philox: uniform random bits. */
#include "core/base/philox.h"
#include "core/ops/common/rules.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("rng"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("Extents of y.", "Which draw of the step this is, from 0 to 2^32 - 1."),
    .summary = "Uniform random bits",
    .types = "rng, y: u32",
    .shapes = "rng [3] = {seed low, seed high, step} -> y of the shape given",
    .formula = "y_e = word e mod 4 of Philox4x32-10(counter {e/4 low, site, step, e/4 high}, key {seed low, seed "
               "high})",
    .gradient = "None passes: it is a draw.",
    .special = "Does not arise: y is whole numbers. The same seed, step, site and element give the same bits on "
               "every backend.",
};

enum { WORDS = 4 };

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    m3_status st;
    const m3_shape *rng = &node->in[0]->shape, want = {.rank = 1, .dim = {3}};
    if ((st = m3_check_type(node, 0, 1u << M3_U32, err)) != M3_OK) return st;
    if (!m3_shape_equal(rng, &want))
        return M3_FAIL_NODE(err, node, "rng is %s; give [3] = {seed low, seed high, step}", M3_SHAPE_TEXT(rng));
    if ((st = m3_check_attr_shape(node, 0, &out->shape, err)) != M3_OK) return st;
    out->dtype = M3_U32;
    return m3_check_attr(node, 1, 0, UINT32_MAX, err);
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    uint64_t count = m3_tensor_count(node->out[0]);
    const uint32_t key[2] = {(uint32_t)in[0][0], (uint32_t)in[0][1]};
    const uint32_t step = (uint32_t)in[0][2], site = (uint32_t)node->attr[1].i[0];
    for (uint64_t e = 0; e < count; e += WORDS) {
        uint64_t block = e / WORDS;
        uint32_t words[WORDS] = {(uint32_t)block, site, step, (uint32_t)(block >> 32)};
        m3_philox4x32_10(words, key, words);
        for (uint32_t w = 0; w < WORDS && e + w < count; w++) out[0][e + w] = words[w];
    }
    return M3_OK;
}

static const m3_attr_desc attrs[] = {{"shape", M3_ATTR_INTS}, {"site", M3_ATTR_INT}};

const m3_op m3_op_philox = {
    .size = M3_OP_SIZE,
    .name = "philox",
    .doc = &doc,
    .flags = M3_OP_DRAWS,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 2,
    .infer = infer,
    .evaluate = evaluate,
    .zero_gradient = true,
};
