/* data_source: see the header. Whatever fails here fails the test. */
#include "tests/support/data_source.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

void data_source_make(data_source *source)
{
    *source = (data_source){.logged = 0};
    const char *root = getenv("TMPDIR");
    int used =
        snprintf(source->directory, sizeof source->directory, "%s/m3bsr-data-XXXXXX", root != NULL ? root : "/tmp");
    assert_in_range(used, 1, sizeof source->directory - 1);
    assert_non_null(mkdtemp(source->directory));
}

static void remove_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) return;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char name[512];
        struct stat info;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (lstat(name, &info) == 0 && S_ISDIR(info.st_mode))
            remove_folder(name);
        else
            (void)unlink(name);
    }
    (void)closedir(folder);
    (void)rmdir(path);
}

void data_source_remove(data_source *source)
{
    remove_folder(source->directory);
}

const char *data_source_path(const data_source *source, const char *name)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", source->directory, name);
    return path;
}

void data_source_write(const data_source *source, const char *name, const char *bytes, size_t size)
{
    FILE *file = fopen(data_source_path(source, name), "wb");
    assert_non_null(file);
    if (size == 0) size = strlen(bytes);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

void data_source_write_npy(const data_source *source, const char *name, const char *descr, bool by_columns,
                           uint32_t rows, uint32_t width, const double *values)
{
    static const char magic[10] = {'\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, 118, 0};
    char dict[118];
    const size_t size = (size_t)(descr[2] - '0');
    char *bytes = calloc(128 + (size_t)rows * width * size, 1);
    assert_non_null(bytes);
    int used = snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': %s, 'shape': (%u, %u), }", descr,
                        by_columns ? "True" : "False", rows, width);
    memset(dict + used, ' ', sizeof dict - (size_t)used);
    dict[sizeof dict - 1] = '\n';
    memcpy(bytes, magic, sizeof magic);
    memcpy(bytes + 10, dict, sizeof dict);
    size_t at = 128;
    for (uint32_t i = 0; i < rows * width; i++, at += size) {
        const float single = (float)values[i];
        uint64_t bits = (uint64_t)(int64_t)values[i]; /* of whole numbers, and of halves, which are given as bits */
        if (strcmp(descr + 1, "f8") == 0) memcpy(&bits, &values[i], 8);
        if (strcmp(descr + 1, "f4") == 0) {
            bits = 0;
            memcpy(&bits, &single, 4);
        }
        for (size_t k = 0; k < size; k++)
            bytes[at + k] = (char)(bits >> 8 * (descr[0] == '>' ? size - 1 - k : k) & 0xff);
    }
    data_source_write(source, name, bytes, at);
    free(bytes);
}

bool data_source_has_temporary(const data_source *source)
{
    bool found = false;
    DIR *folder = opendir(source->directory);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        found = found || strstr(entry->d_name, ".tmp.") != NULL;
    (void)closedir(folder);
    return found;
}

void data_source_log(void *user, m3_log_level level, const char *line)
{
    data_source *source = user;
    (void)level;
    int used = snprintf(source->log + source->logged, sizeof source->log - source->logged, "%s\n", line);
    source->logged += (size_t)used;
    if (source->logged >= sizeof source->log) source->logged = sizeof source->log - 1;
}

m3_status data_source_import(data_source *source, m3_import_options options, m3_import_report *report, m3_error *err)
{
    char path[80];
    (void)snprintf(path, sizeof path, "%s/set", source->directory);
    if (options.size == 0) options.size = M3_STRUCT_SIZE(m3_import_options, test);
    if (options.source == NULL && options.interactions == NULL) options.source = source->directory;
    options.reading.log = data_source_log;
    options.reading.log_user = source;
    return m3_data_import(&options, path, report, err);
}

bool alloc_failure_gate(void *user, size_t bytes)
{
    alloc_failure *failure = user;
    (void)bytes;
    uint64_t number = failure->seen++;
    return failure->on ? number < failure->at : number != failure->at;
}
