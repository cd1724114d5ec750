/* shaders: the SPIR-V that the build made of the shaders, by source and entry. */
#ifndef VULKAN_SHADERS_H
#define VULKAN_SHADERS_H

#include <stddef.h>
#include <stdint.h>

typedef struct vulkan_shader {
    const char *source, *entry;
    const uint32_t *words;
    size_t bytes;
} vulkan_shader;

const vulkan_shader *vulkan_shader_find(const char *source, const char *entry);
uint64_t vulkan_shaders_hash(void);

#endif
