/* denoisers: the loss of each denoiser beside that of predicting nothing, f = 0 (MODEL.md 5), for instruments: the
 * forward pass of training up to the denoisers, without dropout. */
#include "core/model/model.h"
#include "core/passes/pass.h"

/* Modalities come first, then behaviors from the deepest that is denoised. */
static void output_losses(m3_model *m)
{
    const uint64_t modalities = m3_model_denoises_modalities(m->c) ? m->K : 0;
    char name[64];
    for (uint32_t i = 0; i < m->compared_count; i++) {
        const bool modality = i < modalities;
        const uint64_t index = modality ? i : m->B - 2 - (i - modalities);
        const char *kind = modality ? "modality" : "behavior";
        (void)snprintf(name, sizeof name, "denoise.%s%llu.loss", kind, (unsigned long long)index);
        m3_graph_output(m->b, name, m->compared[i].loss);
        (void)snprintf(name, sizeof name, "denoise.%s%llu.nothing", kind, (unsigned long long)index);
        m3_graph_output(m->b, name, m->compared[i].nothing);
    }
}

m3_status m3_model_build_denoisers(m3_engine *engine, const m3_model_config *config, const m3_build_options *options,
                                   m3_graph **graph, m3_error *err)
{
    m3_model m;
    m3_forward f = {0};
    m3_graph *built = NULL;
    m3_model_config still = *config;
    *graph = NULL;
    still.dropout = still.dropout_encoder = 0.0;
    m3_status st = m3_model_begin(&m, engine, &still, options, true, &built, err);
    if (st != M3_OK) return st;
    m.compare = true;
    m3_model_forward(&m, &f);
    output_losses(&m);
    if ((st = m3_builder_status(m.b, err)) != M3_OK) goto done;
    if (m.compared_count == 0) {
        st = M3_FAIL(err, M3_ERR_INVALID, "denoisers", "are none in this configuration");
        goto done;
    }
    st = m3_passes_before_gradients(built, options->no_pass, graph, err);
done:
    m3_graph_free(built);
    m3_model_end(&m);
    return st;
}
