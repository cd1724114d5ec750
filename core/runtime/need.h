/* need: what executables would take of a device's memory, without making them. */
#ifndef M3_CORE_RUNTIME_NEED_H
#define M3_CORE_RUNTIME_NEED_H

#include "m3bsr/runtime.h"

/** Bytes that executables over one store would take of their device, each stored tensor once. Starts as {0}. */
typedef struct m3_need {
    uint64_t bytes;
    char **stored; /* names that are counted */
    uint32_t stored_count;
} m3_need;

/** Add what an executable would need of `device`, as far as it is planned: a backend may take more for itself. Nothing
 * is made. Errors: as m3_executable_create(). */
m3_status m3_executable_measure(m3_device *device, const m3_graph *graph, const m3_compile_options *options,
                                m3_need *need, m3_error *err);
void m3_need_fini(m3_need *need);

#endif
