/* options: what `--device-option KEY=VALUE` sets. */
#ifndef OPENCL_OPTIONS_H
#define OPENCL_OPTIONS_H

#include "m3bsr/backend.h"

m3_status opencl_set_options(m3_device_impl *device, m3_span options, m3_error *err);

#endif
