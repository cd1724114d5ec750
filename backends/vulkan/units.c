/* units: how many compute units a device has. */
#include "backends/vulkan/units.h"

#include <string.h>

enum { DISCRETE_GUESS = 128, OTHER_GUESS = 32 }; /* more than most have: see units.h */

void vulkan_units_note(vulkan_units *units, const char *extension)
{
    units->has_amd = units->has_amd || strcmp(extension, VK_AMD_SHADER_CORE_PROPERTIES_EXTENSION_NAME) == 0;
    units->has_amd2 = units->has_amd2 || strcmp(extension, VK_AMD_SHADER_CORE_PROPERTIES_2_EXTENSION_NAME) == 0;
    units->has_nvidia = units->has_nvidia || strcmp(extension, VK_NV_SHADER_SM_BUILTINS_EXTENSION_NAME) == 0;
#ifdef VK_ARM_SHADER_CORE_BUILTINS_EXTENSION_NAME
    units->has_arm = units->has_arm || strcmp(extension, VK_ARM_SHADER_CORE_BUILTINS_EXTENSION_NAME) == 0;
#endif
}

void *vulkan_units_chain(vulkan_units *units, void *next)
{
    units->amd = (VkPhysicalDeviceShaderCorePropertiesAMD){
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_AMD, .pNext = next};
    if (units->has_amd) next = &units->amd;
    units->amd2 = (VkPhysicalDeviceShaderCoreProperties2AMD){
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_2_AMD, .pNext = next};
    if (units->has_amd2) next = &units->amd2;
    units->nvidia = (VkPhysicalDeviceShaderSMBuiltinsPropertiesNV){
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SM_BUILTINS_PROPERTIES_NV, .pNext = next};
    if (units->has_nvidia) next = &units->nvidia;
#ifdef VK_ARM_SHADER_CORE_BUILTINS_EXTENSION_NAME
    units->arm = (VkPhysicalDeviceShaderCoreBuiltinsPropertiesARM){
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_BUILTINS_PROPERTIES_ARM, .pNext = next};
    if (units->has_arm) next = &units->arm;
#endif
    return next;
}

uint32_t vulkan_units_count(const vulkan_units *units, VkPhysicalDeviceType type)
{
    const VkPhysicalDeviceShaderCorePropertiesAMD *amd = &units->amd;
    uint32_t count = 0;
    if (units->has_nvidia) count = units->nvidia.shaderSMCount;
#ifdef VK_ARM_SHADER_CORE_BUILTINS_EXTENSION_NAME
    if (units->has_arm) count = units->arm.shaderCoreCount;
#endif
    if (units->has_amd)
        count = amd->shaderEngineCount * amd->shaderArraysPerEngineCount * amd->computeUnitsPerShaderArray;
    if (units->has_amd2 && units->amd2.activeComputeUnitCount > 0) count = units->amd2.activeComputeUnitCount;
    if (count > 0) return count;
    return type == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU ? DISCRETE_GUESS : OTHER_GUESS;
}
