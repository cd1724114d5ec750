/* odd_key: an expert with an option that ends where its value begins. */
#include "odd.h"

static const m3_option_desc options[] = {M3_DESCRIBE_INT("reach=far", 1, 4, "2", "items")};

static const m3_module_api api = {.size = M3_STRUCT_SIZE(m3_module_api, build),
                                  .options = {sizeof options / sizeof options[0], sizeof options[0], options},
                                  .build = odd_build};

static const m3_plugin plugin = {ODD_PLUGIN("odd_key")};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin;
}
