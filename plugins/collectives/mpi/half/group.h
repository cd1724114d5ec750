/* group: what the files of the half that is linked with MPI share. */
#ifndef M3_PLUGINS_COLLECTIVES_MPI_HALF_GROUP_H
#define M3_PLUGINS_COLLECTIVES_MPI_HALF_GROUP_H

#include <mpi.h>

#include "plugins/collectives/mpi/half.h"

/* What each rank says of itself when the group opens. */
typedef struct place {
    char host[64], boot[40]; /* boot: of the kernel that runs there; "" when it does not tell */
    uint64_t space;          /* of process numbers: containers have their own */
    int64_t process;
    uint64_t piece;
} place;

/* The last words of a rank: why the group is broken. */
typedef struct words {
    uint32_t rank; /* whose */
    m3_error why;
} words;

struct m3_rank {
    mpi_handle handle;
    m3_collectives *group;
};

struct m3_collectives {
    mpi_handle handle;
    const m3_host *host;
    double seconds; /* 0: no limit */
    uint64_t piece; /* bytes of a message, at most; each parcel ends in a shorter one */
    int count, number;
    bool ours;              /* MPI was started here, and is ended here */
    MPI_Comm data, control; /* of their own, so that nothing else in the process can meet their messages */
    MPI_Request hearing;    /* receives the first last words */
    words heard;
    m3_error broken; /* why no call succeeds any more; M3_OK: all is well */
    place *places;   /* [count] */
    int *ends;       /* [count]: readable when that process has ended; -1: not known, it is elsewhere */
    m3_rank rank;
};

/* fault.c */

/** Keep the first reason, and tell it to all others. */
void mpi_break(m3_collectives *g, const m3_error *why);
m3_status mpi_tell(const m3_collectives *g, m3_error *err);
/** "rank 1 of 4 (process 77 on host)" */
const char *mpi_describe(const m3_collectives *g, int rank, char *text, size_t bytes);
/** Breaks the group with MPI's own words for a code. @param rank  Whom it was about, or -1. */
void mpi_break_code(m3_collectives *g, int code, int rank, const char *doing);
/** Breaks the group when others told of a fault. */
void mpi_listen(m3_collectives *g);
/** Breaks the group when a rank's process has ended, as far as that can be seen from here. */
void mpi_look_for_dead(m3_collectives *g);
void mpi_watch(m3_collectives *g);
void mpi_unwatch(m3_collectives *g);
void mpi_fail(m3_rank *rank, const m3_error *why);

/* exchange.c */

m3_status mpi_exchange(m3_rank *rank, const m3_parcel *parcels, m3_exchange **exchange, m3_error *err);
m3_status mpi_wait(m3_rank *rank, m3_exchange *exchange, m3_error *err);

/* patience.c: to wait without keeping a processor busy */

typedef struct patience {
    double begun, moved,
        looked; /* seconds: since when, when something came last, when processes were looked for last */
} patience;

patience mpi_patience(void);
/** Nothing came: give the processor away for a while. Looks for faults, too: the group may be broken then.
 * @return false when the time limit has passed. */
bool mpi_pause(m3_collectives *g, patience *p);

#endif
