/* tuning: which of several variants is fastest on a device, measured once for each class of nodes (tune.h) and kept in
 * a file. Lowering looks the class of a node up and takes the default when there is none, or no variant of the node.
 *
 * A backend opens the table before the first program and sets traits.tuning. Variants may differ in the order of their
 * sums, so another table may give other bits; with one table, results are the same every time.
 *
 * File: an entry of the cache (cache.h), lines of text, the first `m3bsr tuning 1 KEY`, where KEY is the device's:
 * name, driver and what else decides. The others are, each with a blank between:
 *   class variant microseconds
 * Threads: a table is used by one thread. */
#ifndef LOWER_TUNING_H
#define LOWER_TUNING_H

#include "backends/lowering/cache.h"
#include "backends/lowering/lower.h"
#include "backends/lowering/variants.h"

/* The table of a device with what its file has; where no file counts, the defaults hold. files: borrowed as long as the
 * table; NULL: no file keeps it. interface: of the file's name; key: one line, all that decides how fast a variant is;
 * copied. Fails for lack of memory alone. */
m3_status lower_tuning_open(const m3_host *host, const lower_cache *files, const char *interface, const char *key,
                            lower_tuning **out, m3_error *err);
/* What m3_backend_api.tuning gives. */
m3_status lower_tuning_describe(const lower_tuning *t, m3_tuning *tuning, m3_error *err);

/* An empty table that no file keeps; key: one line, copied. */
m3_status lower_tuning_create(const m3_host *host, const char *key, lower_tuning **out, m3_error *err);
void lower_tuning_free(lower_tuning *t);

/* The variant of a class, or NULL when it is not known; table may be NULL. Borrowed until the next put. */
const char *lower_tuned(const lower_tuning *t, const char *class_text);
/* Enter or replace. Texts are copied; they are words without spaces. */
m3_status lower_tuning_put(lower_tuning *t, const char *class_text, const char *variant, double microseconds,
                           m3_error *err);
/* Classes in the table, and those of them that put entered since it was created; saved or not. */
uint32_t lower_tuning_count(const lower_tuning *t);
uint32_t lower_tuning_measured(const lower_tuning *t);
/* Has put changed the table since it was created or saved? */
bool lower_tuning_changed(const lower_tuning *t);

/* Add a file's lines. A missing file is an empty one; a file of another device or version is left alone and damaged
 * lines are skipped, each with a warning in the log. Fails for lack of memory. */
m3_status lower_tuning_load(lower_tuning *t, const lower_cache *files, const char *name, m3_error *err);
/* Write all lines; M3_ERR_IO where the file cannot be written. */
m3_status lower_tuning_save(lower_tuning *t, const lower_cache *files, const char *name, m3_error *err);

/* Write the file, if there is one and the table has changed. What was measured is known until the device is closed:
 * that no file takes it is a warning in the log. */
void lower_tuning_keep(lower_tuning *t);

/* The host that the table was created with. */
const m3_host *lower_tuning_host(const lower_tuning *t);

#endif
