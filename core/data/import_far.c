/* import_far: entries of a feature matrix that lie so far from their column's others that they hide what all say: marks
 * for missing values such as -999, and counts without a logarithm. Quartiles tell, since a mark in a hundredth of the
 * items does not move them; a column without spread between them, such as a mostly empty one, has no such entries. */
#include <math.h>
#include <stdlib.h>

#include "core/base/alloc.h"
#include "core/data/import.h"

enum { SAMPLED = 4096, FAR = 50 }; /* rows for quartiles; ranges between the quartiles */

/* What is found, of the farthest entry. */
typedef struct far_entry {
    uint32_t column;
    float value, low, high; /* the quartiles */
    double ranges;
} far_entry;

static int rising(const void *a, const void *b)
{
    const float *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* sample [width, SAMPLED], of it `count` each. */
static uint32_t take_sample(const m3_feature_rows *features, uint32_t items, float *row, float *sample)
{
    const uint32_t step = items / SAMPLED + 1, width = features->width;
    uint32_t count = 0;
    for (uint32_t i = 1; i <= items && count < SAMPLED; i += step) {
        if (!m3_feature_row(features, i, row)) continue;
        for (uint32_t d = 0; d < width; d++) sample[(size_t)d * SAMPLED + count] = row[d];
        count++;
    }
    return count;
}

static far_entry find(const m3_feature_rows *features, uint32_t items, float *row, const float *sample, uint32_t count)
{
    far_entry found = {0};
    for (uint32_t i = 1; i <= items; i++) {
        if (!m3_feature_row(features, i, row)) continue;
        for (uint32_t d = 0; d < features->width; d++) {
            const float *sorted = sample + (size_t)d * SAMPLED;
            const float low = sorted[count / 4], high = sorted[count - 1 - count / 4];
            const double range = (double)high - (double)low;
            const double beyond = row[d] < low ? (double)low - (double)row[d] : (double)row[d] - (double)high;
            if (range > 0.0 && beyond > found.ranges * range) found = (far_entry){d, row[d], low, high, beyond / range};
        }
    }
    return found;
}

m3_status m3_feature_rows_say_far(const m3_feature_rows *features, uint32_t items, m3_drops *drops, m3_error *err)
{
    const uint32_t width = features->width;
    float *row = m3_calloc(width, sizeof *row), *sample = m3_calloc((size_t)width * SAMPLED, sizeof *sample);
    m3_status st = M3_OK;
    if (row != NULL && sample != NULL) {
        const uint32_t count = take_sample(features, items, row, sample);
        for (uint32_t d = 0; d < width; d++) qsort(sample + (size_t)d * SAMPLED, count, sizeof *sample, rising);
        const far_entry far = count > 0 ? find(features, items, row, sample, count) : (far_entry){0};
        if (far.ranges > FAR)
            m3_drops_say(drops, M3_LOG_WARN,
                         "modality '%s': column %u has %.9g, and half of its entries lie from %.9g to %.9g; so far an "
                         "entry hides what the others say. If it marks a missing value, leave such items out of the "
                         "matrix; if it is a count, take its logarithm",
                         features->name, far.column + 1, (double)far.value, (double)far.low, (double)far.high);
    } else {
        st = M3_FAIL_MEMORY(err, features->name, (uint64_t)width * SAMPLED * sizeof *sample);
    }
    m3_free(row);
    m3_free(sample);
    return st;
}
