/* text: parsing by hand where the C library depends on the locale. */
#include "core/data/text.h"

#include <math.h>
#include <string.h>

#include <utf8proc.h>

bool m3_field_is(m3_field field, const char *text)
{
    return strlen(text) == field.size && memcmp(field.text, text, field.size) == 0;
}

bool m3_field_is_utf8(m3_field field)
{
    const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)field.text;
    for (size_t at = 0; at < field.size;) {
        if (bytes[at] < 0x80) {
            at++;
            continue;
        }
        size_t left = field.size - at;
        utf8proc_int32_t codepoint;
        utf8proc_ssize_t step = utf8proc_iterate(bytes + at, left < 4 ? (utf8proc_ssize_t)left : 4, &codepoint);
        if (step <= 0) return false;
        at += (size_t)step;
    }
    return true;
}

bool m3_field_has_control(m3_field field)
{
    for (size_t i = 0; i < field.size; i++) {
        unsigned char c = (unsigned char)field.text[i];
        if (c < 0x20 || c == 0x7f) return true;
    }
    return false;
}

static size_t digits(m3_field field, size_t at)
{
    size_t from = at;
    while (at < field.size && field.text[at] >= '0' && field.text[at] <= '9') at++;
    return at - from;
}

/* [sign] digits [. digits] [e [sign] digits], at least one digit before or after the point. */
static bool is_number(m3_field field)
{
    size_t at = field.size > 0 && (field.text[0] == '-' || field.text[0] == '+') ? 1 : 0;
    size_t whole = digits(field, at), fraction = 0;
    at += whole;
    if (at < field.size && field.text[at] == '.') {
        fraction = digits(field, at + 1);
        at += 1 + fraction;
    }
    if (whole + fraction == 0) return false;
    if (at < field.size && (field.text[at] == 'e' || field.text[at] == 'E')) {
        at++;
        if (at < field.size && (field.text[at] == '-' || field.text[at] == '+')) at++;
        size_t exponent = digits(field, at);
        if (exponent == 0) return false;
        at += exponent;
    }
    return at == field.size;
}

/* Up to 19 digits fit 64 bits; those after that only shift the exponent. long double keeps a threshold such as
 * 4.5 exact and a time of 19 digits whole. */
static long double value_of(m3_field field)
{
    uint64_t mantissa = 0;
    int shift = 0, exponent = 0;
    bool negative = field.text[0] == '-', after_point = false;
    size_t at = 0;
    for (; at < field.size && field.text[at] != 'e' && field.text[at] != 'E'; at++) {
        char c = field.text[at];
        if (c == '.') after_point = true;
        if (c < '0' || c > '9') continue;
        if (mantissa <= (UINT64_MAX - 9) / 10) {
            mantissa = mantissa * 10 + (uint64_t)(c - '0');
            shift -= after_point;
        } else {
            shift += !after_point;
        }
    }
    if (at < field.size) {
        bool down = field.text[at + 1] == '-';
        for (at++; at < field.size; at++) {
            char c = field.text[at];
            if (c >= '0' && c <= '9' && exponent < 100000) exponent = exponent * 10 + (c - '0');
        }
        if (down) exponent = -exponent;
    }
    int power = shift + exponent;
    long double value = (long double)mantissa;
    if (mantissa != 0) value = power < 0 ? value / powl(10.0L, -power) : value * powl(10.0L, power);
    return negative ? -value : value;
}

bool m3_field_number(m3_field field, double *number)
{
    if (field.size > 400 || !is_number(field)) return false;
    double value = (double)value_of(field);
    if (!isfinite(value)) return false;
    *number = value;
    return true;
}

bool m3_field_time(m3_field field, int64_t *time, bool *cut)
{
    if (field.size > 400 || !is_number(field)) return false;
    long double value = value_of(field), whole = floorl(value);
    if (whole < -9.2e18L || whole > 9.2e18L) return false;
    if (whole != value) *cut = true;
    *time = (int64_t)whole;
    return true;
}
