/* device: the processor, its options, and its threads. */
#include "backends/cpu/device.h"

#include <string.h>

#include "backends/cpu/flush.h"
#include "backends/host/options.h"

/* The processor's own name, or "cpu". */
static void read_name(char *name, size_t bytes)
{
    char line[256];
    (void)snprintf(name, bytes, "cpu");
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (file == NULL) return;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "model name", 10) != 0) continue;
        const char *text = strchr(line, ':');
        if (text == NULL) break;
        text += 1 + strspn(text + 1, " \t");
        (void)snprintf(name, bytes, "%.*s", (int)strcspn(text, "\n"), text);
        break;
    }
    (void)fclose(file);
}

m3_status cpu_list(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count, m3_error *err)
{
    cpu_machine machine;
    m3_status st = host_list(infos, capacity, count, err);
    if (st != M3_OK || capacity == 0) return st;
    if ((st = cpu_machine_init(&machine, NULL, err)) != M3_OK) return st;
    infos->device_class = M3_DEVICE_CPU;
    read_name(infos->name, sizeof infos->name);
    (void)snprintf(infos->driver, sizeof infos->driver, "%s", cpu_isa_name(machine.isa));
    (void)snprintf(infos->features, sizeof infos->features, "f32 threads=%u", backend->host->threads);
    return M3_OK;
}

/* Options. */

const m3_option_desc cpu_options[CPU_OPTIONS] = {
    M3_DESCRIBE_CHOICE("isa", "auto|portable|avx2|avx512|avx512bf16", "auto",
                       "instructions of the kernels; auto: the best"),
    HOST_OPTIONS,
};

/* Threads. */

/* A task with the flush-to-zero mode of its step, which each thread has to set. */
typedef struct flush_task {
    cpu_task_fn fn;
    void *arg;
    bool flush;
} flush_task;

static void run_task(void *arg, uint32_t task, uint32_t worker)
{
    const flush_task *t = arg;
    const uint32_t before = cpu_flush_begin(t->flush);
    t->fn(t->arg, task, worker);
    cpu_flush_end(before);
}

/* The host's threads, one caller at a time. */
static void run_parallel(void *pool, uint32_t tasks, cpu_task_fn fn, void *arg)
{
    const cpu_device *device = pool;
    const m3_host *host = device->base.host;
    flush_task task = {fn, arg, device->flush};
    pthread_mutex_lock(&device->backend->parallel);
    host->parallel(host->user, tasks, run_task, &task);
    pthread_mutex_unlock(&device->backend->parallel);
}

m3_status cpu_device_open(m3_backend *backend, uint32_t index, m3_span options, m3_device_impl **device, m3_error *err)
{
    m3_status st = host_device_create(backend->host, "cpu", index, sizeof(cpu_device), device, err);
    if (st != M3_OK) return st;
    cpu_device *d = (cpu_device *)*device;
    d->backend = backend;
    d->pool = (cpu_pool){d, run_parallel, backend->host->threads};
    st = host_read_options(*device, options, err);
    if (st == M3_OK) st = cpu_machine_init(&d->machine, m3_options_text(options, "isa", NULL), err);
    if (st == M3_OK) return M3_OK;
    host_device_close(*device);
    *device = NULL;
    return st;
}

m3_status cpu_peak(m3_device_impl *device, double *gflops, m3_error *err)
{
    const cpu_device *d = (const cpu_device *)device;
    (void)err;
    *gflops = cpu_measure_peak(&d->machine, &d->pool);
    return M3_OK;
}
