/* A vector file: its configuration, and the whole check on the reference device where that is small enough. Memory is
 * bounded by the allocation gate, as a configuration may rightly ask for any amount. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/conformance/vectors.h"
#include "m3bsr/conformance.h"
#include "tests/fuzz/fuzz.h"

enum { BUDGET = 192 << 20, LONGEST_HEADER = 1 << 16 };

static bool within_budget(void *user, size_t bytes)
{
    size_t *used = user;
    *used += bytes;
    return *used <= BUDGET;
}

/* What only takes longer is left out; sizes are bounded by the file, which must have every tensor. */
static bool is_small(const m3_model_config *c, uint32_t train_steps)
{
    return train_steps <= 4 && c->infer_steps <= 4 && c->expert_layers <= 3 && c->diffusion_steps <= 1000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    m3_safetensors *file = NULL;
    m3_model_config config;
    uint32_t train_steps = 0;
    size_t used = 0;
    m3_error err = {0};
    m3_device *device = fuzz_device(); /* before the gate */
    const char *path = fuzz_write("vectors", data, size);
    m3_status st = m3_safetensors_open(path, &file, &err);
    if (st == M3_OK) st = m3_vectors_config(file, path, &config, &train_steps, &err);
    fuzz_check_error(st, &err);
    m3_safetensors_close(file);
    if (st != M3_OK || !is_small(&config, train_steps)) return 0;
    m3_vector_report report;
    m3_alloc_set_gate(within_budget, &used);
    st = m3_conformance_vectors(device, path, NULL, &report, &err);
    m3_alloc_set_gate(NULL, NULL);
    fuzz_check_error(st, &err);
    FUZZ_CHECK(m3_device_memory_used(device) == 0);
    return 0;
}

#ifdef M3_FUZZ_ENGINE
/* Most bytes are numbers; the header is what is read. So it is what changes, three times out of four. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed)
{
    static uint8_t header[LONGEST_HEADER];
    uint64_t length = 0;
    if (size >= 8) memcpy(&length, data, sizeof length);
    if (size < 8 || length > size - 8 || length > LONGEST_HEADER || seed % 4 == 0)
        return LLVMFuzzerMutate(data, size, most);
    const size_t rest = size - 8 - (size_t)length;
    const size_t room = most - 8 - rest < LONGEST_HEADER ? most - 8 - rest : LONGEST_HEADER;
    memcpy(header, data + 8, (size_t)length);
    const size_t now = LLVMFuzzerMutate(header, (size_t)length, room);
    memmove(data + 8 + now, data + 8 + length, rest);
    memcpy(data + 8, header, now);
    length = now;
    memcpy(data, &length, sizeof length);
    return 8 + now + rest;
}
#endif
