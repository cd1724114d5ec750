/* local: what the files of this plugin share. One lock guards all that is in a group; bytes are copied without it. */
#ifndef M3_PLUGINS_COLLECTIVES_LOCAL_LOCAL_H
#define M3_PLUGINS_COLLECTIVES_LOCAL_LOCAL_H

#include <pthread.h>

#include "m3bsr/collectives.h"

struct m3_rank {
    m3_collectives *group;
    uint32_t number;
    uint64_t started;   /* exchanges so far */
    m3_exchange *first; /* those under way, in the order of their start */
};

struct m3_collectives {
    const m3_host *host;
    double seconds; /* 0: no limit */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something was started, copied or broken; its clock is the monotonic one */
    m3_error broken;        /* why no call succeeds any more; M3_OK: all is well */
    uint32_t count;
    m3_rank ranks[];
};

m3_status local_exchange(m3_rank *rank, const m3_parcel *parcels, m3_exchange **exchange, m3_error *err);
m3_status local_wait(m3_rank *rank, m3_exchange *exchange, m3_error *err);
void local_fail(m3_rank *rank, const m3_error *why);

#endif
