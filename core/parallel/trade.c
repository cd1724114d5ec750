/* trade: see the header. Two exchanges ask: how many, then which; a third says which are given soon. */
#include "core/parallel/trade.h"

#include <string.h>

#include "core/base/alloc.h"

uint64_t m3_share_begin(uint64_t count, uint32_t rank, uint32_t ranks)
{
    const uint64_t each = count / ranks, more = count % ranks;
    return each * rank + (rank < more ? rank : more);
}

m3_status m3_trade_init(m3_trade *r, m3_member *member, uint64_t total, uint32_t width, m3_error *err)
{
    const uint32_t ranks = m3_member_count(member);
    *r = (m3_trade){.member = member, .ranks = ranks, .width = width, .total = total};
    r->begin = m3_share_begin(total, m3_member_rank(member), ranks);
    r->asked = m3_calloc((size_t)ranks + 1, sizeof *r->asked);
    r->wanted = m3_calloc((size_t)ranks + 1, sizeof *r->wanted);
    r->counts = m3_calloc(2 * (size_t)ranks, sizeof *r->counts);
    r->parcels = m3_calloc(ranks, sizeof *r->parcels);
    r->parts = m3_calloc(2 * ((size_t)ranks + 1), sizeof *r->parts);
    if (r->asked != NULL && r->wanted != NULL && r->counts != NULL && r->parcels != NULL && r->parts != NULL)
        return M3_OK;
    return M3_FAIL_MEMORY(err, "rows", ranks * (6 * sizeof *r->asked + sizeof *r->parcels));
}

void m3_trade_fini(m3_trade *r)
{
    m3_free(r->asked);
    m3_free(r->wanted);
    m3_free(r->counts);
    m3_free(r->parcels);
    m3_free(r->parts);
    m3_free(r->ids);
    m3_free(r->some);
    m3_free(r->soon);
    m3_free(r->own_soon);
    m3_free(r->taken);
    m3_free(r->rows);
    m3_free(r->sum_ids);
    m3_free(r->sum_rows);
    *r = (m3_trade){0};
}

static m3_status run(m3_trade *r, m3_error *err)
{
    m3_exchange *exchange = NULL;
    const m3_status st = m3_member_start(r->member, r->parcels, &exchange, err);
    return st == M3_OK ? m3_member_finish(r->member, &exchange, err) : st;
}

/* Parts of `mine`, in the order of asked, against parts of `theirs`, in that of wanted. */
static m3_status exchange_parts(m3_trade *r, const uint64_t *asked, const uint64_t *wanted, const void *mine,
                                void *to_mine, const void *theirs, void *to_theirs, uint64_t size, m3_error *err)
{
    const unsigned char *from_mine = mine, *from_theirs = theirs;
    unsigned char *into_mine = to_mine, *into_theirs = to_theirs;
    memset(r->parcels, 0, r->ranks * sizeof *r->parcels);
    for (uint32_t i = 0; i < r->ranks; i++) {
        const uint64_t own = (asked[i + 1] - asked[i]) * size, other = (wanted[i + 1] - wanted[i]) * size;
        if (from_mine != NULL)
            r->parcels[i] = (m3_parcel){from_mine + asked[i] * size, own, into_theirs + wanted[i] * size, other};
        else
            r->parcels[i] = (m3_parcel){from_theirs + wanted[i] * size, other, into_mine + asked[i] * size, own};
    }
    return run(r, err);
}

/* With a quarter more, so that it seldom grows. */
static uint64_t with_more(uint64_t count)
{
    return count + count / 4 + 1;
}

m3_status m3_trade_make_room(m3_trade *r, uint64_t count, m3_error *err)
{
    const uint64_t wanted = r->wanted[r->ranks], width = r->width != 0 ? r->width : 1;
    if (count < wanted) count = wanted;
    if (count < r->room) return M3_OK;
    const uint64_t room = with_more(count);
    m3_free(r->rows);
    m3_free(r->sum_ids);
    m3_free(r->sum_rows);
    r->room = 0;
    r->rows = m3_calloc(room * width, sizeof *r->rows);
    r->sum_ids = m3_calloc(room, sizeof *r->sum_ids);
    r->sum_rows = m3_calloc(room * width, sizeof *r->sum_rows);
    if (r->rows == NULL || r->sum_ids == NULL || r->sum_rows == NULL)
        return M3_FAIL_MEMORY(err, "rows", room * (2 * width * sizeof *r->rows + sizeof *r->sum_ids));
    r->room = room;
    return M3_OK;
}

static m3_status make_id_room(m3_trade *r, uint64_t own, uint64_t others, m3_error *err)
{
    if (own >= r->own_room) {
        m3_free(r->own_soon);
        r->own_room = 0;
        if ((r->own_soon = m3_calloc(with_more(own), 1)) == NULL) return M3_FAIL_MEMORY(err, "rows", own);
        r->own_room = with_more(own);
    }
    if (others >= r->id_room) {
        const uint64_t room = with_more(others);
        m3_free(r->ids);
        m3_free(r->some);
        m3_free(r->soon);
        r->id_room = 0;
        r->ids = m3_calloc(room, sizeof *r->ids);
        r->some = m3_calloc(room, sizeof *r->some);
        r->soon = m3_calloc(room, 1);
        if (r->ids == NULL || r->some == NULL || r->soon == NULL)
            return M3_FAIL_MEMORY(err, "rows", room * (2 * sizeof *r->ids + 1));
        r->id_room = room;
    }
    if (own > 0) memset(r->own_soon, 0, own);
    if (others > 0) memset(r->soon, 0, others);
    return M3_OK;
}

/* How many of its rows each owner is asked for. */
static void count_asked(m3_trade *r, const int32_t *ids, uint64_t count)
{
    uint64_t at = 0;
    for (uint32_t i = 0; i < r->ranks; i++) {
        const uint64_t end = m3_share_begin(r->total, i + 1, r->ranks);
        r->asked[i] = at;
        while (at < count && (uint64_t)(uint32_t)ids[at] < end) at++;
        r->counts[i] = at - r->asked[i];
    }
    r->asked[r->ranks] = at;
}

m3_status m3_trade_ask(m3_trade *r, const int32_t *ids, uint64_t count, m3_error *err)
{
    m3_status st;
    uint64_t *others = r->counts + r->ranks;
    count_asked(r, ids, count);
    for (uint32_t i = 0; i < r->ranks; i++)
        r->parcels[i] = (m3_parcel){&r->counts[i], sizeof *others, &others[i], sizeof *others};
    if ((st = run(r, err)) != M3_OK) return st;
    for (uint32_t i = 0; i < r->ranks; i++) r->wanted[i + 1] = r->wanted[i] + others[i];
    const uint64_t wanted = r->wanted[r->ranks];
    if ((st = make_id_room(r, r->asked[r->ranks], wanted, err)) != M3_OK) return st;
    if (!r->lean && (st = m3_trade_make_room(r, wanted, err)) != M3_OK) return st;
    if ((st = exchange_parts(r, r->asked, r->wanted, ids, NULL, NULL, r->ids, sizeof *ids, err)) != M3_OK) return st;
    for (uint64_t i = 0; i < wanted; i++) r->ids[i] -= (int32_t)r->begin;
    return M3_OK;
}

/* Whether some of this rank's rows are taken, a bit each. */
static void take(m3_trade *r, const m3_trade *before, bool taken)
{
    for (uint64_t i = 0; i < before->wanted[before->ranks]; i++) {
        const uint32_t id = (uint32_t)before->ids[i];
        const unsigned char bit = (unsigned char)(1u << id % 8);
        r->taken[id / 8] = (unsigned char)(taken ? r->taken[id / 8] | bit : r->taken[id / 8] & ~bit);
    }
}

m3_status m3_trade_mark(m3_trade *r, const m3_trade *before, m3_error *err)
{
    const uint64_t bytes = m3_share_begin(r->total, 1, r->ranks) / 8 + 1;
    if (r->taken == NULL && (r->taken = m3_calloc(bytes, 1)) == NULL) return M3_FAIL_MEMORY(err, "rows", bytes);
    take(r, before, true);
    for (uint64_t i = 0; i < r->wanted[r->ranks]; i++) {
        const uint32_t id = (uint32_t)r->ids[i];
        r->soon[i] = (r->taken[id / 8] >> id % 8 & 1) == 0;
    }
    take(r, before, false);
    return exchange_parts(r, r->asked, r->wanted, NULL, r->own_soon, r->soon, NULL, 1, err);
}

uint64_t m3_trade_list(m3_trade *r, bool soon)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < r->wanted[r->ranks]; i++)
        if ((r->soon[i] != 0) == soon) r->some[count++] = r->ids[i];
    return count;
}

uint64_t m3_trade_soon(const m3_trade *r)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < r->asked[r->ranks]; i++) count += r->own_soon[i];
    return count;
}

/* Where some of the rows of each rank begin when they alone lie one behind the other. */
static void count_some(uint32_t ranks, const uint64_t *all, const unsigned char *is_soon, bool soon, uint64_t *some)
{
    some[0] = 0;
    for (uint32_t i = 0; i < ranks; i++) {
        some[i + 1] = some[i];
        for (uint64_t k = all[i]; k < all[i + 1]; k++) some[i + 1] += (is_soon[k] != 0) == soon;
    }
}

m3_status m3_trade_give_some(m3_trade *r, bool soon, const float *from, float *to, m3_error *err)
{
    uint64_t *asked = r->parts, *wanted = r->parts + r->ranks + 1;
    count_some(r->ranks, r->asked, r->own_soon, soon, asked);
    count_some(r->ranks, r->wanted, r->soon, soon, wanted);
    return exchange_parts(r, asked, wanted, NULL, to, from, NULL, r->width * sizeof *to, err);
}

void m3_trade_merge(const m3_trade *r, const float *given, float *to)
{
    const float *soon = given, *later = given + m3_trade_soon(r) * r->width;
    for (uint64_t i = 0; i < r->asked[r->ranks]; i++) {
        const float **from = r->own_soon[i] != 0 ? &soon : &later;
        memcpy(to + i * r->width, *from, r->width * sizeof *to);
        *from += r->width;
    }
}

static void take_rows(m3_trade *to, const m3_trade *from)
{
    to->lean = from->lean;
    to->room = from->room;
    to->rows = from->rows;
    to->sum_ids = from->sum_ids;
    to->sum_rows = from->sum_rows;
    to->sums = from->sums;
}

void m3_trade_swap(m3_trade *a, m3_trade *b)
{
    const m3_trade one = *a, other = *b;
    *a = other;
    *b = one;
    take_rows(a, &one);
    take_rows(b, &other);
}

m3_status m3_trade_give(m3_trade *r, float *to, m3_error *err)
{
    return exchange_parts(r, r->asked, r->wanted, NULL, to, r->rows, NULL, r->width * sizeof *to, err);
}

m3_status m3_trade_return(m3_trade *r, const float *from, m3_error *err)
{
    return exchange_parts(r, r->asked, r->wanted, from, NULL, NULL, r->rows, r->width * sizeof *from, err);
}

/* The lowest id that a rank has not added yet; INT32_MAX at the end. */
static int32_t lowest(const m3_trade *r, const uint64_t *at)
{
    int32_t id = INT32_MAX;
    for (uint32_t i = 0; i < r->ranks; i++)
        if (at[i] < r->wanted[i + 1] && r->ids[at[i]] < id) id = r->ids[at[i]];
    return id;
}

double m3_trade_add_up(m3_trade *r, float factor)
{
    double squares = 0.0;
    uint64_t *at = r->counts; /* of each rank, what comes next */
    memcpy(at, r->wanted, r->ranks * sizeof *at);
    r->sums = 0;
    for (int32_t id = lowest(r, at); id != INT32_MAX; id = lowest(r, at)) {
        float *sum = r->sum_rows + r->sums * r->width;
        bool first = true;
        for (uint32_t i = 0; i < r->ranks; i++) {
            if (at[i] == r->wanted[i + 1] || r->ids[at[i]] != id) continue;
            const float *row = r->rows + at[i]++ * r->width;
            for (uint32_t k = 0; k < r->width; k++) sum[k] = first ? row[k] : sum[k] + row[k];
            first = false;
        }
        for (uint32_t k = 0; k < r->width; k++) {
            sum[k] *= factor;
            squares += (double)sum[k] * (double)sum[k];
        }
        r->sum_ids[r->sums++] = id;
    }
    return squares;
}
