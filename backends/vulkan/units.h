/* units: how many compute units a device has. Vulkan itself has no query for it; extensions of vendors do. The number
 * decides how finely work is split, so one that is too high costs little, and one too low leaves units idle. */
#ifndef VULKAN_UNITS_H
#define VULKAN_UNITS_H

#include <stdbool.h>
#include <stdint.h>
#include <vulkan/vulkan_core.h>

typedef struct vulkan_units {
    bool has_amd, has_amd2, has_nvidia, has_arm; /* the extension is there */
    VkPhysicalDeviceShaderCorePropertiesAMD amd;
    VkPhysicalDeviceShaderCoreProperties2AMD amd2;
    VkPhysicalDeviceShaderSMBuiltinsPropertiesNV nvidia;
#ifdef VK_ARM_SHADER_CORE_BUILTINS_EXTENSION_NAME
    VkPhysicalDeviceShaderCoreBuiltinsPropertiesARM arm;
#endif
} vulkan_units;

/* An extension of the device, by name. */
void vulkan_units_note(vulkan_units *units, const char *extension);
/* A chain for vkGetPhysicalDeviceProperties2 that fills what the noted extensions tell, with `next` at its end. */
void *vulkan_units_chain(vulkan_units *units, void *next);
/* What was told, else a guess by the kind of device; at least 1. */
uint32_t vulkan_units_count(const vulkan_units *units, VkPhysicalDeviceType type);

#endif
