/* device: the one device of this backend. */
#ifndef REFERENCE_DEVICE_H
#define REFERENCE_DEVICE_H

#include "backends/host/device.h"

/* One opened plugin. */
struct m3_backend {
    const m3_host *host;
};

enum { REFERENCE_OPTIONS = 4 };
extern const m3_option_desc reference_options[REFERENCE_OPTIONS];

m3_status reference_list(m3_backend *backend, m3_device_info *infos, uint32_t capacity, uint32_t *count, m3_error *err);
/* The device is no more than an m3_device_impl. */
m3_status reference_device_open(m3_backend *backend, uint32_t index, m3_span options, m3_device_impl **device,
                                m3_error *err);

#endif
