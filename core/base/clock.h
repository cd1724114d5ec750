/* clock: time that only goes forward. */
#ifndef M3_CORE_BASE_CLOCK_H
#define M3_CORE_BASE_CLOCK_H

/** Seconds since some moment in the past. */
double m3_seconds(void);

#endif
