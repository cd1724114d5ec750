/* What the queue of the OpenCL backend keeps of work under way, and when it waits, on a driver that finishes work only
 * when it is told to. */
#include "backends/opencl/opencl.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The driver. */

enum { MOST = 4 * OPENCL_RING };

struct _cl_event {
    int held; /* references */
    bool done;
};

static struct driver {
    struct _cl_event events[MOST];
    int made, finished;
} driver;

static cl_event next_event(void)
{
    assert_true(driver.made < MOST);
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
    for (struct _cl_event *e = driver.events; e <= events[0]; e++) e->done = true;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL tell(cl_event event, cl_event_info what, size_t bytes, void *value, size_t *needed)
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
                               .GetEventInfo = tell,
                               .Flush = flush};

/* The device. */

static m3_device_impl device;

static int set_up(void **state)
{
    (void)state;
    memset(&driver, 0, sizeof driver);
    device = (m3_device_impl){.cl = &api, .queue = (cl_command_queue)(void *)&driver, .name = "slow"};
    device.fail_after = UINT64_MAX;
    return pthread_mutex_init(&device.lock, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    return pthread_mutex_destroy(&device.lock);
}

static uint64_t mark(cl_event event)
{
    uint64_t value = 0;
    m3_error err = {0};
    assert_int_equal(opencl_mark_work(&device, event, &value, &err), M3_OK);
    return value;
}

/* Work that was done when it was marked, such as timed runs, moves no limit: newer marks fill the slots of the ring. */
static void newer_work_stays(void **state)
{
    uint64_t last = 0;
    m3_error err = {0};
    (void)state;
    for (int i = 0; i < OPENCL_RING; i++) last = mark(NULL);
    for (int i = 0; i < 10; i++) last = mark(next_event());
    assert_int_equal(opencl_wait(&device, last - 9, UINT64_MAX, &err), M3_OK);
    assert_int_equal(driver.events[0].held, 0);
    for (int i = 1; i < 10; i++) assert_int_equal(driver.events[i].held, 1);
    assert_int_equal(opencl_wait(&device, last, 0, &err), M3_ERR_TIMEOUT);
    assert_int_equal(opencl_wait(&device, last, UINT64_MAX, NULL), M3_OK);
    for (int i = 0; i < 10; i++) assert_int_equal(driver.events[i].held, 0);
}

/* The ring is full again and again; each event goes when its slot is wanted. */
static void the_ring_turns(void **state)
{
    uint64_t last = 0;
    (void)state;
    for (int i = 0; i < MOST; i++) last = mark(next_event());
    for (int i = 0; i < MOST; i++) assert_int_equal(driver.events[i].held, i < MOST - OPENCL_RING ? 0 : 1);
    assert_int_equal(opencl_wait(&device, last, UINT64_MAX, NULL), M3_OK);
    for (int i = 0; i < MOST; i++) assert_int_equal(driver.events[i].held, 0);
}

/* The bytes that an upload reads belong to the driver until a later value is waited for. */
static void a_run_of_nothing_waits(void **state)
{
    m3_buffer to = {.bytes = 4, .usage = M3_BUFFER_UPLOAD};
    m3_exec_impl exec = {.name = "nothing"};
    m3_error err = {0};
    uint64_t value = 0;
    (void)state;
    assert_int_equal(opencl_upload(&device, &to, 0, "abc", 4, &value, &err), M3_OK);
    assert_int_equal(opencl_submit(&device, &exec, &value, &err), M3_OK);
    assert_int_equal(opencl_wait(&device, value, 0, &err), M3_ERR_TIMEOUT);
    assert_int_equal(opencl_wait(&device, value, UINT64_MAX, NULL), M3_OK);
    assert_true(driver.events[0].done);
    for (int i = 0; i < driver.made; i++) assert_int_equal(driver.events[i].held, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(newer_work_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_ring_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_run_of_nothing_waits, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("the queue of an OpenCL device", tests, NULL, NULL);
}
