/* A feature matrix: the first byte says which of the two forms, the rest is the file. */
#include <stdlib.h>

#include "core/data/matrix.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    m3_matrix matrix = {0};
    m3_error err = {0};
    if (size == 0) return 0;
    const char *path = fuzz_write(data[0] % 2 == 0 ? "image.npy" : "image.safetensors", data + 1, size - 1);
    m3_status st = m3_matrix_open(&matrix, path, "image", &err);
    fuzz_check_error(st, &err);
    if (st != M3_OK) return 0;
    float *row = malloc(matrix.width * sizeof *row);
    FUZZ_CHECK(row != NULL);
    for (uint64_t r = 0; r < matrix.rows; r++) {
        bool finite = m3_matrix_row(&matrix, r, row);
        for (uint32_t i = 0; i < matrix.width && finite; i++) FUZZ_CHECK(row[i] - row[i] == 0.0F);
    }
    free(row);
    m3_matrix_close(&matrix);
    return 0;
}
