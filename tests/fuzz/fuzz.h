/* fuzz: what the fuzz targets share. A target, fuzz_NAME.c, is one function over bytes that nobody vouches for: it puts
 * them into a file and reads that as the library would. Whatever it is given, it returns; the sanitizers and the
 * checks below say what went wrong. tests/fuzz/run searches for such inputs; the tests fuzz/NAME replay known ones. */
#ifndef M3_TESTS_FUZZ_H
#define M3_TESTS_FUZZ_H

#include "m3bsr/data.h"
#include "m3bsr/runtime.h"

/** What libFuzzer and the replay call; 0 always. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** Must hold whatever the input is; ends the process when not. */
#define FUZZ_CHECK(claim)                                                                                              \
    do {                                                                                                               \
        if (!(claim)) fuzz_broken(#claim, __FILE__, __LINE__);                                                         \
    } while (0)
void fuzz_broken(const char *claim, const char *file, int line);

/** A failed call says why: its code and a message. */
void fuzz_check_error(m3_status st, const m3_error *err);

/** A folder of this process, under TMPDIR, removed when it exits. */
const char *fuzz_folder(void);
/** The path of a file in it, in a buffer of the function; good until the fourth call after. */
const char *fuzz_path(const char *name);
/** Write a file of the folder; returns fuzz_path(name). */
const char *fuzz_write(const char *name, const void *bytes, size_t size);
/** Remove all files of the folder. */
void fuzz_clear(void);

/** The reference device, opened once and closed when the process exits. */
m3_device *fuzz_device(void);

/** A small set with users u and v, items a, b, c and 10, and behaviors view and buy; opened once. */
const m3_dataset *fuzz_set(void);

/** Read everything that an opened set hands out, its splits too. */
void fuzz_walk_set(const m3_dataset *set);

#endif
