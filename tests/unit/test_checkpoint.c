/* checkpoint: what ranks write in parts is read by any number of them and joined to the file that one would have
 * written; a kill at any system call of a save leaves a save that is whole; what does not go together is refused. */
#include "core/run/checkpoint.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/alloc.h"
#include "core/base/outfile.h"
#include "core/train/ranks.h"
#include "tests/support/data_source.h"

enum { ROWS = 11, WIDTH = 3, SHARDED = 2, MOST = 5 };

static const char *const names[SHARDED] = {"item.weight", "adam.m.item.weight"};
static const m3_shape table = {2, {ROWS, WIDTH}};

static const char *program; /* this one's path */
static data_source source;
static m3_engine *engine;
static m3_device *device;

static void check(m3_status st, const m3_error *err)
{
    if (st != M3_OK) fail_msg("%s: %s", err->subject, err->message);
}

/* What a training has after `age` epochs. */

static float value(uint32_t tensor, uint64_t at, uint32_t age)
{
    return (float)(1000 * age + 100 * tensor) + (float)at;
}

static m3_trainer_state state_at(uint32_t age)
{
    return (m3_trainer_state){.epoch = age, .steps = 10 * (uint64_t)age, .best = 0.5, .settings = "0123456789abcdef"};
}

/* @param whole  With the tables. */
static m3_store *make_store(uint32_t age, bool whole)
{
    m3_error err = {0};
    m3_store *store = NULL;
    float rows[ROWS * WIDTH], dense[2] = {value(8, 0, age), value(8, 1, age)};
    const m3_shape shape = {1, {2}}, window = {2, {4, WIDTH}};
    check(m3_store_create(device, 1, &store, &err), &err);
    check(m3_store_write(store, "w", M3_F32, &shape, dense, &err), &err);
    for (uint32_t t = 0; t < SHARDED; t++) {
        for (uint64_t i = 0; i < ROWS * WIDTH; i++) rows[i] = value(t, i, age);
        check(m3_store_write(store, names[t], M3_F32, whole ? &table : &window, rows, &err), &err);
    }
    check(m3_store_write(store, "adam.m.w", M3_F32, &shape, dense, &err), &err);
    check(m3_store_write(store, "features0", M3_F32, &shape, dense, &err), &err);
    return store;
}

/* A rank's rows of the tables. */
typedef struct shard {
    uint32_t tensor, age;
    float got[ROWS * WIDTH];
    uint64_t next; /* the row that is written next */
} shard;

static m3_status read_shard(const m3_checkpoint_rows *rows, uint64_t begin, uint64_t end, void *data, m3_error *err)
{
    (void)err;
    const shard *s = rows->user;
    float *to = data;
    assert_true(begin >= rows->begin && end <= rows->end);
    for (uint64_t i = begin * WIDTH; i < end * WIDTH; i++) *to++ = value(s->tensor, i, s->age);
    return M3_OK;
}

static m3_status write_shard(const m3_checkpoint_rows *rows, uint64_t begin, uint64_t end, const void *data,
                             m3_error *err)
{
    (void)err;
    shard *s = rows->user;
    assert_true(begin == s->next && end <= rows->end);
    memcpy(s->got + begin * WIDTH, data, (size_t)(end - begin) * WIDTH * sizeof(float));
    s->next = end;
    return M3_OK;
}

static void make_rows(uint32_t rank, uint32_t ranks, uint32_t age, shard shards[SHARDED],
                      m3_checkpoint_rows rows[SHARDED])
{
    for (uint32_t t = 0; t < SHARDED; t++) {
        const uint64_t begin = m3_share_begin(ROWS, rank, ranks), end = m3_share_begin(ROWS, rank + 1, ranks);
        shards[t] = (shard){.tensor = t, .age = age, .next = begin};
        rows[t] = (m3_checkpoint_rows){names[t], M3_F32, table, begin, end, read_shard, write_shard, &shards[t]};
    }
}

static m3_status write_one(const char *path, uint64_t save, uint32_t rank, uint32_t ranks, uint32_t age, m3_error *err)
{
    shard shards[SHARDED];
    m3_checkpoint_rows rows[SHARDED];
    const m3_checkpoint_part part = {save, rank, ranks};
    make_rows(rank, ranks, age, shards, rows);
    return m3_checkpoint_write_part(path, &part, rows, SHARDED, err);
}

static uint64_t next_save(const char *path, uint32_t ranks, uint32_t age)
{
    m3_error err = {0};
    uint64_t save = 0;
    const m3_trainer_state state = state_at(age);
    check(m3_checkpoint_next_save(path, &state, ranks, &save, &err), &err);
    return save;
}

static m3_status commit(const char *path, uint64_t save, uint32_t ranks, uint32_t age, m3_error *err)
{
    shard shards[SHARDED];
    m3_checkpoint_rows rows[SHARDED];
    const m3_trainer_state state = state_at(age);
    const m3_checkpoint_part part = {save, 0, ranks};
    make_rows(0, ranks, age, shards, rows);
    m3_store *store = make_store(age, false);
    const m3_status st = m3_checkpoint_commit(path, &part, store, rows, SHARDED, &state, err);
    m3_store_free(store);
    return st;
}

static void save_parts(const char *path, uint32_t ranks, uint32_t age)
{
    m3_error err = {0};
    const uint64_t save = next_save(path, ranks, age);
    for (uint32_t rank = 0; rank < ranks; rank++) check(write_one(path, save, rank, ranks, age, &err), &err);
    check(commit(path, save, ranks, age, &err), &err);
}

static void save_whole(const char *path, uint32_t age)
{
    m3_error err = {0};
    const m3_trainer_state state = state_at(age);
    m3_store *store = make_store(age, true);
    check(m3_checkpoint_save(path, store, &state, &err), &err);
    m3_store_free(store);
}

/* Reads as `ranks` do, and gives the age. */
static m3_status load(const char *path, uint32_t ranks, uint32_t *age, m3_error *err)
{
    m3_status st = M3_OK;
    m3_trainer_state state = {0};
    m3_store *store = make_store(0, false);
    shard shards[SHARDED];
    m3_checkpoint_rows rows[SHARDED];
    float dense[2];
    make_rows(0, ranks, 0, shards, rows);
    if ((st = m3_checkpoint_load_rest(path, store, rows, SHARDED, &state, err)) != M3_OK) goto done;
    *age = state.epoch;
    check(m3_store_read(store, "w", dense, sizeof dense, err), err);
    assert_true(dense[1] == value(8, 1, *age));
    for (uint32_t rank = 0; rank < ranks; rank++) {
        make_rows(rank, ranks, 0, shards, rows);
        if ((st = m3_checkpoint_load_rows(path, rows, SHARDED, err)) != M3_OK) goto done;
        for (uint32_t t = 0; t < SHARDED; t++) {
            assert_int_equal(shards[t].next, rows[t].end);
            for (uint64_t i = rows[t].begin * WIDTH; i < rows[t].end * WIDTH; i++)
                assert_true(shards[t].got[i] == value(t, i, *age));
        }
    }
done:
    m3_store_free(store);
    return st;
}

static void is_at(const char *path, uint32_t want)
{
    for (uint32_t ranks = 1; ranks <= MOST; ranks++) {
        m3_error err = {0};
        uint32_t age = 0;
        check(load(path, ranks, &age, &err), &err);
        assert_int_equal(age, want);
    }
}

/* Files of the folder, and a name that has `part` in it. */
static uint32_t count_files(const char *folder, const char *part, char found[256])
{
    uint32_t count = 0;
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        count++;
        if (part != NULL && strstr(entry->d_name, part) != NULL)
            (void)snprintf(found, 256, "%.120s/%.130s", folder, entry->d_name);
    }
    (void)closedir(directory);
    return count;
}

static void same_file(const char *a, const char *b)
{
    static char x[65536], y[65536];
    FILE *f = fopen(a, "rb"), *g = fopen(b, "rb");
    assert_non_null(f);
    assert_non_null(g);
    const size_t bytes = fread(x, 1, sizeof x, f);
    assert_in_range(bytes, 1, sizeof x - 1);
    assert_int_equal(fread(y, 1, sizeof y, g), bytes);
    assert_memory_equal(x, y, bytes);
    (void)fclose(f);
    (void)fclose(g);
}

/* Tests. Each has a folder of its own. */

static const char *file_in(const char *folder, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return data_source_path(&source, path);
}

static const char *new_folder(const char *name)
{
    const char *path = data_source_path(&source, name);
    char command[320];
    (void)snprintf(command, sizeof command, "mkdir -p '%s'", path);
    assert_int_equal(system(command), 0);
    return path;
}

static void any_number_reads_what_any_number_wrote(void **state)
{
    (void)state;
    new_folder("any");
    for (uint32_t ranks = 1; ranks <= MOST; ranks++) {
        save_parts(file_in("any", "last.safetensors"), ranks, ranks);
        is_at(file_in("any", "last.safetensors"), ranks);
        assert_int_equal(count_files(data_source_path(&source, "any"), NULL, NULL), ranks + 1);
    }
    save_whole(file_in("any", "last.safetensors"), 9);
    is_at(file_in("any", "last.safetensors"), 9);
    assert_int_equal(count_files(data_source_path(&source, "any"), NULL, NULL), 1);
}

static void parts_join_to_the_file_of_one(void **state)
{
    (void)state;
    m3_error err = {0};
    uint32_t parts = 9;
    new_folder("join");
    save_whole(file_in("join", "one.safetensors"), 4);
    for (uint32_t ranks = 1; ranks <= MOST; ranks++) {
        save_parts(file_in("join", "last.safetensors"), ranks, 4);
        check(m3_checkpoint_join_file(file_in("join", "last.safetensors"), file_in("join", "out"), &parts, &err), &err);
        assert_int_equal(parts, ranks);
        same_file(file_in("join", "one.safetensors"), file_in("join", "out"));
    }
    check(
        m3_checkpoint_join_file(file_in("join", "last.safetensors"), file_in("join", "last.safetensors"), &parts, &err),
        &err);
    same_file(file_in("join", "one.safetensors"), file_in("join", "last.safetensors"));
    assert_int_equal(count_files(data_source_path(&source, "join"), NULL, NULL), 3);
    check(m3_checkpoint_join_file(file_in("join", "last.safetensors"), file_in("join", "out"), &parts, &err), &err);
    assert_int_equal(parts, 0);
    same_file(file_in("join", "one.safetensors"), file_in("join", "out"));
    assert_int_equal(
        m3_checkpoint_join_file(file_in("join", "one.safetensors"), file_in("join", "./one.safetensors"), NULL, &err),
        M3_ERR_INVALID);
}

/* Names that only look like parts stay. */
static void leftovers_go_and_others_stay(void **state)
{
    static const struct {
        const char *name;
        bool stays;
    } files[] = {{"last.00000000000000aa.1-of-2.safetensors", false},
                 {"last.00000000000000aa.2-of-2.safetensors.tmp.12", false},
                 {"best.00000000000000aa.1-of-2.safetensors", true},
                 {"last.00000000000000AA.1-of-2.safetensors", true},
                 {"last.00000000000000aa.1-of-2.txt", true},
                 {"last.00000000000000aa.x-of-2.safetensors", true},
                 {"last.0aa.1-of-2.safetensors", true},
                 {"notlast.00000000000000aa.1-of-2.safetensors", true}};
    enum { FILES = sizeof files / sizeof files[0] };
    (void)state;
    m3_error err = {0};
    new_folder("sweep");
    save_parts(file_in("sweep", "last.safetensors"), 3, 1);
    for (int turn = 0; turn < 2; turn++) {
        for (size_t i = 0; i < FILES; i++)
            data_source_write(&source, file_in("sweep", files[i].name) + strlen(source.directory) + 1, "x", 1);
        check(m3_parts_sweep(file_in("sweep", "last.safetensors"), &err), &err);
        for (size_t i = 0; i < FILES; i++)
            assert_int_equal(access(file_in("sweep", files[i].name), F_OK) == 0, files[i].stays);
        if (turn == 0) is_at(file_in("sweep", "last.safetensors"), 1);
        save_whole(file_in("sweep", "last.safetensors"), 2);
    }
    data_source_write(&source, "sweep/last.safetensors", "damaged", 0);
    data_source_write(&source, "sweep/last.00000000000000aa.1-of-2.safetensors", "x", 1);
    check(m3_parts_sweep(file_in("sweep", "last.safetensors"), &err), &err); /* which of them count, nobody knows */
    assert_int_equal(access(file_in("sweep", files[0].name), F_OK), 0);
}

static void more_parts_than_stay_open_are_read(void **state)
{
    enum { MANY = 70 };
    (void)state;
    m3_error err = {0};
    uint32_t age = 0;
    new_folder("many");
    save_parts(file_in("many", "last.safetensors"), MANY, 3);
    check(load(file_in("many", "last.safetensors"), 2, &age, &err), &err);
    assert_int_equal(age, 3);
}

static void a_save_that_is_replaced_is_read_on(void **state)
{
    (void)state;
    m3_error err = {0};
    m3_parts *parts = NULL;
    uint32_t index = 0;
    float got[ROWS * WIDTH];
    new_folder("replaced");
    save_parts(file_in("replaced", "last.safetensors"), 3, 1);
    check(m3_parts_open(file_in("replaced", "last.safetensors"), &parts, &err), &err);
    save_parts(file_in("replaced", "last.safetensors"), 2, 2);
    assert_true(m3_parts_find(parts, names[1], &index));
    check(m3_parts_read_f32(parts, index, got, ROWS * WIDTH, &err), &err);
    for (uint64_t i = 0; i < ROWS * WIDTH; i++) assert_true(got[i] == value(1, i, 1));
    assert_int_equal(m3_parts_read_rows(parts, index, 4, ROWS + 1, got, &err), M3_ERR_RANGE);
    m3_parts_close(parts);
}

/* A rank that is left behind writes to a name that nobody has any more. */
static void no_save_has_the_names_of_the_one_before(void **state)
{
    (void)state;
    new_folder("again");
    const char *path = file_in("again", "last.safetensors");
    const uint64_t first = next_save(path, 2, 1);
    assert_int_equal(first, next_save(path, 2, 1));
    assert_true(first != next_save(path, 3, 1) && first != next_save(path, 2, 2));
    save_parts(path, 2, 1);
    assert_true(first != next_save(path, 2, 1));
}

/* Damage. */

static void cut(const char *folder, const char *part, long bytes)
{
    char found[256] = "";
    (void)count_files(data_source_path(&source, folder), part, found);
    assert_int_equal(truncate(found, bytes), 0);
}

static void lose(const char *folder)
{
    char found[256] = "";
    (void)count_files(data_source_path(&source, folder), "2-of-3", found);
    assert_int_equal(unlink(found), 0);
}

static void shorten(const char *folder)
{
    cut(folder, "2-of-3", 200);
}

static void empty(const char *folder)
{
    cut(folder, "3-of-3", 0);
}

static void rename_parts(const char *folder, const char *from, const char *to, bool swap)
{
    char a[256] = "", b[256] = "", c[300];
    (void)count_files(data_source_path(&source, folder), from, a);
    (void)count_files(data_source_path(&source, folder), to, b);
    (void)snprintf(c, sizeof c, "%s.x", a);
    assert_int_equal(rename(a, c), 0);
    if (swap) assert_int_equal(rename(b, a), 0);
    assert_int_equal(rename(c, b), 0);
}

static void exchange(const char *folder)
{
    rename_parts(folder, "1-of-3", "2-of-3", true);
}

/* The part of another save under the name of this one's. */
static void mix(const char *folder)
{
    char from[160], other[64], old[256] = "", mine[256] = "";
    (void)snprintf(other, sizeof other, "%s-other", folder);
    new_folder(other);
    save_parts(file_in(other, "last.safetensors"), 3, 5);
    (void)snprintf(from, sizeof from, "%s", data_source_path(&source, other));
    (void)count_files(from, "2-of-3", old);
    (void)count_files(data_source_path(&source, folder), "2-of-3", mine);
    assert_int_equal(rename(old, mine), 0);
}

static void write_range(const char *folder, uint32_t rank, uint64_t begin, uint64_t end, uint64_t all)
{
    m3_error err = {0};
    shard shards[SHARDED];
    m3_checkpoint_rows rows[SHARDED];
    uint64_t save = 0;
    check(m3_parts_save_at(file_in(folder, "last.safetensors"), &save, &err), &err);
    const m3_checkpoint_part part = {save, rank, 3};
    make_rows(rank, 3, 1, shards, rows);
    for (uint32_t t = 0; t < SHARDED; t++) {
        rows[t].begin = begin;
        rows[t].end = end;
        rows[t].shape.dim[0] = all;
    }
    check(m3_checkpoint_write_part(file_in(folder, "last.safetensors"), &part, rows, SHARDED, &err), &err);
}

static void overlap(const char *folder)
{
    write_range(folder, 1, 3, 8, ROWS);
}

static void leave_a_gap(const char *folder)
{
    write_range(folder, 1, 5, 8, ROWS);
}

static void end_early(const char *folder)
{
    write_range(folder, 2, 8, 10, ROWS);
}

static void have_more_rows(const char *folder)
{
    write_range(folder, 1, 4, 8, ROWS + 1);
}

static void have_fewer_tensors(const char *folder)
{
    m3_error err = {0};
    shard shards[SHARDED];
    m3_checkpoint_rows rows[SHARDED];
    m3_checkpoint_part part = {0, 1, 3};
    check(m3_parts_save_at(file_in(folder, "last.safetensors"), &part.save, &err), &err);
    make_rows(1, 3, 1, shards, rows);
    check(m3_checkpoint_write_part(file_in(folder, "last.safetensors"), &part, rows, 1, &err), &err);
}

/* Its first tensors are those that all have alike. */
static void put_whole_tables(const char *folder)
{
    m3_error err = {0};
    const m3_trainer_state state = state_at(1);
    m3_checkpoint_part part = {0, 0, 3};
    check(m3_parts_save_at(file_in(folder, "last.safetensors"), &part.save, &err), &err);
    m3_store *store = make_store(1, true);
    check(m3_checkpoint_commit(file_in(folder, "last.safetensors"), &part, store, NULL, 0, &state, &err), &err);
    m3_store_free(store);
}

static void rename_main(const char *folder)
{
    char to[256];
    (void)snprintf(to, sizeof to, "%s", file_in(folder, "gone.safetensors"));
    assert_int_equal(rename(file_in(folder, "last.safetensors"), to), 0);
    char command[640];
    (void)snprintf(command, sizeof command, "sed 's/\"parts\":\"3\"/\"parts\":\"0\"/' '%s' > '%s'", to,
                   file_in(folder, "last.safetensors"));
    assert_int_equal(system(command), 0);
}

static const struct damage {
    const char *name, *folder;
    void (*damage)(const char *folder);
    const char *file; /* that the message names, NULL: a tensor */
    const char *says;
} damages[] = {
    {"a part that is missing is named", "lost", lose, "2-of-3", "is missing: it has the rows of part 2 of 3"},
    {"a part that is cut short is named", "short", shorten, "2-of-3", "damaged or no safetensors file"},
    {"an empty part is named", "empty", empty, "3-of-3", "has 0 bytes"},
    {"parts under each other's names are refused", "exchanged", exchange, "1-of-3", "is part 2 of 3, not 1 of 3"},
    {"a part of another save is refused", "mixed", mix, "2-of-3", "parts of one save alone go together"},
    {"rows that overlap are refused", "overlap", overlap, NULL, "rows 3 to 8 of 11 do not go on where"},
    {"a gap between rows is refused", "gap", leave_a_gap, NULL, "rows 5 to 8 of 11 do not go on where"},
    {"rows that end too early are refused", "early", end_early, NULL, "to the last row"},
    {"another number of rows is refused", "more", have_more_rows, NULL, "rows 4 to 8 of 12 do not go on"},
    {"another number of tensors is refused", "fewer", have_fewer_tensors, "2-of-3", "has 1 tensors, and the first"},
    {"a tensor that is whole and in parts is refused", "twice", put_whole_tables, NULL, "and in its parts, too"},
    {"damaged notes are refused", "notes", rename_main, "last.safetensors", "does not say which"},
};
enum { DAMAGES = sizeof damages / sizeof damages[0] };

static void is_refused(void **state)
{
    const struct damage *d = *state;
    uint32_t age = 0;
    m3_error err = {0};
    new_folder(d->folder);
    const char *path = file_in(d->folder, "last.safetensors");
    save_parts(path, 3, 1);
    is_at(path, 1);
    d->damage(d->folder);
    path = file_in(d->folder, "last.safetensors");
    assert_int_equal(load(path, 2, &age, &err), M3_ERR_INVALID);
    if (strstr(err.message, d->says) == NULL) fail_msg("says '%s'", err.message);
    if (d->file != NULL && strstr(err.subject, d->file) == NULL) fail_msg("names '%s'", err.subject);
    assert_int_equal(m3_checkpoint_join_file(path, file_in(d->folder, "out"), NULL, NULL), M3_ERR_INVALID);
    assert_int_not_equal(access(file_in(d->folder, "out"), F_OK), 0);
}

static void nothing_is_committed_without_all_parts(void **state)
{
    (void)state;
    m3_error err = {0};
    new_folder("uncommitted");
    const char *path = file_in("uncommitted", "last.safetensors");
    save_parts(path, 2, 1);
    const uint64_t save = next_save(path, 3, 2);
    check(write_one(path, save, 0, 3, 2, &err), &err);
    check(write_one(path, save, 2, 3, 2, &err), &err);
    assert_int_equal(commit(path, save, 3, 2, &err), M3_ERR_INVALID);
    assert_non_null(strstr(err.message, "one folder that all of them share"));
    is_at(path, 1);
    assert_int_equal(count_files(data_source_path(&source, "uncommitted"), NULL, NULL), 3);
}

static void rows_of_another_table_are_refused(void **state)
{
    (void)state;
    m3_error err = {0};
    shard shards[SHARDED];
    m3_checkpoint_rows rows[SHARDED];
    new_folder("other-table");
    const char *path = file_in("other-table", "last.safetensors");
    save_parts(path, 2, 1);
    make_rows(0, 2, 1, shards, rows);
    rows[0].shape.dim[1]++;
    assert_int_equal(m3_checkpoint_load_rows(path, rows, SHARDED, &err), M3_ERR_INVALID);
    assert_non_null(strstr(err.message, "is [11, 3] in "));
    err = (m3_error){0};
    rows[0].shape = table;
    rows[0].dtype = M3_I32;
    assert_int_equal(m3_checkpoint_load_rows(path, rows, SHARDED, &err), M3_ERR_INVALID);
    assert_non_null(strstr(err.message, "is f32 in "));
    err = (m3_error){0};
    rows[0].dtype = M3_F32;
    rows[1].name = "adam.v.item.weight";
    assert_int_equal(m3_checkpoint_load_rows(path, rows, SHARDED, &err), M3_ERR_INVALID);
    assert_string_equal(err.subject, "adam.v.item.weight");
    assert_non_null(strstr(err.message, "is not among the 4 tensors"));
}

static m3_status read_nan(const m3_checkpoint_rows *rows, uint64_t begin, uint64_t end, void *data, m3_error *err)
{
    const m3_status st = read_shard(rows, begin, end, data, err);
    ((float *)data)[0] = (float)strtod("nan", NULL);
    return st;
}

static void nan_is_not_saved(void **state)
{
    (void)state;
    m3_error err = {0};
    shard shards[SHARDED];
    m3_checkpoint_rows rows[SHARDED];
    const m3_checkpoint_part part = {7, 0, 1};
    new_folder("nan");
    make_rows(0, 1, 1, shards, rows);
    rows[1].read = read_nan;
    assert_int_equal(m3_checkpoint_write_part(file_in("nan", "last.safetensors"), &part, rows, SHARDED, &err),
                     M3_ERR_INVALID);
    assert_non_null(strstr(err.message, "no checkpoint is written"));
    assert_int_equal(count_files(data_source_path(&source, "nan"), NULL, NULL), 0);
}

/* Whatever allocation fails, it is said, and the save before is whole. */

typedef struct failing {
    uint64_t seen, at;
} failing;

static bool fail_at(void *user, size_t bytes)
{
    failing *f = user;
    (void)bytes;
    return f->seen++ != f->at;
}

static m3_store *with_store; /* of age 2, and the save that is under way */
static uint64_t with_save;

static m3_status try_part(const char *path, m3_error *err)
{
    return write_one(path, with_save, 0, 2, 2, err);
}

static m3_status try_commit(const char *path, m3_error *err)
{
    shard shards[SHARDED];
    m3_checkpoint_rows rows[SHARDED];
    const m3_trainer_state state = state_at(2);
    const m3_checkpoint_part part = {with_save, 0, 2};
    make_rows(0, 2, 2, shards, rows);
    return m3_checkpoint_commit(path, &part, with_store, rows, SHARDED, &state, err);
}

static m3_status try_load(const char *path, m3_error *err)
{
    shard shards[SHARDED];
    m3_checkpoint_rows rows[SHARDED];
    make_rows(1, 3, 2, shards, rows);
    return m3_checkpoint_load_rows(path, rows, SHARDED, err);
}

static m3_status try_join(const char *path, m3_error *err)
{
    return m3_checkpoint_join_file(path, path, NULL, err);
}

static void memory_runs_out(void **state)
{
    static m3_status (*const steps[])(const char *path, m3_error *err) = {try_part, try_commit, try_load, try_join};
    (void)state;
    m3_error err = {0};
    char path[256];
    new_folder("memory");
    (void)snprintf(path, sizeof path, "%s", file_in("memory", "last.safetensors"));
    save_parts(path, 2, 1);
    with_store = make_store(2, false);
    with_save = next_save(path, 2, 2);
    check(write_one(path, with_save, 1, 2, 2, &err), &err);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        m3_status st = M3_ERR_MEMORY;
        for (uint64_t at = 0; st != M3_OK; at++) {
            uint32_t age = 0;
            failing f = {.at = at};
            err = (m3_error){0};
            for (uint32_t rank = 0; i == 1 && rank < 2; rank++) /* a commit that failed has removed them */
                check(write_one(path, with_save, rank, 2, 2, &err), &err);
            m3_alloc_set_gate(fail_at, &f);
            st = steps[i](path, &err);
            m3_alloc_set_gate(NULL, NULL);
            if (st != M3_OK && st != M3_ERR_MEMORY) fail_msg("request %d of step %d: %s", (int)at, (int)i, err.message);
            check(load(path, 3, &age, &err), &err);
            assert_int_equal(age, i == 0 || (i == 1 && st != M3_OK) ? 1 : 2);
        }
    }
    m3_store_free(with_store);
}

/* Kills. This program saves age 2 in three parts, and soak/cut kills it. */

static void run_cut(const char *cutter, uint32_t at, const char *folder, bool *whole)
{
    char command[1024], said[64] = "";
    (void)snprintf(command, sizeof command, "'%s' %u '%s' '%s' save '%s' >'%s' 2>&1", cutter, at,
                   data_source_path(&source, "told"), program, folder, data_source_path(&source, "output"));
    const int status = system(command);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) skip();
    FILE *told = fopen(data_source_path(&source, "told"), "r");
    assert_non_null(told);
    assert_non_null(fgets(said, sizeof said, told));
    (void)fclose(told);
    *whole = strstr(said, "whole") != NULL;
    if (*whole && WEXITSTATUS(status) != 0) fail_msg("a save that nobody kills ends with %d", WEXITSTATUS(status));
}

static void a_kill_leaves_a_save_that_is_whole(void **state)
{
    (void)state;
    char cutter[512];
    bool whole = false;
    uint32_t at = 1, old = 0, new = 0, age = 0;
    const char *build = getenv("BUILD_DIR");
    (void)snprintf(cutter, sizeof cutter, "%s/tests/soak/cut", build != NULL ? build : ".");
    if (access(cutter, X_OK) != 0) skip(); /* not built with sanitizers */
    for (; !whole; at++) {
        m3_error err = {0};
        char folder[64];
        (void)snprintf(folder, sizeof folder, "killed-%u", at);
        new_folder(folder);
        save_parts(file_in(folder, "last.safetensors"), 2, 1);
        run_cut(cutter, at, data_source_path(&source, folder), &whole);
        const char *path = file_in(folder, "last.safetensors");
        check(load(path, 3, &age, &err), &err);
        assert_true(age == 1 || age == 2);
        old += age == 1;
        new += age == 2;
        check(m3_parts_sweep(path, &err), &err); /* as the next owner does */
        m3_outfile_sweep(path);
        is_at(path, age);
        assert_int_equal(count_files(data_source_path(&source, folder), NULL, NULL), age == 1 ? 3 : 4);
    }
    assert_true(old > 12 && new > 1); /* kills before the commit, and after it */
}

static int save_for_cut(const char *folder)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/last.safetensors", folder);
    save_parts(path, 3, 2);
    return 0;
}

static int start(void **state)
{
    m3_error err = {0};
    const m3_engine_config config = {.size = sizeof config,
                                     .plugin_path = M3BSR_BUILD_PLUGIN_DIR "/m3bsr_backend_reference.so",
                                     .threads = 1,
                                     .log_level = M3_LOG_ERROR,
                                     .allow_writable_folder = true};
    (void)state;
    data_source_make(&source);
    return m3_engine_create(&config, &engine, &err) != M3_OK ||
           m3_device_open(engine, "reference", (m3_span){0}, &device, &err) != M3_OK;
}

static int stop(void **state)
{
    (void)state;
    m3_device_close(device);
    m3_engine_free(engine);
    data_source_remove(&source);
    return 0;
}

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc == 3 && start(NULL) == 0) return save_for_cut(argv[2]) + stop(NULL);
    struct CMUnitTest tests[DAMAGES + 11];
    size_t count = 0;
    for (; count < DAMAGES; count++)
        tests[count] = (struct CMUnitTest){damages[count].name, is_refused, NULL, NULL, (void *)&damages[count]};
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(any_number_reads_what_any_number_wrote);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(parts_join_to_the_file_of_one);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(leftovers_go_and_others_stay);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(more_parts_than_stay_open_are_read);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(a_save_that_is_replaced_is_read_on);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(no_save_has_the_names_of_the_one_before);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(nothing_is_committed_without_all_parts);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(rows_of_another_table_are_refused);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(nan_is_not_saved);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(memory_runs_out);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(a_kill_leaves_a_save_that_is_whole);
    return cmocka_run_group_tests(tests, start, stop);
}
