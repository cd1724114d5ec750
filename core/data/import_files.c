/* import_files: interactions, items and feature files of a source directory, or as the options name them. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/outfile.h"
#include "core/data/import.h"

struct listing {
    char **names; /* sorted */
    size_t count, capacity;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_listing(struct listing *list)
{
    for (size_t i = 0; i < list->count; i++) m3_free(list->names[i]);
    m3_free(list->names);
}

static m3_status list_directory(struct listing *list, const char *path, m3_error *err)
{
    m3_status st = M3_OK;
    DIR *directory = opendir(path);
    if (directory == NULL) return M3_FAIL(err, m3_path_status(errno), path, "cannot be opened: %s", strerror(errno));
    for (const struct dirent *entry; st == M3_OK && (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] == '.') continue; /* hidden: macOS writes ._NAME beside NAME */
        if (list->count == list->capacity) {
            size_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
            char **names = m3_realloc(list->names, capacity, sizeof *names);
            if (names == NULL) {
                st = M3_FAIL_MEMORY(err, path, capacity * sizeof *names);
                break;
            }
            list->names = names;
            list->capacity = capacity;
        }
        char *name = m3_strdup(entry->d_name);
        if (name == NULL)
            st = M3_FAIL_MEMORY(err, path, strlen(entry->d_name));
        else
            list->names[list->count++] = name;
    }
    (void)closedir(directory);
    if (list->count > 0) qsort(list->names, list->count, sizeof *list->names, by_text);
    return st;
}

static bool has_ending(const char *name, const char *ending)
{
    size_t size = strlen(name), ending_size = strlen(ending);
    return size > ending_size && strcasecmp(name + size - ending_size, ending) == 0;
}

static char *joined(const char *directory, const char *name)
{
    size_t size = strlen(directory);
    return m3_strfmt("%s%s%s", directory, size > 0 && directory[size - 1] == '/' ? "" : "/", name);
}

/* How long a name is without the ending of what compressed it. */
static size_t plain_size(const char *name)
{
    const size_t size = strlen(name);
    if (has_ending(name, ".gz")) return size - 3;
    return has_ending(name, ".zst") ? size - 4 : size;
}

/* Whether the name is STEM and an ending of tables, plain or compressed. Parquet is one: reading it says what to do. */
static bool is_table(const char *name, const char *stem, const char *atomic)
{
    const char *const endings[] = {".tsv", ".csv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet", atomic};
    const size_t stem_size = strlen(stem), size = plain_size(name);
    if (size < stem_size || strncmp(name, stem, stem_size) != 0) return false;
    const m3_field ending = {name + stem_size, size - stem_size};
    for (size_t e = 0; e < sizeof endings / sizeof endings[0]; e++)
        if (m3_field_is(ending, endings[e])) return true;
    return false;
}

/* The table of the stem, else the only file of the atomic ending. *found stays NULL when there is none. */
static m3_status find_table(const struct listing *list, const char *directory, const char *stem, const char *atomic,
                            char **found, m3_error *err)
{
    const char *by_stem = NULL, *by_ending = NULL;
    const size_t ending_size = strlen(atomic);
    size_t others = 0;
    for (size_t i = 0; i < list->count; i++) {
        const char *name = list->names[i];
        const size_t size = plain_size(name);
        if (size > ending_size && strncasecmp(name + size - ending_size, atomic, ending_size) == 0) {
            by_ending = name;
            others++;
        }
        if (!is_table(name, stem, atomic)) continue;
        if (by_stem != NULL)
            return M3_FAIL(err, M3_ERR_INVALID, directory, "has both %s and %s; say which with --%s", by_stem, name,
                           stem);
        by_stem = name;
    }
    if (by_stem == NULL && others > 1)
        return M3_FAIL(err, M3_ERR_INVALID, directory, "has %zu files *%s; say which with --%s", others, atomic, stem);
    const char *name = by_stem != NULL ? by_stem : by_ending;
    if (name == NULL) return M3_OK;
    *found = joined(directory, name);
    return *found != NULL ? M3_OK : M3_FAIL_MEMORY(err, directory, strlen(name));
}

/* The path up to stem, with name behind, or that compressed, whichever is there. *found stays NULL when none is. */
static m3_status find_list(const char *path, int stem, const char *name, char **found, m3_error *err)
{
    static const char *const endings[] = {"", ".gz", ".zst"};
    for (size_t e = 0; e < 3; e++) {
        char *list = m3_strfmt("%.*s%s%s", stem, path, name, endings[e]);
        if (list == NULL) return M3_FAIL_MEMORY(err, path, strlen(path));
        if (access(list, F_OK) == 0) {
            *found = list;
            return M3_OK;
        }
        m3_free(list);
    }
    return M3_OK;
}

/* PATH without its ending + .ids.txt, or ids.txt beside it. */
static m3_status find_ids(m3_feature_file *file, m3_error *err)
{
    const char *slash = strrchr(file->path, '/'), *dot = strrchr(file->path, '.');
    int directory = slash == NULL ? 0 : (int)(slash - file->path) + 1;
    int stem = dot == NULL || (slash != NULL && dot < slash) ? (int)strlen(file->path) : (int)(dot - file->path);
    m3_status st = find_list(file->path, stem, ".ids.txt", &file->ids, err);
    if (st == M3_OK && file->ids == NULL) st = find_list(file->path, directory, "ids.txt", &file->ids, err);
    if (st != M3_OK || file->ids != NULL) return st;
    return M3_FAIL(err, M3_ERR_INVALID, file->path,
                   "has no id list: neither %.*s.ids.txt nor %.*sids.txt is there; line r of it names the item of row "
                   "r. If it is no features of items, say which are with --modalities A,B, or give --no-features",
                   stem, file->path, directory, file->path);
}

static m3_status add_feature(m3_import_files *files, char *name, char *path, const char *ids, m3_error *err)
{
    m3_status st = M3_OK;
    if (name == NULL || path == NULL) {
        st = M3_FAIL_MEMORY(err, "features", 0);
        goto done;
    }
    if (!m3_field_is_utf8((m3_field){name, strlen(name)})) {
        st = M3_FAIL(err, M3_ERR_INVALID, path, "gives a modality a name that is not UTF-8; rename the file");
        goto done;
    }
    m3_feature_file *features = m3_realloc(files->features, files->feature_count + 1, sizeof *features);
    if (features == NULL) {
        st = M3_FAIL_MEMORY(err, "features", (files->feature_count + 1) * sizeof *features);
        goto done;
    }
    files->features = features;
    for (uint32_t i = 0; i < files->feature_count; i++)
        if (strcmp(features[i].name, name) == 0) {
            st = M3_FAIL(err, M3_ERR_INVALID, name, "is the name of two modalities: %s and %s", features[i].path, path);
            goto done;
        }
    m3_feature_file *file = &features[files->feature_count++];
    *file = (m3_feature_file){.name = name, .path = path};
    name = path = NULL; /* the list owns them now */
    if (ids == NULL) return find_ids(file, err);
    if ((file->ids = m3_strdup(ids)) == NULL) st = M3_FAIL_MEMORY(err, ids, strlen(ids));
done:
    m3_free(name);
    m3_free(path);
    return st;
}

static bool is_wanted(const m3_import_options *options, const char *name)
{
    if (options->modality_count == 0) return true;
    for (uint32_t i = 0; i < options->modality_count; i++)
        if (strcmp(options->modalities[i], name) == 0) return true;
    return false;
}

static m3_status find_features(m3_import_files *files, const m3_import_options *options, const struct listing *list,
                               m3_error *err)
{
    m3_status st = M3_OK;
    for (uint32_t i = 0; i < options->feature_count && st == M3_OK; i++) {
        const m3_feature_source *source = &options->features[i];
        if (is_wanted(options, source->name))
            st = add_feature(files, m3_strdup(source->name), m3_strdup(source->path), source->ids, err);
    }
    if (options->feature_count > 0) return st;
    for (size_t i = 0; i < list->count && st == M3_OK; i++) {
        const char *name = list->names[i];
        if (!has_ending(name, ".npy") && !has_ending(name, ".safetensors")) continue;
        char *stem = m3_strfmt("%.*s", (int)(strrchr(name, '.') - name), name);
        if (stem != NULL && !is_wanted(options, stem)) {
            m3_free(stem);
            continue;
        }
        st = add_feature(files, stem, joined(options->source, name), NULL, err);
    }
    return st;
}

/* Put the features into the order of options->modalities. */
static m3_status order_features(m3_import_files *files, const m3_import_options *options, m3_error *err)
{
    for (uint32_t i = 0; i < options->modality_count; i++) {
        uint32_t at = i;
        while (at < files->feature_count && strcmp(files->features[at].name, options->modalities[i]) != 0) at++;
        if (at >= files->feature_count)
            return M3_FAIL(err, M3_ERR_INVALID, options->modalities[i],
                           "is wanted as a modality, once more or without a file; a modality NAME is NAME.npy or "
                           "NAME.safetensors in the source");
        m3_feature_file file = files->features[at];
        files->features[at] = files->features[i];
        files->features[i] = file;
    }
    return M3_OK;
}

/* The table of a part: WORD.csv and so on, or NAME.WORD.inter as RecBole has it. *found stays NULL when there is none.
 */
static m3_status find_part(const struct listing *list, const char *directory, const char *const words[3], char **found,
                           m3_error *err)
{
    const char *part = NULL;
    for (size_t i = 0; i < list->count; i++) {
        const char *name = list->names[i];
        bool is_part = false;
        for (int w = 0; w < 3 && words[w] != NULL; w++) {
            char ending[32];
            const size_t size = plain_size(name);
            const int length = snprintf(ending, sizeof ending, ".%s.inter", words[w]);
            is_part = is_part || is_table(name, words[w], ".inter") ||
                      (size > (size_t)length && strncasecmp(name + size - length, ending, (size_t)length) == 0);
        }
        if (!is_part) continue;
        if (part != NULL)
            return M3_FAIL(err, M3_ERR_INVALID, directory,
                           "has both %s and %s; name the files with --interactions, --valid and --test", part, name);
        part = name;
    }
    if (part == NULL) return M3_OK;
    *found = joined(directory, part);
    return *found != NULL ? M3_OK : M3_FAIL_MEMORY(err, directory, strlen(part));
}

static bool has_table(const struct listing *list, const char *stem, const char *atomic)
{
    for (size_t i = 0; i < list->count; i++)
        if (is_table(list->names[i], stem, atomic)) return true;
    return false;
}

/* Files train and test, and maybe valid, where there is no interactions.*; nothing is found unless both are there. */
static m3_status find_parts(m3_import_files *files, const char *source, const struct listing *list, m3_error *err)
{
    static const char *const train[3] = {"train"}, *const valid[3] = {"valid", "validation", "val"},
                             *const test[3] = {"test"};
    m3_status st;
    if (has_table(list, "interactions", ".inter")) return M3_OK;
    if ((st = find_part(list, source, train, &files->interactions, err)) != M3_OK ||
        (st = find_part(list, source, test, &files->test, err)) != M3_OK)
        return st;
    if (files->interactions != NULL && files->test != NULL) return find_part(list, source, valid, &files->valid, err);
    m3_free(files->interactions);
    m3_free(files->test);
    files->interactions = files->test = NULL;
    return M3_OK;
}

static m3_status take_given(const char *path, char **file, m3_error *err)
{
    if (path != NULL && (*file = m3_strdup(path)) == NULL) return M3_FAIL_MEMORY(err, path, strlen(path) + 1);
    return M3_OK;
}

static bool is_read(const m3_import_files *files, const char *path)
{
    const char *const tables[] = {files->interactions, files->valid, files->test, files->items};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        if (tables[i] != NULL && strcmp(path, tables[i]) == 0) return true;
    for (uint32_t i = 0; i < files->feature_count; i++)
        if (strcmp(path, files->features[i].path) == 0 || strcmp(path, files->features[i].ids) == 0) return true;
    return false;
}

/* Files of the folder that nothing was found in, in a line. */
static m3_status say_unread(const m3_import_files *files, const char *directory, const struct listing *list,
                            const m3_drops *drops, m3_error *err)
{
    char text[512] = "";
    size_t used = 0, more = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct stat info;
        char *path = joined(directory, list->names[i]);
        if (path == NULL) return M3_FAIL_MEMORY(err, directory, strlen(list->names[i]));
        const bool unread = !is_read(files, path) && stat(path, &info) == 0 && S_ISREG(info.st_mode);
        m3_free(path);
        if (!unread) continue;
        if (used + strlen(list->names[i]) + 24 < sizeof text)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used == 0 ? "" : ", ", list->names[i]);
        else
            more++;
    }
    if (more > 0) (void)snprintf(text + used, sizeof text - used, ", %zu more", more);
    if (used > 0) m3_drops_say(drops, M3_LOG_INFO, "not read in %s: %s", directory, text);
    return M3_OK;
}

static m3_status find_all(m3_import_files *files, const m3_import_options *options, struct listing *list, m3_error *err)
{
    m3_status st = M3_OK;
    struct stat info;
    const char *source = options->source, *interactions = options->interactions;
    bool directory = false;
    if (source == NULL && interactions == NULL)
        return M3_FAIL(err, M3_ERR_INVALID, "source", "give a directory or an interactions file");
    if (source != NULL) {
        if (stat(source, &info) != 0)
            return M3_FAIL(err, m3_path_status(errno), source, "cannot be opened: %s", strerror(errno));
        directory = S_ISDIR(info.st_mode);
        if (!directory && interactions == NULL) interactions = source;
    }
    if (directory && (st = list_directory(list, source, err)) != M3_OK) return st;
    const bool split = options->valid != NULL || options->test != NULL;
    if ((st = take_given(interactions, &files->interactions, err)) != M3_OK ||
        (st = take_given(options->valid, &files->valid, err)) != M3_OK ||
        (st = take_given(options->test, &files->test, err)) != M3_OK ||
        (interactions == NULL && !split && (st = find_parts(files, source, list, err)) != M3_OK))
        return st;
    if (files->interactions == NULL) {
        st = find_table(list, source, "interactions", ".inter", &files->interactions, err);
        if (st == M3_OK && files->interactions == NULL)
            st = M3_FAIL(err, M3_ERR_INVALID, source,
                         "has no interactions.tsv, interactions.csv or *.inter; name the file with --interactions");
        if (st != M3_OK) return st;
    }
    if (options->items != NULL) {
        if ((files->items = m3_strdup(options->items)) == NULL) return M3_FAIL_MEMORY(err, options->items, 0);
    } else if ((st = find_table(list, source, "items", ".item", &files->items, err)) != M3_OK) {
        return st;
    }
    if (options->no_features) return M3_OK;
    if ((st = find_features(files, options, list, err)) != M3_OK) return st;
    return order_features(files, options, err);
}

m3_status m3_import_files_find(m3_import_files *files, const m3_import_options *options, m3_drops *drops, m3_error *err)
{
    struct listing list = {0};
    m3_status st = find_all(files, options, &list, err);
    if (st == M3_OK) st = say_unread(files, options->source, &list, drops, err);
    free_listing(&list);
    if (st != M3_OK) return st;
    m3_drops_say(drops, M3_LOG_INFO, "interactions: %s", files->interactions);
    if (files->valid != NULL) m3_drops_say(drops, M3_LOG_INFO, "held out for validation: %s", files->valid);
    if (files->test != NULL) m3_drops_say(drops, M3_LOG_INFO, "held out for test: %s", files->test);
    m3_drops_say(drops, M3_LOG_INFO, "items: %s", files->items != NULL ? files->items : "none");
    for (uint32_t i = 0; i < files->feature_count; i++)
        m3_drops_say(drops, M3_LOG_INFO, "modality %u, '%s': %s with ids %s", i + 1, files->features[i].name,
                     files->features[i].path, files->features[i].ids);
    return M3_OK;
}

void m3_feature_file_fini(m3_feature_file *file)
{
    m3_free(file->name);
    m3_free(file->path);
    m3_free(file->ids);
    *file = (m3_feature_file){0};
}

void m3_import_files_fini(m3_import_files *files)
{
    for (uint32_t i = 0; i < files->feature_count; i++) m3_feature_file_fini(&files->features[i]);
    m3_free(files->features);
    m3_free(files->interactions);
    m3_free(files->valid);
    m3_free(files->test);
    m3_free(files->items);
    *files = (m3_import_files){0};
}
