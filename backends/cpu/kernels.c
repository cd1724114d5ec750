/* kernels: a kernel is an op's for a type, in the build for the instruction set of the machine, or a custom op's own.
 */
#include "backends/cpu/kernels.h"

#include <string.h>

#include "backends/cpu/device.h"
#include "backends/cpu/program.h"

enum { FIGURES = 4, TEXT_BYTES = 64, NAME_BYTES = 160 };

static m3_dtype type_of(const m3_node *node)
{
    return node->in_count > 0 && node->in[0] != NULL ? node->in[0]->dtype : node->out[0]->dtype;
}

static bool alike(const host_node *a, const host_node *b)
{
    return a->kernel == b->kernel && strcmp(a->node->op->name, b->node->op->name) == 0 &&
           type_of(a->node) == type_of(b->node);
}

static void tell_one(const cpu_device *d, const host_node *at, const uint32_t *nodes, uint32_t count,
                     void (*tell)(void *user, const m3_kernel_info *kernel), void *user)
{
    char name[NAME_BYTES], vector[TEXT_BYTES], tile[TEXT_BYTES], threads[TEXT_BYTES];
    const m3_kernel_figure figures[FIGURES] = {{"instruction set", cpu_isa_name(d->machine.isa)},
                                               {"floats in a vector", vector},
                                               {"tile of a product", tile},
                                               {"threads", threads}};
    (void)snprintf(name, sizeof name, "%s %s", at->node->op->name, m3_dtype_name(type_of(at->node)));
    (void)snprintf(vector, sizeof vector, "%u", d->machine.gemm.vector);
    (void)snprintf(tile, sizeof tile, "%u x %u", d->machine.gemm.mr, d->machine.gemm.nr);
    (void)snprintf(threads, sizeof threads, "%u", cpu_pool_threads(&d->pool));
    const m3_kernel_info info = {.size = M3_STRUCT_SIZE(m3_kernel_info, lacks),
                                 .name = name,
                                 .dispatches = count,
                                 .nodes = nodes,
                                 .figures = {at->kernel == NULL ? FIGURES : 0, sizeof figures[0], figures},
                                 .lacks =
                                     at->kernel == NULL ? "" : "it is a function of the plugin that brings the op"};
    tell(user, &info);
}

m3_status cpu_kernels_tell(m3_device_impl *device, m3_exec_impl *exec,
                           void (*tell)(void *user, const m3_kernel_info *kernel), void *user, m3_error *err)
{
    const m3_host *host = device->host;
    uint32_t *nodes = host->allocate(host->user, (size_t)exec->count + 1, sizeof *nodes);
    if (nodes == NULL) return M3_FAIL_MEMORY(err, "kernels", exec->count * sizeof *nodes);
    for (uint32_t i = 0; i < exec->count; i++) {
        uint32_t first = 0, count = 0;
        while (!alike(&exec->nodes[first], &exec->nodes[i])) first++;
        if (first != i) continue;
        for (uint32_t k = i; k < exec->count; k++)
            if (alike(&exec->nodes[i], &exec->nodes[k])) nodes[count++] = k;
        tell_one((const cpu_device *)device, &exec->nodes[i], nodes, count, tell, user);
    }
    host->release(host->user, nodes);
    return M3_OK;
}
