/* device: the processor, its options, its limits, and its queue, which is empty whenever a call returns. */
#include "backends/cpu/cpu.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    *count = 1;
    if (capacity == 0) return M3_OK;
    if (infos->size < M3_STRUCT_SIZE(m3_device_info, features))
        return M3_FAIL(err, M3_ERR_ABI, "m3_device_info", "its size is %u, wanted at least %u", infos->size,
                       M3_STRUCT_SIZE(m3_device_info, features));
    m3_status st = cpu_machine_init(&machine, NULL, err);
    if (st != M3_OK) return st;
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
    if (strcmp(option->key, "memory") == 0) return set_number(option, &device->memory_most, err);
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

typedef struct shared_task {
    cpu_task_fn fn;
    void *arg;
    bool flush;
} shared_task;

static void run_task(void *arg, uint32_t task, uint32_t worker)
{
    const shared_task *shared = arg;
    uint32_t before = cpu_flush_begin(shared->flush);
    shared->fn(shared->arg, task, worker);
    cpu_flush_end(before);
}

/* The host's threads, one caller at a time. */
static void run_parallel(void *pool, uint32_t tasks, cpu_task_fn fn, void *arg)
{
    const m3_device_impl *device = pool;
    const m3_host *host = device->host;
    shared_task shared = {fn, arg, device->flush};
    pthread_mutex_lock(&device->backend->parallel);
    host->parallel(host->user, tasks, run_task, &shared);
    pthread_mutex_unlock(&device->backend->parallel);
}

m3_status cpu_device_open(m3_backend *backend, uint32_t index, m3_span options, m3_device_impl **device, m3_error *err)
{
    const m3_host *host = backend->host;
    const char *isa = NULL;
    *device = NULL;
    if (index != 0) return M3_FAIL(err, M3_ERR_INVALID, "cpu", "there is no device %u, only 0", index);
    m3_device_impl *d = host->allocate(host->user, 1, sizeof *d);
    if (d == NULL) return M3_FAIL_MEMORY(err, "cpu", sizeof *d);
    d->backend = backend;
    d->host = host;
    d->fail_after = d->memory_most = UINT64_MAX;
    d->pool = (cpu_pool){d, run_parallel, host->threads};
    pthread_mutex_init(&d->lock, NULL);
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < options.count && st == M3_OK; i++)
        st = set_option(d, (const m3_option *)m3_span_at(options, i), &isa, err);
    if (st == M3_OK) st = cpu_machine_init(&d->machine, isa, err);
    if (st == M3_OK)
        *device = d;
    else
        cpu_device_close(d);
    return st;
}

void cpu_device_close(m3_device_impl *device)
{
    if (device == NULL) return;
    const m3_host *host = device->host;
    pthread_mutex_destroy(&device->lock);
    host->release(host->user, device->refused);
    host->release(host->user, device);
}

m3_status cpu_limits(m3_device_impl *device, m3_device_limits *limits, m3_error *err)
{
    const uint64_t most = device->memory_most, used = cpu_memory_used(device);
    if (limits->size < M3_STRUCT_SIZE(m3_device_limits, coherent))
        return M3_FAIL(err, M3_ERR_ABI, "m3_device_limits", "its size is %u, wanted at least %u", limits->size,
                       M3_STRUCT_SIZE(m3_device_limits, coherent));
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    limits->offset_alignment = 64;
    limits->largest_buffer = SIZE_MAX / 2;
    limits->largest_binding = SIZE_MAX / 2;
    limits->memory_total = (uint64_t)sysconf(_SC_PHYS_PAGES) * page;
    limits->memory_free = (uint64_t)sysconf(_SC_AVPHYS_PAGES) * page;
    if (limits->memory_total > most) limits->memory_total = most;
    if (most != UINT64_MAX && limits->memory_free > most - used) limits->memory_free = most - used;
    limits->map_alignment = 1;
    limits->unified = true;
    limits->coherent = true;
    return M3_OK;
}

m3_status cpu_peak(m3_device_impl *device, double *gflops, m3_error *err)
{
    (void)err;
    *gflops = cpu_measure_peak(&device->machine, &device->pool);
    return M3_OK;
}

/* Memory. */

m3_status cpu_take_memory(m3_device_impl *device, const char *what, uint64_t bytes, m3_error *err)
{
    pthread_mutex_lock(&device->lock);
    const uint64_t used = device->memory, left = device->memory_most > used ? device->memory_most - used : 0;
    if (bytes <= left) device->memory += bytes;
    pthread_mutex_unlock(&device->lock);
    if (bytes <= left) return M3_OK;
    return M3_FAIL(err, M3_ERR_MEMORY, what,
                   "%llu bytes were asked, %llu of %llu are left; use a smaller batch and raise accumulate",
                   (unsigned long long)bytes, (unsigned long long)left, (unsigned long long)device->memory_most);
}

void cpu_give_memory(m3_device_impl *device, uint64_t bytes)
{
    pthread_mutex_lock(&device->lock);
    device->memory -= bytes;
    pthread_mutex_unlock(&device->lock);
}

uint64_t cpu_memory_used(m3_device_impl *device)
{
    pthread_mutex_lock(&device->lock);
    uint64_t memory = device->memory;
    pthread_mutex_unlock(&device->lock);
    return memory;
}

/* Queue. */

static m3_status report(const m3_error *failure, m3_error *err)
{
    if (err != NULL && err->code == M3_OK) *err = *failure;
    return failure->code;
}

m3_status cpu_check(m3_device_impl *device, m3_error *err)
{
    pthread_mutex_lock(&device->lock);
    m3_error failure = device->failure;
    pthread_mutex_unlock(&device->lock);
    return report(&failure, err);
}

m3_status cpu_stick(m3_device_impl *device, const m3_error *failure, m3_error *err)
{
    pthread_mutex_lock(&device->lock);
    if (device->failure.code == M3_OK) device->failure = *failure;
    pthread_mutex_unlock(&device->lock);
    return report(failure, err);
}

uint64_t cpu_advance(m3_device_impl *device)
{
    pthread_mutex_lock(&device->lock);
    uint64_t value = ++device->value;
    pthread_mutex_unlock(&device->lock);
    return value;
}

m3_status cpu_wait(m3_device_impl *device, uint64_t value, uint64_t timeout_ns, m3_error *err)
{
    (void)timeout_ns; /* whoever knows a value got it from a call whose work was done */
    m3_status st = cpu_check(device, err);
    if (st != M3_OK) return st;
    pthread_mutex_lock(&device->lock);
    uint64_t reached = device->value;
    pthread_mutex_unlock(&device->lock);
    if (value > reached)
        return M3_FAIL(err, M3_ERR_RANGE, "cpu",
                       "nothing was queued under value %llu; the last one is %llu: wait for what a submit returned",
                       (unsigned long long)value, (unsigned long long)reached);
    return M3_OK;
}
