/* vectors: reading a vector file's configuration, apart from the check in include/m3bsr/conformance.h. */
#ifndef M3_CORE_CONFORMANCE_VECTORS_H
#define M3_CORE_CONFORMANCE_VECTORS_H

#include "core/base/safetensors.h"
#include "m3bsr/model.h"

/** The model of a vector file, dense and without dropout, and how many steps it was trained. */
m3_status m3_vectors_config(const m3_safetensors *file, const char *path, m3_model_config *config,
                            uint32_t *train_steps, m3_error *err);

#endif
