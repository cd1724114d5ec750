/* conformance_page: what the files of the page share. */
#ifndef M3_TOOLS_CONFORMANCE_PAGE_H
#define M3_TOOLS_CONFORMANCE_PAGE_H

#include "tools/m3bsr/conformance_report.h"

/** A member of an object, "" when it is no text. */
const char *page_text(const json_t *object, const char *key);
/** An error as a share of its bound: ".37", "0" when it is exact, "–" when nothing was measured. */
void page_share(FILE *to, const json_t *share);
/** Milliseconds in the unit that suits them. */
void page_ms(FILE *to, double ms);

/** A map of each layer, what it is about by rule, coloured by error over bound; a table of the cases where these are
 * few (conformance_map.c). */
void page_maps(const json_t *statement, FILE *to);

#endif
