/* inputs: histories, features and the rest from counters. */
#include "core/conformance/inputs.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/philox.h"

enum {
    IDS = 10,
    STARTS = 11,
    TARGET = 12,
    NEGATIVES = 13,
    TREND = 14,
    TREND_SAMPLED = 15,
    STEP_TARGET = 16,
    FEATURES = 20,
    NAME = 32
};

uint32_t m3_inputs_draw(uint32_t seed, uint32_t stream, uint64_t index)
{
    const uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), stream, 0}, key[2] = {seed, 0};
    uint32_t words[4];
    m3_philox4x32_10(counter, key, words);
    return words[0];
}

float m3_inputs_number(uint32_t seed, uint32_t stream, uint64_t index)
{
    double sum = -2.0;
    for (uint32_t k = 0; k < 4; k++) sum += (double)m3_inputs_draw(seed, stream, 4 * index + k) * 0x1p-32;
    return (float)(sum * 1.7320508075688772);
}

/* Every step has streams of its own. */
static uint32_t stream_of(const m3_inputs *in, uint32_t stream)
{
    return stream + 64 * in->step;
}

static uint32_t draw(const m3_inputs *in, uint32_t stream, uint64_t index)
{
    return m3_inputs_draw(in->seed, stream_of(in, stream), index);
}

/* Items that occur: two thirds of them. */
static uint32_t item(const m3_inputs *in, uint32_t stream, uint64_t index)
{
    const uint32_t items = (uint32_t)in->config->items;
    return draw(in, stream, index) % (items - items / 3) + 1;
}

static void write_histories(const m3_inputs *in, m3_executable *e)
{
    uint64_t bytes = 0;
    int32_t *to = m3_executable_input(e, "ids", &bytes);
    const uint64_t length = (uint64_t)in->config->length, batch = (uint64_t)in->config->batch;
    for (uint64_t i = 0; to != NULL && i < bytes / sizeof *to; i++) {
        const uint64_t sequence = i / length; /* of behavior sequence / batch and row sequence % batch */
        const bool counts = sequence % batch < in->rows;
        const bool padded = i % length < draw(in, STARTS, sequence) % (length + 1);
        to[i] = padded || !counts ? 0 : (int32_t)item(in, IDS, i);
    }
}

/* Of each row the same number of items. */
static void write_items(const m3_inputs *in, m3_executable *e, const char *name, uint32_t stream)
{
    uint64_t bytes = 0;
    int32_t *to = m3_executable_input(e, name, &bytes);
    const uint64_t count = bytes / sizeof *to, batch = (uint64_t)in->config->batch;
    for (uint64_t i = 0; to != NULL && i < count; i++)
        to[i] = i / (count / batch) < in->rows ? (int32_t)item(in, stream, i) : 0;
}

static void write_positive(const m3_inputs *in, m3_executable *e, const char *name, uint32_t stream)
{
    uint64_t bytes = 0;
    float *to = m3_executable_input(e, name, &bytes);
    for (uint64_t i = 0; to != NULL && i < bytes / sizeof *to; i++)
        to[i] = fabsf(m3_inputs_number(in->seed, stream_of(in, stream), i));
}

/* What the other parts of the step have: their targets, and so many sequences and positions that all may be there. */
static void write_step(const m3_inputs *in, m3_executable *e)
{
    const m3_model_config *c = in->config;
    uint64_t bytes = 0;
    const int32_t *target = m3_executable_input(e, "target", NULL);
    int32_t *all = m3_executable_input(e, "step_target", NULL), *place = m3_executable_input(e, "step_place", NULL);
    float *counts = m3_executable_input(e, "step_counts", &bytes);
    write_items(in, e, "step_target", STEP_TARGET);
    if (place != NULL) *place = (int32_t)in->part * c->batch;
    if (all != NULL && target != NULL)
        memcpy(all + (size_t)in->part * (size_t)c->batch, target, (size_t)c->batch * sizeof *all);
    for (uint64_t i = 0; counts != NULL && i < bytes / sizeof *counts; i++)
        counts[i] = (float)in->rows * (float)(i == 0 ? c->behaviors : i == 1 ? c->behaviors * c->behaviors : c->length);
}

void m3_inputs_write(const m3_inputs *in, m3_executable *executable)
{
    const m3_model_config *c = in->config;
    const uint32_t rng[5] = {in->seed, 0, in->step, in->part, in->parts};
    const float step[3] = {(float)c->lr, (float)(1.0 - pow(c->beta1, in->step)),
                           (float)(1.0 - pow(c->beta2, in->step))};
    uint64_t bytes = 0;
    uint32_t *words = m3_executable_input(executable, "rng", &bytes);
    float *rates = m3_executable_input(executable, "step", NULL),
          *valid = m3_executable_input(executable, "valid", NULL);
    if (words != NULL) memcpy(words, rng, bytes); /* [3], of a part of a step [5] */
    if (rates != NULL) memcpy(rates, step, sizeof step);
    if (valid != NULL) *valid = (float)in->rows;
    write_histories(in, executable);
    write_items(in, executable, "target", TARGET);
    write_items(in, executable, "negatives", NEGATIVES);
    write_positive(in, executable, "trend", TREND);
    write_positive(in, executable, "trend_sampled", TREND_SAMPLED);
    write_step(in, executable);
}

m3_status m3_inputs_write_features(const m3_inputs *in, m3_store *store, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t k = 0; st == M3_OK && k < (uint32_t)in->config->modality_count; k++) {
        const uint64_t width = (uint64_t)in->config->modalities[k], rows = (uint64_t)in->config->items + 1;
        const m3_shape shape = M3_SHAPE(rows, width);
        char name[NAME];
        float *data = m3_calloc(rows * width, sizeof *data);
        if (data == NULL) return M3_FAIL_MEMORY(err, "features", rows * width * sizeof *data);
        for (uint64_t i = width; i < rows * width; i++)
            if (i / width % 7 != 0) data[i] = m3_inputs_number(in->seed, FEATURES + k, i);
        (void)snprintf(name, sizeof name, "features%u", k);
        st = m3_store_write(store, name, M3_F32, &shape, data, err);
        m3_free(data);
    }
    return st;
}
