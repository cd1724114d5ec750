/* scan: recurrences along an axis; contract.h has the form. */
#ifndef CONTRACT_SCAN_H
#define CONTRACT_SCAN_H
/* clang-format off */

#define SCAN_ENTRIES(ENTRY)  \
    ENTRY(scan, scan, both)

/* DECAY: 1 multiplies by a, 0 does without it. */
#define CONTRACT_scan(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                       \
    CONSTANT(1, DECAY)                        \
    BUFFER(0, read, f32, a)                   \
    BUFFER(1, read, f32, b)                   \
    BUFFER(2, update, f32, y)                 \
    WORD(u32, outer)                          \
    WORD(u32, length)                         \
    WORD(u32, inner)                          \
    WORD(u32, begin)                          \
    WORD(u32, end)                            \
    WORD(u32, reverse)

#endif
