/* option: values of options, of all kinds: keys of the model and of training, options of plugins and of devices. Here
 * alone they are parsed, checked and printed; m3_option_desc (m3bsr/plugin.h) says what each one takes. */
#ifndef M3_CORE_BASE_OPTION_H
#define M3_CORE_BASE_OPTION_H

#include "m3bsr/plugin.h"

enum {
    M3_OPTION_ENTRIES = 16, /**< of a list of whole numbers, at most */
    M3_OPTION_BYTES = 512   /**< of the canonical text of any type but TEXT and TEXTS, its NUL included */
};

typedef struct m3_option_value {
    int64_t whole;                      /**< INT; BOOL: 0 or 1; CHOICE: the place among the choices; INTS: how many */
    double number;                      /**< FLOAT */
    int64_t entries[M3_OPTION_ENTRIES]; /**< INTS */
} m3_option_value;

/** Read and check a value. For TEXT and TEXTS nothing is filled: any text will do.
 * Returns M3_ERR_INVALID, whose message says type, range and choices, or M3_ERR_UNSUPPORTED: a type that this host does
 * not know. */
m3_status m3_option_parse(const m3_option_desc *desc, const char *text, m3_option_value *value, m3_error *err);
/** The canonical text. @param bytes  Of `text`, M3_OPTION_BYTES are enough. Not for TEXT and TEXTS. */
void m3_option_print(const m3_option_desc *desc, const m3_option_value *value, char *text, size_t bytes);
/** Both at once, for all types. @param text  The caller's, m3_free(). */
m3_status m3_option_canonical(const m3_option_desc *desc, const char *given, char **text, m3_error *err);

/** The description of a key in a table, or NULL. */
const m3_option_desc *m3_option_find(m3_span table, const char *key);
/** NULL when the description has none. */
const char *m3_option_choices(const m3_option_desc *desc);
/** A choice by its place, for messages; "" when there is none. */
const char *m3_option_choice_at(const char *choices, int64_t place, char *text, size_t bytes);

/** Check key=value pairs against a table and give each that was given its canonical value, the last one of a key.
 * @param what     Whose options they are, for messages: "backend cpu".
 * @param checked  The caller's block, m3_free(); NULL when there is none. It holds the texts too. */
m3_status m3_options_check(m3_span table, m3_span given, const char *what, m3_option **checked, uint32_t *count,
                           m3_error *err);

/** The key that is most like a wanted one. Starts as m3_nearest_to(wanted); key stays NULL when all are far off. */
typedef struct m3_nearest {
    const char *wanted, *key;
    uint32_t distance;
} m3_nearest;
m3_nearest m3_nearest_to(const char *wanted);
void m3_nearest_try(m3_nearest *nearest, const char *key);

#endif
