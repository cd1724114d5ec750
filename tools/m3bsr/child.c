/* child: this program once more, in a process of its own. It is started anew and not forked: drivers that were loaded
 * before a fork do not work behind it. */
#include "tools/m3bsr/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROLE "M3BSR_CHILD" /* in the environment, from parent to child alone */
enum { SLICE_MS = 100, MARK = 1 };
enum { TAKEN = 16, MOST_OUTPUT = 16 << 20 }; /* reads at a time; bytes that are kept */

extern char **environ;

/* In the child. */

static int report_to = -1;

char *child_role(void)
{
    static char nothing[1], *role; /* for the rest of the process */
    const char *given = getenv(ROLE);
    if (given == NULL) return NULL;
    role = strdup(given);
    if (role == NULL) role = nothing;
    (void)unsetenv(ROLE); /* not for the programs that a driver starts */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    report_to = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    return role;
}

void child_report(const char *text, const char *format, ...)
{
    char line[CHILD_LINE];
    va_list arguments;
    if (report_to < 0) return;
    line[0] = '\n'; /* whatever was said before ends here */
    line[1] = MARK;
    va_start(arguments, format);
    int length = vsnprintf(line + 2, sizeof line - 3, format, arguments);
    va_end(arguments);
    size_t at = length < 0 ? 2 : 2 + (size_t)length;
    if (at > sizeof line - 3) at = sizeof line - 3;
    if (text != NULL) {
        line[at++] = '\t';
        for (; *text != '\0' && at < sizeof line - 2; text++) line[at++] = (unsigned char)*text < ' ' ? ' ' : *text;
    }
    line[at++] = '\n';
    /* At most a pipe's atomic size: it arrives whole. */
    while (write(report_to, line, at) < 0 && errno == EINTR) continue;
}

/* Starting. */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

void child_catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    (void)sigemptyset(&action.sa_mask);
    action.sa_flags = (int)SA_RESETHAND;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

static uint64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Where this program lies. The link may not be there without /proc; then the name it was called by must do. */
static const char *program(char path[4096])
{
    ssize_t length = readlink("/proc/self/exe", path, 4095);
    if (length <= 0) return program_invocation_name;
    path[length] = '\0';
    return path;
}

/* The environment with the role in front, and "m3bsr" before the command's words; both end with NULL. */
static bool make_vectors(char *const *argv, char *role, char ***words, char ***environment)
{
    static char name[] = "m3bsr";
    size_t count = 0, variables = 0;
    while (argv[count] != NULL) count++;
    while (environ[variables] != NULL) variables++;
    *words = calloc(count + 2, sizeof(char *));
    *environment = calloc(variables + 2, sizeof(char *));
    if (*words == NULL || *environment == NULL) return false;
    (*words)[0] = name;
    for (size_t i = 0; i < count; i++) (*words)[i + 1] = argv[i];
    (*environment)[0] = role;
    for (size_t i = 0; i < variables; i++) (*environment)[i + 1] = environ[i];
    return true;
}

static int spawn(child *c, char *const *argv, char *role, const int said[2], const int output[2])
{
    char path[4096], **words = NULL, **environment = NULL;
    posix_spawn_file_actions_t actions;
    int failed = ENOMEM;
    if (posix_spawn_file_actions_init(&actions) != 0) return failed;
    (void)posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, said[1], STDERR_FILENO);
    if (make_vectors(argv, role, &words, &environment))
        failed = posix_spawn(&c->pid, program(path), &actions, NULL, words, environment);
    (void)posix_spawn_file_actions_destroy(&actions);
    free(words);
    free(environment);
    return failed;
}

char **child_copy_words(int argc, char **argv)
{
    char **copy = calloc((size_t)argc + 1, sizeof *copy);
    for (int i = 0; copy != NULL && i < argc; i++) copy[i] = argv[i];
    return copy;
}

bool child_start(child *c, char *const *argv, const char *role, bool echo)
{
    char *variable = NULL;
    int said[2] = {-1, -1}, output[2] = {-1, -1};
    *c = (child){.reports = -1, .output = -1, .echo = echo};
    (void)signal(SIGCHLD, SIG_DFL); /* where it is ignored, what became of a child could not be asked */
    int failed =
        asprintf(&variable, ROLE "=%s", role) < 0 || pipe2(said, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC) != 0
            ? errno
            : 0;
    if (failed == 0) failed = spawn(c, argv, variable, said, output);
    free(variable);
    if (said[1] >= 0) (void)close(said[1]);
    if (output[1] >= 0) (void)close(output[1]);
    c->reports = said[0];
    c->output = output[0];
    for (int i = 0; i < 2; i++) {
        int fd = i == 0 ? c->reports : c->output;
        if (fd >= 0) (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    }
    if (failed == 0) return true;
    c->pid = 0;
    child_finish(c);
    (void)fprintf(stderr, "error: a child process could not be started: %s\n", strerror(failed));
    return false;
}

/* Listening. */

static void keep_words(child *c, const char *line, size_t length)
{
    if (length == 0) return;
    if (c->echo) (void)fprintf(stderr, "%.*s\n", (int)length, line);
    if (c->say != NULL) {
        char copy[CHILD_LINE];
        (void)snprintf(copy, sizeof copy, "%.*s", (int)length, line);
        c->say(c->say_user, copy);
    }
    if (length > CHILD_WORDS - 2) length = CHILD_WORDS - 2;
    size_t over = c->words_length + length + 1 > CHILD_WORDS - 1 ? c->words_length + length + 2 - CHILD_WORDS : 0;
    memmove(c->words, c->words + over, c->words_length - over);
    c->words_length -= over;
    memcpy(c->words + c->words_length, line, length);
    c->words_length += length;
    c->words[c->words_length++] = '\n';
    c->words[c->words_length] = '\0';
}

static void cut_fields(child *c, const char *line, size_t length)
{
    static char nothing[1];
    memcpy(c->field_text, line, length);
    c->field_text[length] = '\0';
    char *at = c->field_text;
    for (int i = 0; i < CHILD_FIELDS; i++) c->field[i] = at != NULL ? strsep(&at, "\t") : nothing;
}

/* Take what has arrived up to the end of the next report. true: there is one. A child that never stops talking is left
 * after TAKEN reads, so that its time limit is looked at. */
static bool take_report(child *c, bool *more)
{
    *more = true;
    for (int taken = 0;;) {
        if (c->in_at == c->in_length) {
            if (taken++ == TAKEN) return false;
            *more = false;
            ssize_t got = read(c->reports, c->in, sizeof c->in);
            if (got <= 0) return false;
            *more = true;
            c->in_at = 0;
            c->in_length = (size_t)got;
        }
        char byte = c->in[c->in_at++];
        if (byte != '\n' && c->line_length < CHILD_LINE - 1) {
            c->line[c->line_length++] = byte;
            continue;
        }
        bool report = c->line_length > 0 && c->line[0] == MARK;
        if (report)
            cut_fields(c, c->line + 1, c->line_length - 1);
        else
            keep_words(c, c->line, c->line_length);
        c->line_length = 0;
        if (report) return true;
    }
}

static void take_output(child *c)
{
    char some[4096];
    ssize_t got;
    for (int taken = 0; taken < TAKEN && c->output >= 0 && (got = read(c->output, some, sizeof some)) > 0; taken++) {
        if (c->text_length + (size_t)got > MOST_OUTPUT) continue; /* nobody wants to read it */
        char *grown = realloc(c->text, c->text_length + (size_t)got + 1);
        c->cut = c->cut || grown == NULL;
        if (grown == NULL) return;
        memcpy(grown + c->text_length, some, (size_t)got);
        c->text = grown;
        c->text_length += (size_t)got;
        c->text[c->text_length] = '\0';
    }
}

static void stop(child *c)
{
    if (c->pid == 0) return;
    (void)kill(c->pid, SIGKILL);
    while (waitpid(c->pid, &c->status, 0) < 0 && errno == EINTR) continue;
    c->pid = 0;
}

child_event child_next(child *c, unsigned seconds)
{
    const uint64_t end = now_ms() + (uint64_t)seconds * 1000;
    for (;;) {
        if (interrupted != 0) {
            stop(c);
            return CHILD_INTERRUPTED;
        }
        bool more = false;
        take_output(c); /* always: a full pipe would stop the child */
        if (take_report(c, &more)) {
            take_output(c);
            return CHILD_REPORT;
        }
        if (c->pid == 0 && !more) {
            keep_words(c, c->line, c->line_length);
            c->line_length = 0;
            return CHILD_ENDED;
        }
        uint64_t now = now_ms();
        if (c->pid == 0) {
            continue; /* what it said last is long */
        } else if (waitpid(c->pid, &c->status, WNOHANG) == c->pid) {
            c->pid = 0; /* once more around: what it said last */
        } else if (now >= end) {
            c->late = true;
            c->limit = seconds;
            stop(c);
        } else {
            struct pollfd fds[2] = {{.fd = c->reports, .events = POLLIN}, {.fd = c->output, .events = POLLIN}};
            uint64_t left = end - now;
            int ready = poll(fds, 2, left < SLICE_MS ? (int)left : SLICE_MS);
            /* Both ends are closed and it has not ended yet: do not spin. */
            if (ready > 0 && ((fds[0].revents | fds[1].revents) & POLLIN) == 0) (void)poll(NULL, 0, 2);
        }
    }
}

void child_forget(child *c)
{
    c->words_length = 0;
    c->words[0] = '\0';
}

char *child_take_output(child *c)
{
    char *text = c->text;
    c->text = NULL;
    c->text_length = 0;
    return text;
}

void child_finish(child *c)
{
    stop(c);
    if (c->reports >= 0) (void)close(c->reports);
    if (c->output >= 0) (void)close(c->output);
    c->reports = c->output = -1;
    free(c->text);
    c->text = NULL;
    c->text_length = 0;
}

/* What became of it. */

static const char *signal_name(int number)
{
    const char *name = sigabbrev_np(number);
    return name != NULL ? name : "?";
}

/* The line of a sanitizer's report that says most, or NULL. */
static const char *sanitizer_line(const char *words, size_t *length)
{
    static const char *const marks[] = {"SUMMARY: ", "Sanitizer: ", "runtime error: "};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        const char *at = strstr(words, marks[i]);
        if (at == NULL || (i == 0 && strstr(at, "Sanitizer") == NULL)) continue;
        while (at > words && at[-1] != '\n') at--;
        *length = strcspn(at, "\n");
        return at;
    }
    return NULL;
}

bool child_sanitizer(const child *c, char *text, size_t bytes)
{
    size_t length = 0;
    const char *line = sanitizer_line(c->words, &length);
    if (line != NULL) (void)snprintf(text, bytes, "a sanitizer reports: %.*s", (int)length, line);
    return line != NULL;
}

/* The last line that it said, or a sanitizer's summary. */
static const char *last_words(const child *c, size_t *length)
{
    const char *line = sanitizer_line(c->words, length);
    if (line != NULL || c->words_length == 0) return line;
    const char *at = c->words + c->words_length - 1; /* the newline */
    while (at > c->words && at[-1] != '\n') at--;
    *length = strcspn(at, "\n");
    return at;
}

void child_fate(const child *c, char *text, size_t bytes)
{
    size_t length = 0;
    const char *words = last_words(c, &length);
    int at;
    if (c->late)
        at = snprintf(text, bytes, "it did not end within %u seconds", c->limit);
    else if (WIFSIGNALED(c->status))
        at = snprintf(text, bytes, "the process was killed by SIG%s (%s)", signal_name(WTERMSIG(c->status)),
                      strsignal(WTERMSIG(c->status)));
    else
        at = snprintf(text, bytes, "the process exited with status %d", WEXITSTATUS(c->status));
    if (words != NULL && at >= 0 && (size_t)at < bytes)
        (void)snprintf(text + at, bytes - (size_t)at, "; its last words: %.*s", (int)length, words);
}
