/* step: the training step as one graph, and its two halves when gradients are accumulated (MODEL.md 11).
 *   forward with its losses -> passes that must come before -> gradients -> global norm -> clip -> AdamW
 *   scale = min(1, clip / (norm + 1e-6))
 * In f16 the loss is multiplied by loss_scale before gradients are taken, so that small ones do not vanish, and they
 * are divided by it after. A step whose gradients overflow changes nothing and halves the scale; many good ones double
 * it. Lazy rule (model.h): the gradient of item.weight is a sum of rows by id, because ids only ever gather from it;
 * the step takes the rows instead of the sum, groups them by id, and updates these rows alone. */
#include "core/base/alloc.h"
#include "core/model/model.h"
#include "core/passes/pass.h"
#include "m3bsr/ops.h"

#include <float.h>

/* As PyTorch's GradScaler has it; a power of two, so that nothing is rounded by it. */
static const float start_scale = 65536.0F, most_scale = 16777216.0F, steps_to_double = 2000.0F;

typedef struct step {
    const m3_model_config *c;
    m3_builder *b;
    uint32_t count;
    m3_tensor **parameters, **gradients; /* [count] */
    m3_tensor *ids, *rows;               /* of item.weight's gradient when it is lazy, else NULL */
    m3_tensor *rows_norm;                /* f32 []: of a table whose step is another's; NULL: all are in the graph */
    m3_tensor *loss_scale;               /* f32 []: of the loss and all gradients; NULL: 1 */
    m3_tensor *scalars;                  /* f32 [3]: lr, 1 - beta1^t, 1 - beta2^t */
} step;

/* Declare the parameters of `model` in the step's graph: passes drop those that no loss depends on, but a step has
 * them all. */
static m3_status take_parameters(step *s, const m3_graph *model, m3_error *err)
{
    uint32_t tensors = m3_graph_tensor_count(model);
    s->parameters = m3_calloc(tensors, sizeof(m3_tensor *));
    s->gradients = m3_calloc(tensors, sizeof(m3_tensor *));
    if (s->parameters == NULL || s->gradients == NULL)
        return M3_FAIL_MEMORY(err, "train", tensors * sizeof(m3_tensor *));
    for (uint32_t i = 0; i < tensors; i++) {
        const m3_tensor *p = m3_graph_tensor(model, i);
        if (p->kind == M3_PARAMETER) s->parameters[s->count++] = m3_graph_parameter(s->b, p->name, p->shape, p->init);
    }
    return m3_builder_status(s->b, err);
}

static void step_fini(step *s)
{
    m3_free(s->parameters);
    m3_free(s->gradients);
}

/* In a graph that has a window the table's gradient is one of the window's rows. */
static bool is_table(const step *s, uint32_t i)
{
    const char *name = s->parameters[i]->name;
    return strcmp(name, M3_ITEM_PARAMETER) == 0 || strcmp(name, M3_WINDOW_TABLE) == 0;
}

/* Replace the gradient of the item table by its rows. */
static m3_status make_lazy(step *s, m3_error *err)
{
    for (uint32_t i = 0; i < s->count; i++) {
        const m3_tensor *g = s->gradients[i];
        if (g == NULL || !is_table(s, i)) continue;
        if (g->producer == NULL || (g->producer->op->flags & M3_OP_ROW_SUM) == 0)
            return M3_FAIL(err, M3_ERR_INTERNAL, M3_ITEM_PARAMETER,
                           "its gradient is made by %s, not a sum of rows; set lazy to off",
                           g->producer != NULL ? g->producer->op->name : "no node");
        m3_tensor *grouped[2] = {0};
        m3_group_rows(s->b, g->producer->in[M3_SCATTER_ADD_IDS], g->producer->in[M3_SCATTER_ADD_ROWS], 0, grouped);
        s->ids = grouped[0];
        s->rows = grouped[1];
    }
    return M3_OK;
}

static bool is_lazy(const step *s, uint32_t i)
{
    return s->ids != NULL && is_table(s, i);
}

/* Does somebody else update it? */
static bool is_elsewhere(const step *s, uint32_t i)
{
    return s->rows_norm != NULL && is_table(s, i);
}

static m3_tensor *global_norm(step *s)
{
    uint32_t count = 0;
    m3_tensor **in = m3_calloc(s->count, sizeof(m3_tensor *));
    if (in == NULL) {
        s->b->api->fail(s->b, M3_ERR_MEMORY, "no memory for the list of gradients");
        return NULL;
    }
    for (uint32_t i = 0; i < s->count; i++)
        if (!is_elsewhere(s, i)) in[count++] = is_lazy(s, i) ? s->rows : s->gradients[i];
    if (s->rows_norm != NULL) in[count++] = s->rows_norm; /* in the place of the window's table */
    m3_tensor *norm = m3_global_norm(s->b, in, count);
    m3_free(in);
    return norm;
}

static m3_tensor *clip_scale(step *s, m3_tensor *norm)
{
    m3_builder *b = s->b;
    m3_tensor *one = m3_scalar(b, 1.0F);
    if (s->c->clip <= 0.0) return one;
    m3_tensor *wanted = m3_div(b, m3_scalar(b, (float)s->c->clip), m3_add(b, norm, m3_scalar(b, 1e-6F)));
    return m3_min(b, wanted, one);
}

/* The loss that gradients are taken of. */
static m3_tensor *scale_loss(step *s, m3_tensor *loss)
{
    if (s->c->precision != M3_PRECISION_F16) return loss;
    s->loss_scale = m3_graph_state(s->b, "loss_scale", M3_F32, m3_shape_of(0, NULL), m3_init_constant(start_scale));
    return loss != NULL ? m3_mul(s->b, loss, s->loss_scale) : NULL;
}

/* The scale of the next step, and how many good ones there have been since it changed. */
static void update_loss_scale(step *s, m3_tensor *finite)
{
    m3_builder *b = s->b;
    m3_tensor *zero = m3_scalar(b, 0.0F), *one = m3_scalar(b, 1.0F), *two = m3_scalar(b, 2.0F);
    m3_tensor *good = m3_graph_state(b, "loss_scale.good_steps", M3_F32, m3_shape_of(0, NULL), m3_init_constant(0.0F));
    m3_tensor *more = m3_add(b, good, one), *enough = m3_less(b, m3_scalar(b, steps_to_double - 0.5F), more);
    m3_tensor *doubled = m3_min(b, m3_mul(b, s->loss_scale, two), m3_scalar(b, most_scale));
    m3_tensor *halved = m3_max(b, m3_div(b, s->loss_scale, two), one);
    m3_graph_output(b, "loss_scale", s->loss_scale);
    m3_graph_output(b, "overflow", m3_where(b, finite, zero, one));
    m3_graph_update(b, s->loss_scale, m3_where(b, finite, m3_where(b, enough, doubled, s->loss_scale), halved));
    m3_graph_update(b, good, m3_where(b, finite, m3_where(b, enough, zero, more), zero));
}

/* The factor of gradients in the update, below 0 after an overflow; *norm becomes that of the gradients themselves. */
static m3_tensor *update_scale(step *s, m3_tensor **norm)
{
    m3_builder *b = s->b;
    if (s->loss_scale == NULL) return clip_scale(s, *norm);
    m3_tensor *finite = m3_less(b, *norm, m3_scalar(b, FLT_MAX)); /* NaN is less than nothing */
    m3_tensor *rest = m3_div(b, m3_scalar(b, 1.0F), s->loss_scale);
    *norm = m3_mul(b, *norm, rest);
    m3_tensor *scale = m3_where(b, finite, m3_mul(b, clip_scale(s, *norm), rest), m3_scalar(b, -1.0F));
    update_loss_scale(s, finite);
    return scale;
}

static m3_tensor *state_of(step *s, const char *prefix, const m3_tensor *p)
{
    char name[M3_ERROR_SUBJECT];
    int length = snprintf(name, sizeof name, "%s.%s", prefix, p->name);
    if (length < 0 || (size_t)length >= sizeof name) {
        s->b->api->fail(s->b, M3_ERR_INVALID, "the name of a parameter is too long for its optimizer states");
        return NULL;
    }
    return m3_graph_state(s->b, name, M3_F32, p->shape, m3_init_constant(0.0F));
}

/* One node a parameter; the pass multi_tensor makes them one. */
static void update(step *s, m3_tensor *scale, uint32_t i)
{
    m3_builder *b = s->b;
    m3_tensor *p = s->parameters[i], *m = state_of(s, "adam.m", p), *v = state_of(s, "adam.v", p);
    const m3_adamw_rates rates = {s->c->beta1, s->c->beta2, s->c->adam_eps, s->c->weight_decay};
    m3_tensor *pmvg[M3_ADAMW_EACH] = {p, m, v, s->gradients[i]}, *next[M3_ADAMW_STATES] = {0};
    if (is_lazy(s, i))
        m3_adamw_rows(b, &rates, s->scalars, scale, pmvg, s->ids, s->rows, next);
    else
        m3_adamw(b, &rates, s->scalars, scale, pmvg, next);
    m3_graph_update(b, p, next[M3_ADAMW_NEXT_P]);
    m3_graph_update(b, m, next[M3_ADAMW_NEXT_M]);
    m3_graph_update(b, v, next[M3_ADAMW_NEXT_V]);
}

static void update_all(step *s)
{
    m3_push(s->b, "update");
    s->scalars = m3_graph_input(s->b, "step", M3_F32, M3_SHAPE(3));
    m3_tensor *norm = global_norm(s);
    m3_tensor *scale = update_scale(s, &norm);
    m3_graph_output(s->b, "grad_norm", norm);
    if (s->rows_norm != NULL) m3_graph_output(s->b, "scale", scale);
    for (uint32_t i = 0; i < s->count && s->parameters[i] != NULL; i++)
        if (!is_elsewhere(s, i)) update(s, scale, i);
    m3_pop(s->b);
}

/* accum.NAME += gradient. */
static void accumulate_all(step *s)
{
    m3_push(s->b, "accumulate");
    for (uint32_t i = 0; i < s->count && s->parameters[i] != NULL; i++) {
        m3_tensor *sum = state_of(s, "accum", s->parameters[i]);
        m3_graph_update(s->b, sum, m3_add(s->b, sum, s->gradients[i]));
    }
    m3_pop(s->b);
}

static void publish_gradients(step *s)
{
    char name[M3_ERROR_SUBJECT];
    for (uint32_t i = 0; i < s->count && s->parameters[i] != NULL; i++) {
        (void)snprintf(name, sizeof name, "grad.%s", s->parameters[i]->name);
        m3_tensor *g = s->gradients[i];
        m3_graph_output(s->b, name, s->loss_scale != NULL ? m3_div(s->b, g, s->loss_scale) : g);
    }
}

/* The forward pass with its losses, before any pass. */
static m3_status build_forward(m3_engine *engine, const m3_model_config *config, const m3_build_options *options,
                               m3_graph **graph, m3_error *err)
{
    m3_model m;
    m3_forward f = {0};
    m3_status st = m3_model_begin(&m, engine, config, options, true, graph, err);
    if (st != M3_OK) return st;
    m3_model_forward(&m, &f);
    m3_model_publish(&m, &f, options->publish);
    m3_model_losses(&m, &f);
    st = m3_builder_status(m.b, err);
    m3_model_end(&m);
    return st;
}

m3_status m3_model_build_train(m3_engine *engine, const m3_model_config *config, const m3_build_options *options,
                               m3_graph **graph, m3_error *err)
{
    m3_status st;
    step s = {.c = config};
    m3_graph *forward = NULL, *built = NULL;
    *graph = NULL;
    if (m3_model_window(options) != 0 && !options->accumulate)
        return M3_FAIL(err, M3_ERR_INVALID, "options",
                       "have a window, whose rows a step cannot update; set accumulate, and apply it elsewhere");
    if ((st = build_forward(engine, config, options, &forward, err)) != M3_OK) goto done;
    if ((st = m3_passes_before_gradients(forward, options->no_pass, &built, err)) != M3_OK) goto done;
    s.b = m3_graph_builder(built);
    if ((st = take_parameters(&s, forward, err)) != M3_OK) goto done;
    m3_tensor *loss = scale_loss(&s, m3_graph_find_output(built, "loss"));
    m3_gradients(s.b, loss, s.parameters, s.count, s.gradients);
    if ((st = m3_builder_status(s.b, err)) != M3_OK) goto done;
    if (options->publish & M3_PUBLISH_GRADIENTS) publish_gradients(&s);
    if (options->accumulate) {
        accumulate_all(&s);
    } else {
        if (m3_model_is_lazy(config) && (st = make_lazy(&s, err)) != M3_OK) goto done;
        update_all(&s);
    }
    if ((st = m3_builder_status(s.b, err)) != M3_OK) goto done;
    *graph = built;
    built = NULL; /* the caller owns it now */
done:
    m3_graph_free(forward);
    m3_graph_free(built);
    step_fini(&s);
    return st;
}

/* Gradients are the means of the sums, and the sums start again. */
static void take_means(step *s)
{
    m3_builder *b = s->b;
    m3_tensor *count = m3_graph_input(b, "count", M3_F32, m3_shape_of(0, NULL));
    m3_push(b, "mean");
    m3_tensor *share = m3_div(b, m3_scalar(b, 1.0F), m3_max(b, count, m3_scalar(b, 1.0F)));
    for (uint32_t i = 0; i < s->count && s->parameters[i] != NULL; i++) {
        m3_tensor *sum = state_of(s, "accum", s->parameters[i]);
        s->gradients[i] = m3_mul(b, sum, share);
        m3_graph_update(b, sum, m3_broadcast(b, m3_scalar(b, 0.0F), s->parameters[i]->shape));
    }
    m3_pop(b);
}

/* The table's gradient: its norm alone, or as the rows of the whole table that it is of, which takes the window's place
 * among the parameters. */
static void leave_window(step *s, const m3_build_options *options)
{
    m3_builder *b = s->b;
    if (options->elsewhere) {
        s->rows_norm = m3_graph_input(b, "rows_norm", M3_F32, m3_shape_of(0, NULL));
        return;
    }
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->parameters[i] == NULL || !is_table(s, i)) continue;
        s->ids = m3_graph_input(b, "ids", M3_I32, M3_SHAPE(s->parameters[i]->shape.dim[0]));
        s->rows = s->gradients[i];
        s->parameters[i] = m3_model_item_table(b, s->c);
    }
}

m3_status m3_model_build_apply(m3_engine *engine, const m3_model_config *config, const m3_build_options *options,
                               m3_graph **graph, m3_error *err)
{
    m3_status st;
    step s = {.c = config};
    m3_graph *forward = NULL, *built = NULL;
    *graph = NULL;
    if ((st = build_forward(engine, config, options, &forward, err)) != M3_OK) goto done; /* for its parameters */
    if ((st = m3_graph_create(m3_engine_ops(engine), &built, err)) != M3_OK) goto done;
    s.b = m3_graph_builder(built);
    if ((st = take_parameters(&s, forward, err)) != M3_OK) goto done;
    (void)scale_loss(&s, NULL);
    take_means(&s);
    if (m3_model_window(options) != 0) leave_window(&s, options);
    update_all(&s);
    if ((st = m3_builder_status(s.b, err)) != M3_OK) goto done;
    *graph = built;
    built = NULL; /* the caller owns it now */
done:
    m3_graph_free(forward);
    m3_graph_free(built);
    step_fini(&s);
    return st;
}
