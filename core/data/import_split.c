/* import_split: how samples will be held out (core/data/split.c), from what an import is told. Here it is looked at
 * with the source's own times at hand, so that a point in time that cannot be meant is found before anybody trains. */
#include <string.h>

#include "core/data/clock.h"
#include "core/data/import.h"

enum { MOST_LAST = 1000000 };

/* A time as a date, or as the source writes it where its unit is not known. */
static const char *time_text(const m3_rows *rows, int64_t time, char text[M3_MOMENT_TEXT])
{
    const uint32_t digits = rows->time_digits;
    uint64_t scale = 1;
    if (rows->time_unit != M3_TIME_UNKNOWN) {
        m3_moment_write(time, digits + m3_moment_digits(rows->time_unit), text);
        return text;
    }
    const bool negative = time < 0;
    const uint64_t size = negative ? 0 - (uint64_t)time : (uint64_t)time;
    for (uint32_t d = 0; d < digits; d++) scale *= 10;
    const int used = snprintf(text, M3_MOMENT_TEXT, "%s%llu", negative ? "-" : "", (unsigned long long)(size / scale));
    if (size % scale != 0)
        (void)snprintf(text + used, M3_MOMENT_TEXT - (size_t)used, ".%0*llu", (int)digits,
                       (unsigned long long)(size % scale));
    return text;
}

static m3_status read_time(m3_field field, const m3_rows *rows, int64_t *time, m3_error *err)
{
    uint32_t needed = 0;
    bool fits = true;
    m3_clock clock = {.unit = rows->time_unit, .kept = rows->time_unit};
    if (!m3_clock_time(&clock, field, rows->time_digits, time, &needed, &fits) || !fits)
        return M3_FAIL(
            err, M3_ERR_INVALID, "split_at",
            "'%.*s' is no time; give one or two as the timestamps are written, such as 1700000000,1710000000, or "
            "dates such as 2024-01-01,2024-02-01",
            M3_FIELD_ARGS(field));
    if (clock.was_date && rows->time_unit == M3_TIME_UNKNOWN)
        return M3_FAIL(
            err, M3_ERR_INVALID, "split_at",
            "'%.*s' is a date, but what the timestamps count is not known; give a number as they are written, "
            "or their unit",
            M3_FIELD_ARGS(field));
    if (needed > rows->time_digits)
        return M3_FAIL(err, M3_ERR_INVALID, "split_at",
                       "'%.*s' has more digits after the point than the timestamps, which have %u; round it up",
                       M3_FIELD_ARGS(field), rows->time_digits);
    return M3_OK;
}

/* "VALID,TEST" or "TEST". */
static m3_status read_points(const char *text, const m3_rows *rows, m3_set_split *split, m3_error *err)
{
    m3_status st;
    const char *comma = strchr(text, ',');
    const m3_field first = {text, comma != NULL ? (size_t)(comma - text) : strlen(text)};
    if ((st = read_time(first, rows, &split->valid_from, err)) != M3_OK) return st;
    split->kind = M3_SPLIT_AT;
    split->last = 0;
    split->test_from = split->valid_from;
    if (comma == NULL) return M3_OK;
    const m3_field second = {comma + 1, strlen(comma + 1)};
    if ((st = read_time(second, rows, &split->test_from, err)) != M3_OK) return st;
    if (split->test_from > split->valid_from) return M3_OK;
    return M3_FAIL(
        err, M3_ERR_INVALID, "split_at",
        "'%s' has no validation: it begins at the first time and ends before the second, which must be later", text);
}

/* What a pass over the events finds. */
typedef struct counted {
    const uint32_t *behavior_of;
    uint32_t target;
    const m3_set_split *split;   /* NULL: events have their parts */
    uint64_t of[M3_SPLIT_COUNT]; /* target events by their part */
    int64_t first, last;         /* times of all */
    m3_event before;             /* the event before; of no user at the beginning */
    bool begun;
    uint64_t late; /* events that come before one of an earlier part: training would look behind what is held out */
    m3_event held, after; /* the first such pair */
} counted;

static m3_split_part part_of(const m3_set_split *split, const m3_event *event)
{
    if (split == NULL) return (m3_split_part)event->part;
    if (event->time < split->valid_from) return M3_SPLIT_TRAIN;
    return event->time < split->test_from ? M3_SPLIT_VALID : M3_SPLIT_TEST;
}

static m3_status count_parts(void *arg, const m3_event *events, size_t count, m3_error *err)
{
    counted *c = arg;
    (void)err;
    for (size_t i = 0; i < count; i++) {
        const m3_event *event = &events[i];
        if (event->time < c->first) c->first = event->time;
        if (event->time > c->last) c->last = event->time;
        if (c->behavior_of[event->behavior] == c->target) c->of[part_of(c->split, event)]++;
        if (c->begun && event->user == c->before.user && event->part < c->before.part && c->late++ == 0) {
            c->held = c->before;
            c->after = *event;
        }
        c->before = *event;
        c->begun = true;
    }
    return M3_OK;
}

static m3_status count(m3_rows *rows, const m3_behavior_choice *behaviors, const m3_set_split *split, counted *c,
                       m3_error *err)
{
    *c = (counted){.behavior_of = behaviors->of,
                   .target = behaviors->target,
                   .split = split,
                   .first = INT64_MAX,
                   .last = INT64_MIN};
    return m3_event_log_scan(&rows->log, count_parts, c, err);
}

static m3_status check_points(m3_rows *rows, const m3_behavior_choice *behaviors, const m3_set_split *split,
                              m3_drops *drops, m3_error *err)
{
    char from[M3_MOMENT_TEXT], to[M3_MOMENT_TEXT], valid[M3_MOMENT_TEXT], test[M3_MOMENT_TEXT];
    const char *target = behaviors->names[behaviors->target];
    counted c;
    const m3_status st = count(rows, behaviors, split, &c, err);
    if (st != M3_OK) return st;
    (void)time_text(rows, c.first, from);
    (void)time_text(rows, c.last, to);
    (void)time_text(rows, split->valid_from, valid);
    (void)time_text(rows, split->test_from, test);
    if (c.of[M3_SPLIT_TRAIN] == 0)
        return M3_FAIL(err, M3_ERR_INVALID, "split_at",
                       "no '%s' is before %s, so there is nothing to train on; timestamps go from %s to %s", target,
                       valid, from, to);
    if (c.of[M3_SPLIT_TEST] == 0)
        return M3_FAIL(err, M3_ERR_INVALID, "split_at",
                       "no '%s' is at %s or later, so there is nothing to test with; timestamps go from %s to %s",
                       target, test, from, to);
    if (c.of[M3_SPLIT_VALID] == 0 && split->test_from > split->valid_from)
        return M3_FAIL(
            err, M3_ERR_INVALID, "split_at",
            "no '%s' is at %s or later and before %s, so there is nothing to validate with; timestamps go from "
            "%s to %s",
            target, valid, test, from, to);
    m3_drops_say(
        drops, M3_LOG_INFO,
        "split: of the events of '%s', %llu before %s train, %llu from there on validate, %llu from %s on test", target,
        (unsigned long long)c.of[M3_SPLIT_TRAIN], valid, (unsigned long long)c.of[M3_SPLIT_VALID],
        (unsigned long long)c.of[M3_SPLIT_TEST], test);
    return M3_OK;
}

static m3_status check_order(const m3_rows *rows, const counted *c, m3_error *err)
{
    static const char *const names[M3_SPLIT_COUNT] = {"train", "valid", "test"};
    char held[M3_MOMENT_TEXT], late[M3_MOMENT_TEXT];
    if (c->late == 0) return M3_OK;
    return M3_FAIL(
        err, M3_ERR_INVALID, "split",
        "%s has an event at %s, of a user who has one of %s at %s already, and so %llu times in all: what comes "
        "first would be predicted from what comes later. Split by time, or give --time-column none if the order "
        "of the files' rows is what counts",
        names[c->after.part], time_text(rows, c->after.time, late), names[c->held.part],
        time_text(rows, c->held.time, held), (unsigned long long)c->late);
}

static m3_status check_given(m3_rows *rows, const m3_behavior_choice *behaviors, m3_drops *drops, m3_error *err)
{
    counted c;
    const char *target = behaviors->names[behaviors->target];
    m3_status st = count(rows, behaviors, NULL, &c, err);
    if (st != M3_OK || (st = check_order(rows, &c, err)) != M3_OK) return st;
    if (c.of[M3_SPLIT_TRAIN] == 0 || c.of[M3_SPLIT_TEST] == 0)
        return M3_FAIL(err, M3_ERR_INVALID, "split", "has no '%s' to %s", target,
                       c.of[M3_SPLIT_TRAIN] == 0 ? "train on" : "test with");
    m3_drops_say(drops, M3_LOG_INFO, "split: of the events of '%s', %llu train, %llu validate, %llu test", target,
                 (unsigned long long)c.of[M3_SPLIT_TRAIN], (unsigned long long)c.of[M3_SPLIT_VALID],
                 (unsigned long long)c.of[M3_SPLIT_TEST]);
    return M3_OK;
}

/* The rule of the set that is added to, in the units of the rows. */
static void take_old(const m3_dataset *set, const m3_rows *rows, m3_set_split *split)
{
    const m3_split_rule old = m3_dataset_split_rule(set);
    const uint32_t finer = rows->time_digits - m3_dataset_time_digits(set);
    *split = (m3_set_split){.kind = (uint32_t)old.kind,
                            .last = old.last,
                            .repeats = old.repeats,
                            .valid_from = old.valid_from,
                            .test_from = old.test_from};
    (void)m3_time_scale(&split->valid_from, finer); /* the nearer end does as well: all times fit */
    (void)m3_time_scale(&split->test_from, finer);
}

m3_status m3_import_split_choose(const m3_import_options *options, bool given, m3_rows *rows,
                                 const m3_behavior_choice *behaviors, const m3_import_onto *onto, m3_set_split *split,
                                 m3_drops *drops, m3_error *err)
{
    m3_status st = M3_OK;
    *split = (m3_set_split){.kind = M3_SPLIT_LAST, .last = 1};
    if (onto != NULL) take_old(onto->set, rows, split);
    if (onto != NULL && split->kind == M3_SPLIT_GIVEN && !given && options->last == 0 && options->split_at == NULL)
        return M3_FAIL(err, M3_ERR_INVALID, onto->path,
                       "has a given split, and what of the new is held out would be a guess: say it by files train, "
                       "valid and test or --split-column, where all of the set is trained on from now on, or choose "
                       "--last N or --split-at");
    if (given && (options->last != 0 || options->split_at != NULL))
        return M3_FAIL(
            err, M3_ERR_INVALID, options->last != 0 ? "last" : "split_at",
            "is one way to split, and the source is split already; leave it out, or give --interactions alone");
    if (options->last != 0 && options->split_at != NULL)
        return M3_FAIL(err, M3_ERR_INVALID, "last", "and split_at are two ways to split; give one of them");
    if (options->last > MOST_LAST)
        return M3_FAIL(err, M3_ERR_INVALID, "last", "is %u; give at most %d", options->last, MOST_LAST);
    if (options->last != 0)
        *split = (m3_set_split){.kind = M3_SPLIT_LAST, .last = options->last, .repeats = split->repeats};
    if (options->split_at != NULL) st = read_points(options->split_at, rows, split, err);
    if (options->keep_repeats) split->repeats = 1;
    if (given) {
        if (onto != NULL) /* whose events are of the part train in the rows */
            m3_drops_say(drops, M3_LOG_INFO, "split: what %s held out is trained on from now on", onto->path);
        split->kind = M3_SPLIT_GIVEN;
        split->last = 0;
        return check_given(rows, behaviors, drops, err);
    }
    return st == M3_OK && split->kind == M3_SPLIT_AT ? check_points(rows, behaviors, split, drops, err) : st;
}
