/* measure: the peak of fused multiply-adds. */
#ifndef VULKAN_MEASURE_H
#define VULKAN_MEASURE_H

#include "m3bsr/backend.h"

m3_status vulkan_peak_measure(m3_device_impl *device, double *gflops, m3_error *err);

#endif
