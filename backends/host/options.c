/* options: from canonical text, which the library has checked, to members of a device. */
#include "backends/host/options.h"

#include <string.h>

m3_status host_read_options(m3_device_impl *device, m3_span options, m3_error *err)
{
    const m3_host *host = device->host;
    const char *names = m3_options_text(options, "refuse", NULL);
    device->fail_after = (uint64_t)m3_options_int(options, "fail_after", -1); /* UINT64_MAX: never, no limit */
    device->memory_max = (uint64_t)m3_options_int(options, "memory", -1);
    device->largest_buffer = (uint64_t)m3_options_int(options, "largest_buffer", (int64_t)device->largest_buffer);
    if (names == NULL) return M3_OK;
    const size_t bytes = strlen(names) + 1;
    device->refused = host->allocate(host->user, bytes, 1);
    if (device->refused == NULL) return M3_FAIL_MEMORY(err, "refuse", bytes);
    memcpy(device->refused, names, bytes);
    return M3_OK;
}
