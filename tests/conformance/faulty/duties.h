/* duties: a backend that breaks one promise of m3bsr/backend.h on purpose. */
#ifndef TESTS_FAULTY_DUTIES_H
#define TESTS_FAULTY_DUTIES_H

#include "m3bsr/backend.h"

/* The table of a backend that hands everything to `inner` but breaks the duty of this name; NULL: no duty is called so.
 * duty_none breaks none. */
const m3_backend_api *duties_table(const char *name, const m3_backend_api *inner);

#endif
