/* clblast: C = A B for each of a batch, row-major, by CLBlast. */
#include "backends/opencl/clblast.h"
#include "backends/lowering/contract.h"
#include "backends/lowering/lower.h"

#ifdef HAVE_CLBLAST
#include <clblast_c.h>
#include <dlfcn.h>
#include <string.h>

struct opencl_clblast {
    __typeof__(&CLBlastSgemm) gemm;
    __typeof__(&CLBlastSgemmStridedBatched) batched;
    __typeof__(&CLBlastClearCache) clear;
};

static bool look_up(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

m3_status opencl_clblast_open(const m3_host *host, opencl_clblast **out, m3_error *why)
{
    *out = NULL;
    /* Never closed: it holds drivers' objects until the process ends. */
    void *library = dlopen("libclblast.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return M3_FAIL(why, M3_ERR_UNSUPPORTED, "CLBlast",
                       "there is no libclblast.so.1; on Debian install libclblast1");
    opencl_clblast *lib = host->allocate(host->user, 1, sizeof *lib);
    if (lib == NULL) return M3_FAIL_MEMORY(why, "CLBlast", sizeof *lib);
    if (!look_up(library, "CLBlastSgemm", &lib->gemm) ||
        !look_up(library, "CLBlastSgemmStridedBatched", &lib->batched) ||
        !look_up(library, "CLBlastClearCache", &lib->clear)) {
        host->release(host->user, lib);
        return M3_FAIL(why, M3_ERR_UNSUPPORTED, "CLBlast",
                       "the library lacks functions; version 1.4 or later is wanted");
    }
    *out = lib;
    return M3_OK;
}

void opencl_clblast_close(const m3_host *host, opencl_clblast *lib)
{
    if (lib == NULL) return;
    (void)lib->clear();
    host->release(host->user, lib);
}

m3_status opencl_gemm_enqueue(const opencl_clblast *lib, cl_command_queue queue, const opencl_gemm *g, cl_event *event,
                              m3_error *err)
{
    const CLBlastTranspose a = g->transpose_a ? CLBlastTransposeYes : CLBlastTransposeNo;
    const CLBlastTranspose b = g->transpose_b ? CLBlastTransposeYes : CLBlastTransposeNo;
    const cl_mem *memory = g->memory;
    const size_t *row = g->row, *stride = g->stride, *first = g->first;
    const CLBlastStatusCode code =
        g->products == 1 ? lib->gemm(CLBlastLayoutRowMajor, a, b, g->m, g->n, g->k, 1.0f, memory[0], first[0], row[0],
                                     memory[1], first[1], row[1], 0.0f, memory[2], first[2], row[2], &queue, event)
                         : lib->batched(CLBlastLayoutRowMajor, a, b, g->m, g->n, g->k, 1.0f, memory[0], first[0],
                                        row[0], stride[0], memory[1], first[1], row[1], stride[1], 0.0f, memory[2],
                                        first[2], row[2], stride[2], g->products, &queue, event);
    if (code == CLBlastSuccess) return M3_OK;
    return M3_FAIL(err, code == CLBlastOpenCLOutOfHostMemory ? M3_ERR_MEMORY : M3_ERR_INTERNAL, "CLBlast",
                   "a product of %zu x %zu x %zu, %zu times, failed with status %d", g->m, g->n, g->k, g->products,
                   (int)code);
}

#else

m3_status opencl_clblast_open(const m3_host *host, opencl_clblast **out, m3_error *why)
{
    (void)host;
    *out = NULL;
    return M3_FAIL(why, M3_ERR_UNSUPPORTED, "CLBlast",
                   "the plugin was built without it; on Debian install libclblast-dev and build again");
}

void opencl_clblast_close(const m3_host *host, opencl_clblast *lib)
{
    (void)host;
    (void)lib;
}

m3_status opencl_gemm_enqueue(const opencl_clblast *lib, cl_command_queue queue, const opencl_gemm *g, cl_event *event,
                              m3_error *err)
{
    (void)lib;
    (void)queue;
    (void)g;
    (void)event;
    return M3_FAIL(err, M3_ERR_INTERNAL, "CLBlast",
                   "a product was lowered for it, but the plugin was built without it");
}

#endif

opencl_gemm opencl_gemm_from(const lower_dispatch *d, const cl_mem memory[3], const uint64_t offset_bytes[3])
{
#define NUMBER_CONSTANT(k, name)             constant_##name = k,
#define NUMBER_BUFFER(k, access, type, name) buffer_##name = k,
#define NUMBER_WORD(type, name)              word_##name,
#define NONE_2(a, b)
#define NONE_4(a, b, c, d)
    enum { CONTRACT_gemm(NUMBER_CONSTANT, NUMBER_BUFFER, NONE_2) };
    enum { CONTRACT_gemm(NONE_2, NONE_4, NUMBER_WORD) };
#define MATRIX(x)                                                                                                      \
    g.memory[buffer_##x] = memory[buffer_##x];                                                                         \
    g.row[buffer_##x] = d->words[word_##x##_row];                                                                      \
    g.stride[buffer_##x] = d->words[word_##x##_stride];                                                                \
    g.first[buffer_##x] = d->words[word_##x##_first] + (size_t)(offset_bytes[buffer_##x] / sizeof(float));
    opencl_gemm g = {.transpose_a = d->constants[constant_TRANSPOSE_A].value != 0,
                     .transpose_b = d->constants[constant_TRANSPOSE_B].value != 0,
                     .m = d->words[word_m],
                     .n = d->words[word_n],
                     .k = d->words[word_k],
                     .products = d->words[word_products]};
    MATRIX(a)
    MATRIX(b)
    MATRIX(y)
    return g;
}
