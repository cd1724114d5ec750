/* What the queue of the OpenCL backend keeps of work under way, and when it waits, on a driver that finishes work only
 * when it is made to. */
#include "backends/opencl/api.h"
#include "backends/opencl/buffer.h"
#include "backends/opencl/device.h"
#include "backends/opencl/exec.h"
#include "backends/opencl/queue.h"
#include "backends/opencl/run.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static m3_device_impl device;

/* The driver. */

enum { EVENTS = 4 * OPENCL_MAX_IN_FLIGHT };

struct _cl_event {
    int held; /* references */
    bool done;
};

static struct driver {
    struct _cl_event events[EVENTS];
    int made;
    cl_int write_code, flush_code, wait_code; /* how calls end */
} driver;

static cl_event next_event(void)
{
    assert_true(driver.made < EVENTS);
    driver.events[driver.made].held = 1;
    return &driver.events[driver.made++];
}

static cl_int CL_API_CALL retain(cl_event event)
{
    assert_true(event->held > 0);
    event->held++;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL release(cl_event event)
{
    assert_true(event->held > 0);
    event->held--;
    return CL_SUCCESS;
}

/* The queue is in order: what came before is done as well. */
static cl_int CL_API_CALL wait_for_events(cl_uint count, const cl_event *events)
{
    assert_int_equal(count, 1);
    if (driver.wait_code != CL_SUCCESS) return driver.wait_code;
    for (struct _cl_event *e = driver.events; e <= events[0]; e++) e->done = true;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL event_info(cl_event event, cl_event_info what, size_t bytes, void *value, size_t *needed)
{
    const cl_int status = event->done ? CL_COMPLETE : CL_RUNNING;
    (void)needed;
    assert_int_equal(what, CL_EVENT_COMMAND_EXECUTION_STATUS);
    assert_int_equal(bytes, sizeof status);
    memcpy(value, &status, sizeof status);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL flush(cl_command_queue queue)
{
    (void)queue;
    return driver.flush_code;
}

/* Takes no lock of the device, so whoever calls it may hold none: a thread that waits would hang. */
static cl_int CL_API_CALL finish(cl_command_queue queue)
{
    assert_ptr_equal(queue, &driver);
    assert_int_equal(pthread_mutex_trylock(&device.queue.lock), 0);
    assert_int_equal(pthread_mutex_unlock(&device.queue.lock), 0);
    for (int i = 0; i < driver.made; i++) driver.events[i].done = true;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL write_buffer(cl_command_queue queue, cl_mem memory, cl_bool blocking, size_t offset,
                                       size_t bytes, const void *from, cl_uint count, const cl_event *before,
                                       cl_event *event)
{
    (void)queue;
    (void)memory;
    (void)offset;
    (void)bytes;
    (void)from;
    (void)before;
    assert_true(blocking == CL_FALSE && count == 0);
    if (driver.write_code != CL_SUCCESS) return driver.write_code;
    *event = next_event();
    return CL_SUCCESS;
}

static cl_int CL_API_CALL put_marker(cl_command_queue queue, cl_uint count, const cl_event *before, cl_event *event)
{
    (void)queue;
    (void)before;
    assert_int_equal(count, 0);
    *event = next_event();
    return CL_SUCCESS;
}

static const opencl_api api = {.EnqueueWriteBuffer = write_buffer,
                               .EnqueueMarkerWithWaitList = put_marker,
                               .RetainEvent = retain,
                               .ReleaseEvent = release,
                               .WaitForEvents = wait_for_events,
                               .GetEventInfo = event_info,
                               .Flush = flush,
                               .Finish = finish};

/* The device. */

static int set_up(void **state)
{
    (void)state;
    memset(&driver, 0, sizeof driver);
    device = (m3_device_impl){.cl = &api, .queue.commands = (cl_command_queue)(void *)&driver, .name = "slow"};
    device.fail_after = UINT64_MAX;
    return pthread_mutex_init(&device.queue.lock, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    return pthread_mutex_destroy(&device.queue.lock);
}

static uint64_t submit(cl_event event)
{
    uint64_t value = 0;
    m3_error err = {0};
    assert_int_equal(opencl_queue_submit(&device, event, &value, &err), M3_OK);
    return value;
}

/* Work that was done when it was submitted, such as timed runs, does not move the reached value: newer submissions fill
 * the slots of the ring. */
static void newer_work_stays(void **state)
{
    uint64_t last = 0;
    m3_error err = {0};
    (void)state;
    for (int i = 0; i < OPENCL_MAX_IN_FLIGHT; i++) last = submit(NULL);
    for (int i = 0; i < 10; i++) last = submit(next_event());
    assert_int_equal(opencl_queue_wait(&device, last - 9, UINT64_MAX, &err), M3_OK);
    assert_int_equal(driver.events[0].held, 0);
    for (int i = 1; i < 10; i++) assert_int_equal(driver.events[i].held, 1);
    assert_int_equal(opencl_queue_wait(&device, last, 0, &err), M3_ERR_TIMEOUT);
    assert_int_equal(opencl_queue_wait(&device, last, UINT64_MAX, NULL), M3_OK);
    for (int i = 0; i < 10; i++) assert_int_equal(driver.events[i].held, 0);
}

/* The ring is full again and again; each event goes when its slot is wanted. */
static void the_ring_turns(void **state)
{
    uint64_t last = 0;
    (void)state;
    for (int i = 0; i < EVENTS; i++) last = submit(next_event());
    for (int i = 0; i < EVENTS; i++) assert_int_equal(driver.events[i].held, i < EVENTS - OPENCL_MAX_IN_FLIGHT ? 0 : 1);
    assert_int_equal(opencl_queue_wait(&device, last, UINT64_MAX, NULL), M3_OK);
    for (int i = 0; i < EVENTS; i++) assert_int_equal(driver.events[i].held, 0);
}

/* The bytes that an upload reads belong to the driver until a later value is waited for. */
static void a_run_of_nothing_waits(void **state)
{
    m3_buffer to = {.bytes = 4, .usage = M3_BUFFER_UPLOAD};
    m3_exec_impl exec = {.name = "nothing"};
    m3_error err = {0};
    uint64_t value = 0;
    (void)state;
    assert_int_equal(opencl_buffer_upload(&device, &to, 0, "abc", 4, &value, &err), M3_OK);
    assert_int_equal(opencl_exec_submit(&device, &exec, &value, &err), M3_OK);
    assert_int_equal(opencl_queue_wait(&device, value, 0, &err), M3_ERR_TIMEOUT);
    assert_int_equal(opencl_queue_wait(&device, value, UINT64_MAX, NULL), M3_OK);
    assert_true(driver.events[0].done);
    for (int i = 0; i < driver.made; i++) assert_int_equal(driver.events[i].held, 0);
}

/* Whatever fails, memory that was handed over before is the caller's again when the failure is reported. */

static m3_status upload(uint64_t *value)
{
    m3_buffer to = {.bytes = 4, .usage = M3_BUFFER_UPLOAD};
    m3_error err = {0};
    return opencl_buffer_upload(&device, &to, 0, "abc", 4, value, &err);
}

static void all_is_done(int made)
{
    assert_int_equal(driver.made, made);
    for (int i = 0; i < made; i++) assert_true(driver.events[i].done);
}

static void a_failed_call_lets_go(void **state)
{
    uint64_t value = 0;
    (void)state;
    assert_int_equal(upload(&value), M3_OK);
    driver.write_code = CL_OUT_OF_RESOURCES;
    assert_int_equal(upload(&value), M3_ERR_DEVICE_LOST);
    all_is_done(1);
}

static void a_failed_flush_lets_go(void **state)
{
    uint64_t value = 0;
    (void)state;
    driver.flush_code = CL_OUT_OF_RESOURCES;
    assert_int_equal(upload(&value), M3_ERR_DEVICE_LOST);
    all_is_done(1);
}

/* The ring is full, and the oldest work fails: the new work is queued already, but gets no value. */
static void a_failed_ring_lets_go(void **state)
{
    uint64_t value = 0;
    (void)state;
    for (int i = 0; i < OPENCL_MAX_IN_FLIGHT; i++) assert_int_equal(upload(&value), M3_OK);
    driver.wait_code = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
    assert_int_equal(upload(&value), M3_ERR_DEVICE_LOST);
    assert_int_equal(driver.events[OPENCL_MAX_IN_FLIGHT].held, 0);
    all_is_done(OPENCL_MAX_IN_FLIGHT + 1);
}

/* Another thread found the device to be lost between this one's check and its upload. */
static void a_later_wait_lets_go(void **state)
{
    uint64_t value = 0;
    m3_error err = {0};
    (void)state;
    assert_int_equal(upload(&value), M3_OK);
    (void)M3_FAIL(&device.queue.failure, M3_ERR_DEVICE_LOST, device.name, "lost elsewhere");
    assert_int_equal(opencl_queue_wait(&device, value, UINT64_MAX, &err), M3_ERR_DEVICE_LOST);
    assert_string_equal(err.message, "lost elsewhere");
    all_is_done(1);
}

static void without_a_queue_nothing_is_called(void **state)
{
    m3_error err = {0};
    (void)state;
    device.queue.commands = NULL;
    assert_int_equal(opencl_device_lose(&device, "a test", CL_OUT_OF_RESOURCES, &err), M3_ERR_DEVICE_LOST);
    assert_non_null(strstr(err.message, "a test failed with CL_OUT_OF_RESOURCES"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(newer_work_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_ring_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_run_of_nothing_waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_call_lets_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_flush_lets_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_ring_lets_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_later_wait_lets_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_queue_nothing_is_called, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("the queue of an OpenCL device", tests, NULL, NULL);
}
