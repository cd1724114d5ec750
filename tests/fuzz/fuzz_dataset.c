/* A data set file: as it is, and once more with a header that fits it, so that what lies behind the checksum is read.
 */
#include <stdlib.h>
#include <string.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "core/data/set_format.h"
#include "tests/fuzz/fuzz.h"

static void open_and_walk(const uint8_t *data, size_t size)
{
    m3_dataset *set = NULL;
    m3_error err = {0};
    m3_status st = m3_dataset_open(fuzz_write("set", data, size), &set, &err);
    fuzz_check_error(st, &err);
    FUZZ_CHECK((st == M3_OK) == (set != NULL));
    if (set != NULL) fuzz_walk_set(set);
    m3_dataset_close(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    m3_set_header header;
    open_and_walk(data, size);
    if (size < sizeof header) return 0;
    uint8_t *sealed = malloc(size);
    FUZZ_CHECK(sealed != NULL);
    memcpy(sealed, data, size);
    memcpy(&header, data, sizeof header);
    memcpy(header.magic, M3_SET_MAGIC, sizeof header.magic);
    header.version = M3_SET_VERSION;
    header.file_bytes = size;
    header.checksum = 0;
    memcpy(sealed, &header, sizeof header);
    header.checksum = XXH64(sealed, size, 0);
    memcpy(sealed, &header, sizeof header);
    open_and_walk(sealed, size);
    free(sealed);
    return 0;
}
