/* collectives: the table that a collectives plugin fills. It moves bytes between the ranks of one training: each rank
 * trains on a device of its own, in this process or in another. Sums and all else are made above it from the one
 * operation below, so their order of summation is the same with every plugin.
 *
 * Threads: an m3_rank is used by one thread at a time; ranks of one group are used in parallel.
 * Order: all ranks of a group start the same exchanges in the same order. Several may be under way.
 * Failures: a call that fails keeps nothing, says why in err, and gives NULL where it would have given a handle. After
 * a failed start or wait, or a rank's `fail`, the group is broken: every later call on any of its ranks fails with the
 * first message that is known, within the time limit, and nothing hangs. */
#ifndef M3BSR_COLLECTIVES_H
#define M3BSR_COLLECTIVES_H

#include "m3bsr/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct m3_collectives m3_collectives; /**< one opened group, as this process sees it */
typedef struct m3_rank m3_rank;               /**< one rank that this process holds */
typedef struct m3_exchange m3_exchange;       /**< one exchange under way */

/** What a group is. */
typedef struct m3_collectives_info {
    uint32_t size;  /**< set by the host; fill what lies within */
    uint32_t ranks; /**< of the whole group, at least 1 */
    uint32_t first; /**< the lowest number of those that this process holds; they follow each other */
    uint32_t here;  /**< how many this process holds, at least 1 */
    char name[128]; /**< what moves the bytes, and its version */
} m3_collectives_info;

/** What one rank gives to and takes from another; bytes may be 0, the pointer is then not read. Never grows. */
typedef struct m3_parcel {
    const void *send; /**< borrowed until the exchange has ended */
    uint64_t send_bytes;
    void *receive;          /**< written until the exchange has ended; overlaps nothing else of it */
    uint64_t receive_bytes; /**< what the other rank sends: another number breaks the group */
} m3_parcel;

typedef struct m3_collectives_api {
    uint32_t size;

    /** m3_option_desc: options of a group; may be none. */
    m3_span options;

    /** Required. Join the group that this process was started in, or make one.
     * @param ranks    That this process wants to hold, at least 1. M3_ERR_UNSUPPORTED: more than it can.
     * @param seconds  A rank that others wait for so long is taken for dead; 0: no limit.
     * @param options  m3_option: canonical values of the known keys; borrowed for the call.
     * Nothing is started before: neither query nor listing may cost time, print, or touch other processes. */
    m3_status (*open)(const m3_host *host, uint32_t ranks, double seconds, m3_span options, m3_collectives **group,
                      m3_error *err);
    /** Required. Ends what open began; no exchange is under way. */
    void (*close)(m3_collectives *group);
    /** Required. */
    m3_status (*info)(m3_collectives *group, m3_collectives_info *info, m3_error *err);
    /** Required. The rank `index` of those that this process holds, from 0; borrowed, ends with the group. */
    m3_status (*rank)(m3_collectives *group, uint32_t index, m3_rank **rank, m3_error *err);

    /** Required. Start to give parcels[i] to rank i, one parcel for each rank of the group, the rank itself included.
     * Does not wait for others. @param parcels  [ranks], borrowed for the call. */
    m3_status (*exchange)(m3_rank *rank, const m3_parcel *parcels, m3_exchange **exchange, m3_error *err);
    /** Required. Wait until everything of it was sent and received, then end it; it ends when this fails, too.
     * M3_ERR_DEVICE_LOST: a rank died, failed or was silent for too long; the message has its number and place. */
    m3_status (*wait)(m3_rank *rank, m3_exchange *exchange, m3_error *err);
    /** Required. This rank can go on no longer, and says why: others fail with it instead of waiting. Cannot fail. */
    void (*fail)(m3_rank *rank, const m3_error *why);
} m3_collectives_api;

#ifdef __cplusplus
}
#endif
#endif
