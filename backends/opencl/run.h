/* run: submission of a compiled program, and its times. */
#ifndef OPENCL_RUN_H
#define OPENCL_RUN_H

#include "m3bsr/backend.h"

m3_status opencl_exec_submit(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err);
m3_status opencl_exec_submit_until(m3_device_impl *device, m3_exec_impl *exec, const volatile int *stop, bool anywhere,
                                   uint64_t *value, m3_error *err);
/* Run and wait; fills time_ns. */
m3_status opencl_exec_submit_timed(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err);
m3_status opencl_exec_profile(m3_device_impl *device, m3_exec_impl *exec, bool on, m3_error *err);
m3_status opencl_exec_times(m3_device_impl *device, m3_exec_impl *exec, uint64_t *time_ns, uint32_t node_count,
                            m3_error *err);
void opencl_exec_describe(m3_device_impl *device, m3_exec_impl *exec, char *text, size_t bytes);

#endif
