/* data_source: a folder of small source files for tests of data, and what its import says. */
#ifndef M3_TESTS_SUPPORT_DATA_SOURCE_H
#define M3_TESTS_SUPPORT_DATA_SOURCE_H

#include "m3bsr/data.h"

typedef struct data_source {
    char directory[64];
    char log[16384]; /* all lines that data_source_log() heard */
    size_t logged;
} data_source;

/** Make an empty folder. */
void data_source_make(data_source *source);
/** Remove the folder and all in it. */
void data_source_remove(data_source *source);
/** Write a file of the folder, with the given size or, when that is 0, as a string. */
void data_source_write(const data_source *source, const char *name, const char *bytes, size_t size);
/** Write NAME.npy. @param descr  "<f2" (values are given as their bits), "<f4", "<f8", "|u1", ">i4" and the like. */
void data_source_write_npy(const data_source *source, const char *name, const char *descr, bool by_columns,
                           uint32_t rows, uint32_t width, const double *values);
/** The path of a file of the folder, in a buffer of the function; good until the eighth call after. */
const char *data_source_path(const data_source *source, const char *name);
/** Whether a file is left that was to get another name. */
bool data_source_has_temporary(const data_source *source);
/** For m3_reading.log, with the source as user. */
void data_source_log(void *user, m3_log_level level, const char *line);
/** Import the folder into its file "set". */
m3_status data_source_import(data_source *source, m3_import_options options, m3_import_report *report, m3_error *err);

/** Fails request number `at` (from 0); with `on`, all behind it too. Counts requests. */
typedef struct alloc_failure {
    uint64_t at, seen;
    bool on;
} alloc_failure;
/** For m3_alloc_set_gate(). */
bool alloc_failure_gate(void *user, size_t bytes);

#endif
