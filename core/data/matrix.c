/* matrix: the two headers, and numbers of any size and byte order at any alignment.
 *   .npy          "\x93NUMPY" major minor, u16 or u32 length, Python dict with descr, fortran_order, shape
 *   .safetensors  u64 length, JSON {name: {dtype, shape, data_offsets}} */
#include "core/data/matrix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/json.h"
#include "core/base/safetensors.h"

static m3_status check_extent(const m3_matrix *matrix, const char *path, uint64_t bytes, m3_error *err)
{
    if (matrix->width == 0 || matrix->width > M3_SET_MOST_WIDTH)
        return M3_FAIL(err, M3_ERR_INVALID, path, "has rows of %u numbers; 1 to %d are possible", matrix->width,
                       M3_SET_MOST_WIDTH);
    uint64_t row = (uint64_t)matrix->width * matrix->bytes;
    if (matrix->rows > bytes / row || matrix->rows * row != bytes)
        return M3_FAIL(
            err, M3_ERR_INVALID, path,
            "is damaged: its header says [%llu, %u] numbers of %u bytes, but %llu bytes of numbers are there",
            (unsigned long long)matrix->rows, matrix->width, matrix->bytes, (unsigned long long)bytes);
    return M3_OK;
}

/* The text behind 'key': of a Python dict, or NULL. */
static const char *npy_value(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    if (at == NULL) return NULL;
    at += strlen(key);
    at += strspn(at, " ");
    if (*at != ':') return NULL;
    at++;
    return at + strspn(at, " ");
}

/* A type as numpy writes it: '<f4', '>i2', '|u1', '|b1'. */
static bool take_npy_type(m3_matrix *matrix, const char *descr)
{
    static const struct {
        char letter;
        m3_number_kind kind;
        const char *sizes;
    } types[] = {{'f', M3_NUMBER_F16, "248"},
                 {'i', M3_NUMBER_SIGNED, "1248"},
                 {'u', M3_NUMBER_UNSIGNED, "1248"},
                 {'b', M3_NUMBER_UNSIGNED, "1"}};
    if (strlen(descr) < 5 || descr[0] != '\'' || strchr("<>|=", descr[1]) == NULL || descr[4] != '\'') return false;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (descr[2] != types[i].letter || descr[3] == '\0' || strchr(types[i].sizes, descr[3]) == NULL) continue;
        matrix->bytes = (uint32_t)(descr[3] - '0');
        matrix->big_endian = descr[1] == '>';
        matrix->kind = types[i].kind;
        if (matrix->kind == M3_NUMBER_F16 && matrix->bytes > 2)
            matrix->kind = matrix->bytes == 4 ? M3_NUMBER_F32 : M3_NUMBER_F64;
        return true;
    }
    return false;
}

static m3_status parse_npy_dict(m3_matrix *matrix, const char *header, const char *path, m3_error *err)
{
    const char *descr = npy_value(header, "'descr'"), *order = npy_value(header, "'fortran_order'"),
               *shape = npy_value(header, "'shape'");
    if (descr == NULL || order == NULL || shape == NULL || *shape != '(')
        return M3_FAIL(err, M3_ERR_INVALID, path, "has a damaged header: no descr, fortran_order or shape");
    if (!take_npy_type(matrix, descr))
        return M3_FAIL(err, M3_ERR_INVALID, path,
                       "holds %.*s; give numbers: float16, float32, float64, or whole ones of 8 to 64 bits",
                       (int)strcspn(descr, ","), descr);
    matrix->by_columns = strncmp(order, "True", 4) == 0;
    unsigned long long dims[2] = {0, 0};
    size_t rank = 0;
    for (const char *at = shape + 1; *at >= '0' && *at <= '9'; rank++) {
        char *end;
        unsigned long long dim = strtoull(at, &end, 10);
        if (rank < 2) dims[rank] = dim;
        at = end + strspn(end, " ");
        if (*at == ',') at += 1 + strspn(at + 1, " ");
    }
    if (rank != 2)
        return M3_FAIL(err, M3_ERR_INVALID, path, "has shape %.*s; give [rows, D]", (int)strcspn(shape, ")") + 1,
                       shape);
    matrix->rows = dims[0];
    matrix->width = dims[1] > UINT32_MAX ? UINT32_MAX : (uint32_t)dims[1];
    return M3_OK;
}

static m3_status open_npy(m3_matrix *matrix, const char *path, m3_error *err)
{
    const unsigned char *bytes = (const unsigned char *)matrix->file.bytes;
    size_t size = matrix->file.size, start = 0, length = 0;
    if (size >= 12 && memcmp(bytes, "\x93NUMPY", 6) == 0) {
        length = (size_t)bytes[8] | (size_t)bytes[9] << 8;
        start = 10;
        if (bytes[6] >= 2) {
            length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
            start = 12;
        }
    }
    if (start == 0) return M3_FAIL(err, M3_ERR_INVALID, path, "is no .npy file: it does not begin with \\x93NUMPY");
    char header[4096];
    if (length > size - start || length >= sizeof header)
        return M3_FAIL(err, M3_ERR_INVALID, path, "is damaged: a header of %zu bytes in a file of %zu", length, size);
    memcpy(header, bytes + start, length);
    header[length] = '\0';
    m3_status st = parse_npy_dict(matrix, header, path, err);
    if (st != M3_OK) return st;
    matrix->data = matrix->file.bytes + start + length;
    return check_extent(matrix, path, size - start - length, err);
}

/* The tensor to take: the only one, or the one with the name. */
static json_t *choose_tensor(json_t *header, const char *name, const char *path, m3_error *err)
{
    json_t *named = json_object_get(header, name), *only = NULL, *value;
    const char *key;
    size_t tensors = 0;
    json_object_foreach(header, key, value)
    {
        if (strcmp(key, "__metadata__") == 0) continue;
        only = value;
        tensors++;
    }
    if (named != NULL) return named;
    if (tensors == 1) return only;
    (void)M3_FAIL(err, M3_ERR_INVALID, path, "has %zu tensors and none is named '%s'", tensors, name);
    return NULL;
}

static m3_status take_tensor(m3_matrix *matrix, const json_t *tensor, const char *path, size_t start, m3_error *err)
{
    static const struct {
        const char *text;
        m3_number_kind kind;
        uint32_t bytes;
    } kinds[] = {{"F16", M3_NUMBER_F16, 2},      {"BF16", M3_NUMBER_BF16, 2},    {"F32", M3_NUMBER_F32, 4},
                 {"F64", M3_NUMBER_F64, 8},      {"I8", M3_NUMBER_SIGNED, 1},    {"I16", M3_NUMBER_SIGNED, 2},
                 {"I32", M3_NUMBER_SIGNED, 4},   {"I64", M3_NUMBER_SIGNED, 8},   {"U8", M3_NUMBER_UNSIGNED, 1},
                 {"U16", M3_NUMBER_UNSIGNED, 2}, {"U32", M3_NUMBER_UNSIGNED, 4}, {"U64", M3_NUMBER_UNSIGNED, 8},
                 {"BOOL", M3_NUMBER_UNSIGNED, 1}};
    const char *dtype = json_string_value(json_object_get(tensor, "dtype"));
    const json_t *shape = json_object_get(tensor, "shape"), *offsets = json_object_get(tensor, "data_offsets");
    if (dtype == NULL || json_array_size(offsets) != 2)
        return M3_FAIL(err, M3_ERR_INVALID, path, "has a damaged header: no dtype or data_offsets");
    size_t i = 0, count = sizeof kinds / sizeof kinds[0];
    while (i < count && strcmp(dtype, kinds[i].text) != 0) i++;
    if (i == count)
        return M3_FAIL(err, M3_ERR_INVALID, path, "holds %s; give F16, BF16, F32, F64, or whole numbers", dtype);
    matrix->kind = kinds[i].kind;
    matrix->bytes = kinds[i].bytes;
    if (json_array_size(shape) != 2)
        return M3_FAIL(err, M3_ERR_INVALID, path, "has a tensor of rank %zu; give [rows, D]", json_array_size(shape));
    json_int_t rows = json_integer_value(json_array_get(shape, 0)),
               width = json_integer_value(json_array_get(shape, 1));
    json_int_t from = json_integer_value(json_array_get(offsets, 0)),
               to = json_integer_value(json_array_get(offsets, 1));
    if (rows < 0 || width < 0 || from < 0 || to < from || (uint64_t)to > matrix->file.size - start)
        return M3_FAIL(err, M3_ERR_INVALID, path, "is damaged: bytes %lld to %lld of a file of %zu", (long long)from,
                       (long long)to, matrix->file.size);
    matrix->rows = (uint64_t)rows;
    matrix->width = width > (json_int_t)UINT32_MAX ? UINT32_MAX : (uint32_t)width;
    matrix->data = matrix->file.bytes + start + from;
    return check_extent(matrix, path, (uint64_t)(to - from), err);
}

static m3_status open_safetensors(m3_matrix *matrix, const char *path, const char *name, m3_error *err)
{
    const unsigned char *bytes = (const unsigned char *)matrix->file.bytes;
    size_t size = matrix->file.size;
    uint64_t length = 0;
    for (size_t i = 0; i < 8 && size >= 8; i++) length |= (uint64_t)bytes[i] << (8 * i);
    if (size < 8 || length > size - 8)
        return M3_FAIL(err, M3_ERR_INVALID, path, "is no safetensors file: a header of %llu bytes in a file of %zu",
                       (unsigned long long)length, size);
    if (length > M3_SAFETENSORS_HEADER)
        return M3_FAIL(err, M3_ERR_INVALID, path, "has a header of %llu bytes, and at most %llu are read",
                       (unsigned long long)length, (unsigned long long)M3_SAFETENSORS_HEADER);
    json_error_t reason;
    json_t *header = NULL;
    m3_status st = m3_json_parse(matrix->file.bytes + 8, (size_t)length, path, &header, &reason, err);
    if (st != M3_OK) return st;
    if (!json_is_object(header)) {
        json_decref(header);
        return M3_FAIL(err, M3_ERR_INVALID, path, "has a damaged header: %s",
                       header == NULL ? reason.text : "no object");
    }
    const json_t *tensor = choose_tensor(header, name, path, err);
    st = tensor == NULL ? M3_ERR_INVALID : take_tensor(matrix, tensor, path, 8 + (size_t)length, err);
    json_decref(header);
    return st;
}

m3_status m3_matrix_open(m3_matrix *matrix, const char *path, const char *name, m3_error *err)
{
    *matrix = (m3_matrix){0};
    m3_status st = m3_file_map(path, &matrix->file, err);
    if (st != M3_OK) return st;
    const char *dot = strrchr(path, '.');
    bool safetensors = dot != NULL && strcasecmp(dot, ".safetensors") == 0;
    st = safetensors ? open_safetensors(matrix, path, name, err) : open_npy(matrix, path, err);
    if (st != M3_OK) m3_matrix_close(matrix);
    return st;
}

void m3_matrix_close(m3_matrix *matrix)
{
    m3_file_unmap(&matrix->file);
    *matrix = (m3_matrix){0};
}

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* 1 sign, 5 exponent, 10 fraction bits. */
static float from_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = (half >> 10) & 31u, fraction = half & 1023u;
    if (exponent == 31) return from_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent == 0) return (sign != 0 ? -1.0f : 1.0f) * ldexpf((float)fraction, -24);
    return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

/* The bits of a number, the first byte lowest. */
static uint64_t bits_at(const m3_matrix *matrix, uint64_t index)
{
    const unsigned char *at = (const unsigned char *)matrix->data + index * matrix->bytes;
    uint64_t bits = 0;
    for (uint32_t i = 0; i < matrix->bytes; i++)
        bits |= (uint64_t)at[i] << 8 * (matrix->big_endian ? matrix->bytes - 1 - i : i);
    return bits;
}

static int64_t signed_of(uint64_t bits, uint32_t bytes)
{
    switch (bytes) {
    case 1: return (int8_t)bits;
    case 2: return (int16_t)bits;
    case 4: return (int32_t)bits;
    default: return (int64_t)bits;
    }
}

static float number_at(const m3_matrix *matrix, uint64_t index)
{
    const uint64_t bits = bits_at(matrix, index);
    double wide;
    switch (matrix->kind) {
    case M3_NUMBER_F16: return from_half((uint16_t)bits);
    case M3_NUMBER_BF16: return from_bits((uint32_t)bits << 16);
    case M3_NUMBER_F32: return from_bits((uint32_t)bits);
    case M3_NUMBER_F64:
        memcpy(&wide, &bits, sizeof wide);
        return fabs(wide) <= (double)3.40282347e38f ? (float)wide : NAN;
    case M3_NUMBER_SIGNED: return (float)signed_of(bits, matrix->bytes);
    case M3_NUMBER_UNSIGNED: return (float)bits;
    }
    return NAN;
}

static uint64_t index_of(const m3_matrix *matrix, uint64_t row, uint32_t column)
{
    return matrix->by_columns ? column * matrix->rows + row : row * matrix->width + column;
}

uint32_t m3_matrix_rounded(const m3_matrix *matrix, uint64_t row)
{
    uint32_t count = 0;
    if (matrix->bytes < 4 || (matrix->kind != M3_NUMBER_SIGNED && matrix->kind != M3_NUMBER_UNSIGNED)) return 0;
    for (uint32_t i = 0; i < matrix->width; i++) {
        const uint64_t bits = bits_at(matrix, index_of(matrix, row, i));
        const int64_t value = signed_of(bits, matrix->bytes);
        uint64_t size = matrix->kind == M3_NUMBER_SIGNED && value < 0 ? 0 - (uint64_t)value : bits;
        while (size > 0 && size % 2 == 0) size /= 2;
        count += size > (uint64_t)1 << 24;
    }
    return count;
}

bool m3_matrix_row(const m3_matrix *matrix, uint64_t row, float *out)
{
    bool finite = true;
    for (uint32_t i = 0; i < matrix->width; i++) {
        out[i] = number_at(matrix, index_of(matrix, row, i));
        finite = finite && isfinite(out[i]);
    }
    return finite;
}
