/* lists: what a model recommends for each sample, as a table or as lines of JSON. */
#include <jansson.h>
#include <string.h>
#include <strings.h>

#include "core/base/number.h"
#include "core/serve/rankings.h"

enum form { CSV, TSV, JSON_LINES };
static const struct {
    const char *ending;
    enum form form;
} forms[] = {{".csv", CSV}, {".tsv", TSV}, {".jsonl", JSON_LINES}, {".ndjson", JSON_LINES}};
enum { FORMS = sizeof forms / sizeof forms[0] };

/* The place in forms, or -1. */
static int find_form(const char *path)
{
    const char *name = strrchr(path, '/'), *ending = strrchr(name != NULL ? name : path, '.');
    for (int i = 0; ending != NULL && i < FORMS; i++)
        if (strcasecmp(ending, forms[i].ending) == 0) return (int)forms[i].form;
    return -1;
}

m3_status m3_lists_check(const char *path, m3_error *err)
{
    if (find_form(path) >= 0) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, path,
                   "has no ending that says how lists are written; give .csv, .tsv or .jsonl");
}

m3_status m3_lists_begin(m3_lists *lists, const char *path, m3_error *err)
{
    m3_status st = m3_lists_check(path, err);
    if (st != M3_OK || (st = m3_outfile_open(&lists->out, path, err)) != M3_OK) return st;
    lists->form = find_form(path);
    if (lists->form == CSV) (void)fputs("user,rank,item,score,target,sample\n", lists->out.stream);
    if (lists->form == TSV) (void)fputs("user\trank\titem\tscore\ttarget\tsample\n", lists->out.stream);
    return M3_OK;
}

/* An id has no control character; in CSV it may need quotes. */
static void put_id(const m3_lists *lists, const char *id)
{
    FILE *to = lists->out.stream;
    if (lists->form == TSV || strpbrk(id, ",\"") == NULL) {
        (void)fputs(id, to);
        return;
    }
    (void)fputc('"', to);
    for (; *id != '\0'; id++) {
        if (*id == '"') (void)fputc('"', to);
        (void)fputc(*id, to);
    }
    (void)fputc('"', to);
}

static void put_row(const m3_lists *lists, const char *user, uint32_t rank, const char *item, float score, bool target)
{
    char number[64];
    FILE *to = lists->out.stream;
    const char between = lists->form == TSV ? '\t' : ',';
    (void)m3_number_write(number, sizeof number, "%.9g", (double)score);
    put_id(lists, user);
    (void)fprintf(to, "%c%u%c", between, rank, between);
    put_id(lists, item);
    (void)fprintf(to, "%c%s%c%d%c%llu\n", between, number, between, target, between,
                  (unsigned long long)lists->samples);
}

static void put_line(m3_lists *lists, const char *user, uint32_t rank, const char *item, float score, bool target)
{
    json_t *line = json_pack("{s:s, s:I, s:s, s:f, s:b, s:I}", "user", user, "rank", (json_int_t)rank, "item", item,
                             "score", (double)score, "target", target, "sample", (json_int_t)lists->samples);
    lists->failed = lists->failed || line == NULL ||
                    json_dumpf(line, lists->out.stream, JSON_COMPACT | JSON_REAL_PRECISION(9)) != 0;
    (void)fputc('\n', lists->out.stream);
    json_decref(line);
}

void m3_lists_add(m3_lists *lists, const m3_dataset *set, const m3_sample *sample, const m3_recommendation *best,
                  uint32_t top)
{
    const char *user = m3_dataset_user_id(set, sample->user);
    lists->samples++;
    for (uint32_t i = 0; i < top && best[i].item != 0; i++) {
        const bool target = best[i].item == sample->item;
        const char *item = m3_dataset_item_id(set, best[i].item);
        if (lists->form == JSON_LINES)
            put_line(lists, user, i + 1, item, best[i].score, target);
        else
            put_row(lists, user, i + 1, item, best[i].score, target);
    }
}

m3_status m3_lists_end(m3_lists *lists, m3_error *err)
{
    if (!lists->failed || ferror(lists->out.stream)) return m3_outfile_commit(&lists->out, err);
    m3_status st = M3_FAIL_MEMORY(err, lists->out.path, 0);
    m3_lists_discard(lists);
    return st;
}

void m3_lists_discard(m3_lists *lists)
{
    m3_outfile_discard(&lists->out);
}
