/* memory: memory of a device within its limits, and how much of it is held. */
#ifndef OPENCL_MEMORY_H
#define OPENCL_MEMORY_H

#include "backends/opencl/api.h"
#include "m3bsr/backend.h"

/* Memory that is allocated now and not at its first use. what: for messages. */
m3_status opencl_memory_allocate(m3_device_impl *device, const char *what, uint64_t bytes, cl_mem *memory,
                                 m3_error *err);
/* memory: NULL is fine. bytes: as allocated. */
void opencl_memory_free(m3_device_impl *device, cl_mem memory, uint64_t bytes);
uint64_t opencl_memory_used(m3_device_impl *device);

#endif
