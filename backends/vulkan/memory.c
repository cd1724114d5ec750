/* memory: few large allocations of the driver (blocks), each cut into buffers by the first gap that fits. A buffer that
 * would fill half a block gets one of its own. Blocks that the host sees stay mapped. */
#include "backends/vulkan/memory.h"
#include "backends/vulkan/buffer.h"
#include "backends/vulkan/device.h"
#include "backends/vulkan/failure.h"
#include "backends/vulkan/instance.h"

static const uint64_t shared_block = 64 << 20;

enum {
    HOST = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT, /* every device has both */
    LOCAL = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
    CACHED = VK_MEMORY_PROPERTY_HOST_CACHED_BIT
};

/* The first memory type that has all of `required` and the most of `preferred`; UINT32_MAX: none. */
static uint32_t find_type(const m3_device_impl *device, uint32_t allowed, VkMemoryPropertyFlags required,
                          VkMemoryPropertyFlags preferred)
{
    const VkPhysicalDeviceMemoryProperties *memory = &device->adapter->memory;
    uint32_t best = UINT32_MAX, best_score = 0;
    for (uint32_t i = 0; i < memory->memoryTypeCount; i++) {
        const VkMemoryPropertyFlags flags = memory->memoryTypes[i].propertyFlags;
        if ((allowed & 1u << i) == 0 || (flags & required) != required) continue;
        const uint32_t score = 1 + (uint32_t)__builtin_popcount(flags & preferred);
        if (score <= best_score) continue;
        best = i;
        best_score = score;
    }
    return best;
}

static const VkBufferCreateInfo buffer_info = {
    .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
    .size = 64,
    .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT};

static uint64_t heap_bytes(const m3_device_impl *device, uint32_t type)
{
    const VkPhysicalDeviceMemoryProperties *memory = &device->adapter->memory;
    return memory->memoryHeaps[memory->memoryTypes[type].heapIndex].size;
}

m3_status vulkan_memory_open(m3_device_impl *device, m3_error *err)
{
    vulkan_memory *m = &device->memory;
    const VkPhysicalDeviceType kind = device->adapter->properties.deviceType;
    VkMemoryRequirements needs;
    VkBuffer probe = VK_NULL_HANDLE; /* all our buffers have one usage, so the requirements of one hold for all */
    const VkResult result = device->vk.CreateBuffer(device->device, &buffer_info, NULL, &probe);
    if (result != VK_SUCCESS) return vulkan_result_check(device, result, "a buffer", err);
    device->vk.GetBufferMemoryRequirements(device->device, probe, &needs);
    device->vk.DestroyBuffer(device->device, probe, NULL);
    m->upload_type = find_type(device, needs.memoryTypeBits, HOST, 0);
    m->download_type = find_type(device, needs.memoryTypeBits, HOST, CACHED);
    m->device_type = find_type(device, needs.memoryTypeBits, HOST | LOCAL, CACHED);
    device->unified = !device->staging && m->device_type != UINT32_MAX &&
                      (kind == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU || kind == VK_PHYSICAL_DEVICE_TYPE_CPU);
    if (!device->unified) m->device_type = find_type(device, needs.memoryTypeBits, 0, LOCAL);
    if (m->device_type == UINT32_MAX || m->upload_type == UINT32_MAX)
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, device->name,
                       "it has no memory type that buffers and the host can use");
    const uint64_t heap = heap_bytes(device, m->device_type);
    m->block_bytes = heap / 16 < shared_block ? heap / 16 : shared_block;
    return M3_OK;
}

static void free_block(m3_device_impl *device, vulkan_block *block)
{
    device->vk.FreeMemory(device->device, block->memory, NULL); /* which unmaps it */
    device->host->release(device->host->user, block);
}

void vulkan_memory_close(m3_device_impl *device)
{
    vulkan_block *next;
    for (vulkan_block *block = device->memory.blocks; block != NULL; block = next) {
        next = block->next;
        free_block(device, block);
    }
    device->memory.blocks = NULL;
}

void vulkan_memory_capacity(const m3_device_impl *device, uint32_t type, uint64_t *total, uint64_t *unused)
{
    const vulkan_adapter *a = device->adapter;
    const uint32_t heap = a->memory.memoryTypes[type].heapIndex;
    uint64_t held = 0;
    for (const vulkan_block *block = device->memory.blocks; block != NULL; block = block->next)
        if (a->memory.memoryTypes[block->type].heapIndex == heap) held += block->bytes;
    *total = a->memory.memoryHeaps[heap].size;
    *unused = *total > held ? *total - held : 0;
    if (!a->budget) return;
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 all = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
                                             .pNext = &budget};
    device->instance->vk.GetPhysicalDeviceMemoryProperties2(a->physical, &all);
    *unused = budget.heapBudget[heap] > budget.heapUsage[heap] ? budget.heapBudget[heap] - budget.heapUsage[heap] : 0;
}

/* The message about lack of device memory has the figures of the heap. */
static m3_status explain(m3_device_impl *device, VkResult result, uint32_t type, uint64_t bytes, m3_error *err)
{
    const bool local = (device->adapter->memory.memoryTypes[type].propertyFlags & LOCAL) != 0;
    uint64_t total = 0, unused = 0;
    if (result != VK_ERROR_OUT_OF_DEVICE_MEMORY) return vulkan_result_check(device, result, "memory of a buffer", err);
    vulkan_memory_capacity(device, type, &total, &unused);
    return M3_FAIL(err, M3_ERR_MEMORY, "buffer",
                   "%llu bytes were asked, of %llu bytes of %s memory %llu are free; free memory or use a smaller "
                   "batch",
                   (unsigned long long)bytes, (unsigned long long)total, local ? "device" : "host",
                   (unsigned long long)unused);
}

static m3_status add_block(m3_device_impl *device, uint32_t type, uint64_t bytes, m3_error *err)
{
    const m3_host *host = device->host;
    const VkMemoryPropertyFlags flags = device->adapter->memory.memoryTypes[type].propertyFlags;
    const VkMemoryAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = bytes, .memoryTypeIndex = type};
    vulkan_block *block = host->allocate(host->user, 1, sizeof *block);
    if (block == NULL) return M3_FAIL_MEMORY(err, "buffer", sizeof *block);
    block->bytes = bytes;
    block->type = type;
    VkResult result = device->vk.AllocateMemory(device->device, &info, NULL, &block->memory);
    if (result == VK_SUCCESS && (flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0) {
        void *mapped = NULL;
        result = device->vk.MapMemory(device->device, block->memory, 0, VK_WHOLE_SIZE, 0, &mapped);
        block->mapped = mapped;
    }
    if (result == VK_SUCCESS) {
        block->next = device->memory.blocks;
        device->memory.blocks = block;
        return M3_OK;
    }
    free_block(device, block);
    return explain(device, result, type, bytes, err);
}

static uint64_t up(uint64_t value, uint64_t alignment)
{
    return (value + alignment - 1) / alignment * alignment;
}

/* The first gap that fits. */
static bool suballocate(vulkan_block *block, m3_buffer *buffer, uint64_t bytes, uint64_t alignment)
{
    m3_buffer **link = &block->buffers;
    uint64_t at = 0;
    while (*link != NULL && up(at, alignment) + bytes > (*link)->offset) {
        at = (*link)->offset + (*link)->capacity;
        link = &(*link)->next;
    }
    at = up(at, alignment);
    if (*link == NULL && (at > block->bytes || bytes > block->bytes - at)) return false;
    buffer->block = block;
    buffer->offset = at;
    buffer->capacity = bytes;
    buffer->data = block->mapped != NULL ? block->mapped + at : NULL;
    buffer->next = *link;
    *link = buffer;
    return true;
}

m3_status vulkan_memory_allocate(m3_device_impl *device, m3_buffer *buffer, uint32_t type, uint64_t bytes,
                                 uint64_t alignment, m3_error *err)
{
    vulkan_memory *m = &device->memory;
    const bool alone = bytes > m->block_bytes / 2;
    for (vulkan_block *block = m->blocks; block != NULL && !alone; block = block->next)
        if (block->type == type && suballocate(block, buffer, bytes, alignment)) return M3_OK;
    const m3_status st = add_block(device, type, alone ? bytes : m->block_bytes, err);
    if (st == M3_OK && m->blocks != NULL) (void)suballocate(m->blocks, buffer, bytes, alignment);
    return st;
}

void vulkan_memory_free(m3_device_impl *device, m3_buffer *buffer)
{
    vulkan_block *block = buffer->block;
    if (block == NULL) return;
    m3_buffer **link = &block->buffers;
    while (*link != buffer) link = &(*link)->next;
    *link = buffer->next;
    buffer->block = NULL;
    if (block->buffers != NULL) return;
    vulkan_block **at = &device->memory.blocks;
    while (*at != block) at = &(*at)->next;
    *at = block->next;
    free_block(device, block);
}

uint64_t vulkan_memory_used(m3_device_impl *device)
{
    return atomic_load(&device->memory.used);
}

void vulkan_memory_count(m3_device_impl *device, int64_t bytes)
{
    atomic_fetch_add(&device->memory.used, (uint64_t)bytes);
}
