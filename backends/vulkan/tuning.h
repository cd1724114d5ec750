/* tuning: the variants that measurement chose on this device, and their measurement. */
#ifndef VULKAN_TUNING_H
#define VULKAN_TUNING_H

#include "m3bsr/backend.h"

m3_status vulkan_tuning_open(m3_device_impl *device, m3_error *err);
/* Measure variants for classes of the program that the table lacks, if the device was opened with tune=yes. */
m3_status vulkan_tuning_measure(m3_device_impl *device, const m3_program *program, m3_error *err);
m3_status vulkan_tuning_info(m3_device_impl *device, m3_tuning *tuning, m3_error *err);

#endif
