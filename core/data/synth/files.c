/* synth files: the source directory, and its truth. A column of an option that is off is left out. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/outfile.h"
#include "core/data/synth/synth.h"

static m3_status open_in(m3_outfile *out, const char *directory, const char *name, const char *ending, m3_error *err)
{
    char *path = m3_strfmt("%s/%s%s", directory, name, ending);
    if (path == NULL) return M3_FAIL_MEMORY(err, directory, strlen(directory));
    m3_status st = m3_outfile_open(out, path, err);
    m3_free(path);
    return st;
}

static m3_status write_events(const m3_synth *s, const char *directory, bool truth, m3_error *err)
{
    m3_outfile out = {0};
    const bool bursts = truth && s->o.bursts > 0.0;
    m3_status st = open_in(&out, directory, "interactions", ".tsv", err);
    if (st != M3_OK) return st;
    (void)fprintf(out.stream, "user_id\titem_id\tbehavior\ttimestamp%s%s\n", truth ? "\taccidental" : "",
                  bursts ? "\tburst" : "");
    for (size_t i = 0; i < s->count; i++) {
        const m3_synth_event *e = &s->events[i];
        (void)fprintf(out.stream, "u%u\ti%u\t%s\t%lld", e->user + 1, e->item + 1, s->behaviors[e->behavior],
                      (long long)e->time);
        if (truth) (void)fprintf(out.stream, "\t%u", e->accidental);
        if (bursts) (void)fprintf(out.stream, "\t%u", e->burst);
        (void)fputc('\n', out.stream);
    }
    return m3_outfile_commit(&out, err);
}

static m3_status write_items(const m3_synth *s, const char *directory, m3_error *err)
{
    m3_outfile out = {0};
    m3_status st = open_in(&out, directory, "items", ".tsv", err);
    if (st != M3_OK) return st;
    (void)fprintf(out.stream, "item_id\ttitle\tcategory\n");
    for (uint32_t i = 0; i < s->o.items; i++)
        (void)fprintf(out.stream, "i%u\tTopic %u, part %u\ttopic%u\n", i + 1, s->cluster[i] + 1,
                      s->rings[0].place[i] + 1, s->cluster[i] + 1);
    return m3_outfile_commit(&out, err);
}

static m3_status write_item_truth(const m3_synth *s, const char *directory, m3_error *err)
{
    m3_outfile out = {0};
    m3_status st = open_in(&out, directory, "items", ".tsv", err);
    if (st != M3_OK) return st;
    (void)fprintf(out.stream, "item_id\tcluster\tplace%s", s->rank != NULL ? "\trank" : "");
    for (uint32_t b = 0; b < s->o.behaviors; b++)
        if (s->ring_of[b] > 0) (void)fprintf(out.stream, "\tplace_%s", s->behaviors[b]);
    for (uint32_t k = 0; k < s->o.modalities; k++) (void)fprintf(out.stream, "\tnoise_%s", m3_synth_modality_name(k));
    (void)fputc('\n', out.stream);
    for (uint32_t i = 0; i < s->o.items; i++) {
        (void)fprintf(out.stream, "i%u\t%u\t%u", i + 1, s->cluster[i] + 1, s->rings[0].place[i] + 1);
        if (s->rank != NULL) (void)fprintf(out.stream, "\t%u", s->rank[i]);
        for (uint32_t b = 0; b < s->o.behaviors; b++)
            if (s->ring_of[b] > 0) (void)fprintf(out.stream, "\t%u", s->rings[s->ring_of[b]].place[i] + 1);
        for (uint32_t k = 0; k < s->o.modalities; k++)
            (void)fprintf(out.stream, "\t%d", s->is_noise[(size_t)k * s->o.items + i]);
        (void)fputc('\n', out.stream);
    }
    return m3_outfile_commit(&out, err);
}

static void write_clusters(FILE *to, const uint32_t *clusters, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) (void)fprintf(to, "%s%u", i == 0 ? "" : ",", clusters[i] + 1);
}

static m3_status write_user_truth(const m3_synth *s, const char *directory, m3_error *err)
{
    m3_outfile out = {0};
    const bool drift = s->o.drift > 0.0;
    m3_status st = open_in(&out, directory, "users", ".tsv", err);
    if (st != M3_OK) return st;
    (void)fprintf(out.stream, "user_id\tclusters%s\n", drift ? "\tlater\tsince" : "");
    for (uint32_t u = 0; u < s->o.users; u++) {
        const m3_synth_user *user = &s->users[u];
        (void)fprintf(out.stream, "u%u\t", u + 1);
        write_clusters(out.stream, user->interests, user->count);
        if (drift) {
            (void)fputc('\t', out.stream);
            write_clusters(out.stream, user->later, user->count);
            (void)fprintf(out.stream, "\t%lld", (long long)user->since);
        }
        (void)fputc('\n', out.stream);
    }
    return m3_outfile_commit(&out, err);
}

/* Whether the features of a modality say something about the next item of a behavior. */
static m3_status write_weights(const m3_synth *s, const char *directory, m3_error *err)
{
    m3_outfile out = {0};
    m3_status st = open_in(&out, directory, "weights", ".tsv", err);
    if (st != M3_OK) return st;
    (void)fprintf(out.stream, "behavior\tmodality\tweight\n");
    for (uint32_t b = 0; b < s->o.behaviors; b++)
        for (uint32_t k = 0; k < s->o.modalities; k++) {
            const m3_synth_use use = s->modalities[k].use;
            const bool carries = use == M3_SYNTH_USEFUL || (use == M3_SYNTH_ONLY && s->modalities[k].behavior == b);
            (void)fprintf(out.stream, "%s\t%s\t%d\n", s->behaviors[b], m3_synth_modality_name(k), carries);
        }
    return m3_outfile_commit(&out, err);
}

static m3_status write_matrix(const m3_synth *s, const char *directory, const char *name, const float *rows,
                              m3_error *err)
{
    char dict[118]; /* 10 bytes stand before it: together 128 */
    m3_outfile out = {0};
    m3_status st = open_in(&out, directory, name, ".npy", err);
    if (st != M3_OK) return st;
    int used = snprintf(dict, sizeof dict, "{'descr': '<f4', 'fortran_order': False, 'shape': (%u, %u), }", s->o.items,
                        s->o.width);
    memset(dict + used, ' ', sizeof dict - (size_t)used);
    dict[sizeof dict - 1] = '\n';
    (void)fwrite("\x93NUMPY\x01\x00\x76\x00", 1, 10, out.stream);
    (void)fwrite(dict, 1, sizeof dict, out.stream);
    (void)fwrite(rows, sizeof *rows, (size_t)s->o.items * s->o.width, out.stream);
    return m3_outfile_commit(&out, err);
}

static m3_status write_ids(const m3_synth *s, const char *directory, const char *name, m3_error *err)
{
    m3_outfile out = {0};
    m3_status st = open_in(&out, directory, name, ".ids.txt", err);
    if (st != M3_OK) return st;
    for (uint32_t i = 0; i < s->o.items; i++) (void)fprintf(out.stream, "i%u\n", i + 1);
    return m3_outfile_commit(&out, err);
}

/* Whether there is anything in a folder, but for one name. */
static m3_status holds_anything(const char *path, const char *but, bool *holds, m3_error *err)
{
    DIR *list = opendir(path);
    if (list == NULL && errno == ENOENT) return M3_OK;
    if (list == NULL) return M3_FAIL(err, m3_path_status(errno), path, "cannot be read: %s", strerror(errno));
    for (const struct dirent *entry; !*holds && (entry = readdir(list)) != NULL;)
        *holds = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && strcmp(entry->d_name, but) != 0;
    (void)closedir(list);
    return M3_OK;
}

/* Other tables of the same names may be there, and what lies beside them would be taken for features. What this wrote
 * before has its truth, of which the events come first of all. */
m3_status m3_synth_check_place(const char *directory, const char *truth, m3_error *err)
{
    bool others = false;
    char *events = m3_strfmt("%s/interactions.tsv", truth);
    if (events == NULL) return M3_FAIL_MEMORY(err, directory, strlen(truth));
    const bool is_own = access(events, F_OK) == 0;
    m3_free(events);
    if (is_own) return M3_OK;
    m3_status st = holds_anything(directory, "truth", &others, err);
    if (st == M3_OK) st = holds_anything(truth, "", &others, err);
    if (st != M3_OK || !others) return st;
    return M3_FAIL(err, M3_ERR_INVALID, directory,
                   "holds files that synth did not write; give an empty or a new folder");
}

static m3_status make_directory(const char *path, m3_error *err)
{
    if (mkdir(path, 0777) == 0 || errno == EEXIST) return M3_OK;
    return M3_FAIL(err, m3_path_status(errno), path, "cannot be made: %s", strerror(errno));
}

m3_status m3_synth_write(m3_synth *s, const char *directory, const char *truth, m3_error *err)
{
    m3_status st;
    if ((st = make_directory(directory, err)) != M3_OK || (st = make_directory(truth, err)) != M3_OK ||
        (st = write_events(s, truth, true, err)) != M3_OK)
        return st;
    for (uint32_t k = 0; k < s->o.modalities; k++) {
        m3_synth_make_features(s, k);
        if ((st = write_matrix(s, directory, m3_synth_modality_name(k), s->noisy, err)) != M3_OK ||
            (st = write_matrix(s, truth, m3_synth_modality_name(k), s->clean, err)) != M3_OK ||
            (st = write_ids(s, directory, m3_synth_modality_name(k), err)) != M3_OK)
            return st;
    }
    if ((st = write_events(s, directory, false, err)) != M3_OK || (st = write_items(s, directory, err)) != M3_OK ||
        (st = write_item_truth(s, truth, err)) != M3_OK || (st = write_user_truth(s, truth, err)) != M3_OK)
        return st;
    return write_weights(s, truth, err);
}
