/* clock: seconds, milliseconds, microseconds and nanoseconds since 1970 have ranges that do not meet for times from
 * 1973 to 5138, so the first rows show the unit. Smaller numbers have none, and are kept as they are. */
#include "core/data/clock.h"

#include <string.h>

enum { SAMPLE_ROWS = 1000, UNITS = M3_TIME_NS + 1 };

static const char *unit_name(m3_time_unit unit)
{
    static const char *const names[UNITS] = {"numbers", "seconds", "milliseconds", "microseconds", "nanoseconds"};
    return names[unit];
}

/* What the first rows have: numbers by the unit of their range, and dates. */
typedef struct sample {
    uint32_t numbers[UNITS], dates;
    uint32_t year_last; /* dates that are not read, */
    char such_as[32];   /* the first of them */
} sample;

static void count(sample *s, m3_field field)
{
    char text[M3_MOMENT_TEXT];
    double number;
    bool zoned;
    if (m3_field_number(field, &number))
        s->numbers[m3_moment_unit(number)]++;
    else if (m3_moment_number(field, text, &zoned))
        s->dates++;
    else if (m3_moment_year_last(field) && s->year_last++ == 0)
        (void)snprintf(s->such_as, sizeof s->such_as, "%.*s", M3_FIELD_ARGS(field));
}

static m3_status count_sample(const char *path, const m3_table_how *how, uint32_t column, sample *s, m3_error *err)
{
    m3_row row = {0};
    m3_table *table;
    m3_status st = m3_table_open(path, how, &table, err);
    for (uint32_t i = 0; st == M3_OK && i < SAMPLE_ROWS; i++) {
        if ((st = m3_table_next(table, &row, err)) != M3_OK || row.kind == M3_ROW_END) break;
        if (row.kind == M3_ROW_GOOD) count(s, row.fields[column]);
    }
    m3_table_close(table);
    return st;
}

m3_status m3_clock_find(m3_clock *clock, const char *path, const m3_table_how *how, uint32_t column, m3_time_unit given,
                        m3_time_unit kept, m3_error *err)
{
    sample s = {0};
    uint32_t known = 0;
    m3_time_unit best = M3_TIME_UNKNOWN;
    m3_status st = count_sample(path, how, column, &s, err);
    if (st != M3_OK) return st;
    for (m3_time_unit unit = M3_TIME_S; unit <= M3_TIME_NS; unit++) {
        known += s.numbers[unit];
        if (best == M3_TIME_UNKNOWN || s.numbers[unit] > s.numbers[best]) best = unit;
    }
    const uint32_t all = known + s.numbers[M3_TIME_UNKNOWN];
    if (s.year_last > s.dates + all)
        return M3_FAIL(
            err, M3_ERR_INVALID, path,
            "its times have the year last, such as '%s', and of some of that kind nobody can tell the day "
            "from the month; write the year first: sed -E "
            "'s|([0-9]{1,2})[./-]([0-9]{1,2})[./-]([0-9]{4})|\\3-\\2-\\1|', or |\\3-\\1-\\2| where the month is first",
            s.such_as);
    *clock = (m3_clock){.unit = given, .kept = kept, .found = given == M3_TIME_UNKNOWN};
    clock->dates = s.dates > all;
    if (clock->found && clock->dates) clock->unit = M3_TIME_S;
    if (clock->found && !clock->dates && known > 0 && known >= s.numbers[M3_TIME_UNKNOWN]) clock->unit = best;
    if (clock->kept == M3_TIME_UNKNOWN) clock->kept = clock->unit;
    return M3_OK;
}

/* The power of ten from the column's unit to the one that is kept. */
static int move_of(const m3_clock *clock)
{
    if (clock->unit == M3_TIME_UNKNOWN) return 0;
    return (int)m3_moment_digits(clock->kept) - (int)m3_moment_digits(clock->unit);
}

bool m3_clock_time(m3_clock *clock, m3_field field, uint32_t digits, int64_t *time, uint32_t *needed, bool *fits)
{
    char text[M3_MOMENT_TEXT];
    clock->was_date = false;
    if (m3_field_time(field, digits, move_of(clock), time, needed, fits)) return true;
    if (!m3_moment_number(field, text, &clock->was_zoned)) return false;
    clock->was_date = true;
    const m3_field seconds = {text, strlen(text)};
    return m3_field_time(seconds, digits, (int)m3_moment_digits(clock->kept), time, needed, fits);
}

void m3_clock_note(m3_clock *clock, int64_t time, uint32_t digits, uint64_t line)
{
    clock->unzoned += clock->was_date && !clock->was_zoned;
    if (clock->was_date || !clock->found || clock->unit == M3_TIME_UNKNOWN) return;
    double number = (double)time;
    for (int power = (int)digits + move_of(clock); power != 0; power -= power > 0 ? 1 : -1)
        number = power > 0 ? number / 10 : number * 10;
    const m3_time_unit unit = m3_moment_unit(number);
    if (unit == M3_TIME_UNKNOWN || unit == clock->unit) return;
    if (clock->strange++ == 0) clock->strange_line = line;
}

void m3_clock_add(m3_clock *clock, const m3_clock *behind)
{
    clock->unzoned += behind->unzoned;
    if (clock->strange == 0) clock->strange_line = behind->strange_line;
    clock->strange += behind->strange;
}

void m3_clock_say(const m3_clock *clock, const m3_drops *drops, const char *path, int64_t first, int64_t last,
                  uint32_t digits)
{
    char from[M3_MOMENT_TEXT], to[M3_MOMENT_TEXT];
    if (clock->kept != M3_TIME_UNKNOWN && first <= last) {
        m3_moment_write(first, digits + m3_moment_digits(clock->kept), from);
        m3_moment_write(last, digits + m3_moment_digits(clock->kept), to);
        if (clock->dates)
            m3_drops_say(drops, M3_LOG_INFO, "%s: timestamps are dates, from %s to %s", path, from, to);
        else
            m3_drops_say(drops, M3_LOG_INFO, "%s: timestamps are %s since 1970, from %s to %s%s", path,
                         unit_name(clock->unit), from, to, clock->found ? "; if not, give --time-unit" : "");
    }
    if (clock->unzoned > 0)
        m3_drops_say(drops, M3_LOG_INFO, "%s: %llu timestamps have no zone and are taken as UTC", path,
                     (unsigned long long)clock->unzoned);
    if (clock->strange > 0)
        m3_drops_say(drops, M3_LOG_WARN,
                     "%s:%llu: not in the range of %s since 1970, and %llu such timestamps in all; are there two units "
                     "in the column?",
                     path, (unsigned long long)clock->strange_line, unit_name(clock->unit),
                     (unsigned long long)clock->strange);
}
