/* keep: option keep=DIR, a folder of kernels as the driver's compiler gets them, for people and for tools that compile
 * them elsewhere. Each is two files: its code, and a text with what else the compiler was told. */
#ifndef LOWER_KEEP_H
#define LOWER_KEEP_H

#include "m3bsr/backend.h"

/* Make the folder where it is not there. M3_ERR_IO: it cannot be made, or is no folder. */
m3_status lower_keep_open(const char *folder, m3_error *err);

/* Write FOLDER/NAME-HASH.ENDING, and over what was there; in NAME what is no letter, digit, '.' or '_' becomes '_'.
 * M3_ERR_IO names the file and the reason. */
m3_status lower_keep_write(const char *folder, const char *name, uint64_t hash, const char *ending, const void *data,
                           size_t bytes, m3_error *err);

#endif
