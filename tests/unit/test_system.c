/* system: engines, devices, stores and executables as a program has them: several at once, in several threads, again
 * and again, misused, and with a device that stops working. Through m3bsr/runtime.h alone.
 * Labels: threads errors */
#include "m3bsr/runtime.h"

#include <dirent.h>
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <time.h>

#include <cmocka.h>

#include "core/base/alloc.h"

/* Lines of a log; any thread may write one. */
typedef struct notes {
    pthread_mutex_t lock;
    char text[8192];
} notes;

static void keep_line(void *user, m3_log_level level, const char *line)
{
    notes *to = user;
    if (level > M3_LOG_WARN) return;
    pthread_mutex_lock(&to->lock);
    const size_t at = strlen(to->text);
    (void)snprintf(to->text + at, sizeof to->text - at, "%s\n", line);
    pthread_mutex_unlock(&to->lock);
}

static m3_status try_engine(notes *log, m3_engine **engine, m3_error *err)
{
    const m3_engine_config config = {.size = sizeof config,
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR,
                                     .threads = 2,
                                     .log = keep_line,
                                     .log_user = log,
                                     .log_level = M3_LOG_WARN,
                                     .cache_path = "/",
                                     .allow_writable_folder = true};
    *log = (notes){.lock = PTHREAD_MUTEX_INITIALIZER};
    return m3_engine_create(&config, engine, err);
}

static m3_engine *open_engine(notes *log)
{
    m3_engine *engine = NULL;
    m3_error err = {0};
    if (try_engine(log, &engine, &err) != M3_OK) fail_msg("%s", err.message);
    return engine;
}

static m3_status try_device(m3_engine *engine, const char *name, const char *key, const char *value, m3_device **device,
                            m3_error *err)
{
    const m3_option option = {key, value};
    return m3_device_open(engine, name, (m3_span){key != NULL, sizeof option, &option}, device, err);
}

static m3_device *open_device(m3_engine *engine, const char *name, const char *key, const char *value)
{
    m3_device *device = NULL;
    m3_error err = {0};
    if (try_device(engine, name, key, value, &device, &err) != M3_OK) fail_msg("%s", err.message);
    return device;
}

/* A step with all that a training has: state += tanh(x W) summed over rows, W from the store's seed.
 *   x f32 [rows, WIDTH], W f32 [WIDTH, WIDTH], state f32 [WIDTH] -> y = state after the step */
enum { ROWS = 48, WIDTH = 40 };
static const m3_shape vector = {1, {WIDTH}}, pair = {1, {2}};

static m3_graph *new_step(void)
{
    m3_graph *graph = NULL;
    m3_error err = {0};
    if (m3_graph_create(NULL, &graph, &err) != M3_OK) fail_msg("%s", err.message);
    m3_builder *b = m3_graph_builder(graph);
    m3_tensor *x = m3_graph_input(b, "x", M3_F32, M3_SHAPE(ROWS, WIDTH));
    m3_tensor *w = m3_graph_parameter(b, "w", M3_SHAPE(WIDTH, WIDTH), (m3_init){M3_INIT_NORMAL, 0.3F, 0});
    m3_tensor *state = m3_graph_state(b, "state", M3_F32, M3_SHAPE(WIDTH), (m3_init){M3_INIT_CONSTANT, 0.0F, 0});
    m3_tensor *h = m3_reduce_sum(b, m3_tanh(b, m3_matmul(b, x, w, false, false)), 0, M3_DROP);
    m3_tensor *next = m3_add(b, state, m3_mul(b, h, m3_scalar(b, 0.125F)));
    m3_graph_update(b, state, next);
    m3_graph_output(b, "y", next);
    if (m3_builder_status(b, &err) != M3_OK) fail_msg("%s", err.message);
    return graph;
}

/* A device at work. */
typedef struct bench {
    m3_device *device;
    m3_store *store;
    m3_executable *executable;
} bench;

static m3_status try_bench(bench *b, m3_device *device, const m3_compile_options *options, m3_error *err)
{
    m3_graph *graph = new_step();
    *b = (bench){.device = device};
    m3_status st = m3_store_create(device, 7, &b->store, err);
    if (st == M3_OK) st = m3_executable_create(device, b->store, graph, options, &b->executable, err);
    m3_graph_free(graph);
    if (st != M3_OK) return st;
    float *x = m3_executable_input(b->executable, "x", NULL);
    for (int i = 0; i < ROWS * WIDTH; i++) x[i] = sinf((float)i);
    return M3_OK;
}

static void start(bench *b, m3_device *device)
{
    m3_error err = {0};
    if (try_bench(b, device, NULL, &err) != M3_OK) fail_msg("%s: %s", err.subject, err.message);
}

static void stop(bench *b)
{
    m3_executable_free(b->executable);
    m3_store_free(b->store);
    *b = (bench){0};
}

/* From a state of zeros, `steps` steps; the answer is y. Returns what the first failing call returned. */
static m3_status work(bench *b, uint32_t steps, float y[WIDTH], m3_error *err)
{
    const float zeros[WIDTH] = {0};
    m3_status st = m3_store_write(b->store, "state", M3_F32, &vector, zeros, err);
    for (uint32_t i = 0; i < steps && st == M3_OK; i++) st = m3_executable_run(b->executable, err);
    if (st == M3_OK) memcpy(y, m3_executable_output(b->executable, "y", NULL), WIDTH * sizeof *y);
    return st;
}

static void must_work(bench *b, uint32_t steps, float y[WIDTH])
{
    m3_error err = {0};
    if (work(b, steps, y, &err) != M3_OK) fail_msg("%s: %s", err.subject, err.message);
}

/* cmocka's assertions belong to the main thread, so a worker keeps its failure for it. */
typedef struct worker {
    pthread_t thread;
    const char *device; /* opens an engine of its own when not NULL */
    bench bench;
    uint32_t rounds, steps;
    float want[WIDTH];
    notes log;
    char failure[1200];
} worker;

static void complain(worker *w, const char *what, const m3_error *err)
{
    if (w->failure[0] == 0) (void)snprintf(w->failure, sizeof w->failure, "%s: %s", what, err->message);
}

static void rounds(worker *w)
{
    for (uint32_t i = 0; i < w->rounds && w->failure[0] == 0; i++) {
        float y[WIDTH];
        m3_error err = {0};
        if (work(&w->bench, w->steps, y, &err) != M3_OK)
            complain(w, "a run failed", &err);
        else if (memcmp(y, w->want, sizeof y) != 0)
            complain(w, "another thread changed the answer", &err);
    }
}

static void *drive(void *arg)
{
    rounds(arg);
    return NULL;
}

static void *drive_own_engine(void *arg)
{
    worker *w = arg;
    m3_error err = {0};
    for (int i = 0; i < 3 && w->failure[0] == 0; i++) {
        m3_engine *engine = NULL;
        m3_device *device = NULL;
        m3_status st = try_engine(&w->log, &engine, &err);
        if (st == M3_OK) st = try_device(engine, w->device, NULL, NULL, &device, &err);
        if (st == M3_OK) st = try_bench(&w->bench, device, NULL, &err);
        if (st == M3_OK)
            rounds(w);
        else
            complain(w, "it does not start", &err);
        stop(&w->bench);
        m3_device_close(device);
        m3_engine_free(engine);
    }
    return NULL;
}

static void run_together(worker *workers, size_t count, void *(*drive_one)(void *))
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, drive_one, &workers[i]), 0);
    for (size_t i = 0; i < count; i++) (void)pthread_join(workers[i].thread, NULL);
    for (size_t i = 0; i < count; i++)
        if (workers[i].failure[0] != 0) fail_msg("thread %zu: %s", i, workers[i].failure);
}

/* Two devices, or two engines, at once. */

static const struct row {
    const char *name, *first, *second;
} pairs[] = {
    {"two cpu devices of one engine work in two threads", "cpu", "cpu"},
    {"cpu and reference of one engine work in two threads", "cpu", "reference"},
    {"two reference devices of one engine work in two threads", "reference", "reference"},
};
enum { PAIRS = sizeof pairs / sizeof pairs[0] };

static void devices_do_not_disturb_each_other(void **state)
{
    const struct row *row = *state;
    const char *const names[2] = {row->first, row->second};
    static worker w[2];
    notes log;
    m3_engine *engine = open_engine(&log);
    for (int i = 0; i < 2; i++) {
        w[i] = (worker){.rounds = 30, .steps = 5};
        start(&w[i].bench, open_device(engine, names[i], NULL, NULL));
        must_work(&w[i].bench, w[i].steps, w[i].want); /* alone, so far */
    }
    run_together(w, 2, drive);
    for (int i = 0; i < 2; i++) {
        m3_device *device = w[i].bench.device;
        stop(&w[i].bench);
        assert_int_equal(m3_device_memory_used(device), 0);
        m3_device_close(device);
    }
    m3_engine_free(engine);
    assert_string_equal(log.text, "");
}

static void engines_do_not_disturb_each_other(void **state)
{
    const struct row *row = *state;
    const char *const names[2] = {row->first, row->second};
    static worker w[2];
    for (int i = 0; i < 2; i++) {
        w[i] = (worker){.device = names[i], .rounds = 10, .steps = 5};
        m3_engine *engine = open_engine(&w[i].log);
        start(&w[i].bench, open_device(engine, names[i], NULL, NULL));
        must_work(&w[i].bench, w[i].steps, w[i].want);
        m3_device *device = w[i].bench.device;
        stop(&w[i].bench);
        m3_device_close(device);
        m3_engine_free(engine);
    }
    run_together(w, 2, drive_own_engine);
}

static void two_engines_in_one_thread_are_apart(void **state)
{
    (void)state;
    static notes log[2];
    m3_engine *engine[2];
    bench b[2];
    float y[2][WIDTH], again[WIDTH];
    m3_error err = {0};
    for (int i = 0; i < 2; i++) engine[i] = open_engine(&log[i]);
    for (int i = 0; i < 2; i++) start(&b[i], open_device(engine[i], "cpu", NULL, NULL));
    must_work(&b[0], 2, y[0]);
    must_work(&b[1], 4, y[1]);
    must_work(&b[0], 2, again);
    assert_memory_equal(again, y[0], sizeof again);
    m3_device *lost = NULL;
    assert_int_equal(try_device(engine[0], "gpu", NULL, NULL, &lost, &err), M3_ERR_INVALID);
    assert_null(lost);
    m3_device *device = b[0].device;
    stop(&b[0]);
    m3_device_close(device);
    m3_engine_free(engine[0]); /* the other goes on */
    must_work(&b[1], 4, again);
    assert_memory_equal(again, y[1], sizeof again);
    device = b[1].device;
    stop(&b[1]);
    m3_device_close(device);
    m3_engine_free(engine[1]);
    assert_string_equal(log[1].text, "");
}

static void stores_are_used_while_another_device_runs(void **state)
{
    (void)state;
    static worker w;
    notes log;
    float data[WIDTH], back[WIDTH];
    m3_error err = {0};
    m3_engine *engine = open_engine(&log);
    m3_device *other = open_device(engine, "cpu", NULL, NULL);
    m3_store *store = NULL;
    w = (worker){.rounds = 40, .steps = 5};
    start(&w.bench, open_device(engine, "cpu", NULL, NULL));
    must_work(&w.bench, w.steps, w.want);
    assert_int_equal(m3_store_create(other, 1, &store, &err), M3_OK);
    assert_int_equal(pthread_create(&w.thread, NULL, drive, &w), 0);
    for (int round = 0; round < 200; round++) {
        char name[16];
        (void)snprintf(name, sizeof name, "t%d", round % 20);
        for (int i = 0; i < WIDTH; i++) data[i] = (float)(round * WIDTH + i);
        assert_int_equal(m3_store_write(store, name, M3_F32, &vector, data, &err), M3_OK);
        assert_int_equal(m3_store_read(store, name, back, sizeof back, &err), M3_OK);
        assert_memory_equal(data, back, sizeof back);
        assert_true(m3_device_memory_used(other) >= sizeof data);
    }
    (void)pthread_join(w.thread, NULL);
    if (w.failure[0] != 0) fail_msg("%s", w.failure);
    m3_device *device = w.bench.device;
    stop(&w.bench);
    m3_store_free(store);
    m3_device_close(device);
    m3_device_close(other);
    m3_engine_free(engine);
}

/* Again and again. */

typedef struct requests {
    atomic_size_t count, bytes;
} requests;

static bool count_request(void *user, size_t bytes)
{
    requests *r = user;
    atomic_fetch_add(&r->count, 1);
    atomic_fetch_add(&r->bytes, bytes);
    return true;
}

static uint32_t entries_of(const char *folder)
{
    uint32_t count = 0;
    DIR *list = opendir(folder);
    assert_non_null(list);
    while (readdir(list) != NULL) count++;
    (void)closedir(list);
    return count;
}

/* A thread that was joined is there for a moment still. */
static uint32_t settled_threads(uint32_t wanted)
{
    const struct timespec pause = {0, 10000000};
    uint32_t count = entries_of("/proc/self/task");
    for (int i = 0; i < 3000 && count > wanted; i++) {
        (void)nanosleep(&pause, NULL);
        count = entries_of("/proc/self/task");
    }
    return count;
}

static void open_and_close(const char *name)
{
    notes log;
    bench b;
    float y[WIDTH];
    m3_engine *engine = open_engine(&log);
    m3_device *device = open_device(engine, name, NULL, NULL);
    start(&b, device);
    must_work(&b, 1, y);
    stop(&b);
    assert_int_equal(m3_device_memory_used(device), 0);
    m3_device_close(device);
    m3_engine_free(engine);
}

static void opening_and_closing_leaves_nothing(void **state)
{
    requests first = {0}, later = {0};
    size_t held = 0;
    uint32_t files = 0, threads = 0;
    m3_alloc_set_gate(count_request, &first);
    open_and_close(*state);
    for (int i = 0; i < 100; i++) {
        if (i == 10) { /* whatever the C library keeps, it has by now */
            held = mallinfo2().uordblks;
            files = entries_of("/proc/self/fd");
            threads = entries_of("/proc/self/task");
        }
        later = (requests){0};
        m3_alloc_set_gate(count_request, &later);
        open_and_close(*state);
        assert_int_equal(later.count, first.count);
        assert_int_equal(later.bytes, first.bytes);
    }
    m3_alloc_set_gate(NULL, NULL);
    assert_true(first.count > 100);
    /* The C library counts freed blocks that it keeps at hand as held, so this sees leaks of some hundred bytes a
     * round; valgrind and the address sanitizer see every one. */
    assert_in_range(mallinfo2().uordblks, 0, held + (32u << 10));
    assert_int_equal(entries_of("/proc/self/fd"), files);
    assert_in_range(settled_threads(threads), 0, threads); /* one may have been ending when they were counted */
}

/* Misuse: an error each, and the executable goes on as before. */

typedef struct misused {
    bench *bench;
    m3_device *other;
    m3_store *other_store;
} misused;

static m3_status reads_unknown(misused *m, m3_error *err)
{
    float y[1];
    return m3_store_read(m->bench->store, "nothing", y, sizeof y, err);
}

static m3_status reads_too_little(misused *m, m3_error *err)
{
    float y[WIDTH - 1];
    return m3_store_read(m->bench->store, "state", y, sizeof y, err);
}

static m3_status writes_other_shape(misused *m, m3_error *err)
{
    const float data[2] = {0};
    return m3_store_write(m->bench->store, "state", M3_F32, &pair, data, err);
}

static m3_status writes_other_type(misused *m, m3_error *err)
{
    const int32_t data[WIDTH] = {0};
    return m3_store_write(m->bench->store, "state", M3_I32, &vector, data, err);
}

static m3_status writes_no_type(misused *m, m3_error *err)
{
    return m3_store_write(m->bench->store, "new", (m3_dtype)99, &pair, "two", err);
}

static m3_status writes_too_much(misused *m, m3_error *err)
{
    static const m3_shape wraps = {3, {UINT64_C(1) << 32, UINT64_C(1) << 32, 3}}; /* its bytes are 0 in 64 bits */
    return m3_store_write(m->bench->store, "new", M3_F32, &wraps, "", err);
}

static m3_status mixes_devices(misused *m, m3_error *err)
{
    m3_executable *executable = (m3_executable *)m->bench;
    m3_graph *graph = new_step();
    m3_status st = m3_executable_create(m->bench->device, m->other_store, graph, NULL, &executable, err);
    assert_null(executable);
    m3_graph_free(graph);
    return st;
}

static m3_status falls_back_to_nothing(misused *m, m3_error *err)
{
    m3_executable *executable = NULL;
    m3_device *none = NULL;
    m3_graph *graph = new_step();
    const m3_compile_options options = {.size = sizeof options, .fallbacks = {1, sizeof none, &none}};
    m3_status st = m3_executable_create(m->bench->device, m->bench->store, graph, &options, &executable, err);
    m3_graph_free(graph);
    return st;
}

static m3_status state_of_other_shape(misused *m, m3_error *err)
{
    m3_executable *executable = NULL;
    m3_graph *graph = NULL;
    assert_int_equal(m3_graph_create(NULL, &graph, NULL), M3_OK);
    m3_builder *b = m3_graph_builder(graph);
    m3_graph_output(b, "y", m3_neg(b, m3_graph_state(b, "state", M3_F32, M3_SHAPE(3), (m3_init){0})));
    m3_status st = m3_executable_create(m->bench->device, m->bench->store, graph, NULL, &executable, err);
    m3_graph_free(graph);
    return st;
}

static m3_status opens_unknown_index(misused *m, m3_error *err)
{
    m3_device *device = NULL;
    m3_status st = try_device(m3_device_engine(m->bench->device), "cpu:7", NULL, NULL, &device, err);
    assert_null(device);
    return st;
}

static m3_status opens_with_unknown_option(misused *m, m3_error *err)
{
    m3_device *device = NULL;
    m3_status st = try_device(m3_device_engine(m->bench->device), "cpu", "speed", "high", &device, err);
    assert_null(device);
    return st;
}

static m3_status opens_with_bad_value(misused *m, m3_error *err)
{
    m3_device *device = NULL;
    m3_status st = try_device(m3_device_engine(m->bench->device), "cpu", "fail_after", "soon", &device, err);
    assert_null(device);
    return st;
}

static const struct misuse {
    const char *name;
    m3_status (*call)(misused *m, m3_error *err);
    const char *says;
} misuses[] = {
    {"reading an unknown tensor is refused", reads_unknown, "no tensor of this name"},
    {"reading too few bytes is refused", reads_too_little, "it has 160 bytes, 156 were asked for"},
    {"writing another shape is refused", writes_other_shape, "the store has it as f32 [40], now it is f32 [2]"},
    {"writing another type is refused", writes_other_type, "the store has it as f32 [40], now it is i32 [40]"},
    {"writing an unknown type is refused", writes_no_type, "is no legal tensor"},
    {"writing a shape beyond all memory is refused", writes_too_much, "at most 2^44 elements"},
    {"a store of another device is refused", mixes_devices, "use one device"},
    {"a fallback that is NULL is refused", falls_back_to_nothing, "fallback 0 is NULL"},
    {"a graph with another shape of a state is refused", state_of_other_shape, "they must agree"},
    {"an unknown device is refused", opens_unknown_index, "there are: cpu:0"},
    {"an unknown device option is refused", opens_with_unknown_option, "no such option of backend cpu"},
    {"a bad value of a device option is refused", opens_with_bad_value, "'soon' is no whole number"},
};
enum { MISUSES = sizeof misuses / sizeof misuses[0] };

static void misuse_is_refused_and_survived(void **state)
{
    const struct misuse *row = *state;
    static const char *const names[] = {"reference", "cpu"};
    for (int i = 0; i < 2; i++) {
        notes log;
        bench b;
        float want[WIDTH], y[WIDTH];
        m3_error err = {0};
        m3_engine *engine = open_engine(&log);
        misused m = {&b, open_device(engine, "reference", NULL, NULL), NULL};
        assert_int_equal(m3_store_create(m.other, 1, &m.other_store, NULL), M3_OK);
        start(&b, open_device(engine, names[i], NULL, NULL));
        must_work(&b, 3, want);
        uint64_t memory = m3_device_memory_used(b.device);
        uint32_t tensors = m3_store_count(b.store);
        assert_int_equal(row->call(&m, &err), M3_ERR_INVALID);
        assert_int_equal(err.code, M3_ERR_INVALID);
        if (strstr(err.message, row->says) == NULL) fail_msg("'%s' does not say '%s'", err.message, row->says);
        assert_int_equal(row->call(&m, NULL), M3_ERR_INVALID); /* without a place for the message, too */
        assert_null(m3_executable_input(b.executable, "y", NULL));
        assert_null(m3_executable_output(b.executable, "x", NULL));
        assert_null(m3_executable_output_tensor(b.executable, "nothing"));
        assert_int_equal(m3_store_count(b.store), tensors);
        assert_int_equal(m3_device_memory_used(b.device), memory);
        must_work(&b, 3, y);
        assert_memory_equal(y, want, sizeof y);
        m3_device *device = b.device;
        stop(&b);
        m3_store_free(m.other_store);
        m3_device_close(device);
        m3_device_close(m.other);
        m3_engine_free(engine);
    }
}

/* A device that is lost. */

static m3_status runs(bench *b, m3_error *err)
{
    return m3_executable_run(b->executable, err);
}

static m3_status reads(bench *b, m3_error *err)
{
    float y[WIDTH];
    return m3_store_read(b->store, "state", y, sizeof y, err);
}

static m3_status writes(bench *b, m3_error *err)
{
    const float data[WIDTH] = {0};
    return m3_store_write(b->store, "state", M3_F32, &vector, data, err);
}

static m3_status writes_new(bench *b, m3_error *err)
{
    const float data[WIDTH] = {0};
    return m3_store_write(b->store, "new", M3_F32, &vector, data, err);
}

static m3_status starts_anew(bench *b, m3_error *err)
{
    bench fresh;
    m3_status st = try_bench(&fresh, b->device, NULL, err);
    assert_null(fresh.executable);
    stop(&fresh);
    return st;
}

static m3_status compiles_again(bench *b, m3_error *err)
{
    m3_executable *executable = NULL;
    m3_graph *graph = new_step();
    m3_status st = m3_executable_create(b->device, b->store, graph, NULL, &executable, err);
    assert_null(executable);
    m3_graph_free(graph);
    return st;
}

static void a_lost_device_says_so_and_others_go_on(void **state)
{
    static m3_status (*const calls[])(bench * b, m3_error * err) = {runs,       reads,       writes,
                                                                    writes_new, starts_anew, compiles_again};
    notes log;
    bench lost, fine;
    float want[WIDTH], y[WIDTH];
    m3_error first = {0};
    m3_engine *engine = open_engine(&log);
    m3_device *devices[2] = {open_device(engine, *state, "fail_after", "3"), open_device(engine, *state, NULL, NULL)};
    start(&fine, devices[1]);
    must_work(&fine, 3, want);
    start(&lost, devices[0]);
    must_work(&lost, 3, y);
    assert_memory_equal(y, want, sizeof y);
    uint64_t memory = m3_device_memory_used(devices[0]);
    assert_int_equal(m3_executable_run(lost.executable, &first), M3_ERR_DEVICE_LOST);
    assert_non_null(strstr(first.message, "the device is lost after 3 submits"));
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        m3_error err = {0};
        assert_int_equal(calls[i](&lost, &err), M3_ERR_DEVICE_LOST);
        assert_int_equal(err.code, M3_ERR_DEVICE_LOST);
        assert_string_equal(err.message, first.message);
        assert_int_equal(calls[i](&lost, NULL), M3_ERR_DEVICE_LOST);
    }
    assert_false(m3_store_find(lost.store, "new", NULL));
    assert_true(m3_device_memory_used(devices[0]) <= memory + (2u << 20)); /* a chunk for "new", kept for its next */
    must_work(&fine, 3, y);
    assert_memory_equal(y, want, sizeof y);
    stop(&lost);
    assert_int_equal(m3_device_memory_used(devices[0]), 0);
    m3_device_close(devices[0]);
    must_work(&fine, 3, y);
    assert_memory_equal(y, want, sizeof y);
    start(&lost, devices[0] = open_device(engine, *state, NULL, NULL)); /* opened again, it works again */
    must_work(&lost, 3, y);
    assert_memory_equal(y, want, sizeof y);
    stop(&lost);
    stop(&fine);
    for (int i = 0; i < 2; i++) m3_device_close(devices[i]);
    m3_engine_free(engine);
}

/* Losing the device that a node falls back to loses the run, not the first device. */
static void a_lost_fallback_fails_the_run(void **state)
{
    notes log;
    bench b, alone;
    float y[WIDTH];
    m3_error err = {0};
    m3_engine *engine = open_engine(&log);
    m3_device *device = open_device(engine, *state, "refuse", "tanh");
    m3_device *other = open_device(engine, "reference", "fail_after", "1");
    const m3_compile_options options = {.size = sizeof options, .fallbacks = {1, sizeof other, &other}};
    if (try_bench(&b, device, &options, &err) != M3_OK) fail_msg("%s", err.message);
    must_work(&b, 1, y);
    assert_int_equal(m3_executable_run(b.executable, &err), M3_ERR_DEVICE_LOST);
    assert_non_null(strstr(err.message, "lost after 1 submits"));
    assert_int_equal(m3_store_read(b.store, "state", y, sizeof y, NULL), M3_OK);
    stop(&b);
    m3_device *fresh = open_device(engine, "reference", NULL, NULL);
    const m3_compile_options mended = {.size = sizeof mended, .fallbacks = {1, sizeof fresh, &fresh}};
    if (try_bench(&alone, device, &mended, &err) != M3_OK) fail_msg("%s", err.message);
    must_work(&alone, 1, y);
    stop(&alone);
    m3_device_close(fresh);
    m3_device_close(other);
    m3_device_close(device);
    m3_engine_free(engine);
}

/* Fallbacks. */

static const struct fallback {
    const char *name, *device, *refuse;
    bool strict, other;
    m3_status want;
    const char *says; /* in the log when it works, else in the error */
} fallbacks[] = {
    {"the reference gives a refused node away", "reference", "tanh", false, true, M3_OK, "tanh"},
    {"the cpu gives a refused node away", "cpu", "tanh", false, true, M3_OK, "refused by the option refuse=tanh"},
    {"strict keeps what nobody refuses", "cpu", "gru_cell", true, true, M3_OK, ""},
    {"strict makes a refusal an error", "cpu", "tanh", true, true, M3_ERR_UNSUPPORTED,
     "strict allows no fallback to another device"},
    {"strict makes it one on the reference", "reference", "matmul", true, true, M3_ERR_UNSUPPORTED,
     "refused by the option refuse=matmul"},
    {"nobody to give it to is an error", "cpu", "tanh", false, false, M3_ERR_UNSUPPORTED,
     "give another device to fall back to"},
};
enum { FALLBACKS = sizeof fallbacks / sizeof fallbacks[0] };

static void fallback_is_as_asked(void **state)
{
    const struct fallback *row = *state;
    notes log;
    bench b, whole;
    float y[WIDTH], want[WIDTH];
    m3_error err = {0};
    m3_engine *engine = open_engine(&log);
    m3_device *device = open_device(engine, row->device, "refuse", row->refuse);
    m3_device *other = open_device(engine, "reference", NULL, NULL);
    m3_compile_options options = {.size = sizeof options, .strict = row->strict};
    if (row->other) options.fallbacks = (m3_span){1, sizeof other, &other};
    assert_int_equal(try_bench(&b, device, &options, &err), row->want);
    const char *said = row->want == M3_OK ? log.text : err.message;
    if (strstr(said, row->says) == NULL) fail_msg("'%s' does not say '%s'", said, row->says);
    if (row->want == M3_OK) {
        m3_executable_stats stats = {.size = sizeof stats};
        m3_executable_get_stats(b.executable, &stats);
        assert_int_equal(stats.fallback_nodes, row->says[0] != 0);
        start(&whole, other);
        must_work(&whole, 3, want);
        must_work(&b, 3, y);
        for (int i = 0; i < WIDTH; i++) assert_true(fabsf(y[i] - want[i]) <= 1e-4F);
        stop(&whole);
    }
    stop(&b);
    assert_int_equal(m3_device_memory_used(device), 0);
    assert_int_equal(m3_device_memory_used(other), 0);
    m3_device_close(other);
    m3_device_close(device);
    m3_engine_free(engine);
}

int main(void)
{
    struct CMUnitTest tests[2 * PAIRS + MISUSES + FALLBACKS + 8] = {
        cmocka_unit_test(two_engines_in_one_thread_are_apart),
        cmocka_unit_test(stores_are_used_while_another_device_runs),
        {"opening and closing the cpu leaves nothing", opening_and_closing_leaves_nothing, NULL, NULL, (void *)"cpu"},
        {"opening and closing the reference leaves nothing", opening_and_closing_leaves_nothing, NULL, NULL,
         (void *)"reference"},
        {"a lost cpu says so and others go on", a_lost_device_says_so_and_others_go_on, NULL, NULL, (void *)"cpu"},
        {"a lost reference says so and others go on", a_lost_device_says_so_and_others_go_on, NULL, NULL,
         (void *)"reference"},
        {"a lost fallback of the cpu fails the run", a_lost_fallback_fails_the_run, NULL, NULL, (void *)"cpu"},
        {"a lost fallback of the reference fails the run", a_lost_fallback_fails_the_run, NULL, NULL,
         (void *)"reference"},
    };
    static char names[PAIRS][96];
    size_t count = 8;
    for (size_t i = 0; i < PAIRS; i++) {
        (void)snprintf(names[i], sizeof names[i], "engines of their own: %s", pairs[i].name);
        tests[count++] =
            (struct CMUnitTest){pairs[i].name, devices_do_not_disturb_each_other, NULL, NULL, (void *)&pairs[i]};
        tests[count++] =
            (struct CMUnitTest){names[i], engines_do_not_disturb_each_other, NULL, NULL, (void *)&pairs[i]};
    }
    for (size_t i = 0; i < MISUSES; i++)
        tests[count++] =
            (struct CMUnitTest){misuses[i].name, misuse_is_refused_and_survived, NULL, NULL, (void *)&misuses[i]};
    for (size_t i = 0; i < FALLBACKS; i++)
        tests[count++] =
            (struct CMUnitTest){fallbacks[i].name, fallback_is_as_asked, NULL, NULL, (void *)&fallbacks[i]};
    return _cmocka_run_group_tests("system", tests, count, NULL, NULL);
}
