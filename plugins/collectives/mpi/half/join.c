/* join: from a process that mpirun started to a group, and back. */
#include <math.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugins/collectives/mpi/half/group.h"

static const m3_collectives_api half;

static m3_status fail_code(int code, const char *doing, m3_error *err)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    (void)MPI_Error_string(code, text, &length);
    return M3_FAIL(err, M3_ERR_DEVICE_LOST, "mpi", "%s: %.600s", doing, text);
}

/* MPI writes traces of its own on these signals, and the program may have its own use for them. */
static const int signals[] = {SIGABRT, SIGBUS, SIGFPE, SIGSEGV};
enum { SIGNALS = sizeof signals / sizeof signals[0] };

static int start_quietly(int *provided)
{
    struct sigaction kept[SIGNALS];
    for (int i = 0; i < SIGNALS; i++) (void)sigaction(signals[i], NULL, &kept[i]);
    const int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, provided);
    for (int i = 0; i < SIGNALS; i++) (void)sigaction(signals[i], &kept[i], NULL);
    return code;
}

/* The program may use MPI itself: then it is neither started nor ended here. */
static m3_status start_mpi(m3_collectives *g, m3_error *err)
{
    int started = 0, ended = 0, provided = MPI_THREAD_SINGLE, code = MPI_SUCCESS;
    (void)MPI_Initialized(&started);
    (void)MPI_Finalized(&ended);
    if (ended)
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, "mpi",
                       "MPI was ended in this process, and starts once only; open one group in a process");
    if (started)
        code = MPI_Query_thread(&provided);
    else
        code = start_quietly(&provided);
    if (code != MPI_SUCCESS) return fail_code(code, "MPI did not start", err);
    g->ours = !started;
    if (g->ours) (void)MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (provided >= MPI_THREAD_SERIALIZED) return M3_OK;
    return M3_FAIL(
        err, M3_ERR_UNSUPPORTED, "mpi",
        "MPI is for one thread only here; start it with MPI_THREAD_SERIALIZED, or use one built with threads");
}

static m3_status make_room(m3_collectives *g, m3_error *err)
{
    const m3_host *host = g->host;
    (void)MPI_Comm_size(g->data, &g->count);
    (void)MPI_Comm_rank(g->data, &g->number);
    const size_t count = (size_t)g->count;
    g->places = host->allocate(host->user, count, sizeof *g->places);
    g->ends = host->allocate(host->user, count, sizeof *g->ends);
    if (g->places == NULL || g->ends == NULL)
        return M3_FAIL_MEMORY(err, "mpi", count * (sizeof *g->places + sizeof *g->ends));
    for (int i = 0; i < g->count; i++) g->ends[i] = -1;
    return M3_OK;
}

static place own_place(uint64_t piece)
{
    struct stat space;
    place p = {.process = getpid(), .piece = piece};
    (void)gethostname(p.host, sizeof p.host - 1);
    if (stat("/proc/self/ns/pid", &space) == 0) p.space = space.st_ino;
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
    if (file == NULL) return p;
    if (fgets(p.boot, sizeof p.boot, file) == NULL) p.boot[0] = 0;
    (void)fclose(file);
    return p;
}

/* Wait for an operation of all ranks, which only MPI's own functions offer. */
static m3_status wait_for_all(m3_collectives *g, MPI_Request *request, const char *doing, m3_error *err)
{
    patience p = mpi_patience();
    for (;;) {
        int ended = 0;
        const int code = MPI_Test(request, &ended, MPI_STATUS_IGNORE);
        if (code != MPI_SUCCESS) return fail_code(code, doing, err);
        if (ended) return M3_OK;
        if (!mpi_pause(g, &p))
            return M3_FAIL(err, M3_ERR_DEVICE_LOST, "mpi", "%s: a rank was silent for %g s", doing, g->seconds);
        if (g->broken.code != M3_OK) return mpi_tell(g, err);
    }
}

static m3_status meet(m3_collectives *g, m3_error *err)
{
    MPI_Request request = MPI_REQUEST_NULL;
    const place own = own_place(g->piece);
    int code = MPI_Iallgather(&own, (int)sizeof own, MPI_BYTE, g->places, (int)sizeof own, MPI_BYTE, g->data, &request);
    if (code != MPI_SUCCESS) return fail_code(code, "the ranks could not meet", err);
    const m3_status st = wait_for_all(g, &request, "the ranks could not meet", err);
    if (st != M3_OK) return st;
    for (int i = 0; i < g->count; i++)
        if (g->places[i].piece != g->piece)
            return M3_FAIL(err, M3_ERR_INVALID, "mpi",
                           "rank %d sends pieces of %llu bytes, rank %d of %llu; give all the same option piece", i,
                           (unsigned long long)g->places[i].piece, g->number, (unsigned long long)g->piece);
    mpi_watch(g);
    code = MPI_Irecv(&g->heard, (int)sizeof g->heard, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG, g->control, &g->hearing);
    return code == MPI_SUCCESS ? M3_OK : fail_code(code, "could not listen to the ranks", err);
}

static void forget(m3_collectives *g)
{
    const m3_host *host = g->host;
    mpi_unwatch(g);
    host->release(host->user, g->places);
    host->release(host->user, g->ends);
    host->release(host->user, g);
}

static m3_status open_group(const m3_host *host, uint32_t ranks, double seconds, m3_span options,
                            m3_collectives **group, m3_error *err)
{
    (void)ranks; /* the plugin has looked at them */
    *group = NULL;
    m3_collectives *g = host->allocate(host->user, 1, sizeof *g);
    if (g == NULL) return M3_FAIL_MEMORY(err, "mpi", sizeof *g);
    *g = (m3_collectives){.handle = {&half}, .host = host, .seconds = seconds, .hearing = MPI_REQUEST_NULL};
    g->rank = (m3_rank){.handle = {&half}, .group = g};
    g->piece = (uint64_t)m3_options_int(options, "piece", strtoll(MPI_PIECE, NULL, 10));
    m3_status st = start_mpi(g, err);
    if (st != M3_OK) goto done;
    int code = MPI_Comm_dup(MPI_COMM_WORLD, &g->data);
    if (code == MPI_SUCCESS) code = MPI_Comm_dup(MPI_COMM_WORLD, &g->control);
    if (code == MPI_SUCCESS) code = MPI_Comm_set_errhandler(g->data, MPI_ERRORS_RETURN);
    if (code == MPI_SUCCESS) code = MPI_Comm_set_errhandler(g->control, MPI_ERRORS_RETURN);
    if (code != MPI_SUCCESS) st = fail_code(code, "MPI could not make a group", err);
    if (st == M3_OK) st = make_room(g, err);
    if (st == M3_OK) st = meet(g, err);
done:
    if (st == M3_OK)
        *group = g;
    else
        forget(g); /* others may wait in a call of all ranks, so that MPI cannot be ended: the process is, with st */
    return st;
}

/* All ranks end MPI together. In a broken group some never would, and the process ends without it. */
static void close_group(m3_collectives *group)
{
    m3_collectives *g = group;
    MPI_Request request = MPI_REQUEST_NULL;
    m3_error why = {0};
    mpi_listen(g);
    m3_status st = g->broken.code;
    if (st == M3_OK && MPI_Ibarrier(g->data, &request) == MPI_SUCCESS)
        st = wait_for_all(g, &request, "the ranks did not end together", &why);
    if (g->hearing != MPI_REQUEST_NULL) {
        (void)MPI_Cancel(&g->hearing);
        (void)MPI_Wait(&g->hearing, MPI_STATUS_IGNORE);
    }
    if (st == M3_OK) {
        (void)MPI_Comm_free(&g->data);
        (void)MPI_Comm_free(&g->control);
        if (g->ours) (void)MPI_Finalize();
    } else if (why.code != M3_OK) {
        g->host->log(g->host->user, M3_LOG_WARN, why.message);
    }
    forget(g);
}

static m3_status get_info(m3_collectives *group, m3_collectives_info *info, m3_error *err)
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING] = "MPI";
    int length = 0;
    (void)err;
    (void)MPI_Get_library_version(text, &length);
    info->ranks = (uint32_t)group->count;
    info->first = (uint32_t)group->number;
    info->here = 1;
    (void)snprintf(info->name, sizeof info->name, "%.*s", (int)strcspn(text, ",\n"), text);
    return M3_OK;
}

static m3_status get_rank(m3_collectives *group, uint32_t index, m3_rank **rank, m3_error *err)
{
    *rank = index == 0 ? &group->rank : NULL;
    return index == 0 ? M3_OK : M3_FAIL(err, M3_ERR_RANGE, "mpi", "rank %u is asked for; there is 1", index);
}

static const m3_collectives_api half = {
    .size = M3_STRUCT_SIZE(m3_collectives_api, fail),
    .open = open_group,
    .close = close_group,
    .info = get_info,
    .rank = get_rank,
    .exchange = mpi_exchange,
    .wait = mpi_wait,
    .fail = mpi_fail,
};

M3_API const m3_collectives_api *m3_mpi_half(void);
M3_API const m3_collectives_api *m3_mpi_half(void)
{
    return &half;
}
