/* matrices: the query of sizes and types. */
#include "backends/vulkan/matrices.h"
#include "backends/vulkan/shaders.h"

enum { SIDE = 16, SIZES = 64 };

void *vulkan_matrices_chain(vulkan_matrices_features *features, void *next)
{
    features->halves = (VkPhysicalDeviceShaderFloat16Int8FeaturesKHR){
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES_KHR,
        .pNext = next,
        .shaderFloat16 = VK_TRUE};
    features->model = (VkPhysicalDeviceVulkanMemoryModelFeaturesKHR){
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES_KHR,
        .pNext = &features->halves,
        .vulkanMemoryModel = VK_TRUE};
    features->matrices = (VkPhysicalDeviceCooperativeMatrixFeaturesNV){
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_NV,
        .pNext = &features->model,
        .cooperativeMatrix = VK_TRUE};
    return &features->matrices;
}

uint32_t vulkan_matrices_extensions(const char **names)
{
    names[0] = VK_NV_COOPERATIVE_MATRIX_EXTENSION_NAME;
    names[1] = VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME;
    names[2] = VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME;
    return 3;
}

static bool is_ours(const VkCooperativeMatrixPropertiesNV *p)
{
    return p->MSize == SIDE && p->NSize == SIDE && p->KSize == SIDE && p->AType == VK_COMPONENT_TYPE_FLOAT16_NV &&
           p->BType == VK_COMPONENT_TYPE_FLOAT16_NV && p->CType == VK_COMPONENT_TYPE_FLOAT32_NV &&
           p->DType == VK_COMPONENT_TYPE_FLOAT32_NV && p->scope == VK_SCOPE_SUBGROUP_NV;
}

static bool has_size(const vulkan_instance *instance, VkPhysicalDevice physical)
{
    const PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesNV get =
        (PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesNV)instance->loader.get(
            instance->instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesNV");
    VkCooperativeMatrixPropertiesNV sizes[SIZES];
    uint32_t count = SIZES;
    if (get == NULL) return false;
    for (uint32_t i = 0; i < SIZES; i++)
        sizes[i] = (VkCooperativeMatrixPropertiesNV){.sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_NV};
    const VkResult result = get(physical, &count, sizes);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE) return false;
    for (uint32_t i = 0; i < count; i++)
        if (is_ours(&sizes[i])) return true;
    return false;
}

bool vulkan_matrices_there(const vulkan_instance *instance, VkPhysicalDevice physical, bool extension)
{
    vulkan_matrices_features f;
    VkPhysicalDeviceCooperativeMatrixPropertiesNV stages = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_PROPERTIES_NV};
    if (!extension || vulkan_shader_find("matmul", "product_matrices_subgroups") == NULL) return false;
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                          .pNext = vulkan_matrices_chain(&f, NULL)};
    f.matrices.cooperativeMatrix = f.model.vulkanMemoryModel = f.halves.shaderFloat16 = VK_FALSE; /* till it answers */
    instance->vk.GetPhysicalDeviceFeatures2(physical, &features);
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                              .pNext = &stages};
    instance->vk.GetPhysicalDeviceProperties2(physical, &properties);
    return f.matrices.cooperativeMatrix == VK_TRUE && f.model.vulkanMemoryModel == VK_TRUE &&
           f.halves.shaderFloat16 == VK_TRUE &&
           (stages.cooperativeMatrixSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0 && has_size(instance, physical);
}
