/* group: the workgroup size that the device takes of a kernel. */
#ifndef OPENCL_GROUP_H
#define OPENCL_GROUP_H

#include "backends/opencl/exec.h"

/* A kernel that uses many registers or much local memory may be limited to smaller workgroups than its device. Where
 * the size may be any, it shrinks, and the number of work-items in all stays; else M3_ERR_UNSUPPORTED names both sizes.
 */
m3_status opencl_group_fit(m3_device_impl *device, opencl_launch *launch, bool any, const char *name, m3_error *err);

#endif
