/* exchange: parcels as messages. Between two ranks messages keep their order, so the n-th parcel of one meets the n-th
 * of the other by itself. A parcel is cut into pieces of `piece` bytes; the last one is always shorter, may be empty,
 * and so tells the receiver that nothing follows: parcels of another size than expected are found, none is waited for
 * in vain. */
#include <time.h>

#include "plugins/collectives/mpi/half/group.h"

enum { PARCEL = 0 /* tag */ };

/* The parts of each array belong together. MPI sets a request to MPI_REQUEST_NULL when it has ended. */
struct m3_exchange {
    int count; /* of messages */
    MPI_Request *request;
    MPI_Status *status;
    int *ended; /* indices, of those that a test found */
    int *peer;
    int *bytes; /* that are to come; -1: it goes out */
};

static size_t round_up(size_t bytes)
{
    return (bytes + 15) / 16 * 16;
}

static int pieces_of(const m3_collectives *g, uint64_t bytes)
{
    return (int)(bytes / g->piece) + 1;
}

static m3_exchange *make(const m3_collectives *g, const m3_parcel *parcels)
{
    m3_exchange *e = NULL;
    size_t count = 0;
    for (int i = 0; i < g->count; i++)
        if (i != g->number)
            count += (size_t)pieces_of(g, parcels[i].send_bytes) + (size_t)pieces_of(g, parcels[i].receive_bytes);
    const size_t requests = round_up(count * sizeof *e->request), statuses = round_up(count * sizeof *e->status);
    const size_t numbers = round_up(count * sizeof(int));
    unsigned char *block = g->host->allocate(g->host->user, 1, round_up(sizeof *e) + requests + statuses + 3 * numbers);
    if (block == NULL) return NULL;
    e = (m3_exchange *)(void *)block;
    block += round_up(sizeof *e);
    e->request = (MPI_Request *)(void *)block;
    e->status = (MPI_Status *)(void *)(block + requests);
    e->ended = (int *)(void *)(block + requests + statuses);
    e->peer = (int *)(void *)(block + requests + statuses + numbers);
    e->bytes = (int *)(void *)(block + requests + statuses + 2 * numbers);
    return e;
}

/* The pieces of a parcel from a rank, or to it. */

static void start_receive(m3_collectives *g, m3_exchange *e, const m3_parcel *p, int from)
{
    unsigned char *to = p->receive;
    for (uint64_t at = 0; at <= p->receive_bytes && g->broken.code == M3_OK; at += g->piece) {
        const uint64_t left = p->receive_bytes - at;
        const int i = e->count++;
        e->request[i] = MPI_REQUEST_NULL;
        e->peer[i] = from;
        e->bytes[i] = (int)(left < g->piece ? left : g->piece);
        const int code =
            MPI_Irecv(left > 0 ? to + at : NULL, e->bytes[i], MPI_BYTE, from, PARCEL, g->data, &e->request[i]);
        if (code != MPI_SUCCESS) mpi_break_code(g, code, from, "could not receive from");
    }
}

static void start_send(m3_collectives *g, m3_exchange *e, const m3_parcel *p, int to)
{
    const unsigned char *from = p->send;
    for (uint64_t at = 0; at <= p->send_bytes && g->broken.code == M3_OK; at += g->piece) {
        const uint64_t left = p->send_bytes - at;
        const int i = e->count++;
        e->request[i] = MPI_REQUEST_NULL;
        e->peer[i] = to;
        e->bytes[i] = -1;
        const int code = MPI_Isend(left > 0 ? from + at : NULL, (int)(left < g->piece ? left : g->piece), MPI_BYTE, to,
                                   PARCEL, g->data, &e->request[i]);
        if (code != MPI_SUCCESS) mpi_break_code(g, code, to, "could not send to");
    }
}

static void break_size(m3_collectives *g, int from)
{
    char who[160];
    m3_error why = {0};
    (void)M3_FAIL(&why, M3_ERR_INVALID, "exchange",
                  "%s gives another number of bytes than rank %d takes: they do not do the same",
                  mpi_describe(g, from, who, sizeof who), g->number);
    mpi_break(g, &why);
}

static void copy_own(m3_collectives *g, const m3_parcel *p)
{
    if (p->send_bytes != p->receive_bytes)
        break_size(g, g->number);
    else if (p->send_bytes > 0)
        memcpy(p->receive, p->send, p->send_bytes);
}

/* The group is broken: what would still be written is called off, and what cannot be is given a moment. */
static void abandon(const m3_collectives *g, m3_exchange *e)
{
    const struct timespec nap = {0, 1000000};
    for (int i = 0; i < e->count; i++)
        if (e->bytes[i] >= 0 && e->request[i] != MPI_REQUEST_NULL) (void)MPI_Cancel(&e->request[i]);
    for (int tries = 0, left = 1; tries < 20 && left > 0; tries++) {
        left = 0;
        for (int i = 0; i < e->count; i++) {
            int ended = 1;
            if (e->bytes[i] < 0 || e->request[i] == MPI_REQUEST_NULL) continue;
            if (MPI_Test(&e->request[i], &ended, MPI_STATUS_IGNORE) == MPI_SUCCESS && !ended) left++;
        }
        if (left > 0) (void)nanosleep(&nap, NULL);
    }
    for (int i = 0; i < e->count; i++)
        if (e->request[i] != MPI_REQUEST_NULL) (void)MPI_Request_free(&e->request[i]);
    g->host->release(g->host->user, e);
}

m3_status mpi_exchange(m3_rank *rank, const m3_parcel *parcels, m3_exchange **exchange, m3_error *err)
{
    m3_collectives *g = rank->group;
    *exchange = NULL;
    mpi_listen(g);
    if (g->broken.code != M3_OK) return mpi_tell(g, err);
    m3_exchange *e = make(g, parcels);
    if (e == NULL) {
        m3_error why = {0};
        const m3_status st = M3_FAIL_MEMORY(&why, "mpi", sizeof *e);
        mpi_fail(rank, &why);
        if (err != NULL && err->code == M3_OK) *err = why;
        return st;
    }
    copy_own(g, &parcels[g->number]);
    /* Each begins with its neighbour, so that they do not all send to one at once. */
    for (int k = 1; k < g->count; k++) {
        const int from = (g->number + g->count - k) % g->count;
        start_receive(g, e, &parcels[from], from);
    }
    for (int k = 1; k < g->count; k++) {
        const int to = (g->number + k) % g->count;
        start_send(g, e, &parcels[to], to);
    }
    if (g->broken.code == M3_OK) {
        *exchange = e;
        return M3_OK;
    }
    abandon(g, e);
    return mpi_tell(g, err);
}

/* What a test found: sizes, and errors of single messages. */
static void check_ended(m3_collectives *g, const m3_exchange *e, int ended, bool errors)
{
    for (int k = 0; k < ended && g->broken.code == M3_OK; k++) {
        const int i = e->ended[k];
        int bytes = 0, class = MPI_SUCCESS;
        if (errors && e->status[k].MPI_ERROR != MPI_SUCCESS && e->status[k].MPI_ERROR != MPI_ERR_PENDING) {
            (void)MPI_Error_class(e->status[k].MPI_ERROR, &class);
            if (class == MPI_ERR_TRUNCATE)
                break_size(g, e->peer[i]);
            else
                mpi_break_code(g, e->status[k].MPI_ERROR, e->peer[i], "lost the connection to");
        } else if (e->bytes[i] >= 0) {
            (void)MPI_Get_count(&e->status[k], MPI_BYTE, &bytes);
            if (bytes != e->bytes[i]) break_size(g, e->peer[i]);
        }
    }
}

/* "rank 1 of 4 (...), rank 3 of 4 (...)": those whose parcels did not come, or who did not take theirs. */
static void blame(m3_collectives *g, const m3_exchange *e)
{
    char all[600] = "", who[160], subject[32] = "mpi";
    size_t at = 0;
    int silent = 0;
    for (int rank = 0; rank < g->count; rank++) {
        bool open = false;
        for (int i = 0; i < e->count; i++) open = open || (e->peer[i] == rank && e->request[i] != MPI_REQUEST_NULL);
        if (!open || at >= sizeof all) continue;
        if (silent++ == 0) (void)snprintf(subject, sizeof subject, "rank %d", rank);
        at += (size_t)snprintf(all + at, sizeof all - at, "%s%s", at > 0 ? ", " : "",
                               mpi_describe(g, rank, who, sizeof who));
    }
    m3_error why = {0};
    (void)M3_FAIL(&why, M3_ERR_DEVICE_LOST, subject,
                  "%s %s silent for %g s, rank %d waited for %s; allow more time if %s only slow", all,
                  silent == 1 ? "was" : "were", g->seconds, g->number, silent == 1 ? "it" : "them",
                  silent == 1 ? "it is" : "they are");
    mpi_break(g, &why);
}

m3_status mpi_wait(m3_rank *rank, m3_exchange *exchange, m3_error *err)
{
    m3_collectives *g = rank->group;
    m3_exchange *e = exchange;
    patience p = mpi_patience();
    mpi_listen(g);
    while (g->broken.code == M3_OK) {
        int ended = 0;
        const int code = MPI_Testsome(e->count, e->request, &ended, e->ended, e->status);
        int class = MPI_SUCCESS;
        if (code != MPI_SUCCESS) (void)MPI_Error_class(code, &class);
        if (class != MPI_SUCCESS && class != MPI_ERR_IN_STATUS) {
            mpi_break_code(g, code, -1, "could not wait for messages");
            break;
        }
        if (ended == MPI_UNDEFINED) break; /* none is left */
        check_ended(g, e, ended, class == MPI_ERR_IN_STATUS);
        if (ended > 0)
            p = mpi_patience();
        else if (!mpi_pause(g, &p) && g->broken.code == M3_OK)
            blame(g, e);
    }
    if (g->broken.code == M3_OK) {
        g->host->release(g->host->user, e);
        return M3_OK;
    }
    abandon(g, e);
    return mpi_tell(g, err);
}
