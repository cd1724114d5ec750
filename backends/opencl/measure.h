/* measure: the peak of fused multiply-adds. */
#ifndef OPENCL_MEASURE_H
#define OPENCL_MEASURE_H

#include "m3bsr/backend.h"

m3_status opencl_peak_measure(m3_device_impl *device, double *gflops, m3_error *err);

#endif
