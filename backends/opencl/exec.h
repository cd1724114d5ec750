/* exec: a compiled program, which is a list of kernels whose arguments are set. */
#ifndef OPENCL_EXEC_H
#define OPENCL_EXEC_H

#include "backends/opencl/api.h"
#include "backends/opencl/clblast.h"

/* One enqueue. */
typedef struct opencl_launch {
    cl_kernel kernel; /* of its own, so that its arguments stay set; NULL: a product by CLBlast */
    opencl_gemm gemm;
    uint32_t node;
    cl_uint axes;
    size_t global[3], local[3];
    cl_event event; /* of a timed run */
} opencl_launch;

struct m3_exec_impl {
    const char *name;
    uint32_t node_count, count;
    uint32_t store; /* the first launch that writes parameters or states; count: none does */
    opencl_launch *launches;
    uint64_t *time_ns; /* by node, of the last timed run */
    cl_mem scratch, table;
    uint64_t scratch_bytes, table_bytes;
    cl_mem *parts; /* sub-buffers of custom kernels */
    uint32_t part_count;
    bool timed;
};

#endif
