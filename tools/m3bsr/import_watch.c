/* import_watch: the bar of an import on a terminal, and Ctrl-C, which leaves nothing behind. */
#include "tools/m3bsr/import_watch.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "tools/m3bsr/cli.h"

enum { WIDTH = 20, EVERY_MS = 100 };

static volatile sig_atomic_t signals;
static volatile int stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
    if (++signals > 1) _exit(CLI_INTERRUPTED);
}

static double seconds_since(const struct timespec *then)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - then->tv_sec) + 1e-9 * (double)(now.tv_nsec - then->tv_nsec);
}

/* "interactions.tsv [#####.....]  52 %  1200000 rows  812345 rows/s  0:42 left" */
static void draw(const import_watch *w, const m3_import_progress *p)
{
    char bar[WIDTH + 1];
    const double seconds = seconds_since(&w->began), part = (double)p->done / (double)p->bytes;
    const unsigned long left = seconds > 0 && part > 0 ? (unsigned long)(seconds * (1 / part - 1) + 0.5) : 0;
    const char *slash = strrchr(p->path, '/');
    for (int i = 0; i < WIDTH; i++) bar[i] = i < (int)(part * WIDTH) ? '#' : '.';
    bar[WIDTH] = '\0';
    (void)fputs("\r\033[K", stderr);
    cli_print_safe(stderr, slash != NULL ? slash + 1 : p->path);
    (void)fprintf(stderr, " [%s] %3u %%  %llu rows  %.0f rows/s  %lu:%02lu left", bar, (unsigned)(100 * part),
                  (unsigned long long)p->rows, seconds > 0 ? (double)(p->rows - w->before) / seconds : 0.0, left / 60,
                  left % 60);
}

static void show(void *user, const m3_import_progress *p)
{
    import_watch *w = user;
    const bool begins = p->done < w->done || p->bytes != w->bytes; /* another file, or its end */
    if (begins) (void)clock_gettime(CLOCK_MONOTONIC, &w->began);
    if (begins) w->before = p->rows;
    w->done = p->done;
    w->bytes = p->bytes;
    if (begins && p->bytes > 0) return; /* nothing is read yet */
    if (!begins && w->shown && seconds_since(&w->drawn) * 1000 < EVERY_MS) return;
    (void)clock_gettime(CLOCK_MONOTONIC, &w->drawn);
    if (p->bytes > 0) {
        draw(w, p);
    } else {
        (void)fputs("\r\033[Kwriting ", stderr);
        cli_print_safe(stderr, p->path);
    }
    (void)fflush(stderr);
    w->shown = true;
}

void import_watch_begin(import_watch *w, bool quiet, m3_import_options *options)
{
    struct sigaction action = {.sa_handler = on_signal};
    *w = (import_watch){0};
    (void)sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    options->stop = &stop;
    if (quiet || isatty(STDERR_FILENO) != 1) return;
    options->progress = show;
    options->progress_user = w;
}

void import_watch_clear(import_watch *w)
{
    if (w->shown) (void)fputs("\r\033[K", stderr);
    w->shown = false;
}
