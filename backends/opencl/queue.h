/* queue: the one in-order queue of a device. A value of its counter names each submit and transfer, and
 * keeps an event until it is known to be done. The first failure sticks to the device. */
#ifndef OPENCL_QUEUE_H
#define OPENCL_QUEUE_H

#include <pthread.h>

#include "backends/opencl/api.h"
#include "m3bsr/backend.h"

enum { OPENCL_MAX_IN_FLIGHT = 64 };

/* Work that was queued under a value, until it is known to be done. */
typedef struct opencl_submission {
    uint64_t value;
    cl_event event; /* NULL: done */
} opencl_submission;

typedef struct opencl_queue {
    cl_command_queue commands;
    cl_command_queue timed; /* with profiling, made when it is first wanted */
    pthread_mutex_t lock;   /* of what follows, which a waiting thread reads while another works */
    uint64_t value, reached;
    opencl_submission ring[OPENCL_MAX_IN_FLIGHT]; /* at value % OPENCL_MAX_IN_FLIGHT */
    m3_error failure;                             /* the first one; code M3_OK while the device works */
} opencl_queue;

/* The failure that sticks to the device, if any. */
m3_status opencl_device_check(m3_device_impl *device, m3_error *err);
/* Make a failure stick, and report it, when the driver has let go of all memory of the caller. Not under the lock. */
m3_status opencl_device_lose(m3_device_impl *device, const char *what, cl_int code, m3_error *err);

/* Give work that was queued its value; the event is taken over, NULL means that it is done. Waits for the oldest
 * work when too much is in flight. */
m3_status opencl_queue_submit(m3_device_impl *device, cl_event event, uint64_t *value, m3_error *err);
m3_status opencl_queue_wait(m3_device_impl *device, uint64_t value, uint64_t timeout_ns, m3_error *err);

#endif
