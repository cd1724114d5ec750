/* kernels: the statistics of VK_KHR_pipeline_executable_properties, as the driver names them. A driver keeps them of
 * pipelines only that were made for it, so each is made once more, beside that which runs. */
#include "backends/vulkan/kernels.h"
#include "backends/vulkan/device.h"
#include "backends/vulkan/exec.h"
#include "backends/vulkan/failure.h"
#include "backends/vulkan/instance.h"

#include <string.h>

enum { MAX_EXECUTABLES = 8, MAX_STATISTICS = 48, MAX_FIGURES = 128, NAME_BYTES = 640, VALUE_BYTES = 32 };
enum { FIGURE_BYTES = 2 * VK_MAX_DESCRIPTION_SIZE };

/* As the driver gives them. */
typedef struct answers {
    VkPipelineExecutablePropertiesKHR executables[MAX_EXECUTABLES];
    VkPipelineExecutableStatisticKHR statistics[MAX_STATISTICS];
} answers;

typedef struct figures {
    answers *driver;
    m3_kernel_figure all[MAX_FIGURES];
    char names[MAX_FIGURES][FIGURE_BYTES], values[MAX_FIGURES][VALUE_BYTES];
    uint32_t count;
    char name[NAME_BYTES]; /* of the kernel */
} figures;

static void write_value(const VkPipelineExecutableStatisticKHR *s, char *text)
{
    switch (s->format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR:
        (void)snprintf(text, VALUE_BYTES, "%s", s->value.b32 != 0 ? "yes" : "no");
        break;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR:
        (void)snprintf(text, VALUE_BYTES, "%lld", (long long)s->value.i64);
        break;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR:
        (void)snprintf(text, VALUE_BYTES, "%g", s->value.f64);
        break;
    default: (void)snprintf(text, VALUE_BYTES, "%llu", (unsigned long long)s->value.u64); break;
    }
}

/* Of several executables of a pipeline, each statistic has the name of its own before it. */
static VkResult add_statistics(const m3_device_impl *device, VkPipeline pipeline, uint32_t index, bool only, figures *f)
{
    const VkPipelineExecutableInfoKHR info = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, .pipeline = pipeline, .executableIndex = index};
    uint32_t count = MAX_STATISTICS;
    for (uint32_t i = 0; i < MAX_STATISTICS; i++)
        f->driver->statistics[i] =
            (VkPipelineExecutableStatisticKHR){.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR};
    VkResult result =
        device->vk.GetPipelineExecutableStatisticsKHR(device->device, &info, &count, f->driver->statistics);
    if (result == VK_INCOMPLETE) result = VK_SUCCESS;
    for (uint32_t i = 0; result == VK_SUCCESS && i < count && f->count < MAX_FIGURES; i++, f->count++) {
        char *name = f->names[f->count], *value = f->values[f->count];
        (void)snprintf(name, FIGURE_BYTES, "%s%s%s", only ? "" : f->driver->executables[index].name, only ? "" : ": ",
                       f->driver->statistics[i].name);
        write_value(&f->driver->statistics[i], value);
        f->all[f->count] = (m3_kernel_figure){name, value};
    }
    return result;
}

static m3_status query(const m3_device_impl *device, VkPipeline pipeline, figures *f, m3_error *err)
{
    const VkPipelineInfoKHR info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, .pipeline = pipeline};
    uint32_t count = MAX_EXECUTABLES;
    f->count = 0;
    for (uint32_t i = 0; i < MAX_EXECUTABLES; i++)
        f->driver->executables[i] =
            (VkPipelineExecutablePropertiesKHR){.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR};
    VkResult result =
        device->vk.GetPipelineExecutablePropertiesKHR(device->device, &info, &count, f->driver->executables);
    if (result == VK_INCOMPLETE) result = VK_SUCCESS;
    for (uint32_t i = 0; result == VK_SUCCESS && i < count; i++)
        result = add_statistics(device, pipeline, i, count == 1, f);
    return vulkan_result_check((m3_device_impl *)device, result, "the statistics of a pipeline", err);
}

static m3_status tell_one(m3_device_impl *device, const lower_dispatch *d, m3_kernel_info *info, figures *f,
                          void (*tell)(void *user, const m3_kernel_info *kernel), void *user, m3_error *err)
{
    VkPipeline pipeline = VK_NULL_HANDLE;
    m3_status st = M3_OK;
    vulkan_pipeline_name(device, d, f->name, sizeof f->name);
    info->size = M3_STRUCT_SIZE(m3_kernel_info, lacks);
    info->name = f->name;
    info->lacks = "the driver has no VK_KHR_pipeline_executable_properties";
    f->count = 0;
    if (device->adapter->statistics) {
        st = vulkan_pipeline_capture(device, d, &pipeline, err);
        if (st == M3_OK) st = query(device, pipeline, f, err);
        device->vk.DestroyPipeline(device->device, pipeline, NULL);
        info->lacks = f->count > 0 ? "" : "the driver tells nothing of it";
    }
    if (st != M3_OK) return st;
    info->figures = (m3_span){f->count, sizeof f->all[0], f->all};
    tell(user, info);
    return M3_OK;
}

m3_status vulkan_kernels_tell(m3_device_impl *device, m3_exec_impl *exec,
                              void (*tell)(void *user, const m3_kernel_info *kernel), void *user, m3_error *err)
{
    const m3_host *host = device->host;
    figures *f = host->allocate(host->user, 1, sizeof *f);
    answers *driver = host->allocate(host->user, 1, sizeof *driver);
    uint32_t *nodes = host->allocate(host->user, (size_t)exec->step_count + 1, sizeof *nodes);
    m3_status st = M3_OK;
    if (f == NULL || driver == NULL || nodes == NULL) {
        st = M3_FAIL_MEMORY(err, "kernels", sizeof *f + sizeof *driver);
        goto done;
    }
    f->driver = driver;
    for (uint32_t i = 0; st == M3_OK && i < exec->step_count; i++) {
        const vulkan_pipeline *pipeline = exec->steps[i].pipeline;
        uint32_t first = 0;
        m3_kernel_info info = {.nodes = nodes};
        while (exec->steps[first].pipeline != pipeline) first++;
        if (first != i) continue;
        for (uint32_t k = i; k < exec->step_count; k++)
            if (exec->steps[k].pipeline == pipeline) nodes[info.dispatches++] = exec->steps[k].dispatch->node;
        st = tell_one(device, exec->steps[i].dispatch, &info, f, tell, user, err);
    }
done:
    host->release(host->user, f);
    host->release(host->user, driver);
    host->release(host->user, nodes);
    return st;
}
