/* text: parsing by hand where the C library depends on the locale. */
#include "core/data/text.h"

#include <math.h>
#include <string.h>
#include <strings.h>

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

/* Eight bytes at once: the upper bit, and what becomes lower than 0x20 or is 0x7f. */
static bool is_plain_word(uint64_t w)
{
    const uint64_t ones = UINT64_MAX / 0xff, tops = ones * 0x80;
    const uint64_t control = (w - ones * 0x20) | ((w ^ ones * 0x7f) - ones); /* borrows from a byte that is one */
    return ((w | control) & tops) == 0;
}

bool m3_field_is_plain(m3_field field)
{
    uint64_t word = 0;
    for (size_t at = 0; at + sizeof word <= field.size; at += sizeof word) {
        memcpy(&word, field.text + at, sizeof word);
        if (!is_plain_word(word)) return false;
    }
    for (size_t at = field.size / sizeof word * sizeof word; at < field.size; at++) {
        const unsigned char c = (unsigned char)field.text[at];
        if (c < 0x20 || c >= 0x7f) return false;
    }
    return true;
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

bool m3_field_value(m3_field field, double *number)
{
    static const struct {
        const char *word;
        double value;
    } words[] = {{"true", 1}, {"false", 0}, {"yes", 1}, {"no", 0}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (field.size == strlen(words[i].word) && strncasecmp(field.text, words[i].word, field.size) == 0) {
            *number = words[i].value;
            return true;
        }
    return m3_field_number(field, number);
}

bool m3_time_scale(int64_t *time, uint32_t digits)
{
    for (; digits > 0; digits--) {
        if (*time > (INT64_MAX - 1) / 10 || *time < -((INT64_MAX - 1) / 10)) {
            *time = *time < 0 ? INT64_MIN + 1 : INT64_MAX - 1;
            return false;
        }
        *time *= 10;
    }
    return true;
}

/* The number as mantissa * 10^*power, without zeros at the mantissa's end. Digits behind the nineteenth or twentieth
 * only shift the point: they are too small for any unit in which those before them fit. */
static uint64_t take_apart(m3_field field, int *power, uint32_t *lost)
{
    uint32_t behind = 0;
    uint64_t mantissa = 0;
    size_t at = 0;
    int exponent = 0;
    bool after_point = false;
    *power = 0;
    for (; at < field.size && field.text[at] != 'e' && field.text[at] != 'E'; at++) {
        const char c = field.text[at];
        after_point = after_point || c == '.';
        if (c < '0' || c > '9') continue;
        if (mantissa <= (UINT64_MAX - 9) / 10) {
            mantissa = mantissa * 10 + (uint64_t)(c - '0');
            *power -= after_point;
        } else {
            *power += !after_point;
            behind++;
            if (c != '0') *lost = behind;
        }
    }
    const bool down = at + 1 < field.size && field.text[at + 1] == '-';
    for (at++; at < field.size; at++)
        if (field.text[at] >= '0' && field.text[at] <= '9' && exponent < 100000)
            exponent = exponent * 10 + (field.text[at] - '0');
    *power += down ? -exponent : exponent;
    for (; *lost == 0 && mantissa != 0 && mantissa % 10 == 0; mantissa /= 10) ++*power;
    return mantissa;
}

/* Up to 18 digits and nothing else, as most times are written. */
static bool is_short_number(m3_field field, int64_t *number)
{
    *number = 0;
    if (field.size == 0 || field.size > 18) return false;
    for (size_t i = 0; i < field.size; i++) {
        const unsigned digit = (unsigned)(unsigned char)field.text[i] - '0';
        if (digit > 9) return false;
        *number = *number * 10 + digit;
    }
    return true;
}

bool m3_field_time(m3_field field, uint32_t digits, int move, int64_t *time, uint32_t *needed, bool *fits)
{
    if (move >= 0 && is_short_number(field, time)) {
        *needed = 0;
        *fits = *time == 0 || m3_time_scale(time, digits + (uint32_t)move);
        return true;
    }
    int power = 0;
    if (field.size > 400 || !is_number(field)) return false;
    uint32_t lost = 0;
    uint64_t mantissa = take_apart(field, &power, &lost);
    power += move;
    bool rest = false;
    const bool negative = field.text[0] == '-';
    int shift = power + (int)digits;
    *needed = mantissa != 0 && power < (int)lost ? (uint32_t)((int)lost - power) : 0;
    for (; shift < 0 && mantissa != 0; shift++, mantissa /= 10) rest = rest || mantissa % 10 != 0;
    *fits = mantissa <= INT64_MAX - 1;
    *time = *fits ? (int64_t)mantissa : INT64_MAX - 1;
    if (*fits && mantissa != 0 && shift > 0) *fits = m3_time_scale(time, (uint32_t)shift);
    if (negative) *time = -*time - (rest && *fits);
    return true;
}
