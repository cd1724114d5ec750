/* parts: the tensors of a checkpoint, which is one file, or is written in parts: FOLDER/STEM.safetensors has what all
 * ranks have alike and names the save; rows of the other tensors lie beside it, a file of each rank's:
 *   STEM.SAVE.K-of-N.safetensors    SAVE: 16 digits in hexadecimal; K: from 1
 * A part has tensors under their whole names, with its rows alone; its metadata says which these are, "rows.NAME":
 * "BEGIN END ROWS". Parts follow each other. A save's parts are there before the file that names them is renamed into
 * place, and those of other saves go after it, so that a kill leaves one save that is whole. */
#ifndef M3_CORE_RUN_PARTS_H
#define M3_CORE_RUN_PARTS_H

#include "core/base/safetensors.h"

/** Texts of the metadata. */
#define M3_PART_FORMAT "m3bsr checkpoint part 1"
#define M3_PART_ROWS   "rows."
enum { M3_SAVE_TEXT = 17, M3_MOST_PARTS = 1 << 16 };

/** One of the files of a save. */
typedef struct m3_checkpoint_part {
    uint64_t save;         /**< not 0 */
    uint32_t index, count; /**< index: from 0 */
} m3_checkpoint_part;

/** A checkpoint that is open, in one file or in parts. */
typedef struct m3_parts m3_parts;

/** Looks at all parts: M3_ERR_INVALID names the one that is missing, belongs to another save or has other rows than
 * the others leave it. No tensor is read. They stay open, up to a number, so that a training
 * that goes on does not change what is read. @param parts  Yours; NULL on failure. */
m3_status m3_parts_open(const char *path, m3_parts **parts, m3_error *err);
void m3_parts_close(m3_parts *parts); /* takes NULL */
/** The same of parts whose file is still to be written. */
m3_status m3_parts_check(const char *path, uint64_t save, uint32_t count, m3_error *err);

/** Of a checkpoint in one file: 1. */
uint32_t m3_parts_files(const m3_parts *parts);
/** Path of a file, borrowed until the next call, NULL without memory; file 0 is the one that was opened. */
const char *m3_parts_file(m3_parts *parts, uint32_t file);

/** Tensors, with their whole shapes. */
uint32_t m3_parts_count(const m3_parts *parts);
const m3_safetensors_entry *m3_parts_at(const m3_parts *parts, uint32_t index);
bool m3_parts_find(const m3_parts *parts, const char *name, uint32_t *index);
/** A metadata text of the file that was opened, borrowed, or NULL. */
const char *m3_parts_meta(const m3_parts *parts, const char *key);
/** Rows [begin, end) of a tensor, as it is stored; a scalar is one row. Nothing else is read. */
m3_status m3_parts_read_rows(m3_parts *parts, uint32_t index, uint64_t begin, uint64_t end, void *data, m3_error *err);
/** As m3_safetensors_read_f32() and m3_safetensors_read_rows_f32(). */
m3_status m3_parts_read_f32(m3_parts *parts, uint32_t index, float *data, uint64_t count, m3_error *err);
m3_status m3_parts_read_rows_f32(m3_parts *parts, uint32_t index, uint64_t begin, uint64_t end, float *data,
                                 m3_error *err);

/** Is it the name of a part, of whichever checkpoint? */
bool m3_parts_is_part(const char *name);
/** Fresh memory, NULL without. */
char *m3_part_path(const char *path, const m3_checkpoint_part *part);
/** What the name of path is without ".safetensors"; fresh memory, NULL without. */
char *m3_parts_stem(const char *path);
/** The save that the file at path names; 0 where it is in no parts, is not there or is none of ours. M3_ERR_MEMORY,
 * M3_ERR_IO. */
m3_status m3_parts_save_at(const char *path, uint64_t *save, m3_error *err);
/** Remove parts that stand beside path and are of another save; 0: all. The caller is the only one that writes there.
 */
void m3_parts_keep(const char *path, uint64_t save);
/** The same with the save that path names: what killed saves left. Nothing is removed where path is damaged. */
m3_status m3_parts_sweep(const char *path, m3_error *err);

#endif
