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

enum { MOST_WORDS = 2 * CLI_MAX_LIST + 24, MOST_LAYERS = 8 };

/* The results of one layer that can be run again by their names. */
typedef struct candidates {
    const char *layer;
    const char **names;
    size_t count;
} candidates;

/* A pattern would run others too, and a vector file need not be here. */
static bool is_candidate(const char *layer, const json_t *row)
{
    const char *name = result_text(row, RESULT_CASE);
    if (strcmp(layer, "model") == 0 && strncmp(name, "random.", 7) != 0) return false;
    return strcmp(result_text(row, RESULT_VERDICT), "pass") == 0 && name[strcspn(name, "*?")] == '\0';
}

static bool list_candidates(const json_t *statement, candidates *all, size_t layers)
{
    const json_t *results = json_object_get(statement, "results"), *row;
    size_t i;
    for (size_t l = 0; l < layers; l++) {
        const json_t *rows = json_object_get(results, check_layers[l]);
        all[l] = (candidates){.layer = check_layers[l], .names = calloc(json_array_size(rows) + 1, sizeof(char *))};
        if (all[l].names == NULL) return false;
        json_array_foreach(rows, i, row) if (is_candidate(check_layers[l], row)) all[l].names[all[l].count++] =
            result_text(row, RESULT_CASE);
    }
    return true;
}

/* Any layer that has one left, then any of its: most results are of one layer. */
static const char *take_any(candidates *all, size_t layers, const char **layer)
{
    uint64_t draws[2];
    size_t open = 0, at = 0;
    if (getrandom(draws, sizeof draws, 0) != (ssize_t)sizeof draws) return NULL;
    for (size_t l = 0; l < layers; l++) open += all[l].count > 0;
    if (open == 0) return NULL;
    size_t wanted = (size_t)(draws[0] % open);
    while (all[at].count == 0 || wanted-- > 0) at++;
    candidates *from = &all[at];
    const size_t place = (size_t)(draws[1] % from->count);
    const char *name = from->names[place];
    from->names[place] = from->names[--from->count];
    *layer = from->layer;
    return name;
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

static bool run_again(const cli *c, const char *backend, char *seed, const char *of, const char *name)
{
    static char program[] = "m3bsr", command[] = "conformance", on[] = "--backend", layer[] = "--layer",
                which[] = "--case-seed", cases[] = "--cases", path[] = "--plugin-path", option[] = "--device-option",
                random[] = "--random";
    char *words[MOST_WORDS] = {program,    command, on,   (char *)backend, layer,
                               (char *)of, which,   seed, cases,           (char *)name};
    size_t count = 10;
    char most[24];
    if (strcmp(of, "model") == 0) {
        (void)snprintf(most, sizeof most, "%lu", strtoul(name + strlen("random."), NULL, 10) + 1);
        words[count++] = random;
        words[count++] = most;
    }
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
    const char *backend = c->backend, *name = NULL, *layer = NULL;
    candidates all[MOST_LAYERS] = {0};
    size_t layers = 0;
    uint32_t failed = 0, done = 0;
    json_t *first = NULL;
    const json_int_t given = json_integer_value(json_object_get(statement, "seed"));
    if (backend == NULL) backend = json_string_value(json_object_get(json_object_get(statement, "device"), "name"));
    (void)snprintf(seed, sizeof seed, "%lld", (long long)(given > 0 && given <= UINT32_MAX ? given : 1));
    while (layers < MOST_LAYERS && check_layers[layers] != NULL) layers++;
    const bool listed = list_candidates(statement, all, layers);
    for (; listed && done < count && (name = take_any(all, layers, &layer)) != NULL; done++)
        if (!run_again(c, backend, seed, layer, name) && failed++ == 0)
            first = json_sprintf("%s of layer %s", name, layer);
    for (size_t l = 0; l < layers; l++) free(all[l].names);
    if (failed > 0)
        (void)json_array_append_new(findings, json_sprintf("%u of %u cases do not pass here on %s, the first: %s",
                                                           failed, done, backend, json_string_value(first)));
    else if (done == 0)
        (void)json_array_append_new(findings, json_string("it has no case that could be run again"));
    json_decref(first);
    return failed == 0 ? done : 0;
}
