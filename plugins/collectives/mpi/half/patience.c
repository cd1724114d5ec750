/* patience: MPI moves bytes only while it is called, and its own waiting keeps a processor busy, which other ranks may
 * need. So a wait asks again and again: at once, then after short sleeps that grow once it takes long. */
#include <sched.h>
#include <time.h>

#include "plugins/collectives/mpi/half/group.h"

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

patience mpi_patience(void)
{
    const double t = now();
    return (patience){t, t, t};
}

bool mpi_pause(m3_collectives *g, patience *p)
{
    const double t = now(), idle = t - p->moved;
    mpi_listen(g);
    if (t - p->looked > 0.01) {
        mpi_look_for_dead(g);
        p->looked = t;
    }
    if (g->seconds > 0 && idle > g->seconds) return false;
    if (idle < 100e-6) {
        (void)sched_yield();
    } else {
        const struct timespec nap = {0, idle < 1 ? 50000 : 1000000};
        (void)nanosleep(&nap, NULL);
    }
    return true;
}
