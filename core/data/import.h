/* import: the steps of m3_data_import(), one file each.
 *   find files -> rows -> select (behaviors, k-core) -> tally -> item texts -> feature rows -> split -> assemble ->
 * write */
#ifndef M3_CORE_DATA_IMPORT_H
#define M3_CORE_DATA_IMPORT_H

#include "core/data/drops.h"
#include "core/data/rows.h"
#include "core/data/set_write.h"

/* import_files: what there is to read. */

typedef struct m3_feature_file {
    char *name, *path, *ids;
} m3_feature_file;

/** Starts as {0}. */
typedef struct m3_import_files {
    char *interactions; /**< those of training, where the source is split into files */
    char *valid, *test; /**< interactions that are held out; may be NULL */
    char *items;        /**< may be NULL */
    m3_feature_file *features;
    uint32_t feature_count;
} m3_import_files;

m3_status m3_import_files_find(m3_import_files *files, const m3_import_options *options, m3_drops *drops,
                               m3_error *err);
void m3_feature_file_fini(m3_feature_file *file);
void m3_import_files_fini(m3_import_files *files);

/* import_onto: the set that an import adds to. */

/** Starts as {0}; m3_import_onto_fini() ends it. */
typedef struct m3_import_onto {
    const char *path;
    m3_dataset *set;
    bool drop_gone; /**< items without a new event or a row of the new items file leave, and their events */
    const char *behaviors[M3_MAX_SET_BEHAVIORS]; /**< the set's */
} m3_import_onto;

/** Open the set and take over what it decides: behaviors, target, and the history length if none is given. */
m3_status m3_import_onto_open(m3_import_onto *onto, m3_import_options *options, m3_error *err);
/** Its users, items, behaviors and events as the first rows, with its numbers. */
m3_status m3_import_onto_rows(const m3_import_onto *onto, m3_rows *rows, m3_error *err);
/** Put the new matrices into the order of the set's modalities; one that has none has a NULL path. Others are said, and
 * left out. */
m3_status m3_import_onto_features(const m3_import_onto *onto, m3_import_files *files, m3_drops *drops, m3_error *err);
void m3_import_onto_fini(m3_import_onto *onto);

/* import_select: which events stay. */

typedef struct m3_behavior_choice {
    uint32_t count, target;
    const char *names[M3_MAX_SET_BEHAVIORS]; /**< shallow to deep; borrowed from rows and options */
    uint32_t of[M3_MAX_SET_BEHAVIORS];       /**< number here of a behavior of the rows whose events stay */
} m3_behavior_choice;

/** Order the behaviors, drop the events of others, and apply the k-core filter. @param rows  Settled. */
m3_status m3_import_select(m3_rows *rows, const m3_import_options *options, m3_behavior_choice *choice, m3_drops *drops,
                           m3_error *err);

/** What the events that stay are of. Starts as {0}; m3_import_tally_fini() ends it. */
typedef struct m3_import_tally {
    uint64_t events[M3_MAX_SET_BEHAVIORS]; /**< by number of the choice */
    bool *users;                           /**< [rows->users.count] by rank: has an event */
    bool *new_of_item;                     /**< [rows->items.count] has one that the set, which is added to, has not */
    uint64_t of_set;                       /**< events of that set */
} m3_import_tally;

m3_status m3_import_tally_make(m3_import_tally *tally, m3_rows *rows, const m3_behavior_choice *choice, m3_error *err);
void m3_import_tally_fini(m3_import_tally *tally);

/* import_split: the rule by which samples are held out. */

/** From the options; what they leave open is that of the set that the import adds to, if any. Says how many samples
 * each part has.
 * @param given  The source says what is held out: the events' parts.
 * @param rows   Settled.
 * @param onto   NULL: none.
 * Returns M3_ERR_INVALID where the options are no rule, or leave no sample to train on or to test with. */
m3_status m3_import_split_choose(const m3_import_options *options, bool given, m3_rows *rows,
                                 const m3_behavior_choice *behaviors, const m3_import_onto *onto, m3_set_split *split,
                                 m3_drops *drops, m3_error *err);

/* import_items: texts, and the numbers that items get. */

typedef struct m3_item_text {
    uint32_t title, category; /**< numbers in texts, + 1; 0: none */
    bool listed;              /**< has a row in the items file */
} m3_item_text;

/** Starts as {0}. */
typedef struct m3_import_items {
    m3_names texts;
    m3_item_text *of; /**< [capacity] by item of the rows */
    uint32_t capacity;
    bool *keep;       /**< [rows->items.count] */
    uint32_t *order;  /**< [count] old numbers by rising id: item number n is order[n - 1] */
    uint32_t count;   /**< N */
    uint32_t *number; /**< [rows->items.count] 1..N, 0: left out */
} m3_import_items;

/** Read the items file, if any, decide which items stay and number them. Adds items to rows when they are kept.
 * @param tally  Of the rows.
 * @param onto   The set that the import adds to, whose items come first in rows; NULL: none. */
m3_status m3_import_items_read(m3_import_items *items, m3_rows *rows, const m3_import_tally *tally, const char *path,
                               const m3_reading *reading, bool keep_all, const m3_import_onto *onto, m3_drops *drops,
                               m3_error *err);
void m3_import_items_fini(m3_import_items *items);

/* import_features. */

/** Open a matrix and find each item's row. @param features  Starts as {0}; m3_feature_rows_fini() ends it.
 * @param onto  The set that the import adds to, whose `modality` it is; NULL: none. */
m3_status m3_feature_rows_read(m3_feature_rows *features, const m3_feature_file *file, const m3_rows *rows,
                               const m3_import_items *items, const char *item_column, const m3_import_onto *onto,
                               uint32_t modality, m3_drops *drops, m3_error *err);
/** The rows of the set alone, when there is no new matrix of that modality. */
m3_status m3_feature_rows_keep(m3_feature_rows *features, const m3_import_onto *onto, uint32_t modality,
                               const m3_import_items *items, m3_drops *drops, m3_error *err);
/** Warn of an entry that lies far beyond the others of its column. */
m3_status m3_feature_rows_say_far(const m3_feature_rows *features, uint32_t items, m3_drops *drops, m3_error *err);
void m3_feature_rows_fini(m3_feature_rows *features);

#endif
