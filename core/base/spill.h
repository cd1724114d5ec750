/* spill: arrays that grow with the data and need not stay in memory. They lie in a file without a name, mapped: where
 * memory is short, the kernel writes their pages and drops them, and a limit on a process's own memory does not count
 * them. The file's room on the disk is taken when the array is made, so that a full disk is an error and no signal. */
#ifndef M3_CORE_BASE_SPILL_H
#define M3_CORE_BASE_SPILL_H

#include "m3bsr/base.h"

/** count * size zeroed bytes, aligned as m3_calloc() aligns. Several of them are asked for in a row: the first that
 * fails is what *st and err tell.
 * @param beside  A path in whose folder the file is; NULL: memory of m3_calloc().
 * @param st      Not M3_OK: nothing is done. M3_ERR_MEMORY and M3_ERR_IO are put there.
 * Returns NULL where *st is not M3_OK behind it; else yours, m3_spill_free(). */
void *m3_spill_array(const char *beside, uint64_t count, uint64_t size, m3_status *st, m3_error *err);
/** All is written and will be read here and there: what lies in a file need not be in memory any more. Takes NULL. */
void m3_spill_rest(void *array);
void m3_spill_free(void *array); /**< takes NULL */

#endif
