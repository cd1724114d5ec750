/* trade: a table whose rows are shared out among ranks, in their order: each asks the owners for the rows that it
 * wants, gets them, and sends what it has for them back, which the owners add up in the order of the ranks. Where the
 * rows lie is the caller's business. All ranks call the same functions in the same order. */
#ifndef M3_CORE_PARALLEL_TRADE_H
#define M3_CORE_PARALLEL_TRADE_H

#include "core/parallel/group.h"

/** The first of `count` that rank `rank` of `ranks` has; what the next one has begins where this one's end. The ranks
 * get as many, or the first ones one more. */
uint64_t m3_share_begin(uint64_t count, uint32_t rank, uint32_t ranks);

/** Starts as {0}; m3_trade_fini() ends it. */
typedef struct m3_trade {
    m3_member *member;
    uint32_t ranks, width; /**< width: floats a row */
    uint64_t total;        /**< rows of the table */
    uint64_t begin;        /**< the first of this rank's */
    /* What this rank asked for, and what others asked it for: by rank where theirs begin, [ranks + 1]. */
    uint64_t *asked, *wanted;
    uint64_t *counts; /**< [2 ranks] */
    m3_parcel *parcels;
    uint64_t room;    /**< rows that there is memory for */
    int32_t *ids;     /**< [wanted[ranks]] rows that others want, from 0 in this rank's part; those of a rank rise */
    float *rows;      /**< [wanted[ranks]][width] */
    int32_t *sum_ids; /**< [sums] different ones of ids, rising, after m3_trade_add_up() */
    float *sum_rows;  /**< [sums][width] */
    uint64_t sums;
} m3_trade;

m3_status m3_trade_init(m3_trade *rows, m3_member *member, uint64_t total, uint32_t width, m3_error *err);
void m3_trade_fini(m3_trade *rows);

/** Tell the owners which rows this rank wants, and hear what is wanted of it: rows->ids.
 * @param ids  [count] rising numbers of rows of the table. */
m3_status m3_trade_ask(m3_trade *rows, const int32_t *ids, uint64_t count, m3_error *err);
/** rows->rows, which the caller has filled, to those who asked. @param to  [count][width], in the order of their ids.
 */
m3_status m3_trade_give(m3_trade *rows, float *to, m3_error *err);
/** What this rank has for the rows that it asked for, to their owners: rows->rows. @param from  As `to`. */
m3_status m3_trade_return(m3_trade *rows, const float *from, m3_error *err);
/** Sums of rows->rows by their ids, in the order of the ranks, times `factor`: sum_ids and sum_rows.
 * Returns the sum of their squares. */
double m3_trade_add_up(m3_trade *rows, float factor);

#endif
