/* tape: what stands before the source of a dispatch whose kernel runs a tape (backends/lowering/tape.h). */
#ifndef OPENCL_TAPE_H
#define OPENCL_TAPE_H

#include <stddef.h>

#include "backends/lowering/tape.h"

enum { OPENCL_TAPE_BYTES = 2048, OPENCL_TAPE_NAME_BYTES = 576 };

/* A name of the tape, which says all of it: f32_f32.exp_0.mul_2_1.f32_3 has two inputs, two steps and an output. */
void opencl_tape_name(const lower_tape *tape, char text[OPENCL_TAPE_NAME_BYTES]);
/* The three macros that shaders/gpu/elementwise.cl wants; of a dispatch without a tape nothing. */
void opencl_tape_write(const lower_tape *tape, char text[OPENCL_TAPE_BYTES]);

#endif
