/* tune: the measurement of a program's nodes. It compiles programs, so it stands above lowering. */
#include "backends/lowering/tune.h"

/* A node as a program of its own, with its tensors one behind the other. */
typedef struct lone {
    const m3_node *node;
    m3_place *places;
    m3_segment segment;
    m3_program program;
} lone;

static void place(lone *x, const m3_tensor *tensor, uint32_t alignment)
{
    if (tensor == NULL || tensor->id >= x->program.tensor_count || x->places[tensor->id].segment == 0) return;
    x->places[tensor->id] = (m3_place){.segment = 0, .offset = x->segment.bytes};
    x->segment.bytes += (m3_tensor_bytes(tensor) + alignment - 1) / alignment * alignment;
}

static m3_status lone_init(lone *x, const m3_host *host, const m3_program *whole, const m3_node *node,
                           uint32_t alignment, m3_error *err)
{
    *x = (lone){.node = node, .program = *whole};
    x->segment.role = M3_SEGMENT_SCRATCH;
    x->places = host->allocate(host->user, whole->tensor_count, sizeof *x->places);
    if (x->places == NULL) return M3_FAIL_MEMORY(err, "tuning", whole->tensor_count * sizeof *x->places);
    for (uint32_t i = 0; i < whole->tensor_count; i++) x->places[i].segment = M3_NO_SEGMENT;
    for (uint32_t i = 0; i < node->in_count; i++) place(x, node->in[i], alignment);
    for (uint32_t i = 0; i < node->out_count; i++) place(x, node->out[i], alignment);
    x->program.name = "tuning";
    x->program.node_count = 1;
    x->program.nodes = &x->node;
    x->program.places = x->places;
    x->program.segment_count = 1;
    x->program.segments = &x->segment;
    return M3_OK;
}

/* Time every variant, which the traits demand. */
static m3_status measure(lower_tuning *t, const lower_tuner *tuner, const lower_traits *traits, const lone *x,
                         const char *class_text, const char *const *names, uint32_t count, m3_error *err)
{
    double min = 0;
    const char *best = NULL;
    lower_traits forced = *traits;
    forced.tuning = NULL;
    for (uint32_t i = 0; i < count; i++) {
        double microseconds = 0;
        m3_error why = {0};
        forced.variant = names[i];
        const m3_status st = tuner->time(tuner->user, &forced, &x->program, &microseconds, &why);
        if (st == M3_ERR_DEVICE_LOST || st == M3_ERR_MEMORY) {
            if (err != NULL && err->code == M3_OK) *err = why;
            return st;
        }
        if (st != M3_OK || (best != NULL && microseconds >= min)) continue;
        best = names[i];
        min = microseconds;
    }
    return best != NULL ? lower_tuning_put(t, class_text, best, min, err) : M3_OK;
}

m3_status lower_tune(lower_tuning *t, const lower_tuner *tuner, const lower_traits *traits, const m3_program *program,
                     uint32_t alignment, m3_error *err)
{
    const m3_host *host = lower_tuning_host(t);
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < program->node_count && st == M3_OK; i++) {
        const m3_node *node = program->nodes[i];
        char class_text[LOWER_CLASS_BYTES];
        const char *names[LOWER_MAX_VARIANTS];
        lone x = {0};
        const uint32_t count = lower_variants(traits, node, class_text, names);
        if (count < 2 || lower_tuned(t, class_text) != NULL) continue;
        if ((st = lone_init(&x, host, program, node, alignment, err)) == M3_OK)
            st = measure(t, tuner, traits, &x, class_text, names, count, err);
        host->release(host->user, x.places);
    }
    lower_tuning_keep(t);
    return st;
}
