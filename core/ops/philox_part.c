/* philox_part: a part of the bits that are drawn for a larger batch. Parts of one draw, each made by itself, are what
 * one draw for the whole batch makes: elements are numbered by their place in that. */
#include "core/base/philox.h"
#include "core/ops/common/draw.h"

static const m3_op_doc doc = {
    .size = M3_OP_DOC_SIZE,
    .inputs = M3_NAMES("rng"),
    .input_count = 1,
    .outputs = M3_NAMES("y"),
    .output_count = 1,
    .attrs = M3_NAMES("Extents of y.", "Which draw of the step this is, from 0 to 2^32 - 1.", M3_DRAW_REPEATS),
    .summary = "Uniform random bits of a part of a larger batch",
    .types = "rng, y: u32",
    .shapes = M3_DRAW_PART_RNG " -> y of the shape given",
    .formula = "chunk = elements of y / repeats, blocks = ceil(chunk / 4), e = o chunk + r with r < chunk\n"
               "block = (o parts + part) blocks + floor(r / 4)\n"
               "y_e = word r mod 4 of Philox4x32-10(counter {block low, site, step, block high}, key {seed low, seed "
               "high})\n"
               "With part 0 of 1 it is philox.",
    .gradient = "None passes: it is a draw.",
    .special = "Does not arise: y is whole numbers. The same seed, step, part, site and element give the same bits on "
               "every backend; blocks are counted modulo 2^64.",
};

static m3_status infer(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    return m3_draw_part_infer(node, M3_U32, out, err);
}

static m3_status evaluate(const m3_node *node, const double *const *in, double *const *out, m3_error *err)
{
    (void)err;
    const uint32_t key[2] = {(uint32_t)in[0][0], (uint32_t)in[0][1]}, step = (uint32_t)in[0][2];
    const uint64_t part = (uint64_t)in[0][3], parts = (uint64_t)in[0][4];
    const uint64_t repeats = (uint64_t)node->attr[2].i[0], chunk = m3_tensor_count(node->out[0]) / repeats;
    const uint64_t blocks = chunk / M3_DRAW_WORDS + (chunk % M3_DRAW_WORDS != 0);
    for (uint64_t o = 0; chunk != 0 && o < repeats; o++) {
        for (uint64_t r = 0; r < chunk; r += M3_DRAW_WORDS) {
            const uint64_t block = (o * parts + part) * blocks + r / M3_DRAW_WORDS;
            uint32_t words[M3_DRAW_WORDS] = {(uint32_t)block, m3_draw_site(node), step, (uint32_t)(block >> 32)};
            m3_philox4x32_10(words, key, words);
            for (uint32_t w = 0; w < M3_DRAW_WORDS && r + w < chunk; w++) out[0][o * chunk + r + w] = words[w];
        }
    }
    return M3_OK;
}

static const m3_attr_desc attrs[] = {{"shape", M3_ATTR_INTS}, {"site", M3_ATTR_INT}, {"repeats", M3_ATTR_INT}};

const m3_op m3_op_philox_part = {
    .size = M3_OP_SIZE,
    .name = "philox_part",
    .doc = &doc,
    .flags = M3_OP_DRAWS,
    .min_inputs = 1,
    .max_inputs = 1,
    .outputs = 1,
    .attrs = attrs,
    .attr_count = 3,
    .infer = infer,
    .evaluate = evaluate,
    .zero_gradient = true,
};
