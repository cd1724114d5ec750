/* progress: how far a device is with what takes seconds, such as compiling kernels: a line on a terminal that is drawn
 * over and over, and elsewhere one line when it has taken long already. */
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tools/m3bsr/cli.h"

enum { EVERY_MS = 100, LONG_MS = 5000, WIDTH = 24 };

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

/* "compiling kernels [#####...................] 12/60" */
static void draw(const char *what, uint32_t done, uint32_t total)
{
    char bar[WIDTH + 1];
    const uint64_t filled = (uint64_t)done * WIDTH / total;
    for (uint64_t i = 0; i < WIDTH; i++) bar[i] = i < filled ? '#' : '.';
    bar[WIDTH] = '\0';
    (void)fprintf(stderr, "\r\033[K%s [%s] %u/%u", what, bar, done, total);
    (void)fflush(stderr);
}

void cli_show_progress(void *user, const char *what, uint32_t done, uint32_t total)
{
    cli_progress *p = user;
    const int64_t now = now_ms();
    if (done == 0) {
        p->bar = isatty(STDERR_FILENO) == 1;
        p->shown = false;
        p->began = p->drawn = now;
    }
    atomic_store(&p->heard, (uint64_t)now * 1000000u);
    if (p->quiet) return;
    if (done >= total) {
        if (p->shown && p->bar) (void)fputs("\r\033[K", stderr);
    } else if (p->bar && now - p->drawn >= EVERY_MS) {
        draw(what, done, total);
        p->drawn = now;
        p->shown = true;
    } else if (!p->bar && !p->shown && now - p->began >= long_ms()) {
        (void)fprintf(stderr, "%s: %u of %u; later starts find them made\n", what, done, total);
        p->shown = true;
    }
}
