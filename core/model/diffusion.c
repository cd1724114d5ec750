/* diffusion: denoising of modalities under the item ids, and of behaviors under the next deeper one (MODEL.md 5).
 *   network:   f(x, cond, t) = ffn2 ReLU(ffn1 r),  r = LN2(q + Attn(q; cond)),  q = LN1(x + time2 SiLU(time1 emb(t)))
 *   training:  x_t = signal(t) x + noise(t) eps, signal = sqrt(abar), noise = sqrt(1 - abar)
 *   inference: x stands at infer_start and walks down to 0 (DDIM, eta = 0)
 *   replace:   the reconstruction takes the place of x, and the loss moves x too
 *   gated:     the loss, in a pass of its own, moves the network alone; y = x + g (x̂ - x) with x̂ of inference, where
 *              g = sigmoid(a rho / mean(rho) + c) opens for positions that x̂ explains worse than the sequence's others
 * Everything that depends on t alone is a constant: a table of T+1 rows in training, a number at inference. */
#include <math.h>

#include "core/base/alloc.h"
#include "core/model/model.h"

typedef struct sequences {
    m3_tensor *x;     /* [A, n, L, d]: A behaviors or A modalities */
    m3_tensor *cond;  /* [A, n, L, d] */
    m3_tensor *keys;  /* bool [A, n, L]: valid positions of cond */
    m3_tensor *valid; /* f32, broadcasts to [A, n, L, 1]: valid positions of x */
    m3_tensor *count; /* rank 0: how many there are over all of [A, n, L], of the step's n */
    bool aligned;     /* cond and x belong to the same events, position by position */
} sequences;

static double signal_at(const m3_model *m, uint64_t t)
{
    return sqrt(m->alpha_bar[t]);
}

static double noise_at(const m3_model *m, uint64_t t)
{
    return sqrt(1.0 - m->alpha_bar[t]);
}

/* x̂ = (x_t - noise f) / signal = inverse x_t - ratio f. */
static double inverse_at(const m3_model *m, uint64_t t)
{
    return 1.0 / signal_at(m, t);
}

static double ratio_at(const m3_model *m, uint64_t t)
{
    return noise_at(m, t) / signal_at(m, t);
}

/* [sin(t w), cos(t w)], w_i = 10000^(-i / (d/2 - 1)). */
static void time_embedding(uint64_t t, uint64_t d, float *row)
{
    uint64_t half = d / 2, last = half > 1 ? half - 1 : 1;
    for (uint64_t i = 0; i < half; i++) {
        double angle = (double)t * exp(-log(10000.0) * (double)i / (double)last);
        row[i] = (float)sin(angle);
        row[half + i] = (float)cos(angle);
    }
}

/* Embeddings of the steps first .. first + count - 1, [count, d]. */
static m3_tensor *embeddings(m3_model *m, uint64_t first, uint64_t count)
{
    float *rows = m3_calloc(count * m->d, sizeof *rows);
    m3_tensor *table = NULL;
    if (rows != NULL) {
        for (uint64_t i = 0; i < count; i++) time_embedding(first + i, m->d, rows + i * m->d);
        m3_shape shape = M3_SHAPE(count, m->d);
        table = m3_constant(m->b, M3_F32, &shape, rows);
    } else {
        m->b->api->fail(m->b, M3_ERR_MEMORY, "no memory for the time embeddings; use fewer diffusion_steps");
    }
    m3_free(rows);
    return table;
}

/* A function of t over 0 .. T, gathered: [n, 1, 1]. */
static m3_tensor *of_steps(m3_model *m, double (*at)(const m3_model *, uint64_t), m3_tensor *t)
{
    uint64_t count = (uint64_t)m->c->diffusion_steps + 1;
    float *values = m3_calloc(count, sizeof *values);
    m3_tensor *gathered = NULL;
    if (values != NULL) {
        for (uint64_t i = 0; i < count; i++) values[i] = (float)at(m, i);
        m3_shape shape = M3_SHAPE(count, 1, 1);
        gathered = m3_gather(m->b, m3_constant(m->b, M3_F32, &shape, values), t, -1);
    } else {
        m->b->api->fail(m->b, M3_ERR_MEMORY, "no memory for the noise schedule; use fewer diffusion_steps");
    }
    m3_free(values);
    return gathered;
}

/* time2 SiLU(time1 emb): [rows, d] -> [rows, 1, d]. */
static m3_tensor *time_shift(m3_model *m, m3_tensor *embedding)
{
    if (embedding == NULL) return NULL;
    m3_tensor *hidden = m3_block_linear(m->b, "time1", embedding, m->d, M3_ACT_SILU);
    m3_tensor *tau = m3_block_linear(m->b, "time2", hidden, m->d, M3_ACT_NONE);
    return m3_reshape(m->b, tau, M3_SHAPE(embedding->shape.dim[0], 1, m->d));
}

static m3_tensor *network(m3_model *m, const sequences *s, m3_tensor *x, m3_tensor *embedding)
{
    m3_builder *b = m->b;
    m3_tensor *in = m3_add(b, x, time_shift(m, embedding));
    if (s->aligned && m->c->denoise == M3_DENOISE_GATED)
        in = m3_add(b, in, m3_block_linear(b, "own", s->cond, m->d, M3_ACT_NONE));
    m3_tensor *q = m3_block_norm(b, "norm1", in);
    m3_tensor *attended = m3_block_attention(b, "attn", q, s->cond, s->keys, (uint32_t)m->c->heads);
    m3_tensor *r = m3_block_norm(b, "norm2", m3_add(b, q, attended));
    return m3_block_ffn(b, r, m->d * (uint64_t)m->c->ffn_mult);
}

/* kappa log(1 + squares / (kappa d)) d: what cannot be explained, such as planted noise, does not pull. */
static m3_tensor *flatten(m3_model *m, m3_tensor *squares)
{
    m3_builder *b = m->b;
    double scale = m->c->denoise_scale * (double)m->d;
    m3_tensor *inside = m3_add(b, m3_mul(b, squares, m3_scalar(b, (float)(1.0 / scale))), m3_scalar(b, 1.0F));
    return m3_mul(b, m3_log(b, inside), m3_scalar(b, (float)scale));
}

/* Sum over d of (x - y)^2: [..., d] -> [..., 1]. */
static m3_tensor *square_distance(m3_model *m, m3_tensor *x, m3_tensor *y)
{
    m3_tensor *off = m3_sub(m->b, x, y);
    return m3_reduce_sum(m->b, m3_mul(m->b, off, off), -1, M3_KEEP);
}

/* Mean over valid positions and d of (f - wanted)^2, 0 where nothing is valid; flattened by position when gated. */
static m3_tensor *error_of(m3_model *m, const sequences *s, m3_tensor *f, m3_tensor *wanted)
{
    m3_builder *b = m->b;
    m3_tensor *squares = square_distance(m, f, wanted);
    if (m->c->denoise == M3_DENOISE_GATED && m->c->denoise_scale > 0.0) squares = flatten(m, squares);
    m3_tensor *total = m3_sum_all(b, m3_mul(b, squares, s->valid));
    return m3_model_step_mean(m, total, m3_mul(b, s->count, m3_scalar(b, (float)m->d)));
}

/* One random step: the reconstruction of x, and its loss. */
static m3_tensor *train(m3_model *m, const sequences *s, m3_tensor *t, m3_tensor *noise, m3_tensor **loss)
{
    m3_builder *b = m->b;
    bool x0 = m->c->objective == M3_OBJECTIVE_X0;
    m3_tensor *xt = m3_add(b, m3_mul(b, s->x, of_steps(m, signal_at, t)), m3_mul(b, noise, of_steps(m, noise_at, t)));
    m3_tensor *embedding = m3_gather(b, embeddings(m, 0, (uint64_t)m->c->diffusion_steps + 1), t, -1);
    m3_tensor *f = network(m, s, xt, embedding);
    m3_tensor *wanted = x0 ? s->x : noise;
    *loss = error_of(m, s, f, wanted);
    if (m->compare) m->compared[m->compared_count++] = (m3_compared){*loss, error_of(m, s, m3_scalar(b, 0.0F), wanted)};
    m3_tensor *clean =
        x0 ? f : m3_sub(b, m3_mul(b, xt, of_steps(m, inverse_at, t)), m3_mul(b, f, of_steps(m, ratio_at, t)));
    return m3_mul(b, clean, s->valid);
}

/* x <- keep x + take f, the step of DDIM from t to `next` with both estimates written out:
 *   eps: x̂ = (x - noise f) / signal, ε̂ = f;   x0: x̂ = f, ε̂ = (x - signal f) / noise */
static void ddim(const m3_model *m, uint64_t t, uint64_t next, double *keep, double *take)
{
    double signal = signal_at(m, t), noise = noise_at(m, t), to_signal = signal_at(m, next),
           to_noise = noise_at(m, next);
    if (m->c->objective == M3_OBJECTIVE_X0) {
        *keep = to_noise == 0.0 ? 0.0 : to_noise / noise;
        *take = to_signal - *keep * signal;
    } else {
        *keep = to_signal / signal;
        *take = to_noise - *keep * noise;
    }
}

static m3_tensor *infer(m3_model *m, const sequences *s)
{
    m3_builder *b = m->b;
    uint64_t start = (uint64_t)m->c->infer_start, steps = (uint64_t)m->c->infer_steps, t = start;
    m3_tensor *x = m3_mul(b, s->x, m3_scalar(b, (float)signal_at(m, start)));
    for (uint64_t i = 1; i <= steps; i++) {
        uint64_t next = (2 * start * (steps - i) + steps) / (2 * steps); /* floor(start (steps-i) / steps + 1/2) */
        double keep = 0, take = 0;
        ddim(m, t, next, &keep, &take);
        m3_tensor *f = network(m, s, x, embeddings(m, t, 1));
        x = m3_add(b, m3_mul(b, x, m3_scalar(b, (float)keep)), m3_mul(b, f, m3_scalar(b, (float)take)));
        t = next;
    }
    return m3_mul(b, x, s->valid);
}

/* A trained number, [1]. */
static m3_tensor *number(m3_model *m, const char *name, float start)
{
    uint64_t one = 1;
    m3_shape shape = m3_shape_of(1, &one);
    return m3_parameter(m->b, name, &shape, m3_init_constant(start));
}

/* g = sigmoid(weight rho / mean(rho) + bias), [A, n, L, 1], rho = |x̂ - x|^2 / d and its mean over the sequence's valid
 * positions; 0 where the condition is empty: nothing is known there. Gradients reach weight and bias alone. */
static m3_tensor *gate_of(m3_model *m, const sequences *s, m3_tensor *clean)
{
    enum { POSITIONS = -2 };
    m3_builder *b = m->b;
    m3_tensor *rho = m3_mul(b, square_distance(m, clean, s->x), m3_scalar(b, (float)(1.0 / (double)m->d)));
    m3_tensor *sum = m3_reduce_sum(b, m3_mul(b, rho, s->valid), POSITIONS, M3_KEEP);
    m3_tensor *mean = m3_model_mean(m, sum, m3_reduce_sum(b, s->valid, POSITIONS, M3_KEEP));
    m3_tensor *relative = m3_detach(b, m3_div(b, rho, m3_add(b, mean, m3_scalar(b, 1e-6F))));
    m3_push(b, "gate");
    m3_tensor *r = m3_add(b, m3_mul(b, relative, number(m, "weight", 4.0F)), number(m, "bias", -6.0F));
    m3_pop(b);
    return m3_mul(b, m3_sigmoid(b, r), m3_block_column(b, m3_block_any(b, s->keys, s->valid)));
}

/* y = (x + g (x̂ - x)) mask. */
static m3_tensor *open_gate(m3_model *m, const sequences *s)
{
    m3_builder *b = m->b;
    m3_tensor *clean = m3_detach(b, infer(m, s));
    m3_tensor *moved = m3_mul(b, gate_of(m, s, clean), m3_sub(b, clean, s->x));
    return m3_mul(b, m3_add(b, s->x, moved), s->valid);
}

/* x denoised. noise is NULL at inference, where *loss stays as it is. */
static m3_tensor *denoise(m3_model *m, const sequences *s, m3_tensor *t, m3_tensor *noise, m3_tensor **loss)
{
    if (m->c->denoise == M3_DENOISE_REPLACE) return m->train ? train(m, s, t, noise, loss) : infer(m, s);
    if (m->train) {
        sequences aside = *s;
        aside.x = m3_detach(m->b, s->x);
        aside.cond = m3_detach(m->b, s->cond);
        (void)train(m, &aside, t, noise, loss);
    }
    return open_gate(m, s);
}

/* i32 [n], uniform on 1 .. T, or the input. A sample has a block of its own, so that a batch of any size ends with one;
 * each denoiser takes a word of it, and what both draw is drawn once. */
static m3_tensor *draw_steps(m3_model *m, const char *name, uint64_t word)
{
    m3_builder *b = m->b;
    if (m->given_draws) return m3_graph_input(b, name, M3_I32, M3_SHAPE(m->n));
    int32_t steps = m->c->diffusion_steps;
    const m3_shape blocks = M3_SHAPE(m->n, 4);
    m3_tensor *drawn = m->part ? m3_random_uniform_part(b, m->rng, blocks, M3_SITE_T, 1)
                               : m3_random_uniform(b, m->rng, blocks, M3_SITE_T);
    m3_tensor *u = m3_reshape(b, m3_slice(b, drawn, 1, word, 1), M3_SHAPE(m->n));
    m3_tensor *t = m3_cast(b, m3_mul(b, u, m3_scalar(b, (float)steps)), M3_I32);
    return m3_min(b, m3_add(b, t, m3_scalar_i32(b, 1)), m3_scalar_i32(b, steps)); /* u T may round up to T */
}

/* [A, n, L, d]: normal, or entry `index` of the input. */
static m3_tensor *draw_noise(m3_model *m, m3_tensor *given, uint64_t index, uint64_t A, uint32_t first_site)
{
    if (given != NULL) return m3_model_at(m, given, index);
    const m3_shape shape = M3_SHAPE(A, m->n, m->L, m->d);
    const uint32_t site = first_site + (uint32_t)index;
    if (!m->part) return m3_random_normal(m->b, m->rng, shape, site);
    const bool whole = m->n * m->L * m->d % 4 == 0; /* blocks */
    return m3_random_normal_part(m->b, m->rng, shape, site, whole ? (uint32_t)A : 1);
}

static m3_tensor *mean_of(m3_model *m, m3_tensor *const *losses, uint64_t count)
{
    m3_tensor *sum = losses[0];
    for (uint64_t i = 1; i < count; i++) sum = m3_add(m->b, sum, losses[i]);
    return m3_mul(m->b, sum, m3_scalar(m->b, (float)(1.0 / (double)count)));
}

/* Valid positions of all behaviors, or of behavior `at`, rank 0: of the batch, or of the step. */
static m3_tensor *all_positions(m3_model *m)
{
    if (m->parts == 1) return m3_sum_all(m->b, m->valid);
    return m3_sum_all(m->b, m3_slice(m->b, m->counts, 0, M3_COUNT_POSITIONS, m->B));
}

static m3_tensor *positions_of(m3_model *m, m3_tensor *valid, uint64_t at)
{
    return m->parts == 1 ? m3_sum_all(m->b, valid) : m3_model_step_count(m, M3_COUNT_POSITIONS + at);
}

void m3_model_denoise_modalities(m3_model *m, m3_tensor **x, m3_tensor **loss)
{
    m3_builder *b = m->b;
    m3_tensor *losses[M3_MAX_MODALITIES] = {0}, *t = NULL, *given = NULL;
    *loss = NULL;
    if (!m3_model_denoises_modalities(m->c)) return;
    if (m->train) t = draw_steps(m, "t_modality", 0);
    if (m->given_draws) given = m3_graph_input(b, "noise_modality", M3_F32, M3_SHAPE(m->K, m->B, m->n, m->L, m->d));
    for (uint64_t k = 0; k < m->K; k++) {
        sequences s = {x[k + 1], x[0], m->mask, m->valid, all_positions(m), true};
        char scope[48];
        (void)snprintf(scope, sizeof scope, "denoise.modality%llu", (unsigned long long)k);
        m3_push(b, scope);
        m3_tensor *noise = m->train ? draw_noise(m, given, k, m->B, M3_SITE_NOISE_MODALITY) : NULL;
        x[k + 1] = denoise(m, &s, t, noise, &losses[k]);
        m3_pop(b);
    }
    if (m->train) *loss = mean_of(m, losses, m->K);
}

void m3_model_denoise_behaviors(m3_model *m, m3_tensor **rows, m3_tensor **loss)
{
    m3_builder *b = m->b;
    m3_tensor *losses[M3_MAX_BEHAVIORS] = {0}, *t = NULL, *given = NULL;
    *loss = NULL;
    if (!m3_model_denoises_behaviors(m->c)) return;
    if (m->train) t = draw_steps(m, "t_behavior", 1);
    if (m->given_draws) given = m3_graph_input(b, "noise_behavior", M3_F32, M3_SHAPE(m->B - 1, m->M, m->n, m->L, m->d));
    for (uint64_t at = m->B - 1; at-- > 0;) {
        m3_tensor *valid = m3_model_at(m, m->valid, at); /* [n, L, 1], the same for all M modalities */
        sequences s = {
            .x = rows[at],
            .cond = rows[at + 1],
            .keys = m3_broadcast(b, m3_model_at(m, m->mask, at + 1), M3_SHAPE(m->M, m->n, m->L)),
            .valid = valid,
            .count = m3_mul(b, positions_of(m, valid, at), m3_scalar(b, (float)m->M)),
        };
        char scope[48];
        (void)snprintf(scope, sizeof scope, "denoise.behavior%llu", (unsigned long long)at);
        m3_push(b, scope);
        m3_tensor *noise = m->train ? draw_noise(m, given, at, m->M, M3_SITE_NOISE_BEHAVIOR) : NULL;
        rows[at] = denoise(m, &s, t, noise, &losses[at]);
        m3_pop(b);
    }
    if (m->train) *loss = mean_of(m, losses, m->B - 1);
}
