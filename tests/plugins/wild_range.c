/* wild_range: an expert with a range that no value is in. */
#include "odd.h"

static const m3_option_desc options[] = {M3_DESCRIBE_FLOAT("rate", 1, 0, "0.5", "a rate")};

static const m3_module_api api = {.size = M3_STRUCT_SIZE(m3_module_api, build),
                                  .options = {sizeof options / sizeof options[0], sizeof options[0], options},
                                  .build = odd_build};

static const m3_plugin plugin = {ODD_PLUGIN("wild_range")};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
