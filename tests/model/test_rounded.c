/* rounded: the models of the vector files in bf16 and in f16, three steps and an inference, on a device and on the
 * reference, which rounds where the device does (core/conformance/random_step.c has the bound).
 * The argument names devices (named.h).
 * Labels: whole
 * Parts: cpu opencl vulkan */
#include "core/base/safetensors.h"
#include "core/conformance/random.h"
#include "core/conformance/vectors.h"
#include "tests/support/named.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Each has a part that no other has. On backends whose kernels a driver compiles, the first FEW. */
static const char *const files[] = {"whole", "scores-sampled", "gru", "mingru", "conv", "pool", "gated", "targets"};
enum { FILES = sizeof files / sizeof files[0], FEW = 2, PRECISIONS = 2 };
static const char *const precisions[PRECISIONS] = {"bf16", "f16"};

typedef struct row {
    char name[96];
    m3_device *device;
    const char *file, *precision;
} row;

static m3_device *reference;

static void check(m3_status st, const m3_error *err)
{
    if (st != M3_OK) fail_msg("%s: %s", err->subject, err->message);
}

static void agrees(void **state)
{
    const row *r = *state;
    char path[256];
    uint32_t steps = 0;
    m3_error err = {0};
    m3_safetensors *file = NULL;
    m3_random_finding found;
    m3_random_config config = {.seed = 1, .watched = true, .spread = true};
    (void)snprintf(path, sizeof path, "%s/tests/vectors/%s.safetensors", M3BSR_SOURCE_DIR, r->file);
    check(m3_safetensors_open(path, &file, &err), &err);
    const m3_status st = m3_vectors_config(file, path, &config.model, &steps, &err);
    m3_safetensors_close(file);
    check(st, &err);
    check(m3_model_set(&config.model, "precision", r->precision, &err), &err);
    check(m3_model_set(&config.model, "adam_eps", "1e-4", &err), &err); /* else rounding alone makes whole steps */
    config.rows = (uint32_t)config.model.batch;
    const m3_random_devices devices = {.device = r->device, .reference = reference};
    check(m3_random_compare(&devices, &config, &found, &err), &err);
    if (found.verdict != M3_VERDICT_PASS) fail_msg("%s", found.text);
    print_message("largest error %.3f of the bound\n", found.share);
}

int main(int argc, char **argv)
{
    static row rows[NAMED_DEVICES * FILES * PRECISIONS];
    struct CMUnitTest tests[NAMED_DEVICES * FILES * PRECISIONS];
    size_t count = 0;
    m3_error err = {0};
    m3_engine *engine = NULL;
    m3_device *opened[NAMED_DEVICES] = {0};
    named names;
    const m3_engine_config config = {.size = M3_STRUCT_SIZE(m3_engine_config, allow_writable_folder),
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR,
                                     .threads = 2,
                                     .log_level = M3_LOG_ERROR,
                                     .allow_writable_folder = true};
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s BACKEND[,KEY=VALUE]...\n", argv[0]);
        return EXIT_FAILURE;
    }
    named_read(&names, argv[1]);
    m3_status st = m3_engine_create(&config, &engine, &err);
    if (st == M3_OK) st = m3_device_open(engine, "reference", (m3_span){0}, &reference, &err);
    const uint32_t devices = st == M3_OK ? named_open(&names, engine, opened) : 0;
    const size_t of_each = strcmp(names.backend, "cpu") == 0 ? (size_t)FILES : (size_t)FEW;
    for (uint32_t d = 0; d < devices; d++)
        for (size_t i = 0; i < of_each * PRECISIONS; i++, count++) {
            rows[count] =
                (row){.device = opened[d], .file = files[i / PRECISIONS], .precision = precisions[i % PRECISIONS]};
            (void)snprintf(rows[count].name, sizeof rows[count].name, "%s in %s on %s", rows[count].file,
                           rows[count].precision, m3_device_name(opened[d]));
            tests[count] = (struct CMUnitTest){rows[count].name, agrees, NULL, NULL, &rows[count]};
        }
    const int failed = st != M3_OK || devices == 0 ? 1 : _cmocka_run_group_tests(argv[1], tests, count, NULL, NULL);
    for (uint32_t d = 0; d < devices; d++) m3_device_close(opened[d]);
    m3_device_close(reference);
    m3_engine_free(engine);
    return failed;
}
