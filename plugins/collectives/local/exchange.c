/* exchange: the n-th exchange of a rank meets the n-th of every other. A parcel is copied from the sender's memory to
 * the receiver's once both have started, by any rank that waits, so none depends on the order in which others wait.
 * Who finds nothing to copy sleeps. */
#include <errno.h>
#include <math.h>
#include <time.h>
#include <unistd.h>

#include "plugins/collectives/local/local.h"

typedef struct share {
    m3_parcel parcel;
    bool taken; /* what is received from this rank is being copied, or was */
} share;

struct m3_exchange {
    m3_exchange *next;
    uint64_t number;
    uint32_t received, given; /* parcels */
    uint32_t busy;            /* copies under way that read or write its memory */
    share shares[];
};

static bool is_complete(const m3_collectives *g, const m3_exchange *e)
{
    return e->received == g->count && e->given == g->count;
}

/* The first reason stays. */
static void break_group(m3_collectives *g, const m3_error *why)
{
    if (g->broken.code == M3_OK) g->broken = *why;
    (void)pthread_cond_broadcast(&g->changed);
}

static m3_status tell(const m3_collectives *g, m3_error *err)
{
    if (err != NULL && err->code == M3_OK) *err = g->broken;
    return g->broken.code;
}

void local_fail(m3_rank *rank, const m3_error *why)
{
    m3_collectives *g = rank->group;
    m3_error all = {0};
    char subject[32];
    (void)snprintf(subject, sizeof subject, "rank %u", rank->number);
    (void)M3_FAIL(&all, M3_ERR_DEVICE_LOST, subject, "rank %u of %u in process %d ended: %s%s%s", rank->number,
                  g->count, (int)getpid(), why->subject, why->subject[0] != 0 ? ": " : "", why->message);
    (void)pthread_mutex_lock(&g->lock);
    break_group(g, &all);
    (void)pthread_mutex_unlock(&g->lock);
}

m3_status local_exchange(m3_rank *rank, const m3_parcel *parcels, m3_exchange **exchange, m3_error *err)
{
    m3_collectives *g = rank->group;
    const m3_host *host = g->host;
    const size_t bytes = sizeof **exchange + g->count * sizeof(share);
    m3_exchange *e = *exchange = host->allocate(host->user, 1, bytes);
    if (e == NULL) {
        m3_error why = {0};
        const m3_status st = M3_FAIL_MEMORY(&why, "exchange", bytes);
        local_fail(rank, &why);
        if (err != NULL && err->code == M3_OK) *err = why;
        return st;
    }
    for (uint32_t i = 0; i < g->count; i++) e->shares[i].parcel = parcels[i];
    (void)pthread_mutex_lock(&g->lock);
    const m3_status st = g->broken.code == M3_OK ? M3_OK : tell(g, err);
    if (st == M3_OK) {
        m3_exchange **end = &rank->first;
        while (*end != NULL) end = &(*end)->next;
        *end = e;
        e->number = rank->started++;
        (void)pthread_cond_broadcast(&g->changed);
    }
    (void)pthread_mutex_unlock(&g->lock);
    if (st == M3_OK) return M3_OK;
    host->release(host->user, e);
    *exchange = NULL;
    return st;
}

static m3_exchange *find(const m3_rank *rank, uint64_t number)
{
    m3_exchange *e = rank->first;
    while (e != NULL && e->number != number) e = e->next;
    return e;
}

/* A copy that can be made: from `sender`, an exchange of rank `from`, to `receiver`, one of rank `to`. */
typedef struct task {
    m3_exchange *sender, *receiver;
    uint32_t from, to;
} task;

static bool find_task(const m3_collectives *g, uint32_t to, task *found)
{
    for (m3_exchange *e = g->ranks[to].first; e != NULL; e = e->next)
        for (uint32_t from = 0; from < g->count; from++) {
            if (e->shares[from].taken) continue;
            m3_exchange *sender = find(&g->ranks[from], e->number);
            if (sender == NULL) continue;
            *found = (task){sender, e, from, to};
            return true;
        }
    return false;
}

/* Copy one parcel, those for `rank` first; false when there is none to copy. Leaves the lock meanwhile. */
static bool copy_one(m3_collectives *g, const m3_rank *rank)
{
    task t = {0};
    bool found = false;
    for (uint32_t i = 0; i < g->count && !found; i++) found = find_task(g, (rank->number + i) % g->count, &t);
    if (!found) return false;
    const m3_parcel *give = &t.sender->shares[t.to].parcel, *take = &t.receiver->shares[t.from].parcel;
    if (give->send_bytes != take->receive_bytes) {
        m3_error why = {0};
        (void)M3_FAIL(&why, M3_ERR_INVALID, "exchange",
                      "rank %u gives %llu bytes in exchange %llu, but rank %u takes %llu: they do not do the same",
                      t.from, (unsigned long long)give->send_bytes, (unsigned long long)t.receiver->number, t.to,
                      (unsigned long long)take->receive_bytes);
        break_group(g, &why);
        return true;
    }
    t.receiver->shares[t.from].taken = true;
    t.receiver->busy++;
    t.sender->busy++;
    (void)pthread_mutex_unlock(&g->lock);
    if (give->send_bytes > 0) memcpy(take->receive, give->send, give->send_bytes);
    (void)pthread_mutex_lock(&g->lock);
    t.receiver->busy--;
    t.sender->busy--;
    t.receiver->received++;
    t.sender->given++;
    if (is_complete(g, t.receiver) || is_complete(g, t.sender) || g->broken.code != M3_OK)
        (void)pthread_cond_broadcast(&g->changed);
    return true;
}

/* Time is up for an exchange: name those that are furthest behind. When all have started it, some copy is under way,
 * which ends by itself. */
static void blame(m3_collectives *g, const m3_exchange *e)
{
    m3_error why = {0};
    char subject[32];
    uint32_t silent = 0;
    for (uint32_t i = 1; i < g->count; i++)
        if (g->ranks[i].started < g->ranks[silent].started) silent = i;
    if (g->ranks[silent].started > e->number) return;
    (void)snprintf(subject, sizeof subject, "rank %u", silent);
    (void)M3_FAIL(&why, M3_ERR_DEVICE_LOST, subject,
                  "rank %u of %u in process %d was silent for %g s, the others waited for it; allow more time if it is "
                  "only slow",
                  silent, g->count, (int)getpid(), g->seconds);
    break_group(g, &why);
}

static struct timespec after(double seconds)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    const double whole = floor(seconds);
    t.tv_sec += (time_t)whole;
    t.tv_nsec += (long)((seconds - whole) * 1e9);
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

m3_status local_wait(m3_rank *rank, m3_exchange *exchange, m3_error *err)
{
    m3_collectives *g = rank->group;
    const m3_host *host = g->host;
    struct timespec end = after(g->seconds);
    (void)pthread_mutex_lock(&g->lock);
    while (g->broken.code == M3_OK && !is_complete(g, exchange)) {
        if (copy_one(g, rank)) continue;
        if (g->seconds <= 0) {
            (void)pthread_cond_wait(&g->changed, &g->lock);
        } else if (pthread_cond_timedwait(&g->changed, &g->lock, &end) == ETIMEDOUT) {
            if (!is_complete(g, exchange)) blame(g, exchange);
            end = after(g->seconds);
        }
    }
    while (exchange->busy > 0) (void)pthread_cond_wait(&g->changed, &g->lock);
    const m3_status st = g->broken.code == M3_OK ? M3_OK : tell(g, err);
    m3_exchange **at = &rank->first;
    while (*at != exchange) at = &(*at)->next;
    *at = exchange->next;
    (void)pthread_mutex_unlock(&g->lock);
    host->release(host->user, exchange);
    return st;
}
