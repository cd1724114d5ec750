/* queue: the one queue of a device. Its values rise with every submit and transfer; what is in flight stands in a ring
 * in that order. The first failure sticks to the device. */
#ifndef VULKAN_QUEUE_H
#define VULKAN_QUEUE_H

#include <pthread.h>
#include <vulkan/vulkan_core.h>

#include "m3bsr/backend.h"

enum { VULKAN_FLIGHTS = 32 };

/* Work on its way, and the copy to host memory that follows it. */
typedef struct vulkan_flight {
    uint64_t value;  /* of the queue, as the caller knows it */
    uint64_t signal; /* of the semaphore; 0: only the copy is to be done */
    void *to;        /* NULL: no copy */
    const void *from;
    uint64_t bytes;
} vulkan_flight;

typedef struct vulkan_queue {
    VkQueue queue;
    VkSemaphore timeline;           /* or, without timeline semaphores: */
    VkFence fences[VULKAN_FLIGHTS]; /* one for each place of the ring */
    uint64_t signalled;             /* last value given to the semaphore */
    pthread_mutex_t lock;           /* of what follows */
    uint64_t value, reached;
    uint64_t copied; /* of the last flight that is a copy without commands */
    vulkan_flight ring[VULKAN_FLIGHTS];
    uint32_t first, count;
    m3_error failure; /* the first one; code M3_OK while the device works */
} vulkan_queue;

m3_status vulkan_queue_open(m3_device_impl *device, m3_error *err);
void vulkan_queue_close(m3_device_impl *device);

/* The failure that sticks to the device, if any. */
m3_status vulkan_check(m3_device_impl *device, m3_error *err);
m3_status vulkan_stick(m3_device_impl *device, const m3_error *failure, m3_error *err);
/* What a result of Vulkan means; a lost device stays lost. */
m3_status vulkan_result(m3_device_impl *device, VkResult result, const char *what, m3_error *err);

/* Queue commands, and a copy to host memory after them; one of them may be NULL. */
m3_status vulkan_queue_submit(m3_device_impl *device, VkCommandBuffer commands, void *to, const void *from,
                              uint64_t bytes, uint64_t *value, m3_error *err);
/* The next value, of work that is done already: everything before it must be. */
uint64_t vulkan_queue_advance(m3_device_impl *device);
/* Wait for everything, whatever comes of it. */
void vulkan_queue_drain(m3_device_impl *device);
m3_status vulkan_wait(m3_device_impl *device, uint64_t value, uint64_t timeout_ns, m3_error *err);

#endif
