/* kernels: launches of one entry of one program are launches of a kernel. OpenCL knows its limits and memory;
 * registers, spills and instructions no query tells. */
#include "backends/opencl/kernels.h"
#include "backends/opencl/api.h"
#include "backends/opencl/build.h"
#include "backends/opencl/device.h"
#include "backends/opencl/exec.h"

#include <string.h>

enum { MAX_FIGURES = 8, VALUE_BYTES = 32, NAME_BYTES = 1200, ENTRY_BYTES = 128 };

/* Where a launch's kernel comes from. */
typedef struct origin {
    cl_program program;
    char entry[ENTRY_BYTES];
} origin;

typedef struct figures {
    m3_kernel_figure all[MAX_FIGURES];
    char values[MAX_FIGURES][VALUE_BYTES];
    uint32_t count;
} figures;

static void add(figures *f, const char *name, cl_int code, unsigned long long value)
{
    if (code != CL_SUCCESS || f->count == MAX_FIGURES) return;
    (void)snprintf(f->values[f->count], VALUE_BYTES, "%llu", value);
    f->all[f->count] = (m3_kernel_figure){name, f->values[f->count]};
    f->count++;
}

static origin origin_of(const opencl_api *cl, const opencl_launch *launch)
{
    origin o = {0};
    if (launch->kernel == NULL) return o;
    if (cl->GetKernelInfo(launch->kernel, CL_KERNEL_PROGRAM, sizeof(cl_program), &o.program, NULL) != CL_SUCCESS)
        o.program = NULL;
    if (cl->GetKernelInfo(launch->kernel, CL_KERNEL_FUNCTION_NAME, sizeof o.entry - 1, o.entry, NULL) != CL_SUCCESS)
        (void)snprintf(o.entry, sizeof o.entry, "(a kernel whose name the driver does not tell)");
    return o;
}

static bool same(const origin *a, const origin *b)
{
    return a->program == b->program && strcmp(a->entry, b->entry) == 0;
}

/* "SOURCE ENTRY OPTIONS"; programs are kept by "SOURCE OPTIONS". */
static void write_name(m3_device_impl *device, const origin *o, char *name)
{
    pthread_mutex_lock(&device->programs_lock);
    const opencl_program *p = device->programs;
    while (p != NULL && p->program != o->program) p = p->next;
    const char *key = p != NULL ? p->key : "", *options = strchr(key, ' ');
    const int source = options != NULL ? (int)(options - key) : (int)strlen(key);
    (void)snprintf(name, NAME_BYTES, "%.*s %s%s", source, key, o->entry, options != NULL ? options : "");
    pthread_mutex_unlock(&device->programs_lock);
    for (size_t end = strlen(name); end > 0 && name[end - 1] == ' '; end--) name[end - 1] = 0;
}

static void fill(m3_device_impl *device, const opencl_launch *launch, const origin *o, figures *f)
{
    const opencl_api *cl = device->cl;
    size_t size = 0, binary = 0;
    cl_ulong bytes = 0;
    cl_int code =
        cl->GetKernelWorkGroupInfo(launch->kernel, device->id, CL_KERNEL_WORK_GROUP_SIZE, sizeof size, &size, NULL);
    add(f, "work-group size, at most", code, size);
    code = cl->GetKernelWorkGroupInfo(launch->kernel, device->id, CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE,
                                      sizeof size, &size, NULL);
    add(f, "work-group size, preferred multiple", code, size);
    add(f, "work-group size", CL_SUCCESS, (unsigned long long)launch->local[0] * launch->local[1] * launch->local[2]);
    code = cl->GetKernelWorkGroupInfo(launch->kernel, device->id, CL_KERNEL_LOCAL_MEM_SIZE, sizeof bytes, &bytes, NULL);
    add(f, "local memory, bytes", code, bytes);
    code =
        cl->GetKernelWorkGroupInfo(launch->kernel, device->id, CL_KERNEL_PRIVATE_MEM_SIZE, sizeof bytes, &bytes, NULL);
    add(f, "private memory of an item, bytes", code, bytes);
    if (o->program == NULL) return;
    code = cl->GetProgramInfo(o->program, CL_PROGRAM_BINARY_SIZES, sizeof binary, &binary, NULL);
    add(f, "binary of the program, bytes", code, binary);
}

static void tell_one(m3_device_impl *device, const opencl_launch *launch, const origin *o, m3_kernel_info *info,
                     void (*tell)(void *user, const m3_kernel_info *kernel), void *user)
{
    char name[NAME_BYTES] = "a product by CLBlast";
    figures f = {.count = 0};
    info->size = M3_STRUCT_SIZE(m3_kernel_info, lacks);
    info->name = name;
    info->lacks = "OpenCL tells no registers, spills and instructions";
    if (launch->kernel == NULL) {
        info->lacks = "the library keeps its kernels to itself";
    } else {
        write_name(device, o, name);
        fill(device, launch, o, &f);
    }
    info->figures = (m3_span){f.count, sizeof f.all[0], f.all};
    tell(user, info);
}

m3_status opencl_kernels_tell(m3_device_impl *device, m3_exec_impl *exec,
                              void (*tell)(void *user, const m3_kernel_info *kernel), void *user, m3_error *err)
{
    const m3_host *host = device->host;
    const size_t room = (size_t)exec->count + 1;
    origin *origins = host->allocate(host->user, room, sizeof *origins);
    uint32_t *nodes = host->allocate(host->user, room, sizeof *nodes);
    m3_status st = M3_OK;
    if (origins == NULL || nodes == NULL) {
        st = M3_FAIL_MEMORY(err, "kernels", room * sizeof *origins);
        goto done;
    }
    for (uint32_t i = 0; i < exec->count; i++) origins[i] = origin_of(device->cl, &exec->launches[i]);
    for (uint32_t i = 0; i < exec->count; i++) {
        uint32_t first = 0;
        m3_kernel_info info = {.nodes = nodes};
        while (!same(&origins[first], &origins[i])) first++;
        if (first != i) continue;
        for (uint32_t k = i; k < exec->count; k++)
            if (same(&origins[i], &origins[k])) nodes[info.dispatches++] = exec->launches[k].node;
        tell_one(device, &exec->launches[i], &origins[i], &info, tell, user);
    }
done:
    host->release(host->user, origins);
    host->release(host->user, nodes);
    return st;
}
