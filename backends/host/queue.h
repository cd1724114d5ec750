/* queue: a value that rises with each copy and each run, and the failure that sticks to the device. Work is done at
 * once, so the queue is empty whenever a call returns, and nobody waits. */
#ifndef HOST_QUEUE_H
#define HOST_QUEUE_H

#include "m3bsr/backend.h"

/* The failure that sticks to the device, if any. */
m3_status host_queue_check(m3_device_impl *device, m3_error *err);
/* Make a failure stick, unless one does already, and report the one that sticks. */
m3_status host_queue_fail(m3_device_impl *device, const m3_error *failure, m3_error *err);
/* The next value, once the work is done. */
uint64_t host_queue_advance(m3_device_impl *device);
m3_status host_wait(m3_device_impl *device, uint64_t value, uint64_t timeout_ns, m3_error *err);

#endif
