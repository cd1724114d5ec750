/* options: what `--device-option KEY=VALUE` sets on every device over host memory. */
#ifndef HOST_OPTIONS_H
#define HOST_OPTIONS_H

#include "backends/host/device.h"

/* Elements of a backend's table. */
#define HOST_OPTIONS                                                                                                   \
    M3_DESCRIBE_INT("memory", 0, 0x1p63, "", "bytes that are held at most"),                                           \
        M3_DESCRIBE_INT("largest_buffer", 0, 0x1p63, "", "bytes of a buffer at most"),                                 \
        M3_DESCRIBE_TEXT("refuse", "", "ops that the device says no to, joined by +"),                                 \
        M3_DESCRIBE_INT("fail_after", 0, 0x1p63, "", "the device is lost after so many submits")

/* Sets the device's members of these names. */
m3_status host_read_options(m3_device_impl *device, m3_span options, m3_error *err);

#endif
