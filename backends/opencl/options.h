/* options: what `--device-option KEY=VALUE` sets. */
#ifndef OPENCL_OPTIONS_H
#define OPENCL_OPTIONS_H

#include "m3bsr/backend.h"

enum { OPENCL_OPTIONS = 13 };
extern const m3_option_desc opencl_options[OPENCL_OPTIONS];

m3_status opencl_set_options(m3_device_impl *device, m3_span given, m3_error *err);

#endif
