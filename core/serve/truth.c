/* truth: how a model's denoisers and router compare with what was planted. Two inferences run over the same histories:
 *   given   encoded x, after_modality y, after_behavior z [B, M, n, L, d], gate [n, G+1]
 *   clean   encoded r, from the features without planted noise, over a store of its own
 *   raw     where the set's features were denoised before the model saw them: encoded x, from those of the set; given's
 *           encoded is y
 * A position of a history is an event of the set, which the truth knows to be genuine or accidental, on an item whose
 * features it knows to be noise or not. */
#include "core/serve/truth.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/data/history.h"

enum { BEHAVIORS = M3_MAX_BEHAVIORS, MODALITIES = M3_MAX_MODALITIES + 1 };

/* What happened to an event's features of one modality, or to an event. */
typedef struct change {
    double size, of_ids; /* of_ids: of events alone */
    uint32_t behavior, modality;
    uint8_t noise; /* features: 0 or 1; events: M3_EVENT bits */
} change;

typedef struct changes {
    change *at;
    uint64_t count, capacity;
} changes;

/* An inference with other features. */
typedef struct inference {
    m3_store *store;
    m3_executable *executable; /* NULL: there is none */
    m3_infer_shape shape;
} inference;

typedef struct measuring {
    m3_served *served;
    m3_sequence_names names;
    m3_truth truth;
    const m3_sample *samples;
    uint64_t sample_count;
    m3_executable *given;
    inference clean, raw; /* clean has none for a model without features */
    m3_infer_shape given_shape;
    const float *x, *y, *z, *r, *gate;
    uint32_t width;
    m3_noise_sums sums[BEHAVIORS][MODALITIES];
    m3_moments of_x[BEHAVIORS][MODALITIES], of_r[BEHAVIORS][MODALITIES];
    double *moments;  /* the memory of the two */
    uint32_t *places; /* [L] */
    double gates[BEHAVIORS * MODALITIES + 1];
    changes features, events;
    m3_scored *scored;
} measuring;

/* The inferences. */

static m3_status copy_state(const measuring *m, const m3_store_entry *entry, m3_store *to, m3_error *err)
{
    const uint64_t bytes = m3_shape_count(&entry->shape) * m3_dtype_bytes(entry->dtype);
    void *data = m3_calloc(bytes, 1);
    if (data == NULL) return M3_FAIL_MEMORY(err, entry->name, bytes);
    m3_status st = m3_store_read(m->served->store, entry->name, data, bytes, err);
    if (st == M3_OK) st = m3_store_write(to, entry->name, entry->dtype, &entry->shape, data, err);
    m3_free(data);
    return st;
}

/* Features as the model would have them: centered under `denoise: neighbors`. */
static m3_status write_features(const measuring *m, uint32_t k, const float *rows, m3_store *to, m3_error *err)
{
    char name[32];
    const uint64_t items = m3_dataset_item_count(m->served->set), width = (uint64_t)m->served->config.modalities[k];
    const m3_shape shape = {.rank = 2, .dim = {items + 1, width}};
    const float *mean = m->served->denoised.features[k].mean;
    (void)snprintf(name, sizeof name, "features%u", k);
    if (mean == NULL) return m3_store_write(to, name, M3_F32, &shape, rows, err);
    float *centered = m3_calloc((items + 1) * width, sizeof *centered);
    if (centered == NULL) return M3_FAIL_MEMORY(err, name, (items + 1) * width * sizeof *centered);
    for (uint64_t at = width; at < (items + 1) * width; at++) centered[at] = rows[at] - mean[at % width];
    const m3_status st = m3_store_write(to, name, M3_F32, &shape, centered, err);
    m3_free(centered);
    return st;
}

/* The parameters, with features [K] in the place of the run's. */
static m3_status fill_store(const measuring *m, const float *const *features, m3_store **out, m3_error *err)
{
    m3_status st = m3_store_create(m->served->device, 0, out, err);
    for (uint32_t k = 0; st == M3_OK && k + 1 < m->names.modality_count; k++)
        st = write_features(m, k, features[k], *out, err);
    for (uint32_t i = 0; st == M3_OK && i < m3_store_count(m->served->store); i++) {
        m3_store_entry entry, there;
        m3_store_at(m->served->store, i, &entry);
        if (!m3_store_find(*out, entry.name, &there)) st = copy_state(m, &entry, *out, err);
    }
    return st;
}

static m3_status find_output(const measuring *m, m3_executable *executable, const char *name, const float **to,
                             m3_error *err)
{
    const m3_tensor *tensor = m3_executable_output_tensor(executable, name);
    const m3_infer_shape *s = &m->given_shape;
    const uint64_t sequences = (uint64_t)s->behaviors * m->names.modality_count;
    const bool is_gate = strcmp(name, "gate") == 0;
    *to = m3_executable_output(executable, name, NULL);
    if (tensor != NULL && *to != NULL &&
        m3_tensor_count(tensor) == s->batch * (is_gate ? sequences + 1 : sequences * s->length * m->width))
        return M3_OK;
    return M3_FAIL(err, M3_ERR_INTERNAL, name, "is not published by the compiled inference, or in another shape");
}

/* What the encoders make of other features. */
static m3_status make_inference(measuring *m, const float *const *features, inference *to, const float **encoded,
                                m3_error *err)
{
    m3_served other = *m->served;
    m3_status st = fill_store(m, features, &to->store, err);
    if (st != M3_OK) return st;
    other.store = to->store;
    st = m3_served_publish(&other, M3_PUBLISH_ENCODED, m->given_shape.batch, &to->executable, err);
    if (st != M3_OK || (st = m3_infer_shape_of(to->executable, &to->shape, err)) != M3_OK) return st;
    return find_output(m, to->executable, "encoded", encoded, err);
}

static m3_status compile_others(measuring *m, m3_error *err)
{
    m3_status st;
    const float *of_set[M3_MAX_MODALITIES] = {0};
    if (m->names.modality_count == 1) return M3_OK;
    if ((st = make_inference(m, (const float *const *)m->truth.clean, &m->clean, &m->r, err)) != M3_OK) return st;
    if (m->served->denoised.modality_count == 0 || !m->served->config.modality_denoise) return M3_OK;
    for (uint32_t k = 0; k + 1 < m->names.modality_count; k++)
        for (uint32_t s = 0; s < m3_dataset_modality_count(m->served->set); s++) {
            const m3_features features = m3_dataset_features(m->served->set, s);
            if (strcmp(features.name, m->names.modalities[k + 1]) == 0) of_set[k] = features.rows;
        }
    return make_inference(m, of_set, &m->raw, &m->x, err);
}

static m3_status compile(measuring *m, m3_error *err)
{
    m3_status st;
    const uint32_t publish =
        M3_PUBLISH_ENCODED | M3_PUBLISH_AFTER_MODALITY | M3_PUBLISH_AFTER_BEHAVIOR | M3_PUBLISH_GATE;
    m->width = (uint32_t)m->served->config.width;
    if ((st = m3_served_publish(m->served, publish, 0, &m->given, err)) != M3_OK) return st;
    if ((st = m3_infer_shape_of(m->given, &m->given_shape, err)) != M3_OK) return st;
    if ((st = find_output(m, m->given, "encoded", &m->x, err)) != M3_OK) return st;
    if ((st = find_output(m, m->given, "after_modality", &m->y, err)) != M3_OK) return st;
    if ((st = find_output(m, m->given, "after_behavior", &m->z, err)) != M3_OK) return st;
    if ((st = find_output(m, m->given, "gate", &m->gate, err)) != M3_OK) return st;
    return compile_others(m, err);
}

static m3_status make_moments(measuring *m, m3_error *err)
{
    const uint64_t sequences = (uint64_t)m->names.behavior_count * m->names.modality_count;
    double *at = m->moments = m3_calloc(4 * sequences * m->width, sizeof *m->moments);
    m->places = m3_calloc(m->given_shape.length, sizeof *m->places);
    if (at == NULL || m->places == NULL)
        return M3_FAIL_MEMORY(err, "variances", 4 * sequences * m->width * sizeof *m->moments);
    for (uint32_t b = 0; b < m->names.behavior_count; b++)
        for (uint32_t k = 0; k < m->names.modality_count; k++, at += (size_t)4 * m->width) {
            m->of_x[b][k] = (m3_moments){.sum = at, .square = at + m->width};
            m->of_r[b][k] = (m3_moments){.sum = at + (size_t)2 * m->width, .square = at + (size_t)3 * m->width};
        }
    return M3_OK;
}

/* Positions. */

static m3_status keep(changes *to, change one, const char *name, m3_error *err)
{
    if (!isfinite(one.size))
        return M3_FAIL(err, M3_ERR_INVALID, name, "has values that are not finite, so there is nothing to compare");
    if (to->count == to->capacity) {
        const uint64_t capacity = to->capacity == 0 ? 4096 : to->capacity * 2;
        change *at = m3_realloc(to->at, capacity, sizeof *at);
        if (at == NULL) return M3_FAIL_MEMORY(err, "changes", capacity * sizeof *at);
        to->at = at;
        to->capacity = capacity;
    }
    to->at[to->count++] = one;
    return M3_OK;
}

/* @param at  Offset of the position's d numbers for modality 0. @param step  From one modality to the next. */
static m3_status measure_position(measuring *m, uint32_t b, uint32_t item, uint8_t flags, size_t at, size_t step,
                                  m3_error *err)
{
    m3_status st;
    change event = {.behavior = b, .noise = flags};
    for (uint32_t k = 0; k < m->names.modality_count; k++, at += step) {
        if (k > 0) {
            const bool noisy = m->truth.noisy[k - 1][item];
            m3_moments_add(&m->of_x[b][k], m->x + at, m->width);
            m3_moments_add(&m->of_r[b][k], m->r + at, m->width);
            const double size = m3_noise_add(&m->sums[b][k], noisy, m->r + at, m->x + at, m->y + at, m->width);
            const change one = {.size = size, .behavior = b, .modality = k, .noise = noisy};
            if ((st = keep(&m->features, one, "after_modality", err)) != M3_OK) return st;
        }
        const double size = m3_squared_distance(m->z + at, m->y + at, m->width);
        if (k == 0) event.of_ids = size;
        event.size += size;
    }
    if (m->served->denoised.filter != NULL) return M3_OK; /* events are measured one by one: measure_events() */
    return b + 1 < m->names.behavior_count ? keep(&m->events, event, "after_behavior", err) : M3_OK;
}

/* The events that the filter judges for a history: the last ones of the shallowest behavior, whether they stay or not.
 * The less supports an event, the more it is changed. */
static m3_status measure_events(measuring *m, const m3_sample *sample, m3_error *err)
{
    m3_status st = M3_OK;
    const m3_event_filter *filter = m->served->denoised.filter;
    const uint8_t *flags = m3_truth_flags(&m->truth, m->served->set, sample->user, 0);
    const uint32_t length = m->given_shape.length,
                   count = m3_history_places(NULL, m->served->set, sample->user, sample->time, 0, length, m->places);
    for (uint32_t i = length - count; st == M3_OK && i < length; i++) {
        const double support = m3_event_filter_support(filter, sample->user, m->places[i], sample->time);
        const change one = {.size = 1.0 - support, .of_ids = 1.0 - support, .noise = flags[m->places[i]]};
        st = keep(&m->events, one, "support", err);
    }
    return st;
}

/* The events of a history's positions. */
static m3_status measure_sample(measuring *m, const m3_sample *sample, uint32_t row, m3_error *err)
{
    m3_status st = M3_OK;
    const m3_infer_shape *s = &m->given_shape;
    const m3_event_filter *filter = m->served->denoised.filter;
    const size_t step = (size_t)s->batch * s->length * m->width;
    for (uint32_t b = 0; st == M3_OK && b < s->behaviors; b++) {
        const m3_events events = m3_dataset_events(m->served->set, sample->user, b);
        const uint8_t *flags = m3_truth_flags(&m->truth, m->served->set, sample->user, b);
        uint32_t i = s->length;
        i -= m3_history_places(filter, m->served->set, sample->user, sample->time, b, s->length, m->places);
        for (; st == M3_OK && i < s->length; i++) {
            const uint32_t event = m->places[i];
            const size_t position = (size_t)row * s->length + i;
            const size_t at = b * m->names.modality_count * step + position * m->width;
            st = measure_position(m, b, events.items[event], flags[event], at, step, err);
        }
    }
    return st == M3_OK && filter != NULL ? measure_events(m, sample, err) : st;
}

static m3_status run_like(const measuring *m, const inference *other, m3_error *err)
{
    const m3_infer_shape *s = &m->given_shape;
    if (other->executable == NULL) return M3_OK;
    memcpy(other->shape.ids, s->ids, (size_t)s->behaviors * s->batch * s->length * sizeof *s->ids);
    return m3_executable_run(other->executable, err);
}

static m3_status measure(void *user, uint64_t first, uint32_t rows, m3_error *err)
{
    m3_status st;
    measuring *m = user;
    const m3_infer_shape *s = &m->given_shape;
    const uint32_t experts = s->behaviors * m->names.modality_count + 1;
    if ((st = run_like(m, &m->clean, err)) != M3_OK || (st = run_like(m, &m->raw, err)) != M3_OK) return st;
    for (uint32_t i = 0; st == M3_OK && i < rows; i++) {
        for (uint32_t e = 0; e < experts; e++) m->gates[e] += m->gate[(size_t)i * experts + e];
        st = measure_sample(m, &m->samples[first + i], i, err);
    }
    return st;
}

/* The report: one block of memory, its lists behind the struct. */

typedef struct report_block {
    m3_truth_report report;
    m3_truth_features features[BEHAVIORS * MODALITIES + MODALITIES + 1];
    m3_truth_events events[BEHAVIORS];
    m3_truth_weight weights[BEHAVIORS * MODALITIES];
} report_block;

enum { EVERY = UINT16_MAX };

static double features_auc(measuring *m, uint32_t behavior, uint32_t modality)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < m->features.count; i++) {
        const change *c = &m->features.at[i];
        if ((behavior != EVERY && c->behavior != behavior) || (modality != EVERY && c->modality != modality)) continue;
        m->scored[count++] = (m3_scored){c->size, c->noise != 0};
    }
    return m3_auc(m->scored, count);
}

static void report_features(measuring *m, report_block *to, uint32_t behavior, uint32_t modality)
{
    m3_noise_sums all = {0};
    for (uint32_t b = 0; b < m->names.behavior_count; b++)
        for (uint32_t k = 1; k < m->names.modality_count; k++)
            if ((behavior == EVERY || b == behavior) && (modality == EVERY || k == modality))
                m3_noise_join(&all, &m->sums[b][k]);
    m3_truth_features *row = &to->features[to->report.feature_count++];
    row->behavior = behavior == EVERY ? NULL : m->names.behaviors[behavior];
    row->modality = modality == EVERY ? NULL : m->names.modalities[modality];
    m3_noise_finish(&all, row);
    row->auc = features_auc(m, behavior, modality);
}

static void report_all_features(measuring *m, report_block *to)
{
    const uint32_t behaviors = m->names.behavior_count, modalities = m->names.modality_count;
    for (uint32_t b = 0; b < behaviors; b++)
        for (uint32_t k = 1; k < modalities; k++) {
            m->sums[b][k].clean_spread = m3_moments_spread(&m->of_r[b][k], m->width);
            m->sums[b][k].encoded_spread = m3_moments_spread(&m->of_x[b][k], m->width);
            report_features(m, to, b, k);
        }
    for (uint32_t k = 1; behaviors > 1 && k < modalities; k++) report_features(m, to, EVERY, k);
    if (modalities > 1) report_features(m, to, EVERY, EVERY);
}

/* Accidental events with these bits under `mask`, against genuine ones. */
static double events_auc(measuring *m, uint32_t behavior, uint8_t mask, uint8_t bits, bool ids)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < m->events.count; i++) {
        const change *c = &m->events.at[i];
        const bool accidental = (c->noise & M3_EVENT_ACCIDENTAL) != 0;
        if (c->behavior != behavior || (accidental && (c->noise & mask) != bits)) continue;
        m->scored[count++] = (m3_scored){ids ? c->of_ids : c->size, accidental};
    }
    return m3_auc(m->scored, count);
}

static m3_truth_auc events_aucs(measuring *m, uint32_t behavior, bool ids)
{
    return (m3_truth_auc){.accidental = events_auc(m, behavior, 0, 0, ids),
                          .bursts = events_auc(m, behavior, M3_EVENT_BURST, M3_EVENT_BURST, ids),
                          .alone = events_auc(m, behavior, M3_EVENT_BURST, 0, ids)};
}

static void report_events(measuring *m, report_block *to)
{
    for (uint32_t b = 0; b + 1 < m->names.behavior_count; b++) {
        m3_truth_events *row = &to->events[to->report.event_count++];
        *row = (m3_truth_events){.behavior = m->names.behaviors[b]};
        for (uint64_t i = 0; i < m->events.count; i++) {
            const change *c = &m->events.at[i];
            if (c->behavior != b) continue;
            row->genuine += (c->noise & M3_EVENT_ACCIDENTAL) == 0;
            row->accidental += (c->noise & M3_EVENT_ACCIDENTAL) != 0;
            row->bursts += (c->noise & M3_EVENT_BURST) != 0;
        }
        row->all = events_aucs(m, b, false);
        row->ids = events_aucs(m, b, true);
    }
}

static double share(double part, double whole)
{
    return whole > 0.0 ? part / whole : (double)NAN;
}

static void report_weights(const measuring *m, report_block *to)
{
    double apart = 0.0;
    const uint32_t modalities = m->names.modality_count;
    for (uint32_t b = 0; b < m->names.behavior_count; b++) {
        const double *gates = &m->gates[1 + b * modalities];
        double found = 0.0, planted = 0.0;
        for (uint32_t k = 0; k < modalities; k++) {
            found += gates[k];
            planted += m->truth.weights[b][k];
        }
        for (uint32_t k = 0; k < modalities; k++) {
            m3_truth_weight *row = &to->weights[to->report.weight_count++];
            *row = (m3_truth_weight){.behavior = m->names.behaviors[b],
                                     .modality = m->names.modalities[k],
                                     .gate = share(gates[k], (double)m->sample_count),
                                     .weight = share(gates[k], found),
                                     .planted = (double)NAN};
            if (m->truth.has_weights) row->planted = share(m->truth.weights[b][k], planted);
            apart += fabs(row->weight - row->planted);
        }
    }
    to->report.calibration = apart / to->report.weight_count;
}

static m3_status make_report(measuring *m, m3_split_part part, m3_truth_report **report, m3_error *err)
{
    const uint64_t most = m->features.count > m->events.count ? m->features.count : m->events.count;
    report_block *to = m3_calloc(1, sizeof *to);
    m->scored = m3_calloc(most, sizeof *m->scored);
    if (to == NULL || m->scored == NULL) {
        m3_free(to);
        return M3_FAIL_MEMORY(err, "report", sizeof *to + most * sizeof *m->scored);
    }
    to->report = (m3_truth_report){.size = M3_STRUCT_SIZE(m3_truth_report, calibration),
                                   .part = part,
                                   .samples = m->sample_count,
                                   .features = to->features,
                                   .events = to->events,
                                   .weights = to->weights};
    report_all_features(m, to);
    report_events(m, to);
    report_weights(m, to);
    *report = &to->report;
    return M3_OK;
}

static void finish(measuring *m)
{
    m3_executable_free(m->given);
    m3_executable_free(m->clean.executable);
    m3_store_free(m->clean.store);
    m3_executable_free(m->raw.executable);
    m3_store_free(m->raw.store);
    m3_free(m->places);
    m3_truth_fini(&m->truth);
    m3_free(m->moments);
    m3_free(m->features.at);
    m3_free(m->events.at);
    m3_free(m->scored);
    m3_free(m);
}

m3_status m3_evaluate_truth(m3_served *served, m3_split_part part, const char *truth, m3_truth_report **report,
                            m3_error *err)
{
    m3_status st;
    *report = NULL;
    if ((unsigned)part >= M3_SPLIT_COUNT)
        return M3_FAIL(err, M3_ERR_RANGE, "part", "is %d; give one from 0 to %d", (int)part, M3_SPLIT_COUNT - 1);
    measuring *m = m3_calloc(1, sizeof *m);
    if (m == NULL) return M3_FAIL_MEMORY(err, truth, sizeof *m);
    m->served = served;
    m->samples = m3_split_samples(served->split, part, &m->sample_count);
    if ((st = m3_settings_names(served->settings, served->set, &m->names, err)) != M3_OK) goto done;
    if ((st = m3_truth_read(truth, served->set, &m->names, &m->truth, err)) != M3_OK) goto done;
    if ((st = compile(m, err)) != M3_OK) goto done;
    if ((st = make_moments(m, err)) != M3_OK) goto done;
    st = m3_infer_samples(&m->given_shape, m3_served_source(served), m->samples, m->sample_count, measure, m, err);
    if (st == M3_OK) st = make_report(m, part, report, err);
done:
    finish(m);
    return st;
}

void m3_truth_report_free(m3_truth_report *report)
{
    m3_free(report); /* the first member of its block */
}
