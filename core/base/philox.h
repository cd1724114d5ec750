/* philox: a counter-based generator; the same counter and key give the same 128 bits on every machine. */
#ifndef M3_CORE_BASE_PHILOX_H
#define M3_CORE_BASE_PHILOX_H

#include "m3bsr/base.h"

/** Philox4x32 with 10 rounds. Pure: any thread, any order. out may be counter itself. */
void m3_philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#endif
