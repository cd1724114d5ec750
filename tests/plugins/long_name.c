/* long_name: an expert whose name is longer than a configuration keeps. */
#include "odd.h"

static const m3_module_api api = ODD_API;

static const m3_plugin plugin = {ODD_PLUGIN("a_name_of_forty_eight_characters_is_one_too_many")};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
