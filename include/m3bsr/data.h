/* data: from a user's files to samples.
 *   source files --import--> one data set file --open--> events, features, names --split--> samples, histories
 * Item numbers are 1..N; 0 is padding. Users, behaviors and modalities count from 0. Behaviors run from shallow to
 * deep. Users and items are numbered in the order of their ids: ids of decimal digits by value, then the rest by
 * bytes. Everything that an opened set hands out is borrowed from its mapping and lives until m3_dataset_close().
 *
 * Threads: an opened set, a split and read histories never change, so any number of threads may read them. */
#ifndef M3BSR_DATA_H
#define M3BSR_DATA_H

#include "m3bsr/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Import. */

/** Why something was left out. Appended in minor versions, never renumbered: the counts lie in the set file. */
typedef enum m3_drop {
    M3_DROP_FIELDS = 0,            /**< a row with too few or too many fields, or with broken quotes */
    M3_DROP_ID = 1,                /**< an id that is empty, too long or has control characters */
    M3_DROP_NUMBER = 2,            /**< a timestamp, or a column that a behavior is derived from, is no number */
    M3_DROP_ENCODING = 3,          /**< a text that is not UTF-8 */
    M3_DROP_DUPLICATE_EVENT = 4,   /**< same user, item, behavior and timestamp as an earlier row */
    M3_DROP_DUPLICATE_ITEM = 5,    /**< an item's second row in the items file */
    M3_DROP_DUPLICATE_FEATURE = 6, /**< an item's second row in a feature matrix */
    M3_DROP_NOT_FINITE = 7,        /**< a feature row with NaN, infinity or a value beyond float32 */
    M3_DROP_BEHAVIOR = 8,          /**< a row of a behavior that is not wanted, or that derives none */
    M3_DROP_CORE = 9,              /**< an event removed by the k-core filter */
    M3_DROP_UNUSED_ITEM = 10,      /**< a row of the items file whose item has no event */
    M3_DROP_UNUSED_FEATURE = 11,   /**< a feature row whose item has no event */
    M3_DROP_UNKNOWN_ITEM = 12,     /**< new histories only: the set has no such item */
    M3_DROP_UNKNOWN_BEHAVIOR = 13, /**< new histories only: the set has no such behavior */
    M3_DROP_REASONS = 16           /**< entries in the file, not a reason */
} m3_drop;

/** One word or two for a table or a JSON key, such as "duplicate_event"; NULL for a value that is no reason. */
M3_API const char *m3_drop_name(uint32_t reason);
/** The reason as a sentence's end, such as "repeat an earlier event"; NULL for a value that is no reason. */
M3_API const char *m3_drop_meaning(uint32_t reason);

/** What times since 1970 are counted in. */
typedef enum m3_time_unit {
    M3_TIME_UNKNOWN = 0, /**< of a set: not known. In a reading: found by the range of the numbers */
    M3_TIME_S = 1,
    M3_TIME_MS = 2,
    M3_TIME_US = 3,
    M3_TIME_NS = 4
} m3_time_unit;

/** How rows are read. All strings are borrowed for the call; a NULL name stands for its default. */
typedef struct m3_reading {
    const char *user_column;     /**< default "user_id" */
    const char *item_column;     /**< default "item_id" */
    const char *behavior_column; /**< default "behavior", which may be missing; "" never looks for one */
    /** Default "timestamp": numbers of any unit, whose digits after the point are kept, or dates of ISO 8601; "": the
     * order of the rows is the time. */
    const char *time_column;
    const char *title_column;    /**< default "title", may be missing */
    const char *category_column; /**< default "category", may be missing */
    /** Behaviors from numeric columns, each "NAME=COLUMN>=NUMBER" (>=, >, <=, <, ==, !=), or "NAME=*" for every row.
     * A row gives one event for each that holds, besides that of the behavior column. Without either, every row
     * is an event of the behavior "interaction". */
    const char *const *derive;
    uint32_t derive_count;
    bool strict;   /**< the first row that would be dropped for a defect is an error */
    bool say_all;  /**< log every row that is dropped for a defect, not only the first few of each reason */
    m3_log_fn log; /**< called with each choice, and with drops and their file and line; may be NULL */
    void *log_user;
    const char *separator;      /**< of fields: 1 to 8 bytes, "tab", or "blank" for runs of blanks; NULL: found */
    const char *const *columns; /**< [column_count] names of the columns of an interactions file without header */
    uint32_t column_count;
    uint32_t items_column_count;
    const char *const *items_columns; /**< [items_column_count] the same of an items file */
    m3_time_unit time_unit;           /**< of the numbers in the time column */
    const char *split_column;         /**< of imports: its fields say train, valid or test; NULL: none */
} m3_reading;

/** A feature matrix: .npy or .safetensors, [rows, D] of float16, bfloat16, float32, float64, whole numbers or booleans.
 */
typedef struct m3_feature_source {
    const char *name; /**< of the modality; in a safetensors file with several tensors, also the tensor's */
    const char *path;
    const char *ids; /**< text file, line r is the item of row r; NULL: PATH with the suffix .ids.txt, else ids.txt
                        in the same directory */
} m3_feature_source;

/** How far an import is. */
typedef struct m3_import_progress {
    const char *path; /**< the file that is read or written; borrowed for the call */
    uint64_t rows;    /**< of it so far; 0 while a set is written */
    uint64_t done;    /**< bytes of it so far, */
    uint64_t bytes;   /**< of so many; 0 while a set is written */
} m3_import_progress;

typedef void (*m3_import_progress_fn)(void *user, const m3_import_progress *progress);

typedef struct m3_import_options {
    uint32_t size;       /**< M3_IMPORT_OPTIONS_INIT sets it */
    uint32_t max_length; /**< history length that the set proposes to training; 0: 20. Drops no event */
    const char *source;  /**< a directory to look in, or the interactions file; NULL when `interactions` is given */
    const char *interactions;          /**< NULL: interactions.* or the only *.inter in source */
    const char *items;                 /**< NULL: items.* or the only *.item in source, if any */
    const m3_feature_source *features; /**< instead of the *.npy and *.safetensors in source */
    uint32_t feature_count;
    uint32_t modality_count; /**< with modalities: take these and in this order; 0: all, by name */
    const char *const *modalities;
    bool no_features;             /**< take none */
    bool keep_items;              /**< items of the items file without events become candidates too */
    uint32_t min_user_events;     /**< k-core: users with fewer events, and items with fewer, are */
    uint32_t min_item_events;     /**<         removed again and again until none is left; 0 or 1: off */
    uint32_t behavior_count;      /**< with behaviors: shallow to deep, others are dropped; */
    const char *const *behaviors; /**<      NULL: all, by falling number of events, as deeper ones are rarer */
    const char *target;           /**< the behavior to predict; NULL: the deepest */
    m3_reading reading;
    uint32_t last;        /**< hold out this many samples a user for test, and as many for validation; 0: 1 */
    const char *split_at; /**< "VALID,TEST", or "TEST" for a split without validation: two points in time, or one, as
                               the source's timestamps are written; NULL: none. Not with last */
    bool keep_repeats;    /**< m3_split_rule.repeats */
    const char *valid;    /**< interactions that are held out, beside those of training; NULL: train.*, valid.* and */
    const char *test;     /**<      test.* of source, where it has them and no interactions.*, else none */
    m3_import_progress_fn progress; /**< called again and again, from the calling thread; may be NULL */
    void *progress_user;
    volatile const int *stop; /**< when it becomes non-zero: leave nothing behind and return M3_ERR_INTERRUPTED; may be
                                 NULL */
    uint64_t memory;  /**< bytes to get along with; 0: half of what there is. Events that do not fit lie in a file
                           without a name in out_path's folder; ids and what there is of each item must fit */
    uint32_t threads; /**< that read and sort, the caller included; 0: as many as the process may run at once. The set
                           depends on neither */
} m3_import_options;

#define M3_IMPORT_OPTIONS_INIT                                                                                         \
    {                                                                                                                  \
        .size = M3_STRUCT_SIZE(m3_import_options, threads)                                                             \
    }

/** What an import did. Rows and events differ when behaviors are derived. */
typedef struct m3_import_report {
    uint64_t rows;                     /**< rows of the interactions file, without header and blank lines */
    uint64_t events;                   /**< kept */
    uint64_t out_of_order;             /**< rows earlier than their user's row before; sorted, not dropped */
    uint64_t fractional_times;         /**< timestamps with more digits after the point than could be kept */
    uint64_t items_without_text;       /**< items with events but without a row in the items file, if there is one */
    uint64_t dropped[M3_DROP_REASONS]; /**< by m3_drop */
} m3_import_report;

/** Read source files and write a data set file, under a temporary name that is synced and renamed.
 * @param options   Borrowed for the call.
 * @param out_path  The data set file; an old one is replaced only when all went well.
 * @param report    Filled as far as the import came, also on failure; may be NULL.
 * Returns M3_OK, M3_ERR_INVALID (input, options or a path that is not there; err has file and line), M3_ERR_IO,
 * M3_ERR_MEMORY, M3_ERR_INTERRUPTED. */
M3_API m3_status m3_data_import(const m3_import_options *options, const char *out_path, m3_import_report *report,
                                m3_error *err);

/** Add events, users, items and features to a data set: as m3_data_import() of both sources in one, with the set's
 * behaviors, target, modalities and time digits, and with its history length unless options give one. Ids keep their
 * meaning; numbers of users and items may move, since they follow the order of ids. Events that the set has already
 * are dropped as repeats; rows of the items file and of feature matrices replace those of the set.
 * @param set_path   The set to add to, which stays as it is.
 * @param drop_gone  Items of the set that have neither a row in the new items file, which must be there, nor a new
 * event leave, with their events; users without events leave with them. false: all of the set stays.
 * @param options    Source and reading; `behaviors`, `target`, `modalities` and the k-core are not looked at.
 * @param out_path   Another file than set_path.
 * @param report     Of the new files; events: of the whole new set.
 * Returns what m3_data_import() does. */
M3_API m3_status m3_data_append(const char *set_path, bool drop_gone, const m3_import_options *options,
                                const char *out_path, m3_import_report *report, m3_error *err);

/* An opened set. */

typedef struct m3_dataset m3_dataset;

/** What holds samples out. */
typedef enum m3_split_kind {
    M3_SPLIT_LAST = 0, /**< a user's last ones: with more than 2n, the last n are test, the n before them validation */
    M3_SPLIT_AT = 1,   /**< points in time that are the same for all users */
    M3_SPLIT_GIVEN = 2 /**< the source said it of each event */
} m3_split_kind;

/** How a set is split, for whatever target. It lies in the file. */
typedef struct m3_split_rule {
    m3_split_kind kind;
    uint32_t last;                 /**< n of M3_SPLIT_LAST, 1 by default */
    int64_t valid_from, test_from; /**< of M3_SPLIT_AT, in the set's time: the first moments of validation and of test;
                                        equal where there is no validation */
    bool repeats; /**< having an item again is a sample too, and all items are candidates, also those that were had */
} m3_split_rule;

/** A user's events of one behavior, oldest first; events of one time keep the source's order. */
typedef struct m3_events {
    uint32_t count;
    const uint32_t *items; /**< [count], 1..N */
    const int64_t *times;  /**< [count], never falling, in the source's unit */
} m3_events;

typedef struct m3_items {
    uint32_t count;
    const uint32_t *items; /**< [count], 1..N */
} m3_items;

typedef struct m3_features {
    const char *name;
    uint32_t width;         /**< D */
    uint32_t covered;       /**< items that have a row */
    const float *rows;      /**< [N+1, D], row 0 and rows without a feature are zero */
    const uint8_t *present; /**< [N+1], 1 where the source had a row */
} m3_features;

/** A timestamp later than every event: m3_dataset_history() at it gives the whole history. */
#define M3_TIME_END INT64_MAX

/** Map a data set file and check all of it: version, checksum, every offset and every number in range.
 * @param out  Yours, m3_dataset_close(); NULL on failure.
 * The file must not be cut short while it is open, which ends in SIGBUS; replacing it by rename (as import does) is
 * safe. Returns M3_OK, M3_ERR_INVALID (no such file, no data set, damaged, other version), M3_ERR_IO, M3_ERR_MEMORY. */
M3_API m3_status m3_dataset_open(const char *path, m3_dataset **out, m3_error *err);
/** Is the file still what was opened? By its size and the time of its last change: a system call, no reading. Training,
 * evaluation and recommendation ask after each batch that they read, before they use it.
 * Returns M3_OK, M3_ERR_IO (written to or cut short since; replaced by rename is M3_OK). */
M3_API m3_status m3_dataset_check(const m3_dataset *set, m3_error *err);
/** Takes NULL. Everything borrowed from the set ends here, splits and histories over it too. */
M3_API void m3_dataset_close(m3_dataset *set);

M3_API uint32_t m3_dataset_user_count(const m3_dataset *set);
M3_API uint32_t m3_dataset_item_count(const m3_dataset *set); /**< N, without the padding item */
M3_API uint32_t m3_dataset_behavior_count(const m3_dataset *set);
M3_API uint32_t m3_dataset_modality_count(const m3_dataset *set); /**< K, without the item id */
M3_API uint32_t m3_dataset_target(const m3_dataset *set);         /**< behavior that the import chose to predict */
M3_API uint32_t m3_dataset_max_length(const m3_dataset *set);     /**< history length that the import proposed */
M3_API uint32_t m3_dataset_time_digits(const m3_dataset *set);    /**< times are in units of 10^-it of the source's */
M3_API m3_time_unit m3_dataset_time_unit(const m3_dataset *set);  /**< the source's; dates count as seconds */
M3_API uint64_t m3_dataset_event_count(const m3_dataset *set);    /**< over all behaviors */
M3_API uint64_t m3_dataset_checksum(const m3_dataset *set);       /**< names the file: equal files, equal sums */
/** Names what training depends on: users, items, events, behaviors and features, whatever titles, categories and the
 * import's report say, and in whatever order the source's rows stood. Reads the whole set. */
M3_API uint64_t m3_dataset_content_checksum(const m3_dataset *set);
/** Names the items in their order: with equal sums, the rows of an item table mean the same items. */
M3_API uint64_t m3_dataset_item_checksum(const m3_dataset *set);
M3_API const m3_import_report *m3_dataset_import_report(const m3_dataset *set);
M3_API m3_split_rule m3_dataset_split_rule(const m3_dataset *set);

/** Names are UTF-8 and never NULL: "" for an item without a title, for item 0 and for a number out of range. */
M3_API const char *m3_dataset_user_id(const m3_dataset *set, uint32_t user);
M3_API const char *m3_dataset_item_id(const m3_dataset *set, uint32_t item);
M3_API const char *m3_dataset_item_title(const m3_dataset *set, uint32_t item);
M3_API const char *m3_dataset_item_category(const m3_dataset *set, uint32_t item);
M3_API const char *m3_dataset_behavior_name(const m3_dataset *set, uint32_t behavior);

/** Look up by original id; false and *found untouched when the set has no such id. */
M3_API bool m3_dataset_find_user(const m3_dataset *set, const char *id, uint32_t *found);
M3_API bool m3_dataset_find_item(const m3_dataset *set, const char *id, uint32_t *found);
M3_API bool m3_dataset_find_behavior(const m3_dataset *set, const char *name, uint32_t *found);

/** Empty when user or behavior is out of range. */
M3_API m3_events m3_dataset_events(const m3_dataset *set, uint32_t user, uint32_t behavior);
/** The m3_split_part of each of m3_dataset_events(), never falling; NULL unless the split is given. */
M3_API const uint8_t *m3_dataset_event_parts(const m3_dataset *set, uint32_t user, uint32_t behavior);
/** The different items that the user has in any behavior at any time, by rising number. */
M3_API m3_items m3_dataset_touched(const m3_dataset *set, uint32_t user);
/** All zero when modality is out of range. */
M3_API m3_features m3_dataset_features(const m3_dataset *set, uint32_t modality);

/** The last `length` items of every behavior with a time strictly before `time`, oldest first, left-padded with 0.
 * Events at `time` itself are no history: a deep event often shares its timestamp with the shallow one it grew from.
 * @param ids     Filled: behavior b at ids[b * stride .. b * stride + length), so a batch [B, n, L] has stride n * L.
 * @param stride  Elements from one behavior to the next, at least length.
 * A user out of range has an empty history. */
M3_API void m3_dataset_history(const m3_dataset *set, uint32_t user, int64_t time, uint32_t length, size_t stride,
                               int32_t *ids);

/** Counts of one behavior, for tables. */
typedef struct m3_behavior_stats {
    uint64_t events, pairs;              /**< pairs: different user-item pairs */
    uint32_t users, items;               /**< with at least one event */
    uint32_t users_3, users_5, users_10; /**< with at least 3, 5, 10 different items */
    /** Events a user, over users with at least one. */
    uint32_t length_min, length_median, length_p90, length_p99, length_max;
    double length_mean;
    int64_t first_time, last_time; /**< 0 without events */
} m3_behavior_stats;

/** Returns M3_OK, M3_ERR_RANGE (no such behavior), M3_ERR_MEMORY. */
M3_API m3_status m3_dataset_stats(const m3_dataset *set, uint32_t behavior, m3_behavior_stats *out, m3_error *err);

/* Split. */

/** A user's target events, oldest first, keep the first one of every item, unless the set's rule keeps repeats. Those
 * that stay are samples: of training, validation or test, as the rule says. Later repeats of an item are history. */
typedef enum m3_split_part {
    M3_SPLIT_TRAIN = 0,
    M3_SPLIT_VALID = 1,
    M3_SPLIT_TEST = 2,
    M3_SPLIT_COUNT = 3
} m3_split_part;

typedef struct m3_sample {
    int64_t time;
    uint32_t user;
    uint32_t item;
    uint32_t position; /**< among the user's target events that stay */
    m3_split_part part;
} m3_sample;

typedef struct m3_split m3_split;

/** Samples of a target behavior, ordered by user, then position.
 * @param set     Must outlive the split.
 * @param target  A behavior, usually m3_dataset_target().
 * @param out     Yours, m3_split_free(); NULL on failure.
 * Returns M3_OK, M3_ERR_RANGE (no such behavior), M3_ERR_MEMORY. */
M3_API m3_status m3_dataset_split(const m3_dataset *set, uint32_t target, m3_split **out, m3_error *err);
M3_API void m3_split_free(m3_split *split); /**< takes NULL */
M3_API uint32_t m3_split_target(const m3_split *split);
/** The samples of a part, borrowed; *count may be 0. */
M3_API const m3_sample *m3_split_samples(const m3_split *split, m3_split_part part, uint64_t *count);
/** [N+1] training events of the target behavior an item, repeats too: those before the user's first held-out sample, or
 * before the point in time for all. The popularity baseline ranks by this, ties by the lower item number. */
M3_API const uint32_t *m3_split_item_counts(const m3_split *split);
/** The end of what training may see of a user: events of any behavior strictly before it. M3_TIME_END for a user of
 * whom nothing is held out, and for one who is not there. */
M3_API int64_t m3_split_until(const m3_split *split, uint32_t user);
/** Items that the sample's user had in the target behavior before this sample, in that order (repeats left out).
 * Full ranking leaves them out; the sample's own item is never among them. None where the rule keeps repeats. */
M3_API m3_items m3_split_had_before(const m3_split *split, const m3_sample *sample);
/** All different items of a user in the target behavior, in the order of their first events; where the rule keeps
 * repeats, all events. */
M3_API m3_items m3_split_had(const m3_split *split, uint32_t user);

/* New histories. */

typedef struct m3_histories m3_histories;

/** Read user_id, item_id, behavior, timestamp rows against an opened set, so that users it never saw can be served.
 * A user of the file is separate: events that the set has of the same id are not added. Rows whose item or behavior
 * the set does not have are dropped and counted; a user none of whose rows is left stays, with an empty history.
 * The behavior column may be missing when the set has one behavior.
 * @param set      Must outlive the histories.
 * @param reading  Column names, derived behaviors, log; NULL for the defaults.
 * @param report   Filled as far as the reading came; may be NULL.
 * @param out      Yours, m3_histories_free(); NULL on failure.
 * Returns M3_OK, M3_ERR_INVALID, M3_ERR_IO, M3_ERR_MEMORY. */
M3_API m3_status m3_histories_read(const m3_dataset *set, const char *path, const m3_reading *reading,
                                   m3_histories **out, m3_import_report *report, m3_error *err);
M3_API void m3_histories_free(m3_histories *histories); /**< takes NULL */
M3_API uint32_t m3_histories_user_count(const m3_histories *histories);
M3_API const char *m3_histories_user_id(const m3_histories *histories, uint32_t user); /**< by rising id */
M3_API bool m3_histories_find_user(const m3_histories *histories, const char *id, uint32_t *found);
M3_API m3_events m3_histories_events(const m3_histories *histories, uint32_t user, uint32_t behavior);
/** As m3_dataset_history(). */
M3_API void m3_histories_fill(const m3_histories *histories, uint32_t user, int64_t time, uint32_t length,
                              size_t stride, int32_t *ids);

/* Synthetic data with a known truth. */

/** How the items of accidental events are drawn. */
typedef enum m3_accidental {
    M3_ACCIDENTAL_UNIFORM = 0,   /**< from all items */
    M3_ACCIDENTAL_POPULARITY = 1 /**< as often as genuine events of the shallowest behavior are on them */
} m3_accidental;

typedef struct m3_synth_options {
    uint32_t size;        /**< M3_SYNTH_OPTIONS_INIT sets it and the defaults named here */
    uint32_t users;       /**< 1000 */
    uint32_t items;       /**< 1000, at least 2 a cluster */
    uint32_t clusters;    /**< 20 */
    uint32_t behaviors;   /**< 2, 1..8 */
    uint32_t modalities;  /**< 1, 0..8 */
    uint32_t width;       /**< 32, features a modality */
    uint32_t events;      /**< 24, mean number of genuine shallow events a user, at least 4 */
    double accidental;    /**< 0.2: fraction of shallow events that are accidental, 0 <= x <= 0.9 */
    double feature_noise; /**< 0.2: probability that an item's features are replaced by noise, in each modality; 0..1 */
    double deepen;        /**< 0.6: probability that a genuine event goes one behavior deeper, 0..1 */
    uint64_t seed;        /**< 1 */
    m3_accidental accidental_by;
    uint32_t feature_count;      /**< of features: 0, or as many as modalities */
    const char *const *features; /**< what each modality is good for: "useful", "useless", or "only:BEHAVIOR"; NULL: all
                                    are useful. Behaviors are view, click, like, share, follow, favourite, cart; the
                                    last one is buy */
    double bursts; /**< 0: fraction of the accidental events that come several in a row, on neighbouring items; 0..1 */
    double tail;   /**< 0: in each cluster, the item of rank r is taken with chance r^-tail; 0..3 */
    double drift;  /**< 0: probability that an interest is another one in a user's second half; 0..1 */
} m3_synth_options;

#define M3_SYNTH_OPTIONS_INIT                                                                                          \
    {                                                                                                                  \
        .size = M3_STRUCT_SIZE(m3_synth_options, drift), .users = 1000, .items = 1000, .clusters = 20, .behaviors = 2, \
        .modalities = 1, .width = 32, .events = 24, .accidental = 0.2, .feature_noise = 0.2, .deepen = 0.6, .seed = 1  \
    }

/** Write a source directory for m3_data_import(): interactions.tsv, items.tsv, NAME.npy, NAME.ids.txt; and beside it
 * in truth/: users.tsv (a user's interests), items.tsv (cluster, place in it, whether each modality is noise),
 * interactions.tsv (every event with accidental 0 or 1), weights.tsv (which modality says something about which
 * behavior), NAME.npy (features before the noise). m3bsr-data(1) has the columns, and those that options add.
 * Users have one to three clusters as interests and move through each of them in small steps; deep events grow from
 * genuine ones and share their timestamp. The same options give the same bytes, and an option that is off changes none.
 * @param options    Borrowed for the call.
 * @param directory  Made when missing. What this wrote there before is replaced; another that is not empty is an
 *                   error.
 * Returns M3_OK, M3_ERR_INVALID (options, directory), M3_ERR_IO, M3_ERR_MEMORY. */
M3_API m3_status m3_data_synth(const m3_synth_options *options, const char *directory, m3_error *err);

#ifdef __cplusplus
}
#endif
#endif
