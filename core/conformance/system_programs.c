/* system_programs: programs: the queue, several programs, devices and threads at once, and what a device must refuse.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/conformance/cases.h"
#include "core/conformance/system.h"
#include "core/ops/common/op.h"

/* The queue. */

static void check_order(m3_system *s)
{
    enum { COPIES = 300 };
    m3_opened o;
    m3_error err = {0};
    uint32_t word[COPIES], got = 0;
    uint64_t value[COPIES] = {0}, last = 0;
    if (m3_opened_init(&o, s, NULL)) {
        m3_buffer *buffer = m3_opened_buffer(&o, sizeof got, M3_SYSTEM_USE);
        bool good = buffer != NULL;
        for (uint32_t i = 0; i < COPIES && good; i++) {
            word[i] = 1000 + i;
            m3_status st = s->api->upload(o.impl, buffer, 0, &word[i], sizeof got, &value[i], &err);
            good = m3_system_wants(s, "one of 300 uploads without a wait", M3_OK, st, &err);
            if (good && value[i] <= last)
                good = m3_system_fail(s, "upload after upload: wanted a value above %llu, came %llu",
                                      (unsigned long long)last, (unsigned long long)value[i]);
            last = value[i];
        }
        if (good) good = m3_opened_get(&o, buffer, 0, &got, sizeof got);
        if (good && got != word[COPIES - 1])
            (void)m3_system_fail(s, "300 uploads to one place, then download: wanted the last, %u, came %u",
                                 word[COPIES - 1], got);
        for (uint32_t i = 0; i < COPIES && good; i += 50) good = m3_opened_wait(&o, value[i]);
        if (good) (void)m3_opened_wait(&o, 0);
        m3_opened_drop(&o, buffer);
    }
    m3_opened_fini(&o);
}

/* Values that no call has returned. */
static void check_wait(m3_system *s)
{
    m3_opened o;
    m3_probe p = {0};
    if (m3_opened_init(&o, s, NULL) && m3_probe_init(&p, &o, &m3_probe_small) && m3_probe_run(&p, "a first run")) {
        m3_error err = {0};
        m3_status st = s->api->wait(o.impl, UINT64_MAX, 0, &err);
        (void)m3_system_wants(s, "wait for value 2^64 - 1, which no call returned", M3_ERR_RANGE, st, &err);
        (void)m3_opened_wait(&o, p.value);
        (void)m3_probe_run(&p, "after a wait for nothing");
    }
    m3_probe_fini(&p);
    m3_opened_fini(&o);
}

/* Asked without patience, a wait says M3_OK or M3_ERR_TIMEOUT, and the work goes on. */
static void check_ask(m3_system *s)
{
    m3_opened o;
    m3_probe p = {0};
    m3_error err = {0};
    if (m3_opened_init(&o, s, NULL) && m3_probe_init(&p, &o, &m3_probe_large) &&
        m3_system_wants(s, "a run", M3_OK, m3_probe_start(&p, &err), &err)) {
        for (uint32_t i = 0; i < 100; i++) {
            err = (m3_error){0};
            m3_status st = s->api->wait(o.impl, p.value, i < 50 ? 0 : 1000, &err);
            if (st == M3_OK || st == M3_ERR_TIMEOUT) continue;
            (void)m3_system_wants(s, "wait without patience", M3_ERR_TIMEOUT, st, &err);
            break;
        }
        (void)m3_probe_finish(&p, "after waits that ran out of time");
    }
    m3_probe_fini(&p);
    m3_opened_fini(&o);
}

typedef struct waiter {
    m3_opened *o;
    uint64_t value;
    m3_status came;
    m3_error err;
} waiter;

static void *wait_for(void *arg)
{
    waiter *w = arg;
    w->came = w->o->s->api->wait(w->o->impl, w->value, UINT64_MAX, &w->err);
    return NULL;
}

/* A thread waits while this one goes on. */
static void check_wait_beside(m3_system *s)
{
    m3_opened o;
    m3_probe p = {0}, other = {0};
    if (m3_opened_init(&o, s, NULL) && m3_probe_init(&p, &o, &m3_probe_large) &&
        m3_probe_init(&other, &o, &m3_probe_small))
        for (int i = 0; i < 10 && s->verdict == M3_VERDICT_PASS; i++) {
            pthread_t thread;
            m3_error err = {0};
            if (!m3_system_wants(s, "a run", M3_OK, m3_probe_start(&p, &err), &err)) break;
            waiter w = {.o = &o, .value = p.value};
            const bool there = pthread_create(&thread, NULL, wait_for, &w) == 0;
            (void)m3_probe_run(&other, "a run while another thread waits");
            if (there) (void)pthread_join(thread, NULL);
            if (there) (void)m3_system_wants(s, "wait in another thread", M3_OK, w.came, &w.err);
            (void)m3_probe_finish(&p, "a run that another thread waited for");
        }
    m3_probe_fini(&other);
    m3_probe_fini(&p);
    m3_opened_fini(&o);
}

/* A run that is stopped leaves the store as it was, and one that is not is a run. */
static void check_stop(m3_system *s)
{
    static const volatile int no = 0, yes = 1;
    m3_probe_form form = m3_probe_large;
    m3_opened o;
    m3_probe p = {0};
    m3_error err = {0};
    form.store = true;
    const bool can = M3_HAS(s->api, m3_backend_api, submit_until) && s->api->submit_until != NULL;
    if (!can) m3_system_note(s, "it has no submit_until: whoever stops waits for the end of a run");
    if (m3_opened_init(&o, s, NULL) && can && m3_probe_init(&p, &o, &form) &&
        m3_system_wants(s, "uploads", M3_OK, m3_probe_load(&p, &err), &err)) {
        for (int i = 0; i < 2 && s->verdict == M3_VERDICT_PASS; i++) {
            m3_status st = s->api->submit_until(o.impl, p.exec, &yes, i == 1, &p.value, &err);
            (void)m3_system_wants(s, "a run that is stopped at once", M3_ERR_INTERRUPTED, st, &err);
            (void)m3_probe_untouched(&p, "after a run that was stopped at once");
            err = (m3_error){0};
        }
        for (int i = 0; i < 2 && s->verdict == M3_VERDICT_PASS; i++) {
            m3_status st = s->api->submit_until(o.impl, p.exec, &no, i == 1, &p.value, &err);
            if (st == M3_OK) st = m3_probe_fetch(&p, &err);
            if (m3_system_wants(s, "a run that may be stopped", M3_OK, st, &err))
                (void)m3_probe_finish(&p, "a run that may be stopped, and is not");
        }
        if (s->verdict == M3_VERDICT_PASS) (void)m3_probe_run(&p, "a run after one that was stopped");
    }
    m3_probe_fini(&p);
    m3_opened_fini(&o);
}

/* The same bits. */

typedef struct bits {
    void *of;
    uint64_t bytes;
} bits;

/* Keep the bits of a run, or compare with those that are kept. */
static bool same_bits(bits *kept, const m3_probe *p, const char *when)
{
    uint64_t bytes = 0;
    const void *came = m3_probe_bits(p, &bytes);
    if (kept->of == NULL) {
        kept->bytes = bytes;
        kept->of = m3_calloc(bytes, 1);
        if (kept->of == NULL) return m3_system_fail(p->o->s, "this process is out of memory");
        memcpy(kept->of, came, bytes);
        return true;
    }
    uint64_t i = 0;
    float want = 0, have = 0;
    while (i < bytes && memcmp((const char *)kept->of + i, (const char *)came + i, sizeof want) == 0) i += sizeof want;
    if (i >= bytes) return true;
    memcpy(&want, (const char *)kept->of + i, sizeof want);
    memcpy(&have, (const char *)came + i, sizeof have);
    return m3_system_fail(p->o->s, "%s: wanted the same bits as in the first run, came %.9g for %.9g at y[%llu]", when,
                          (double)have, (double)want, (unsigned long long)(i / sizeof want));
}

static void check_repeat(m3_system *s)
{
    m3_probe_form form = m3_probe_large;
    m3_opened o, o2 = {0};
    m3_probe p = {0}, other = {0};
    bits first = {0};
    form.fractions = true;
    bool good = m3_opened_init(&o, s, NULL) && m3_probe_init(&p, &o, &form);
    for (int i = 0; i < 3 && good; i++)
        good =
            m3_probe_run(&p, "the same program again") && same_bits(&first, &p, "the same program over the same data");
    if (good)
        good = m3_probe_init(&other, &o, &m3_probe_other) && m3_probe_run(&other, "another program") &&
               m3_probe_run(&p, "the program after another") && same_bits(&first, &p, "after another program ran");
    m3_probe_fini(&p);
    if (good)
        good = m3_probe_init(&p, &o, &form) && m3_probe_run(&p, "compiled again") &&
               same_bits(&first, &p, "compiled again");
    m3_probe_fini(&p);
    if (good && m3_opened_beside(&o2, &o, NULL) && m3_probe_init(&p, &o2, &form) &&
        m3_probe_run(&p, "on the device opened once more"))
        (void)same_bits(&first, &p, "on the device opened once more");
    m3_probe_fini(&p);
    m3_probe_fini(&other);
    if (o2.s != NULL) m3_opened_fini(&o2);
    m3_opened_fini(&o);
    m3_free(first.of);
}

/* Programs that are refused. */

/* A program of one node, whose tensors lie in one segment. */
typedef struct single {
    m3_opened *o;
    const m3_node *node;
    m3_place *places;
    m3_segment segment;
    m3_program program;
    m3_buffer *buffer;
} single;

static uint64_t up(const m3_opened *o, uint64_t bytes)
{
    return (bytes + o->limits.offset_alignment - 1) / o->limits.offset_alignment * o->limits.offset_alignment;
}

static void place(single *t, const m3_tensor *x)
{
    if (x == NULL || t->places[x->id].segment != M3_NO_SEGMENT) return;
    t->places[x->id] = (m3_place){0, t->segment.bytes};
    t->segment.bytes += up(t->o, m3_tensor_bytes(x) + 1);
}

static bool single_init(single *t, m3_opened *o, const m3_node *const *node, uint32_t tensors)
{
    *t = (single){.o = o, .node = *node, .places = m3_calloc((size_t)tensors + 1, sizeof *t->places)};
    if (t->places == NULL) return m3_system_fail(o->s, "this process is out of memory");
    for (uint32_t i = 0; i < tensors; i++) t->places[i].segment = M3_NO_SEGMENT;
    t->segment = (m3_segment){M3_SEGMENT_STORE, up(o, 1)};
    for (uint32_t i = 0; i < (*node)->in_count; i++) place(t, (*node)->in[i]);
    for (uint32_t i = 0; i < (*node)->out_count; i++) place(t, (*node)->out[i]);
    t->program = (m3_program){.size = M3_STRUCT_SIZE(m3_program, segments),
                              .name = "single",
                              .node_count = 1,
                              .nodes = node,
                              .tensor_count = tensors,
                              .places = t->places,
                              .segment_count = 1,
                              .segments = &t->segment};
    t->buffer = m3_opened_buffer(o, t->segment.bytes, M3_SYSTEM_USE);
    return t->buffer != NULL;
}

static void single_fini(single *t)
{
    if (t->o == NULL) return;
    m3_opened_drop(t->o, t->buffer);
    m3_free(t->places);
}

/* Compile, which must give this status, and keep nothing when it fails. */
static bool single_compiles(single *t, m3_status want, const char *did)
{
    m3_error err = {0};
    m3_exec_impl *exec = NULL;
    const m3_backend_api *api = t->o->s->api;
    const uint64_t live = t->o->host->live;
    m3_status st = api->compile(t->o->impl, &t->program, &t->buffer, &exec, &err);
    if (st == M3_OK) api->exec_free(t->o->impl, exec);
    if (!m3_system_wants(t->o->s, did, want, st, &err)) return false;
    if (st != M3_OK && exec != NULL)
        return m3_system_fail(t->o->s, "%s: wanted *exec to be NULL behind the failure, came a pointer", did);
    if (st != M3_OK && t->o->host->live != live)
        return m3_system_fail(t->o->s, "%s: wanted nothing to be kept, came %lld blocks of the host's memory more", did,
                              (long long)(t->o->host->live - live));
    return true;
}

/* What `supports` says and what compile does; also where the device must say no. */
static bool agrees(m3_opened *o, const m3_node *node, uint32_t tensors, bool must_refuse, const char *what)
{
    m3_error why = {0};
    single t = {0};
    m3_status st = o->s->api->supports(o->impl, node, &why);
    if (st != M3_OK || must_refuse) {
        if (!m3_system_wants(o->s, M3_DID("supports of %s", what), M3_ERR_UNSUPPORTED, st, &why)) return false;
    }
    bool good =
        single_init(&t, o, &node, tensors) &&
        single_compiles(&t, st, M3_DID("compile of %s, to which supports says %s", what, st == M3_OK ? "yes" : "no"));
    single_fini(&t);
    return good;
}

/* One node that no graph has checked: x, y f32 [3] -> z f32 [3]. */
typedef struct loose {
    m3_tensor tensor[3];
    m3_tensor *in[2], *out[1];
    m3_node node;
} loose;

static void loose_make(loose *l, const m3_op *op, m3_dtype dtype)
{
    *l = (loose){.in = {&l->tensor[0], &l->tensor[1]}, .out = {&l->tensor[2]}};
    for (uint32_t i = 0; i < 3; i++)
        l->tensor[i] = (m3_tensor){.size = M3_STRUCT_SIZE(m3_tensor, data),
                                   .id = i,
                                   .kind = i < 2 ? M3_INPUT : M3_TEMPORARY,
                                   .dtype = dtype,
                                   .shape = {1, {3}},
                                   .name = "",
                                   .producer = i < 2 ? NULL : &l->node};
    l->node = (m3_node){.size = M3_STRUCT_SIZE(m3_node, attr),
                        .op = op,
                        .scope = "",
                        .in_count = 2,
                        .out_count = 1,
                        .in = l->in,
                        .out = l->out};
}

static m3_status infer_first(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    (void)err;
    *out = (m3_tensor_desc){node->in[0]->dtype, node->in[0]->shape};
    return M3_OK;
}

static const m3_kernel_desc foreign_kernels[] = {
    {.size = M3_STRUCT_SIZE(m3_kernel_desc, grid_divide), .language = "no such language", .code = "", .entry = "f"}};
static const m3_op unknown_op = {.size = M3_STRUCT_SIZE(m3_op, zero_gradient),
                                 .name = "nobody.knows",
                                 .min_inputs = 2,
                                 .max_inputs = 2,
                                 .outputs = 1,
                                 .infer = infer_first},
                   foreign_op = {.size = M3_STRUCT_SIZE(m3_op, zero_gradient),
                                 .name = "nobody.speaks",
                                 .min_inputs = 2,
                                 .max_inputs = 2,
                                 .outputs = 1,
                                 .infer = infer_first,
                                 .kernels = {1, sizeof foreign_kernels[0], foreign_kernels}};

static void check_unknown_op(m3_system *s)
{
    m3_opened o;
    loose l;
    if (m3_opened_init(&o, s, NULL)) {
        loose_make(&l, &unknown_op, M3_F32);
        bool good = agrees(&o, &l.node, 3, true, "a custom op without kernels or meaning");
        loose_make(&l, &foreign_op, M3_F32);
        good = good && agrees(&o, &l.node, 3, true, "a custom op with a kernel in a language that nobody knows");
        if (good) (void)m3_probe_again(&o, "after ops that were refused");
    }
    m3_opened_fini(&o);
}

static void check_unknown_type(m3_system *s)
{
    m3_opened o;
    loose l;
    if (m3_opened_init(&o, s, NULL)) {
        loose_make(&l, m3_op_find("add"), (m3_dtype)99);
        bool good = agrees(&o, &l.node, 3, true, "add over tensors of the unknown type 99");
        if (good) (void)m3_probe_again(&o, "after a type that was refused");
    }
    m3_opened_fini(&o);
}

/* A kernel in a language that the device speaks, which is none. */
static void check_bad_kernel(m3_system *s)
{
    static const char code[] = "this is no kernel;";
    static const m3_kernel_desc kernels[] = {{.size = M3_STRUCT_SIZE(m3_kernel_desc, grid_divide),
                                              .language = "opencl-c",
                                              .code = code,
                                              .code_bytes = sizeof code,
                                              .entry = "nothing"}};
    static const m3_op op = {.size = M3_STRUCT_SIZE(m3_op, zero_gradient),
                             .name = "nobody.compiles",
                             .min_inputs = 2,
                             .max_inputs = 2,
                             .outputs = 1,
                             .infer = infer_first,
                             .kernels = {1, sizeof kernels[0], kernels}};
    m3_opened o;
    loose l;
    if (m3_opened_init(&o, s, NULL)) {
        m3_error why = {0};
        loose_make(&l, &op, M3_F32);
        const m3_node *node = &l.node;
        if (s->api->supports(o.impl, node, &why) == M3_OK) {
            single t = {0};
            m3_error err = {0};
            m3_exec_impl *exec = NULL;
            if (single_init(&t, &o, &node, 3)) {
                m3_status st = s->api->compile(o.impl, &t.program, &t.buffer, &exec, &err);
                if (st == M3_OK) s->api->exec_free(o.impl, exec);
                if (st == M3_OK)
                    (void)m3_system_fail(s,
                                         "compile of a kernel in OpenCL C that is none: wanted a failure, came M3_OK");
                else
                    (void)m3_system_wants(s, "compile of a kernel in OpenCL C that is none", st, st, &err);
            }
            single_fini(&t);
        } else {
            (void)agrees(&o, node, 3, true, "a custom op with a kernel in OpenCL C that is none");
        }
        if (s->verdict == M3_VERDICT_PASS) (void)m3_probe_again(&o, "after a kernel that is none");
    }
    m3_opened_fini(&o);
}

/* The first case of each op. */
static bool op_agrees(m3_opened *o, const m3_op *op)
{
    m3_case c;
    m3_case_graph built;
    m3_error err = {0};
    for (uint32_t i = 0; i < m3_case_count(); i++) {
        if (m3_case_at(i, &c, NULL) != M3_OK || strcmp(c.op, op->name) != 0) continue;
        if (m3_case_build(&c, NULL, M3_CASE_PLAIN, &built, &err) != M3_OK) return true; /* layer ops says so */
        bool good = (built.node->op->flags & M3_OP_ALIAS) != 0 ||
                    agrees(o, built.node, m3_graph_tensor_count(built.graph), false, c.name);
        m3_case_graph_free(&built);
        return good;
    }
    return true;
}

static void check_supports(m3_system *s)
{
    m3_opened o;
    bool good = m3_opened_init(&o, s, NULL);
    for (uint32_t i = 0; i < m3_op_count() && good; i++) good = op_agrees(&o, m3_op_at(i));
    m3_opened_fini(&o);
}

static void check_places(m3_system *s)
{
    m3_opened o;
    m3_probe p = {0};
    single t = {0};
    if (m3_opened_init(&o, s, NULL) && m3_probe_build(&p, &o, &m3_probe_small) &&
        single_init(&t, &o, &p.nodes[0], m3_graph_tensor_count(p.graph))) {
        const m3_tensor *y = t.node->out[0];
        const m3_place right = t.places[y->id];
        const uint64_t bytes = t.segment.bytes;
        bool good = single_compiles(&t, M3_OK, "compile of a program of one node");
        t.segment.bytes = bytes + o.limits.offset_alignment;
        good = good && single_compiles(&t, M3_ERR_RANGE, "compile with a segment that is larger than its buffer");
        t.segment.bytes = bytes;
        t.places[y->id].offset = up(&o, bytes);
        good = good && single_compiles(&t, M3_ERR_RANGE, "compile with a place behind the end of its segment");
        t.places[y->id].offset = UINT64_MAX / o.limits.offset_alignment * o.limits.offset_alignment;
        good = good && single_compiles(&t, M3_ERR_RANGE, "compile with a place at the end of 64 bits");
        t.places[y->id] = (m3_place){7, 0};
        good = good && single_compiles(&t, M3_ERR_RANGE, "compile with a place in segment 7 of 1");
        t.places[y->id] = (m3_place){M3_NO_SEGMENT, 0};
        good = good && single_compiles(&t, M3_ERR_RANGE, "compile with an output that has no place");
        t.places[y->id] = right;
        t.places[y->id].offset += 1;
        if (o.limits.offset_alignment > 1)
            good = good && single_compiles(&t, M3_ERR_RANGE, "compile with a place that is not aligned");
        t.places[y->id] = right;
        good = good && single_compiles(&t, M3_OK, "compile of a program of one node, after others were refused");
        if (good) (void)m3_probe_again(&o, "after places that were refused");
    }
    single_fini(&t);
    m3_probe_fini(&p);
    m3_opened_fini(&o);
}

const m3_system_check m3_system_programs[] = {
    {"system.order", "values rise, and work happens in its order", check_order},
    {"system.wait", "a value that no call returned is M3_ERR_RANGE", check_wait},
    {"system.wait.ask", "a wait that runs out of time is M3_ERR_TIMEOUT, and the work goes on", check_ask},
    {"system.stop", "a run that is stopped leaves parameters and states as they were", check_stop},
    {"system.wait.beside", "a thread may wait while another uses the device", check_wait_beside},
    {"system.repeat", "a program gives the same bits again, whatever ran between", check_repeat},
    {"system.supports", "what supports says of each op, compile does", check_supports},
    {"system.unknown.op", "an op that nobody knows is M3_ERR_UNSUPPORTED", check_unknown_op},
    {"system.unknown.type", "so is a type that nobody knows", check_unknown_type},
    {"system.unknown.kernel", "a kernel that does not compile is an error", check_bad_kernel},
    {"system.places", "a place outside of its segment, or not aligned, is M3_ERR_RANGE", check_places},
};
const uint32_t m3_system_programs_count = sizeof m3_system_programs / sizeof m3_system_programs[0];
