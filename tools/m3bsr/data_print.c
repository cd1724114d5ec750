/* data_print: what is in a data set, and what became of the rows that it was imported from. */
#include "tools/m3bsr/data_print.h"

#include <time.h>

#include "tools/m3bsr/cli.h"

static double sparsity(const m3_dataset *set)
{
    double cells = (double)m3_dataset_user_count(set) * m3_dataset_item_count(set), pairs = 0;
    for (uint32_t u = 0; u < m3_dataset_user_count(set); u++) pairs += m3_dataset_touched(set, u).count;
    return 1.0 - pairs / cells;
}

static const char *const units[] = {NULL, "s", "ms", "us", "ns"};

/* A time of the set, whose unit is known, as a date. */
static const char *date_of(const m3_dataset *set, int64_t time, char text[32])
{
    struct tm when;
    const uint32_t unit = (uint32_t)m3_dataset_time_unit(set) - M3_TIME_S;
    for (uint32_t i = 0; i < m3_dataset_time_digits(set) + 3 * unit; i++) time = time / 10 - (time % 10 < 0);
    const time_t seconds = (time_t)time;
    if (gmtime_r(&seconds, &when) == NULL || strftime(text, 32, "%Y-%m-%d %H:%M:%S", &when) == 0)
        (void)snprintf(text, 32, "beyond the calendar");
    return text;
}

static m3_status print_times(const m3_dataset *set, m3_error *err)
{
    char from[32], to[32];
    int64_t first = INT64_MAX, last = INT64_MIN;
    for (uint32_t b = 0; b < m3_dataset_behavior_count(set); b++) {
        m3_behavior_stats s;
        const m3_status st = m3_dataset_stats(set, b, &s, err);
        if (st != M3_OK) return st;
        if (s.events > 0 && s.first_time < first) first = s.first_time;
        if (s.events > 0 && s.last_time > last) last = s.last_time;
    }
    if (m3_dataset_time_unit(set) == M3_TIME_UNKNOWN)
        (void)printf("times       numbers without a known unit\n");
    else
        (void)printf("times       %s to %s UTC, in %s\n", date_of(set, first, from), date_of(set, last, to),
                     units[m3_dataset_time_unit(set)]);
    return M3_OK;
}

static void print_import_json(const m3_import_report *report)
{
    (void)printf("\"import\": {\"rows\": %llu, \"events\": %llu, \"out_of_order\": %llu, \"fractional_times\": %llu, "
                 "\"items_without_text\": %llu, \"dropped\": {",
                 (unsigned long long)report->rows, (unsigned long long)report->events,
                 (unsigned long long)report->out_of_order, (unsigned long long)report->fractional_times,
                 (unsigned long long)report->items_without_text);
    for (uint32_t i = 0; m3_drop_name(i) != NULL; i++)
        (void)printf("%s\"%s\": %llu", i == 0 ? "" : ", ", m3_drop_name(i), (unsigned long long)report->dropped[i]);
    (void)printf("}}");
}

static void print_split_json(const m3_dataset *set)
{
    static const char *const names[] = {[M3_SPLIT_LAST] = "last", [M3_SPLIT_AT] = "time", [M3_SPLIT_GIVEN] = "given"};
    const m3_split_rule rule = m3_dataset_split_rule(set);
    (void)printf("\"split\": {\"by\": \"%s\", ", names[rule.kind]);
    if (rule.kind == M3_SPLIT_AT)
        (void)printf("\"valid_from\": %lld, \"test_from\": %lld, ", (long long)rule.valid_from,
                     (long long)rule.test_from);
    if (rule.kind == M3_SPLIT_LAST) (void)printf("\"last\": %u, ", rule.last);
    (void)printf("\"repeats\": %s}, ", rule.repeats ? "true" : "false");
}

/* "1700000000 (2023-11-14 22:13:20)", or the number alone. */
static void print_time(const m3_dataset *set, int64_t time)
{
    char date[32];
    (void)printf("%lld", (long long)time);
    if (m3_dataset_time_unit(set) != M3_TIME_UNKNOWN) (void)printf(" (%s)", date_of(set, time, date));
}

static void print_split(const m3_dataset *set)
{
    const m3_split_rule rule = m3_dataset_split_rule(set);
    (void)printf("split       ");
    if (rule.kind == M3_SPLIT_AT) {
        if (rule.test_from > rule.valid_from) {
            (void)printf("validation from ");
            print_time(set, rule.valid_from);
            (void)printf(" on, ");
        }
        (void)printf("test from ");
        print_time(set, rule.test_from);
        (void)printf(" on%s", rule.test_from > rule.valid_from ? "" : ", no validation");
    } else if (rule.kind == M3_SPLIT_GIVEN) {
        (void)printf("given by the source");
    } else if (rule.last == 1) {
        (void)printf("a user's last target is test, the one before it validation");
    } else {
        (void)printf("a user's last %u targets are test, the %u before them validation", rule.last, rule.last);
    }
    (void)printf("%s\n", rule.repeats ? "; repeats are targets too" : "");
}

m3_status data_print_json(const m3_dataset *set, const char *path, m3_error *err)
{
    m3_status st = M3_OK;
    (void)printf("{\"set\": ");
    cli_json_text(path);
    (void)printf(", \"checksum\": \"%016llx\", \"users\": %u, \"items\": %u, \"events\": %llu, \"sparsity\": %.9g, "
                 "\"max_length\": %u, \"target\": ",
                 (unsigned long long)m3_dataset_checksum(set), m3_dataset_user_count(set), m3_dataset_item_count(set),
                 (unsigned long long)m3_dataset_event_count(set), sparsity(set), m3_dataset_max_length(set));
    cli_json_text(m3_dataset_behavior_name(set, m3_dataset_target(set)));
    const char *unit = units[m3_dataset_time_unit(set)];
    (void)printf(", \"time_unit\": %s%s%s, \"time_digits\": %u, \"behaviors\": [", unit != NULL ? "\"" : "",
                 unit != NULL ? unit : "null", unit != NULL ? "\"" : "", m3_dataset_time_digits(set));
    for (uint32_t b = 0; b < m3_dataset_behavior_count(set); b++) {
        m3_behavior_stats s;
        if ((st = m3_dataset_stats(set, b, &s, err)) != M3_OK) return st;
        (void)printf("%s{\"name\": ", b == 0 ? "" : ", ");
        cli_json_text(m3_dataset_behavior_name(set, b));
        (void)printf(", \"events\": %llu, \"pairs\": %llu, \"users\": %u, \"items\": %u, \"users_3\": %u, "
                     "\"users_5\": %u, \"users_10\": %u, \"length\": {\"min\": %u, \"mean\": %.6g, \"median\": %u, "
                     "\"p90\": %u, \"p99\": %u, \"max\": %u}, \"first_time\": %lld, \"last_time\": %lld}",
                     (unsigned long long)s.events, (unsigned long long)s.pairs, s.users, s.items, s.users_3, s.users_5,
                     s.users_10, s.length_min, s.length_mean, s.length_median, s.length_p90, s.length_p99, s.length_max,
                     (long long)s.first_time, (long long)s.last_time);
    }
    (void)printf("], \"modalities\": [");
    for (uint32_t k = 0; k < m3_dataset_modality_count(set); k++) {
        m3_features f = m3_dataset_features(set, k);
        (void)printf("%s{\"name\": ", k == 0 ? "" : ", ");
        cli_json_text(f.name);
        (void)printf(", \"width\": %u, \"covered\": %u, \"coverage\": %.6g}", f.width, f.covered,
                     (double)f.covered / m3_dataset_item_count(set));
    }
    (void)printf("], ");
    print_split_json(set);
    print_import_json(m3_dataset_import_report(set));
    (void)printf("}\n");
    return M3_OK;
}

static m3_status print_behaviors(const m3_dataset *set, m3_error *err)
{
    (void)printf("\n%-16s %10s %10s %8s %8s %8s %8s %8s   %s\n", "behavior", "events", "pairs", "users", "items", ">=3",
                 ">=5", ">=10", "events a user: mean, median, 90 %, 99 %, most");
    for (uint32_t b = 0; b < m3_dataset_behavior_count(set); b++) {
        m3_behavior_stats s;
        m3_status st = m3_dataset_stats(set, b, &s, err);
        if (st != M3_OK) return st;
        cli_show(stdout, "%-16s %10llu %10llu %8u %8u %8u %8u %8u   %.1f, %u, %u, %u, %u\n",
                 m3_dataset_behavior_name(set, b), (unsigned long long)s.events, (unsigned long long)s.pairs, s.users,
                 s.items, s.users_3, s.users_5, s.users_10, s.length_mean, s.length_median, s.length_p90, s.length_p99,
                 s.length_max);
    }
    return M3_OK;
}

m3_status data_print_text(const m3_dataset *set, const char *path, m3_error *err)
{
    const m3_import_report *report = m3_dataset_import_report(set);
    uint32_t items = m3_dataset_item_count(set);
    cli_show(stdout, "set         %s (checksum %016llx)\n", path, (unsigned long long)m3_dataset_checksum(set));
    (void)printf("users       %u\nitems       %u\nevents      %llu\nsparsity    %.4f %%\n", m3_dataset_user_count(set),
                 items, (unsigned long long)m3_dataset_event_count(set), 100.0 * sparsity(set));
    cli_show(stdout, "target      %s\n", m3_dataset_behavior_name(set, m3_dataset_target(set)));
    (void)printf("max length  %u\n", m3_dataset_max_length(set));
    print_split(set);
    m3_status st = print_times(set, err);
    if (st != M3_OK || (st = print_behaviors(set, err)) != M3_OK) return st;
    if (m3_dataset_modality_count(set) > 0)
        (void)printf("\n%-16s %10s %10s %8s\n", "modality", "width", "items", "share");
    for (uint32_t k = 0; k < m3_dataset_modality_count(set); k++) {
        m3_features f = m3_dataset_features(set, k);
        cli_show(stdout, "%-16s %10u %10u %6.1f %%\n", f.name, f.width, f.covered, 100.0 * f.covered / items);
    }
    (void)printf("\nimport      %llu rows, %llu of them out of order; dropped:\n", (unsigned long long)report->rows,
                 (unsigned long long)report->out_of_order);
    uint64_t dropped = 0;
    for (uint32_t i = 0; m3_drop_name(i) != NULL; i++) {
        dropped += report->dropped[i];
        if (report->dropped[i] > 0)
            (void)printf("  %10llu %s\n", (unsigned long long)report->dropped[i], m3_drop_meaning(i));
    }
    if (dropped == 0) (void)printf("           nothing\n");
    return M3_OK;
}
