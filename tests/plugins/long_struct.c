/* long_struct: built with a newer minor, whose structs have grown. It works all the same. */
#include "odd.h"

typedef struct longer_api {
    m3_module_api known;
    void (*later)(void);
} longer_api;

typedef struct longer_plugin {
    m3_plugin known;
    uint64_t later[4];
} longer_plugin;

static const longer_api api = {
    .known = {.size = M3_STRUCT_SIZE(longer_api, later), .build = odd_build},
};

static const longer_plugin plugin = {
    .known = {.size = M3_STRUCT_SIZE(longer_plugin, later),
              .magic = M3_PLUGIN_MAGIC,
              .abi_major = M3_ABI_MAJOR,
              .abi_minor = M3_ABI_MINOR + 5,
              .kind = M3_PLUGIN_EXPERT,
              .name = "long_struct",
              .version = "0.1",
              .build = "test",
              .table = &api},
    .later = {1, 2, 3, 4},
};

M3_API const m3_plugin *m3_plugin_query(void)
{
    return &plugin.known;
}
