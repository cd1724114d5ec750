/* late: backend cpu, but for runs that the environment chooses by number, counted from 1 over all programs:
 *   LATE_SLOW=N   the run takes more than 2 seconds
 *   LATE_TERM=N   SIGTERM arrives when it has begun
 *   LATE_HANG=N   it does not come back before somebody asks for its end
 *   LATE_COMPILE=MS   each compilation takes so many milliseconds more
 * A run whose end nobody can ask for, of a host that does not, is not hindered. */
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "m3bsr/backend.h"

static const m3_backend_api *cpu;
static const volatile int *asked; /* where an end is asked for */
static unsigned long runs;

static unsigned long given(const char *name)
{
    const char *text = getenv(name);
    return text != NULL ? strtoul(text, NULL, 10) : 0;
}

static bool is_now(const char *name)
{
    return given(name) == runs;
}

static void pause_for(long milliseconds)
{
    const struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}

static void hinder(void)
{
    runs++;
    if (is_now("LATE_SLOW")) pause_for(2100);
    if (is_now("LATE_TERM")) (void)raise(SIGTERM);
    while (is_now("LATE_HANG") && asked != NULL && *asked == 0) pause_for(20);
}

static m3_status compile(m3_device_impl *device, const m3_program *program, m3_buffer *const *buffers,
                         m3_exec_impl **exec, m3_error *err)
{
    pause_for((long)given("LATE_COMPILE"));
    return cpu->compile(device, program, buffers, exec, err);
}

static m3_status submit(m3_device_impl *device, m3_exec_impl *exec, uint64_t *value, m3_error *err)
{
    hinder();
    return cpu->submit(device, exec, value, err);
}

static m3_status submit_until(m3_device_impl *device, m3_exec_impl *exec, const volatile int *stop, bool anywhere,
                              uint64_t *value, m3_error *err)
{
    asked = stop;
    hinder();
    return cpu->submit_until(device, exec, stop, anywhere, value, err);
}

const m3_plugin *m3_plugin_query(void)
{
    static m3_plugin plugin;
    static m3_backend_api api;
    const m3_plugin *(*query)(void) = NULL;
    void *library = dlopen(FAULTY_CPU, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return NULL;
    *(void **)(&query) = dlsym(library, "m3_plugin_query");
    if (query == NULL) return NULL;
    plugin = *query();
    cpu = plugin.table;
    api = *cpu;
    api.compile = compile;
    api.submit = submit;
    api.submit_until = submit_until;
    plugin.name = "late";
    plugin.table = &api;
    return &plugin;
}
