/* collectives_ranks: the checks of a collectives plugin, as one rank makes them. */
#include <stdarg.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/conformance/collectives.h"

enum { MANY = 5 /* exchanges under way at once */, GUARD = 64 /* bytes around what is received */ };

void m3_rank_wrong(m3_rank_probe *p, const char *format, ...)
{
    if (p->wrong[0] != 0) return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(p->wrong, sizeof p->wrong, format, args);
    va_end(args);
}

static m3_status no_memory(m3_rank_probe *p, uint64_t bytes, m3_error *err)
{
    m3_error why = {0};
    const m3_status st = M3_FAIL_MEMORY(&why, "conformance", bytes);
    m3_member_fail(p->member, &why);
    if (err != NULL && err->code == M3_OK) *err = why;
    return st;
}

static uint32_t mix(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t x = a * 2654435761u ^ b * 2246822519u ^ c * 3266489917u;
    x ^= x >> 15;
    x *= 2246822519u;
    return x ^ x >> 13;
}

/* Parcels. */

/* One exchange: what goes from rank to rank, and how much, follows from both and from `salt`. */
typedef struct trade {
    uint32_t salt, largest;
    m3_exchange *exchange;
    m3_parcel *parcels;
    unsigned char *block;
} trade;

static uint64_t parcel_bytes(const trade *t, uint32_t from, uint32_t to)
{
    const uint32_t x = mix(from, to, t->salt);
    return x % 4 == 0 ? 0 : x % (t->largest + 1);
}

/* Of byte 0; the others follow from it. */
static uint32_t parcel_start(const trade *t, uint32_t from, uint32_t to)
{
    return mix(from, to, t->salt + 1);
}

static unsigned char byte_at(uint32_t start, uint64_t i)
{
    return (unsigned char)(start + i * 31 + (i >> 8));
}

static m3_status trade_begin(m3_rank_probe *p, trade *t, m3_error *err)
{
    uint64_t bytes = 0, at = 0;
    for (uint32_t i = 0; i < p->ranks; i++)
        bytes += parcel_bytes(t, p->rank, i) + parcel_bytes(t, i, p->rank) + 2 * GUARD;
    t->block = m3_calloc(bytes, 1);
    t->parcels = m3_calloc(p->ranks, sizeof *t->parcels);
    if (t->block == NULL || t->parcels == NULL) return no_memory(p, bytes, err);
    memset(t->block, 0xa5, bytes);
    for (uint32_t i = 0; i < p->ranks; i++) {
        m3_parcel *parcel = &t->parcels[i];
        unsigned char *send = t->block + at;
        *parcel = (m3_parcel){.send_bytes = parcel_bytes(t, p->rank, i), .receive_bytes = parcel_bytes(t, i, p->rank)};
        const uint32_t start = parcel_start(t, p->rank, i);
        for (uint64_t k = 0; k < parcel->send_bytes; k++) send[k] = byte_at(start, k);
        parcel->send = parcel->send_bytes > 0 ? send : NULL;
        parcel->receive = parcel->receive_bytes > 0 ? send + parcel->send_bytes + GUARD : NULL;
        at += parcel->send_bytes + parcel->receive_bytes + 2 * GUARD;
    }
    return m3_member_start(p->member, t->parcels, &t->exchange, err);
}

static void compare(m3_rank_probe *p, const trade *t)
{
    const unsigned char *at = t->block;
    for (uint32_t i = 0; i < p->ranks; i++) {
        const m3_parcel *parcel = &t->parcels[i];
        const unsigned char *received = at + parcel->send_bytes + GUARD;
        const uint32_t sent = parcel_start(t, p->rank, i), start = parcel_start(t, i, p->rank);
        for (uint64_t k = 0; k < parcel->receive_bytes; k++)
            if (received[k] != byte_at(start, k))
                m3_rank_wrong(p, "byte %llu of the %llu from rank %u to rank %u is %u, must be %u",
                              (unsigned long long)k, (unsigned long long)parcel->receive_bytes, i, p->rank, received[k],
                              byte_at(start, k));
        for (uint32_t k = 0; k < GUARD; k++)
            if (received[-1 - (int)k] != 0xa5 || received[parcel->receive_bytes + k] != 0xa5)
                m3_rank_wrong(p, "bytes beside those from rank %u to rank %u were written", i, p->rank);
        for (uint64_t k = 0; k < parcel->send_bytes; k++)
            if (at[k] != byte_at(sent, k)) m3_rank_wrong(p, "what rank %u sent to rank %u was written", p->rank, i);
        at += parcel->send_bytes + parcel->receive_bytes + 2 * GUARD;
    }
}

/* Ends it, also when the group is broken. */
static m3_status trade_end(m3_rank_probe *p, trade *t, m3_error *err)
{
    m3_status st = m3_member_finish(p->member, &t->exchange, err);
    if (st == M3_OK && t->parcels != NULL) compare(p, t);
    m3_free(t->block);
    m3_free(t->parcels);
    return st;
}

static m3_status check_trades(m3_rank_probe *p, uint32_t count, uint32_t largest, uint32_t salt, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < count && st == M3_OK; i++) {
        trade t = {.salt = salt + i, .largest = largest};
        st = trade_begin(p, &t, err);
        const m3_status ended = trade_end(p, &t, st == M3_OK ? err : NULL);
        if (st == M3_OK) st = ended;
    }
    return st;
}

static m3_status check_sizes(m3_rank_probe *p, m3_error *err)
{
    const m3_status st = check_trades(p, 8, 3, 100, err);
    return st == M3_OK ? check_trades(p, 8, 5000, 200, err) : st;
}

static m3_status check_large(m3_rank_probe *p, m3_error *err)
{
    return check_trades(p, 2, 2000000, 300, err);
}

static m3_status check_order(m3_rank_probe *p, m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t round = 0; round < MANY && st == M3_OK; round++) {
        trade trades[MANY];
        memset(trades, 0, sizeof trades);
        for (uint32_t i = 0; i < MANY && st == M3_OK; i++) {
            trades[i] = (trade){.salt = 400 + round * MANY + i, .largest = 3000};
            st = trade_begin(p, &trades[i], err);
        }
        for (uint32_t i = 0; i < MANY; i++) {
            const uint32_t place = (p->rank * (round + 1) + i) % MANY;
            const m3_status ended =
                trade_end(p, &trades[p->rank % 2 != 0 ? MANY - 1 - place : place], st == M3_OK ? err : NULL);
            if (st == M3_OK) st = ended;
        }
    }
    return st;
}

/* What core/parallel makes of it. */

/* Of all sizes and signs, so that another order of a sum has other bits. */
static float value(uint32_t rank, uint64_t i)
{
    const uint32_t x = mix(rank, (uint32_t)i, 7);
    const float size = (x & 1) ? 1e-3f : (x & 2) ? 1.0f : 1e4f;
    return ((float)(x >> 8) / 8388608.0f - 1.0f) * size;
}

static m3_status check_sum(m3_rank_probe *p, float *values, uint64_t count, m3_error *err)
{
    for (uint64_t i = 0; i <= count; i++) values[i] = value(p->rank, i);
    const m3_status st = m3_member_sum(p->member, values, count, err);
    for (uint64_t i = 0; i < count && st == M3_OK; i++) {
        float want = value(0, i);
        for (uint32_t r = 1; r < p->ranks; r++) want += value(r, i);
        if (memcmp(&want, &values[i], sizeof want) != 0)
            m3_rank_wrong(p, "of %llu sums, number %llu is %.9g, a loop over the ranks gives %.9g",
                          (unsigned long long)count, (unsigned long long)i, (double)values[i], (double)want);
    }
    if (st == M3_OK && values[count] != value(p->rank, count))
        m3_rank_wrong(p, "a sum of %llu values wrote behind them", (unsigned long long)count);
    return st;
}

static m3_status check_sums(m3_rank_probe *p, m3_error *err)
{
    static const uint64_t counts[] = {0, 1, 2, 5, 1023, (1 << 20) + 1}; /* the last has two pieces */
    enum { COUNTS = sizeof counts / sizeof counts[0] };
    m3_status st = M3_OK;
    float *values = m3_calloc(counts[COUNTS - 1] + 1, sizeof *values);
    if (values == NULL) return no_memory(p, (counts[COUNTS - 1] + 1) * sizeof *values, err);
    for (size_t i = 0; i < COUNTS && st == M3_OK; i++) st = check_sum(p, values, counts[i], err);
    m3_free(values);
    return st;
}

static void fill(unsigned char *bytes, uint64_t count, uint32_t rank)
{
    for (uint64_t i = 0; i < count; i++) bytes[i] = (unsigned char)mix(rank, (uint32_t)i, 8);
}

static bool is_filled(const unsigned char *bytes, uint64_t count, uint32_t rank)
{
    for (uint64_t i = 0; i < count; i++)
        if (bytes[i] != (unsigned char)mix(rank, (uint32_t)i, 8)) return false;
    return true;
}

static m3_status check_bytes(m3_rank_probe *p, m3_error *err)
{
    static const uint64_t counts[] = {0, 1, 3, 4, 4099};
    unsigned char mine[4099];
    unsigned char *all = m3_calloc(p->ranks, sizeof mine);
    m3_status st = M3_OK;
    if (all == NULL) return no_memory(p, p->ranks * sizeof mine, err);
    for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
        for (uint32_t root = 0; root < p->ranks && st == M3_OK; root++) {
            fill(mine, counts[k], p->rank);
            st = m3_member_broadcast(p->member, root, mine, counts[k], err);
            if (st == M3_OK && !is_filled(mine, counts[k], root))
                m3_rank_wrong(p, "a broadcast of %llu bytes from rank %u gave others", (unsigned long long)counts[k],
                              root);
        }
        fill(mine, counts[k], p->rank);
        if (st == M3_OK) st = m3_member_gather(p->member, mine, counts[k], all, err);
        for (uint32_t i = 0; i < p->ranks && st == M3_OK; i++)
            if (!is_filled(all + i * counts[k], counts[k], i))
                m3_rank_wrong(p, "a gather of %llu bytes gave others of rank %u", (unsigned long long)counts[k], i);
    }
    m3_free(all);
    return st;
}

static m3_status check_agreement(m3_rank_probe *p, m3_error *err)
{
    m3_error differs = {0};
    m3_status st = m3_member_agree(p->member, "settings", "width: 8\nseed: 1\n", err);
    if (st != M3_OK || p->ranks == 1) return st;
    const bool last = p->rank == p->ranks - 1;
    st = m3_member_agree(p->member, "settings", last ? "width: 8\nseed: 12\n" : "width: 8\nseed: 1\n", &differs);
    if (st != M3_ERR_INVALID || strstr(differs.message, "\"seed: 12\"") == NULL)
        m3_rank_wrong(p, "texts that differ gave '%s'", differs.message);
    return M3_OK;
}

const m3_rank_check m3_rank_checks[] = {
    {"collectives.sizes", "parcels of all sizes, of 0 bytes and to a rank itself arrive, and nothing else is written",
     check_sizes, 0},
    {"collectives.large", "so do parcels of megabytes", check_large, 0},
    {"collectives.order", "of several exchanges under way each has its own bytes, in whatever order they are ended",
     check_order, 0},
    {"collectives.sums", "sums have the bits of a loop over the ranks in their order", check_sums, 0},
    {"collectives.bytes", "broadcasts and gathers have the bytes of the ranks", check_bytes, 0},
    {"collectives.agreement", "ranks that have the same text agree, and one that has another is named", check_agreement,
     0},
    {NULL, NULL, NULL, 0},
};

/* Faults: all ranks are of this process. The last rank is to blame. */

static void expect_fault(m3_rank_probe *p, m3_status st, m3_status want, const m3_error *err, const char *says)
{
    float value = 0;
    m3_error again = {0};
    if (st != want || strstr(err->message, says) == NULL)
        m3_rank_wrong(p, "status %d with '%.120s', must be %d with '%s'", (int)st, err->message, (int)want, says);
    if (m3_member_sum(p->member, &value, 1, &again) == M3_OK) m3_rank_wrong(p, "the broken group still sums");
}

static m3_status rank_fails(m3_rank_probe *p, m3_error *err)
{
    float values[3] = {1, 2, 3};
    m3_error told = {0};
    const m3_error why = {.code = M3_ERR_IO, .subject = "run/log", .message = "the disk is full"};
    m3_status st = m3_member_sum(p->member, values, 3, err);
    (void)pthread_barrier_wait(p->barrier);
    if (st != M3_OK) return st;
    if (p->rank == p->ranks - 1) m3_member_fail(p->member, &why);
    st = m3_member_sum(p->member, values, 3, &told);
    expect_fault(p, st, M3_ERR_DEVICE_LOST, &told, "the disk is full");
    return M3_OK;
}

static m3_status rank_is_silent(m3_rank_probe *p, m3_error *err)
{
    char name[32];
    m3_error told = {0};
    m3_exchange *exchange = NULL;
    m3_parcel *parcels = m3_calloc(p->ranks, sizeof *parcels);
    const bool silent = p->rank == p->ranks - 1;
    m3_status st = M3_OK;
    if (parcels == NULL) st = no_memory(p, p->ranks * sizeof *parcels, err);
    if (st == M3_OK && !silent) st = m3_member_start(p->member, parcels, &exchange, &told);
    (void)pthread_barrier_wait(p->barrier); /* the others have started */
    if (st == M3_OK && !silent) st = m3_member_finish(p->member, &exchange, &told);
    (void)pthread_barrier_wait(p->barrier); /* and waited */
    if (parcels != NULL && silent) st = m3_member_start(p->member, parcels, &exchange, &told);
    if (parcels == NULL) return st;
    m3_free(parcels);
    (void)snprintf(name, sizeof name, "rank %u", p->ranks - 1);
    expect_fault(p, st, M3_ERR_DEVICE_LOST, &told, name);
    return M3_OK;
}

static m3_status rank_differs(m3_rank_probe *p, m3_error *err)
{
    float values[64] = {0};
    m3_error told = {0};
    (void)err;
    const m3_status st = m3_member_sum(p->member, values, p->rank == p->ranks - 1 ? 64 : 32, &told);
    expect_fault(p, st, M3_ERR_INVALID, &told, "");
    return M3_OK;
}

const m3_rank_check m3_rank_faults[] = {
    {"collectives.fail", "when a rank fails, the others fail with its reason, and so does all that follows", rank_fails,
     0},
    {"collectives.silent", "a rank that is silent for too long is named, and nothing hangs", rank_is_silent, 0.2},
    {"collectives.differ", "parcels of another size than the receiver expects break the group", rank_differs, 0},
    {NULL, NULL, NULL, 0},
};
