/* instruments: after an epoch, what each part of the model does on the first validation samples, and what gradients it
 * gets; parts that do nothing, or get none, are named with the reason.
 *   router    mean weight by expert; entropy of a sample's weights, and of their mean, over log of their number
 *   encoders  over valid positions: scale, spread around the mean of a position, and effective rank (statistics.h)
 *   denoisers what each changes: root of  sum |after - before|^2 / sum |before|^2  over valid positions; its loss, with
 *             the same draws after every epoch, beside that of predicting nothing
 *   interests what the experts give: the same as of encoders, over samples whose sequence is not empty
 *   gradients by part, from Adam's moments (gradients.c)
 *   contrast  the epoch's mean loss beside that of a network that tells nothing apart: log(1 + G), or log(n) where it
 *             tells the n users of a batch apart, or the targets of a step's */
#include "core/train/instruments.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/runtime/engine.h"
#include "core/serve/infer.h"
#include "core/train/shards.h"
#include "core/train/statistics.h"

/* Limits beyond which a part counts as dead; m3bsr(1) has them too. */
static const double least_weight = 0.01, least_share = 0.1; /* of an expert: the lower one of 0.01 and 0.1 / (G + 1) */
/* Of an encoder or expert. The scale begins at 1, which is the noise's; the spread is relative to it. */
static const double least_scale = 0.05, least_rank = 1.5, least_spread = 0.01;
static const uint32_t judged_epoch = 3; /* from here on: until then a denoiser may be no better than nothing */
static const double least_change = 1e-3, most_change = 2.0; /* of a denoiser; sqrt(2) is another vector of this size */
static const double least_contrast = 1e-3, most_zero = 0.99;
enum {
    JUDGED_WIDTH = 8, /* features of fewer columns may well have a low rank */
    JUDGED_ROWS = 4,  /* times L: fewer rows than that may differ little by chance */
    JUDGED_SAMPLES = 16
};

/* What a denoiser is given, and what it changes: sums of squares. Its loss, and that of predicting nothing. */
typedef struct denoiser {
    double before, change, loss, nothing;
} denoiser;

typedef struct instruments {
    m3_trainer *tr;
    m3_sequence_names names;
    uint32_t samples, experts;
    double *weights;          /* [G+1], sums, then means */
    double entropy;           /* sum, then mean */
    m3_covariance *encoders;  /* [M] */
    m3_covariance *interests; /* [G+1] */
    float *common;            /* [d], of one sample */
    denoiser modalities[M3_MAX_MODALITIES], behaviors[M3_MAX_BEHAVIORS];
    m3_infer_shape shape;
    /* Outputs of the inference; after a denoiser that there is not it is what was before it. */
    const float *gate; /* NULL where a model does not weight its experts */
    const float *encoded, *after_modality, *after_behavior, *specific, *shared;
    json_t *dead; /* from parts to reasons */
    bool lost;    /* there was no memory for a part of what is measured */
} instruments;

static void put(instruments *in, json_t *object, const char *key, json_t *value)
{
    in->lost = json_object_set_new(object, key, value) != 0 || in->lost;
}

/* JSON has no NaN and no infinity. */
static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* The first reason stays. */
M3_PRINTF(3, 4)
static void bury(instruments *in, const char *part, const char *format, ...)
{
    char reason[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    if (json_object_get(in->dead, part) == NULL) put(in, in->dead, part, json_string(reason));
}

/* "encoder.feature0" is the encoder of image; the name of the modality or behavior says more. */
static const char *label(const instruments *in, const char *part, char text[M3_PART_NAME])
{
    unsigned at = 0;
    const char *name = NULL;
    if (sscanf(part, "encoder.feature%u", &at) == 1 || sscanf(part, "denoise.modality%u", &at) == 1)
        name = at + 1 < in->names.modality_count ? in->names.modalities[at + 1] : NULL;
    else if (sscanf(part, "denoise.behavior%u", &at) == 1)
        name = at < in->names.behavior_count ? in->names.behaviors[at] : NULL;
    if (name == NULL) return part;
    (void)snprintf(text, M3_PART_NAME, "%.60s (%.60s)", part, name);
    return text;
}

/* Does the configuration have this expert? 0 is the common one. */
static bool has_expert(const instruments *in, uint32_t i)
{
    return in->tr->config.interests != (i == 0 ? M3_INTERESTS_SPECIFIC : M3_INTERESTS_COMMON);
}

/* Of the weights of the experts that there are, which stand next to one another. */
static double entropy_of(const instruments *in, const double *weights)
{
    const uint32_t first = has_expert(in, 0) ? 0 : 1, end = has_expert(in, 1) ? in->experts : 1;
    return end - first > 1 ? m3_relative_entropy(weights + first, end - first) : 1.0;
}

/* What the model does. */

/* As shares of their sum, whatever it is. */
static void add_weights(instruments *in, const float *gate)
{
    double sample[M3_MAX_EXPERTS], sum = 0.0;
    for (uint32_t i = 0; i < in->experts; i++) sum += (double)gate[i];
    for (uint32_t i = 0; i < in->experts; i++) {
        sample[i] = sum > 0.0 ? (double)gate[i] / sum : 0.0;
        in->weights[i] += sample[i];
    }
    in->entropy += entropy_of(in, sample);
}

static void add_positions(instruments *in, uint32_t sample)
{
    const m3_infer_shape *s = &in->shape;
    const uint32_t modalities = in->names.modality_count;
    const size_t width = (size_t)in->tr->config.width;
    for (size_t b = 0; b < s->behaviors; b++)
        for (size_t m = 0; m < modalities; m++) {
            const int32_t *ids = s->ids + (b * s->batch + sample) * s->length;
            const float *rows = in->encoded + ((b * modalities + m) * s->batch + sample) * s->length * width;
            for (uint32_t l = 0; l < s->length; l++)
                if (ids[l] != 0) m3_covariance_add(&in->encoders[m], l, rows + l * width);
        }
}

/* The specific interests, and the common one: the mean of the shared expert's over sequences that are not empty. */
static void add_interests(instruments *in, uint32_t sample)
{
    const m3_infer_shape *s = &in->shape;
    const uint32_t groups = in->experts - 1, modalities = in->names.modality_count;
    const size_t width = (size_t)in->tr->config.width;
    uint32_t there = 0;
    memset(in->common, 0, width * sizeof *in->common);
    for (uint32_t g = 0; g < groups; g++) {
        const size_t last =
            ((size_t)(g / modalities) * s->batch + sample + 1) * s->length - 1; /* padding is on the left */
        const size_t at = ((size_t)g * s->batch + sample) * width;
        if (s->ids[last] == 0) continue;
        there++;
        if (in->specific != NULL) m3_covariance_add(&in->interests[g + 1], 0, in->specific + at);
        for (size_t i = 0; in->shared != NULL && i < width; i++) in->common[i] += in->shared[at + i];
    }
    if (in->shared == NULL) return;
    for (size_t i = 0; there > 0 && i < width; i++) in->common[i] /= (float)there;
    if (there > 0) m3_covariance_add(&in->interests[0], 0, in->common);
}

static void add_change(denoiser *to, const float *before, const float *after, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const double x = (double)before[i], off = (double)after[i] - x;
        to->before += x * x;
        to->change += off * off;
    }
}

static void add_changes(instruments *in, uint32_t sample)
{
    const m3_infer_shape *s = &in->shape;
    const uint32_t modalities = in->names.modality_count;
    const size_t width = (size_t)in->tr->config.width;
    for (size_t b = 0; b < s->behaviors; b++)
        for (size_t m = 0; m < modalities; m++)
            for (size_t l = 0; l < s->length; l++) {
                const size_t at = (((b * modalities + m) * s->batch + sample) * s->length + l) * width;
                if (s->ids[(b * s->batch + sample) * s->length + l] == 0) continue;
                if (m > 0) add_change(&in->modalities[m - 1], in->encoded + at, in->after_modality + at, width);
                if (b + 1 < s->behaviors)
                    add_change(&in->behaviors[b], in->after_modality + at, in->after_behavior + at, width);
            }
}

static m3_status add_rows(void *user, uint64_t first, uint32_t rows, m3_error *err)
{
    instruments *in = user;
    (void)first;
    (void)err;
    for (uint32_t i = 0; i < rows; i++) {
        if (in->gate != NULL) add_weights(in, in->gate + (size_t)i * in->experts);
        add_positions(in, i);
        add_interests(in, i);
        add_changes(in, i);
    }
    in->samples += rows;
    return M3_OK;
}

static uint64_t sample_count(const m3_trainer *tr)
{
    return tr->valid_count < tr->keys.instruments ? tr->valid_count : tr->keys.instruments;
}

/* Over the window of a batch, where that is what the executables see. */
static m3_infer_source source_of(m3_trainer *tr)
{
    m3_infer_source source = m3_trainer_source(tr);
    if (tr->shards == NULL) return source;
    source.place = m3_shards_place;
    source.user = tr;
    source.stop = NULL; /* all stop with this rank */
    return source;
}

static m3_status watch(instruments *in, m3_error *err)
{
    m3_trainer *tr = in->tr;
    m3_status st;
    const uint64_t count = sample_count(tr);
    if (tr->programs.published == NULL) return M3_OK; /* nothing is validated */
    if ((st = m3_infer_shape_of(tr->programs.published, &in->shape, err)) != M3_OK) return st;
    in->gate = m3_executable_output(tr->programs.published, "gate", NULL);
    in->encoded = m3_executable_output(tr->programs.published, "encoded", NULL);
    in->specific = m3_executable_output(tr->programs.published, "specific", NULL);
    in->shared = m3_executable_output(tr->programs.published, "common", NULL);
    in->after_modality = m3_executable_output(tr->programs.published, "after_modality", NULL);
    in->after_behavior = m3_executable_output(tr->programs.published, "after_behavior", NULL);
    if (in->after_modality == NULL) in->after_modality = in->encoded;
    if (in->after_behavior == NULL) in->after_behavior = in->after_modality;
    const m3_tensor *gate = m3_executable_output_tensor(tr->programs.published, "gate");
    if (in->encoded == NULL || (in->specific == NULL && has_expert(in, 1)) || (in->shared == NULL && has_expert(in, 0)))
        return M3_FAIL(err, M3_ERR_INTERNAL, "instruments",
                       "want the outputs encoded, specific and common of inference");
    if (gate == NULL || gate->shape.rank != 2 || gate->shape.dim[1] != in->experts) in->gate = NULL;
    if ((st = m3_infer_samples(&in->shape, source_of(tr), tr->valid, count, add_rows, in, err)) != M3_OK) return st;
    for (uint32_t i = 0; i < in->experts; i++) in->weights[i] /= (double)in->samples;
    in->entropy /= (double)in->samples;
    return M3_OK;
}

/* Losses of the denoisers. */

static double output(m3_executable *executable, const char *kind, uint32_t index, const char *which)
{
    char name[64];
    (void)snprintf(name, sizeof name, "denoise.%s%u.%s", kind, index, which);
    const float *value = m3_executable_output(executable, name, NULL);
    return value != NULL ? (double)*value : 0.0;
}

/* The draws of a batch are those of its number, in every epoch. */
static void set_draws(const instruments *in, uint64_t first)
{
    uint32_t *rng = m3_executable_input(in->tr->programs.denoisers, "rng", NULL);
    if (rng == NULL) return;
    rng[0] = (uint32_t)in->tr->keys.seed;
    rng[1] = (uint32_t)(in->tr->keys.seed >> 32);
    rng[2] = (uint32_t)(first / in->shape.batch);
}

static void add_losses(denoiser *to, m3_executable *executable, const char *kind, uint32_t index, uint32_t rows)
{
    to->loss += rows * output(executable, kind, index, "loss");
    to->nothing += rows * output(executable, kind, index, "nothing");
}

static m3_status add_batch(void *user, uint64_t first, uint32_t rows, m3_error *err)
{
    instruments *in = user;
    (void)err;
    for (uint32_t k = 0; k + 1 < in->names.modality_count; k++)
        add_losses(&in->modalities[k], in->tr->programs.denoisers, "modality", k, rows);
    for (uint32_t b = 0; b + 1 < in->names.behavior_count; b++)
        add_losses(&in->behaviors[b], in->tr->programs.denoisers, "behavior", b, rows);
    set_draws(in, first + rows);
    return M3_OK;
}

static m3_status watch_denoisers(instruments *in, m3_error *err)
{
    m3_trainer *tr = in->tr;
    m3_status st;
    if (tr->programs.denoisers == NULL || in->samples == 0) return M3_OK;
    if ((st = m3_infer_shape_of(tr->programs.denoisers, &in->shape, err)) != M3_OK) return st;
    set_draws(in, 0);
    return m3_infer_samples(&in->shape, source_of(tr), tr->valid, in->samples, add_batch, in, err);
}

bool m3_instruments_denoise(const m3_trainer *tr)
{
    return m3_model_denoises_modalities(&tr->config) || m3_model_denoises_behaviors(&tr->config);
}

/* Rows of the item table for the runs of rank 0, and what this rank's rows add to its part. */
static m3_status help(m3_trainer *tr, m3_error *err)
{
    m3_status st = M3_OK;
    m3_sequence_names names;
    m3_part *parts = NULL;
    uint32_t count = 0;
    const uint64_t at_once = m3_trainer_watched(tr);
    if (at_once != 0) {
        const uint64_t runs = (sample_count(tr) + at_once - 1) / at_once;
        st = m3_shards_help(tr, m3_instruments_denoise(tr) ? 2 * runs : runs, err);
    }
    if (st == M3_OK) st = m3_settings_names(tr->settings, tr->set, &names, err);
    if (st == M3_OK) st = m3_parts_measure(tr, &names, &parts, &count, err);
    m3_free(parts);
    return st;
}

/* Members of the object. */

/* "experts.common" or "experts.specific.view/id". */
static const char *expert_part(const instruments *in, uint32_t i, char text[M3_PART_NAME])
{
    char expert[M3_EXPERT_NAME];
    (void)snprintf(text, M3_PART_NAME, "experts.%s%s", i == 0 ? "" : "specific.",
                   m3_expert_name(&in->names, i, expert));
    return text;
}

static json_t *router_json(instruments *in)
{
    const double least = fmin(least_weight, least_share / in->experts);
    json_t *weights = json_object();
    if (in->samples == 0 || in->gate == NULL) {
        json_decref(weights);
        return json_null();
    }
    for (uint32_t i = 0; i < in->experts; i++) {
        char text[M3_PART_NAME];
        if (!has_expert(in, i)) continue;
        put(in, weights, m3_expert_name(&in->names, i, text), number(in->weights[i]));
        if (in->weights[i] < least)
            bury(in, expert_part(in, i, text), "the router gives it a mean weight of %.2g, below %.2g", in->weights[i],
                 least);
    }
    return json_pack("{s:o, s:o, s:o}", "weights", weights, "entropy", number(in->entropy), "mean_entropy",
                     number(entropy_of(in, in->weights)));
}

static json_t *variation_json(const m3_variation *v)
{
    return json_pack("{s:o, s:o, s:o}", "scale", number(v->scale), "spread", number(v->spread), "rank",
                     number(v->rank));
}

/* false when it is dead. */
static bool judge_output(instruments *in, const char *part, const char *differs, const m3_variation *v)
{
    if (!(v->scale >= least_scale))
        bury(in, part, "its output has a scale of %.2g, below %.2g", v->scale, least_scale);
    else if (!(v->spread >= least_spread * v->scale))
        bury(in, part, "its output hardly differs from %s: spread %.2g at scale %.2g, below %.2g of it", differs,
             v->spread, v->scale, least_spread);
    else
        return true;
    return false;
}

static void judge_encoder(instruments *in, uint32_t m, const m3_variation *v)
{
    char name[32] = "encoder.id", text[M3_PART_NAME];
    const m3_model_config *c = &in->tr->config;
    const int32_t columns = m == 0 ? JUDGED_WIDTH : c->modalities[m - 1];
    if (m > 0) (void)snprintf(name, sizeof name, "encoder.feature%u", m - 1);
    const char *part = label(in, name, text);
    if (judge_output(in, part, "item to item", v) && columns >= JUDGED_WIDTH && c->width >= JUDGED_WIDTH &&
        v->rank < least_rank)
        bury(in, part, "its output has an effective rank of %.3g, below %.2g", v->rank, least_rank);
}

static json_t *encoders_json(instruments *in)
{
    json_t *all = json_object();
    for (uint32_t m = 0; m < in->names.modality_count; m++) {
        const uint64_t rows = in->encoders[m].rows;
        const m3_variation v = m3_variation_of(&in->encoders[m]);
        if (rows == 0) continue;
        put(in, all, in->names.modalities[m], variation_json(&v));
        if (rows >= (uint64_t)JUDGED_ROWS * in->shape.length) judge_encoder(in, m, &v);
    }
    return all;
}

static json_t *interests_json(instruments *in)
{
    char expert[M3_EXPERT_NAME], part[M3_PART_NAME];
    json_t *all = json_object();
    for (uint32_t i = 0; i < in->experts; i++) {
        const m3_variation v = m3_variation_of(&in->interests[i]);
        if (in->interests[i].rows == 0) continue;
        put(in, all, m3_expert_name(&in->names, i, expert), variation_json(&v));
        if (in->interests[i].rows >= JUDGED_SAMPLES)
            (void)judge_output(in, expert_part(in, i, part), "sample to sample", &v);
    }
    return all;
}

static void put_denoiser(instruments *in, json_t *all, const char *kind, uint32_t index, const denoiser *of)
{
    char name[32], text[M3_PART_NAME];
    if (of->before == 0.0) return; /* it was given nothing */
    const double relative = sqrt(of->change / of->before);
    const double loss = of->loss / in->samples, without = of->nothing / in->samples;
    (void)snprintf(name, sizeof name, "denoise.%s%u", kind, index);
    put(in, all, name,
        json_pack("{s:o, s:o, s:o}", "change", number(relative), "loss", number(loss), "nothing", number(without)));
    if (!(relative >= least_change))
        bury(in, label(in, name, text), "it changes what it denoises by %.2g of its size, below %.2g", relative,
             least_change);
    else if (relative > most_change)
        bury(in, label(in, name, text), "it changes what it denoises by %.3g times its size, above %.2g", relative,
             most_change);
    else if (in->tr->state.epoch + 1 >= judged_epoch && !(loss < without))
        bury(in, label(in, name, text), "its loss of %.4g is no better than the %.4g of predicting nothing", loss,
             without);
}

static json_t *denoisers_json(instruments *in)
{
    json_t *all = json_object();
    for (uint32_t k = 0; m3_model_denoises_modalities(&in->tr->config) && k + 1 < in->names.modality_count; k++)
        put_denoiser(in, all, "modality", k, &in->modalities[k]);
    for (uint32_t b = 0; m3_model_denoises_behaviors(&in->tr->config) && b + 1 < in->names.behavior_count; b++)
        put_denoiser(in, all, "behavior", b, &in->behaviors[b]);
    return all;
}

static bool has_contrast(const instruments *in)
{
    const m3_model_config *c = &in->tr->config;
    if (c->w_contrast <= 0.0) return false;
    if (c->contrast == M3_CONTRAST_TARGETS) return true;
    return in->experts > 2 && (c->contrast == M3_CONTRAST_USERS || c->interests == M3_INTERESTS_BOTH);
}

/* A contrast of weight 0 or of one sequence, and attention to other behaviors where there are none: parameters that
 * train nothing, which is no sign of death. */
static bool is_used(const instruments *in, const char *part)
{
    if (strcmp(part, "contrast") == 0) return has_contrast(in);
    return strcmp(part, "experts.cross") != 0 || in->names.behavior_count > 1;
}

static json_t *gradients_json(instruments *in, const m3_part *parts, uint32_t count)
{
    char text[M3_PART_NAME];
    json_t *all = json_object();
    for (uint32_t i = 0; i < count; i++) {
        const m3_part *p = &parts[i];
        const bool used = is_used(in, p->name);
        put(in, all, p->name,
            used ? json_pack("{s:o, s:o}", "rms", number(p->rms), "zero", number(p->zero)) : json_null());
        if (used && p->zero > most_zero)
            bury(in, label(in, p->name, text), "%.4g %% of its parameters get no gradient", 100.0 * p->zero);
    }
    return all;
}

static json_t *contrast_json(instruments *in)
{
    const double loss = in->tr->state.sums[4] / (double)in->tr->state.rows;
    const m3_model_config *c = &in->tr->config;
    const double batch = (double)m3_data_loader_batch(in->tr->loader);
    const double choices = c->contrast == M3_CONTRAST_INTERESTS ? (double)in->experts
                           : c->contrast == M3_CONTRAST_TARGETS ? batch * m3_trainer_parts(in->tr)
                                                                : batch;
    if (!has_contrast(in)) return json_null();
    if (loss < least_contrast)
        bury(in, "contrast", "it is saturated: its mean loss is %.2g, below %.2g", loss, least_contrast);
    return json_pack("{s:o, s:o}", "loss", number(loss), "untrained", number(log(choices)));
}

static m3_status prepare(instruments *in, m3_error *err)
{
    const m3_trainer *tr = in->tr;
    const uint32_t width = (uint32_t)tr->config.width;
    m3_status st = m3_settings_names(tr->settings, tr->set, &in->names, err);
    if (st != M3_OK) return st;
    in->experts = in->names.behavior_count * in->names.modality_count + 1;
    in->weights = m3_calloc(in->experts, sizeof *in->weights);
    in->encoders = m3_calloc(in->names.modality_count, sizeof *in->encoders);
    in->interests = m3_calloc(in->experts, sizeof *in->interests);
    in->common = m3_calloc(width, sizeof *in->common);
    in->dead = json_object();
    if (in->weights == NULL || in->encoders == NULL || in->interests == NULL || in->common == NULL || in->dead == NULL)
        return M3_FAIL_MEMORY(err, "instruments", in->experts * sizeof *in->interests);
    for (uint32_t m = 0; st == M3_OK && m < in->names.modality_count; m++)
        st = m3_covariance_init(&in->encoders[m], width, (uint32_t)tr->config.length, err);
    for (uint32_t i = 0; st == M3_OK && i < in->experts; i++) st = m3_covariance_init(&in->interests[i], width, 1, err);
    return st;
}

static void fini(instruments *in)
{
    for (uint32_t m = 0; in->encoders != NULL && m < in->names.modality_count; m++)
        m3_covariance_fini(&in->encoders[m]);
    for (uint32_t i = 0; in->interests != NULL && i < in->experts; i++) m3_covariance_fini(&in->interests[i]);
    m3_free(in->encoders);
    m3_free(in->interests);
    m3_free(in->common);
    m3_free(in->weights);
    json_decref(in->dead);
}

m3_status m3_instruments_measure(m3_trainer *tr, json_t **out, m3_error *err)
{
    m3_status st;
    uint32_t count = 0;
    m3_part *parts = NULL;
    instruments in = {.tr = tr};
    *out = NULL;
    if (tr->keys.instruments == 0) return M3_OK;
    if (tr->shared.rank != 0) return tr->shards != NULL ? help(tr, err) : M3_OK;
    if ((st = prepare(&in, err)) != M3_OK) goto done;
    if ((st = watch(&in, err)) != M3_OK) goto done;
    if ((st = watch_denoisers(&in, err)) != M3_OK) goto done;
    if ((st = m3_parts_measure(tr, &in.names, &parts, &count, err)) != M3_OK) goto done;
    json_t *router = router_json(&in), *encoders = encoders_json(&in), *denoisers = denoisers_json(&in);
    json_t *interests = interests_json(&in), *contrast = contrast_json(&in);
    json_t *gradients = gradients_json(&in, parts, count);
    *out = json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:O}", "samples", (int)in.samples, "router", router,
                     "encoders", encoders, "denoisers", denoisers, "interests", interests, "contrast", contrast,
                     "gradients", gradients, "dead", in.dead);
    if ((st = m3_dataset_check(tr->set, err)) != M3_OK || *out == NULL || in.lost) { /* as in the log's first line */
        json_decref(*out);
        *out = NULL;
        if (st == M3_OK) st = M3_FAIL_MEMORY(err, "instruments", 0);
    }
done:
    m3_free(parts);
    fini(&in);
    return st;
}

void m3_instruments_warn(m3_trainer *tr, const json_t *measured)
{
    const char *part;
    json_t *reason;
    if (tr->warned == NULL) tr->warned = json_object();
    json_object_foreach(json_object_get(measured, "dead"), part, reason)
    {
        if (json_object_get(tr->warned, part) != NULL) continue;
        (void)json_object_set(tr->warned, part, reason);
        m3_engine_log(tr->engine, M3_LOG_WARN, "epoch %u: %s is dead: %s", tr->state.epoch + 1, part,
                      json_string_value(reason));
    }
}
