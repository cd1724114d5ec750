/* attention: kernels of attention and its gradient for one row and head, which has `width` columns of each matrix. */
#ifndef CPU_OPS_ATTENTION_H
#define CPU_OPS_ATTENTION_H

#include "backends/cpu/step.h"

/* Memory in one piece that a later head reads or writes, fetched while this one computes. */
typedef struct cpu_piece {
    const float *at;
    size_t floats;
} cpu_piece;

enum { CPU_HEAD_PIECES = 7 };

typedef struct cpu_head {
    size_t queries, keys, width;
    size_t q_row, kv_row, y_row; /* elements between rows: of q and dq; of k, v and their gradients; of y and dy */
    float scale;
    m3_dtype type; /* of all matrices: f32, bf16 or f16; all between them is f32 */
    const void *q, *k, *v;
    const uint8_t *mask; /* [keys] */
    cpu_piece ahead[CPU_HEAD_PIECES];
} cpu_head;

typedef struct cpu_attention_kernels {
    /* Bytes of scratch that a head needs, forwards and backwards; extents matter, pointers do not. */
    size_t (*scratch)(const cpu_head *h);
    void (*forward)(const cpu_head *h, void *y, void *scratch);
    void (*backward)(const cpu_head *h, const void *dy, void *dq, void *dk, void *dv, void *scratch);
} cpu_attention_kernels;

CPU_DECLARE_KERNELS(cpu_attention_kernels);

#endif
