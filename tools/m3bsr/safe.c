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

/* Control characters, ends of lines and paragraphs, what turns the direction of writing, and what is there for programs
 * alone. What joins or parts letters is left: words of some languages, and emoji, are written with it. */
static bool is_harmful(uint32_t code)
{
    static const uint32_t ranges[][2] = {{0, 0x1f},        {0x7f, 0x9f},     {0x61c, 0x61c},   {0x200e, 0x200f},
                                         {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}};
    bool harmful = false;
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        harmful = harmful || (code >= ranges[i][0] && code <= ranges[i][1]);
    return harmful;
}

void cli_print_safe(FILE *to, const char *text)
{
    const unsigned char *at = (const unsigned char *)text, *begin = at; /* begin: of what can be printed as it is */
    for (;;) {
        uint32_t code = 0;
        const size_t bytes = *at != 0 ? character(at, &code) : 0;
        if (bytes != 0 && !is_harmful(code)) {
            at += bytes;
            continue;
        }
        (void)fwrite(begin, 1, (size_t)(at - begin), to);
        if (*at == 0) return;
        if (bytes < 2)
            (void)fprintf(to, "\\x%02x", *at);
        else
            (void)fprintf(to, "\\u{%04x}", (unsigned)code);
        at += bytes != 0 ? bytes : 1;
        begin = at;
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
