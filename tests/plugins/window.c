/* window: an expert with options of its own, of several types. */
#include "odd.h"

static const m3_option_desc options[] = {
    M3_DESCRIBE_INT("window_size", 1, 64, "4", "items that it looks at"),
    M3_DESCRIBE_FLOAT("window_rate", 0, 1, ".50", "how fast it forgets"),
    M3_DESCRIBE_CHOICE("window_kind", "flat|falling", "flat", "its shape"),
    M3_DESCRIBE_INT("heads", 1, 1024, "2", "shared with the model"),
};

static const m3_module_api api = {.size = M3_STRUCT_SIZE(m3_module_api, build),
                                  .options = {sizeof options / sizeof options[0], sizeof options[0], options},
                                  .build = odd_build};

static const m3_plugin plugin = {ODD_PLUGIN("window")};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
