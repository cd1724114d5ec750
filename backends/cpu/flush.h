/* flush: denormal results become 0 (the processor's flush-to-zero mode). Moments of rows that get no gradient decay
 * into the denormal range, where an operation takes a hundred times as long, and stay there, as rounding keeps the
 * smallest of them. So this is on while parameters are updated (M3_OP_UPDATES), and off elsewhere. Denormal inputs are
 * still read as they are. */
#ifndef CPU_FLUSH_H
#define CPU_FLUSH_H

#include <stdbool.h>
#include <stdint.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

/* Returns the mode before, which cpu_flush_end restores. */
static inline uint32_t cpu_flush_begin(bool on)
{
#if defined(__SSE__)
    uint32_t before = _mm_getcsr();
    if (on) _mm_setcsr(before | _MM_FLUSH_ZERO_ON);
    return before;
#else
    (void)on;
    return 0;
#endif
}

static inline void cpu_flush_end(uint32_t before)
{
#if defined(__SSE__)
    _mm_setcsr(before);
#else
    (void)before;
#endif
}

#endif
