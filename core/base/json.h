/* json: reading JSON with jansson where lack of memory is told apart from a wrong text. */
#ifndef M3_CORE_BASE_JSON_H
#define M3_CORE_BASE_JSON_H

#include <jansson.h>

#include "m3bsr/base.h"

/** Parse a text of JSON, in which no object has a key twice.
 * @param text     Need not end with 0.
 * @param subject  What the text is of, for the error.
 * @param value    Yours, json_decref(); NULL on failure, and also when the text is wrong: then *wrong says why and
 * M3_OK is returned, as its caller knows what to say of it. Returns M3_OK or M3_ERR_MEMORY. */
m3_status m3_json_parse(const char *text, size_t size, const char *subject, json_t **value, json_error_t *wrong,
                        m3_error *err);
/** json_dumps(), whole or not at all: where memory runs out at a key of an object, jansson's own leaves it out.
 * @return  Yours, m3_free(); NULL without memory. */
char *m3_json_text(const json_t *value, size_t flags);

#endif
