/* softmax: what its kernels of both kinds of device share. */

/* Where a row's mask starts. */
inline uint mask_start(uint row, uint8 dims, uint8 strides)
{
    uint dim[8], stride[8], at = 0;
    vstore8(dims, 0, dim);
    vstore8(strides, 0, stride);
    for (int i = AXES - 1; i >= 0; i--) {
        at += row % dim[i] * stride[i];
        row /= dim[i];
    }
    return at;
}

#define MASK_START(row)                                                                                                \
    mask_start(row, (uint8)(dim0, dim1, dim2, dim3, dim4, 1, 1, 1),                                                    \
               (uint8)(stride0, stride1, stride2, stride3, stride4, 0, 0, 0))
