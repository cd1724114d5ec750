/* notation: arrays and attributes as short texts. */
#include "core/conformance/notation.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/number.h"

static const char *skip_blanks(const char *at)
{
    while (*at == ' ') at++;
    return at;
}

/* Read "name" of a type; NULL when there is none. */
static const char *read_dtype(const char *at, m3_dtype *dtype)
{
    size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789");
    for (uint32_t t = 0; m3_dtype_bytes((m3_dtype)t) != 0; t++) {
        const char *name = m3_dtype_name((m3_dtype)t);
        if (strlen(name) != length || strncmp(at, name, length) != 0) continue;
        *dtype = (m3_dtype)t;
        return at + length;
    }
    return NULL;
}

/* Read "[2,3]"; NULL when it is not one. */
static const char *read_shape(const char *at, m3_shape *shape)
{
    *shape = (m3_shape){0};
    if (*at++ != '[') return NULL;
    while (*at != ']') {
        char *end;
        if (shape->rank == M3_MAX_RANK || *at < '0' || *at > '9') return NULL;
        shape->dim[shape->rank++] = strtoull(at, &end, 10);
        at = *end == ',' ? end + 1 : end;
    }
    return at + 1;
}

static const char *read_array(const char *at, m3_notation *array)
{
    *array = (m3_notation){.absent = *at == '-'};
    at = array->absent ? at + 1 : read_dtype(at, &array->dtype);
    if (at != NULL && !array->absent) at = read_shape(at, &array->shape);
    if (at == NULL) return NULL;
    at = skip_blanks(at);
    size_t length = strcspn(at, ";");
    if (length >= sizeof array->words) return NULL;
    memcpy(array->words, at, length);
    return at + length;
}

m3_status m3_notation_arrays(const char *text, m3_notation array[M3_NOTATION_ARRAYS], uint32_t *count, m3_error *err)
{
    *count = 0;
    for (const char *at = skip_blanks(text); *at != 0; at = skip_blanks(at)) {
        const char *from = at;
        if (*count == M3_NOTATION_ARRAYS || (at = read_array(at, &array[*count])) == NULL)
            return M3_FAIL(err, M3_ERR_INVALID, text, "'%s' is no array; write at most %d of TYPE[EXTENTS] WORDS; ...",
                           from, M3_NOTATION_ARRAYS);
        ++*count;
        if (*at == ';') at++;
    }
    return M3_OK;
}

static const char *read_attr(const char *at, m3_attr_kind kind, m3_attr *attr)
{
    char *end = NULL;
    *attr = (m3_attr){0};
    if (kind == M3_ATTR_FLOAT) {
        attr->f = m3_number_read(at, &end);
        return end == at ? NULL : end;
    }
    for (at = skip_blanks(at); *at != ';' && *at != 0; at = *end == ',' ? end + 1 : skip_blanks(end)) {
        if (attr->count == M3_MAX_RANK) return NULL;
        attr->i[attr->count++] = strtoll(at, &end, 10);
        if (end == at) return NULL;
    }
    return kind == M3_ATTR_INT && attr->count != 1 ? NULL : at;
}

m3_status m3_notation_attrs(const char *text, const m3_op *op, m3_attr attr[M3_NOTATION_ATTRS], m3_error *err)
{
    const char *at = text;
    if (op->attr_count > M3_NOTATION_ATTRS)
        return M3_FAIL(err, M3_ERR_INVALID, op->name, "the op has %u attributes, %d can be written", op->attr_count,
                       M3_NOTATION_ATTRS);
    for (uint32_t i = 0; i < op->attr_count; i++) {
        const char *next = read_attr(at, op->attrs[i].kind, &attr[i]);
        if (next == NULL || (*next == 0 && i + 1 < op->attr_count))
            return M3_FAIL(err, M3_ERR_INVALID, op->name,
                           "attributes '%s': '%s' is no %s; write all %u, with ; between", text, at, op->attrs[i].name,
                           op->attr_count);
        at = *next == ';' ? next + 1 : next;
    }
    if (*skip_blanks(at) != 0)
        return M3_FAIL(err, M3_ERR_INVALID, op->name, "attributes '%s': '%s' is too much; the op has %u", text, at,
                       op->attr_count);
    return M3_OK;
}
