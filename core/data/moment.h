/* moment: dates and times of ISO 8601, and units of time since 1970. */
#ifndef M3_CORE_DATA_MOMENT_H
#define M3_CORE_DATA_MOMENT_H

#include "core/data/text.h"
#include "m3bsr/data.h"

enum { M3_MOMENT_TEXT = 48 };

/** 2020-01-31, 2020/1/31 or 2020.1.31, with or without a time such as T12:30, T12:30:15 or T12:30:15.25 (a blank will
 * do for the T), and that with or without a zone (Z, UTC, +02:00, +0200, +02).
 * @param number  Filled with the seconds since 1970 as a decimal number, with 18 digits after the point at most.
 * @param zoned   Set to false when there is no zone, which is taken as UTC.
 * Returns whether the field is that. */
bool m3_moment_number(m3_field field, char number[M3_MOMENT_TEXT], bool *zoned);
/** 31.01.2020, 5/4/20 and the like: of some nobody can tell the day from the month. */
bool m3_moment_year_last(m3_field field);
/** The unit in which a number is a time from 1973 to 5138: M3_TIME_UNKNOWN for one that is too small. */
m3_time_unit m3_moment_unit(double number);
/** Digits after the point that a unit is of a second; 0 for M3_TIME_UNKNOWN. */
uint32_t m3_moment_digits(m3_time_unit unit);
/** A time in units of 10^-digits seconds since 1970 as "2020-01-31 12:30:15"; its number where no calendar has it. */
void m3_moment_write(int64_t time, uint32_t digits, char text[M3_MOMENT_TEXT]);

#endif
