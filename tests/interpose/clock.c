/* clock: a clock that jumps, for a process that loads this before the C library (LD_PRELOAD). The time of day goes
 * years back and forth from call to call; the steady clock, which never goes back, jumps on by up to an hour. Which way
 * is drawn from CLOCK_SEED. */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { YEARS_S = 10 * 365 * 86400, HOUR_S = 3600 };

static _Atomic uint64_t calls, forward_s;
static uint64_t seed;

__attribute__((constructor)) static void start(void)
{
    const char *given = getenv("CLOCK_SEED");
    seed = given != NULL ? strtoull(given, NULL, 10) : 0;
}

/* A number for each call: splitmix64. */
static uint64_t draw(void)
{
    uint64_t x = seed + (atomic_fetch_add(&calls, 1) + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

EXPORT int clock_gettime(clockid_t id, struct timespec *time)
{
    const int failed = (int)syscall(SYS_clock_gettime, id, time);
    if (failed != 0) return failed;
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
        time->tv_sec += (time_t)(draw() % (2 * (uint64_t)YEARS_S)) - YEARS_S;
    else if (id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE || id == CLOCK_MONOTONIC_RAW || id == CLOCK_BOOTTIME)
        time->tv_sec += (time_t)(atomic_fetch_add(&forward_s, draw() % HOUR_S));
    return 0;
}

EXPORT time_t time(time_t *to)
{
    struct timespec now;
    const time_t seconds = clock_gettime(CLOCK_REALTIME, &now) == 0 ? now.tv_sec : -1;
    if (to != NULL) *to = seconds;
    return seconds;
}

EXPORT int gettimeofday(struct timeval *restrict to, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    *to = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}
