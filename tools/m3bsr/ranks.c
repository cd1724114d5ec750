/* ranks: see the header. Each rank has an engine of its own, as threads share none; the command's engine is for the
 * group alone. */
#include "tools/m3bsr/ranks.h"

#include <sched.h>
#include <unistd.h>

/* What those who start processes tell them: how many there are, and how many on this machine. */
static const struct launcher {
    const char *ranks, *near;
} launchers[] = {{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"}, {"PMI_SIZE", "MPI_LOCALNRANKS"}};

static uint32_t number_of(const char *variable)
{
    uint32_t number = 0;
    const char *text = getenv(variable);
    return text != NULL && cli_count(text, &number) ? number : 0;
}

static const struct launcher *find_launcher(void)
{
    for (size_t i = 0; i < sizeof launchers / sizeof launchers[0]; i++)
        if (number_of(launchers[i].ranks) > 1) return &launchers[i];
    return NULL;
}

bool ranks_wanted(const ranks *r)
{
    return r->collectives != NULL || r->devices.count > 1 || find_launcher() != NULL;
}

/* Threads of each rank here. A process that is bound to some processors has them for itself. */
static uint32_t threads_of(const cli *c, uint32_t here)
{
    cpu_set_t set;
    const struct launcher *by = find_launcher();
    const uint32_t near = by != NULL ? number_of(by->near) : 0;
    uint32_t all = c->threads;
    if (all == 0 && sched_getaffinity(0, sizeof set, &set) == 0) all = (uint32_t)CPU_COUNT(&set);
    if (c->threads == 0 && near > 1 && (long)all == sysconf(_SC_NPROCESSORS_ONLN)) all /= near;
    all /= here;
    return all > 0 ? all : 1;
}

/* Device options. */

static bool takes(const m3_engine *engine, const char *device, const char *option)
{
    const m3_span known = m3_engine_backend_options(engine, device);
    const size_t length = strcspn(option, "=");
    for (uint32_t i = 0; i < known.count; i++) {
        const m3_option_desc *desc = m3_span_at(known, i);
        if (strlen(desc->key) == length && strncmp(desc->key, option, length) == 0) return true;
    }
    return known.count == 0;
}

/* An option is for those devices that know it; one that none knows is refused by all. */
static void choose_options(const ranks *r, const cli *c, cli *one)
{
    one->device_option = (cli_list){0};
    for (uint32_t i = 0; i < c->device_option.count; i++) {
        bool known = false;
        for (uint32_t d = 0; d < r->devices.count; d++)
            known = known || takes(c->engine, r->devices.at[d], c->device_option.at[i]);
        if (!known || takes(c->engine, one->backend, c->device_option.at[i]))
            one->device_option.at[one->device_option.count++] = c->device_option.at[i];
    }
}

/* The group, the devices. */

/* One who is waited for so long ends all. Its own process, if a device hangs, names it; a group cannot. */
static uint32_t limit_of(const ranks *r)
{
    return r->limit != 0 ? r->limit : RANKS_LIMIT;
}

static m3_status open_group(ranks *r, cli *c, m3_error *err)
{
    const double seconds = limit_of(r);
    const char *name = r->collectives != NULL ? r->collectives : find_launcher() != NULL ? "mpi" : "local";
    const uint32_t wanted = r->devices.count > 1 ? r->devices.count : 1;
    m3_error why = {0};
    m3_status st = m3_group_open(c->engine, name, wanted, seconds, (m3_span){0}, &r->group, &why);
    /* Where a process holds one rank, the list is of all of them. */
    if (st == M3_ERR_UNSUPPORTED && wanted > 1)
        return m3_group_open(c->engine, name, 1, seconds, (m3_span){0}, &r->group, err);
    if (st != M3_OK) *err = why;
    return st;
}

/* Ranks of one kind of device would all say the same. */
static bool is_repeated(const ranks *r, uint32_t i)
{
    const size_t length = strcspn(r->each[i].backend, ":");
    for (uint32_t k = 0; k < i; k++)
        if (strcspn(r->each[k].backend, ":") == length && strncmp(r->each[k].backend, r->each[i].backend, length) == 0)
            return true;
    return m3_group_first(r->group) != 0;
}

/* Devices without a rank: who named them counts on them. */
static void say_unused(const ranks *r, const cli *c)
{
    const uint32_t count = m3_group_ranks(r->group);
    if (c->quiet || r->devices.count <= count || m3_group_first(r->group) != 0) return;
    cli_show(stderr, "warning: --devices names %u, and there %s %u rank%s: ", r->devices.count,
             count == 1 ? "is" : "are", count, count == 1 ? "" : "s");
    for (uint32_t i = count; i < r->devices.count; i++)
        cli_show(stderr, "%s%s", i > count ? ", " : "", r->devices.at[i]);
    cli_show(stderr, " %s not used; start a process for each by mpirun, or leave out --collectives\n",
             r->devices.count - count == 1 ? "is" : "are");
}

m3_status ranks_open(ranks *r, cli *c, m3_error *err)
{
    m3_status st;
    cli engine = *c;
    engine.threads = 1;
    if ((st = cli_open_engine(&engine, err)) != M3_OK) return st;
    c->engine = engine.engine;
    if ((st = open_group(r, c, err)) != M3_OK) return st;
    say_unused(r, c);
    const uint32_t here = m3_group_here(r->group), first = m3_group_first(r->group);
    r->each = calloc(here, sizeof *r->each);
    r->list = calloc(here, sizeof *r->list);
    if (r->each == NULL || r->list == NULL) return M3_FAIL_MEMORY(err, "ranks", here * sizeof *r->each);
    for (uint32_t i = 0; i < here; i++) {
        cli *one = &r->each[r->count++];
        *one = *c;
        one->engine = NULL;
        if (r->devices.count > 0) one->backend = r->devices.at[(first + i) % r->devices.count];
        if (one->backend == NULL) one->backend = "auto";
        one->threads = threads_of(c, here);
        if (one->stall == 0) one->stall = limit_of(r) - limit_of(r) / 2; /* the watch ends at twice as many */
        one->quiet = c->quiet || is_repeated(r, i);
        choose_options(r, c, one);
        if ((st = cli_open_device(one, err)) != M3_OK) return st;
        r->list[i] = (m3_rank_device){
            .size = M3_STRUCT_SIZE(m3_rank_device, fallbacks), .device = one->device, .fallbacks = one->fallbacks};
    }
    return M3_OK;
}

bool ranks_stalled(const ranks *r)
{
    bool stalled = false;
    for (uint32_t i = 0; i < r->count; i++) stalled = stalled || cli_stalled(&r->each[i]);
    return stalled;
}

/* The group first: the other processes wait there for what this one has still to say. */
void ranks_close(ranks *r)
{
    m3_group_close(r->group);
    for (uint32_t i = 0; i < r->count; i++) cli_close(&r->each[i]);
    free(r->each);
    free(r->list);
}
