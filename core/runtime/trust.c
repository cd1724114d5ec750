/* trust: a path is walked from / down, a name at a time, as the system does it. Whoever can write a folder can exchange
 * what lies in it, so each is looked at before what is below: where it passes, its entries stay what they are. */
#include "core/runtime/trust.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { MOST_LINKS = 40, OTHERS_WRITE = S_IWGRP | S_IWOTH };

void m3_trust_init(m3_trust *trust, bool everyone)
{
    static const char anchor = 0; /* any address inside the library */
    Dl_info about;
    struct stat file, folder;
    *trust = (m3_trust){.everyone = everyone, .user = geteuid(), .owner = geteuid()};
    if (dladdr(&anchor, &about) == 0 || about.dli_fname == NULL) return;
    if (realpath(about.dli_fname, trust->library) == NULL || stat(trust->library, &file) != 0 ||
        !S_ISREG(file.st_mode) || (about.dli_fname[0] != '/' && file.st_uid != 0 && file.st_uid != trust->user)) {
        trust->library[0] = '\0'; /* a relative name may mean another file than when the library was loaded */
        return;
    }
    *strrchr(trust->library, '/') = '\0';
    trust->owner = file.st_uid;
    if (stat(trust->library[0] != '\0' ? trust->library : "/", &folder) != 0) return;
    trust->has_group = (folder.st_mode & S_IWGRP) != 0;
    trust->group = folder.st_gid;
}

/* The library's folder or one above it: who can write there can exchange the library. */
static bool holds_library(const m3_trust *trust, const char *at)
{
    const size_t length = strcmp(at, "/") == 0 ? 0 : strlen(at);
    return trust->library[0] != '\0' && strncmp(trust->library, at, length) == 0 &&
           (trust->library[length] == '/' || trust->library[length] == '\0');
}

static m3_status check_owner(const m3_trust *trust, const char *at, const struct stat *info, m3_error *why)
{
    if (info->st_uid == 0 || info->st_uid == trust->user || info->st_uid == trust->owner) return M3_OK;
    return M3_FAIL(why, M3_ERR_IO, at,
                   "'%s' belongs to user %u (mode %03o), neither to root nor to you (user %u), and could be exchanged; "
                   "copy what you trust to a folder of your own, or give it to root (chown root)",
                   at, (unsigned)info->st_uid, (unsigned)(info->st_mode & 07777), (unsigned)trust->user);
}

/* The bits of the group stand for an access list too, which may name anybody. */
static bool writes_library_anyway(const m3_trust *trust, const char *at, const struct stat *info)
{
    return (info->st_mode & OTHERS_WRITE) == S_IWGRP && trust->has_group && info->st_gid == trust->group &&
           getxattr(at, "system.posix_acl_access", NULL, 0) < 0;
}

static m3_status check_writable(const m3_trust *trust, const char *at, const struct stat *info, m3_error *why)
{
    if ((info->st_mode & OTHERS_WRITE) == 0 || writes_library_anyway(trust, at, info)) return M3_OK;
    return M3_FAIL(why, M3_ERR_IO, at,
                   "'%s' can be written by others (mode %03o, of user %u); remove that right (chmod go-w)", at,
                   (unsigned)(info->st_mode & 07777), (unsigned)info->st_uid);
}

/* Whoever mounts a FUSE file system says whom its files belong to, and may do so on a folder of his own in /tmp. */
static bool is_foreign_mount(const char *at, const struct stat *info, const struct stat *folder)
{
    struct statfs system;
    return (folder->st_mode & OTHERS_WRITE) != 0 && info->st_dev != folder->st_dev && S_ISDIR(info->st_mode) &&
           (statfs(at, &system) != 0 || system.f_type == FUSE_SUPER_MAGIC);
}

/* One name on the way, and the folder that it stands in. */
static m3_status check_entry(const m3_trust *trust, const char *at, const struct stat *info, const struct stat *folder,
                             m3_error *why)
{
    if (trust->everyone || holds_library(trust, at)) return M3_OK;
    m3_status st = check_owner(trust, at, info, why);
    if (st != M3_OK || S_ISLNK(info->st_mode)) return st; /* a link has no mode; what it leads to comes next */
    if (is_foreign_mount(at, info, folder))
        return M3_FAIL(why, M3_ERR_IO, at,
                       "'%s' is a FUSE file system in a folder that all can write, and whose its files are cannot be "
                       "known; copy what you trust to a folder of your own",
                       at);
    if (S_ISDIR(info->st_mode) && (info->st_mode & S_ISVTX) != 0) return M3_OK; /* its entries are looked at alone */
    return check_writable(trust, at, info, why);
}

/* Append "/name" to at. */
static bool descend(char at[PATH_MAX], const char *name, size_t length)
{
    const size_t have = strlen(at);
    if (have + length + 2 > PATH_MAX) return false;
    at[have] = '/';
    memcpy(at + have + 1, name, length);
    at[have + 1 + length] = '\0';
    return true;
}

static void ascend(char at[PATH_MAX])
{
    char *slash = strrchr(at, '/');
    if (slash != NULL) *slash = '\0';
}

/* Put what the link at `at` holds before the rest of the way; false, and errno, where that does not go. */
static bool take_link(char at[PATH_MAX], char rest[PATH_MAX], size_t done)
{
    char target[PATH_MAX], left[PATH_MAX];
    const ssize_t bytes = readlink(at, target, sizeof target - 1);
    if (bytes < 0) return false;
    target[bytes] = '\0';
    memcpy(left, rest + done, strlen(rest + done) + 1);
    errno = ENAMETOOLONG;
    if (snprintf(rest, PATH_MAX, "%s%s", target, left) >= PATH_MAX) return false;
    ascend(at);
    if (target[0] == '/') at[0] = '\0';
    return true;
}

static m3_status refuse(const char *path, int reason, m3_error *why)
{
    if (reason == ENAMETOOLONG)
        return M3_FAIL(why, M3_ERR_IO, path,
                       "its path is longer than %d bytes, or a name in it than 255; move it to where it is shorter",
                       PATH_MAX - 1);
    return M3_FAIL(why, reason == ENOMEM ? M3_ERR_MEMORY : M3_ERR_IO, path, "'%s': %s", path, strerror(reason));
}

m3_status m3_trust_follow(const m3_trust *trust, const char *path, char real[PATH_MAX], m3_error *why)
{
    char rest[PATH_MAX];
    struct stat info, folder;
    m3_status st = M3_OK;
    real[0] = '\0';
    if (strlen(path) >= sizeof rest) return refuse(path, ENAMETOOLONG, why);
    memcpy(rest, path, strlen(path) + 1);
    if (stat("/", &folder) != 0) return refuse(path, errno, why);
    st = check_entry(trust, "/", &folder, &folder, why);
    for (int links = 0; st == M3_OK && rest[0] != '\0';) {
        const size_t start = strspn(rest, "/"), length = strcspn(rest + start, "/"), done = start + length;
        const bool up = length == 2 && memcmp(rest + start, "..", 2) == 0;
        if (up) ascend(real);
        if (!up && length > 0 && !(length == 1 && rest[start] == '.')) {
            if (stat(real[0] != '\0' ? real : "/", &folder) != 0) return refuse(path, errno, why);
            if (!descend(real, rest + start, length)) return refuse(path, ENAMETOOLONG, why);
            if (lstat(real, &info) != 0) return refuse(path, errno, why);
            st = check_entry(trust, real, &info, &folder, why);
            if (st == M3_OK && S_ISLNK(info.st_mode)) {
                if (++links > MOST_LINKS) return refuse(path, ELOOP, why);
                if (!take_link(real, rest, done)) return refuse(path, errno, why);
                continue;
            }
        }
        memmove(rest, rest + done, strlen(rest + done) + 1);
    }
    if (real[0] == '\0') memcpy(real, "/", 2);
    return st;
}

m3_status m3_trust_search(const m3_trust *trust, const char *real, m3_error *why)
{
    struct stat info;
    if (stat(real, &info) != 0) return refuse(real, errno, why);
    return trust->everyone ? M3_OK : check_writable(trust, real, &info, why);
}

m3_status m3_trust_open(const m3_trust *trust, const char *real, int *fd, struct stat *info, m3_error *why)
{
    *fd = open(real, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (*fd < 0 || fstat(*fd, info) != 0) {
        const m3_status st = refuse(real, errno, why);
        if (*fd >= 0) (void)close(*fd);
        *fd = -1;
        return st;
    }
    m3_status st = S_ISREG(info->st_mode)
                       ? M3_OK
                       : M3_FAIL(why, M3_ERR_IO, real, "'%s' is no regular file; a plugin is a shared object", real);
    if (st == M3_OK && !trust->everyone) st = check_owner(trust, real, info, why);
    if (st == M3_OK && !trust->everyone) st = check_writable(trust, real, info, why);
    if (st == M3_OK) return st;
    (void)close(*fd);
    *fd = -1;
    return st;
}
