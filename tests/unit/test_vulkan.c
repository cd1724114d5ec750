/* What the Vulkan backend does beyond the interface's duties: barriers, staging, memory, its cache on disk, kernels in
 * SPIR-V. Every device here runs under the validation layer, and any of its messages is a failure; a device without
 * the layer is one too. Skipped where no device is listed.   Labels: vulkan */
#include "m3bsr/builder.h"
#include "tests/support/backend_rig.h"
#include "tests/support/twice_spirv.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_NODES = 32, ELEMENTS = 1000, SKIPPED = 77 };

static long errors; /* lines that the log took as such */

static void count_errors(void *user, m3_log_level level, const char *line)
{
    (void)user;
    errors += level == M3_LOG_ERROR;
    if (level == M3_LOG_ERROR) print_message("%s\n", line);
}

static m3_status try_open(rig *r, const m3_option *options, uint32_t count, m3_error *err)
{
    m3_option all[4] = {{"validate", "yes"}};
    for (uint32_t i = 0; i < count; i++) all[i + 1] = options[i];
    const m3_status st = rig_open(r, "vulkan", 2, all, count + 1, err);
    r->host.log = count_errors;
    errors = 0;
    return st;
}

/* The layer also tells of what is left over when the device is closed. */
static void close_clean(rig *r)
{
    rig_close(r);
    assert_int_equal(errors, 0);
}

static void open_with(rig *r, const char *key, const char *value)
{
    m3_error err = {0};
    const m3_option option = {key, value};
    if (try_open(r, &option, key != NULL, &err) != M3_OK) fail_msg("%s", err.message);
}

static m3_buffer *make_buffer(rig *r, uint64_t bytes)
{
    m3_buffer *buffer = NULL;
    m3_error err = {0};
    const uint32_t usage = M3_BUFFER_DEVICE | M3_BUFFER_UPLOAD | M3_BUFFER_DOWNLOAD;
    if (r->api->buffer_create(r->device, bytes, usage, &buffer, &err) != M3_OK) fail_msg("%s", err.message);
    return buffer;
}

/* Programs of additions: "abc" is c = a + b, each a letter's tensor of its own. */

typedef struct sums {
    m3_tensor tensor[26];
    m3_tensor *in[MOST_NODES][2], *out[MOST_NODES][1];
    m3_node node[MOST_NODES];
    const m3_node *nodes[MOST_NODES];
    m3_place place[26];
    m3_segment segment;
    m3_program program;
} sums;

static void make_sums(sums *s, const char *words)
{
    const uint64_t stride = (ELEMENTS * sizeof(float) + 255) / 256 * 256;
    uint32_t count = 0;
    *s = (sums){.segment = {M3_SEGMENT_STORE, 26 * stride}};
    for (uint32_t i = 0; i < 26; i++) {
        s->tensor[i] =
            (m3_tensor){.size = sizeof s->tensor[i], .id = i, .kind = M3_TEMPORARY, .dtype = M3_F32, .name = ""};
        s->tensor[i].shape = (m3_shape){1, {ELEMENTS}};
        s->place[i] = (m3_place){0, i * stride};
    }
    for (; *words != 0; words += words[3] == ' ' ? 4 : 3, count++) {
        assert_true(count < MOST_NODES);
        s->in[count][0] = &s->tensor[words[0] - 'a'];
        s->in[count][1] = &s->tensor[words[1] - 'a'];
        s->out[count][0] = &s->tensor[words[2] - 'a'];
        s->node[count] = (m3_node){.size = sizeof s->node[0], .id = count, .op = m3_op_find("add"), .scope = "test"};
        s->node[count].in_count = 2;
        s->node[count].in = s->in[count];
        s->node[count].out_count = 1;
        s->node[count].out = s->out[count];
        s->nodes[count] = &s->node[count];
    }
    s->program = (m3_program){sizeof s->program, "sums", count, s->nodes, 26, s->place, 1, &s->segment};
}

/* Run with tensor i full of i + 1, and compare every tensor with what the words say. */
static m3_status run_sums(rig *r, const char *words, char *text, size_t bytes, m3_error *err)
{
    sums s;
    m3_exec_impl *exec = NULL;
    uint64_t value = 0;
    float want[26];
    make_sums(&s, words);
    float *image = calloc(1, s.segment.bytes);
    assert_non_null(image);
    for (uint32_t i = 0; i < 26; i++) {
        want[i] = (float)(i + 1);
        for (uint32_t k = 0; k < ELEMENTS; k++) image[s.place[i].offset / sizeof(float) + k] = want[i];
    }
    for (uint32_t i = 0; i < s.program.node_count; i++)
        want[s.out[i][0]->id] = want[s.in[i][0]->id] + want[s.in[i][1]->id];
    m3_buffer *buffer = make_buffer(r, s.segment.bytes);
    m3_status st = r->api->upload(r->device, buffer, 0, image, s.segment.bytes, &value, err);
    if (st == M3_OK) st = r->api->compile(r->device, &s.program, &buffer, &exec, err);
    if (st == M3_OK) r->api->describe(r->device, exec, text, bytes);
    if (st == M3_OK) st = r->api->submit(r->device, exec, &value, err);
    if (st == M3_OK) st = r->api->download(r->device, buffer, 0, image, s.segment.bytes, &value, err);
    if (st == M3_OK) st = r->api->wait(r->device, value, UINT64_MAX, err);
    for (uint32_t i = 0; i < 26 && st == M3_OK; i++)
        for (uint32_t k = 0; k < ELEMENTS; k++) assert_true(image[s.place[i].offset / sizeof(float) + k] == want[i]);
    r->api->exec_free(r->device, exec);
    r->api->buffer_free(r->device, buffer);
    free(image);
    return st;
}

typedef struct row {
    const char *name, *words, *says;
} row;

/* One barrier stands before the first dispatch, and one after the last for the host. */
static const row rows[] = {
    {"independent nodes need no barrier between them", "abc abd abe", "3 dispatches, 2 barriers, 1 submission"},
    {"a node that reads another's output waits for it", "abc bcd", "2 dispatches, 3 barriers, 1 submission"},
    {"side by side chains share their barriers", "abc abd cae daf efg", "5 dispatches, 4 barriers, 1 submission"},
    {"a node that overwrites what another reads waits", "abc dea", "2 dispatches, 3 barriers, 1 submission"},
    {"two nodes with one target keep their order", "abc dec", "2 dispatches, 3 barriers, 1 submission"},
    {"in place, over and over", "aba aba aba aba", "4 dispatches, 5 barriers, 1 submission"},
    {"an empty program is a run too", "", "0 dispatches, 2 barriers, 1 submission"},
};

static void barriers_follow_the_memory(void **state)
{
    const row *at = *state;
    rig r;
    m3_error err = {0};
    char text[128] = {0};
    open_with(&r, NULL, NULL);
    if (run_sums(&r, at->words, text, sizeof text, &err) != M3_OK) fail_msg("%s", err.message);
    m3_device_limits limits = {.size = M3_STRUCT_SIZE(m3_device_limits, coherent)};
    assert_int_equal(r.api->limits(r.device, &limits, &err), M3_OK);
    if (limits.unified) assert_string_equal(text, at->says);
    close_clean(&r);
}

static void a_missing_barrier_is_caught(void **state)
{
    (void)state;
    char text[128];
    for (int number = 0; number < 3; number++) {
        rig r;
        m3_error err = {0};
        char value[16];
        (void)snprintf(value, sizeof value, "%d", number);
        open_with(&r, "drop_barrier", value);
        const m3_status st = run_sums(&r, "abc bcd dce", text, sizeof text, &err);
        assert_int_equal(st, number < 2 ? M3_ERR_INTERNAL : M3_OK); /* there are two */
        if (number < 2) assert_non_null(strstr(err.message, "SYNC-HAZARD"));
        if (number < 2) assert_int_equal(r.api->wait(r.device, 0, 0, NULL), M3_ERR_INTERNAL); /* it sticks */
        rig_close(&r);
    }
}

/* Copies. */

static void fill(unsigned char *bytes, size_t count, uint32_t seed)
{
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(seed >> 24);
    }
}

static void copies_of(const char *timeline)
{
    enum { BYTES = (18 << 20) + 7, AT = 13 };
    rig r;
    m3_error err = {0};
    uint64_t up = 0, down = 0;
    const m3_option options[] = {{"staging", "on"}, {"timeline", timeline}};
    unsigned char *from = malloc(BYTES), *to = calloc(BYTES, 1), ends[2][AT];
    assert_true(from != NULL && to != NULL);
    fill(from, BYTES, 1);
    if (try_open(&r, options, 2, &err) != M3_OK) fail_msg("%s", err.message);
    m3_buffer *b = make_buffer(&r, BYTES + 2 * AT);
    memset(ends, 0x5a, sizeof ends);
    assert_int_equal(r.api->upload(r.device, b, 0, ends[0], AT, &up, &err), M3_OK);
    assert_int_equal(r.api->upload(r.device, b, AT + BYTES, ends[1], AT, &up, &err), M3_OK);
    assert_int_equal(r.api->upload(r.device, b, AT, from, BYTES, &up, &err), M3_OK);
    memset(ends, 0, sizeof ends);
    assert_int_equal(r.api->download(r.device, b, AT, to, BYTES, &down, &err), M3_OK);
    assert_true(down > up);
    assert_int_equal(r.api->download(r.device, b, 0, ends[0], AT, &down, &err), M3_OK);
    assert_int_equal(r.api->download(r.device, b, AT + BYTES, ends[1], AT, &down, &err), M3_OK);
    assert_int_equal(r.api->wait(r.device, down, UINT64_MAX, &err), M3_OK);
    assert_memory_equal(from, to, BYTES);
    for (int i = 0; i < AT; i++) assert_true(ends[0][i] == 0x5a && ends[1][i] == 0x5a);
    char text[128];
    if (run_sums(&r, "abc bcd cde", text, sizeof text, &err) != M3_OK) fail_msg("%s", err.message);
    r.api->buffer_free(r.device, b);
    close_clean(&r);
    free(from);
    free(to);
}

static void copies_longer_than_the_ring_arrive(void **state)
{
    (void)state;
    copies_of("on");
    copies_of("off");
}

/* A run, a download, and a run that writes what is downloaded. */
static void download_between_runs(const char *timeline)
{
    enum { MICROSECONDS = 100000 };
    rig r;
    sums s;
    m3_error err = {0};
    m3_exec_impl *exec = NULL;
    uint64_t value = 0;
    float a[ELEMENTS], *image;
    open_with(&r, "timeline", timeline);
    make_sums(&s, "aba");
    image = malloc(s.segment.bytes);
    assert_non_null(image);
    for (size_t i = 0; i < s.segment.bytes / sizeof *image; i++) image[i] = 1;
    m3_buffer *buffer = make_buffer(&r, s.segment.bytes);
    assert_int_equal(r.api->upload(r.device, buffer, 0, image, s.segment.bytes, &value, &err), M3_OK);
    assert_int_equal(r.api->compile(r.device, &s.program, &buffer, &exec, &err), M3_OK);
    assert_int_equal(r.api->submit(r.device, exec, &value, &err), M3_OK);
    assert_int_equal(r.api->download(r.device, buffer, s.place[0].offset, a, sizeof a, &value, &err), M3_OK);
    assert_int_equal(r.api->submit(r.device, exec, &value, &err), M3_OK);
    assert_int_equal(usleep(MICROSECONDS), 0); /* the second run could end before anyone waits */
    assert_int_equal(r.api->wait(r.device, value, UINT64_MAX, &err), M3_OK);
    for (uint32_t i = 0; i < ELEMENTS; i++) assert_true(a[i] == 2);
    r.api->exec_free(r.device, exec);
    r.api->buffer_free(r.device, buffer);
    close_clean(&r);
    free(image);
}

static void a_later_run_waits_for_a_download(void **state)
{
    (void)state;
    download_between_runs("on");
    download_between_runs("off");
}

static void fences_do_what_semaphores_do(void **state)
{
    rig r;
    m3_error err = {0};
    char text[128];
    (void)state;
    open_with(&r, "timeline", "off");
    for (int i = 0; i < 40; i++) /* more than are in flight at once */
        if (run_sums(&r, "abc bcd cde", text, sizeof text, &err) != M3_OK) fail_msg("%s", err.message);
    close_clean(&r);
}

/* Times. */

static void run_once(rig *r, m3_exec_impl *exec)
{
    m3_error err = {0};
    uint64_t value = 0;
    m3_status st = r->api->submit(r->device, exec, &value, &err);
    if (st == M3_OK) st = r->api->wait(r->device, value, UINT64_MAX, &err);
    if (st != M3_OK) fail_msg("%s", err.message);
}

/* A device that keeps no times says so, and is done. */
static void a_run_without_times_has_zeros(void **state)
{
    rig r;
    sums s;
    m3_error err = {0};
    m3_exec_impl *exec = NULL;
    uint64_t times[2] = {1, 1};
    (void)state;
    open_with(&r, NULL, NULL);
    make_sums(&s, "abc bcd");
    m3_buffer *buffer = make_buffer(&r, s.segment.bytes);
    assert_int_equal(r.api->compile(r.device, &s.program, &buffer, &exec, &err), M3_OK);
    const bool keeps = r.api->profile(r.device, exec, true, &err) == M3_OK;
    assert_int_equal(r.api->profile(r.device, exec, false, &err), M3_OK);
    for (int round = 0; round < 2 && keeps; round++) {
        run_once(&r, exec);
        assert_int_equal(r.api->profile(r.device, exec, true, &err), M3_OK);
        times[0] = times[1] = 1;
        if (r.api->node_times(r.device, exec, times, 2, &err) != M3_OK) fail_msg("%s", err.message);
        assert_true(times[0] == 0 && times[1] == 0);
        run_once(&r, exec);
        if (r.api->node_times(r.device, exec, times, 2, &err) != M3_OK) fail_msg("%s", err.message);
        assert_true(times[0] > 0 && times[1] > 0);
        assert_int_equal(r.api->profile(r.device, exec, false, &err), M3_OK);
    }
    assert_int_equal(r.api->wait(r.device, 0, 0, &err), M3_OK); /* the layer had nothing to say */
    r.api->exec_free(r.device, exec);
    r.api->buffer_free(r.device, buffer);
    close_clean(&r);
}

/* Memory. */

static void buffers_share_memory_and_keep_apart(void **state)
{
    enum { COUNT = 60 };
    rig r;
    m3_error err = {0};
    uint64_t value = 0, total = 0;
    m3_buffer *buffer[COUNT];
    unsigned char bytes[5000], got[5000];
    (void)state;
    open_with(&r, NULL, NULL);
    const uint64_t before = r.api->memory_used(r.device);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = (uint32_t)round; i < COUNT; i += 1u + (uint32_t)round) { /* the second time every other one */
            const uint64_t size = 1 + i * 83;
            buffer[i] = make_buffer(&r, size);
            total += size;
            fill(bytes, size, i + 1);
            assert_int_equal(r.api->upload(r.device, buffer[i], 0, bytes, size, &value, &err), M3_OK);
        }
        assert_int_equal(r.api->memory_used(r.device), before + total);
        for (uint32_t i = 0; i < COUNT; i++) {
            const uint64_t size = 1 + i * 83;
            fill(bytes, size, i + 1);
            assert_int_equal(r.api->download(r.device, buffer[i], 0, got, size, &value, &err), M3_OK);
            assert_int_equal(r.api->wait(r.device, value, UINT64_MAX, &err), M3_OK);
            assert_memory_equal(got, bytes, size);
            if (round == 1 || i % 2 == 1) r.api->buffer_free(r.device, buffer[i]);
            if (round == 1 || i % 2 == 1) total -= size;
        }
    }
    assert_int_equal(r.api->memory_used(r.device), before);
    close_clean(&r);
}

static void a_buffer_that_is_too_large_names_both_figures(void **state)
{
    rig r;
    m3_error err = {0};
    m3_buffer *b = NULL;
    (void)state;
    open_with(&r, "largest_buffer", "1000000");
    const m3_status st = r.api->buffer_create(r.device, 1000001, M3_BUFFER_DEVICE, &b, &err);
    assert_int_equal(st, M3_ERR_MEMORY);
    assert_non_null(strstr(err.message, "1000001 bytes were asked, the largest buffer is 1000000"));
    b = make_buffer(&r, 1000000);
    r.api->buffer_free(r.device, b);
    close_clean(&r);
}

/* Cache. */

static void find_cache(const char *folder, char path[512])
{
    uint32_t files = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, "key") == 0) continue;
        (void)snprintf(path, 512, "%s/%s", folder, entry->d_name);
        files++;
    }
    (void)closedir(dir);
    assert_int_equal(files, 1); /* no temporary one is left */
}

static size_t read_all(const char *path, unsigned char *bytes, size_t room)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    const size_t count = fread(bytes, 1, room, file);
    (void)fclose(file);
    return count;
}

static void write_all(const char *path, const unsigned char *bytes, size_t count)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

static long taken, damaged; /* files of which the log says so */

static void count_files(void *user, m3_log_level level, const char *line)
{
    count_errors(user, level, line);
    taken += strstr(line, " bytes of compiled pipelines taken from ") != NULL;
    damaged += strstr(line, " is damaged, or of another user, name or folder; made anew") != NULL;
}

/* A second device of the rig's backend, whose host has the folder, compiles and writes; a third one only looks. How
 * many of the two may take the file, and how many find it damaged? */
static void work_with_cache(rig *r, const char *folder, long takes, long finds_damaged)
{
    m3_error err = {0};
    char text[128];
    r->host.log = count_files;
    taken = damaged = 0;
    r->api->device_close(r->device);
    r->device = NULL;
    r->host.cache_path = folder;
    if (r->api->device_open(r->backend, 0, (m3_span){0}, &r->device, &err) != M3_OK) fail_msg("%s", err.message);
    if (run_sums(r, "abc bcd", text, sizeof text, &err) != M3_OK) fail_msg("%s", err.message);
    assert_true(taken == takes - 1 && damaged == finds_damaged);
    r->api->device_close(r->device);
    if (r->api->device_open(r->backend, 0, (m3_span){0}, &r->device, &err) != M3_OK) fail_msg("%s", err.message);
    assert_true(taken == takes && damaged == finds_damaged);
}

static ino_t number_of(const char *path)
{
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    return about.st_ino;
}

static void a_damaged_cache_is_made_anew(void **state)
{
    enum { ROOM = 1 << 20 };
    char folder[] = "/tmp/m3bsr-vulkan-XXXXXX", path[512];
    unsigned char *good = malloc(ROOM), *bad = malloc(ROOM);
    rig r;
    (void)state;
    assert_true(good != NULL && bad != NULL);
    assert_non_null(mkdtemp(folder));
    open_with(&r, NULL, NULL);
    work_with_cache(&r, folder, 1, 0);
    find_cache(folder, path);
    const size_t bytes = read_all(path, good, ROOM);
    assert_true(bytes > 32 && bytes < ROOM);
    const ino_t file = number_of(path);
    work_with_cache(&r, folder, 2, 0);
    if (read_all(path, bad, ROOM) == bytes && memcmp(bad, good, bytes) == 0)
        assert_true(number_of(path) == file); /* there was nothing to add */
    for (size_t at = 0; at < bytes; at += at < 40 ? 1 : 997) {
        memcpy(bad, good, bytes);
        bad[at] ^= 0x40;
        write_all(path, bad, bytes);
        work_with_cache(&r, folder, 1, 1);
        assert_int_equal(read_all(path, bad, ROOM), bytes);
        assert_memory_equal(bad, good, 16); /* magic */
    }
    for (size_t cut = 0; cut < bytes; cut += 1 + cut) {
        write_all(path, good, cut);
        work_with_cache(&r, folder, 1, 1);
        assert_int_equal(read_all(path, bad, ROOM), bytes);
    }
    close_clean(&r);
    assert_int_equal(unlink(path), 0);
    (void)snprintf(path, sizeof path, "%s/key", folder);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
    free(good);
    free(bad);
}

/* Custom ops. */

static m3_status infer_twice(const m3_node *node, m3_tensor_desc *out, m3_error *err)
{
    (void)err;
    *out = (m3_tensor_desc){node->in[0]->dtype, node->in[0]->shape};
    return M3_OK;
}

static m3_op twice_of(const m3_kernel_desc *desc, uint32_t count)
{
    return (m3_op){.size = M3_STRUCT_SIZE(m3_op, zero_gradient),
                   .name = "test.twice",
                   .min_inputs = 1,
                   .max_inputs = 1,
                   .outputs = 1,
                   .infer = infer_twice,
                   .kernels = {count, sizeof *desc, desc}};
}

static void a_kernel_in_spirv_runs(void **state)
{
    (void)state;
    const m3_kernel_desc desc[] = {{.size = sizeof desc[0], .language = "opencl-c", .code = "wrong"},
                                   {.size = sizeof desc[0],
                                    .language = "spirv",
                                    .code = twice_spirv,
                                    .code_bytes = sizeof twice_spirv,
                                    .entry = "main"}};
    const m3_op op = twice_of(desc, 2);
    rig r;
    rig_node n;
    m3_error err = {0};
    float x[301], want[301];
    void *data[1] = {x}, *result = NULL;
    for (int i = 0; i < 301; i++) x[i] = (float)i - 150, want[i] = 2 * x[i];
    open_with(&r, NULL, NULL);
    assert_int_equal(rig_node_make(&n, &op, "f32[7,43]", "", &err), M3_OK);
    if (rig_run(&r, &n, data, 0xff, -1, &result, &err) != M3_OK) fail_msg("%s", err.message);
    assert_memory_equal(result, want, sizeof want);
    free(result);
    close_clean(&r);
}

/* The sizes are beyond every device of today by one axis, and by all of them together. */
static void a_group_that_is_too_large_names_both_figures(void **state)
{
    (void)state;
    const struct {
        uint32_t local[3];
        const char *says;
    } bad[] = {{{1, 1, 1 << 20}, "1048576 work-items along z, the device takes "},
               {{1, 1 << 20, 1}, "1048576 work-items along y, the device takes "},
               {{64, 64, 64}, "64 x 64 x 64 work-items, the device takes "}};
    rig r;
    open_with(&r, NULL, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        rig_node n;
        m3_error err = {0};
        m3_kernel_desc desc = {.size = sizeof desc, .language = "spirv", .code = twice_spirv, .entry = "main"};
        desc.code_bytes = sizeof twice_spirv;
        memcpy(desc.local, bad[i].local, sizeof desc.local);
        const m3_op op = twice_of(&desc, 1);
        assert_int_equal(rig_node_make(&n, &op, "f32[7,43]", "", &err), M3_OK);
        assert_int_equal(r.api->supports(r.device, &n.node, &err), M3_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.message, bad[i].says));
    }
    close_clean(&r);
}

static void options_are_named(void **state)
{
    (void)state;
    const struct {
        m3_option option;
        const char *says;
    } bad[] = {{{"colour", "red"}, "drop_barrier"},
               {{"timeline", "maybe"}, "is 'maybe'; give true"},
               {{"drop_barrier", "x"}, "'x' is no whole number"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        rig r;
        m3_error err = {0};
        assert_int_equal(try_open(&r, &bad[i].option, 1, &err), M3_ERR_INVALID);
        assert_non_null(strstr(err.message, bad[i].says));
        close_clean(&r);
    }
}

/* 0: a device and the layer are there; SKIPPED: no device; 1: a device without the layer, which would hide much. */
static int look(void)
{
    rig r;
    m3_error err = {0};
    const m3_option with = {"validate", "yes"}, without = {"validate", "no"};
    if (access(M3BSR_BUILD_PLUGIN_DIR "/m3bsr_backend_vulkan.so", R_OK) != 0) return SKIPPED; /* not built here */
    const bool validated = rig_open(&r, "vulkan", 1, &with, 1, &err) == M3_OK;
    rig_close(&r);
    if (validated) return 0;
    (void)printf("%s\n", err.message);
    const bool there = rig_open(&r, "vulkan", 1, &without, 1, &(m3_error){0}) == M3_OK;
    rig_close(&r);
    return there ? 1 : SKIPPED;
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof rows[0] };
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(a_missing_barrier_is_caught),
        cmocka_unit_test(copies_longer_than_the_ring_arrive),
        cmocka_unit_test(a_later_run_waits_for_a_download),
        cmocka_unit_test(fences_do_what_semaphores_do),
        cmocka_unit_test(a_run_without_times_has_zeros),
        cmocka_unit_test(buffers_share_memory_and_keep_apart),
        cmocka_unit_test(a_buffer_that_is_too_large_names_both_figures),
        cmocka_unit_test(a_damaged_cache_is_made_anew),
        cmocka_unit_test(a_kernel_in_spirv_runs),
        cmocka_unit_test(a_group_that_is_too_large_names_both_figures),
        cmocka_unit_test(options_are_named),
    };
    enum { OTHERS = sizeof others / sizeof others[0] };
    struct CMUnitTest tests[ROWS + OTHERS];
    const int missing = look();
    if (missing != 0) return missing;
    for (size_t i = 0; i < ROWS; i++)
        tests[i] =
            (struct CMUnitTest){rows[i].name, barriers_follow_the_memory, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    memcpy(&tests[ROWS], others, sizeof others);
    return _cmocka_run_group_tests("vulkan", tests, ROWS + OTHERS, NULL, NULL);
}
