/* conformance: what the files of `m3bsr conformance` share. The command itself opens no device: children do (child.h),
 * which run a group of cases, or files, each and report what begins and ends. */
#ifndef M3_TOOLS_CONFORMANCE_H
#define M3_TOOLS_CONFORMANCE_H

#include "m3bsr/conformance.h"
#include "tools/m3bsr/child.h"
#include "tools/m3bsr/cli.h"

/** An op that failed, with the first of its cases that did. */
typedef struct check_failed {
    char op[64], name[768];
} check_failed;

enum { CHECK_FAILED_OPS = 256 };

/** What is known of the device at hand, for reports. */
typedef struct check_about {
    char backend[64], version[64], kind[32], name[128], driver[128], features[256];
} check_about;

/** How a case ended. */
typedef enum check_end { CHECK_ENDED, CHECK_CRASHED, CHECK_LATE } check_end;

/** Results so far, for the reports (conformance_collect.c). */
typedef struct check_collected check_collected;

typedef struct check {
    cli c;
    cli_list layers, vectors, reports;
    const char *cases;
    uint32_t seed, timeout;
    uint32_t random, configurations; /* as asked for; that are run */
    bool in_process, full, list, next;
    bool strict; /* asked for; a child does without the other devices in any case */
    char **argv; /* of the command, as it was given, ended by NULL */
    char device_name[64], reference_name[64];
    char visited[CHILD_LINE]; /* "plugin PATH was opened": what a child touched last */
    m3_device *reference;
    uint32_t shown, parts; /* of the file or layer at hand; layers and files so far */
    bool started;          /* a child has spoken on stderr already: the next ones would only repeat it */
    bool stopped;          /* nothing more can be run */
    int status;
    check_failed failed[CHECK_FAILED_OPS];
    uint32_t failed_count;
    char layer[32]; /* that runs */
    check_about device;
    check_end end; /* of the child that the next failure is about */
    check_collected *collected;
} check;

void check_worsen(check *k, int status);
/** May one more finding be shown? */
bool check_may_show(check *k);
/** The seconds that a child has before its first case or file ends: drivers compile. */
unsigned check_patience(const check *k);
/** Open device and reference in this process, and say so to the parent if there is one. */
m3_status check_open(check *k, m3_error *err);
/** What a report means that every child may send: opened, plugin, error. true: it was one of these. */
bool check_heard(check *k, child *c);
/** Children that may die one after another: a device that is gone would take the time limit for each check. */
enum { CHECK_MAX_DEATHS = 25 };
/** Say that so many did, the last in this check, and that no more are started. */
void check_give_up(uint32_t deaths, const char *last);
/** A child ended before it opened its device: say what happened, and let nothing else run. */
void check_not_opened(check *k, const child *c);

/** One layer of cases (ops, gradients, or model: random configurations), and what a child does for it: run so many
 * cases from the first on. */
void check_cases(check *k, const char *layer);
/** Print the list: a table of ops and rules, or the names that match. */
int check_list(check *k);
int check_cases_child(check *k, const char *layer, uint32_t first, uint32_t count);

/** Layer modules on the device at hand; without --backend the values also on every other device that is there. */
void check_modules(check *k);
/** What a child does for it: "modules FIRST ALONE DEVICE", from a setting on, of all checks or of values alone. */
int check_modules_child(check *k, const char *role);

/** The ops of a training step that the device does not run itself, the most beneficial first: a line, and with --next
 * or -v a table. It is no check and passes or fails nothing. */
void check_next(check *k);
int check_next_child(check *k);

/** Layer system on the backend of the device at hand. */
void check_system(check *k);
/** What a child does for it: the checks from an index of the list on. */
int check_system_child(check *k, uint32_t first);
/** Print the checks that match, and what must hold. */
int check_system_list(const check *k);

/** A result of any layer, as reports take it. Texts are borrowed for the call. */
typedef struct check_result {
    const char *layer; /* "ops" */
    const char *name;  /* of the case */
    const char *about; /* the op, module, file or duty that it is about: a row of the page */
    const char *dtype; /* "f32", or "" */
    const char *rules; /* why it is there, or what it looks at: words between blanks, columns of the page */
    m3_verdict verdict;
    double share;       /* largest error as a share of what is allowed; below 0: nothing was measured */
    double ms;          /* that it took */
    const char *text;   /* what failed, why it lacks, or "" */
    const char *select; /* the pattern of --cases that runs it again; NULL: the whole layer */
    const char *again;  /* the command that does; NULL: made from the layer and `select` */
} check_result;

/** Collect a result for the reports; without --report nothing happens. k->end says whether a child died in it. */
void check_take(check *k, const check_result *r);
/** The device could not be opened, and why. */
void check_take_opening(check *k, const char *text);
/** Milliseconds since the last lap in this process: call it when a case begins, and when it ends. */
double check_lap(void);
/** A layer begins: one without a result has failed. */
void check_take_layer(check *k, const char *layer);
/** Can the reports be written? Else a message, and false. */
bool check_may_report(const check *k);
/** Write the reports. */
void check_report(check *k);

/** The layers, in the order in which they run, ended by NULL. */
extern const char *const check_layers[];
/** `m3bsr conformance verify FILE`. */
int check_verify(int argc, char **argv);
/** `m3bsr conformance collectives NAME`. */
int check_collectives(int argc, char **argv);

/** Print the command that runs one case or check again, as it can be pasted.
 * @param name  Or a pattern; NULL: the whole layer, where no case is to blame. */
void check_print_again(FILE *to, const check *k, const char *layer, const char *name);
/** Likewise for a vector file. */
void check_print_again_file(FILE *to, const check *k, const char *path);

#endif
