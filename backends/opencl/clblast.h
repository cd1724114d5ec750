/* clblast: the dispatch "gemm" of source "clblast" (lower.h, trait clblast) as a call of CLBlast. The library is looked
 * up at run time, as the ICD loader is; the plugin works without it. */
#ifndef OPENCL_CLBLAST_H
#define OPENCL_CLBLAST_H

#include "backends/lowering/lower.h"
#include "backends/opencl/api.h"

/* The library's functions; NULL where it is absent. */
typedef struct opencl_clblast opencl_clblast;

/* A product with its arguments resolved. */
typedef struct opencl_gemm {
    bool transpose_a, transpose_b;
    size_t m, n, k, products;
    cl_mem memory[3];                   /* of a, b, c; borrowed */
    size_t row[3], stride[3], first[3]; /* in elements */
} opencl_gemm;

/* M3_ERR_UNSUPPORTED with the reason when the plugin was built without CLBlast's header or the library is missing.
 * close: after the last run and before the context is released, since the library caches programs of contexts. */
m3_status opencl_clblast_open(const m3_host *host, opencl_clblast **out, m3_error *why);
void opencl_clblast_close(const m3_host *host, opencl_clblast *lib);

/* memory and offset_bytes: of the dispatch's buffers a, b, c. */
opencl_gemm opencl_gemm_from(const lower_dispatch *d, const cl_mem memory[3], const uint64_t offset_bytes[3]);

/* Enqueue. The library allocates temporary memory where a shape does not fit its tiles, and compiles kernels the first
 * time: run each product once before it is timed. event: NULL, or to be released by the caller. */
m3_status opencl_gemm_enqueue(const opencl_clblast *lib, cl_command_queue queue, const opencl_gemm *g, cl_event *event,
                              m3_error *err);

#endif
