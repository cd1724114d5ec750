/* foreign: what people have beside text, and the command that makes text of it. */
#include "core/data/foreign.h"

#include <string.h>

#define PANDAS(reader) "python3 -c \"import pandas; pandas." reader "('", "').to_csv('", "csv', index=False)\""

m3_status m3_foreign_refuse(const char *path, const char *bytes, size_t size, m3_error *err)
{
    static const struct {
        const char *magic;
        size_t size;
        const char *name, *before, *behind, *end; /* before, the path, behind, the path up to its point, end */
    } kinds[] = {
        {"PAR1", 4, "Parquet", PANDAS("read_parquet")},
        {"ARROW1", 6, "Arrow or Feather", PANDAS("read_feather")},
        {"PK\3\4", 4, "a spreadsheet or a zip archive", PANDAS("read_excel")},
        {"\xfd"
         "7zXZ",
         5, "compressed with xz", "xz -d '", "'", NULL},
        {"BZh", 3, "compressed with bzip2", "bzip2 -d '", "'", NULL},
        {"SQLite format 3", 16, "an SQLite database", "sqlite3 -header -csv '", "' 'select * from TABLE' > '", "csv'"}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (size < kinds[i].size || memcmp(bytes, kinds[i].magic, kinds[i].size) != 0) continue;
        const char *point = strrchr(path, '.');
        const bool stem = kinds[i].end != NULL && point != NULL && strchr(point, '/') == NULL;
        return M3_FAIL(err, M3_ERR_INVALID, path, "is %s, which is not read; convert it: %s%s%s%.*s%s", kinds[i].name,
                       kinds[i].before, path, kinds[i].behind, stem ? (int)(point - path) + 1 : 0, path,
                       kinds[i].end == NULL ? "" : kinds[i].end);
    }
    return M3_OK;
}
