/* number: strtod and snprintf in the C locale, and what counts as a number. */
#include "core/base/number.h"

#include <stdlib.h>
#include <string.h>

#define DIGITS "0123456789"

locale_t m3_locale_enter(void)
{
    return uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0)); /* for all of "C" libc has one, which costs no memory */
}

void m3_locale_leave(locale_t before)
{
    locale_t c = uselocale(before);
    if (c != LC_GLOBAL_LOCALE && c != before) freelocale(c);
}

double m3_number_read(const char *text, char **end)
{
    locale_t before = m3_locale_enter();
    double value = strtod(text, end);
    m3_locale_leave(before);
    return value;
}

int m3_number_write(char *text, size_t bytes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    locale_t before = m3_locale_enter();
    int length = vsnprintf(text, bytes, format, args);
    m3_locale_leave(before);
    va_end(args);
    return length;
}

void m3_number_shortest(double value, char *text, size_t bytes)
{
    locale_t before = m3_locale_enter();
    for (int digits = 6; digits <= 17; digits++) {
        (void)snprintf(text, bytes, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    m3_locale_leave(before);
}

const char *m3_number_end(const char *text)
{
    const char *at = text + (*text == '+' || *text == '-');
    size_t digits = strspn(at, DIGITS);
    at += digits;
    if (*at == '.') {
        size_t more = strspn(at + 1, DIGITS);
        at += 1 + more;
        digits += more;
    }
    if (digits == 0) return text;
    if (*at == 'e' || *at == 'E') {
        const char *exponent = at + 1 + (at[1] == '+' || at[1] == '-');
        size_t more = strspn(exponent, DIGITS);
        if (more > 0) at = exponent + more;
    }
    return at;
}
