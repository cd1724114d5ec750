/* matrix: the rows of a .npy or .safetensors file, converted to float32 one at a time. */
#ifndef M3_CORE_DATA_MATRIX_H
#define M3_CORE_DATA_MATRIX_H

#include "core/data/set_format.h"
#include "core/data/table.h"
#include "m3bsr/base.h"

typedef enum m3_number_kind {
    M3_NUMBER_F16,
    M3_NUMBER_BF16,
    M3_NUMBER_F32,
    M3_NUMBER_F64,
    M3_NUMBER_SIGNED,  /**< whole numbers of 1, 2, 4 or 8 bytes */
    M3_NUMBER_UNSIGNED /**< the same; booleans are 0 and 1 */
} m3_number_kind;

/** Starts as {0}; m3_matrix_close() ends it. */
typedef struct m3_matrix {
    m3_mapping_file file;
    const char *data; /**< first number */
    m3_number_kind kind;
    uint32_t bytes;  /**< of a number */
    bool big_endian; /**< and not little */
    bool by_columns; /**< Fortran order */
    uint64_t rows;
    uint32_t width;
} m3_matrix;

/** @param name  Which tensor of a safetensors file that has several. */
m3_status m3_matrix_open(m3_matrix *matrix, const char *path, const char *name, m3_error *err);
/** Convert row `row` to out [width]; false when a number is NaN, infinite or beyond float32. */
bool m3_matrix_row(const m3_matrix *matrix, uint64_t row, float *out);
/** How many whole numbers of a row float32 cannot hold exactly: some beyond 2^24. */
uint32_t m3_matrix_rounded(const m3_matrix *matrix, uint64_t row);
void m3_matrix_close(m3_matrix *matrix);

#endif
