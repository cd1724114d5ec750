/* plugin: ranks that mpirun started, a process each. Every command loads this file, so it is linked with the C library
 * alone: MPI takes a while to load and is not on every machine. What is linked with MPI, m3bsr_collectives_mpi.half
 * beside this file, is loaded when a group is opened. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>

#include "plugins/collectives/mpi/half.h"

static const m3_plugin plugin;

/* The half runs with our rights as this file does, so it must be as hard to exchange: of the same owner and group, with
 * the same rights, in the same folder. */
static m3_status check_file(const char *ours, const char *path, m3_error *err)
{
    struct stat here, there;
    if (stat(ours, &here) != 0 || stat(path, &there) != 0)
        return M3_FAIL(err, M3_ERR_IO, "mpi", "'%s': %s; install it beside the plugin", path, strerror(errno));
    if (S_ISREG(there.st_mode) && here.st_uid == there.st_uid && here.st_gid == there.st_gid &&
        here.st_mode == there.st_mode)
        return M3_OK;
    return M3_FAIL(err, M3_ERR_IO, "mpi",
                   "'%s' has another owner, group or mode than the plugin beside it, so it is not loaded; install both "
                   "anew",
                   path);
}

static m3_status load_half(const m3_collectives_api **half, m3_error *err)
{
    char path[PATH_MAX];
    Dl_info info;
    mpi_half_fn get = NULL;
    if (dladdr(&plugin, &info) == 0 || info.dli_fname == NULL)
        return M3_FAIL(err, M3_ERR_INTERNAL, "mpi", "the system does not say where the plugin lies");
    const size_t stem = strlen(info.dli_fname) - strlen(".so");
    const int length = snprintf(path, sizeof path, "%.*s.half", (int)stem, info.dli_fname);
    if (length >= (int)sizeof path)
        return M3_FAIL(err, M3_ERR_IO, "mpi", "the path of the plugin is too long; put it elsewhere");
    const m3_status st = check_file(info.dli_fname, path, err);
    if (st != M3_OK) return st;
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL); /* stays loaded, as plugins do */
    if (object == NULL)
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, "mpi",
                       "MPI cannot be loaded: %s; install what it was built with (Debian: openmpi-bin or mpich)",
                       dlerror());
    void *symbol = dlsym(object, MPI_HALF_SYMBOL);
    if (symbol == NULL) return M3_FAIL(err, M3_ERR_ABI, "mpi", "'%s' has no symbol %s", path, MPI_HALF_SYMBOL);
    memcpy(&get, &symbol, sizeof get);
    *half = get();
    return M3_OK;
}

static m3_status open_group(const m3_host *host, uint32_t ranks, double seconds, m3_span options,
                            m3_collectives **group, m3_error *err)
{
    const m3_collectives_api *half = NULL;
    *group = NULL;
    if (ranks != 1)
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, "mpi",
                       "a process holds 1 rank, not %u; start a process for each (mpirun -n %u)", ranks, ranks);
    const m3_status st = load_half(&half, err);
    return half != NULL ? half->open(host, ranks, seconds, options, group, err) : st;
}

static const m3_collectives_api *half_of(const void *handle)
{
    return ((const mpi_handle *)handle)->half;
}

static void close_group(m3_collectives *group)
{
    if (group != NULL) half_of(group)->close(group);
}

static m3_status get_info(m3_collectives *group, m3_collectives_info *info, m3_error *err)
{
    return half_of(group)->info(group, info, err);
}

static m3_status get_rank(m3_collectives *group, uint32_t index, m3_rank **rank, m3_error *err)
{
    return half_of(group)->rank(group, index, rank, err);
}

static m3_status exchange(m3_rank *rank, const m3_parcel *parcels, m3_exchange **made, m3_error *err)
{
    return half_of(rank)->exchange(rank, parcels, made, err);
}

static m3_status wait_for(m3_rank *rank, m3_exchange *exchange, m3_error *err)
{
    return half_of(rank)->wait(rank, exchange, err);
}

static void fail(m3_rank *rank, const m3_error *why)
{
    half_of(rank)->fail(rank, why);
}

static const m3_option_desc options[] = {
    M3_DESCRIBE_INT("piece", 1, 1073741824, MPI_PIECE, "bytes of one message at most; the same on all ranks"),
};

static const m3_collectives_api api = {
    .size = M3_STRUCT_SIZE(m3_collectives_api, fail),
    .options = {.count = sizeof options / sizeof options[0], .stride = sizeof options[0], .data = options},
    .open = open_group,
    .close = close_group,
    .info = get_info,
    .rank = get_rank,
    .exchange = exchange,
    .wait = wait_for,
    .fail = fail,
};

static const m3_plugin plugin = {
    .size = M3_STRUCT_SIZE(m3_plugin, table),
    .magic = M3_PLUGIN_MAGIC,
    .abi_major = M3_ABI_MAJOR,
    .abi_minor = M3_ABI_MINOR,
    .host_minor = 3,
    .kind = M3_PLUGIN_COLLECTIVES,
    .name = "mpi",
    .version = "1.0",
    .build = __VERSION__,
    .table = &api,
};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
