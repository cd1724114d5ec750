/* moment: a scanner of the places that ISO 8601 gives to digits, and of its cousins; the C library knows the calendar.
 */
#include "core/data/moment.h"

#include <math.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* From `least` to `most` digits. */
static bool take_digits(m3_field field, size_t *at, size_t least, size_t most, int *value)
{
    const size_t from = *at;
    for (*value = 0; *at < field.size && *at - from < most; ++*at) {
        const char c = field.text[*at];
        if (c < '0' || c > '9') break;
        *value = *value * 10 + (c - '0');
    }
    return *at - from >= least;
}

static bool take_one_of(m3_field field, size_t *at, const char *characters)
{
    if (*at == field.size || field.text[*at] == '\0' || strchr(characters, field.text[*at]) == NULL) return false;
    ++*at;
    return true;
}

/* Those behind the 18th are too small to be kept anywhere. */
static bool take_fraction(m3_field field, size_t *at, uint64_t *fraction, int *digits)
{
    const size_t from = *at;
    for (; *at < field.size && field.text[*at] >= '0' && field.text[*at] <= '9'; ++*at) {
        if (*digits == M3_TIME_DIGITS) continue;
        *fraction = *fraction * 10 + (uint64_t)(field.text[*at] - '0');
        ++*digits;
    }
    return *at > from;
}

/* What is left: a zone, and its seconds east of Greenwich. */
static bool take_zone(m3_field field, size_t *at, int *east)
{
    (void)take_one_of(field, at, " ");
    const size_t left = field.size - *at;
    const char *text = field.text + *at;
    if ((left == 1 && strncasecmp(text, "Z", 1) == 0) ||
        (left == 3 && (strncasecmp(text, "UTC", 3) == 0 || strncasecmp(text, "GMT", 3) == 0)))
        return true;
    int hours, minutes = 0;
    const bool west = left > 0 && text[0] == '-';
    if (!take_one_of(field, at, "+-") || !take_digits(field, at, 2, 2, &hours)) return false;
    if (*at < field.size) {
        (void)take_one_of(field, at, ":");
        if (!take_digits(field, at, 2, 2, &minutes)) return false;
    }
    *east = (west ? -60 : 60) * (hours * 60 + minutes);
    return *at == field.size && hours < 24 && minutes < 60;
}

/* Three numbers with one of "-/." between them. */
static bool take_date(m3_field field, size_t *at, size_t least, size_t most, int *first, int *second, int *third,
                      size_t third_most)
{
    if (!take_digits(field, at, least, most, first) || *at == field.size) return false;
    const char between[] = {field.text[*at], '\0'};
    return take_one_of(field, at, "-/.") && take_digits(field, at, 1, 2, second) && take_one_of(field, at, between) &&
           take_digits(field, at, third_most == 4 ? 2 : 1, third_most, third);
}

bool m3_moment_year_last(m3_field field)
{
    size_t at = 0;
    int first, second, year;
    if (!take_date(field, &at, 1, 2, &first, &second, &year, 4) || year > 2999) return false;
    return at == field.size || take_one_of(field, &at, "Tt, ");
}

/* ISO's basic form of a date, 20200131, which is a number unless a T and a time follow. */
static bool take_basic_date(m3_field field, size_t *at, int *year, int *month, int *day)
{
    return field.size > 8 && (field.text[8] == 'T' || field.text[8] == 't') && take_digits(field, at, 4, 4, year) &&
           take_digits(field, at, 2, 2, month) && take_digits(field, at, 2, 2, day);
}

/* 12:30, 12:30:15, 12:30:15.25; basic: 1230, 123015, 123015.25. A fraction of a minute is no time here. */
static bool take_time(m3_field field, size_t *at, bool basic, struct tm *when, uint64_t *fraction, int *digits)
{
    if (!take_digits(field, at, basic ? 2 : 1, 2, &when->tm_hour) || (!basic && !take_one_of(field, at, ":")) ||
        !take_digits(field, at, 2, 2, &when->tm_min))
        return false;
    const bool more =
        basic ? *at < field.size && field.text[*at] >= '0' && field.text[*at] <= '9' : take_one_of(field, at, ":");
    if (!more) return true;
    if (!take_digits(field, at, 2, 2, &when->tm_sec)) return false;
    return !take_one_of(field, at, ".,") || take_fraction(field, at, fraction, digits);
}

bool m3_moment_number(m3_field field, char number[M3_MOMENT_TEXT], bool *zoned)
{
    struct tm when = {0};
    size_t at = 0;
    uint64_t fraction = 0, one = 1;
    int digits = 0, east = 0, year, month, day;
    const bool basic = take_basic_date(field, &at, &year, &month, &day);
    if (!basic) at = 0;
    if (!basic && !take_date(field, &at, 4, 4, &year, &month, &day, 2)) return false;
    if (at + 1 < field.size && take_one_of(field, &at, "Tt ") &&
        !take_time(field, &at, basic, &when, &fraction, &digits))
        return false;
    *zoned = at < field.size;
    if (*zoned && !take_zone(field, &at, &east)) return false;
    when.tm_year = year - 1900;
    when.tm_mon = month - 1;
    when.tm_mday = day;
    if (month < 1 || month > 12 || day < 1 || when.tm_min > 59 || when.tm_sec > 60) return false;
    const bool midnight = when.tm_hour == 24 && when.tm_min == 0 && when.tm_sec == 0 && fraction == 0; /* of the next */
    if (when.tm_hour > 23 && !midnight) return false;
    if (midnight) when.tm_hour = 0;
    const bool leap = when.tm_sec == 60; /* the first of the next minute has the same number */
    when.tm_sec -= leap;
    long long seconds = (long long)timegm(&when) + leap + (midnight ? 86400 : 0) - east;
    if (when.tm_mday != day) return false; /* such as the 30th of February */
    for (int i = 0; i < digits; i++) one *= 10;
    const bool negative = seconds < 0;
    if (negative && fraction > 0) {
        seconds++;
        fraction = one - fraction;
    }
    int used = snprintf(number, M3_MOMENT_TEXT, "%s%lld", negative ? "-" : "", negative ? -seconds : seconds);
    if (digits > 0)
        (void)snprintf(number + used, M3_MOMENT_TEXT - (size_t)used, ".%0*llu", digits, (unsigned long long)fraction);
    return true;
}

m3_time_unit m3_moment_unit(double number)
{
    double least = 1e8;
    m3_time_unit unit = M3_TIME_UNKNOWN;
    for (; unit < M3_TIME_NS && fabs(number) >= least; least *= 1e3) unit++;
    return unit;
}

uint32_t m3_moment_digits(m3_time_unit unit)
{
    return unit == M3_TIME_UNKNOWN ? 0 : 3 * ((uint32_t)unit - M3_TIME_S);
}

void m3_moment_write(int64_t time, uint32_t digits, char text[M3_MOMENT_TEXT])
{
    struct tm when;
    int64_t seconds = time;
    for (uint32_t i = 0; i < digits; i++) seconds = seconds / 10 - (seconds % 10 < 0);
    const time_t clock = (time_t)seconds;
    if (gmtime_r(&clock, &when) == NULL || strftime(text, M3_MOMENT_TEXT, "%Y-%m-%d %H:%M:%S", &when) == 0)
        (void)snprintf(text, M3_MOMENT_TEXT, "%lld", (long long)time);
}
