/* trial: building and running an encoder or expert alone. */
#include "core/conformance/trial.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/conformance/values.h"
#include "core/runtime/init.h"

enum { SCOPE_BYTES = 512, SCOPE_DEPTH = 32, MOST_NODES = 100000 };

/* The builder that the plugin is given. */
typedef struct watcher {
    m3_builder builder; /* first: the plugin's builder is the watcher */
    m3_builder_api api;
    m3_builder *inner;
    const m3_trial_form *form;
    char scope[SCOPE_BYTES];
    size_t ends[SCOPE_DEPTH];
    int32_t depth, lowest;
    bool too_many; /* nodes */
} watcher;

static watcher *watcher_of(m3_builder *b)
{
    return (watcher *)b;
}

/* A graph's builder is its first member. */
static m3_graph *graph_of(const watcher *w)
{
    return (m3_graph *)(void *)w->inner;
}

static bool is_wide(const watcher *w, const m3_tensor *x)
{
    return w->form->wide && x != NULL && x->dtype == M3_F32;
}

/* In the wide form nothing is f32: not what is cast to it, and not what an op makes of its own. */
static void emit(m3_builder *b, const char *op, m3_tensor *const *in, uint32_t in_count, const m3_attr *attr,
                 uint32_t attr_count, m3_tensor **out, uint32_t out_count)
{
    watcher *w = watcher_of(b);
    bool cast = w->form->wide && strcmp(op, "cast") == 0 && in_count == 1 && attr_count == 1 && out_count == 1;
    if (cast && attr[0].i[0] == M3_F32) {
        *out = m3_cast(w->inner, in[0], M3_F64);
        return;
    }
    w->too_many = w->too_many || m3_graph_node_count(graph_of(w)) >= MOST_NODES;
    if (w->too_many) w->inner->api->fail(w->inner, M3_ERR_RANGE, "it has more nodes than are tried");
    w->inner->api->emit(w->inner, op, in, in_count, attr, attr_count, out, out_count);
    for (uint32_t i = 0; i < out_count; i++)
        if (is_wide(w, out[i])) out[i] = m3_cast(w->inner, out[i], M3_F64);
}

static m3_tensor *constant(m3_builder *b, m3_dtype dtype, const m3_shape *shape, const void *data)
{
    const watcher *w = watcher_of(b);
    m3_tensor *x = w->inner->api->constant(w->inner, dtype, shape, data);
    return is_wide(w, x) ? m3_cast(w->inner, x, M3_F64) : x;
}

/* As the graph's own does it, with an input in the place of the parameter. */
static m3_tensor *wide_parameter(watcher *w, const char *name, const m3_shape *shape)
{
    char full[SCOPE_BYTES + 128];
    m3_shape all = *shape;
    int length = snprintf(full, sizeof full, "%s%s%s", w->scope, w->scope[0] != 0 ? "." : "", name);
    if (length < 0 || (size_t)length >= sizeof full || shape->rank + (w->form->group > 0) > M3_MAX_RANK) {
        w->inner->api->fail(w->inner, M3_ERR_INVALID, "the parameter's full name or rank is too long");
        return NULL;
    }
    if (w->form->group > 0) {
        all = (m3_shape){.rank = shape->rank + 1, .dim = {w->form->group}};
        for (uint32_t i = 0; i < shape->rank; i++) all.dim[i + 1] = shape->dim[i];
    }
    m3_tensor *x = m3_graph_find(graph_of(w), full);
    if (x == NULL) x = m3_graph_input(w->inner, full, M3_F64, all);
    if (w->form->group == 0 || w->form->index < 0 || x == NULL) return x;
    m3_tensor *one = m3_slice(w->inner, x, 0, (uint64_t)w->form->index, 1);
    return one == NULL ? NULL : m3_reshape(w->inner, one, *shape);
}

static m3_tensor *parameter(m3_builder *b, const char *name, const m3_shape *shape, m3_init init)
{
    watcher *w = watcher_of(b);
    if (w->inner->api->status(w->inner, NULL) != M3_OK) return NULL;
    return w->form->wide ? wide_parameter(w, name, shape) : w->inner->api->parameter(w->inner, name, shape, init);
}

static void push(m3_builder *b, const char *scope)
{
    watcher *w = watcher_of(b);
    size_t length = strlen(w->scope);
    w->inner->api->push(w->inner, scope);
    if (w->inner->api->status(w->inner, NULL) != M3_OK) return;
    if (w->depth >= 0 && w->depth < SCOPE_DEPTH) w->ends[w->depth] = length;
    w->depth++;
    (void)snprintf(w->scope + length, sizeof w->scope - length, "%s%s", length != 0 ? "." : "", scope);
}

static void pop(m3_builder *b)
{
    watcher *w = watcher_of(b);
    w->depth--;
    if (w->depth < w->lowest) w->lowest = w->depth;
    if (w->depth >= 0 && w->depth < SCOPE_DEPTH) w->scope[w->ends[w->depth]] = 0;
    w->inner->api->pop(w->inner);
}

static void fail(m3_builder *b, m3_status code, const char *message)
{
    const watcher *w = watcher_of(b);
    w->inner->api->fail(w->inner, code, message);
}

static m3_status status(const m3_builder *b, m3_error *err)
{
    const watcher *w = (const watcher *)b;
    return w->inner->api->status(w->inner, err);
}

static m3_tensor *dropout(m3_builder *b, m3_tensor *x)
{
    const watcher *w = watcher_of(b);
    return w->inner->api->dropout(w->inner, x);
}

static uint32_t group(const m3_builder *b)
{
    const watcher *w = (const watcher *)b;
    return w->form->index < 0 ? w->form->group : 0;
}

static void watch(watcher *w, m3_builder *inner, const m3_trial_form *form)
{
    *w = (watcher){.inner = inner,
                   .form = form,
                   .api = {.size = M3_STRUCT_SIZE(m3_builder_api, group),
                           .emit = emit,
                           .constant = constant,
                           .parameter = parameter,
                           .push = push,
                           .pop = pop,
                           .fail = fail,
                           .status = status,
                           .dropout = dropout,
                           .group = group}};
    w->builder.api = &w->api;
}

/* Building. */

static m3_shape sequences(const m3_trial_form *form)
{
    return form->lead != 0 ? M3_SHAPE(form->lead, form->n) : M3_SHAPE(form->n);
}

static m3_shape with(m3_shape shape, uint64_t extent)
{
    shape.dim[shape.rank++] = extent;
    return shape;
}

m3_shape m3_trial_wants(const m3_trial_form *form)
{
    m3_shape shape = sequences(form);
    if (form->kind == M3_PLUGIN_ENCODER) shape = with(shape, form->L);
    return with(shape, form->d);
}

static void list_parameters(m3_trial *trial)
{
    m3_tensor_kind kind = trial->form.wide ? M3_INPUT : M3_PARAMETER;
    trial->count = 0;
    for (uint32_t i = 0; i < m3_graph_tensor_count(trial->graph); i++) {
        m3_tensor *t = m3_graph_tensor(trial->graph, i);
        if (t->kind != kind || t == trial->x || t == trial->mask || strcmp(t->name, "trial rng") == 0) continue;
        if (trial->parameter != NULL) trial->parameter[trial->count] = t;
        trial->count++;
    }
}

static void add_gradients(m3_trial *trial)
{
    m3_builder *b = m3_graph_builder(trial->graph);
    char name[32];
    trial->w = m3_graph_input(b, "trial w", trial->y->dtype, trial->y->shape);
    trial->loss = m3_sum_all(b, m3_mul(b, trial->y, trial->w));
    trial->parameter[trial->count] = trial->x;
    m3_gradients(b, trial->loss, trial->parameter, trial->count + 1, trial->gradient);
    m3_graph_output(b, "loss", trial->loss);
    for (uint32_t i = 0; i <= trial->count; i++) {
        (void)snprintf(name, sizeof name, "grad%u", i);
        m3_graph_output(b, name, trial->gradient[i]);
    }
}

static m3_status publish(m3_trial *trial, m3_error *err)
{
    m3_shape wanted = m3_trial_wants(&trial->form);
    list_parameters(trial);
    trial->parameter = m3_calloc((size_t)trial->count + 1, sizeof(m3_tensor *));
    trial->gradient = m3_calloc((size_t)trial->count + 1, sizeof(m3_tensor *));
    trial->value = m3_calloc((size_t)trial->count + 1, sizeof(double *));
    if (trial->parameter == NULL || trial->gradient == NULL || trial->value == NULL)
        return M3_FAIL_MEMORY(err, "module", trial->count * sizeof(double *));
    list_parameters(trial);
    if (trial->y == NULL || !m3_shape_equal(&trial->y->shape, &wanted) || trial->y->dtype != trial->x->dtype)
        return M3_OK;
    m3_graph_output(m3_graph_builder(trial->graph), "y", trial->y);
    if (trial->form.gradients) add_gradients(trial);
    return m3_builder_status(m3_graph_builder(trial->graph), err);
}

m3_status m3_trial_build(m3_trial *trial, const m3_trial_form *form, m3_error *err)
{
    watcher w;
    *trial = (m3_trial){.form = *form};
    m3_module_args args = form->module->args;
    args.width = (uint32_t)form->d;
    args.modality = form->kind == M3_PLUGIN_ENCODER;
    m3_status st = m3_graph_create(form->lookup, &trial->graph, err);
    if (st != M3_OK) return st;
    m3_builder *b = m3_graph_builder(trial->graph);
    m3_shape places = with(sequences(form), form->L);
    trial->x = m3_graph_input(b, "trial x", form->wide ? M3_F64 : M3_F32,
                              with(places, form->kind == M3_PLUGIN_ENCODER ? form->D : form->d));
    trial->mask = m3_graph_input(b, "trial mask", M3_BOOL, places);
    if (form->dropout) m3_builder_set_dropout(b, 0.5, m3_graph_input(b, "trial rng", M3_U32, M3_SHAPE(3)), 1);
    m3_builder_set_group(b, form->group, form->index);
    watch(&w, b, &trial->form);
    if ((st = m3_builder_status(b, err)) == M3_OK) {
        uint32_t grouped = form->index < 0 ? form->group : 0;
        trial->y = form->module->api->build(&w.builder, &args, trial->x, trial->mask, grouped);
        st = m3_builder_status(b, err);
    }
    trial->open = w.depth;
    trial->lowest = w.lowest;
    while (w.depth > 0) pop(&w.builder);
    m3_builder_set_group(b, 0, -1);
    m3_builder_set_dropout(b, 0.0, NULL, 0);
    if (st == M3_OK) st = publish(trial, err);
    if (st != M3_OK) m3_trial_free(trial);
    trial->too_many = w.too_many;
    return st;
}

void m3_trial_free(m3_trial *trial)
{
    for (uint32_t i = 0; trial->value != NULL && i < trial->count; i++) m3_free(trial->value[i]);
    m3_free(trial->value);
    m3_free(trial->parameter);
    m3_free(trial->gradient);
    m3_executable_free(trial->executable);
    m3_store_free(trial->store);
    m3_graph_free(trial->graph);
    *trial = (m3_trial){0};
}

/* Running. */

/* The values that training starts with. */
static m3_status fill_start(const m3_tensor *p, uint64_t seed, double *value, m3_error *err)
{
    const uint64_t count = m3_tensor_count(p);
    float *data = m3_calloc(count + 1, sizeof *data);
    if (data == NULL) return M3_FAIL_MEMORY(err, p->name, count * sizeof *data);
    m3_status st = m3_init_fill(p, seed, 0, count, data, err);
    for (uint64_t i = 0; i < count; i++) value[i] = (double)data[i];
    m3_free(data);
    return st;
}

static m3_status fill_parameter(m3_trial *trial, uint32_t index, uint64_t seed, m3_error *err)
{
    const m3_tensor *p = trial->parameter[index];
    const m3_notation array = {.dtype = M3_F32, .shape = p->shape};
    uint64_t hash = 0xcbf29ce484222325u, count = m3_tensor_count(p); /* FNV-1a */
    for (const char *at = p->name; *at != 0; at++) hash = (hash ^ (unsigned char)*at) * 0x100000001b3u;
    double *value = trial->value[index] = m3_calloc(count + 1, sizeof *value);
    if (value == NULL) return M3_FAIL_MEMORY(err, p->name, count * sizeof *value);
    if (trial->form.start && !trial->form.wide) return fill_start(p, seed, value, err);
    m3_status st = m3_values_fill(&array, hash ^ seed, 0, value, err);
    /* A weight as the numbers of a map to few outputs, anything else around what norms start with. */
    double spread = p->shape.rank >= 2 ? 1.0 / sqrt((double)p->shape.dim[p->shape.rank - 1] + 1.0) : 0.4;
    for (uint64_t i = 0; i < count; i++) value[i] = (double)(float)(spread * value[i] + (p->shape.rank < 2 ? 0.5 : 0));
    return st;
}

m3_status m3_trial_compile(m3_trial *trial, m3_device *device, m3_device *fallback, uint64_t seed, m3_error *err)
{
    const m3_compile_options options = {
        .size = M3_STRUCT_SIZE(m3_compile_options, fallbacks),
        .name = "module",
        .fallbacks = {.count = fallback != device, .stride = sizeof fallback, .data = &fallback}};
    m3_status st = m3_store_create(device, seed, &trial->store, err);
    for (uint32_t i = 0; i < trial->count && st == M3_OK; i++) {
        const m3_tensor *p = trial->parameter[i];
        if ((st = fill_parameter(trial, i, seed, err)) != M3_OK || trial->form.wide) continue;
        float *data = m3_calloc(m3_tensor_count(p) + 1, sizeof *data);
        if (data == NULL) return M3_FAIL_MEMORY(err, p->name, m3_tensor_bytes(p));
        m3_values_encode(M3_F32, trial->value[i], m3_tensor_count(p), data);
        st = m3_store_write(trial->store, p->name, M3_F32, &p->shape, data, err);
        m3_free(data);
    }
    if (st == M3_OK) st = m3_executable_create(device, trial->store, trial->graph, &options, &trial->executable, err);
    for (uint32_t i = 0; i < trial->count && st == M3_OK && trial->form.wide; i++)
        m3_trial_write(trial, trial->parameter[i], trial->value[i]);
    const uint32_t draws[3] = {(uint32_t)seed, 0, 1};
    uint32_t *rng = st == M3_OK ? m3_executable_input(trial->executable, "trial rng", NULL) : NULL;
    if (rng != NULL) memcpy(rng, draws, sizeof draws);
    return st;
}

m3_status m3_trial_take_values(m3_trial *trial, const m3_trial *from, m3_error *err)
{
    for (uint32_t i = 0; i < trial->count; i++) {
        const m3_tensor *p = trial->parameter[i];
        if (i >= from->count || !m3_shape_equal(&p->shape, &from->parameter[i]->shape))
            return M3_FAIL(err, M3_ERR_INTERNAL, p->name, "is not the same parameter in another build");
        memcpy(trial->value[i], from->value[i], m3_tensor_count(p) * sizeof *trial->value[i]);
        m3_trial_write(trial, p, trial->value[i]);
    }
    return M3_OK;
}

void m3_trial_write(m3_trial *trial, const m3_tensor *x, const double *value)
{
    uint64_t bytes = 0;
    void *to = m3_executable_input(trial->executable, x->name, &bytes);
    if (to != NULL && bytes == m3_tensor_bytes(x)) m3_values_encode(x->dtype, value, m3_tensor_count(x), to);
}

m3_status m3_trial_run(m3_trial *trial, m3_error *err)
{
    return m3_executable_run(trial->executable, err);
}

m3_status m3_trial_read(m3_trial *trial, const char *name, const m3_tensor *x, double *value, m3_error *err)
{
    uint64_t bytes = 0;
    const void *from = m3_executable_output(trial->executable, name, &bytes);
    if (from == NULL || bytes != m3_tensor_bytes(x))
        return M3_FAIL(err, M3_ERR_INTERNAL, name, "the executable gives %llu bytes of this output, not %llu",
                       (unsigned long long)bytes, (unsigned long long)m3_tensor_bytes(x));
    m3_values_decode(x->dtype, from, m3_tensor_count(x), value);
    return M3_OK;
}

/* Reading the graph. */

m3_status m3_trial_uses(const m3_trial *trial, uint32_t index, bool *uses, m3_error *err)
{
    bool *leads = m3_calloc((size_t)m3_graph_tensor_count(trial->graph) + 1, sizeof *leads);
    if (leads == NULL) return M3_FAIL_MEMORY(err, "module", m3_graph_tensor_count(trial->graph));
    leads[trial->y->id] = true;
    for (uint32_t i = m3_graph_node_count(trial->graph); i-- > 0;) {
        const m3_node *node = m3_graph_node(trial->graph, i);
        bool any = false;
        for (uint32_t k = 0; k < node->out_count; k++) any = any || leads[node->out[k]->id];
        for (uint32_t k = 0; k < node->in_count && any; k++)
            if (node->in[k] != NULL) leads[node->in[k]->id] = true;
    }
    *uses = leads[trial->parameter[index]->id];
    m3_free(leads);
    return M3_OK;
}

m3_status m3_trial_roundings(const m3_trial *trial, double *count, m3_error *err)
{
    double *until = m3_calloc((size_t)m3_graph_tensor_count(trial->graph) + 1, sizeof *until);
    if (until == NULL) return M3_FAIL_MEMORY(err, "module", m3_graph_tensor_count(trial->graph) * sizeof *until);
    *count = 1.0;
    for (uint32_t i = 0; i < m3_graph_node_count(trial->graph); i++) {
        const m3_node *node = m3_graph_node(trial->graph, i);
        double before = 0.0, elements = (double)m3_tensor_count(node->out[0]);
        for (uint32_t k = 0; k < node->in_count; k++)
            if (node->in[k] != NULL) before = fmax(before, until[node->in[k]->id]);
        before += ceil((double)m3_node_flops(node) / fmax(elements, 1.0));
        for (uint32_t k = 0; k < node->out_count; k++) until[node->out[k]->id] = before;
        *count = fmax(*count, before);
    }
    m3_free(until);
    return M3_OK;
}
