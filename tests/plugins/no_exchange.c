/* no_exchange: collectives whose table ends before the first function that moves bytes. */
#include "m3bsr/collectives.h"

static m3_status open_group(const m3_host *host, uint32_t ranks, double seconds, m3_span options,
                            m3_collectives **group, m3_error *err)
{
    (void)host;
    (void)ranks;
    (void)seconds;
    (void)options;
    *group = NULL;
    return M3_FAIL(err, M3_ERR_UNSUPPORTED, "test", "never opens");
}

static void close_group(m3_collectives *group)
{
    (void)group;
}

static m3_status get_info(m3_collectives *group, m3_collectives_info *info, m3_error *err)
{
    (void)group;
    (void)info;
    return M3_FAIL(err, M3_ERR_UNSUPPORTED, "test", "never opens");
}

static m3_status get_rank(m3_collectives *group, uint32_t index, m3_rank **rank, m3_error *err)
{
    (void)group;
    (void)index;
    *rank = NULL;
    return M3_FAIL(err, M3_ERR_UNSUPPORTED, "test", "never opens");
}

static const m3_collectives_api api = {
    .size = M3_STRUCT_SIZE(m3_collectives_api, rank),
    .open = open_group,
    .close = close_group,
    .info = get_info,
    .rank = get_rank,
};

static const m3_plugin plugin = {
    .size = M3_STRUCT_SIZE(m3_plugin, table),
    .magic = M3_PLUGIN_MAGIC,
    .abi_major = M3_ABI_MAJOR,
    .abi_minor = M3_ABI_MINOR,
    .kind = M3_PLUGIN_COLLECTIVES,
    .name = "no_exchange",
    .table = &api,
};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
