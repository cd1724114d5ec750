/* trade: a table whose rows are shared out among ranks, in their order: each asks the owners for the rows that it
 * wants, gets them, and sends what it has for them back, which the owners add up in the order of the ranks. Who asks
 * again before these sums have changed the rows gets soon those that they do not change, and the others later. Where
 * the rows lie is the caller's business. All ranks call the same functions in the same order. */
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
    bool lean;         /**< set by the caller: its rows lie elsewhere, so that there is memory for ids alone */
    uint64_t room;     /**< rows that there is memory for */
    uint64_t id_room;  /**< ids that others want, and */
    uint64_t own_room; /**< that this rank asks for */
    int32_t *ids;      /**< [wanted[ranks]] rows that others want, from 0 in this rank's part; those of a rank rise */
    int32_t *some;     /**< those of them that m3_trade_list() has chosen */
    unsigned char *soon, *own_soon; /**< [wanted[ranks]], [asked[ranks]] 1: given soon; 0 before m3_trade_mark() */
    unsigned char *taken;           /**< a bit for each row of this rank; NULL until m3_trade_mark() */
    uint64_t *parts;                /**< [2 (ranks + 1)] as asked and wanted, of some */
    float *rows;                    /**< [wanted[ranks]][width] */
    int32_t *sum_ids;               /**< [sums] different ones of ids, rising, after m3_trade_add_up() */
    float *sum_rows;                /**< [sums][width] */
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
/** Of what was asked for, rows that nobody asked for in `before` can be given soon: their owners tell who asked. */
m3_status m3_trade_mark(m3_trade *rows, const m3_trade *before, m3_error *err);
/** rows->some: those of rows->ids that are given soon, or those that are not. Returns how many. */
uint64_t m3_trade_list(m3_trade *rows, bool soon);
/** How many rows this rank gets soon. */
uint64_t m3_trade_soon(const m3_trade *rows);
/** As m3_trade_give(), of these alone. @param from  [m3_trade_list()][width]. */
m3_status m3_trade_give_some(m3_trade *rows, bool soon, const float *from, float *to, m3_error *err);
/** In the order of the ids. @param given  [count][width] what was given soon, then the others. */
void m3_trade_merge(const m3_trade *rows, const float *given, float *to);
/** Exchange what was asked, and what is wanted; memory for rows stays. */
void m3_trade_swap(m3_trade *a, m3_trade *b);
/** rows->rows, sum_ids and sum_rows for `count` rows, and for all that are wanted. What is there is lost. */
m3_status m3_trade_make_room(m3_trade *rows, uint64_t count, m3_error *err);
/** What this rank has for the rows that it asked for, to their owners: rows->rows. @param from  As `to`. */
m3_status m3_trade_return(m3_trade *rows, const float *from, m3_error *err);
/** Sums of rows->rows by their ids, in the order of the ranks, times `factor`: sum_ids and sum_rows.
 * Returns the sum of their squares. */
double m3_trade_add_up(m3_trade *rows, float factor);

#endif
