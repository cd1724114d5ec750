/* grown: a small set, and two later ones that a training may start on from a run on the first. Items are "i0", "i1", …;
 * 30 and later are new, of which 33 and 34 have no features, nor has 4. Every failure ends the test. */
#ifndef M3_TESTS_SUPPORT_GROWN_H
#define M3_TESTS_SUPPORT_GROWN_H

#include "tests/support/data_source.h"

enum { GROWN_OLD = 30, GROWN_ITEMS = 35, GROWN_GONE = 5, GROWN_WIDTH = 8 };

typedef struct grown {
    data_source old;  /* items 0 to 29 */
    data_source new;  /* what was appended to it: items to 34, and 35, which has neither features nor events */
    data_source less; /* another import: items 5 to 34 */
} grown;

void grown_make(grown *sets);
void grown_remove(grown *sets);

/** What features say of item `i` in a table, of so many columns, that depends on nothing else. */
double grown_planted(uint32_t i, uint32_t column);
/** Number in the id of an item of a set. */
uint32_t grown_meant(const m3_dataset *set, uint32_t item);

#endif
