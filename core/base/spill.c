/* spill: a head, which says how the array was made, then the array. */
#include "core/base/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/outfile.h"

typedef struct head {
    _Alignas(max_align_t) size_t bytes; /* with the head */
    bool mapped;
} head;

static m3_status map(const char *beside, size_t bytes, head **made, m3_error *err)
{
    int fd = -1, reason;
    m3_status st = m3_outfile_scratch(beside, &fd, err);
    if (st != M3_OK) return st;
    while ((reason = posix_fallocate(fd, 0, (off_t)bytes)) == EINTR)
        ;
    void *at = reason == 0 ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (at != MAP_FAILED)
        *made = at;
    else
        st = M3_FAIL(err, M3_ERR_IO, beside,
                     "needs a temporary file of %zu bytes in its folder, which could not be made: %s; give a folder "
                     "with more room",
                     bytes, strerror(reason != 0 ? reason : errno));
    (void)close(fd); /* the mapping keeps it */
    return st;
}

void *m3_spill_array(const char *beside, uint64_t count, uint64_t size, m3_status *st, m3_error *err)
{
    head *made = NULL;
    if (*st != M3_OK) return NULL;
    const bool fits = size == 0 || count <= (INT64_MAX - sizeof *made) / size;
    const size_t bytes = fits ? sizeof *made + (size_t)(count * size) : SIZE_MAX;
    if (fits && beside != NULL)
        *st = map(beside, bytes, &made, err);
    else if (!fits || (made = m3_calloc(bytes, 1)) == NULL)
        *st = M3_FAIL_MEMORY(err, "data set", bytes);
    if (*st != M3_OK || made == NULL) return NULL;
    made->bytes = bytes;
    made->mapped = beside != NULL;
    return made + 1;
}

void m3_spill_rest(void *array)
{
    if (array == NULL) return;
    head *made = (head *)array - 1;
    if (!made->mapped) return;
    /* Hints: the pages stay as they are in the file, and what is read of them brings no neighbors with it. */
    (void)madvise(made, made->bytes, MADV_RANDOM);
    (void)madvise(made, made->bytes, MADV_DONTNEED);
}

void m3_spill_free(void *array)
{
    if (array == NULL) return;
    head *made = (head *)array - 1;
    if (made->mapped)
        (void)munmap(made, made->bytes);
    else
        m3_free(made);
}
