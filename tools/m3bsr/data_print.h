/* data_print: what is in a data set, and what became of the rows that it was imported from, on stdout. */
#ifndef M3_TOOLS_DATA_PRINT_H
#define M3_TOOLS_DATA_PRINT_H

#include "m3bsr/data.h"

/** @param path  The set's file, which the text names. */
m3_status data_print_json(const m3_dataset *set, const char *path, m3_error *err);
m3_status data_print_text(const m3_dataset *set, const char *path, m3_error *err);

#endif
