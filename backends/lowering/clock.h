/* clock: time that passes, for timeouts and measurements. */
#ifndef LOWER_CLOCK_H
#define LOWER_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t lower_now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static inline double lower_seconds_since(uint64_t start_ns)
{
    return 1e-9 * (double)(lower_now_ns() - start_ns);
}

#endif
