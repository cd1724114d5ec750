/* safe: texts of files on a terminal. */
#include <stdlib.h>
#include <string.h>

#include "tools/m3bsr/cli.h"

/* The character at `text` and its bytes; 0 bytes when it is not UTF-8. */
static size_t character(const unsigned char *text, uint32_t *code)
{
    const size_t bytes = text[0] < 0x80 ? 1 : text[0] < 0xc2 ? 0 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    *code = bytes == 1 ? text[0] : bytes == 2 ? text[0] & 0x1fU : bytes == 3 ? text[0] & 0xfU : text[0] & 7U;
    for (size_t i = 1; i < bytes; i++) {
        if ((text[i] & 0xc0) != 0x80) return 0;
        *code = *code << 6 | (text[i] & 0x3fU);
    }
    return *code < least[bytes] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000) ? 0 : bytes;
}

/* Control characters, ends of lines and paragraphs, and what turns the direction of writing. */
static bool is_harmful(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x200e || code == 0x200f ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

void cli_print_safe(FILE *to, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at != 0) {
        uint32_t code = 0;
        const size_t bytes = character(at, &code);
        if (bytes == 0 || (is_harmful(code) && bytes == 1))
            (void)fprintf(to, "\\x%02x", *at);
        else if (is_harmful(code))
            (void)fprintf(to, "\\u{%04x}", (unsigned)code);
        else
            (void)fwrite(at, 1, bytes, to);
        at += bytes != 0 ? bytes : 1;
    }
}

void cli_say(const char *before, const char *line)
{
    flockfile(stderr);
    (void)fputs(before, stderr);
    cli_print_safe(stderr, line);
    (void)fputc('\n', stderr);
    funlockfile(stderr);
}

/* Without memory for all of it, its beginning. */
void cli_show(FILE *to, const char *format, ...)
{
    char some[1024], *text = some;
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int length = vsnprintf(some, sizeof some, format, args);
    char *all = length >= (int)sizeof some ? malloc((size_t)length + 1) : NULL;
    if (all != NULL && vsnprintf(all, (size_t)length + 1, format, again) == length) text = all;
    va_end(again);
    va_end(args);
    const size_t end = strlen(format), bytes = strlen(text);
    const bool whole = length >= 0 && bytes == (size_t)length, line = end > 0 && format[end - 1] == '\n';
    if (whole && line) text[bytes - 1] = '\0';
    flockfile(to);
    cli_print_safe(to, text);
    if (line) (void)fputc('\n', to);
    funlockfile(to);
    free(all);
}
