/* report_page: what the page of a run is made of. The log may be anybody's: a member that is missing, or is of another
 * type, leaves something out. */
#ifndef M3_CORE_RUN_REPORT_PAGE_H
#define M3_CORE_RUN_REPORT_PAGE_H

#include <jansson.h>

#include "core/settings/settings.h"

typedef struct m3_report {
    json_t *epochs; /**< array of the log's "epoch" lines */
    json_t *start;  /**< the log's first line, or NULL */
    m3_settings *settings;
} m3_report;

/** A number of each epoch: EPOCH.GROUP.NAME.KEY. */
typedef struct m3_curve {
    const char *group; /**< names of objects, joined by '/'; NULL: the epoch itself */
    const char *name;  /**< of an object in the group, and in the legend; NULL: the group itself, and the key */
    const char *key;
    const char *color;
} m3_curve;

/** The last epoch that was the best, or NULL. */
const json_t *m3_report_best(const m3_report *report);
/** The whole page. */
void m3_report_page(const m3_report *report, FILE *to);
/** Its part on the instruments of training; nothing where the log has none. */
void m3_report_instruments(const m3_report *report, FILE *to);

/** A text of the page. */
void m3_page_text(FILE *to, const char *text);
/** A title, curves with a common scale, and their legend; nothing without a number. */
void m3_page_draw(const m3_report *report, FILE *to, const char *title, const m3_curve *curves, size_t count);
/** The member of a path of names joined by '/', or NULL. */
json_t *m3_page_member(json_t *object, const char *path);

#endif
