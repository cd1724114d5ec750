/* plan: no step reads bytes that somebody else wrote over.
 * The checker knows nothing of lifetimes. Each 4-byte word of each value has a label; running the steps moves labels
 * through a model of the devices' memory, and every read, output and state must find the labels of its own value. */
#include "core/runtime/partition.h"
#include "core/runtime/place.h"
#include "core/runtime/plan.h"

#include <setjmp.h>

#include <cmocka.h>

#include "core/base/alloc.h"
#include "random_graph.h"

/* Devices of this test: limits, and a list of ops that they refuse. */

typedef struct fake {
    m3_engine engine;
    m3_device device;
    const char *refused;
} fake;

static bool listed(const char *list, const char *name)
{
    const char *at = list != NULL ? strstr(list, name) : NULL;
    return at != NULL && (at[strlen(name)] == 0 || at[strlen(name)] == ' ') && (at == list || at[-1] == ' ');
}

static m3_status supports(m3_device_impl *device, const m3_node *node, m3_error *why)
{
    const fake *f = (const fake *)(void *)device;
    if (!listed(f->refused, node->op->name)) return M3_OK;
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, node->op->name, "listed");
}

static m3_status buffer_create(m3_device_impl *device, uint64_t bytes, uint32_t usage, m3_buffer **buffer,
                               m3_error *err)
{
    (void)usage;
    (void)err;
    assert_true(bytes > 0);
    *buffer = (m3_buffer *)(void *)device;
    return M3_OK;
}

static void buffer_free(m3_device_impl *device, m3_buffer *buffer)
{
    (void)device;
    (void)buffer;
}

static m3_status upload(m3_device_impl *device, m3_buffer *to, uint64_t offset, const void *from, uint64_t bytes,
                        uint64_t *value, m3_error *err)
{
    (void)device;
    (void)to;
    (void)offset;
    (void)from;
    (void)bytes;
    (void)err;
    *value = 1;
    return M3_OK;
}

static m3_status wait(m3_device_impl *device, uint64_t value, uint64_t timeout_ns, m3_error *err)
{
    (void)device;
    (void)value;
    (void)timeout_ns;
    (void)err;
    return M3_OK;
}

static const m3_backend_api api = {.size = M3_STRUCT_SIZE(m3_backend_api, measure_peak),
                                   .buffer_create = buffer_create,
                                   .buffer_free = buffer_free,
                                   .upload = upload,
                                   .supports = supports,
                                   .wait = wait};

static void quiet(void *user, m3_log_level level, const char *line)
{
    (void)user;
    (void)level;
    (void)line;
}

static void make_fake(fake *f, const char *name, uint32_t alignment, uint64_t largest, const char *refused)
{
    memset(f, 0, sizeof *f);
    f->engine.log.write = quiet;
    f->refused = refused;
    f->device.engine = &f->engine;
    f->device.api = &api;
    f->device.impl = (m3_device_impl *)(void *)f;
    f->device.limits.offset_alignment = alignment;
    f->device.limits.largest_buffer = largest;
    f->device.limits.largest_binding = largest;
    f->device.limits.overlaps = alignment >= 64;
    (void)snprintf(f->device.name, sizeof f->device.name, "%s", name);
}

/* Everything under test for one graph. */

typedef struct subject {
    fake fakes[2];
    m3_device *devices[2];
    uint32_t device_count;
    m3_store *store;
    m3_schedule schedule;
    m3_plan plans[2];
} subject;

static void make_plans(subject *t, m3_graph *graph)
{
    m3_error err = {0};
    for (uint32_t i = 0; i < 2; i++) t->devices[i] = &t->fakes[i].device;
    const m3_schedule_options options = {t->devices, t->device_count, false, NULL};
    m3_status st = m3_schedule_make(&t->schedule, graph, &options, &err);
    if (st == M3_OK) st = m3_schedule_partition(&t->schedule, NULL, &err);
    if (st == M3_OK) st = m3_store_create(t->devices[0], 1, &t->store, &err);
    for (uint32_t i = 0; i < m3_graph_tensor_count(graph) && st == M3_OK; i++) {
        const m3_tensor *x = m3_graph_tensor(graph, i);
        if (x->kind == M3_PARAMETER || x->kind == M3_STATE) st = m3_store_declare(t->store, &x, 1, &err);
    }
    for (uint32_t i = 0; i < t->device_count && st == M3_OK; i++)
        st = m3_plan_make(&t->plans[i], &t->schedule, i, i == 0 ? t->store : NULL, &err);
    if (st != M3_OK) fail_msg("%s", err.message);
}

static void free_plans(subject *t)
{
    for (uint32_t i = 0; i < t->device_count; i++) m3_plan_fini(&t->plans[i]);
    m3_schedule_fini(&t->schedule);
    m3_store_free(t->store);
}

/* The model of memory. */

typedef uint64_t label; /* tensor and word of the value; 0: nothing */

typedef struct model {
    const subject *t;
    label **memory[2]; /* by device and segment */
    label **values;    /* by tensor id */
} model;

static uint64_t words(const m3_tensor *x)
{
    return m3_tensor_count(x);
}

static label *memory_at(model *m, uint32_t device, const m3_tensor *x)
{
    const m3_plan *plan = &m->t->plans[device];
    const m3_place *place = &plan->places[x->id];
    const uint32_t alignment = m->t->devices[device]->limits.offset_alignment;
    if (place->segment >= plan->segment_count) fail_msg("tensor %u is not on device %u", x->id, device);
    assert_int_equal(place->offset % alignment, 0);
    assert_true(place->offset + m3_tensor_bytes(x) <= plan->segments[place->segment].bytes);
    return m->memory[device][place->segment] + place->offset / 4;
}

static void write_value(model *m, uint32_t device, const m3_tensor *x)
{
    memcpy(memory_at(m, device, x), m->values[x->id], words(x) * sizeof(label));
}

static void find_value(model *m, uint32_t device, const m3_tensor *at, const m3_tensor *x, const char *what)
{
    const label *found = memory_at(m, device, at);
    for (uint64_t i = 0; i < words(x); i++)
        if (found[i] != m->values[x->id][i])
            fail_msg("%s: word %llu of tensor %u on device %u holds word %llu of tensor %llu", what,
                     (unsigned long long)i, x->id, device, (unsigned long long)(found[i] & 0xffffffff),
                     (unsigned long long)(found[i] >> 32) - 1);
}

static void join_labels(model *m, const m3_node *node)
{
    const m3_shape *shape = &node->out[0]->shape;
    uint64_t outer = 1, at = 0;
    for (int64_t i = 0; i < node->attr[0].i[0]; i++) outer *= shape->dim[i];
    for (uint64_t o = 0; o < outer; o++)
        for (uint32_t k = 0; k < node->in_count; k++) {
            const uint64_t run = words(node->in[k]) / outer;
            memcpy(m->values[node->out[0]->id] + at, m->values[node->in[k]->id] + o * run, run * sizeof(label));
            at += run;
        }
}

/* Labels: movement of whole values keeps them, everything else makes new ones. */
static void label_values(model *m, const m3_graph *graph)
{
    const uint32_t count = m3_graph_tensor_count(graph);
    m->values = calloc(count, sizeof *m->values);
    for (uint32_t i = 0; i < count; i++) {
        const m3_tensor *x = m3_graph_tensor(graph, i);
        m->values[i] = calloc(words(x) + 1, sizeof(label));
        for (uint64_t k = 0; k < words(x); k++) m->values[i][k] = ((uint64_t)i + 1) << 32 | k;
    }
    for (uint32_t i = 0; i < m3_graph_node_count(graph); i++) {
        const m3_node *node = m3_graph_node(graph, i);
        const char *op = node->op->name;
        label *y = m->values[node->out[0]->id];
        if (strcmp(op, "reshape") == 0 || strcmp(op, "copy") == 0)
            memcpy(y, m->values[node->in[0]->id], words(node->out[0]) * sizeof *y);
        if (strcmp(op, "concat") == 0) join_labels(m, node);
        if (strcmp(op, "slice") != 0) continue;
        const m3_shape *from = &node->in[0]->shape, *to = &node->out[0]->shape;
        for (uint64_t k = 0; k < words(node->out[0]); k++) {
            uint64_t rest = k, at = 0, stride = 1;
            for (uint32_t axis = to->rank; axis-- > 0;) {
                at += (rest % to->dim[axis] + (uint64_t)node->attr[0].i[axis]) * stride;
                rest /= to->dim[axis];
                stride *= from->dim[axis];
            }
            y[k] = m->values[node->in[0]->id][at];
        }
    }
}

static void start_model(model *m, const subject *t)
{
    memset(m, 0, sizeof *m);
    m->t = t;
    const m3_graph *graph = t->schedule.graph;
    label_values(m, graph);
    for (uint32_t d = 0; d < t->device_count; d++) {
        const m3_plan *plan = &t->plans[d];
        const uint64_t largest = t->devices[d]->limits.largest_buffer;
        m->memory[d] = calloc(plan->segment_count, sizeof(label *));
        for (uint32_t i = 0; i < plan->segment_count; i++) {
            assert_true(plan->segments[i].bytes > 0 && plan->segments[i].bytes <= largest);
            m->memory[d][i] = calloc(plan->segments[i].bytes / 4 + 1, sizeof(label));
        }
        for (uint32_t i = 0; i < m3_graph_tensor_count(graph); i++) {
            const m3_tensor *x = m3_graph_tensor(graph, i);
            if (x->kind == M3_TEMPORARY || plan->places[i].segment == M3_NO_SEGMENT) continue;
            write_value(m, d, x);
        }
    }
}

static void stop_model(model *m)
{
    for (uint32_t d = 0; d < m->t->device_count; d++) {
        for (uint32_t i = 0; i < m->t->plans[d].segment_count; i++) free(m->memory[d][i]);
        free(m->memory[d]);
    }
    for (uint32_t i = 0; i < m3_graph_tensor_count(m->t->schedule.graph); i++) free(m->values[i]);
    free(m->values);
}

static bool overlap(const m3_plan *plan, const m3_tensor *x, const m3_tensor *y)
{
    const m3_place a = plan->places[x->id], b = plan->places[y->id];
    return a.segment == b.segment && a.offset < b.offset + m3_tensor_bytes(y) &&
           b.offset < a.offset + m3_tensor_bytes(x);
}

/* What an op allows: the same place, for the same shape, when it works in place or replaces this input. */
static void check_overlaps(const m3_plan *plan, const m3_node *node)
{
    for (uint32_t j = 0; j < node->out_count; j++) {
        const m3_tensor *y = node->out[j];
        for (uint32_t i = 0; i < j; i++)
            if (overlap(plan, node->out[i], y)) fail_msg("two outputs of node %u overlap", node->id);
        for (uint32_t i = 0; i < node->in_count; i++) {
            const m3_tensor *x = node->in[i];
            if (x == NULL || !overlap(plan, x, y)) continue;
            bool allowed = (node->op->flags & M3_OP_INPLACE) != 0;
            if ((node->op->flags & M3_OP_UPDATES) != 0) allowed = allowed || node->op->update_of(node, j) == (int32_t)i;
            if (!allowed || !m3_shape_equal(&x->shape, &y->shape) ||
                plan->places[x->id].offset != plan->places[y->id].offset)
                fail_msg("output %u of %s (node %u) lies on input %u", j, node->op->name, node->id, i);
        }
    }
}

static void check_steps(model *m)
{
    const m3_schedule *s = &m->t->schedule;
    for (uint32_t k = 0; k < s->partition_count; k++) {
        const m3_partition *part = &s->partitions[k];
        for (uint32_t i = part->transfer; i < part->transfer + part->transfer_count; i++) {
            const m3_transfer *t = &s->transfers[i];
            assert_int_equal(t->to, part->device);
            find_value(m, t->from == M3_NONE ? 0 : t->from, t->tensor, t->tensor, "transfer");
            write_value(m, t->to, t->tensor);
        }
        for (uint32_t i = part->first; i < part->first + part->count; i++) {
            const m3_node *node = s->steps[i].node;
            assert_int_equal(s->steps[i].device, part->device);
            assert_false(listed(m->t->fakes[part->device].refused, node->op->name));
            for (uint32_t j = 0; j < node->in_count; j++)
                if (node->in[j] != NULL) find_value(m, part->device, node->in[j], node->in[j], node->op->name);
            check_overlaps(&m->t->plans[part->device], node);
            for (uint32_t j = 0; j < node->out_count; j++) write_value(m, part->device, node->out[j]);
        }
    }
}

static void check_results(model *m)
{
    const m3_schedule *s = &m->t->schedule;
    for (uint32_t i = 0; i < m3_graph_output_count(s->graph); i++) {
        const m3_tensor *x = m3_graph_output_at(s->graph, i, NULL);
        assert_int_equal(m->t->plans[0].places[s->outputs[i]->id].segment, m->t->plans[0].output);
        find_value(m, 0, s->outputs[i], x, "output");
    }
    for (uint32_t i = 0; i < m3_graph_tensor_count(s->graph); i++) {
        const m3_tensor *x = m3_graph_tensor(s->graph, i);
        m3_tensor *value = NULL;
        if (x->kind != M3_PARAMETER && x->kind != M3_STATE) continue;
        for (uint32_t k = 0; k < m3_graph_update_count(s->graph); k++) {
            m3_tensor *now = NULL;
            if (m3_graph_update_at(s->graph, k, &now) == x) value = now;
        }
        find_value(m, 0, x, value != NULL ? value : x, "state");
    }
}

static void check(const subject *t)
{
    model m;
    start_model(&m, t);
    check_steps(&m);
    check_results(&m);
    stop_model(&m);
}

/* Random graphs. */

static const struct row {
    const char *name;
    uint32_t alignment;
    uint64_t largest;
    uint32_t device_count;
    const char *refused, *other_refuses;
} rows[] = {
    {"one device with one big buffer", 4, UINT64_C(1) << 40, 1, NULL, NULL},
    {"places on multiples of 64", 64, UINT64_C(1) << 40, 1, NULL, NULL},
    {"places on multiples of 256", 256, UINT64_C(1) << 40, 1, NULL, NULL},
    {"several small segments", 16, 1200, 1, NULL, NULL},
    {"segments that are no multiple of the alignment", 32, 1210, 1, NULL, NULL},
    {"tanh on another device", 16, UINT64_C(1) << 40, 2, "tanh", NULL},
    {"slices and sums on another device", 4, UINT64_C(1) << 40, 2, "slice add", "sin"},
    {"two devices with small segments", 64, 1216, 2, "mul concat neg", "tanh"},
};
enum { ROWS = sizeof rows / sizeof rows[0], GRAPHS = 150 };

static void nobody_reads_what_is_gone(void **state)
{
    const struct row *row = *state;
    uint64_t scratch = 0, alive = 0, segments = 0;
    for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
        subject t = {.device_count = row->device_count};
        random_graph r;
        m3_error err = {0};
        make_fake(&t.fakes[0], "first", row->alignment, row->largest, row->refused);
        make_fake(&t.fakes[1], "second", row->alignment * 2, row->largest, row->other_refuses);
        if (random_graph_make(&r, seed, 10 + (uint32_t)seed, &err) != M3_OK) fail_msg("%s", err.message);
        make_plans(&t, r.graph);
        check(&t);
        for (uint32_t i = 0; i < t.device_count; i++) {
            assert_true(t.plans[i].scratch_bytes >= t.plans[i].alive_bytes);
            scratch += t.plans[i].scratch_bytes;
            alive += t.plans[i].alive_bytes;
            if (t.plans[i].scratch_count > 1) segments += t.plans[i].scratch_count;
        }
        free_plans(&t);
        m3_graph_free(r.graph);
    }
    /* Packing costs little: within 2 percent of what is alive at once, when one segment may hold all. */
    if (row->largest > 1000000)
        assert_true(scratch * 100 <= alive * 102);
    else
        assert_true(segments > 0);
}

/* Single rules. */

static void run_rule(m3_graph *graph, subject *t)
{
    m3_error err = {0};
    memset(t, 0, sizeof *t);
    t->device_count = 1;
    make_fake(&t->fakes[0], "first", 16, UINT64_C(1) << 40, NULL);
    if (m3_builder_status(m3_graph_builder(graph), &err) != M3_OK) fail_msg("%s", err.message);
    make_plans(t, graph);
    check(t);
}

static m3_graph *new_graph(m3_builder **b)
{
    m3_graph *graph = NULL;
    assert_int_equal(m3_graph_create(NULL, &graph, NULL), M3_OK);
    *b = m3_graph_builder(graph);
    return graph;
}

static void a_chain_works_in_one_place(void **state)
{
    (void)state;
    m3_builder *b;
    subject t;
    m3_graph *graph = new_graph(&b);
    m3_tensor *x = m3_graph_input(b, "x", M3_F32, M3_SHAPE(16, 16));
    for (int i = 0; i < 10; i++) x = m3_tanh(b, x);
    m3_graph_output(b, "y", m3_reduce_sum(b, x, 0, M3_DROP));
    run_rule(graph, &t);
    assert_int_equal(t.plans[0].scratch_bytes, 1024);
    free_plans(&t);
    m3_graph_free(graph);
}

static void a_chain_to_an_output_needs_no_scratch(void **state)
{
    (void)state;
    m3_builder *b;
    subject t;
    m3_graph *graph = new_graph(&b);
    m3_tensor *x = m3_graph_input(b, "x", M3_F32, M3_SHAPE(16, 16));
    for (int i = 0; i < 10; i++) x = m3_tanh(b, m3_reshape(b, x, i % 2 == 0 ? M3_SHAPE(256) : M3_SHAPE(16, 16)));
    m3_graph_output(b, "y", x);
    run_rule(graph, &t);
    assert_int_equal(t.plans[0].scratch_bytes, 0);
    free_plans(&t);
    m3_graph_free(graph);
}

static void slices_of_parameters_take_no_memory(void **state)
{
    (void)state;
    m3_builder *b;
    subject t;
    m3_graph *graph = new_graph(&b);
    m3_tensor *w = m3_graph_parameter(b, "w", M3_SHAPE(3, 4, 4), (m3_init){M3_INIT_CONSTANT, 1.0F, 0});
    m3_tensor *first = m3_slice(b, w, 0, 1, 1), *row = m3_slice(b, first, 1, 2, 1);
    m3_graph_output(b, "y", m3_reduce_sum(b, m3_reshape(b, first, M3_SHAPE(4, 4)), 0, M3_DROP));
    m3_graph_output(b, "z", m3_reduce_sum(b, m3_reshape(b, row, M3_SHAPE(4)), 0, M3_DROP));
    run_rule(graph, &t);
    assert_int_equal(t.schedule.step_count, 2);
    assert_int_equal(t.plans[0].scratch_bytes, 0);
    free_plans(&t);
    m3_graph_free(graph);
}

/* Two sums are made where they lie side by side; a parameter, and what another axis would mix, have to be moved. */
static void parts_are_made_where_they_are_joined(void **state)
{
    (void)state;
    m3_builder *b;
    subject t;
    m3_graph *graph = new_graph(&b);
    m3_tensor *x = m3_graph_input(b, "x", M3_F32, M3_SHAPE(16, 16));
    m3_tensor *w = m3_graph_parameter(b, "w", M3_SHAPE(16, 16), (m3_init){M3_INIT_CONSTANT, 1.0F, 0});
    m3_tensor *part[2] = {m3_tanh(b, x), m3_reshape(b, m3_sin(b, x), M3_SHAPE(16, 16))}, *fixed[2] = {part[1], w};
    m3_tensor *joined = m3_concat(b, part, 2, 0), *mixed = m3_concat(b, part, 2, 1), *moved = m3_concat(b, fixed, 2, 0);
    m3_graph_output(b, "y", m3_reduce_sum(b, joined, 0, M3_DROP));
    m3_graph_output(b, "z", m3_reduce_sum(b, mixed, 1, M3_DROP));
    m3_graph_output(b, "u", m3_reduce_sum(b, moved, 0, M3_DROP));
    run_rule(graph, &t);
    assert_int_equal(t.schedule.step_count, 2 + 2 + 3);
    assert_int_equal(t.schedule.root[part[1]->id], joined->id);
    assert_int_equal(t.schedule.offset[part[1]->id], 16 * 16 * sizeof(float));
    free_plans(&t);
    m3_graph_free(graph);
}

/* Two parameters under one adamw: six states, all replaced where they lie. */
static void an_optimizer_updates_in_place(void **state)
{
    (void)state;
    static const char *const names[] = {"p0", "m0", "v0", "p1", "m1", "v1"};
    m3_builder *b;
    subject t;
    m3_graph *graph = new_graph(&b);
    m3_tensor *in[10], *out[6];
    in[0] = m3_graph_input(b, "step", M3_F32, M3_SHAPE(3));
    in[1] = m3_scalar(b, 1.0F);
    for (uint32_t i = 0; i < 6; i++)
        in[2 + i / 3 * 4 + i % 3] =
            m3_graph_state(b, names[i], M3_F32, M3_SHAPE(8, 4), (m3_init){M3_INIT_CONSTANT, 0.0F, 0});
    for (uint32_t i = 0; i < 2; i++) in[5 + 4 * i] = m3_tanh(b, in[2 + 4 * i]);
    const m3_attr attr[4] = {m3_attr_float(0.9), m3_attr_float(0.999), m3_attr_float(1e-8), m3_attr_float(0.0)};
    b->api->emit(b, "adamw", in, 10, attr, 4, out, 6);
    for (uint32_t i = 0; i < 6; i++) m3_graph_update(b, in[2 + i / 3 * 4 + i % 3], out[i]);
    run_rule(graph, &t);
    assert_int_equal(t.schedule.step_count, 3);
    for (uint32_t i = 0; i < 6; i++) {
        const m3_place *now = &t.plans[0].places[out[i]->id];
        const m3_place *old = &t.plans[0].places[in[2 + i / 3 * 4 + i % 3]->id];
        assert_int_equal(now->segment, old->segment);
        assert_int_equal(now->offset, old->offset);
    }
    free_plans(&t);
    m3_graph_free(graph);
}

/* m' must not be written over v, although both are read by the node and have one shape. */
static void an_optimizer_keeps_its_states_apart(void **state)
{
    (void)state;
    m3_builder *b;
    subject t;
    m3_graph *graph = new_graph(&b);
    m3_tensor *in[6], *out[3];
    in[0] = m3_graph_input(b, "step", M3_F32, M3_SHAPE(3));
    in[1] = m3_scalar(b, 1.0F);
    in[2] = m3_graph_state(b, "p", M3_F32, M3_SHAPE(8, 4), (m3_init){M3_INIT_CONSTANT, 0.0F, 0});
    in[3] = m3_graph_state(b, "m", M3_F32, M3_SHAPE(8, 4), (m3_init){M3_INIT_CONSTANT, 0.0F, 0});
    in[4] = m3_graph_state(b, "v", M3_F32, M3_SHAPE(8, 4), (m3_init){M3_INIT_CONSTANT, 0.0F, 0});
    in[5] = m3_tanh(b, in[2]);
    const m3_attr attr[4] = {m3_attr_float(0.9), m3_attr_float(0.999), m3_attr_float(1e-8), m3_attr_float(0.0)};
    b->api->emit(b, "adamw", in, 6, attr, 4, out, 3);
    m3_graph_update(b, in[4], out[1]);
    m3_graph_update(b, in[3], out[2]);
    run_rule(graph, &t);
    assert_int_equal(t.schedule.step_count, 4); /* two of them copies */
    free_plans(&t);
    m3_graph_free(graph);
}

static m3_status infer_twins(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    (void)err;
    out[0] = out[1] = (m3_tensor_desc){node->in[0]->dtype, node->in[0]->shape};
    return M3_OK;
}

static void decompose_twins(m3_builder *b, const m3_node *node, m3_tensor **y)
{
    y[0] = m3_neg(b, node->in[0]);
    y[1] = m3_abs(b, node->in[0]);
}

static const m3_op twins = {.size = M3_STRUCT_SIZE(m3_op, zero_gradient),
                            .name = "test.twins",
                            .flags = M3_OP_INPLACE,
                            .min_inputs = 1,
                            .max_inputs = 1,
                            .outputs = 2,
                            .infer = infer_twins,
                            .decompose = decompose_twins};

static const m3_op *find_twins(void *user, const char *name)
{
    (void)user;
    return strcmp(name, twins.name) == 0 ? &twins : NULL;
}

static void two_outputs_do_not_take_one_place(void **state)
{
    (void)state;
    const m3_op_lookup lookup = {find_twins, NULL};
    subject t;
    m3_graph *graph = NULL;
    m3_tensor *y[2];
    assert_int_equal(m3_graph_create(&lookup, &graph, NULL), M3_OK);
    m3_builder *b = m3_graph_builder(graph);
    m3_tensor *x = m3_tanh(b, m3_graph_input(b, "x", M3_F32, M3_SHAPE(64)));
    b->api->emit(b, "test.twins", &x, 1, NULL, 0, y, 2); /* nobody reads y[0] */
    m3_graph_output(b, "y", m3_reduce_sum(b, y[1], 0, M3_DROP));
    run_rule(graph, &t);
    assert_int_equal(t.plans[0].scratch_bytes, 512);
    free_plans(&t);
    m3_graph_free(graph);
}

/* Blocks that share bytes, the later one at most two steps behind the earlier one's last. */
static uint32_t taken_at_once(const m3_block *blocks, uint32_t count)
{
    uint32_t pairs = 0;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < count; j++) {
            const m3_block *a = &blocks[i], *b = &blocks[j];
            pairs += b->first > a->last && b->first <= a->last + 2 && a->address < b->address + b->bytes &&
                     b->address < a->address + a->bytes;
        }
    return pairs;
}

enum { COUNT = 200 };

/* Bytes in all, and pairs as above. */
static uint64_t pack(bool apart, uint32_t *pairs)
{
    m3_block blocks[COUNT], *list[COUNT];
    random_graph r = {.state = 42};
    uint64_t total = 0, end = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        const uint32_t first = random_below(&r, 300);
        blocks[i] = (m3_block){
            .bytes = 16 + 16ull * random_below(&r, 60), .first = first, .last = first + random_below(&r, 30)};
        list[i] = &blocks[i];
    }
    assert_int_equal((apart ? m3_place_blocks_apart : m3_place_blocks)(list, COUNT, 2048, &total, NULL), M3_OK);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_true(blocks[i].address / 2048 == (blocks[i].address + blocks[i].bytes - 1) / 2048);
        for (uint32_t j = 0; j < i; j++) {
            const m3_block *a = &blocks[i], *b = &blocks[j];
            if (a->last < b->first || b->last < a->first) continue;
            assert_true(a->address + a->bytes <= b->address || b->address + b->bytes <= a->address);
        }
        if (blocks[i].address + blocks[i].bytes > end) end = blocks[i].address + blocks[i].bytes;
    }
    *pairs = taken_at_once(blocks, COUNT);
    return end;
}

static void blocks_are_packed_without_overlap(void **state)
{
    (void)state;
    uint32_t close = 0, apart = 0;
    const uint64_t end = pack(false, &close);
    assert_true(pack(true, &apart) <= end);
    if (apart >= close) fail_msg("%u blocks take what was just left, %u without care", apart, close);
}

int main(void)
{
    const struct CMUnitTest others[] = {
        cmocka_unit_test(a_chain_works_in_one_place),          cmocka_unit_test(a_chain_to_an_output_needs_no_scratch),
        cmocka_unit_test(slices_of_parameters_take_no_memory), cmocka_unit_test(parts_are_made_where_they_are_joined),
        cmocka_unit_test(an_optimizer_updates_in_place),       cmocka_unit_test(an_optimizer_keeps_its_states_apart),
        cmocka_unit_test(two_outputs_do_not_take_one_place),   cmocka_unit_test(blocks_are_packed_without_overlap),
    };
    enum { OTHERS = sizeof others / sizeof others[0] };
    struct CMUnitTest tests[ROWS + OTHERS];
    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, nobody_reads_what_is_gone, NULL, NULL, (void *)&rows[i]};
    for (size_t i = 0; i < OTHERS; i++) tests[ROWS + i] = others[i];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
