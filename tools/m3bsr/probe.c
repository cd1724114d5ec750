/* probe: a command in children, each with one more file to avoid than the one before it.
 *   role   probe \036 PATH \037 REASON \036 PATH \037 REASON ... */
#include "tools/m3bsr/probe.h"

#include <stdlib.h>
#include <string.h>

#include "tools/m3bsr/child.h"

enum { MAX_AVOIDED = 64 };
static const char *const entries = "\036", *const parts = "\037";

static m3_plugin_avoid avoided[MAX_AVOIDED]; /* of a child */

void probe_begin(cli *c, char *role)
{
    uint32_t count = 0;
    (void)strsep(&role, entries); /* "probe" */
    for (char *entry; count < MAX_AVOIDED && (entry = strsep(&role, entries)) != NULL; count++) {
        avoided[count].path = strsep(&entry, parts);
        avoided[count].reason = entry != NULL ? entry : "";
    }
    c->told = true;
    c->avoid = (m3_span){.count = count, .stride = sizeof avoided[0], .data = avoided};
}

void probe_end(int status)
{
    (void)fflush(stdout);
    child_report(NULL, "done\t%d", status);
}

/* What all children said on stderr, each line once. */
typedef struct speech {
    char *lines;
    size_t length;
} speech;

static void say_once(void *user, const char *line)
{
    speech *s = user;
    const size_t bytes = strlen(line);
    char *known = s->lines != NULL ? strstr(s->lines, line) : NULL;
    if (known != NULL && known[bytes] == '\n') return;
    cli_show(stderr, "%s\n", line);
    char *grown = realloc(s->lines, s->length + bytes + 2);
    if (grown == NULL) return;
    s->lines = grown;
    s->length += (size_t)snprintf(grown + s->length, bytes + 2, "%s\n", line);
}

/* What the plugin was doing when the child ended. */
typedef struct visit {
    char path[CHILD_LINE], what[64];
    int status; /* -1: it did not get through */
} visit;

static child_event listen(child *c, unsigned seconds, visit *at)
{
    child_event event;
    *at = (visit){.status = -1};
    while ((event = child_next(c, seconds)) == CHILD_REPORT) {
        if (strcmp(c->field[0], "visit") == 0) {
            (void)snprintf(at->what, sizeof at->what, "%s", c->field[1]);
            (void)snprintf(at->path, sizeof at->path, "%s", c->field[2]);
            child_forget(c);
        } else if (strcmp(c->field[0], "done") == 0) {
            at->status = (int)strtol(c->field[1], NULL, 10);
        }
    }
    return event;
}

static char *with_entry(char *role, const visit *at, const char *fate)
{
    char *longer = NULL;
    int length = asprintf(&longer, "%s%s%s%s%s, while it was %s", role, entries, at->path, parts, fate, at->what);
    free(role);
    return length >= 0 ? longer : NULL;
}

int probe_run(char *const *argv, unsigned seconds)
{
    char *role = strdup("probe"), fate[2048], last[CHILD_LINE] = "";
    speech said = {0};
    bool lacks = false; /* a driver in C++ ended for lack of memory: its plugin is left out, but not at fault */
    int status = CLI_SYSTEM;
    child_catch_interrupts();
    for (int tries = 0; role != NULL && tries <= MAX_AVOIDED; tries++) {
        child c;
        visit at;
        if (!child_start(&c, argv, role, false)) break;
        c.say = say_once;
        c.say_user = &said;
        child_event event = listen(&c, seconds, &at);
        char *output = child_take_output(&c);
        child_fate(&c, fate, sizeof fate);
        child_finish(&c);
        if (event == CHILD_INTERRUPTED) status = CLI_INTERRUPTED;
        if (at.status >= 0 && output != NULL) (void)fputs(output, stdout);
        if (c.cut) status = cli_no_memory();
        free(output);
        if (c.cut) break;
        if (at.status >= 0) status = at.status;
        if (event == CHILD_INTERRUPTED || at.status >= 0) break;
        lacks = lacks || strstr(fate, "bad_alloc") != NULL || strstr(fate, "annot allocate memory") != NULL;
        if (at.path[0] == '\0' || strcmp(at.path, last) == 0) {
            cli_show(stderr, "error: looking at the plugins: %s\n", fate);
            break;
        }
        (void)snprintf(last, sizeof last, "%s", at.path);
        role = with_entry(role, &at, fate);
    }
    if (role == NULL || (lacks && status == CLI_DONE)) status = cli_no_memory();
    free(role);
    free(said.lines);
    return status;
}
