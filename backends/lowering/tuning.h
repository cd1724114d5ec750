/* tuning: which way of several a device is fastest in, measured once for each class of nodes and kept in a file.
 *
 * lower_ways names the class of a node that can be computed in more than one way, and the ways, the default first.
 * Lowering asks lower_tuned for the class and takes the default when the answer is NULL or no way of the node.
 *
 * A backend with option tune=yes does this:
 *   lower_tuning_open before the first program; traits.tuning = the table
 *   at the start of program_compile, lower_tune: nodes whose class is not in the table are measured through
 *     lower_tuner.time, for which the backend compiles and runs a program of one node with the traits it is given
 * Without the option it only opens. Ways may differ in the order of their sums, so another table may give other bits;
 * with one table, results are the same every time.
 *
 * File: lines of text, the first `m3bsr tuning 1 KEY`, where KEY is the device's: name, driver and what else decides.
 *   class way microseconds
 * Threads: a table is used by one thread. */
#ifndef LOWER_TUNING_H
#define LOWER_TUNING_H

#include "backends/lowering/lower.h"

enum { LOWER_MAX_WAYS = 24, LOWER_CLASS_BYTES = 96 };

/* Ways to compute a node among which traits->tuning chooses: fills class_text [LOWER_CLASS_BYTES] and names
 * [LOWER_MAX_WAYS], static, the default first, and says how many. 0: its op has one way. */
uint32_t lower_ways(const lower_traits *traits, const m3_node *node, char *class_text, const char **names);

/* The way of this name, static, or NULL when there is none. */
const char *lower_way_named(const char *name);

/* The table of a device with what its file in the host's cache has. A file that cannot be read is a warning in the log:
 * the defaults hold then. interface: of the file's name; key: one line, all that decides how fast a way is; copied. */
m3_status lower_tuning_open(const m3_host *host, const char *interface, const char *key, lower_tuning **out,
                            m3_error *err);
/* What m3_backend_api.tuning gives. */
m3_status lower_tuning_tell(const lower_tuning *t, m3_tuning *tuning, m3_error *err);

/* An empty table that no file keeps; key: one line, copied. */
m3_status lower_tuning_create(const m3_host *host, const char *key, lower_tuning **out, m3_error *err);
void lower_tuning_free(lower_tuning *t);

/* The way of a class, or NULL when it is not known; table may be NULL. Borrowed until the next put. */
const char *lower_tuned(const lower_tuning *t, const char *class_text);
/* Enter or replace. Texts are copied; they are words without spaces. */
m3_status lower_tuning_put(lower_tuning *t, const char *class_text, const char *way, double microseconds,
                           m3_error *err);
/* Classes in the table, and those of them that put entered since it was created; saved or not. */
uint32_t lower_tuning_count(const lower_tuning *t);
uint32_t lower_tuning_measured(const lower_tuning *t);
/* Has put changed the table since it was created or saved? */
bool lower_tuning_changed(const lower_tuning *t);

/* Add a file's lines. A missing file is an empty one; a file of another device or version is left alone and damaged
 * lines are skipped, each with a warning in the log. Fails for lack of memory, or when the file cannot be read. */
m3_status lower_tuning_load(lower_tuning *t, const char *path, m3_error *err);
/* Write under another name, sync, rename: readers see the old file or the new one. */
m3_status lower_tuning_save(lower_tuning *t, const char *path, m3_error *err);

typedef struct lower_tuner {
    void *user;
    /* Time of a run of a program of one node: the shortest of several after one that is not counted. Its tensors lie
     * in segment 0, whose bytes are program->segments[0].bytes and whose content the backend chooses (numbers, no NaN).
     * Lower it with `traits`, which name the way. A way that fails is left out of the choice. */
    m3_status (*time)(void *user, const lower_traits *traits, const m3_program *program, double *microseconds,
                      m3_error *err);
} lower_tuner;

/* Measure every way of each node whose class is not in the table, enter the fastest, and write the file. That it cannot
 * be written is a warning in the log. Fails for lack of memory, or when the device is lost. */
m3_status lower_tune(lower_tuning *t, const lower_tuner *tuner, const lower_traits *traits, const m3_program *program,
                     uint32_t alignment, m3_error *err);

#endif
