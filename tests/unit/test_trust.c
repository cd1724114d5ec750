/* trust: every way to a file that somebody else could change is refused, with the path, whose it is, its mode and how
 * to mend it; what only the user and root can change passes, however it is written. Labels: errors */
#include "core/runtime/trust.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SOMEBODY = 65533 };

/* A folder of its own for each test: plain/a.so, one file that is ours. */
static char folder[PATH_MAX];
static m3_trust trust;

static char *at(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    assert_true(snprintf(path, PATH_MAX, "%.3000s/%s", folder, name) > 0);
    return path;
}

static void put_folder(const char *name, mode_t mode)
{
    assert_int_equal(mkdir(at(name), 0700), 0);
    assert_int_equal(chmod(at(name), mode), 0);
}

static void put_file(const char *name, mode_t mode)
{
    FILE *file = fopen(at(name), "wb");
    assert_non_null(file);
    assert_int_equal(fputs("object", file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(at(name), mode), 0);
}

static void put_link(const char *target, const char *name)
{
    assert_int_equal(symlink(target, at(name)), 0);
}

static void give_away(const char *name)
{
    if (geteuid() != 0) skip(); /* nobody else may */
    assert_int_equal(lchown(at(name), SOMEBODY, SOMEBODY), 0);
}

static int set_up(void **state)
{
    char made[64] = "/tmp/m3bsr-trust-XXXXXX";
    (void)state;
    m3_trust_init(&trust, false);
    trust.library[0] = '\0'; /* nothing is above the library */
    trust.has_group = false;
    if (mkdtemp(made) == NULL || realpath(made, folder) == NULL) return -1;
    put_folder("plain", 0755);
    put_file("plain/a.so", 0644);
    return 0;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void passes(const char *path, const char *real)
{
    char found[PATH_MAX];
    m3_error why = {0};
    if (m3_trust_follow(&trust, path, found, &why) != M3_OK) fail_msg("%s: %s", path, why.message);
    assert_string_equal(found, real);
}

static void refuses(const char *path, const char *subject, const char *says)
{
    char found[PATH_MAX];
    m3_error why = {0};
    assert_int_equal(m3_trust_follow(&trust, path, found, &why), M3_ERR_IO);
    if (strcmp(why.subject, subject) != 0 || strstr(why.message, says) == NULL)
        fail_msg("%s: \"%s: %s\" instead of \"%s: %s\"", path, why.subject, why.message, subject, says);
}

static void what_is_ours_passes_however_it_is_written(void **state)
{
    (void)state;
    put_link("../plain", "plain/up");
    put_link("up/up", "plain/twice");
    put_link(at("plain"), "whole");
    passes(at("plain/a.so"), at("plain/a.so"));
    passes(at("/plain//./a.so"), at("plain/a.so"));
    passes(at("plain/../plain/a.so"), at("plain/a.so"));
    passes(at("plain/twice/a.so"), at("plain/a.so"));
    passes(at("whole/a.so"), at("plain/a.so"));
    passes(at("whole/../plain/"), at("plain"));
    passes("/", "/");
    passes("/../..", "/");
}

static void a_folder_on_the_way_that_others_write_is_refused(void **state)
{
    static const mode_t modes[] = {0777, 0770, 0757};
    (void)state;
    put_folder("open", 0755);
    put_folder("open/closed", 0755);
    put_file("open/closed/a.so", 0644);
    put_link("open/closed", "in");
    put_link("../plain/a.so", "open/out.so");
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        char says[64];
        (void)snprintf(says, sizeof says, "can be written by others (mode %03o, of user ", (unsigned)modes[i]);
        assert_int_equal(chmod(at("open"), modes[i]), 0);
        refuses(at("open/closed/a.so"), at("open"), says);
        refuses(at("open/closed"), at("open"), "remove that right (chmod go-w)");
        refuses(at("in/a.so"), at("open"), says);
        refuses(at("open/out.so"), at("open"), says);
        refuses(at("open/../plain/a.so"), at("open"), says);
    }
    trust.everyone = true;
    passes(at("in/a.so"), at("open/closed/a.so"));
}

static void a_file_that_others_write_is_refused(void **state)
{
    (void)state;
    put_file("plain/b.so", 0664);
    put_file("plain/c.so", 0646);
    refuses(at("plain/b.so"), at("plain/b.so"), "can be written by others (mode 664, of user ");
    refuses(at("plain/c.so"), at("plain/c.so"), "can be written by others (mode 646, of user ");
}

static void what_belongs_to_somebody_else_is_refused(void **state)
{
    (void)state;
    put_folder("theirs", 0755);
    put_file("theirs/a.so", 0644);
    put_file("plain/theirs.so", 0644);
    put_folder("sticky", 01777);
    put_link("../plain/a.so", "sticky/link.so");
    put_file("sticky/theirs.so", 0644);
    give_away("plain/theirs.so");
    give_away("theirs");
    give_away("sticky/link.so");
    give_away("sticky/theirs.so");
    refuses(at("plain/theirs.so"), at("plain/theirs.so"),
            "belongs to user 65533 (mode 644), neither to root nor to you");
    refuses(at("theirs/a.so"), at("theirs"), "belongs to user 65533 (mode 755), neither to root nor to you");
    refuses(at("sticky/link.so"), at("sticky/link.so"), "belongs to user 65533 (mode 777)");
    refuses(at("sticky/theirs.so"), at("sticky/theirs.so"), "copy what you trust to a folder of your own");
    trust.owner = SOMEBODY; /* whose library runs already */
    passes(at("plain/theirs.so"), at("plain/theirs.so"));
    passes(at("theirs/a.so"), at("theirs/a.so"));
}

static void in_a_sticky_folder_an_entry_counts_by_itself(void **state)
{
    char real[PATH_MAX];
    m3_error why = {0};
    (void)state;
    put_folder("sticky", 01777);
    put_folder("sticky/ours", 0755);
    put_file("sticky/ours/a.so", 0644);
    put_file("sticky/b.so", 0644);
    put_file("sticky/c.so", 0666);
    passes(at("sticky/ours/a.so"), at("sticky/ours/a.so"));
    passes(at("sticky/b.so"), at("sticky/b.so"));
    refuses(at("sticky/c.so"), at("sticky/c.so"), "can be written by others (mode 666, of user ");
    /* Others could put names there, such as one more of a file of root's. */
    assert_int_equal(m3_trust_follow(&trust, at("sticky"), real, &why), M3_OK);
    assert_int_equal(m3_trust_search(&trust, real, &why), M3_ERR_IO);
    assert_non_null(strstr(why.message, "can be written by others (mode 1777, of user "));
    assert_int_equal(m3_trust_search(&trust, at("plain"), &why), M3_OK);
}

static void above_the_library_nothing_is_asked(void **state)
{
    (void)state;
    put_folder("open", 0777);
    put_folder("open/lib", 0777);
    put_folder("open/lib/plugins", 0755);
    put_folder("open/library", 0755);
    put_file("open/lib/plugins/a.so", 0644);
    (void)snprintf(trust.library, sizeof trust.library, "%s", at("open/lib"));
    passes(at("open/lib/plugins/a.so"), at("open/lib/plugins/a.so"));
    assert_int_equal(chmod(at("open/lib/plugins"), 0777), 0);
    refuses(at("open/lib/plugins/a.so"), at("open/lib/plugins"), "can be written by others (mode 777, of user ");
    assert_int_equal(chmod(at("open/library"), 0777), 0);
    refuses(at("open/library"), at("open/library"), "can be written by others (mode 777, of user ");
    /* The group that can exchange the library, and no other. */
    trust.has_group = true;
    trust.group = getegid();
    assert_int_equal(chmod(at("open/lib/plugins"), 0775), 0);
    passes(at("open/lib/plugins/a.so"), at("open/lib/plugins/a.so"));
    assert_int_equal(chmod(at("open/lib/plugins"), 0777), 0);
    refuses(at("open/lib/plugins/a.so"), at("open/lib/plugins"), "can be written by others (mode 777, of user ");
    trust.group = getegid() + 1;
    assert_int_equal(chmod(at("open/lib/plugins"), 0775), 0);
    refuses(at("open/lib/plugins/a.so"), at("open/lib/plugins"), "can be written by others (mode 775, of user ");
}

static void ways_without_an_end_are_refused(void **state)
{
    char path[2 * PATH_MAX];
    (void)state;
    put_link("round", "round");
    put_link("nowhere", "dangling");
    refuses(at("round"), at("round"), "Too many levels of symbolic links");
    refuses(at("dangling"), at("dangling"), "No such file or directory");
    refuses(at("plain/a.so/b"), at("plain/a.so/b"), "Not a directory");
    memset(path, '/', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    char real[PATH_MAX];
    m3_error why = {0};
    assert_int_equal(m3_trust_follow(&trust, path, real, &why), M3_ERR_IO);
    assert_string_equal(why.message,
                        "its path is longer than 4095 bytes, or a name in it than 255; move it to where it is shorter");
}

static void only_a_regular_file_is_opened(void **state)
{
    struct stat info;
    m3_error why = {0};
    int fd = -1;
    (void)state;
    assert_int_equal(mkfifo(at("plain/fifo.so"), 0600), 0);
    assert_int_equal(m3_trust_open(&trust, at("plain/fifo.so"), &fd, &info, &why), M3_ERR_IO);
    assert_non_null(strstr(why.message, "is no regular file; a plugin is a shared object"));
    put_link("a.so", "plain/link.so");
    why = (m3_error){0};
    assert_int_equal(m3_trust_open(&trust, at("plain/link.so"), &fd, &info, &why), M3_ERR_IO);
    why = (m3_error){0};
    put_file("plain/b.so", 0666); /* since it was looked at */
    assert_int_equal(m3_trust_open(&trust, at("plain/b.so"), &fd, &info, &why), M3_ERR_IO);
    assert_non_null(strstr(why.message, "can be written by others (mode 666"));
    assert_int_equal(fd, -1);
    assert_int_equal(m3_trust_open(&trust, at("plain/a.so"), &fd, &info, &why), M3_OK);
    assert_int_equal(info.st_size, strlen("object"));
    assert_int_equal(close(fd), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_ours_passes_however_it_is_written),
        CASE(a_folder_on_the_way_that_others_write_is_refused),
        CASE(a_file_that_others_write_is_refused),
        CASE(what_belongs_to_somebody_else_is_refused),
        CASE(in_a_sticky_folder_an_entry_counts_by_itself),
        CASE(above_the_library_nothing_is_asked),
        CASE(ways_without_an_end_are_refused),
        CASE(only_a_regular_file_is_opened),
    };
    return cmocka_run_group_tests_name("what code may be run from", tests, NULL, NULL);
}
