/* long_key: an expert with an option whose name is longer than a configuration keeps. */
#include "odd.h"

static const m3_option_desc options[] = {
    M3_DESCRIBE_INT("a_key_of_forty_eight_characters_is_one_too_many_", 1, 4, "2", "items")};

static const m3_module_api api = {.size = M3_STRUCT_SIZE(m3_module_api, build),
                                  .options = {sizeof options / sizeof options[0], sizeof options[0], options},
                                  .build = odd_build};

static const m3_plugin plugin = {ODD_PLUGIN("long_key")};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
