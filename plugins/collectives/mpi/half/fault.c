/* fault: who broke the group, and how the others hear of it. A rank that finds a fault sends its last words to all;
 * each looks for them while it waits. A process that ended without a word is seen at once by those on its machine, and
 * by the time limit elsewhere. MPI's own handling of errors would end the process, so it is turned off. */
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "plugins/collectives/mpi/half/group.h"

enum { WORDS = 1 /* tag */ };

const char *mpi_describe(const m3_collectives *g, int rank, char *text, size_t bytes)
{
    (void)snprintf(text, bytes, "rank %d of %d (process %lld on %s)", rank, g->count,
                   (long long)g->places[rank].process, g->places[rank].host);
    return text;
}

m3_status mpi_tell(const m3_collectives *g, m3_error *err)
{
    if (err != NULL && err->code == M3_OK) *err = g->broken;
    return g->broken.code;
}

/* As far as that can be seen from here. */
static bool has_ended(const m3_collectives *g, int rank)
{
    struct pollfd end = {.fd = g->ends[rank], .events = POLLIN};
    return end.fd >= 0 && poll(&end, 1, 0) > 0;
}

void mpi_break(m3_collectives *g, const m3_error *why)
{
    if (g->broken.code != M3_OK) return;
    g->broken = *why;
    words *last = g->host->allocate(g->host->user, 1, sizeof *last);
    MPI_Request *sent = g->host->allocate(g->host->user, (size_t)g->count, sizeof *sent);
    if (last == NULL || sent == NULL) goto done; /* then the others run into the time limit */
    *last = (words){(uint32_t)g->number, *why};
    for (int i = 0; i < g->count; i++) {
        sent[i] = MPI_REQUEST_NULL;
        if (i != g->number && !has_ended(g, i))
            (void)MPI_Isend(last, (int)sizeof *last, MPI_BYTE, i, WORDS, g->control, &sent[i]);
    }
    /* They are short, so that MPI takes them over at once, unless a rank can no longer be reached. Then they stay for
     * good: mpirun may end this process soon, and it has something to say. */
    const struct timespec nap = {0, 1000000};
    int left = g->count;
    for (int tries = 0; tries < 50 && left > 0; tries++) {
        if (tries > 0) (void)nanosleep(&nap, NULL);
        left = 0;
        for (int i = 0; i < g->count; i++) {
            int ended = 0;
            if (MPI_Test(&sent[i], &ended, MPI_STATUS_IGNORE) != MPI_SUCCESS || !ended) left++;
        }
    }
    if (left > 0) return;
done:
    g->host->release(g->host->user, last);
    g->host->release(g->host->user, sent);
}

void mpi_break_code(m3_collectives *g, int code, int rank, const char *doing)
{
    char text[MPI_MAX_ERROR_STRING] = "", who[160], subject[32] = "mpi";
    int length = 0;
    m3_error why = {0};
    (void)MPI_Error_string(code, text, &length);
    if (rank >= 0) (void)snprintf(subject, sizeof subject, "rank %d", rank);
    (void)M3_FAIL(&why, M3_ERR_DEVICE_LOST, subject, "%s%s%s: %.400s", doing, rank >= 0 ? " " : "",
                  rank >= 0 ? mpi_describe(g, rank, who, sizeof who) : "", text);
    mpi_break(g, &why);
}

void mpi_listen(m3_collectives *g)
{
    int there = 0;
    if (g->broken.code != M3_OK || g->hearing == MPI_REQUEST_NULL) return;
    if (MPI_Test(&g->hearing, &there, MPI_STATUS_IGNORE) == MPI_SUCCESS && there) g->broken = g->heard.why;
}

void mpi_fail(m3_rank *rank, const m3_error *why)
{
    m3_collectives *g = rank->group;
    char who[160], subject[32];
    m3_error all = {0};
    mpi_listen(g);
    (void)snprintf(subject, sizeof subject, "rank %d", g->number);
    (void)M3_FAIL(&all, M3_ERR_DEVICE_LOST, subject, "%s ended: %s%s%s", mpi_describe(g, g->number, who, sizeof who),
                  why->subject, why->subject[0] != 0 ? ": " : "", why->message);
    mpi_break(g, &all);
}

/* Processes of this machine. */

void mpi_watch(m3_collectives *g)
{
    const place *here = &g->places[g->number];
    for (int i = 0; i < g->count; i++) {
        const place *p = &g->places[i];
        g->ends[i] = -1;
        if (i == g->number || here->boot[0] == 0 || strcmp(p->boot, here->boot) != 0 || p->space != here->space)
            continue;
        g->ends[i] = (int)syscall(SYS_pidfd_open, (pid_t)p->process, 0); /* -1 from an old kernel */
    }
}

void mpi_unwatch(m3_collectives *g)
{
    for (int i = 0; g->ends != NULL && i < g->count; i++)
        if (g->ends[i] >= 0) (void)close(g->ends[i]);
}

void mpi_look_for_dead(m3_collectives *g)
{
    const struct timespec nap = {0, 5000000};
    char who[160], subject[32];
    m3_error why = {0};
    int dead = -1;
    for (int i = 0; i < g->count && dead < 0; i++)
        if (has_ended(g, i)) dead = i;
    if (dead < 0) return;
    for (int tries = 0; tries < 10 && g->broken.code == M3_OK; tries++) { /* its last words may be under way */
        mpi_listen(g);
        (void)nanosleep(&nap, NULL);
    }
    (void)snprintf(subject, sizeof subject, "rank %d", dead);
    (void)M3_FAIL(&why, M3_ERR_DEVICE_LOST, subject, "%s ended without a word, while others waited for it",
                  mpi_describe(g, dead, who, sizeof who));
    mpi_break(g, &why);
}
