/* group: opens a collectives plugin, and makes sums, broadcasts and agreements of its one operation. */
#include "core/parallel/group.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/option.h"
#include "core/runtime/engine.h"

enum { PIECE = 1 << 20 /* values that a sum moves at once; two pieces are under way */ };

struct m3_member {
    const m3_collectives_api *api;
    m3_rank *rank;
    uint32_t number, count;
    double waited;
    uint64_t sent;
    m3_parcel *parcels; /* [count], of the exchange that is being started */
    float *received[2]; /* [PIECE + count] each; what a sum gets from others, of two pieces in turns */
};

struct m3_group {
    const m3_collectives_api *api;
    m3_collectives *opened;
    m3_collectives_info info;
    uint32_t here;
    m3_member members[];
};

/* Opening. */

static m3_status check_info(const m3_collectives_info *info, const char *name, uint32_t here, m3_error *err)
{
    if (info->here == here && info->first < info->ranks && info->ranks - info->first >= here) return M3_OK;
    return M3_FAIL(err, M3_ERR_ABI, name,
                   "the plugin gave ranks %u to %u of %u where %u were asked for; its info is wrong", info->first,
                   info->first + info->here, info->ranks, here);
}

static m3_status open_member(m3_group *group, uint32_t index, m3_error *err)
{
    m3_member *m = &group->members[index];
    const uint32_t count = group->info.ranks;
    *m = (m3_member){.api = group->api, .number = group->info.first + index, .count = count};
    m->parcels = m3_calloc(count, sizeof *m->parcels);
    if (m->parcels == NULL) return M3_FAIL_MEMORY(err, "group", count * sizeof *m->parcels);
    for (uint32_t i = 0; i < 2 && count > 1; i++) {
        m->received[i] = m3_calloc((size_t)PIECE + count, sizeof(float));
        if (m->received[i] == NULL) return M3_FAIL_MEMORY(err, "group", ((size_t)PIECE + count) * sizeof(float));
    }
    return m->api->rank(group->opened, index, &m->rank, err);
}

/* The other processes are in the group already: they must hear why this one leaves. */
static void leave(m3_group *group, const m3_error *why)
{
    m3_rank *rank = NULL;
    if (why != NULL && group->opened != NULL && group->api->rank(group->opened, 0, &rank, NULL) == M3_OK)
        group->api->fail(rank, why);
    m3_group_close(group);
}

m3_status m3_group_open(m3_engine *engine, const char *name, uint32_t here, double seconds, m3_span options,
                        m3_group **group, m3_error *err)
{
    char known[512], skipped[512], what[64];
    m3_option *checked = NULL;
    uint32_t count = 0;
    m3_error why = {0};
    *group = NULL;
    const m3_plugin_entry *entry = m3_registry_find(&engine->registry, M3_PLUGIN_COLLECTIVES, name);
    if (entry == NULL)
        return M3_FAIL(err, M3_ERR_INVALID, name, "there is no collectives plugin '%s'; loaded are: %s%s", name,
                       m3_registry_names(&engine->registry, M3_PLUGIN_COLLECTIVES, known, sizeof known),
                       m3_registry_skipped(&engine->registry, name, skipped, sizeof skipped));
    if (here == 0) return M3_FAIL(err, M3_ERR_INVALID, name, "0 ranks are no group; ask for at least 1");
    m3_group *made = m3_calloc(1, sizeof *made + here * sizeof(m3_member));
    if (made == NULL) return M3_FAIL_MEMORY(err, name, sizeof *made + here * sizeof(m3_member));
    made->api = &entry->collectives;
    made->here = here;
    (void)snprintf(what, sizeof what, "collectives %s", name);
    m3_status st = m3_options_check(made->api->options, options, what, &checked, &count, &why);
    const m3_span given = {count, sizeof *checked, checked};
    m3_visitor_tell(&engine->visitor, entry->path, "opened");
    if (st == M3_OK) st = made->api->open(&engine->host, here, seconds, given, &made->opened, &why);
    made->info.size = M3_STRUCT_SIZE(m3_collectives_info, name);
    if (st == M3_OK) st = made->api->info(made->opened, &made->info, &why);
    if (st == M3_OK) st = check_info(&made->info, name, here, &why);
    for (uint32_t i = 0; i < here && st == M3_OK; i++) st = open_member(made, i, &why);
    m3_free(checked);
    if (st == M3_OK) {
        *group = made;
        return M3_OK;
    }
    leave(made, &why);
    if (err != NULL && err->code == M3_OK) *err = why;
    return st;
}

void m3_group_close(m3_group *group)
{
    if (group == NULL) return;
    for (uint32_t i = 0; i < group->here; i++) {
        m3_free(group->members[i].parcels);
        m3_free(group->members[i].received[0]);
        m3_free(group->members[i].received[1]);
    }
    if (group->opened != NULL) group->api->close(group->opened);
    m3_free(group);
}

uint32_t m3_group_ranks(const m3_group *group)
{
    return group->info.ranks;
}

uint32_t m3_group_first(const m3_group *group)
{
    return group->info.first;
}

uint32_t m3_group_here(const m3_group *group)
{
    return group->here;
}

const char *m3_group_name(const m3_group *group)
{
    return group->info.name;
}

m3_member *m3_group_member(m3_group *group, uint32_t index)
{
    return &group->members[index];
}

uint32_t m3_member_rank(const m3_member *member)
{
    return member != NULL ? member->number : 0;
}

uint32_t m3_member_count(const m3_member *member)
{
    return member != NULL ? member->count : 1;
}

double m3_member_waited(const m3_member *member)
{
    return member != NULL ? member->waited : 0.0;
}

uint64_t m3_member_sent(const m3_member *member)
{
    return member != NULL ? member->sent : 0;
}

void m3_member_fail(m3_member *member, const m3_error *why)
{
    if (member != NULL) member->api->fail(member->rank, why);
}

static bool is_alone(const m3_member *m)
{
    return m == NULL || m->count == 1;
}

/* Exchanges. */

static void clear(m3_member *m)
{
    memset(m->parcels, 0, m->count * sizeof *m->parcels);
}

m3_status m3_member_start(m3_member *member, const m3_parcel *parcels, m3_exchange **exchange, m3_error *err)
{
    for (uint32_t i = 0; i < member->count; i++)
        if (i != member->number) member->sent += parcels[i].send_bytes;
    return member->api->exchange(member->rank, parcels, exchange, err);
}

m3_status m3_member_finish(m3_member *member, m3_exchange **exchange, m3_error *err)
{
    if (*exchange == NULL) return M3_OK;
    const double begin = m3_seconds();
    const m3_status st = member->api->wait(member->rank, *exchange, err);
    member->waited += m3_seconds() - begin;
    *exchange = NULL;
    return st;
}

static m3_status run(m3_member *m, m3_error *err)
{
    m3_exchange *exchange = NULL;
    const m3_status st = m3_member_start(m, m->parcels, &exchange, err);
    return st == M3_OK ? m3_member_finish(m, &exchange, err) : st;
}

/* What of `count` elements rank `rank` has to do with: [begin, end). */
typedef struct slice {
    uint64_t begin, end, each; /* each: of the longest slice */
} slice;

static slice slice_of(uint64_t count, uint32_t ranks, uint32_t rank)
{
    const uint64_t each = count / ranks + (count % ranks != 0);
    const uint64_t begin = rank * each < count ? rank * each : count;
    return (slice){begin, count - begin > each ? begin + each : count, each};
}

/* Sums. */

typedef struct piece {
    float *values;
    uint64_t count;
    float *received; /* slice of rank i at i * each */
} piece;

static piece piece_of(const m3_member *m, float *values, uint64_t count, uint64_t index)
{
    const uint64_t begin = index * PIECE;
    return (piece){values + begin, count - begin < PIECE ? count - begin : PIECE, m->received[index % 2]};
}

/* To each rank what it adds up, from each what this one does. */
static m3_status start_scatter(m3_member *m, const piece *p, m3_exchange **exchange, m3_error *err)
{
    const slice mine = slice_of(p->count, m->count, m->number);
    clear(m);
    for (uint32_t i = 0; i < m->count; i++) {
        const slice theirs = slice_of(p->count, m->count, i);
        if (i == m->number) continue;
        m->parcels[i] = (m3_parcel){p->values + theirs.begin, (theirs.end - theirs.begin) * sizeof(float),
                                    p->received + i * mine.each, (mine.end - mine.begin) * sizeof(float)};
    }
    return m3_member_start(m, m->parcels, exchange, err);
}

static void add_up(const m3_member *m, const piece *p)
{
    const slice mine = slice_of(p->count, m->count, m->number);
    const uint64_t count = mine.end - mine.begin;
    float *own = p->values + mine.begin, *sum = p->received; /* of rank 0 first, then in their order */
    if (m->number == 0) memcpy(sum, own, count * sizeof(float));
    for (uint32_t i = 1; i < m->count; i++) {
        const float *more = i == m->number ? own : p->received + i * mine.each;
        for (uint64_t j = 0; j < count; j++) sum[j] += more[j];
    }
    memcpy(own, sum, count * sizeof(float));
}

/* Everybody's slice of `bytes` bytes to everybody; `idle` has all already, and takes none. */
static m3_status start_gather(m3_member *m, void *data, uint64_t count, uint64_t size, uint32_t idle,
                              m3_exchange **exchange, m3_error *err)
{
    const slice mine = slice_of(count, m->count, m->number);
    unsigned char *bytes = data;
    clear(m);
    for (uint32_t i = 0; i < m->count; i++) {
        const slice theirs = slice_of(count, m->count, i);
        if (i == m->number) continue;
        m->parcels[i].send = bytes + mine.begin * size;
        m->parcels[i].send_bytes = i != idle ? (mine.end - mine.begin) * size : 0;
        m->parcels[i].receive = bytes + theirs.begin * size;
        m->parcels[i].receive_bytes = m->number != idle ? (theirs.end - theirs.begin) * size : 0;
    }
    return m3_member_start(m, m->parcels, exchange, err);
}

#define NONE_IDLE UINT32_MAX

/* While a piece is added up, the next one arrives and the one before goes out. */
m3_status m3_member_sum(m3_member *member, float *values, uint64_t count, m3_error *err)
{
    m3_exchange *arriving[2] = {NULL, NULL}, *leaving = NULL;
    const uint64_t pieces = is_alone(member) ? 0 : count / PIECE + (count % PIECE != 0);
    m3_status st = M3_OK;
    for (uint64_t i = 0; i <= pieces && st == M3_OK && pieces > 0; i++) {
        if (i < pieces) {
            const piece next = piece_of(member, values, count, i);
            st = start_scatter(member, &next, &arriving[i % 2], err);
        }
        if (i == 0 || st != M3_OK) continue;
        const piece p = piece_of(member, values, count, i - 1);
        if ((st = m3_member_finish(member, &arriving[(i - 1) % 2], err)) != M3_OK) break;
        add_up(member, &p);
        if ((st = m3_member_finish(member, &leaving, err)) != M3_OK) break;
        st = start_gather(member, p.values, p.count, sizeof(float), NONE_IDLE, &leaving, err);
    }
    if (st == M3_OK) st = m3_member_finish(member, &leaving, err);
    for (uint32_t i = 0; i < 2; i++) (void)m3_member_finish(member, &arriving[i], NULL); /* of a group that is broken */
    (void)m3_member_finish(member, &leaving, NULL);
    return st;
}

/* Of one piece: all but the own slice, then the own one to all others. Rank 0 has the longest slice. */
static uint64_t piece_traffic(uint64_t count, uint32_t ranks)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < ranks; i++) {
        const slice mine = slice_of(count, ranks, i);
        const uint64_t own = mine.end - mine.begin, sent = count - own + (ranks - 1) * own;
        if (sent > most) most = sent;
    }
    return most * sizeof(float);
}

uint64_t m3_sum_traffic(uint64_t count, uint32_t ranks)
{
    if (ranks == 1) return 0;
    return count / PIECE * piece_traffic(PIECE, ranks) + piece_traffic(count % PIECE, ranks);
}

uint64_t m3_sum_room(uint32_t ranks)
{
    return ranks == 1 ? 0 : 2 * ((uint64_t)PIECE + ranks) * sizeof(float);
}

/* The others. */

m3_status m3_member_broadcast(m3_member *member, uint32_t root, void *data, uint64_t bytes, m3_error *err)
{
    m3_exchange *exchange = NULL;
    unsigned char *all = data;
    if (is_alone(member) || bytes == 0) return M3_OK;
    clear(member);
    for (uint32_t i = 0; i < member->count; i++) {
        const slice theirs = slice_of(bytes, member->count, i);
        if (member->number != root || i == root) continue;
        member->parcels[i].send = all + theirs.begin;
        member->parcels[i].send_bytes = theirs.end - theirs.begin;
    }
    if (member->number != root) {
        const slice mine = slice_of(bytes, member->count, member->number);
        member->parcels[root].receive = all + mine.begin;
        member->parcels[root].receive_bytes = mine.end - mine.begin;
    }
    m3_status st = run(member, err);
    if (st == M3_OK) st = start_gather(member, data, bytes, 1, root, &exchange, err);
    return st == M3_OK ? m3_member_finish(member, &exchange, err) : st;
}

m3_status m3_member_gather(m3_member *member, const void *mine, uint64_t bytes, void *all, m3_error *err)
{
    unsigned char *to = all;
    unsigned char *own = to + m3_member_rank(member) * bytes;
    if (own != mine && bytes > 0) memcpy(own, mine, bytes);
    if (is_alone(member) || bytes == 0) return M3_OK;
    clear(member);
    for (uint32_t i = 0; i < member->count; i++)
        if (i != member->number) member->parcels[i] = (m3_parcel){own, bytes, to + i * bytes, bytes};
    return run(member, err);
}

m3_status m3_member_collect(m3_member *member, const void *mine, const uint64_t *bytes, void *all, m3_error *err)
{
    const uint32_t rank = m3_member_rank(member);
    unsigned char *to = all;
    if (rank == 0 && bytes[0] > 0) memcpy(to, mine, bytes[0]);
    if (is_alone(member)) return M3_OK;
    clear(member);
    if (rank != 0) member->parcels[0] = (m3_parcel){.send = mine, .send_bytes = bytes[rank]};
    for (uint32_t i = 1; i < member->count && rank == 0; i++) {
        to += bytes[i - 1];
        member->parcels[i] = (m3_parcel){.receive = to, .receive_bytes = bytes[i]};
    }
    return run(member, err);
}
