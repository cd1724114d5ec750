/* random_step: a model on a device and on the reference: three training steps and an inference, value by value. A step
 * is one program, or a program a batch and one that applies the mean of their gradients.
 *
 * How far a result may be off is measured on the reference, which runs again with noise: every result of an op, each
 * element by itself, is off by up to 2^-23 of itself, a unit in its last place (noise.h).
 *   bound = 8 max(largest move of the tensor's elements in 3 such runs, 2^-24 of its largest element)
 * 8, because a sum on the device has as many roundings as summands where the noise has one, and as 3 runs do not show
 * the most that can happen. Where values lie on a kink (a relu at 0), the device may have taken the other side. So
 * before a tensor is wrong, the reference runs 8 times with noise of 2^-20, and what that moves it by counts as well.
 * In 16 bits both run one graph, that of the device after its passes, with the roundings where they are: other passes
 * would round elsewhere. The other side is taken wherever a value lies between two of 16 bits, so the noise that may
 * count is 2^-16: it turns one rounding to bf16 in 2^8, and one to f16 in 2^5. Second moments are compared by their
 * roots, which have the size of gradients. */
#include "core/conformance/random.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/conformance/inputs.h"
#include "core/conformance/modules.h"
#include "core/conformance/noise.h"
#include "core/runtime/init.h"

enum { STEPS = 3, STAGES = STEPS + 1, NOISY = 3, KINKS = 8, NAME = 160, SPREAD = 40 };
static const double usual_noise = 0x1p-23, kink_noise = 0x1p-20, rounding_noise = 0x1p-16, allowed = 8.0,
                    unit = 0x1p-24;

static const uint32_t everything = M3_PUBLISH_USER | M3_PUBLISH_GATE | M3_PUBLISH_ENCODED | M3_PUBLISH_AFTER_MODALITY |
                                   M3_PUBLISH_AFTER_BEHAVIOR | M3_PUBLISH_SPECIFIC | M3_PUBLISH_COMMON;

/* What is looked at first says most about where a fault is. */
static const char *const first[] = {
    "encoded",       "after_modality", "after_behavior", "specific", "common",         "gate", "user",
    "loss_modality", "loss_behavior",  "loss_contrast",  "scores",   "loss_recommend", "loss"};
enum { FIRST = sizeof first / sizeof first[0] };

/* What a model is made of here, in the order in which it runs. APPLY is only there where gradients are accumulated. */
enum { TRAIN, APPLY, INFER, PROGRAMS };
static const char *const program_names[PROGRAMS] = {"train", "apply", "infer"};

typedef struct compiled {
    m3_graph *graph;    /* NULL: there is none */
    const m3_graph *of; /* what is compiled: it, or the other side's */
    m3_executable *executable;
    m3_noisy noisy; /* of the reference */
} compiled;

/* A device with the model on it. */
typedef struct side {
    m3_device *device;
    compiled programs[PROGRAMS];
    m3_dtype precision; /* that they get; the other side's has it already */
    m3_store *store;
} side;

/* A tensor that is compared after a stage: an output of its run, or one of the store. */
typedef struct entry {
    char name[NAME];
    uint32_t stage;   /* training steps from 0 on, then inference */
    uint32_t program; /* whose output it is */
    bool stored;
    m3_shape shape;
    uint64_t at, count; /* among the values */
    bool squared;       /* of second moments the roots are compared */
    double moved;       /* by noise on the reference */
} entry;

typedef struct comparison {
    const m3_random_devices *devices;
    const m3_random_config *config;
    side have, want;
    entry *entries;
    uint32_t entry_count;
    uint64_t value_count, start_count;
    float *start;                /* [start_count]: parameters, in the order of the reference's graph */
    float *got, *wanted, *again; /* [value_count] */
} comparison;

static void side_fini(side *s)
{
    for (uint32_t i = 0; i < PROGRAMS; i++) {
        m3_noisy_fini(&s->programs[i].noisy);
        m3_executable_free(s->programs[i].executable);
    }
    m3_store_free(s->store);
    for (uint32_t i = 0; i < PROGRAMS; i++) m3_graph_free(s->programs[i].graph);
    *s = (side){0};
}

static void comparison_fini(comparison *c)
{
    side_fini(&c->have);
    side_fini(&c->want);
    m3_free(c->entries);
    m3_free(c->start);
    m3_free(c->got);
    m3_free(c->wanted);
    m3_free(c->again);
}

/* Building. */

static m3_status build(const comparison *c, side *s, const char *const *no_pass, m3_error *err)
{
    m3_engine *engine = m3_device_engine(s->device);
    const m3_model_config *model = &c->config->model;
    m3_build_options options = {.size = M3_STRUCT_SIZE(m3_build_options, parts),
                                .no_pass = no_pass,
                                .accumulate = c->config->batches > 1,
                                .parts = c->config->batches};
    options.publish = c->config->watched ? everything | M3_PUBLISH_GRADIENTS : 0;
    m3_status st = m3_model_build_train(engine, model, &options, &s->programs[TRAIN].graph, err);
    if (st == M3_OK && options.accumulate)
        st = m3_model_build_apply(engine, model, &options, &s->programs[APPLY].graph, err);
    if (st != M3_OK) return st;
    options.accumulate = false;
    options.publish = (c->config->watched ? everything : M3_PUBLISH_USER) | M3_PUBLISH_SCORES;
    st = m3_model_build_infer(engine, model, &options, &s->programs[INFER].graph, err);
    for (uint32_t i = 0; i < PROGRAMS; i++) s->programs[i].of = s->programs[i].graph;
    s->precision = m3_model_precision(model);
    return st;
}

/* Of a batch of a stage. The numbers of the step, which apply() alone takes where it is there, are those of the step.
 */
static m3_inputs inputs_of(const comparison *c, uint32_t stage, uint32_t batch)
{
    return (m3_inputs){.config = &c->config->model,
                       .seed = c->config->seed,
                       .step = stage + 1 + batch * STAGES,
                       .part = batch,
                       .parts = c->config->batches,
                       .rows = stage < STEPS ? c->config->rows : (uint32_t)c->config->model.batch};
}

static m3_status compile(const comparison *c, side *s, const char *const *no_pass, m3_error *err)
{
    m3_device *other = c->devices->reference;
    const bool alone = c->devices->strict || s->device == other;
    const m3_inputs in = inputs_of(c, 0, 0);
    m3_compile_options options = {.size = M3_STRUCT_SIZE(m3_compile_options, recompute),
                                  .no_pass = no_pass,
                                  .precision = s->precision,
                                  .recompute = m3_model_recompute(&c->config->model),
                                  .strict = c->devices->strict,
                                  .fallbacks = {.count = !alone, .stride = sizeof(m3_device *), .data = &other}};
    m3_status st = m3_store_create(s->device, c->config->seed, &s->store, err);
    if (st == M3_OK) st = m3_inputs_write_features(&in, s->store, err);
    for (uint32_t i = 0; st == M3_OK && i < PROGRAMS; i++) {
        options.name = program_names[i];
        if (s->programs[i].of == NULL) continue;
        st = m3_executable_create(s->device, s->store, s->programs[i].of, &options, &s->programs[i].executable, err);
    }
    return st;
}

/* What is compared. */

static bool comes_first(const char *name)
{
    for (uint32_t i = 0; i < FIRST; i++)
        if (strcmp(first[i], name) == 0) return true;
    return false;
}

static void add_entry(comparison *c, const char *name, uint32_t stage, uint32_t program, bool stored,
                      const m3_shape *shape)
{
    if (c->entries != NULL) {
        entry *e = &c->entries[c->entry_count];
        *e = (entry){.stage = stage, .program = program, .stored = stored, .shape = *shape, .at = c->value_count};
        (void)snprintf(e->name, sizeof e->name, "%s", name);
        e->count = m3_shape_count(shape);
        e->squared = stored && strncmp(name, "adam.v.", 7) == 0;
    }
    c->entry_count++;
    c->value_count += m3_shape_count(shape);
}

static void list_outputs(comparison *c, uint32_t program, uint32_t stage)
{
    const char *name = NULL;
    const m3_graph *graph = c->want.programs[program].graph;
    for (uint32_t i = 0; i < FIRST; i++) {
        const m3_tensor *x = m3_graph_find_output(graph, first[i]);
        if (x != NULL) add_entry(c, first[i], stage, program, false, &x->shape);
    }
    for (uint32_t i = 0; i < m3_graph_output_count(graph); i++) {
        const m3_tensor *x = m3_graph_output_at(graph, i, &name);
        if (!comes_first(name)) add_entry(c, name, stage, program, false, &x->shape);
    }
}

static bool is_compared(const m3_tensor *x, m3_tensor_kind kind)
{
    return x->kind == kind && strncmp(x->name, "features", 8) != 0;
}

/* The program that changes parameters has all of them and their moments. */
static const m3_graph *updating(const comparison *c)
{
    const compiled *all = c->want.programs;
    return all[APPLY].graph != NULL ? all[APPLY].graph : all[TRAIN].graph;
}

static void list_stored(comparison *c, m3_tensor_kind kind, uint32_t stage)
{
    const m3_graph *graph = updating(c);
    for (uint32_t i = 0; i < m3_graph_tensor_count(graph); i++) {
        const m3_tensor *x = m3_graph_tensor(graph, i);
        if (is_compared(x, kind)) add_entry(c, x->name, stage, 0, true, &x->shape);
    }
}

static void list_entries(comparison *c)
{
    c->entry_count = 0;
    c->value_count = 0;
    for (uint32_t stage = 0; stage < STEPS; stage++) {
        list_outputs(c, TRAIN, stage);
        if (c->want.programs[APPLY].graph != NULL) list_outputs(c, APPLY, stage);
        list_stored(c, M3_STATE, stage); /* the first moments are the gradients */
        list_stored(c, M3_PARAMETER, stage);
    }
    list_outputs(c, INFER, STEPS);
}

static m3_status make_room(comparison *c, m3_error *err)
{
    list_entries(c);
    c->entries = m3_calloc(c->entry_count, sizeof *c->entries);
    c->got = m3_calloc(c->value_count, sizeof *c->got);
    c->wanted = m3_calloc(c->value_count, sizeof *c->wanted);
    c->again = m3_calloc(c->value_count, sizeof *c->again);
    for (uint32_t i = 0; i < m3_graph_tensor_count(updating(c)); i++) {
        const m3_tensor *x = m3_graph_tensor(updating(c), i);
        if (x->kind == M3_PARAMETER) c->start_count += m3_tensor_count(x);
    }
    c->start = m3_calloc(c->start_count, sizeof *c->start);
    if (c->entries == NULL || c->got == NULL || c->wanted == NULL || c->again == NULL || c->start == NULL)
        return M3_FAIL_MEMORY(err, "model", 3 * c->value_count * sizeof *c->got);
    list_entries(c);
    return M3_OK;
}

/* Running. */

/* The values that the store made up; those that start at 0 or 1 everywhere would hide much. */
static m3_status take_start(comparison *c, m3_error *err)
{
    m3_status st = M3_OK;
    uint64_t at = 0;
    for (uint32_t i = 0; st == M3_OK && i < m3_graph_tensor_count(updating(c)); i++) {
        const m3_tensor *x = m3_graph_tensor(updating(c), i);
        if (x->kind != M3_PARAMETER) continue;
        st = m3_store_read(c->want.store, x->name, c->start + at, m3_tensor_bytes(x), err);
        for (uint64_t k = 0; k < m3_tensor_count(x) && x->shape.rank == 1 && c->config->spread; k++)
            c->start[at + k] += 0.2F * m3_inputs_number(c->config->seed, SPREAD, at + k);
        at += m3_tensor_count(x);
    }
    return st;
}

/* Parameters back to the start, other states to what they begin with. */
static m3_status write_start(const comparison *c, side *s, m3_error *err)
{
    m3_status st = M3_OK;
    uint64_t at = 0;
    float *begin = m3_calloc(c->start_count, sizeof *begin);
    if (begin == NULL) return M3_FAIL_MEMORY(err, "model", c->start_count * sizeof *begin);
    for (uint32_t i = 0; st == M3_OK && i < m3_graph_tensor_count(updating(c)); i++) {
        const m3_tensor *x = m3_graph_tensor(updating(c), i);
        if (x->kind == M3_PARAMETER) {
            st = m3_store_write(s->store, x->name, M3_F32, &x->shape, c->start + at, err);
            at += m3_tensor_count(x);
        } else if (x->kind == M3_STATE && strncmp(x->name, "features", 8) != 0) {
            st = m3_init_fill(x, 0, 0, m3_tensor_count(x), begin, err);
            if (st == M3_OK) st = m3_store_write(s->store, x->name, M3_F32, &x->shape, begin, err);
        }
    }
    m3_free(begin);
    return st;
}

/* The executable of a program, or that with noise. */
static m3_executable *executable_of(const side *s, uint32_t program, bool noisy)
{
    return noisy ? s->programs[program].noisy.executable : s->programs[program].executable;
}

static m3_status read_stage(const comparison *c, const side *s, bool noisy, uint32_t stage, float *values,
                            m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t i = 0; st == M3_OK && i < c->entry_count; i++) {
        const entry *e = &c->entries[i];
        const uint64_t bytes = e->count * sizeof *values;
        if (e->stage != stage) continue;
        if (e->stored) {
            st = m3_store_read(s->store, e->name, values + e->at, bytes, err);
            for (uint64_t k = 0; k < e->count && e->squared; k++) values[e->at + k] = sqrtf(values[e->at + k]);
            continue;
        }
        uint64_t have = 0;
        const void *from = m3_executable_output(executable_of(s, e->program, noisy), e->name, &have);
        if (from == NULL || have != bytes)
            return M3_FAIL(err, M3_ERR_INTERNAL, e->name, "is %llu bytes of the compiled model, wanted %llu",
                           (unsigned long long)have, (unsigned long long)bytes);
        memcpy(values + e->at, from, bytes);
    }
    return st;
}

/* Noise of a run: its size, 0 for none, and which of those of this size it is. */
typedef struct noise {
    double size;
    uint32_t draw;
} noise;

static m3_status run_program(const comparison *c, side *s, uint32_t program, const m3_inputs *in, noise with,
                             m3_error *err)
{
    m3_executable *e = executable_of(s, program, with.size > 0.0);
    const uint64_t run = (uint64_t)with.draw * STAGES * M3_RANDOM_BATCHES + in->step;
    if (with.size > 0.0) m3_noisy_draw(&s->programs[program].noisy, with.size, ((uint64_t)c->config->seed << 16) + run);
    m3_inputs_write(in, e);
    float *count = m3_executable_input(e, "count", NULL);
    if (count != NULL) *count = (float)c->config->batches;
    return m3_executable_run(e, err);
}

/* From the start to the end. */
static m3_status run(const comparison *c, side *s, noise with, float *values, m3_error *err)
{
    m3_status st = write_start(c, s, err);
    for (uint32_t stage = 0; st == M3_OK && stage < STAGES; stage++) {
        const m3_inputs in = inputs_of(c, stage, 0);
        const uint32_t batches = stage < STEPS ? c->config->batches : 1;
        for (uint32_t k = 0; st == M3_OK && k < batches; k++) {
            const m3_inputs batch = inputs_of(c, stage, k);
            st = run_program(c, s, stage < STEPS ? TRAIN : INFER, &batch, with, err);
        }
        if (st == M3_OK && batches > 1) st = run_program(c, s, APPLY, &in, with, err);
        if (st == M3_OK) st = read_stage(c, s, with.size > 0.0, stage, values, err);
    }
    return st;
}

/* Run the reference with noise, and keep how far each tensor moves. */
static m3_status run_noisy(comparison *c, double size, uint32_t from, uint32_t count, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t draw = from; st == M3_OK && draw < from + count; draw++) {
        st = run(c, &c->want, (noise){size, draw}, c->again, err);
        for (uint32_t i = 0; st == M3_OK && i < c->entry_count; i++) {
            entry *e = &c->entries[i];
            for (uint64_t k = e->at; k < e->at + e->count; k++)
                e->moved = fmax(e->moved, fabs((double)c->again[k] - (double)c->wanted[k]));
        }
    }
    return st;
}

/* Comparing. */

static void say_where(const entry *e, uint64_t index, char *text, size_t bytes)
{
    char place[96], when[32];
    (void)snprintf(when, sizeof when, e->stage < STEPS ? "step %u" : "inference", e->stage + 1);
    (void)snprintf(text, bytes, "%s: %s%s%s%s", when, e->squared ? "root of " : "", e->name,
                   e->shape.rank > 0 ? m3_place_text(&e->shape, index, place, sizeof place) : "",
                   e->stored ? " after it" : "");
}

/* Does this tensor agree? Else the finding says so. */
static bool compare_entry(const comparison *c, const entry *e, m3_random_finding *finding)
{
    double largest = 0.0, worst = -1.0;
    uint64_t at = 0, wrong = 0;
    char where[NAME + 160];
    const float *got = c->got + e->at, *wanted = c->wanted + e->at;
    /* In f16 scaled gradients may overflow: such a step is skipped, wherever it runs. */
    const bool overflows = m3_model_precision(&c->config->model) == M3_F16;
    for (uint64_t k = 0; k < e->count; k++)
        if (isfinite(wanted[k]) || !overflows) largest = fmax(largest, fabs((double)wanted[k]));
    /* Denormals may be taken for 0. */
    const double least = e->squared ? sqrt((double)FLT_MIN) : (double)FLT_MIN;
    const double bound = allowed * fmax(e->moved, fmax(unit * largest, least));
    for (uint64_t k = 0; k < e->count; k++) {
        double error = fabs((double)got[k] - (double)wanted[k]);
        const bool number = isfinite(wanted[k]);
        if (!isfinite(error) || !number) error = INFINITY;
        if (!number && !isfinite(got[k]) && overflows) error = 0.0;
        wrong += !(error <= bound);
        if (error <= worst) continue;
        worst = error;
        at = k;
    }
    if (worst > 0.0) finding->share = fmax(finding->share, worst / bound);
    if (wrong == 0) return true;
    say_where(e, at, where, sizeof where);
    finding->verdict = M3_VERDICT_FAIL;
    (void)snprintf(finding->text, sizeof finding->text,
                   "%s is %.9g, wanted %.9g within %.3g (off by %.3g; %llu of %llu elements are wrong; noise moves the "
                   "reference by %.2g)%s",
                   where, (double)got[at], (double)wanted[at], bound, worst, (unsigned long long)wrong,
                   (unsigned long long)e->count, e->moved,
                   isfinite(wanted[at]) ? "" : "; the reference itself has no number there");
    return false;
}

static bool compare_all(const comparison *c, m3_random_finding *finding)
{
    *finding = (m3_random_finding){0};
    for (uint32_t i = 0; i < c->entry_count; i++)
        if (!compare_entry(c, &c->entries[i], finding)) return false;
    return true;
}

static bool is_rounded(const comparison *c)
{
    return m3_dtype_is_half(m3_model_precision(&c->config->model));
}

static m3_status prepare(comparison *c, m3_error *err)
{
    const bool drops = c->config->model.dropout > 0.0 || c->config->model.dropout_encoder > 0.0;
    m3_status st;
    c->have.device = c->devices->device;
    c->want.device = c->devices->reference;
    /* The passes before differentiation decide which draws of dropout are made, so both have the same of those. */
    if ((st = build(c, &c->want, drops ? c->devices->no_pass : m3_pass_names(), err)) != M3_OK) return st;
    if ((st = build(c, &c->have, c->devices->no_pass, err)) != M3_OK) return st;
    if ((st = make_room(c, err)) != M3_OK) return st;
    if (is_rounded(c)) {
        if ((st = compile(c, &c->have, c->devices->no_pass, err)) != M3_OK) return st;
        for (uint32_t i = 0; i < PROGRAMS; i++)
            if (c->want.programs[i].graph != NULL)
                c->want.programs[i].of = m3_executable_graph(c->have.programs[i].executable);
        c->want.precision = M3_F32;
    }
    if ((st = compile(c, &c->want, m3_pass_names(), err)) != M3_OK) return st;
    for (uint32_t i = 0; i < PROGRAMS; i++) {
        compiled *p = &c->want.programs[i];
        if (p->graph == NULL) continue;
        st = m3_noisy_init(&p->noisy, c->want.device, c->want.store, m3_executable_graph(p->executable), err);
        if (st != M3_OK) return st;
    }
    return take_start(c, err);
}

m3_status m3_random_compare(const m3_random_devices *devices, const m3_random_config *config,
                            m3_random_finding *finding, m3_error *err)
{
    comparison c = {.devices = devices, .config = config};
    m3_status st;
    *finding = (m3_random_finding){0};
    if ((st = prepare(&c, err)) != M3_OK) goto done;
    if ((st = run(&c, &c.want, (noise){0}, c.wanted, err)) != M3_OK) goto done;
    if ((st = run_noisy(&c, usual_noise, 1, NOISY, err)) != M3_OK) goto done;
    if (c.have.store == NULL && (st = compile(&c, &c.have, devices->no_pass, err)) != M3_OK) goto done;
    if ((st = run(&c, &c.have, (noise){0}, c.got, err)) != M3_OK) goto done;
    if (compare_all(&c, finding)) goto done;
    st = run_noisy(&c, is_rounded(&c) ? rounding_noise : kink_noise, 1 + NOISY, KINKS, err);
    if (st != M3_OK) goto done;
    (void)compare_all(&c, finding);
done:
    comparison_fini(&c);
    return st;
}
