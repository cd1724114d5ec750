/* contract: dispatches written by name, as shaders/contract lists their constants, buffers and words.
 *
 *   lower_dispatch *d = LOWER(l, gru_cell, .VECTOR = l->traits->vector,
 *                             .xi = lower_tensor(l, node->in[M3_GRU_CELL_XI]), ...);
 *   lower_items(d, items);                                     geometry; without it nothing is launched
 *
 * Each constant, buffer and word of the entry is written once; one that is missing, doubled or unknown is an error of
 * the compiler. Words and constants are checked to fit into 32 bits. Whether a buffer is read or written stands in the
 * contract. Several entries' words that come together may be a macro of designators. */
#ifndef LOWER_CONTRACT_H
#define LOWER_CONTRACT_H

#include "backends/lowering/lower.h"
#include "shaders/contract/contract.h"

/* What is written twice, and a number where a buffer is wanted. clang knows the names too. */
#pragma GCC diagnostic error "-Woverride-init"
#pragma GCC diagnostic error "-Wmissing-braces"

#define LOWER_MEMBER_CONSTANT(k, name)             uint64_t name;
#define LOWER_MEMBER_BUFFER(k, access, type, name) lower_view name;
#define LOWER_MEMBER_WORD(type, name)              LOWER_MEMBER_##type(name)
#define LOWER_MEMBER_u32(name)                     uint64_t name;
#define LOWER_MEMBER_i32(name)                     int64_t name;
#define LOWER_MEMBER_f32(name)                     float name;
#define LOWER_ONE_2(k, name)                       +1
#define LOWER_ONE_4(k, access, type, name)         +1

/* The first member takes no value, so that none can be given by position. */
#define LOWER_DECLARE(source, entry, where)                                                                            \
    typedef struct lower_##entry##_args {                                                                              \
        const struct lower_by_name_alone *const *by_name;                                                              \
        CONTRACT_##entry(LOWER_MEMBER_CONSTANT, LOWER_MEMBER_BUFFER, LOWER_MEMBER_WORD)                                \
    } lower_##entry##_args;                                                                                            \
    enum { lower_##entry##_count = 0 CONTRACT_##entry(LOWER_ONE_2, LOWER_ONE_4, LOWER_ONE_2) };                        \
    lower_dispatch *lower_emit_##entry(lower_list *l, const lower_##entry##_args *args);
CONTRACT_ENTRIES(LOWER_DECLARE)

#define LOWER(l, entry, ...)                                                                                           \
    ((void)sizeof(struct {                                                                                             \
         _Static_assert(LOWER_COUNT(__VA_ARGS__) == lower_##entry##_count,                                             \
                        "each constant, buffer and word of the entry must be written once");                           \
         int checked;                                                                                                  \
     }),                                                                                                               \
     lower_emit_##entry(l, &(lower_##entry##_args){__VA_ARGS__}))

/* How many arguments, up to 63. */
#define LOWER_COUNT(...)                                                                                               \
    LOWER_COUNTED(__VA_ARGS__, 63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, \
                  41, 40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17,  \
                  16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define LOWER_COUNTED(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21,  \
                      a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40,   \
                      a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55, a56, a57, a58, a59,   \
                      a60, a61, a62, a63, count, ...)                                                                  \
    count

#endif
