/* denoised: features first, so that events are judged by what is left of noise in them. */
#include "core/data/denoised.h"

#include "core/base/alloc.h"
#include "core/base/spill.h"
#include "core/data/split.h"

static m3_status denoise_all(const m3_dataset *set, const m3_merged *merged, const m3_denoised_options *options,
                             m3_denoised *out, m3_error *err)
{
    m3_neighbors neighbors = {0};
    m3_status st =
        m3_neighbors_create(merged, m3_dataset_item_count(set), m3_dataset_behavior_count(set), &neighbors, err);
    for (uint32_t k = 0; st == M3_OK && k < options->modality_count; k++) {
        const m3_features given = m3_dataset_features(set, options->modalities[k]);
        st = m3_denoise_features(&given, &neighbors, merged->beside, options->pool, &out->features[k], err);
    }
    m3_neighbors_fini(&neighbors);
    return st;
}

/* Centered as denoised ones are, so that the two differ by denoising alone. */
static m3_status center_all(const m3_dataset *set, const char *beside, const m3_denoised_options *options,
                            m3_denoised *out, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t k = 0; st == M3_OK && k < options->modality_count; k++) {
        const m3_features given = m3_dataset_features(set, options->modalities[k]);
        st = m3_center_features(&given, m3_dataset_item_count(set), beside, &out->features[k], err);
    }
    return st;
}

static m3_status denoise(const m3_dataset *set, const m3_split *split, const m3_denoised_options *options,
                         m3_denoised *out, m3_error *err)
{
    bool judges = false;
    m3_merged merged = {0};
    m3_status st = m3_merged_create(set, split, &merged, err);
    if (st == M3_OK)
        st = options->features ? denoise_all(set, &merged, options, out, err)
                               : center_all(set, merged.beside, options, out, err);
    for (uint32_t k = 0; k < options->modality_count; k++) m3_spill_rest(out->features[k].rows);
    for (uint32_t k = 0; k < options->modality_count; k++) judges = judges || !out->features[k].says_nothing;
    if (st == M3_OK && judges && options->events && m3_dataset_behavior_count(set) > 1)
        st = m3_event_filter_create(set, &merged, options, out->features, &out->filter, err);
    m3_merged_fini(&merged);
    return st;
}

m3_status m3_denoise_set(const m3_dataset *set, const m3_split *split, const m3_denoised_options *options,
                         m3_denoised *out, m3_error *err)
{
    m3_status st = M3_OK;
    m3_denoised_options o = *options;
    *out = (m3_denoised){0};
    if (m3_dataset_behavior_count(set) > M3_MAX_BEHAVIORS || o.modality_count > M3_MAX_MODALITIES)
        return M3_FAIL(err, M3_ERR_RANGE, "denoise", "takes at most %d behaviors and %d modalities", M3_MAX_BEHAVIORS,
                       M3_MAX_MODALITIES);
    out->modality_count = o.modality_count;
    for (uint32_t k = 0; k < o.modality_count; k++)
        out->features[k].width = m3_dataset_features(set, o.modalities[k]).width;
    if (o.modality_count == 0) return M3_OK;
    if (o.pool == NULL && (st = m3_pool_create(1, &o.pool, err)) != M3_OK) return st;
    st = denoise(set, split, &o, out, err);
    if (options->pool == NULL) m3_pool_free(o.pool);
    return st;
}

void m3_denoised_fini(m3_denoised *denoised)
{
    for (uint32_t k = 0; k < denoised->modality_count; k++) {
        m3_spill_free(denoised->features[k].rows);
        m3_free(denoised->features[k].mean);
    }
    m3_event_filter_free(denoised->filter);
    *denoised = (m3_denoised){0};
}
