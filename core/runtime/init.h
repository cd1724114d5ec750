/* init: the values with which parameters and states start. */
#ifndef M3_CORE_RUNTIME_INIT_H
#define M3_CORE_RUNTIME_INIT_H

#include "m3bsr/tensor.h"

/** Initial values of elements [first, first + count) of a tensor, in its type: a pure function of seed, name and
 * element, so the same on every device and in every order of declaration. M3_ERR_UNSUPPORTED for values other than 0
 * of a type that is storage only. */
m3_status m3_init_fill(const m3_tensor *tensor, uint64_t seed, uint64_t first, uint64_t count, void *data,
                       m3_error *err);

#endif
