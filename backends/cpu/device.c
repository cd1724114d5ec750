/* device: the processor, its options, and its threads. */
#include "backends/cpu/device.h"

#include <stdlib.h>
#include <string.h>

#include "backends/cpu/flush.h"

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

static m3_status set_number(const m3_option *option, uint64_t *number, m3_error *err)
{
    char *end = NULL;
    *number = strtoull(option->value, &end, 10);
    if (option->value[0] >= '0' && option->value[0] <= '9' && *end == 0) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, option->key, "'%s' is no number; give a whole number of at least 0",
                   option->value);
}

static m3_status set_option(m3_device_impl *device, const m3_option *option, const char **isa, m3_error *err)
{
    const m3_host *host = device->host;
    if (strcmp(option->key, "isa") == 0) {
        *isa = option->value;
        return M3_OK;
    }
    if (strcmp(option->key, "fail_after") == 0) return set_number(option, &device->fail_after, err);
    if (strcmp(option->key, "memory") == 0) return set_number(option, &device->memory_max, err);
    if (strcmp(option->key, "refuse") != 0)
        return M3_FAIL(err, M3_ERR_INVALID, option->key,
                       "no such option of the cpu device; there are isa=portable|avx2|avx512, refuse=OP+OP (say no to "
                       "these ops), fail_after=N (be lost after N submits), memory=BYTES (hold no more)");
    size_t bytes = strlen(option->value) + 1;
    host->release(host->user, device->refused);
    device->refused = host->allocate(host->user, bytes, 1);
    if (device->refused == NULL) return M3_FAIL_MEMORY(err, option->key, bytes);
    memcpy(device->refused, option->value, bytes);
    return M3_OK;
}

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
    const char *isa = NULL;
    m3_status st = host_device_create(backend->host, "cpu", index, sizeof(cpu_device), device, err);
    if (st != M3_OK) return st;
    cpu_device *d = (cpu_device *)*device;
    d->backend = backend;
    d->pool = (cpu_pool){d, run_parallel, backend->host->threads};
    for (uint32_t i = 0; i < options.count && st == M3_OK; i++)
        st = set_option(*device, (const m3_option *)m3_span_at(options, i), &isa, err);
    if (st == M3_OK) st = cpu_machine_init(&d->machine, isa, err);
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
