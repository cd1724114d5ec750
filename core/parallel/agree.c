/* agree: all ranks have the same text, or each says which ranks have another one, and where it differs. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/parallel/group.h"

enum { LINE = 160 };

/* What a rank says after it compared its text with rank 0's. */
typedef struct verdict {
    uint32_t differs;
    char ours[LINE], theirs[LINE]; /* the first line that does */
} verdict;

static void copy_line(const char *text, size_t at, char line[LINE])
{
    size_t begin = at;
    while (begin > 0 && text[begin - 1] != '\n') begin--;
    (void)snprintf(line, LINE, "%.*s", (int)strcspn(text + begin, "\n"), text + begin);
}

static verdict compare(const char *theirs, const char *ours)
{
    verdict v = {0};
    size_t at = 0;
    while (theirs[at] == ours[at] && ours[at] != 0) at++;
    if (theirs[at] == ours[at]) return v;
    v.differs = 1;
    copy_line(ours, at, v.ours);
    copy_line(theirs, at, v.theirs);
    return v;
}

/* "1, 3" */
static void list(const verdict *verdicts, uint32_t count, char *text, size_t bytes)
{
    size_t at = 0;
    for (uint32_t i = 0; i < count && at < bytes; i++)
        if (verdicts[i].differs) at += (size_t)snprintf(text + at, bytes - at, "%s%u", at > 0 ? ", " : "", i);
}

static m3_status judge(const verdict *verdicts, uint32_t count, const char *what, m3_error *err)
{
    char ranks[128] = "", subject[32];
    uint32_t first = 0;
    while (first < count && !verdicts[first].differs) first++;
    if (first == count) return M3_OK;
    list(verdicts, count, ranks, sizeof ranks);
    (void)snprintf(subject, sizeof subject, "rank %u", first);
    return M3_FAIL(err, M3_ERR_INVALID, subject,
                   "the ranks differ in %s: rank %s from rank 0, which has \"%s\" where rank %u has \"%s\"; give all "
                   "ranks the same",
                   what, ranks, verdicts[first].theirs, first, verdicts[first].ours);
}

m3_status m3_member_agree(m3_member *member, const char *what, const char *text, m3_error *err)
{
    const uint32_t count = m3_member_count(member);
    uint64_t bytes = strlen(text) + 1;
    m3_error why = {0};
    if (count == 1) return M3_OK;
    m3_status st = m3_member_broadcast(member, 0, &bytes, sizeof bytes, err);
    if (st != M3_OK) return st;
    char *first = m3_calloc(bytes, 1);
    verdict *verdicts = m3_calloc(count, sizeof *verdicts);
    if (first == NULL || verdicts == NULL) {
        st = M3_FAIL_MEMORY(&why, what, bytes + count * sizeof *verdicts);
        m3_member_fail(member, &why);
        if (err != NULL && err->code == M3_OK) *err = why;
        goto done;
    }
    if (m3_member_rank(member) == 0) memcpy(first, text, bytes);
    if ((st = m3_member_broadcast(member, 0, first, bytes, err)) != M3_OK) goto done;
    verdicts[m3_member_rank(member)] = compare(first, text);
    const verdict *mine = &verdicts[m3_member_rank(member)];
    if ((st = m3_member_gather(member, mine, sizeof *mine, verdicts, err)) != M3_OK) goto done;
    st = judge(verdicts, count, what, err);
done:
    m3_free(first);
    m3_free(verdicts);
    return st;
}
