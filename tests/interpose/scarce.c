/* scarce: memory that runs out, for a process that loads this before the C library (LD_PRELOAD). Request number
 * SCARCE_AT (from 0) of malloc, calloc, realloc and the aligned ones fails; with SCARCE_ON all behind it do too. Each
 * process counts for itself. The file SCARCE_TOLD gets the place of each request that failed first: object and
 * function. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What glibc has behind its own. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

#define EXPORT __attribute__((visibility("default")))

static _Atomic uint64_t seen;
static uint64_t at;
static bool on;
static const char *told;

__attribute__((constructor)) static void start(void)
{
    const char *number = getenv("SCARCE_AT");
    at = number != NULL ? strtoull(number, NULL, 10) : UINT64_MAX;
    on = getenv("SCARCE_ON") != NULL;
    told = getenv("SCARCE_TOLD");
    atomic_store(&seen, 0);
}

static void tell(const void *caller)
{
    Dl_info info = {0};
    char line[512];
    const int fd = open(told, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) return;
    (void)dladdr(caller, &info);
    const int length = snprintf(line, sizeof line, "%s %s+%#lx\n", info.dli_fname != NULL ? info.dli_fname : "?",
                                info.dli_sname != NULL ? info.dli_sname : "",
                                (unsigned long)((uintptr_t)caller - (uintptr_t)info.dli_fbase));
    (void)!write(fd, line, (size_t)length);
    (void)close(fd);
}

static bool fails(const void *caller)
{
    const uint64_t now = atomic_fetch_add(&seen, 1);
    if (now != at && !(on && now > at)) return false;
    if (now == at && told != NULL) tell(caller);
    errno = ENOMEM;
    return true;
}

EXPORT void *malloc(size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

EXPORT void *realloc(void *block, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(block, size);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);
}

EXPORT void *memalign(size_t alignment, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);
}

EXPORT int posix_memalign(void **block, size_t alignment, size_t size)
{
    if (fails(__builtin_return_address(0))) return ENOMEM;
    *block = __libc_memalign(alignment, size);
    return *block != NULL ? 0 : ENOMEM;
}
