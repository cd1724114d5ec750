/* How many compute units a Vulkan device has, by the extension that its vendor has for it. */
#include "backends/vulkan/units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* What a driver does with the chain: it fills the structs that it finds. */
static void fill(void *chain)
{
    for (VkBaseOutStructure *at = chain; at != NULL; at = at->pNext) {
        if (at->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_AMD) {
            VkPhysicalDeviceShaderCorePropertiesAMD *amd = (void *)at;
            amd->shaderEngineCount = 4;
            amd->shaderArraysPerEngineCount = 2;
            amd->computeUnitsPerShaderArray = 10;
        } else if (at->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_2_AMD) {
            ((VkPhysicalDeviceShaderCoreProperties2AMD *)(void *)at)->activeComputeUnitCount = 72;
        } else if (at->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SM_BUILTINS_PROPERTIES_NV) {
            ((VkPhysicalDeviceShaderSMBuiltinsPropertiesNV *)(void *)at)->shaderSMCount = 108;
#ifdef VK_ARM_SHADER_CORE_BUILTINS_EXTENSION_NAME
        } else if (at->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_BUILTINS_PROPERTIES_ARM) {
            ((VkPhysicalDeviceShaderCoreBuiltinsPropertiesARM *)(void *)at)->shaderCoreCount = 10;
#endif
        }
    }
}

static const struct row {
    const char *name, *extensions[2];
    VkPhysicalDeviceType type;
    uint32_t units;
} rows[] = {
    {"AMD's are engines, arrays and units",
     {"VK_AMD_shader_core_properties"},
     VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
     80},
    {"AMD's that are active count",
     {"VK_AMD_shader_core_properties", "VK_AMD_shader_core_properties2"},
     VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
     72},
    {"NVIDIA's are multiprocessors", {"VK_NV_shader_sm_builtins"}, VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, 108},
#ifdef VK_ARM_SHADER_CORE_BUILTINS_EXTENSION_NAME
    {"ARM's are shader cores", {"VK_ARM_shader_core_builtins"}, VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU, 10},
#endif
    {"nothing said of a card: not few", {"VK_KHR_swapchain"}, VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, 128},
    {"nothing said of a chip: not few", {NULL}, VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU, 32},
};

static void counts(void **state)
{
    const struct row *row = *state;
    VkPhysicalDeviceSubgroupProperties last = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES};
    vulkan_units units = {0};
    for (int i = 0; i < 2 && row->extensions[i] != NULL; i++) vulkan_units_note(&units, row->extensions[i]);
    VkBaseOutStructure *chain = vulkan_units_chain(&units, &last);
    fill(chain);
    assert_int_equal(vulkan_units_count(&units, row->type), row->units);
    while (chain->pNext != NULL) chain = chain->pNext;
    assert_ptr_equal(chain, &last); /* what was asked before is asked still */
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof rows[0] };
    struct CMUnitTest tests[ROWS];
    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, counts, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    return _cmocka_run_group_tests("compute units", tests, ROWS, NULL, NULL);
}
