/* inputs: what a model's graphs are given where there is no data set: histories, targets, features and the numbers of a
 * step, the same on every device. Histories begin at random places, some are empty, and a third of the items occurs in
 * none of them; every seventh item has no features. */
#ifndef M3_CORE_CONFORMANCE_INPUTS_H
#define M3_CORE_CONFORMANCE_INPUTS_H

#include "m3bsr/model.h"
#include "m3bsr/runtime.h"

typedef struct m3_inputs {
    const m3_model_config *config;
    uint32_t seed;
    uint32_t step;        /**< from 1 on: other data and draws in each */
    uint32_t rows;        /**< of the batch that count; the others are padding */
    uint32_t part, parts; /**< which batch of its step, and of how many (m3_build_options.parts) */
} m3_inputs;

/** A word of a stream of random ones. */
uint32_t m3_inputs_draw(uint32_t seed, uint32_t stream, uint64_t index);
/** About normal. */
float m3_inputs_number(uint32_t seed, uint32_t stream, uint64_t index);
/** Write every input that the executable has. */
void m3_inputs_write(const m3_inputs *in, m3_executable *executable);
/** Write the features of every modality into the store. */
m3_status m3_inputs_write_features(const m3_inputs *in, m3_store *store, m3_error *err);

#endif
