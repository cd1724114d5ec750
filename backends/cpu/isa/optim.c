/* optim: AdamW's update and sums of squares; see ops/optim.h. */
#include "backends/cpu/ops/optim.h"

#include "backends/cpu/isa/row.h"

INLINE void update(const cpu_adam *a, const cpu_adam_state *s, size_t at, const float *g, size_t left)
{
    vf grad = v_load_part(g, left) * v_set1(a->scale);
    vf m = v_fma(v_load_part(s->in[CPU_ADAM_M] + at, left), v_set1(a->beta1), grad * v_set1(a->rest1));
    vf v = v_fma(v_load_part(s->in[CPU_ADAM_V] + at, left), v_set1(a->beta2), grad * grad * v_set1(a->rest2));
    vf change = v_set1(a->step_size) * m / (v_sqrt(v * v_set1(a->correction2)) + v_set1(a->eps));
    vf p = v_load_part(s->in[CPU_ADAM_P] + at, left) * v_set1(a->decay) - change;
    v_store_part(s->out[CPU_ADAM_P] + at, left, p);
    v_store_part(s->out[CPU_ADAM_M] + at, left, m);
    v_store_part(s->out[CPU_ADAM_V] + at, left, v);
}

/* A scale below 0: what is in place already stays there. */
static void keep(const cpu_adam_state *s, size_t at, size_t n)
{
    for (int c = CPU_ADAM_P; c <= CPU_ADAM_V; c++)
        if (s->out[c] != s->in[c]) memcpy(s->out[c] + at, s->in[c] + at, n * sizeof(float));
}

static void adam(const cpu_adam *a, const cpu_adam_state *s, size_t at, const float *g, size_t n)
{
    const cpu_adam_state state = *s; /* copies: a store cannot alias them */
    const cpu_adam step = *a;
    size_t i = 0;
    if (step.scale < 0.0f) {
        keep(&state, at, n);
        return;
    }
    for (; i + CPU_VW <= n; i += CPU_VW) update(&step, &state, at + i, g + i, CPU_VW);
    if (i < n) update(&step, &state, at + i, g + i, n - i);
}

/* In double precision: squares of floats neither overflow there nor lose what is small beside the sum. */
static double sum_of_squares(const float *x, size_t n)
{
    enum { LANES = CPU_VW / 2, PARTS = 4 /* independent sums, to hide the latency of an addition */ };
    typedef float narrow __attribute__((vector_size(LANES * sizeof(float))));
    typedef double wide __attribute__((vector_size(LANES * sizeof(double))));
    wide sum[PARTS] = {{0}};
    double total = 0;
    size_t i = 0;
    for (; i + PARTS * LANES <= n; i += PARTS * LANES) {
        CPU_UNROLL
        for (size_t k = 0; k < PARTS; k++) {
            narrow now;
            memcpy(&now, x + i + k * LANES, sizeof now);
            wide exact = __builtin_convertvector(now, wide);
            sum[k] += exact * exact;
        }
    }
    for (; i < n; i++) total += (double)x[i] * (double)x[i];
    sum[0] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    for (int lane = 0; lane < LANES; lane++) total += sum[0][lane];
    return total;
}

const cpu_optim_kernels CPU_FN(cpu_optim_kernels) = {adam, sum_of_squares};
