/* contract: what lowering (C) and the kernels (OpenCL C, GLSL) agree on, once. A header a family of kernels:
 *
 *   FAMILY_ENTRIES(ENTRY)   ENTRY(source, entry, where) for each kernel. Names of entries differ over all families.
 *     where:  both         gpu/SOURCE.cl and gpu/SOURCE.comp have it, and where there is processor/SOURCE.cl and a
 *                          processor runs the op, that too
 *             subgroups    the same, and gpu/SOURCE.comp a second time, compiled with SUBGROUPS (common.glsl)
 *             matrices     gpu/SOURCE.comp alone, likewise compiled twice where the compiler knows cooperative matrices
 *             opencl       gpu/SOURCE.cl alone            vulkan       gpu/SOURCE.comp alone
 *             processor    processor/SOURCE.cl alone      simulated    simulated/SOURCE.comp alone
 *             clblast      is a call of that library
 *   CONTRACT_entry(CONSTANT, BUFFER, WORD)   what a dispatch of the entry gives:
 *     CONSTANT(k, name)            known when the kernel is compiled: -D in OpenCL C, specialisation constant 3 + k in
 *                                  GLSL (0 to 2 are the workgroup's size); not negative
 *     BUFFER(k, access, type, name)   kernel argument, or binding k of set 0. access: read, write or update (both).
 *                                  type: of an element, f32, u32, i32, u8, or a name that the source defines; f32
 *                                  also where HALVES says otherwise (types.h)
 *     WORD(type, name)             kernel argument, or push constant: u32, i32 or f32
 *   and numbers that both sides know, by #define.
 *
 * Constants and buffers are numbered from 0 and come in this order, constants, buffers, words. Who expands the lists:
 * backends/lowering/contract.h to what lowering writes by name, shaders/common/common.cl to a kernel's parameters,
 * shaders/common/common.glsl to declarations. The build makes the entries of GLSL from FAMILY_ENTRIES. */
#ifndef CONTRACT_CONTRACT_H
#define CONTRACT_CONTRACT_H
/* clang-format off */

#include "shaders/contract/attention.h"
#include "shaders/contract/conv.h"
#include "shaders/contract/draws.h"
#include "shaders/contract/dropout.h"
#include "shaders/contract/elementwise.h"
#include "shaders/contract/gru.h"
#include "shaders/contract/matmul.h"
#include "shaders/contract/measure.h"
#include "shaders/contract/movement.h"
#include "shaders/contract/norm.h"
#include "shaders/contract/optim.h"
#include "shaders/contract/reduce.h"
#include "shaders/contract/rows.h"
#include "shaders/contract/scan.h"
#include "shaders/contract/softmax.h"
#include "shaders/contract/sort.h"
#include "shaders/contract/types.h"

#define CONTRACT_ENTRIES(ENTRY) \
    ATTENTION_ENTRIES(ENTRY)    \
    CONV_ENTRIES(ENTRY)         \
    DRAWS_ENTRIES(ENTRY)        \
    DROPOUT_ENTRIES(ENTRY)      \
    ELEMENTWISE_ENTRIES(ENTRY)  \
    GRU_ENTRIES(ENTRY)          \
    MATMUL_ENTRIES(ENTRY)       \
    MEASURE_ENTRIES(ENTRY)      \
    MOVEMENT_ENTRIES(ENTRY)     \
    NORM_ENTRIES(ENTRY)         \
    OPTIM_ENTRIES(ENTRY)        \
    REDUCE_ENTRIES(ENTRY)       \
    ROWS_ENTRIES(ENTRY)         \
    SCAN_ENTRIES(ENTRY)         \
    SOFTMAX_ENTRIES(ENTRY)      \
    SORT_ENTRIES(ENTRY)

#endif
