/* child: this program once more, in a process of its own, so that a plugin that crashes, exits or hangs takes down a
 * child and not the command. The child runs the same command line and does the part of the work that its role names.
 *
 * The child's standard error is one pipe, on which its reports and what else it says arrive in their order. A report is
 * a line that begins with the byte 1; its fields are separated by tabs:  \001 end \t 17 \t pass */
#ifndef M3_TOOLS_CHILD_H
#define M3_TOOLS_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* In the child. */

/** The role that the parent gave this process, or NULL: it is no child. Ask once, first of all: from then on the
 * process ends with its parent. */
char *child_role(void);
/** Tell the parent. A format with \t between the fields; blanks replace tabs and ends of lines in `text`, the last
 * field, which may be NULL. */
__attribute__((format(printf, 2, 3))) void child_report(const char *text, const char *format, ...);

/* In the parent. */

enum { CHILD_FIELDS = 12, CHILD_LINE = 4096, CHILD_WORDS = 4096 };

typedef struct child {
    pid_t pid; /* 0: none */
    int reports, output;
    bool echo;                                 /* pass on what the child says on stderr */
    void (*say)(void *user, const char *line); /* hears each line of it; may be NULL */
    void *say_user;
    char in[CHILD_LINE]; /* what was read and not looked at yet */
    size_t in_at, in_length;
    char line[CHILD_LINE]; /* the line that is arriving */
    size_t line_length;
    char words[CHILD_WORDS]; /* the last of what it said on stderr since the last child_forget() */
    size_t words_length;
    char *text; /* its standard output so far */
    size_t text_length;
    bool cut;       /* there was no memory for all of it */
    int status;     /* as waitpid gives it, when it has ended */
    bool late;      /* it was ended because time was over */
    unsigned limit; /* the seconds that were over */
    char field_text[CHILD_LINE];
    char *field[CHILD_FIELDS]; /* of the last report; "" beyond */
} child;

typedef enum child_event { CHILD_REPORT, CHILD_ENDED, CHILD_INTERRUPTED } child_event;

/** From here on Ctrl-C is an event instead of the end; a second one ends at once. */
void child_catch_interrupts(void);
/** Start a child with a role. argv: of the command, as main's less the program's name, ended by NULL. false, with a
 * message on stderr: the system has no room for one. */
bool child_start(child *c, char *const *argv, const char *role, bool echo);
/** The words of a command as they are given, ended by NULL; free(). Reading the options moves and cuts them. */
char **child_copy_words(int argc, char **argv);
/** Wait for the next report, at most so many seconds from now; a child that needs longer is killed. After CHILD_ENDED
 * and CHILD_INTERRUPTED the child is gone; child_finish() frees what it said. */
child_event child_next(child *c, unsigned seconds);
/** Forget the words so far: what is said from now on belongs to something new. */
void child_forget(child *c);
/** The standard output since the last call; yours, free(). NULL: nothing, or no memory. */
char *child_take_output(child *c);
/** What ended it, with its last words: "the process was killed by SIGSEGV (Segmentation fault); its last words: ..." */
void child_fate(const child *c, char *text, size_t bytes);
/** Does a sanitizer report stand in its words? Then its summary. */
bool child_sanitizer(const child *c, char *text, size_t bytes);
/** End it when it has not ended, and free what it said. */
void child_finish(child *c);

#endif
