/* conv: causal_conv, sequence by sequence. */
#include "backends/cpu/ops/conv.h"

#include "m3bsr/ops.h"

typedef struct conv_args {
    const cpu_conv_kernels *kernels;
    const float *x, *w; /* w [groups, channels, taps] */
    float *y;
    size_t groups, sequences; /* sequences of a group */
    cpu_conv conv;
} conv_args;

static void run_sequences(const void *args, size_t begin, size_t end, uint32_t worker)
{
    (void)worker;
    const conv_args *a = args;
    const size_t size = a->conv.length * a->conv.channels;
    for (size_t i = begin; i < end; i++) {
        cpu_conv conv = a->conv;
        conv.w += i / a->sequences * conv.taps * conv.channels;
        a->kernels->causal(&conv, a->x + i * size, a->y + i * size);
    }
}

static void run(const void *args, const cpu_run *cpu)
{
    const conv_args *a = args;
    float *turned = cpu->scratch;
    const size_t channels = a->conv.channels, taps = a->conv.taps;
    for (size_t g = 0; g < a->groups; g++)
        for (size_t c = 0; c < channels; c++)
            for (size_t k = 0; k < taps; k++)
                turned[(g * taps + k) * channels + c] = a->w[(g * channels + c) * taps + k];
    conv_args with = *a;
    with.conv.w = turned;
    if (channels > 0)
        cpu_for(cpu, a->groups * a->sequences, 2 * a->conv.length * channels * taps, run_sequences, &with);
}

static m3_status prepare(const cpu_node *at, cpu_step *step, m3_error *err)
{
    const m3_node *node = at->node;
    const m3_shape *x = &node->in[M3_CAUSAL_CONV_X]->shape, *w = &node->in[M3_CAUSAL_CONV_W]->shape;
    conv_args *a = cpu_step_args(at, step, run, sizeof *a, err);
    if (a == NULL) return M3_ERR_MEMORY;
    *a = (conv_args){
        .kernels = CPU_CHOOSE(at->machine->isa, cpu_conv_kernels),
        .x = at->in[M3_CAUSAL_CONV_X],
        .w = at->in[M3_CAUSAL_CONV_W],
        .y = at->out[0],
        .groups = w->rank == 3 ? (size_t)w->dim[0] : 1,
        .sequences = 1,
        .conv = {.length = (size_t)x->dim[x->rank - 2],
                 .channels = (size_t)w->dim[w->rank - 2],
                 .taps = (size_t)w->dim[w->rank - 1],
                 .reverse = m3_node_flag(node, M3_CAUSAL_CONV_REVERSE)},
    };
    for (uint32_t i = w->rank - 2; i + 2 < x->rank; i++) a->sequences *= (size_t)x->dim[i];
    step->scratch_bytes = a->groups * a->conv.channels * a->conv.taps * sizeof(float);
    return M3_OK;
}

const cpu_op cpu_conv_ops[] = {{"causal_conv", NULL, prepare}, {0}};
