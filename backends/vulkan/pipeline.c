/* pipeline: one for each module, constants and group size, kept by the device. Set 0 has the buffers as bindings 0, 1,
 * …; words are push constants; specialisation constants 0 to 2 are the workgroup size and the others follow from 3. A
 * module of a custom op that fixes its own workgroup size must say the same in m3_kernel_desc.local. */
#include "backends/vulkan/pipeline.h"
#include "backends/lowering/builds.h"
#include "backends/lowering/custom.h"
#include "backends/lowering/keep.h"
#include "backends/lowering/lower.h"
#include "backends/vulkan/device.h"
#include "backends/vulkan/failure.h"
#include "backends/vulkan/hash.h"
#include "backends/vulkan/shaders.h"
#include "backends/vulkan/tape.h"

#include <string.h>

enum { NAME_BYTES = 96, WHAT_BYTES = 192, KEPT_BYTES = 2048 };

/* SPIR-V. */
typedef struct vulkan_module {
    const uint32_t *words;
    size_t bytes;
    const char *entry;
    const char *name; /* of the kernel */
    const char *what; /* for messages */
    uint64_t key;     /* different for different words or entries */
} vulkan_module;

/* Layouts for so many buffers. */
static m3_status get_layout(m3_device_impl *device, uint32_t buffers, vulkan_layout **layout, m3_error *err)
{
    vulkan_layout *l = *layout = &device->layouts[buffers];
    VkDescriptorSetLayoutBinding bindings[LOWER_MAX_BUFFERS];
    for (uint32_t i = 0; i < buffers; i++)
        bindings[i] = (VkDescriptorSetLayoutBinding){.binding = i,
                                                     .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                                     .descriptorCount = 1,
                                                     .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
    const VkDescriptorSetLayoutCreateInfo set = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, .bindingCount = buffers, .pBindings = bindings};
    const VkPushConstantRange words = {VK_SHADER_STAGE_COMPUTE_BIT, 0, LOWER_MAX_WORDS * sizeof(uint32_t)};
    const VkPipelineLayoutCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                             .setLayoutCount = 1,
                                             .pSetLayouts = &l->set,
                                             .pushConstantRangeCount = 1,
                                             .pPushConstantRanges = &words};
    VkResult result = VK_SUCCESS;
    if (l->set == VK_NULL_HANDLE) result = device->vk.CreateDescriptorSetLayout(device->device, &set, NULL, &l->set);
    if (result == VK_SUCCESS && l->pipeline == VK_NULL_HANDLE)
        result = device->vk.CreatePipelineLayout(device->device, &info, NULL, &l->pipeline);
    return vulkan_result_check(device, result, "a pipeline layout", err);
}

/* Of a kernel whose items exchange values within subgroups, else 0. */
static uint32_t subgroup_of(const lower_dispatch *d)
{
    for (uint32_t i = 0; i < d->constant_count && d->source != NULL; i++)
        if (strcmp(d->constants[i].name, "SUBGROUP") == 0) return (uint32_t)d->constants[i].value;
    return 0;
}

static m3_status build(m3_device_impl *device, vulkan_pipeline *p, const vulkan_module *code, VkPipelineCache cache,
                       VkPipelineCreateFlags flags, m3_error *err)
{
    VkSpecializationMapEntry entries[3 + LOWER_MAX_CONSTANTS];
    const VkShaderModuleCreateInfo module_info = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = code->bytes, .pCode = code->words};
    VkShaderModule module = VK_NULL_HANDLE;
    for (uint32_t i = 0; i < p->value_count; i++)
        entries[i] = (VkSpecializationMapEntry){i, i * (uint32_t)sizeof(int32_t), sizeof(int32_t)};
    const VkPipelineShaderStageRequiredSubgroupSizeCreateInfoEXT size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO_EXT,
        .requiredSubgroupSize = p->subgroup};
    const bool chooses = p->subgroup > 0 && device->adapter->chooses_subgroups;
    const VkPipelineShaderStageCreateFlags full =
        p->subgroup > 0 ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT_EXT : 0;
    const VkSpecializationInfo values = {p->value_count, entries, p->value_count * sizeof(int32_t), p->values};
    VkResult result = device->vk.CreateShaderModule(device->device, &module_info, NULL, &module);
    const VkComputePipelineCreateInfo info = {.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
                                              .flags = flags,
                                              .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                                                        .pNext = chooses ? &size : NULL,
                                                        .flags = full,
                                                        .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                                                        .module = module,
                                                        .pName = code->entry,
                                                        .pSpecializationInfo = &values},
                                              .layout = p->layout->pipeline};
    if (result == VK_SUCCESS)
        result = device->vk.CreateComputePipelines(device->device, cache, 1, &info, NULL, &p->pipeline);
    device->vk.DestroyShaderModule(device->device, module, NULL);
    return vulkan_result_check(device, result, code->what, err);
}

/* Returns its length; cut where there is no room. */
static size_t write_name(const lower_dispatch *d, const vulkan_module *code, char *text, size_t bytes)
{
    size_t at = (size_t)snprintf(text, bytes, "%.128s", code->name);
    for (uint32_t i = 0; i < d->constant_count && at < bytes; i++)
        at += (size_t)snprintf(text + at, bytes - at, " %.32s=%d", d->constants[i].name, (int)d->constants[i].value);
    for (uint32_t s = 0; s < d->tape.steps && at < bytes; s++)
        at += (size_t)snprintf(text + at, bytes - at, " %s", lower_tape_function_at(d->tape.function[s])->name);
    return at < bytes ? at : bytes - 1;
}

/* Option keep: NAME.spv, and NAME.txt with a line each for the number of buffers, the constants by number, the entry,
 * and the kernel's name with its constants by name. The name of both files follows from all of it. */
static m3_status keep(const m3_device_impl *device, const vulkan_pipeline *p, const lower_dispatch *d,
                      const vulkan_module *code, m3_error *err)
{
    char text[KEPT_BYTES];
    if (device->keep == NULL) return M3_OK;
    size_t at = (size_t)snprintf(text, sizeof text, "%u\n", p->buffers);
    for (uint32_t i = 0; i < p->value_count; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%d", i > 0 ? " " : "", (int)p->values[i]);
    at += (size_t)snprintf(text + at, sizeof text - at, "\n%.128s\n", code->entry);
    at += write_name(d, code, text + at, sizeof text - at);
    at += (size_t)snprintf(text + at, sizeof text - at, "\n");
    const uint64_t hash = vulkan_hash(vulkan_hash(VULKAN_HASH_START, code->words, code->bytes), text, at);
    const m3_status st = lower_keep_write(device->keep, code->name, hash, "spv", code->words, code->bytes, err);
    return st == M3_OK ? lower_keep_write(device->keep, code->name, hash, "txt", text, at, err) : st;
}

static bool same(const vulkan_pipeline *p, const vulkan_pipeline *key)
{
    return p->code == key->code && p->buffers == key->buffers && p->value_count == key->value_count &&
           memcmp(p->values, key->values, key->value_count * sizeof key->values[0]) == 0;
}

/* What names a pipeline is written into. */
typedef struct module_text {
    char name[NAME_BYTES], what[WHAT_BYTES];
} module_text;

static m3_status find_ours(const lower_dispatch *d, module_text *text, vulkan_module *code, m3_error *err)
{
    char entry[NAME_BYTES / 2];
    (void)snprintf(entry, sizeof entry, "%s%s", d->entry, subgroup_of(d) > 0 ? "_subgroups" : "");
    const vulkan_shader *shader = vulkan_shader_find(d->source, entry);
    if (shader == NULL)
        return M3_FAIL(err, M3_ERR_UNSUPPORTED, d->entry, "no shader %s.comp has the entry '%s'", d->source, entry);
    (void)snprintf(text->name, sizeof text->name, "%s.comp %s", d->source, entry);
    (void)snprintf(text->what, sizeof text->what, "the pipeline of shader %s.comp, entry '%s'", d->source, entry);
    *code = (vulkan_module){shader->words, shader->bytes, "main",
                            text->name,    text->what,    (uint64_t)(uintptr_t)shader->words};
    if (d->tape.steps > 0) code->key = vulkan_hash(code->key, &d->tape, sizeof d->tape);
    return M3_OK;
}

/* The key is of the content: the code may go away with its program, and other code may take its place. */
static void find_custom(const m3_device_impl *device, const lower_dispatch *d, module_text *text, vulkan_module *code)
{
    const m3_node *node = d->list->program->nodes[d->node];
    const m3_kernel_desc *desc = lower_custom_kernel(&device->traits, node);
    (void)snprintf(text->name, sizeof text->name, "%s", node->op->name);
    (void)snprintf(text->what, sizeof text->what, "the pipeline of the kernel of op '%s', entry '%s'", node->op->name,
                   desc->entry);
    const uint64_t hash = vulkan_hash(VULKAN_HASH_START, desc->code, (size_t)desc->code_bytes);
    *code = (vulkan_module){desc->code,  (size_t)desc->code_bytes,
                            desc->entry, text->name,
                            text->what,  vulkan_hash(hash, desc->entry, strlen(desc->entry))};
}

static m3_status find_module(const m3_device_impl *device, const lower_dispatch *d, module_text *text,
                             vulkan_module *code, m3_error *err)
{
    if (d->source != NULL) return find_ours(d, text, code, err);
    find_custom(device, d, text, code);
    return M3_OK;
}

/* The pipeline of a dispatch that was begun, else NULL; key: what it is found by. */
static vulkan_pipeline *find(const m3_device_impl *device, const lower_dispatch *d, const vulkan_module *code,
                             vulkan_pipeline *key)
{
    *key = (vulkan_pipeline){.code = code->key,
                             .value_count = 3 + d->constant_count,
                             .buffers = d->buffer_count,
                             .subgroup = subgroup_of(d)};
    for (uint32_t i = 0; i < 3; i++) key->values[i] = (int32_t)d->group[i];
    for (uint32_t i = 0; i < d->constant_count; i++) key->values[3 + i] = d->constants[i].value;
    vulkan_pipeline *p = device->pipelines;
    while (p != NULL && !same(p, key)) p = p->next;
    return p;
}

/* A pipeline that is to be built, for the dispatch that needs it first. */
typedef struct pending {
    vulkan_pipeline *pipeline;
    const lower_dispatch *dispatch;
} pending;

typedef struct work {
    m3_device_impl *device;
    const pending *list;
} work;

/* The module of a dispatch that runs a tape, in `words`, to be released; others have theirs. */
static m3_status write_tape(const m3_device_impl *device, const lower_dispatch *d, vulkan_module *code,
                            uint32_t **words, m3_error *err)
{
    *words = NULL;
    if (d->tape.steps == 0) return M3_OK;
    const vulkan_shader *shader = vulkan_shader_find(d->source, d->entry);
    const m3_status st = vulkan_tape_write(device->host, shader, &d->tape, words, &code->bytes, err);
    code->words = *words;
    return st;
}

static m3_status build_one(void *user, uint32_t index, m3_error *err)
{
    const work *w = user;
    const pending *at = &w->list[index];
    module_text text;
    vulkan_module code = {0};
    uint32_t *words = NULL;
    m3_status st = find_module(w->device, at->dispatch, &text, &code, err);
    if (st == M3_OK) st = write_tape(w->device, at->dispatch, &code, &words, err);
    if (st == M3_OK) st = keep(w->device, at->pipeline, at->dispatch, &code, err);
    if (st == M3_OK) st = build(w->device, at->pipeline, &code, w->device->cache, 0, err);
    w->device->host->release(w->device->host->user, words);
    return st;
}

/* Those that were begun and not built go away again. */
static void drop_unbuilt(m3_device_impl *device)
{
    for (vulkan_pipeline **at = &device->pipelines; *at != NULL;) {
        vulkan_pipeline *p = *at;
        if (p->pipeline == VK_NULL_HANDLE) {
            *at = p->next;
            device->host->release(device->host->user, p);
        } else {
            at = &p->next;
        }
    }
}

/* Begin the pipeline of a dispatch where there is none. */
static m3_status begin(m3_device_impl *device, const lower_dispatch *d, pending *list, uint32_t *count, m3_error *err)
{
    const m3_host *host = device->host;
    module_text text;
    vulkan_module code = {0};
    vulkan_pipeline key;
    vulkan_layout *layout = NULL;
    m3_status st = find_module(device, d, &text, &code, err);
    if (st != M3_OK || find(device, d, &code, &key) != NULL) return st;
    if ((st = get_layout(device, d->buffer_count, &layout, err)) != M3_OK) return st;
    vulkan_pipeline *p = host->allocate(host->user, 1, sizeof *p);
    if (p == NULL) return M3_FAIL_MEMORY(err, d->entry, sizeof *p);
    *p = key;
    p->layout = layout;
    p->next = device->pipelines;
    device->pipelines = p;
    list[(*count)++] = (pending){p, d};
    return M3_OK;
}

m3_status vulkan_pipelines_build(m3_device_impl *device, const lower_list *l, m3_error *err)
{
    const m3_host *host = device->host;
    uint32_t count = 0;
    m3_status st = M3_OK;
    pending *list = host->allocate(host->user, (size_t)l->count + 1, sizeof *list);
    if (list == NULL) return M3_FAIL_MEMORY(err, l->program->name, ((size_t)l->count + 1) * sizeof *list);
    for (uint32_t i = 0; i < l->count && st == M3_OK; i++) {
        const lower_dispatch *d = &l->dispatches[i];
        if (d->count[0] != 0 && d->count[1] != 0 && d->count[2] != 0) st = begin(device, d, list, &count, err);
    }
    work w = {device, list};
    if (st == M3_OK) st = lower_build_all(host, device->parallel, count, build_one, &w, err);
    if (st == M3_OK)
        device->built += count;
    else
        drop_unbuilt(device);
    host->release(host->user, list);
    return st;
}

const vulkan_pipeline *vulkan_pipeline_get(const m3_device_impl *device, const lower_dispatch *d)
{
    module_text text;
    vulkan_module code = {0};
    vulkan_pipeline key;
    return find_module(device, d, &text, &code, NULL) == M3_OK ? find(device, d, &code, &key) : NULL;
}

void vulkan_pipeline_name(const m3_device_impl *device, const lower_dispatch *d, char *name, size_t bytes)
{
    module_text text;
    vulkan_module code = {0};
    (void)snprintf(name, bytes, "%s", d->entry);
    if (find_module(device, d, &text, &code, NULL) != M3_OK) return;
    const size_t at = write_name(d, &code, name, bytes);
    (void)snprintf(name + at, bytes - at, " (group %u x %u x %u)", d->group[0], d->group[1], d->group[2]);
}

m3_status vulkan_pipeline_capture(m3_device_impl *device, const lower_dispatch *d, VkPipeline *pipeline, m3_error *err)
{
    module_text text;
    vulkan_module code = {0};
    vulkan_pipeline again;
    *pipeline = VK_NULL_HANDLE;
    m3_status st = find_module(device, d, &text, &code, err);
    if (st != M3_OK) return st;
    const vulkan_pipeline *found = find(device, d, &code, &again);
    if (found == NULL) return M3_FAIL(err, M3_ERR_INTERNAL, d->entry, "%s was not built", code.what);
    again.layout = found->layout;
    uint32_t *words = NULL;
    st = write_tape(device, d, &code, &words, err);
    if (st == M3_OK)
        st = build(device, &again, &code, VK_NULL_HANDLE, VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR, err);
    device->host->release(device->host->user, words);
    *pipeline = again.pipeline;
    return st;
}

void vulkan_pipelines_free(m3_device_impl *device)
{
    const m3_host *host = device->host;
    for (vulkan_pipeline *p = device->pipelines, *next = NULL; p != NULL; p = next) {
        next = p->next;
        device->vk.DestroyPipeline(device->device, p->pipeline, NULL);
        host->release(host->user, p);
    }
    device->pipelines = NULL;
    for (uint32_t i = 0; i <= LOWER_MAX_BUFFERS; i++) {
        if (device->layouts[i].pipeline != VK_NULL_HANDLE)
            device->vk.DestroyPipelineLayout(device->device, device->layouts[i].pipeline, NULL);
        if (device->layouts[i].set != VK_NULL_HANDLE)
            device->vk.DestroyDescriptorSetLayout(device->device, device->layouts[i].set, NULL);
    }
}
