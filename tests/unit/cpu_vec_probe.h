/* cpu_vec_probe: what cpu_vec_probe.c shows of vec.h. */
#ifndef CPU_VEC_PROBE_H
#define CPU_VEC_PROBE_H

#include <stddef.h>
#include <stdint.h>

enum { VEC_MOST = 16 }; /* lanes of the widest vector */

typedef enum vec_probe_function {
    VEC_EXP,
    VEC_LOG,
    VEC_SIN,
    VEC_COS,
    VEC_TANH,
    VEC_SIGMOID,
    VEC_SQRT,
    VEC_ROUND,
    VEC_FLOOR,
    VEC_RELU,
    VEC_LOG1P,
    VEC_EXPM1,
    VEC_ERF,
    VEC_SOFTPLUS,
    VEC_SUM, /* of each vector, in all its lanes */
    VEC_MAX_OF,
    VEC_MIN_OF
} vec_probe_function;

typedef struct vec_probe {
    size_t width;
    void (*map)(vec_probe_function function, const float *x, float *y, size_t n);
    void (*transpose)(float *square);
    void (*mul_wide)(const uint32_t *a, const uint32_t *b, uint32_t *high, uint32_t *low);
    void (*mask)(const uint8_t *in, size_t n, uint8_t *out, float *chosen); /* 1 where the byte is not 0, else 2 */
} vec_probe;

void vec_probe_portable(vec_probe *probe);
void vec_probe_avx2(vec_probe *probe);
void vec_probe_avx512(vec_probe *probe);

#endif
