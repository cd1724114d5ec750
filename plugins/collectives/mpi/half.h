/* half: what the plugin knows of its half that is linked with MPI. */
#ifndef M3_PLUGINS_COLLECTIVES_MPI_HALF_H
#define M3_PLUGINS_COLLECTIVES_MPI_HALF_H

#include "m3bsr/collectives.h"

/* Groups and ranks begin with it: the plugin finds the functions there, as it keeps nothing itself. */
typedef struct mpi_handle {
    const m3_collectives_api *half;
} mpi_handle;

/* The one symbol of the half. Its table has all functions and no options. */
#define MPI_HALF_SYMBOL "m3_mpi_half"
typedef const m3_collectives_api *(*mpi_half_fn)(void);

#define MPI_PIECE "67108864" /* bytes: the default of the option `piece` */

#endif
