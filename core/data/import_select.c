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

struct selecting {
    const m3_import_options *options;
    const uint32_t *behavior_of; /* by raw number */
    uint64_t removed;
    uint32_t *by_user, *by_item;
};

static size_t keep_wanted(void *arg, m3_event *events, size_t count)
{
    struct selecting *s = arg;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (s->behavior_of[events[i].behavior] != DROPPED) events[kept++] = events[i];
    s->removed += count - kept;
    return kept;
}

static m3_status order_behaviors(m3_rows *rows, const m3_import_options *options, m3_behavior_choice *choice,
                                 m3_drops *drops, m3_error *err)
{
    m3_status st = M3_OK;
    bool some_dropped = false;
    struct selecting s = {.behavior_of = choice->of};
    for (uint32_t i = 0; i < M3_MAX_SET_BEHAVIORS; i++) choice->of[i] = DROPPED;
    if (options->behavior_count > 0)
        st = take_named(rows, options, choice, choice->of, rows->counts, drops, err);
    else
        take_all(rows, choice, choice->of, rows->counts, drops);
    if (st == M3_OK) st = choose_target(options, choice, err);
    for (uint32_t i = 0; i < M3_MAX_SET_BEHAVIORS; i++)
        some_dropped = some_dropped || (rows->counts[i] > 0 && choice->of[i] == DROPPED);
    if (st == M3_OK && some_dropped) st = m3_event_log_keep(&rows->log, keep_wanted, &s, err);
    drops->report->dropped[M3_DROP_BEHAVIOR] += s.removed;
    return st;
}

static m3_status count_events(void *arg, const m3_event *events, size_t count, m3_error *err)
{
    const struct selecting *s = arg;
    (void)err;
    for (size_t i = 0; i < count; i++) {
        s->by_user[events[i].user]++;
        s->by_item[events[i].item]++;
    }
    return M3_OK;
}

static size_t keep_core(void *arg, m3_event *events, size_t count)
{
    struct selecting *s = arg;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (s->by_user[events[i].user] >= s->options->min_user_events &&
            s->by_item[events[i].item] >= s->options->min_item_events)
            events[kept++] = events[i];
    s->removed += count - kept;
    return kept;
}

static m3_status filter_core(m3_rows *rows, const m3_import_options *options, m3_drops *drops, m3_error *err)
{
    if ((options->min_user_events <= 1 && options->min_item_events <= 1) || rows->log.count == 0) return M3_OK;
    m3_status st = M3_OK;
    struct selecting s = {.options = options, .removed = 1};
    s.by_user = m3_calloc(rows->users.count, sizeof *s.by_user);
    s.by_item = m3_calloc(rows->items.count, sizeof *s.by_item);
    if (s.by_user == NULL || s.by_item == NULL) {
        st = M3_FAIL_MEMORY(err, "k-core", (rows->users.count + rows->items.count) * sizeof *s.by_user);
        goto done;
    }
    uint32_t sweeps = 0;
    for (; st == M3_OK && s.removed > 0; sweeps++) {
        s.removed = 0;
        memset(s.by_user, 0, rows->users.count * sizeof *s.by_user);
        memset(s.by_item, 0, rows->items.count * sizeof *s.by_item);
        if ((st = m3_event_log_scan(&rows->log, count_events, &s, err)) != M3_OK) goto done;
        if ((st = m3_event_log_keep(&rows->log, keep_core, &s, err)) != M3_OK) goto done;
        drops->report->dropped[M3_DROP_CORE] += s.removed;
    }
    m3_drops_say(drops, M3_LOG_INFO,
                 "k-core, at least %u events a user and %u an item: %llu events removed in %u sweeps",
                 options->min_user_events, options->min_item_events,
                 (unsigned long long)drops->report->dropped[M3_DROP_CORE], sweeps);
done:
    m3_free(s.by_user);
    m3_free(s.by_item);
    return st;
}

m3_status m3_import_select(m3_rows *rows, const m3_import_options *options, m3_behavior_choice *choice, m3_drops *drops,
                           m3_error *err)
{
    m3_status st;
    char dropped[768];
    if (rows->log.count > 0) {
        if ((st = order_behaviors(rows, options, choice, drops, err)) != M3_OK) return st;
        if ((st = filter_core(rows, options, drops, err)) != M3_OK) return st;
    }
    m3_drops_summary(drops->report, dropped, sizeof dropped);
    if (rows->log.count > 0) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, "interactions", "no event is left of %llu rows: %s",
                   (unsigned long long)drops->report->rows, dropped);
}

/* What is left. */

struct tallying {
    m3_import_tally *tally;
    const m3_rows *rows;
    const uint32_t *behavior_of;
};

static m3_status tally_events(void *arg, const m3_event *events, size_t count, m3_error *err)
{
    const struct tallying *t = arg;
    m3_import_tally *tally = t->tally;
    (void)err;
    for (size_t i = 0; i < count; i++) {
        const m3_event *event = &events[i];
        tally->events[t->behavior_of[event->behavior]]++;
        tally->users[event->user] = true;
        if (event->line > t->rows->of_set)
            tally->new_of_item[event->item] = true;
        else
            tally->of_set++;
    }
    return M3_OK;
}

m3_status m3_import_tally_make(m3_import_tally *tally, m3_rows *rows, const m3_behavior_choice *choice, m3_error *err)
{
    struct tallying t = {tally, rows, choice->of};
    m3_import_tally_fini(tally);
    tally->users = m3_calloc(rows->users.count, sizeof *tally->users);
    tally->new_of_item = m3_calloc(rows->items.count, sizeof *tally->new_of_item);
    if (tally->users == NULL || tally->new_of_item == NULL)
        return M3_FAIL_MEMORY(err, "events", rows->users.count + (uint64_t)rows->items.count);
    return m3_event_log_scan(&rows->log, tally_events, &t, err);
}

void m3_import_tally_fini(m3_import_tally *tally)
{
    m3_free(tally->users);
    m3_free(tally->new_of_item);
    *tally = (m3_import_tally){0};
}
