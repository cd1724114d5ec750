/* queue: the one in-order queue of a device. Its values rise with every submit and transfer, and each keeps its event
 * until it is known to be done. The first failure sticks to the device. */
#ifndef OPENCL_QUEUE_H
#define OPENCL_QUEUE_H

#include "backends/opencl/api.h"
#include "m3bsr/backend.h"

enum { OPENCL_RING = 64 };

/* Work that was queued under a value, until it is known to be done. */
typedef struct opencl_mark {
    uint64_t value;
    cl_event event;
} opencl_mark;

/* The failure that sticks to the device, if any. */
m3_status opencl_check(m3_device_impl *device, m3_error *err);
/* Make a failure stick, and report it, when the driver has let go of all memory of the caller. Not under the lock. */
m3_status opencl_lose(m3_device_impl *device, const char *what, cl_int code, m3_error *err);

/* Give work that was queued its value; the event is taken over, NULL means that it is done. Waits for old work when too
 * much is under way. */
m3_status opencl_mark_work(m3_device_impl *device, cl_event event, uint64_t *value, m3_error *err);
m3_status opencl_wait(m3_device_impl *device, uint64_t value, uint64_t timeout_ns, m3_error *err);

#endif
