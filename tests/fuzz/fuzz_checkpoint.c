/* A checkpoint: of a run that goes on, and parameters that another tool may have written. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

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
    return 0;
}
