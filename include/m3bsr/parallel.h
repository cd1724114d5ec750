/* parallel: the ranks that train one model together, each on a device of its own, in this process or in several. What
 * moves bytes between them is a plugin of the kind `collectives`. */
#ifndef M3BSR_PARALLEL_H
#define M3BSR_PARALLEL_H

#include "m3bsr/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct m3_group m3_group; /**< as this process sees it */

/** Join the group that this process was started in, or make one.
 * @param engine   Must outlive the group.
 * @param name     A collectives plugin: "local" (threads of this process), "mpi" (processes that mpirun started).
 * @param here     Ranks of this process, at least 1.
 * @param seconds  A rank that others wait for so long is taken for dead; 0: no limit.
 * @param options  m3_option, of the plugin. Unknown keys and bad values are M3_ERR_INVALID with what there is.
 * @param group    m3_group_close() ends it; NULL on failure.
 * Waits for the other processes. Threads: one at a time.
 * Returns M3_OK, M3_ERR_INVALID (no such plugin, a bad option), M3_ERR_UNSUPPORTED (more ranks here than it can hold,
 * or what it needs is not on this machine), M3_ERR_MEMORY, M3_ERR_DEVICE_LOST (another process did not come). */
M3_API m3_status m3_group_open(m3_engine *engine, const char *name, uint32_t here, double seconds, m3_span options,
                               m3_group **group, m3_error *err);
/** NULL is nothing to close. No rank is in use any more. */
M3_API void m3_group_close(m3_group *group);
/** Of the whole group. */
M3_API uint32_t m3_group_ranks(const m3_group *group);
/** The lowest rank of this process; the others of it follow. */
M3_API uint32_t m3_group_first(const m3_group *group);
/** How many ranks this process holds. */
M3_API uint32_t m3_group_here(const m3_group *group);
/** What moves the bytes, and its version. Lives as long as the group. */
M3_API const char *m3_group_name(const m3_group *group);

#ifdef __cplusplus
}
#endif
#endif
