/* noise: a graph in which every result that an op rounds is off by a little, each element by itself: what float32
 * arithmetic in another order could have made of it (Monte Carlo arithmetic, Parker 1997). How far results move tells
 * how far those of a right device may lie apart. */
#ifndef M3_CORE_CONFORMANCE_NOISE_H
#define M3_CORE_CONFORMANCE_NOISE_H

#include "m3bsr/runtime.h"

/** An executable with noise. Starts as {0}. */
typedef struct m3_noisy {
    m3_executable *executable;
    struct m3_noise_input {
        float *factor;
        uint64_t count;
        m3_tensor *tensor; /* while it is built */
        uint32_t uses;
    } * inputs;
    uint32_t input_count;
} m3_noisy;

/** Compile a graph with noise, without passes.
 * @param graph  Whose ops the device runs all, such as m3_executable_graph() of an executable of its. */
m3_status m3_noisy_init(m3_noisy *noisy, m3_device *device, m3_store *store, const m3_graph *graph, m3_error *err);
void m3_noisy_fini(m3_noisy *noisy);
/** Draw the noise of the next runs: factors from 1 - size to 1 + size. */
void m3_noisy_draw(m3_noisy *noisy, double size, uint64_t seed);

#endif
