/* A checkpoint: of a run that goes on, and parameters that another tool may have written; and the only part of one. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/run/checkpoint.h"

static const m3_shape shape = {2, {2, 3}};

/* Made once: a file replaces what they hold, and making them takes longer than reading it. */
static m3_store *store;
static m3_graph *graph;

static void fini(void)
{
    m3_graph_free(graph);
    m3_store_free(store);
}

static void init(void)
{
    static const char *const names[] = {"w", "adam.m.w", "adam.v.w", "features0"};
    static const float zeros[6];
    FUZZ_CHECK(m3_store_create(fuzz_device(), 1, &store, NULL) == M3_OK);
    for (int i = 0; i < 4; i++) FUZZ_CHECK(m3_store_write(store, names[i], M3_F32, &shape, zeros, NULL) == M3_OK);
    FUZZ_CHECK(m3_graph_create(NULL, &graph, NULL) == M3_OK);
    (void)m3_graph_parameter(m3_graph_builder(graph), "w", shape, (m3_init){M3_INIT_CONSTANT, 0.0F, 0});
    FUZZ_CHECK(atexit(fini) == 0);
}

/* The bytes as the part of a checkpoint that is well. */
static void look_at_part(const uint8_t *data, size_t size)
{
    static const m3_safetensors_note notes[] = {{"parts", "1"}, {"save", "0123456789abcdef"}, {"stem", "main"}};
    m3_error err = {0};
    m3_parts *parts = NULL;
    const char *path = fuzz_path("main.safetensors");
    if (access(path, F_OK) != 0)
        FUZZ_CHECK(m3_safetensors_write(path, NULL, 0, notes, sizeof notes / sizeof notes[0], NULL, NULL, NULL) ==
                   M3_OK);
    (void)fuzz_write("main.0123456789abcdef.1-of-1.safetensors", data, size);
    const m3_status st = m3_parts_open(path, &parts, &err);
    fuzz_check_error(st, &err);
    for (uint32_t i = 0; st == M3_OK && i < m3_parts_count(parts); i++) {
        const m3_safetensors_entry *entry = m3_parts_at(parts, i);
        void *rows = malloc((size_t)(m3_shape_count(&entry->shape) * m3_dtype_bytes(entry->dtype)) + 1);
        FUZZ_CHECK(rows != NULL);
        FUZZ_CHECK(m3_parts_read_rows(parts, i, 0, m3_safetensors_rows(&entry->shape), rows, NULL) == M3_OK);
        free(rows);
    }
    m3_parts_close(parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (store == NULL) init();
    m3_trainer_state state = {0}, alone = {0};
    m3_error err = {0};
    const char *path = fuzz_write("last.safetensors", data, size);
    m3_status st = m3_checkpoint_load(path, store, &state, &err);
    fuzz_check_error(st, &err);
    FUZZ_CHECK(memchr(state.settings, 0, sizeof state.settings) != NULL);
    if (st == M3_OK) FUZZ_CHECK(m3_checkpoint_load(path, NULL, &alone, NULL) == M3_OK);
    FUZZ_CHECK(m3_store_count(store) == 4);
    err = (m3_error){0};
    fuzz_check_error(m3_checkpoint_load_parameters(path, store, graph, NULL, &err), &err);
    look_at_part(data, size);
    return 0;
}
