/* number: numbers as text in files and options, with a decimal point whatever the locale of the process. */
#ifndef M3_CORE_BASE_NUMBER_H
#define M3_CORE_BASE_NUMBER_H

#include <locale.h>

#include "m3bsr/base.h"

/** From here to m3_locale_leave() this thread reads and writes numbers in the C locale: for many numbers in one file.
 */
locale_t m3_locale_enter(void);
void m3_locale_leave(locale_t before);

/** As strtod, snprintf and vfprintf, in the C locale. */
double m3_number_read(const char *text, char **end);
M3_PRINTF(3, 4)
int m3_number_write(char *text, size_t bytes, const char *format, ...);

/** The shortest text that reads back to the same number, with at least six digits of precision: 0.1, 1e-08. */
void m3_number_shortest(double value, char *text, size_t bytes);

/** The end of a number in decimal notation at the start of `text`, or `text` when there is none:
 * [+-] digits [. digits] [e [+-] digits], with a digit before or after the point. */
const char *m3_number_end(const char *text);

#endif
