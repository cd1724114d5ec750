/* run: submission of a compiled program, and its times. */
#ifndef VULKAN_RUN_H
#define VULKAN_RUN_H

#include "m3bsr/backend.h"

/* Queue a run: the timed recording where profiling is on. Its last run must be over. */
m3_status vulkan_exec_start(m3_device_impl *device, m3_exec_impl *exec, m3_error *err);
m3_status vulkan_exec_submit(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err);
m3_status vulkan_exec_submit_until(m3_device_impl *device, m3_exec_impl *exec, const volatile int *stop, bool anywhere,
                                   uint64_t *value, m3_error *err);
m3_status vulkan_exec_profile(m3_device_impl *device, m3_exec_impl *exec, bool on, m3_error *err);
m3_status vulkan_exec_times(m3_device_impl *device, m3_exec_impl *exec, uint64_t *time_ns, uint32_t node_count,
                            m3_error *err);
void vulkan_exec_describe(m3_device_impl *device, m3_exec_impl *exec, char *text, size_t bytes);

#endif
