/* Measured choices of the kernels that OpenCL and Vulkan share: the file that keeps them, the measurement, and that a
 * product is lowered by the variant that was chosen, within what a device allows. No device is needed. */
#include "backends/lowering/program.h"
#include "backends/lowering/tune.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A host that counts warnings. */
typedef struct counters {
    int warnings;
} counters;

static void log_line(void *user, m3_log_level level, const char *line)
{
    counters *c = user;
    (void)line;
    if (level == M3_LOG_WARN) c->warnings++;
}

static void *allocate(void *user, size_t count, size_t size)
{
    (void)user;
    return calloc(count, size);
}

static void release(void *user, void *block)
{
    (void)user;
    free(block);
}

static m3_host host_of(counters *c)
{
    return (m3_host){.size = sizeof(m3_host), .user = c, .log = log_line, .allocate = allocate, .release = release};
}

static const lower_traits processor = {.kind = LOWER_PROCESSOR,
                                       .lanes = 1,
                                       .vector = 16,
                                       .group = 16,
                                       .largest_group = 4096,
                                       .largest_count = {1 << 20, 1 << 20, 65535},
                                       .units = 2,
                                       .local_bytes = 2 << 20,
                                       .largest_binding = 1 << 30};
static const lower_traits smallest = {.kind = LOWER_PROCESSOR,
                                      .lanes = 1,
                                      .vector = 4,
                                      .group = 16,
                                      .largest_group = 64,
                                      .largest_count = {65535, 65535, 65535},
                                      .units = 1,
                                      .local_bytes = 16 << 10,
                                      .largest_binding = 128 << 20};
static const lower_traits card = {.lanes = 32,
                                  .vector = 1,
                                  .group = 256,
                                  .largest_group = 256,
                                  .largest_count = {65535, 65535, 65535},
                                  .units = 80,
                                  .local_bytes = 48 << 10,
                                  .largest_binding = 1 << 30};
static const lower_traits least_card = {.lanes = 32,
                                        .vector = 1,
                                        .group = 64,
                                        .largest_group = 64,
                                        .largest_count = {65535, 65535, 65535},
                                        .units = 2,
                                        .local_bytes = 16 << 10,
                                        .largest_binding = 128 << 20};

/* A program of one product, linear(x [g, m, k], w [g, k, n]); no group where g is 0. */
typedef struct product {
    m3_tensor tensor[3];
    m3_tensor *in[2], *out[1];
    m3_attr attr[3];
    m3_node node;
    const m3_node *nodes[1];
    m3_place places[3];
    m3_segment segment;
    m3_program program;
} product;

static const m3_op linear = {.size = sizeof(m3_op), .name = "linear"};

static m3_shape matrix(uint64_t g, uint64_t rows, uint64_t columns)
{
    return g > 0 ? (m3_shape){3, {g, rows, columns}} : (m3_shape){2, {rows, columns}};
}

static void product_init(product *p, bool ta, bool tb, uint64_t g, uint64_t m, uint64_t n, uint64_t k)
{
    *p = (product){.node = {.size = sizeof(m3_node), .op = &linear, .scope = "", .in_count = 2, .out_count = 1}};
    const m3_shape shape[3] = {ta ? matrix(g, k, m) : matrix(g, m, k), tb ? matrix(g, n, k) : matrix(g, k, n),
                               matrix(g, m, n)};
    p->segment = (m3_segment){M3_SEGMENT_SCRATCH, 0};
    for (uint32_t i = 0; i < 3; i++) {
        p->tensor[i] = (m3_tensor){.size = sizeof(m3_tensor), .id = i, .dtype = M3_F32, .shape = shape[i]};
        p->places[i] = (m3_place){0, p->segment.bytes};
        p->segment.bytes += (m3_tensor_bytes(&p->tensor[i]) + 255) / 256 * 256;
    }
    p->in[0] = &p->tensor[0];
    p->in[1] = &p->tensor[1];
    p->out[0] = &p->tensor[2];
    p->attr[0].i[0] = ta;
    p->attr[1].i[0] = tb;
    p->node.in = p->in;
    p->node.out = p->out;
    p->node.attr = p->attr;
    p->nodes[0] = &p->node;
    p->program = (m3_program){.size = sizeof(m3_program),
                              .name = "test",
                              .node_count = 1,
                              .nodes = p->nodes,
                              .tensor_count = 3,
                              .places = p->places,
                              .segment_count = 1,
                              .segments = &p->segment};
}

/* The file. */

#define HEAD "m3bsr tuning 1 a device, a driver\n"

static const struct file {
    const char *name, *text;
    const char *variant; /* of class c, NULL: not known */
    int warnings;
} files[] = {
    {"a line gives a class its variant", HEAD "c rows8 12.5\n", "rows8", 0},
    {"the later of two lines counts", HEAD "c rows8 12.5\nc rows12 11\n", "rows12", 0},
    {"a file of nothing but its first line is empty", HEAD, NULL, 0},
    {"a file without a first line is not used", "\n", NULL, 1},
    {"a file of another device is not used", "m3bsr tuning 1 another device\nc rows8 1\n", NULL, 1},
    {"a file of another version is not used", "m3bsr tuning 2 a device, a driver\nc rows8 1\n", NULL, 1},
    {"a line without a time is left out", HEAD "c rows8\n", NULL, 1},
    {"a line with more words is left out", HEAD "c rows8 1 2\n", NULL, 1},
    {"a time below zero is left out", HEAD "c rows8 -1\n", NULL, 1},
    {"a time that is no number is left out", HEAD "c rows8 nan\n", NULL, 1},
    {"a line that was cut off is left out", HEAD "b rows8 1\nc rows8 12.", NULL, 1},
    {"a damaged line does not hide the next", HEAD "\x01\xff\nc rows8 3\n", "rows8", 1},
    {"a variant longer than any is left out", HEAD "c rows8888888888888888888888888888888888888 1\n", NULL, 1},
};

/* A folder of its own for a test, and its cache. */
typedef struct shelf {
    char folder[40];
    counters c;
    m3_host host;
    lower_cache *files;
} shelf;

static void shelf_open(shelf *k)
{
    m3_error err = {0};
    *k = (shelf){.folder = "/tmp/m3bsr-tuning-XXXXXX"};
    k->host = host_of(&k->c);
    k->host.cache_path = mkdtemp(k->folder);
    assert_int_equal(lower_cache_open(&k->host, &k->files, &err), M3_OK);
    assert_non_null(k->files);
}

/* Nothing but these files was left. */
static void shelf_close(shelf *k, const char *const *names)
{
    char path[512];
    lower_cache_close(k->files);
    for (; *names != NULL; names++) {
        (void)snprintf(path, sizeof path, "%s/%s", k->folder, *names);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(k->folder), 0);
}

static void reads_a_file(void **state)
{
    const struct file *row = *state;
    shelf k;
    m3_error err = {0};
    lower_tuning *t = NULL;
    shelf_open(&k);
    assert_true(lower_cache_write(k.files, "t", row->text, strlen(row->text)));
    assert_int_equal(lower_tuning_create(&k.host, "a device, a driver", &t, &err), M3_OK);
    assert_int_equal(lower_tuning_load(t, k.files, "t", &err), M3_OK);
    assert_int_equal(k.c.warnings, row->warnings);
    assert_false(lower_tuning_changed(t));
    assert_int_equal(lower_tuning_measured(t), 0);
    if (row->variant == NULL)
        assert_null(lower_tuned(t, "c"));
    else
        assert_string_equal(lower_tuned(t, "c"), row->variant);
    lower_tuning_free(t);
    shelf_close(&k, (const char *const[]){"key", "t", NULL});
}

static void what_is_saved_is_loaded(void **state)
{
    shelf k;
    char class_text[16];
    m3_error err = {0};
    lower_tuning *t = NULL, *u = NULL;
    (void)state;
    shelf_open(&k);
    assert_int_equal(lower_tuning_create(&k.host, "two\nlines", &t, &err), M3_OK);
    assert_int_equal(lower_tuning_load(t, k.files, "t", &err), M3_OK); /* no file yet */
    for (int i = 0; i < 200; i++) {
        (void)snprintf(class_text, sizeof class_text, "c%d", i);
        assert_int_equal(lower_tuning_put(t, class_text, i % 2 ? "odd" : "even", i, &err), M3_OK);
    }
    assert_true(lower_tuning_changed(t));
    assert_int_equal(lower_tuning_save(t, k.files, "t", &err), M3_OK);
    assert_false(lower_tuning_changed(t));
    assert_int_equal(lower_tuning_create(&k.host, "two\nlines", &u, &err), M3_OK);
    assert_int_equal(lower_tuning_load(u, k.files, "t", &err), M3_OK);
    assert_int_equal(lower_tuning_count(u), 200);
    assert_string_equal(lower_tuned(u, "c199"), "odd");
    assert_int_equal(k.c.warnings, 0);
    lower_tuning_free(t);
    lower_tuning_free(u);
    shelf_close(&k, (const char *const[]){"key", "t", NULL});
}

static void a_file_that_cannot_be_written_is_an_error(void **state)
{
    counters c = {0};
    const m3_host host = host_of(&c);
    m3_error err = {0};
    lower_tuning *t = NULL;
    (void)state;
    assert_int_equal(lower_tuning_create(&host, "k", &t, &err), M3_OK);
    assert_int_equal(lower_tuning_put(t, "c", "rows8", 1, &err), M3_OK);
    assert_int_equal(lower_tuning_save(t, NULL, "t", &err), M3_ERR_IO);
    assert_non_null(strstr(err.message, strerror(ENOENT)));
    assert_true(lower_tuning_changed(t));
    lower_tuning_free(t);
}

/* Measuring. */

/* A device on which variants take times by their place in the list of names. */
typedef struct stopwatch {
    const m3_host *host;
    const double *microseconds; /* negative: the variant fails */
    uint32_t times;             /* how many there are: more calls than that fail the test */
    uint32_t calls;
    m3_status failure;
} stopwatch;

static m3_status time_variant(void *user, const lower_traits *traits, const m3_program *program, double *microseconds,
                              m3_error *err)
{
    stopwatch *w = user;
    lower_list list = {0};
    assert_int_equal(program->node_count, 1);
    assert_int_equal(lower_program(&list, w->host, traits, program, 256, err), M3_OK);
    for (uint32_t i = 0; i < list.count; i++)
        for (uint32_t j = 0; j < list.dispatches[i].buffer_count; j++)
            if (list.dispatches[i].buffers[j].memory == LOWER_SEGMENT)
                assert_true(list.dispatches[i].buffers[j].offset + list.dispatches[i].buffers[j].bytes <=
                            program->segments[0].bytes);
    lower_list_fini(&list);
    assert_true(w->calls < w->times);
    *microseconds = w->microseconds[w->calls++];
    return *microseconds < 0 ? M3_FAIL(err, w->failure, "stopwatch", "stopped") : M3_OK;
}

static const struct measurement {
    const char *name;
    double microseconds[16];
    m3_status failure, want;
    int chosen; /* index of the variant; -1: none */
} measurements[] = {
    {"the shortest time wins", {5, 3, 4}, M3_OK, M3_OK, 1},
    {"the default wins when it is as short", {3, 3, 3}, M3_OK, M3_OK, 0},
    {"a variant that fails is left out", {5, -1, 4}, M3_ERR_UNSUPPORTED, M3_OK, 2},
    {"when all fail nothing is entered", {-1, -1, -1}, M3_ERR_UNSUPPORTED, M3_OK, -1},
    {"a lost device ends it", {5, -1, 4}, M3_ERR_DEVICE_LOST, M3_ERR_DEVICE_LOST, -1},
};

static void measures(void **state)
{
    const struct measurement *row = *state;
    counters c = {0};
    const m3_host host = host_of(&c);
    m3_error err = {0};
    lower_tuning *t = NULL;
    product p;
    char class_text[LOWER_CLASS_BYTES];
    const char *names[LOWER_MAX_VARIANTS];
    stopwatch w = {.host = &host, .microseconds = row->microseconds, .times = 3, .failure = row->failure};
    const lower_tuner tuner = {&w, time_variant};
    product_init(&p, false, true, 0, 640, 128, 128);
    assert_int_equal(lower_variants(&processor, &p.node, class_text, names), 3);
    assert_int_equal(lower_tuning_create(&host, "k", &t, &err), M3_OK);
    assert_int_equal(lower_tune(t, &tuner, &processor, &p.program, 256, &err), row->want);
    if (row->chosen >= 0) {
        assert_string_equal(lower_tuned(t, class_text), names[row->chosen]);
        assert_int_equal(lower_tuning_measured(t), 1);
        assert_int_equal(lower_tune(t, &tuner, &processor, &p.program, 256, &err), M3_OK);
        assert_int_equal(w.calls, 3); /* what is known is not measured again */
    } else {
        assert_null(lower_tuned(t, class_text));
    }
    lower_tuning_free(t);
}

/* A device that is opened, tuned if so, and closed; says what it knew then. */
static m3_tuning open_and_tune(const m3_host *host, const char *key, const lower_tuner *tuner, const product *p)
{
    lower_tuning *t = NULL;
    lower_cache *cache = NULL;
    m3_error err = {0};
    m3_tuning told = {.size = M3_STRUCT_SIZE(m3_tuning, path)};
    assert_int_equal(lower_cache_open(host, &cache, &err), M3_OK);
    assert_int_equal(lower_tuning_open(host, cache, "test", key, &t, &err), M3_OK);
    if (tuner != NULL) assert_int_equal(lower_tune(t, tuner, &processor, &p->program, 256, &err), M3_OK);
    assert_int_equal(lower_tuning_describe(t, &told, &err), M3_OK);
    lower_tuning_free(t);
    lower_cache_close(cache);
    return told;
}

static void what_a_device_learns_it_knows_when_it_is_opened_again(void **state)
{
    static const double microseconds[3] = {5, 3, 4};
    char folder[] = "/tmp/m3bsr-tuning-XXXXXX";
    counters c = {0};
    m3_host host = host_of(&c);
    product p;
    stopwatch w = {.host = &host, .microseconds = microseconds, .times = 3};
    const lower_tuner tuner = {&w, time_variant};
    (void)state;
    assert_non_null(mkdtemp(folder));
    host.cache_path = folder;
    product_init(&p, false, true, 0, 640, 128, 128);
    m3_tuning first = open_and_tune(&host, "a", &tuner, &p);
    const m3_tuning again = open_and_tune(&host, "a", NULL, &p);
    const m3_tuning other = open_and_tune(&host, "b", NULL, &p);
    assert_true(first.classes == 1 && first.measured == 1);
    assert_true(again.classes == 1 && again.measured == 0);
    assert_int_equal(other.classes, 0); /* the file of another device is another one */
    assert_string_equal(first.path, again.path);
    assert_string_not_equal(first.path, other.path);
    assert_int_equal(c.warnings, 0);
    assert_int_equal(unlink(first.path), 0);
    (void)snprintf(strrchr(first.path, '/'), 5, "/key");
    assert_int_equal(unlink(first.path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void a_cache_that_cannot_be_used_is_a_warning(void **state)
{
    static const double microseconds[6] = {5, 3, 4, 5, 3, 4}; /* nothing was kept: measured twice */
    counters c = {0};
    m3_host host = host_of(&c);
    product p;
    stopwatch w = {.host = &host, .microseconds = microseconds, .times = 6};
    const lower_tuner tuner = {&w, time_variant};
    (void)state;
    product_init(&p, false, true, 0, 640, 128, 128);
    host.cache_path = "/dev/null"; /* cannot be read as a folder, nor written */
    assert_int_equal(open_and_tune(&host, "a", &tuner, &p).classes, 1);
    assert_int_equal(c.warnings, 1);
    host.cache_path = NULL;
    assert_string_equal(open_and_tune(&host, "a", &tuner, &p).path, "");
    assert_int_equal(c.warnings, 1);
}

/* Lowering. */

static int32_t constant(const lower_dispatch *d, const char *name)
{
    for (uint32_t i = 0; i < d->constant_count; i++)
        if (strcmp(d->constants[i].name, name) == 0) return d->constants[i].value;
    return -1;
}

static void the_tuned_way_is_taken_and_an_unknown_one_is_not(void **state)
{
    static const struct {
        const char *variant;
        int32_t rows;
    } rows[] = {{"rows8", 8}, {"rows12", 12}, {"rows14", 14}, {"rows999", 8}, {"clblast", 8}};
    counters c = {0};
    const m3_host host = host_of(&c);
    char class_text[LOWER_CLASS_BYTES];
    const char *names[LOWER_MAX_VARIANTS];
    product p;
    (void)state;
    product_init(&p, false, false, 0, 640, 128, 128);
    assert_true(lower_variants(&processor, &p.node, class_text, names) > 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        lower_traits traits = processor;
        lower_list list = {0};
        lower_tuning *t = NULL;
        m3_error err = {0};
        assert_int_equal(lower_tuning_create(&host, "k", &t, &err), M3_OK);
        assert_int_equal(lower_tuning_put(t, class_text, rows[i].variant, 1, &err), M3_OK);
        traits.tuning = t;
        assert_int_equal(lower_program(&list, &host, &traits, &p.program, 256, &err), M3_OK);
        assert_int_equal(constant(&list.dispatches[0], "ROWS"), rows[i].rows);
        lower_list_fini(&list);
        lower_tuning_free(t);
    }
}

static void a_library_is_called_where_the_device_has_it(void **state)
{
    counters c = {0};
    const m3_host host = host_of(&c);
    char class_text[LOWER_CLASS_BYTES];
    const char *names[LOWER_MAX_VARIANTS];
    lower_traits traits = card;
    lower_list list = {0};
    lower_tuning *t = NULL;
    m3_error err = {0};
    product p;
    (void)state;
    traits.clblast = true;
    product_init(&p, true, false, 3, 65, 17, 40);
    const uint32_t count = lower_variants(&traits, &p.node, class_text, names);
    assert_string_equal(names[count - 1], "clblast");
    assert_int_equal(lower_tuning_create(&host, "k", &t, &err), M3_OK);
    assert_int_equal(lower_tuning_put(t, class_text, "clblast", 1, &err), M3_OK);
    traits.tuning = t;
    assert_int_equal(lower_program(&list, &host, &traits, &p.program, 256, &err), M3_OK);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.dispatches[0].source, "clblast");
    static const uint32_t words[] = {65, 17, 40, 65, 17, 17, 65 * 40, 40 * 17, 65 * 17, 0, 0, 0, 3};
    assert_int_equal(list.dispatches[0].word_count, sizeof words / sizeof words[0]);
    assert_memory_equal(list.dispatches[0].words, words, sizeof words);
    lower_list_fini(&list);
    lower_tuning_free(t);
}

/* Names of the variants of linear(x [64, 128], w [128, 64]) with matrices are among those of the device. */
static void matrices_multiply_halves_where_they_were_measured(void **state)
{
    static const struct {
        m3_dtype dtype;
        uint32_t items;
        uint64_t k;
        lower_kind kind;
        uint32_t names; /* how many begin with "matrices" */
    } rows[] = {{M3_F16, 32, 128, LOWER_GPU, 3},          {M3_BF16, 32, 128, LOWER_GPU, 0},
                {M3_F32, 32, 128, LOWER_GPU, 0},          {M3_F16, 0, 128, LOWER_GPU, 0},
                {M3_F16, 128, 128, LOWER_GPU, 0},         {M3_F16, 32, 130, LOWER_GPU, 0},
                {M3_F16, 32, 128, LOWER_SIMULATED_GPU, 0}};
    counters c = {0};
    const m3_host host = host_of(&c);
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        lower_traits traits = card;
        char class_text[LOWER_CLASS_BYTES];
        const char *names[LOWER_MAX_VARIANTS];
        lower_list list = {0};
        m3_error err = {0};
        uint32_t found = 0;
        product p;
        product_init(&p, false, false, 0, 64, 64, rows[i].k);
        for (uint32_t j = 0; j < 3; j++) p.tensor[j].dtype = rows[i].dtype;
        traits.kind = rows[i].kind;
        traits.matrices.items = rows[i].items;
        const uint32_t count = lower_variants(&traits, &p.node, class_text, names);
        for (uint32_t j = 0; j < count; j++) found += strncmp(names[j], "matrices", strlen("matrices")) == 0;
        assert_int_equal(found, rows[i].names);
        assert_true(strncmp(names[0], "matrices", strlen("matrices")) != 0);
        traits.variant = lower_variant_named("matrices32x32");
        assert_int_equal(lower_program(&list, &host, &traits, &p.program, 256, &err), M3_OK);
        assert_string_equal(list.dispatches[0].entry, found > 0 ? "product_matrices" : "product");
        if (found > 0) assert_int_equal(constant(&list.dispatches[0], "SUBGROUP"), rows[i].items);
        lower_list_fini(&list);
    }
}

static void every_way_stays_within_the_device(void **state)
{
    static const lower_traits *const devices[] = {&processor, &smallest, &card, &least_card};
    static const uint64_t sizes[][4] = {{0, 1, 1, 1},         {0, 1, 257, 5},       {0, 7, 3, 0},
                                        {0, 128, 128, 20480}, {0, 10240, 512, 128}, {4, 5120, 128, 128},
                                        {300, 4, 4, 33},      {0, 3, 20741, 128},   {0, 700000, 1, 1},
                                        {70000, 1, 2, 3},     {0, 0, 5, 7},         {0, 13, 5, 9000}};
    counters c = {0};
    const m3_host host = host_of(&c);
    (void)state;
    for (size_t i = 0; i < 4 * sizeof devices / sizeof devices[0] * (sizeof sizes / sizeof sizes[0]); i++) {
        const uint64_t *s = sizes[i / 16];
        lower_traits traits = *devices[i / 4 % 4];
        char class_text[LOWER_CLASS_BYTES];
        const char *names[LOWER_MAX_VARIANTS];
        product p;
        product_init(&p, i % 2 != 0, i / 2 % 2 != 0, s[0], s[1], s[2], s[3]);
        const uint32_t count = lower_variants(&traits, &p.node, class_text, names);
        assert_true(count <= LOWER_MAX_VARIANTS);
        for (uint32_t j = 0; j < count; j++) {
            lower_list list = {0};
            lower_tuning *t = NULL;
            m3_error err = {0};
            assert_int_equal(lower_tuning_create(&host, "k", &t, &err), M3_OK);
            assert_int_equal(lower_tuning_put(t, class_text, names[j], 1, &err), M3_OK);
            traits.tuning = t;
            assert_int_equal(lower_program(&list, &host, &traits, &p.program, 256, &err), M3_OK);
            assert_true(list.count > 0); /* lowering itself checks groups and counts */
            assert_true(list.scratch_bytes <= traits.largest_binding);
            if (traits.kind == LOWER_PROCESSOR) {
                const int32_t kept = constant(&list.dispatches[0], "KEPT");
                assert_true((uint64_t)kept * sizeof(float) * (i % 2 != 0 ? 2 : 1) <= traits.local_bytes);
            }
            lower_list_fini(&list);
            lower_tuning_free(t);
        }
    }
}

/* Words of a processor's product, behind those of any. */
enum { ROWS_WORD = 13, COLUMNS_WORD, PARTS_WORD, DEPTH_WORD, PIECE_WORD };

/* Floats that an item keeps of `extent` rows or columns, cut into units of `width`, for a piece of the sum. */
static uint64_t kept_of(const lower_dispatch *d, uint64_t extent, uint64_t width)
{
    const uint32_t *w = d->words;
    const uint64_t steps = w[PIECE_WORD] < w[DEPTH_WORD] ? w[PIECE_WORD] : w[DEPTH_WORD];
    return lower_parts(extent, width) * (steps * width + (uint64_t)constant(d, "PAD"));
}

static void expect_kept(const lower_dispatch *d, const lower_traits *traits)
{
    const uint32_t *w = d->words;
    const uint64_t m = w[0], n = w[1], kept = (uint64_t)constant(d, "KEPT");
    const uint64_t panel = (uint64_t)constant(d, "VECTORS") * traits->vector;
    const uint64_t last = m - (uint64_t)(d->count[0] - 1) * w[ROWS_WORD]; /* rows of the last block */
    if (constant(d, "DIRECT") == 0) assert_true(kept_of(d, w[COLUMNS_WORD] < n ? w[COLUMNS_WORD] : n, panel) <= kept);
    if (constant(d, "TRANSPOSE_A") == 0) return;
    const uint64_t most = d->count[0] > 1 && w[ROWS_WORD] > last ? w[ROWS_WORD] : last;
    assert_true(kept_of(d, most, (uint64_t)constant(d, "ROWS")) <= kept);
}

static void a_processor_keeps_no_more_than_fits(void **state)
{
    static const uint64_t extents[] = {1, 3, 6, 19, 65, 130, 2048}, depths[] = {5, 300, 344, 520, 777, 1100, 20480};
    enum { EXTENTS = sizeof extents / sizeof extents[0], DEPTHS = sizeof depths / sizeof depths[0] };
    enum { DEVICES = 4 * 4 * 3, SHAPES = EXTENTS * EXTENTS * DEPTHS * 4 };
    static const uint32_t vectors[] = {1, 4, 8, 16}, units[] = {1, 2, 64};
    static const uint64_t local[] = {16 << 10, 32 << 10, 48 << 10, 64 << 10};
    counters c = {0};
    const m3_host host = host_of(&c);
    (void)state;
    for (size_t i = 0; i < (size_t)DEVICES * SHAPES; i++) {
        const size_t device = i / SHAPES, shape = i % SHAPES / 4;
        lower_traits traits = smallest;
        traits.largest_binding = 1 << 30;
        traits.vector = vectors[device % 4];
        traits.local_bytes = local[device / 4 % 4];
        traits.units = units[device / 16];
        char class_text[LOWER_CLASS_BYTES];
        const char *names[LOWER_MAX_VARIANTS];
        product p;
        product_init(&p, i % 2 != 0, i / 2 % 2 != 0, 0, extents[shape % EXTENTS], extents[shape / EXTENTS % EXTENTS],
                     depths[shape / EXTENTS / EXTENTS]);
        const uint32_t count = lower_variants(&traits, &p.node, class_text, names);
        for (uint32_t j = 0; j < (count > 0 ? count : 1); j++) {
            lower_list list = {0};
            m3_error err = {0};
            traits.variant = count > 0 ? names[j] : NULL;
            assert_int_equal(lower_program(&list, &host, &traits, &p.program, 256, &err), M3_OK);
            expect_kept(&list.dispatches[0], &traits);
            lower_list_fini(&list);
        }
    }
}

int main(void)
{
    enum { FILES = sizeof files / sizeof files[0], MEASUREMENTS = sizeof measurements / sizeof measurements[0] };
    struct CMUnitTest tests[FILES + MEASUREMENTS + 10];
    size_t count = 0;
    for (size_t i = 0; i < FILES; i++)
        tests[count++] = (struct CMUnitTest){files[i].name, reads_a_file, NULL, NULL, (void *)(uintptr_t)&files[i]};
    for (size_t i = 0; i < MEASUREMENTS; i++)
        tests[count++] =
            (struct CMUnitTest){measurements[i].name, measures, NULL, NULL, (void *)(uintptr_t)&measurements[i]};
    const struct CMUnitTest more[] = {
        cmocka_unit_test(what_is_saved_is_loaded),
        cmocka_unit_test(a_file_that_cannot_be_written_is_an_error),
        cmocka_unit_test(what_a_device_learns_it_knows_when_it_is_opened_again),
        cmocka_unit_test(a_cache_that_cannot_be_used_is_a_warning),
        cmocka_unit_test(the_tuned_way_is_taken_and_an_unknown_one_is_not),
        cmocka_unit_test(a_library_is_called_where_the_device_has_it),
        cmocka_unit_test(matrices_multiply_halves_where_they_were_measured),
        cmocka_unit_test(every_way_stays_within_the_device),
        cmocka_unit_test(a_processor_keeps_no_more_than_fits),
    };
    memcpy(tests + count, more, sizeof more);
    count += sizeof more / sizeof more[0];
    return _cmocka_run_group_tests("lower_tuning", tests, count, NULL, NULL);
}
