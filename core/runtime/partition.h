/* partition: cuts the steps of a schedule where the device changes, and where a bucket is ready. */
#ifndef M3_CORE_RUNTIME_PARTITION_H
#define M3_CORE_RUNTIME_PARTITION_H

#include "core/runtime/schedule.h"

/** Fill the schedule's partitions and transfers.
 * @param buckets  Of states that are wanted early; NULL: none. */
m3_status m3_schedule_partition(m3_schedule *s, const m3_buckets *buckets, m3_error *err);

#endif
