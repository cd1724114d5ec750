/* foreign: what people have beside text, and the command that makes text of it. */
#include "core/data/foreign.h"

#include <string.h>

#include "core/base/alloc.h"

/* IN and OUT stand for the quoted paths. Names go to python beside its program, so that none can be a part of it. */
#define TO_CSV         "(sys.argv[1]).to_csv(sys.argv[2], index=False)' IN OUT"
#define PANDAS(reader) "python3 -c 'import pandas, sys; pandas." reader TO_CSV

static const struct kind {
    size_t at; /* where the magic stands */
    const char *magic;
    size_t size;
    const char *name, *cut, *end; /* OUT is the path without `cut`, with `end` behind */
    const char *command;
} kinds[] = {
    {0, "PAR1", 4, "Parquet", "*", ".csv", PANDAS("read_parquet")},
    {0, "ARROW1", 6, "Arrow or Feather", "*", ".csv", PANDAS("read_feather")},
    {0, "ORC", 3, "ORC", "*", ".csv", PANDAS("read_orc")},
    {0, "\x89HDF", 4, "HDF5", "*", ".csv", PANDAS("read_hdf")},
    {0, "PK\3\4", 4, "a spreadsheet or a zip archive", "*", ".csv", PANDAS("read_excel")},
    {0, "\xd0\xcf\x11\xe0", 4, "an old spreadsheet", "*", ".csv", PANDAS("read_excel")},
    {0, "\xfd\x37zXZ", 5, "compressed with xz", ".xz", "", "xz -dc IN > OUT"},
    {0, "BZh", 3, "compressed with bzip2", ".bz2", "", "bzip2 -dc IN > OUT"},
    {0, "7z\xbc\xaf\x27\x1c", 6, "a 7z archive", "", "", "7z x IN"},
    {0, "\x1f\x8b", 2, "compressed with gzip twice", ".gz", "", "gzip -dc IN > OUT"},
    {257, "ustar", 5, "a tar archive", "", "", "tar xf IN"},
    {0, "SQLite format 3", 16, "an SQLite database", "*", ".csv",
     "sqlite3 -header -csv IN 'select * from TABLE' > OUT"},
};

/* A word for a shell, whatever its characters: in single quotes, one of which is '\''. A name that begins with - is no
 * option. */
static char *quoted(const char *text, size_t length)
{
    char *word = m3_calloc(4 * length + 5, 1), *to = word;
    if (word == NULL) return NULL;
    *to++ = '\'';
    if (text[0] == '-') to = stpcpy(to, "./");
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\'') to = stpcpy(to, "'\\'");
        *to++ = text[i];
    }
    *to = '\'';
    return word;
}

char *m3_shell_word(const char *text)
{
    return quoted(text, strlen(text));
}

/* Another file than the one that is read. */
static char *make_out(const struct kind *kind, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path, *point = strrchr(name, '.');
    const size_t all = strlen(path);
    const bool cuts = point != NULL && point != name && (kind->cut[0] == '*' || strcmp(point, kind->cut) == 0);
    char *out = m3_strfmt("%.*s%s", (int)(cuts ? (size_t)(point - path) : all), path, kind->end);
    if (out == NULL || strcmp(out, path) != 0) return out;
    m3_free(out);
    return m3_strfmt("%s.csv", path);
}

/* The command, with quoted names. */
static char *make_command(const struct kind *kind, const char *path)
{
    char *out = make_out(kind, path), *to = out != NULL ? m3_shell_word(out) : NULL, *from = m3_shell_word(path);
    const char *in = strstr(kind->command, " IN"), *last = strstr(in, " OUT");
    char *made = NULL;
    if (to != NULL && from != NULL && last == NULL)
        made = m3_strfmt("%.*s %s%s", (int)(in - kind->command), kind->command, from, in + 3);
    else if (to != NULL && from != NULL)
        made = m3_strfmt("%.*s %s%.*s %s", (int)(in - kind->command), kind->command, from, (int)(last - in - 3), in + 3,
                         to);
    m3_free(out);
    m3_free(to);
    m3_free(from);
    return made;
}

m3_status m3_foreign_refuse(const char *path, const char *bytes, size_t size, m3_error *err)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const struct kind *kind = &kinds[i];
        if (size < kind->at + kind->size || memcmp(bytes + kind->at, kind->magic, kind->size) != 0) continue;
        char *command = make_command(kind, path);
        if (command == NULL) return M3_FAIL_MEMORY(err, path, strlen(path));
        const m3_status st =
            M3_FAIL(err, M3_ERR_INVALID, path, "is %s, which is not read; convert it: %s", kind->name, command);
        m3_free(command);
        return st;
    }
    return M3_OK;
}
