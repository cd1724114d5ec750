/* misaligned: a backend whose places are aligned to a number that is no power of two. */
#include "odd_backend.h"

static m3_status limits(m3_device_impl *device, m3_device_limits *of, m3_error *err)
{
    m3_status st = odd_limits(device, of, err);
    of->offset_alignment = 48;
    return st;
}

static const m3_backend_api api = ODD_BACKEND(odd_list, limits);

static const m3_plugin plugin = ODD_BACKEND_PLUGIN("misaligned");

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
