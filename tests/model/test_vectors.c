/* vectors: the model's answers of every small vector file, with all passes and with each one left out; and a check that
 * finds what is wrong with a file. The argument is "changes", for the latter, or names devices (named.h).
 * Parts: changes reference cpu opencl vulkan,validate=yes */
#include "core/base/safetensors.h"
#include "m3bsr/conformance.h"
#include "tests/support/named.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The first EACH of them are tried without each pass, too; on backends whose kernels a driver compiles, which takes
 * most of the time, the first EACH_OF_DRIVER, which have most parts. */
static const char *const files[] = {"whole",
                                    "scores-sampled",
                                    "gru",
                                    "three",
                                    "base",
                                    "decay",
                                    "id-only",
                                    "mlp-encoder",
                                    "no-denoise",
                                    "one",
                                    "pool",
                                    "sampled",
                                    "sigmoid",
                                    "x0",
                                    "gated",
                                    "gated-x0",
                                    "balanced",
                                    "specific",
                                    "common",
                                    "users",
                                    "table",
                                    "scores",
                                    "table-sampled",
                                    "lone",
                                    "modality",
                                    "modality-scores",
                                    "modality-table",
                                    "normed",
                                    "targets",
                                    "trend",
                                    "trend-sampled",
                                    "mingru",
                                    "conv"};
enum { FILES = sizeof files / sizeof files[0], EACH = 14, EACH_OF_DRIVER = 4, PASSES = 16 };

typedef struct row {
    char name[128];
    m3_device *device;
    const char *file, *without; /* a pass, or NULL */
} row;

static m3_engine *engine;
static m3_device *devices[NAMED_DEVICES];

static void complain(void *user, const m3_vector_failure *f)
{
    (void)user;
    print_error("%s[%llu] = %.9g, want %.9g, off by %.3g, allowed %.3g; %llu elements\n", f->tensor,
                (unsigned long long)f->index, f->got, f->want, f->error, f->bound, (unsigned long long)f->count);
}

static void answers(void **state)
{
    const row *r = *state;
    const char *no_pass[] = {r->without, NULL};
    const m3_vector_options options = {.size = M3_STRUCT_SIZE(m3_vector_options, user),
                                       .no_pass = r->without != NULL ? no_pass : NULL,
                                       .strict = true,
                                       .failed = complain};
    char path[512];
    m3_vector_report report;
    m3_error err = {0};
    (void)snprintf(path, sizeof path, "%s/tests/vectors/%s.safetensors", M3BSR_SOURCE_DIR, r->file);
    if (m3_conformance_vectors(r->device, path, &options, &report, &err) != M3_OK)
        fail_msg("%s: %s", err.subject, err.message);
    for (uint32_t g = 0; g < M3_VECTOR_GROUPS; g++) {
        assert_int_equal(report.groups[g].failed, 0);
        assert_true(report.groups[g].tensors > 0);
        assert_true(report.groups[g].share <= 1.0);
    }
    assert_true(report.passed);
}

/* A vector file with one change: its tensors lie in `from`, one is left out, renamed or altered. */
typedef struct change {
    const char *name, *tensor, *rename; /* rename NULL: left out; equal to tensor: its first number is
                                           raised by 1; else: once more under that name */
    const char *config;                 /* replaces the configuration unless NULL */
    const char *says;                   /* "": the check runs and finds exactly one failure */
} change;

static const change changes[] = {
    {"a missing answer is an error", "grad.router.gate.bias", NULL, NULL, "is missing"},
    {"a missing parameter is an error", "param.item.weight", NULL, NULL, "is missing"},
    {"a missing input is an error", "input.noise_behavior", NULL, NULL, "is missing"},
    {"an answer that nobody computes is an error", "infer.user", "infer.users", NULL, "has no such tensor"},
    {"a parameter of another model is an error", "param.item.weight", "param.items", NULL, "has no such tensor"},
    {"an unknown key is an error", "", NULL, "{\"train_steps\": 1, \"witdh\": 8}", "neither a key of the model"},
    {"a key out of range is an error", "", NULL, "{\"train_steps\": 1, \"heads\": 0}", "give a whole number from 1"},
    {"a configuration without train_steps is an error", "", NULL, "{}", "has no train_steps"},
    {"a configuration of another size is an error", "", NULL, "{\"train_steps\": 1, \"width\": 16}", "wants ["},
    {"a wrong answer is found", "after.contrast.proj1.bias", "after.contrast.proj1.bias", NULL, ""},
    {"a wrong loss is found", "train.loss_contrast", "train.loss_contrast", NULL, ""},
};

typedef struct copy {
    const m3_safetensors *from;
    uint32_t index[1024]; /* in `from`, by entry */
    uint32_t raise;       /* entry whose first number is raised */
} copy;

static m3_status copy_tensor(void *user, uint32_t index, void *data, uint64_t bytes, m3_error *err)
{
    const copy *c = user;
    m3_status st = m3_safetensors_read(c->from, c->index[index], data, bytes, err);
    if (st == M3_OK && index == c->raise) *(float *)data += 1.0F;
    return st;
}

static void write_changed(const m3_safetensors *from, const change *ch, const char *path)
{
    static m3_safetensors_entry entries[1024];
    static copy c;
    const m3_safetensors_note notes[] = {
        {"format", "m3bsr-vectors"},
        {"version", "1"},
        {"config", ch->config != NULL ? ch->config : m3_safetensors_meta(from, "config")}};
    uint32_t count = 0;
    m3_error err = {0};
    c.from = from;
    c.raise = UINT32_MAX;
    for (uint32_t i = 0; i < m3_safetensors_count(from); i++) {
        m3_safetensors_entry entry = *m3_safetensors_at(from, i);
        bool changed = strcmp(entry.name, ch->tensor) == 0;
        if (changed && ch->rename == NULL) continue;
        if (changed && strcmp(ch->rename, ch->tensor) == 0) c.raise = count;
        c.index[count] = i;
        entries[count++] = entry;
        if (!changed || c.raise != UINT32_MAX) continue;
        entry.name = ch->rename;
        c.index[count] = i;
        entries[count++] = entry;
    }
    if (m3_safetensors_write(path, entries, count, notes, 3, copy_tensor, &c, &err) != M3_OK)
        fail_msg("%s: %s", err.subject, err.message);
}

static void count_failures(void *user, const m3_vector_failure *f)
{
    const change *ch = user;
    assert_string_equal(f->tensor, ch->tensor);
    assert_int_equal(f->index, 0);
    assert_int_equal(f->count, 1);
    assert_true(f->want - f->got > 0.99 && f->want - f->got < 1.01);
}

static void finds(void **state)
{
    const change *ch = *state;
    const m3_vector_options options = {
        .size = M3_STRUCT_SIZE(m3_vector_options, user), .failed = count_failures, .user = (void *)ch};
    const char *folder = getenv("TMPDIR");
    char path[256];
    m3_safetensors *from = NULL;
    m3_device *device = NULL;
    m3_vector_report report;
    m3_error err = {0};
    (void)snprintf(path, sizeof path, "%s/m3bsr-vectors-%ld.safetensors", folder != NULL ? folder : "/tmp",
                   (long)getpid());
    assert_int_equal(m3_safetensors_open(M3BSR_SOURCE_DIR "/tests/vectors/base.safetensors", &from, &err), M3_OK);
    write_changed(from, ch, path);
    m3_safetensors_close(from);
    assert_int_equal(m3_device_open(engine, "reference", (m3_span){0}, &device, &err), M3_OK);
    m3_status st = m3_conformance_vectors(device, path, &options, &report, &err);
    m3_device_close(device);
    (void)unlink(path);
    assert_int_equal(st, ch->says[0] == 0 ? M3_OK : M3_ERR_INVALID);
    if (strstr(err.message, ch->says) == NULL) fail_msg("'%s' does not say '%s'", err.message, ch->says);
    assert_false(report.passed);
    uint32_t failed = 0;
    for (uint32_t g = 0; g < M3_VECTOR_GROUPS; g++) failed += report.groups[g].failed;
    assert_int_equal(failed, st == M3_OK ? 1 : 0);
}

static void start(void)
{
    m3_error err = {0};
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR,
                                     .threads = 2,
                                     .log_level = M3_LOG_ERROR,
                                     .allow_writable_folder = true};
    if (m3_engine_create(&config, &engine, &err) == M3_OK) return;
    print_error("%s: %s\n", err.subject, err.message);
    exit(EXIT_FAILURE);
}

static size_t add_changes(struct CMUnitTest *tests)
{
    enum { CHANGES = sizeof changes / sizeof changes[0] };
    for (size_t i = 0; i < CHANGES; i++)
        tests[i] = (struct CMUnitTest){changes[i].name, finds, NULL, NULL, (void *)(uintptr_t)&changes[i]};
    return CHANGES;
}

static size_t add_files(m3_device *device, row *rows, struct CMUnitTest *tests)
{
    size_t passes = 0;
    const char *const *names = m3_pass_names(), *device_name = m3_device_name(device);
    const bool compiles = strncmp(device_name, "opencl", 6) == 0 || strncmp(device_name, "vulkan", 6) == 0;
    const size_t each = compiles ? EACH_OF_DRIVER : EACH;
    while (names[passes] != NULL && passes + 1 < PASSES) passes++;
    for (size_t at = 0; at < FILES + each * passes; at++) {
        const char *without = at < FILES ? NULL : names[(at - FILES) / each];
        row *r = &rows[at];
        *r = (row){.device = device, .file = files[at < FILES ? at : (at - FILES) % each], .without = without};
        (void)snprintf(r->name, sizeof r->name, "%s on %s%s%s", r->file, device_name,
                       without == NULL ? "" : " without ", without == NULL ? "" : without);
        tests[at] = (struct CMUnitTest){r->name, answers, NULL, NULL, r};
    }
    return FILES + each * passes;
}

int main(int argc, char **argv)
{
    static row rows[NAMED_DEVICES * FILES * PASSES];
    static struct CMUnitTest tests[NAMED_DEVICES * FILES * PASSES];
    uint32_t opened = 0;
    size_t count = 0;
    named n;
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s changes|BACKEND[,KEY=VALUE]...\n", argv[0]);
        return EXIT_FAILURE;
    }
    start();
    if (strcmp(argv[1], "changes") == 0) {
        count = add_changes(tests);
    } else {
        named_read(&n, argv[1]);
        opened = named_open(&n, engine, devices);
    }
    for (uint32_t i = 0; i < opened; i++) count += add_files(devices[i], &rows[count], &tests[count]);
    const int failed = _cmocka_run_group_tests(argv[1], tests, count, NULL, NULL);
    for (uint32_t i = 0; i < opened; i++) m3_device_close(devices[i]);
    m3_engine_free(engine);
    return failed;
}
