/* builds: kernels are compiled side by side, on the host's threads, in the order in which a program needs them, and the
 * host hears how many are done. */
#ifndef LOWER_BUILDS_H
#define LOWER_BUILDS_H

#include <pthread.h>

#include "m3bsr/backend.h"

/* Compile kernel `index`; from any thread, several at once. */
typedef m3_status (*lower_build_fn)(void *user, uint32_t index, m3_error *err);

/* `turn` is locked meanwhile: the host's threads take one caller at a time, and devices compile side by side.
 * Call build for 0 … count-1. After a failure none of a higher index is begun; what is reported is the failure of the
 * lowest index, whatever the threads do. */
m3_status lower_build_all(const m3_host *host, pthread_mutex_t *turn, uint32_t count, lower_build_fn build, void *user,
                          m3_error *err);

#endif
