/* plugin: several ranks of one process, each used by a thread of its own; bytes go through memory. */
#include "plugins/collectives/local/local.h"

static m3_status open_group(const m3_host *host, uint32_t ranks, double seconds, m3_span options,
                            m3_collectives **group, m3_error *err)
{
    (void)options; /* there are none */
    *group = NULL;
    if (ranks == 0) return M3_FAIL(err, M3_ERR_INVALID, "local", "0 ranks are no group; ask for at least 1");
    const size_t bytes = sizeof **group + ranks * sizeof(m3_rank);
    m3_collectives *g = host->allocate(host->user, 1, bytes);
    if (g == NULL) return M3_FAIL_MEMORY(err, "local", bytes);
    g->host = host;
    g->seconds = seconds;
    g->count = ranks;
    for (uint32_t i = 0; i < ranks; i++) g->ranks[i] = (m3_rank){.group = g, .number = i};
    pthread_condattr_t monotonic;
    bool made = pthread_condattr_init(&monotonic) == 0;
    if (made) {
        made = pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0 &&
               pthread_cond_init(&g->changed, &monotonic) == 0;
        (void)pthread_condattr_destroy(&monotonic);
    }
    if (made && pthread_mutex_init(&g->lock, NULL) == 0) {
        *group = g;
        return M3_OK;
    }
    if (made) (void)pthread_cond_destroy(&g->changed);
    host->release(host->user, g);
    return M3_FAIL(err, M3_ERR_MEMORY, "local", "the system has no lock for a group of %u ranks", ranks);
}

static void close_group(m3_collectives *group)
{
    if (group == NULL) return;
    (void)pthread_cond_destroy(&group->changed);
    (void)pthread_mutex_destroy(&group->lock);
    group->host->release(group->host->user, group);
}

static m3_status get_info(m3_collectives *group, m3_collectives_info *info, m3_error *err)
{
    (void)err;
    info->ranks = info->here = group->count;
    info->first = 0;
    (void)snprintf(info->name, sizeof info->name, "memory of one process");
    return M3_OK;
}

static m3_status get_rank(m3_collectives *group, uint32_t index, m3_rank **rank, m3_error *err)
{
    *rank = index < group->count ? &group->ranks[index] : NULL;
    if (*rank != NULL) return M3_OK;
    return M3_FAIL(err, M3_ERR_RANGE, "local", "rank %u is asked for; there are %u", index, group->count);
}

static const m3_collectives_api api = {
    .size = M3_STRUCT_SIZE(m3_collectives_api, fail),
    .open = open_group,
    .close = close_group,
    .info = get_info,
    .rank = get_rank,
    .exchange = local_exchange,
    .wait = local_wait,
    .fail = local_fail,
};

static const m3_plugin plugin = {
    .size = M3_STRUCT_SIZE(m3_plugin, table),
    .magic = M3_PLUGIN_MAGIC,
    .abi_major = M3_ABI_MAJOR,
    .abi_minor = M3_ABI_MINOR,
    .host_minor = 3,
    .kind = M3_PLUGIN_COLLECTIVES,
    .name = "local",
    .version = "1.0",
    .build = __VERSION__,
    .table = &api,
};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
