/* clock: how the time column of a table is understood: dates, or numbers of a unit, given or found by their range. */
#ifndef M3_CORE_DATA_CLOCK_H
#define M3_CORE_DATA_CLOCK_H

#include "core/data/drops.h"
#include "core/data/moment.h"

/** Starts as {0}. */
typedef struct m3_clock {
    m3_time_unit unit, kept;  /**< of the column's numbers; of the times that are made of them */
    bool found;               /**< by range, and not given */
    bool dates;               /**< most of the column are dates */
    bool was_date, was_zoned; /**< the last field */
    uint64_t unzoned;         /**< dates without a zone */
    uint64_t strange;         /**< numbers in the range of another unit, */
    uint64_t strange_line;    /**< the first of them */
} m3_clock;

/** Look at the first rows. @param kept  The unit wanted of times; M3_TIME_UNKNOWN: the column's own. */
m3_status m3_clock_find(m3_clock *clock, const char *path, const m3_table_how *how, uint32_t column, m3_time_unit given,
                        m3_time_unit kept, m3_error *err);
/** A field as a time in units of 10^-digits of the unit kept; otherwise as m3_field_time(). */
bool m3_clock_time(m3_clock *clock, m3_field field, uint32_t digits, int64_t *time, uint32_t *needed, bool *fits);
/** Count what is to be said of the last field, which was this time. */
void m3_clock_note(m3_clock *clock, int64_t time, uint32_t digits, uint64_t line);
/** Add what was noted in rows behind those of the clock by another, which started as its copy with nothing noted. */
void m3_clock_add(m3_clock *clock, const m3_clock *behind);
/** Say what was chosen and noted. @param first, last  Times in units of 10^-digits of the unit kept. */
void m3_clock_say(const m3_clock *clock, const m3_drops *drops, const char *path, int64_t first, int64_t last,
                  uint32_t digits);

#endif
