/* contract: what lowering (C) and the kernels (OpenCL C, GLSL) agree on, once. A header a family of kernels:
 *
 *   FAMILY_ENTRIES(ENTRY)   ENTRY(source, entry, where) for each kernel: the entry `entry` of the source `source`.
 *                           Names of entries differ over all families. where: the languages that have it:
 *                           both, opencl, vulkan; or clblast, which is a call of that library
 *   CONTRACT_entry(CONSTANT, BUFFER, WORD)   what a dispatch of the entry gives:
 *     CONSTANT(k, name)            known when the kernel is compiled: -D in OpenCL C, specialisation constant 3 + k in
 *                                  GLSL (0 to 2 are the workgroup's size); not negative
 *     BUFFER(k, access, type, name)   kernel argument, or binding k of set 0. access: read, write or update (both).
 *                                  type: of an element, f32, u32, i32, u8, or a name that the source defines
 *     WORD(type, name)             kernel argument, or push constant: u32, i32 or f32
 *   and numbers that both sides know, by #define.
 *
 * Constants and buffers are numbered from 0 and come in this order, constants, buffers, words. Who expands the lists:
 * backends/lowering/contract.h to what lowering writes by name, shaders/opencl/common.cl to a kernel's parameters,
 * shaders/vulkan/common.glsl to declarations. The build makes the entries of GLSL from FAMILY_ENTRIES. */
#ifndef CONTRACT_CONTRACT_H
#define CONTRACT_CONTRACT_H
/* clang-format off */

#include "shaders/contract/gru.h"

#define CONTRACT_ENTRIES(ENTRY) \
    GRU_ENTRIES(ENTRY)

#endif
