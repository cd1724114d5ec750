/* queue: the one queue of a device. A value of its counter names each submit and transfer; what is in flight
 * stands in a ring, in that order. */
#ifndef VULKAN_QUEUE_H
#define VULKAN_QUEUE_H

#include <pthread.h>
#include <vulkan/vulkan_core.h>

#include "m3bsr/backend.h"

enum { VULKAN_MAX_IN_FLIGHT = 32 };

/* Work in flight, and the copy to host memory that follows it. */
typedef struct vulkan_submission {
    uint64_t value;  /* of the queue, as the caller got it */
    uint64_t signal; /* of the semaphore; 0: only the copy is to be done */
    void *to;        /* NULL: no copy */
    const void *from;
    uint64_t bytes;
} vulkan_submission;

typedef struct vulkan_queue {
    VkQueue queue;
    VkSemaphore timeline;                 /* or, without timeline semaphores: */
    VkFence fences[VULKAN_MAX_IN_FLIGHT]; /* one for each place of the ring */
    uint64_t signalled;                   /* last value given to the semaphore */
    pthread_mutex_t lock;                 /* of what follows */
    uint64_t value, reached;
    uint64_t copied; /* of the last submission that is a copy without commands */
    vulkan_submission ring[VULKAN_MAX_IN_FLIGHT];
    uint32_t first, count;
    m3_error failure; /* the first one; code M3_OK while the device works */
} vulkan_queue;

m3_status vulkan_queue_open(m3_device_impl *device, m3_error *err);
void vulkan_queue_close(m3_device_impl *device);

/* Queue commands, and a copy to host memory after them; one of them may be NULL. */
m3_status vulkan_queue_submit(m3_device_impl *device, VkCommandBuffer commands, void *to, const void *from,
                              uint64_t bytes, uint64_t *value, m3_error *err);
/* The next value, of work that is done already: everything before it must be. */
uint64_t vulkan_queue_advance(m3_device_impl *device);
/* Wait for everything, whatever comes of it. */
void vulkan_queue_drain(m3_device_impl *device);
m3_status vulkan_queue_wait(m3_device_impl *device, uint64_t value, uint64_t timeout_ns, m3_error *err);

#endif
