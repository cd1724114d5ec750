/* conformance_rerun: random cases of a statement run again on a device of this machine, which a statement that was made
 * up does not survive when the backend is wrong. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>

#include "tools/m3bsr/conformance_report.h"

extern char **environ;

enum { MOST_WORDS = 2 * CLI_MAX_LIST + 24 };

/* A result that can be run again by its name. */
typedef struct candidate {
    const char *layer, *name;
} candidate;

static bool is_candidate(const json_t *row)
{
    const char *name = result_text(row, RESULT_CASE);
    return strcmp(result_text(row, RESULT_VERDICT), "pass") == 0 && name[strcspn(name, "*?")] == '\0';
}

static candidate *list_candidates(const json_t *statement, size_t *count)
{
    static const char *const layers[] = {"ops", "gradients"};
    const json_t *results = json_object_get(statement, "results"), *row;
    candidate *all = NULL;
    size_t i, most = 0;
    *count = 0;
    for (size_t l = 0; l < 2; l++) most += json_array_size(json_object_get(results, layers[l]));
    all = calloc(most + 1, sizeof *all);
    for (size_t l = 0; l < 2 && all != NULL; l++)
        json_array_foreach(json_object_get(results, layers[l]), i, row) if (is_candidate(row)) all[(*count)++] =
            (candidate){layers[l], result_text(row, RESULT_CASE)};
    return all;
}

/* true: this program, asked to run the case, ends with status 0. */
static bool passes(char *const *words)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status = -1;
    if (posix_spawn_file_actions_init(&actions) != 0) return false;
    for (int fd = 1; fd <= 2; fd++) (void)posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_WRONLY, 0);
    if (posix_spawn(&pid, "/proc/self/exe", &actions, NULL, words, environ) == 0)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    (void)posix_spawn_file_actions_destroy(&actions);
    return WIFEXITED(status) && WEXITSTATUS(status) == CLI_DONE;
}

static bool run_again(const cli *c, const char *backend, char *seed, const candidate *at)
{
    static char program[] = "m3bsr", command[] = "conformance", on[] = "--backend", layer[] = "--layer",
                which[] = "--case-seed", cases[] = "--cases", path[] = "--plugin-path", option[] = "--device-option";
    char *words[MOST_WORDS] = {program,           command, on,   (char *)backend, layer,
                               (char *)at->layer, which,   seed, cases,           (char *)at->name};
    size_t count = 10;
    if (c->plugin_path != NULL) {
        words[count++] = path;
        words[count++] = (char *)c->plugin_path;
    }
    for (uint32_t i = 0; i < c->device_option.count; i++) {
        words[count++] = option;
        words[count++] = c->device_option.at[i];
    }
    return passes(words);
}

uint32_t statement_rerun(const json_t *statement, const cli *c, uint32_t count, json_t *findings)
{
    char seed[24];
    const char *backend = c->backend;
    size_t left = 0;
    uint32_t failed = 0, done = 0;
    json_t *first = NULL;
    const json_int_t given = json_integer_value(json_object_get(statement, "seed"));
    if (backend == NULL) backend = json_string_value(json_object_get(json_object_get(statement, "device"), "name"));
    (void)snprintf(seed, sizeof seed, "%lld", (long long)(given > 0 && given <= UINT32_MAX ? given : 1));
    candidate *all = list_candidates(statement, &left);
    for (; all != NULL && done < count && left > 0; done++) {
        uint64_t draw = 0;
        if (getrandom(&draw, sizeof draw, 0) != (ssize_t)sizeof draw) break;
        const size_t at = (size_t)(draw % left);
        if (!run_again(c, backend, seed, &all[at])) {
            if (failed++ == 0) first = json_sprintf("%s of layer %s", all[at].name, all[at].layer);
        }
        all[at] = all[--left];
    }
    free(all);
    if (failed > 0)
        (void)json_array_append_new(findings, json_sprintf("%u of %u cases do not pass here on %s, the first: %s",
                                                           failed, done, backend, json_string_value(first)));
    else if (done == 0)
        (void)json_array_append_new(findings, json_string("it has no case that could be run again"));
    json_decref(first);
    return failed == 0 ? done : 0;
}
