/* group: how many items of a kernel the device takes at once. */
#ifndef OPENCL_GROUP_H
#define OPENCL_GROUP_H

#include "backends/opencl/exec.h"

/* A kernel that needs much may take smaller groups than its device does in general. Where groups may be of any size
 * they shrink, with as many items in all; else M3_ERR_UNSUPPORTED says what is wanted. */
m3_status opencl_group_fit(m3_device_impl *device, opencl_launch *launch, bool any, const char *name, m3_error *err);

#endif
