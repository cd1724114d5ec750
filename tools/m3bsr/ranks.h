/* ranks: the devices of a command that trains with several, in this process or as one of several. */
#ifndef M3_TOOLS_RANKS_H
#define M3_TOOLS_RANKS_H

#include "m3bsr/train.h"
#include "tools/m3bsr/cli.h"

/** Starts as {0} but for what the user says; ends with ranks_close(). */
typedef struct ranks {
    cli_list devices; /**< --devices: of the ranks here, or of those of all processes in turn */
    const char
        *collectives; /**< --collectives; NULL: "mpi" in a process that mpirun started with others, else "local" */
    uint32_t limit;   /**< --rank-limit; 0: the default */
    m3_group *group;
    cli *each; /**< [count] engine and device of each rank here */
    m3_rank_device *list;
    uint32_t count;
} ranks;

enum { RANKS_LIMIT = 900 }; /**< seconds that a rank is waited for: the others may compile kernels for minutes */

/** Does more than one rank train? */
bool ranks_wanted(const ranks *r);
/** Join the group, then open the devices. @param c  The command; its engine is opened, its device is not. */
m3_status ranks_open(ranks *r, cli *c, m3_error *err);
void ranks_close(ranks *r);
/** Did --stall end the command? */
bool ranks_stalled(const ranks *r);

#endif
