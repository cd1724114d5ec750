/* partition: cuts the steps of a schedule where the device changes. */
#ifndef M3_CORE_RUNTIME_PARTITION_H
#define M3_CORE_RUNTIME_PARTITION_H

#include "core/runtime/schedule.h"

/** Fill the schedule's partitions and transfers. */
m3_status m3_schedule_partition(m3_schedule *s, m3_error *err);

#endif
