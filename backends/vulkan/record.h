/* record: the commands of a program. */
#ifndef VULKAN_RECORD_H
#define VULKAN_RECORD_H

#include "m3bsr/backend.h"

m3_status vulkan_exec_record(m3_device_impl *device, m3_exec_impl *exec, m3_error *err);
/* On failure nothing of it is left, and it may be tried again. */
m3_status vulkan_exec_record_timed(m3_device_impl *device, m3_exec_impl *exec, m3_error *err);
/* Some of the steps, in the order of the program, in the place of what `part` held; no run of that is under way. */
m3_status vulkan_exec_record_part(m3_device_impl *device, m3_exec_impl *exec, uint32_t first, uint32_t count,
                                  m3_error *err);
void vulkan_exec_drop_timed(m3_device_impl *device, m3_exec_impl *exec);

#endif
