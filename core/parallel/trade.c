/* trade: see the header. Two exchanges ask: how many, then which. */
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
    if (r->asked != NULL && r->wanted != NULL && r->counts != NULL && r->parcels != NULL) return M3_OK;
    return M3_FAIL_MEMORY(err, "rows", ranks * (4 * sizeof *r->asked + sizeof *r->parcels));
}

void m3_trade_fini(m3_trade *r)
{
    m3_free(r->asked);
    m3_free(r->wanted);
    m3_free(r->counts);
    m3_free(r->parcels);
    m3_free(r->ids);
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

/* Parts of `mine`, in the order of r->asked, against parts of `theirs`, in that of r->wanted. */
static m3_status exchange_parts(m3_trade *r, const void *mine, void *to_mine, const void *theirs, void *to_theirs,
                                uint64_t size, m3_error *err)
{
    const unsigned char *from_mine = mine, *from_theirs = theirs;
    unsigned char *into_mine = to_mine, *into_theirs = to_theirs;
    memset(r->parcels, 0, r->ranks * sizeof *r->parcels);
    for (uint32_t i = 0; i < r->ranks; i++) {
        const uint64_t asked = (r->asked[i + 1] - r->asked[i]) * size;
        const uint64_t wanted = (r->wanted[i + 1] - r->wanted[i]) * size;
        if (from_mine != NULL)
            r->parcels[i] =
                (m3_parcel){from_mine + r->asked[i] * size, asked, into_theirs + r->wanted[i] * size, wanted};
        else
            r->parcels[i] =
                (m3_parcel){from_theirs + r->wanted[i] * size, wanted, into_mine + r->asked[i] * size, asked};
    }
    return run(r, err);
}

/* For as many rows as are wanted, with a quarter more. What is there is lost. */
static m3_status make_room(m3_trade *r, uint64_t count, m3_error *err)
{
    const uint64_t room = count + count / 4 + 1, width = r->width != 0 ? r->width : 1;
    if (count <= r->room) return M3_OK;
    m3_free(r->ids);
    m3_free(r->rows);
    m3_free(r->sum_ids);
    m3_free(r->sum_rows);
    r->room = 0;
    r->ids = m3_calloc(room, sizeof *r->ids);
    r->rows = m3_calloc(room * width, sizeof *r->rows);
    r->sum_ids = m3_calloc(room, sizeof *r->sum_ids);
    r->sum_rows = m3_calloc(room * width, sizeof *r->sum_rows);
    if (r->ids == NULL || r->rows == NULL || r->sum_ids == NULL || r->sum_rows == NULL)
        return M3_FAIL_MEMORY(err, "rows", 2 * room * (width * sizeof *r->rows + sizeof *r->ids));
    r->room = room;
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
    if ((st = make_room(r, wanted, err)) != M3_OK) return st;
    if ((st = exchange_parts(r, ids, NULL, NULL, r->ids, sizeof *ids, err)) != M3_OK) return st;
    for (uint64_t i = 0; i < wanted; i++) r->ids[i] -= (int32_t)r->begin;
    return M3_OK;
}

m3_status m3_trade_give(m3_trade *r, float *to, m3_error *err)
{
    return exchange_parts(r, NULL, to, r->rows, NULL, r->width * sizeof *to, err);
}

m3_status m3_trade_return(m3_trade *r, const float *from, m3_error *err)
{
    return exchange_parts(r, from, NULL, NULL, r->rows, r->width * sizeof *from, err);
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
