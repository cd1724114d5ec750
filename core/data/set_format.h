/* set_format: the bytes of a data set file, version 1. Little endian; sections start at multiples of 64 bytes.
 *   header, section table, sections. Checksum: XXH64 (seed 0) of the whole file with the checksum field zero.
 * U users, N items, B behaviors, K modalities, all in META. A string table of n strings is u64 starts[n + 1],
 * counted from the bytes behind it, then the strings, each with its NUL. Unknown kinds of section are ignored. */
#ifndef M3_CORE_DATA_SET_FORMAT_H
#define M3_CORE_DATA_SET_FORMAT_H

#include "m3bsr/data.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "data set files are mapped as they are: this needs a little-endian machine"
#endif

#define M3_SET_MAGIC "M3BSRSET"
enum { M3_SET_VERSION = 1, M3_SET_ALIGN = 64, M3_SET_MOST_SECTIONS = 4096, M3_SET_MOST_WIDTH = 1 << 20 };

enum m3_set_kind {
    M3_SET_META = 1,            /**< m3_set_meta */
    M3_SET_USER_IDS = 2,        /**< strings [U], rising by m3_id_compare() */
    M3_SET_ITEM_IDS = 3,        /**< strings [N + 1], 0 is "", then rising */
    M3_SET_TITLES = 4,          /**< strings [N + 1] */
    M3_SET_CATEGORIES = 5,      /**< strings [N + 1] */
    M3_SET_BEHAVIOR_NAMES = 6,  /**< strings [B] */
    M3_SET_MODALITY_NAMES = 7,  /**< strings [K] */
    M3_SET_EVENT_STARTS = 8,    /**< index b: u64 [U + 1], places of each user's events in the next two */
    M3_SET_EVENT_ITEMS = 9,     /**< index b: u32 [events], 1..N */
    M3_SET_EVENT_TIMES = 10,    /**< index b: i64 [events], never falling within a user */
    M3_SET_TOUCHED_STARTS = 11, /**< u64 [U + 1] */
    M3_SET_TOUCHED_ITEMS = 12,  /**< u32, rising within a user, 1..N */
    M3_SET_FEATURES = 13,       /**< index k, width D: f32 [N + 1, D], finite, row 0 zero */
    M3_SET_PRESENT = 14,        /**< index k: u8 [N + 1], 0 or 1, [0] is 0 */
    M3_SET_TIME_DIGITS = 15,    /**< u32: times are in units of 10^-it of the source's; not there: 0 */
    M3_SET_TIME_UNIT = 16,      /**< u32, m3_time_unit: the source's; not there: not known. Identity leaves it out */
    M3_SET_SPLIT = 17,          /**< m3_set_split; not there: the last sample of a user, without repeats */
    M3_SET_EVENT_PARTS = 18, /**< index b: u8 [events], m3_split_part, never falling within a user; of a given split */
    M3_SET_KINDS = 19        /**< one more than the last */
};

typedef struct m3_set_header {
    char magic[8];
    uint32_t version;
    uint32_t section_count;
    uint64_t file_bytes;
    uint64_t checksum;
} m3_set_header;

typedef struct m3_set_section {
    uint32_t kind, index;
    uint32_t width, reserved;
    uint64_t offset, bytes;
} m3_set_section;

typedef struct m3_set_meta {
    uint32_t users, items, behaviors, modalities;
    uint32_t target, max_length;
    m3_import_report report;
} m3_set_meta;

/** m3_split_rule. */
typedef struct m3_set_split {
    uint32_t kind, last;
    uint32_t repeats, reserved;
    int64_t valid_from, test_from;
} m3_set_split;

_Static_assert(sizeof(m3_set_split) == 32, "a split has no padding");
_Static_assert(sizeof(m3_set_header) == 32, "the header has no padding");
_Static_assert(sizeof(m3_set_section) == 32, "a section entry has no padding");
_Static_assert(offsetof(m3_set_meta, report) == 24, "meta has no padding");
_Static_assert(sizeof(m3_set_meta) == 24 + 8 * (5 + M3_DROP_REASONS), "the report is u64 only, in a fixed number");

#endif
