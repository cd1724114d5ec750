/* conv: causal depthwise convolution; contract.h has the form. */
#ifndef CONTRACT_CONV_H
#define CONTRACT_CONV_H
/* clang-format off */

#define CONV_ENTRIES(ENTRY)         \
    ENTRY(conv, causal_conv, both)

#define CONTRACT_causal_conv(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                              \
    BUFFER(0, read, f32, x)                          \
    BUFFER(1, read, f32, weight)                     \
    BUFFER(2, write, f32, y)                         \
    WORD(u32, count)                                 \
    WORD(u32, piece)                                 \
    WORD(u32, grouped)                               \
    WORD(u32, length)                                \
    WORD(u32, channels)                              \
    WORD(u32, taps)                                  \
    WORD(u32, reverse)

#endif
