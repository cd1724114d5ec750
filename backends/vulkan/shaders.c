/* shaders: the SPIR-V that the build made of shaders/gpu and shaders/simulated, by source and entry. */
#include "backends/vulkan/shaders.h"
#include "backends/vulkan/hash.h"

#include <string.h>

#include "shaders.inc"

#define ROW(source, entry) {#source, #entry, source##_##entry, sizeof source##_##entry},
static const vulkan_shader shaders[] = {SHADERS(ROW)};
enum { COUNT = sizeof shaders / sizeof shaders[0] };

const vulkan_shader *vulkan_shader_find(const char *source, const char *entry)
{
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(shaders[i].source, source) == 0 && strcmp(shaders[i].entry, entry) == 0) return &shaders[i];
    return NULL;
}

uint64_t vulkan_shaders_hash(void)
{
    uint64_t hash = VULKAN_HASH_START;
    for (size_t i = 0; i < COUNT; i++) hash = vulkan_hash(hash, shaders[i].words, shaders[i].bytes);
    return hash;
}
