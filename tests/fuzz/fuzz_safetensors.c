/* A safetensors file as checkpoints and vectors are: every tensor read as it is and, when floating, as f32. */
#include "core/base/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static void read_tensor(const m3_safetensors *file, uint32_t index, size_t file_bytes)
{
    const m3_safetensors_entry *entry = m3_safetensors_at(file, index);
    const uint64_t count = m3_shape_count(&entry->shape), bytes = count * m3_dtype_bytes(entry->dtype);
    uint32_t found = 0;
    m3_error err = {0};
    FUZZ_CHECK(bytes <= file_bytes);
    FUZZ_CHECK(m3_safetensors_find(file, entry->name, &found) && found == index);
    void *data = malloc((size_t)bytes + 1);
    float *wide = malloc(((size_t)count + 1) * sizeof *wide);
    FUZZ_CHECK(data != NULL && wide != NULL);
    FUZZ_CHECK(m3_safetensors_read(file, index, data, bytes, &err) == M3_OK);
    FUZZ_CHECK(m3_safetensors_read(file, index, data, bytes + 1, &err) == M3_ERR_INVALID);
    err = (m3_error){0};
    m3_status st = m3_safetensors_read_f32(file, index, wide, count, &err);
    fuzz_check_error(st, &err);
    FUZZ_CHECK((st == M3_OK) == m3_dtype_is_float(entry->dtype));
    free(wide);
    free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    m3_safetensors *file = NULL;
    m3_error err = {0};
    m3_status st = m3_safetensors_open(fuzz_write("tensors", data, size), &file, &err);
    fuzz_check_error(st, &err);
    FUZZ_CHECK((st == M3_OK) == (file != NULL));
    if (file == NULL) return 0;
    for (uint32_t i = 0; i < m3_safetensors_count(file); i++) read_tensor(file, i, size);
    const char *config = m3_safetensors_meta(file, "config");
    FUZZ_CHECK(config == NULL || strlen(config) < size);
    m3_safetensors_close(file);
    return 0;
}
