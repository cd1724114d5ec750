/* progress: how far a device is with what takes seconds, such as compiling kernels: a line on a terminal that is drawn
 * over and over, and elsewhere one line when it has taken long already. */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tools/m3bsr/cli.h"

enum { EVERY_MS = 100, LONG_MS = 5000 };

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Scripts that compare what is said give M3BSR_PATIENCE. */
static int64_t long_ms(void)
{
    const char *given = getenv("M3BSR_PATIENCE");
    uint32_t seconds = 0;
    if (given == NULL || !cli_count(given, &seconds) || 1000 * (int64_t)seconds < LONG_MS) return LONG_MS;
    return 1000 * (int64_t)seconds;
}

void cli_show_progress(void *user, const char *what, uint32_t done, uint32_t total)
{
    cli_progress *p = user;
    const int64_t now = now_ms();
    if (done == 0) *p = (cli_progress){.bar = isatty(STDERR_FILENO) == 1, .began = now, .drawn = now};
    if (done >= total) {
        if (p->shown && p->bar) (void)fputs("\r\033[K", stderr);
    } else if (p->bar && now - p->drawn >= EVERY_MS) {
        (void)fprintf(stderr, "\r\033[K%s %u/%u", what, done, total);
        (void)fflush(stderr);
        p->drawn = now;
        p->shown = true;
    } else if (!p->bar && !p->shown && now - p->began >= long_ms()) {
        (void)fprintf(stderr, "%s: %u of %u; later starts find them made\n", what, done, total);
        p->shown = true;
    }
}
