/* save: see the header. In parts, the ranks agree twice: on the number of the save, and that all parts are there. */
#include "core/train/save.h"

#include <string.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/model/model.h"
#include "core/runtime/store.h"
#include "core/train/ranks.h"
#include "core/train/shards.h"

enum { TABLES = 3 };

/* The item table and its moments: a rank that has all rows writes a share of them, one that has a share, that. */
typedef struct tables {
    m3_checkpoint_rows rows[TABLES];
    uint32_t count;
} tables;

/* The store's tensor begins with row 0, or with the first that is this rank's. */
static uint64_t byte_of(const m3_checkpoint_rows *rows, uint64_t row)
{
    const m3_trainer *tr = rows->user;
    return (row - (tr->shards != NULL ? tr->shards->begin : 0)) * rows->shape.dim[1] * sizeof(float);
}

static m3_status read_table(const m3_checkpoint_rows *rows, uint64_t begin, uint64_t end, void *data, m3_error *err)
{
    const m3_trainer *tr = rows->user;
    const uint64_t at = byte_of(rows, begin);
    return m3_store_read_part(tr->store, rows->name, at, data, byte_of(rows, end) - at, err);
}

static m3_status write_table(const m3_checkpoint_rows *rows, uint64_t begin, uint64_t end, const void *data,
                             m3_error *err)
{
    const m3_trainer *tr = rows->user;
    const uint64_t at = byte_of(rows, begin);
    return m3_store_write_part(tr->store, rows->name, at, data, byte_of(rows, end) - at, err);
}

static void list_tables(m3_trainer *tr, tables *t)
{
    static const char *const names[TABLES] = {M3_ITEM_PARAMETER, "adam.m." M3_ITEM_PARAMETER,
                                              "adam.v." M3_ITEM_PARAMETER};
    *t = (tables){.count = 0};
    for (int i = 0; i < TABLES; i++) {
        m3_store_entry entry;
        if (!m3_store_find(tr->store, names[i], &entry)) continue;
        const uint64_t all = tr->shards != NULL ? tr->shards->total : entry.shape.dim[0];
        t->rows[t->count++] = (m3_checkpoint_rows){.name = names[i],
                                                   .dtype = entry.dtype,
                                                   .shape = M3_SHAPE(all, entry.shape.dim[1]),
                                                   .begin = m3_share_begin(all, tr->shared.rank, tr->shared.count),
                                                   .end = m3_share_begin(all, tr->shared.rank + 1, tr->shared.count),
                                                   .read = read_table,
                                                   .write = write_table,
                                                   .user = tr};
    }
}

static bool is_in_parts(const m3_trainer *tr)
{
    return tr->shards != NULL || (tr->shared.count > 1 && tr->keys.checkpoint_parts == M3_PARTS_ON);
}

/* Rank 0 gives the save a number. */
static m3_status begin(m3_trainer *tr, const char *path, m3_checkpoint_part *part, m3_error *err)
{
    m3_status st;
    *part = (m3_checkpoint_part){.index = tr->shared.rank, .count = tr->shared.count};
    if (part->index == 0 && (st = m3_checkpoint_next_save(path, &tr->state, part->count, &part->save, err)) != M3_OK)
        return st;
    return m3_ranks_tell(tr, &part->save, sizeof part->save, err);
}

/* A word of each rank, when all have come so far. @param first  The first rank that has said false; else their count.
 */
static m3_status ask_all(m3_trainer *tr, bool mine, uint32_t *first, m3_error *err)
{
    const uint32_t count = tr->shared.count;
    const unsigned char word = mine;
    unsigned char *all = m3_calloc(count, 1);
    if (all == NULL) return M3_FAIL_MEMORY(err, "ranks", count);
    const m3_status st = m3_ranks_gather(tr, &word, 1, all, err);
    for (*first = 0; st == M3_OK && *first < count && all[*first] != 0;) ++*first;
    m3_free(all);
    return st;
}

/* Does rank 0 see what the others have written? */
static m3_status find_parts(m3_trainer *tr, const m3_checkpoint_part *own, uint32_t *lacks, m3_error *err)
{
    m3_checkpoint_part part = *own;
    *lacks = part.count;
    for (part.index = 1; own->index == 0 && *lacks == part.count && part.index < part.count; part.index++) {
        char *path = m3_part_path(tr->last, &part);
        if (path == NULL) return M3_FAIL_MEMORY(err, tr->last, strlen(tr->last) + 64);
        if (access(path, F_OK) != 0) *lacks = part.index;
        m3_free(path);
    }
    return m3_ranks_tell(tr, lacks, sizeof *lacks, err);
}

static const char *wanted(const m3_trainer *tr)
{
    return tr->shards != NULL
               ? "ranks on several machines need one folder that all of them share, or shard none"
               : "ranks on several machines need one folder that all of them share, or checkpoint_parts off";
}

static m3_status rehearse(m3_trainer *tr, const m3_checkpoint_part *part, m3_error *err)
{
    m3_status st;
    m3_error why = {0};
    uint32_t lacks = 0;
    const bool there = access(tr->run.folder, F_OK) == 0; /* which a part's writer says in other words */
    st = there ? m3_checkpoint_write_part(tr->last, part, NULL, 0, &why) : M3_ERR_INVALID;
    if (st != M3_OK && st != M3_ERR_INVALID) return M3_FAIL(err, st, why.subject, "%s", why.message);
    if ((st = ask_all(tr, st == M3_OK, &lacks, err)) != M3_OK) return st;
    if (lacks < part->count)
        return m3_ranks_all_fail(tr, M3_FAIL(err, M3_ERR_INVALID, tr->run.folder,
                                             "is no folder that rank %u can write its parts of checkpoints to; %s",
                                             lacks, wanted(tr)));
    if ((st = find_parts(tr, part, &lacks, err)) != M3_OK || lacks == part->count) return st;
    return m3_ranks_all_fail(tr, M3_FAIL(err, M3_ERR_INVALID, tr->run.folder,
                                         "is another folder for rank %u than for rank 0; %s", lacks, wanted(tr)));
}

m3_status m3_save_rehearse(m3_trainer *tr, m3_error *err)
{
    m3_checkpoint_part part;
    if (!is_in_parts(tr)) return M3_OK;
    m3_status st = begin(tr, tr->last, &part, err);
    if (st != M3_OK) return st;
    st = rehearse(tr, &part, err);
    char *path = m3_part_path(tr->last, &part);
    if (path != NULL) (void)unlink(path); /* else the first save removes it */
    m3_free(path);
    return st;
}

m3_status m3_save_checkpoint(m3_trainer *tr, const char *path, m3_error *err)
{
    tables t;
    uint32_t lacks = 0;
    m3_checkpoint_part part;
    if (!is_in_parts(tr)) return tr->shared.rank == 0 ? m3_checkpoint_save(path, tr->store, &tr->state, err) : M3_OK;
    list_tables(tr, &t);
    m3_status st = begin(tr, path, &part, err);
    if (st == M3_OK) st = m3_checkpoint_write_part(path, &part, t.rows, t.count, err);
    if (st == M3_OK) st = ask_all(tr, true, &lacks, err);
    if (st == M3_OK && part.index == 0)
        st = m3_checkpoint_commit(path, &part, tr->store, t.rows, t.count, &tr->state, err);
    return st;
}

m3_status m3_save_load(m3_trainer *tr, const char *path, m3_error *err)
{
    tables t;
    m3_trainer_state read; /* again, beside the tensors: what it says of the data has been brought up to date */
    if (tr->shards == NULL) return tr->shared.rank == 0 ? m3_checkpoint_load(path, tr->store, &read, err) : M3_OK;
    list_tables(tr, &t);
    const m3_status st = m3_checkpoint_load_rows(path, t.rows, t.count, err);
    if (st != M3_OK || tr->shared.rank != 0) return st;
    return m3_checkpoint_load_rest(path, tr->store, t.rows, t.count, &read, err);
}
