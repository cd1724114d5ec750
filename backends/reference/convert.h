/* convert: between a tensor's own type and doubles. */
#ifndef REFERENCE_CONVERT_H
#define REFERENCE_CONVERT_H

#include "m3bsr/op.h"

void reference_to_double(m3_dtype dtype, const void *from, double *to, uint64_t count);
void reference_from_double(m3_dtype dtype, const double *from, void *to, uint64_t count);

#endif
