/* measure: the peak of fused multiply-adds; contract.h has the form. */
#ifndef CONTRACT_MEASURE_H
#define CONTRACT_MEASURE_H
/* clang-format off */

#define MEASURE_ENTRIES(ENTRY)      \
    ENTRY(measure, measure, opencl) \
    ENTRY(measure, peak, vulkan)

#define CONTRACT_measure(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                          \
    BUFFER(0, write, f32, y)                     \
    WORD(u32, rounds)

#define CONTRACT_peak(CONSTANT, BUFFER, WORD) \
    BUFFER(0, write, f32, y)                  \
    WORD(u32, rounds)

#endif
