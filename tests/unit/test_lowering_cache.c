/* The cache of compiled kernels and of what was measured: what is written is read, and what somebody else could have
 * made, damaged or put in its place is not, nor does it stop the process.   Labels: errors */
#include "backends/lowering/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { SOMEBODY = 65533, PATH_BYTES = 256, KEY_BYTES = 32 };

static const char kernel[] = "a kernel";
static char folder[64], warning[1024];
static m3_host host;

static void log_line(void *user, m3_log_level level, const char *line)
{
    (void)user;
    if (level == M3_LOG_WARN) (void)snprintf(warning, sizeof warning, "%s", line);
}

static void *allocate(void *user, size_t count, size_t size)
{
    (void)user;
    return calloc(count, size);
}

static void give_back(void *user, void *block)
{
    (void)user;
    free(block);
}

static const char *at(const char *name)
{
    static char paths[4][PATH_BYTES];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, PATH_BYTES, "%.60s/%.128s", folder, name);
    return path;
}

static lower_cache *open_cache(void)
{
    lower_cache *cache = NULL;
    m3_error err = {0};
    warning[0] = '\0';
    assert_int_equal(lower_cache_open(&host, &cache, &err), M3_OK);
    return cache;
}

/* Is the entry there for a process that begins now? */
static bool is_kept(const char *name)
{
    size_t bytes = 0;
    lower_cache *cache = open_cache();
    assert_non_null(cache);
    void *data = lower_cache_read(cache, name, &bytes);
    const bool kept = data != NULL;
    assert_int_equal(bytes, kept ? sizeof kernel : 0);
    if (kept) assert_memory_equal(data, kernel, sizeof kernel);
    free(data);
    lower_cache_close(cache);
    return kept;
}

static void keep(const char *name)
{
    lower_cache *cache = open_cache();
    assert_non_null(cache);
    assert_true(lower_cache_write(cache, name, kernel, sizeof kernel));
    lower_cache_close(cache);
    assert_true(is_kept(name));
}

static void write_file(const char *name, const void *data, size_t bytes)
{
    const int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, bytes), bytes);
    assert_int_equal(close(fd), 0);
}

static size_t read_file(const char *name, char data[512])
{
    const int fd = open(at(name), O_RDONLY);
    assert_true(fd >= 0);
    const ssize_t bytes = read(fd, data, 512);
    assert_true(bytes >= 0);
    assert_int_equal(close(fd), 0);
    return (size_t)bytes;
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/m3bsr-kept-XXXXXX");
    host = (m3_host){.size = sizeof host,
                     .log = log_line,
                     .allocate = allocate,
                     .release = give_back,
                     .cache_path = mkdtemp(folder)};
    return host.cache_path == NULL;
}

static int tear_down(void **state)
{
    DIR *names = opendir(folder);
    (void)state;
    for (const struct dirent *entry; names != NULL && (entry = readdir(names)) != NULL;)
        if (unlink(at(entry->d_name)) != 0) (void)rmdir(at(entry->d_name));
    if (names != NULL) (void)closedir(names);
    return rmdir(folder);
}

static void what_is_written_is_read(void **state)
{
    struct stat info;
    (void)state;
    assert_false(is_kept("a.bin"));
    keep("a.bin");
    keep("b.bin");
    assert_int_equal(stat(at("key"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(info.st_size, KEY_BYTES);
    assert_int_equal(stat(at("a.bin"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_string_equal(warning, "");
}

static void without_a_folder_nothing_is_kept(void **state)
{
    lower_cache *cache = NULL;
    m3_error err = {0};
    size_t bytes = 1;
    (void)state;
    host.cache_path = NULL;
    assert_int_equal(lower_cache_open(&host, &cache, &err), M3_OK);
    assert_null(cache);
    assert_null(lower_cache_read(cache, "a.bin", &bytes));
    assert_int_equal(bytes, 0);
    assert_false(lower_cache_write(cache, "a.bin", kernel, sizeof kernel));
    lower_cache_close(cache);
}

/* Each byte and each length, and the good file again at last. */
static void a_damaged_entry_does_not_count(void **state)
{
    char good[512], bad[512];
    (void)state;
    keep("a.bin");
    const size_t bytes = read_file("a.bin", good);
    for (size_t i = 0; i < bytes; i++) {
        memcpy(bad, good, bytes);
        bad[i] ^= 0x20;
        write_file("a.bin", bad, bytes);
        assert_false(is_kept("a.bin"));
        write_file("a.bin", good, i);
        assert_false(is_kept("a.bin"));
    }
    write_file("a.bin", good, bytes);
    assert_true(is_kept("a.bin"));
}

static void an_entry_of_another_name_or_folder_does_not_count(void **state)
{
    char good[512];
    (void)state;
    keep("a.bin");
    const size_t bytes = read_file("a.bin", good);
    write_file("b.bin", good, bytes);
    assert_false(is_kept("b.bin"));
    assert_int_equal(unlink(at("key")), 0); /* as in a folder that has another */
    assert_false(is_kept("a.bin"));
    keep("a.bin");
}

static void an_entry_is_a_file_of_our_own(void **state)
{
    (void)state;
    keep("a.bin");
    assert_int_equal(rename(at("a.bin"), at("b.bin")), 0);
    assert_int_equal(symlink("b.bin", at("a.bin")), 0);
    assert_false(is_kept("a.bin")); /* a link, though to what would count */
    assert_int_equal(rename(at("b.bin"), at("a.bin")), 0);
    assert_true(is_kept("a.bin"));
    assert_int_equal(chmod(at("a.bin"), 0620), 0);
    assert_false(is_kept("a.bin"));
    assert_int_equal(chmod(at("a.bin"), 0644), 0);
    assert_true(is_kept("a.bin"));
    if (geteuid() == 0) {
        assert_int_equal(chown(at("a.bin"), SOMEBODY, SOMEBODY), 0);
        assert_false(is_kept("a.bin"));
    }
    assert_int_equal(unlink(at("a.bin")), 0);
    assert_int_equal(mkfifo(at("a.bin"), 0600), 0);
    assert_false(is_kept("a.bin")); /* and nobody waits for a writer */
    keep("a.bin");                  /* the entry takes its place */
    assert_int_equal(unlink(at("a.bin")), 0);
    assert_int_equal(mkdir(at("a.bin"), 0700), 0);
    assert_false(is_kept("a.bin"));
    lower_cache *cache = open_cache();
    assert_false(lower_cache_write(cache, "a.bin", kernel, sizeof kernel));
    lower_cache_close(cache);
}

static void a_file_without_an_end_is_not_read(void **state)
{
    (void)state;
    keep("a.bin");
    assert_int_equal(truncate(at("a.bin"), (off_t)1 << 40), 0);
    assert_false(is_kept("a.bin"));
}

static void a_folder_that_others_can_write_is_not_used(void **state)
{
    static const mode_t modes[] = {0777, 01777, 0770, 0702};
    char says[256];
    (void)state;
    keep("a.bin");
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(folder, modes[i]), 0);
        assert_null(open_cache());
        (void)snprintf(says, sizeof says,
                       "nothing is kept in '%s': it belongs to user %u (mode %03o), and others could put code there; "
                       "remove that right (chmod go-w)",
                       folder, (unsigned)geteuid(), (unsigned)modes[i]);
        assert_string_equal(warning, says);
    }
    assert_int_equal(chmod(folder, 0755), 0);
    assert_true(is_kept("a.bin"));
}

static void a_folder_of_somebody_else_is_not_used(void **state)
{
    char says[256];
    (void)state;
    if (geteuid() != 0) skip(); /* nobody else may give it away */
    keep("a.bin");
    assert_int_equal(chown(folder, SOMEBODY, SOMEBODY), 0);
    assert_null(open_cache());
    (void)snprintf(
        says, sizeof says,
        "nothing is kept in '%s': it belongs to user 65533 (mode 700), and that user could put code there; name "
        "a folder of your own with XDG_CACHE_HOME",
        folder);
    assert_string_equal(warning, says);
}

/* What others could know, cut short, or exchanged is no key: a new one is made, and old entries go. */
static void a_key_that_is_none_is_replaced(void **state)
{
    struct stat info;
    (void)state;
    for (int kind = 0; kind < 5; kind++) {
        keep("a.bin");
        if (kind == 0) assert_int_equal(chmod(at("key"), 0640), 0);
        if (kind == 1) assert_int_equal(truncate(at("key"), 0), 0);
        if (kind > 1) assert_int_equal(rename(at("key"), at("old")), 0);
        if (kind == 2) assert_int_equal(symlink("old", at("key")), 0);
        if (kind == 3) assert_int_equal(mkfifo(at("key"), 0600), 0);
        if (kind == 4) write_file("key", "all can guess this", 18);
        assert_false(is_kept("a.bin"));
        assert_int_equal(lstat(at("key"), &info), 0);
        assert_true(S_ISREG(info.st_mode) && (info.st_mode & 07777) == 0600 && info.st_size == KEY_BYTES);
    }
    keep("a.bin");
    assert_int_equal(unlink(at("key")), 0);
    assert_int_equal(mkdir(at("key"), 0700), 0);
    assert_null(open_cache());
    assert_non_null(strstr(warning, "its file 'key' cannot be made: Is a directory"));
}

static void what_killed_writers_left_is_removed(void **state)
{
    (void)state;
    keep("a.bin");
    write_file("a.bin.tmp.1.0", "half", 4);
    write_file("b.bin.tmp.2.0", "half", 4);
    const int writer = open(at("b.bin.tmp.2.0"), O_WRONLY);
    assert_true(writer >= 0);
    assert_int_equal(flock(writer, LOCK_EX), 0);
    assert_true(is_kept("a.bin"));
    assert_int_equal(access(at("a.bin.tmp.1.0"), F_OK), -1);
    assert_int_equal(access(at("b.bin.tmp.2.0"), F_OK), 0); /* somebody writes it still */
    assert_int_equal(close(writer), 0);
    assert_true(is_kept("a.bin"));
    assert_int_equal(access(at("b.bin.tmp.2.0"), F_OK), -1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_written_is_read),
        CASE(without_a_folder_nothing_is_kept),
        CASE(a_damaged_entry_does_not_count),
        CASE(an_entry_of_another_name_or_folder_does_not_count),
        CASE(an_entry_is_a_file_of_our_own),
        CASE(a_file_without_an_end_is_not_read),
        CASE(a_folder_that_others_can_write_is_not_used),
        CASE(a_folder_of_somebody_else_is_not_used),
        CASE(a_key_that_is_none_is_replaced),
        CASE(what_killed_writers_left_is_removed),
    };
    return cmocka_run_group_tests_name("what is kept on disk", tests, NULL, NULL);
}
