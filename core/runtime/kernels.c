/* kernels: what the backends of an executable's devices say of the kernels that its runs use. */
#include "core/runtime/executable.h"

typedef struct teller {
    const m3_executable *executable;
    const m3_partition *partition;
    void (*tell)(void *user, const m3_executable_kernel *kernel);
    void *user;
} teller;

static void pass_on(void *user, const m3_kernel_info *info)
{
    const teller *t = user;
    m3_executable_kernel kernel = {.size = M3_STRUCT_SIZE(m3_executable_kernel, bytes), .info = info};
    if (!M3_HAS(info, m3_kernel_info, lacks)) return; /* no backend could be so old */
    kernel.device = t->executable->devices[t->partition->device]->name;
    for (uint32_t i = 0; i < info->dispatches; i++) {
        if (i > 0 && info->nodes[i] == info->nodes[i - 1]) continue;
        if (info->nodes[i] >= t->partition->count) continue;
        const m3_node *node = t->executable->schedule.steps[t->partition->first + info->nodes[i]].node;
        kernel.nodes++;
        kernel.flops += m3_node_flops(node);
        kernel.bytes += m3_node_traffic(node, NULL);
    }
    t->tell(t->user, &kernel);
}

m3_status m3_executable_kernels(m3_executable *executable, void (*tell)(void *user, const m3_executable_kernel *kernel),
                                void *user, m3_error *err)
{
    m3_status st = M3_OK;
    m3_error silent = {0};
    for (uint32_t i = 0; i < executable->schedule.partition_count && st == M3_OK; i++) {
        const m3_partition *partition = &executable->schedule.partitions[i];
        const m3_device *device = executable->devices[partition->device];
        teller t = {executable, partition, tell, user};
        if (M3_HAS(device->api, m3_backend_api, kernels) && device->api->kernels != NULL)
            st = device->api->kernels(device->impl, executable->execs[i], pass_on, &t, err);
        else if (silent.code == M3_OK)
            (void)M3_FAIL(&silent, M3_ERR_UNSUPPORTED, device->name,
                          "this backend says nothing of its kernels; graph without --kernels has the rest");
    }
    if (st != M3_OK || silent.code == M3_OK) return st;
    if (err != NULL) *err = silent;
    return silent.code;
}
