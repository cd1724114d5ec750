/* tape: the module of a dispatch whose kernel runs a tape (backends/lowering/tape.h). */
#ifndef VULKAN_TAPE_H
#define VULKAN_TAPE_H

#include "backends/lowering/tape.h"
#include "backends/vulkan/shaders.h"

/* The shader with its function tape() made to run the steps: SPIR-V, to be released by the host, and its size. */
m3_status vulkan_tape_write(const m3_host *host, const vulkan_shader *shader, const lower_tape *tape, uint32_t **words,
                            size_t *bytes, m3_error *err);

#endif
