/* random: configurations of the model drawn from a seed, and a model's steps on two devices side by side. */
#ifndef M3_CORE_CONFORMANCE_RANDOM_H
#define M3_CORE_CONFORMANCE_RANDOM_H

#include "m3bsr/conformance.h"

enum { M3_RANDOM_SETTINGS = 2048, M3_RANDOM_TEXT = 1024, M3_RANDOM_BATCHES = 3 };

/** A configuration that was drawn. */
typedef struct m3_random_config {
    m3_model_config model;
    uint32_t seed, rows;               /**< of the data; rows of the batch that count */
    uint32_t batches;                  /**< of a step, 1 to M3_RANDOM_BATCHES; above 1 gradients are accumulated */
    bool watched;                      /**< all that the graph can publish is published, else the losses alone */
    bool spread;                       /**< biases and norms do not start at 0 and 1 */
    char settings[M3_RANDOM_SETTINGS]; /**< "behaviors=3 modalities=[5,7]": what differs from the defaults */
} m3_random_config;

/** The configuration with this number. Of `n` values that a key may take, each occurs once among n numbers in a row.
 * It passes m3_model_check().
 * @param engine  Whose encoders and experts are taken, one after another.
 * Returns M3_ERR_INVALID when none is loaded, or when a plugin refuses its own defaults. */
m3_status m3_random_draw(m3_engine *engine, uint64_t seed, uint32_t index, m3_random_config *config, m3_error *err);
/** May key `key` of the model take more than one value? */
bool m3_random_varies(const char *key);

/** What a comparison found. */
typedef struct m3_random_finding {
    m3_verdict verdict;
    double share;              /**< largest error as a share of its bound */
    char text[M3_RANDOM_TEXT]; /**< the first tensor that differs, or why it lacks */
} m3_random_finding;

typedef struct m3_random_devices {
    m3_device *device, *reference;
    const char *const *no_pass; /**< on the device */
    bool strict;                /**< what the device refuses is not run by the reference */
} m3_random_devices;

/** Build the model on both, run three training steps and then inference, and compare.
 * Returns M3_OK when that could be done, whatever was found. */
m3_status m3_random_compare(const m3_random_devices *devices, const m3_random_config *config,
                            m3_random_finding *finding, m3_error *err);

#endif
