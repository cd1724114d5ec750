/* foreign: kinds of file that are no text, known by how they begin. */
#ifndef M3_CORE_DATA_FOREIGN_H
#define M3_CORE_DATA_FOREIGN_H

#include "m3bsr/base.h"

/** M3_ERR_INVALID, with the way to convert it, when the bytes begin as a known kind of file that is no table. */
m3_status m3_foreign_refuse(const char *path, const char *bytes, size_t size, m3_error *err);
/** A text as one word of a shell's command, for messages that have one; fresh memory, NULL without. */
char *m3_shell_word(const char *text);

#endif
