/* wild_choice: an expert with a default that is none of its choices. */
#include "odd.h"

static const m3_option_desc options[] = {M3_DESCRIBE_CHOICE("shape", "flat|falling", "steep", "its shape")};

static const m3_module_api api = {.size = M3_STRUCT_SIZE(m3_module_api, build),
                                  .options = {sizeof options / sizeof options[0], sizeof options[0], options},
                                  .build = odd_build};

static const m3_plugin plugin = {ODD_PLUGIN("wild_choice")};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
