/* matmul: products of matrices, y = gate(act(a b + bias + residual)) for each of a batch; contract.h has the form. */
#ifndef CONTRACT_MATMUL_H
#define CONTRACT_MATMUL_H
/* clang-format off */

/* Bits of the word `flags` and of the constant EPILOGUE; the activation lies above them. */
#define B_TRANSPOSED       1
#define EPILOGUE_BIAS      2
#define EPILOGUE_RESIDUAL  4
#define EPILOGUE_GATE      8
#define EPILOGUE_ACT_SHIFT 4

/* Constant SUMS: beside y, the sums down the columns of a factor [k, …] as it lies in memory: of a, which is
 * TRANSPOSE_A then, or of b, which is not transposed. */
#define SUMS_NONE 0
#define SUMS_OF_A 1
#define SUMS_OF_B 2

/* Activations, as m3_activation numbers them. */
#define ACT_NONE    0
#define ACT_RELU    1
#define ACT_SILU    2
#define ACT_SIGMOID 3
#define ACT_TANH    4

#define MATMUL_ENTRIES(ENTRY)                     \
    ENTRY(matmul, product, both)                  \
    ENTRY(matmul, product_matrices, matrices)     \
    ENTRY(matmul, sum_parts, both)                \
    ENTRY(matmul, product_processor, processor)   \
    ENTRY(matmul, sum_parts_processor, processor) \
    ENTRY(clblast, gemm, clblast)

#define CONTRACT_product(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, TRANSPOSE_A)                     \
    CONSTANT(1, TRANSPOSE_B)                     \
    CONSTANT(2, TM)                              \
    CONSTANT(3, TN)                              \
    CONSTANT(4, TK)                              \
    CONSTANT(5, RM)                              \
    CONSTANT(6, RN)                              \
    CONSTANT(7, LANES)                           \
    CONSTANT(8, SUMS)                            \
    CONSTANT(9, WIDE)                            \
    CONSTANT(10, EPILOGUE)                       \
    CONSTANT(11, AHEAD)                          \
    CONSTANT(12, HALVES)                         \
    CONSTANT(13, Y_HALVES)                       \
    BUFFER(0, read, f32, a)                      \
    BUFFER(1, read, f32, b)                      \
    BUFFER(2, read, f32, bias)                   \
    BUFFER(3, read, f32, residual)               \
    BUFFER(4, read, f32, gate)                   \
    BUFFER(5, write, f32, y)                     \
    BUFFER(6, write, f32, sums)                  \
    WORD(u32, m)                                 \
    WORD(u32, n)                                 \
    WORD(u32, k)                                 \
    WORD(u32, batches)                           \
    WORD(u32, inner)                             \
    WORD(u32, a_outer)                           \
    WORD(u32, a_inner)                           \
    WORD(u32, b_outer)                           \
    WORD(u32, b_inner)                           \
    WORD(u32, a_first)                           \
    WORD(u32, b_first)                           \
    WORD(u32, y_first)                           \
    WORD(u32, parts)                             \
    WORD(u32, depth)                             \
    WORD(u32, groups)

#define CONTRACT_product_matrices(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, TRANSPOSE_A)                              \
    CONSTANT(1, TRANSPOSE_B)                              \
    CONSTANT(2, TM)                                       \
    CONSTANT(3, TN)                                       \
    CONSTANT(4, TK)                                       \
    CONSTANT(5, RM)                                       \
    CONSTANT(6, RN)                                       \
    CONSTANT(7, LANES)                                    \
    CONSTANT(8, SHARE)                                    \
    CONSTANT(9, EPILOGUE)                                 \
    CONSTANT(10, HALVES)                                  \
    CONSTANT(11, Y_HALVES)                                \
    CONSTANT(12, SUBGROUP)                                \
    BUFFER(0, read, f32, a)                               \
    BUFFER(1, read, f32, b)                               \
    BUFFER(2, read, f32, bias)                            \
    BUFFER(3, read, f32, residual)                        \
    BUFFER(4, read, f32, gate)                            \
    BUFFER(5, write, f32, y)                              \
    WORD(u32, m)                                          \
    WORD(u32, n)                                          \
    WORD(u32, k)                                          \
    WORD(u32, batches)                                    \
    WORD(u32, inner)                                      \
    WORD(u32, a_outer)                                    \
    WORD(u32, a_inner)                                    \
    WORD(u32, b_outer)                                    \
    WORD(u32, b_inner)                                    \
    WORD(u32, a_first)                                    \
    WORD(u32, b_first)                                    \
    WORD(u32, y_first)                                    \
    WORD(u32, parts)                                      \
    WORD(u32, depth)                                      \
    WORD(u32, groups)

#define CONTRACT_sum_parts(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, HALVES)                            \
    BUFFER(0, read, f32, part)                     \
    BUFFER(1, read, f32, bias)                     \
    BUFFER(2, read, f32, residual)                 \
    BUFFER(3, read, f32, gate)                     \
    BUFFER(4, write, f32, y)                       \
    BUFFER(5, read, f32, part_sums)                \
    BUFFER(6, write, f32, sums)                    \
    WORD(u32, count)                               \
    WORD(u32, sum_count)                           \
    WORD(u32, m)                                   \
    WORD(u32, n)                                   \
    WORD(u32, flags)                               \
    WORD(u32, parts)                               \
    WORD(u32, y_first)

#define CONTRACT_product_processor(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                                    \
    CONSTANT(1, TRANSPOSE_A)                               \
    CONSTANT(2, ROWS)                                      \
    CONSTANT(3, VECTORS)                                   \
    CONSTANT(4, DIRECT)                                    \
    CONSTANT(5, KEPT)                                      \
    CONSTANT(6, PAD)                                       \
    CONSTANT(7, SUMS)                                      \
    BUFFER(0, read, f32, a)                                \
    BUFFER(1, read, f32, b)                                \
    BUFFER(2, read, f32, bias)                             \
    BUFFER(3, read, f32, residual)                         \
    BUFFER(4, read, f32, gate)                             \
    BUFFER(5, write, f32, y)                               \
    BUFFER(6, write, f32, sums)                            \
    WORD(u32, m)                                           \
    WORD(u32, n)                                           \
    WORD(u32, k)                                           \
    WORD(u32, flags)                                       \
    WORD(u32, batches)                                     \
    WORD(u32, inner)                                       \
    WORD(u32, a_outer)                                     \
    WORD(u32, a_inner)                                     \
    WORD(u32, b_outer)                                     \
    WORD(u32, b_inner)                                     \
    WORD(u32, a_first)                                     \
    WORD(u32, b_first)                                     \
    WORD(u32, y_first)                                     \
    WORD(u32, rows)                                        \
    WORD(u32, columns)                                     \
    WORD(u32, parts)                                       \
    WORD(u32, depth)                                       \
    WORD(u32, piece)                                       \
    WORD(u32, chunk)

#define CONTRACT_sum_parts_processor(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, VECTOR)                                      \
    BUFFER(0, read, f32, part)                               \
    BUFFER(1, read, f32, bias)                               \
    BUFFER(2, read, f32, residual)                           \
    BUFFER(3, read, f32, gate)                               \
    BUFFER(4, write, f32, y)                                 \
    BUFFER(5, read, f32, part_sums)                          \
    BUFFER(6, write, f32, sums)                              \
    WORD(u32, count)                                         \
    WORD(u32, sum_count)                                     \
    WORD(u32, m)                                             \
    WORD(u32, n)                                             \
    WORD(u32, flags)                                         \
    WORD(u32, parts)                                         \
    WORD(u32, y_first)

#define CONTRACT_gemm(CONSTANT, BUFFER, WORD) \
    CONSTANT(0, TRANSPOSE_A)                  \
    CONSTANT(1, TRANSPOSE_B)                  \
    BUFFER(0, read, f32, a)                   \
    BUFFER(1, read, f32, b)                   \
    BUFFER(2, write, f32, y)                  \
    WORD(u32, m)                              \
    WORD(u32, n)                              \
    WORD(u32, k)                              \
    WORD(u32, a_row)                          \
    WORD(u32, b_row)                          \
    WORD(u32, y_row)                          \
    WORD(u32, a_stride)                       \
    WORD(u32, b_stride)                       \
    WORD(u32, y_stride)                       \
    WORD(u32, a_first)                        \
    WORD(u32, b_first)                        \
    WORD(u32, y_first)                        \
    WORD(u32, products)

#endif
