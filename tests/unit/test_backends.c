/* What both backends owe to the interface: options, buffers, ranges, the queue, failures that stick, memory.
 * Labels: errors */
#include "m3bsr/builder.h"
#include "tests/support/backend_rig.h"

#include <string.h>

typedef struct row {
    const char *name;
    void (*check)(rig *r);
    m3_option option; /* key NULL: none */
} row;

typedef struct job {
    const row *row;
    const char *backend;
} job;

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
    assert_int_equal(run_add(r, -1, &later), M3_ERR_DEVICE_LOST);
    assert_string_equal(later.message, err.message);
    assert_int_equal(r->api->wait(r->device, 1, 0, &last), M3_ERR_DEVICE_LOST);
    assert_string_equal(last.message, err.message);
}

static void open_fails(const char *backend, m3_option option, const char *says)
{
    rig r;
    m3_error err = {0};
    assert_int_equal(rig_open(&r, backend, 1, &option, 1, &err), M3_ERR_INVALID);
    if (strstr(err.message, says) == NULL) fail_msg("'%s' does not say '%s'", err.message, says);
    rig_close(&r);
}

static void options_are_checked(void **state)
{
    open_fails(*state, (m3_option){"colour", "red"}, "refuse=");
    open_fails(*state, (m3_option){"colour", "red"}, "fail_after=");
    open_fails(*state, (m3_option){"fail_after", "-1"}, "'-1' is no number");
    open_fails(*state, (m3_option){"fail_after", "2x"}, "'2x' is no number");
    open_fails(*state, (m3_option){"fail_after", ""}, "'' is no number");
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
    m3_buffer *b = make_buffer(r, 8, M3_BUFFER_DEVICE | M3_BUFFER_UPLOAD | M3_BUFFER_DOWNLOAD | M3_BUFFER_MAPPABLE);
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        char bytes[16] = {0};
        m3_error err = {0};
        uint64_t value = 0;
        void *pointer = NULL;
        const struct range *at = &ranges[i];
        assert_int_equal(r->api->upload(r->device, b, at->offset, bytes, at->bytes, &value, &err), at->want);
        assert_int_equal(r->api->download(r->device, b, at->offset, bytes, at->bytes, &value, &err), at->want);
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
    assert_int_equal(r->api->wait(r->device, second, 0, &err), M3_OK);
    assert_int_equal(r->api->wait(r->device, second + 1, 0, &err), M3_ERR_RANGE);
    r->api->buffer_free(r->device, b);
}

typedef struct small_program {
    rig_node n;
    m3_place place[RIG_TENSORS];
    const m3_node *nodes[1];
    m3_segment segment;
    m3_program program;
} small_program;

static void make_program(small_program *p)
{
    make_add(&p->n);
    p->nodes[0] = &p->n.node;
    p->segment = (m3_segment){M3_SEGMENT_STORE, rig_places(&p->n, -1, p->place)};
    p->program = (m3_program){sizeof p->program, "test", 1, p->nodes, p->n.tensors, p->place, 1, &p->segment};
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
    m3_device_info info = {.size = M3_STRUCT_SIZE(m3_device_info, features)};
    m3_device_limits limits = {.size = M3_STRUCT_SIZE(m3_device_limits, coherent)};
    assert_int_equal(r->api->list(r->backend, NULL, 0, &count, &err), M3_OK);
    assert_int_equal(count, 1);
    assert_int_equal(r->api->list(r->backend, &info, 1, &count, &err), M3_OK);
    assert_true(info.name[0] != 0 && info.driver[0] != 0 && info.features[0] != 0);
    assert_int_equal(r->api->limits(r->device, &limits, &err), M3_OK);
    assert_true(limits.unified && limits.offset_alignment > 0 && limits.memory_total > limits.memory_free);
    limits.size = 8;
    assert_int_equal(r->api->limits(r->device, &limits, &err), M3_ERR_ABI);
}

/* Memory that cannot be had, at the n-th request, until one goes through. */
static void every_allocation_may_fail(void **state)
{
    m3_status st = M3_ERR_MEMORY;
    for (long n = 0; st != M3_OK; n++) {
        rig r;
        m3_error err = {0};
        assert_true(n < 100);
        st = rig_open_denying(&r, *state, n, &err);
        if (st == M3_OK) st = run_add(&r, -1, &err);
        if (st != M3_OK) assert_int_equal(st, M3_ERR_MEMORY);
        if (st != M3_OK) assert_true(err.message[0] != 0);
        rig_close(&r);
    }
}

static const row rows[] = {
    {"a node runs, in place as well", runs, {NULL, NULL}},
    {"one device is listed and its limits are told", lists_and_limits, {NULL, NULL}},
    {"refuse=mul+add refuses these two and says so", refuses_an_op, {"refuse", "mul+add"}},
    {"fail_after=2 loses the device and the error sticks", is_lost_and_stays_lost, {"fail_after", "2"}},
    {"a buffer is used as declared only", buffers_check_their_use, {NULL, NULL}},
    {"copies and mappings stay within their buffer", copies_check_their_range, {NULL, NULL}},
    {"a mapping shows the buffer's bytes, one at a time", a_mapping_is_the_buffer, {NULL, NULL}},
    {"memory used follows buffers and executables", memory_is_counted, {NULL, NULL}},
    {"the queue's value rises and waits know it", the_queue_rises, {NULL, NULL}},
    {"a place outside its segment is refused", places_are_checked, {NULL, NULL}},
    {"times of nodes are kept when profiling", times_are_kept_when_wanted, {NULL, NULL}},
    {"a custom kernel in C runs and its failure sticks", a_kernel_in_c_runs, {NULL, NULL}},
    {"an op without kernel or meaning is refused", an_unknown_op_is_refused_with_a_reason, {NULL, NULL}},
};

static void holds(void **state)
{
    const job *j = *state;
    rig r;
    m3_error err = {0};
    m3_status st = rig_open(&r, j->backend, 2, &j->row->option, j->row->option.key != NULL, &err);
    if (st != M3_OK) fail_msg("%s", err.message);
    j->row->check(&r);
    rig_close(&r);
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof rows[0] };
    static const char *const backend[] = {"cpu", "reference"};
    job jobs[2 * ROWS];
    char names[2 * ROWS][128];
    struct CMUnitTest tests[2 * (ROWS + 2)];
    size_t count = 0;
    for (size_t b = 0; b < 2; b++) {
        for (size_t i = 0; i < ROWS; i++) {
            size_t at = b * ROWS + i;
            jobs[at] = (job){&rows[i], backend[b]};
            (void)snprintf(names[at], sizeof names[at], "%s: %s", backend[b], rows[i].name);
            tests[count++] = (struct CMUnitTest){names[at], holds, NULL, NULL, &jobs[at]};
        }
        void *name = (void *)(uintptr_t)backend[b];
        tests[count++] =
            (struct CMUnitTest){"unknown options and bad values are named", options_are_checked, NULL, NULL, name};
        tests[count++] = (struct CMUnitTest){"any allocation may fail and nothing leaks", every_allocation_may_fail,
                                             NULL, NULL, name};
    }
    return _cmocka_run_group_tests("backends", tests, count, NULL, NULL);
}
