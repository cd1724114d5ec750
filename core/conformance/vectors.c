/* vectors: the model on a device against the answers of a vector file (MODEL.md 13).
 *   param.* into a store -> inference -> infer.*;  training steps -> train.*, grad.* of the first, after.* of all
 * An answer that is missing, or one that nobody computes, is an error: the check never passes by doing less. */
#include "core/conformance/vectors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/json.h"
#include "m3bsr/conformance.h"

static const double absolute_bound = 2e-5, relative_bound = 2e-4;
enum { MAX_STEPS = 1000, NAME = 256 };

static const char *const group_names[] = {"infer", "train", "grad", "after"};

const char *m3_vector_group_name(uint32_t group)
{
    return group < M3_VECTOR_GROUPS ? group_names[group] : NULL;
}

/* The configuration. */

static m3_status set_key(m3_model_config *config, const char *key, const json_t *value, uint32_t *train_steps,
                         m3_error *err)
{
    if (strcmp(key, "train_steps") == 0) {
        json_int_t steps = json_integer_value(value);
        if (!json_is_integer(value) || steps < 1 || steps > MAX_STEPS)
            return M3_FAIL(err, M3_ERR_INVALID, key, "is no whole number from 1 to %d", MAX_STEPS);
        *train_steps = (uint32_t)steps;
        return M3_OK;
    }
    char *made = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
    const char *text = made != NULL ? made : json_string_value(value);
    m3_status st;
    if (text == NULL)
        st = M3_FAIL_MEMORY(err, key, NAME);
    else if (m3_model_find_key(key) != NULL)
        st = m3_model_set(config, key, text, err);
    else
        st = m3_model_set_option(config, key, text, err); /* its plugin's, or an error when the model is checked */
    free(made);                                           /* jansson's */
    return st;
}

m3_status m3_vectors_config(const m3_safetensors *file, const char *path, m3_model_config *config,
                            uint32_t *train_steps, m3_error *err)
{
    m3_status st = M3_OK;
    const char *format = m3_safetensors_meta(file, "format"), *version = m3_safetensors_meta(file, "version");
    const char *text = m3_safetensors_meta(file, "config"), *key;
    json_t *value;
    if (format == NULL || strcmp(format, "m3bsr-vectors") != 0 || version == NULL || strcmp(version, "1") != 0)
        return M3_FAIL(err, M3_ERR_INVALID, path, "is %s, version %s; a vector file is m3bsr-vectors, version 1",
                       format != NULL ? format : "without a format", version != NULL ? version : "missing");
    json_error_t wrong = {0};
    json_t *keys = NULL;
    if (text != NULL) st = m3_json_parse(text, strlen(text), path, &keys, &wrong, err);
    m3_model_defaults(config);
    m3_model_before(config); /* an older file lacks the keys that came later */
    *train_steps = 0;
    if (st != M3_OK) goto done;
    if (!json_is_object(keys)) {
        st = M3_FAIL(err, M3_ERR_INVALID, path, "its config is no JSON object: %s",
                     text != NULL ? wrong.text : "missing");
        goto done;
    }
    if ((st = m3_model_set(config, "dropout", "0", err)) != M3_OK) goto done;
    json_object_foreach(keys, key, value)
    {
        if ((st = set_key(config, key, value, train_steps, err)) != M3_OK) goto done;
    }
    if (*train_steps == 0) {
        st = M3_FAIL(err, M3_ERR_INVALID, path, "its config has no train_steps");
        goto done;
    }
    st = m3_model_set(config, "lazy", "off", err); /* the oracle's optimiser is dense */
done:
    json_decref(keys);
    return st;
}

/* The check. */

typedef struct check {
    const char *path;
    const m3_vector_options *options;
    m3_vector_report *report;
    m3_safetensors *file;
    bool *answered; /* by index of the file's tensors: compared */
    m3_model_config config;
    uint32_t train_steps;
    m3_device *device;
    m3_graph *infer_graph, *train_graph;
    m3_store *store;
    m3_executable *infer, *train;
} check;

static void check_fini(check *c)
{
    m3_executable_free(c->infer);
    m3_executable_free(c->train);
    m3_store_free(c->store);
    m3_graph_free(c->infer_graph);
    m3_graph_free(c->train_graph);
    m3_free(c->answered);
    m3_safetensors_close(c->file);
}

/* The file's tensor PREFIX.NAME. A scalar may lie there as [1]. */
static m3_status find(const check *c, const char *prefix, const char *name, const m3_shape *shape, uint32_t *index,
                      m3_error *err)
{
    char full[NAME];
    (void)snprintf(full, sizeof full, "%s.%s", prefix, name);
    if (!m3_safetensors_find(c->file, full, index))
        return M3_FAIL(err, M3_ERR_INVALID, full, "is missing in %s; the model of its config has it", c->path);
    const m3_shape *there = &m3_safetensors_at(c->file, *index)->shape;
    bool scalar = m3_shape_count(shape) == 1 && m3_shape_count(there) == 1;
    if (!scalar && !m3_shape_equal(there, shape))
        return M3_FAIL(err, M3_ERR_INVALID, full, "is %s in %s; the model of its config wants %s",
                       m3_shape_text(there, (char[128]){0}, 128), c->path, m3_shape_text(shape, (char[128]){0}, 128));
    return M3_OK;
}

static void compare(check *c, uint32_t group, const char *tensor, const float *got, const float *want, uint64_t count)
{
    m3_vector_group *g = &c->report->groups[group];
    m3_vector_failure worst = {.size = M3_STRUCT_SIZE(m3_vector_failure, bound), .tensor = tensor};
    double largest = 0.0;
    for (uint64_t i = 0; i < count; i++) largest = fmax(largest, fabs((double)want[i]));
    worst.bound = absolute_bound + relative_bound * largest;
    worst.error = -1.0;
    for (uint64_t i = 0; i < count; i++) {
        double error = fabs((double)got[i] - (double)want[i]);
        if (!(error <= worst.bound)) worst.count++;
        if (isnan(error)) error = INFINITY;
        if (error <= worst.error) continue;
        worst.error = error;
        worst.index = i;
        worst.got = (double)got[i];
        worst.want = (double)want[i];
    }
    g->tensors++;
    if (worst.error > g->error) g->error = worst.error;
    if (worst.error / worst.bound > g->share || g->tensor[0] == 0) {
        g->share = fmax(worst.error, 0.0) / worst.bound;
        (void)snprintf(g->tensor, sizeof g->tensor, "%s", tensor);
    }
    if (worst.count == 0) return;
    g->failed++;
    if (c->options->failed != NULL) c->options->failed(c->options->user, &worst);
}

/* Compare `count` numbers with the file's GROUP.NAME. */
static m3_status answer(check *c, uint32_t group, const char *name, const m3_shape *shape, const float *got,
                        m3_error *err)
{
    uint32_t index = 0;
    uint64_t count = m3_shape_count(shape);
    m3_status st = find(c, group_names[group], name, shape, &index, err);
    if (st != M3_OK) return st;
    float *want = m3_calloc((size_t)count, sizeof *want);
    if (want == NULL) return M3_FAIL_MEMORY(err, name, count * sizeof *want);
    if ((st = m3_safetensors_read_f32(c->file, index, want, count, err)) == M3_OK) {
        compare(c, group, m3_safetensors_at(c->file, index)->name, got, want, count);
        c->answered[index] = true;
    }
    m3_free(want);
    return st;
}

static m3_status answer_output(check *c, m3_executable *run, uint32_t group, const char *output, const char *name,
                               m3_error *err)
{
    const m3_tensor *tensor = m3_executable_output_tensor(run, output);
    if (tensor == NULL) return M3_FAIL(err, M3_ERR_INTERNAL, output, "is no output of the compiled graph");
    return answer(c, group, name, &tensor->shape, m3_executable_output(run, output, NULL), err);
}

/* Parameters and features of the training graph, which has all of them. */
static m3_status fill_store(check *c, m3_error *err)
{
    for (uint32_t i = 0; i < m3_graph_tensor_count(c->train_graph); i++) {
        const m3_tensor *x = m3_graph_tensor(c->train_graph, i);
        bool feature = x->kind == M3_STATE && strncmp(x->name, "features", 8) == 0;
        uint64_t count = m3_tensor_count(x);
        uint32_t index = 0;
        m3_status st;
        if (x->kind != M3_PARAMETER && !feature) continue;
        if ((st = find(c, feature ? "input" : "param", x->name, &x->shape, &index, err)) != M3_OK) return st;
        float *data = m3_calloc((size_t)count, sizeof *data);
        if (data == NULL) return M3_FAIL_MEMORY(err, x->name, count * sizeof *data);
        st = m3_safetensors_read_f32(c->file, index, data, count, err);
        if (st == M3_OK) st = m3_store_write(c->store, x->name, M3_F32, &x->shape, data, err);
        m3_free(data);
        if (st != M3_OK) return st;
        c->answered[index] = true;
    }
    return M3_OK;
}

/* Inputs that the file gives: all of the graph but the two that this check makes. */
static m3_status fill_inputs(check *c, const m3_graph *graph, m3_executable *run, m3_error *err)
{
    for (uint32_t i = 0; i < m3_graph_tensor_count(graph); i++) {
        const m3_tensor *x = m3_graph_tensor(graph, i);
        uint64_t bytes = 0;
        uint32_t index = 0;
        m3_status st;
        if (x->kind != M3_INPUT || strcmp(x->name, "step") == 0 || strcmp(x->name, "valid") == 0) continue;
        void *to = m3_executable_input(run, x->name, &bytes);
        if (to == NULL) continue; /* nothing reads it */
        if ((st = find(c, "input", x->name, &x->shape, &index, err)) != M3_OK) return st;
        if (m3_safetensors_at(c->file, index)->dtype != x->dtype)
            return M3_FAIL(err, M3_ERR_INVALID, x->name, "is %s in %s; the model wants %s",
                           m3_dtype_name(m3_safetensors_at(c->file, index)->dtype), c->path, m3_dtype_name(x->dtype));
        if ((st = m3_safetensors_read(c->file, index, to, bytes, err)) != M3_OK) return st;
    }
    return M3_OK;
}

static m3_status compile(check *c, const m3_graph *graph, const char *name, m3_executable **run, m3_error *err)
{
    const m3_compile_options options = {.size = M3_STRUCT_SIZE(m3_compile_options, recompute),
                                        .name = name,
                                        .no_pass = c->options->no_pass,
                                        .strict = c->options->strict,
                                        .precision = m3_model_precision(&c->config),
                                        .recompute = m3_model_recompute(&c->config),
                                        .fallbacks = c->options->fallbacks};
    return m3_executable_create(c->device, c->store, graph, &options, run, err);
}

/* The file's answers of inference and training; the first files have no PREFIX.encoded. */
static uint32_t published(const check *c, const char *prefix)
{
    char name[NAME];
    uint32_t index = 0;
    (void)snprintf(name, sizeof name, "%s.encoded", prefix);
    return M3_PUBLISH_USER | M3_PUBLISH_GATE | M3_PUBLISH_AFTER_MODALITY | M3_PUBLISH_AFTER_BEHAVIOR |
           M3_PUBLISH_SPECIFIC | M3_PUBLISH_COMMON |
           (m3_safetensors_find(c->file, name, &index) ? (uint32_t)M3_PUBLISH_ENCODED : 0);
}

static m3_status prepare(check *c, m3_error *err)
{
    m3_engine *engine = m3_device_engine(c->device);
    m3_build_options options = {
        .size = M3_STRUCT_SIZE(m3_build_options, accumulate), .no_pass = c->options->no_pass, .given_draws = true};
    m3_status st;
    if ((st = m3_safetensors_open(c->path, &c->file, err)) != M3_OK) return st;
    c->answered = m3_calloc(m3_safetensors_count(c->file), sizeof *c->answered);
    if (c->answered == NULL) return M3_FAIL_MEMORY(err, c->path, m3_safetensors_count(c->file));
    if ((st = m3_vectors_config(c->file, c->path, &c->config, &c->train_steps, err)) != M3_OK) return st;
    options.publish = published(c, "infer") | M3_PUBLISH_SCORES;
    if ((st = m3_model_build_infer(engine, &c->config, &options, &c->infer_graph, err)) != M3_OK) return st;
    options.publish = published(c, "train") | M3_PUBLISH_GRADIENTS;
    if ((st = m3_model_build_train(engine, &c->config, &options, &c->train_graph, err)) != M3_OK) return st;
    if ((st = m3_store_create(c->device, 0, &c->store, err)) != M3_OK) return st;
    if ((st = fill_store(c, err)) != M3_OK) return st;
    if ((st = compile(c, c->infer_graph, "infer", &c->infer, err)) != M3_OK) return st;
    if ((st = compile(c, c->train_graph, "train", &c->train, err)) != M3_OK) return st;
    if ((st = fill_inputs(c, c->infer_graph, c->infer, err)) != M3_OK) return st;
    return fill_inputs(c, c->train_graph, c->train, err);
}

static m3_status check_inference(check *c, m3_error *err)
{
    m3_status st = m3_executable_run(c->infer, err);
    for (uint32_t i = 0; st == M3_OK && i < m3_graph_output_count(c->infer_graph); i++) {
        const char *name = NULL;
        (void)m3_graph_output_at(c->infer_graph, i, &name);
        st = answer_output(c, c->infer, M3_VECTOR_INFER, name, name, err);
    }
    return st;
}

/* Outputs of the first step: "grad.NAME" and the rest; the norm is compared over all steps. */
static m3_status check_first_step(check *c, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t i = 0; st == M3_OK && i < m3_graph_output_count(c->train_graph); i++) {
        const char *name = NULL;
        (void)m3_graph_output_at(c->train_graph, i, &name);
        if (strncmp(name, "grad.", 5) == 0)
            st = answer_output(c, c->train, M3_VECTOR_GRAD, name, name + 5, err);
        else if (strcmp(name, "grad_norm") != 0)
            st = answer_output(c, c->train, M3_VECTOR_TRAIN, name, name, err);
    }
    return st;
}

static m3_status run_step(check *c, uint32_t t, float *loss, float *norm, m3_error *err)
{
    float *step = m3_executable_input(c->train, "step", NULL), *valid = m3_executable_input(c->train, "valid", NULL);
    if (step == NULL || valid == NULL) return M3_FAIL(err, M3_ERR_INTERNAL, "step", "the compiled step lost an input");
    step[0] = (float)c->config.lr;
    step[1] = (float)(1.0 - pow(c->config.beta1, t));
    step[2] = (float)(1.0 - pow(c->config.beta2, t));
    *valid = (float)c->config.batch;
    m3_status st = m3_executable_run(c->train, err);
    if (st != M3_OK) return st;
    *loss = *(const float *)m3_executable_output(c->train, "loss", NULL);
    *norm = *(const float *)m3_executable_output(c->train, "grad_norm", NULL);
    return M3_OK;
}

static m3_status check_parameters(check *c, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t i = 0; st == M3_OK && i < m3_graph_tensor_count(c->train_graph); i++) {
        const m3_tensor *x = m3_graph_tensor(c->train_graph, i);
        if (x->kind != M3_PARAMETER) continue;
        uint64_t bytes = m3_tensor_bytes(x);
        float *now = m3_calloc((size_t)bytes, 1);
        if (now == NULL) return M3_FAIL_MEMORY(err, x->name, bytes);
        st = m3_store_read(c->store, x->name, now, bytes, err);
        if (st == M3_OK) st = answer(c, M3_VECTOR_AFTER, x->name, &x->shape, now, err);
        m3_free(now);
    }
    return st;
}

static m3_status check_training(check *c, m3_error *err)
{
    float losses[MAX_STEPS] = {0}, norms[MAX_STEPS] = {0};
    const m3_shape series = {.rank = 1, .dim = {c->train_steps}};
    m3_status st = M3_OK;
    for (uint32_t t = 0; t < c->train_steps; t++) {
        if ((st = run_step(c, t + 1, &losses[t], &norms[t], err)) != M3_OK) return st;
        if (t == 0 && (st = check_first_step(c, err)) != M3_OK) return st;
    }
    if ((st = answer(c, M3_VECTOR_AFTER, "losses", &series, losses, err)) != M3_OK) return st;
    if ((st = answer(c, M3_VECTOR_AFTER, "grad_norms", &series, norms, err)) != M3_OK) return st;
    return check_parameters(c, err);
}

/* Inputs that the configuration does not use may lie in the file; answers and parameters may not. */
static m3_status check_nothing_is_left(const check *c, m3_error *err)
{
    for (uint32_t i = 0; i < m3_safetensors_count(c->file); i++) {
        const char *name = m3_safetensors_at(c->file, i)->name;
        if (!c->answered[i] && strncmp(name, "input.", 6) != 0)
            return M3_FAIL(err, M3_ERR_INVALID, name, "is in %s, but the model of its config has no such tensor",
                           c->path);
    }
    return M3_OK;
}

m3_status m3_conformance_vectors(m3_device *device, const char *path, const m3_vector_options *options,
                                 m3_vector_report *report, m3_error *err)
{
    static const m3_vector_options none = {.size = M3_STRUCT_SIZE(m3_vector_options, user)};
    m3_status st;
    check c = {.path = path, .options = options != NULL ? options : &none, .report = report, .device = device};
    *report = (m3_vector_report){.size = M3_STRUCT_SIZE(m3_vector_report, groups)};
    if ((st = prepare(&c, err)) != M3_OK) goto done;
    if ((st = check_inference(&c, err)) != M3_OK) goto done;
    if ((st = check_training(&c, err)) != M3_OK) goto done;
    if ((st = check_nothing_is_left(&c, err)) != M3_OK) goto done;
    report->passed = true;
    for (uint32_t g = 0; g < M3_VECTOR_GROUPS; g++)
        if (report->groups[g].tensors == 0 || report->groups[g].failed != 0) report->passed = false;
done:
    check_fini(&c);
    return st;
}
