/* device: the processor, with its threads. */
#ifndef CPU_DEVICE_H
#define CPU_DEVICE_H

#include "backends/cpu/machine.h"
#include "backends/host/device.h"

/* One opened plugin. */
struct m3_backend {
    const m3_host *host;
    pthread_mutex_t parallel; /* the host's pool takes one caller at a time, and devices run side by side */
};

typedef struct cpu_device {
    m3_device_impl base;
    m3_backend *backend;
    cpu_machine machine;
    cpu_pool pool;
    bool flush; /* of the step that runs: see flush.h */
} cpu_device;

enum { CPU_OPTIONS = 5 };
extern const m3_option_desc cpu_options[CPU_OPTIONS];

m3_status cpu_list(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count, m3_error *err);
m3_status cpu_device_open(m3_backend *backend, uint32_t index, m3_span options, m3_device_impl **device, m3_error *err);
m3_status cpu_peak(m3_device_impl *device, double *gflops, m3_error *err);

#endif
