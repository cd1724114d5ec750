/* plugin: the beginnings of a plugin.
 *   m3bsr plugin new expert|encoder|op|backend NAME [--out DIR]
 * What it writes are the files of tools/templates/KIND, with @NAME@ replaced. They are part of the program. The folder
 * is written under another name and then renamed, so it is there complete or not at all. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/m3bsr/cli.h"

#define MARK "@NAME@"

enum { MAX_NAME = 32 };

static const struct pattern {
    const char *path; /* KIND/FILE */
    const unsigned char *text;
} patterns[] = {
#include "templates.inc"
};
enum { PATTERNS = sizeof patterns / sizeof patterns[0] };

static const char *const kinds[] = {"expert", "encoder", "op", "backend"};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

typedef struct request {
    const char *kind, *name, *out;
    char folder[PATH_MAX]; /* OUT/NAME */
    char draft[PATH_MAX];  /* OUT/.NAME.PROCESS, until all is written */
} request;

/* The pattern's file name if it is of this kind, else NULL. */
static const char *file_of(const struct pattern *t, const char *kind)
{
    size_t length = strlen(kind);
    return strncmp(t->path, kind, length) == 0 && t->path[length] == '/' ? t->path + length + 1 : NULL;
}

/* Arguments. */

static int check_words(const request *r, const char *verb)
{
    bool known = false;
    if (strcmp(verb, "new") != 0) {
        cli_show(stderr, "error: plugin cannot '%s', it can: new\n", verb);
        return CLI_BAD_INPUT;
    }
    for (size_t i = 0; i < KINDS; i++) known = known || strcmp(r->kind, kinds[i]) == 0;
    if (!known) {
        cli_show(stderr, "error: there is no kind '%s' of plugins to write; there are: expert encoder op backend\n",
                 r->kind);
        return CLI_BAD_INPUT;
    }
    size_t length = strlen(r->name);
    if (length == 0 || length > MAX_NAME || r->name[strspn(r->name, "abcdefghijklmnopqrstuvwxyz0123456789_-")] != 0) {
        cli_show(stderr, "error: '%s' cannot name a plugin; give 1 to %d of a-z, 0-9, _ and -\n", r->name, MAX_NAME);
        return CLI_BAD_INPUT;
    }
    if (strcmp(r->kind, "backend") == 0 && strcmp(r->name, "auto") == 0) {
        (void)fprintf(stderr, "error: --backend auto means the best device; give the backend another name\n");
        return CLI_BAD_INPUT;
    }
    return CLI_GO_ON;
}

static m3_status check_free(const cli *c, const request *r, m3_error *err)
{
    /* An op comes with an expert. */
    const char *kind = strcmp(r->kind, "op") == 0 ? "expert" : r->kind;
    for (uint32_t i = 0; i < m3_engine_plugin_count(c->engine); i++) {
        m3_plugin_report report = {.size = M3_STRUCT_SIZE(m3_plugin_report, reason)};
        m3_engine_plugin(c->engine, i, &report);
        if (report.loaded && strcmp(report.kind, kind) == 0 && strcmp(report.name, r->name) == 0)
            return M3_FAIL(err, M3_ERR_INVALID, r->name,
                           "a %s of this name is loaded already, from '%s'; choose another", kind, report.path);
    }
    return M3_OK;
}

/* Writing. */

static m3_status join(char to[PATH_MAX], const char *folder, const char *file, m3_error *err)
{
    int length = snprintf(to, PATH_MAX, "%s/%s", folder, file);
    if (length >= 0 && length < PATH_MAX) return M3_OK;
    return M3_FAIL(err, M3_ERR_INVALID, "--out", "the path to '%s' is longer than %d bytes; choose another folder",
                   file, PATH_MAX - 1);
}

/* A place where nothing can be made is for the caller to mend; all else, such as a full disk, is the system's failure.
 */
static m3_status cannot(const char *path, m3_error *err)
{
    static const int callers[] = {ENOENT, ENOTDIR, EACCES, EPERM, EROFS, ENAMETOOLONG, ELOOP};
    int why = errno;
    m3_status st = M3_ERR_IO;
    for (size_t i = 0; i < sizeof callers / sizeof callers[0]; i++)
        if (why == callers[i]) st = M3_ERR_INVALID;
    return M3_FAIL(err, st, path, "it cannot be written: %s", strerror(why));
}

static void write_text(FILE *to, const char *text, const char *name)
{
    for (const char *mark; (mark = strstr(text, MARK)) != NULL; text = mark + strlen(MARK)) {
        (void)fwrite(text, 1, (size_t)(mark - text), to);
        (void)fputs(name, to);
    }
    (void)fputs(text, to);
}

static m3_status write_file(const request *r, const char *file, const unsigned char *text, m3_error *err)
{
    char path[PATH_MAX];
    m3_status st = join(path, r->draft, file, err);
    if (st != M3_OK) return st;
    FILE *to = fopen(path, "wx");
    if (to == NULL) return cannot(path, err);
    write_text(to, (const char *)text, r->name);
    if (ferror(to) || fflush(to) != 0 || fsync(fileno(to)) != 0) st = cannot(path, err);
    if (fclose(to) != 0 && st == M3_OK) st = cannot(path, err);
    return st;
}

/* Give the draft its name. An empty folder, which no other process can have made, is the claim to it; the draft
 * replaces it in one step. */
static m3_status publish(const request *r, m3_error *err)
{
    if (mkdir(r->folder, 0777) != 0) {
        if (errno != EEXIST) return cannot(r->folder, err);
        return M3_FAIL(err, M3_ERR_INVALID, r->folder, "it is there already; choose another name or another --out");
    }
    if (rename(r->draft, r->folder) == 0) return M3_OK;
    m3_status st = cannot(r->folder, err);
    (void)rmdir(r->folder);
    return st;
}

static void discard(const request *r)
{
    char path[PATH_MAX];
    for (size_t i = 0; i < PATTERNS; i++) {
        const char *file = file_of(&patterns[i], r->kind);
        if (file != NULL && join(path, r->draft, file, NULL) == M3_OK) (void)unlink(path);
    }
    (void)rmdir(r->draft);
}

static m3_status write_folder(request *r, m3_error *err)
{
    char draft[MAX_NAME + 32];
    m3_status st;
    (void)snprintf(draft, sizeof draft, ".%s.%ld", r->name, (long)getpid());
    if ((st = join(r->folder, r->out, r->name, err)) != M3_OK) return st;
    if ((st = join(r->draft, r->out, draft, err)) != M3_OK) return st;
    if (mkdir(r->draft, 0777) != 0) return cannot(r->folder, err);
    for (size_t i = 0; i < PATTERNS && st == M3_OK; i++) {
        const char *file = file_of(&patterns[i], r->kind);
        if (file != NULL) st = write_file(r, file, patterns[i].text, err);
    }
    if (st == M3_OK) st = publish(r, err);
    if (st != M3_OK) discard(r);
    return st;
}

/* The command. */

static void print_json(const request *r)
{
    bool first = true;
    (void)printf("{\"kind\": ");
    cli_json_text(r->kind);
    (void)printf(", \"name\": ");
    cli_json_text(r->name);
    (void)printf(", \"folder\": ");
    cli_json_text(r->folder);
    (void)printf(", \"files\": [");
    for (size_t i = 0; i < PATTERNS; i++) {
        const char *file = file_of(&patterns[i], r->kind);
        if (file == NULL) continue;
        if (!first) (void)printf(", ");
        cli_json_text(file);
        first = false;
    }
    (void)printf("]}\n");
}

static void print_text(const request *r)
{
    for (size_t i = 0; i < PATTERNS; i++) {
        const char *file = file_of(&patterns[i], r->kind);
        if (file != NULL) (void)printf("%s/%s\n", r->folder, file);
    }
}

int cmd_plugin(int argc, char **argv)
{
    cli c = {0};
    m3_error err = {0};
    request r = {.out = "."};
    const cli_option options[] = {
        {"out", CLI_TEXT, &r.out, "DIR", "where to put the folder NAME (default: here)"},
    };
    const cli_command command = {
        .usage = "plugin new expert|encoder|op|backend NAME [--out DIR]",
        .about = "Write a folder NAME with a plugin that works and is meant to be changed: sources, CMakeLists.txt,\n"
                 "and README.md with the next steps. NAME has a-z, 0-9, _ and -, and no such plugin is loaded.",
        .groups = CLI_PLUGINS,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .min_words = 3,
        .max_words = 3};
    int status = cli_parse(&c, &command, argc, argv);
    if (status != CLI_GO_ON) return status;
    r.kind = c.words[1];
    r.name = c.words[2];
    if ((status = check_words(&r, c.words[0])) != CLI_GO_ON) return status;

    m3_status st = cli_open_engine(&c, &err);
    if (st == M3_OK) st = check_free(&c, &r, &err);
    if (st == M3_OK) st = write_folder(&r, &err);
    if (st == M3_OK && c.json) print_json(&r);
    if (st == M3_OK && !c.json) print_text(&r);
    if (st == M3_OK && !c.quiet) cli_show(stderr, "%s/README.md says how to build, load and check it\n", r.folder);
    cli_close(&c);
    return st == M3_OK ? CLI_DONE : cli_report(&err);
}
