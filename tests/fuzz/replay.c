/* replay: a main that gives files, and all files of folders, to the fuzz target it is linked with. No file at all is a
 * failure: a test that replays nothing says nothing. Usage: PROGRAM FILE|FOLDER... */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    long size = -1;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0) size = ftell(file);
    if (size < 0) {
        perror(path);
        if (file != NULL) (void)fclose(file);
        return false;
    }
    rewind(file);
    uint8_t *data = malloc(size > 0 ? (size_t)size : 1); /* exactly its size: a sanitizer sees what is read beyond */
    bool read = data != NULL && fread(data, 1, (size_t)size, file) == (size_t)size;
    (void)fclose(file);
    if (read) {
        (void)printf("%s\n", path);
        (void)fflush(stdout); /* the last line names the culprit */
        (void)LLVMFuzzerTestOneInput(data, (size_t)size);
    }
    free(data);
    return read;
}

/* How many files were replayed; -1 when one could not be read. */
static int replay(const char *path)
{
    struct dirent **names = NULL;
    int count = scandir(path, &names, NULL, by_name), replayed = 0;
    if (count < 0) return replay_file(path) ? 1 : -1;
    for (int i = 0; i < count; i++) {
        char *inner = malloc(strlen(path) + strlen(names[i]->d_name) + 2);
        if (inner != NULL && names[i]->d_name[0] != '.' && replayed >= 0) {
            (void)sprintf(inner, "%s/%s", path, names[i]->d_name);
            int some = replay(inner);
            replayed = some < 0 ? -1 : replayed + some;
        }
        free(inner);
        free(names[i]);
    }
    free(names);
    return replayed;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int some = replay(argv[i]);
        if (some < 0) return 1;
        total += some;
    }
    (void)printf("%d inputs\n", total);
    return total > 0 ? 0 : 1;
}
