/* json: jansson takes a string for which there is no memory for an invalid token, and drops characters of a token that
 * it cannot make room for. What the C library left in errno tells. */
#include "core/base/json.h"

#include <errno.h>

m3_status m3_json_parse(const char *text, size_t size, const char *subject, json_t **value, json_error_t *wrong,
                        m3_error *err)
{
    const int before = errno;
    errno = 0;
    *value = json_loadb(text, size, JSON_REJECT_DUPLICATES, wrong);
    const bool silent = *value == NULL && wrong->text[0] == '\0'; /* every other error has a text */
    const bool no_memory = errno == ENOMEM || silent;
    errno = before;
    if (!no_memory) return M3_OK;
    json_decref(*value);
    *value = NULL;
    return M3_FAIL_MEMORY(err, subject, size);
}
