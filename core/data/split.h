/* split: a split, and where what is made of the set by it lies. */
#ifndef M3_CORE_DATA_SPLIT_H
#define M3_CORE_DATA_SPLIT_H

#include "m3bsr/data.h"

/** As m3_dataset_split().
 * @param beside  What grows with the set lies in files without a name in the folder of this path (core/base/spill.h):
 *                of the split itself, and of what is made by it, samples, neighbors, denoised features and trend among
 *                it. Borrowed for the call; NULL: in memory. */
m3_status m3_split_create(const m3_dataset *set, uint32_t target, const char *beside, m3_split **split, m3_error *err);
const char *m3_split_beside(const m3_split *split); /**< the split's; NULL: in memory */

#endif
