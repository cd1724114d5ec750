/* import_select: behaviors in their order, and the k-core.
 *   k-core: drop events of users with fewer than k_u events and of items with fewer than k_i, until none is left. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/data/import.h"
#include "core/data/text.h"

static const uint32_t DROPPED = UINT32_MAX;

static m3_status take_named(const m3_rows *rows, const m3_import_options *options, m3_behavior_choice *choice,
                            uint32_t *map, const uint64_t *counts, m3_drops *drops, m3_error *err)
{
    for (uint32_t i = 0; i < options->behavior_count; i++) {
        const char *name = options->behaviors[i];
        if (i == M3_MAX_SET_BEHAVIORS)
            return M3_FAIL(err, M3_ERR_INVALID, "behaviors", "at most %d are possible", M3_MAX_SET_BEHAVIORS);
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(choice->names[j], name) == 0)
                return M3_FAIL(err, M3_ERR_INVALID, "behaviors", "'%s' is named twice", name);
        if (*name == '\0' || !m3_field_is_utf8((m3_field){name, strlen(name)}))
            return M3_FAIL(err, M3_ERR_INVALID, "behaviors", "name %u is empty or not UTF-8", i + 1);
        uint32_t raw;
        bool found = m3_names_find(&rows->behaviors, name, strlen(name), &raw);
        if (found) map[raw] = i;
        if (!found || counts[raw] == 0)
            m3_drops_say(drops, M3_LOG_WARN, "behavior '%s' has no event; it stays, empty for every user", name);
        choice->names[choice->count++] = name;
    }
    return M3_OK;
}

static void take_all(const m3_rows *rows, m3_behavior_choice *choice, uint32_t *map, const uint64_t *counts,
                     m3_drops *drops)
{
    char list[512] = "";
    size_t used = 0;
    for (;;) {
        uint32_t best = DROPPED;
        for (uint32_t raw = 0; raw < rows->behaviors.count; raw++)
            if (map[raw] == DROPPED && counts[raw] > 0 && (best == DROPPED || counts[raw] > counts[best])) best = raw;
        if (best == DROPPED) break;
        map[best] = choice->count;
        choice->names[choice->count++] = m3_names_at(&rows->behaviors, best);
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s'%s' (%llu events)", used == 0 ? "" : ", ",
                                     m3_names_at(&rows->behaviors, best), (unsigned long long)counts[best]);
    }
    if (choice->count > 1)
        m3_drops_say(drops, M3_LOG_WARN,
                     "behaviors from shallow to deep, guessed from their numbers: %s; give --behaviors to order them",
                     list);
}

static m3_status choose_target(const m3_import_options *options, m3_behavior_choice *choice, m3_error *err)
{
    if (choice->count > 0) choice->target = choice->count - 1;
    if (options->target == NULL) return M3_OK;
    char list[512] = "";
    size_t used = 0;
    for (uint32_t b = 0; b < choice->count; b++) {
        if (strcmp(choice->names[b], options->target) == 0) {
            choice->target = b;
            return M3_OK;
        }
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s'%s'", b == 0 ? "" : ", ", choice->names[b]);
    }
    return M3_FAIL(err, M3_ERR_INVALID, "target", "'%s' is no behavior of the set; choose among %s", options->target,
                   list);
}

static m3_status order_behaviors(m3_rows *rows, const m3_import_options *options, m3_behavior_choice *choice,
                                 m3_drops *drops, m3_error *err)
{
    m3_status st = M3_OK;
    uint64_t counts[M3_MAX_SET_BEHAVIORS] = {0};
    uint32_t map[M3_MAX_SET_BEHAVIORS];
    for (uint32_t i = 0; i < M3_MAX_SET_BEHAVIORS; i++) map[i] = DROPPED;
    for (size_t i = 0; i < rows->count; i++) counts[rows->events[i].behavior]++;
    if (options->behavior_count > 0)
        st = take_named(rows, options, choice, map, counts, drops, err);
    else
        take_all(rows, choice, map, counts, drops);
    if (st == M3_OK) st = choose_target(options, choice, err);
    if (st != M3_OK) return st;
    size_t kept = 0;
    for (size_t i = 0; i < rows->count; i++) {
        m3_event event = rows->events[i];
        const uint32_t behavior = map[event.behavior];
        event.behavior = (uint16_t)behavior;
        if (behavior == DROPPED)
            m3_drops_count(drops, M3_DROP_BEHAVIOR);
        else
            rows->events[kept++] = event;
    }
    rows->count = kept;
    return M3_OK;
}

/* One sweep; the number of events it removed. */
static size_t sweep(m3_rows *rows, uint32_t *by_user, uint32_t *by_item, const m3_import_options *options)
{
    memset(by_user, 0, rows->users.count * sizeof *by_user);
    memset(by_item, 0, rows->items.count * sizeof *by_item);
    for (size_t i = 0; i < rows->count; i++) {
        by_user[rows->events[i].user]++;
        by_item[rows->events[i].item]++;
    }
    size_t kept = 0, before = rows->count;
    for (size_t i = 0; i < before; i++) {
        m3_event event = rows->events[i];
        if (by_user[event.user] >= options->min_user_events && by_item[event.item] >= options->min_item_events)
            rows->events[kept++] = event;
    }
    rows->count = kept;
    return before - kept;
}

static m3_status filter_core(m3_rows *rows, const m3_import_options *options, m3_drops *drops, m3_error *err)
{
    if ((options->min_user_events <= 1 && options->min_item_events <= 1) || rows->count == 0) return M3_OK;
    m3_status st = M3_OK;
    uint32_t *by_user = m3_calloc(rows->users.count, sizeof *by_user);
    uint32_t *by_item = m3_calloc(rows->items.count, sizeof *by_item);
    if (by_user == NULL || by_item == NULL) {
        st = M3_FAIL_MEMORY(err, "k-core", (rows->users.count + rows->items.count) * sizeof *by_user);
        goto done;
    }
    uint32_t sweeps = 0;
    for (size_t removed = 1; removed > 0; sweeps++) {
        removed = sweep(rows, by_user, by_item, options);
        drops->report->dropped[M3_DROP_CORE] += removed;
    }
    m3_drops_say(drops, M3_LOG_INFO,
                 "k-core, at least %u events a user and %u an item: %llu events removed in %u sweeps",
                 options->min_user_events, options->min_item_events,
                 (unsigned long long)drops->report->dropped[M3_DROP_CORE], sweeps);
done:
    m3_free(by_user);
    m3_free(by_item);
    return st;
}

m3_status m3_import_select(m3_rows *rows, const m3_import_options *options, m3_behavior_choice *choice, m3_drops *drops,
                           m3_error *err)
{
    m3_status st;
    char dropped[768];
    if (rows->count > 0) {
        if ((st = order_behaviors(rows, options, choice, drops, err)) != M3_OK) return st;
        if ((st = filter_core(rows, options, drops, err)) != M3_OK) return st;
    }
    m3_drops_summary(drops->report, dropped, sizeof dropped);
    if (rows->count == 0)
        return M3_FAIL(err, M3_ERR_INVALID, "interactions", "no event is left of %llu rows: %s",
                       (unsigned long long)drops->report->rows, dropped);
    for (size_t i = 0; i < rows->count; i++)
        if (rows->events[i].behavior == choice->target) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, "target",
                   "'%s' has no event, so there is nothing to predict; choose another target (dropped: %s)",
                   choice->names[choice->target], dropped);
}
