/* watch: a thread that says, once for each time, that a device has not come back for long, and which one. A command
 * that waits for a driver would else look as if it worked. With a limit it ends the command: first by asking, so that
 * what is on a device that does come back is saved, then by itself. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tools/m3bsr/cli.h"

enum { PATIENCE = 30, DEVICES = 3 }; /* seconds; as many as a cli opens */

struct cli_watch {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool over;
    uint64_t patience_ns, opening_since;
    char opening[64]; /* the device that is being opened, or "" */
    const m3_device *device[DEVICES];
    bool told[DEVICES], told_opening;
    bool quiet;
    uint64_t stall_ns;             /* 0: none */
    volatile int *stop;            /* the command's */
    const _Atomic uint64_t *heard; /* when something was told that takes long, such as compiling */
    _Atomic bool stalled;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* How long a device has been silent. One that compiles is not while it tells of kernels. */
static uint64_t silence(const cli_watch *w, int i, const char **what)
{
    if (w->device[i] == NULL) return 0;
    const uint64_t busy = m3_device_busy(w->device[i], what), heard = atomic_load(w->heard), now = now_ns();
    return heard != 0 && heard < now && now - heard < busy ? now - heard : busy;
}

/* The second time is the last: whoever waits for the driver cannot be woken. */
static void look_for_stall(cli_watch *w)
{
    const unsigned seconds = (unsigned)(w->stall_ns / 1000000000u);
    if (w->opening[0] != '\0' && now_ns() - w->opening_since > w->stall_ns) {
        cli_show(stderr, "error: device %s has not opened for %u seconds\n", w->opening, seconds);
        _exit(CLI_SYSTEM);
    }
    for (int i = 0; i < DEVICES; i++) {
        const char *what = "";
        const uint64_t silent = silence(w, i, &what);
        if (silent > 2 * w->stall_ns) {
            cli_show(stderr,
                     "error: nothing has come back from device %s for %u seconds, while it %s; what was saved "
                     "before is whole. Go on with --resume auto\n",
                     m3_device_name(w->device[i]), 2 * seconds, what);
            _exit(CLI_SYSTEM);
        }
        if (silent <= w->stall_ns || atomic_load(&w->stalled)) continue;
        cli_show(stderr,
                 "error: nothing has come back from device %s for %u seconds, while it %s; should it come "
                 "back within as many, all of it is saved\n",
                 m3_device_name(w->device[i]), seconds, what);
        atomic_store(&w->stalled, true);
        if (w->stop != NULL) *w->stop = 1;
    }
}

static void look(cli_watch *w)
{
    static const char end[] = "Ctrl-C, twice if need be, ends this";
    const unsigned seconds = (unsigned)(w->patience_ns / 1000000000u);
    if (w->opening[0] != '\0' && !w->told_opening && now_ns() - w->opening_since > w->patience_ns) {
        cli_show(stderr, "warning: device %s has not opened for %u seconds; %s\n", w->opening, seconds, end);
        w->told_opening = true;
    }
    for (int i = 0; i < DEVICES; i++) {
        const char *what = "";
        const bool late = silence(w, i, &what) > w->patience_ns;
        if (late && !w->told[i])
            cli_show(stderr, "warning: nothing has come back from device %s for %u seconds, while it %s; %s\n",
                     m3_device_name(w->device[i]), seconds, what, end);
        w->told[i] = late;
    }
}

static void *watch(void *user)
{
    cli_watch *w = user;
    (void)pthread_mutex_lock(&w->lock);
    while (!w->over) {
        struct timespec until;
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 1;
        if (pthread_cond_timedwait(&w->changed, &w->lock, &until) != ETIMEDOUT) continue;
        if (!w->quiet) look(w);
        if (w->stall_ns != 0) look_for_stall(w);
    }
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}

void cli_watch_opening(cli *c, const char *device)
{
    const char *given = getenv("M3BSR_PATIENCE");
    uint32_t seconds = PATIENCE;
    if ((c->quiet && c->stall == 0) || c->told || c->watch != NULL) return;
    if (given != NULL && (!cli_count(given, &seconds) || seconds == 0)) seconds = PATIENCE;
    cli_watch *w = calloc(1, sizeof *w);
    if (w == NULL) return; /* nothing depends on it */
    w->patience_ns = (uint64_t)seconds * 1000000000u;
    w->quiet = c->quiet;
    w->stall_ns = (uint64_t)c->stall * 1000000000u;
    w->stop = c->stop;
    w->heard = &c->progress.heard;
    w->opening_since = now_ns();
    (void)snprintf(w->opening, sizeof w->opening, "%s", device);
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->changed, NULL);
    if (pthread_create(&w->thread, NULL, watch, w) == 0)
        c->watch = w;
    else
        free(w);
}

void cli_watch_devices(cli *c)
{
    if (c->watch == NULL) return;
    (void)pthread_mutex_lock(&c->watch->lock);
    c->watch->opening[0] = '\0';
    c->watch->device[0] = c->device;
    for (int i = 1; i < DEVICES; i++) c->watch->device[i] = c->others[i - 1];
    (void)pthread_mutex_unlock(&c->watch->lock);
}

bool cli_stalled(const cli *c)
{
    return c->watch != NULL && atomic_load(&c->watch->stalled);
}

void cli_watch_end(cli *c)
{
    cli_watch *w = c->watch;
    if (w == NULL) return;
    (void)pthread_mutex_lock(&w->lock);
    w->over = true;
    (void)pthread_cond_signal(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
    (void)pthread_join(w->thread, NULL);
    (void)pthread_cond_destroy(&w->changed);
    (void)pthread_mutex_destroy(&w->lock);
    free(w);
    c->watch = NULL;
}
