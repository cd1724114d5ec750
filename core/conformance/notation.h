/* notation: arrays and attributes as short texts, so that a test case is a line that people can read and type.
 *
 *   arrays      "f32[2,3] normal; i32[5] ids 3; -"   type, extents, then words for whoever asked; - is absent
 *   attributes  "1,0; 2,2"                           one entry for each attribute of the op: ints, int or float */
#ifndef M3_CORE_CONFORMANCE_NOTATION_H
#define M3_CORE_CONFORMANCE_NOTATION_H

#include "m3bsr/op.h"

enum { M3_NOTATION_ARRAYS = 16, M3_NOTATION_ATTRS = 8, M3_NOTATION_WORDS = 128 };

typedef struct m3_notation {
    bool absent;
    m3_dtype dtype;
    m3_shape shape;
    char words[M3_NOTATION_WORDS]; /**< what follows the shape, "" when nothing does */
} m3_notation;

/** Read the arrays of a text. M3_ERR_INVALID says where it is not understood. */
m3_status m3_notation_arrays(const char *text, m3_notation array[M3_NOTATION_ARRAYS], uint32_t *count, m3_error *err);
/** Read the attributes of an op. */
m3_status m3_notation_attrs(const char *text, const m3_op *op, m3_attr attr[M3_NOTATION_ATTRS], m3_error *err);

#endif
