/* What every backend owes to the interface: options, buffers, ranges, the queue, failures that stick, memory.
 * Labels: errors
 * Parts: cpu reference opencl vulkan */
#include "m3bsr/builder.h"
#include "tests/support/backend_rig.h"
#include "tests/support/named.h"

#include <string.h>
#include <unistd.h>

typedef struct row {
    const char *name;
    void (*check)(rig *r);
    m3_option option; /* key NULL: none */
    const char *only; /* the backends that have what is checked; NULL: all */
} row;

static named under_test;

static m3_buffer *make_buffer(rig *r, uint64_t bytes, uint32_t usage)
{
    m3_buffer *buffer = NULL;
    m3_error err = {0};
    if (r->api->buffer_create(r->device, bytes, usage, &buffer, &err) != M3_OK) fail_msg("%s", err.message);
    return buffer;
}

static void make_add(rig_node *n)
{
    m3_error err = {0};
    if (rig_node_make(n, m3_op_find("add"), "f32[3]; f32[3]", "", &err) != M3_OK) fail_msg("%s", err.message);
}

/* 1, 2, 3 plus 10, 20, 30. */
static m3_status run_add(rig *r, int onto, m3_error *err)
{
    rig_node n;
    float x[3] = {1, 2, 3}, y[3] = {10, 20, 30};
    const float want[3] = {11, 22, 33};
    void *data[2] = {x, y}, *result = NULL;
    make_add(&n);
    m3_status st = rig_run(r, &n, data, 0xff, onto, &result, err);
    if (st == M3_OK) assert_memory_equal(result, want, sizeof want);
    free(result);
    return st;
}

static void runs(rig *r)
{
    m3_error err = {0};
    for (int onto = -1; onto <= 1; onto++) assert_int_equal(run_add(r, onto, &err), M3_OK);
}

/* Options. */

static void refuses_an_op(rig *r)
{
    rig_node n;
    m3_error err = {0};
    make_add(&n);
    assert_int_equal(r->api->supports(r->device, &n.node, &err), M3_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "refuse=mul+add"));
    err = (m3_error){0};
    assert_int_equal(run_add(r, -1, &err), M3_ERR_UNSUPPORTED);
    n.node.op = m3_op_find("sub");
    assert_int_equal(r->api->supports(r->device, &n.node, &err), M3_OK);
}

static void is_lost_and_stays_lost(rig *r)
{
    m3_error err = {0}, later = {0}, last = {0};
    for (int i = 0; i < 2; i++) assert_int_equal(run_add(r, -1, &err), M3_OK);
    assert_int_equal(run_add(r, -1, &err), M3_ERR_DEVICE_LOST);
    assert_non_null(strstr(err.message, "after 2 submits"));
    assert_non_null(strstr(err.message, "fail_after"));
    assert_int_equal(run_add(r, -1, &later), M3_ERR_DEVICE_LOST);
    assert_string_equal(later.message, err.message);
    assert_int_equal(r->api->wait(r->device, 1, 0, &last), M3_ERR_DEVICE_LOST);
    assert_string_equal(last.message, err.message);
}

static void open_fails(m3_option option, const char *says)
{
    rig r;
    m3_error err = {0};
    assert_int_equal(rig_open(&r, under_test.backend, 1, &option, 1, &err), M3_ERR_INVALID);
    if (strstr(err.message, says) == NULL) fail_msg("'%s' does not say '%s'", err.message, says);
    rig_close(&r);
}

static void options_are_checked(void **state)
{
    (void)state;
    open_fails((m3_option){"colour", "red"}, "refuse");
    open_fails((m3_option){"colour", "red"}, "fail_after");
    open_fails((m3_option){"refuze", "mul"}, "did you mean 'refuse'?");
    open_fails((m3_option){"fail_after", "-1"}, "is -1; give a whole number of at least 0");
    open_fails((m3_option){"fail_after", "2x"}, "'2x'");
    open_fails((m3_option){"fail_after", ""}, "''");
}

/* Buffers. */

static void buffers_check_their_use(rig *r)
{
    m3_error err = {0};
    m3_buffer *b = NULL;
    uint64_t value = 0;
    char bytes[8] = {0};
    void *pointer = NULL;
    assert_int_equal(r->api->buffer_create(r->device, 0, M3_BUFFER_DEVICE, &b, &err), M3_ERR_INVALID);
    assert_int_equal(r->api->buffer_create(r->device, 8, 1u << 20, &b, &err), M3_ERR_INVALID);
    b = make_buffer(r, 8, M3_BUFFER_DEVICE);
    assert_int_equal(r->api->upload(r->device, b, 0, bytes, 8, &value, &err), M3_ERR_INVALID);
    assert_int_equal(r->api->download(r->device, b, 0, bytes, 8, &value, &err), M3_ERR_INVALID);
    if (r->api->buffer_map != NULL)
        assert_int_equal(r->api->buffer_map(r->device, b, M3_MAP_READ, 0, 8, &pointer, &err), M3_ERR_INVALID);
    assert_int_equal(value, 0);
    r->api->buffer_free(r->device, b);
}

static void copies_check_their_range(rig *r)
{
    static const struct range {
        uint64_t offset, bytes;
        m3_status want;
    } ranges[] = {{0, 8, M3_OK},        {8, 0, M3_OK},        {0, 9, M3_ERR_RANGE},
                  {9, 0, M3_ERR_RANGE}, {5, 4, M3_ERR_RANGE}, {4, UINT64_MAX - 1, M3_ERR_RANGE}};
    const bool maps = r->api->buffer_map != NULL;
    m3_buffer *b = make_buffer(r, 8, M3_BUFFER_UPLOAD | M3_BUFFER_DOWNLOAD | (maps ? (uint32_t)M3_BUFFER_MAPPABLE : 0));
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        char bytes[16] = {0};
        m3_error err = {0};
        uint64_t value = 0;
        void *pointer = NULL;
        const struct range *at = &ranges[i];
        assert_int_equal(r->api->upload(r->device, b, at->offset, bytes, at->bytes, &value, &err), at->want);
        assert_int_equal(r->api->download(r->device, b, at->offset, bytes, at->bytes, &value, &err), at->want);
        assert_int_equal(r->api->wait(r->device, value, UINT64_MAX, &err), M3_OK);
        if (!maps) continue;
        assert_int_equal(r->api->buffer_map(r->device, b, M3_MAP_READ, at->offset, at->bytes, &pointer, &err),
                         at->want);
        if (at->want == M3_OK) r->api->buffer_unmap(r->device, b);
    }
    r->api->buffer_free(r->device, b);
}

static void a_mapping_is_the_buffer(rig *r)
{
    m3_error err = {0};
    uint64_t value = 0;
    char *pointer = NULL, got[3] = {0};
    m3_buffer *b = make_buffer(r, 8, M3_BUFFER_DOWNLOAD | M3_BUFFER_MAPPABLE);
    assert_int_equal(r->api->buffer_map(r->device, b, M3_MAP_WRITE, 2, 3, (void **)&pointer, &err), M3_OK);
    memcpy(pointer, "abc", 3);
    void *second = NULL;
    assert_int_equal(r->api->buffer_map(r->device, b, M3_MAP_READ, 0, 8, &second, &err), M3_ERR_INVALID);
    assert_non_null(strstr(err.message, "unmap it first"));
    r->api->buffer_unmap(r->device, b);
    assert_int_equal(r->api->download(r->device, b, 2, got, 3, &value, &err), M3_OK);
    assert_memory_equal(got, "abc", 3);
    r->api->buffer_free(r->device, b);
}

static void memory_is_counted(rig *r)
{
    m3_error err = {0};
    uint64_t before = r->api->memory_used(r->device);
    m3_buffer *b = make_buffer(r, 1000, M3_BUFFER_DEVICE);
    assert_int_equal(r->api->memory_used(r->device), before + 1000);
    r->api->buffer_free(r->device, b);
    assert_int_equal(run_add(r, -1, &err), M3_OK);
    assert_int_equal(r->api->memory_used(r->device), before);
}

static void too_large_a_buffer(rig *r)
{
    m3_error err = {0};
    m3_buffer *b = NULL;
    assert_int_equal(r->api->buffer_create(r->device, 8192, M3_BUFFER_DEVICE, &b, &err), M3_ERR_MEMORY);
    assert_null(b);
    assert_non_null(strstr(err.message, "8192"));
    assert_non_null(strstr(err.message, "4096"));
    err = (m3_error){0};
    assert_int_equal(r->api->buffer_create(r->device, 1024, M3_BUFFER_DEVICE, &b, &err), M3_OK);
    r->api->buffer_free(r->device, b);
}

/* Programs. */

static void the_queue_rises(rig *r)
{
    m3_error err = {0};
    uint64_t first = 0, second = 0;
    char byte = 0;
    m3_buffer *b = make_buffer(r, 8, M3_BUFFER_UPLOAD);
    assert_int_equal(r->api->upload(r->device, b, 0, &byte, 1, &first, &err), M3_OK);
    assert_int_equal(r->api->upload(r->device, b, 0, &byte, 1, &second, &err), M3_OK);
    assert_true(second > first);
    assert_int_equal(r->api->wait(r->device, second, UINT64_MAX, &err), M3_OK);
    assert_int_equal(r->api->wait(r->device, first, 0, &err), M3_OK);
    assert_int_equal(r->api->wait(r->device, second + 1, 0, &err), M3_ERR_RANGE);
    r->api->buffer_free(r->device, b);
}

static void many_at_once(rig *r)
{
    enum { COPIES = 300 };
    m3_error err = {0};
    uint64_t value[COPIES] = {0};
    uint32_t word[COPIES], got = 0;
    m3_buffer *b = make_buffer(r, sizeof got, M3_BUFFER_UPLOAD | M3_BUFFER_DOWNLOAD);
    for (uint32_t i = 0; i < COPIES; i++) {
        word[i] = i;
        assert_int_equal(r->api->upload(r->device, b, 0, &word[i], sizeof got, &value[i], &err), M3_OK);
        assert_true(i == 0 || value[i] > value[i - 1]);
    }
    assert_int_equal(r->api->download(r->device, b, 0, &got, sizeof got, &value[0], &err), M3_OK);
    assert_int_equal(r->api->wait(r->device, value[0], UINT64_MAX, &err), M3_OK);
    assert_int_equal(got, COPIES - 1);
    assert_int_equal(r->api->wait(r->device, value[1], 0, &err), M3_OK);
    r->api->buffer_free(r->device, b);
}

typedef struct small_program {
    rig_node n;
    m3_place place[RIG_TENSORS];
    const m3_node *nodes[1];
    m3_segment segment;
    m3_program program;
} small_program;

/* The program of a node that is made. */
static void set_program(small_program *p)
{
    p->nodes[0] = &p->n.node;
    p->segment = (m3_segment){M3_SEGMENT_STORE, rig_places(&p->n, -1, p->place)};
    p->program = (m3_program){sizeof p->program, "test", 1, p->nodes, p->n.tensors, p->place, 1, &p->segment};
}

static void make_program(small_program *p)
{
    make_add(&p->n);
    set_program(p);
}

static void compile_fails(rig *r, const small_program *p, uint64_t bytes, m3_status want)
{
    m3_error err = {0};
    m3_exec_impl *exec = NULL;
    m3_buffer *b = make_buffer(r, bytes, M3_BUFFER_DEVICE);
    assert_int_equal(r->api->compile(r->device, &p->program, &b, &exec, &err), want);
    assert_null(exec);
    assert_true(err.message[0] != 0);
    r->api->buffer_free(r->device, b);
}

static void places_are_checked(rig *r)
{
    small_program p;
    make_program(&p);
    compile_fails(r, &p, p.segment.bytes - 1, M3_ERR_RANGE);
    p.place[1].offset = p.segment.bytes - 8;
    compile_fails(r, &p, p.segment.bytes, M3_ERR_RANGE);
    make_program(&p);
    p.place[2].segment = M3_NO_SEGMENT;
    compile_fails(r, &p, p.segment.bytes, M3_ERR_RANGE);
}

static void times_are_kept_when_wanted(rig *r)
{
    small_program p;
    m3_error err = {0};
    m3_exec_impl *exec = NULL;
    uint64_t value = 0, time_ns[2] = {0};
    make_program(&p);
    m3_buffer *b = make_buffer(r, p.segment.bytes, M3_BUFFER_DEVICE);
    assert_int_equal(r->api->compile(r->device, &p.program, &b, &exec, &err), M3_OK);
    assert_int_equal(r->api->profile(r->device, exec, true, &err), M3_OK);
    assert_int_equal(r->api->submit(r->device, exec, &value, &err), M3_OK);
    assert_int_equal(r->api->node_times(r->device, exec, time_ns, 1, &err), M3_OK);
    assert_true(time_ns[0] > 0);
    assert_int_equal(r->api->node_times(r->device, exec, time_ns, 2, &err), M3_ERR_RANGE);
    r->api->exec_free(r->device, exec);
    r->api->buffer_free(r->device, b);
}

/* A program of its own buffer: x + y -> z of three floats each. */
typedef struct adder {
    small_program p;
    m3_buffer *buffer;
    m3_exec_impl *exec;
} adder;

static void adder_open(rig *r, adder *a)
{
    m3_error err = {0};
    make_program(&a->p);
    a->buffer = make_buffer(r, a->p.segment.bytes, M3_BUFFER_DEVICE | M3_BUFFER_UPLOAD | M3_BUFFER_DOWNLOAD);
    if (r->api->compile(r->device, &a->p.program, &a->buffer, &a->exec, &err) != M3_OK) fail_msg("%s", err.message);
}

static void adder_close(rig *r, adder *a)
{
    r->api->exec_free(r->device, a->exec);
    r->api->buffer_free(r->device, a->buffer);
}

/* Queue an input, or the output's way back. The host's memory must stay. */
static void adder_copy(rig *r, const adder *a, uint32_t tensor, float *data, bool up)
{
    m3_error err = {0};
    uint64_t value = 0;
    const uint64_t at = a->p.place[tensor].offset;
    m3_status st = up ? r->api->upload(r->device, a->buffer, at, data, 12, &value, &err)
                      : r->api->download(r->device, a->buffer, at, data, 12, &value, &err);
    assert_int_equal(st, M3_OK);
}

static uint64_t adder_submit(rig *r, const adder *a)
{
    m3_error err = {0};
    uint64_t value = 0;
    assert_int_equal(r->api->submit(r->device, a->exec, &value, &err), M3_OK);
    return value;
}

static void two_programs(rig *r)
{
    adder a, b;
    m3_error err = {0};
    uint64_t value = 0;
    float one[3] = {1, 1, 1}, two[3] = {2, 2, 2}, got[4][3], byte[3] = {0};
    adder_open(r, &a);
    adder_open(r, &b);
    for (uint32_t i = 0; i < 2; i++) {
        adder_copy(r, &a, i, one, true);
        adder_copy(r, &b, i, two, true);
    }
    for (uint32_t i = 0; i < 2; i++) {
        (void)adder_submit(r, &a);
        (void)adder_submit(r, &b);
        adder_copy(r, &a, 2, got[2 * i], false);
        adder_copy(r, &b, 2, got[2 * i + 1], false);
        adder_copy(r, &a, 0, two, true); /* 2 + 1 the second time */
    }
    assert_int_equal(r->api->upload(r->device, a.buffer, 0, byte, 4, &value, &err), M3_OK);
    assert_int_equal(r->api->wait(r->device, value, UINT64_MAX, &err), M3_OK);
    for (uint32_t i = 0; i < 3; i++) assert_true(got[0][i] == 2 && got[1][i] == 4 && got[2][i] == 3 && got[3][i] == 4);
    adder_close(r, &b);
    adder_close(r, &a);
}

static void *run_often(void *arg)
{
    rig *r = arg;
    static const float one[3] = {1, 1, 1};
    float x[3], want[3] = {1, 1, 1};
    adder a;
    m3_error err = {0};
    adder_open(r, &a);
    memcpy(x, one, sizeof x);
    for (int i = 0; i < 50; i++) {
        adder_copy(r, &a, 0, x, true);
        adder_copy(r, &a, 1, (float[]){1, 1, 1}, true);
        const uint64_t value = adder_submit(r, &a);
        assert_int_equal(r->api->wait(r->device, value, UINT64_MAX, &err), M3_OK);
        adder_copy(r, &a, 2, x, false);
        assert_int_equal(r->api->wait(r->device, value + 1, UINT64_MAX, &err), M3_OK);
        for (int k = 0; k < 3; k++) assert_true(x[k] == (want[k] += 1));
    }
    adder_close(r, &a);
    return NULL;
}

static void two_devices(rig *r)
{
    rig other;
    pthread_t thread;
    m3_error err = {0};
    assert_int_equal(rig_open(&other, under_test.backend, 2, NULL, 0, &err), M3_OK);
    assert_int_equal(pthread_create(&thread, NULL, run_often, &other), 0);
    (void)run_often(r);
    assert_int_equal(pthread_join(thread, NULL), 0);
    rig_close(&other);
}

typedef struct waiter {
    rig *r;
    uint64_t value;
    m3_status asked, waited;
} waiter;

static void *wait_for(void *arg)
{
    waiter *w = arg;
    m3_error err = {0};
    w->asked = w->r->api->wait(w->r->device, w->value, 0, &err);
    err = (m3_error){0};
    w->waited = w->r->api->wait(w->r->device, w->value, UINT64_MAX, &err);
    return NULL;
}

static void a_thread_waits(rig *r)
{
    adder a;
    pthread_t thread;
    m3_error err = {0};
    float one[3] = {1, 1, 1}, got[3] = {0};
    waiter w = {.r = r};
    adder_open(r, &a);
    adder_copy(r, &a, 0, one, true);
    adder_copy(r, &a, 1, one, true);
    for (int i = 0; i < 500; i++) w.value = adder_submit(r, &a);
    assert_int_equal(pthread_create(&thread, NULL, wait_for, &w), 0);
    for (int i = 0; i < 500; i++) (void)adder_submit(r, &a);
    adder_copy(r, &a, 2, got, false);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(w.asked == M3_OK || w.asked == M3_ERR_TIMEOUT);
    assert_int_equal(w.waited, M3_OK);
    assert_int_equal(r->api->wait(r->device, adder_submit(r, &a), 60u * 1000000000u, &err), M3_OK);
    assert_true(got[0] == 2);
    adder_close(r, &a);
}

/* Custom ops. */

static m3_status twice(const m3_node *node, const void *const *in, void *const *out, m3_error *err)
{
    const float *x = in[0];
    float *y = out[0];
    for (uint64_t i = 0; i < m3_tensor_count(node->in[0]); i++) {
        if (x[i] < 0) return M3_FAIL(err, M3_ERR_INVALID, "twice", "x[%d] is negative", (int)i);
        y[i] = 2 * x[i];
    }
    return M3_OK;
}

static m3_status infer_twice(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    (void)err;
    *out = (m3_tensor_desc){node->in[0]->dtype, node->in[0]->shape};
    return M3_OK;
}

static m3_status run_twice(rig *r, float x0, m3_error *err)
{
    m3_kernel_desc desc[2] = {{.size = sizeof desc[0], .language = "opencl-c", .code = "wrong"},
                              {.size = sizeof desc[0], .language = "c"}};
    m3_c_kernel kernel = twice;
    memcpy(&desc[1].code, &kernel, sizeof kernel);
    const m3_op op = {.size = M3_STRUCT_SIZE(m3_op, zero_gradient),
                      .name = "test.twice",
                      .min_inputs = 1,
                      .max_inputs = 1,
                      .outputs = 1,
                      .infer = infer_twice,
                      .kernels = {2, sizeof desc[0], desc}};
    rig_node n;
    float x[2] = {x0, 5};
    void *data[1] = {x}, *result = NULL;
    assert_int_equal(rig_node_make(&n, &op, "f32[2]", "", err), M3_OK);
    m3_status st = rig_run(r, &n, data, 0xff, -1, &result, err);
    if (st == M3_OK) assert_memory_equal(result, ((const float[]){2 * x0, 10}), sizeof x);
    free(result);
    return st;
}

static void a_kernel_in_c_runs(rig *r)
{
    m3_error err = {0}, later = {0};
    assert_int_equal(run_twice(r, 3, &err), M3_OK);
    assert_int_equal(run_twice(r, -3, &err), M3_ERR_INVALID);
    assert_string_equal(err.message, "x[0] is negative");
    assert_int_equal(run_add(r, -1, &later), M3_ERR_INVALID);
    assert_string_equal(later.message, "x[0] is negative");
}

/* y = factor x + offset, over 40 elements in groups of 16. */
static m3_status run_scale(rig *r, const char *name, const char *code, uint32_t local, m3_error *err)
{
    static const m3_attr_desc attrs[] = {{"offset", M3_ATTR_INT}, {"factor", M3_ATTR_FLOAT}};
    const m3_kernel_desc desc = {.size = sizeof desc,
                                 .language = "opencl-c",
                                 .code = code,
                                 .code_bytes = strlen(code) + 1,
                                 .entry = "scale",
                                 .local = {local, 0, 0},
                                 .grid_divide = {1, 0, 0}};
    const m3_op op = {.size = M3_STRUCT_SIZE(m3_op, zero_gradient),
                      .name = name,
                      .min_inputs = 1,
                      .max_inputs = 1,
                      .outputs = 1,
                      .attrs = attrs,
                      .attr_count = 2,
                      .infer = infer_twice,
                      .kernels = {1, sizeof desc, &desc}};
    rig_node n;
    float x[40];
    void *data[1] = {x}, *result = NULL;
    for (int i = 0; i < 40; i++) x[i] = (float)i;
    assert_int_equal(rig_node_make(&n, &op, "f32[40]", "7; 0.5", err), M3_OK);
    m3_status st = rig_run(r, &n, data, 0xff, -1, &result, err);
    for (int i = 0; i < 40 && st == M3_OK; i++) assert_true(((float *)result)[i] == 0.5F * (float)i + 7);
    free(result);
    return st;
}

static const char scale[] = "__kernel void scale(__global const float *x, __global float *y, uint count, int offset,\n"
                            "                    float factor)\n"
                            "{\n"
                            "    const uint i = get_global_id(0);\n"
                            "    if (i < count) y[i] = factor * x[i] + offset;\n"
                            "}\n";

static void a_kernel_in_opencl_c_runs(rig *r)
{
    m3_error err = {0};
    if (run_scale(r, "test.scale", scale, 16, &err) != M3_OK) fail_msg("%s", err.message);
    if (run_scale(r, "test.scale_anyhow", scale, 0, &err) != M3_OK) fail_msg("%s", err.message);
}

static void a_broken_kernel(rig *r)
{
    static const char broken[] = "__kernel void scale(__global const float *x, __global float *y)\n"
                                 "{\n"
                                 "    y[0] = x[0] + no_such_name;\n"
                                 "}\n";
    static const char *const says[] = {"no_such_name", ":3:", "CL_BUILD_PROGRAM_FAILURE"};
    m3_error err = {0};
    assert_int_equal(run_scale(r, "test.broken", broken, 16, &err), M3_ERR_INTERNAL);
    assert_string_equal(err.subject, "test.broken");
    for (size_t i = 0; i < sizeof says / sizeof says[0]; i++)
        if (strstr(err.message, says[i]) == NULL) fail_msg("'%s' does not say '%s'", err.message, says[i]);
    err = (m3_error){0};
    assert_int_equal(run_scale(r, "test.no_entry", "__kernel void other(__global float *x) { x[0] = 1; }", 16, &err),
                     M3_ERR_INTERNAL);
    assert_string_equal(err.subject, "scale");
    assert_non_null(strstr(err.message, "test.no_entry"));
    err = (m3_error){0};
    assert_int_equal(run_add(r, -1, &err), M3_OK); /* nothing is lost but the program */
}

static void too_large_a_group(rig *r)
{
    m3_error err = {0};
    assert_int_equal(run_scale(r, "test.large", scale, 1u << 20, &err), M3_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "1048576"));
    err = (m3_error){0};
    assert_int_equal(run_add(r, -1, &err), M3_OK);
}

/* One item that takes some tenths of a second. */
static const char slow[] = "__kernel void slow(__global const float *x, __global float *y, uint count)\n"
                           "{\n"
                           "    float sum = x[0];\n"
                           "    for (uint i = 0; i < 100000000u; i++) sum = 0.5f * sum + x[0];\n"
                           "    y[0] = sum;\n"
                           "}\n";

static void a_wait_gives_up(rig *r)
{
    const m3_kernel_desc desc = {
        .size = sizeof desc, .language = "opencl-c", .code = slow, .code_bytes = sizeof slow, .entry = "slow"};
    const m3_op op = {.size = M3_STRUCT_SIZE(m3_op, zero_gradient),
                      .name = "test.slow",
                      .min_inputs = 1,
                      .max_inputs = 1,
                      .outputs = 1,
                      .infer = infer_twice,
                      .kernels = {1, sizeof desc, &desc}};
    small_program p;
    m3_exec_impl *exec = NULL;
    m3_error err = {0};
    uint64_t value = 0, before = 0;
    float x = 1, y = 0;
    m3_status st = M3_OK;
    assert_int_equal(rig_node_make(&p.n, &op, "f32[1]", "", &err), M3_OK);
    set_program(&p);
    m3_buffer *b = make_buffer(r, p.segment.bytes, M3_BUFFER_DEVICE | M3_BUFFER_UPLOAD | M3_BUFFER_DOWNLOAD);
    if (r->api->compile(r->device, &p.program, &b, &exec, &err) != M3_OK) fail_msg("%s", err.message);
    assert_int_equal(r->api->upload(r->device, b, p.place[0].offset, &x, sizeof x, &before, &err), M3_OK);
    /* A thread that is held up may ask too late, but not every time. */
    for (int tries = 0; tries < 20 && st != M3_ERR_TIMEOUT; tries++) {
        assert_int_equal(r->api->submit(r->device, exec, &value, NULL), M3_OK);
        st = r->api->wait(r->device, value, 0, &err);
        assert_true(st == M3_OK || (st == M3_ERR_TIMEOUT && err.message[0] != 0));
        if (st == M3_ERR_TIMEOUT) st = r->api->wait(r->device, value, 1000000, NULL);
        assert_true(st == M3_OK || st == M3_ERR_TIMEOUT);
    }
    assert_int_equal(st, M3_ERR_TIMEOUT);
    assert_int_equal(r->api->wait(r->device, before, UINT64_MAX, NULL), M3_OK); /* what came before is not held up */
    assert_int_equal(r->api->wait(r->device, value, UINT64_MAX, NULL), M3_OK);
    assert_int_equal(r->api->wait(r->device, value, 0, NULL), M3_OK);
    assert_int_equal(r->api->download(r->device, b, p.place[1].offset, &y, sizeof y, &value, NULL), M3_OK);
    assert_int_equal(r->api->wait(r->device, value, UINT64_MAX, NULL), M3_OK);
    assert_true(y == 2);
    r->api->exec_free(r->device, exec);
    r->api->buffer_free(r->device, b);
}

static void an_unknown_op_is_refused_with_a_reason(rig *r)
{
    const m3_op op = {
        .size = M3_STRUCT_SIZE(m3_op, zero_gradient), .name = "test.none", .outputs = 1, .infer = infer_twice};
    rig_node n;
    m3_error err = {0};
    assert_int_equal(rig_node_make(&n, &op, "f32[2]", "", &err), M3_OK);
    assert_int_equal(r->api->supports(r->device, &n.node, &err), M3_ERR_UNSUPPORTED);
    assert_string_equal(err.subject, "test.none");
    assert_true(err.message[0] != 0);
}

static void lists_and_limits(rig *r)
{
    m3_error err = {0};
    uint32_t count = 0;
    const bool processor = !named_needs_driver(&under_test);
    m3_device_info info = {.size = M3_STRUCT_SIZE(m3_device_info, features)};
    m3_device_limits limits = {.size = M3_STRUCT_SIZE(m3_device_limits, coherent)};
    assert_int_equal(r->api->list(r->backend, NULL, 0, &count, &err), M3_OK);
    assert_true(processor ? count == 1 : count >= 1);
    assert_int_equal(r->api->list(r->backend, &info, 1, &count, &err), M3_OK);
    assert_true(info.name[0] != 0 && info.driver[0] != 0 && info.features[0] != 0);
    assert_int_equal(r->api->limits(r->device, &limits, &err), M3_OK);
    assert_true(limits.offset_alignment > 0 && (limits.offset_alignment & (limits.offset_alignment - 1)) == 0);
    assert_true(limits.memory_total > 0 && limits.memory_total >= limits.memory_free);
    assert_true(limits.largest_buffer > 0 && limits.largest_binding > 0);
    if (processor) assert_true(limits.unified && limits.memory_total > limits.memory_free);
    limits.size = 8;
    assert_int_equal(r->api->limits(r->device, &limits, &err), M3_ERR_ABI);
}

/* Memory that cannot be had, at the n-th request, until there are no more requests. What can be done without, such as a
 * cache, may be. */
static void every_allocation_may_fail(void **state)
{
    (void)state;
    bool denied = true;
    for (long n = 0; denied; n++) {
        rig r;
        m3_error err = {0};
        assert_true(n < 1000);
        m3_status st = rig_open_denying(&r, under_test.backend, n, &err);
        if (st == M3_OK) st = run_add(&r, -1, &err);
        if (st != M3_OK) assert_int_equal(st, M3_ERR_MEMORY);
        if (st != M3_OK) assert_true(err.message[0] != 0);
        denied = r.deny == 0;
        assert_true(denied || st == M3_OK);
        rig_close(&r);
    }
}

static const row rows[] = {
    {"a node runs, in place as well", runs, {NULL, NULL}, NULL},
    {"devices are listed and limits are told", lists_and_limits, {NULL, NULL}, NULL},
    {"refuse=mul+add refuses these two and says so", refuses_an_op, {"refuse", "mul+add"}, NULL},
    {"fail_after=2 loses the device and the error sticks", is_lost_and_stays_lost, {"fail_after", "2"}, NULL},
    {"a buffer is used as declared only", buffers_check_their_use, {NULL, NULL}, NULL},
    {"a buffer beyond the limit is refused with both sizes",
     too_large_a_buffer,
     {"memory", "4096"},
     "cpu opencl vulkan"},
    {"copies and mappings stay within their buffer", copies_check_their_range, {NULL, NULL}, NULL},
    {"a mapping shows the buffer's bytes, one at a time", a_mapping_is_the_buffer, {NULL, NULL}, "cpu reference"},
    {"memory used follows buffers and executables", memory_is_counted, {NULL, NULL}, NULL},
    {"the queue's value rises and waits know it", the_queue_rises, {NULL, NULL}, NULL},
    {"hundreds of copies may be under way", many_at_once, {NULL, NULL}, NULL},
    {"a place outside its segment is refused", places_are_checked, {NULL, NULL}, NULL},
    {"times of nodes are kept when profiling", times_are_kept_when_wanted, {NULL, NULL}, NULL},
    {"two programs take turns on one device", two_programs, {NULL, NULL}, NULL},
    {"two devices run in one process, each from its own thread", two_devices, {NULL, NULL}, NULL},
    {"another thread may wait, with a limit", a_thread_waits, {NULL, NULL}, NULL},
    {"a wait gives up at its limit, and may be asked again", a_wait_gives_up, {NULL, NULL}, "opencl"},
    {"a custom kernel in C runs and its failure sticks", a_kernel_in_c_runs, {NULL, NULL}, "cpu reference"},
    {"a custom kernel in OpenCL C runs", a_kernel_in_opencl_c_runs, {NULL, NULL}, "opencl"},
    {"a kernel that does not compile shows the log with name and line", a_broken_kernel, {NULL, NULL}, "opencl"},
    {"a kernel whose group is too large is refused with both sizes", too_large_a_group, {NULL, NULL}, "opencl"},
    {"an op without kernel or meaning is refused", an_unknown_op_is_refused_with_a_reason, {NULL, NULL}, NULL},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void holds(void **state)
{
    const row *one = *state;
    rig r;
    m3_error err = {0};
    m3_status st = rig_open(&r, under_test.backend, 2, &one->option, one->option.key != NULL, &err);
    if (st != M3_OK) fail_msg("%s", err.message);
    one->check(&r);
    rig_close(&r);
}

/* Ends the program when the backend has no device here. */
static void look_for_device(void)
{
    rig r;
    m3_error err = {0};
    uint32_t count = 0;
    char path[512];
    (void)snprintf(path, sizeof path, "%s/m3bsr_backend_%s.so", M3BSR_BUILD_PLUGIN_DIR, under_test.backend);
    if (access(path, F_OK) != 0) named_is_missing(&under_test); /* this machine cannot build it */
    if (rig_open_backend(&r, under_test.backend, 1, -1, &err) == M3_OK)
        (void)r.api->list(r.backend, NULL, 0, &count, &err);
    rig_close(&r);
    if (count == 0) named_is_missing(&under_test);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[ROWS + 2];
    size_t count = 0;
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s BACKEND\n", argv[0]);
        return EXIT_FAILURE;
    }
    named_read(&under_test, argv[1]);
    look_for_device();
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].only == NULL || strstr(rows[i].only, under_test.backend) != NULL)
            tests[count++] = (struct CMUnitTest){rows[i].name, holds, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    tests[count++] =
        (struct CMUnitTest){"unknown options and bad values are named", options_are_checked, NULL, NULL, NULL};
    tests[count++] =
        (struct CMUnitTest){"any allocation may fail and nothing leaks", every_allocation_may_fail, NULL, NULL, NULL};
    return _cmocka_run_group_tests(argv[1], tests, count, NULL, NULL);
}
