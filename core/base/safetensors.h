/* safetensors: named tensors in a file that PyTorch's users can read: 8 bytes of header length, a JSON header of names,
 * types, shapes and places, then the data, little-endian and row-major.
 * A file is not trusted: every size and place is checked when it is opened, before anything is allocated for it. */
#ifndef M3_CORE_BASE_SAFETENSORS_H
#define M3_CORE_BASE_SAFETENSORS_H

#include "m3bsr/tensor.h"

/** Bytes of the longest header that is read, of some 250,000 tensors: parsed, it takes up to twenty times as much. The
 * format allows 100 MB, which nobody's tensors need. */
#define M3_SAFETENSORS_HEADER (UINT64_C(16) << 20)

typedef struct m3_safetensors m3_safetensors;

/** A tensor to write, or one that is in a file. */
typedef struct m3_safetensors_entry {
    const char *name;
    m3_dtype dtype;
    m3_shape shape;
} m3_safetensors_entry;

/** A text of the header's __metadata__. */
typedef struct m3_safetensors_note {
    const char *key, *value;
} m3_safetensors_note;

/** @param file  The caller's on success, NULL on failure.
 * Returns M3_ERR_IO (cannot be read), M3_ERR_INVALID (what is wrong, and where), M3_ERR_MEMORY. */
m3_status m3_safetensors_open(const char *path, m3_safetensors **file, m3_error *err);
void m3_safetensors_close(m3_safetensors *file); /* takes NULL */

/** Tensors in the order of their data. Names live as long as the file is open. */
uint32_t m3_safetensors_count(const m3_safetensors *file);
const m3_safetensors_entry *m3_safetensors_at(const m3_safetensors *file, uint32_t index);
/** false when there is no tensor of this name. */
bool m3_safetensors_find(const m3_safetensors *file, const char *name, uint32_t *index);
/** A metadata text, borrowed, or NULL. */
const char *m3_safetensors_meta(const m3_safetensors *file, const char *key);
/** The tensor's bytes; `bytes` must be exactly its size. */
m3_status m3_safetensors_read(const m3_safetensors *file, uint32_t index, void *data, uint64_t bytes, m3_error *err);
/** Rows [begin, end) along axis 0, end - begin of them; a scalar is one row. Nothing else of the file is read. */
m3_status m3_safetensors_read_rows(const m3_safetensors *file, uint32_t index, uint64_t begin, uint64_t end, void *data,
                                   m3_error *err);
/** A floating tensor of any width as f32; count is its number of elements. M3_ERR_INVALID when it is not floating. */
m3_status m3_safetensors_read_f32(const m3_safetensors *file, uint32_t index, float *data, uint64_t count,
                                  m3_error *err);
/** The same of rows [begin, end) alone. */
m3_status m3_safetensors_read_rows_f32(const m3_safetensors *file, uint32_t index, uint64_t begin, uint64_t end,
                                       float *data, m3_error *err);

/** Writes entry `index` into data. */
typedef m3_status (*m3_safetensors_fill)(void *user, uint32_t index, void *data, uint64_t bytes, m3_error *err);

/** Write a file: to a temporary name beside it, synced, then renamed. One tensor at a time is in memory.
 * Returns M3_ERR_IO, M3_ERR_MEMORY, M3_ERR_INVALID (twice a name), or what fill returned. */
m3_status m3_safetensors_write(const char *path, const m3_safetensors_entry *entries, uint32_t count,
                               const m3_safetensors_note *notes, uint32_t note_count, m3_safetensors_fill fill,
                               void *user, m3_error *err);

/** Rows along axis 0, and the bytes of one; a scalar is one row. */
uint64_t m3_safetensors_rows(const m3_shape *shape);
uint64_t m3_safetensors_row_bytes(const m3_safetensors_entry *entry);
/** Rows that are moved at once, so that some megabytes are in memory whatever the tensor has; at least one. */
uint64_t m3_safetensors_step(const m3_safetensors_entry *entry);

/** Writes rows [begin, end) of entry `index` into data. */
typedef m3_status (*m3_safetensors_fill_rows)(void *user, uint32_t index, uint64_t begin, uint64_t end, void *data,
                                              m3_error *err);

/** As m3_safetensors_write(), m3_safetensors_step() rows at a time, in rising order. */
m3_status m3_safetensors_write_rows(const char *path, const m3_safetensors_entry *entries, uint32_t count,
                                    const m3_safetensors_note *notes, uint32_t note_count,
                                    m3_safetensors_fill_rows fill, void *user, m3_error *err);

#endif
