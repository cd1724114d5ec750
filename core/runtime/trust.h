/* trust: may code be run from here? Yes where nobody can change it but root, the user, and those who could as well
 * change the library itself, whose code runs already. */
#ifndef M3_CORE_RUNTIME_TRUST_H
#define M3_CORE_RUNTIME_TRUST_H

#include <limits.h>
#include <sys/stat.h>

#include "m3bsr/base.h"

/** Whom files may belong to. */
typedef struct m3_trust {
    bool everyone;     /**< nothing is refused */
    uid_t user, owner; /**< of the process; of the library's file */
    bool has_group;    /**< members of `group` can replace the library's file */
    gid_t group;
    char library[PATH_MAX]; /**< folder of the library, no link in it; "": not known */
} m3_trust;

/** Who the user is and where the library lies. */
void m3_trust_init(m3_trust *trust, bool everyone);
/** The file or folder that an absolute path leads to, with each folder and link on the way looked at: each belongs to
 * someone trusted and nobody else can write it; in a sticky folder that others can write, an entry counts by itself.
 * What passes stays as it was: only those who are trusted can exchange any part of real.
 * @param real  The path without a link, "." or "..".
 * @return  M3_ERR_IO with what is wrong, where, and how to mend it. */
m3_status m3_trust_follow(const m3_trust *trust, const char *path, char real[PATH_MAX], m3_error *why);
/** A folder in which names are looked for: one that others can write is refused though it is sticky, since they could
 * link one of root's files into it. real: from m3_trust_follow(). */
m3_status m3_trust_search(const m3_trust *trust, const char *real, m3_error *why);
/** Open a file for reading: M3_ERR_IO unless it is a regular file, which a FIFO is not, and trusted as it is open.
 * @param fd  Yours to close; -1 on failure. */
m3_status m3_trust_open(const m3_trust *trust, const char *real, int *fd, struct stat *info, m3_error *why);

#endif
