/* ranks: see the header. n ranks share out the `accumulate` batches of a step; what each adds up is summed in their
 * order, so that with a batch a rank the sums are those of one process that adds up the same batches. */
#include "core/train/ranks.h"

#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/runtime/engine.h"
#include "core/runtime/executable.h"
#include "core/runtime/store.h"
#include "core/train/prefetch.h"
#include "m3bsr/version.h"

m3_status m3_ranks_all_fail(m3_trainer *tr, m3_status st)
{
    tr->shared.known = true;
    return st;
}

/* What was heard from others is no fault of this rank's. */

m3_status m3_ranks_heard(m3_trainer *tr, m3_status st)
{
    tr->shared.heard = tr->shared.heard || (st != M3_OK && st != M3_ERR_MEMORY); /* that is of this rank's own */
    return st;
}

m3_status m3_ranks_gather(m3_trainer *tr, const void *mine, uint64_t bytes, void *all, m3_error *err)
{
    return m3_ranks_heard(tr, m3_member_gather(tr->shared.member, mine, bytes, all, err));
}

m3_status m3_ranks_tell(m3_trainer *tr, void *data, uint64_t bytes, m3_error *err)
{
    return m3_ranks_heard(tr, m3_member_broadcast(tr->shared.member, 0, data, bytes, err));
}

static m3_status agree(m3_trainer *tr, const char *what, const char *text, m3_error *err)
{
    return m3_ranks_heard(tr, m3_member_agree(tr->shared.member, what, text, err));
}

/* Everybody's number, the same everywhere? */
static m3_status is_same(m3_trainer *tr, uint64_t number, bool *same, m3_error *err)
{
    const uint32_t ranks = tr->shared.count;
    uint64_t *all = m3_calloc(ranks, sizeof *all);
    if (all == NULL) return M3_FAIL_MEMORY(err, "ranks", ranks * sizeof *all);
    m3_status st = m3_ranks_gather(tr, &number, sizeof number, all, err);
    *same = true;
    for (uint32_t r = 1; st == M3_OK && r < ranks; r++) *same = *same && all[r] == all[0];
    m3_free(all);
    return st;
}

/* The start. */

/* Paths differ from machine to machine; what is in the files counts. */
static bool is_place(const char *key)
{
    return strcmp(key, "data") == 0 || strcmp(key, "from") == 0;
}

/* "KEY: VALUE", a line each, so that the message names the one. */
static void write_settings(const m3_trainer *tr, FILE *to)
{
    char text[M3_OPTION_BYTES];
    for (uint32_t i = 0; i < tr->settings->known; i++) {
        const m3_setting *s = &tr->settings->all[i];
        if (!is_place(s->name)) (void)fprintf(to, "%s: %s\n", s->name, m3_setting_text(s, &tr->config, text));
    }
    for (int32_t i = 0; i < tr->config.option_count; i++)
        (void)fprintf(to, "%s: %s\n", tr->config.options[i].key, tr->config.options[i].value);
}

m3_status m3_ranks_agree(m3_trainer *tr, m3_error *err)
{
    m3_status st;
    char data[40], *settings = NULL;
    size_t bytes = 0;
    if (tr->shared.count == 1) return M3_OK;
    if ((st = agree(tr, "m3bsr's version", m3_version(), err)) != M3_OK) return st;
    FILE *to = open_memstream(&settings, &bytes);
    if (to != NULL) write_settings(tr, to);
    if (to == NULL || fclose(to) != 0)
        st = M3_FAIL_MEMORY(err, "settings", bytes);
    else
        st = agree(tr, "settings", settings, err);
    free(settings); /* open_memstream's */
    if (st != M3_OK) return st;
    (void)snprintf(data, sizeof data, "content checksum %016" PRIx64, m3_dataset_content_checksum(tr->set));
    return agree(tr, "data set", data, err);
}

static uint64_t raised(uint64_t accumulate, uint64_t ranks)
{
    return (accumulate + ranks - 1) / ranks * ranks;
}

/* Of the run that goes on, unless its settings were changed: then the difference is refused where all others are. */
static void take_from_run(const m3_trainer *tr, uint64_t *accumulate)
{
    m3_settings *old = NULL;
    m3_training was = {0};
    const m3_setting *asked = m3_setting_find(tr->settings, "accumulate");
    char *path = m3_run_path(tr->run.folder, "settings.yaml");
    if (path != NULL && m3_settings_load_saved(path, &old, NULL) == M3_OK) {
        m3_settings_training(old, &was);
        if (!asked->given || raised(tr->keys.accumulate, tr->state.ranks != 0 ? tr->state.ranks : 1) == was.accumulate)
            *accumulate = was.accumulate;
    }
    m3_settings_free(old);
    m3_free(path);
}

static m3_status set_accumulate(m3_trainer *tr, uint64_t accumulate, m3_error *err)
{
    m3_status st;
    char text[40];
    if (accumulate == tr->keys.accumulate) return M3_OK;
    if ((st = m3_settings_copy(tr->settings, &tr->own, err)) != M3_OK) return st;
    (void)snprintf(text, sizeof text, "accumulate=%" PRIu64, accumulate);
    if ((st = m3_settings_set(tr->own, text, err)) != M3_OK) return st;
    tr->settings = tr->own;
    m3_settings_training(tr->own, &tr->keys);
    return M3_OK;
}

m3_status m3_ranks_share(m3_trainer *tr, m3_error *err)
{
    m3_status st;
    const m3_shared *s = &tr->shared;
    uint64_t accumulate = raised(tr->keys.accumulate, s->count);
    if (tr->goes_on) take_from_run(tr, &accumulate);
    if (s->count > 1 && (st = m3_ranks_tell(tr, &accumulate, sizeof accumulate, err)) != M3_OK) return st;
    if (s->count > 1 && accumulate == 1)
        return m3_ranks_all_fail(
            tr, M3_FAIL(err, M3_ERR_INVALID, "accumulate",
                        "is 1 in the run that goes on: a step has one batch, which %u ranks cannot share; go on with "
                        "one rank, or start a new run",
                        s->count));
    if (s->rank == 0 && accumulate < s->count)
        m3_engine_log(tr->engine, M3_LOG_WARN,
                      "a step of the run that goes on has %" PRIu64 " batches, so that %" PRIu64
                      " of %u ranks have nothing to do",
                      accumulate, s->count - accumulate, s->count);
    return set_accumulate(tr, accumulate, err);
}

m3_status m3_ranks_take_state(m3_trainer *tr, m3_error *err)
{
    m3_status st;
    struct {
        m3_trainer_state state;
        uint64_t saved, saved_steps, traced;
    } at;
    if (tr->shared.count == 1) return M3_OK;
    memset(&at, 0, sizeof at); /* padding, too */
    at.state = tr->state;
    at.saved = tr->saved;
    at.saved_steps = tr->saved_steps;
    at.traced = tr->options.profile != NULL;
    if ((st = m3_ranks_tell(tr, &at, sizeof at, err)) != M3_OK) return st;
    tr->state = at.state;
    tr->saved = at.saved != 0;
    tr->saved_steps = at.saved_steps;
    tr->shared.traced = at.traced != 0;
    return M3_OK;
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* By name, as devices may have made them in another order. */
static void put_sorted(const m3_store *store, uint32_t *list, uint32_t *count, uint32_t entry)
{
    m3_store_entry own, other;
    uint32_t at = (*count)++;
    m3_store_at(store, entry, &own);
    for (; at > 0; at--) {
        m3_store_at(store, list[at - 1], &other);
        if (strcmp(other.name, own.name) < 0) break;
        list[at] = list[at - 1];
    }
    list[at] = entry;
}

static XXH64_hash_t hash_list(const m3_store *store, const uint32_t *list, uint32_t count, XXH64_hash_t hash)
{
    for (uint32_t i = 0; i < count; i++) {
        m3_store_entry entry;
        m3_store_at(store, list[i], &entry);
        hash = XXH64(entry.name, strlen(entry.name), hash + m3_store_entry_bytes(store, list[i]));
    }
    return hash;
}

/* Move the sum of this name from `from`, where it leaves M3_NONE, to the end of `to`. */
static void take(const m3_store *store, uint32_t *from, uint32_t count, const char *name, uint32_t *to, uint32_t *at)
{
    for (uint32_t i = 0; i < count; i++) {
        m3_store_entry entry;
        if (from[i] == M3_NONE) continue;
        m3_store_at(store, from[i], &entry);
        if (name != NULL && strcmp(entry.name, name) != 0) continue;
        to[(*at)++] = from[i];
        from[i] = M3_NONE;
    }
}

/* In the order in which they are ready, as the store has them too, so that a bucket is few copies. What is in no bucket
 * goes with the last. */
static m3_status put_in_buckets(m3_trainer *tr, m3_error *err)
{
    m3_shared *s = &tr->shared;
    const m3_buckets *known = &tr->programs.buckets;
    uint32_t at = 0;
    s->buckets = known->count > 0 ? known->count : 1;
    uint32_t *ready = m3_calloc(s->summed_count, sizeof *ready);
    s->bucket_end = m3_calloc(s->buckets, sizeof *s->bucket_end);
    if (ready == NULL || s->bucket_end == NULL) {
        m3_free(ready);
        return M3_FAIL_MEMORY(err, "ranks", s->summed_count * sizeof *ready);
    }
    for (uint32_t i = 0; i < known->states; i++) {
        take(tr->store, s->summed, s->summed_count, known->names[i], ready, &at);
        s->bucket_end[known->bucket[i]] = at;
    }
    take(tr->store, s->summed, s->summed_count, NULL, ready, &at);
    s->bucket_end[s->buckets - 1] = at;
    m3_free(s->summed);
    s->summed = ready;
    return M3_OK;
}

/* Which tensors are moved, and room for them. */
static m3_status list_tensors(m3_trainer *tr, m3_error *err)
{
    m3_status st;
    m3_shared *s = &tr->shared;
    char text[40];
    const uint32_t all = m3_store_count(tr->store);
    uint64_t sums = 0, largest = 0;
    s->summed = m3_calloc(all, sizeof *s->summed);
    s->kept = m3_calloc(all, sizeof *s->kept);
    if (s->summed == NULL || s->kept == NULL) return M3_FAIL_MEMORY(err, "ranks", 2 * all * sizeof *s->kept);
    for (uint32_t i = 0; i < all; i++) {
        m3_store_entry entry;
        m3_store_at(tr->store, i, &entry);
        const uint64_t bytes = m3_store_entry_bytes(tr->store, i);
        if (starts_with(entry.name, "features")) continue; /* of the set, everywhere */
        if (starts_with(entry.name, "window.") || m3_shards_own(tr->shards, entry.name)) continue;
        if (starts_with(entry.name, "accum.")) {
            put_sorted(tr->store, s->summed, &s->summed_count, i);
            sums += bytes;
            continue;
        }
        put_sorted(tr->store, s->kept, &s->kept_count, i);
        if (bytes > largest) largest = bytes;
    }
    if ((st = put_in_buckets(tr, err)) != M3_OK) return st;
    s->bytes = sums > largest ? sums : largest;
    if ((s->data = m3_calloc((size_t)s->bytes, 1)) == NULL)
        return M3_FAIL_MEMORY(err, "sums of gradients", (size_t)s->bytes);
    XXH64_hash_t hash = XXH64(s->bucket_end, s->buckets * sizeof *s->bucket_end, 0);
    hash = hash_list(tr->store, s->summed, s->summed_count, hash);
    (void)snprintf(text, sizeof text, "%016" PRIx64, hash_list(tr->store, s->kept, s->kept_count, hash));
    return agree(tr, "the list of parameters", text, err);
}

/* One rank's part of what m3_ranks_losses() and m3_ranks_places() gather. */
static uint64_t losses_bytes(const m3_shared *s, uint64_t batches)
{
    return sizeof(m3_losses) * (1 + m3_share_begin(batches, 1, s->count));
}

static uint64_t places_count(const m3_trainer *tr, uint64_t batches)
{
    return 1 + m3_share_begin(batches, 1, tr->shared.count) * m3_trainer_eval_batch(tr);
}

static m3_status make_message(m3_trainer *tr, m3_error *err)
{
    m3_shared *s = &tr->shared;
    const uint64_t losses = losses_bytes(s, tr->keys.accumulate);
    uint64_t places = 0; /* shards count them in pieces */
    if (tr->shards == NULL) places = places_count(tr, m3_trainer_eval_batches(tr)) * sizeof *tr->ranks;
    const uint64_t bytes = (1 + (uint64_t)s->count) * (losses > places ? losses : places); /* of doubles at least */
    s->message = m3_calloc((size_t)bytes, 1);
    s->waits = m3_calloc(s->count, sizeof *s->waits);
    if (s->message == NULL || s->waits == NULL) return M3_FAIL_MEMORY(err, "ranks", (size_t)bytes);
    return M3_OK;
}

/* Devices that are the same by name, driver and threads give the same bits. */
static m3_status compare_devices(m3_trainer *tr, m3_error *err)
{
    m3_shared *s = &tr->shared;
    const m3_device_info *info = m3_device_get_info(tr->device);
    m3_rank_name own = {.threads = m3_engine_threads(tr->engine)};
    (void)snprintf(own.name, sizeof own.name, "%s", m3_device_name(tr->device));
    (void)snprintf(own.kind, sizeof own.kind, "%.*s, %s, %s", (int)strcspn(own.name, ":"), own.name, info->name,
                   info->driver);
    if ((s->names = m3_calloc(s->count, sizeof *s->names)) == NULL)
        return M3_FAIL_MEMORY(err, "ranks", s->count * sizeof *s->names);
    const m3_status st = m3_ranks_gather(tr, &own, sizeof own, s->names, err);
    for (uint32_t r = 1; st == M3_OK && r < s->count; r++)
        s->mixed =
            s->mixed || strcmp(s->names[r].kind, s->names[0].kind) != 0 || s->names[r].threads != s->names[0].threads;
    return st;
}

/* Walk over what is kept, as much as there is room for at once. */

typedef enum direction { FROM_RANK_0, HASHED } direction;

static m3_status move_kept(m3_trainer *tr, direction way, XXH64_hash_t *hash, m3_error *err)
{
    const m3_shared *s = &tr->shared;
    const bool reads = way == HASHED || s->rank == 0;
    m3_status st = M3_OK;
    for (uint32_t first = 0, end = 0; st == M3_OK && first < s->kept_count; first = end) {
        uint64_t bytes = 0;
        while (end < s->kept_count && bytes + m3_store_entry_bytes(tr->store, s->kept[end]) <= s->bytes)
            bytes += m3_store_entry_bytes(tr->store, s->kept[end++]);
        if (reads) st = m3_store_copy_out(tr->store, s->kept + first, end - first, s->data, err);
        if (st != M3_OK) return st;
        if (way == HASHED) {
            *hash = XXH64(s->data, (size_t)bytes, *hash);
            continue;
        }
        if ((st = m3_ranks_tell(tr, s->data, bytes, err)) != M3_OK) return st;
        if (!reads) st = m3_store_copy_in(tr->store, s->kept + first, end - first, s->data, err);
    }
    return st;
}

m3_status m3_ranks_begin(m3_trainer *tr, m3_error *err)
{
    m3_status st;
    if (tr->shared.count == 1) return M3_OK;
    if ((st = list_tensors(tr, err)) != M3_OK) return st;
    if ((st = make_message(tr, err)) != M3_OK) return st;
    if ((st = compare_devices(tr, err)) != M3_OK) return st;
    if ((st = move_kept(tr, FROM_RANK_0, NULL, err)) != M3_OK) return st;
    const uint32_t rows = m3_prefetch_posts(tr->shards); /* exchanges of rows that go there, too */
    if (tr->shared.buckets == 1 && rows == 0) return st;
    return m3_sums_create(tr->shared.member, tr->store, tr->shared.buckets + rows, &tr->shared.sums, err);
}

void m3_ranks_fini(m3_trainer *tr)
{
    m3_shared *s = &tr->shared;
    m3_sums_free(s->sums);
    m3_free(s->bucket_end);
    m3_free(s->summed);
    m3_free(s->kept);
    m3_free(s->data);
    m3_free(s->message);
    m3_free(s->waits);
    m3_free(s->names);
    m3_settings_free(tr->own);
}

/* A step. */

static double waited_so_far(const m3_shared *s)
{
    return m3_member_waited(s->member) + m3_sums_waited(s->sums);
}

m3_status m3_ranks_traced(m3_trainer *tr, const char *what, double begin, uint64_t bytes, m3_error *err)
{
    if (tr->trace == NULL || tr->done == 0) return M3_OK;
    const double end = m3_seconds();
    const m3_status st = m3_trace_add_exchange(tr->trace, what, begin, end, bytes, err);
    return st == M3_OK ? m3_trace_add_wait(tr->trace, begin, end, err) : st;
}

m3_status m3_ranks_losses(m3_trainer *tr, uint64_t batches, bool *cut, m3_error *err)
{
    m3_shared *s = &tr->shared;
    if (s->count == 1) return M3_OK;
    const uint64_t bytes = losses_bytes(s, tr->keys.accumulate), each = bytes / sizeof(m3_losses);
    m3_losses *mine = s->message, *all = mine + each;
    const uint64_t begin = m3_share_begin(batches, s->rank, s->count);
    const uint64_t end = m3_share_begin(batches, s->rank + 1, s->count);
    const double began = m3_seconds();
    mine[0] = (m3_losses){*cut, {tr->options.stop != NULL && *tr->options.stop != 0, waited_so_far(s) - s->waited}};
    memcpy(mine + 1, tr->losses + begin, (size_t)(end - begin) * sizeof *mine);
    m3_status st = m3_ranks_gather(tr, mine, bytes, all, err);
    if (st == M3_OK) st = m3_ranks_traced(tr, "losses", began, bytes, err);
    if (st != M3_OK) return st;
    for (uint32_t r = 0; r < s->count; r++) {
        const m3_losses *from = all + r * each;
        const uint64_t at = m3_share_begin(batches, r, s->count);
        *cut = *cut || from->rows != 0.0;
        s->stop = s->stop || from->terms[0] != 0.0;
        s->waits[r] = from->terms[1];
        memcpy(tr->losses + at, from + 1, (size_t)(m3_share_begin(batches, r + 1, s->count) - at) * sizeof *tr->losses);
    }
    return M3_OK;
}

/* Bytes of the sums before place `end` of the list. */
static uint64_t bytes_before(const m3_trainer *tr, uint32_t end)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < end; i++) bytes += m3_store_entry_bytes(tr->store, tr->shared.summed[i]);
    return bytes;
}

/* The device has been given what makes the first `buckets` buckets. */
static m3_status send_ready(void *user, uint32_t buckets, m3_error *err)
{
    m3_trainer *tr = user;
    m3_shared *s = &tr->shared;
    m3_status st = M3_OK;
    for (; s->sent < buckets && st == M3_OK; s->sent++) {
        const uint32_t first = s->sent > 0 ? s->bucket_end[s->sent - 1] : 0, end = s->bucket_end[s->sent];
        const uint64_t at = bytes_before(tr, first), bytes = bytes_before(tr, end) - at;
        uint64_t value = 0;
        st = m3_store_start_out(tr->store, s->summed + first, end - first, s->data + at, &value, err);
        m3_sums_post(s->sums, (float *)(void *)(s->data + at), st == M3_OK ? bytes / sizeof(float) : 0, value);
    }
    return st;
}

void m3_ranks_watch(m3_trainer *tr, bool last)
{
    if (tr->shared.sums != NULL) m3_executable_set_ready(tr->programs.step, last ? send_ready : NULL, tr);
}

static m3_status trace_sums(m3_trainer *tr, double began, m3_error *err)
{
    m3_status st = M3_OK;
    char name[40];
    uint32_t bucket = 0;
    if (tr->trace == NULL || tr->done == 0) return M3_OK;
    for (uint32_t i = 0; i < m3_sums_finished(tr->shared.sums) && st == M3_OK; i++) {
        const m3_sum_time t = m3_sums_time(tr->shared.sums, i);
        if (t.what == NULL) (void)snprintf(name, sizeof name, "sum %u of %u", ++bucket, tr->shared.buckets);
        st = m3_trace_add_exchange(tr->trace, t.what != NULL ? t.what : name, t.begin, t.end, t.bytes, err);
    }
    return st == M3_OK ? m3_trace_add_wait(tr->trace, began, m3_seconds(), err) : st;
}

m3_status m3_ranks_send(m3_trainer *tr, m3_error *err)
{
    m3_shared *s = &tr->shared;
    bool others = false;
    if (s->sums == NULL) return M3_OK;
    const m3_status sent = send_ready(tr, s->buckets, err);
    const double began = m3_seconds();
    const m3_status st = m3_sums_finish(s->sums, &others, sent == M3_OK ? err : NULL);
    s->sent = 0;
    if (sent != M3_OK) return sent;
    s->heard = s->heard || others;
    return st == M3_OK ? trace_sums(tr, began, err) : st;
}

m3_status m3_ranks_sum(m3_trainer *tr, m3_error *err)
{
    m3_status st;
    const m3_shared *s = &tr->shared;
    if (s->count == 1) return M3_OK;
    if (s->sums == NULL) {
        const uint64_t count = bytes_before(tr, s->summed_count) / sizeof(float);
        if ((st = m3_store_copy_out(tr->store, s->summed, s->summed_count, s->data, err)) != M3_OK) return st;
        const double began = m3_seconds();
        st = m3_ranks_heard(tr, m3_member_sum(s->member, (float *)(void *)s->data, count, err));
        if (st == M3_OK) st = m3_ranks_traced(tr, "sum 1 of 1", began, count * sizeof(float), err);
        if (st != M3_OK) return st;
    }
    return m3_store_copy_in(tr->store, s->summed, s->summed_count, s->data, err);
}

m3_status m3_ranks_doubles(m3_trainer *tr, const double *mine, double *all, m3_error *err)
{
    const m3_shared *s = &tr->shared;
    double *of = s->message;
    const m3_status st = m3_ranks_gather(tr, mine, sizeof *mine, of, err);
    *all = 0.0;
    for (uint32_t r = 0; st == M3_OK && r < s->count; r++) *all += of[r];
    return st;
}

static uint64_t kept_bytes(const m3_trainer *tr)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < tr->shared.kept_count; i++) bytes += m3_store_entry_bytes(tr->store, tr->shared.kept[i]);
    return bytes;
}

m3_status m3_ranks_follow(m3_trainer *tr, double *figures, uint32_t count, m3_error *err)
{
    m3_status st;
    if (tr->shared.count == 1 || !tr->shared.mixed) return M3_OK;
    const double began = m3_seconds();
    if ((st = m3_ranks_tell(tr, figures, count * sizeof *figures, err)) != M3_OK) return st;
    if ((st = move_kept(tr, FROM_RANK_0, NULL, err)) != M3_OK) return st;
    return m3_ranks_traced(tr, "parameters of rank 0", began, kept_bytes(tr), err);
}

/* An epoch. */

m3_status m3_ranks_places(m3_trainer *tr, uint64_t batches, bool *cut, m3_error *err)
{
    m3_shared *s = &tr->shared;
    if (s->count == 1) return M3_OK;
    const uint64_t each = places_count(tr, batches), rows = m3_trainer_eval_batch(tr);
    uint32_t *mine = s->message, *all = mine + each;
    const uint64_t begin = m3_share_begin(batches, s->rank, s->count) * rows;
    const uint64_t end = m3_share_begin(batches, s->rank + 1, s->count) * rows;
    mine[0] = *cut;
    if (begin < tr->valid_count)
        memcpy(mine + 1, tr->ranks + begin,
               (size_t)((end < tr->valid_count ? end : tr->valid_count) - begin) * sizeof *mine);
    const m3_status st = m3_ranks_gather(tr, mine, each * sizeof *mine, all, err);
    if (st != M3_OK) return st;
    for (uint32_t r = 0; r < s->count; r++) {
        const uint64_t at = m3_share_begin(batches, r, s->count) * rows;
        uint64_t until = m3_share_begin(batches, r + 1, s->count) * rows;
        if (until > tr->valid_count) until = tr->valid_count;
        *cut = *cut || all[r * each] != 0;
        if (at < until) memcpy(tr->ranks + at, all + r * each + 1, (size_t)(until - at) * sizeof *all);
    }
    return M3_OK;
}

m3_status m3_ranks_hear(m3_trainer *tr, bool *cut, m3_error *err)
{
    unsigned char said = *cut;
    if (tr->shared.count == 1) return M3_OK;
    const m3_status st = m3_ranks_tell(tr, &said, 1, err);
    *cut = said != 0;
    return st;
}

m3_status m3_ranks_compare(m3_trainer *tr, m3_error *err)
{
    m3_status st;
    bool same = false;
    XXH64_hash_t hash = 0;
    if (tr->shared.count == 1) return M3_OK;
    if ((st = move_kept(tr, HASHED, &hash, err)) != M3_OK) return st;
    if ((st = is_same(tr, hash, &same, err)) != M3_OK || same) return st;
    if (tr->shared.mixed) /* they were sent */
        return m3_ranks_all_fail(tr, M3_FAIL(err, M3_ERR_INTERNAL, "ranks",
                                             "have different parameters after epoch %u, which a copy to or from a "
                                             "device must have changed; m3bsr conformance finds such a device",
                                             tr->state.epoch + 1));
    if (tr->shared.rank == 0)
        m3_engine_log(tr->engine, M3_LOG_WARN,
                      "devices that call themselves the same have computed different parameters in epoch %u; from "
                      "here on all take those of rank 0, after each step",
                      tr->state.epoch + 1);
    tr->shared.mixed = true;
    return move_kept(tr, FROM_RANK_0, NULL, err);
}

void m3_ranks_begin_epoch(m3_trainer *tr)
{
    if (tr->shared.count > 1) tr->shared.waited = waited_so_far(&tr->shared);
}

m3_status m3_ranks_waited(m3_trainer *tr, json_t **all, m3_error *err)
{
    m3_shared *s = &tr->shared;
    *all = NULL;
    if (s->count == 1) return M3_OK;
    const double seconds = waited_so_far(s) - s->waited;
    double *of = s->message;
    memset(s->waits, 0, s->count * sizeof *s->waits);
    const m3_status st = m3_ranks_gather(tr, &seconds, sizeof seconds, of, err);
    if (st != M3_OK) return st;
    *all = json_array();
    bool whole = *all != NULL;
    for (uint32_t r = 0; whole && r < s->count; r++) whole = json_array_append_new(*all, json_real(of[r])) == 0;
    if (whole) return M3_OK;
    json_decref(*all);
    *all = NULL;
    return M3_FAIL_MEMORY(err, "log.jsonl", s->count * sizeof *of);
}

m3_status m3_ranks_zero(m3_trainer *tr, double *zero, m3_error *err)
{
    m3_status st;
    double *of = tr->shared.message, here = m3_seconds();
    *zero = tr->began;
    if (tr->shared.count == 1) return M3_OK;
    if ((st = m3_ranks_gather(tr, &here, sizeof here, of, err)) != M3_OK) return st;
    here = m3_seconds();
    double passed = here - tr->began;
    if ((st = m3_ranks_tell(tr, &passed, sizeof passed, err)) != M3_OK) return st;
    *zero = here - passed;
    return M3_OK;
}

m3_status m3_ranks_collect(m3_trainer *tr, const char *mine, size_t bytes, char **all, size_t *all_bytes, m3_error *err)
{
    const m3_shared *s = &tr->shared;
    uint64_t own = bytes, sum = 0;
    char *texts = NULL;
    *all = NULL;
    *all_bytes = 0;
    if (s->count == 1) return M3_OK;
    uint64_t *sizes = m3_calloc(s->count, sizeof *sizes);
    if (sizes == NULL) return M3_FAIL_MEMORY(err, "trace", s->count * sizeof *sizes);
    if (s->rank == 0) own = 0; /* what it has is there */
    m3_status st = m3_ranks_gather(tr, &own, sizeof own, sizes, err);
    for (uint32_t r = 0; r < s->count; r++) sum += sizes[r];
    if (st == M3_OK && s->rank == 0 && (texts = m3_calloc(1, (size_t)sum)) == NULL)
        st = M3_FAIL_MEMORY(err, "trace", (size_t)sum);
    if (st == M3_OK) st = m3_ranks_heard(tr, m3_member_collect(s->member, mine, sizes, texts, err));
    m3_free(sizes);
    if (st == M3_OK) {
        *all = texts;
        *all_bytes = (size_t)sum;
        return M3_OK;
    }
    m3_free(texts);
    return st;
}

m3_status m3_ranks_end(m3_trainer *tr, m3_error *err)
{
    unsigned char nothing = 0;
    return tr->shared.count == 1 ? M3_OK : m3_ranks_tell(tr, &nothing, 1, err);
}
