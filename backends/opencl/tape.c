/* tape: OpenCL C of a tape, as macros: z = exp(x) y is
 *   #define TAPE_READ(X) X(0, f32) X(1, f32)
 *   #define TAPE_STEPS(X) X(2, exp, (v0)) X(3, mul, (v2, v1))
 *   #define TAPE_WRITE(X) X(0, f32, 3)
 * The kernel gives X its meaning. */
#include "backends/opencl/tape.h"

#include <stdarg.h>
#include <stdio.h>

typedef struct writer {
    char *text;
    size_t at, bytes;
} writer;

__attribute__((format(printf, 2, 3))) static void add(writer *w, const char *format, ...)
{
    va_list list;
    if (w->at >= w->bytes) return; /* the sizes of tape.h hold the longest tape; what is cut does not compile */
    va_start(list, format);
    w->at += (size_t)vsnprintf(w->text + w->at, w->bytes - w->at, format, list);
    va_end(list);
}

static const char *type_name(uint8_t type)
{
    return m3_dtype_name((m3_dtype)type);
}

void opencl_tape_name(const lower_tape *tape, char text[OPENCL_TAPE_NAME_BYTES])
{
    writer w = {text, 0, OPENCL_TAPE_NAME_BYTES};
    for (uint32_t k = 0; k < tape->inputs; k++) add(&w, "%s%s", k > 0 ? "_" : "", type_name(tape->in_type[k]));
    for (uint32_t s = 0; s < tape->steps; s++) {
        const lower_tape_function *function = lower_tape_function_at(tape->function[s]);
        add(&w, ".%s", function->name);
        for (uint32_t k = 0; k < function->operands; k++) add(&w, "_%u", tape->operand[s][k]);
    }
    for (uint32_t i = 0; i < tape->outputs; i++) add(&w, ".%s_%u", type_name(tape->out_type[i]), tape->result[i]);
}

void opencl_tape_write(const lower_tape *tape, char text[OPENCL_TAPE_BYTES])
{
    writer w = {text, 0, OPENCL_TAPE_BYTES};
    text[0] = 0;
    if (tape->steps == 0) return;
    add(&w, "#define TAPE_READ(X)");
    for (uint32_t k = 0; k < tape->inputs; k++) add(&w, " X(%u, %s)", k, type_name(tape->in_type[k]));
    add(&w, "\n#define TAPE_STEPS(X)");
    for (uint32_t s = 0; s < tape->steps; s++) {
        const lower_tape_function *function = lower_tape_function_at(tape->function[s]);
        add(&w, " X(%u, %s, (", tape->inputs + s, function->name);
        for (uint32_t k = 0; k < function->operands; k++) add(&w, "%sv%u", k > 0 ? ", " : "", tape->operand[s][k]);
        add(&w, "))");
    }
    add(&w, "\n#define TAPE_WRITE(X)");
    for (uint32_t i = 0; i < tape->outputs; i++)
        add(&w, " X(%u, %s, %u)", i, type_name(tape->out_type[i]), tape->result[i]);
    add(&w, "\n");
}
