/* import: from source files to one data set file; core/data/import.h has the steps. */
#include "core/data/import.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/outfile.h"

enum { DEFAULT_MAX_LENGTH = 20, LENGTH_LIMIT = 1 << 16, SMALL_SOURCE = 1 << 22 };

struct import {
    m3_import_options options;
    m3_import_onto onto;
    bool adds;     /* to onto */
    uint64_t gone; /* events of items that left */
    m3_pool *pool;
    m3_import_report report;
    m3_drops drops;
    m3_import_files files;
    m3_rows rows;
    m3_behavior_choice behaviors;
    m3_import_tally tally;
    m3_import_items items;
    m3_feature_rows *features; /* [files.feature_count] */
    uint32_t *users;           /* numbers of the rows, by rising id */
    m3_set_content content;
};

/* All users by rising id, whether they keep an event or not. */
static m3_status settle(struct import *im, m3_error *err)
{
    uint32_t count;
    m3_names_forget_slots(&im->rows.users);
    m3_status st = m3_names_sort(&im->rows.users, NULL, &im->users, &count, err);
    return st == M3_OK ? m3_rows_settle(&im->rows, im->users, &im->drops, err) : st;
}

/* A repeat comes before what else is wrong, whose rows stand behind it. */
static m3_status settle_failed(struct import *im, m3_status st, m3_error *err)
{
    m3_error repeated = {0};
    if (st != M3_ERR_INVALID || !im->drops.strict || settle(im, &repeated) != M3_ERR_INVALID) return st;
    if (err != NULL) *err = repeated;
    return st;
}

/* Of the users by rank, those with events. */
static void keep_users(struct import *im)
{
    uint32_t kept = 0;
    for (uint32_t u = 0; u < im->rows.users.count; u++)
        if (im->tally.users[u]) im->users[kept++] = im->users[u];
    im->content.meta.users = kept;
}

static void describe_events(struct import *im)
{
    m3_set_content *c = &im->content;
    c->events = (m3_set_events){.log = &im->rows.log,
                                .users = c->meta.users,
                                .items = c->meta.items,
                                .behaviors = c->meta.behaviors,
                                .behavior_of = im->behaviors.of,
                                .item_of = im->items.number,
                                .given = c->split.kind == M3_SPLIT_GIVEN};
    memcpy(c->events.counts, im->tally.events, sizeof c->events.counts);
}

static const char *text_of(const m3_names *texts, uint32_t number)
{
    return number == 0 ? "" : m3_names_at(texts, number - 1);
}

static m3_status fill_names(struct import *im, m3_error *err)
{
    m3_set_content *c = &im->content;
    const m3_import_items *items = &im->items;
    size_t users = c->meta.users, rows = (size_t)c->meta.items + 1;
    c->user_ids = m3_calloc(users, sizeof *c->user_ids);
    c->item_ids = m3_calloc(rows, sizeof *c->item_ids);
    c->titles = m3_calloc(rows, sizeof *c->titles);
    c->categories = m3_calloc(rows, sizeof *c->categories);
    if (c->user_ids == NULL || c->item_ids == NULL || c->titles == NULL || c->categories == NULL)
        return M3_FAIL_MEMORY(err, "names", (users + 3 * rows) * sizeof *c->titles);
    for (size_t u = 0; u < users; u++) c->user_ids[u] = m3_names_at(&im->rows.users, im->users[u]);
    c->item_ids[0] = c->titles[0] = c->categories[0] = "";
    for (size_t n = 1; n < rows; n++) {
        uint32_t old = items->order[n - 1];
        c->item_ids[n] = m3_names_at(&im->rows.items, old);
        c->titles[n] = text_of(&items->texts, items->of[old].title);
        c->categories[n] = text_of(&items->texts, items->of[old].category);
    }
    c->behavior_names = im->behaviors.names;
    return M3_OK;
}

static m3_status read_features(struct import *im, m3_error *err)
{
    uint32_t count = im->files.feature_count;
    if ((im->features = m3_calloc(count, sizeof *im->features)) == NULL)
        return M3_FAIL_MEMORY(err, "features", count * sizeof *im->features);
    const m3_import_onto *onto = im->adds ? &im->onto : NULL;
    for (uint32_t k = 0; k < count; k++) {
        const m3_feature_file *file = &im->files.features[k];
        m3_status st = file->path == NULL
                           ? m3_feature_rows_keep(&im->features[k], onto, k, &im->items, &im->drops, err)
                           : m3_feature_rows_read(&im->features[k], file, &im->rows, &im->items,
                                                  im->options.reading.item_column, onto, k, &im->drops, err);
        if (st != M3_OK) return st;
    }
    im->content.features = im->features;
    im->content.meta.modalities = count;
    return M3_OK;
}

static m3_status check_options(struct import *im, const m3_import_options *options, m3_error *err)
{
    if (!M3_HAS(options, m3_import_options, reading))
        return M3_FAIL(err, M3_ERR_INVALID, "options", "start with M3_IMPORT_OPTIONS_INIT: size is %u", options->size);
    memcpy(&im->options, options, options->size < sizeof im->options ? options->size : sizeof im->options);
    im->options.reading = m3_reading_resolve(&options->reading);
    im->drops = (m3_drops){.report = &im->report,
                           .strict = im->options.reading.strict,
                           .say_all = im->options.reading.say_all,
                           .log = im->options.reading.log,
                           .log_user = im->options.reading.log_user,
                           .watch = {im->options.progress, im->options.progress_user, im->options.stop}};
    if (im->options.max_length == 0 && !im->adds) im->options.max_length = DEFAULT_MAX_LENGTH;
    if (im->options.max_length > LENGTH_LIMIT)
        return M3_FAIL(err, M3_ERR_INVALID, "max_length", "is %u; at most %d", im->options.max_length, LENGTH_LIMIT);
    return M3_OK;
}

/* Before anything is read, which may take long. */
static m3_status check_out(const struct import *im, const char *out_path, m3_error *err)
{
    const m3_import_files *files = &im->files;
    const char *const tables[] = {files->interactions, files->valid, files->test, files->items, im->onto.path};
    m3_status st = m3_outfile_check(out_path, tables, 5, err);
    for (uint32_t k = 0; st == M3_OK && k < files->feature_count; k++) {
        const char *const matrix[] = {files->features[k].path, files->features[k].ids};
        st = m3_outfile_check(out_path, matrix, 2, err);
    }
    return st;
}

/* Of all imports that made the set. */
static m3_import_report whole_report(const struct import *im)
{
    m3_import_report r = im->report;
    if (!im->adds) return r;
    const m3_import_report *old = m3_dataset_import_report(im->onto.set);
    r.rows += old->rows;
    r.out_of_order += old->out_of_order;
    r.fractional_times += old->fractional_times;
    r.items_without_text += old->items_without_text;
    for (uint32_t i = 0; i < M3_DROP_REASONS; i++) r.dropped[i] += old->dropped[i];
    return r;
}

static m3_status start_from_set(struct import *im, m3_error *err)
{
    if (im->onto.drop_gone && im->files.items == NULL)
        return M3_FAIL(err, M3_ERR_INVALID, "items", "there is no items file, which says what items are gone");
    m3_status st = m3_import_onto_rows(&im->onto, &im->rows, err);
    return st == M3_OK ? m3_import_onto_features(&im->onto, &im->files, &im->drops, err) : st;
}

static size_t keep_events_of_items(void *arg, m3_event *events, size_t count)
{
    const uint32_t *number = arg;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (number[events[i].item] != 0) events[kept++] = events[i];
    return kept;
}

static m3_status drop_events_of_gone(struct import *im, m3_error *err)
{
    m3_event_log *log = &im->rows.log;
    const uint64_t before = log->count;
    if (!im->adds || !im->onto.drop_gone) return M3_OK;
    m3_status st = m3_event_log_keep(log, keep_events_of_items, im->items.number, err);
    im->gone = before - log->count;
    return st == M3_OK && im->gone > 0 ? m3_import_tally_make(&im->tally, &im->rows, &im->behaviors, err) : st;
}

/* The interactions, and those that are held out, if they are in files of their own. */
static m3_status read_tables(struct import *im, const char *sole, m3_error *err)
{
    const char *const paths[M3_SPLIT_COUNT] = {im->files.interactions, im->files.valid, im->files.test};
    m3_status st = M3_OK;
    for (int part = 0; st == M3_OK && part < M3_SPLIT_COUNT; part++) {
        im->rows.part = (m3_split_part)part;
        if (paths[part] != NULL) st = m3_rows_read(&im->rows, paths[part], &im->options.reading, sole, &im->drops, err);
    }
    return st;
}

static m3_status select_events(struct import *im, m3_error *err)
{
    char dropped[768];
    const m3_behavior_choice *choice = &im->behaviors;
    m3_status st = m3_import_select(&im->rows, &im->options, &im->behaviors, &im->drops, err);
    if (st != M3_OK || (st = m3_import_tally_make(&im->tally, &im->rows, choice, err)) != M3_OK) return st;
    if (im->tally.events[choice->target] > 0) return M3_OK;
    m3_drops_summary(&im->report, dropped, sizeof dropped);
    return M3_FAIL(err, M3_ERR_INVALID, "target",
                   "'%s' has no event, so there is nothing to predict; choose another target (dropped: %s)",
                   choice->names[choice->target], dropped);
}

static uint64_t file_bytes(const char *path)
{
    struct stat info;
    return path != NULL && stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
}

/* A small source is read sooner than threads are started. */
static m3_status start_pool(struct import *im, m3_error *err)
{
    const m3_import_files *f = &im->files;
    const uint64_t bytes = file_bytes(f->interactions) + file_bytes(f->valid) + file_bytes(f->test);
    const bool small = im->options.threads == 0 && bytes < SMALL_SOURCE;
    return m3_pool_create(small ? 1 : im->options.threads, &im->pool, err);
}

/* What the machine has, or the control group, such as a container, or the process if it may have less. */
static uint64_t memory_there_is(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
    uint64_t memory = pages > 0 && bytes > 0 ? (uint64_t)pages * (uint64_t)bytes : UINT64_MAX;
    unsigned long long group = 0;
    struct rlimit limit;
    FILE *file = fopen("/sys/fs/cgroup/memory.max", "re");
    if (file != NULL && fscanf(file, "%llu", &group) == 1 && group < memory) memory = group; /* else it says max */
    if (file != NULL) (void)fclose(file);
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur < memory) memory = limit.rlim_cur;
    return memory;
}

/* Half of it, so that files which are read and written still have a place in it. */
static uint64_t memory_of(const m3_import_options *options)
{
    return options->memory != 0 ? options->memory : memory_there_is() / 2;
}

static void tell_writing(const struct import *im, const char *out_path)
{
    const m3_import_progress progress = {.path = out_path};
    if (im->options.progress != NULL) im->options.progress(im->options.progress_user, &progress);
}

static m3_status run(struct import *im, const char *out_path, m3_error *err)
{
    m3_status st;
    m3_rows *rows = &im->rows;
    const m3_reading *reading = &im->options.reading;
    if (im->adds && (st = m3_import_onto_open(&im->onto, &im->options, err)) != M3_OK) return st;
    if ((st = m3_import_files_find(&im->files, &im->options, &im->drops, err)) != M3_OK) return st;
    if ((st = check_out(im, out_path, err)) != M3_OK || (st = start_pool(im, err)) != M3_OK) return st;
    m3_rows_begin(rows, im->pool, out_path, memory_of(&im->options), &im->drops.watch);
    if (im->adds && (st = start_from_set(im, err)) != M3_OK) return st;
    const char *sole = im->adds && im->options.behavior_count == 1 ? im->options.behaviors[0] : "interaction";
    if ((st = read_tables(im, sole, err)) != M3_OK) return settle_failed(im, st, err);
    if (im->report.rows == 0) return M3_FAIL(err, M3_ERR_INVALID, im->files.interactions, "has a header but no rows");
    tell_writing(im, out_path);
    if ((st = settle(im, err)) != M3_OK || (st = select_events(im, err)) != M3_OK) return st;
    const m3_import_onto *onto = im->adds ? &im->onto : NULL;
    st = m3_import_items_read(&im->items, rows, &im->tally, im->files.items, reading, im->options.keep_items, onto,
                              &im->drops, err);
    if (st != M3_OK || (st = drop_events_of_gone(im, err)) != M3_OK || (st = read_features(im, err)) != M3_OK)
        return st;
    keep_users(im);
    if ((st = m3_watch_check(&im->drops.watch, out_path, err)) != M3_OK) return st;
    tell_writing(im, out_path);
    im->report.events = rows->log.count;
    m3_set_meta *meta = &im->content.meta;
    meta->items = im->items.count;
    meta->behaviors = im->behaviors.count;
    meta->target = im->behaviors.target;
    meta->max_length = im->options.max_length;
    meta->report = whole_report(im);
    im->content.watch = &im->drops.watch;
    im->content.time_digits = rows->time_digits;
    im->content.time_unit = (uint32_t)rows->time_unit;
    const bool given = im->files.valid != NULL || im->files.test != NULL || reading->split_column != NULL;
    st = m3_import_split_choose(&im->options, given, rows, &im->behaviors, onto, &im->content.split, &im->drops, err);
    if (st != M3_OK) return st;
    describe_events(im);
    if ((st = fill_names(im, err)) != M3_OK) return st;
    return m3_set_write(&im->content, out_path, err);
}

/* Events, users and items beside those of the set. */
static void say_added(const struct import *im)
{
    const m3_dataset *set = im->onto.set;
    const uint32_t users = m3_dataset_user_count(set), items = m3_dataset_item_count(set);
    uint64_t old_users = 0, old_items = 0;
    for (uint32_t u = 0; u < im->content.meta.users; u++) old_users += im->users[u] < users;
    for (uint32_t n = 0; n < im->content.meta.items; n++) old_items += im->items.order[n] < items;
    m3_drops_say(&im->drops, M3_LOG_INFO, "added to %s: %llu events, %llu users, %llu items", im->onto.path,
                 (unsigned long long)(im->rows.log.count - im->tally.of_set),
                 (unsigned long long)(im->content.meta.users - old_users),
                 (unsigned long long)(im->content.meta.items - old_items));
    if (old_items < items)
        m3_drops_say(&im->drops, M3_LOG_INFO, "%llu items of the set are gone, with their %llu events and %llu users",
                     (unsigned long long)(items - old_items), (unsigned long long)im->gone,
                     (unsigned long long)(users - old_users));
}

static void say_summary(const struct import *im)
{
    char dropped[768];
    const m3_import_report *report = &im->report;
    m3_drops_summary(report, dropped, sizeof dropped);
    if (im->adds) say_added(im);
    m3_drops_say(&im->drops, M3_LOG_INFO, "%llu events of %u users and %u items kept from %llu rows; %s",
                 (unsigned long long)report->events, im->content.meta.users, im->content.meta.items,
                 (unsigned long long)report->rows, dropped);
    if (report->out_of_order > 0)
        m3_drops_say(&im->drops, M3_LOG_INFO, "%llu rows were earlier than the row before of their user; sorted",
                     (unsigned long long)report->out_of_order);
    m3_drops_say(&im->drops, M3_LOG_INFO, "target: '%s'", im->behaviors.names[im->behaviors.target]);
}

static void free_import(struct import *im)
{
    m3_set_content *c = &im->content;
    m3_free(c->user_ids);
    m3_free(c->item_ids);
    m3_free(c->titles);
    m3_free(c->categories);
    for (uint32_t k = 0; im->features != NULL && k < im->files.feature_count; k++)
        m3_feature_rows_fini(&im->features[k]);
    m3_free(im->features);
    m3_free(im->users);
    m3_import_items_fini(&im->items);
    m3_import_tally_fini(&im->tally);
    m3_rows_fini(&im->rows);
    m3_pool_free(im->pool);
    m3_import_files_fini(&im->files);
    m3_import_onto_fini(&im->onto);
    m3_free(im);
}

static m3_status import(const char *onto, bool drop_gone, const m3_import_options *options, const char *out_path,
                        m3_import_report *report, m3_error *err)
{
    if (report != NULL) *report = (m3_import_report){0};
    struct import *im = m3_calloc(1, sizeof *im);
    if (im == NULL) return M3_FAIL_MEMORY(err, out_path, sizeof *im);
    im->onto = (m3_import_onto){.path = onto, .drop_gone = drop_gone};
    im->adds = onto != NULL;
    m3_status st = check_options(im, options, err);
    if (st == M3_OK) st = run(im, out_path, err);
    if (st == M3_OK) say_summary(im);
    if (report != NULL) *report = im->report;
    free_import(im);
    return st;
}

m3_status m3_data_import(const m3_import_options *options, const char *out_path, m3_import_report *report,
                         m3_error *err)
{
    return import(NULL, false, options, out_path, report, err);
}

m3_status m3_data_append(const char *set_path, bool drop_gone, const m3_import_options *options, const char *out_path,
                         m3_import_report *report, m3_error *err)
{
    return import(set_path, drop_gone, options, out_path, report, err);
}
