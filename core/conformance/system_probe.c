/* system_probe: a small program whose right results are known to the last bit. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/conformance/system.h"

const m3_probe_form m3_probe_small = {.rows = 5, .columns = 7, .rounds = 1, .seed = 1};
const m3_probe_form m3_probe_other = {.rows = 9, .columns = 11, .rounds = 2, .seed = 2};
const m3_probe_form m3_probe_large = {.rows = 257, .columns = 96, .rounds = 2, .seed = 3};

enum { INPUT, OUTPUT, SCRATCH, SEGMENTS };
enum { UNTOUCHED = 0x5a };

/* The ops of a round; a bit each of those that the device takes. */
enum { USE_ADD = 1, USE_MUL = 2, USE_MATMUL = 4, USE_MAX = 8, USE_COPY = 16, USE_ALL = 31 };

static m3_status build_graph(const m3_probe_form *form, uint32_t use, m3_graph **graph, m3_error *err)
{
    const uint64_t R = form->rows, C = form->columns;
    m3_status st = m3_graph_create(NULL, graph, err);
    if (st != M3_OK) return st;
    m3_builder *b = m3_graph_builder(*graph);
    m3_tensor *x = m3_graph_input(b, "x", M3_F32, M3_SHAPE(R, C)), *h = x;
    m3_tensor *a = m3_graph_input(b, "a", M3_F32, M3_SHAPE(C));
    m3_tensor *w = m3_graph_input(b, "w", M3_F32, M3_SHAPE(C, C));
    for (uint32_t i = 0; i < form->rounds; i++) {
        if ((use & USE_ADD) != 0) h = m3_add(b, h, a);
        if ((use & USE_MUL) != 0) h = m3_mul(b, h, a);
        if ((use & USE_MATMUL) != 0) h = m3_matmul(b, h, w, false, false);
        if ((use & USE_MAX) != 0) h = m3_max(b, h, x);
        if ((use & USE_COPY) != 0) h = m3_copy(b, h);
    }
    m3_graph_output(b, "y", h);
    st = m3_builder_status(b, err);
    if (st == M3_OK) return M3_OK;
    m3_graph_free(*graph);
    *graph = NULL;
    return st;
}

/* Which of the ops the device takes; why: of one that it does not. */
static m3_status choose(m3_opened *o, const m3_probe_form *form, uint32_t *use, m3_error *why, m3_error *err)
{
    static const char *const ops[] = {"add", "mul", "matmul", "max", "copy"};
    m3_graph *graph = NULL;
    m3_status st = build_graph(form, USE_ALL, &graph, err);
    *use = st == M3_OK ? USE_ALL : 0;
    for (uint32_t n = 0; st == M3_OK && n < m3_graph_node_count(graph); n++) {
        const m3_node *node = m3_graph_node(graph, n);
        if (o->s->api->supports(o->impl, node, why) == M3_OK) continue;
        for (uint32_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
            if (strcmp(node->op->name, ops[i]) == 0) *use &= ~(1u << i);
    }
    m3_graph_free(graph);
    return st;
}

/* Places. */

static uint64_t aligned(const m3_probe *p, uint64_t bytes)
{
    const uint64_t alignment = p->o->limits.offset_alignment;
    return (bytes + alignment - 1) / alignment * alignment;
}

static uint32_t segment_of(const m3_probe *p, const m3_tensor *x)
{
    return x->producer == NULL ? INPUT : x == p->result ? OUTPUT : SCRATCH;
}

/* Behind every tensor, and before the first, there is room that must stay as it is. */
static void place_all(m3_probe *p)
{
    static const m3_segment_role roles[SEGMENTS] = {M3_SEGMENT_INPUT, M3_SEGMENT_OUTPUT, M3_SEGMENT_SCRATCH};
    for (uint32_t i = 0; i < SEGMENTS; i++) p->segments[i] = (m3_segment){roles[i], aligned(p, 1)};
    if (p->form.store) p->segments[OUTPUT].role = M3_SEGMENT_STORE;
    for (uint32_t i = 0; i < m3_graph_tensor_count(p->graph); i++) {
        const m3_tensor *x = m3_graph_tensor(p->graph, i);
        m3_segment *segment = &p->segments[segment_of(p, x)];
        p->places[i] = (m3_place){segment_of(p, x), segment->bytes};
        segment->bytes += aligned(p, m3_tensor_bytes(x)) + aligned(p, 1);
    }
}

/* Numbers. */

/* x from -4 to 4, a 1 or 2, w mostly 0 with 1 and -1: sums stay far below 2^24. */
static double number_of(const m3_probe *p, const m3_tensor *x, uint64_t i)
{
    uint64_t word = (i + 1) * 0x9e3779b97f4a7c15u ^ (uint64_t)p->form.seed * 0xbf58476d1ce4e5b9u ^ x->id;
    word = (word ^ word >> 29) * 0x94d049bb133111ebu;
    word ^= word >> 32;
    if (p->form.fractions) return (double)(float)((double)(word % 20011) / 20011.0 - 0.5);
    if (x->name[0] == 'x') return (double)(word % 9) - 4.0;
    if (x->name[0] == 'a') return (double)(word % 2) + 1.0;
    return word % 8 == 0 ? 1.0 : word % 8 == 1 ? -1.0 : 0.0;
}

/* Run the ops' meanings over doubles. values: by tensor id. */
static m3_status evaluate(m3_probe *p, double *const *values, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t n = 0; n < p->program.node_count && st == M3_OK; n++) {
        const m3_node *node = p->nodes[n];
        const double *in[2] = {NULL, NULL};
        double *out[1] = {values[node->out[0]->id]};
        if (node->op->evaluate == NULL || node->in_count > 2)
            return M3_FAIL(err, M3_ERR_INTERNAL, node->op->name, "a probe is made of small core ops");
        for (uint32_t i = 0; i < node->in_count; i++) in[i] = values[node->in[i]->id];
        st = node->op->evaluate(node, in, out, err);
    }
    return st;
}

/* values: by tensor id, with room for all elements. */
static m3_status fill_values(m3_probe *p, double *const *values, m3_error *err)
{
    for (uint32_t t = 0; t < p->program.tensor_count; t++) {
        const m3_tensor *x = m3_graph_tensor(p->graph, t);
        for (uint64_t i = 0; x->producer == NULL && i < m3_tensor_count(x); i++) {
            values[t][i] = number_of(p, x, i);
            const float number = (float)values[t][i];
            memcpy(p->input + p->places[t].offset + i * sizeof number, &number, sizeof number);
        }
    }
    m3_status st = evaluate(p, values, err);
    for (uint64_t i = 0; st == M3_OK && i < m3_tensor_count(p->result); i++)
        p->want[i] = (float)values[p->result->id][i];
    return st;
}

static m3_status fill(m3_probe *p, m3_error *err)
{
    const uint32_t tensors = p->program.tensor_count;
    uint64_t total = 0, at = 0;
    m3_status st = M3_ERR_MEMORY;
    for (uint32_t i = 0; i < tensors; i++) total += m3_tensor_count(m3_graph_tensor(p->graph, i));
    double **values = m3_calloc((size_t)tensors + 1, sizeof(double *)), *all = m3_calloc(total + 1, sizeof *all);
    if (values != NULL && all != NULL) {
        for (uint32_t i = 0; i < tensors; at += m3_tensor_count(m3_graph_tensor(p->graph, i++))) values[i] = all + at;
        st = fill_values(p, values, err);
    } else {
        (void)M3_FAIL_MEMORY(err, "probe", total * sizeof *all);
    }
    m3_free(all);
    m3_free(values);
    return st;
}

/* Making. */

static m3_status build(m3_probe *p, uint32_t use, m3_error *err)
{
    m3_status st = build_graph(&p->form, use, &p->graph, err);
    if (st != M3_OK) return st;
    const uint32_t nodes = m3_graph_node_count(p->graph), tensors = m3_graph_tensor_count(p->graph);
    p->result = m3_graph_find_output(p->graph, "y");
    p->nodes = m3_calloc(nodes, sizeof(const m3_node *));
    p->places = m3_calloc(tensors, sizeof *p->places);
    if (p->nodes == NULL || p->places == NULL) return M3_FAIL_MEMORY(err, "probe", tensors * sizeof *p->places);
    for (uint32_t i = 0; i < nodes; i++) p->nodes[i] = m3_graph_node(p->graph, i);
    place_all(p);
    p->input = m3_calloc(p->segments[INPUT].bytes, 1);
    p->output = m3_calloc(p->segments[OUTPUT].bytes, 1);
    p->want = m3_calloc(m3_tensor_count(p->result), sizeof *p->want);
    if (p->input == NULL || p->output == NULL || p->want == NULL)
        return M3_FAIL_MEMORY(err, "probe", p->segments[INPUT].bytes);
    memset(p->input, UNTOUCHED, p->segments[INPUT].bytes);
    p->program = (m3_program){.size = M3_STRUCT_SIZE(m3_program, segments),
                              .name = "probe",
                              .node_count = nodes,
                              .nodes = p->nodes,
                              .tensor_count = tensors,
                              .places = p->places,
                              .segment_count = SEGMENTS,
                              .segments = p->segments};
    return fill(p, err);
}

bool m3_probe_build(m3_probe *p, m3_opened *o, const m3_probe_form *form)
{
    m3_error err = {0}, why = {0};
    uint32_t use = 0;
    *p = (m3_probe){.o = o, .form = *form};
    if (!m3_system_wants(o->s, "building a probe", M3_OK, choose(o, form, &use, &why, &err), &err)) return false;
    if (use == 0)
        return m3_system_lack(o->s,
                              "the device runs none of add, mul, matmul, max and copy over f32, of which a program "
                              "could be made: %.400s",
                              why.message);
    return m3_system_wants(o->s, "building a probe", M3_OK, build(p, use, &err), &err);
}

/* Compile what is only lent for the call, and spoil it afterwards. */
static m3_status compile_lent(m3_probe *p, m3_error *err)
{
    const size_t nodes = p->program.node_count * sizeof(const m3_node *),
                 places = p->program.tensor_count * sizeof *p->places;
    struct {
        m3_program program;
        m3_segment segments[SEGMENTS];
        m3_buffer *buffers[SEGMENTS];
    } lent;
    unsigned char *block = m3_calloc(nodes + places, 1);
    if (block == NULL) return M3_FAIL_MEMORY(err, "probe", nodes + places);
    memcpy(block, p->nodes, nodes);
    memcpy(block + nodes, p->places, places);
    memcpy(lent.segments, p->segments, sizeof lent.segments);
    memcpy(lent.buffers, p->buffers, sizeof lent.buffers);
    lent.program = p->program;
    lent.program.nodes = (void *)block;
    lent.program.places = (void *)(block + nodes);
    lent.program.segments = lent.segments;
    m3_status st = p->o->s->api->compile(p->o->impl, &lent.program, lent.buffers, &p->exec, err);
    memset(block, 0xff, nodes + places);
    memset(&lent, 0xff, sizeof lent);
    m3_free(block);
    return st;
}

m3_status m3_probe_compile(m3_probe *p, m3_error *err)
{
    m3_status st = compile_lent(p, err);
    if (st == M3_OK && p->exec == NULL)
        st = M3_FAIL(err, M3_ERR_INTERNAL, "compile", "it returned M3_OK and no executable");
    return st;
}

m3_status m3_probe_try(m3_probe *p, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < SEGMENTS && st == M3_OK; i++)
        st = p->o->s->api->buffer_create(p->o->impl, p->segments[i].bytes, M3_SYSTEM_USE, &p->buffers[i], err);
    return st == M3_OK ? m3_probe_compile(p, err) : st;
}

bool m3_probe_init(m3_probe *p, m3_opened *o, const m3_probe_form *form)
{
    m3_error err = {0};
    return m3_probe_build(p, o, form) && m3_system_wants(o->s, "compile", M3_OK, m3_probe_try(p, &err), &err);
}

void m3_probe_release(m3_probe *p)
{
    if (p->o == NULL || p->o->impl == NULL) return;
    const m3_backend_api *api = p->o->s->api;
    /* After a failed check work may still be under way, which nothing may be freed under. */
    if (p->value != 0) (void)api->wait(p->o->impl, p->value, UINT64_MAX, NULL);
    p->value = 0;
    if (p->exec != NULL) api->exec_free(p->o->impl, p->exec);
    p->exec = NULL;
    for (uint32_t i = 0; i < SEGMENTS; i++) {
        m3_opened_drop(p->o, p->buffers[i]);
        p->buffers[i] = NULL;
    }
}

void m3_probe_fini(m3_probe *p)
{
    m3_probe_release(p);
    m3_graph_free(p->graph);
    m3_free((void *)p->nodes);
    m3_free(p->places);
    m3_free(p->input);
    m3_free(p->output);
    m3_free(p->want);
    *p = (m3_probe){0};
}

/* Running. */

m3_status m3_probe_load(m3_probe *p, m3_error *err)
{
    const m3_backend_api *api = p->o->s->api;
    memset(p->output, UNTOUCHED, p->segments[OUTPUT].bytes);
    m3_status st = api->upload(p->o->impl, p->buffers[INPUT], 0, p->input, p->segments[INPUT].bytes, &p->value, err);
    if (st != M3_OK) return st;
    return api->upload(p->o->impl, p->buffers[OUTPUT], 0, p->output, p->segments[OUTPUT].bytes, &p->value, err);
}

m3_status m3_probe_submit(m3_probe *p, m3_error *err)
{
    return p->o->s->api->submit(p->o->impl, p->exec, &p->value, err);
}

m3_status m3_probe_fetch(m3_probe *p, m3_error *err)
{
    return p->o->s->api->download(p->o->impl, p->buffers[OUTPUT], 0, p->output, p->segments[OUTPUT].bytes, &p->value,
                                  err);
}

m3_status m3_probe_start(m3_probe *p, m3_error *err)
{
    m3_status st = m3_probe_load(p, err);
    if (st == M3_OK) st = m3_probe_submit(p, err);
    return st == M3_OK ? m3_probe_fetch(p, err) : st;
}

const void *m3_probe_bits(const m3_probe *p, uint64_t *bytes)
{
    *bytes = m3_tensor_bytes(p->result);
    return p->output + p->places[p->result->id].offset;
}

static bool compare(const m3_probe *p, const char *when)
{
    const uint64_t begin = p->places[p->result->id].offset, end = begin + m3_tensor_bytes(p->result);
    for (uint64_t i = 0; i < p->segments[OUTPUT].bytes; i++)
        if ((i < begin || i >= end) && p->output[i] != UNTOUCHED)
            return m3_system_fail(p->o->s,
                                  "%s: wanted a run to write its output alone, bytes %llu to %llu of the segment, came "
                                  "a change of byte %llu",
                                  when, (unsigned long long)begin, (unsigned long long)end, (unsigned long long)i);
    for (uint64_t i = 0; i < m3_tensor_count(p->result) && !p->form.fractions; i++) {
        float came;
        memcpy(&came, p->output + begin + i * sizeof came, sizeof came);
        if (came == p->want[i]) continue; /* zeros of either sign are alike */
        return m3_system_fail(p->o->s, "%s: wanted y[%llu] of a program of %u nodes to be %.9g, came %.9g", when,
                              (unsigned long long)i, p->program.node_count, (double)p->want[i], (double)came);
    }
    return true;
}

bool m3_probe_untouched(m3_probe *p, const char *when)
{
    m3_error err = {0};
    m3_status st = m3_probe_fetch(p, &err);
    if (st == M3_OK) st = p->o->s->api->wait(p->o->impl, p->value, UINT64_MAX, &err);
    if (!m3_system_wants(p->o->s, M3_DID("%s: a download", when), M3_OK, st, &err)) return false;
    for (uint64_t i = 0; i < p->segments[OUTPUT].bytes; i++)
        if (p->output[i] != UNTOUCHED)
            return m3_system_fail(p->o->s, "%s: wanted the segment of the result as it was, came a change of byte %llu",
                                  when, (unsigned long long)i);
    return true;
}

bool m3_probe_finish(m3_probe *p, const char *when)
{
    m3_error err = {0};
    m3_status st = p->o->s->api->wait(p->o->impl, p->value, UINT64_MAX, &err);
    return m3_system_wants(p->o->s, M3_DID("%s: wait", when), M3_OK, st, &err) && compare(p, when);
}

bool m3_probe_run(m3_probe *p, const char *when)
{
    m3_error err = {0};
    m3_status st = m3_probe_start(p, &err);
    bool started = m3_system_wants(p->o->s, M3_DID("%s: a run", when), M3_OK, st, &err);
    /* After a failure too: nothing may still be reading or writing the images. */
    if (!started) (void)p->o->s->api->wait(p->o->impl, p->value, UINT64_MAX, NULL);
    return started && m3_probe_finish(p, when);
}

bool m3_probe_again(m3_opened *o, const char *when)
{
    m3_probe p;
    bool good = m3_probe_init(&p, o, &m3_probe_small) && m3_probe_run(&p, when);
    m3_probe_fini(&p);
    return good;
}
