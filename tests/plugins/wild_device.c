/* wild_device: a backend with an option that no value fits, which its default, left to the device, does not show. */
#include "odd_backend.h"

#include "m3bsr/plugin.h"

static const m3_option_desc options[] = {M3_DESCRIBE_INT("reach", 9, 1, "", "items")};

static const m3_backend_api api = {ODD_BACKEND_FUNCTIONS(odd_list, odd_limits),
                                   .size = M3_STRUCT_SIZE(m3_backend_api, options),
                                   .options = {sizeof options / sizeof options[0], sizeof options[0], options}};

static const m3_plugin plugin = ODD_BACKEND_PLUGIN("wild_device");

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
